"""All consistent cuts of a small run, level by level, each with the events that it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from flowlab.causality import CausalOrder
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import Event
from flowlab.figures.clocks import all_lanes

MAX_CUTS: Final = 400
"""Consistent cuts that are drawn; the rest is counted in the picture."""
MAX_COUNTED: Final = 100_000
"""Cuts up to which those that are not drawn are counted."""

Counts = tuple[int, ...]
"""How many events of each chain lie before a cut."""


@dataclass(frozen=True, slots=True)
class CutState:
    """What a predicate is asked about: how far each agent is at a cut.

    Args:
        counts: by agent, how many of its events lie before the cut.
        last: by agent, the last of them; None where there is none.
    """

    counts: Mapping[str, int]
    last: Mapping[str, Event | None]


Predicate = Callable[[CutState], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """The consistent cuts of a run that are drawn, by the number of their events.

    Args:
        order: of the log.
        chains: the chains that counts stand for, as a picture has their lanes from the top.
        levels: the cuts of each level, sorted.
        steps: (cut, cut with one event more), both drawn.
        total: how many cuts there are, or None if there are more than `MAX_COUNTED`.
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
    """Enumerate the consistent cuts of a run, the smallest first, whole levels up to a limit.

    Raises:
        InvalidArgumentError: the log holds several runs.
        LimitError: one level alone has more cuts than the limit.
    """
    graph = order.graph
    if len(graph.worlds) > 1:
        message = f"a lattice is of one run; the log has {len(graph.worlds)}: filter(run_id=...)"
        raise InvalidArgumentError(message)
    chains = _as_drawn(order)
    moves = _Moves(order, chains)
    level: list[Counts] = [(0,) * len(order.chains)]
    levels: list[tuple[Counts, ...]] = [tuple(level)]
    steps: list[tuple[Counts, Counts]] = []
    drawn = total = 1
    drawing = True
    for _ in range(graph.size):
        pairs = [(cut, more) for cut in level for more in moves.following(cut)]
        level = sorted({more for _, more in pairs}, reverse=True)
        total += len(level)
        drawing = drawing and drawn + len(level) <= limit
        if drawing:
            levels.append(tuple(level))
            steps += pairs
            drawn += len(level)
        if total > MAX_COUNTED:
            break
    if len(levels) == 1 and graph.size:
        message = f"{total} cuts are more than the limit of {limit}; give a larger one"
        raise LimitError(message)
    recorded = moves.along(graph.order.tolist())[: len(levels)]
    holding = {
        cut for row in levels for cut in row if where is not None and where(moves.state(cut))
    }
    known = None if total > MAX_COUNTED else total
    return Lattice(order, chains, tuple(levels), tuple(steps), known, recorded, frozenset(holding))


def _as_drawn(order: CausalOrder) -> tuple[int, ...]:
    graph, chains = order.graph, order.chains
    place = {key[2]: n for n, key in enumerate(all_lanes(order.log))}
    lanes = [place[graph.lanes.ids[lane]] for lane in chains.lane.tolist()]
    return tuple(sorted(range(len(chains)), key=lambda chain: (lanes[chain], chain)))


class _Moves:
    """Which events may come next at a cut."""

    def __init__(self, order: CausalOrder, chains: tuple[int, ...]) -> None:
        self.order = order
        self.chains = chains
        self.rows = [order.chains.rows_of(chain).tolist() for chain in chains]
        self._needs: dict[int, tuple[tuple[int, int], ...]] = {}

    def _needed(self, chain: int, row: int) -> tuple[tuple[int, int], ...]:
        if row not in self._needs:
            prefix = self.order.prefix(row)
            counts = [int(prefix[other]) for other in self.chains]
            self._needs[row] = tuple(
                (other, count) for other, count in enumerate(counts) if count and other != chain
            )
        return self._needs[row]

    def following(self, cut: Counts) -> list[Counts]:
        """Return the consistent cuts with one event more."""
        found = []
        for chain, count in enumerate(cut):
            rows = self.rows[chain]
            if count < len(rows) and all(
                cut[other] >= least for other, least in self._needed(chain, rows[count])
            ):
                found.append((*cut[:chain], count + 1, *cut[chain + 1 :]))
        return found

    def along(self, order: list[int]) -> tuple[Counts, ...]:
        """Return the cuts that an order of all rows goes through."""
        place = {chain: n for n, chain in enumerate(self.chains)}
        chain_of = [place[chain] for chain in self.order.chains.chain.tolist()]
        counts = [0] * len(self.rows)
        cuts = [tuple(counts)]
        for row in order:
            counts[chain_of[row]] += 1
            cuts.append(tuple(counts))
        return tuple(cuts)

    def state(self, cut: Counts) -> CutState:
        """Return how far each agent is."""
        graph = self.order.graph
        inside = [row for rows, count in zip(self.rows, cut, strict=True) for row in rows[:count]]
        counts = dict.fromkeys(graph.lanes.ids, 0)
        last: dict[str, int] = {}
        place = {row: n for n, row in enumerate(graph.lane_rows.tolist())}
        for row in inside:
            agent = graph.lanes.ids[graph.lane[row]]
            counts[agent] += 1
            if agent not in last or place[row] > place[last[agent]]:
                last[agent] = row
        events = {agent: self._event(last.get(agent)) for agent in counts}
        return CutState(counts, events)

    def _event(self, row: int | None) -> Event | None:
        return None if row is None else self.order.event(row)
