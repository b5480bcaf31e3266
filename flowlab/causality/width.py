"""How many events of a world are concurrent at most: the width of its order, by Dilworth exactly.

No antichain has more events than there are chains that cover all events, and the fewest chains are
as many as the widest antichain has events. So a cover by chains and an antichain of the same size
prove each other.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from flowlab.causality.world_chains import WorldChains


def widest(home: WorldChains) -> NDArray[np.int32]:
    """Return the rows of a widest antichain of a world, in row order.

    First the bounds: the chains that are there, and those along messages, joined end to end where
    one ends before another begins, against the events of one causal depth, and against a search for
    one event of each chain that are all concurrent. Where they meet, that is it: joining compares
    every two chains, and the search looks at each event once at most. Else the chains are rewoven
    along augmenting paths until no two can be made one: each pass visits all events, and there are
    at most as many passes as there are chains too many.

    Source: Dilworth 1950; Fulkerson 1956; Garg and Waldecker, "Detection of Weak Unstable
    Predicates in Distributed Programs", 1994 (the search).
    """
    if not len(home):
        return np.zeros(0, np.int32)
    level = _fullest_level(home)
    if len(level) == len(home):
        return level
    along = _Cover(home, across=True)
    if along.size == len(level):
        return level
    covers = [_Cover(home), along]
    covers[0].join_ends()
    # Where two chains could be joined, no antichain has an event of each.
    if covers[0].size == len(home):
        across = _across(home)
        if across is not None:
            return across
    along.join_ends()
    cover = min(covers, key=lambda cover: cover.size)
    while cover.size > len(level):
        if not cover.improve():
            return cover.antichain()
    return level


def _fullest_level(home: WorldChains) -> NDArray[np.int32]:
    """Return the rows of the causal depth that most events have: none of them is before another."""
    depth = home.order.depth[home.rows]
    found: NDArray[np.int32] = home.rows[depth == int(np.bincount(depth).argmax())]
    return np.sort(found)


def _across(home: WorldChains) -> NDArray[np.int32] | None:
    """Return one event of each chain that are all concurrent, the first such, if there are."""
    heads = np.ones(len(home), np.int64)
    todo = deque(range(len(home)))
    waiting = set(todo)
    while todo:
        chain = todo.popleft()
        waiting.discard(chain)
        needs = home.needs(home.row(chain, int(heads[chain])))
        needs[chain] = 0
        behind = np.flatnonzero(needs >= heads)
        if not len(behind):
            continue
        # What happened before another's event is before all that come later there, too.
        heads[behind] = needs[behind] + 1
        if np.any(heads[behind] > home.lengths[behind]):
            return None
        for other in behind.tolist():
            if other not in waiting:
                waiting.add(other)
                todo.append(other)
    rows = [home.row(chain, place) for chain, place in enumerate(heads.tolist())]
    return np.sort(np.array(rows, np.int32))


class _Cover:
    """Chains that cover all events, each with the event that follows it in its chain."""

    def __init__(self, home: WorldChains, *, across: bool = False) -> None:
        self.home = home
        self.order = home.order
        self.after = np.full(len(self.order.log), -1, np.int32)
        self.before = self.after.copy()
        self.reach = home.lengths.copy()
        if across:
            self._follow_messages()
            return
        rows = home.rows
        inner = np.ones(len(rows), bool)
        inner[home.starts] = False
        self.after[rows[:-1][inner[1:]]] = rows[1:][inner[1:]]
        self.before[rows[1:][inner[1:]]] = rows[:-1][inner[1:]]

    def _follow_messages(self) -> None:
        """Let each event follow a cause on another chain, if that is not followed, else any."""
        graph, chain = self.order.graph, self.order.chains.chain
        edges = graph.edges
        turn = np.lexsort((chain[edges.cause] == chain[edges.effect], graph.rank[edges.effect]))
        mine = graph.world[edges.effect[turn]] == self.home.world
        after, before = self.after.tolist(), self.before.tolist()
        causes, effects = edges.cause[turn][mine].tolist(), edges.effect[turn][mine].tolist()
        for cause, effect in zip(causes, effects, strict=True):
            if after[cause] < 0 and before[effect] < 0:
                after[cause], before[effect] = effect, cause
        self.after, self.before = np.array(after, np.int32), np.array(before, np.int32)

    def _ends(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the first row of each chain, causes first, and its last."""
        rank = self.order.graph.rank
        ordered = self.home.rows[np.argsort(rank[self.home.rows])]
        before, last = self.before.tolist(), {}
        head: dict[int, int] = {}
        for row in ordered.tolist():
            head[row] = head[before[row]] if before[row] >= 0 else row
            last[head[row]] = row
        return np.array(list(last), np.int32), np.array(list(last.values()), np.int32)

    @property
    def size(self) -> int:
        """How many chains there are."""
        return int(np.count_nonzero(self.after[self.home.rows] < 0))

    def _link(self, cause: int, effect: int) -> None:
        self.after[cause] = effect
        self.before[effect] = cause

    def join_ends(self) -> None:
        """Put a chain behind another that ends before it begins, the latest of those."""
        rank = self.order.graph.rank
        firsts, lasts = self._ends()
        ends = np.full(len(firsts), -1, np.int32)
        count = 0
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            known = ends[:count]
            fits = np.flatnonzero(
                self.order.index.reaches_many(known, np.full(count, first, np.int32))
            )
            if len(fits):
                best = int(fits[rank[known[fits]].argmax()])
                self._link(int(known[best]), first)
                ends[best] = last
            else:
                ends[count] = last
                count += 1

    def improve(self) -> bool:
        """Reweave along all augmenting paths that one search finds and that share no event.

        The search goes from the ends of chains to what comes after them, and from there to what
        stood before that in its chain. On each of the world's own chains only the first event that
        was reached counts, since what comes after any later one comes after it as well.
        """
        home, chains = self.home, self.order.chains
        self.reach = home.lengths.copy()
        tips = home.lengths + 1
        parent = np.full(len(self.after), -1, np.int32)
        free: list[int] = []
        todo: deque[int] = deque()

        def go_on(rows: NDArray[np.int32]) -> None:
            numbers = np.searchsorted(home.chains, chains.chain[rows])
            least = tips.copy()
            np.minimum.at(least, numbers, chains.place[rows])
            for number in np.flatnonzero(least < tips).tolist():
                todo.append(home.row(number, int(least[number])))
            tips[:] = least

        go_on(home.rows[self.after[home.rows] < 0])
        while todo:
            row = todo.popleft()
            if chains.place[row] > tips[home.chain_of(row)]:
                continue
            bounds = self.order.index.suffix(row)[home.chains]
            for number in np.flatnonzero(bounds < self.reach).tolist():
                begin = int(home.begin[number])
                new = chains.rows[begin + int(bounds[number]) : begin + int(self.reach[number])]
                self.reach[number] = bounds[number]
                parent[new] = row
                stood = self.before[new]
                free += new[stood < 0].tolist()
                go_on(stood[stood >= 0])
        return self._reweave(free, parent)

    def _reweave(self, free: Iterable[int], parent: NDArray[np.int32]) -> bool:
        used: set[tuple[int, bool]] = set()
        done = False
        for start in free:
            path: list[tuple[int, int]] = []
            effect = start
            while effect >= 0:
                cause = int(parent[effect])
                if (cause, True) in used or (effect, False) in used:
                    break
                path.append((cause, effect))
                effect = int(self.after[cause])
            else:
                for cause, follower in path:
                    self._link(cause, follower)
                    used |= {(cause, True), (follower, False)}
                done = True
        return done

    def antichain(self) -> NDArray[np.int32]:
        """Return what the last search leaves: one event of each chain, all of them concurrent."""
        chains, rows = self.order.chains, self.home.rows
        bound = np.zeros(len(chains), np.int64)
        bound[self.home.chains] = self.reach
        reached = chains.place > bound[chains.chain]
        after = self.after[rows]
        tip = (after < 0) | reached[after]
        return np.sort(rows[tip & ~reached[rows]])
