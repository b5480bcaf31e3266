"""The order of a log whose clocks fit nowhere: pairs in batches by chain, the rest by search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.causality.compiled import propagate
from flowlab.causality.joins import find_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.graph import CausalGraph
    from flowlab.causality.joins import Joins, Scope

BLOCK_BYTES: Final = 128 << 20
"""Memory for the clocks of a block of chains."""


class BlockIndex:
    """Answers about rows without clocks over all chains.

    Many pairs at once are answered block by block: clocks over the chains of some causes, for all
    events, made and thrown away. One pair, a past and a future are searched along the edges.

    Args:
        graph: the events and edges.
        scope: what is ordered.
        joins: its clocks, were they made.
    """

    def __init__(self, graph: CausalGraph, scope: Scope, joins: Joins) -> None:
        self.chains = scope.chains
        self._graph = graph
        self._scope = scope
        self._joins = joins
        self._steps = find_steps(scope, joins)
        self._width = max(1, BLOCK_BYTES // (4 * len(joins.start)))

    def reaches(self, cause: int, effect: int) -> bool:
        """Say whether one row happened before another: search back from the effect."""
        chains, rank = self.chains, self._graph.rank
        chain, place, floor = chains.chain[cause], chains.place[cause], rank[cause]
        into, causes = self._graph.into, self._graph.cause
        seen: set[int] = set()
        pending = [effect]
        while pending:
            row = pending.pop()
            for other in causes[into[row] : into[row + 1]].tolist():
                if other not in seen and rank[other] >= floor:
                    if chains.chain[other] == chain and chains.place[other] >= place:
                        return True
                    seen.add(other)
                    pending.append(other)
        return False

    def reaches_many(
        self, cause: NDArray[np.int32], effect: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Say it of many pairs at once."""
        chains = self.chains
        chain = chains.chain[cause]
        same = chain == chains.chain[effect]
        known = same & (chains.place[cause] < chains.place[effect])
        asked = np.unique(chain[~same])
        if self._scope.groups > 1:
            same |= self._scope.group[cause] != self._scope.group[effect]
        for begin in range(0, len(asked), self._width):
            block = asked[begin : begin + self._width]
            at = np.flatnonzero(~same & np.isin(chain, block))
            clocks = self._clocks(block)
            column = np.searchsorted(block, chain[at])
            known[at] = clocks[self._joins.at[effect[at]], column] >= chains.place[cause[at]]
        return np.asarray(known)

    def _clocks(self, block: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return clocks over a few chains, sorted: all clocks by those chains."""
        chains, steps, width = self.chains, self._steps, len(block)
        column = np.full(len(chains), -1, np.int64)
        column[block] = np.arange(width)
        own = column[chains.chain[steps.cause]]
        cell = steps.made.astype(np.int64) * width + np.maximum(own, 0)
        place = np.where(own >= 0, chains.place[steps.cause], 0).astype(np.int32)
        cells = np.zeros(len(self._joins.start) * width, np.int32)
        start = np.arange(len(self._joins.start), dtype=np.int64) * width
        propagate(cells, start, (steps.made, steps.base, steps.source), cell, place)
        return cells.reshape(-1, width)

    def prefix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain are the row's past or the row itself."""
        return self._counts(row, self._graph.into, self._graph.cause)

    def prefixes(self, rows: NDArray[np.int32], out: NDArray[np.int32]) -> None:
        """Write the prefixes of many rows into rows by chains, zeros before."""
        for at, row in enumerate(rows.tolist()):
            out[at] = self.prefix(row)

    def suffix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain come before its first in the row's future.

        Of the row's own chain, the row itself is counted.
        """
        bounds = self.chains.lengths - self._counts(row, *self._graph.out)
        bounds[self.chains.chain[row]] += 1
        return bounds

    def _counts(
        self, row: int, begin: NDArray[np.int64], others: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Count, on each chain, a row and what is reached from it."""
        seen = np.zeros(self._graph.size, bool)
        seen[row] = True
        pending = [row]
        while pending:
            at = pending.pop()
            for other in others[begin[at] : begin[at + 1]].tolist():
                if not seen[other]:
                    seen[other] = True
                    pending.append(other)
        return np.bincount(self.chains.chain[seen], minlength=len(self.chains))

    def past_sizes(self) -> NDArray[np.int64]:
        """Return how many events lie in the past of each, block by block."""
        chains, at = self.chains, self._joins.at
        sizes: NDArray[np.int64] = chains.place.astype(np.int64) - 1
        every = np.arange(len(chains), dtype=np.int32)
        for begin in range(0, len(chains), self._width):
            block = every[begin : begin + self._width]
            clocks = self._clocks(block)
            sizes += clocks.sum(axis=1, dtype=np.int64)[at]
            mine = np.flatnonzero((chains.chain >= begin) & (chains.chain < begin + len(block)))
            sizes[mine] -= clocks[at[mine], chains.chain[mine] - begin]
        return sizes
