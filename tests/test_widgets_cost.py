"""The live view of recovery costs: its numbers are Python's, and a person moves them."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from views import ask, until, words_that_cover_others

import flowlab as fl
from flowlab.errors import InvalidArgumentError
from flowlab.figures import MeasuredRecovery, RecoveryCosts
from flowlab.figures.recovery_model import SCHEMES, best, recovery_time, scheme_cost
from flowlab.figures.recovery_run import crashed_run, longest_crash_s, told_run
from flowlab.figures.recovery_words import advice, told_best
from flowlab.widgets import RecoveryCostView

PLAIN = RecoveryCosts(S=50, L=20, r=0.5, p=0.001)
MEASURED = [
    MeasuredRecovery("checkpoint", 100, 50, 45, 40, 60, history=5_000),
    MeasuredRecovery("replay", 0, 4_000, 2_100, 1_900, 2_300),
]


def grid() -> list[RecoveryCosts]:
    """Cases of every kind: struck or not, growing or not, short and long."""
    found = []
    sides = product((0.003, 47.0), (0.0, 0.7), (7.3e-6, 0.41), (3e-5, 0.0013), (0.0, 2.9e-4))
    for n, (S, L, r, p, rate) in enumerate(sides):  # noqa: N806
        history = (83, 12_345, 1_234_567)[n % 3]
        more = {"growth": (0.0, 1.3e-7)[n % 2], "D": (0.0, 2.7)[n // 2 % 2], "history": history}
        pace = {"arrivals": (2.3, 31.0)[n % 2], "capacity": 17.0}
        shares = {"hit_ratio": (0.0, 0.83)[n % 2], "delta": (0.13, 1.0)[n // 3 % 2]}
        found.append(RecoveryCosts(S=S, L=L, r=r, p=p, rate=rate, **more, **pace, **shares))
    return found


def open_costs(page: Page, view: RecoveryCostView, folder: Path) -> Page:
    page.goto(view.save(folder / "cost.html").as_uri())
    page.wait_for_selector(".flowlab-live[data-drawn-ms]")
    return page


def near(value: float, rel: float = 1e-6) -> Any:
    return pytest.approx(value, rel=rel, abs=1e-12)


def test_the_numbers_and_words_of_the_page_are_those_of_python(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_costs(offline_page, fl.widgets.recovery_cost(PLAIN), tmp_path)
    cases = grid()
    shown = ask(
        page,
        """a.map((c) => { v.take(c, 0.65); return { bests: v.bests, advice: v.advice,
          run: v.run, told: v.dom.told.textContent, case: c,
          rows: [...v.dom.table.querySelectorAll("td:last-child")].map((td) => td.textContent) }; })
        """,
        [asdict(case) for case in cases],
    )
    for case, of_page in zip(cases, shown, strict=True):
        for scheme in SCHEMES:
            found, drawn = best(scheme, case), of_page["bests"][scheme]
            assert drawn["cost"] == near(found.cost), (case, scheme)
            # The place of a least is known to the root of what its height is.
            rel = 1e-4 if scheme == "incremental" else 1e-9
            assert drawn["nStar"] == near(found.n_star, rel), (case, scheme)
            for name in ("low", "high"):
                assert drawn[name] == near(getattr(found, name), 1e-4), (case, scheme)
        every = max(1.0, float(int(best("checkpoint", case).n_star + 0.5)))
        run = crashed_run(every, case, 0.65 * longest_crash_s(every, case))
        for mine, theirs in (("crash_s", "crash"), ("since", "since"), ("back_s", "back"),
                             ("caught_s", "caught"), ("end_s", "end")):  # fmt: skip
            assert of_page["run"][theirs] == near(getattr(run, mine))
        for mine, theirs in ((run.before, "before"), (run.after, "after")):
            assert len(mine) == len(of_page["run"][theirs])
        assert tuple(of_page["advice"]) == advice(case), case
        assert of_page["told"] == told_run(run)
        assert of_page["rows"] == [told_best(s, best(s, case), case) for s in SCHEMES]


def test_the_curves_of_the_page_are_the_costs_of_python(offline_page: Page, tmp_path: Path) -> None:
    page = open_costs(offline_page, fl.widgets.recovery_cost(PLAIN), tmp_path)
    for case in grid()[::5]:
        ask(page, "v.take(a, 0.65)", asdict(case))
        for scheme in ("checkpoint", "incremental", "cache"):
            points, ticks = ask(
                page,
                """[v.dom.cost.querySelector(`.curve.${a}`).getAttribute("d").slice(1).split("L")
                  .map((pair) => pair.split(" ").map(Number)),
                  [...v.dom.cost.querySelectorAll("text[text-anchor=middle][fill]")]
                  .filter((t) => !t.getAttribute("font-weight"))
                  .map((t) => [Number(t.getAttribute("x")), t.textContent])]""",
                scheme,
            )
            known = [(x, float(t.replace("\u202f", ""))) for x, t in ticks if "i" not in t][:2]
            (x1, n1), (x2, n2) = known
            heights = []
            for x, y in points[::12]:
                n = n1 * (n2 / n1) ** ((x - x1) / (x2 - x1))
                heights.append((y, math.log(scheme_cost(scheme, n, case))))
            (y1, c1), (y2, c2) = min(heights), max(heights)
            for y, c in heights:
                assert c == pytest.approx(c1 + (c2 - c1) * (y - y1) / (y2 - y1), abs=0.05)


def test_a_recovery_of_the_page_takes_as_long_as_pythons(
    offline_page: Page, tmp_path: Path
) -> None:
    """The saw of the second panel is on the page as a line of known corners."""
    page = open_costs(offline_page, fl.widgets.recovery_cost(PLAIN), tmp_path)
    d = ask(page, "[...v.dom.time.querySelectorAll('path')].map((p) => p.getAttribute('d'))[1]")
    corners = [tuple(map(float, pair.split())) for pair in d[1:].split("L")]
    x0, y0 = corners[0]
    scale_x = (corners[-1][0] - x0) / 10_000
    slope = (corners[1][1] - y0) / recovery_time("checkpoint", 447 - 1e-9, 447, PLAIN)
    for n, (x, y) in enumerate(corners[1:-1]):
        tooth = n // 2 + 1
        assert (x - x0) / scale_x == pytest.approx(447 * tooth, abs=20)
        h = 447 * tooth - (1e-6 if n % 2 == 0 else 0)
        assert (y - y0) / slope == pytest.approx(
            recovery_time("checkpoint", h, 447, PLAIN), abs=abs(0.03 / slope)
        )


def test_a_slider_changes_curves_and_words_and_a_reader_of_the_screen_hears_it(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_costs(offline_page, fl.widgets.recovery_cost(PLAIN, measured=MEASURED), tmp_path)
    assert "every 447 events" in page.locator(".advice .first").inner_text()
    curve = page.locator(".curve.checkpoint").get_attribute("d")
    slider = page.get_by_label("write a checkpoint (S)")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert ask(page, "v.costs.S") == pytest.approx(5, rel=0.01)
    assert page.locator(".curve.checkpoint").get_attribute("d") != curve
    case = RecoveryCosts(**ask(page, "v.costs"))
    assert page.locator(".advice p").all_inner_texts() == list(advice(case))
    assert slider.get_attribute("aria-valuetext") == "5.01 s"
    until(page, "v.dom.live.textContent.startsWith('Write a checkpoint every')")
    page.keyboard.press("Home")
    page.get_by_label("history", exact=True).focus()
    page.keyboard.press("Home")
    assert "Write no checkpoint: a history of 1 events" in page.locator(".first").inner_text()
    page.get_by_role("button", name="Back to the first numbers").click()
    assert ask(page, "v.costs") == pytest.approx(asdict(PLAIN))
    assert page.locator(".curve.checkpoint").get_attribute("d") == curve


def test_every_slider_goes_over_its_whole_range_and_the_picture_stays_whole(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_costs(offline_page, fl.widgets.recovery_cost(PLAIN, measured=MEASURED), tmp_path)
    broken = ask(
        page,
        """[...v.sliders.values()].flatMap(({ slider, input }) => {
          const wrong = [];
          for (let place = 0; place <= Number(input.max); place += 4) {
            input.value = String(place);
            input.dispatchEvent(new Event("input"));
            const text = v.dom.cost.outerHTML + v.dom.time.outerHTML + v.dom.run.outerHTML;
            const isBroken = /NaN|Infinity|undefined/.test(text + v.advice.join());
            if (isBroken || Number(input.value) !== place) wrong.push([slider.name, place]);
          }
          v.reset();
          return wrong;
        })""",
    )
    assert broken == []


def test_the_crash_is_dragged_and_moved_by_keys(offline_page: Page, tmp_path: Path) -> None:
    page = open_costs(offline_page, fl.widgets.recovery_cost(PLAIN), tmp_path)
    box = page.locator("svg.run").bounding_box()
    assert box is not None
    at = ask(page, "v.runScale.at(a)", 300)
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + at, box["y"] + 60, steps=4)
    page.mouse.up()
    run = ask(page, "v.run")
    assert run["crash"] == pytest.approx(300, abs=4)
    assert run["since"] == pytest.approx(run["crash"] * 2 % 447, abs=1e-6)
    assert page.locator(".toldRun").inner_text().startswith("Crash after")
    crash = page.get_by_label("crash", exact=True)
    crash.focus()
    page.keyboard.press("Home")
    assert ask(page, "v.run.crash") == 0
    page.keyboard.press("End")
    assert ask(page, "v.run.crash") == pytest.approx(4 * 447 / 2)
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    assert ask(page, "v.run.crash") == pytest.approx(4 * 447 / 2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_words_cover_others_and_nothing_leaves_the_page_at_any_width(
    offline_page: Page, tmp_path: Path, scheme: Any
) -> None:
    offline_page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page = open_costs(offline_page, fl.widgets.recovery_cost(PLAIN, measured=MEASURED), tmp_path)
    for width in (375, 520, 768, 1024, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        until(
            page,
            "Number(v.dom.cost.getAttribute('width')) === v.dom.cost.parentElement.clientWidth",
        )
        for case in (PLAIN, grid()[5], grid()[22]):
            ask(page, "v.take(a, 0.65)", asdict(case))
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            covered = words_that_cover_others(page, "text, p, h2, h3, label, output, td, th")
            assert covered == [], width
    ground = page.evaluate(
        "getComputedStyle(document.querySelector('.flowlab-live').shadowRoot"
        ".querySelector('.view')).backgroundColor"
    )
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 27, 34)"}[scheme]


def test_a_view_is_a_picture_until_it_is_live_and_its_numbers_can_be_set() -> None:
    view = fl.widgets.recovery_cost(S=50, L=20, r=0.5, p=0.001, measured=MEASURED)
    said = view._repr_mimebundle_()
    assert said["text/plain"] == "RecoveryCostView(S=50, L=20, r=0.5, p=0.001, history=10000)"
    assert "data:image/svg+xml;base64," in said["text/html"]
    view._numbers = {**view._numbers, "S": 5.0}
    assert view.costs == RecoveryCosts(S=5.0, L=20, r=0.5, p=0.001)
    view.costs = PLAIN
    assert view._numbers == asdict(PLAIN)
    view._share = 0.5
    assert view.crash_s == pytest.approx(2 * 447 / 2)
    assert "Crash after 7 min 27 s" in view.figure.text
    assert repr(view.widget()) == "WidgetView('What recovery costs')"


def test_what_a_view_cannot_show_is_refused(tmp_path: Path) -> None:
    view = fl.widgets.recovery_cost(PLAIN)
    with pytest.raises(InvalidArgumentError, match="expected a RecoveryCosts"):
        view.costs = 3
    with pytest.raises(InvalidArgumentError, match="r is -1"):
        view.costs = {**asdict(PLAIN), "r": -1}
    assert view.costs == PLAIN
    with pytest.raises(InvalidArgumentError, match="expected a name in .html"):
        view.save(tmp_path / "cost.svg")
    with pytest.raises(InvalidArgumentError, match="four intervals"):
        fl.widgets.recovery_cost(PLAIN, crash_s=1e9)
    with pytest.raises(InvalidArgumentError, match="without them no run goes on"):
        fl.widgets.recovery_cost(S=1, L=1, r=1, p=0.1, arrivals=0)
