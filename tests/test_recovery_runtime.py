"""A runtime that recovers by checkpoints goes on where it stopped, as one that replays does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowlab.events import Cause, Event
from flowlab.recovery import Cached, Checkpointed, EveryEvents, Incremental, Replay, state_at
from flowlab.runtime import Runtime
from flowlab.store import EventStore
from flowlab.workflow import (
    Parallel,
    Plan,
    PlanExecution,
    Program,
    Sequential,
    Step,
    WorkflowContext,
    workflow,
)

STEPS = 12


@dataclass
class Progress:
    next: int = 0
    total: int = 0


@workflow(state=Progress)
async def counting(ctx: WorkflowContext, count: int, state: Progress) -> int:
    while state.next < count:
        state.total += await ctx.call_activity(f"s{state.next}", state.next)
        state.next += 1
        await ctx.savepoint()
    return state.total


PLAN = Plan(
    Sequential(
        *(Step(f"s{i}", agent="a", effect=False) for i in range(STEPS - 2)),
        Parallel(
            Step(f"s{STEPS - 2}", agent="a", effect=False),
            Step(f"s{STEPS - 1}", agent="b", effect=False),
        ),
    ),
    name="steps",
)


def activities(
    stop_at: int, done: list[str], reached: asyncio.Event
) -> dict[str, Callable[[Any], Any]]:
    def made(number: int) -> Callable[[Any], Any]:
        async def act(_value: Any) -> int:
            if number == stop_at:
                reached.set()
                await asyncio.Event().wait()
            done.append(f"s{number}")
            return number

        return act

    return {f"s{number}": made(number) for number in range(STEPS)}


async def run_until(store: EventStore, process: Any, scheme: Any, stop_at: int) -> list[str]:
    done: list[str] = []
    reached = asyncio.Event()
    acts = activities(stop_at, done, reached)
    agents = {"a": acts, "b": acts}
    runtime = Runtime(store, process, activities=acts, recovery=scheme, agents=agents)
    async with runtime:
        handle = await runtime.start(process, STEPS, id="w")
        if stop_at >= STEPS:
            await asyncio.wait_for(handle.result(), 20)
        else:
            await asyncio.wait_for(reached.wait(), 20)
    return done


@pytest.mark.parametrize("process", [counting, PLAN], ids=["code", "plan"])
def test_a_runtime_goes_on_from_a_checkpoint_as_from_its_whole_history(
    process: Any, tmp_path: Path
) -> None:
    digests = set()
    schemes: list[Callable[[], Any]] = [
        Replay,
        lambda: Checkpointed(EveryEvents(4)),
        lambda: Incremental(EveryEvents(3), full_every=3),
        lambda: Cached(Checkpointed(EveryEvents(5), then="truncate", keep=1)),
    ]
    for number, make in enumerate(schemes):
        with EventStore(tmp_path / f"s{number}") as store:
            done: list[str] = []
            scheme = make()
            for stop_at in (3, 7, STEPS):
                done += asyncio.run(run_until(store, process, scheme, stop_at))
                scheme = make()
                if number and stop_at < STEPS:
                    assert store.checkpoints("w")
                    kind = process if process is counting else Program.of(process)
                    found = state_at(store, "w", process=kind)
                    assert found.checkpoint is not None
                    assert found.events_read < 12
            assert sorted(done) == sorted(f"s{i}" for i in range(STEPS))
            assert (
                store.read("/workflows/w/events", reverse=True, limit=1).events()[0].event_type
                == "WorkflowCompleted"
            )
            if number < 3:
                digests.add(store.read("/workflows/w/events").history_digest)
    assert len(digests) == 1


ROWS = Plan(
    Sequential(*(Step(f"s{i}", agent="a", effect=False) for i in range(STEPS))), name="rows"
)


def test_a_state_that_is_nested_too_deep_for_a_delta_is_written_whole_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    def compared(_before: Any, _after: Any) -> Any:
        # A payload has 200 levels at most, and comparing takes two frames for each: too many where
        # the caller has used up most of its stack.
        raise RecursionError

    acts = {f"s{number}": lambda _value: "done" for number in range(STEPS)}
    taken = []
    with EventStore(tmp_path / "s") as store:
        for name, deltas in (("deep", False), ("shallow", True)):
            with monkeypatch.context() as patched:
                if not deltas:
                    patched.setattr("flowlab.recovery.incremental.changes_between", compared)
                scheme = Incremental(EveryEvents(2), full_every=10, keep=50)
                runtime = Runtime(store, ROWS, activities=acts, recovery=scheme, agents={"a": acts})
                assert len(runtime.run("rows", id=name)) == STEPS
            taken.append(len(store.checkpoints(name)))
            assert any(", on " in each.origin for each in store.checkpoints(name)) == deltas
    assert taken[0] == taken[1] > 2
    assert [str(warning.message) for warning in recwarn] == []


def test_after_a_checkpoint_that_could_not_be_written_the_next_ones_are_whole_and_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    real = EventStore.checkpoint

    def checkpoint(self: EventStore, *given: Any, **named: Any) -> Any:
        taken.append(named["origin"])
        if len(taken) == 3:
            raise OSError(28, "No space left on device")
        return real(self, *given, **named)

    monkeypatch.setattr(EventStore, "checkpoint", checkpoint)
    with EventStore(tmp_path / "s") as store:
        scheme = Incremental(EveryEvents(3), full_every=50)
        with pytest.warns(RuntimeWarning, match="No space left"):
            asyncio.run(run_until(store, ROWS, scheme, STEPS - 2))
        found = state_at(store, "w", process=Program.of(ROWS))
        plain = state_at(store, "w", process=Program.of(ROWS), event=found.checkpoint_at)
        newest = store.checkpoints("w")[-1]
    assert [" on " in origin for origin in taken[:5]] == [False, True, True, False, True]
    assert (found.checkpoint, plain.events_read) == (newest.id, 0)
    assert len(found.state["results"]) == STEPS - 2


def test_what_a_cached_execution_took_in_vain_is_not_gone_on_from(tmp_path: Path) -> None:
    program, stream = Program.of(ROWS), ("default", "", "w")
    started = {"event_type": "WorkflowStarted", "name": "rows", "payload": {"input": None}}

    def answer(result: int) -> Event:
        return Event.of(
            "ActivityCompleted",
            workflow_id="w",
            sequence=3,
            payload={"result": result},
            causes=(Cause("w", 2),),
        )

    with EventStore(tmp_path / "s") as store:
        store.append("w", started)
        cached = Cached(Replay())
        first = cached.restore(store, stream, program)
        (asked,) = first.execution.advance(())
        store.append("w", asked)
        asked = store.read("/workflows/w/events", reverse=True, limit=1).events()[0]
        first.execution.advance([asked])
        first.standing.take(asked)
        cached.committed(store, stream, first.execution, first.standing, [asked])
        # The answer 1 was never durable; meanwhile another process has written the answer 2.
        first.execution.advance([answer(1)])
        first.standing.take(answer(1))
        store.append("w", answer(2).replace(sequence=0))
        again = cached.restore(store, stream, program).execution
    assert isinstance(again, PlanExecution)
    assert again.instance is not None
    assert dict(again.instance.results) == {"s0": 2}
