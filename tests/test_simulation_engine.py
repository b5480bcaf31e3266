"""The laws of the engine: what every log holds, whatever the world and whatever goes wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path

from engine_worlds import FAULTS, PLAN, SEEDS, busy, histories, turning, worlds
from hypothesis import HealthCheck, given, settings

from flowlab.events import CauseKind, Event, EventLog
from flowlab.simulation import Faults, Run, World, simulate
from flowlab.store import EventStore
from flowlab.workflow import Execution, PlanExecution

a_world = given(worlds(), SEEDS, FAULTS)
lightly = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def place(event: Event) -> tuple[str, int]:
    return event.workflow_id, event.sequence


@a_world
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_every_event_has_its_place_and_follows_from_what_was_before(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    streams: dict[str, int] = {}
    lanes: dict[str, int] = {}
    before: dict[tuple[str, int], Event] = {}
    lane_ends: dict[str, Event] = {}
    for event in run.log:
        assert event.sequence == streams.get(event.workflow_id, 0) + 1
        assert event.agent_sequence == lanes.get(event.agent_id, 0) + 1
        streams[event.workflow_id], lanes[event.agent_id] = event.sequence, event.agent_sequence
        causes = [before[cause.workflow_id, cause.sequence] for cause in event.causes]
        assert len(set(map(place, causes))) == len(causes)
        assert all(cause.time_ns <= event.time_ns for cause in causes)
        if event.follows_lane and event.agent_id in lane_ends:
            assert lane_ends[event.agent_id].time_ns <= event.time_ns
        check_kind(event, causes)
        before[place(event)] = event
        lane_ends[event.agent_id] = event
    assert run.event_count == len(before)
    assert run.end_ns == max(event.time_ns for event in before.values())
    assert run.stopped == ""


def check_kind(event: Event, causes: list[Event]) -> None:
    kinds = [cause.kind for cause in event.causes]
    if event.event_type == "MessageReceived":
        assert kinds == [CauseKind.MESSAGE]
    if event.event_type in {"ActivityCompleted", "CompensationCompleted"}:
        asked, ended = causes
        assert kinds == [CauseKind.PROGRAM, CauseKind.MESSAGE]
        assert asked.event_type.removesuffix("Scheduled") + "Completed" == event.event_type
        assert (asked.name, asked.workflow_id) == (event.name, event.workflow_id)
        assert ended.event_type in {"TransactionCommitted", "MessageDuplicated"}
    if event.event_type == "TimerFired" and event.workflow_id.startswith("@"):
        assert kinds == [CauseKind.TIMER]
    elif event.event_type in {"ActivityTimedOut", "TimerFired", "ActivityCanceled"}:
        assert kinds == [CauseKind.PROGRAM]


@a_world
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_a_store_takes_every_log_and_gives_it_back_equal(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    with tempfile.TemporaryDirectory() as folder, EventStore(Path(folder) / "store") as store:
        run.save(store)
        log = store.log()
    assert log.digest == run.digest
    assert [info.run_id for info in log.runs] == [run.run_id]


@a_world
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_every_history_is_accepted_and_asks_for_nothing_more(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    for history in histories(run.log):
        started = history[0]
        assert started.event_type == "WorkflowStarted"
        execution = replayer(started, run)
        assert execution.advance(history) == ()
        last = run.statuses[started.workflow_id]
        assert execution.closed == (last != "open" or started.generation < history[-1].generation)


def replayer(started: Event, run: Run) -> Execution | PlanExecution:
    if started.name == PLAN.name:
        return PlanExecution(PLAN, started.workflow_id, seed=run.seed)
    code = {"busy": busy, "turning": turning}[started.name]
    return Execution(code, started.workflow_id, seed=run.seed)


@a_world
@lightly
def test_a_host_that_tells_the_same_answers_in_the_same_order_writes_the_same_history(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    for history in histories(run.log):
        written = written_again(history, run)
        first, second = (EventLog.from_events(events) for events in (written, history))
        assert first.history_digest == second.history_digest


def written_again(history: list[Event], run: Run) -> list[Event]:
    """Drive the workflow by its answers alone, and write what it asks for."""
    execution = replayer(history[0], run)
    asked: list[Event] = []
    written: list[Event] = []
    for event in history:
        if asked:
            draft = asked.pop(0)
            now = draft.replace(
                run_id=event.run_id,
                workflow_id=event.workflow_id,
                sequence=event.sequence,
                time_ns=event.time_ns,
                generation=event.generation,
            )
        else:
            now = event
        written.append(now)
        asked = list(execution.advance([now]))
    assert asked == []
    return written
