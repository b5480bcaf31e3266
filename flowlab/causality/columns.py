"""A log's columns as integers: worlds, streams and lanes as codes, and events found by their id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flowlab.causality import compiled
from flowlab.causality.compiled_strings import encode_strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DENSE: Final = 4
"""A table of all sequences is made while it has at most so many places for each event."""
_FAR: Final = 2**40


def encode(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.Array]:
    """Return a string column as codes, and the values that they stand for, as first met."""
    whole = in_one(column)
    if len(whole) and _is_constant(whole):
        return np.zeros(len(whole), np.int32), whole.slice(0, 1)
    if compiled.pays(len(whole)) and pa.types.is_string(whole.type) and not whole.null_count:
        found = encode_strings(*_text(whole))
        if found is not None:
            return found[0], whole.take(pa.array(found[1]))
    encoded = whole.dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary


def in_one(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; one that is in one already is not copied, as Arrow would."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _is_constant(values: pa.StringArray) -> bool:
    """Say whether a column holds one value: sooner known by its bytes than by hashing each."""
    if not pa.types.is_string(values.type) or values.null_count or values[0] != values[-1]:
        return False
    ends, data = _text(values)
    width = int(ends[1] - ends[0])
    if int(ends[-1] - ends[0]) != width * len(values) or np.any(np.diff(ends) != width):
        return False
    text = data[ends[0] : ends[-1]]
    return bool(np.array_equal(text[width:], text[: len(text) - width]))


def _text(values: pa.StringArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return where each string begins among the bytes, and the end; and the bytes."""
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return ends, np.frombuffer(data or b"", np.uint8)


def pair(
    left: NDArray[np.int32], right: NDArray[np.int32], width: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return the code of each pair (left, right), and the left and right of each code.

    Args:
        left: codes, and `right`: codes below `width`, of the same rows.
        right: see `left`.
        width: how many codes there are on the right.
    """
    keys = left.astype(np.int64) * width + right
    top = int(keys.max(initial=-1)) + 1
    if top <= 4 * len(keys) + 1024:
        present = np.zeros(top, bool)
        present[keys] = True
        kept = np.flatnonzero(present)
        place = np.cumsum(present, dtype=np.int32) - 1
        codes = place[keys].astype(np.int32)
    else:
        kept, inverse = np.unique(keys, return_inverse=True)
        codes = inverse.astype(np.int32)
    return codes, kept // max(width, 1), kept % max(width, 1)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Places:
    """Where the event of a stream and a sequence stands: `rows_of` finds it.

    Args:
        low: the least sequence of each stream.
        high: the greatest sequence of each stream.
        start: where each stream begins in `table`; the table is empty where sequences lie far
            apart, and `keys` is searched instead.
        table: the row at each place, -1 where there is none.
        keys: sorted (stream, sequence) pairs as a structured array, with `rows`.
        rows: the row of each key.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    start: NDArray[np.int64]
    table: NDArray[np.int32]
    keys: NDArray[np.void]
    rows: NDArray[np.int32]

    def twice(self, size: int) -> bool:
        """Say whether two of so many events have one id."""
        found = np.count_nonzero(self.table >= 0) if len(self.table) else len(self.rows)
        return bool(found < size)

    def rows_of(self, stream: NDArray[np.int32], sequence: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the row of each (stream, sequence), -1 where the log has no such event."""
        if len(self.table) and compiled.pays(len(stream)):
            bounds = self.low, self.high
            return compiled.find_places((stream, sequence), bounds, self.start, self.table)
        if len(self.table) and bool(np.all(stream >= 0)):
            low = self.low[stream]
            if bool(np.all((sequence >= low) & (sequence <= self.high[stream]))):
                found: NDArray[np.int32] = self.table[self.start[stream] + sequence - low]
                return found
        known = stream >= 0
        safe = np.where(known, stream, 0)
        if not len(self.low):
            return np.full(len(stream), -1, np.int32)
        inside = known & (sequence >= self.low[safe]) & (sequence <= self.high[safe])
        found = np.full(len(stream), -1, np.int32)
        at = np.flatnonzero(inside)
        if len(self.table):
            found[at] = self.table[self.start[safe[at]] + sequence[at] - self.low[safe[at]]]
            return found
        wanted = _keys(safe[at], sequence[at])
        spot = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        hit = self.keys[spot] == wanted
        found[at[hit]] = self.rows[spot[hit]]
        return found


def place(stream: NDArray[np.int32], sequence: NDArray[np.int64], streams: int) -> Places:
    """Index events by stream and sequence; of two with one id, the first is found."""
    low, high = compiled.ranges(stream, sequence, streams)
    none = np.zeros(0, np.int32)
    far = streams and int(high.max()) - int(low.min()) > _FAR
    spans = np.zeros(0, np.int64) if far else high - low + 1
    if not far and int(spans.sum()) <= _DENSE * len(stream) + 1024:
        start = np.cumsum(spans) - spans
        table = np.full(int(spans.sum()), -1, np.int32)
        if compiled.pays(len(stream)):
            compiled.fill_places(stream, sequence, start - low, table)
        else:
            where = start[stream] + sequence - low[stream]
            table[where[::-1]] = np.arange(len(stream), dtype=np.int32)[::-1]
        return Places(low, high, start, table, _keys(none, none.astype(np.int64)), none)
    keys = _keys(stream, sequence)
    order = np.argsort(keys, kind="stable").astype(np.int32)
    first = np.ones(len(order), bool)
    first[1:] = keys[order][1:] != keys[order][:-1]
    return Places(low, high, np.zeros(streams, np.int64), none, keys[order][first], order[first])


def _keys(stream: NDArray[np.int32], sequence: NDArray[np.int64]) -> NDArray[np.void]:
    """Return pairs that compare as bytes do: stream first, then sequence."""
    both = np.empty((len(stream), 2), ">u8")
    both[:, 0] = stream
    both[:, 1] = sequence.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
    keys: NDArray[np.void] = both.view("V16").reshape(-1)
    return keys
