"""The values of time travel: checkpoints, cells, and what recovery from a place would read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.figures.text import plural

Stream = tuple[str, str, str]
"""Of events: namespace, run and workflow."""


class Taken(Protocol):
    """A checkpoint: what a store's checkpoints say of themselves."""

    @property
    def stream(self) -> Stream:
        """(namespace, run_id, workflow_id)."""

    @property
    def at(self) -> int:
        """The last sequence in its state."""

    @property
    def size_bytes(self) -> int:
        """Of its state."""

    @property
    def savepoint(self) -> bool:
        """Whether it is a user's own."""


class Folding(Protocol):
    """An aggregate, as far as its state is made of its events."""

    @property
    def name(self) -> str:
        """Of the kind."""

    @property
    def initial(self) -> object:
        """The state before the first event."""

    def evolve(self, state: object, event: Event, /) -> object:
        """Return the state after an event."""


@dataclass(frozen=True, slots=True)
class CheckpointMark:
    """Where a checkpoint lies.

    Args:
        stream: (namespace, run_id, workflow_id).
        at: the last sequence of the stream that is in its state.
        size_bytes: of the state.
        savepoint: a user's own, rather than one for recovery.

    Raises:
        InvalidArgumentError: the stream is no triple of texts, or a number is below 0.

    Example:
        >>> CheckpointMark(("default", "", "trip-1"), at=12, size_bytes=512)
        CheckpointMark('trip-1' at 12, 512 bytes)
    """

    stream: Stream
    at: int
    size_bytes: int
    savepoint: bool = False

    def __post_init__(self) -> None:
        is_stream = isinstance(self.stream, tuple) and len(self.stream) == 3
        if not is_stream or not all(isinstance(part, str) for part in self.stream):
            message = f"stream is {self.stream!r:.80}; expected (namespace, run_id, workflow_id)"
            raise InvalidArgumentError(message)
        for name, value in (("at", self.at), ("size_bytes", self.size_bytes)):
            if type(value) is not int or value < 0:
                message = f"{name} is {value!r}; expected an int of at least 0"
                raise InvalidArgumentError(message)

    def __repr__(self) -> str:
        kind = ", savepoint" if self.savepoint else ""
        size = plural(self.size_bytes, "byte").replace("\u202f", " ")
        return f"CheckpointMark({self.stream[2]!r} at {self.at}, {size}{kind})"


def marked(one: Taken) -> CheckpointMark:
    """Return where a checkpoint lies.

    Raises:
        InvalidArgumentError: it is no checkpoint.
    """
    try:
        stream, at, size, savepoint = one.stream, one.at, one.size_bytes, one.savepoint
    except AttributeError as error:
        message = (
            f"{one!r:.80} is no checkpoint; expected what store.checkpoints(...) returns, or a "
            "CheckpointMark"
        )
        raise InvalidArgumentError(message) from error
    return CheckpointMark(stream, at, size, bool(savepoint))


@dataclass(frozen=True, slots=True)
class CellName:
    """What holds a value.

    Args:
        kind: `workflow`, `agent`, `aggregate` or `resource`.
        lane: the number of the lane that it stands in.
        owner: whose it is.
        key: which of its values.
    """

    kind: str
    lane: int
    owner: str
    key: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A stream with its events, or a resource without any."""

    stream: Stream
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What recovery from a place would read of a stream, or of all.

    Args:
        checkpoints: how many are loaded.
        size_bytes: of these.
        since: events after them.
        replay: events that replay from the beginning would read.
    """

    checkpoints: int
    size_bytes: int
    since: int
    replay: int

    @property
    def words(self) -> str:
        """The same as a sentence.

        Example:
            >>> Reading(1, 512, 3, 15).words
            'Recovery from here reads 1 checkpoint (512 B) and 3 events; replay reads 15 events.'
        """
        replay = f"replay reads {plural(self.replay, 'event')}."
        if not self.checkpoints:
            return f"Recovery from here reads {plural(self.since, 'event')}: no checkpoint yet."
        loaded = f"{plural(self.checkpoints, 'checkpoint')} ({size_words(self.size_bytes)})"
        return f"Recovery from here reads {loaded} and {plural(self.since, 'event')}; {replay}"


def size_words(size: int) -> str:
    """Write a size in bytes, in the unit that fits.

    Example:
        >>> size_words(512), size_words(2048), size_words(3_500_000)
        ('512 B', '2 kB', '3.3 MB')
    """
    if size < 1024:
        return f"{size} B"
    held, units = size / 1024, ["kB", "MB", "GB", "TB"]
    while held >= 1024 and len(units) > 1:
        held /= 1024
        units.pop(0)
    return f"{held:.1f}".removesuffix(".0") + f" {units[0]}"
