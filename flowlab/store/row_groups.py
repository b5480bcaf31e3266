"""The row groups of a sealed file, as its footer tells of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, overload

import pyarrow.parquet as pq

from flowlab.store.delta import DataFile
from flowlab.store.segments import BOUNDED, CONSTANTS_KEY
from flowlab.store.span import RowGroup

_BOUNDED: Final = frozenset({*BOUNDED, "coordination_id", "first_position", "last_position"})


class RowGroups(Sequence[RowGroup]):
    """The row groups of a file; the bounds of one are read from the footer when it is looked at.

    Args:
        metadata: the footer, its checksum checked.
        data: the file.
    """

    __slots__ = ("_constants", "_data", "_known", "_metadata", "_wanted")

    def __init__(self, metadata: pq.FileMetaData, data: DataFile) -> None:
        told = (metadata.metadata or {}).get(CONSTANTS_KEY.encode(), b"[]")
        self._constants: list[dict[str, Any]] = json.loads(told)
        if self._constants and len(self._constants) < metadata.num_row_groups:
            message = f"it tells of {len(self._constants)} of {metadata.num_row_groups} row groups"
            raise ValueError(message)
        self._metadata = metadata
        self._data = data
        self._known: dict[int, RowGroup] = {}
        self._wanted: list[tuple[int, str]] = []

    def __repr__(self) -> str:
        return f"RowGroups({len(self)})"

    @property
    def fixed(self) -> dict[str, Any]:
        """The columns that hold one value in all of them, with it."""
        told = self._constants[: len(self)]
        found = dict(told[0]) if told else {}
        for group in told[1:]:
            found = {name: value for name, value in found.items() if group.get(name, ...) == value}
        return (
            found if self._data.namespace is None else {**found, "namespace": self._data.namespace}
        )

    def __len__(self) -> int:
        return int(self._metadata.num_row_groups)

    @overload
    def __getitem__(self, place: int) -> RowGroup: ...
    @overload
    def __getitem__(self, place: slice) -> list[RowGroup]: ...
    def __getitem__(self, place: int | slice) -> RowGroup | list[RowGroup]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        index = range(len(self))[place]
        if index not in self._known:
            self._known[index] = self._read(index)
        return self._known[index]

    def _read(self, index: int) -> RowGroup:
        if not self._wanted:
            schema = self._metadata.schema
            names = [schema.column(i).path for i in range(self._metadata.num_columns)]
            self._wanted = [(i, name) for i, name in enumerate(names) if name in _BOUNDED]
        group = self._metadata.row_group(index)
        least: dict[str, Any] = {}
        most: dict[str, Any] = {}
        for i, name in self._wanted:
            statistics = group.column(i).statistics
            if statistics is not None and statistics.has_min_max:
                least[name], most[name] = statistics.min, statistics.max
        fixed = {} if self._data.namespace is None else {"namespace": self._data.namespace}
        fixed |= self._constants[index] if self._constants else {}
        return RowGroup(index, group.num_rows, least, most, fixed, group.total_byte_size)
