"""The turns of a durable host in an asyncio loop: take what has happened, commit, carry out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from flowlab.errors import (
    ConcurrencyError,
    FencedError,
    FlowlabError,
    InvalidArgumentError,
    PoisonedError,
)
from flowlab.runtime.agents import Lane
from flowlab.runtime.effect import Effect, Outcome
from flowlab.runtime.guarding import Guarding
from flowlab.runtime.host import Host
from flowlab.runtime.inquiry import found_out
from flowlab.runtime.instance import Instance
from flowlab.runtime.lease import RENEWALS, Lease
from flowlab.runtime.performing import Performing
from flowlab.runtime.turn import Turn
from flowlab.workflow.cells import Cells

T = TypeVar("T")
MAX_ENDED: Final = 1_000
"""Workflows that have ended and are kept in memory."""


class Turns:
    """Runs a host: one turn after the other, each one durable commit.

    Args:
        host: the core.
        before: called once, before the first turn.
        threads, processes: how many of each carry out activities.
        lease: on the store, which is renewed for as long as it runs.
    """

    def __init__(
        self,
        host: Host,
        before: Callable[[], None],
        *,
        threads: int,
        processes: int,
        lease: Lease | None = None,
    ) -> None:
        self._host = host
        self._before = before
        self._performing = Performing(self._answered, threads=threads, processes=processes)
        self._guarding = Guarding()
        self._happened: list[tuple[Callable[[], object], asyncio.Future[Any] | None]] = []
        self._scheduled = False
        self._inquiries: set[tuple[str, int]] = set()
        self._timers: dict[tuple[str, int], asyncio.TimerHandle] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: BaseException | None = None
        self._ended: deque[Instance] = deque()
        self._lease = lease
        self._renewal: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"Turns({self._host!r})"

    async def ended(self, instance: Instance) -> None:
        """Wait until a workflow has ended, or the runtime has stopped."""
        if instance.settled:
            return
        self.enter()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(instance.workflow_id, []).append(future)
        await future

    async def quiet(self) -> None:
        """Wait until nothing is at work and no timer runs: what is open waits for outside events.

        Raises:
            FlowlabError: the runtime had to stop.
        """
        self.enter()
        if not self._is_quiet():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault("", []).append(future)
            await future

    def _is_quiet(self) -> bool:
        return not (self._timers or self._happened or self._performing.count)

    async def close(self) -> None:
        """Stop; what has not ended goes on when it is started or recovered again.

        The store stays open. Activities that are tasks are canceled, and count as uncertain.
        """
        if self._stopped is None:
            message = "the runtime was closed; make another one on the store to go on"
            self._stop(InvalidArgumentError(message))
        await self._performing.close()
        if self._host.pool is not None:
            self._host.pool.close()
        if self._lease is not None and self._loop is not None:
            self._lease.release()

    def enter(self) -> None:
        """Bind it to the loop that runs.

        Raises:
            FlowlabError: it has stopped: why it did.
            InvalidArgumentError: it lives in another loop.
        """
        if self._stopped is not None:
            raise self._stopped
        loop = asyncio.get_running_loop()
        if self._loop is None:
            try:
                self._before()
                if self._lease is not None:
                    self._lease.take()
            except OSError as error:
                told = _told(error)
                if told is error:
                    raise
                raise told from error
            self._loop = loop
            if self._lease is not None:
                self._renew_later(self._lease)
        elif self._loop is not loop:
            message = "this runtime lives in another event loop; make one in this loop"
            raise InvalidArgumentError(message)

    def _renew_later(self, lease: Lease) -> None:
        assert self._loop is not None

        def renew() -> None:
            try:
                lease.renew()
            except FencedError as error:
                self._stop(error)
            else:
                self._renew_later(lease)

        delay = lease.lease_ns / RENEWALS / 1e9
        self._renewal = self._loop.call_later(delay, renew)

    async def do(self, action: Callable[[], T]) -> T:
        """Do something in the next turn; return once it is durable."""
        self.enter()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._occur(action, future)
        return await future

    def _occur(
        self, action: Callable[[], object], future: asyncio.Future[Any] | None = None
    ) -> None:
        self._happened.append((action, future))
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Take all that has happened, make it durable, and do what is to be done then."""
        if self._stopped is not None:
            return
        self._scheduled = True  # whatever happens meanwhile is for the next one
        try:
            turn = self._durable()
            if turn is not None:
                self._carry_out(turn)
        finally:
            self._scheduled = False
        if self._happened:
            self._schedule()

    def _durable(self) -> Turn | None:
        """Take what has happened, and make it durable; None where the runtime had to stop."""
        happened, self._happened = self._happened, []
        answers: list[tuple[asyncio.Future[Any], Any]] = []
        self._guarding.enter()
        try:
            for place, (action, future) in enumerate(happened, 1):
                if future is None:
                    action()
                else:
                    self._take(action, future, answers)
                if self._host.recording.is_full:
                    self._happened[:0] = happened[place:]
                    del happened[place:]
                    break
            turn = self._host.commit(self._prepare)
        except BaseException as error:
            self._guarding.leave()
            self._performing.take_back()
            self._happened = [*happened, *self._happened]  # so that everybody hears of it
            self._stop(_told(error))
            if not isinstance(error, (FlowlabError, OSError)):
                raise
            return None
        if self._loop is None or answers or turn.ended or not turn.effects:
            self._guarding.leave()
        else:
            # Somebody outside hears of nothing else, and may be answered at once.
            self._guarding.leave_later(self._loop)
        for future, value in answers:
            if not future.done():
                future.set_result(value)
        return turn

    def _prepare(self, turn: Turn) -> None:
        """Get ready for what the turn asks for, which is not durable yet: nothing begins."""
        if turn.stopped:
            return  # some of it may never begin
        are_ready = bool(turn.effects)
        for lane, effect in turn.effects:
            _, performer = self._host.agents.find(effect.agent, effect.activity)
            assert performer is not None
            are_ready &= self._performing.prepare(lane, effect, performer)
        turn.is_ready = are_ready and turn.is_simple

    @staticmethod
    def _take(
        action: Callable[[], object],
        future: asyncio.Future[Any],
        answers: list[tuple[asyncio.Future[Any], Any]],
    ) -> None:
        try:
            answers.append((future, action()))
        except FlowlabError as error:  # a caller's mistake is the caller's to hear of
            if not future.done():
                future.set_exception(error)

    def _tell_at_work(self, turn: Turn) -> None:
        """Let what is at work know that nobody waits for it any more."""
        for place in turn.stopped:
            timer = self._timers.pop(place, None)
            if timer is not None:
                timer.cancel()
            self._performing.cancel(*place)
        for place in turn.late:
            self._performing.tell(place)

    def _carry_out(self, turn: Turn) -> None:
        if turn.is_ready:
            self._performing.begin_ready()  # so it is at nearly every step
            return
        if turn.stopped or turn.late:
            self._tell_at_work(turn)
        # What was asked for and given up in one turn is never begun.
        stopped = set(turn.stopped)
        for workflow_id, sequence, delay_ns in turn.timers:
            if (workflow_id, sequence) not in stopped:
                self._wait(workflow_id, sequence, delay_ns)
        for effect, performer in turn.inquiries:
            if effect.place in stopped:
                self._occur(partial(self._host.canceled, effect))
                continue
            self._inquiries.add(effect.place)
            self._performing.begin(None, effect, performer)
        for workflow_id, number, delay_ns in turn.errands:
            self._run_later(workflow_id, number, delay_ns)
        for lane, effect in turn.effects:
            if stopped and effect.place in stopped:
                self._occur(partial(self._host.canceled, effect, lane))
            else:
                self._hand_out(lane, effect)
        for instance in turn.ended:
            instance.settled = True
            self._wake(instance.workflow_id)
            self._let_go(instance)
        if "" in self._waiting and self._is_quiet():
            self._wake("")

    def _let_go(self, ended: Instance) -> None:
        """Keep the workflows that ended last in memory; the store has the others."""
        self._ended.append(ended)
        known = self._host.instances
        # Two for each that comes: so those that had to wait here are gone once they can.
        for _ in range(min(2, len(self._ended) - MAX_ENDED)):
            oldest = self._ended.popleft()
            if known.get(oldest.workflow_id) is not oldest:
                continue
            # A late answer to one of its requests is still to be written.
            if oldest.standing.effects or oldest.error is not None:
                self._ended.append(oldest)
            else:
                del known[oldest.workflow_id]

    def _wake(self, waits_for: str) -> None:
        for future in self._waiting.pop(waits_for, ()):
            if not future.done():
                future.set_result(None)

    def _wait(self, workflow_id: str, sequence: int, delay_ns: int) -> None:
        assert self._loop is not None
        place = (workflow_id, sequence)

        def fire() -> None:
            self._timers.pop(place, None)
            self._occur(lambda: self._host.fired(workflow_id, sequence))

        # The loop's own clock, which nobody sets: a jump of the wall clock moves no timer.
        self._timers[place] = self._loop.call_later(delay_ns / 1e9, fire)

    def _run_later(self, workflow_id: str, number: int, delay_ns: int) -> None:
        assert self._loop is not None

        def run() -> None:
            self._timers.pop((workflow_id, number), None)
            self._occur(lambda: self._host.run_errand(workflow_id, number))

        self._timers[workflow_id, number] = self._loop.call_later(delay_ns / 1e9, run)

    def _hand_out(self, lane: Lane | None, effect: Effect) -> None:
        assert self._loop is not None
        _, performer = self._host.agents.find(effect.agent, effect.activity)
        assert performer is not None
        if effect.timeout_ns is not None:

            def expire() -> None:
                self._timers.pop(effect.place, None)
                self._occur(lambda: self._host.give_up(effect))

            self._timers[effect.place] = self._loop.call_later(effect.timeout_ns / 1e9, expire)
        self._performing.begin(lane, effect, performer)

    def _answered(
        self, lane: Lane | None, effect: Effect, outcome: Outcome | None, cells: Cells | None
    ) -> None:
        if self._stopped is not None:
            return
        timer = self._timers.pop(effect.place, None) if self._timers else None
        if timer is not None:
            timer.cancel()
        action: Callable[[], object]
        if self._inquiries and effect.place in self._inquiries:
            self._inquiries.remove(effect.place)
            action = partial(found_out, self._host, effect, outcome)
        elif outcome is None:
            action = partial(self._host.canceled, effect, lane)
        else:
            action = partial(self._host.answer, lane, effect, outcome, cells)
        self._happened.append((action, None))
        if self._scheduled or self._performing.count:
            self._schedule()
        else:
            # Nothing else is at work whose answer could share this commit: there is nobody to wait
            # for. This is a step of the activity's task, so the loop has its turn before the next.
            self._turn()

    def _stop(self, error: BaseException) -> None:
        """Do nothing any more: what is in memory may be ahead of the log."""
        self._guarding.leave()
        self._stopped = error
        if self._renewal is not None:
            self._renewal.cancel()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        waiting = [future for futures in self._waiting.values() for future in futures]
        waiting += [future for _, future in self._happened if future is not None]
        self._waiting.clear()
        self._happened.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)


def _told(error: BaseException) -> BaseException:
    """Return the error that everybody who waits is given."""
    if isinstance(error, ConcurrencyError):
        fenced = FencedError(
            f"another runtime, or somebody else, writes to this runtime's workflows: {error}"
        )
        fenced.__cause__ = error
        return fenced
    if isinstance(error, OSError) and not isinstance(error, FlowlabError):
        stopped = PoisonedError(
            f"the runtime has stopped, since its store could not be written: {error}. What was "
            "acknowledged is in the store; mend that (make room, mount it for writing), open the "
            "store again, and start a new Runtime: recover() goes on"
        )
        stopped.errno, stopped.__cause__ = error.errno, error
        return stopped
    return error
