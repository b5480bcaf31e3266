"""Results that are not there yet, and the fibers that wait for them: a loop without a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import CauseKind

Because = dict[int, int]
"""The events that let code go on: sequence in the workflow's stream -> kind of cause."""

MAX_FIBERS: Final = 100_000
"""Most coroutines that one workflow may have going at once."""


class ContinueAsNew(BaseException):
    """Ends a workflow's generation; raised by `ctx.continue_as_new`."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Handle:
    """A result that a workflow may wait for: `await` it once or often, alone or with others.

    Attributes:
        done: whether it is there.
        because: the events that answered it.
    """

    __slots__ = ("_callbacks", "_error", "_value", "because", "done", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.done = False
        self.because: Because = {}
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], None]] = []

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
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Fiber:
    """One coroutine of a workflow, and why it runs."""

    __slots__ = ("because", "coroutine", "handle")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], because: Because, what: str) -> None:
        self.coroutine = coroutine
        self.because = because
        self.handle = Handle(what)


class Loop:
    """Runs fibers one at a time, in the order in which what they wait for was answered.

    Args:
        minimal: takes out of some events those that others of them follow from.
    """

    def __init__(self, minimal: Callable[[Because], Because]) -> None:
        self._minimal = minimal
        self._ready: deque[tuple[Fiber, BaseException | None]] = deque()
        self._alive: dict[Fiber, None] = {}
        self.current: Fiber | None = None

    def start(self, fiber: Fiber) -> None:
        """Let a fiber run, after those that are ready already.

        Raises:
            InvalidArgumentError: there are too many.
        """
        if len(self._alive) >= MAX_FIBERS:
            message = f"a workflow has at most MAX_FIBERS ({MAX_FIBERS:,}) coroutines at once"
            raise InvalidArgumentError(message)
        self._alive[fiber] = None
        self._ready.append((fiber, None))

    def interrupt(self, fiber: Fiber, error: BaseException, because: Because) -> None:
        """Raise an error inside a fiber, at what it waits for."""
        if fiber in self._alive:
            fiber.because = because
            self._ready.append((fiber, error))

    def run(self) -> None:
        """Run until every fiber waits or has ended."""
        while self._ready:
            fiber, error = self._ready.popleft()
            if fiber in self._alive:
                self.current = fiber
                try:
                    self._step(fiber, error)
                finally:
                    self.current = None

    def close(self) -> None:
        """End every fiber, without letting it go on."""
        self._ready.clear()
        for fiber in list(self._alive):
            fiber.coroutine.close()
        self._alive.clear()

    def _step(self, fiber: Fiber, error: BaseException | None) -> None:
        while True:
            try:
                send = fiber.coroutine.send
                waited = send(None) if error is None else fiber.coroutine.throw(error)
            except StopIteration as end:
                del self._alive[fiber]
                fiber.handle.resolve(end.value, fiber.because)
                return
            except (Exception, ContinueAsNew) as raised:  # noqa: BLE001 - its result, whatever
                del self._alive[fiber]
                fiber.handle.reject(raised, fiber.because)
                return
            error = None
            if not isinstance(waited, Handle):
                message = (
                    f"a workflow awaited {type(waited).__name__}, which is not its context's; "
                    "await what ctx gives (ctx.sleep, ctx.call_activity, ctx.when_all, ...)"
                )
                error = InvalidArgumentError(message)
            elif waited.done:
                self._learn(fiber, waited)
            else:
                waited.then(partial(self._wake, fiber, waited))
                return

    def _learn(self, fiber: Fiber, handle: Handle) -> None:
        """Take note that what a fiber does from now on follows from an answer, too."""
        if not handle.because.keys() <= fiber.because.keys():
            fiber.because = self._minimal({**fiber.because, **handle.because})

    def _wake(self, fiber: Fiber, handle: Handle) -> None:
        self._learn(fiber, handle)
        self._ready.append((fiber, None))


def all_of(handles: Sequence[Handle]) -> Handle:
    """Return a handle for all: their values in order, or the first error when it comes."""
    whole = Handle(f"all of {len(handles)}")

    def look() -> None:
        bad = next((handle for handle in handles if handle.error is not None), None)
        if bad is not None:
            assert bad.error is not None
            whole.reject(bad.error, bad.because)
        elif all(handle.done for handle in handles):
            values = [handle.result() for handle in handles]
            whole.resolve(values, _joined(handles))

    for handle in handles:
        handle.then(look)
    if not handles:
        whole.resolve([], {})
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
    return first


def _win(first: Handle, handle: Handle) -> None:
    first.resolve(handle, handle.because)


def _joined(handles: Sequence[Handle]) -> Because:
    merged = {seq: kind for handle in handles for seq, kind in handle.because.items()}
    if len(merged) == 1:
        return merged
    return dict.fromkeys(sorted(merged), int(CauseKind.JOIN))
