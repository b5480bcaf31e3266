"""The standalone page in headless Chromium: what a person does in it, and what it then shows."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from playwright.sync_api import Page
from views import ask, open_page, position, row_of, trip, until

import flowlab as fl
from flowlab import EventLog
from flowlab.scenarios import SCENARIOS
from flowlab.widgets import save_page


def order_of(log: fl.EventLog) -> tuple[nx.DiGraph, list[tuple[str, int]]]:
    """Return the causal order by brute force, and the ids in the order of a view's rows."""
    graph = nx.DiGraph()
    ids = [(event.workflow_id, event.sequence) for event in log.explore().log]
    graph.add_nodes_from(ids)
    for edge in log.relation("edges").iter_rows(named=True):
        graph.add_edge(
            (edge["cause_workflow_id"], edge["cause_sequence"]),
            (edge["workflow_id"], edge["sequence"]),
        )
    return graph, ids


def test_a_click_tells_past_future_and_concurrent_apart_as_the_graph_does(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    page = open_page(offline_page, log, tmp_path)
    graph, ids = order_of(log)
    row = row_of(log, "trip-2", 8)
    page.mouse.click(*position(page, row))
    until(page, "v.classes !== null")
    assert ask(page, "v.selected") == [row]
    classes = ask(page, "[...v.classes]")
    past, future = nx.ancestors(graph, ids[row]), nx.descendants(graph, ids[row])
    wanted = [1 if i in past else 2 if i in future else 3 for i in ids]
    wanted[row] = 0
    assert classes == wanted
    counts = [len(past), len(future), len(ids) - 1 - len(past) - len(future)]
    said = "{} before, {} after, {} concurrent".format(*counts)
    panel = page.locator(".panel")
    assert said in panel.inner_text()
    assert "id\ntrip-2/8\n" in panel.inner_text()
    assert said in page.locator("[aria-live=polite]").inner_text()
    panel.locator(".link").first.click()
    until(page, f"v.selected[0] !== {row}")
    assert ids[ask(page, "v.selected")[0]] in set(graph.predecessors(ids[row]))


def test_a_second_event_shows_how_the_two_are_related_in_words_and_as_a_way(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    page = open_page(offline_page, log, tmp_path)
    graph, ids = order_of(log)
    first, second = row_of(log, "trip-3", 1), row_of(log, "trip-3", 12)
    page.mouse.click(*position(page, first))
    page.keyboard.down("Shift")
    page.mouse.click(*position(page, second))
    page.keyboard.up("Shift")
    page.wait_for_selector(".relation")
    length = nx.shortest_path_length(graph, ids[first], ids[second]) + 1
    said = f"A happened before B: a path of {length} events"
    assert page.locator(".relation").inner_text() == said
    assert len(ask(page, "v.way")) == length
    other = row_of(log, "trip-1", 14)
    ask(page, "v.choose([a, v.selected[1]])", other)
    assert "A and B are concurrent" in page.locator(".relation").inner_text()


def test_the_keyboard_goes_from_event_to_event_and_zooms(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_page(offline_page, trip(), tmp_path)
    page.locator(".canvas").focus()
    page.keyboard.press("ArrowRight")
    first = ask(page, "v.selected[0]")
    page.keyboard.press("ArrowRight")
    second = ask(page, "v.selected[0]")
    assert ask(page, "v.log.lane[a[0]] === v.log.lane[a[1]]", [first, second])
    page.keyboard.press("ArrowDown")
    assert ask(page, "v.log.lane[v.selected[0]] !== v.log.lane[a]", second)
    page.keyboard.press("Shift+ArrowRight")
    assert len(ask(page, "v.selected")) == 2
    span = ask(page, "v.frame.to - v.frame.from")
    page.keyboard.press("+")
    assert ask(page, "v.frame.to - v.frame.from") < span
    page.keyboard.press("0")
    assert ask(page, "v.frame.to - v.frame.from") == span
    page.keyboard.press("?")
    assert page.locator(".help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".help").is_visible()
    assert (
        page.evaluate("document.querySelector('.flowlab-live').shadowRoot.activeElement.className")
        == "canvas"
    )
    page.keyboard.press("Escape")
    assert ask(page, "v.selected") == []
    for key, axis in (("a", "depth"), ("a", "time")):
        page.keyboard.press(key)
        assert ask(page, "v.axisKind") == axis


def test_a_range_that_is_brushed_on_the_ruler_is_zoomed_to(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_page(offline_page, trip(), tmp_path)
    box = page.locator(".ruler").bounding_box()
    assert box is not None
    wanted = ask(page, "[v.frame.place(100), v.frame.place(300)]")
    page.mouse.move(box["x"] + 100, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 10, steps=3)
    page.mouse.up()
    found = ask(page, "[v.frame.from, v.frame.to]")
    assert [round(place / 1e6) for place in found] == [round(place / 1e6) for place in wanted]
    shown = ask(page, "(v.drawNow(), v.chosen.events)")
    assert 0 < shown < 70
    assert page.locator(".status").inner_text() == f"showing {shown} of 70 events · time"


def test_the_mouse_pans_zooms_and_says_what_lies_below_it(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    page = open_page(offline_page, log, tmp_path)
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + 300, box["y"] + 20
    under = ask(page, "v.frame.place(300)")
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    until(page, "!v.frame.isWhole")
    # What lay under the pointer still does.
    assert abs(ask(page, "v.frame.place(300)") - under) < 1
    page.mouse.down()
    page.mouse.move(x - 100, y, steps=4)
    page.mouse.up()
    assert abs(ask(page, "v.frame.place(200)") - under) < 1
    assert ask(page, "v.selected") == []
    page.locator(".overview").click(position={"x": 5, "y": 10})
    assert ask(page, "v.frame.from <= 0")
    page.keyboard.press("0")
    ask(page, "v.fit()")
    row = row_of(log, "trip-2", 8)
    page.mouse.move(*position(page, row))
    tip = page.locator(".tip.shown")
    tip.wait_for(state="attached")
    assert tip.inner_text() == "barrier released · all booked · trip-2 · trip-2/8 · 446 ms"


def test_a_view_is_as_wide_as_its_place_when_that_grows_and_shrinks(
    offline_page: Page, tmp_path: Path
) -> None:
    page = open_page(offline_page, trip(), tmp_path)
    for width in (1400, 700, 500, 1100):
        page.set_viewport_size({"width": width, "height": 700})
        until(page, "v.dom.canvas.clientWidth + v.dom.labelWidth === v.dom.scroller.clientWidth")
        assert ask(page, "v.dom.stage.scrollWidth <= v.dom.stage.clientWidth")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_search_finds_by_word_type_and_agent_and_may_hide_the_rest(
    offline_page: Page, tmp_path: Path
) -> None:
    log = trip()
    page = open_page(offline_page, log, tmp_path)
    page.locator("input.search").fill("cancel")
    named = sum(event.name == "cancel" for event in log)
    assert ask(page, "v.foundRows.length") == named
    page.locator("select.agents").select_option(label="garage")
    here = sum(event.name == "cancel" and event.agent_id == "garage" for event in log)
    assert ask(page, "v.foundRows.length") == here
    page.get_by_text(f" {here} found ").wait_for()
    page.locator("button.only").click()
    assert page.locator(".lane .name").all_inner_texts() == ["garage"]
    page.locator("button.only").click()
    page.locator("input.search").press("Enter")
    assert ask(page, "v.selected[0] === v.foundRows[0]")


def test_lanes_are_agents_workflows_or_runs_and_open_into_each_other(
    offline_page: Page, tmp_path: Path
) -> None:
    log = fl.EventLog.concat(fl.simulate(SCENARIOS["trip"], seed=seed).log for seed in (1, 2))
    page = open_page(offline_page, log, tmp_path)
    names = page.locator(".lane .name")
    assert names.all_inner_texts() == ["trip-1", "trip-2"]
    page.locator("button.open").first.click()
    assert names.all_inner_texts()[1:9] == ask(
        page, "v.layout.lanes.slice(1, 9).map((l) => l.name)"
    )
    assert page.locator("button.open").first.get_attribute("aria-expanded") == "true"
    page.locator("select.grouping").select_option("workflow")
    assert ask(page, "v.layout.lanes.map((l) => l.name)").count("trip-3") == 2
    page.locator("select.grouping").select_option("agent")
    rows = ask(page, "v.layout.lanes.map((l) => [l.name, l.rows.length])")
    agents = [event.agent_id for event in log]
    assert sum(count for _, count in rows) == len(log)
    assert {name for name, _ in rows} == set(agents)


def test_the_first_event_has_depth_1_as_in_pictures_and_as_its_lamport_clock(
    offline_page: Page, tmp_path: Path
) -> None:
    """The view's ruler began at 0, where the picture of the same log and all clocks begin at 1."""
    log = fl.EventLog.from_text("A: a1 a2>m | B: b1<m b2")
    page = open_page(offline_page, log, tmp_path, axis="depth")
    assert ask(page, "v.ticks.map((tick) => tick.label)") == ["1", "2", "3", "4"]
    assert ask(page, "v.ticks[0].x === v.frame.x(v.axis.at[0])")


def test_on_the_axis_of_causal_depth_the_critical_path_is_the_longest_chain(
    offline_page: Page, tmp_path: Path
) -> None:
    """It went back from the last row, which need not be the deepest event."""
    log = fl.EventLog.from_text("A: a1 a2>m a3 | B: b1<m b2 b3 | C: c1@99")
    page = open_page(offline_page, log, tmp_path, axis="depth")
    page.locator("button.path").click()
    until(page, "v.critical !== null")
    path = log.causality.critical_path(by="events")
    assert len(ask(page, "v.critical.rows")) == len(path) == 5
    page.keyboard.press("k")
    page.keyboard.press("a")
    page.locator("button.path").click()
    until(page, "v.critical !== null")
    assert len(ask(page, "v.critical.rows")) == len(log.causality.critical_path()) == 1


def test_a_page_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog.from_text("A: a")
    page = save_page(log, tmp_path / "run.html")
    before = page.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left on device.*run.html"):
        save_page(EventLog.from_text("A: a b c"), page)
    assert page.read_bytes() == before
    assert list(tmp_path.iterdir()) == [page]
