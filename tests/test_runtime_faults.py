"""Bad input and faults of the durable host: a clear error each, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import (
    ActivityError,
    CancelledError,
    FlowlabError,
    InvalidArgumentError,
    InvalidEventError,
    LimitError,
    NotFoundError,
    PoisonedError,
    WorkflowError,
)
from flowlab.runtime import ActivityContext, Runtime
from flowlab.simulation import Agent
from flowlab.store import EventStore
from flowlab.testing import Fault, FaultyDisk
from flowlab.workflow import RetryPolicy, WorkflowContext, workflow

HUGE = "x" * (17 * 1024 * 1024)
QUICK = RetryPolicy(initial_interval=timedelta(milliseconds=1), backoff_coefficient=1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as opened:
        yield opened


@workflow
async def count_up(ctx: WorkflowContext, steps: int) -> int:
    total = 0
    for step in range(steps):
        total += await ctx.call_activity("give", step)
    return total


@workflow
async def listen(ctx: WorkflowContext, count: int) -> list[Any]:
    return [await ctx.wait_for_event("told") for _ in range(count)]


@workflow
async def give_huge(ctx: WorkflowContext, how: str) -> str:
    if how == "input":
        await ctx.call_activity("give", HUGE)
    elif how == "many":
        await ctx.when_all(*[ctx.call_activity("give", HUGE[: 9 << 20]) for _ in range(4)])
    elif how == "answer":
        try:
            await ctx.call_activity("huge")
        except ActivityError as error:
            return str(error)
    return HUGE


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def huge() -> str:
    return HUGE


@pytest.mark.parametrize("nth", [1, 2, 5, 9, 14])
@pytest.mark.parametrize("how", ["ENOSPC", "EIO"])
def test_a_full_disk_tells_everybody_who_waits_and_a_new_runtime_goes_on(
    tmp_path: Path, how: str, nth: int
) -> None:
    path = tmp_path / "s"
    EventStore(path).close()
    disk = FaultyDisk(path, Fault("write", nth=nth, how=how, lasting=True))
    acknowledged: list[str] = []

    async def fill() -> list[BaseException | Any]:
        with EventStore(path, disk=disk) as store:
            async with Runtime(store, [count_up, listen], activities=[give]) as runtime:
                handle = await runtime.start(listen, 1, id="listens")
                acknowledged.append("listens")
                counting = await runtime.start(count_up, 20, id="counts")
                acknowledged.append("counts")
                both = asyncio.gather(handle.result(), counting.result(), return_exceptions=True)
                return list(await asyncio.wait_for(both, 60))

    try:
        errors = asyncio.run(fill())
    except OSError as error:
        errors = [error]
    for error in errors:
        assert isinstance(error, PoisonedError)
        assert "start a new Runtime" in str(error) or "open the store again" in str(error)

    async def go_on() -> Any:
        with EventStore(path) as store:
            assert store.verify().ok
            async with Runtime(store, [count_up, listen], activities=[give]) as runtime:
                found = {handle.workflow_id for handle in await runtime.recover()}
                assert found >= set(acknowledged)
                return await (await runtime.start(count_up, 20, id="counts")).result()

    assert asyncio.run(go_on()) == sum(range(20))


def test_what_is_too_large_stops_its_workflow_and_no_other(store: EventStore) -> None:
    async def whole() -> None:
        async with Runtime(store, [give_huge, count_up], activities=[give, huge]) as runtime:
            for how in ("input", "many", "result"):
                handle = await runtime.start(give_huge, how, id=how)
                with pytest.raises(LimitError, match="MAX_"):
                    await handle.result()
            told = await runtime.start(give_huge, "answer", id="answer")
            assert "keep it elsewhere" in await told.result()
            with pytest.raises(LimitError, match="MAX_PAYLOAD_BYTES"):
                await runtime.start(count_up, HUGE, id="large")
            with pytest.raises(LimitError, match="MAX_PAYLOAD_BYTES"):
                await runtime.raise_event("input", "told", HUGE)
            other = await runtime.start(count_up, 3, id="other")
            assert await other.result() == 3

    asyncio.run(whole())
    assert store.verify().ok
    assert store.snapshot().head("large") == 0


def test_a_state_that_is_too_large_fails_the_activity_and_stays_as_it_was(
    store: EventStore,
) -> None:
    def keep(ctx: ActivityContext, count: int) -> int:
        ctx.state["kept"] = HUGE[: count << 20]
        return len(ctx.state["kept"])

    @workflow
    async def fill(ctx: WorkflowContext, count: int) -> int:
        return int(await ctx.call_activity("keep", count, agent="shelf"))

    runtime = Runtime(store, fill, agents=[Agent("shelf", keep, state={"kept": ""})])

    async def whole() -> None:
        async with runtime:
            with pytest.raises(WorkflowError, match="keep large values elsewhere"):
                await (await runtime.start(fill, 17, id="a")).result()
            assert await (await runtime.start(fill, 1, id="b")).result() == 1 << 20

    asyncio.run(whole())


def test_many_large_answers_are_committed_in_several_turns(store: EventStore) -> None:
    async def whole() -> list[int]:
        async def mega(value: int) -> str:
            await asyncio.sleep(0)
            return str(value) * (3 << 20)

        @workflow
        async def one(ctx: WorkflowContext, value: int) -> int:
            return len(await ctx.call_activity("mega", value))

        async with Runtime(store, one, activities=[mega]) as runtime:
            handles = [await runtime.start(one, n, id=f"w{n}") for n in range(9)]
            return [await handle.result() for handle in handles]

    assert asyncio.run(whole()) == [3 << 20] * 9


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), b"raw"])
def test_what_is_no_json_is_the_callers_error(store: EventStore, value: Any) -> None:
    async def whole() -> None:
        async with Runtime(store, listen) as runtime:
            with pytest.raises(InvalidEventError):
                await runtime.start(listen, value, id="a")
            handle = await runtime.start(listen, 1, id="b")
            with pytest.raises(InvalidEventError):
                await handle.raise_event("told", value)
            await handle.raise_event("told", 1)
            assert await handle.result() == [1]

    asyncio.run(whole())


def test_an_activity_that_raises_when_it_is_canceled_stops_nobody(store: EventStore) -> None:
    begun = asyncio.Event()

    async def stubborn(ctx: ActivityContext) -> None:
        begun.set()
        try:
            await ctx.sleep(timedelta(hours=1))
        except asyncio.CancelledError:
            message = "not now"
            raise ValueError(message) from None

    @workflow
    async def ask(ctx: WorkflowContext, _: Any) -> str:
        try:
            await ctx.call_activity("stubborn")
        except CancelledError:
            return "canceled"
        return "done"

    async def whole() -> None:
        runtime = Runtime(store, [ask, count_up], activities=[stubborn, give])
        async with runtime:
            handle = await runtime.start(ask, id="w")
            await begun.wait()
            await handle.cancel("enough")
            assert await handle.result() == "canceled"
            other = await runtime.start(count_up, 3, id="other")
            assert await other.result() == 3

    asyncio.run(whole())
    assert store.verify().ok


def test_an_id_that_is_started_twice_at_once_is_one_workflow(store: EventStore) -> None:
    async def whole() -> list[Any]:
        async with Runtime(store, count_up, activities=[give]) as runtime:
            starts = [runtime.start(count_up, n, id="w") for n in (4, 5, 6)]
            handles = await asyncio.gather(*starts)
            return [await handle.result() for handle in handles]

    assert asyncio.run(whole()) == [6, 6, 6]
    begun = store.sql("SELECT count(*) AS n FROM events WHERE event_type = 'WorkflowStarted'")
    assert begun["n"][0] == 1


def test_events_wait_for_whoever_listens_later_and_none_comes_before_the_start(
    store: EventStore,
) -> None:
    async def whole() -> Any:
        async with Runtime(store, listen) as runtime:
            with pytest.raises(NotFoundError, match="start it first"):
                await runtime.raise_event("w", "told", 0)
            handle = await runtime.start(listen, 3, id="w")
            await asyncio.gather(*[handle.raise_event("told", n) for n in range(3)])
            return await handle.result()

    assert asyncio.run(whole()) == [0, 1, 2]


def test_a_thousand_workflows_at_once(store: EventStore) -> None:
    async def whole() -> int:
        async with Runtime(store, count_up, activities=[give]) as runtime:
            starts = [runtime.start(count_up, 2, id=f"w{n}") for n in range(1_000)]
            handles = await asyncio.gather(*starts)
            return sum(await asyncio.gather(*[handle.result() for handle in handles]))

    assert asyncio.run(whole()) == 1_000
    ended = store.sql("SELECT count(*) AS n FROM workflows WHERE status = 'completed'")
    assert ended["n"][0] == 1_000


def test_closing_tells_who_waits_for_what_never_ends_and_it_goes_on_later(
    store: EventStore,
) -> None:
    async def begin() -> None:
        runtime = Runtime(store, listen)
        async with runtime:
            handle = await runtime.start(listen, 1, id="w")
            waits = asyncio.ensure_future(handle.result())
            await asyncio.sleep(0)
        with pytest.raises(InvalidArgumentError, match="was closed"):
            await waits
        with pytest.raises(InvalidArgumentError, match="was closed"):
            await runtime.start(listen, 1, id="v")
        assert handle.status == "open"
        await runtime.close()

    async def go_on() -> Any:
        async with Runtime(store, listen) as runtime:
            (handle,) = await runtime.recover()
            await handle.raise_event("told", "at last")
            return await handle.result()

    asyncio.run(begin())
    assert asyncio.run(go_on()) == ["at last"]


def test_a_compensation_that_fails_for_ever_is_tried_until_somebody_stops_and_goes_on_after(
    store: EventStore,
) -> None:
    mended = False

    @workflow
    async def trip(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.step("book", compensation="cancel", compensation_retry=QUICK)
            message = "the trip is off"
            raise ValueError(message)

    def book() -> str:
        return "12A"

    def cancel() -> None:
        if not mended:
            message = "nobody answers"
            raise OSError(message)

    def failures() -> int:
        table = store.sql(
            "SELECT count(*) AS n FROM events WHERE event_type = 'CompensationFailed'"
        )
        return int(table["n"][0])

    async def begin() -> None:
        async with Runtime(store, trip, activities=[book, cancel]) as runtime:
            await runtime.start(trip, id="w")
            while failures() < 2:  # noqa: ASYNC110 - the log says it
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(begin(), 60))
    before = failures()
    mended = True
    with pytest.raises(WorkflowError, match="the trip is off") as caught:
        Runtime(store, trip, activities=[book, cancel]).run(trip, id="w")
    assert caught.value.uncompensated == ()
    assert failures() >= before


def test_a_folder_that_cannot_be_written_is_refused_and_nothing_is_begun(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s"
    EventStore(path).close()
    disk = FaultyDisk(path, Fault("any", how="EROFS", lasting=True))
    begun: list[int] = []
    with EventStore(path, disk=disk) as store, pytest.raises((FlowlabError, OSError)) as caught:
        Runtime(store, count_up, activities={"give": begun.append}).run(count_up, 2, id="w")
    assert begun == []
    assert "Read-only" in str(caught.value)
