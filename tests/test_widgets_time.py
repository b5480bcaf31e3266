"""The live view of time travel: its states are Python's, and a person moves through the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page
from views import ask, until, words_that_cover_others

import flowlab as fl
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.figures import CheckpointMark
from flowlab.figures.travel import MAX_EVENTS
from flowlab.scenarios import SCENARIOS
from flowlab.widgets import TimeTravelView, time_view


def trip() -> EventLog:
    return fl.simulate(SCENARIOS["trip"], seed=1).log


def marks(log: EventLog) -> list[CheckpointMark]:
    world = (log.runs[0].namespace, log.runs[0].run_id)
    return [
        CheckpointMark((*world, "trip-1"), 6, 512),
        CheckpointMark((*world, "trip-2"), 8, 2_000),
        CheckpointMark((*world, "@hotel"), 4, 90, savepoint=True),
        CheckpointMark((*world, "trip-3"), 11, 700),
    ]


def open_travel(page: Page, view: TimeTravelView, folder: Path) -> Page:
    page.goto(view.save(folder / "travel.html").as_uri())
    page.wait_for_selector(".flowlab-live[data-drawn-ms]")
    return page


@pytest.mark.parametrize(("scenario", "between"), [("trip", 1), ("relief", 512)])
def test_the_page_shows_the_state_and_the_reading_of_python_at_every_place(
    offline_page: Page,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
    between: int,
) -> None:
    monkeypatch.setattr(time_view, "LEAST_BETWEEN", between)
    log = fl.simulate(SCENARIOS[scenario], seed=1, faults="crashes").log
    view = log.time_travel(checkpoints=marks(log) if scenario == "trip" else None)
    page = open_travel(offline_page, view, tmp_path)
    shown = ask(
        page,
        """[...Array(v.places.size).keys()].map((row) => {
          v.go(row);
          const rows = [...v.dom.body.querySelectorAll("tr")];
          return { cells: rows.map((tr) => [tr.children[1].firstChild.textContent,
              tr.children[2].textContent, tr.children[3].textContent, tr.className === "new"]),
            reading: v.dom.reading.textContent };
        })""",
    )
    travel = view._travel
    if between == 1:
        assert len(time_view.keyframes(travel, len(travel.cells))) > 3 * len(travel.cells)
    for row, of_page in enumerate(shown):
        changed = travel.changed(row)
        wanted = [
            [cell.owner, cell.key, value, cell in changed]
            for cell, value in travel.state(row).items()
        ]
        assert sorted(of_page["cells"]) == sorted(wanted), row
        assert of_page["reading"] == travel.reading(row).words.replace("\u202f", "\u202f")


def test_keys_buttons_and_the_pointer_move_through_the_log(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    page = open_travel(offline_page, log.time_travel(at=10, checkpoints=marks(log)), tmp_path)
    assert ask(page, "v.row") == 9
    page.get_by_label("place in the log").focus()
    for key, row in (("ArrowRight", 10), ("ArrowLeft", 9), ("PageDown", 16), ("PageUp", 9),
                     ("End", 69), ("ArrowRight", 69), ("Home", 0)):  # fmt: skip
        page.keyboard.press(key)
        assert ask(page, "v.row") == row, key
    page.get_by_role("button", name="one event on").click()
    assert page.locator(".place").inner_text().startswith("event 2 of 70: trip-1/2 Activity")
    box = page.locator("svg.lanes").bounding_box()
    assert box is not None
    at = ask(page, "v.scale.at(45)")
    page.mouse.move(box["x"] + 300, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + at, box["y"] + 50, steps=3)
    page.mouse.up()
    assert ask(page, "v.row") == 45
    until(page, "v.dom.live.textContent.startsWith('event 46 of 70')")


def test_the_lanes_are_by_event_or_by_time_and_a_place_is_found_on_either(
    offline_page: Page, tmp_path: Path
) -> None:
    view = trip().time_travel()
    page = open_travel(offline_page, view, tmp_path)
    times = view.log.table.column("time_ns").to_numpy()
    for axis, places in (("event", np.arange(70)), ("time", times - times[0])):
        page.get_by_label("axis of the lanes").select_option(axis)
        start, end, xs, back = ask(
            page,
            """(() => { const s = v.scale; const rows = [...Array(v.places.size).keys()];
              return [s.start, s.end, rows.map((row) => s.at(row)),
                rows.map((row) => s.at(s.row(s.at(row))))]; })()""",
        )
        share = (np.asarray(xs) - start) / (end - start)
        assert share == pytest.approx(places / places[-1])
        # Events at one time stand at one place: any of them is found there.
        assert back == pytest.approx(xs)


def test_a_search_finds_cells_and_goes_to_where_they_change(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    view = log.time_travel()
    page = open_travel(offline_page, view, tmp_path)
    page.get_by_label("search cells").fill("garage free")
    assert page.locator("tbody tr").count() == 1
    assert page.locator(".note").inner_text() == "1 of 11 cells found"
    travel = view._travel
    wanted = [
        row
        for row in range(len(log))
        if any((cell.owner, cell.key) == ("garage", "free") for cell in travel.changed(row))
    ]
    found = []
    for _ in wanted:
        page.get_by_role("button", name="change before").click()
        found.append(ask(page, "v.row"))
    assert found[::-1] == wanted
    page.get_by_role("button", name="next change").click()
    assert ask(page, "v.row") == wanted[1]
    assert page.locator("tr.new .value").count() == 1


def test_it_plays_to_the_end_and_with_reduced_motion_goes_one_event_on(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    page = open_travel(offline_page, log.time_travel(at=66), tmp_path)
    page.locator("button.play").click()
    until(page, "v.row === 69 && v.timer === 0")
    offline_page.emulate_media(reduced_motion="reduce")
    ask(page, "v.go(3)")
    page.locator("button.play").click()
    assert ask(page, "[v.row, v.timer]") == [4, 0]


def test_many_events_are_at_most_two_thousand_marks_and_the_view_says_so(
    offline_page: Page, tmp_path: Path
) -> None:
    flows = 60
    log = EventLog.from_events(
        Event.of("WorkflowStarted" if n < flows else "Signaled", workflow_id=f"w-{n % flows}",
                 sequence=n // flows + 1, time_ns=n, agent_id="a")
        for n in range(24_000)
    )  # fmt: skip
    page = open_travel(offline_page, log.time_travel(), tmp_path)
    status = page.locator(".status").inner_text().replace("\u202f", " ")
    assert status.startswith("showing 16 000 of 24 000 events, as ")
    assert int(status.split(" as ")[1].split(" mark")[0].replace(" ", "")) <= 2_000
    assert "showing 40 of 60 lanes" in status
    assert ask(page, "v.dom.body.children.length") == flows
    ask(page, "v.go(100)")
    assert page.locator(".reading").inner_text().startswith("Recovery from here reads 101 events")


def test_what_a_log_says_is_shown_as_text(offline_page: Page, tmp_path: Path) -> None:
    nasty = "<img src=x onerror=alert(1)></script><script>throw 1</script>"
    events = [
        Event.of("WorkflowStarted", workflow_id=nasty, sequence=1, time_ns=0, agent_id=nasty),
        Event.of("TransactionCommitted", workflow_id="@a", sequence=1, time_ns=1, agent_id="a",
                 writes=(fl.Cell("a", nasty),), payload={"values": {nasty: nasty}}),
    ]  # fmt: skip
    log = EventLog.from_events(events)
    page = open_travel(offline_page, log.time_travel(title=nasty), tmp_path)
    assert page.locator("tbody .value").all_inner_texts()[1] == f'"{nasty}"'
    assert ask(page, "v.dom.root.querySelectorAll('img, script').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_leaves_the_page_and_no_words_cover_others_at_any_width(
    offline_page: Page, tmp_path: Path, scheme: Any
) -> None:
    offline_page.emulate_media(color_scheme=scheme)
    log = trip()
    page = open_travel(offline_page, log.time_travel(checkpoints=marks(log)), tmp_path)
    for width in (375, 700, 1024, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        until(
            page,
            "Number(v.dom.lanes.getAttribute('width')) === v.dom.lanes.parentElement.clientWidth",
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        covered = words_that_cover_others(page, "text, p, h2, td, th, button, .item")
        assert covered == [], width


def test_a_view_is_a_picture_until_it_is_live_and_its_place_can_be_set() -> None:
    log = trip()
    view = log.time_travel(checkpoints=marks(log))
    assert repr(view) == "TimeTravelView('trip-1', event 70 of 70)"
    before = view._repr_mimebundle_()["text/html"]
    assert "data:image/svg+xml;base64," in before
    view.at = 40
    assert view._repr_mimebundle_()["text/html"] != before
    assert (view.event.workflow_id, view.event.sequence) == ("trip-1", 14)
    assert view.state["trip-1", "state"].startswith("completed")
    assert view.reading.checkpoints == 3
    view._at = 1
    assert view.at == 1
    assert repr(view.widget()) == "WidgetView('trip-1')"


def test_what_cannot_be_travelled_is_refused(tmp_path: Path) -> None:
    view = trip().time_travel()
    for at in (0, 71, "3"):
        with pytest.raises(InvalidArgumentError, match="a place from 1 to 70"):
            view.at = at  # type: ignore[assignment]
    with pytest.raises(InvalidArgumentError, match="expected a name in .html"):
        view.save(tmp_path / "travel.png")
    base = EventLog.from_events([Event.of("Signaled", workflow_id="w", sequence=1, time_ns=0)])
    many = EventLog(base.table.take(np.zeros(MAX_EVENTS + 1, np.int64)), base.runs)
    with pytest.raises(InvalidArgumentError, match="at most 100000: give a part"):
        many.time_travel()
    assert EventLog.from_events([]).time_travel().state == {}
