"""Motifs are found exactly where trying everything finds them."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import pytest
from causal_logs import logs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab.causality import (
    Motif,
    Part,
    broadcast,
    compensation_chain,
    find,
    gather,
    read_graph,
    request_reply,
    to_networkx,
)
from flowlab.errors import InvalidArgumentError, LimitError, NotFoundError
from flowlab.events import EventLog
from flowlab.scenarios import SCENARIOS


@st.composite
def motifs(draw: st.DrawFn) -> Motif:
    size = draw(st.integers(1, 3))
    pairs = [(a, b) for a in range(size) for b in range(size) if a < b]
    asks = st.sampled_from([(), (("name", ("a",)),), (("event_type", ("MessageSent", "X")),)])
    parts = tuple(
        Part(f"p{n}", draw(st.sampled_from(["", "L", "L", "K"])), draw(asks)) for n in range(size)
    )
    causes, before = (
        tuple(pair for pair in pairs if draw(st.integers(0, 2)) == 0) for _ in range(2)
    )
    agree = draw(st.sampled_from([(), ("name",), ("coordination_id",)]))
    return Motif("m", parts, causes, before, agree=agree)


def tried(log: EventLog, motif: Motif) -> list[tuple[int, ...]]:
    """Try every choice of events."""
    events, graph = log.events(), read_graph(log)
    edges = set(zip(graph.cause.tolist(), graph.effect.tolist(), strict=True))
    order = nx.transitive_closure_dag(nx.DiGraph(edges))

    def holds(rows: tuple[int, ...]) -> bool:
        chosen = [events[row] for row in rows]
        if len({event.run_id for event in chosen}) > 1:
            return False
        for part, event in zip(motif.parts, chosen, strict=True):
            if any(getattr(event, column) not in values for column, values in part.asks):
                return False
        for (one, a), (other, b) in itertools.combinations(
            zip(motif.parts, chosen, strict=True), 2
        ):
            same = a.agent_id == b.agent_id
            if one.lane and other.lane and same != (one.lane == other.lane):
                return False
        return (
            all((rows[a], rows[b]) in edges for a, b in motif.causes)
            and all(order.has_edge(rows[a], rows[b]) for a, b in motif.before)
            and all(len({getattr(e, name) for e in chosen}) == 1 for name in motif.agree)
            and all(
                [rows[p] for p in alike] == sorted(rows[p] for p in alike) for alike in motif.alike
            )
        )

    every = itertools.permutations(range(len(events)), len(motif.parts))
    return sorted(rows for rows in every if holds(rows))


@settings(max_examples=150)
@given(logs(max_events=7, worlds=2), motifs())
def test_a_motif_is_found_exactly_where_trying_everything_finds_it(
    log: EventLog, motif: Motif
) -> None:
    assert [tuple(rows) for rows in find(log, motif).rows.tolist()] == tried(log, motif)


@settings(max_examples=60)
@given(
    logs(max_events=8, worlds=2),
    st.sampled_from([request_reply(), broadcast(2), broadcast(3), gather(2), gather(3)]),
)
def test_the_motifs_of_the_library_are_found_where_trying_everything_finds_them(
    log: EventLog, motif: Motif
) -> None:
    assume(len(motif.parts) < 4 or len(log) < 7)
    assert [tuple(rows) for rows in find(log, motif).rows.tolist()] == tried(log, motif)


@given(logs(max_events=9))
def test_a_pattern_of_causes_alone_is_a_monomorphism_of_graphs(log: EventLog) -> None:
    motif = Motif("fork", (Part("a"), Part("b"), Part("c")), causes=((0, 1), (0, 2)))
    pattern = nx.DiGraph([(0, 1), (0, 2)])
    matcher = nx.algorithms.isomorphism.DiGraphMatcher(to_networkx(log), pattern)
    rows = nx.get_node_attributes(to_networkx(log), "row")
    expected = sorted(
        tuple(rows[event] for event, _ in sorted(found.items(), key=lambda pair: pair[1]))
        for found in matcher.subgraph_monomorphisms_iter()
    )
    assert [tuple(found) for found in find(log, motif).rows.tolist()] == expected


def test_a_pattern_in_words_asks_for_what_is_written() -> None:
    motif = Motif.from_text("A: ask:ActivityScheduled>q got<r | B: take<q ~x give>r")
    assert motif.keys == ("ask", "take", "x", "give", "got")
    assert motif.parts[0].asks == (("event_type", ("ActivityScheduled",)),)
    assert motif.parts[1].asks == ()
    assert [(motif.keys[a], motif.keys[b]) for a, b in motif.causes] == [
        ("ask", "take"),
        ("give", "got"),
    ]
    assert [(motif.keys[a], motif.keys[b]) for a, b in motif.before] == [
        ("ask", "got"),
        ("x", "give"),
    ]


def test_every_booking_of_a_trip_is_a_request_and_a_reply() -> None:
    log = fl.simulate(SCENARIOS["trip"], seed=1).log
    asked = request_reply().where("ask", event_type="ActivityScheduled").agreeing("name")
    found = find(log, asked.where("got", event_type="ActivityCompleted"))
    answered = log.to_polars()["event_type"].to_list().count("ActivityCompleted")
    assert len(found) == answered
    frame = found.to_polars()
    assert frame["ask_agent"].is_in(["trip-1", "trip-2", "trip-3"]).all()
    assert (frame["duration_ns"] > 0).all()
    assert repr(found) == f"Matches('request and reply', {answered} matches)"
    assert f"10 of {answered} shown" in found._repr_html_()
    assert [e.event_type for e in found.match(0)][::3] == ["ActivityScheduled", "ActivityCompleted"]


def test_a_saga_that_is_undone_is_a_chain_of_compensations() -> None:
    log = EventLog.from_events(
        {"workflow_id": "w", "sequence": n, "agent_id": "w", "event_type": kind,
         "follows_lane": False, "causes": [fl.Cause("w", n - 1)] if n > 1 else []}
        for n, kind in enumerate(["CompensationScheduled", "CompensationCompleted"] * 3, start=1)
    )  # fmt: skip
    counts = [len(find(log, compensation_chain(steps))) for steps in (2, 3, 4)]
    assert counts == [2, 1, 0]


def test_interchangeable_receivers_are_found_once() -> None:
    log = EventLog.from_text("A: >m | B: <m | C: <m | D: <m")
    assert [len(find(log, broadcast(n))) for n in (2, 3, 4)] == [3, 1, 0]
    back = EventLog.from_text("A: all<x,y,z | B: >x | C: >y | D: >z")
    assert [len(find(back, gather(n))) for n in (2, 3, 4)] == [3, 1, 0]


def test_too_many_matches_are_refused_with_the_next_step() -> None:
    log = EventLog.from_text("A: " + "a " * 60)
    pair = Motif.from_text("A: one two")
    assert len(find(log, pair)) == 60 * 59 // 2
    with pytest.raises(LimitError, match=r"more than 100 matches.*begin with one, two.*where"):
        find(log, pair, limit=100)
    hub = EventLog.from_text("A: hub>m | B: " + "<m " * 300)
    call = Motif.from_text("A: one>m | B: two<m").where("one", name="hub")
    assert len(find(hub, call)) == 300
    with pytest.raises(LimitError, match=r"300 events would be tried for part 'two'"):
        find(hub, call, limit=1)


REFUSED: dict[str, Any] = {
    "no part 'nobody'": lambda: request_reply().where("nobody", name="x"),
    "column 'time_ns'": lambda: request_reply().where("ask", time_ns="1"),
    "each with a name of its own": lambda: Motif.from_text("A: x x"),
    "a motif is one run": lambda: Motif.from_text(""),
    "from 2 to 15": lambda: broadcast(1),
    "from 2 to 7": lambda: compensation_chain(8),
    "limit is 0; expected an int": lambda: find(EventLog.from_text("A: a"), gather(), limit=0),
    "expected a Motif": lambda: find(EventLog.from_text("A: a"), "A: a"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_motif_is_refused(message: str) -> None:
    with pytest.raises((InvalidArgumentError, NotFoundError), match=message):
        REFUSED[message]()


@pytest.mark.parametrize("limit", [0, -1, "many", True])
def test_a_search_for_a_motif_has_a_limit_of_one_or_more(limit: object) -> None:
    log = EventLog.from_text("A: a >m | B: <m")
    with pytest.raises(InvalidArgumentError, match="expected an int, 1 or more"):
        find(log, broadcast(), limit=limit)
