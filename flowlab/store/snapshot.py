"""A pinned state of the store: what every read sees, whatever is written meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flowlab.errors import (
    InvalidArgumentError,
    NotFoundError,
    QueryError,
)
from flowlab.events import (
    ANOMALY_SCHEMA,
    EVENT_COLUMNS,
    EVENT_SCHEMA,
    EventLog,
    Key,
    RunInfo,
)
from flowlab.store.answers import as_log
from flowlab.store.asked import Lent, ask
from flowlab.store.checkpoints import Checkpoint
from flowlab.store.cluster_read import read_clustered, reads_from_clustering
from flowlab.store.delta import DataFile, TableState
from flowlab.store.held import Files
from flowlab.store.layout import Stream
from flowlab.store.pruning import holders, last_in, spans_in
from flowlab.store.resolve import Located, as_stream, locate, selection
from flowlab.store.sidecar import Metadata
from flowlab.store.span import Span
from flowlab.store.stream_read import read_stream
from flowlab.store.tail_reader import TailView
from flowlab.store.tree import Tree, draw_tree
from flowlab.store.truncation import Bases
from flowlab.store.values import metadata_at, value_at
from flowlab.store.views import connect_views, only_asks

if TYPE_CHECKING:
    import polars as pl


class Snapshot:
    """The store at one (commit version, durable position); it never changes and never blocks.

    Make one with `EventStore.snapshot()` or `EventStore.as_of(...)`.

    Attributes:
        version: of the commit log.
        position: the last position that this snapshot shows.
    """

    def __init__(
        self, files: Files, state: TableState, tail: TailView | None, *, bound: int | None = None
    ) -> None:
        self._files = files
        self._state = state
        self._tail = tail
        self._bound = bound
        self._lock = threading.Lock()
        self._idle: list[Lent] = []
        last = state.info.sealed_position
        if tail is not None:
            last = tail.last_position(last)
        self.version = state.version
        self.position = last if bound is None else min(bound, last)

    def __repr__(self) -> str:
        return f"Snapshot(version={self.version}, position={self.position})"

    # -- reading ------------------------------------------------------------------------------

    def read(self, key: str | Key, *, reverse: bool = False, limit: int | None = None) -> EventLog:
        """Return the events of a key or prefix, in the key's order.

        A workflow's events come by sequence, an agent's by (time, agent_sequence), a
        coordination's by position, a wider prefix by stream and sequence. One stream takes the
        native path: only the row groups that can hold it are read, from either end.

        Args:
            key: as in `flowlab.events.parse_key`.
            reverse: from the last to the first, at the same cost.
            limit: at most so many events.

        Raises:
            InvalidArgumentError: the limit is below 0.
            InvalidKeyError: the key does not follow the grammar, or names several runs' streams.
            NotFoundError: nothing of that id exists; the message lists the nearest.
            TruncatedError: what it names was truncated; of a range what is left is the answer.
        """
        if limit is not None and (type(limit) is not int or limit < 0):
            message = f"limit is {limit!r}; expected an int of 0 or more, or None for all"
            raise InvalidArgumentError(message)
        # What holds events need not be looked for before it is read.
        direct = as_stream(key)
        table = self._read_stream(direct, reverse=reverse, limit=limit) if direct else None
        if direct is not None and table is not None and table.num_rows:
            return self._answer(table, direct)
        located = self.locate(key)
        if located.stream is not None:
            self.bases.check(located.stream, located.key.first)
        if located.stream is not None and located.key.category is None:
            table = self._read_stream(located, reverse=reverse, limit=limit)
        elif reads_from_clustering(located.key):
            table = read_clustered(self, located.key, reverse=reverse, limit=limit)
        if table is None:
            where, order, values = selection(located, reverse=reverse)
            tail = f" LIMIT {limit}" if limit is not None else ""
            columns = ", ".join(EVENT_COLUMNS)
            text = f"SELECT {columns} FROM events WHERE {where} ORDER BY {order}{tail}"
            with self._lend() as lent:
                table = lent.connection.sql(text, params=values).to_arrow_table().cast(EVENT_SCHEMA)
        missing = not table.num_rows and limit != 0
        if missing and located.stream is not None and not located.key.is_range:
            head = self.streams_in(located.stream[0], located.stream[1], located.stream[2])
            first, last = head[located.stream[1]]
            message = f"no event at {str(located.key)!r}: the stream holds {first} to {last}"
            raise NotFoundError(message)
        return self._answer(table, located)

    def locate(self, key: str | Key) -> Located:
        """Return the key with its namespace and run filled in, and what it selects.

        Without a run, a key means the live run, or the only other run that has what it names.
        """
        return locate(key, self)

    def log(self) -> EventLog:
        """Return everything as one log, by stream and sequence."""
        return self.read("/")

    def metadata(self, key: str) -> Any:
        """Return what `/workflows/{id}/metadata` holds, or one entry of it.

        Returns:
            `{"creation_time": ns, "version": ..., "agents": [...]}`, or the value named; of a
            truncated workflow as its events that are left tell it.

        Raises:
            InvalidKeyError: the key is not one of a workflow's metadata.
        """
        return metadata_at(self, key)

    def value(self, key: str) -> Any:
        """Return what a key holds that names no events: a state, a checkpoint, metadata.

        A state of a projection is as of this snapshot where its fold is known (`store.register`)
        and it is inline or live; an async one is as it was saved last.

        Args:
            key: `/workflows/{id}/projections/{view}/materialized_state`,
                `/projections/{view}/materialized_state`,
                `/workflows/{id}/checkpoints/{checkpoint}/{state_snapshot,causality_info}` or
                `/workflows/{id}/metadata`.

        Raises:
            InvalidKeyError: the key names events, or nothing that has a value.
            NotFoundError: there is no such workflow, projection, state or checkpoint.
        """
        return value_at(self, key)

    def checkpoints(
        self, workflow_id: str, *, namespace: str = "default", run_id: str = ""
    ) -> tuple[Checkpoint, ...]:
        """Return the checkpoints of a workflow, by the event that they were taken after."""
        found = self._files.checkpoints.of(self, (namespace, run_id, workflow_id))
        return tuple(found)

    def sql(self, query: str) -> pl.DataFrame:
        """Query the relations with DuckDB; return a Polars frame.

        Raises:
            QueryError: the SQL is refused; the message points at the place.
        """
        import polars as pl  # noqa: PLC0415

        frame = pl.from_arrow(self.query(query))
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def query(self, query: str) -> pa.Table:
        """Query the relations with DuckDB; return an Arrow table.

        Raises:
            QueryError: the SQL is refused; the message points at the place.
        """
        if not isinstance(query, str):
            message = f"the query is {query!r} ({type(query).__name__}); expected SQL as text"
            raise QueryError(message)
        lasting = only_asks(query)
        with self._lend(lasting=lasting) as lent:
            return ask(self, lent, query, lasting=lasting)

    def head(self, workflow_id: str, *, namespace: str = "default", run_id: str = "") -> int:
        """Return the last sequence of a stream, 0 where it does not exist."""
        stream = (namespace, run_id, workflow_id)
        if self._bound is not None:
            return self._last(stream)
        if self._tail is not None:
            for run, _, last in self._tail.runs_of(namespace, workflow_id):
                if run == run_id:
                    return last
        whole = self._files.shelves.layout.keeps_streams_whole
        last = last_in(self._files.reader, self._holding(*stream), stream, whole=whole)
        return max(last, self.bases.base(stream))

    @cached_property
    def bases(self) -> Bases:
        """Where streams begin that were truncated."""
        return self._files.metadata.bases(self._state)

    @cached_property
    def runs(self) -> tuple[RunInfo, ...]:
        """The metadata of each run that has some, the latest of each, in order of appearance."""
        latest: dict[tuple[str, str], RunInfo] = {}
        for position, run in self._metadata.runs:
            if self._shows(position):
                latest[run.key] = run
        if self._tail is not None:
            for position, run in self._tail.buffer.runs[: self._tail.runs]:
                if self._shows(position):
                    latest[run.key] = run
        return tuple(latest.values())

    @cached_property
    def anomalies(self) -> pa.Table:
        """The damage that importers recorded, as a table of `ANOMALY_SCHEMA`."""
        shown = [table for position, table in self._metadata.anomalies if self._shows(position)]
        return pa.concat_tables(shown) if shown else ANOMALY_SCHEMA.empty_table()

    def tree(self, prefix: str = "/", *, depth: int = 3, limit: int = 20) -> Tree:
        """Return the key tree below a prefix, with counts.

        Args:
            prefix: a key.
            depth: levels shown below the prefix.
            limit: entries shown at each level; the rest are counted.
        """
        return draw_tree(self, prefix, depth=depth, limit=limit)

    # -- what the rest of the store asks ---------------------------------------------------------

    def rows(self, text: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """Run a query of our own with parameters; return its rows."""
        with self._lend() as lent:
            return lent.connection.execute(text, values).fetchall()

    def count(self, key: Key) -> int:
        """Return the number of events below a located key."""
        where, _, values = selection(Located(key), reverse=False)
        return int(self.rows(f"SELECT count(*) FROM events WHERE {where}", values)[0][0])

    @property
    def state(self) -> TableState:
        """The sealed part."""
        return self._state

    @property
    def tail(self) -> TailView | None:
        """The durable tail."""
        return self._tail

    @property
    def files(self) -> Files:
        """What the snapshots of one store share."""
        return self._files

    def streams_in(
        self, namespace: str, run_id: str | None, workflow_id: str
    ) -> dict[str, tuple[int, int]]:
        """Return (first, last) sequence of a workflow in each run (or in one) that has it."""
        found: dict[str, tuple[int, int]] = {}
        stream = (namespace, run_id, workflow_id)
        for data in holders(self._holding(*stream), run_id, workflow_id):
            for run, first, last in spans_in(self._files.reader, data, *stream):
                known = found.get(run, (first, last))
                found[run] = (min(first, known[0]), max(last, known[1]))
        if self._tail is not None:
            for run, first, last in self._tail.runs_of(namespace, workflow_id):
                if run_id in {None, run}:
                    known = found.get(run, (first, last))
                    found[run] = (min(first, known[0]), max(last, known[1]))
        for run in list(found):
            base = self.bases.base((namespace, run, workflow_id))
            found[run] = (max(found[run][0], base + 1), max(found[run][1], base))
        for run, base in self._truncated(namespace, run_id, workflow_id):
            found.setdefault(run, (base + 1, base))
        return found if self._bound is None else self._bounded(found, namespace, workflow_id)

    def stream_files(self, stream: tuple[str, str, str]) -> list[DataFile]:
        """Return the sealed files that can hold a stream."""
        return self._holding(*stream)

    # -- inside -------------------------------------------------------------------------------

    def _answer(self, table: pa.Table, located: Located) -> EventLog:
        return as_log(self._files.upcasts.table(table), located, self.runs, self.anomalies)

    def _truncated(
        self, namespace: str, run_id: str | None, workflow_id: str
    ) -> list[tuple[str, int]]:
        """Return the runs in which a workflow was truncated, with its base."""
        return [
            (stream[1], row.base)
            for stream, row in self.bases.by_stream.items()
            if stream[0] == namespace and stream[2] == workflow_id and run_id in {None, stream[1]}
        ]

    @cached_property
    def _metadata(self) -> Metadata:
        return self._files.metadata.upto(self._state)

    def _shows(self, position: int) -> bool:
        return self._bound is None or position <= self._bound

    def _sealed(self) -> tuple[DataFile, ...]:
        if self._bound is None:
            return self._state.files
        return tuple(self._begun(self._state.files))

    def _begun(self, files: Iterable[DataFile]) -> list[DataFile]:
        bound = self._bound
        return [data for data in files if bound is None or (data.least("position") or 0) <= bound]

    def _holding(self, namespace: str, run_id: str | None, workflow_id: str) -> list[DataFile]:
        """Return the files in which events of a workflow can lie, in one run or in any."""
        shelves = self._files.shelves
        if run_id is not None:
            home = shelves.layout.home(namespace, run_id, workflow_id)
            return self._begun(shelves.files(self._state, home))
        stream = (namespace, run_id, workflow_id)
        return [d for d in self._sealed() if shelves.layout.may_hold(d.partition, *stream)]

    def _tail_table(self) -> pa.Table:
        return EVENT_SCHEMA.empty_table() if self._tail is None else self._tail.table()

    @contextmanager
    def _lend(self, *, lasting: bool = True) -> Iterator[Lent]:
        """Lend a connection: threads that query at the same time each have their own.

        Unless `lasting`, it is thrown away: a view that a query defines, or a setting, must not
        change what later reads find.
        """
        self._files.check_process()
        with self._lock:
            lent = self._idle.pop() if self._idle else None
        if lent is None:
            self._files.reader.check(self._sealed())
            connection = connect_views(
                self._files.root,
                self._sealed(),
                self._tail_table(),
                runs=self.runs,
                anomalies=self.anomalies,
                bound=self._bound,
                bases=self.bases,
                upcasts=self._files.upcasts,
            )
            lent = Lent(connection)
        try:
            yield lent
        finally:
            if lasting:
                with self._lock:
                    self._idle.append(lent)
            else:
                lent.connection.close()

    def _bounded(
        self, found: dict[str, tuple[int, int]], namespace: str, workflow_id: str
    ) -> dict[str, tuple[int, int]]:
        lasts = {run: self._last((namespace, run, workflow_id)) for run in found}
        return {run: (found[run][0], last) for run, last in lasts.items() if last}

    def _last(self, stream: Stream) -> int:
        """Return the last sequence that is shown, 0 where none is; older files stay closed."""
        span = Span.of_stream(stream, bound=self._bound)
        last = self.stream_rows(stream, span, reverse=True, limit=1)
        return last.column("sequence")[0].as_py() if len(last) else 0

    def _read_stream(self, located: Located, *, reverse: bool, limit: int | None) -> pa.Table:
        assert located.stream is not None
        span = Span.of_stream(located.stream, located.key.first, located.key.last, self._bound)
        return self.stream_rows(located.stream, span, reverse=reverse, limit=limit)

    def stream_rows(
        self, stream: Stream, span: Span, *, reverse: bool = False, limit: int | None = None
    ) -> pa.Table:
        """Return the events of a span of one stream, by sequence."""
        if base := self.bases.base(stream):
            span = span.above("sequence", base)
        files = self.stream_files(stream)
        return read_stream(
            stream, span, files, self._tail, self._files.reader, reverse=reverse, limit=limit
        )
