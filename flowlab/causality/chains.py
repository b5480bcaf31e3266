"""A log's events as chains: sequences in which each event happened before the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flowlab.causality import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.graph import CausalGraph


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Chains:
    """A partition of the events into chains, so that every causal past is a prefix of each chain.

    Args:
        chain: of each row, the code of its chain.
        place: of each row, its place in its chain, from 1.
        rows: all rows, chain by chain, each chain in causal order.
        start: where each chain begins in `rows`, and the end.
        lane: of each chain, the lane of its first event.
        whole: of each chain, whether it is all of its lane.
    """

    chain: NDArray[np.int32]
    place: NDArray[np.int32]
    rows: NDArray[np.int32]
    start: NDArray[np.int64]
    lane: NDArray[np.int32]
    whole: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.lane)

    def __repr__(self) -> str:
        return f"Chains({len(self)} chains of {len(self.chain)} events)"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many events each chain has."""
        return np.diff(self.start)

    def rows_of(self, chain: int) -> NDArray[np.int32]:
        """Return a chain's rows, in causal order."""
        return self.rows[self.start[chain] : self.start[chain + 1]]


def split_chains(graph: CausalGraph) -> Chains:
    """Split a log into chains: each sequential lane is one, and work that overlaps is split.

    A lane is sequential if each of its events names the one before as a cause. The others' events
    follow, where they can, a cause in their own stream, else one on their own lane; of several
    that would follow one event, the first does, and the rest begin chains of their own.
    """
    lanes = len(graph.lanes)
    if compiled.pays(graph.size):
        place, heads = compiled.lane_places(
            graph.lane, graph.lane_rows, graph.lane_start, graph.before
        )
    else:
        heads = np.bincount(graph.lane[graph.before < 0], minlength=lanes)
        place = np.empty(graph.size, np.int32)
        firsts = np.repeat(graph.lane_start[:-1], np.diff(graph.lane_start))
        place[graph.lane_rows] = np.arange(graph.size) - firsts + 1
    whole = heads == 1
    if whole.all():
        own = np.arange(lanes, dtype=np.int32)
        return Chains(graph.lane, place, graph.lane_rows, graph.lane_start, own, whole)
    before = _predecessors(graph, whole)
    head, place = _heads(before)
    # Whole lanes come first, in their own order; then the other chains, as they begin.
    heads = np.flatnonzero(before < 0)
    first = np.where(whole[graph.lane[heads]], graph.lane[heads], lanes + graph.rank[heads])
    heads = heads[np.argsort(first, kind="stable")]
    code = np.empty(graph.size, np.int32)
    code[heads] = np.arange(len(heads), dtype=np.int32)
    chain = code[head]
    start = np.zeros(len(heads) + 1, np.int64)
    np.cumsum(np.bincount(chain, minlength=len(heads)), out=start[1:])
    rows = np.empty(graph.size, np.int32)
    rows[start[chain] + place - 1] = np.arange(graph.size, dtype=np.int32)
    lane = graph.lane[heads]
    return Chains(chain, place, rows, start, lane, whole[lane])


def _predecessors(graph: CausalGraph, whole: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the row that each row follows in its chain, -1 where it begins one."""
    before = np.full(graph.size, -1, np.int32)
    sure = whole[graph.lane]
    before[sure] = graph.before[sure]
    loose = ~whole[graph.lane]
    stream = graph.stream[graph.cause] == graph.stream[graph.effect]
    lane = graph.lane[graph.cause] == graph.lane[graph.effect]
    at = np.flatnonzero(loose[graph.cause] & loose[graph.effect] & (stream | lane))
    cause, effect = graph.cause[at], graph.effect[at]
    # The best cause of each effect, then the first effect of each cause.
    score = graph.rank[cause] + np.where(stream[at], graph.size, 0)
    best = np.lexsort((score, effect))
    last = np.ones(len(best), bool)
    last[:-1] = effect[best][1:] != effect[best][:-1]
    at = best[last]
    order = np.lexsort((graph.rank[effect[at]], cause[at]))
    first = np.ones(len(order), bool)
    first[1:] = cause[at][order][1:] != cause[at][order][:-1]
    chosen = at[order[first]]
    before[effect[chosen]] = cause[chosen]
    return before


def _heads(before: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return where each row's chain begins, and its place there, by doubling the steps back."""
    rows = np.arange(len(before), dtype=np.int32)
    back = np.where(before < 0, rows, before)
    place = (before >= 0).astype(np.int32)
    while True:
        further = back[back]
        if np.array_equal(further, back):
            return back, place + 1
        place += place[back]
        back = further
