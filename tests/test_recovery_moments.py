"""A state at any event, time or cut is the fold of what came before, wherever checkpoints lie."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recovery_host import STREAM, Recorded, fresh_store
from test_recovery_parallel import batch
from test_recovery_schemes import histories, long_history
from workflow_host import ID, Host

from flowlab.causality import CausalOrder
from flowlab.errors import InvalidArgumentError, NotFoundError, TruncatedError
from flowlab.events import Cause, Event
from flowlab.recovery import (
    Checkpointed,
    EveryEvents,
    Incremental,
    checkpoint_states,
    state_at,
)
from flowlab.runtime import Standing
from flowlab.runtime.scheme import Process, execution_of
from flowlab.scenarios.trip import trip
from flowlab.simulation import Run, simulate
from flowlab.store import EventStore, aggregate
from flowlab.workflow import PlanExecution, Workflow
from flowlab.workflow.savepoints import encode_state


def expected(process: Process, history: list[Event]) -> Any:
    execution = execution_of(process, ID)
    execution.advance(history)
    if isinstance(process, Workflow):
        return encode_state(execution.state, process)
    assert isinstance(execution, PlanExecution)
    instance = execution.instance
    assert instance is not None
    return {
        "phase": ("running", "stopping", "undoing", "ended")[instance.phase],
        "results": dict(instance.results),
        "in_flight": [step.name for step in instance.in_flight],
        "uncompensated": list(instance.uncompensated),
    }


@settings(max_examples=20)
@given(histories(), st.integers(2, 9), st.sampled_from([Checkpointed, Incremental]))
def test_a_workflows_state_at_any_event_is_that_of_a_replay_up_to_there(
    told: tuple[Process, list[Event]], every: int, make: Any
) -> None:
    process, history = told
    with fresh_store() as store:
        Recorded(store, process, history, make(EveryEvents(every), keep=1_000)).commit_all()
        for at in range(1, len(history) + 1):
            found = state_at(store, ID, event=at, process=process)
            assert found.at == at
            assert found.state == expected(process, history[:at])
            standing = Standing.of(history[:at])
            assert found.status == standing.status
            assert len(found.waits) == len(standing.open)
            blind = state_at(store, ID, event=at)
            assert (blind.at, blind.status, blind.waits) == (at, found.status, found.waits)


def test_what_is_read_is_what_lies_between_the_nearest_checkpoint_and_the_event() -> None:
    process, history = long_history(100)
    with fresh_store() as store:
        scheme = Checkpointed(EveryEvents(20), keep=1_000)
        Recorded(store, process, history, scheme).commit_all()
        for at in (19, 20, 21, 77, 199):
            for given_process in (process, None):
                found = state_at(store, f"/workflows/{ID}", event=at, process=given_process)
                assert found.events_read == (at % 20 if at >= 20 else at)
                assert found.checkpoint_at == at // 20 * 20
        assert repr(found) == (
            "StateAt('/workflows/w' after 199, from checkpoint '00000180', 19 events read)"
        )


def test_without_its_code_a_workflows_state_is_that_of_its_newest_savepoint() -> None:
    host = Host(batch).run(4)
    marks = [event for event in host.history if event.name == "savepoint"]
    for scheme in (Checkpointed(EveryEvents(10**6)), Checkpointed(EveryEvents(3), keep=99)):
        with fresh_store() as store:
            Recorded(store, batch, host.history, scheme).commit_all()
            assert state_at(store, ID, event=2).state is None
            for mark in marks:
                for at in (mark.sequence, mark.sequence + 1):
                    assert state_at(store, ID, event=at).state == mark.data["state"]
            assert state_at(store, ID, event=0).state is None


# -- agents ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate(trip, seed=3)


@pytest.fixture(scope="module")
def store(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    with EventStore(tmp_path_factory.mktemp("moments") / "s") as found:
        found.append_log(run.log)
        yield found


def agents_of(run: Run) -> list[str]:
    names = set(run.log.table.column("workflow_id").to_pylist())
    return sorted(name[1:] for name in names if name.startswith("@") and name != "@world")


def test_an_agents_state_on_any_cut_is_what_the_causal_order_says(
    run: Run, store: EventStore
) -> None:
    order = CausalOrder(run.log)
    for pass_ in range(2):
        rng = random.Random(pass_)
        for _ in range(25):
            row = rng.randrange(len(order))
            cut = order.cut(past_of=order.event(row))
            for agent in agents_of(run):
                found = state_at(store, f"/agents/{agent}", cut=cut)
                assert found.state == order.state_on(cut).of(agent)
        for agent in agents_of(run):
            checkpoint_states(store, ("default", run.run_id, f"@{agent}"), every=2)


def test_a_state_at_a_time_holds_the_events_up_to_it(run: Run, store: EventStore) -> None:
    agent = agents_of(run)[0]
    events = [event for event in run.log.events() if event.workflow_id == f"@{agent}"]
    for event in events:
        found = state_at(store, f"@{agent}", time_ns=event.time_ns)
        assert found.at == max(e.sequence for e in events if e.time_ns <= event.time_ns)
        same = state_at(store, f"@{agent}", event=event)
        if same.at == found.at:
            assert same.state == found.state
    assert state_at(store, f"@{agent}", time_ns=events[0].time_ns - 1).state == {}
    assert state_at(store, f"@{agent}", cut={f"@{agent}": 1}).at == 1
    assert state_at(store, f"@{agent}", cut={}).at == 0


def test_checkpoints_for_looking_back_are_added_where_they_are_missing() -> None:
    with fresh_store() as store:
        wrote = {"event_type": "TransactionCommitted", "writes": [("a", "n"), ("a", "m")]}
        for number in range(25):
            values = {"n": number} if number % 2 else {"m": number}
            store.append("@a", {**wrote, "payload": {"values": values}})
            store.append("@a", {"event_type": "MessageReceived", "payload": b"\xff"})
        first = checkpoint_states(store, "@a", every=10)
        assert [taken.at for taken in first] == [10, 20, 30, 40, 50]
        assert checkpoint_states(store, "@a", every=10) == ()
        store.append("@a", [{"event_type": "X"}] * 10)
        store.seal()
        assert [taken.at for taken in checkpoint_states(store, "@a", every=10)] == [60]
        finer = [taken.at for taken in checkpoint_states(store, "@a", every=20)]
        assert finer == []
        assert len(checkpoint_states(store, "@a", every=4)) == 12
        for at in range(61):
            found = state_at(store, "@a", event=at)
            done = range((min(at, 50) + 1) // 2)
            last: dict[str, int] = {("n" if n % 2 else "m"): n for n in done}
            assert found.state == last
            assert found.events_read == min(at % 10, at % 4)
        store.truncate("@a", upto=25)
        assert state_at(store, "@a", event=35).state == {"m": 16, "n": 17}
        with pytest.raises(TruncatedError, match="were truncated, and no checkpoint holds them"):
            state_at(store, "@a", event=22)


def test_an_aggregates_state_at_an_event_is_the_fold_up_to_it(tmp_path: Path) -> None:
    @aggregate
    class Account:
        initial = {"balance": 0}  # noqa: RUF012 - how an aggregate is declared

        def decide(state: Any, command: int) -> Any:  # noqa: N805
            return Event.of("Deposited", payload={"amount": command})

        def evolve(state: Any, event: Event) -> Any:  # noqa: N805
            return {"balance": state["balance"] + event.data["amount"]}

    kind: Any = Account
    with EventStore(tmp_path / "s") as store:
        for amount in range(1, 31):
            store.execute(kind, "a", amount)
        name = kind.stream("a")
        for every in (None, 7):
            if every:
                checkpoint_states(store, name, every=every, aggregate=kind)
            for at in range(31):
                found = state_at(store, "a", aggregate=kind, event=at)
                assert found.kind == "aggregate"
                assert found.state == store.state(kind, "a", at=at) if at else kind.initial
                assert found.events_read == (at % every if every else at)


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        ({"event": 1, "time_ns": 1}, InvalidArgumentError, "give one of"),
        ({"event": 99}, NotFoundError, "holds 1 to"),
        ({"event": ("v", 1)}, InvalidArgumentError, "is no event of 'w'"),
        ({"event": "first"}, NotFoundError, "no event 'first'"),
        ({"time_ns": 1.5}, InvalidArgumentError, "time_ns is 1.5"),
        ({"cut": 7}, InvalidArgumentError, "cut is 7"),
    ],
)
def test_a_place_that_is_none_is_refused(more: Any, kind: type[Exception], said: str) -> None:
    process, history = long_history(5)
    with fresh_store() as store:
        store.append(ID, history)
        with pytest.raises(kind, match=said):
            state_at(store, ID, process=process, **more)
        with pytest.raises(InvalidArgumentError, match="names no workflow and no agent"):
            state_at(store, "/coordination/c")
        with pytest.raises(NotFoundError):
            state_at(store, "nobody")
        assert state_at(store, ID).at == len(history)
        assert "results" in state_at(store, ID, process=process)._repr_html_()
        assert STREAM[2] == ID


def test_a_generation_begins_with_nothing_that_the_one_before_has_left_open() -> None:
    def told(sequence: int, kind: str, *because: int, generation: int = 0) -> Event:
        causes = tuple(Cause("w", before) for before in because)
        event = Event.of(kind, workflow_id="w", sequence=sequence, name="x", causes=causes)
        return event.replace(generation=generation)

    left = [
        told(1, "WorkflowStarted"),
        told(2, "ActivityScheduled"),
        told(3, "TimerStarted"),
        told(4, "ActivityCancelRequested", 2),
    ]
    ended, begun = told(5, "WorkflowContinuedAsNew"), told(6, "WorkflowStarted", generation=1)
    before = Standing.of(left)
    assert (set(before.open), before.withdrawn, before.keys) == ({2, 3}, {2}, {2: "w/x.2"})
    assert Standing.of([*left, ended, begun]).to_json() == Standing.of([begun]).to_json()
