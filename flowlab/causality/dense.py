"""The order as clocks: for each event, how much of every chain of its group lies in its past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flowlab.causality import compiled
from flowlab.causality.compiled import propagate
from flowlab.causality.joins import find_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.chains import Chains
    from flowlab.causality.joins import Joins, Scope


class DenseIndex:
    """Clocks over chains, one for each event that learns something from another chain.

    The clock of any event is that of the last such event at or before it on its own chain, and its
    own place there; so an event that only goes on in its chain takes no memory, and none takes any
    for the chains of other groups (worlds, of a whole log).

    Args:
        scope: what is ordered.
        joins: where each clock lies in `cells`.
        cells: the clocks, one after the other: how many events of a chain lie in the past.
    """

    def __init__(
        self,
        scope: Scope,
        joins: Joins,
        cells: NDArray[np.int32 | np.uint16],
    ) -> None:
        self.chains = scope.chains
        self._group = scope.group
        self._joins = joins
        self._cells = cells
        self._clock = joins.start[joins.at]
        self._groups = scope.groups
        # One cell of a memoryview costs less than one of an array, and is an int of Python's.
        self._one = _Cells(scope, self._clock, joins.local, cells)

    def reaches(self, cause: int, effect: int) -> bool:
        """Say whether one row happened before another."""
        one = self._one
        chain, place = one.chain[cause], one.place[cause]
        if chain == one.chain[effect]:
            return bool(place < one.place[effect])
        if self._groups > 1 and one.group[cause] != one.group[effect]:
            return False
        return bool(one.cells[one.clock[effect] + one.local[chain]] >= place)

    def reaches_many(
        self, cause: NDArray[np.int32], effect: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Say it of many pairs at once."""
        chains = self.chains
        chain, place = chains.chain[cause], chains.place[cause]
        cell = self._clock[effect] + self._joins.local[chain]
        own = chain == chains.chain[effect]
        if self._groups > 1:
            same = self._group[cause] == self._group[effect]
            cell = np.where(same, cell, 0)
        known: NDArray[np.bool_] = self._cells[cell] >= place
        if self._groups > 1:
            known &= same
        at = np.flatnonzero(own)
        known[at] = place[at] < chains.place[effect[at]]
        return known

    def prefix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain are the row's past or the row itself."""
        mine = self._joins.chains_of(int(self._group[row]))
        clock = np.zeros(len(self.chains), np.int64)
        begin = int(self._clock[row])
        clock[mine] = self._cells[begin : begin + len(mine)]
        clock[self.chains.chain[row]] = self.chains.place[row]
        return clock

    def prefixes(self, rows: NDArray[np.int32], out: NDArray[np.int32]) -> None:
        """Write the prefixes of many rows into rows by chains, zeros before."""
        for group in np.unique(self._group[rows]).tolist():
            mine = self._joins.chains_of(group)
            at = np.flatnonzero(self._group[rows] == group)
            cells = self._clock[rows[at]][:, None] + np.arange(len(mine))
            out[at[:, None], mine] = self._cells[cells]
        out[np.arange(len(rows)), self.chains.chain[rows]] = self.chains.place[rows]

    def suffix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain come before its first in the row's future.

        Of the row's own chain, the row itself is counted.
        """
        chains = self.chains
        chain, place = chains.chain[row], chains.place[row]
        clocks = self._clock + self._joins.local[chain]
        mine = self._joins.chains_of(int(self._group[row]))
        low, high = np.zeros(len(mine), np.int64), chains.lengths[mine]
        begin, end = chains.start[mine], high.copy()
        while bool(np.any(low < high)):
            middle = (low + high) // 2
            at = chains.rows[begin + np.minimum(middle, end - 1)]
            knows = self._cells[clocks[at]] >= place
            open_ = low < high
            high = np.where(open_ & knows, middle, high)
            low = np.where(open_ & ~knows, middle + 1, low)
        bounds = chains.lengths.copy()
        bounds[mine] = low
        bounds[chain] = place
        return bounds

    def past_sizes(self) -> NDArray[np.int64]:
        """Return how many events lie in the past of each."""
        joins = self._joins
        sums = np.zeros(len(joins.start), np.int64)
        for group, (first, last) in enumerate(joins.spans):
            width = len(joins.chains_of(group))
            if width:
                cells = self._cells[joins.start[first] :][: (last - first) * width]
                sums[first:last] = cells.reshape(-1, width).sum(axis=1, dtype=np.int64)
        own = self._cells[self._clock + joins.local[self.chains.chain]]
        sizes: NDArray[np.int64] = sums[joins.at] - own + self.chains.place - 1
        return sizes


class _Cells:
    """Views of single cells."""

    __slots__ = ("cells", "chain", "clock", "group", "local", "place")

    def __init__(
        self,
        scope: Scope,
        clock: NDArray[np.int64],
        local: NDArray[np.int64],
        cells: NDArray[np.int32 | np.uint16],
    ) -> None:
        self.chain = memoryview(scope.chains.chain.data)
        self.place = memoryview(scope.chains.place.data)
        self.group = memoryview(scope.group.data)
        self.clock = memoryview(clock.data)
        self.local = memoryview(local.data)
        self.cells = memoryview(cells.data)


def build_dense(scope: Scope, joins: Joins) -> DenseIndex:
    """Compute the clocks."""
    chains = scope.chains
    cells = np.zeros(joins.cells, cell_type(chains))
    steps = find_steps(scope, joins)
    if compiled.pays(len(steps.made)):
        cell, place = compiled.learnt(joins.start, joins.local, chains, steps)
    else:
        cell = joins.start[steps.made] + joins.local[chains.chain[steps.cause]]
        place = chains.place[steps.cause]
    propagate(cells, joins.start, (steps.made, steps.base, steps.source), cell, place)
    return DenseIndex(scope, joins, cells)


def clock_bytes(chains: Chains, joins: Joins) -> int:
    """Return how much memory the clocks would take."""
    return joins.cells * np.dtype(cell_type(chains)).itemsize


def cell_type(chains: Chains) -> type[np.uint16 | np.int32]:
    """Return the narrowest type that holds a place in any chain."""
    return np.uint16 if int(chains.lengths.max(initial=0)) < 2**16 else np.int32
