"""DuckDB over one pinned state: an explicit list of sealed files, and the tail."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from flowlab.events import (
    EVENT_COLUMNS,
    EVENT_SCHEMA,
    RunInfo,
    Upcasts,
    define_relations,
    run_info_table,
)
from flowlab.events.asking import open_memory
from flowlab.store.delta import DataFile
from flowlab.store.truncation import Bases

_NO_BASES: Final = Bases()
_NO_UPCASTS: Final = Upcasts()
_SELECT: Final = duckdb.StatementType.SELECT
_EXPLAIN: Final = duckdb.StatementType.EXPLAIN

STORE_RELATIONS: Final = ("agent_events", "checkpoints", "projections", "truncations")
"""The relations of a store besides those of every log."""


def connect_views(
    root: Path,
    files: tuple[DataFile, ...],
    tail: pa.Table,
    *,
    runs: tuple[RunInfo, ...],
    anomalies: pa.Table,
    bound: int | None,
    bases: Bases = _NO_BASES,
    upcasts: Upcasts = _NO_UPCASTS,
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory connection that shows the events of a pinned state.

    Namespaces come from the commit log, as literals: DuckDB would read `bucket=00` as text and
    would have to be told how a namespace is escaped. The relations that are made of events are
    defined when they are asked for: that costs more than most queries.
    """
    connection = open_memory()
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET preserve_insertion_order = false")
    connection.register("tail_events", tail)
    connection.register("run_info", run_info_table(runs))
    connection.register("anomalies", anomalies)
    connection.register("truncations", bases.table())
    where = "" if bound is None else f" WHERE position <= {bound}"
    columns = ", ".join(EVENT_COLUMNS)
    parts = [f"SELECT {columns} FROM tail_events{where}"]
    spaces: dict[tuple[str | None, bool], list[Path]] = {}
    for data in files:
        key = data.namespace, bases.reach(data)
        spaces.setdefault(key, []).append(root / data.path)
    for (namespace, reached), paths in spaces.items():
        source = parquet_source(paths)
        space = "namespace" if namespace is None else f"{text_literal(namespace)} AS namespace"
        if reached:
            source = rows_left(
                source, "held.namespace" if namespace is None else text_literal(namespace)
            )
        parts.append(f"SELECT {space}, {', '.join(EVENT_COLUMNS[1:])} FROM {source}{where}")
    found = " UNION ALL ".join(parts)
    if upcasts:
        found = _newest(connection, found, upcasts)
    connection.execute(f"CREATE TEMP VIEW events AS {found}")
    define_relations(connection, ())
    return connection


def _newest(connection: duckdb.DuckDBPyConnection, found: str, upcasts: Upcasts) -> str:
    """Return the query in which rows of older versions are replaced, once, by upcast ones."""
    older = " OR ".join(
        f"(event_type = {text_literal(name)} AND schema_version < {newest})"
        for name, newest in upcasts.types.items()
    )
    columns = ", ".join(EVENT_COLUMNS)
    connection.execute(f"CREATE TEMP VIEW stored_events AS {found}")
    rows = connection.sql(f"SELECT {columns} FROM stored_events WHERE {older}")
    table = rows.to_arrow_table().cast(EVENT_SCHEMA)
    connection.register("upcast_events", upcasts.table(table))
    return (
        f"SELECT {columns} FROM stored_events WHERE NOT ({older}) "
        f"UNION ALL SELECT {columns} FROM upcast_events"
    )


def parquet_source(paths: list[Path]) -> str:
    """Return what DuckDB reads from an explicit list of files."""
    listed = ", ".join(text_literal(_literal(path)) for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def only_asks(query: str) -> bool:
    """Say whether a query leaves the connection as it was: it defines nothing and sets nothing."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error:
        return True  # it will be refused
    return all(item.type in {_SELECT, _EXPLAIN} for item in statements)


def rows_left(source: str, namespace: str) -> str:
    """Return what is left of files after truncations that are not applied to them yet."""
    return (
        f"(SELECT * FROM {source} AS held WHERE NOT EXISTS (SELECT 1 FROM truncations AS gone "
        f"WHERE gone.namespace = {namespace} AND gone.run_id = held.run_id "
        "AND gone.workflow_id = held.workflow_id AND held.sequence <= gone.base))"
    )


def _literal(path: Path) -> str:
    # Unescaped, a store in a folder named `s*` would read its neighbours too.
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path))


def text_literal(value: str) -> str:
    """Return text as DuckDB writes it."""
    return "'" + value.replace("'", "''") + "'"
