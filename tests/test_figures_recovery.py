"""The picture of recovery costs: what it draws is the law, to the pixel."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import image

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.figures import Figure, MeasuredRecovery, RecoveryCosts, recovery_cost, theme
from flowlab.figures.raster import to_png
from flowlab.figures.recovery_model import (
    SCHEMES,
    best,
    changed_part,
    full_every,
    is_short,
    recovery_time,
    scheme_cost,
)
from flowlab.figures.recovery_panels import spread
from flowlab.figures.recovery_run import crashed_run
from flowlab.figures.recovery_words import advice
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS
from flowlab.figures.text import text_width
from flowlab.recovery import Costs, recommend
from flowlab.recovery.replaying import band, best_interval, catch_up, cost, needs_no_snapshot

PLAIN = RecoveryCosts(S=50, L=20, r=0.5, p=0.001)
SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def cases(draw: st.DrawFn, *, struck: bool = True) -> RecoveryCosts:
    """Draw costs as they may be: microseconds to minutes, failures each hour or each minute."""

    def spread_(low: float, high: float) -> float:
        return float(10 ** draw(st.floats(math.log10(low), math.log10(high))))

    r = spread_(1e-7, 1)
    return RecoveryCosts(
        S=spread_(1e-4, 100),
        L=draw(st.just(0.0) | st.floats(1e-4, 50)),
        r=r,
        p=spread_(1e-7, 0.05),
        rate=draw(st.just(0.0) | st.floats(1e-6, 1e-3)) if struck else 0.0,
        D=draw(st.just(0.0) | st.floats(0.01, 60)),
        growth=draw(st.just(0.0) | st.floats(1e-9, 1e-6)),
        history=float(round(spread_(1, 1e6))),
        arrivals=spread_(0.1, 100),
        capacity=spread_(0.1, 1000),
        hit_ratio=draw(st.floats(0, 0.99)),
        delta=draw(st.floats(0.01, 1)),
    )


@given(cases())
def test_the_least_of_each_curve_is_where_no_other_interval_costs_less(case: RecoveryCosts) -> None:
    for scheme in ("checkpoint", "incremental", "cache"):
        found = best(scheme, case)
        for factor in (0.3, 0.9, 0.99, 1.01, 1.1, 3.0):
            n = found.n_star * factor
            if n >= 1 and found.n_star >= 1:
                assert scheme_cost(scheme, n, case) >= found.cost * (1 - 1e-12)


@given(cases())
def test_a_checkpoint_costs_what_the_law_says(case: RecoveryCosts) -> None:
    law = best_interval(S=case.full_s, L=case.load_s, r=case.r, p=case.p, rate=case.rate, D=case.D)
    assert best("checkpoint", case).n_star == law.n_star
    for n in (1.0, 7.0, max(1.0, law.n_star)):
        if case.rate * (case.load_s + case.r * n) < 500:
            assert scheme_cost("checkpoint", n, case) == cost(
                n, S=case.full_s, L=case.load_s, r=case.r, p=case.p, rate=case.rate, D=case.D
            )
    assert is_short(case) == needs_no_snapshot(case.history, law)


@given(cases(struck=False))
def test_the_band_is_the_laws_and_its_ends_cost_five_percent_more(case: RecoveryCosts) -> None:
    found = best("checkpoint", case)
    law = band(best_interval(S=case.full_s, L=case.load_s, r=case.r, p=case.p))
    if law[0] >= 1 and changed_part("checkpoint", law[0], case) > 1e-9 * found.cost:
        assert (found.low, found.high) == pytest.approx(law, rel=1e-4)
        n, s = found.n_star, case.full_s
        least = s / n + case.p * case.r * n / 2
        for end in (found.low, found.high):
            assert s / end + case.p * case.r * end / 2 == pytest.approx(1.05 * least, rel=1e-4)


@given(cases(), st.floats(1, 1e5))
def test_no_other_number_of_increments_between_full_ones_costs_less(
    case: RecoveryCosts, n: float
) -> None:
    m = full_every(n, case)

    def of(m: float) -> float:
        write = case.full_s * (case.delta + (1 - case.delta) / m)
        load = case.load_s * (1 + case.delta * (m - 1) / 2)
        return write / n + case.p * (load + case.D + case.r * (n - 1) / 2)

    most = max(1.0, case.history / n)
    assert 1 <= m <= most
    for other in (m * 0.8, m * 1.2):
        if 1 <= other <= most:
            assert of(other) >= of(m) * (1 - 1e-12)


def test_replay_at_every_task_reads_three_times_the_square_of_the_tasks() -> None:
    case = RecoveryCosts(S=1, L=1, r=1, p=1e-9, history=6 * 1000 + 5)
    assert scheme_cost("every_task", 1, case) * 6005 == pytest.approx(3 * 1001**2, rel=1e-4)


@given(cases(), st.integers(1, 1000), st.integers(0, 20_000))
def test_after_a_checkpoint_a_recovery_does_not_depend_on_what_came_before(
    case: RecoveryCosts, every: int, h: int
) -> None:
    since = h % every
    replay = case.D + case.r * h
    assert recovery_time("replay", h, every, case) == pytest.approx(replay)
    if h >= every:
        load = case.L + case.growth * (h - since)
        found = recovery_time("checkpoint", h, every, case)
        assert found == pytest.approx(case.D + load + case.r * since)


@given(cases(), st.floats(0, 1), st.floats(1, 1e4))
def test_a_run_is_back_and_caught_up_when_the_law_says(
    case: RecoveryCosts, place: float, every: float
) -> None:
    crash = place * 4 * every / case.arrivals
    run = crashed_run(every, case, crash)
    load = run.loaded_s - run.down_s
    law = catch_up(
        run.since, L=load, r=case.r, arrivals=case.arrivals, capacity=case.capacity, D=case.D
    )
    size = crash + law.back_s
    assert run.back_s - crash == pytest.approx(law.back_s, abs=1e-9 * size)
    if law.caught_up_s == math.inf:
        assert run.caught_s == math.inf
    else:
        size = max(size, law.caught_up_s)
        assert run.caught_s - crash == pytest.approx(law.caught_up_s, abs=1e-9 * size)
    for points in (run.before, run.after):
        assert all(-1e-9 <= since <= every * (1 + 1e-9) for _, since in points)
        assert [at for at, _ in points] == sorted(at for at, _ in points)


def test_the_words_are_the_rule_of_two_n_star() -> None:
    assert "every 447 events" in advice(PLAIN)[0]
    assert "326 to 613" in advice(PLAIN)[1]
    for history, begins in ((894, "Write no checkpoint"), (10_000, "Write a checkpoint")):
        case = RecoveryCosts(S=50, L=0, r=0.5, p=0.001, history=history)
        assert advice(case)[0].startswith(begins)
    never = RecoveryCosts(S=50, L=20, r=0.5, p=0.001, arrivals=10, capacity=10)
    assert "never catches up" in advice(never)[-1]
    loading = RecoveryCosts(S=50, L=1e4, r=0.5, p=0.001)
    assert "loading one takes longer" in advice(loading)[1]


def test_what_is_recommended_of_a_log_is_drawn_with_its_own_interval() -> None:
    log = EventLog.from_events(
        Event.of("Signaled", workflow_id="w", sequence=n, time_ns=n * 10**8, agent_id="a")
        for n in range(1, 5_001)
    )
    prices = Costs(snapshot_s=0.5, load_s=0.2, replay_s=0.01)
    for more, law in (({"p": 0.001}, "uninterrupted"), ({"failures": 3_600.0}, "interrupted")):
        found = recommend(log, costs=prices, **more)  # type: ignore[arg-type]
        case = RecoveryCosts.of(found)
        assert best("checkpoint", case).n_star == pytest.approx(getattr(found, law).n_star)
        assert (case.history, case.D, case.arrivals) == (5_000, 0, pytest.approx(10, rel=0.01))
    unknown = recommend(log, costs=prices)
    with pytest.raises(InvalidArgumentError, match="give p, or failures"):
        RecoveryCosts.of(unknown)
    assert RecoveryCosts.of(unknown, p=0.01, history=7).history == 7


# -- what is drawn ---------------------------------------------------------------------------------


def parts(svg: str, tag: str) -> list[dict[str, str]]:
    return [dict(part.attrib, said=part.text or "") for part in ET.fromstring(svg).iter(SVG + tag)]


def decade(words: str) -> float:
    """Read a number of an axis as it is written there."""
    value, _, unit = words.replace("\u202f", "").partition(" ")
    return float(value) * {"": 1, "s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "million": 1e6}[unit]


def axes_of(svg: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return (pixel, number) of the ticks of the first panel, by what is written at them."""
    across, up = [], []
    frame_bottom = next(p for p in parts(svg, "text") if p["said"].startswith("events between"))
    for part in parts(svg, "text"):
        y = float(part["y"])
        if part.get("font-size") == "11" and y < float(frame_bottom["y"]):
            if part.get("text-anchor") == "middle":
                across.append((float(part["x"]), decade(part["said"])))
            elif part.get("text-anchor") == "end":
                up.append((y - 4, decade(part["said"])))
    return across, up


def read(ticks: list[tuple[float, float]], place: float) -> float:
    (a, low), (b, high) = ticks[0], ticks[-1]
    return low * (high / low) ** ((place - a) / (b - a))


@pytest.mark.parametrize(
    "case",
    [
        PLAIN,
        RecoveryCosts(S=0.02, L=0.01, r=7e-7, p=1e-6, history=1e6, D=2),
        RecoveryCosts(S=10, L=5, r=1, p=0.01, rate=0.01, history=300),
    ],
)
def test_the_curve_on_the_page_is_lowest_at_n_star(case: RecoveryCosts) -> None:
    svg = recovery_cost(case).svg
    across, up = axes_of(svg)
    (curve,) = [p["d"] for p in parts(svg, "path") if p.get("stroke-width") == "3.2"
                and len(p["d"]) > 100]  # fmt: skip
    points = [tuple(map(float, pair.split())) for pair in curve[1:].split("L")]
    lowest = max(y for _, y in points)
    xs = [x for x, y in points if y == lowest]
    n_star = best("checkpoint", case).n_star
    assert read(across, min(xs)) * 0.8 < n_star < read(across, max(xs)) * 1.25
    found = [
        read(across, float(p["cx"])) for p in parts(svg, "circle")
        if p["fill"] == theme.BLUE and p["r"] == "5"
    ]  # fmt: skip
    assert found == [pytest.approx(n_star, rel=0.01)]
    for x, y in points:
        if across[0][0] < x:
            assert read(up, y) == pytest.approx(
                scheme_cost("checkpoint", read(across, x), case), rel=0.02
            )


def test_measured_points_lie_where_their_numbers_say() -> None:
    measured = [
        MeasuredRecovery("checkpoint", 100, 50, 45, 40, 60, history=5_000),
        MeasuredRecovery("incremental", 2_000, 1_000, 500, 450, 650, history=5_000),
    ]
    svg = recovery_cost(PLAIN, measured=measured).svg
    across, up = axes_of(svg)
    marks = [g for g in ET.fromstring(svg).iter(SVG + "g") if "measured" in (g[0].text or "")]
    for mark, one in zip(marks, measured, strict=False):
        whisker = mark.find(SVG + "line")
        assert whisker is not None
        at = {name: float(whisker.attrib[name]) for name in ("x1", "y1", "y2")}
        assert read(across, at["x1"]) == pytest.approx(one.every, rel=0.01)
        for place, value in ((at["y1"], one.low), (at["y2"], one.high)):
            assert read(up, place) == pytest.approx(50 / one.every + 0.001 * value, rel=0.01)
    assert len(marks) == 4


@settings(max_examples=25)
@given(cases(), st.integers(480, 1600))
def test_any_case_is_drawn_safely_within_its_frame_and_no_words_cover_others(
    case: RecoveryCosts, width: int
) -> None:
    figure = recovery_cost(case, width=width)
    assert figure.svg == recovery_cost(case, width=width).svg
    root = ET.fromstring(figure.svg)
    boxes = []
    for part in root.iter():
        assert part.tag.removeprefix(SVG) in ELEMENTS
        assert set(part.attrib) <= ATTRIBUTES
        if part.tag == SVG + "text":
            size, words = float(part.attrib["font-size"]), part.text or ""
            wide = text_width(words, size)
            x, y = float(part.attrib["x"]), float(part.attrib["y"])
            x -= {"start": 0, "middle": 0.5, "end": 1}[
                part.attrib.get("text-anchor", "start")
            ] * wide
            assert x >= -2, words
            if size < 16:
                assert x + wide <= width + 2, words
            boxes.append((x, y - size * 0.7, x + wide, y, words))
        elif part.tag == SVG + "path":
            numbers = re.findall(r"-?\d+\.?\d*", part.attrib["d"])
            assert all(-20 <= float(n) <= 4_000 for n in numbers)
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3]
            assert apart or other[1] >= one[3], (one, other)
    assert "nan" not in figure.svg
    assert figure.text.splitlines()[-1].startswith("Crash after")


def test_a_picture_is_drawn_dark_and_as_a_png_too() -> None:
    figure = recovery_cost(PLAIN)
    assert theme.PANEL not in figure.dark().svg
    assert figure.to_png(scale=0.5)[:4] == b"\x89PNG"


def shown_in_docs() -> Figure:
    """The picture of the page about it: a case whose numbers are the law's own examples."""
    return recovery_cost(PLAIN, title="What recovery costs")


def test_the_picture_of_the_docs_is_what_the_code_draws() -> None:
    page = Path(__file__).parent.parent / "docs" / "recovery-cost.svg"
    assert page.read_text(encoding="utf-8") == shown_in_docs().svg


def test_a_text_of_a_png_may_end_at_its_place() -> None:
    at = 'x="50" y="12" font-size="12" fill="#000000"'
    svg = f'<svg width="100" height="16"><text {at} text-anchor="end">mmmm</text></svg>'
    shown = image.imread(io.BytesIO(to_png(svg, scale=1)), format="png")[:, :, 3]
    assert shown[:, 51:].max() == 0 < shown[:, 10:50].max()


def test_places_are_moved_apart_and_stay_within() -> None:
    found = spread([5, 5, 5, 95, 96], 0, 100)
    assert all(0 <= place <= 100 for place in found)
    assert all(abs(a - b) >= 16 for a in found for b in found if a is not b)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"S": 0}, "S is 0; expected a number above 0"),
        ({"p": 2}, "p is 2; expected a number above 0, at most 1"),
        ({"L": -1}, "L is -1"),
        ({"L": math.nan}, "L is nan"),
        ({"history": 0.5}, "at least 1 event"),
        ({"hit_ratio": 1}, "a cache that always hits"),
        ({"size": 3}, r"unknown \['size'\]"),
        ({"arrivals": 0}, "without them no run goes on"),
        ({"width": 300}, "expected at least 480"),
        ({"crash_s": 1e9}, "four intervals"),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_name(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        recovery_cost(**{"S": 50, "L": 20, "r": 0.5, "p": 0.001, **wrong})  # type: ignore[arg-type]


def test_no_measurement_is_taken_that_is_none() -> None:
    with pytest.raises(InvalidArgumentError, match="expected one of"):
        MeasuredRecovery("magic", 1, 1, 1, 1, 1)
    with pytest.raises(InvalidArgumentError, match="expected that order"):
        MeasuredRecovery("replay", 0, 1, seconds=1, low=2, high=3)
    with pytest.raises(InvalidArgumentError, match="finite"):
        MeasuredRecovery("replay", 0, math.inf, 1, 1, 1)
    assert set(SCHEMES) >= {"replay", "checkpoint"}
