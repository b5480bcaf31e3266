"""Waiting for several results at once: for all, or for the first."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any

from flowlab.errors import InvalidArgumentError
from flowlab.events import CauseKind
from flowlab.workflow.handles import Handle, Promise
from flowlab.workflow.past import Because


def all_of(handles: Sequence[Handle]) -> Handle:
    """Return a handle for all: their values in order, or the first error when it comes."""
    whole = Promise(f"all of {len(handles)}")

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

    _tell(handles, look, whole)
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
    first = Promise(f"any of {len(handles)}")

    _tell(handles, partial(_win, first), first)
    first.stopper = partial(_stop, handles)
    return first


def _tell(handles: Sequence[Handle], look: Callable[[Handle], None], joint: Handle) -> None:
    """Tell of each handle that is done, until what they are joined in is done.

    A handle that goes on would keep all that ever waited for it beside others, and what came of it.
    """
    told = [(handle, partial(look, handle)) for handle in handles]
    for handle, callback in told:
        handle.then(callback)
    joint.then(partial(_leave, told))


def _leave(told: Sequence[tuple[Handle, Callable[[], None]]]) -> None:
    for handle, callback in told:
        handle.unthen(callback)


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


def unbegun(things: Iterable[object]) -> list[Coroutine[Any, Any, Any]]:
    """Return the coroutines among some things, and in lists of them, that have not begun."""
    found = []
    for thing in things:
        if isinstance(thing, list | tuple):
            found += unbegun(thing)
        elif isinstance(thing, CoroutineType) and getcoroutinestate(thing) == CORO_CREATED:
            found.append(thing)
    return found


def close_unbegun(things: Iterable[object]) -> None:
    """Let go of coroutines that were not begun since something beside them was refused.

    Nobody has forgotten to await them, and to say so would point away from the refusal.
    """
    for coroutine in unbegun(things):
        coroutine.close()
