"""The standalone page in headless Chromium: cuts, the critical path, play, and hostile logs."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from views import ask, open_page, position, row_of, trip, until

import flowlab as fl
from flowlab.cli import main
from flowlab.store import EventStore

HOSTILE = "<script>window.hacked = 1</script>"
END = "</script><img src=x onerror='window.hacked = 1'>"


def test_a_cut_is_consistent_or_names_the_arrow_and_offers_the_closest_consistent_one(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    page = open_page(offline_page, log, tmp_path)
    edges = [tuple(pair) for pair in ask(page, "[...v.log.src].map((s, n) => [s, v.log.dst[n]])")]
    lane, rank = ask(page, "[[...v.log.lane], [...v.log.rank]]")

    def broken(cut: list[int]) -> list[tuple[int, int]]:
        inside = [rank[row] < cut[lane[row]] for row in range(len(log))]
        return [(a, b) for a, b in edges if inside[b] and not inside[a]]

    page.locator("button.cutButton").click()
    assert "consistent: every event" in page.locator(".cut .good").inner_text()
    assert broken(ask(page, "[...v.cut]")) == []
    trip_1 = ask(page, "v.log.header.lanes.findIndex((l) => l[2] === 'trip-1')")
    ask(page, "v.cutLaneAt(a, v.axis.length)", trip_1)
    cut = ask(page, "[...v.cut]")
    assert cut[trip_1] == 14
    assert "not consistent" in page.locator(".cut .bad").inner_text()
    shown = [tuple(pair) for pair in ask(page, "v.cutBroken")]
    assert shown == broken(cut) != []
    # The answer is before the line, the work that it tells of is not over.
    bank = page.locator(".cut tbody tr", has_text="bank").inner_text()
    assert "works on charge" in bank
    page.locator("button.mend").click()
    mended = ask(page, "[...v.cut]")
    assert broken(mended) == []
    # The largest one: consistent cuts are closed under union, so none lies between.
    bigger = [
        [*mended[:place], count + 1, *mended[place + 1 :]]
        for place, count in enumerate(mended)
        if count < cut[place]
    ]
    assert bigger != []
    assert all(broken(one) for one in bigger)
    states = page.locator(".cut tbody tr").all_inner_texts()
    assert len(states) == len(mended)


def test_the_cut_moves_by_its_handles_its_slider_and_the_keyboard(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_page(offline_page, trip(), tmp_path)
    page.locator(".canvas").focus()
    page.keyboard.press("t")
    before = ask(page, "v.cut.reduce((a, b) => a + b)")
    page.keyboard.press("]")
    assert ask(page, "v.cut.reduce((a, b) => a + b)") > before
    page.locator(".cutRange").fill("1000")
    assert ask(page, "v.cut.reduce((a, b) => a + b)") == 70
    page.locator(".cutRange").fill("500")
    x, y = ask(
        page,
        "(() => { const b = v.dom.canvas.getBoundingClientRect(), l = v.layout.lanes[0];"
        " return [b.left + v.cutX(l), b.top + l.top + l.height / 2 - v.scroll]; })()",
    )
    others = ask(page, "[...v.cut]")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 400, y, steps=4)
    page.mouse.up()
    cut = ask(page, "[...v.cut]")
    moved = [place for place, count in enumerate(cut) if count != others[place]]
    assert moved == [ask(page, "v.layout.lanes[0].code")]
    page.keyboard.press("t")
    assert ask(page, "v.cut") is None


def test_the_critical_path_is_followed_step_by_step(offline_page: Page, tmp_path: Path) -> None:
    log = trip()
    page = open_page(offline_page, log, tmp_path)
    end = row_of(log, "trip-1", 14)
    page.mouse.click(*position(page, end))
    page.keyboard.press("k")
    until(page, "v.critical")
    rows = ask(page, "v.critical.rows")
    assert rows == log.explore().log.causality.critical_path(end).rows.tolist()
    for row in rows[:3]:
        page.keyboard.press("n")
        until(page, f"v.selected[0] === {row}")
    page.keyboard.press("p")
    until(page, f"v.selected[0] === {rows[1]}")


def test_time_runs_when_played_and_steps_where_motion_is_reduced(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_page(offline_page, trip(), tmp_path)
    page.locator("button.play").click()
    until(page, "v.cutPlace > 1e6")
    page.locator("button.play").click()
    assert ask(page, "v.timer") == 0
    page.emulate_media(reduced_motion="reduce")
    ask(page, "v.cutAt(-1)")
    counts = [ask(page, "(v.play(), [...v.cut].reduce((a, b) => a + b))") for _ in range(3)]
    assert counts == sorted(set(counts))
    assert ask(page, "v.timer") == 0


def test_what_a_log_says_is_shown_as_text_whatever_it_is(
    offline_page: Page, tmp_path: Path
) -> None:
    long = "n" * 10_000
    events = [
        {"agent_id": HOSTILE, "name": END, "payload": {"said": END}},
        {"agent_id": "🚀 кот", "name": long, "payload": {"big": "x" * 5_000_000}},
        {"agent_id": "bad\u202etxt\x00", "name": "a\nb", "payload": b"\xff\x00</script>"},
    ]
    log = fl.EventLog.from_events(
        {
            "workflow_id": f"@{place}{HOSTILE}",
            "sequence": 1,
            "event_type": "Signaled" + HOSTILE * (place == 0),
            "time_ns": place,
            "run_id": HOSTILE,
            **event,
        }
        for place, event in enumerate(events)
    )
    page = open_page(offline_page, log, tmp_path, title=END)
    assert (tmp_path / "run.html").stat().st_size < 400_000
    for row in range(3):
        ask(page, "v.select(a)", row)
        page.wait_for_selector(".payload")
    assert "the first 4 kB of 2" not in page.locator(".payload").inner_text()
    ask(page, "v.select(1)")
    page.get_by_text("the first 4 kB of 4.77 MB").wait_for()
    page.locator("button.legendButton").click()
    names = page.locator(".lane .name").all_inner_texts()
    assert any(name.startswith("<script>") for name in names)
    assert any("🚀" in name for name in names)
    assert page.evaluate("window.hacked") is None
    assert page.title().startswith("</script>")
    assert page.locator("h2").inner_text().startswith("</script>")


def test_an_empty_log_says_so(offline_page: Page, tmp_path: Path) -> None:
    page = open_page(offline_page, fl.EventLog.from_events([]), tmp_path)
    assert "the log is empty" in page.locator(".status").inner_text()
    assert "there is nothing to show" in page.locator(".panel").inner_text()
    for key in ("ArrowRight", "t", "k", "n", "a", "g", "+", " ", "]", "m", "z", "x"):
        page.locator(".canvas").press(key)


def test_a_cycle_is_drawn_as_damage_and_ends(offline_page: Page, tmp_path: Path) -> None:
    log = fl.EventLog.from_events(
        {
            "workflow_id": f"@{name}",
            "sequence": 1,
            "agent_id": name,
            "event_type": "Signaled",
            "time_ns": 5,
            "causes": [{"workflow_id": f"@{other}", "sequence": 1}],
        }
        for name, other in (("a", "b"), ("b", "a"), ("c", "lost"))
    )
    page = open_page(offline_page, log, tmp_path)
    ask(page, "v.select(0)")
    page.get_by_text("damage: cycle").wait_for()
    assert ask(page, "v.log.damage.filter((code) => code >= 0).length") >= 1
    ask(page, "v.toggleCritical()")


def test_events_without_a_time_and_two_of_one_id_are_shown(
    offline_page: Page, tmp_path: Path
) -> None:
    log = fl.EventLog.from_events(
        {"workflow_id": "w", "sequence": 1, "event_type": "Signaled", **more}
        for more in ({}, {"time_ns": 1_751_299_442_000_000_000}, {"time_ns": -5})
    )
    page = open_page(offline_page, log, tmp_path)
    times = ask(page, "[...Array(3).keys()].map((row) => v.log.time[row])")
    assert times == sorted(times)
    ask(page, "v.select(0)")
    page.get_by_text("no time").wait_for()
    assert ask(page, "v.log.damage.filter((code) => code >= 0).length") >= 1
    for key in ("a", "t", "k", "i"):
        page.locator(".canvas").press(key)


def test_a_page_of_many_events_holds_marks_and_says_so(offline_page: Page, tmp_path: Path) -> None:
    import pyarrow as pa

    size = 30_000
    table = pa.table(
        {
            "workflow_id": [f"@{n % 3}" for n in range(size)],
            "sequence": [n // 3 + 1 for n in range(size)],
            "agent_id": [f"agent-{n % 3}" for n in range(size)],
            "event_type": ["Signaled"] * size,
            "time_ns": [n * n for n in range(size)],
        }
    )
    page = open_page(offline_page, fl.EventLog.from_table(table), tmp_path)
    status = page.locator(".status").inner_text()
    assert "showing 30\u202f000 of 30\u202f000 events, as " in status
    assert "put together in this page" in status
    assert ask(page, "[v.chosen.detailed, v.chosen.marks <= 2000]") == [False, True]
    assert ask(page, "v.log.count.reduce((a, b) => a + b)") == size
    for key in ("k", "t", "ArrowRight", "Shift+ArrowRight", "c"):
        page.locator(".canvas").press(key)
    assert "put together" in page.locator(".panel").inner_text()


def test_the_command_writes_the_page_of_a_store(offline_page: Page, tmp_path: Path) -> None:
    with EventStore(tmp_path / "store") as store:
        trip().save(store)
    place = tmp_path / "trip.html"
    assert main(["diagram", "--store", str(tmp_path / "store"), "-o", str(place)]) == 0
    offline_page.goto(place.as_uri())
    offline_page.wait_for_selector(".flowlab-live[data-drawn-ms]")
    assert "showing 70 of 70 events" in offline_page.locator(".status").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_dark_where_its_reader_is(browser: Browser, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = open_page(context.new_page(), trip(), tmp_path)
    panel = {"light": "#ffffff", "dark": "#161b22"}
    assert ask(page, "v.colours.panel") == panel[scheme]
    context.close()
