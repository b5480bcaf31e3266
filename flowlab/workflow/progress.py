"""How far a history has been read: by events one at a time, or by place in many at hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from flowlab.events import Event
from flowlab.workflow.matching import COMMAND_TYPES

if TYPE_CHECKING:
    from flowlab.workflow.commands import Commands
    from flowlab.workflow.history import History


class Progress:
    """What is counted along a history.

    Attributes:
        last: the place of the last event in the stream; 0 before any.
        place: in what is at hand, of the event that is answered now.
    """

    __slots__ = ("_batch", "_bytes", "_ground", "_length", "_now_ns", "_saved", "last", "place")

    def __init__(self) -> None:
        self.last = 0
        self.place = 0
        self._length = 0
        self._bytes = 0
        self._now_ns = 0
        self._batch: Sequence[Event] = ()
        self._ground: History | None = None
        self._saved = 0

    def __repr__(self) -> str:
        return f"Progress({self.length} events)"

    @property
    def length(self) -> int:
        """The events up to the one that is answered now."""
        return self._length + (0 if self._ground is None else self.place + 1)

    @property
    def bytes_read(self) -> int:
        """The bytes of their payloads, since the last savepoint."""
        if self._ground is None:
            return self._bytes
        sizes = self._ground.sizes
        return self._bytes + sizes[self.place + 1] - sizes[self._saved]

    @property
    def now_ns(self) -> int:
        """The latest of their times."""
        if self._ground is None:
            return self._now_ns
        return max(self._now_ns, self._ground.latest[self.place])

    def begin_at(self, started: Event, last: int) -> None:
        """Begin behind some events of a generation."""
        self._now_ns, self.last = started.time_ns, last
        self._length = last - started.sequence + 1

    def save(self) -> None:
        """Count the bytes anew, from behind the event that is answered now."""
        self._bytes, self._saved = 0, self.place + 1

    def take(self, event: Event) -> None:
        """Count an event."""
        self.last = event.sequence
        self._length += 1
        if event.payload is not None:
            self._bytes += len(event.payload)
        self._now_ns = max(self._now_ns, event.time_ns)

    def begin(self, batch: Sequence[Event]) -> int:
        """Have events at hand, to be taken one at a time; return how many there were before."""
        self._batch = batch
        return self._length

    def enter(self, ground: History) -> None:
        """Have a history at hand, to be gone through by place."""
        self._ground, self.place, self._saved = ground, 0, 0

    def leave(self) -> None:
        """Have nothing at hand any more."""
        ground = self._ground
        if ground is not None:
            end = self.place + 1
            # Sums along the way are made only where the code has asked for one.
            self._length += end
            if end == len(ground) and not self._saved:
                read, latest_ns = ground.scan.bytes, ground.scan.latest_ns
            else:
                read = sum(map(len, filter(None, ground.payloads[self._saved : end])))
                latest_ns = max(ground.times[:end])
            self._bytes += read
            self._now_ns = max(self._now_ns, latest_ns)
            self.last = ground.sequences[self.place]
        self._batch, self._ground = (), None

    def command(self, commands: Commands) -> tuple[str, str] | None:
        """Return the type and name of the command at hand that nobody has asked for yet."""
        ground = self._ground
        if ground is not None:
            if not commands.ahead:
                return None
            place = commands.ahead[-1]
            return ground.heads[place][:2]
        rest = islice(self._batch, self.place + 1, None)
        asked = (event for event in rest if event.event_type in COMMAND_TYPES)
        then = next(islice(asked, commands.waiting, None), None)
        return None if then is None else (then.event_type, then.name)
