"""The events of a log as numbers, in order of time, and where an id stands among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.columns import place
from flowlab.events import EventLog, rank_strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORLD = ("namespace", "run_id")
_STREAM = (*_WORLD, "workflow_id")


def in_time_order(log: EventLog) -> EventLog:
    """Return the log with its rows by time, equal times by the store's order, then by id.

    Example:
        >>> log = EventLog.from_events([
        ...     {"workflow_id": "w", "sequence": 2, "time_ns": 5, "event_type": "Signaled"},
        ...     {"workflow_id": "w", "sequence": 1, "time_ns": 0, "event_type": "Signaled"}])
        >>> [event.sequence for event in in_time_order(log)]
        [1, 2]
    """
    table = log.table
    ranks = [rank_strings(table.column(name))[0] for name in ("workflow_id", "run_id", "namespace")]
    numbers = [table.column(name).to_numpy() for name in ("sequence", "position", "time_ns")]
    order = np.lexsort([numbers[0], *ranks, *numbers[1:]])
    return EventLog(table.take(pa.array(order)), log.runs, log.anomalies)


@dataclass(frozen=True, slots=True)
class Groups:
    """What rows have in common: each row's group, and of each group its parts in texts."""

    codes: NDArray[np.int32]
    names: tuple[tuple[str, ...], ...]


def groups(table: pa.Table, columns: tuple[str, ...]) -> Groups:
    """Number the distinct combinations of some columns, in order of first row."""
    length = table.num_rows
    combined = np.zeros(length, np.int64)
    parts = []
    for column in columns:
        ranks, values = rank_strings(table.column(column))
        combined = combined * max(1, len(values)) + ranks
        parts.append((ranks, values))
    _, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    turn = np.empty(len(order), np.int32)
    turn[order] = np.arange(len(order), dtype=np.int32)
    names = tuple(tuple(values[ranks[row]] for ranks, values in parts) for row in first[order])
    return Groups(turn[inverse], names)


class RowIndex:
    """Where the events of a log stand, by id; of two with one id, the first."""

    def __init__(self, table: pa.Table) -> None:
        self._sets = [pc.unique(table.column(name).combine_chunks()) for name in _STREAM]
        streams, known = self._streams([table.column(name) for name in _STREAM])
        assert bool(known.all())
        self._ids, dense = np.unique(streams, return_inverse=True)
        sequences = table.column("sequence").to_numpy()
        self._places = place(dense.astype(np.int32), sequences, len(self._ids))

    def rows(self, columns: list[Any], sequences: NDArray[Any]) -> NDArray[np.int32]:
        """Return the rows of ids: namespaces, runs and workflows, and sequences; -1 for none."""
        streams, known = self._streams(columns)
        wanted = np.asarray(sequences, np.int64)
        if not len(self._ids):
            return np.full(len(wanted), -1, np.int32)
        dense = np.minimum(np.searchsorted(self._ids, streams), len(self._ids) - 1)
        known &= (self._ids[dense] == streams) & (wanted >= 0)
        return self._places.rows_of(np.where(known, dense, -1).astype(np.int32), wanted)

    def _streams(self, columns: list[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        combined: NDArray[np.int64] | None = None
        known: NDArray[np.bool_] | None = None
        for column, values in zip(columns, self._sets, strict=True):
            codes = pc.fill_null(pc.index_in(column, value_set=values), -1)
            array = np.asarray(codes.to_numpy(), np.int64)
            known = array >= 0 if known is None else known & (array >= 0)
            combined = array if combined is None else combined * max(1, len(values)) + array
        assert combined is not None
        assert known is not None
        return combined, known
