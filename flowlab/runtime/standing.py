"""How a workflow stands, from its history alone: what it has asked for and has no answer to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

import msgspec

from flowlab.errors import CorruptionError
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.vocabulary import TERMINAL_STATUS

OPEN: Final = "open"
"""The status of a workflow that has not ended."""

EFFECTS: Final = frozenset({"ActivityScheduled", "CompensationScheduled"})
"""The requests that an agent carries out, outside the log."""

REQUESTS: Final = EFFECTS | {"TimerStarted", "ChildWorkflowInitiated"}
"""The events that something answers later."""

ANSWERS: Final = frozenset(
    "ActivityCompleted ActivityFailed ActivityTimedOut ActivityCanceled CompensationCompleted "
    "CompensationFailed TimerFired TimerCanceled ChildWorkflowCompleted ChildWorkflowFailed "
    "ChildWorkflowCanceled".split()
)
"""The events that answer one; it is among their causes."""

_LINEAGE: Final = frozenset("ActivityFailed ActivityTimedOut CompensationFailed TimerFired".split())
"""The answers that may lead to the next attempt."""


class Standing:
    """A fold over one workflow's history, newest generation first in mind.

    Attributes:
        head: the last sequence that it has taken; 0 before the first.
        status: `open`, or how it ended.
        started: the event that began the newest generation.
        open: requests of that generation without an answer, by sequence.
        withdrawn: sequences of those that the workflow has asked to give up.
        keys: the idempotency keys of requests, and of what leads to their next attempts.

    Example:
        >>> standing = Standing()
        >>> standing.take(Event.of("WorkflowStarted", workflow_id="w", sequence=1))
        >>> standing.take(Event.of("TimerStarted", workflow_id="w", sequence=2))
        >>> standing
        Standing('open', head=2, 1 open)
    """

    __slots__ = ("head", "keys", "open", "started", "status", "withdrawn")

    def __init__(self) -> None:
        self.head = 0
        self.status = OPEN
        self.started: Event | None = None
        self.open: dict[int, Event] = {}
        self.withdrawn: set[int] = set()
        self.keys: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"Standing({self.status!r}, head={self.head}, {len(self.open)} open)"

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return how a workflow stands after these events, in order."""
        standing = cls()
        for event in events:
            standing.take(event)
        return standing

    @property
    def name(self) -> str:
        """What the workflow is an instance of; empty before it has begun."""
        return "" if self.started is None else self.started.name

    @property
    def generation(self) -> int:
        """How often it has continued as new."""
        return 0 if self.started is None else self.started.generation

    @property
    def parent(self) -> Cause | None:
        """The event of another workflow that asked for this one; None where none did."""
        if self.started is None:
            return None
        forks = (c for c in self.started.causes if c.kind == int(CauseKind.FORK))
        return next(forks, None)

    @property
    def effects(self) -> list[Event]:
        """The requests without an answer that an agent carries out, in order."""
        return [event for event in self.open.values() if event.event_type in EFFECTS]

    def take(self, event: Event) -> None:
        """Take the next event of the stream.

        Raises:
            CorruptionError: it does not follow the one before.
        """
        head, sequence = self.head, event.sequence
        if head and sequence != head + 1:
            message = (
                f"event {sequence} of {event.workflow_id!r} follows {head}; give every "
                "event of the stream, in order and once"
            )
            raise CorruptionError(message)
        self.head = sequence
        kind = event.event_type
        if kind in REQUESTS:
            self.open[sequence] = event
            self._name(event)
        elif kind in ANSWERS:
            self._answer(event)
        elif kind == "ActivityCancelRequested":
            mine = (c.sequence for c in event.causes if c.workflow_id == event.workflow_id)
            self.withdrawn.update(sequence for sequence in mine if sequence in self.open)
        elif kind == "WorkflowStarted":
            self._begin(event)
        elif kind in TERMINAL_STATUS:
            self.status = TERMINAL_STATUS[kind]

    def _answer(self, event: Event) -> None:
        opened, mine = self.open, event.workflow_id
        for cause in event.causes:
            sequence = cause.sequence
            if sequence in opened and cause.workflow_id == mine:
                del opened[sequence]
                if self.withdrawn:
                    self.withdrawn.discard(sequence)
                key = self.keys.pop(sequence, None)
                if key is not None and event.event_type in _LINEAGE:
                    self.keys[event.sequence] = key
                return

    def _name(self, request: Event) -> None:
        """Give a request the key that its earlier attempts had, or one of its own."""
        key, keys = None, self.keys
        for cause in request.causes if keys else ():
            if cause.workflow_id == request.workflow_id and cause.sequence in keys:
                key = keys[cause.sequence]
                if cause.sequence not in self.open:
                    del keys[cause.sequence]
        if request.event_type in EFFECTS:
            if key is None or request.step_id is not None:
                key = self._new_key(request)
        elif request.event_type != "TimerStarted":
            return
        if key is not None:
            keys[request.sequence] = key

    def _new_key(self, request: Event) -> str:
        undo = "~" if request.event_type == "CompensationScheduled" else ""
        label = request.step_id or f"{request.name}.{request.sequence}"
        owner, saga = request.workflow_id, request.coordination_id
        if saga is not None and saga != owner:
            label = f"{label}#{saga.removeprefix(f'{owner}#')}"
        generation = self.generation
        later = f"@{generation}" if generation else ""
        return f"{owner}{later}/{undo}{label}"

    def _begin(self, started: Event) -> None:
        parent = self.parent
        if parent is not None and self.parent_of(started) is None:
            # Whoever asked for the first generation waits for the last one.
            started = started.replace(causes=(*started.causes, parent))
        self.started = started
        self.status = OPEN
        self.open.clear()
        self.withdrawn.clear()
        self.keys.clear()

    @staticmethod
    def parent_of(started: Event) -> Cause | None:
        """Return the event of another workflow that asked for one."""
        return next((c for c in started.causes if c.kind == int(CauseKind.FORK)), None)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON value, payloads in base 64."""
        found: dict[str, Any] = msgspec.to_builtins(
            {
                "head": self.head,
                "status": self.status,
                "started": self.started,
                "open": list(self.open.values()),
                "withdrawn": sorted(self.withdrawn),
                "keys": list(self.keys.items()),
            }
        )
        return found

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` wrote.

        Raises:
            CorruptionError: it is something else.
        """
        try:
            read = msgspec.convert(data, _Saved)
        except msgspec.ValidationError as error:
            message = f"this is not how a workflow stands: {error}"
            raise CorruptionError(message) from error
        standing = cls()
        standing.head, standing.status, standing.started = read.head, read.status, read.started
        standing.open = {event.sequence: event for event in read.open}
        standing.withdrawn = set(read.withdrawn)
        standing.keys = dict(read.keys)
        return standing


class _Saved(msgspec.Struct):
    head: int
    status: str
    started: Event | None
    open: list[Event]
    withdrawn: list[int]
    keys: list[tuple[int, str]] = []
