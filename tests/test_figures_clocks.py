"""Clocks beside events, worksheets and their marks, what is pointed out, and cuts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from typing import Any

import pytest
from causal_logs import logs as causal_logs
from hypothesis import given, settings
from hypothesis import strategies as st
from test_figures import logs, saga, texts

from flowlab.causality import CausalOrder
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventLog
from flowlab.figures import check_answers, space_time, theme
from flowlab.figures.arrows import arrows
from flowlab.figures.clocks import read_clocks
from flowlab.figures.emphasis import read_cut
from flowlab.figures.labels import place_labels
from flowlab.figures.layout import lay_out
from flowlab.figures.scene import read_scene
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS
from flowlab.figures.window import choose_window
from flowlab.figures.written import Writer

BOOK = """
P: a1 a2>m a3 a4<r a5
Q: b1<m b2>n b3 b4>r b5
R: c1 c2<n c3
"""
"""Three processes and three messages: the picture that every textbook begins with."""

VECTORS = {
    "a1": "[1,0,0]", "a2": "[2,0,0]", "a3": "[3,0,0]", "a4": "[4,4,0]", "a5": "[5,4,0]",
    "b1": "[2,1,0]", "b2": "[2,2,0]", "b3": "[2,3,0]", "b4": "[2,4,0]", "b5": "[2,5,0]",
    "c1": "[0,0,1]", "c2": "[2,2,2]", "c3": "[2,2,3]",
}  # fmt: skip
LAMPORT = {
    "a1": 1, "a2": 2, "a3": 3, "a4": 7, "a5": 8, "b1": 3, "b2": 4, "b3": 5, "b4": 6, "b5": 7,
    "c1": 1, "c2": 5, "c3": 6,
}  # fmt: skip


@pytest.fixture
def book() -> EventLog:
    return EventLog.from_text(BOOK)


def named(log: EventLog) -> dict[str, int]:
    return {event.name: row for row, event in enumerate(log)}


def written(log: EventLog, kind: str) -> dict[str, str]:
    clocks = read_clocks(CausalOrder(log))
    return {name: clocks.text(row, kind) for name, row in named(log).items()}


def test_the_textbook_s_clocks_are_the_textbook_s(book: EventLog) -> None:
    assert written(book, "vector") == VECTORS
    assert written(book, "lamport") == {name: str(clock) for name, clock in LAMPORT.items()}


def test_every_clock_of_a_small_log_stands_in_its_picture_and_in_its_text(book: EventLog) -> None:
    figure = space_time(book, clocks="vector")
    assert set(VECTORS.values()) <= texts(figure.svg)
    assert "beside each event its vector clock [P, Q, R]" in figure.text
    assert "  R: c1 [0,0,1], c2 [2,2,2], c3 [2,2,3]" in figure.text.splitlines()


@settings(max_examples=40)
@given(causal_logs(overlapping=False))
def test_one_clock_is_below_another_exactly_if_its_event_happened_before(log: EventLog) -> None:
    order = CausalOrder(log)
    clocks = read_clocks(order)
    for one in range(len(log)):
        for other in set(range(len(log))) - {one}:
            below = all(
                a <= b for a, b in zip(clocks.vector(one), clocks.vector(other), strict=True)
            )
            assert below == order.happened_before(one, other)
            assert not below or clocks.lamport(one) < clocks.lamport(other)


@settings(max_examples=40)
@given(causal_logs())
def test_a_place_of_a_vector_counts_a_lane_s_events_in_the_past_also_where_work_overlaps(
    log: EventLog,
) -> None:
    order = CausalOrder(log)
    clocks = read_clocks(order)
    events = log.events()
    for row in range(len(log)):
        past = [*order.past(row).tolist(), row]
        counts = [
            sum(events[each].agent_id == lane[2] for each in past) for lane in clocks.lanes_of(row)
        ]
        assert clocks.vector(row) == tuple(counts)
        names = [lane[2] for lane in clocks.lanes_of(row)]
        told = {name: n for name, n in zip(names, counts, strict=True) if n}
        assert told == order.info(row).agent_clock


def test_a_worksheet_has_a_numbered_box_for_each_event_and_no_answer(book: EventLog) -> None:
    figure = space_time(book, clocks="blank")
    boxes = [
        item for item in ET.fromstring(figure.svg).iter()
        if item.tag.endswith("rect") and item.get("height") == "15" and item.get("stroke")
    ]  # fmt: skip
    assert len(boxes) == 13
    assert {str(number) for number in range(1, 14)} <= texts(figure.svg)
    assert not set(VECTORS.values()) & texts(figure.svg)
    assert "1. a1 ____, 2. a2 ____" in figure.text


@settings(max_examples=30)
@given(logs(), st.sampled_from(["lamport", "vector"]))
def test_clocks_and_names_of_any_log_keep_apart(log: EventLog, kind: str) -> None:
    window = choose_window(log, axis="depth", lanes="given", detail="activities", limit=2_000)
    scene = read_scene(window)
    layout = lay_out(scene, left=200, right=1100, top=0, names=150, room=16)
    beside = Writer(CausalOrder(log), kind).beside(window)
    labels = place_labels(scene, layout, arrows(scene, layout), clocks=beside)
    boxes = [label.box for label in labels]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


OPTIONS: list[dict[str, Any]] = [
    {"clocks": "lamport"}, {"clocks": "vector"}, {"clocks": "blank"},
    {"highlight": "critical path"}, {"highlight": 0}, {"past": 0, "future": 0}, {"cut": [0]},
]  # fmt: skip


@settings(max_examples=60)
@given(logs().filter(len), st.sampled_from(OPTIONS))
def test_any_log_with_anything_over_it_is_one_well_formed_picture_of_safe_parts(
    log: EventLog, options: dict[str, Any]
) -> None:
    figure = space_time(log, **options)
    root = ET.fromstring(figure.svg)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= ELEMENTS
    assert {name for element in root.iter() for name in element.attrib} <= ATTRIBUTES
    assert space_time(log, **options) == figure


@pytest.mark.parametrize("options", OPTIONS[:4])
def test_an_empty_log_stays_empty_whatever_is_asked(options: dict[str, Any]) -> None:
    assert "no events" in texts(space_time(EventLog.from_events([]), **options).svg)


def test_right_answers_of_either_kind_in_any_form_are_right(book: EventLog) -> None:
    numbers = {name: number for number, name in enumerate(VECTORS, 1)}
    assert check_answers(book, VECTORS).right == 13
    assert check_answers(book, {numbers[name]: text for name, text in VECTORS.items()}).right == 13
    assert check_answers(book, LAMPORT).right == 13
    lists = {name: [int(n) for n in text[1:-1].split(",")] for name, text in VECTORS.items()}
    assert check_answers(book, lists).right == 13
    told = {name: dict(zip("PQR", vector, strict=True)) for name, vector in lists.items()}
    assert check_answers(book, told).right == 13
    rows = named(book)
    events = book.events()
    assert check_answers(book, {events[rows[n]]: text for n, text in VECTORS.items()}).right == 13


def test_a_wrong_answer_is_told_why_and_a_missing_one_is_not_wrong(book: EventLog) -> None:
    marking = check_answers(book, {"c2": [0, 2, 2], "a1": [1, 0, 0], "a2": "___"})
    marks = {mark.name: mark for mark in marking}
    assert repr(marking) == "Marking(1 of 13 answers right, 1 wrong, 11 missing)"
    assert marks["c2 of R"].status == "wrong"
    assert marks["c2 of R"].expected == "[2,2,2]"
    assert "b2, whose clock is [2,2,0]" in marks["c2 of R"].why
    assert "one more for R" in marks["c2 of R"].why
    assert marks["a2 of P"].status == "missing"
    assert marks["a1 of P"].why == ""
    assert marking.to_polars()["status"].to_list().count("right") == 1


def test_a_lamport_answer_is_told_why(book: EventLog) -> None:
    marks = {mark.name: mark for mark in check_answers(book, {"b1": 1, "a1": 0})}
    assert marks["b1 of Q"].why == "it follows a2, whose clock is 2: one more than that gives 3"
    assert marks["a1 of P"].why == "it follows nothing, so its clock is 1"


def test_a_marked_worksheet_shows_the_answers_and_frames_the_wrong_ones(book: EventLog) -> None:
    marking = check_answers(book, VECTORS | {"c2": "[0,2,2]"})
    figure = marking.diagram()
    assert {"[0,2,2] ✗", "[1,0,0] ✓"} <= texts(figure.svg)
    assert "c2 [0,2,2] ✗" in figure.text
    assert f'stroke="{theme.VERMILION}" stroke-width="1.4"' in figure.svg
    assert "<td>c2 of R</td>" in marking._repr_html_()


@pytest.mark.parametrize(
    "answers",
    [{"a1": 1, "a2": [1, 0, 0]}, {"a1": "x"}, {"a1": [1, 2]}, {"a1": {"Z": 1}}, {"a1": [0.5, 0, 0]},
     {"a1": 0.5}],
)  # fmt: skip
def test_what_is_no_clock_is_refused(book: EventLog, answers: dict[Any, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"expected|mark one kind|there is no agent"):
        check_answers(book, answers)


@pytest.mark.parametrize("event", [0, 14, "z9", "/workflows/z/events/1"])
def test_an_answer_to_no_event_is_refused(book: EventLog, event: object) -> None:
    with pytest.raises(NotFoundError, match="no "):
        check_answers(book, {event: [1, 0, 0]})  # type: ignore[dict-item]


def test_a_past_and_a_future_are_told_apart_by_more_than_colour(book: EventLog) -> None:
    figure = space_time(book, past=("@Q", 3), future=("@Q", 3))
    lines = figure.text.splitlines()
    assert "the event asked about: b3 of Q" in lines
    assert "its past: a1 of P, a2 of P, b1 of Q, b2 of Q" in lines
    assert "its future: b4 of Q, a4 of P, b5 of Q, a5 of P" in lines
    assert {"the event asked about", "its past", "its future", "the rest"} <= texts(figure.svg)
    rings = [
        item for item in ET.fromstring(figure.svg).iter()
        if item.tag.endswith("circle") and item.get("fill") == "none" and item.get("r") == "8"
    ]  # fmt: skip
    assert sorted(bool(ring.get("stroke-dasharray")) for ring in rings) == [False] * 5 + [True] * 4


def test_an_event_is_named_in_any_way(book: EventLog) -> None:
    event = book.events()[0]
    pair = (event.workflow_id, event.sequence)
    ways = [0, event, event.id, pair, f"/workflows/{pair[0]}/events/{pair[1]}", [0], {pair}]
    assert len({space_time(book, highlight=way).svg for way in ways}) == 1  # type: ignore[arg-type]
    part = EventLog.from_events([event])
    assert space_time(book, highlight=part) == space_time(book, highlight=0)
    keys = tuple(f"/workflows/{e.workflow_id}/events/{e.sequence}" for e in book.events()[:2])
    assert space_time(book, highlight=keys) == space_time(book, highlight=list(keys))


def test_a_critical_path_is_pointed_out_step_by_step(book: EventLog) -> None:
    path = CausalOrder(book).critical_path()
    figure = space_time(book, highlight=path)
    assert figure == space_time(book, highlight="critical path")
    assert f"{len(path)} events pointed out" in figure.text


def test_a_cut_says_whether_it_is_consistent_and_marks_what_breaks_it(book: EventLog) -> None:
    good = space_time(book, cut={"P": 2, "Q": 2})
    bad = space_time(book, cut={"P": 1, "Q": 2})
    assert "the cut is consistent" in good.text
    assert "b1 of Q lies before it and its cause (message) a2 of P beyond" in bad.text
    assert "breaks the cut" in texts(bad.svg) - texts(good.svg)
    assert space_time(book, cut={"P": ("@P", 2), "Q": ("@Q", 2)}) == good
    assert space_time(book, cut=[("@P", 2), ("@Q", 2)]) == good
    assert space_time(book, cut=book.causality.cut(frontier={"P": 2, "Q": 2})) == good
    assert "the closest consistent cut before it has 1 event, it has 3" in bad.text


@settings(max_examples=40)
@given(causal_logs().filter(len), st.data())
def test_a_cut_is_consistent_exactly_if_it_holds_the_past_of_all_it_holds(
    log: EventLog, data: st.DataObject
) -> None:
    order = CausalOrder(log)
    last = data.draw(st.lists(st.integers(0, len(log) - 1), max_size=4))
    cut = read_cut(order, last)
    events = log.events()
    inside = {row for row, event in enumerate(events) if event.id in cut.inside}
    closed = all(set(order.past(row).tolist()) <= inside for row in inside)
    assert cut.is_consistent == closed


def test_a_cut_of_no_events_and_an_agent_that_is_not_there_are_refused(book: EventLog) -> None:
    with pytest.raises(InvalidArgumentError, match="expected a Cut"):
        space_time(book, cut=5)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no agent 'Z'"):
        space_time(book, cut={"Z": 1})
    with pytest.raises(InvalidArgumentError, match="lamport, vector"):
        space_time(book, clocks="hybrid")


def test_a_bar_is_pointed_out_by_its_end() -> None:
    log = saga()
    done = next(row for row, event in enumerate(log) if event.event_type == "ActivityCompleted")
    figure = space_time(log, highlight=done)
    assert "pointed out: book_flight of flights" in figure.text
    assert "pointed out" in texts(figure.svg)
