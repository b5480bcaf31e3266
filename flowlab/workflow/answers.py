"""What an event of the history says to the code that waits for it."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from flowlab.events import CauseKind, Event
from flowlab.workflow.handles import Because, Handle

ANSWERS: Final = {
    "ActivityCompleted": CauseKind.PROGRAM,
    "ActivityFailed": CauseKind.PROGRAM,
    "ActivityTimedOut": CauseKind.PROGRAM,
    "CompensationCompleted": CauseKind.PROGRAM,
    "CompensationFailed": CauseKind.PROGRAM,
    "TimerFired": CauseKind.TIMER,
    "ChildWorkflowCompleted": CauseKind.JOIN,
    "ChildWorkflowFailed": CauseKind.JOIN,
}
"""The events that answer a request, which is among their causes; and the kind of cause they are."""

STARTS: Final = frozenset({"ActivityStarted"})
"""The events that say who took a request up; an answer may name them instead of the request."""


def because(event: Event) -> Because:
    """Return the cause that an event is for what the code does next."""
    if event.event_type == "Signaled":
        return {event.sequence: int(CauseKind.MESSAGE)}
    return {event.sequence: int(ANSWERS.get(event.event_type, CauseKind.PROGRAM))}


def data_of(event: Event) -> dict[str, Any]:
    """Return an event's payload, empty where it is no JSON object."""
    data = event.data
    return data if isinstance(data, dict) else {}


def error_of(event: Event, fallback: str) -> tuple[str, str]:
    """Return the type and the message of the error that an event carries.

    Example:
        >>> error_of(Event.of("ActivityTimedOut"), "TimedOut")
        ('TimedOut', 'TimedOut')
    """
    error = data_of(event).get("error")
    told = error if isinstance(error, dict) else {}
    kind = str(told.get("type") or fallback)
    return kind, str(told.get("message") or kind)


class Inbox:
    """Events from outside, by name: each is handed out once, in the order in which they came."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[tuple[Any, Because]]] = {}
        self._waiting: dict[str, deque[Handle]] = {}

    def expect(self, name: str) -> Handle:
        """Return a handle for the next event of a name."""
        handle = Handle(f"event {name!r}")
        kept = self._kept.get(name)
        if kept:
            handle.resolve(*kept.popleft())
        else:
            self._waiting.setdefault(name, deque()).append(handle)
        return handle

    def take(self, event: Event) -> None:
        """Give an event to the first that waits for its name, or keep it."""
        value = data_of(event).get("value")
        waiting = self._waiting.get(event.name)
        if waiting:
            waiting.popleft().resolve(value, because(event))
        else:
            self._kept.setdefault(event.name, deque()).append((value, because(event)))
