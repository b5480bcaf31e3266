"""Histories out of a table of events: many streams and generations at once, a column at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.workflow.history import COMMAND, History, Scan, kind_of
from flowlab.workflow.past import Own

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_STREAM: Final = ("namespace", "run_id", "workflow_id")
_TEXTS: Final = ("event_type", "name", "step_id")
_INTS: Final = ("generation", "sequence", "time_ns")
ROWS_AT_ONCE: Final = 1 << 16
"""So many rows are converted at once, or one generation if that is longer."""
MAX_TABLE: Final = 1 << 14
"""Up to so many possible heads are looked up in a table; else they are sorted."""
REPLAYED_COLUMNS: Final = (*_STREAM, *_TEXTS, *_INTS, "payload", "causes")
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
        table: of `EVENT_SCHEMA`, the events of each stream together and in order; texts may be
            coded by dictionaries.

    Example:
        >>> from flowlab.events import Event, table_from_events
        >>> rows = [Event.of("WorkflowStarted", workflow_id=w, sequence=1) for w in ("a", "b")]
        >>> list(generations(table_from_events(rows)))
        [Generation('a', 0, 1 events), Generation('b', 0, 1 events)]
    """
    if not table.num_rows:
        return
    rows, first = _Rows.of(table), 0
    bounds = rows.bounds()
    while first < len(bounds) - 1:
        last = bisect_right(bounds, bounds[first] + ROWS_AT_ONCE, first + 2) - 1
        yield from rows.cut(bounds[first : last + 1])
        first = last


@dataclass(frozen=True, slots=True)
class _Texts:
    """Texts of which few differ: each once, and of each row which it has."""

    values: list[Any]
    codes: Ints

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> _Texts:
        if column.null_count == len(column):
            return cls([None], np.zeros(len(column), np.int64))
        if not pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column)
        whole = _whole(column if column.num_chunks == 1 else column.unify_dictionaries())
        values, codes = [*whole.dictionary.to_pylist(), None], whole.indices
        if whole.null_count:
            codes = pc.fill_null(codes, len(values) - 1)
        elif len(values) == 2:  # noqa: PLR2004 - one text, and None
            return cls(values, np.zeros(len(column), np.int64))
        return cls(values, codes.to_numpy().astype(np.int64))

    def at(self, places: list[int]) -> list[Any]:
        return [self.values[code] for code in self.codes[places].tolist()]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a replay reads of a table, by row."""

    stream: list[_Texts]
    numbers: Ints
    heads: Any
    kinds: Ints
    own: Ints
    several: dict[int, Own]
    sequences: Ints
    times: Ints
    payloads: pa.ChunkedArray

    @classmethod
    def of(cls, table: pa.Table) -> _Rows:
        stream = [_Texts.of(table.column(name)) for name in _STREAM]
        own, several = _own_causes(_whole(table.column("causes")), stream[-1])
        heads, kinds = _heads([_Texts.of(table.column(name)) for name in _TEXTS], list(several))
        numbers, sequences, times = (table.column(name).to_numpy() for name in _INTS)
        payloads = table.column("payload")
        return cls(stream, numbers, heads, kinds, own, several, sequences, times, payloads)

    def bounds(self) -> list[int]:
        """Return where generations begin, and the end."""
        changes = np.diff(self.numbers) != 0
        for texts in self.stream:
            if len(texts.values) > 2:  # noqa: PLR2004 - one text, and None
                changes |= np.diff(texts.codes) != 0
        return [0, *(np.flatnonzero(changes) + 1).tolist(), len(self.numbers)]

    def cut(self, bounds: list[int]) -> Iterator[Generation]:
        """Yield generations that lie next to each other."""
        start, stop = bounds[0], bounds[-1]
        within = slice(start, stop)
        starts = [bound - start for bound in bounds[:-1]]
        times, sequences = self.times[within], self.sequences[within]
        payloads = self.payloads.slice(start, stop - start)
        columns = [self.heads[within].tolist(), times, payloads.to_numpy().tolist()]
        own: list[Own] = self.own[within].tolist()
        for place, causes in self.several.items():
            if start <= place < stop:
                own[place - start] = causes
        kinds = self.kinds[within]
        latest = np.maximum.reduceat(times, starts).tolist()
        sizes = np.add.reduceat(_sizes(payloads), starts).tolist()
        breaks = np.concatenate([[0], np.cumsum(np.diff(sequences) != 1)])
        names = zip(*(texts.at(bounds[:-1]) for texts in self.stream), strict=True)
        numbers = self.numbers[bounds[:-1]].tolist()
        ends = [bound - start for bound in bounds[1:]]
        for (space, run, flow), number, begin, end, size, latest_ns in zip(
            names, numbers, starts, ends, sizes, latest, strict=True
        ):
            part, first = slice(begin, end), int(sequences[begin])
            whole = bool(breaks[begin] == breaks[end - 1])
            asked = np.flatnonzero(kinds[part] == COMMAND)[::-1].tolist()
            scan = Scan(whole, kinds[part].tolist(), asked, size, latest_ns)
            places = range(first, first + end - begin) if whole else sequences[part].tolist()
            parts = (places, *(each[part] for each in columns), [number] * (end - begin))
            yield Generation(space, run, flow, number, History(flow, parts, own[part], scan))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _sizes(payloads: pa.ChunkedArray) -> Ints:
    """Return the bytes of each payload."""
    if payloads.num_chunks == 1 and not payloads.null_count:
        one = payloads.chunk(0)
        if pa.types.is_binary(one.type):
            ends = np.frombuffer(one.buffers()[1], np.int32, len(one) + 1, 4 * one.offset)
            return np.diff(ends).astype(np.int64)
    lengths: Ints = pc.fill_null(pc.binary_length(payloads), 0).to_numpy().astype(np.int64)
    return lengths


def _heads(texts: list[_Texts], several: list[int]) -> tuple[Any, Ints]:
    """Return the type, name and step of each event, equal ones once; and what each is to a replay.

    Args:
        texts: types, names and steps.
        several: places of events that have several causes within their streams.
    """
    types, names, steps = (each.values for each in texts)
    codes = (texts[0].codes * len(names) + texts[1].codes) * len(steps) + texts[2].codes
    used, places = _ranked(codes, len(types) * len(names) * len(steps))
    heads = np.empty(len(used), object)
    kinds = np.empty((2, len(used)), np.int8)
    for place, code in enumerate(used.tolist()):
        rest, step = divmod(code, len(steps))
        event_type, name = divmod(rest, len(names))
        heads[place] = (types[event_type], names[name], steps[step])
        kinds[:, place] = [kind_of(types[event_type], own_alone=alone) for alone in (True, False)]
    of_row = kinds[0][places]
    of_row[several] = kinds[1][places[several]]
    return heads[places], of_row


def _ranked(codes: Ints, bound: int) -> tuple[Ints, Ints]:
    """Return the codes that there are, and the place among them of each."""
    if bound > MAX_TABLE:
        used, places = np.unique(codes, return_inverse=True)
        return used, places
    used = np.flatnonzero(np.bincount(codes, minlength=bound))
    ranks = np.zeros(bound, np.int64)
    ranks[used] = np.arange(len(used))
    return used, ranks[codes]


def _own_causes(causes: pa.ListArray, flows: _Texts) -> tuple[Ints, dict[int, Own]]:
    """Return of each event its cause within its stream, or 0; and where there are several, all."""
    rows = pc.list_parent_indices(causes).to_numpy()
    ids, sequences = causes.flatten().flatten()
    if len(flows.values) == 2:  # noqa: PLR2004 - one text, and None
        mine = pc.equal(ids, pa.scalar(flows.values[0])).to_numpy(zero_copy_only=False)
    else:
        known = pa.array(flows.values[:-1], pa.string())
        found = pc.fill_null(pc.index_in(ids, value_set=known), -1).to_numpy()
        mine = found == flows.codes[rows]
    places, theirs = rows[mine], sequences.to_numpy(zero_copy_only=False)[mine]
    own = np.zeros(len(causes), np.int64)
    own[places] = theirs
    if not (np.diff(places) == 0).any():
        return own, {}
    counts = np.bincount(places, minlength=len(causes))
    several = np.flatnonzero(counts > 1)
    starts = np.searchsorted(places, several)
    return own, {
        place: tuple(theirs[start : start + counts[place]].tolist())
        for place, start in zip(several.tolist(), starts.tolist(), strict=True)
    }
