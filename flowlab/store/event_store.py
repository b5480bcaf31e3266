"""EventStore: an append-only log of events in a folder, durable for each commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from flowlab.errors import FlowlabError, InvalidArgumentError, InvalidEventError
from flowlab.events import (
    ANOMALY_SCHEMA,
    UNSTAMPED,
    Event,
    EventLog,
    RunInfo,
    as_event,
    conform,
    counted,
)
from flowlab.store import bulk
from flowlab.store.admission import Batch
from flowlab.store.checkpointing import StoreCheckpoints
from flowlab.store.clusterings import StoreClusterings
from flowlab.store.delta import TableState
from flowlab.store.executing import StoreCommands
from flowlab.store.group_commit import AppendResult, Request
from flowlab.store.heads import Heads
from flowlab.store.maintenance import StoreMaintenance
from flowlab.store.run_check import check_run, check_runs
from flowlab.store.sourcing import StoreProjections
from flowlab.store.versions import check_batch, check_table

if TYPE_CHECKING:
    import polars as pl


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


class EventStore(
    StoreCommands, StoreProjections, StoreCheckpoints, StoreClusterings, StoreMaintenance
):
    """The single source of truth: events in a folder, appended durably, read without blocking.

    One process writes at a time: the role is taken at the first write and fences whoever had it.
    Any number of threads and processes read. Each `append` is durable and atomic when it returns.

    Args:
        path: a folder; made when absent or empty.
        read_only: never write, not even to create; only a pin tells vacuum what is being read.
        layout: of a new store.
        seal_events, seal_bytes: size at which the tail is sealed into Parquet by itself.
        lock_timeout_s: how long an append waits for another process's commit, in seconds.
        disk: through which everything is written; tests give one that fails.
        upcasts: steps that `upcast` declared: events of older versions of their types are read as
            of the newest, by every read, SQL and fold; stored bytes stay. Raise the version of an
            aggregate or a projection whose saved states they change.

    Raises:
        InvalidArgumentError: two upcasts are for one step, or a chain has a gap.
        NotAStoreError: the folder holds something else, or is absent and `read_only`.
        FormatVersionError: a newer flowlab made it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     result = store.append("trip-1", [{"event_type": "WorkflowStarted"}])
        ...     store.read("/workflows/trip-1/events")
        EventLog(1 event, 1 workflow, 1 run)
    """

    def __repr__(self) -> str:
        try:
            what = "closed" if self._closed else counted(self.snapshot().position, "event")
        except (FlowlabError, OSError):  # whoever shows it has an error to show, not this one
            what = "cannot be read"
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

    def append(
        self,
        workflow_id: str,
        events: Sequence[Event | Mapping[str, Any]] | Event | Mapping[str, Any],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        namespace: str = "default",
        run_id: str = "",
        meanwhile: Callable[[], None] | None = None,
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
            meanwhile: called once, by this thread, if the events are accepted: while the device
                writes them, as a rule. They are not durable then, and the sync can still fail, so
                it may prepare what follows, and nothing outside may hear of it. It must not raise.

        Raises:
            InvalidEventError: names the event and the field; nothing was written.
            ConcurrencyError: the head is not the expected version.
            ProjectionError: an inline projection refuses the events.
            FencedError: another writer has taken over.
            LockedError: another process has held the commit lock for too long.
            ReadOnlyError: this process may not write in the folder.
            PoisonedError: a sync failed, now or earlier.
        """
        self._check_writable()
        if type(events) is not list and isinstance(events, (Event, Mapping)):
            events = [events]
        if expected_version is not None and type(expected_version) is not int:
            message = f"expected_version is {expected_version!r}; expected an int or None"
            raise InvalidArgumentError(message)
        if idempotency_key is not None:
            self._check_key(idempotency_key)
        batch = Batch((namespace, run_id, workflow_id), events)
        check_batch(batch, self._files.upcasts)
        return self._writer.submit(
            Request(batch, expected_version, idempotency_key, meanwhile=meanwhile)
        )

    def append_together(
        self,
        events: Sequence[Event | Mapping[str, Any]],
        *,
        expected_versions: Mapping[str, int] | None = None,
        namespace: str = "default",
        run_id: str = "",
        meanwhile: Callable[[], None] | None = None,
    ) -> AppendResult:
        """Append events to several streams in one commit: all of them are durable, or none.

        Each event names its stream in `workflow_id`. They take their places in the order given,
        so that each may name those before it among its causes, whatever stream they are of.

        Args:
            events: of any streams of one run.
            expected_versions: heads of streams as the caller knows them, by workflow_id.
            namespace: of all the streams.
            run_id: of all the streams, empty for the live one.
            meanwhile: as for `append`.

        Returns:
            The positions; sequences are those of the first event and of the last, in their streams.

        Raises:
            InvalidEventError: names the event and the field; nothing was written.
            ConcurrencyError: a head is not the expected version.
            LimitError: the events take more than one commit holds.
            FencedError, LockedError, PoisonedError, ProjectionError: as for `append`.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from flowlab import EventStore
            >>> asked = {"workflow_id": "trip-1", "event_type": "ActivityScheduled"}
            >>> begun = {"workflow_id": "@hotel", "event_type": "MessageReceived",
            ...          "causes": [{"workflow_id": "trip-1", "sequence": 1}]}
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     store.append_together([asked, begun]).last_position
            2
        """
        self._check_writable()
        given = [as_event(event) for event in events]
        if not given:
            message = "no events were given; give at least one"
            raise InvalidEventError(message)
        batches = tuple(
            Batch((namespace, run_id, workflow_id), list(run))
            for workflow_id, run in groupby(given, key=attrgetter("workflow_id"))
        )
        for batch in batches:
            check_batch(batch, self._files.upcasts)
        expected = {} if expected_versions is None else dict(expected_versions)
        request = Request(None, together=batches, expected_versions=expected, meanwhile=meanwhile)
        return self._writer.submit(request)

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

    def head(self, workflow_id: str, *, namespace: str = "default", run_id: str = "") -> int:
        """Return the last sequence of a stream, 0 where it does not exist.

        Whoever writes the store knows that without a look at its files; others ask a snapshot.

        Args:
            workflow_id: the stream.
            namespace: the stream's namespace.
            run_id: the stream's run, empty for the live one.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     result = store.append("trip-1", {"event_type": "WorkflowStarted"})
            ...     store.head("trip-1"), store.head("trip-2")
            (1, 0)
        """
        stream = (namespace, run_id, workflow_id)
        self._files.check_process()
        found = None if self._closed else self._writer.head(stream)
        if found is None:
            found = self.snapshot().head(workflow_id, namespace=namespace, run_id=run_id)
        return found

    def record_run(self, run: RunInfo) -> None:
        """Record what is known of a run; the latest record of a run counts. Durable on return."""
        self._check_writable()
        self._writer.submit(Request(None, runs=[check_run(run)]))

    def take_role(self) -> None:
        """Become the store's writer now, and not at the first write; an older one is fenced.

        What a writer wrote just before it died may be there and not be shown, since nobody has
        synced it; after this it is durable, and shown. Whoever decides by what he reads, and means
        to append by that, calls this first.

        Raises:
            FencedError: this store has been the writer, and another one has taken over.
            LockedError, ReadOnlyError, PoisonedError: as for `append`.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     store.take_role()
            ...     store.snapshot().head("trip-1")
            0
        """
        self._check_writable()
        self._writer.take()

    # -- inside -------------------------------------------------------------------------------

    def _append_table(
        self, table: pa.Table, *, runs: tuple[RunInfo, ...], anomalies: pa.Table
    ) -> CommitResult:
        runs = check_runs(runs)
        check_table(table, self._files.upcasts)

        def commit(heads: Heads, _state: TableState, position: int, now_ns: int) -> CommitResult:
            admitted = bulk.admit(table, heads, position=position, now_ns=now_ns)
            last = position + table.num_rows
            if self._writer.inline is not None:
                self._writer.inline.admit_table(admitted[0], position)
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
