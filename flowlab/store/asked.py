"""Relations of a snapshot that are defined when a query names them: they cost something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from flowlab.events import EVENT_COLUMNS
from flowlab.store.cluster_log import Clustering
from flowlab.store.cluster_read import using
from flowlab.store.clustering import AGENTS
from flowlab.store.values import projections_table
from flowlab.store.views import parquet_source, rows_left, text_literal

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot


def define_asked(snapshot: Snapshot, connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Define what a query may name: `projections`, and `agent_events`.

    `agent_events` has the rows of `events`, those from the clustering by agent and time where it
    holds them: a query of one agent's time then reads few row groups.
    """
    words = query.casefold()
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
