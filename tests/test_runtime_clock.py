"""Clocks that are set back: no stream's times run backwards, and no timer waits for longer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowlab.runtime import Runtime, clock
from flowlab.runtime.clock import WallClock
from flowlab.store import EventStore
from flowlab.workflow import SECOND, WorkflowContext, workflow

HOUR = 3600 * SECOND


class SetClock:
    def __init__(self, *times: int) -> None:
        self.times = list(times)

    def now_ns(self) -> int:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


@workflow
async def nap(ctx: WorkflowContext, length_ns: int) -> str:
    await ctx.sleep(length_ns)
    await ctx.call_activity("work")
    return "awake"


def work() -> None:
    return None


def times_of(store: EventStore) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for event in store.log().events():
        found.setdefault(event.workflow_id, []).append(event.time_ns)
    return found


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_jump_of_the_clock_while_a_timer_runs_moves_neither_it_nor_times_backwards(
    tmp_path: Path, jump: int
) -> None:
    begun = 10 * HOUR
    length = timedelta(milliseconds=60)

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        with EventStore(tmp_path) as store:
            jumping = SetClock(*[begun] * 3, begun + jump)
            async with Runtime(store, nap, activities=[work], clock=jumping) as runtime:
                before = loop.time()
                handle = await runtime.start(nap, int(length.total_seconds() * SECOND), id="w")
                assert await handle.result() == "awake"
                passed = loop.time() - before
            for times in times_of(store).values():
                assert times == sorted(times)
        return passed

    assert asyncio.run(timed()) >= length.total_seconds()


def test_after_a_restart_on_an_earlier_clock_times_go_on_from_the_last_in_the_log(
    tmp_path: Path,
) -> None:
    agents: Any = {"ann": {"work": work}}

    async def begin(store: EventStore) -> None:
        async with Runtime(store, nap, agents=agents, clock=SetClock(10 * HOUR)) as runtime:
            await (await runtime.start(nap, 1, id="before")).result()
            await runtime.start(nap, SECOND // 50, id="w")

    with EventStore(tmp_path) as store:
        asyncio.run(begin(store))
        runtime = Runtime(store, nap, agents=agents, clock=SetClock(3 * HOUR))
        # It takes as long as is left, which is not the seven hours that the clock is behind.
        assert runtime.run(nap, id="w") == "awake"
        for times in times_of(store).values():
            assert times == sorted(times)
            assert times[0] >= 10 * HOUR


def test_the_wall_clock_goes_on_by_what_has_passed_where_the_systems_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, passed = [10 * HOUR], [1.0]
    monkeypatch.setattr(clock, "wall_ns", lambda: wall[0])
    monkeypatch.setattr(clock, "monotonic_s", lambda: passed[0])
    steady = WallClock()
    assert steady.now_ns() == 10 * HOUR
    wall[0], passed[0] = 9 * HOUR, 3.0
    assert steady.now_ns() == 10 * HOUR + 2 * SECOND
    steady.at_least(11 * HOUR)
    passed[0] = 4.0
    assert steady.now_ns() == 11 * HOUR + SECOND
    wall[0] = 12 * HOUR
    assert steady.now_ns() == 12 * HOUR
