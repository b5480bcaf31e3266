"""The transitive reduction: the fewest edges that give the same order."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.graph import CausalGraph, Edges
    from flowlab.causality.indexes import OrderIndex


FEW: Final = 8
"""Causes of one event that are compared in pairs; of more, their clocks are joined."""


def reduced(graph: CausalGraph, index: OrderIndex) -> Edges:
    """Return the edges that no other way from the cause to the effect replaces.

    An edge goes if another cause of its effect comes after its cause; of several edges between the
    same two events the last stays, which is the lane's where there is one.
    """
    edges, into = graph.edges, graph.into
    keep = np.ones(len(edges), bool)
    counts = np.diff(into)
    for count in range(2, min(FEW, int(counts.max(initial=0))) + 1):
        firsts = into[:-1][counts == count]
        for left, right in permutations(range(count), 2):
            mine, other = edges.cause[firsts + left], edges.cause[firsts + right]
            gone = index.reaches_many(mine, other)
            if left < right:
                gone |= mine == other
            keep[firsts[gone] + left] = False
    for row in np.flatnonzero(counts > FEW):
        span = slice(int(into[row]), int(into[row + 1]))
        keep[span] = _latest(index, edges.cause[span])
    return edges.where(keep)


def _latest(index: OrderIndex, causes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Say which of some rows no other of them comes after; of equal ones, the last."""
    chains = index.chains
    joined = np.zeros(len(chains), np.int64)
    for row in causes.tolist():
        clock = index.prefix(row)
        clock[chains.chain[row]] -= 1
        np.maximum(joined, clock, out=joined)
    alone: NDArray[np.bool_] = joined[chains.chain[causes]] < chains.place[causes]
    _, last = np.unique(causes[::-1], return_index=True)
    once = np.zeros(len(causes), bool)
    once[len(causes) - 1 - last] = True
    return alone & once
