"""What an event of the history says to the code that waits for it."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from flowlab.events import CauseKind, Event
from flowlab.events.codec import decode_payload
from flowlab.workflow.handles import Handle, Promise
from flowlab.workflow.past import Because

ANSWERS: Final = {
    "ActivityCompleted": CauseKind.PROGRAM,
    "ActivityFailed": CauseKind.PROGRAM,
    "ActivityTimedOut": CauseKind.PROGRAM,
    "ActivityCanceled": CauseKind.PROGRAM,
    "CompensationCompleted": CauseKind.PROGRAM,
    "CompensationFailed": CauseKind.PROGRAM,
    "TimerFired": CauseKind.TIMER,
    "ChildWorkflowCompleted": CauseKind.JOIN,
    "ChildWorkflowFailed": CauseKind.JOIN,
    "ChildWorkflowCanceled": CauseKind.JOIN,
}
"""The events that answer a request, which is among their causes; and the kind of cause they are."""

STARTS: Final = frozenset({"ActivityStarted"})
"""The events that say who took a request up; an answer may name them instead of the request."""


_KINDS: Final = {"Signaled": int(CauseKind.MESSAGE)} | {
    event_type: int(kind) for event_type, kind in ANSWERS.items()
}
_PROGRAM: Final = int(CauseKind.PROGRAM)


def because(event: Event) -> Because:
    """Return the cause that an event is for what the code does next."""
    return {event.sequence: _KINDS.get(event.event_type, _PROGRAM)}


def data_of(event: Event) -> dict[str, Any]:
    """Return an event's payload, empty where it is no JSON object."""
    data = decode_payload(event.payload)
    return data if isinstance(data, dict) else {}


def error_of(event: Event, fallback: str) -> tuple[str, str]:
    """Return the type and the message of the error that an event carries.

    Example:
        >>> error_of(Event.of("ActivityTimedOut"), "TimedOut")
        ('TimedOut', 'TimedOut')
    """
    error = data_of(event).get("error")
    fields = error if isinstance(error, dict) else {}
    kind = str(fields.get("type") or fallback)
    return kind, str(fields.get("message") or kind)


def told(what: str, reason: str) -> str:
    """Return a message with its reason, where one was given.

    Example:
        >>> told("it was canceled", ""), told("it was canceled", "by hand")
        ('it was canceled', 'it was canceled: by hand')
    """
    return f"{what}: {reason}" if reason else what


class Inbox:
    """Events from outside, by name: each is handed out once, in the order in which they came."""

    __slots__ = ("_kept", "_waiting")

    def __init__(self) -> None:
        self._kept: dict[str, deque[tuple[Any, Because]]] = {}
        self._waiting: dict[str, deque[Handle]] = {}

    @property
    def kept(self) -> dict[str, list[list[Any]]]:
        """What came and was not asked for yet, by name: [sequence, value] of each, in order."""
        return {
            name: [[*because, value] for value, because in kept]
            for name, kept in self._kept.items()
            if kept
        }

    @property
    def waiting(self) -> list[Handle]:
        """The handles that wait."""
        return [handle for waiting in self._waiting.values() for handle in waiting]

    def keep(self, kept: dict[str, list[list[Any]]]) -> None:
        """Take over what another inbox has kept."""
        for name, events in kept.items():
            taken = ((value, {sequence: int(CauseKind.MESSAGE)}) for sequence, value in events)
            self._kept[name] = deque(taken)

    @property
    def awaited(self) -> tuple[str, ...]:
        """The names that something waits for."""
        return tuple(name for name, waiting in self._waiting.items() if waiting)

    def expect(self, name: str) -> Promise:
        """Return a handle for the next event of a name."""
        handle = Promise(f"event {name!r}")
        kept = self._kept.get(name)
        if kept:
            handle.resolve(*kept.popleft())
        else:
            self._waiting.setdefault(name, deque()).append(handle)
        return handle

    def forget(self, name: str, handle: Handle) -> None:
        """Let a handle wait no more."""
        self._waiting[name].remove(handle)

    def take(self, event: Event) -> None:
        """Give an event to the first that waits for its name, or keep it."""
        value = data_of(event).get("value")
        waiting = self._waiting.get(event.name)
        if waiting:
            waiting.popleft().resolve(value, because(event))
        else:
            self._kept.setdefault(event.name, deque()).append((value, because(event)))
