"""What a runtime prepares while the device writes: it is the same as after, and begins after."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from recorded_runs import recorded

from flowlab.errors import FlowlabError
from flowlab.runtime import Runtime
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import simulate
from flowlab.store import EventStore
from flowlab.testing import Fault, FaultyDisk
from flowlab.workflow import WorkflowContext, armed, guard, workflow


@workflow
async def one_by_one(ctx: WorkflowContext, count: int) -> int:
    total = 0
    for number in range(count):
        total += await ctx.call_activity("give", number)
    return total


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_code_that_is_told_later_what_it_asked_for_asks_for_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = simulate(SCENARIOS[name], seed=5, faults="chaos")
    told = []
    for how in ("later", "at once"):
        if how == "at once":
            monkeypatch.setattr("flowlab.runtime.handing_back.is_told_in_vain", lambda *_: False)
        driven = recorded(SCENARIOS[name](), run.log, tmp_path / how, seed=5)
        told.append(driven.drive().digest)
        driven.store.close()
    assert told[0] == told[1]


def test_nothing_begins_whose_request_was_written_and_not_synced(tmp_path: Path) -> None:
    steps, begun_and_refused = 6, 0
    for at in range(3, 3 + steps):
        begun: list[int] = []

        async def give(number: int, begun: list[int] = begun) -> int:
            begun.append(number)
            return number

        async def whole(folder: Path, at: int, give: Any) -> None:
            disk = FaultyDisk(folder, Fault("sync tail/#.log", nth=at))
            store = EventStore(folder, disk=disk)
            runtime = Runtime(store, [one_by_one], activities=[give])
            with suppress(FlowlabError):
                handle = await runtime.start(one_by_one, steps, id="w")
                await handle.result()
                pytest.fail("no sync has failed")
            await asyncio.sleep(0)  # what was prepared would begin now
            await runtime.close()

        folder = tmp_path / str(at)
        asyncio.run(whole(folder, at, give))
        with EventStore(folder) as store:
            asked = [
                event.data["input"]
                for event in store.read("/workflows/w/events").events()
                if event.event_type == "ActivityScheduled"
            ]
        assert begun == asked, at
        begun_and_refused += len(begun) < steps
    assert begun_and_refused


def test_a_loop_that_begins_tasks_at_once_begins_nothing_before_the_sync(tmp_path: Path) -> None:
    begun: list[int] = []

    async def give(number: int) -> int:
        begun.append(number)
        return number

    def eager(loop: asyncio.AbstractEventLoop, coroutine: Any, **_: Any) -> asyncio.Task[Any]:
        if coroutine.__name__ != "_perform":
            return asyncio.Task(coroutine, loop=loop)
        with suppress(StopIteration):
            coroutine.send(None)  # the activity waits for nothing
        return asyncio.Task(asyncio.sleep(0), loop=loop)

    async def whole() -> None:
        asyncio.get_running_loop().set_task_factory(eager)
        disk = FaultyDisk(tmp_path, Fault("sync tail/#.log", nth=4))
        runtime = Runtime(EventStore(tmp_path, disk=disk), [one_by_one], activities=[give])
        with suppress(FlowlabError):
            await (await runtime.start(one_by_one, 6, id="w")).result()
            pytest.fail("no sync has failed")
        await runtime.close()

    asyncio.run(whole())
    with EventStore(tmp_path) as store:
        events = store.read("/workflows/w/events").events()
    asked = [e.data["input"] for e in events if e.event_type == "ActivityScheduled"]
    assert begun == asked


def test_clocks_and_chance_are_put_back_once_no_turn_follows() -> None:
    clock, chance = time.time, random.random
    seen = []

    async def give(number: int) -> int:
        seen.append(time.time() > 0 <= random.random())
        await asyncio.sleep(0)
        seen.append(time.time is clock)
        return number

    async def whole(folder: Path) -> int:
        async with Runtime(EventStore(folder), [one_by_one], activities=[give]) as runtime:
            handle = await runtime.start(one_by_one, 5, id="w")
            assert time.time is clock
            return int(await handle.result())

    with TemporaryDirectory() as folder:
        assert asyncio.run(whole(Path(folder))) == 10
    assert time.time is clock
    assert random.random is chance
    assert seen == [True] * 10


def test_a_guard_that_stayed_while_turns_followed_is_gone_a_moment_after_the_last() -> None:
    clock, seen = time.time, []

    async def give(number: int) -> int:
        if number == 19:
            await asyncio.sleep(0.1)
            seen.append(time.time is clock)
        return number

    async def whole(folder: Path) -> int:
        async with Runtime(EventStore(folder), [one_by_one], activities=[give]) as runtime:
            return int(await (await runtime.start(one_by_one, 20, id="w")).result())

    with TemporaryDirectory() as folder:
        assert asyncio.run(whole(Path(folder))) == 190
    assert seen == [True]
    assert time.time is clock


@workflow
async def two_and_more(ctx: WorkflowContext, _: None) -> None:
    await ctx.when_all([ctx.call_activity("give", number) for number in range(2)])
    await ctx.wait_for_event("go")


def test_whoever_waits_until_all_is_quiet_hears_of_the_last_answer_of_several() -> None:
    async def give(number: int) -> int:
        await asyncio.sleep(number / 100)
        return number

    async def whole(folder: Path) -> str:
        async with Runtime(EventStore(folder), [two_and_more], activities=[give]) as runtime:
            await runtime.start(two_and_more, None, id="w")
            async with asyncio.timeout(30):
                await runtime.quiet()
            return str(runtime)

    with TemporaryDirectory() as folder:
        assert asyncio.run(whole(Path(folder)))


def test_a_guard_that_is_left_in_another_thread_is_that_of_the_thread_that_entered_it() -> None:
    clock, entered = time.time, armed()
    there = threading.Thread(target=entered.__enter__)
    there.start()
    there.join()
    with armed():  # this thread's own one stays
        entered.__exit__(None, None, None)
        assert time.time is not clock
        assert guard._armed == {threading.get_ident()}
    assert time.time is clock
    assert not guard._armed


def test_a_clock_replaced_under_the_guard_and_put_back_after_it_is_the_clock_again() -> None:
    clock = time.time
    with pytest.MonkeyPatch.context() as patch:
        with armed():
            patch.setattr(time, "time", lambda: 7.0)
        assert time.time() == 7.0
    assert time.time is not clock  # what was there when it was replaced
    with armed():
        assert time.time() > 7.0
    assert time.time is clock
