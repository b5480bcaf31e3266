"""EventLog: a table of events that name their causes, with its runs and its anomalies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import InvalidArgumentError
from flowlab.events.digest import digest_table, history_digest_table
from flowlab.events.event import Event, as_event
from flowlab.events.ranks import rank_strings
from flowlab.events.run import RunInfo
from flowlab.events.schema import (
    ANOMALY_SCHEMA,
    EVENT_SCHEMA,
    conform,
    events_from_table,
    table_from_events,
)
from flowlab.events.vocabulary import is_history_stream
from flowlab.events.wording import brief, counted

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from flowlab.events.sink import LogSink
    from flowlab.events.upcasting import Upcast

MAX_ROWS_SHOWN = 10
"""Rows of a log's HTML table."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EventLog:
    """What happened, whoever made it: simulated, executed, recovered, explored or imported.

    Args:
        table: the events, `EVENT_SCHEMA` first, unknown columns after; any row order.
        runs: metadata of each run that has some.
        anomalies: damage found, `ANOMALY_SCHEMA`.
        derived: what accessors have computed from the log, by name, and keep with it.

    The value is immutable: every method returns a new one. Rooms above add accessors
    (`.causality`, `.diagram`, `.explore`); the façade registers them.

    Example:
        >>> log = EventLog.from_events([Event(workflow_id="w", sequence=1, event_type="Signaled")])
        >>> log
        EventLog(1 event, 1 workflow, 1 run)
    """

    table: pa.Table
    runs: tuple[RunInfo, ...] = ()
    anomalies: pa.Table = field(default_factory=ANOMALY_SCHEMA.empty_table)
    derived: dict[str, Any] = field(default_factory=dict, init=False)

    accessors: ClassVar[dict[str, Callable[[EventLog], Any] | str]] = {}

    @classmethod
    def from_events(
        cls, events: Iterable[Event | Mapping[str, Any]], *, runs: Iterable[RunInfo] = ()
    ) -> EventLog:
        """Build a log from events (or mappings of their fields) that carry their ids.

        Raises:
            InvalidEventError: a field has a wrong type, or is none of an event's.
        """
        return cls(table_from_events([as_event(event) for event in events]), tuple(runs))

    @classmethod
    def from_table(
        cls,
        table: pa.Table | pl.DataFrame,
        *,
        runs: Iterable[RunInfo] = (),
        anomalies: pa.Table | None = None,
    ) -> EventLog:
        """Build a log from an Arrow table or a Polars frame; missing columns take defaults.

        Raises:
            InvalidEventError: `workflow_id` or `event_type` is missing, or a cast loses something.
        """
        arrow = table if isinstance(table, pa.Table) else table.to_arrow()
        anomalies = ANOMALY_SCHEMA.empty_table() if anomalies is None else anomalies
        return cls(conform(arrow), tuple(runs), anomalies)

    @classmethod
    def from_text(cls, text: str, *, run_id: str = "", namespace: str = "default") -> EventLog:
        """Build a log from a diagram in words: a lane a line, messages by name.

        The notation is described in `flowlab.events.notation`: `|` or a new line parts lanes,
        `send>m` sends and `recv<m` receives, `name:Type` has a type, `a1@5` a time, `=b=` is a
        barrier, `!crash` and `!restart` are faults, and `~` stands before what does not follow.

        Args:
            text: the lanes; `=== name ===` on a line begins another run.
            run_id: the run before the first such line.
            namespace: of all runs.

        Raises:
            InvalidArgumentError: the text breaks the grammar, names a message that nobody sends,
                or puts an event before itself; the message shows the place.

        Example:
            >>> log = EventLog.from_text("A: a1 send>m a2 | B: recv<m b1")
            >>> [(event.agent_id, event.name, event.time_ns) for event in log]
            [('A', 'a1', 1), ('A', 'send', 2), ('A', 'a2', 3), ('B', 'recv', 3), ('B', 'b1', 4)]
        """
        from flowlab.events.notation import read_text  # noqa: PLC0415 - it makes logs

        return read_text(text, run_id=run_id, namespace=namespace)

    def to_text(self, *, exact: bool = True) -> str:
        """Write the log in the notation of `from_text`.

        Args:
            exact: the text gives an equal log (but for the positions, which a store gives). If
                not, whatever the notation has no words for is left out: times, payloads, cells,
                streams, and why an event is a cause; lanes and causal order stay.

        Raises:
            InvalidArgumentError: an exact text was asked for, and the log holds more than the
                notation can say; the message names it.

        Example:
            >>> print(EventLog.from_text("A: >order paid<receipt | B: <order >receipt").to_text())
            A: >order paid<receipt
            B: <order >receipt
        """
        from flowlab.events.notation_writer import write_text  # noqa: PLC0415 - it makes logs

        return write_text(self, exact=exact)

    @classmethod
    def concat(cls, logs: Iterable[EventLog]) -> EventLog:
        """Put logs of different runs together.

        Raises:
            InvalidArgumentError: two logs hold metadata of the same run.
        """
        parts = list(logs)
        runs = [run for log in parts for run in log.runs]
        if len({run.key for run in runs}) < len(runs):
            message = "two of the logs describe the same run; give each its own run_id"
            raise InvalidArgumentError(message)
        tables = [log.table for log in parts] or [EVENT_SCHEMA.empty_table()]
        damage = [log.anomalies for log in parts] or [ANOMALY_SCHEMA.empty_table()]
        table = pa.concat_tables(tables, promote_options="default")
        return cls(table, tuple(runs), pa.concat_tables(damage))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Event]:
        for batch in self.table.to_batches(max_chunksize=4096):
            yield from events_from_table(pa.Table.from_batches([batch]))

    def events(self) -> list[Event]:
        """Return every event as a value, in row order."""
        return events_from_table(self.table)

    def to_arrow(self) -> pa.Table:
        """Return the events as an Arrow table."""
        return self.table

    def to_polars(self) -> pl.DataFrame:
        """Return the events as a Polars frame, without copying where the types allow."""
        return to_frame(self.table)

    def sql(self, query: str) -> pl.DataFrame:
        """Query the relations (`events`, `workflows`, `activities`, `edges`, ...) with DuckDB.

        Raises:
            QueryError: the SQL is refused; the message points at the place.

        Example:
            >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1,
            ...                              "event_type": "WorkflowStarted", "time_ns": 0}])
            >>> log.sql("SELECT status FROM workflows").item()
            'open'
        """
        return to_frame(self.query(query))

    def query(self, query: str) -> pa.Table:
        """Run `sql` and return an Arrow table."""
        from flowlab.events.asking import query_once  # noqa: PLC0415

        return query_once(self, query)

    def relation(self, name: str) -> pl.DataFrame:
        """Return one relation whole: `log.relation("activities")`."""
        return self.sql(f'SELECT * FROM "{name}"')

    def upcast(self, steps: Iterable[Upcast]) -> EventLog:
        """Return the log with every event as of the newest version of its type.

        Args:
            steps: functions that `upcast` declared.

        Raises:
            InvalidArgumentError: two functions are for one step, or a chain has a gap.
            UpcastError: a step failed on an event; the message names both.
        """
        from flowlab.events.upcasting import Upcasts  # noqa: PLC0415 - it reads tables of events

        return EventLog(Upcasts(tuple(steps)).table(self.table), self.runs, self.anomalies)

    def filter(
        self,
        *,
        namespace: str | None = None,
        run_id: str | None = None,
        workflow_id: str | None = None,
        agent_id: str | None = None,
    ) -> EventLog:
        """Return the events of one namespace, run, workflow or agent, with their metadata.

        A run without an event of the workflow or agent is left out.
        """
        table, runs, anomalies = self.table, self.runs, self.anomalies
        chosen = {
            "namespace": namespace,
            "run_id": run_id,
            "workflow_id": workflow_id,
            "agent_id": agent_id,
        }
        for column, value in chosen.items():
            if value is None:
                continue
            table = table.filter(pc.equal(table.column(column), value))
            if column != "agent_id":
                anomalies = anomalies.filter(pc.equal(anomalies.column(column), value))
            if column in {"namespace", "run_id"}:
                runs = tuple(run for run in runs if getattr(run, column) == value)
        if workflow_id is not None or agent_id is not None:
            worlds = table.select(["namespace", "run_id"]).group_by(["namespace", "run_id"])
            present = {tuple(row.values()) for row in worlds.aggregate([]).to_pylist()}
            runs = tuple(run for run in runs if run.key in present)
        return EventLog(table, runs, anomalies)

    def sorted(self) -> EventLog:
        """Return the log in id order: namespace, run, workflow by code point, then sequence."""
        names = ("workflow_id", "run_id", "namespace")
        ranks = [rank_strings(self.table.column(name))[0] for name in names]
        order = np.lexsort([self.table.column("sequence").to_numpy(), *ranks])
        return EventLog(self.table.take(pa.array(order)), self.runs, self.anomalies)

    def codes(self, column: str) -> tuple[NDArray[np.int32], list[str]]:
        """Return a string column as integer codes and the list of its values."""
        encoded = self.table.column(column).combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()

    @property
    def digest(self) -> str:
        """SHA-256 of the content in id order, without position, namespace and run_id."""
        return digest_table(self.table)

    @property
    def history_digest(self) -> str:
        """SHA-256 of the workflow histories alone, without times and workers."""
        return history_digest_table(self.table)

    def run(self, run_id: str = "", *, namespace: str = "default") -> RunInfo:
        """Return a run's metadata, empty where the log has none."""
        for info in self.runs:
            if info.key == (namespace, run_id):
                return info
        return RunInfo(namespace=namespace, run_id=run_id)

    def save(self, sink: LogSink) -> object:
        """Append the whole log to a store (or any `LogSink`).

        Raises:
            InvalidArgumentError: it is none.
        """
        if not callable(getattr(sink, "append_log", None)):
            message = f"got {brief(sink)}; expected an EventStore, or anything with append_log"
            raise InvalidArgumentError(message)
        return sink.append_log(self)

    def __getattr__(self, name: str) -> Any:
        accessor = type(self).accessors.get(name)
        if accessor is None:
            message = f"EventLog has no attribute {name!r}"
            raise AttributeError(message)
        if isinstance(accessor, str):
            module, _, attribute = accessor.partition(":")
            accessor = getattr(import_module(module), attribute)
        return accessor(self)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *type(self).accessors})

    def __eq__(self, other: object) -> bool:
        """Equal when events, runs and anomalies are equal in id order."""
        if not isinstance(other, EventLog):
            return NotImplemented
        mine, yours = self.sorted(), other.sorted()
        return bool(
            mine.table.equals(yours.table)
            and sorted(self.runs, key=_run_key) == sorted(other.runs, key=_run_key)
            and _sorted_rows(self.anomalies) == _sorted_rows(other.anomalies)
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make the log again: what was derived stays behind."""
        return type(self), (self.table, self.runs, self.anomalies)

    def __repr__(self) -> str:
        by = ("namespace", "run_id", "workflow_id")
        streams = self.table.select(by).group_by(by).aggregate([]).to_pylist()
        others = sum(not is_history_stream(stream["workflow_id"]) for stream in streams)
        runs = len({(stream["namespace"], stream["run_id"]) for stream in streams})
        parts = [counted(len(self), "event"), counted(len(streams) - others, "workflow")]
        parts += [counted(others, "other stream")] if others else []
        parts.append(counted(runs, "run"))
        parts += [counted(len(self.anomalies), "anomaly")] if len(self.anomalies) else []
        return f"EventLog({', '.join(parts)})"

    def _repr_html_(self) -> str:
        names = ("workflow_id", "sequence", "agent_id", "event_type", "name", "time_ns")
        rows = self.table.slice(0, MAX_ROWS_SHOWN).select(names).to_pylist()
        # Notebooks align every cell to the right, which suits numbers alone.
        side = {name: "right" if name in {"sequence", "time_ns"} else "left" for name in names}
        head = "".join(f'<th style="text-align:{side[name]}">{name}</th>' for name in names)
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:{side[name]}">{escape(str(row[name]))}</td>'
                for name in names
            )
            + "</tr>"
            for row in rows
        )
        shown = min(len(self), MAX_ROWS_SHOWN)
        note = f"{shown} of {counted(len(self), 'event')} shown"
        title = escape(repr(self))
        return (
            f"<table><caption>{title}: {note}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def register_accessor(name: str, accessor: Callable[[EventLog], Any] | str) -> None:
    """Give every EventLog an attribute: a function of the log, or `"module:function"`, lazily.

    Raises:
        InvalidArgumentError: the name is taken by EventLog itself.

    Example:
        >>> register_accessor("size", len)
        >>> EventLog.from_events([]).size
        0
        >>> del EventLog.accessors["size"]
    """
    if name in EventLog.__dict__:
        message = f"EventLog already has {name!r}; choose another name for the accessor"
        raise InvalidArgumentError(message)
    EventLog.accessors[name] = accessor


def to_frame(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as a Polars frame, without copying where the types allow."""
    import polars as pl  # noqa: PLC0415

    frame = pl.from_arrow(table)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _run_key(run: RunInfo) -> tuple[str, str]:
    return run.key


def _sorted_rows(table: pa.Table) -> list[str]:
    return sorted(repr(row) for row in table.to_pylist())
