"""EventStore: an append-only log of events in a folder, durable for each commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa

from flowlab.errors import CorruptionError, InvalidArgumentError, LimitError, NotFoundError
from flowlab.events import ANOMALY_SCHEMA, UNSTAMPED, Event, EventLog, RunInfo, conform
from flowlab.store import bulk
from flowlab.store.admission import Batch
from flowlab.store.delta import CommitLog, TableState
from flowlab.store.files import Disk
from flowlab.store.group_commit import AppendResult, Request
from flowlab.store.heads import Heads, SealedHeads
from flowlab.store.info import StoreInfo, describe
from flowlab.store.layout import Layout
from flowlab.store.manifest import open_or_create, read_manifest, usable_path
from flowlab.store.role import Role
from flowlab.store.run_check import check_run, check_runs
from flowlab.store.sealing import Sealer
from flowlab.store.segment_reader import SegmentReader
from flowlab.store.sidecar import MetadataLog
from flowlab.store.snapshot import Files, Snapshot
from flowlab.store.tail import tail_is_begun
from flowlab.store.tail_reader import TailReader, TailView
from flowlab.store.tree import Tree
from flowlab.store.verify import Verifier, VerifyReport
from flowlab.store.writer import Writer

if TYPE_CHECKING:
    import polars as pl

SEAL_EVENTS: Final = 65_536
SEAL_BYTES: Final = 32 * 1024 * 1024
LOCK_TIMEOUT_S: Final = 10.0
MAX_PIN_TRIES: Final = 100
MAX_KEY_CHARS: Final = 1024
"""Longest idempotency key."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a bulk append committed.

    Args:
        version: of the commit log.
        first_position, last_position: of the events, in the whole log.
    """

    version: int
    first_position: int
    last_position: int


class EventStore:
    """The single source of truth: events in a folder, appended durably, read without blocking.

    One process writes at a time: the role is taken at the first write and fences whoever had it.
    Any number of threads and processes read. Each `append` is durable and atomic when it returns.

    Args:
        path: a folder; made when absent or empty.
        read_only: never write, not even to create.
        layout: of a new store.
        seal_events, seal_bytes: size at which the tail is sealed into Parquet by itself.
        lock_timeout_s: how long an append waits for another process's commit, in seconds.

    Raises:
        NotAStoreError: the folder holds something else, or is absent and `read_only`.
        FormatVersionError: a newer flowlab made it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     result = store.append("trip-1", [{"event_type": "WorkflowStarted"}])
        ...     store.read("/workflows/trip-1/events")
        EventLog(1 event, 1 workflow, 1 run)
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        read_only: bool = False,
        layout: Layout | None = None,
        seal_events: int = SEAL_EVENTS,
        seal_bytes: int = SEAL_BYTES,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        self.path = usable_path(path)
        self.disk = Disk()
        self._read_only = read_only
        if read_only:
            self._manifest = read_manifest(self.path)
        else:
            self._manifest = open_or_create(self.path, layout=layout or Layout(), disk=self.disk)
        if layout is not None and layout != self._manifest.layout:
            message = f"the store has {self._manifest.layout}, not {layout}; a layout never changes"
            raise InvalidArgumentError(message)
        tables = self.path / "workflows"
        self._log = CommitLog(tables / "_delta_log")
        self._tail = TailReader(self.path / "tail")
        self._metadata = MetadataLog(self.path)
        self._files = Files(tables, self._manifest.layout, SegmentReader(tables), self._metadata)
        layout, sealed = self._manifest.layout, SealedHeads(self._files.reader)
        self._sealer = Sealer(self.path, layout, self._log, sealed, self._metadata, self.disk)
        self._role = Role(self.path, self.disk, timeout_s=lock_timeout_s)
        self._writer = Writer(
            self.path,
            role=self._role,
            sealer=self._sealer,
            log=self._log,
            tail=self._tail,
            disk=self.disk,
            seal_events=seal_events,
            seal_bytes=seal_bytes,
        )
        self._pin_lock = threading.Lock()
        self._latest: Snapshot | None = None
        self._pinned: tuple[int, int, int] | None = None
        self._closed = False

    def __repr__(self) -> str:
        what = "closed" if self._closed else f"{self.snapshot().position} events"
        return f"EventStore({self.path.name!r}, {what})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. Everything committed is durable already."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            self._files.reader.close()

    # -- writing ------------------------------------------------------------------------------

    def append(
        self,
        workflow_id: str,
        events: Sequence[Event | Mapping[str, Any]] | Event | Mapping[str, Any],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        namespace: str = "default",
        run_id: str = "",
    ) -> AppendResult:
        """Append events to one stream; when this returns they are durable, all of them.

        Threads that append at the same time share one sync. Sequence, position, lane tick and
        (where it is `UNSTAMPED`) time are assigned; a sequence or tick that is given is checked.

        Args:
            workflow_id: the stream.
            events: one or several events, or mappings of their fields.
            expected_version: the stream's head as the caller knows it, 0 for a new stream.
            idempotency_key: the same key with the same events is committed once only; the second
                call returns the first result, `repeated`.
            namespace: the stream's namespace.
            run_id: the stream's run, empty for the live one.

        Raises:
            InvalidEventError: names the event and the field; nothing was written.
            ConcurrencyError: the head is not the expected version.
            FencedError: another writer has taken over.
            LockedError: another process has held the commit lock for too long.
            PoisonedError: a sync failed, now or earlier.
        """
        self._check_writable()
        if isinstance(events, (Event, Mapping)):
            events = [events]
        if expected_version is not None and type(expected_version) is not int:
            message = f"expected_version is {expected_version!r}; expected an int or None"
            raise InvalidArgumentError(message)
        if idempotency_key is not None and not (
            isinstance(idempotency_key, str) and 0 < len(idempotency_key) <= MAX_KEY_CHARS
        ):
            message = f"idempotency_key is {idempotency_key!r}; expected 1 to {MAX_KEY_CHARS} signs"
            raise InvalidArgumentError(message)
        batch = Batch((namespace, run_id, workflow_id), events)
        return self._writer.submit(Request(batch, expected_version, idempotency_key))

    def append_log(self, log: EventLog) -> CommitResult:
        """Append a whole log straight to sealed files, with its runs and anomalies, atomically.

        Positions follow the rows where their order respects causes, lanes and streams, and else
        the topological order nearest to it.

        Raises:
            InvalidEventError: names the event and the field; nothing was written.
        """
        self._check_writable()
        table = bulk.as_table(getattr(log, "table", log))
        return self._append_table(conform(table), runs=log.runs, anomalies=log.anomalies)

    def append_table(
        self, table: pa.Table | pl.DataFrame, *, runs: Iterable[RunInfo] = ()
    ) -> CommitResult:
        """Append an Arrow table or a Polars frame of events straight to sealed files.

        Missing columns take their defaults; `sequence` and `agent_sequence` are numbered in row
        order, and the time is the commit's, where they are absent.

        Raises:
            InvalidEventError: a column or an event does not fit; nothing was written.
        """
        self._check_writable()
        arrow = bulk.as_table(table)
        if "time_ns" not in arrow.column_names:
            unstamped = pa.repeat(pa.scalar(UNSTAMPED, pa.int64()), arrow.num_rows)
            arrow = arrow.append_column("time_ns", unstamped)
        return self._append_table(
            conform(arrow), runs=tuple(runs), anomalies=ANOMALY_SCHEMA.empty_table()
        )

    def record_run(self, run: RunInfo) -> None:
        """Record what is known of a run; the latest record of a run counts. Durable on return."""
        self._check_writable()
        self._writer.submit(Request(None, runs=[check_run(run)]))

    def seal(self) -> bool:
        """Move the tail into sorted Parquet files; return whether there was anything to move."""
        self._check_writable()
        return self._writer.seal()

    # -- reading ------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Pin what is durable now: later writes do not show in it, and nothing waits."""
        state, view = self._pin()
        sealed = state.info.sealed_position
        pinned = (
            state.version,
            view.commits if view is not None else 0,
            view.last_position(sealed) if view is not None else sealed,
        )
        with self._pin_lock:
            if self._latest is None or self._pinned != pinned:
                self._latest = Snapshot(self._files, state, view)
                self._pinned = pinned
            return self._latest

    def as_of(
        self,
        *,
        position: int | None = None,
        time_ns: int | None = None,
        version: int | None = None,
    ) -> Snapshot:
        """Return the store as it was: after a position, at a commit time, or at a sealed version.

        Args:
            position: the last event to show.
            time_ns: show what was committed until then (nanoseconds since 1970).
            version: of the commit log: the sealed part alone.

        Raises:
            InvalidArgumentError: not exactly one of the three was given.
            NotFoundError: there is no such version, or the position is not reached yet.
        """
        given = [value for value in (position, time_ns, version) if value is not None]
        if [type(value) for value in given] != [int]:
            message = f"give exactly one of position, time_ns and version, as an int; got {given}"
            raise InvalidArgumentError(message)
        if version is not None:
            state = self._log.at(version)
            if state is None or version < 0:
                known = self._log.versions()
                message = f"there is no version {version}; there are 0 to {known[-1]}"
                raise NotFoundError(message)
            return Snapshot(self._files, state, None)
        state, view = self._pin()
        now = Snapshot(self._files, state, view)
        if time_ns is not None:
            position = self._metadata.upto(state).position_at(time_ns)
            for mark in view.marks() if view is not None else ():
                if mark.committed_ns <= time_ns:
                    position = mark.position
        assert position is not None
        if not 0 <= position <= now.position:
            message = f"there is no position {position}; the log holds 1 to {now.position}"
            raise NotFoundError(message)
        return Snapshot(self._files, state, view, bound=position)

    def read(self, key: str, *, reverse: bool = False, limit: int | None = None) -> EventLog:
        """Return the events of a key or prefix, as of now. See `Snapshot.read`."""
        return self.snapshot().read(key, reverse=reverse, limit=limit)

    def metadata(self, key: str) -> Any:
        """Return what `/workflows/{id}/metadata` holds. See `Snapshot.metadata`."""
        return self.snapshot().metadata(key)

    def log(self) -> EventLog:
        """Return everything as one log, by stream and sequence."""
        return self.snapshot().log()

    def sql(self, query: str) -> pl.DataFrame:
        """Query the relations with DuckDB, as of now; return a Polars frame.

        Raises:
            QueryError: the SQL is refused; the message points at the place.
        """
        return self.snapshot().sql(query)

    def query(self, query: str) -> pa.Table:
        """Query the relations with DuckDB, as of now; return an Arrow table."""
        return self.snapshot().query(query)

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """The metadata of each run that has some."""
        return self.snapshot().runs

    def tree(self, prefix: str = "/", *, depth: int = 3, limit: int = 20) -> Tree:
        """Return the key tree below a prefix, with counts. See `Snapshot.tree`."""
        return self.snapshot().tree(prefix, depth=depth, limit=limit)

    def info(self) -> StoreInfo:
        """Return sizes, versions, and where durability is weaker on this platform."""
        state, view = self._pin()
        now = Snapshot(self._files, state, view)
        return describe(
            self.path,
            self._manifest,
            state,
            view,
            runs=len(now.runs),
            anomalies=now.anomalies.num_rows,
        )

    def verify(self, *, progress: Callable[[str], None] | None = None) -> VerifyReport:
        """Check every file's checksums and every event's place; repair nothing."""
        return Verifier(self.path, progress=progress).run()

    # -- inside -------------------------------------------------------------------------------

    def _pin(self) -> tuple[TableState, TailView | None]:
        """Return a sealed state and the tail that follows it."""
        self._files.check_process()
        if self._closed:
            message = f"the store {self.path.name!r} is closed; open it again"
            raise InvalidArgumentError(message)
        for _ in range(MAX_PIN_TRIES):
            state = self._log.latest()
            view = self._tail.view(state.info.tail)
            if view is not None and view.follows(state.info.sealed_position):
                return state, view
            # A tail that is gone, or begins further on, was overtaken by a newer version.
            if self._log.latest().version == state.version:
                if view is not None:
                    first, last = view.buffer.events[0].position, state.info.sealed_position
                    message = f"the tail begins at {first}, the sealed part ends at {last}: verify"
                    raise CorruptionError(message)
                if not tail_is_begun(self._tail.folder, state.info.tail, version=state.version):
                    return state, None
        message = f"sealed {MAX_PIN_TRIES} times (MAX_PIN_TRIES) while it was looked at; try again"
        raise LimitError(message)

    def _check_writable(self) -> None:
        self._files.check_process()
        if self._closed or self._read_only:
            what = "closed" if self._closed else "open for reading only"
            message = f"the store {self.path.name!r} is {what}; open it again to write"
            raise InvalidArgumentError(message)

    def _append_table(
        self, table: pa.Table, *, runs: tuple[RunInfo, ...], anomalies: pa.Table
    ) -> CommitResult:
        runs = check_runs(runs)

        def commit(heads: Heads, _state: TableState, position: int, now_ns: int) -> CommitResult:
            admitted = bulk.admit(table, heads, position=position, now_ns=now_ns)
            last = position + table.num_rows
            version = self._sealer.commit_rows(
                *admitted,
                runs=runs,
                anomalies=anomalies,
                position=last,
                committed_ns=now_ns,
                epoch=self._role.epoch,
            )
            return CommitResult(version, position + 1, last)

        return self._writer.exclusively(commit)
