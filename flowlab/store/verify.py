"""Verify: every file against its checksum, every event against the rules of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from flowlab.errors import CorruptionError, FlowlabError
from flowlab.events import ANOMALY_SCHEMA, EVENT_COLUMNS, EVENT_SCHEMA, counted, grouped
from flowlab.store.checked_log import CheckedLog
from flowlab.store.cluster_verify import verify_clusterings
from flowlab.store.delta import DataFile, TableState, commit_path
from flowlab.store.layout import Layout
from flowlab.store.manifest import read_manifest
from flowlab.store.opening import kind_of
from flowlab.store.placing import group_rows
from flowlab.store.segment_reader import SegmentReader, with_namespace
from flowlab.store.sidecar import MetadataLog
from flowlab.store.state_verify import verify_states
from flowlab.store.streams import Streams
from flowlab.store.tail import missing_bytes
from flowlab.store.tail_reader import TailReader, TailView
from flowlab.store.views import connect_views

MAX_NOTES: Final = 10
"""Notes shown; all are in the report."""
MAX_PROBLEMS: Final = 100
"""Problems listed; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Args:
        kind: missing, damaged, unreadable (by this user), size, rows, order, partition, gap,
            duplicate, position or cause.
        where: the file, or the event's key.
        detail: what was found and what was expected.
    """

    kind: str
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found.

    Args:
        problems: at most `MAX_PROBLEMS`.
        count: how many there are in all.
        checked: what was looked at, with counts.
        notes: what is in nobody's way and worth knowing: files that no version names, which a
            stopped writer left and vacuum removes; an archive that is no longer where it was.
    """

    problems: tuple[Problem, ...]
    count: int
    checked: dict[str, int]
    notes: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.count == 0

    @property
    def _state(self) -> str:
        return "ok" if self.ok else counted(self.count, "problem")

    def __repr__(self) -> str:
        events = counted(self.checked.get("events", 0), "event")
        return f"VerifyReport({self._state}, {events})"

    def __str__(self) -> str:
        looked = ", ".join(f"{grouped(count)} {name}" for name, count in self.checked.items())
        lines = [f"{self._state}: {looked}"]
        lines += [f"{item.kind}: {item.where}: {item.detail}" for item in self.problems]
        if self.count > len(self.problems):
            lines.append(f"... {len(self.problems)} of {self.count} shown")
        lines += [f"note: {item.where}: {item.detail}" for item in self.notes[:MAX_NOTES]]
        if len(self.notes) > MAX_NOTES:
            lines.append(f"note: ... {MAX_NOTES} of {grouped(len(self.notes))} notes shown")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


class Verifier:
    """Checks one store; it repairs nothing."""

    def __init__(self, root: Path, *, progress: Callable[[str], None] | None = None) -> None:
        self._root = root
        self._say = progress or (lambda _: None)
        self._layout: Layout | None = None
        self._mark: int | None = None
        self._reader = SegmentReader(root / "workflows")
        self._found: list[Problem] = []
        self._notes: list[Problem] = []
        self._count = 0
        self._checked: dict[str, int] = {}

    def run(self) -> VerifyReport:
        """Check commit log, sidecars, sealed files, tail and events."""
        self._say("commit log")
        try:
            manifest = read_manifest(self._root)
            self._layout, self._mark = manifest.layout, manifest.mark
        except FlowlabError as error:
            kind = kind_of(error, self._root / "flowlab.json")
            self._problem(kind, "flowlab.json", str(error))
        state = self._commits()
        if state is None:
            return self._report()
        self._say("sealed files")
        whole = self._files(state)
        self._say("tail")
        view = self._tail(state)
        if whole:
            self._say("events")
            self._events(state, view)
            self._say("clusterings")
            count = verify_clusterings(self._root, state, self._problem)
            self._checked |= {"clusterings": count} if count else {}
        return self._report()

    def _report(self) -> VerifyReport:
        self._reader.close()
        return VerifyReport(tuple(self._found), self._count, self._checked, tuple(self._notes))

    def _problem(self, kind: str, where: str, detail: str) -> None:
        self._count += 1
        if len(self._found) < MAX_PROBLEMS:
            self._found.append(Problem(kind, where, detail))

    def _note(self, kind: str, where: str, detail: str) -> None:
        self._notes.append(Problem(kind, where, detail))

    def _commits(self) -> TableState | None:
        checked = CheckedLog(self._root)
        state = checked.run()
        self._checked |= checked.checked
        for kind, where, detail in checked.problems:
            self._problem(kind, where, detail)
        self._notes += [Problem(*note) for note in checked.notes]
        return state

    def _files(self, state: TableState) -> bool:
        whole = True
        for data in state.files:
            where = f"workflows/{data.path}"
            path = self._root / "workflows" / data.path
            try:
                size = path.stat().st_size
                self._reader.check((data,))
                table = self._reader.read(data, verify=True)
            except (OSError, CorruptionError) as error:
                self._problem(kind_of(error, path), where, str(error))
                whole = False
                continue
            if size != data.size:
                self._problem("size", where, f"{size} bytes; its commit says {data.size}")
            if table.num_rows != data.rows:
                self._problem("rows", where, f"{table.num_rows}; its commit says {data.rows}")
            keys = table.select([n for n in EVENT_COLUMNS[:4] if n in table.column_names])
            by = [(name, "ascending") for name in keys.column_names]
            if not keys.equals(keys.sort_by(by)):
                self._problem("order", where, "rows are not sorted by run, workflow, sequence")
            astray = self._astray(data, table)
            if astray:
                self._problem("partition", where, astray)
        self._checked["files"] = len(state.files)
        return whole

    def _astray(self, data: DataFile, table: pa.Table) -> str:
        """Return what lies in a wrong partition: a reader would look for it elsewhere."""
        if self._layout is None or not table.num_rows:
            return ""
        rows = with_namespace(data, table).select(EVENT_COLUMNS)
        for values in group_rows(rows, self._layout, Streams.of(rows)).values:
            if values != data.partition:
                return f"rows of {values} are in the partition {data.partition}"
        return ""

    def _tail(self, state: TableState) -> TailView | None:
        lost = missing_bytes(self._root / "tail", state.info.tail)
        try:
            view = TailReader(self._root / "tail", owner=self._mark).view(state.info.tail)
        except CorruptionError as error:
            self._problem(kind_of(error, self._root / "tail"), "tail", str(error))
            return None
        if commit_path(self._root / "workflows" / "_delta_log", state.version + 1).exists():
            # Somebody writes meanwhile: this tail, or its absence, belongs to a newer version.
            note = "was sealed meanwhile by a writer, and is not looked at; verify again"
            self._notes.append(Problem("moved", "tail", note))
            return None
        if lost:
            self._problem("missing", "tail", f"{lost} committed bytes at its end are gone")
        if view is not None:
            self._checked["frames"] = view.commits
            first = state.info.sealed_position + 1
            if view.events and view.buffer.events[0].position != first:
                found = view.buffer.events[0].position
                detail = f"the tail begins at position {found}; the sealed part ends at {first - 1}"
                self._problem("position", "tail", detail)
        return view

    def _events(self, state: TableState, view: TailView | None) -> None:
        connection = connect_views(
            self._root / "workflows",
            state.files,
            EVENT_SCHEMA.empty_table() if view is None else view.table(),
            runs=(),
            anomalies=ANOMALY_SCHEMA.empty_table(),
            bound=None,
            bases=MetadataLog(self._root).bases(state),
        )
        with connection:
            count, last, gone = connection.execute(
                "SELECT count(*), coalesce(max(position), 0), "
                "(SELECT coalesce(sum(base), 0) FROM truncations) FROM events"
            ).fetchall()[0]
            self._checked["events"] = count
            if gone:
                self._checked["truncated events"] = int(gone)
            # With events gone positions have holes, but exactly as many as there are such events.
            if gone and last - count != gone:
                detail = (
                    f"{last - count} positions up to {last} hold no event; {gone} were truncated"
                )
                self._problem("position", "events", detail)
            for kind, detail, query in _RULES:
                for row in self._rows(connection, query):
                    where = f"{row[0]!r}/{row[1]!r}/{row[2]!r}/{row[3]}"
                    self._problem(kind, where, detail.format(*row))
            self._say("states")
            self._checked |= verify_states(self._root, connection, self._problem, self._note)

    @staticmethod
    def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
        yield from connection.execute(f"{query} LIMIT {MAX_PROBLEMS + 1}").fetchall()


_RULES: Final = (
    (
        "gap",
        "the stream holds {4} events, sequences {5} to {3}",
        (
            "SELECT namespace, run_id, workflow_id, max(sequence), count(DISTINCT sequence), "
            "min(sequence) FROM events "
            "LEFT JOIN truncations USING (namespace, run_id, workflow_id) "
            "GROUP BY namespace, run_id, workflow_id, base "
            "HAVING min(sequence) <> coalesce(base, 0) + 1 "
            "OR max(sequence) - coalesce(base, 0) <> count(DISTINCT sequence)"
        ),
    ),
    (
        "duplicate",
        "the event is there {4} times",
        (
            "SELECT namespace, run_id, workflow_id, sequence, count(*) FROM events GROUP BY ALL "
            "HAVING count(*) > 1"
        ),
    ),
    (
        "position",
        "position {4} follows {5}",
        (
            "SELECT namespace, run_id, workflow_id, sequence, position, before FROM (SELECT *, "
            "lag(position, 1, 0) OVER (ORDER BY position) AS before FROM events) "
            "WHERE position = before OR (position <> before + 1 "
            "AND NOT EXISTS (SELECT 1 FROM truncations))"
        ),
    ),
    (
        "position",
        "position {4} is not above that of the event before it in the stream",
        (
            "SELECT namespace, run_id, workflow_id, sequence, position FROM (SELECT *, "
            "lag(position, 1, 0) OVER (PARTITION BY namespace, run_id, workflow_id "
            "ORDER BY sequence) AS before "
            "FROM events) WHERE position <= before"
        ),
    ),
    (
        "cause",
        "its cause {4!r}/{5} does not exist before it",
        (
            "SELECT e.namespace, e.run_id, e.workflow_id, e.sequence, e.ref.workflow_id, "
            "e.ref.sequence FROM (SELECT namespace, run_id, workflow_id, sequence, position, "
            "unnest(causes) AS ref FROM events) e LEFT JOIN events c ON (e.namespace, e.run_id, "
            "e.ref.workflow_id, e.ref.sequence) = (c.namespace, c.run_id, c.workflow_id, "
            "c.sequence) "
            "LEFT JOIN truncations t ON (e.namespace, e.run_id, e.ref.workflow_id) = "
            "(t.namespace, t.run_id, t.workflow_id) WHERE c.position >= e.position "
            "OR (c.position IS NULL AND e.ref.sequence > coalesce(t.base, 0))"
        ),
    ),
)
