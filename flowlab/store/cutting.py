"""Where sorted rows are cut into files: between streams, and a long stream within.

A long stream's files hold nothing else, so that files in the order of their positions are in the
order of any stream's sequences; and the last of them is short. What is new lies there: who takes a
stream up again opens a footer of a row group or two, however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.store.layout import EVENT_ID, STREAM_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

LONG_SHARE: Final = 4
"""A stream that would fill a quarter of a file has its own: a footer must not be large for it."""
LAST_GROUPS: Final = 2
"""Row groups of the last file of a long stream: its newest rows are more than one has."""
RowKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class FileSizes:
    """How large files become.

    Args:
        most: rows of a file that holds several streams.
        longest: rows of a file that holds a part of one stream.
        group: rows of a row group.

    Example:
        >>> sizes = FileSizes(most=64, longest=32, group=4)
        >>> sizes.is_long(8), sizes.is_long(9)
        (False, True)
    """

    most: int
    longest: int
    group: int

    def is_long(self, rows: int) -> bool:
        """Say whether a stream of so many rows has files of its own."""
        return rows > self.longest // LONG_SHARE

    def first_of(self, rows: int) -> int:
        """Return the rows of the first of the files that a long stream of so many fills.

        Example:
            >>> sizes = FileSizes(most=64, longest=32, group=4)
            >>> sizes.first_of(80), sizes.first_of(48), sizes.first_of(16), sizes.first_of(8)
            (32, 32, 8, 8)
        """
        # Those before the last file fill their row groups, wherever the cut is first made.
        before = max((rows - 1) // self.group - (LAST_GROUPS - 1), 0) * self.group
        return min(self.longest, before or rows)

    def of(self, rows: int) -> Iterator[int]:
        """Yield the rows of each of the files that a long stream of so many fills.

        Example:
            >>> list(FileSizes(most=64, longest=32, group=4).of(81))
            [32, 32, 12, 5]
        """
        while rows:
            yield (count := self.first_of(rows))
            rows -= count


def pieces(codes: Ints, sizes: FileSizes) -> list[tuple[int, int]]:
    """Cut sorted rows into pieces, each for one file.

    Args:
        codes: of each row's stream.
        sizes: of files.

    Example:
        >>> pieces(np.array([1, 1, 2, 2, 3, 3, 3, 3, 3, 4]), FileSizes(most=8, longest=8, group=1))
        [(0, 4), (4, 7), (7, 9), (9, 10)]
    """
    starts = np.append(0, np.flatnonzero(np.diff(codes)) + 1)
    ends = np.append(starts[1:], len(codes))
    long = np.append(np.flatnonzero(ends - starts > sizes.longest // LONG_SHARE), len(starts))
    found, place = [], 0
    while place < len(starts):
        begin, next_long = int(starts[place]), int(long[np.searchsorted(long, place)])
        if place == next_long:
            counts = sizes.of(int(ends[place]) - begin)
            found += list(pairwise(accumulate(counts, initial=begin)))
            place += 1
        else:
            full = int(np.searchsorted(ends, begin + sizes.most, side="right"))
            place = min(full, next_long)
            found.append((begin, int(ends[place - 1])))
    return found


def cut(tables: Iterable[pa.Table], sizes: FileSizes) -> Iterator[pa.Table]:
    """Cut sorted rows into tables, each for one file, with few of them in memory.

    Args:
        tables: of rows in the order of their keys.
        sizes: of files.
    """
    held: list[pa.Table] = []
    alone: RowKey | None = None
    source = iter(tables)
    more = True
    while more or held:
        while more and sum(table.num_rows for table in held) <= 2 * sizes.most:
            table = next(source, None)
            more = table is not None
            if table is not None and table.num_rows:
                held.append(table)
        if not held:
            return
        whole = pa.concat_tables(held, promote_options="default")
        count, alone = _piece(whole, sizes, alone)
        if count:
            yield whole.slice(0, count)
        rest = whole.slice(count)
        held = [rest] if rest.num_rows else []


def _piece(table: pa.Table, sizes: FileSizes, alone: RowKey | None) -> tuple[int, RowKey | None]:
    """Return how many rows to write now, and the stream whose rest must stand alone.

    More rows are at hand than two pieces have, or all: whatever ends early enough is known to.
    """
    first = row_key(table, 0)[:3]
    starts = stream_starts(table)
    ends = np.append(starts[1:], table.num_rows)
    rows = int(ends[0])
    if first == alone or sizes.is_long(rows):
        count = sizes.first_of(rows)
        return count, first if count < rows else None
    whole = int(np.searchsorted(ends, sizes.most, side="right"))
    long = np.flatnonzero(ends - starts > sizes.longest // LONG_SHARE)
    place = min(whole, int(long[0])) if len(long) else whole
    return int(ends[place - 1]), None


def row_key(table: pa.Table, row: int) -> RowKey:
    """Return the sort key of a row: namespace, run, workflow, sequence."""
    return tuple(table.column(name)[row].as_py() for name in EVENT_ID)


def stream_starts(table: pa.Table) -> NDArray[np.int64]:
    """Return the rows of sorted events at which another stream begins."""
    changes = np.zeros(table.num_rows, bool)
    changes[:1] = True
    for name in STREAM_COLUMNS:
        column = table.column(name)
        if table.num_rows > 1:
            differ = pc.not_equal(column.slice(1), column.slice(0, table.num_rows - 1))
            changes[1:] |= differ.to_numpy()
    return np.flatnonzero(changes)
