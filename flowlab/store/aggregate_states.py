"""States of aggregates: in memory by version, saved every so many events, else from the log."""

from __future__ import annotations

import copy
import hashlib
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.errors import (
    CorruptionError,
    FlowlabError,
    FormatVersionError,
    InvalidArgumentError,
    InvalidEventError,
    TruncatedError,
)
from flowlab.events import Event, encode_json, grouped
from flowlab.store.aggregate import Aggregate, Snapshots
from flowlab.store.containers import (
    AGGREGATE,
    SUFFIX,
    Container,
    add_container,
    read_container,
)
from flowlab.store.files import Disk
from flowlab.store.layout import Stream
from flowlab.store.position_read import stream_events

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

FOLDER: Final = "aggregates"
TURNS: Final = 64
"""Locks by which threads that execute commands on the same stream take turns."""
MAX_CACHED_STATES: Final = 1_024
"""States that are kept in memory; the one that was used longest ago is let go."""


@dataclass(frozen=True, slots=True)
class Known:
    """A state after an event of its stream; `state` gives a copy, so that nobody can change it.

    Args:
        version: the sequence of the last event in it, 0 before the first.
        position: of that event.
        encoded: the state as JSON, None where it is none.
        held: the state itself where it is no JSON.
    """

    version: int
    position: int
    encoded: bytes | None
    held: Any = None

    @classmethod
    def of(cls, version: int, position: int, state: Any) -> Known:
        """Keep a state."""
        try:
            return cls(version, position, encode_json(state))
        except InvalidEventError:
            return cls(version, position, None, copy.deepcopy(state))

    def state(self) -> Any:
        """Return the state, the caller's own."""
        if self.encoded is None:
            return copy.deepcopy(self.held)
        return msgspec.json.decode(self.encoded)


class AggregateStates:
    """The states of the aggregates of one open store.

    Args:
        root: of the store.
        table_id: of the store.
        disk: by which snapshots are written.
    """

    def __init__(self, root: Path, table_id: str, disk: Disk) -> None:
        self._root = root
        self._table_id = table_id
        self._disk = disk
        self._known: OrderedDict[tuple[Aggregate, Stream], Known] = OrderedDict()
        self._lock = threading.Lock()
        # Whoever only reads needs none of them.
        self._turns: tuple[threading.RLock, ...] = ()

    def __repr__(self) -> str:
        return f"AggregateStates({len(self._known)} in memory)"

    def turn(self, stream: Stream) -> threading.RLock:
        """Return the lock that whoever decides on a stream holds."""
        if not self._turns:
            with self._lock:
                self._turns = self._turns or tuple(threading.RLock() for _ in range(TURNS))
        return self._turns[hash(stream) % TURNS]

    def cached(self, kind: Aggregate, stream: Stream) -> Known | None:
        """Return the state in memory, which may be behind the log."""
        with self._lock:
            known = self._known.get((kind, stream))
            if known is not None:
                self._known.move_to_end((kind, stream))
            return known

    def keep(self, kind: Aggregate, stream: Stream, known: Known) -> None:
        """Keep a state in memory."""
        with self._lock:
            self._known[kind, stream] = known
            self._known.move_to_end((kind, stream))
            if len(self._known) > MAX_CACHED_STATES:
                self._known.popitem(last=False)

    def load(
        self, snapshot: Snapshot, kind: Aggregate, stream: Stream, *, at: int | None = None
    ) -> Known:
        """Return the state after an event, the last by default: from where least is to be folded.

        Raises:
            TruncatedError: events that it needs are gone.
        """
        known = self.cached(kind, stream)
        if known is None or (at is not None and known.version > at):
            known = self._saved(snapshot, kind, stream, at)
        if known is None:
            known = Known.of(0, 0, kind.initial)
        return self.advanced(snapshot, kind, stream, known, at=at)

    def advanced(
        self,
        snapshot: Snapshot,
        kind: Aggregate,
        stream: Stream,
        known: Known,
        *,
        at: int | None = None,
    ) -> Known:
        """Return a state with the events since, up to `at`.

        Raises:
            TruncatedError: events in between are gone.
        """
        base = snapshot.bases.base(stream)
        # Not told by the events that are left: of a stream that was truncated whole none is.
        if known.version < base and (at is None or at > known.version):
            message = (
                f"the state of {stream[2]!r} cannot be built: events {grouped(known.version + 1)} "
                f"to {grouped(base)} were truncated, and no saved state holds "
                "them; store.save_state(...) before a truncation keeps it, and what was archived "
                "can be read into another store"
            )
            raise TruncatedError(message)
        events = stream_events(snapshot, stream, first=known.version + 1, last=at)
        if not events:
            return known
        last = events[-1]
        return Known.of(last.sequence, last.position, folded(kind, known.state(), events))

    def save_due(self, kind: Aggregate, stream: Stream, before: int, known: Known) -> None:
        """Save a state if its policy says so.

        The events are durable whatever becomes of it, so a failure is a warning.
        """
        policy = kind.snapshots
        if policy is None or before // policy.every_events == known.version // policy.every_events:
            return
        try:
            self.save(kind, stream, known)
        except (OSError, FlowlabError) as error:
            _warn(f"the state of {stream[2]!r} could not be saved: {error}")

    def save(self, kind: Aggregate, stream: Stream, known: Known) -> None:
        """Save a state, durable, and let older ones go.

        Raises:
            InvalidArgumentError: it is no JSON value.
        """
        if known.encoded is None:
            message = (
                f"the state of {stream[2]!r} is no JSON value, so that it cannot be saved: it is "
                "built from the whole stream at each load"
            )
            raise InvalidArgumentError(message)
        meta = {
            "aggregate": kind.name,
            "version": kind.version,
            "stream": list(stream),
            "sequence": known.version,
            "position": known.position,
            "table_id": self._table_id,
        }
        folder = self._folder(kind, stream)
        path = folder / f"{known.version:012d}-v{kind.version}{SUFFIX}"
        content = Container(AGGREGATE, meta, known.encoded)
        if add_container(path, content, self._disk) is None and not _is_whole(path):
            self._disk.remove(path)
            add_container(path, content, self._disk)
        policy = kind.snapshots or Snapshots()
        for name in _names(folder)[policy.keep :]:
            self._disk.remove(folder / name)

    def _saved(
        self, snapshot: Snapshot, kind: Aggregate, stream: Stream, at: int | None
    ) -> Known | None:
        folder = self._folder(kind, stream)
        for name in _names(folder):
            sequence, _, version = name.removesuffix(SUFFIX).partition("-v")
            if version != str(kind.version) or (at is not None and int(sequence) > at):
                continue
            try:
                content = read_container(folder / name, kind=AGGREGATE)
            except (CorruptionError, FormatVersionError) as error:
                _warn(f"a saved state of {stream[2]!r} is passed over: {error}")
                continue
            meta = content.meta
            known = Known(int(meta["sequence"]), int(meta["position"]), content.body)
            if known.position > snapshot.position:
                continue  # later than this snapshot, or of a log that was put back from a copy
            if not self._of_this_log(snapshot, stream, kind, meta):
                _warn(f"a saved state of {stream[2]!r} is passed over: {name} is of another log")
                continue
            return known
        return None

    def _of_this_log(
        self, snapshot: Snapshot, stream: Stream, kind: Aggregate, meta: dict[str, Any]
    ) -> bool:
        expected = (kind.name, list(stream), self._table_id)
        if (meta["aggregate"], meta["stream"], meta["table_id"]) != expected:
            return False
        sequence = meta["sequence"]
        last = stream_events(snapshot, stream, first=sequence, last=sequence)
        return not last or last[0].position == meta["position"]

    def _folder(self, kind: Aggregate, stream: Stream) -> Path:
        digest = hashlib.sha256("\0".join((kind.name, *stream)).encode()).hexdigest()
        return self._root / FOLDER / digest[:32]


def folded(kind: Aggregate, state: Any, events: Sequence[Event]) -> Any:
    """Return a state after more events."""
    evolve = kind.evolve
    for event in events:
        state = evolve(state, event)
    return state


def _is_whole(path: Path) -> bool:
    try:
        read_container(path, kind=AGGREGATE)
    except CorruptionError:
        return False
    return True


def _names(folder: Path) -> list[str]:
    """Return the names of saved states, the newest first."""
    try:
        found = [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        (name for name in found if name.endswith(SUFFIX) and name[:1].isdigit()), reverse=True
    )


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=5)
