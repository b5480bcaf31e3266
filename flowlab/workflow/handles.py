"""Results that are not there yet, and the fibers that wait for them: a loop without a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from flowlab.errors import FlowlabError, InvalidArgumentError
from flowlab.workflow.past import Because, Own, Past

Stopper = Callable[[str, Because | None], None]
"""Gives something up, for a reason; the events that led to that, or None: why the code runs now."""

MAX_KNOWN: Final = 4_096
"""Events that a fiber keeps as what it knows, before those are looked for that others follow from.
"""
MAX_FIBERS: Final = 100_000
"""Most coroutines that one workflow may have going at once."""


class NeverBack(BaseException):
    """Leaves code that has not come back: its host raises it there, and undoes nothing."""


class ContinueAsNew(BaseException):
    """Ends a workflow's generation; raised by `ctx.continue_as_new`."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


_RESULTS: Final = (
    Exception,
    ContinueAsNew,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
)
"""What a workflow's code may end with; all else is the host's, such as a person's Ctrl+C."""


class Handle(msgspec.Struct, eq=False, kw_only=True):
    """A result that a workflow may wait for: `await` it once or often, alone or with others.

    Attributes:
        done: whether it is there.
        because: the events that answered it.
    """

    done: bool = False
    because: Because = {}
    _value: Any = None
    _error: BaseException | None = None
    # Nearly always one fiber waits, and nobody else is told.
    waiter: Fiber | None = None
    told: list[Callable[[], None]] | None = None

    def __repr__(self) -> str:
        return f"Handle({self.what!r}, {'done' if self.done else 'waiting'})"

    def __await__(self) -> Generator[Handle, None, Any]:
        """Wait until it is done; return its value or raise its error."""
        # Even an answer that is there is taken from the loop: what follows, follows from it.
        yield self
        while not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value

    @property
    def what(self) -> str:
        """A word for what is waited for."""
        return "an answer"

    def result(self) -> Any:
        """Return the value, or raise the error.

        Raises:
            InvalidArgumentError: it is not done.
        """
        if not self.done:
            message = f"{self.what} is not done; await it"
            raise InvalidArgumentError(message)
        if self._error is not None:
            raise self._error
        return self._value

    @property
    def error(self) -> BaseException | None:
        """The error that it is done with, if it is."""
        return self._error

    def cancel(self, reason: str = "") -> None:
        """Ask that it is given up; awaiting it then raises CancelledError, unless it was done.

        An activity or a child is done when its host has answered, and it may have happened all the
        same: then its result stands. A timer, an event waited for, and a place at a barrier are
        given up at once; a branch is interrupted at what it waits for.
        """
        self.stop(reason, None)

    def stop(self, reason: str, because: Because | None) -> None:
        """Give it up, if it is not done and can be."""

    def resolve(self, value: Any, because: Because) -> None:
        """Give it its value; a second answer changes nothing."""
        self._finish(value, None, because)

    def reject(self, error: BaseException, because: Because) -> None:
        """Give it its error; a second answer changes nothing."""
        self._finish(None, error, because)

    def then(self, callback: Callable[[], None]) -> None:
        """Call when it is done: now, if it is."""
        if self.done:
            callback()
        elif self.told is None:
            self.told = [callback]
        else:
            self.told.append(callback)

    def unthen(self, callback: Callable[[], None]) -> None:
        """Call it no more, if it has not been called."""
        if self.told is not None and callback in self.told:
            self.told.remove(callback)
            self.told = self.told or None

    def _finish(self, value: Any, error: BaseException | None, because: Because) -> None:
        if self.done:
            return
        self.done, self._value, self._error, self.because = True, value, error, because
        self.tell()

    def tell(self) -> None:
        """Let everyone know that it is done."""
        waiter, told = self.waiter, self.told
        self.waiter = self.told = None
        if waiter is not None:
            waiter.wake(self)
        for callback in told or ():
            callback()


class Promise(Handle, eq=False):
    """A handle that somebody else resolves.

    Args:
        what: a word for what is waited for.
        stopper: gives it up; None where it cannot be.
    """

    what: str
    stopper: Stopper | None = None

    def stop(self, reason: str, because: Because | None) -> None:
        """Give it up, if it is not done and can be."""
        if not self.done and self.stopper is not None:
            self.stopper(reason, because)


class Fiber:
    """One coroutine of a workflow, and why it runs.

    What it has come to know is kept as it comes; which events of it follow from others is asked
    where it asks for something that is not in the history yet.

    Attributes:
        send: lets it go on.
        handle: its end.
        waits: what it waits for.
        pending: an interruption that has not reached it.
        shield: above 0, no interruption reaches it.
        sagas: how many it is in; a workflow does not end before they have.
        agents: whom it has asked for something.
        known: events that what it does now follows from, and maybe more that those follow from.
        rough: there may be more of them than need be.
        own: nobody else holds `known`.
        room: so many of them are kept before it is looked which need not be.
    """

    __slots__ = (
        "agents",
        "coroutine",
        "handle",
        "known",
        "loop",
        "own",
        "pending",
        "room",
        "rough",
        "sagas",
        "send",
        "shield",
        "waits",
    )

    def __init__(self, coroutine: Coroutine[Any, Any, Any], because: Because, what: str) -> None:
        self.coroutine = coroutine
        self.send = coroutine.send
        self.handle = Promise(what)
        self.loop: Loop | None = None
        self.waits: Handle | None = None
        self.pending: tuple[FlowlabError, str, Because] | None = None
        self.shield = 0
        self.sagas = 0
        self.agents: tuple[str, ...] = ()
        self.known = because
        self.rough = False
        self.own = False
        self.room = MAX_KNOWN

    @property
    def because(self) -> Because:
        """The events that what it does now follows from."""
        if self.rough and self.loop is not None:
            self.known = self.loop.past.minimal(self.known)
            self.rough = False
        self.own = False
        return self.known

    @because.setter
    def because(self, because: Because) -> None:
        self.known, self.rough, self.own = because, False, False

    def called(self, agent: str | None) -> None:
        """Take note that it has asked an agent for something."""
        if agent is not None and agent not in self.agents:
            self.agents += (agent,)

    def learn(self, because: Because) -> None:
        """Take note that what it does from now on follows from some events, too."""
        assert self.loop is not None
        if len(because) != 1:
            # Kinds of cause may change here: what is known already must be told exactly.
            if not because.keys() <= self.because.keys():
                self.known = self.loop.past.minimal({**self.known, **because})
            return
        (sequence,) = because
        if sequence in self.known:
            return
        if not self.own:
            self.known, self.own = dict(self.known), True
        self.known[sequence] = because[sequence]
        self.rough = True
        if len(self.known) > self.room:
            self.known = self.loop.past.thinned(self.known)
            # What is needed is not looked at again for each event that comes to it.
            self.room = max(MAX_KNOWN, 2 * len(self.known))

    def learn_next(self, because: Because, asked_because: Own) -> None:
        """Learn from the answer to a request; given are the causes that the request had."""
        known = self.known
        if self.rough and len(known) == 2:  # noqa: PLR2004 - what was known and what came
            # The answer before was to a request of another batch, and mostly tells of both.
            known = self.because
        if len(known) == 1 and asked_because in known:
            # What was known, the request followed from: all of it is told by the answer.
            self.known, self.own = because, False
        else:
            self.learn(because)

    def wake(self, handle: Handle) -> None:
        """Go on, if this is what it waits for."""
        if self.waits is handle:
            assert self.loop is not None
            self.waits = None
            self.learn(handle.because)
            self.loop.ready.append((self, None))


class Loop:
    """Runs fibers one at a time, in the order in which what they wait for was answered.

    Args:
        past: of the workflow's stream.

    Attributes:
        ready: the fibers that can go on, each with what interrupts it.
        alive: the fibers that have not ended.
        current: the fiber whose code runs now.
    """

    __slots__ = ("alive", "current", "past", "ready")

    def __init__(self, past: Past) -> None:
        self.past = past
        # Lists, for an empty deque takes more memory than all else of a small workflow.
        self.ready: list[tuple[Fiber, BaseException | None]] = []
        self.alive: dict[Fiber, None] = {}
        self.current: Fiber | None = None

    @property
    def why(self) -> Because:
        """The events that the code which runs now follows from."""
        return self.current.because if self.current is not None else {}

    def start(self, fiber: Fiber) -> None:
        """Let a fiber run, after those that are ready already.

        Raises:
            InvalidArgumentError: there are too many.
        """
        if len(self.alive) >= MAX_FIBERS:
            message = f"a workflow has at most MAX_FIBERS ({MAX_FIBERS:,}) coroutines at once"
            raise InvalidArgumentError(message)
        fiber.loop = self
        self.alive[fiber] = None
        self.ready.append((fiber, None))

    def interrupt(
        self, fiber: Fiber, error: FlowlabError, reason: str, because: Because | None
    ) -> None:
        """Raise an error inside a fiber, at what it waits for, which is given up.

        A fiber that does not wait, or is shielded, meets it where it next waits without a shield.
        """
        if fiber not in self.alive:
            return
        why = self.why if because is None else because
        waited = fiber.waits
        if waited is None or fiber.shield:
            fiber.pending = fiber.pending or (error, reason, why)
        else:
            self._give_up(fiber, waited, reason, why)
            self.ready.append((fiber, error))

    def run(self) -> None:
        """Run until every fiber waits or has ended."""
        while self.ready:
            ready, self.ready = self.ready, []
            for fiber, error in ready:
                if fiber in self.alive:
                    self.step(fiber, error)

    def close(self) -> None:
        """End every fiber, without letting it go on."""
        self.ready.clear()
        for fiber in list(self.alive):
            # The workflow has ended: nobody is there whom a branch's cleaning up could tell.
            with suppress(Exception):
                fiber.coroutine.close()
        self.alive.clear()

    def step(self, fiber: Fiber, error: BaseException | None = None) -> None:
        """Run a fiber until it waits or has ended."""
        self.current = fiber
        try:
            while True:
                try:
                    waited = fiber.send(None) if error is None else fiber.coroutine.throw(error)
                except StopIteration as end:
                    del self.alive[fiber]
                    fiber.handle.resolve(end.value, fiber.because)
                    return
                except _RESULTS as raised:
                    del self.alive[fiber]
                    fiber.handle.reject(raised, fiber.because)
                    return
                error = None
                if not isinstance(waited, Handle):
                    error = _no_handle(waited)
                elif fiber.pending is not None and not fiber.shield:
                    (error, reason, why), fiber.pending = fiber.pending, None
                    self._give_up(fiber, waited, reason, why)
                elif waited.done:
                    fiber.learn(waited.because)
                else:
                    fiber.waits = waited
                    if waited.waiter is None and waited.told is None:
                        waited.waiter = fiber
                    else:
                        waited.then(partial(fiber.wake, waited))
                    return
        finally:
            self.current = None

    def _give_up(self, fiber: Fiber, waited: Handle, reason: str, why: Because) -> None:
        # First the wait ends, so that what is given up at once does not wake the fiber, too.
        fiber.waits = None
        waited.stop(reason, why)
        fiber.learn(why)


def _no_handle(waited: Any) -> InvalidArgumentError:
    message = (
        f"a workflow awaited {type(waited).__name__}, which is not its context's; "
        "await what ctx gives (ctx.sleep, ctx.call_activity, ctx.when_all, ...)"
    )
    return InvalidArgumentError(message)
