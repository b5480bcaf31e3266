"""Histories out of a table of events: many streams and generations at once, a column at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.workflow.history import History
from flowlab.workflow.past import Own

_STREAM: Final = ("namespace", "run_id", "workflow_id", "generation")
_TEXTS: Final = ("event_type", "name", "step_id")
ROWS_AT_ONCE: Final = 1 << 16
"""So many rows are converted at once, or one generation if that is longer."""
REPLAYED_COLUMNS: Final = (*_STREAM, *_TEXTS, "sequence", "time_ns", "payload", "causes")
"""The columns that a replay reads."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of one workflow of a table.

    Attributes:
        namespace, run_id, workflow_id, generation: which one.
        history: its events that lie next to each other in the table.
    """

    namespace: str
    run_id: str
    workflow_id: str
    generation: int
    history: History

    def __repr__(self) -> str:
        return f"Generation({self.workflow_id!r}, {self.generation}, {len(self.history)} events)"


def generations(table: pa.Table) -> Iterator[Generation]:
    """Yield the generations of the workflows of a table, in its order.

    Args:
        table: of `EVENT_SCHEMA`, the events of each stream together and in order.

    Example:
        >>> from flowlab.events import Event, table_from_events
        >>> rows = [Event.of("WorkflowStarted", workflow_id=w, sequence=1) for w in ("a", "b")]
        >>> list(generations(table_from_events(rows)))
        [Generation('a', 0, 1 events), Generation('b', 0, 1 events)]
    """
    bounds, first = _bounds(table), 0
    while first < len(bounds) - 1:
        last = bisect_right(bounds, bounds[first] + ROWS_AT_ONCE, first + 2) - 1
        start, stop = bounds[first], bounds[last]
        inner = [bound - start for bound in bounds[first : last + 1]]
        yield from _converted(table.slice(start, stop - start), inner)
        first = last


def _converted(table: pa.Table, bounds: list[int]) -> Iterator[Generation]:
    columns = _columns(table)
    own = _own_causes(table)
    firsts = [table.column(name).take(pa.array(bounds[:-1])).to_pylist() for name in _STREAM]
    for namespace, run_id, workflow_id, generation, start, stop in zip(
        *firsts, bounds[:-1], bounds[1:], strict=True
    ):
        part = slice(start, stop)
        parts = [each[part] for each in columns]
        history = History(workflow_id, (*parts, [generation] * (stop - start)), own[part])
        yield Generation(namespace, run_id, workflow_id, generation, history)


def _bounds(table: pa.Table) -> list[int]:
    """Return where generations begin, and the end of the table."""
    if not table.num_rows:
        return [0]
    changes = np.zeros(table.num_rows, bool)
    changes[0] = True
    for name in _STREAM:
        column = table.column(name)
        changed = pc.not_equal(column.slice(1), column.slice(0, table.num_rows - 1))
        changes[1:] |= changed.to_numpy()
    return [*np.flatnonzero(changes).tolist(), table.num_rows]


def _columns(table: pa.Table) -> tuple[list[Any], ...]:
    types, names, steps = (_texts(table.column(name)) for name in _TEXTS)
    payloads = table.column("payload").to_numpy().tolist()
    sequences, times = (table.column(name).to_numpy().tolist() for name in ("sequence", "time_ns"))
    return sequences, types, names, steps, times, payloads


def _texts(column: pa.ChunkedArray) -> list[Any]:
    """Return texts of which few differ: each once in memory."""
    if column.null_count == len(column):
        return [None] * len(column)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    column = column.unify_dictionaries().combine_chunks()
    known = np.array([*column.dictionary.to_pylist(), None], dtype=object)
    codes = pc.fill_null(column.indices, len(known) - 1).to_numpy()
    found: list[Any] = known[codes].tolist()
    return found


def _own_causes(table: pa.Table) -> list[Own]:
    """Return of each event its causes within its stream."""
    causes = table.column("causes").combine_chunks()
    rows = pc.list_parent_indices(causes)
    flat = pc.list_flatten(causes)
    streams = table.column("workflow_id").combine_chunks().take(rows)
    mine = pc.equal(pc.struct_field(flat, 0), streams).to_numpy(zero_copy_only=False)
    places = rows.to_numpy()[mine]
    sequences = pc.struct_field(flat, 1).to_numpy(zero_copy_only=False)[mine]
    own = np.zeros(table.num_rows, np.int64)
    own[places] = sequences
    found: list[Own] = own.tolist()
    counts = np.bincount(places, minlength=table.num_rows)
    several = np.flatnonzero(counts > 1)
    starts = np.searchsorted(places, several)
    for place, start in zip(several.tolist(), starts.tolist(), strict=True):
        found[place] = tuple(sequences[start : start + counts[place]].tolist())
    return found
