"""Results that are not there yet, and the fibers that wait for them: a loop without a clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from flowlab.errors import CancelledError, InvalidArgumentError
from flowlab.events import CauseKind

Because = dict[int, int]
"""The events that let code go on: sequence in the workflow's stream -> kind of cause."""

Stopper = Callable[[str, Because | None], None]
"""Gives something up, for a reason; the events that led to that, or None: why the code runs now."""

MAX_FIBERS: Final = 100_000
"""Most coroutines that one workflow may have going at once."""


class ContinueAsNew(BaseException):
    """Ends a workflow's generation; raised by `ctx.continue_as_new`."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


_RESULTS: Final = (Exception, ContinueAsNew, SystemExit, GeneratorExit)
"""What a workflow's code may end with; all else is the host's, such as a person's Ctrl+C."""


class Handle:
    """A result that a workflow may wait for: `await` it once or often, alone or with others.

    Attributes:
        done: whether it is there.
        because: the events that answered it.
    """

    __slots__ = ("_callbacks", "_error", "_value", "because", "done", "stopper", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.done = False
        self.because: Because = {}
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], None]] = []
        self.stopper: Stopper | None = None

    def __repr__(self) -> str:
        return f"Handle({self.what!r}, {'done' if self.done else 'waiting'})"

    def __await__(self) -> Generator[Handle, None, Any]:
        """Wait until it is done; return its value or raise its error."""
        # Even an answer that is there is taken from the loop: what follows, follows from it.
        yield self
        while not self.done:
            yield self
        return self.result()

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
        if not self.done and self.stopper is not None:
            self.stopper(reason, because)

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
        else:
            self._callbacks.append(callback)

    def _finish(self, value: Any, error: BaseException | None, because: Because) -> None:
        if self.done:
            return
        self.done, self._value, self._error, self.because = True, value, error, because
        self.stopper = None
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Fiber:
    """One coroutine of a workflow, and why it runs.

    Attributes:
        because: the events that what it does now follows from.
        waits: what it waits for.
        pending: an interruption that has not reached it.
        shield: above 0, no interruption reaches it.
        sagas: how many it is in; a workflow does not end before they have.
        agents: whom it has asked for something.
    """

    __slots__ = (
        "agents",
        "because",
        "coroutine",
        "handle",
        "pending",
        "sagas",
        "shield",
        "waits",
    )

    def __init__(self, coroutine: Coroutine[Any, Any, Any], because: Because, what: str) -> None:
        self.coroutine = coroutine
        self.because = because
        self.handle = Handle(what)
        self.waits: Handle | None = None
        self.pending: tuple[CancelledError, str, Because] | None = None
        self.shield = 0
        self.sagas = 0
        self.agents: tuple[str, ...] = ()

    def called(self, agent: str | None) -> None:
        """Take note that it has asked an agent for something."""
        if agent is not None and agent not in self.agents:
            self.agents += (agent,)


class Loop:
    """Runs fibers one at a time, in the order in which what they wait for was answered.

    Args:
        minimal: takes out of some events those that others of them follow from.

    Attributes:
        ready: the fibers that can go on, each with what interrupts it.
        alive: the fibers that have not ended.
        current: the fiber whose code runs now.
    """

    __slots__ = ("_minimal", "alive", "current", "ready")

    def __init__(self, minimal: Callable[[Because], Because]) -> None:
        self._minimal = minimal
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
        self.alive[fiber] = None
        self.ready.append((fiber, None))

    def interrupt(
        self, fiber: Fiber, error: CancelledError, reason: str, because: Because | None
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
                    self.current = fiber
                    try:
                        self._step(fiber, error)
                    finally:
                        self.current = None

    def close(self) -> None:
        """End every fiber, without letting it go on."""
        self.ready.clear()
        for fiber in list(self.alive):
            # The workflow has ended: nobody is there whom a branch's cleaning up could tell.
            with suppress(Exception):
                fiber.coroutine.close()
        self.alive.clear()

    def _step(self, fiber: Fiber, error: BaseException | None) -> None:
        while True:
            try:
                send = fiber.coroutine.send
                waited = send(None) if error is None else fiber.coroutine.throw(error)
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
                message = (
                    f"a workflow awaited {type(waited).__name__}, which is not its context's; "
                    "await what ctx gives (ctx.sleep, ctx.call_activity, ctx.when_all, ...)"
                )
                error = InvalidArgumentError(message)
            elif fiber.pending is not None and not fiber.shield:
                (error, reason, why), fiber.pending = fiber.pending, None
                self._give_up(fiber, waited, reason, why)
            elif waited.done:
                self._learn(fiber, waited.because)
            else:
                fiber.waits = waited
                waited.then(partial(self._wake, fiber, waited))
                return

    def _give_up(self, fiber: Fiber, waited: Handle, reason: str, why: Because) -> None:
        # First the wait ends, so that what is given up at once does not wake the fiber, too.
        fiber.waits = None
        waited.stop(reason, why)
        self._learn(fiber, why)

    def _learn(self, fiber: Fiber, because: Because) -> None:
        """Take note that what a fiber does from now on follows from some events, too."""
        if not because.keys() <= fiber.because.keys():
            fiber.because = self._minimal({**fiber.because, **because})

    def _wake(self, fiber: Fiber, handle: Handle) -> None:
        if fiber.waits is handle:
            fiber.waits = None
            self._learn(fiber, handle.because)
            self.ready.append((fiber, None))


def all_of(handles: Sequence[Handle]) -> Handle:
    """Return a handle for all: their values in order, or the first error when it comes."""
    whole = Handle(f"all of {len(handles)}")

    left = len(handles)

    def look(handle: Handle) -> None:
        nonlocal left
        left -= 1
        if whole.done:
            return
        if handle.error is not None:
            bad = next(each for each in handles if each.error is not None)
            assert bad.error is not None
            whole.reject(bad.error, bad.because)
        elif not left:
            values = [each.result() for each in handles]
            whole.resolve(values, joined(each.because for each in handles))

    for handle in handles:
        handle.then(partial(look, handle))
    if not handles:
        whole.resolve([], {})
    whole.stopper = partial(_stop, handles)
    return whole


def any_of(handles: Sequence[Handle]) -> Handle:
    """Return a handle for the first: its value is the handle that is done.

    Raises:
        InvalidArgumentError: there is none to wait for.
    """
    if not handles:
        message = "when_any needs at least one thing to wait for"
        raise InvalidArgumentError(message)
    first = Handle(f"any of {len(handles)}")

    for handle in handles:
        handle.then(partial(_win, first, handle))
    first.stopper = partial(_stop, handles)
    return first


def _stop(handles: Sequence[Handle], reason: str, because: Because | None) -> None:
    for handle in handles:
        handle.stop(reason, because)


def _win(first: Handle, handle: Handle) -> None:
    first.resolve(handle, handle.because)


def joined(several: Iterable[Because]) -> Because:
    """Return why code goes on that has waited for several things at once."""
    merged = {sequence: kind for because in several for sequence, kind in because.items()}
    if len(merged) == 1:
        return merged
    return dict.fromkeys(sorted(merged), int(CauseKind.JOIN))
