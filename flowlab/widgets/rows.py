"""The events of a log as numbers, in order of time, and where an id stands among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    names = tuple(tuple(values[ranks[row]] for ranks, values in parts) for row in first[order])
    return Groups(place[inverse], names)


class RowIndex:
    """Where the events of a log stand, by id; of two with one id, the first."""

    def __init__(self, table: pa.Table) -> None:
        self._sets = [pc.unique(table.column(name).combine_chunks()) for name in _STREAM]
        streams, known = self._streams([table.column(name) for name in _STREAM])
        assert bool(known.all())
        sequences = table.column("sequence").to_numpy()
        self._ids, dense = np.unique(streams, return_inverse=True)
        self._room = int(sequences.max(initial=0)) + 2
        keys = dense.astype(np.int64) * self._room + sequences
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def rows(self, columns: list[Any], sequences: NDArray[Any]) -> NDArray[np.int32]:
        """Return the rows of ids: namespaces, runs and workflows, and sequences; -1 for none."""
        streams, known = self._streams(columns)
        dense = np.searchsorted(self._ids, streams)
        dense = np.minimum(dense, max(0, len(self._ids) - 1))
        sequences = np.asarray(sequences, np.int64)
        known &= (sequences >= 0) & (sequences < self._room)
        if not len(self._keys):
            return np.full(len(sequences), -1, np.int32)
        known &= self._ids[dense] == streams
        keys = dense.astype(np.int64) * self._room + np.where(known, sequences, 0)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found = known & (self._keys[at] == keys)
        return np.where(found, self._order[at], -1).astype(np.int32)

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
