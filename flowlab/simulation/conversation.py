"""Handlers that wait: an agent that sleeps, or asks another one, in the middle of its work.

An `async` handler is cut at its awaits into segments. Each is one transaction at one moment of
virtual time and ends in one event: `TransactionCommitted`, `TransactionAborted`, or `LockStashed`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import ActivityError, InvalidArgumentError
from flowlab.events import CauseKind
from flowlab.events.wording import error_text
from flowlab.simulation.answers import TALKING, is_decided, joined, note, pass_over, remember
from flowlab.simulation.call import SEVERAL, Call
from flowlab.simulation.injection import CrashAfter, CrashBefore, Fail, Hang
from flowlab.simulation.locks import Stashed
from flowlab.simulation.outage import crash, fail, fault_of
from flowlab.simulation.recorder import Value, plain

if TYPE_CHECKING:
    from flowlab.simulation.server import Server

_TIMER: Final = int(CauseKind.TIMER)


class Pause:
    """What a handler awaits to go on after a time; made by `ctx.sleep`."""

    __slots__ = ("delay_ns",)

    def __init__(self, delay_ns: int) -> None:
        self.delay_ns = delay_ns

    def __repr__(self) -> str:
        return f"Pause({self.delay_ns})"

    def __await__(self) -> Generator[Pause, Any, Any]:
        return (yield self)


class Question:
    """What a handler awaits to go on with the answer of another agent; made by `ctx.call`."""

    __slots__ = ("activity", "kept", "server", "timeout_ns", "value")

    def __init__(self, server: Server, activity: str, value: Any, timeout_ns: int | None) -> None:
        self.server = server
        self.activity = activity
        self.kept, self.value = plain(value)
        self.timeout_ns = timeout_ns

    def __repr__(self) -> str:
        return f"Question({self.server.name!r}, {self.activity!r})"

    def __await__(self) -> Generator[Question, Any, Any]:
        return (yield self)


class Conversation:
    """The handling of one message from its first segment to its answer.

    Args:
        server: the agent.
        call: the message.
        coroutine: the handler at work.

    Attributes:
        segment: counts what it has awaited; a wake-up that names another number comes too late.
        waits_for: the message that it waits to be answered, or how long it sleeps.
        joined: the same request, come again meanwhile, of an agent that deduplicates.
    """

    __slots__ = ("_coroutine", "_mark", "_sent", "call", "joined", "segment", "server", "waits_for")

    def __init__(self, server: Server, call: Call, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.server = server
        self.call = call
        self.segment = 0
        self.waits_for: Call | int | None = None
        self.joined: list[Call] = []
        self._coroutine = coroutine
        self._mark = call.aside
        self._sent = 0
        call.aside = TALKING

    def __repr__(self) -> str:
        return f"Conversation({self.call.label!r}, segment {self.segment})"

    def go_on(self, now_ns: int, step: Callable[[Any], Any], value: Any) -> None:
        """Carry out the segment up to the next await, within the running transaction."""
        server, call = self.server, self.call
        self.waits_for = None
        try:
            asked = step(value)
            self._check(asked)
            call.txn = server.commit(now_ns, call)
        except StopIteration as end:
            self._return(now_ns, end.value)
        except Stashed as stash:
            self.close(now_ns)
            server.engine.locks.stash(now_ns, call, stash.lock)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - how it failed
            self._fail(now_ns, error)
        else:
            self.segment += 1
            self._post(now_ns)
            (self._sleep if isinstance(asked, Pause) else self._ask)(now_ns, asked)

    def _check(self, asked: object) -> None:
        if not isinstance(asked, (Pause, Question)):
            message = (
                f"handler {self.call.name!r} of {self.server.name} awaits {asked!r}; in a world "
                "there is ctx.sleep and ctx.call to await, and no other clock or loop"
            )
            raise InvalidArgumentError(message)

    def _return(self, now_ns: int, value: Any) -> None:
        server, call = self.server, self.call
        try:
            call.kept, outcome = plain(value)
            call.txn = server.commit(now_ns, call)
        except Exception as error:  # noqa: BLE001 - what it returned or wrote is not JSON
            self._fail(now_ns, error)
            return
        call.failed, call.outcome = False, outcome
        if server.agent.deduplicate:
            remember(server, call)
        self._post(now_ns)
        self.close(now_ns)

    def _fail(self, now_ns: int, error: BaseException) -> None:
        self.server.abort(now_ns, self.call, type(error).__name__, error_text(error))
        self.close(now_ns)

    def _post(self, now_ns: int) -> None:
        letters = self.server.context.letters
        if letters:
            self.server.engine.transit.post(now_ns, self.server, self.call, 2 + self._sent)
            self._sent += len(letters)

    def close(self, now_ns: int) -> None:
        """End: drop what is left of the handler."""
        self.server.talks.pop(self.call, None)
        self.call.aside = self._mark
        self.waits_for = None
        self.segment = -1
        with suppress(Exception, Stashed):
            # What a handler would do on its way out is lost with its memory.
            self.server.context.leave()
            self._coroutine.close()
        for other in self.joined:
            other.aside = None
            self.server.wake(now_ns, self.server.again, other, other)

    # -- what it waits for ------------------------------------------------------------------------

    def _sleep(self, now_ns: int, pause: Pause) -> None:
        engine, call = self.server.engine, self.call
        shape = engine.recorder.shape(
            "TimerStarted",
            name=call.name,
            value=Value.INT,
            head=b'{"delay_ns":',
            tail=b"}",
            follows_lane=True,
        )
        row = engine.recorder.add(
            now_ns, shape, self.server.code, call.coordination, value=pause.delay_ns
        )
        self.waits_for = pause.delay_ns
        engine.at(now_ns + pause.delay_ns, self._ring, (self.segment, row))

    def _ring(self, now_ns: int, told: tuple[int, int]) -> None:
        if told[0] == self.segment:
            self.server.wake(now_ns, self._rung, told, self.call)

    def _rung(self, now_ns: int, told: tuple[int, int]) -> None:
        engine = self.server.engine
        shape = engine.recorder.shape(
            "TimerFired", name=self.call.name, kind_a=_TIMER, follows_lane=True
        )
        engine.recorder.add(now_ns, shape, self.server.code, self.call.coordination, told[1])
        self._wake_up(now_ns, self._coroutine.send, None)

    def _ask(self, now_ns: int, question: Question) -> None:
        server, call = self.server, self.call
        engine, number = server.engine, 2 + self._sent
        self._sent += 1
        to, name = question.server, question.activity
        asked = engine.transit.letter(call, to, name, question.value, number)
        row = engine.transit.write_sent(now_ns, server, call, to.name, name, question.kept)
        asked.row = asked.asked = row
        asked.op, asked.waiter = self.segment, self
        self.waits_for = asked
        engine.transit.mail(now_ns, asked, server.name, to.deliver)
        if question.timeout_ns is not None:
            engine.at(now_ns + question.timeout_ns, self._despair, (self.segment, asked))

    def answered(self, now_ns: int, asked: Call) -> None:
        """Take note that the other agent has answered: the answer is on its way."""
        self.server.engine.transit.answer(now_ns, asked, self.server.name, self._hear)

    def _hear(self, now_ns: int, asked: Call) -> None:
        if asked.op == self.segment:
            asked.arrived_ns = now_ns
            self.server.wake(now_ns, self._heard, asked, self.call)
        else:
            self._miss(now_ns, asked)

    def _heard(self, now_ns: int, asked: Call) -> None:
        if asked.op != self.segment:
            self._miss(now_ns, asked)
            self.server.rest(now_ns, self.call)
            return
        waited_ns = now_ns - asked.arrived_ns
        self.server.receive(now_ns, asked.name, waited_ns, self.call.coordination, asked.txn)
        if not asked.failed:
            self._wake_up(now_ns, self._coroutine.send, plain(asked.outcome)[1])
            return
        kind, message = asked.outcome
        told = f"{asked.name} by {asked.server.name} failed: {kind}: {message}"
        error = ActivityError(told, activity=asked.name, error_type=kind)
        self._wake_up(now_ns, self._coroutine.throw, error)

    def _miss(self, now_ns: int, asked: Call) -> None:
        told = {"reason": "nobody waits for it any more", "to": self.server.name}
        self.server.engine.transit.drop(now_ns, asked.txn, told, asked.name)

    def _despair(self, now_ns: int, told: tuple[int, Call]) -> None:
        if told[0] == self.segment:
            self.server.wake(now_ns, self._despaired, told[1], self.call)

    def _despaired(self, now_ns: int, asked: Call) -> None:
        if asked.op != self.segment:
            self.server.rest(now_ns, self.call)
            return
        told = f"{asked.name} by {asked.server.name} was not answered in time"
        error = ActivityError(told, activity=asked.name, error_type="TimedOut", timed_out=True)
        self._wake_up(now_ns, self._coroutine.throw, error)

    # -- how it goes on ---------------------------------------------------------------------------

    def _wake_up(self, now_ns: int, step: Callable[[Any], Any], value: Any) -> None:
        """Carry out the next segment, unless a fault befalls it."""
        server, call = self.server, self.call
        if call.mail & SEVERAL and is_decided(server, call):
            self.close(now_ns)
            pass_over(server, now_ns, call)
            return
        fault = fault_of(server, call, self.segment + 1)
        if isinstance(fault, (Fail, Hang)):
            self.close(now_ns)
            fail(server, now_ns, call, fault)
            return
        if not isinstance(fault, CrashBefore):
            server.context.begin(server, now_ns, call)
            self.go_on(now_ns, step, value)
            if isinstance(fault, CrashAfter):
                call.mail |= SEVERAL
            if call.mail & SEVERAL:
                note(server, call)
        if isinstance(fault, (CrashBefore, CrashAfter)):
            crash(server, now_ns, call, fault)
        else:
            server.leave(now_ns, call)


def begin_talk(
    now_ns: int, server: Server, call: Call, coroutine: Coroutine[Any, Any, Any]
) -> None:
    """Begin a handler that may wait; a transaction has begun for its first segment.

    Of an agent that deduplicates, a request that comes while it is worked on waits for that.
    """
    if server.agent.deduplicate and joined(server, call):
        coroutine.close()
        return
    talk = server.talks[call] = Conversation(server, call, coroutine)
    talk.go_on(now_ns, coroutine.send, None)
