"""Races of the durable host: whatever is canceled, missing or odd is answered, and stops no other.

Each of these once left a workflow, an agent or the whole runtime waiting for ever, or said after a
restart something else than before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event as Flag
from time import sleep
from typing import Any

import pytest

from flowlab.errors import (
    ActivityError,
    CancelledError,
    FlowlabError,
    InvalidArgumentError,
    WorkflowError,
)
from flowlab.runtime import ActivityContext, Runtime, uncertain
from flowlab.store import EventStore
from flowlab.workflow import WorkflowContext, workflow

LIMIT_S = 30
"""A test that would wait for ever fails."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as opened:
        yield opened


def types_of(store: EventStore, workflow_id: str) -> list[str]:
    events = store.read(f"/workflows/{workflow_id}/events").events()
    return [event.event_type for event in events]


@workflow
async def ask(ctx: WorkflowContext, value: Any) -> Any:
    return await ctx.call_activity("work", value)


@workflow
async def race(ctx: WorkflowContext, _: Any) -> str:
    quick = ctx.call_activity("quick", agent="first")
    slow = ctx.call_activity("slow", agent="second")
    await quick
    slow.cancel()
    try:
        return str(await slow)
    except CancelledError:
        return "canceled"


@workflow
async def waver(ctx: WorkflowContext, _: Any) -> str:
    asked = ctx.call_activity("slow")
    asked.cancel()
    try:
        return str(await asked)
    except CancelledError:
        return "canceled"


@workflow
async def give_up(ctx: WorkflowContext, _: Any) -> list[str]:
    """Cancel two requests once the first one is at work."""
    asked = [ctx.call_activity("slow", n) for n in range(2)]
    await ctx.wait_for_event("begun")
    found = []
    for one in asked:
        one.cancel()
    for one in asked:
        try:
            found.append(str(await one))
        except CancelledError:
            found.append("canceled")
    return found


@workflow
async def first_of_many(ctx: WorkflowContext, count: int) -> str:
    asked = [ctx.call_activity("work", n) for n in range(count)]
    return f"first: {await asked[0]}"


@workflow
async def child(ctx: WorkflowContext, _: Any) -> Any:
    return await ctx.wait_for_event("go")


@workflow
async def parent(ctx: WorkflowContext, _: Any) -> Any:
    return await ctx.call_child_workflow("child", workflow_id="kid")


@workflow
async def tell(ctx: WorkflowContext, workflow_id: str) -> str:
    ctx.raise_event(workflow_id, "go", 1)
    return "told"


@workflow
async def pause(ctx: WorkflowContext, _: Any) -> None:
    await ctx.sleep(timedelta(hours=1))


def run(runtime: Runtime, *steps: Any) -> Any:
    """Run steps, each an async function of the runtime, and return what the last one gives."""

    async def whole() -> Any:
        found = None
        async with runtime:
            for step in steps:
                found = await asyncio.wait_for(step(runtime), LIMIT_S)
        return found

    return asyncio.run(whole())


def started(process: Any, workflow_id: str, value: Any = None) -> Any:
    async def step(runtime: Runtime) -> Any:
        return await (await runtime.start(process, value, id=workflow_id)).result()

    return step


async def quiet(runtime: Runtime) -> None:
    await runtime.quiet()


def test_an_activity_whose_own_wait_was_canceled_has_failed(store: EventStore) -> None:
    async def work(_: Any) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(60))
        inner.cancel()
        await inner

    with pytest.raises(WorkflowError, match="CancelledError"):
        run(Runtime(store, ask, activities=[work]), started(ask, "w"))
    assert types_of(store, "w")[-2:] == ["ActivityFailed", "WorkflowFailed"]


def test_what_is_canceled_before_its_first_step_is_answered_and_its_agent_is_free_again(
    store: EventStore,
) -> None:
    async def slow() -> str:
        await asyncio.sleep(60)
        return "slow"

    agents = {"first": {"quick": lambda: 1}, "second": {"slow": slow}}
    runtime = Runtime(store, race, agents=agents, where={"quick": "inline"})
    assert run(runtime, started(race, "a"), started(race, "b")) == "canceled"


def test_what_is_asked_for_and_given_up_in_one_turn_is_never_begun(store: EventStore) -> None:
    begun = []

    async def slow() -> None:
        begun.append(1)
        await asyncio.sleep(60)

    assert run(Runtime(store, waver, activities=[slow]), started(waver, "w")) == "canceled"
    assert begun == []
    assert types_of(store, "w").count("ActivityCanceled") == 1


def test_what_a_thread_has_begun_is_answered_when_it_ends_and_what_waits_for_one_is_not_begun(
    store: EventStore,
) -> None:
    begun, end = Flag(), Flag()
    done = []

    def slow(value: int) -> str:
        begun.set()
        end.wait(LIMIT_S)
        done.append(value)
        return "happened"

    async def cancel(runtime: Runtime) -> Any:
        handle = await runtime.start(give_up, id="w")
        await asyncio.to_thread(begun.wait, LIMIT_S)
        await handle.raise_event("begun")
        assert handle.status == "open"
        end.set()
        return await handle.result()

    runtime = Runtime(store, give_up, activities=[slow], threads=1)
    assert run(runtime, cancel) == ["happened", "canceled"]
    assert done == [0]


def test_a_result_is_the_same_after_a_restart_however_many_answers_came_late(
    store: EventStore,
) -> None:
    async def work(value: int) -> int:
        await asyncio.sleep(0.2 if value else 0)
        return value

    code = Runtime(store, first_of_many, activities=[work])
    run(code, started(first_of_many, "w", 100), quiet)
    assert types_of(store, "w")[-80:] == ["ActivityCompleted"] * 80
    again = Runtime(store, first_of_many, activities=[work])
    assert run(again, started(first_of_many, "w")) == "first: 0"


@pytest.mark.parametrize(
    ("says", "kept"),
    [
        ("half \ud800 a character", r"half \\ud800 a character"),
        ("x" * (17 << 20), r"xxx\.\.\. \(17 825 792 characters\)"),
    ],
)
def test_whatever_an_error_says_fails_its_activity_and_nothing_else(
    store: EventStore, says: str, kept: str
) -> None:
    def work(value: str) -> str:
        if value == "bad":
            raise ValueError(says)
        return value

    async def both(runtime: Runtime) -> Any:
        bad = await runtime.start(ask, "bad", id="bad")
        with pytest.raises(WorkflowError, match=kept):
            await bad.result()
        return await (await runtime.start(ask, "good", id="good")).result()

    assert run(Runtime(store, ask, activities=[work]), both) == "good"


def test_what_is_not_answered_in_time_learns_that_nobody_waits_for_it(store: EventStore) -> None:
    @workflow
    async def hurry(ctx: WorkflowContext, _: Any) -> str:
        try:
            await ctx.call_activity("work", timeout=timedelta(milliseconds=1))
        except ActivityError:
            return str(await ctx.wait_for_event("done"))
        return "in time"

    def work(ctx: ActivityContext) -> str:
        while not ctx.is_canceled:
            sleep(0.001)
        return "late"

    async def late(runtime: Runtime) -> Any:
        handle = await runtime.start(hurry, id="w")
        await runtime.quiet()
        await handle.raise_event("done", "after all")
        return await handle.result()

    assert run(Runtime(store, hurry, activities=[work]), late) == "after all"
    assert types_of(store, "w")[2:4] == ["ActivityTimedOut", "ActivityCompleted"]


def test_a_namespace_may_hold_any_character(store: EventStore) -> None:
    async def begin(runtime: Runtime) -> tuple[str, ...]:
        await runtime.start(child, id="w")
        return runtime.unfinished()

    assert run(Runtime(store, child, namespace="o'brien"), begin) == ("w",)


def test_a_parent_whose_child_cannot_go_on_is_refused_each_time_and_goes_on_once_it_can(
    store: EventStore,
) -> None:
    async def begin(runtime: Runtime) -> None:
        await runtime.start(parent, id="p")

    async def refused(runtime: Runtime) -> None:
        for _ in range(2):
            with pytest.raises(InvalidArgumentError, match="does not have"):
                await runtime.resume("p")

    async def go_on(runtime: Runtime) -> Any:
        handle = await runtime.resume("p")
        await runtime.raise_event("kid", "go", 7)
        return await handle.result()

    run(Runtime(store, [parent, child]), begin, quiet)
    run(Runtime(store, [parent]), refused)
    assert run(Runtime(store, [parent, child]), go_on) == 7


def test_recover_takes_up_all_that_can_go_on_and_then_says_what_cannot(store: EventStore) -> None:
    async def begin(runtime: Runtime) -> None:
        await runtime.start(child, id="a")
        await runtime.start(child, id="b")

    async def recovered(runtime: Runtime) -> Any:
        with pytest.raises(FlowlabError, match="'a' is an instance of 'child'"):
            await runtime.recover()
        return runtime.handle("w").status

    run(Runtime(store, child), begin)
    run(Runtime(store, pause), lambda runtime: runtime.start(pause, id="w"))
    assert run(Runtime(store, pause), recovered) == "open"


def test_a_child_that_ends_while_its_parents_code_is_gone_stops_nobody_and_is_heard_of_later(
    store: EventStore,
) -> None:
    async def begin(runtime: Runtime) -> None:
        await runtime.start(parent, id="p")

    async def end(runtime: Runtime) -> Any:
        handle = await runtime.resume("kid")
        await handle.raise_event("go", 7)
        assert await handle.result() == 7
        return await started(child, "kid")(runtime)

    async def hear(runtime: Runtime) -> Any:
        return await (await runtime.resume("p")).result()

    run(Runtime(store, [parent, child]), begin, quiet)
    assert run(Runtime(store, child), end) == 7
    assert run(Runtime(store, [parent, child]), hear) == 7


def test_an_event_for_a_workflow_whose_code_is_gone_is_dropped_and_says_why(
    store: EventStore,
) -> None:
    async def begin(runtime: Runtime) -> None:
        await runtime.start(child, id="kid")

    run(Runtime(store, child), begin)
    run(Runtime(store, tell), started(tell, "t", "kid"), quiet)
    (dropped,) = store.sql("SELECT payload FROM events WHERE event_type = 'MessageDropped'").rows()
    assert b"does not have" in dropped[0]


def test_an_agents_stream_is_read_once_however_many_workflows_are_taken_up(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(_: Any) -> None:
        await asyncio.sleep(60)

    def made() -> Runtime:
        return Runtime(store, ask, agents={"ann": {"work": work}}, at_once={"ann": 9})

    async def begin(runtime: Runtime) -> None:
        for count in range(9):
            await runtime.start(ask, id=f"w{count}")

    async def recover(runtime: Runtime) -> int:
        return len(await runtime.recover())

    read = []
    real = uncertain.started_effects

    def counted(*given: Any, **named: Any) -> Any:
        read.append(given[1])
        return real(*given, **named)

    run(made(), begin)
    monkeypatch.setattr(uncertain, "started_effects", counted)
    assert run(made(), recover) == 9
    assert read == ["ann"]
    named = store.sql("SELECT count(*) FROM events WHERE event_type = 'AgentRestarted'").item()
    assert named == 9


@workflow
async def in_a_row(ctx: WorkflowContext, count: int) -> list[int]:
    return [await ctx.call_activity("echo", number) for number in range(count)]


@workflow
async def side_by_side(ctx: WorkflowContext, count: int) -> list[int]:
    return list(await ctx.when_all(*[ctx.call_activity("echo", n) for n in range(count)]))


async def echo(value: int) -> int:
    return value


@pytest.mark.parametrize(("code", "syncs"), [(in_a_row, 21), (side_by_side, 2)])
def test_a_step_is_one_sync_answers_at_once_share_it_and_others_run_between(
    store: EventStore, code: Any, syncs: int
) -> None:
    rounds = 0

    async def beside() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    async def whole() -> Any:
        async with Runtime(store, code, activities=[echo]) as runtime:
            before = store.disk.data_syncs
            other = asyncio.ensure_future(beside())
            handle = await runtime.start(code, 20, id="w")
            found = await handle.result(), store.disk.data_syncs - before
            other.cancel()
            return found

    assert asyncio.run(whole()) == (list(range(20)), syncs)
    assert rounds >= syncs
