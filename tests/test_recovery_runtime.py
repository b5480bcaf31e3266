"""A runtime that recovers by checkpoints goes on where it stopped, as one that replays does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowlab.recovery import Cached, Checkpointed, EveryEvents, Incremental, Replay, state_at
from flowlab.runtime import Runtime
from flowlab.store import EventStore
from flowlab.workflow import (
    Parallel,
    Plan,
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
