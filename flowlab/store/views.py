"""DuckDB over one pinned state: an explicit list of sealed files, and the tail."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from flowlab.events import EVENT_COLUMNS, RunInfo, define_relations, run_info_table
from flowlab.store.delta import FILE_COLUMNS, DataFile

_SELECT: Final = duckdb.StatementType.SELECT
_EXPLAIN: Final = duckdb.StatementType.EXPLAIN


def connect_views(
    root: Path,
    files: tuple[DataFile, ...],
    tail: pa.Table,
    *,
    runs: tuple[RunInfo, ...],
    anomalies: pa.Table,
    bound: int | None,
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory connection that shows every relation of a pinned state.

    Namespaces come from the commit log, as literals: DuckDB would read `bucket=00` as text and
    would have to be told how a namespace is escaped.
    """
    connection = duckdb.connect(":memory:")
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET preserve_insertion_order = false")
    connection.register("tail_events", tail)
    connection.register("run_info", run_info_table(runs))
    connection.register("anomalies", anomalies)
    where = "" if bound is None else f" WHERE position <= {bound}"
    columns = ", ".join(EVENT_COLUMNS)
    parts = [f"SELECT {columns} FROM tail_events{where}"]
    spaces: dict[str, list[str]] = {}
    for data in files:
        spaces.setdefault(data.namespace, []).append(_text(_literal(root / data.path)))
    for namespace, paths in spaces.items():
        listed = ", ".join(paths)
        parts.append(
            f"SELECT {_text(namespace)} AS namespace, {', '.join(FILE_COLUMNS)} "
            f"FROM read_parquet([{listed}], hive_partitioning = false){where}"
        )
    connection.execute(f"CREATE TEMP VIEW events AS {' UNION ALL '.join(parts)}")
    define_relations(connection)
    return connection


def only_asks(query: str) -> bool:
    """Say whether a query leaves the connection as it was: it defines nothing and sets nothing."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error:
        return True  # it will be refused
    return all(item.type in {_SELECT, _EXPLAIN} for item in statements)


def _literal(path: Path) -> str:
    # Unescaped, a store in a folder named `s*` would read its neighbours too.
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
