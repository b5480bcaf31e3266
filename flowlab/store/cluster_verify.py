"""Verifies clusterings: each event up to their position is there once, equal, and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import duckdb

from flowlab.errors import CorruptionError
from flowlab.events import ANOMALY_SCHEMA, EVENT_COLUMNS, EVENT_SCHEMA
from flowlab.store.cluster_log import MAX_READ_TRIES, Clustering, ClusterTable
from flowlab.store.clustering import AGENTS, KINDS
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import TableState
from flowlab.store.opening import kind_of
from flowlab.store.sidecar import MetadataLog
from flowlab.store.views import connect_views, parquet_source

Found = Callable[[str, str, str], None]
MAX_ROWS: Final = 101
_HASH: Final = f"hash({', '.join(EVENT_COLUMNS)})"
_AGENT_RULES: Final = (
    (
        "clustering",
        "the clustering holds {4} events at its position {5}, or not an equal one",
        f"""
SELECT e.namespace, e.run_id, e.workflow_id, e.sequence, coalesce(c.n, 0), e.position
FROM (SELECT *, {_HASH} AS h FROM events) e
LEFT JOIN (SELECT position, any_value({_HASH}) AS h, count(*) AS n FROM held GROUP BY position) c
USING (position) WHERE c.n IS DISTINCT FROM 1 OR c.h <> e.h""",
    ),
    (
        "clustering",
        "the clustering holds it at position {4}, the store does not",
        """
SELECT c.namespace, c.run_id, c.workflow_id, c.sequence, c.position
FROM held c ANTI JOIN events e USING (position)
WHERE NOT EXISTS (SELECT 1 FROM truncations g WHERE g.namespace = c.namespace
AND g.run_id = c.run_id AND g.workflow_id = c.workflow_id AND c.sequence <= g.base)""",
    ),
)
_RANGE_RULES: Final = (
    (
        "clustering",
        "no range of coordination {4!r} holds it",
        """
SELECT e.namespace, e.run_id, e.workflow_id, e.sequence, e.coordination_id FROM events e
ANTI JOIN held c ON (e.namespace, e.run_id, e.coordination_id, e.workflow_id)
= (c.namespace, c.run_id, c.coordination_id, c.workflow_id)
AND e.sequence BETWEEN c.first_sequence AND c.last_sequence
AND e.position BETWEEN c.first_position AND c.last_position
WHERE e.coordination_id IS NOT NULL""",
    ),
    (
        "clustering",
        "the ranges of coordination {4!r} in that stream count {5} events, the store {6}",
        """
SELECT namespace, run_id, workflow_id, last, coordination_id, told, found
FROM (SELECT namespace, run_id, workflow_id, coordination_id, sum(events)::BIGINT AS told,
max(last_sequence) AS last FROM held GROUP BY ALL)
LEFT JOIN (SELECT namespace, run_id, workflow_id, coordination_id, count(*) AS found
FROM events GROUP BY ALL) USING (namespace, run_id, workflow_id, coordination_id)
WHERE told <> coalesce(found, 0)
AND (namespace, run_id, workflow_id) NOT IN
(SELECT (namespace, run_id, workflow_id) FROM truncations)""",
    ),
)


def verify_clusterings(root: Path, state: TableState, found: Found) -> int:
    """Check every clustering of a store against its sealed part; return how many there are.

    Args:
        root: the store's folder.
        state: of `workflows`, whose files are whole.
        found: is told the kind of each problem, where it is, and what it is.
    """
    log = CommitLog(root / "workflows" / "_delta_log")
    count = 0
    for kind in KINDS:
        table = ClusterTable(root, kind, log)
        try:
            there, problems = _verified(root, state, table, log)
            count += there
            for problem in problems:
                found(*problem)
        finally:
            table.reader.close()
    return count


def _verified(
    root: Path, state: TableState, table: ClusterTable, log: CommitLog
) -> tuple[bool, list[tuple[str, str, str]]]:
    """Return whether there is a clustering, and its problems."""
    problems: list[tuple[str, str, str]] = []

    def found(kind: str, where: str, detail: str) -> None:
        problems.append((kind, where, detail))

    for _ in range(MAX_READ_TRIES):
        problems.clear()
        held = None
        try:
            held = table.latest()
            if held is None:
                return False, []
            # What was built meanwhile is compared with what it was built from.
            newer = held.built_from > state.version
            if _files_are_whole(table, held, found):
                problems += _differences(root, log.latest() if newer else state, table, held)
            if not problems or table.latest() == held:
                break
        except (CorruptionError, duckdb.Error) as error:  # or a file went meanwhile
            kind = kind_of(error, table.root)
            problems.append((kind, f"{table.kind.name}/", str(error)))
            if held is None:
                break
    return True, problems


def _files_are_whole(table: ClusterTable, held: Clustering, found: Found) -> bool:
    whole = True
    for data in held.files:
        where = f"{table.kind.name}/{data.path}"
        try:
            table.reader.check((data,))
            rows = table.reader.read(data, columns=table.kind.order, verify=True)
        except CorruptionError as error:
            found(kind_of(error, table.root / data.path), where, str(error))
            whole = False
            continue
        if rows.num_rows != data.rows:
            found("rows", where, f"{rows.num_rows}; its commit says {data.rows}")
        if not rows.equals(rows.sort_by([(name, "ascending") for name in table.kind.order])):
            found("order", where, f"rows are not sorted by {', '.join(table.kind.order)}")
    return whole


def _differences(
    root: Path, state: TableState, table: ClusterTable, held: Clustering
) -> Iterator[tuple[str, str, str]]:
    connection = connect_views(
        root / "workflows",
        state.files,
        EVENT_SCHEMA.empty_table(),
        runs=(),
        anomalies=ANOMALY_SCHEMA.empty_table(),
        bound=held.position,
        bases=MetadataLog(root).bases(state),
    )
    with connection:
        _define_held(connection, table, held)
        for kind, detail, query in _AGENT_RULES if table.kind is AGENTS else _RANGE_RULES:
            for row in connection.execute(f"{query} LIMIT {MAX_ROWS}").fetchall():
                where = f"{row[0]!r}/{row[1]!r}/{row[2]!r}/{row[3]}"
                yield kind, where, f"{table.kind.name}: {detail.format(*row)}"


def _define_held(
    connection: duckdb.DuckDBPyConnection, table: ClusterTable, held: Clustering
) -> None:
    columns = ", ".join(table.kind.schema.names)
    connection.register("no_rows", table.kind.schema.empty_table())
    parts = [f"SELECT {columns} FROM no_rows"]
    spaces: dict[Any, list[Path]] = {}
    for data in held.files:
        spaces.setdefault(data.namespace, []).append(table.root / data.path)
    for namespace, paths in spaces.items():
        source = parquet_source(paths)
        space = "'" + str(namespace).replace("'", "''") + "'"
        rest = ", ".join(name for name in table.kind.schema.names if name != "namespace")
        parts.append(f"SELECT {space} AS namespace, {rest} FROM {source}")
    connection.execute(f"CREATE TEMP VIEW held AS {' UNION ALL '.join(parts)}")
