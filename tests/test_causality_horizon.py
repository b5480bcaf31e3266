"""The order of what a truncation leaves against the order of the whole log."""

from __future__ import annotations

import json

import numpy as np
import pytest
from causal_logs import logs
from hypothesis import given
from hypothesis import strategies as st

import flowlab as fl
from flowlab import Cause, Event, EventLog
from flowlab.causality import BeforeHorizon, CausalOrder, truncate
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.scenarios import scenario_named
from flowlab.studies.simulation_laws import HEALING


def drawn_bases(log: EventLog, data: st.DataObject) -> dict[tuple[str, str, str], int]:
    heads: dict[tuple[str, str, str], int] = {}
    for event in log:
        stream = (event.namespace, event.run_id, event.workflow_id)
        heads[stream] = max(heads.get(stream, 0), event.sequence)
    return {stream: data.draw(st.integers(0, head)) for stream, head in heads.items()}


def matrix(order: CausalOrder, whole: CausalOrder) -> list[list[bool]]:
    """Return happened-before among the events of an order, as the whole log has them."""
    rows = [whole.row(event) for event in order.log]
    return [[whole.happened_before(a, b) for b in rows] for a in rows]


def own_matrix(order: CausalOrder) -> list[list[bool]]:
    rows = range(len(order.log))
    return [[order.happened_before(a, b) for b in rows] for a in rows]


def assert_clocks_are(order: CausalOrder, whole: CausalOrder) -> None:
    """Hold all clocks of what is left against those of the whole log."""
    rows = [whole.row(event) for event in order.log]
    assert order.lamport.tolist() == whole.lamport[rows].tolist()
    for mine, theirs in zip(order.hybrid, whole.hybrid, strict=True):
        assert mine.tolist() == theirs[rows].tolist()
    lanes, matrix, expected = order.graph.lanes, order.vector_clocks(), whole.vector_clocks(rows)
    for row, same in enumerate(rows):
        clock = whole.vector_clock(same)
        assert order.vector_clock(row) == clock == order.info(row).agent_clock
    # The matrix has columns for lanes of which an event is left.
    places = {
        (whole.graph.worlds[world], agent): place
        for place, (world, agent) in enumerate(
            zip(whole.graph.lanes.world.tolist(), whole.graph.lanes.ids, strict=True)
        )
    }
    for place, (world, agent) in enumerate(zip(lanes.world.tolist(), lanes.ids, strict=True)):
        column = expected[:, places[order.graph.worlds[world], agent]]
        assert matrix[:, place].tolist() == column.tolist()


@given(logs(worlds=2), st.data())
def test_the_order_among_what_a_truncation_leaves_is_the_whole_log_s(
    log: EventLog, data: st.DataObject
) -> None:
    whole = CausalOrder(log)

    left, horizon = truncate(whole, drawn_bases(log, data))

    order = CausalOrder(left, horizon=horizon)
    assert own_matrix(order) == matrix(order, whole)
    assert len(order.anomalies) == 0


@given(logs(worlds=2, max_events=20), st.data())
def test_the_clocks_of_what_truncations_leave_are_the_whole_log_s(
    log: EventLog, data: st.DataObject
) -> None:
    whole = order = CausalOrder(log)
    for _ in range(data.draw(st.integers(1, 3))):
        left, horizon = truncate(order, drawn_bases(order.log, data))
        order = CausalOrder(left, horizon=BeforeHorizon.from_json(horizon.to_json()))

        assert horizon.resumes
        assert_clocks_are(order, whole)


@given(logs(max_events=18), st.data())
def test_a_log_may_be_truncated_again_and_its_horizon_goes_through_json(
    log: EventLog, data: st.DataObject
) -> None:
    whole = order = CausalOrder(log)
    for _ in range(3):
        left, horizon = truncate(order, drawn_bases(order.log, data))
        told = BeforeHorizon.from_json(json.loads(json.dumps(horizon.to_json())))
        assert told == horizon
        order = CausalOrder(left, horizon=told)

    assert own_matrix(order) == matrix(order, whole)


@given(logs(max_events=18), st.data())
def test_what_is_appended_after_a_truncation_is_ordered_as_without_it(
    log: EventLog, data: st.DataObject
) -> None:
    events = sorted(log, key=lambda event: event.agent_sequence)
    head = data.draw(st.integers(0, len(events)))
    old, new = EventLog.from_events(events[:head]), events[head:]
    names = {(event.workflow_id, event.sequence) for event in old}
    closed = all(
        (cause.workflow_id, cause.sequence) in names for event in old for cause in event.causes
    )
    if not closed:
        return
    named = {(cause.workflow_id, cause.sequence) for event in new for cause in event.causes}
    before = CausalOrder(old)

    left, horizon = truncate(before, drawn_bases(old, data), keep=sorted(named & names))
    again = CausalOrder(left, horizon=horizon)
    kept = {(event.id.workflow_id, event.id.sequence) for event in [*left, *horizon]}
    left, horizon = truncate(again, drawn_bases(left, data), keep=sorted(named & kept))

    order, whole = (
        CausalOrder(EventLog.from_events([*left, *new]), horizon=horizon),
        CausalOrder(log),
    )
    assert own_matrix(order) == matrix(order, whole)
    assert_clocks_are(order, whole)


@pytest.mark.parametrize("name", ["trip", "mapreduce"])
def test_a_simulated_run_keeps_its_order_when_some_of_its_streams_are_truncated(name: str) -> None:
    log = fl.simulate(scenario_named(name), seed=3, faults=HEALING).log
    whole = log.causality
    lengths = dict(log.sql("SELECT workflow_id, max(sequence) FROM events GROUP BY 1").iter_rows())
    bases = {name: head * (place % 3) // 3 for place, (name, head) in enumerate(lengths.items())}

    left, horizon = truncate(whole, bases)

    order = CausalOrder(left, horizon=horizon)
    rows = np.array([whole.row(event) for event in left])
    pairs = np.repeat(np.arange(len(rows)), len(rows)), np.tile(np.arange(len(rows)), len(rows))
    assert 0 < len(left) < len(log)
    assert np.array_equal(
        order.happened_before_many(*pairs),
        whole.happened_before_many(*(rows[side] for side in pairs)),
    )


def rounds_of(number: int) -> list[Event]:
    """Return a round: each agent starts a workflow of its own, ends it, and tells the next one."""
    events = []
    for place, agent in enumerate("abc"):
        tick, flow, other = 4 * number, f"flow-{number}-{agent}", "abc"[place - 1]
        heard = [Cause(f"@{other}", 2 * number, 1)] if number else []
        told = (
            (flow, 1, "WorkflowStarted", heard),
            (flow, 2, "WorkflowCompleted", []),
            (f"@{agent}", 2 * number + 1, "MarkerRecorded", [Cause(flow, 2)]),
            (f"@{agent}", 2 * number + 2, "MessageSent", []),
        )
        for step, (stream, sequence, kind, causes) in enumerate(told, 1):
            events.append(
                Event.of(
                    kind, workflow_id=stream, sequence=sequence, agent_id=agent,
                    agent_sequence=tick + step, time_ns=tick + step, causes=tuple(causes),
                )
            )  # fmt: skip
    return events


def test_what_is_remembered_does_not_grow_with_what_was_truncated() -> None:
    order = CausalOrder(EventLog.from_events([]))
    every: list[Event] = []
    sizes = []
    for number in range(30):
        every.extend(rounds_of(number))
        log = EventLog.from_events([*order.log, *rounds_of(number)])
        order = CausalOrder(log, horizon=order.horizon)
        bases = {
            stream: 2 * number if stream[0] == "@" else 2
            for stream in {event.workflow_id for event in log}
        }
        left, horizon = truncate(order, bases)
        order = CausalOrder(left, horizon=horizon)
        sizes.append((len(horizon), len(horizon.columns), len(json.dumps(horizon.to_json()))))

    assert_clocks_are(order, CausalOrder(EventLog.from_events(every)))
    assert sizes[2][:2] == sizes[-1][:2]
    assert sizes[-1][2] < sizes[2][2] * 1.2  # the numbers have more digits


def test_workflows_that_are_lanes_of_their_own_are_forgotten_once_they_have_ended() -> None:
    # The last event of each was remembered for good, as if its lane went on.
    order = CausalOrder(EventLog.from_events([]))
    sizes = []
    for number in range(4):
        told = ("WorkflowStarted", "WorkflowCompleted")
        events = [
            Event.of(
                kind, workflow_id=f"w-{number}", sequence=place, agent_id=f"w-{number}",
                agent_sequence=place, time_ns=place,
            )
            for place, kind in enumerate(told, 1)
        ]  # fmt: skip
        log = EventLog.from_events([*order.log, *events])
        left, horizon = truncate(CausalOrder(log, horizon=order.horizon), {f"w-{number}": 2})
        order = CausalOrder(left, horizon=horizon)
        sizes.append(len(horizon))
    assert sizes == [0, 0, 0, 0]


def test_a_horizon_without_clocks_is_read_and_clocks_count_what_is_left() -> None:
    log = EventLog.from_text("A: a >m | B: <m b >n | C: <n c")
    left, horizon = truncate(log.causality, {"@B": 3})
    told = horizon.to_json()
    for event in told["events"]:
        del event["clock"], event["until"]
    del told["columns"]

    old = BeforeHorizon.from_json(told)

    order = CausalOrder(left, horizon=old)
    assert horizon.resumes
    assert not old.resumes
    assert order.happened_before(("@A", 1), ("@C", 2))
    assert order.vector_clock(("@C", 1)) == {"A": 2, "C": 1}
    assert order.lamport[order.row(("@C", 1))] == 3
    # What is truncated after it cannot know better, and does not say that it does.
    _, again = truncate(order, {"@A": 1})
    assert not again.resumes


def test_without_the_horizon_an_order_over_truncated_events_is_lost() -> None:
    log = EventLog.from_text("A: a >m | B: <m b >n | C: <n c")
    left, horizon = truncate(log.causality, {"@B": 3})

    assert not CausalOrder(left).happened_before(("@A", 1), ("@C", 2))
    assert CausalOrder(left, horizon=horizon).happened_before(("@A", 1), ("@C", 2))
    assert repr(horizon) == "BeforeHorizon(1 truncated event)"
    assert repr(next(iter(horizon))) == "Forgotten(@B/3, after 1 event left)"
    assert len(horizon) == 1


def test_what_cannot_be_truncated_is_refused() -> None:
    log = EventLog.from_text("=== one ===\nA: a >m | B: <m b\n=== two ===\nA: a")
    order = log.causality

    with pytest.raises(NotFoundError, match="no stream 'Z'"):
        truncate(order, {"Z": 1})
    with pytest.raises(InvalidArgumentError, match="2 runs have a stream '@A'; name one by"):
        truncate(order, {"@A": 1})
    with pytest.raises(InvalidArgumentError, match="the base of '@B' is -1; expected a sequence"):
        truncate(order, {"@B": -1})
    with pytest.raises(InvalidArgumentError, match="is no horizon in JSON"):
        BeforeHorizon.from_json({"event": []})
    with pytest.raises(InvalidArgumentError, match="is no horizon in JSON"):
        BeforeHorizon.from_json({**truncate(order, {"@B": 1})[1].to_json(), "columns": []})
    left, horizon = truncate(order, {"@B": 1})
    with pytest.raises(NotFoundError, match="the log does not hold it"):
        _ = CausalOrder(left.filter(agent_id="B"), horizon=horizon).graph
