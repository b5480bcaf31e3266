"""Vector, Lamport and hybrid clocks that are derived from a log, and what is told of one event."""

from __future__ import annotations

import numpy as np
import pytest
from causal_logs import edges_of, logs, pasts_of
from hypothesis import given

import flowlab as fl
from flowlab import EventLog
from flowlab.causality import CausalityInfo, clocks
from flowlab.errors import LimitError, QueryError
from flowlab.scenarios import scenario_named


@given(logs(worlds=2))
def test_a_vector_clock_counts_each_agent_s_events_in_the_past(log: EventLog) -> None:
    order, pasts = log.causality, pasts_of(log)
    agents = log.table.column("agent_id").to_pylist()
    matrix = order.vector_clocks()
    for row in range(len(log)):
        lanes = [agents[other] for other in [*pasts[row], row]]
        expected = {agent: lanes.count(agent) for agent in sorted(set(lanes))}
        assert order.vector_clock(row) == expected
        lanes_of = order.graph.lanes
        found = zip(lanes_of.world.tolist(), lanes_of.ids, matrix[row].tolist(), strict=True)
        assert {(world, agent): count for world, agent, count in found if count} == {
            (order.graph.world[row], agent): count for agent, count in expected.items()
        }


@given(logs(overlapping=False))
def test_of_sequential_lanes_vector_clocks_compare_as_the_events_do(log: EventLog) -> None:
    order = log.causality
    matrix = order.vector_clocks()
    for cause in range(len(log)):
        for effect in range(len(log)):
            less = bool(np.all(matrix[cause] <= matrix[effect])) and cause != effect
            assert order.happened_before(cause, effect) == less


@given(logs(worlds=2))
def test_a_lamport_clock_rises_along_every_edge_and_no_faster_than_it_must(log: EventLog) -> None:
    lamport = log.causality.lamport.tolist()
    edges = edges_of(log)
    for row in range(len(log)):
        causes = [lamport[cause] for cause, effect, _ in edges if effect == row]
        assert lamport[row] == 1 + max(causes, default=0)


@given(logs(worlds=2))
def test_a_hybrid_clock_rises_along_every_edge_and_stays_at_a_time_of_its_past(
    log: EventLog,
) -> None:
    seen, counter = log.causality.hybrid
    times = log.table.column("time_ns").to_pylist()
    clock = list(zip(seen.tolist(), counter.tolist(), strict=True))
    for cause, effect, _ in edges_of(log):
        assert clock[cause] < clock[effect]
    for row, past in enumerate(pasts_of(log)):
        assert seen[row] == max(times[other] for other in [*past, row])
        assert 0 <= counter[row] <= len(past)


def test_an_event_tells_its_clock_its_immediate_causes_and_its_barrier() -> None:
    log = EventLog.from_text("A: a1 send>m a2 | B: recv<m b1")
    b1 = log.causality.info(("@B", 2))

    assert b1 == CausalityInfo({"A": 2, "B": 2}, (log.events()[3].id,), None)
    assert repr(b1) == "CausalityInfo({A: 2, B: 2}, after [@B/1], barrier None)"


def test_what_comes_after_a_barrier_names_it() -> None:
    log = fl.simulate(scenario_named("mapreduce"), seed=1).log
    order = log.causality
    released = order.barriers.tolist()
    steps = log.table.column("step_id").to_pylist()

    assert released
    for row in released:
        assert order.info(row).coordination_barrier == steps[row]
        for after in order.effects(row).tolist():
            assert order.info(after).coordination_barrier is not None


def test_the_clocks_of_the_streams_asked_for_are_in_sql() -> None:
    log = EventLog.from_text("A: a1 send>m a2 | B: recv<m b1")

    rows = log.causality.sql(
        "SELECT workflow_id, sequence, lamport, agent_clock['A'] AS a, len(dependencies) AS causes "
        "FROM causality JOIN events USING (namespace, run_id, workflow_id, sequence) "
        "ORDER BY sequence",
        streams=["@B"],
    ).rows()

    assert rows == [("@B", 1, 3, 2, 1), ("@B", 2, 4, 2, 1)]
    with pytest.raises(QueryError, match="nothing"):
        log.causality.sql("SELECT * FROM nothing")


def test_a_matrix_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog.from_text("A: a1 send>m a2 | B: recv<m b1")
    monkeypatch.setattr(clocks, "MAX_CLOCK_CELLS", 9)

    assert log.causality.vector_clocks([0, 1]).tolist() == [[1, 0], [2, 0]]
    with pytest.raises(LimitError, match="ask for fewer rows"):
        log.causality.vector_clocks()
