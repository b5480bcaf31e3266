"""The lattice of consistent cuts, against all sets of events that hold what came before them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import chain, combinations, permutations

import pytest
from causal_logs import logs
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.causality import CausalOrder, Cut
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import EventLog
from flowlab.figures import lattice
from flowlab.figures.cuts import Lattice, read_lattice
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS

CROSS = "a: a1 a2>m a3 | b: b1>n b2<m | c: c1<n c2"


def closed_sets(log: EventLog) -> set[frozenset[int]]:
    order = CausalOrder(log)
    pasts = [set(order.past(row).tolist()) for row in range(len(log))]
    sets = chain.from_iterable(combinations(range(len(log)), n) for n in range(len(log) + 1))
    return {frozenset(rows) for rows in sets if all(pasts[row] <= set(rows) for row in rows)}


def rows_of(found: Lattice, cut: tuple[int, ...]) -> frozenset[int]:
    chains = found.order.chains
    return frozenset(
        row
        for name, count in zip(found.chains, cut, strict=True)
        for row in chains.rows_of(name).tolist()[:count]
    )


def read(log: EventLog, limit: int = 100_000) -> Lattice:
    return read_lattice(CausalOrder(log), None, limit)


@settings(max_examples=40)
@given(logs(max_events=8))
def test_the_cuts_are_the_sets_of_events_that_hold_all_their_pasts(log: EventLog) -> None:
    found = read(log)
    cuts = [cut for level in found.levels for cut in level]
    assert {rows_of(found, cut) for cut in cuts} == closed_sets(log)
    assert found.total == found.drawn == len(cuts)
    assert all(sum(cut) == place for place, level in enumerate(found.levels) for cut in level)
    grown = {(rows_of(found, one), rows_of(found, other)) for one, other in found.steps}
    assert grown == {
        (one, other)
        for one in closed_sets(log)
        for other in closed_sets(log)
        if one < other and len(other) == len(one) + 1
    }


@settings(max_examples=40)
@given(logs(max_events=8))
def test_the_recorded_order_is_one_way_through_it(log: EventLog) -> None:
    found = read(log)
    steps = set(found.steps)
    assert all(pair in steps for pair in zip(found.recorded, found.recorded[1:], strict=False))
    assert len(found.recorded) == len(log) + 1


@settings(max_examples=30)
@given(logs(max_events=6), st.data())
def test_definitely_is_that_every_order_of_the_events_goes_through_a_cut_that_holds(
    log: EventLog, data: st.DataObject
) -> None:
    cuts = sorted(closed_sets(log), key=sorted)
    chosen = data.draw(st.sets(st.sampled_from(cuts)))
    found = read(log)
    every = [cut for level in found.levels for cut in level]
    holding = frozenset(cut for cut in every if rows_of(found, cut) in chosen)
    marked = Lattice(
        found.order, found.chains, found.levels, found.steps, found.total, found.recorded, holding
    )
    order = CausalOrder(log)
    before = {(a, b) for b in range(len(log)) for a in order.past(b).tolist()}
    ways = [
        way
        for way in permutations(range(len(log)))
        if all(way.index(a) < way.index(b) for a, b in before)
    ]
    through = [any(frozenset(way[:n]) in chosen for n in range(len(way) + 1)) for way in ways]
    assert marked.is_definite == all(through)


def test_a_predicate_is_asked_of_each_cut_once() -> None:
    seen: list[Cut] = []
    log = EventLog.from_text("a: a1 a2 | b: b1")
    lattice(log, where=lambda cut: bool(seen.append(cut)))
    assert sorted(len(cut) for cut in seen) == [0, 1, 1, 2, 2, 3]
    last = max(seen, key=len)
    assert [event and event.name for event in map(last.last, "ab")] == ["a2", "b1"]


def done(cut: Cut, agent: str) -> int:
    event = cut.last(agent)
    return 0 if event is None else event.agent_sequence


def test_where_a_predicate_holds_is_marked_and_said() -> None:
    log = EventLog.from_text(CROSS)
    figure = lattice(log, where=lambda cut: done(cut, "a") == 2)
    assert "possibly, and definitely" in figure.text
    assert "!: it holds" in figure.text
    never = lattice(log, where=lambda cut: done(cut, "a") > 3)
    assert "it holds at 0 of them: not possibly" in never.text


def test_whole_levels_are_drawn_up_to_the_limit_and_the_rest_is_counted() -> None:
    log = EventLog.from_text("a: 1 2 3 4 | b: 1 2 3 4 | c: 1 2 3 4")
    figure = lattice(log, limit=30)
    assert "showing 20 of 125 cuts of 12 events" in figure.text
    with pytest.raises(LimitError, match="limit of 2"):
        lattice(log, limit=2)


def test_an_empty_log_has_one_cut_and_several_runs_are_refused() -> None:
    assert "1 cut of 0 events" in lattice(EventLog.from_events([])).text
    two = EventLog.from_text("=== one ===\na: 1\n=== two ===\na: 1")
    with pytest.raises(InvalidArgumentError, match="of one run"):
        lattice(two)
    with pytest.raises(InvalidArgumentError, match="expected at least"):
        lattice(two, limit=0)


@settings(max_examples=30)
@given(logs(max_events=9))
def test_any_lattice_is_one_well_formed_picture_of_safe_parts(log: EventLog) -> None:
    figure = lattice(log)
    root = ET.fromstring(figure.svg)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= ELEMENTS
    assert {name for element in root.iter() for name in element.attrib} <= ATTRIBUTES
    assert lattice(log) == figure
