"""Relations of a snapshot that are defined when a query names them: they cost something."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa

from flowlab.events import EVENT_COLUMNS, define_relations, run_query
from flowlab.events.asking import run_defining
from flowlab.events.relations import RELATIONS
from flowlab.store.cluster_log import Clustering
from flowlab.store.cluster_read import using
from flowlab.store.clustering import AGENTS
from flowlab.store.values import projections_table
from flowlab.store.views import STORE_RELATIONS, parquet_source, rows_left, text_literal

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot


_CHECKPOINTS: Final = """
CREATE OR REPLACE TEMP VIEW checkpoints AS
SELECT namespace, run_id, j->>'$.workflow_id' AS workflow_id, j->>'$.checkpoint' AS checkpoint,
       TRY_CAST(j->>'$.at' AS BIGINT) AS at_sequence,
       TRY_CAST(j->>'$.savepoint' AS BOOLEAN) AS savepoint, j->>'$.origin' AS origin,
       time_ns AS taken_ns, position,
       TRY_CAST(j->>'$.bytes' AS BIGINT) AS bytes, j->>'$.path' AS path, j->>'$.sha256' AS sha256
FROM (SELECT *, payload_json(payload) AS j FROM events
      WHERE workflow_id = '@world' AND event_type = 'CheckpointTaken')
WHERE j->>'$.checkpoint' IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Lent:
    """A connection to a pinned state, and which relations it has by now besides `events`."""

    connection: duckdb.DuckDBPyConnection
    relations: set[str] = field(default_factory=set)


def ask(snapshot: Snapshot, lent: Lent, query: str, *, lasting: bool) -> pa.Table:
    """Run a query with the relations that it may name.

    Args:
        snapshot: the state that is pinned.
        lent: a connection to it.
        query: anything that DuckDB takes.
        lasting: it changes nothing in the connection, so that it may be run again.

    Raises:
        QueryError: DuckDB refused it.
    """
    define = partial(_define, snapshot, lent, query)
    if lasting:
        return run_defining(lent.connection, query, define, more=STORE_RELATIONS)
    define(frozenset(RELATIONS))
    return run_query(lent.connection, query, more=STORE_RELATIONS)


def _define(snapshot: Snapshot, lent: Lent, query: str, names: frozenset[str]) -> None:
    """Define the relations of every log in these names, and what a query may name of a store.

    `agent_events` has the rows of `events`, those from the clustering by agent and time where it
    holds them: a query of one agent's time then reads few row groups.
    """
    words, connection, whole = query.casefold(), lent.connection, len(names) == len(RELATIONS)
    if not names <= lent.relations:
        define_relations(connection, names - lent.relations)
        lent.relations.update(names)
    if (whole or "checkpoints" in words) and "checkpoints" not in lent.relations:
        connection.execute(_CHECKPOINTS)
        lent.relations.add("checkpoints")
    if "projections" in words:
        connection.register("projections", projections_table(snapshot))
    if "agent_events" in words:
        columns = ", ".join(EVENT_COLUMNS)
        source = _clustered(snapshot) or f"SELECT {columns} FROM events"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW agent_events AS {source}")


def _clustered(snapshot: Snapshot) -> str | None:
    """Return the query over the clustering and what came later, None where there is none."""
    table = snapshot.files.clusterings.tables[AGENTS.name]

    def check(held: Clustering) -> Clustering:
        table.reader.check(held.files)
        return held

    # Stored rows of older versions would have to be upcast; `events` has done that.
    found = None if snapshot.files.upcasts else using(snapshot, table, check)
    if found is None:
        return None
    held = found[0]
    bound = min(held.position, snapshot.position)
    spaces: dict[str, list[Path]] = {}
    for data in held.files:
        spaces.setdefault(data.namespace or "", []).append(table.root / data.path)
    columns, rest = ", ".join(EVENT_COLUMNS), ", ".join(EVENT_COLUMNS[1:])
    parts = [f"SELECT {columns} FROM events WHERE position > {held.position}"]
    for namespace, paths in spaces.items():
        source, space = parquet_source(paths), text_literal(namespace)
        if len(snapshot.bases):
            source = rows_left(source, space)
        parts.append(f"SELECT {space} AS namespace, {rest} FROM {source} WHERE position <= {bound}")
    return " UNION ALL ".join(parts)
