"""Motifs: small patterns of causes, such as a request and its reply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, Self

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import CauseKind, EventLog

PART_COLUMNS: Final = (
    "event_type",
    "name",
    "agent_id",
    "workflow_id",
    "coordination_id",
    "step_id",
)
"""In what a part of a motif may ask something of its event."""
_ANY_TYPE: Final = frozenset({"MarkerRecorded", "MessageSent", "MessageReceived"})
_MOST_PARTS: Final = 16
_COUNTS: Final = (2, _MOST_PARTS - 1)


@dataclass(frozen=True, slots=True)
class Part:
    """One event of a motif.

    Args:
        key: what it is called there.
        lane: a name for its agent: parts with one such name are events of one agent, parts with
            two are of two; "" asks nothing of the agent.
        asks: (column, values): the event has one of the values there.
    """

    key: str
    lane: str = ""
    asks: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Motif:
    """A pattern that `find` looks for.

    A match gives each part an event of one run, no two the same, such that the parts' wishes hold,
    `causes` are edges of the log (the relation `edges`: causes by name, or by the lane), and of
    each pair in `before` the first happened before the second.

    Args:
        name: what it is.
        parts: its events.
        causes: (cause, effect) as places in `parts`.
        before: (earlier, later), as places in `parts`; any number of events may lie between.
        alike: places of parts that may change places; each choice of their events is found once.
        agree: columns in which all events of a match have one value.

    Example:
        >>> motif = Motif.from_text("A: ask>q got<r | B: take<q give>r", name="call")
        >>> motif.where("take", name="charge", event_type=("MessageReceived", "Signaled"))
        Motif('call', ask take give got)
    """

    name: str
    parts: tuple[Part, ...]
    causes: tuple[tuple[int, int], ...] = ()
    before: tuple[tuple[int, int], ...] = ()
    alike: tuple[tuple[int, ...], ...] = ()
    agree: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        keys = self.keys
        if not 1 <= len(keys) <= _MOST_PARTS or len(set(keys)) < len(keys):
            message = (
                f"motif {self.name!r} has {len(keys)} parts named {', '.join(keys)}; it takes from "
                f"1 to {_MOST_PARTS}, each with a name of its own"
            )
            raise InvalidArgumentError(message)
        pairs = (*self.causes, *self.before)
        places = [place for own in (*pairs, *self.alike) for place in own]
        wrong = [column for part in self.parts for column, _ in part.asks]
        wrong = [column for column in (*wrong, *self.agree) if column not in PART_COLUMNS]
        if wrong or not all(0 <= place < len(keys) for place in places):
            what = f"column {wrong[0]!r}" if wrong else "a place of no part"
            message = f"motif {self.name!r}: {what}; columns are {', '.join(PART_COLUMNS)}"
            raise InvalidArgumentError(message)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of its parts."""
        return tuple(part.key for part in self.parts)

    @classmethod
    def from_text(cls, text: str, *, name: str = "pattern") -> Self:
        """Read a motif in the notation of `EventLog.from_text`.

        Events are the parts, and their names the parts' own; lanes are any agents, all different.
        A message is a cause, and an event comes somewhere before the next one on its lane (unless
        that has a `~`). A type that is written is asked for; where none is, any will do.

        Raises:
            InvalidArgumentError: the text breaks the grammar, two events bear one name, or there
                are several runs.
        """
        log = EventLog.from_text(text)
        if len(log.runs) != 1:
            message = f"a motif is one run; the text has {len(log.runs)}"
            raise InvalidArgumentError(message)
        events = log.events()
        places = {event.id: place for place, event in enumerate(events)}
        parts = tuple(
            Part(
                event.name,
                event.agent_id,
                () if event.event_type in _ANY_TYPE else (("event_type", (event.event_type,)),),
            )
            for event in events
        )
        causes = [
            (places[e.id._replace(workflow_id=c.workflow_id, sequence=c.sequence)], places[e.id])
            for e in events
            for c in e.causes
            if c.kind == CauseKind.MESSAGE
        ]
        lanes: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            lanes.setdefault(event.agent_id, []).append(place)
        before = [
            (one, other)
            for own in lanes.values()
            for one, other in pairwise(own)
            if events[other].follows_lane
        ]
        return cls(name, parts, tuple(causes), tuple(before))

    def where(self, key: str, /, **columns: str | tuple[str, ...]) -> Self:
        """Return the motif with a part that asks for more: a value, or one of several, a column.

        Raises:
            NotFoundError: it has no such part.
            InvalidArgumentError: a column is none of `PART_COLUMNS`.
        """
        if key not in self.keys:
            message = f"motif {self.name!r} has no part {key!r}; it has {', '.join(self.keys)}"
            raise NotFoundError(message)
        asked: list[tuple[str, tuple[str, ...]]] = [
            (column, (values,) if isinstance(values, str) else tuple(values))
            for column, values in columns.items()
        ]
        parts = tuple(
            replace(part, asks=(*part.asks, *asked)) if part.key == key else part
            for part in self.parts
        )
        return replace(self, parts=parts)

    def agreeing(self, *columns: str) -> Self:
        """Return the motif with columns in which all events of a match have one value."""
        return replace(self, agree=(*self.agree, *columns))

    def __repr__(self) -> str:
        return f"Motif({self.name!r}, {' '.join(self.keys)})"


def request_reply() -> Motif:
    """Return the motif of a call: one agent asks, another takes it, answers, and is heard.

    Example:
        >>> request_reply()
        Motif('request and reply', ask take give got)
    """
    text = "A: ask>q got<r | B: take<q give>r"
    return Motif.from_text(text, name="request and reply")


def broadcast(receivers: int = 2) -> Motif:
    """Return the motif of one event that is a cause of events of so many other agents.

    Raises:
        InvalidArgumentError: the number is not from 2 to 15.
    """
    _check(receivers)
    keys = [f"receive{number}" for number in range(1, receivers + 1)]
    parts = (Part("send", "A"), *(Part(key, f"B{key}") for key in keys))
    causes = tuple((0, place) for place in range(1, receivers + 1))
    return Motif("broadcast", parts, causes, alike=(tuple(range(1, receivers + 1)),))


def gather(senders: int = 2) -> Motif:
    """Return the motif of one event that has causes on so many other agents' lanes.

    Raises:
        InvalidArgumentError: the number is not from 2 to 15.
    """
    _check(senders)
    keys = [f"send{number}" for number in range(1, senders + 1)]
    parts = (*(Part(key, f"B{key}") for key in keys), Part("receive", "A"))
    causes = tuple((place, senders) for place in range(senders))
    return Motif("gather", parts, causes, alike=(tuple(range(senders)),))


def compensation_chain(steps: int = 2) -> Motif:
    """Return the motif of so many steps undone one after the other, by one saga.

    Raises:
        InvalidArgumentError: the number is not from 2 to 7.

    Example:
        >>> compensation_chain(2)
        Motif('compensation chain', undo1 undone1 undo2 undone2)
    """
    _check(steps, most=_COUNTS[1] // 2)
    parts: list[Part] = []
    for number in range(1, steps + 1):
        asked = (("undo", "CompensationScheduled"), ("undone", "CompensationCompleted"))
        for word, kind in asked:
            parts.append(Part(f"{word}{number}", "saga", (("event_type", (kind,)),)))
    causes = tuple(pairwise(range(len(parts))))
    return Motif("compensation chain", tuple(parts), causes)


def _check(count: Any, most: int = _COUNTS[1]) -> None:
    if not isinstance(count, int) or not _COUNTS[0] <= count <= most:
        message = f"got {count!r}; expected a number from {_COUNTS[0]} to {most}"
        raise InvalidArgumentError(message)
