"""The durable host over every scheme: what is kept beside the log changes no history."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowlab.recovery import BySize, Cached, Checkpointed, EveryEvents, Incremental, Lawful, Replay
from flowlab.runtime import ActivityContext, RecoveryScheme, Runtime
from flowlab.store import EventStore
from flowlab.workflow import Plan, Sequential, Step, WorkflowContext, workflow


@workflow(state=dict)
async def collect(ctx: WorkflowContext, count: int, state: dict[str, Any]) -> list[int]:
    done = state.setdefault("done", [])
    while len(done) < count:
        done.append(await ctx.call_activity("give", len(done)))
        await ctx.savepoint()
    await ctx.wait_for_event("go")
    return list(done)


PLAN = Plan(
    Sequential(*[Step(f"s{n}", agent="ann", activity="give", effect=False) for n in range(12)]),
    name="steps",
)

SCHEMES = [
    Replay,
    lambda: Checkpointed(EveryEvents(5)),
    lambda: Checkpointed(EveryEvents(5), then="truncate"),
    lambda: Checkpointed(BySize(200), then="compact"),
    lambda: Checkpointed(Lawful()),
    lambda: Incremental(EveryEvents(4), full_every=3),
    lambda: Cached(Checkpointed(EveryEvents(7))),
    lambda: Cached(Replay()),
]


def give(ctx: ActivityContext, value: Any) -> Any:
    del ctx
    return value


async def stopped_once(store: EventStore, scheme: RecoveryScheme) -> None:
    async with runtime_of(store, scheme) as runtime:
        handle = await runtime.start(collect, 9, id="c")
        await runtime.start(PLAN, id="p")
        await runtime.quiet()
        assert len(handle.query(lambda state: state["done"])) == 9


async def gone_on(store: EventStore, scheme: RecoveryScheme) -> tuple[Any, Any]:
    async with runtime_of(store, scheme) as runtime:
        handles = await runtime.recover()
        assert [handle.workflow_id for handle in handles] == ["c"]
        await handles[0].raise_event("go")
        plan = await runtime.start(PLAN, id="p")
        return await handles[0].result(), await plan.result()


def runtime_of(store: EventStore, scheme: RecoveryScheme) -> Runtime:
    return Runtime(
        store,
        [collect, PLAN],
        activities={"give": give},
        agents={"ann": {"give": give}},
        recovery=scheme,
    )


@pytest.mark.parametrize("make", SCHEMES)
def test_every_scheme_goes_on_as_if_nothing_had_stopped(tmp_path: Path, make: Any) -> None:
    with EventStore(tmp_path / "s") as store:
        asyncio.run(stopped_once(store, make()))
    # What a process remembers is gone with it.
    with EventStore(tmp_path / "s") as store:
        done, plan = asyncio.run(gone_on(store, make()))
        assert done == list(range(9))
        assert set(plan) == {f"s{n}" for n in range(12)}
        assert store.verify().ok


def test_from_a_checkpoint_the_events_before_it_are_not_read(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        asyncio.run(stopped_once(store, Checkpointed(EveryEvents(5))))
    with EventStore(tmp_path / "s") as store:
        asyncio.run(gone_on(store, Checkpointed(EveryEvents(5))))
        (restarted,) = [
            event.data
            for event in store.read("/workflows/%40c/events").events()
            if event.event_type == "AgentRestarted"
        ]
        assert restarted["checkpoint"] is not None
        assert restarted["events_read"] < 10 < store.snapshot().head("c")
