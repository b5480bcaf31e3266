"""DuckDB in memory that shows the relations of a log, and the queries that are asked of it."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from flowlab.errors import QueryError
from flowlab.events.relations import (
    RELATION_NAMES,
    RELATIONS,
    define_relations,
    relations_in,
    run_info_table,
)

if TYPE_CHECKING:
    from flowlab.events.log import EventLog


def open_memory() -> duckdb.DuckDBPyConnection:
    """Open DuckDB in memory; it shows its progress in a notebook, and nowhere else.

    DuckDB takes any process without a main file for an interactive one, workers of a pool too, and
    its progress bar would stand before what a command prints for a program to read.
    """
    connection = duckdb.connect(":memory:")
    if "ipykernel" not in sys.modules or multiprocessing.parent_process() is not None:
        connection.execute("SET enable_progress_bar = false")
    return connection


def connect(
    log: EventLog, *, names: Collection[str] = tuple(RELATIONS), **tables: pa.Table
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB connection that shows one log's relations, and more tables.

    Args:
        log: what is shown.
        names: of the relations that it has: to define them all costs more than most queries do.
        tables: more of them, by name.
    """
    connection = open_memory()
    shown = {"events": log.table, "run_info": run_info_table(log.runs), "anomalies": log.anomalies}
    for name, table in (shown | tables).items():
        connection.register(name, table)
    define_relations(connection, names)
    return connection


def query_once(log: EventLog, query: str, **tables: pa.Table) -> pa.Table:
    """Run the one query that is asked of a log, and of more tables; see `run_query`."""
    with connect(log, names=(), **tables) as connection:
        return run_defining(connection, query, partial(define_relations, connection))


def run_defining(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    define: Callable[[frozenset[str]], None],
    *,
    more: Sequence[str] = (),
) -> pa.Table:
    """Run a query that changes nothing, with no relation defined but those that it may name.

    Args:
        connection: it may have some of them.
        query: what is asked; see `run_query`.
        define: makes relations of these names in the connection, where it has them not.
        more: as `run_query` has it.
    """
    define(relations_in(query))
    try:
        return run_query(connection, query, more=more)
    except QueryError as error:
        if not isinstance(error.__cause__, duckdb.CatalogException):
            raise
    # A name that there is not: DuckDB proposes those that it knows.
    define(frozenset(RELATIONS))
    return run_query(connection, query, more=more)


def run_query(
    connection: duckdb.DuckDBPyConnection, query: str, *, more: Sequence[str] = ()
) -> pa.Table:
    """Run one query and return its result; `more` are relations besides those of every log.

    Raises:
        QueryError: DuckDB refused it; the message is DuckDB's, with the place marked.
    """
    try:
        relation = connection.sql(query)
        if relation is None:
            return pa.table({})
        return relation.to_arrow_table()
    except duckdb.Error as error:
        message = (
            f"{error}\n\nrelations: {', '.join((*RELATION_NAMES, *more))}; "
            "functions: payload_json(payload), category(event_type)"
        )
        raise QueryError(message) from error
