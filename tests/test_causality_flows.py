"""Directly-follows and directly-causes graphs are what a count of all pairs gives."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_causality_variants import order_of, piece_of, worlds

from flowlab.causality import Flow, directly_causes, directly_follows
from flowlab.events import Event, EventLog


def kind(event: Event) -> str:
    return f"{event.event_type} {event.name}"


def pairs_that_follow(log: EventLog, by: str) -> list[tuple[Event, Event]]:
    own: dict[Any, list[Event]] = {}
    for event in sorted(log, key=lambda event: event.position):
        if piece_of(event, by) is not None:
            own.setdefault(piece_of(event, by), []).append(event)
    return [pair for events in own.values() for pair in pairwise(events)]


def pairs_that_cause(log: EventLog, by: str) -> list[tuple[Event, Event]]:
    events = log.events()
    edges = nx.transitive_reduction(order_of(log, by=by)).edges
    return [(events[one], events[other]) for one, other in edges]


def check(flow: Flow, pairs: list[tuple[Event, Event]], log: EventLog, by: str) -> None:
    times: dict[Any, list[int]] = {}
    for one, other in pairs:
        times.setdefault((kind(one), kind(other)), []).append(other.time_ns - one.time_ns)
    frame = flow.to_polars()
    assert {(s, t): n for s, t, n in frame.select("source", "target", "count").rows()} == {
        edge: len(lasted) for edge, lasted in times.items()
    }
    for row in frame.to_dicts():
        lasted = times[row["source"], row["target"]]
        assert np.isclose(row["mean_ns"], np.mean(lasted))
        assert np.isclose(row["median_ns"], np.median(lasted))
        assert np.isclose(row["p95_ns"], np.quantile(lasted, 0.95))
    inside = [event for event in log if piece_of(event, by) is not None]
    after, before = ({pair[side].id for pair in pairs} for side in (1, 0))
    expected = {
        "count": Counter(kind(e) for e in inside),
        "starts": Counter(kind(e) for e in inside if e.id not in after),
        "ends": Counter(kind(e) for e in inside if e.id not in before),
    }
    for row in flow.kinds().to_dicts():
        assert [row[name] for name in expected] == [expected[n][row["kind"]] for n in expected]
    graph = flow.to_networkx()
    assert set(graph.edges) == set(times)
    assert set(graph) == set(expected["count"])


@given(worlds(), st.sampled_from(["run", "workflow"]))
def test_what_follows_is_what_a_count_of_neighbours_gives(log: EventLog, by: str) -> None:
    check(directly_follows(log, by=by), pairs_that_follow(log, by), log, by)  # type: ignore[arg-type]


@given(worlds(), st.sampled_from(["run", "workflow"]))
def test_what_causes_is_what_the_transitive_reduction_has(log: EventLog, by: str) -> None:
    check(directly_causes(log, by=by), pairs_that_cause(log, by), log, by)  # type: ignore[arg-type]


def test_concurrent_events_follow_each_other_and_cause_nothing() -> None:
    log = EventLog.from_text("A: >go | B: <go b@5 | C: <go c@9", run_id="r")
    follows, causes = directly_follows(log, by="run"), directly_causes(log, by="run")
    assert repr(follows) == "Flow(follows, 4 kinds, 4 edges, 4 pairs)"
    assert repr(causes) == "Flow(causes, 4 kinds, 3 edges, 4 pairs)"
    assert ("MessageReceived go", "MarkerRecorded b") in causes.to_networkx().edges
    assert ("MessageReceived go", "MessageReceived go") in follows.to_networkx().edges
    assert "3 of 3 edges shown" in causes._repr_html_()
    empty = directly_causes(EventLog.from_events([]))
    assert (len(empty), empty.to_polars().height, empty.kinds().height) == (0, 0, 0)
    by_agent = directly_causes(log, by="run", content=("agent_id",))
    assert by_agent.to_polars().rows()[0][:3] == ("A", "B", 1)
