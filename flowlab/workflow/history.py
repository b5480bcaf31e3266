"""A recorded history as columns: what a replay reads, without an object for each event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from flowlab.events import Cause, Event
from flowlab.workflow.answers import STARTS
from flowlab.workflow.matching import COMMAND_TYPES, Grade, Head, counts, difference
from flowlab.workflow.past import Own, own_causes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flowlab.workflow.commands import Asked

    Ints = NDArray[np.int64]

OTHER: Final = 0
COMMAND: Final = 1
"""Something that the code asks for."""
DONE: Final = 2
"""The result of an activity, which follows from one event of the stream at most."""
TAKEN: Final = 3
"""Somebody has taken a request up; it follows from one event of the stream at most."""

_KINDS: Final = {
    **dict.fromkeys(COMMAND_TYPES, COMMAND),
    **dict.fromkeys(STARTS, TAKEN),
    "ActivityCompleted": DONE,
    "CompensationCompleted": DONE,
}


def kind_of(event_type: str, *, own_alone: bool) -> int:
    """Return what an event is to a replay, by its type and by whether it has one cause at most."""
    kind = _KINDS.get(event_type, OTHER)
    return kind if own_alone or kind == COMMAND else OTHER


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look over a whole history tells.

    Attributes:
        whole: whether there are events, each after the one before: none missing and none twice.
        kinds: what each event is to a replay.
        commands: the places of commands, the last first.
        bytes: of all payloads.
        latest_ns: the latest time.
    """

    whole: bool
    kinds: list[int]
    commands: list[int]
    bytes: int
    latest_ns: int

    def __repr__(self) -> str:
        return f"Scan({len(self.kinds)} events, {'whole' if self.whole else 'not whole'})"


class History:
    """Events of one stream in order: a list for each column that a replay reads.

    It can be given to `Execution.advance` and `PlanExecution.advance` in place of events, and is a
    collection of them.

    Attributes:
        workflow_id: the stream.
        sequences, heads, payloads, generations: columns, as `times` is.
        own: of each event its causes within the stream.
    """

    def __init__(
        self,
        workflow_id: str,
        columns: tuple[Any, ...],
        own: list[Own],
        scan: Scan | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.sequences: Sequence[int]
        self.heads: list[Head]
        self.payloads: list[bytes | None]
        self.generations: list[int]
        # Few times are asked for by most replays.
        self._times: Ints | list[int]
        self.sequences, self.heads, self._times, self.payloads, self.generations = columns
        self.own = own
        if scan is not None:
            self.scan = scan

    @classmethod
    def of_events(cls, events: Sequence[Event], workflow_id: str) -> History:
        """Make one of events of a stream."""
        columns: tuple[list[Any], ...] = (
            [event.sequence for event in events],
            [(event.event_type, event.name, event.step_id) for event in events],
            [event.time_ns for event in events],
            [event.payload for event in events],
            [event.generation for event in events],
        )
        return cls(workflow_id, columns, [own_causes(event, workflow_id) for event in events])

    def __repr__(self) -> str:
        return f"History({self.workflow_id!r}, {len(self)} events)"

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[Event]:
        return map(self.event, range(len(self)))

    def __getitem__(self, part: slice) -> History:
        columns = (
            self.sequences[part],
            self.heads[part],
            self._times[part],
            self.payloads[part],
            self.generations[part],
        )
        return History(self.workflow_id, columns, self.own[part])

    def event(self, place: int) -> Event:
        """Return an event as far as the core reads it: with its causes within the stream."""
        own, mine = self.own[place], self.workflow_id
        causes = own if isinstance(own, tuple) else (own,) if own else ()
        event_type, name, step_id = self.heads[place]
        return Event(
            workflow_id=mine,
            sequence=self.sequences[place],
            generation=self.generations[place],
            event_type=event_type,
            name=name,
            time_ns=int(self._times[place]),
            causes=tuple([Cause(mine, sequence) for sequence in causes]),
            step_id=step_id,
            payload=self.payloads[place],
        )

    @cached_property
    def scan(self) -> Scan:
        """What a look over all of it tells."""
        first = self.sequences[0] if self.sequences else 0
        kinds = [
            kind_of(head[0], own_alone=type(own) is not tuple)
            for head, own in zip(self.heads, self.own, strict=True)
        ]
        return Scan(
            whole=bool(kinds) and list(self.sequences) == list(range(first, first + len(kinds))),
            kinds=kinds,
            commands=[place for place, kind in enumerate(kinds) if kind == COMMAND][::-1],
            bytes=sum(map(len, filter(None, self.payloads))),
            latest_ns=max(self.times, default=0),
        )

    @cached_property
    def times(self) -> list[int]:
        """The time of each event."""
        times = self._times
        return times if isinstance(times, list) else times.tolist()

    @cached_property
    def latest(self) -> list[int]:
        """The latest time up to each event."""
        return list(accumulate(self.times, max))

    @cached_property
    def sizes(self) -> list[int]:
        """The bytes of the payloads before each event, and of all."""
        return list(accumulate((len(each or b"") for each in self.payloads), initial=0))

    def commands_after(self, count: int) -> list[int]:
        """Return the places of all commands but the first ones, the last first."""
        asked = self.scan.commands
        return asked[: len(asked) - count]

    def holds(self, place: int, asked: Asked, payload: bytes | None, grade: Grade) -> bool:
        """Say whether an event is what the code asks for, up to a grade."""
        found = difference(
            (*self.heads[place], self.payloads[place]),
            (asked.event_type, asked.name, asked.step_id, payload),
        )
        return found is None or not counts(found, grade)
