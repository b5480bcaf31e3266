"""Histories out of a table of events: many streams and generations at once, a column at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.workflow.history import History, Scan, kind_of
from flowlab.workflow.matching import Head
from flowlab.workflow.past import Own

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_STREAM: Final = ("namespace", "run_id", "workflow_id", "generation")
_TEXTS: Final = ("event_type", "name", "step_id")
ROWS_AT_ONCE: Final = 1 << 16
"""So many rows are converted at once, or one generation if that is longer."""
MAX_TABLE: Final = 1 << 14
"""Up to so many possible heads are looked up in a table; else they are sorted."""
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
    own, several = _own_causes(table)
    heads, kinds = _heads(table, several)
    sequences, times = (table.column(name).to_numpy() for name in ("sequence", "time_ns"))
    payloads = table.column("payload")
    columns = (sequences.tolist(), heads, times.tolist(), payloads.to_numpy().tolist())
    starts = bounds[:-1]
    latest = np.maximum.reduceat(times, starts).tolist()
    lengths = pc.fill_null(pc.binary_length(payloads), 0).to_numpy()
    sizes = np.add.reduceat(lengths, starts, dtype=np.int64).tolist()
    gaps = np.flatnonzero(np.diff(sequences) != 1) + 1
    # Between two generations there may be a gap; all others are within one.
    broken = set(np.searchsorted(starts, np.setdiff1d(gaps, starts), side="right").tolist())
    firsts = [table.column(name).take(pa.array(starts)).to_pylist() for name in _STREAM]
    spans = zip(*firsts, starts, bounds[1:], sizes, latest, strict=True)
    for number, (namespace, run_id, workflow_id, generation, *span) in enumerate(spans, 1):
        start, stop, size, latest_ns = span
        part = slice(start, stop)
        scan = Scan(number not in broken, kinds[part], size, latest_ns)
        parts = (*(each[part] for each in columns), [generation] * (stop - start))
        history = History(workflow_id, parts, own[part], scan)
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


def _heads(table: pa.Table, several: Ints) -> tuple[list[Head], list[int]]:
    """Return the type, name and step of each event, equal ones once; and what each is to a replay.

    Args:
        table: of events.
        several: places of events that have several causes within their streams.
    """
    known: list[list[Any]] = []
    codes: list[Ints] = []
    for name in _TEXTS:
        texts, found = _coded(table.column(name))
        known.append(texts)
        codes.append(found)
    types, names, steps = known
    together = (codes[0] * len(names) + codes[1]) * len(steps) + codes[2]
    used, places = _ranked(together, len(types) * len(names) * len(steps))
    heads = np.empty(len(used), object)
    kinds = np.empty((2, len(used)), np.int8)
    for place, code in enumerate(used.tolist()):
        rest, step = divmod(code, len(steps))
        event_type, name = divmod(rest, len(names))
        heads[place] = (types[event_type], names[name], steps[step])
        kinds[:, place] = [kind_of(types[event_type], own_alone=alone) for alone in (True, False)]
    of_row = kinds[0][places]
    of_row[several] = kinds[1][places[several]]
    return heads[places].tolist(), of_row.tolist()


def _ranked(codes: Ints, bound: int) -> tuple[Ints, Ints]:
    """Return the codes that there are, and the place among them of each."""
    if bound > MAX_TABLE:
        used, places = np.unique(codes, return_inverse=True)
        return used, places
    used = np.flatnonzero(np.bincount(codes, minlength=bound))
    ranks = np.zeros(bound, np.int64)
    ranks[used] = np.arange(len(used))
    return used, ranks[codes]


def _coded(column: pa.ChunkedArray) -> tuple[list[Any], Ints]:
    """Return the different texts of a column, and of each row which it has."""
    if column.null_count == len(column):
        return [None], np.zeros(len(column), np.int64)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    column = column.unify_dictionaries().combine_chunks()
    texts = [*column.dictionary.to_pylist(), None]
    codes = pc.fill_null(column.indices, len(texts) - 1).to_numpy()
    return texts, codes.astype(np.int64)


def _own_causes(table: pa.Table) -> tuple[list[Own], Ints]:
    """Return of each event its causes within its stream, and the places where they are several."""
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
    return found, several
