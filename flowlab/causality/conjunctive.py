"""Conjunctive: a predicate of which each agent's part can be told from that agent alone.

Then the consistent cuts need not be visited: possibly and definitely are answered in polynomial
time, from when each part is true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.causality.cuts import Cut
from flowlab.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.world_chains import WorldChains

Spans = Mapping[str, tuple[int | None, int | None]]


@dataclass(frozen=True, slots=True, repr=False)
class Conjunctive:
    """The predicate that holds where the part of each agent does.

    Args:
        parts: of each agent, a function: of its last event, as an `Event` (before its first one
            it is taken to be false); or, with `on="state"`, of its own cells as a dict of those
            that it has written.
        on: `event` or `state`.

    Raises:
        InvalidArgumentError: there is no part, or one is no function.

    Example:
        >>> from flowlab import EventLog
        >>> order = EventLog.from_text("A: enter leave >m | B: <m enter leave").causality
        >>> both = Conjunctive({agent: lambda last: last.name == "enter" for agent in "AB"})
        >>> order.possibly(both), order.definitely(both)
        (Possibly(never), Definitely(not: a way of 6 events avoids it))
    """

    parts: Mapping[str, Callable[[Any], bool]]
    on: str = "event"

    def __post_init__(self) -> None:
        if self.on not in {"event", "state"}:
            message = f"on is {self.on!r:.80}; expected event or state"
            raise InvalidArgumentError(message)
        if (
            not isinstance(self.parts, Mapping)
            or not self.parts
            or not all(callable(part) for part in self.parts.values())
        ):
            message = "a Conjunctive has a function of each agent: {agent: function}, one or more"
            raise InvalidArgumentError(message)

    def __call__(self, cut: Cut) -> bool:
        """Say whether it holds at a cut."""
        return all(true[cut.counts[chain]] for chain, true in self.truth(cut.home).items())

    def truth(self, home: WorldChains) -> dict[int, NDArray[np.bool_]]:
        """Return of the chain of each agent whether its part holds after so many of its events.

        Raises:
            NotFoundError: the run has no such agent.
            InvalidArgumentError: an agent does several things at a time, so no event is its last.
        """
        found = {}
        for agent, part in self.parts.items():
            chain = _chain_of(home, agent)
            found[chain] = _truth(home, chain, agent, part, self.on)
        return found

    def __repr__(self) -> str:
        return f"Conjunctive({', '.join(self.parts)} on {self.on})"


def _chain_of(home: WorldChains, agent: str) -> int:
    graph, chains = home.order.graph, home.order.chains
    for lane in graph.lanes.codes_of(agent).tolist():
        if graph.lanes.world[lane] == home.world:
            found = np.flatnonzero(chains.lane[home.chains] == lane)
            if len(found) == 1 and chains.whole[home.chains[found[0]]]:
                return int(found[0])
            message = (
                f"agent {agent!r:.80} does several things at a time, so no event is its last; give "
                "the predicate as a function of the cut"
            )
            raise InvalidArgumentError(message)
    known = ", ".join(sorted(set(graph.lanes.ids))[:8])
    message = f"the run has no agent {agent!r:.80}; it has {known or 'none'}"
    raise NotFoundError(message)


def _truth(
    home: WorldChains, chain: int, agent: str, part: Callable[[Any], bool], on: str
) -> NDArray[np.bool_]:
    rows = home.order.chains.rows_of(int(home.chains[chain]))
    if on == "event":
        events = home.order.take(rows)
        return np.array([False, *(bool(part(event)) for event in events)])
    held: dict[str, Any] = {}
    found = [bool(part(dict(held)))]
    for row in rows.tolist():
        told = home.writes.told_by(row)
        held |= {cell.key: value for cell, value in told.items() if cell.owner == agent}
        found.append(bool(part(dict(held))))
    return np.array(found)


def first_cut(home: WorldChains, predicate: Conjunctive) -> Cut | None:
    """Return the least consistent cut at which it holds, None where there is none.

    Source: Garg, Waldecker, "Detection of Weak Unstable Predicates in Distributed Programs", 1994.
    """
    truth = predicate.truth(home)
    places = {chain: np.flatnonzero(true) for chain, true in truth.items()}
    counts = np.zeros(len(home), np.int64)
    todo = set(truth)
    least = dict.fromkeys(truth, 0)
    while todo:
        chain = min(todo)
        todo.discard(chain)
        at = int(np.searchsorted(places[chain], least[chain]))
        if at == len(places[chain]):
            return None
        place = least[chain] = int(places[chain][at])
        counts[chain] = max(counts[chain], place)
        if not place:
            continue
        needs = home.needs(home.row(chain, place))
        np.maximum(counts, needs, out=counts)
        for other in truth:
            if counts[other] > least[other]:
                least[other] = int(counts[other])
                todo.add(other)
    return Cut(home, tuple(counts.tolist()))


def avoid(home: WorldChains, predicate: Conjunctive) -> tuple[tuple[int, ...] | None, Spans | None]:
    """Return a way on which it never holds; or, where there is none, the spans that prove it.

    At every moment one agent, whose part is false, waits while the others go on past a span in
    which theirs is true; then one of them can wait. If nobody can be let past, each span begins
    before any ends, and there is no way around their overlap.

    Source: Garg, Waldecker, "Detection of Strong Unstable Predicates in Distributed Programs",
    1996; Tarafdar, Garg, "Predicate Control for Active Debugging of Distributed Programs", 1998.
    """
    truth = predicate.truth(home)
    spans = {chain: _spans(true) for chain, true in truth.items()}
    counts = np.zeros(len(home), np.int64)
    path: list[int] = []
    while True:
        ahead = {
            chain: next((span for span in spans[chain] if span[1] > counts[chain]), None)
            for chain in truth
        }
        waiting = [chain for chain in truth if not truth[chain][counts[chain]]]
        if any(ahead[chain] is None for chain in waiting):
            path += _between(home, counts, home.lengths)
            return tuple(path), None
        past = _passable(home, ahead, waiting)
        if past is None:
            return None, _told(home, predicate, ahead)
        reached = np.maximum(counts, past)
        path += _between(home, counts, reached)
        counts = reached


def _spans(true: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where a part begins to be true, and where it ends, in places of the chain."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _passable(
    home: WorldChains,
    ahead: Mapping[int, tuple[int, int] | None],
    waiting: list[int],
) -> NDArray[np.int64] | None:
    """Return how far the world goes if one agent passes its span while another waits."""
    for other, span in ahead.items():
        if span is None or span[1] > home.lengths[other]:
            continue
        needs = home.needs(home.row(other, span[1]))
        for chain in waiting:
            mine = ahead[chain]
            if chain != other and mine is not None and needs[chain] < mine[0]:
                return needs
    return None


def _between(home: WorldChains, low: NDArray[np.int64], high: NDArray[np.int64]) -> list[int]:
    """Return the rows between two consistent cuts, causes first."""
    rank = home.order.graph.rank
    rows = [
        home.row(chain, place)
        for chain in range(len(home))
        for place in range(int(low[chain]) + 1, int(high[chain]) + 1)
    ]
    return sorted(rows, key=lambda row: int(rank[row]))


def _told(
    home: WorldChains, predicate: Conjunctive, ahead: Mapping[int, tuple[int, int] | None]
) -> Spans:
    found: dict[str, tuple[int | None, int | None]] = {}
    for agent, (chain, span) in zip(predicate.parts, ahead.items(), strict=True):
        begin, end = span or (0, 0)
        first = home.row(chain, begin) if begin else None
        last = home.row(chain, end) if end <= home.lengths[chain] else None
        found[agent] = (first, last)
    return found
