"""Merges sorted files into one sorted run, a few row groups of each in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EVENT_SCHEMA
from flowlab.store.cutting import RowKey, row_key
from flowlab.store.delta import DataFile
from flowlab.store.layout import EVENT_ID
from flowlab.store.segment_reader import SegmentReader, with_namespace
from flowlab.store.truncation import Bases

BATCH_GROUPS: Final = 8
"""Row groups of one file that are read at a time."""
_BY: Final = [(name, "ascending") for name in EVENT_ID]


class Cursor:
    """Reads key-disjoint files, in the order of their keys, from the first row to the last."""

    def __init__(self, files: Sequence[DataFile], reader: SegmentReader) -> None:
        self._reader = reader
        self._batches = self._read(files)
        self._held: pa.Table | None = None
        self._fill()

    @property
    def is_open(self) -> bool:
        """Whether rows are left."""
        return self._held is not None

    def last_key(self) -> RowKey:
        """Return the key of the last row that is in memory."""
        assert self._held is not None
        return row_key(self._held, self._held.num_rows - 1)

    def take(self, key: RowKey) -> pa.Table:
        """Return the rows up to a key that are in memory, and read on where none is left."""
        assert self._held is not None
        table, low, high = self._held, 0, self._held.num_rows
        while low < high:
            middle = (low + high) // 2
            if row_key(table, middle) <= key:
                low = middle + 1
            else:
                high = middle
        self._held = table.slice(low)
        if low == table.num_rows:
            self._fill()
        return table.slice(0, low)

    def _fill(self) -> None:
        self._held = next(self._batches, None)

    def _read(self, files: Sequence[DataFile]) -> Iterator[pa.Table]:
        for data in files:
            count = len(self._reader.row_groups(data))
            for start in range(0, count, BATCH_GROUPS):
                groups = list(range(start, min(start + BATCH_GROUPS, count)))
                table = whole_rows(data, self._reader.read_all(data, groups))
                if table.num_rows:
                    yield table


def whole_rows(data: DataFile, table: pa.Table) -> pa.Table:
    """Return rows with the columns of an event first, and then those of a later version."""
    table = with_namespace(data, table)
    known = [table.column(field.name).cast(field.type) for field in EVENT_SCHEMA]
    extra = [field for field in table.schema if field.name not in EVENT_SCHEMA.names]
    schema = pa.schema([*EVENT_SCHEMA, *extra])
    return pa.table([*known, *(table.column(field.name) for field in extra)], schema=schema)


def generations(files: Iterable[DataFile]) -> list[list[DataFile]]:
    """Return files by the operation that wrote them, the oldest first.

    What a compaction wrote is tagged as one run. An append or a seal writes all positions of a
    partition in one range; files whose ranges overlap are pieces of one such run. The files of a
    run share no key, unless a long stream is cut.
    """
    tagged: dict[str, list[DataFile]] = {}
    plain = []
    for data in sorted(files, key=lambda data: (data.least("position"), data.most("position"))):
        if data.run:
            tagged.setdefault(data.run, []).append(data)
        else:
            plain.append(data)
    found = list(tagged.values())
    reached = -1
    for data in plain:
        if data.least("position") <= reached:
            found[-1].append(data)
        else:
            found.append([data])
        reached = max(reached, data.most("position"))
    return sorted(found, key=lambda run: run[0].least("position"))


def merge(
    runs: Sequence[Sequence[DataFile]], reader: SegmentReader, bases: Bases
) -> Iterator[pa.Table]:
    """Yield the rows of several runs in order of their keys, without those that are gone."""
    cursors = [Cursor(in_key_order(files, reader), reader) for files in runs]
    while cursors := [cursor for cursor in cursors if cursor.is_open]:
        # Every row up to the least of the last keys is in memory.
        key = min(cursor.last_key() for cursor in cursors)
        parts = [part for cursor in cursors if (part := cursor.take(key)).num_rows]
        table = pa.concat_tables(parts, promote_options="default")
        if len(parts) > 1:
            table = table.take(pc.sort_indices(table.select(EVENT_ID), sort_keys=_BY))
        yield bases.left(table, None)


def in_key_order(files: Sequence[DataFile], reader: SegmentReader) -> list[DataFile]:
    """Return key-disjoint files in the order of their keys."""
    if len(files) == 1:
        return list(files)
    firsts = {
        data.path: row_key(with_namespace(data, reader.read(data, [0], columns=EVENT_ID)), 0)
        for data in files
    }
    return sorted(files, key=lambda data: firsts[data.path])


def by_partition(files: Iterable[DataFile]) -> list[list[DataFile]]:
    """Return files by the partition that they are in, in a fixed order."""
    ordered = sorted(files, key=_place)
    return [list(group) for _, group in groupby(ordered, key=_place)]


def _place(data: DataFile) -> list[tuple[str, str]]:
    return sorted(data.partition.items())
