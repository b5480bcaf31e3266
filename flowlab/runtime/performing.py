"""Carrying effects out: as tasks of the loop, in threads, in processes, or at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from typing import Any, Final

from flowlab.runtime.agents import Lane, Performer
from flowlab.runtime.calling import at_once, in_process, in_thread
from flowlab.runtime.context import ActivityContext, Flag
from flowlab.runtime.effect import Done, Effect, Gone, Outcome, failed
from flowlab.runtime.workers import workers
from flowlab.workflow.cells import Cells

Answered = Callable[[Lane | None, Effect, Outcome | None, Cells | None], None]
"""Hears how an effect ended; None says that it was canceled."""

WORKER_CRASHED: Final = "WorkerCrashed"
"""The type of the error of an activity whose process died under it."""


class Performing:
    """The effects that are being carried out.

    Args:
        answered: hears how each ended, in the loop.
        threads: how many functions run at once in threads.
        processes: how many in other processes.
    """

    __slots__ = (
        "_answered",
        "_calls",
        "_done",
        "_flags",
        "_gone",
        "_pool",
        "_processes",
        "_ready",
        "_tasks",
        "_thread_count",
        "_threads",
    )

    def __init__(self, answered: Answered, *, threads: int, processes: int) -> None:
        self._answered = answered
        self._thread_count = threads
        self._processes = processes
        self._threads: ThreadPoolExecutor | None = None
        self._pool: Executor | None = None
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._ready: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._flags: dict[tuple[str, int], Flag] = {}
        self._done: list[asyncio.Task[None] | None] = []
        self._gone = self._done
        self._calls: dict[tuple[str, int], Future[Any]] = {}

    def __repr__(self) -> str:
        return f"Performing({len(self._tasks)} at work)"

    @property
    def count(self) -> int:
        """How many are at work."""
        return len(self._tasks)

    def prepare(self, lane: Lane | None, effect: Effect, performer: Performer) -> bool:
        """Get ready to begin an effect, in the same step of the loop: or it is to be taken back.

        Returns:
            Whether it could be: what is done at once, when it begins, is never ready.
        """
        # To free a task takes time, and here the device writes: what was done before the last call
        # goes now; what was done since, the task whose step this is among it, stays until the next.
        self._gone, self._done = self._done, []
        if performer.place == "inline":
            return False
        place = effect.place
        cells = Cells(lane.state) if lane is not None and lane.stateful else None
        flag = self._flags[place] = Flag()
        ctx = ActivityContext(effect, None if lane is None else lane.name, cells, flag)
        coroutine = self._perform(lane, effect, performer, ctx, cells)
        # Its first step comes when the loop has its turn, which is after the commit: the loop's own
        # `create_task` may be an eager one, which would take that step here.
        task = asyncio.Task(coroutine, loop=asyncio.get_running_loop())
        self._tasks[place] = self._ready[place] = task
        return True

    def begin_ready(self) -> None:
        """Begin all that was prepared: the loop takes their first steps."""
        self._ready.clear()

    def take_back(self) -> None:
        """Let nothing begin that was prepared: its request did not become durable."""
        for task in self._ready.values():
            task.cancel()  # before its first step, so nothing of it ever runs
        self._ready.clear()

    def begin(self, lane: Lane | None, effect: Effect, performer: Performer) -> None:
        """Begin an effect, whose request is durable."""
        if performer.place == "inline":
            cells = Cells(lane.state) if lane is not None and lane.stateful else None
            ctx = ActivityContext(effect, None if lane is None else lane.name, cells, Flag())
            self._answered(lane, effect, at_once(performer.call, ctx, effect.value), cells)
            return
        if effect.place not in self._ready:
            self.prepare(lane, effect, performer)
        del self._ready[effect.place]

    def cancel(self, workflow_id: str, sequence: int) -> None:
        """Tell an effect that nobody waits for it any more.

        What a thread or another process has begun cannot be stopped: it is answered once it ends,
        and its agent does nothing else meanwhile.
        """
        place = (workflow_id, sequence)
        self.tell(place)
        if place in self._calls:
            self._calls[place].cancel()  # only what waits for a thread or a process
        elif place in self._tasks:
            # After its first step: a task that is canceled before that would answer nobody.
            asyncio.get_running_loop().call_soon(self._tasks[place].cancel)

    def tell(self, place: tuple[str, int]) -> None:
        """Let an effect know, if it looks, that nobody waits for it; it goes on otherwise."""
        if place in self._flags:
            self._flags[place].set()

    async def close(self) -> None:
        """Stop what runs as a task; what runs in threads and processes is left to itself."""
        tasks = list(self._tasks.values())
        for flag in self._flags.values():
            flag.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pool in (self._threads, self._pool):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    async def _perform(
        self,
        lane: Lane | None,
        effect: Effect,
        performer: Performer,
        ctx: ActivityContext,
        cells: Cells | None,
    ) -> None:
        place = effect.place
        outcome: Outcome | None
        try:
            if ctx.is_canceled:
                raise asyncio.CancelledError  # noqa: TRY301 - before it has done anything
            if performer.place == "async":
                outcome = Done(await performer.call(ctx, effect.value))
            elif performer.place == "thread":
                outcome = await self._in_thread(place, performer, ctx, effect.value)
            else:
                outcome = await self._in_process(place, performer, ctx, effect)
        except asyncio.CancelledError as error:
            mine = asyncio.current_task()
            if ctx.is_canceled:
                outcome = None
            elif mine is not None and mine.cancelling():
                raise  # the loop ends
            else:
                outcome = failed(error)  # something that the activity waited for was canceled
        except BrokenExecutor as error:
            told = f"the process that carried out {effect.activity!r} died: {error}"
            outcome = Gone(WORKER_CRASHED, told)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - how it failed; else nobody would hear of it
            outcome = failed(error)
        finally:
            self._done.append(self._tasks.pop(place, None))
            self._flags.pop(place, None)
        self._answered(lane, effect, outcome, cells)

    async def _in_thread(
        self, place: tuple[str, int], performer: Performer, ctx: ActivityContext, value: Any
    ) -> Outcome:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._thread_count, "flowlab-activity")
        return await self._called(
            place, self._threads.submit(in_thread, performer.call, ctx, value)
        )

    async def _in_process(
        self, place: tuple[str, int], performer: Performer, ctx: ActivityContext, effect: Effect
    ) -> Outcome:
        if self._pool is None:
            self._pool = workers(self._processes)
        pool = self._pool
        given = (performer.function, performer.wants, effect, ctx.agent)
        try:
            return await self._called(place, pool.submit(in_process, *given))
        except BrokenExecutor:
            if self._pool is pool:
                self._pool = None  # the next one makes another
            pool.shutdown(wait=False)
            raise

    async def _called(self, place: tuple[str, int], call: Future[Outcome]) -> Outcome:
        self._calls[place] = call
        try:
            return await asyncio.wrap_future(call)
        finally:
            del self._calls[place]
