"""Where chains meet: the events that learn something from another chain, and what they learn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from flowlab.causality import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.chains import Chains
    from flowlab.causality.graph import CausalGraph


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scope:
    """What is ordered together: chains in groups, and the edges between chains of one group.

    Args:
        chains: all chains of the log.
        group: of each row, its group; rows of different groups are not ordered here.
        home: of each chain, the group of its rows.
        groups: how many groups there are.
        cause: of each edge between chains, the cause's row.
        effect: of each edge, the effect's row; the edges are sorted by it.
        rank: of each row, its place in a causal order; None where the rows are in one.
    """

    chains: Chains
    group: NDArray[np.int32]
    home: NDArray[np.int32]
    groups: int
    cause: NDArray[np.int32]
    effect: NDArray[np.int32]
    rank: NDArray[np.int32] | None


def whole_scope(graph: CausalGraph, chains: Chains) -> Scope:
    """Return the whole log as one scope: its worlds are the groups."""
    edges = graph.named if chains.whole.all() else graph.edges
    if compiled.pays(len(edges)):
        cross = compiled.crossing(chains.chain, edges.cause, edges.effect)
    else:
        cross = chains.chain[edges.cause] != chains.chain[edges.effect]
    cause, effect = edges.cause, edges.effect
    if not cross.all():
        cause, effect = cause[cross], effect[cross]
    home = graph.lanes.world[chains.lane]
    rank = None if graph.in_order else graph.rank
    return Scope(chains, graph.world, home, max(len(graph.worlds), 1), cause, effect, rank)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Joins:
    """Which events have a clock of their own, and where it lies.

    Args:
        at: of each event, the number of its clock; the first of each group knows nothing.
        start: where each clock begins among the cells.
        cells: how many cells there are.
        local: of each chain, its number within its group.
        order: all chains, group by group.
        groups: where each group's chains begin in `order`, and the end.
        spans: of each group, its first clock and the one after its last.
        steps: how the clocks are made, where that is known already.
    """

    at: NDArray[np.int32]
    start: NDArray[np.int64]
    cells: int
    local: NDArray[np.int64]
    order: NDArray[np.int64]
    groups: NDArray[np.int64]
    spans: list[tuple[int, int]]
    steps: Steps | None = None

    def chains_of(self, group: int) -> NDArray[np.int64]:
        """Return the chains of a group."""
        return self.order[self.groups[group] : self.groups[group + 1]]


def find_joins(scope: Scope) -> Joins:
    """Number the clocks group by group, in each in causal order, and lay them out."""
    chains, count, home = scope.chains, scope.groups, scope.home
    order = np.argsort(home, kind="stable")
    groups = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(home, minlength=count), out=groups[1:])
    local = np.empty(len(chains), np.int64)
    local[order] = np.arange(len(chains)) - groups[home[order]]
    widths = np.diff(groups)
    if count == 1 and scope.rank is None and compiled.pays(len(scope.group)):
        return _compiled_joins(scope, local, order, groups)

    joins = np.zeros(len(scope.group), bool)
    joins[scope.effect] = True
    joined = np.flatnonzero(joins).astype(np.int32)
    if scope.rank is not None:
        joined = joined[np.argsort(scope.rank[joined], kind="stable")]
    if count > 1:
        joined = joined[np.argsort(scope.group[joined], kind="stable")]
    clocks = np.bincount(scope.group[joined], minlength=count) + 1
    ends = np.cumsum(clocks)
    spans = list(zip((ends - clocks).tolist(), ends.tolist(), strict=True))
    sizes = np.repeat(widths, clocks)
    start = np.cumsum(sizes) - sizes
    number = np.zeros(len(scope.group), np.int32)
    number[joined] = np.arange(len(joined)) + scope.group[joined] + 1
    # Numbers rise along a chain: the greatest so far is that of the last join.
    along = number[chains.rows]
    blank = (ends - clocks)[home].astype(np.int32)
    for chain, (begin, end) in enumerate(pairwise(chains.start.tolist())):
        along[begin] = max(along[begin], blank[chain])
        np.maximum.accumulate(along[begin:end], out=along[begin:end])
    at = np.empty(len(scope.group), np.int32)
    at[chains.rows] = along
    return Joins(at, start, int(sizes.sum()), local, order, groups, spans)


def _compiled_joins(
    scope: Scope, local: NDArray[np.int64], order: NDArray[np.int64], groups: NDArray[np.int64]
) -> Joins:
    """Number the clocks of one group whose rows are in causal order, and find the steps too."""
    width = len(scope.chains)
    at, made, base, source = compiled.number_joins(
        scope.chains.chain, width, scope.cause, scope.effect
    )
    clocks = int(made[-1]) + 1 if len(made) else 1
    start = np.arange(clocks, dtype=np.int64) * width
    steps = Steps(made, base, source, scope.cause, scope.effect)
    return Joins(at, start, clocks * width, local, order, groups, [(0, clocks)], steps)


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


def find_steps(scope: Scope, joins: Joins) -> Steps:
    """Return the steps, every clock made before it is used."""
    if joins.steps is not None:
        return joins.steps
    chains, cause, effect = scope.chains, scope.cause, scope.effect
    made = joins.at[effect]
    if np.any(made[1:] < made[:-1]):
        by_clock = np.argsort(made, kind="stable")
        cause, effect, made = cause[by_clock], effect[by_clock], made[by_clock]
    along = joins.at[chains.rows]
    along[1:] = along[:-1]
    blank = np.array([first for first, _ in joins.spans], np.int32)
    along[chains.start[:-1]] = blank[scope.home]
    previous = np.empty(len(scope.group), np.int32)
    previous[chains.rows] = along
    first = np.ones(len(made), bool)
    first[1:] = made[1:] != made[:-1]
    base = np.where(first, previous[effect], made)
    return Steps(made, base, joins.at[cause], cause, effect)
