"""The consistent cuts of a small run, level by level, as a lattice is drawn of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flowlab.causality import CausalOrder, Cut
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.figures.clocks import all_lanes

MAX_DRAWN_CUTS: Final = 400
"""Consistent cuts that are drawn; the rest is counted in the picture."""

Counts = tuple[int, ...]
"""How many events of each chain lie before a cut."""

Predicate = Callable[[Cut], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """The consistent cuts of a run that are drawn, by the number of their events.

    Args:
        order: of the log.
        chains: the chains that counts stand for, as a picture has their lanes from the top.
        levels: the cuts of each level, sorted.
        steps: (cut, cut with one event more), both drawn.
        total: how many cuts there are, or None if there are too many to be counted.
        recorded: the cuts that the recorded order of the log goes through, as far as drawn.
        holding: the drawn cuts at which the predicate holds.
    """

    order: CausalOrder
    chains: tuple[int, ...]
    levels: tuple[tuple[Counts, ...], ...]
    steps: tuple[tuple[Counts, Counts], ...]
    total: int | None
    recorded: tuple[Counts, ...]
    holding: frozenset[Counts]

    @property
    def drawn(self) -> int:
        """How many cuts are drawn."""
        return sum(map(len, self.levels))

    @property
    def is_whole(self) -> bool:
        """Whether every cut is drawn."""
        return self.total == self.drawn

    @property
    def is_definite(self) -> bool:
        """Whether every way from the first cut to the last goes through one that holds."""
        following: dict[Counts, list[Counts]] = {}
        for one, other in self.steps:
            following.setdefault(one, []).append(other)
        first, last = self.levels[0][0], self.levels[-1][0]
        pending, seen = [first], {first}
        while pending:
            cut = pending.pop()
            if cut in self.holding:
                continue
            if cut == last:
                return False
            fresh = [other for other in following.get(cut, ()) if other not in seen]
            seen.update(fresh)
            pending += fresh
        return True


def read_lattice(order: CausalOrder, where: Predicate | None, limit: int) -> Lattice:
    """Visit the consistent cuts of a run, the smallest first, whole levels up to a limit.

    Raises:
        InvalidArgumentError: the log holds several runs.
        LimitError: not even the cuts of one event are within the limit.
    """
    graph = order.graph
    if len(graph.worlds) > 1:
        message = f"a lattice is of one run; the log has {len(graph.worlds)}: filter(run_id=...)"
        raise InvalidArgumentError(message)
    if not graph.size:
        return Lattice(order, (), (((),),), (), 1, ((),), frozenset())
    chains = _as_drawn(order)
    home = order.world_chains(0)
    # Counts are in the order of the lanes; a cut's own are in the order of the world's chains.
    place = {int(chain): n for n, chain in enumerate(home.chains)}
    spots = [place[chain] for chain in chains]

    def shown(cut: Cut) -> Counts:
        return tuple(cut.counts[spot] for spot in spots)

    level = {shown(first): first for first in [order.cuts().first]}
    found = dict(level)
    levels = [tuple(level)]
    steps: list[tuple[Counts, Counts]] = []
    while level and len(levels) <= graph.size:
        following: dict[Counts, Cut] = {}
        pairs = []
        for counts, cut in level.items():
            for more in cut.successors():
                following[shown(more)] = more
                pairs.append((counts, shown(more)))
        if len(found) + len(following) > limit:
            break
        levels.append(tuple(sorted(following, reverse=True)))
        found |= following
        steps += pairs
        level = {counts: following[counts] for counts in levels[-1]}
    if len(levels) == 1:
        message = f"the cuts of one event are more than the limit of {limit}; give a larger one"
        raise LimitError(message)
    recorded = _along(order, chains)[: len(levels)]
    holding = {counts for counts, cut in found.items() if where is not None and where(cut)}
    try:
        total = order.cuts().count()
    except (
        LimitError
    ):  # the run is too large to count in, and its first cuts are drawn all the same
        total = None
    return Lattice(order, chains, tuple(levels), tuple(steps), total, recorded, frozenset(holding))


def _as_drawn(order: CausalOrder) -> tuple[int, ...]:
    graph, chains = order.graph, order.chains
    place = {key[2]: n for n, key in enumerate(all_lanes(order.log))}
    lanes = [place[graph.lanes.ids[lane]] for lane in chains.lane.tolist()]
    return tuple(sorted(range(len(chains)), key=lambda chain: (lanes[chain], chain)))


def _along(order: CausalOrder, chains: tuple[int, ...]) -> tuple[Counts, ...]:
    """Return the cuts that the recorded order goes through."""
    place = {chain: n for n, chain in enumerate(chains)}
    chain_of = order.chains.chain.tolist()
    counts = [0] * len(chains)
    cuts = [tuple(counts)]
    for row in order.graph.order.tolist():
        counts[place[chain_of[row]]] += 1
        cuts.append(tuple(counts))
    return tuple(cuts)
