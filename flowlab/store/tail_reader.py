"""Reads the tail as it grows: every durable frame is decoded once, and views of it stay fixed."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from flowlab.errors import CorruptionError
from flowlab.events import EVENT_SCHEMA, Event, RunInfo, table_from_events
from flowlab.store.clock import boot_id
from flowlab.store.frames import FILE_HEADER, Frame, decode_file_header, scan
from flowlab.store.layout import Stream
from flowlab.store.opening import opened
from flowlab.store.tail import read_tail, read_watermark, tail_path


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What an idempotency key of a stream committed."""

    fingerprint: bytes
    first_sequence: int
    last_sequence: int
    first_position: int
    last_position: int


@dataclass(frozen=True, slots=True)
class CommitMark:
    """Where a commit ended in the log, and when."""

    position: int
    committed_ns: int
    epoch: int


@dataclass(slots=True)
class TailBuffer:
    """The decoded frames of one tail file; it only grows, so a view is a length."""

    number: int
    salt: int = 0
    offset: int = 0
    events: list[Event] = field(default_factory=list)
    commits: list[CommitMark] = field(default_factory=list)
    runs: list[tuple[int, RunInfo]] = field(default_factory=list)
    keys: dict[tuple[Stream, str], KeyUse] = field(default_factory=dict)
    streams: dict[Stream, list[int]] = field(default_factory=dict)
    flows: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    tables: list[pa.Table] = field(default_factory=list)
    converted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def extend(self, frames: list[Frame], *, where: str) -> None:
        """Decode more frames.

        Raises:
            CorruptionError: positions do not follow each other.
        """
        for frame in frames:
            commit = frame.commit()
            for item in commit.transactions:
                if item.ticks and self.events and item.first_position != self.end + 1:
                    message = (
                        f"{where}: the frame at offset {frame.offset} begins at position "
                        f"{item.first_position}; expected {self.end + 1}"
                    )
                    raise CorruptionError(message)
                start = len(self.events)
                self.events.extend(item.filled(commit.committed_ns))
                stream = (item.namespace, item.run_id, item.workflow_id)
                if item.ticks:
                    if stream not in self.streams:
                        self.flows.setdefault((stream[0], stream[2]), []).append(stream[1])
                    places = self.streams.setdefault(stream, [])
                    places.extend(range(start, len(self.events)))
                last = item.first_position + len(item.ticks) - 1
                if item.key is not None:
                    self.keys[stream, item.key] = KeyUse(
                        item.fingerprint or b"",
                        item.first_sequence,
                        item.first_sequence + len(item.ticks) - 1,
                        item.first_position,
                        last,
                    )
                self.runs.extend((item.first_position, run) for run in item.runs)
            position = self.end if self.events else frame.first_position - 1
            self.commits.append(CommitMark(position, commit.committed_ns, commit.epoch))
            self.offset = frame.end

    @property
    def end(self) -> int:
        """The position of the last event held, 0 where there is none."""
        return self.events[-1].position if self.events else 0

    def table(self, count: int) -> pa.Table:
        """Return the first `count` events as a table, converting only what is new."""
        with self.lock:
            if self.converted < count:
                fresh = table_from_events(self.events[self.converted : count])
                self.converted = count
                # Merging equal sizes keeps the number of chunks logarithmic.
                while self.tables and self.tables[-1].num_rows <= fresh.num_rows:
                    fresh = pa.concat_tables([self.tables.pop(), fresh]).combine_chunks()
                self.tables.append(fresh)
            whole = pa.concat_tables(self.tables) if self.tables else EVENT_SCHEMA.empty_table()
        return whole.slice(0, count)


@dataclass(frozen=True, slots=True)
class TailView:
    """The durable tail at one moment."""

    buffer: TailBuffer
    events: int
    commits: int
    runs: int
    offset: int

    def table(self) -> pa.Table:
        """Return its events as a table, in position order."""
        return self.buffer.table(self.events)

    def stream(self, stream: Stream) -> list[Event]:
        """Return the events of one stream, in sequence order."""
        places = self.buffer.streams.get(stream, [])
        return [self.buffer.events[i] for i in places[: bisect_left(places, self.events)]]

    def runs_of(self, namespace: str, workflow_id: str) -> list[tuple[str, int, int]]:
        """Return (run, first sequence, last sequence) of a workflow in each run that has it."""
        found = []
        for run in self.buffer.flows.get((namespace, workflow_id), []):
            places = self.buffer.streams.get((namespace, run, workflow_id), [])
            end, events = bisect_left(places, self.events), self.buffer.events
            if end:
                first, last = events[places[0]], events[places[end - 1]]
                found.append((run, first.sequence, last.sequence))
        return found

    def heads(self) -> dict[Stream, int]:
        """Return the last sequence of each stream."""
        return {
            stream: self.buffer.events[places[count - 1]].sequence
            for stream, places in list(self.buffer.streams.items())
            if (count := bisect_left(places, self.events))
        }

    def follows(self, sealed: int) -> bool:
        """Say whether the tail goes on where a sealed part ends."""
        return not self.events or self.buffer.events[0].position == sealed + 1

    def last_position(self, sealed: int) -> int:
        """Return the position of the last event, `sealed` where there is none."""
        return self.buffer.events[self.events - 1].position if self.events else sealed

    def marks(self) -> list[CommitMark]:
        """Return where each commit ended."""
        return self.buffer.commits[: self.commits]


class TailReader:
    """Follows the tail files of a store.

    Args:
        folder: `tail/`.
        owner: the mark of the store, None of one whose tail files carry none.
    """

    def __init__(self, folder: Path, *, owner: int | None = None) -> None:
        self.folder = folder
        self.owner = owner
        self._buffer = TailBuffer(0)
        self._lock = threading.Lock()

    def view(self, number: int) -> TailView | None:
        """Return the durable tail of the file `number`, or None where there is no such file.

        Raises:
            CorruptionError: the file is damaged below what was committed.
        """
        with self._lock:
            known = self._buffer.number == number and self._advance()
            if not known and not self._reload(number):
                return None
            held = self._buffer
            return TailView(held, len(held.events), len(held.commits), len(held.runs), held.offset)

    def _advance(self) -> bool:
        held = self._buffer
        mark = read_watermark(self.folder)
        known = mark is not None and mark.boot == boot_id() != 0 and mark.file == held.number
        if mark is None or not known or mark.offset < held.offset or not held.offset:
            return False
        if mark.offset == held.offset:
            return True
        path = tail_path(self.folder, held.number)
        try:
            with opened(path) as stream:
                header = decode_file_header(stream.read(FILE_HEADER.size), where=path.name)
                stream.seek(held.offset)
                data = stream.read(mark.offset - held.offset)
        except FileNotFoundError:
            return False
        if header is None or header[1] != held.salt or len(data) < mark.offset - held.offset:
            return False
        frames = scan(
            data, salt=held.salt, start=0, end=len(data), base=held.offset, where=path.name
        )
        moved = [
            Frame(f.number, f.first_position, f.offset + held.offset, f.end + held.offset, f.body)
            for f in frames
        ]
        held.extend(moved, where=path.name)
        return True

    def _reload(self, number: int) -> bool:
        """Read the file anew; return False where there is none, or a later one has begun."""
        path = tail_path(self.folder, number)
        mark = read_watermark(self.folder)
        if mark is not None and mark.file > number:
            return False
        frames = read_tail(self.folder, number, owner=self.owner)
        fresh = TailBuffer(number)
        try:
            with opened(path) as stream:
                header = decode_file_header(stream.read(FILE_HEADER.size), where=path.name)
        except FileNotFoundError:
            return False  # a writer has sealed and removed it in between
        if header is not None:
            fresh.salt, fresh.offset = header[1], FILE_HEADER.size
        fresh.extend(frames, where=path.name)
        self._buffer = fresh
        return True
