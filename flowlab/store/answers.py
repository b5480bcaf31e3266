"""What a read answers: a log of the rows found, with their runs and their damage."""

from __future__ import annotations

import pyarrow as pa

from flowlab.events import EventLog, RunInfo
from flowlab.store.layout import STREAM_COLUMNS
from flowlab.store.resolve import Located
from flowlab.store.streams import streams_of


def as_log(
    table: pa.Table, located: Located, runs: tuple[RunInfo, ...], damage: pa.Table
) -> EventLog:
    """Return the log of the rows that a key selects.

    Args:
        table: the rows.
        located: the key; of the root it is the whole store.
        runs: of the store.
        damage: its anomalies.
    """
    if located.key.root is None and located.key.namespace is None:
        return EventLog(table, runs, damage)
    streams = {located.stream} if located.stream is not None else streams_of(table)
    worlds = {stream[:2] for stream in streams}
    runs = tuple(run for run in runs if run.key in worlds)
    if damage.num_rows:
        rows = damage.select(STREAM_COLUMNS).to_pylist()
        damage = damage.filter(pa.array([tuple(row.values()) in streams for row in rows]))
    return EventLog(table, runs, damage)
