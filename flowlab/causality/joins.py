"""Where chains meet: the events that learn something from another chain, and what they learn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.chains import Chains
    from flowlab.causality.graph import CausalGraph


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Joins:
    """Which events have a clock of their own, and where it lies.

    Args:
        at: of each event, the number of its clock; the first of each world knows nothing.
        start: where each clock begins among the cells.
        cells: how many cells there are.
        local: of each chain, its number within its world.
        order: all chains, world by world.
        worlds: where each world's chains begin in `order`, and the end.
        spans: of each world, its first clock and the one after its last.
    """

    at: NDArray[np.int32]
    start: NDArray[np.int64]
    cells: int
    local: NDArray[np.int64]
    order: NDArray[np.int64]
    worlds: NDArray[np.int64]
    spans: list[tuple[int, int]]

    def chains_of(self, world: int) -> NDArray[np.int64]:
        """Return the chains of a world."""
        return self.order[self.worlds[world] : self.worlds[world + 1]]


def find_joins(graph: CausalGraph, chains: Chains) -> Joins:
    """Number the clocks world by world, in each in causal order, and lay them out."""
    count = max(len(graph.worlds), 1)
    world = graph.lanes.world[chains.lane]
    order = np.argsort(world, kind="stable")
    worlds = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(world, minlength=count), out=worlds[1:])
    local = np.empty(len(chains), np.int64)
    local[order] = np.arange(len(chains)) - worlds[world[order]]
    widths = np.diff(worlds)

    _, effect = cross_edges(graph, chains)
    joins = np.zeros(graph.size, bool)
    joins[effect] = True
    joined = np.flatnonzero(joins).astype(np.int32)
    if not graph.in_order:
        joined = joined[np.argsort(graph.rank[joined], kind="stable")]
    if count > 1:
        joined = joined[np.argsort(graph.world[joined], kind="stable")]
    clocks = np.bincount(graph.world[joined], minlength=count) + 1
    ends = np.cumsum(clocks)
    spans = list(zip((ends - clocks).tolist(), ends.tolist(), strict=True))
    sizes = np.repeat(widths, clocks)
    start = np.cumsum(sizes) - sizes
    number = np.zeros(graph.size, np.int32)
    number[joined] = np.arange(len(joined)) + graph.world[joined] + 1
    # Numbers rise along a chain: the greatest so far is that of the last join.
    along = number[chains.rows]
    blank = (ends - clocks)[world].astype(np.int32)
    for chain, (begin, end) in enumerate(pairwise(chains.start.tolist())):
        along[begin] = max(along[begin], blank[chain])
        np.maximum.accumulate(along[begin:end], out=along[begin:end])
    at = np.empty(graph.size, np.int32)
    at[chains.rows] = along
    return Joins(at, start, int(sizes.sum()), local, order, worlds, spans)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Steps:
    """What is joined with what: a step for each edge between chains, in the order of the clocks.

    Args:
        made: the clock that a step makes.
        base: the one that it starts from: its chain's last, or the same where it is made already.
        source: the clock of the event that is learnt of.
        cause: the row of that event.
        effect: the row of the event whose clock it is.
    """

    made: NDArray[np.int32]
    base: NDArray[np.int32]
    source: NDArray[np.int32]
    cause: NDArray[np.int32]
    effect: NDArray[np.int32]


def find_steps(graph: CausalGraph, chains: Chains, joins: Joins) -> Steps:
    """Return the steps, every clock made before it is used."""
    cause, effect = cross_edges(graph, chains)
    made = joins.at[effect]
    if np.any(made[1:] < made[:-1]):
        by_clock = np.argsort(made, kind="stable")
        cause, effect, made = cause[by_clock], effect[by_clock], made[by_clock]
    along = joins.at[chains.rows]
    along[1:] = along[:-1]
    blank = np.array([first for first, _ in joins.spans], np.int32)
    along[chains.start[:-1]] = blank[graph.lanes.world[chains.lane]]
    previous = np.empty(graph.size, np.int32)
    previous[chains.rows] = along
    first = np.ones(len(made), bool)
    first[1:] = made[1:] != made[:-1]
    base = np.where(first, previous[effect], made)
    return Steps(made, base, joins.at[cause], cause, effect)


def cross_edges(graph: CausalGraph, chains: Chains) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the causes and effects of the edges between chains, sorted by effect."""
    edges = graph.named if chains.whole.all() else graph.edges
    cross = chains.chain[edges.cause] != chains.chain[edges.effect]
    if cross.all():
        return edges.cause, edges.effect
    return edges.cause[cross], edges.effect[cross]
