"""What a native read looks for: rows that are equal in some columns and within bounds in others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.store.delta import DataFile, overlap
from flowlab.store.layout import Stream


@dataclass(frozen=True, slots=True)
class RowGroup:
    """The bounds of one row group, from the footer, the columns of one value only, its size."""

    index: int
    rows: int
    least: Mapping[str, Any]
    most: Mapping[str, Any]
    fixed: dict[str, Any]
    bytes: int = 0

    def may_hold(self, column: str, low: Any, high: Any) -> bool:
        """Whether a value between low and high (None: open) can be inside."""
        return overlap(self.least.get(column), self.most.get(column), low, high)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of one namespace: equal in some columns, within bounds in others.

    Args:
        namespace: of the rows.
        equal: the value of each column that must have one.
        bounds: least and greatest value of columns of integers; None is open.
        types: the event types to show, None for all; those not to show where `but` is set.
        but: whether `types` are left out rather than kept.
    """

    namespace: str
    equal: dict[str, str]
    bounds: dict[str, tuple[int | None, int | None]]
    types: tuple[str, ...] | None = None
    but: bool = False

    @classmethod
    def of_stream(
        cls,
        stream: Stream,
        first: int | None = None,
        last: int | None = None,
        bound: int | None = None,
    ) -> Span:
        """Return the span of sequences of one stream, up to a position."""
        namespace, run_id, workflow_id = stream
        equal = {"run_id": run_id, "workflow_id": workflow_id}
        return cls(namespace, equal, {"sequence": (first, last), "position": (None, bound)})

    def above(self, column: str, value: int) -> Span:
        """Return the span without the rows whose column is at most a value."""
        first, last = self.bounds.get(column, (None, None))
        least = value + 1 if first is None else max(first, value + 1)
        return replace(self, bounds={**self.bounds, column: (least, last)})

    @property
    def _wanted(self) -> dict[str, str]:
        return {"namespace": self.namespace, **self.equal}

    def may_be_in(self, holder: DataFile | RowGroup) -> bool:
        """Whether rows of the span can be in a file or row group, by its bounds."""
        if isinstance(holder, DataFile) and holder.namespace not in {None, self.namespace}:
            return False
        # Of a long stream, sequences tell most files apart: they are asked first.
        for name, (first, last) in self.bounds.items():
            if not holder.may_hold(name, first, last):
                return False
        return all(holder.may_hold(name, value, value) for name, value in self._wanted.items())

    def tested_in(self, group: RowGroup) -> tuple[str, ...] | None:
        """Return the columns that tell which rows of a row group belong; None where none does."""
        tested = []
        for name, value in self._wanted.items():
            if name not in group.fixed:
                tested.append(name)
            elif group.fixed[name] != value:
                return None
        for name, (first, last) in self.bounds.items():
            low, high = group.least.get(name), group.most.get(name)
            if (first is not None and (low is None or low < first)) or (
                last is not None and (high is None or high > last)
            ):
                tested.append(name)
        if self.types is not None:
            fixed = group.fixed.get("event_type")
            if fixed is None:
                tested.append("event_type")
            elif (fixed in self.types) == self.but:
                return None
        return tuple(tested)

    def mask(self, table: pa.Table, names: tuple[str, ...]) -> Any:
        """Return which rows of a table belong, looking at some of the columns; None means all."""
        mask: Any = None
        for name in names:
            column = table.column(name)
            if name in self._wanted:
                mask = _both(mask, pc.equal(column, self._wanted[name]))
            elif name in self.bounds:
                first, last = self.bounds[name]
                if first is not None:
                    mask = _both(mask, pc.greater_equal(column, first))
                if last is not None:
                    mask = _both(mask, pc.less_equal(column, last))
            else:
                known = pc.is_in(column, value_set=pa.array(self.types, pa.string()))
                mask = _both(mask, pc.invert(known) if self.but else known)
        return mask

    def of_table(self, table: pa.Table) -> pa.Table:
        """Return the rows of a table of events that belong to the span."""
        names = (*self.equal, *self.bounds, *(("event_type",) if self.types is not None else ()))
        mask = pc.equal(table.column("namespace"), self.namespace)
        return table.filter(_both(self.mask(table, names), mask))


def _both(mask: Any, other: Any) -> Any:
    return other if mask is None else pc.and_(mask, other)
