"""The row groups of a sealed file, as its footer tells of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, overload

import pyarrow.parquet as pq

from flowlab.store.delta import DataFile
from flowlab.store.segments import BOUNDED, CONSTANTS_KEY
from flowlab.store.span import RowGroup

_BOUNDED: Final = frozenset({*BOUNDED, "coordination_id", "first_position", "last_position"})


class _Bounds(Mapping[str, Any]):
    """The least or the greatest values of a row group; a column's are read when it is asked for.

    Args:
        group: of the footer.
        places: of the columns that have bounds.
        known: (least, greatest) of those that were read, None for those without; shared by both.
        end: 0 for the least, 1 for the greatest.
    """

    __slots__ = ("_end", "_group", "_known", "_places")

    def __init__(
        self,
        group: pq.RowGroupMetaData,
        places: dict[str, int],
        known: dict[str, tuple[Any, Any] | None],
        end: int,
    ) -> None:
        self._group = group
        self._places = places
        self._known = known
        self._end = end

    def __repr__(self) -> str:
        return f"_Bounds({dict(self)!r})"

    def __getitem__(self, name: str) -> Any:
        found = self._of(name)
        if found is None:
            raise KeyError(name)
        return found[self._end]

    def get(self, name: str, default: Any = None) -> Any:
        found = self._of(name)
        return default if found is None else found[self._end]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._places if self._of(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _of(self, name: str) -> tuple[Any, Any] | None:
        if name not in self._known:
            place, found = self._places.get(name), None
            if place is not None:
                statistics = self._group.column(place).statistics
                if statistics is not None and statistics.has_min_max:
                    found = (statistics.min, statistics.max)
            self._known[name] = found
        return self._known[name]


class RowGroups(Sequence[RowGroup]):
    """The row groups of a file; the bounds of one are read from the footer when it is looked at.

    Args:
        metadata: the footer, its checksum checked.
        data: the file.
    """

    __slots__ = ("_constants", "_data", "_known", "_metadata", "_places")

    def __init__(self, metadata: pq.FileMetaData, data: DataFile) -> None:
        told = (metadata.metadata or {}).get(CONSTANTS_KEY.encode(), b"[]")
        self._constants: list[dict[str, Any]] = json.loads(told)
        if self._constants and len(self._constants) < metadata.num_row_groups:
            message = f"it tells of {len(self._constants)} of {metadata.num_row_groups} row groups"
            raise ValueError(message)
        self._metadata = metadata
        self._data = data
        self._known: dict[int, RowGroup] = {}
        self._places: dict[str, int] = {}

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
        if not self._places:
            schema = self._metadata.schema
            names = [schema.column(place).path for place in range(self._metadata.num_columns)]
            self._places = {name: place for place, name in enumerate(names) if name in _BOUNDED}
        group = self._metadata.row_group(index)
        known: dict[str, tuple[Any, Any] | None] = {}
        least, most = (_Bounds(group, self._places, known, end) for end in (0, 1))
        fixed = {} if self._data.namespace is None else {"namespace": self._data.namespace}
        fixed |= self._constants[index] if self._constants else {}
        return RowGroup(index, group.num_rows, least, most, fixed, group.total_byte_size)
