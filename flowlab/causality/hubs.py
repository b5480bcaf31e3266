"""The order of a log of many short chains around a few long ones: workflows around agents.

The long chains are hubs. Any way from one event to another either stays outside the hubs, within
what is connected without them (a workflow and its children), or leaves the first event to a first
hub event and comes to the second from a last one. So three small things give the whole order: the
clocks of the hub events over the hubs, the clocks within each connected rest, and for each event
outside its exits (the first hub events after it) and its entries (the last before it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.causality.dense import DenseIndex, build_dense, clock_bytes
from flowlab.causality.joins import Joins, Scope, find_joins
from flowlab.errors import LimitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.chains import Chains
    from flowlab.causality.graph import CausalGraph

_PAIRS: Final = 4_000_000
"""Pairs of an exit and an entry that are compared at once."""

Frontier = dict[int, int]
"""Of some chains a place: the last before an event, or the first after it."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Doors:
    """Of each row, hub events: those of a row are `rows[start[row]:start[row + 1]]`.

    Args:
        start: where each row's begin, and the end.
        rows: hub events.
    """

    start: NDArray[np.int64]
    rows: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Hubs:
    """A log parted into hubs and the rest, before its clocks are computed.

    Args:
        hub: of each row, whether it lies on a hub.
        core: the hub events, with an edge for each way between hubs that meets none on it.
        core_joins: where their clocks lie.
        rest: the other events, in groups that are connected without hubs.
        rest_joins: where their clocks lie.
        entries: of each row, the last hub events before it; of a hub event, itself.
        exits: of each row, the first hub events after it; of a hub event, itself.
    """

    hub: NDArray[np.bool_]
    core: Scope
    core_joins: Joins
    rest: Scope
    rest_joins: Joins
    entries: Doors
    exits: Doors

    @property
    def bytes(self) -> int:
        """How much memory the clocks would take."""
        chains = self.core.chains
        return clock_bytes(chains, self.core_joins) + clock_bytes(chains, self.rest_joins)


class HubIndex:
    """Answers about rows, from the clocks of hubs, of the rest, and the doors between them."""

    def __init__(self, graph: CausalGraph, hubs: Hubs, core: DenseIndex, rest: DenseIndex) -> None:
        self.chains = core.chains
        self._graph = graph
        self._hub = hubs.hub
        self._core = core
        self._rest = rest
        self._entries = hubs.entries
        self._exits = hubs.exits
        every = np.arange(graph.size, dtype=np.int32)
        self._leaving = np.repeat(every, np.diff(hubs.exits.start))
        self._entered = np.repeat(every, np.diff(hubs.entries.start))

    def reaches(self, cause: int, effect: int) -> bool:
        """Say whether one row happened before another."""
        if cause == effect:
            return False
        if not (self._hub[cause] or self._hub[effect]) and self._rest.reaches(cause, effect):
            return True
        out, into = self._exits, self._entries
        firsts = out.rows[out.start[cause] : out.start[cause + 1]].tolist()
        lasts = into.rows[into.start[effect] : into.start[effect + 1]].tolist()
        return any(
            first == last or self._core.reaches(first, last) for first in firsts for last in lasts
        )

    def reaches_many(
        self, cause: NDArray[np.int32], effect: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Say it of many pairs at once."""
        out, into = self._exits, self._entries
        firsts = out.start[cause + 1] - out.start[cause]
        lasts = into.start[effect + 1] - into.start[effect]
        ends = np.cumsum(firsts * lasts)
        known = ~(self._hub[cause] | self._hub[effect]) & self._rest.reaches_many(cause, effect)
        begin = 0
        while begin < len(cause):
            before = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, before + _PAIRS, side="right")))
            span = slice(begin, end)
            known[span] |= self._through(cause[span], effect[span], firsts[span], lasts[span])
            begin = end
        known &= cause != effect
        return known

    def _through(
        self,
        cause: NDArray[np.int32],
        effect: NDArray[np.int32],
        firsts: NDArray[np.int64],
        lasts: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Say of pairs whether an exit of the cause comes to an entry of the effect."""
        counts = firsts * lasts
        pair = np.repeat(np.arange(len(cause)), counts)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
        first = self._exits.rows[self._exits.start[cause[pair]] + within // lasts[pair]]
        last = self._entries.rows[self._entries.start[effect[pair]] + within % lasts[pair]]
        found = (first == last) | self._core.reaches_many(first, last)
        return np.bincount(pair[found], minlength=len(cause)) > 0

    def _past(self, row: int) -> NDArray[np.bool_]:
        """Return which rows are a row or before it."""
        chains, into = self.chains, self._entries
        bounds = np.zeros(len(chains), np.int64)
        for last in into.rows[into.start[row] : into.start[row + 1]].tolist():
            np.maximum(bounds, self._core.prefix(last), out=bounds)
        if not self._hub[row]:
            np.maximum(bounds, self._rest.prefix(row), out=bounds)
        past: NDArray[np.bool_] = chains.place <= bounds[chains.chain]
        exits = self._exits.rows
        left = self._hub[exits] & past[exits]
        past[self._leaving[left]] = True
        return past

    def _future(self, row: int) -> NDArray[np.bool_]:
        """Return which rows are after a row."""
        chains, out = self.chains, self._exits
        bounds = chains.lengths.copy()
        for first in out.rows[out.start[row] : out.start[row + 1]].tolist():
            own = self._core.suffix(first)
            own[chains.chain[first]] -= first != row
            np.minimum(bounds, own, out=bounds)
        if not self._hub[row]:
            np.minimum(bounds, self._rest.suffix(row), out=bounds)
        future: NDArray[np.bool_] = chains.place > bounds[chains.chain]
        entries = self._entries.rows
        reached = future[entries] | (entries == row)
        future[self._entered[reached]] = True
        future[row] = False
        return future

    def prefix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain are the row's past or the row itself."""
        return np.bincount(self.chains.chain[self._past(row)], minlength=len(self.chains))

    def prefixes(self, rows: NDArray[np.int32], out: NDArray[np.int32]) -> None:
        """Write the prefixes of many rows into rows by chains, zeros before."""
        for at, row in enumerate(rows.tolist()):
            out[at] = self.prefix(row)

    def suffix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain come before its first in the row's future.

        Of the row's own chain, the row itself is counted.
        """
        after = np.bincount(self.chains.chain[self._future(row)], minlength=len(self.chains))
        bounds: NDArray[np.int64] = self.chains.lengths - after
        return bounds

    def past_sizes(self) -> NDArray[np.int64]:
        """Refuse: no count of so many pairs is made.

        Raises:
            LimitError: always.
        """
        message = (
            f"the ordered pairs of {self._graph.size} events on {len(self.chains)} chains are not "
            "counted; take one run or one workflow, by log.filter"
        )
        raise LimitError(message)


def find_hubs(graph: CausalGraph, scope: Scope) -> Hubs | None:
    """Part a log into its sequential lanes, the hubs, and the rest; None where all are hubs."""
    chains = scope.chains
    on_hub = chains.whole
    hub: NDArray[np.bool_] = on_hub[chains.chain]
    if hub.all() or not hub.any():
        return None
    entries, sources = _doors(graph, chains, hub, forward=True)
    exits, _ = _doors(graph, chains, hub, forward=False)
    worlds = scope.groups
    outside = np.int32(worlds)
    core_group = np.where(hub, scope.group, outside).astype(np.int32)
    core_home = np.where(on_hub, scope.home, outside).astype(np.int32)
    cause, effect = sources
    core = Scope(chains, core_group, core_home, worlds + 1, cause, effect, scope.rank)
    loose = ~(hub[scope.cause] | hub[scope.effect])
    cause, effect = scope.cause[loose], scope.effect[loose]
    group, groups = _groups(graph, hub)
    home = group[chains.rows[chains.start[:-1]]]
    rest = Scope(chains, group, home, groups, cause, effect, scope.rank)
    return Hubs(hub, core, find_joins(core), rest, find_joins(rest), entries, exits)


def build_hubs(graph: CausalGraph, hubs: Hubs) -> HubIndex:
    """Compute the clocks."""
    core = build_dense(hubs.core, hubs.core_joins)
    rest = build_dense(hubs.rest, hubs.rest_joins)
    return HubIndex(graph, hubs, core, rest)


def _groups(graph: CausalGraph, hub: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number what is connected without hubs; all hub events are in group 0, which has no edges."""
    cause, effect = graph.cause, graph.effect
    loose = ~(hub[cause] | hub[effect])
    cause, effect = cause[loose], effect[loose]
    label = np.arange(graph.size, dtype=np.int32)
    while True:
        least = label.copy()
        np.minimum.at(least, effect, label[cause])
        np.minimum.at(least, cause, label[effect])
        least = least[least]
        if np.array_equal(least, label):
            break
        label = least
    roots = np.flatnonzero((label == np.arange(graph.size)) & ~hub)
    number = np.zeros(graph.size, np.int32)
    number[roots] = np.arange(1, len(roots) + 1, dtype=np.int32)
    return np.where(hub, 0, number[label]).astype(np.int32), len(roots) + 1


def _doors(
    graph: CausalGraph, chains: Chains, hub: NDArray[np.bool_], *, forward: bool
) -> tuple[Doors, tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Find each row's entries (or exits), and the ways from hub to hub that meet none between.

    Of one chain only the last entry counts (of exits, the first), and none that another entry is
    known to come after: what was before a hub event is before whatever that event enters.
    """
    places = chains.place.tolist() if forward else (-chains.place).tolist()
    code = chains.chain.tolist()
    known: list[Frontier] = [{}] * graph.size
    on_hub = hub.tolist()
    begin, others = _neighbours(graph, forward=forward)
    order = graph.order.tolist() if forward else graph.order[::-1].tolist()
    ways: list[tuple[int, int, int]] = []
    for row in order:
        near = others[begin[row] : begin[row + 1]]
        if len(near) == 1 and not on_hub[near[0]]:
            known[row] = known[near[0]]
        elif near:
            known[row] = _merged(near, known, on_hub, code, places)
        if on_hub[row]:
            own = code[row]
            ways.extend((chain, at, row) for chain, at in known[row].items() if chain != own)
    found = np.array(ways, np.int64).reshape(-1, 3)
    at = np.abs(found[:, 1])
    far = chains.rows[chains.start[found[:, 0]] + at - 1]
    by_row = np.argsort(found[:, 2], kind="stable")
    edges = (far[by_row], found[by_row, 2].astype(np.int32))
    return _as_doors(graph.size, known, hub, chains), edges


def _neighbours(graph: CausalGraph, *, forward: bool) -> tuple[list[int], list[int]]:
    if forward:
        return graph.into.tolist(), graph.cause.tolist()
    begin, effects = graph.out
    return begin.tolist(), effects.tolist()


def _merged(
    near: list[int],
    known: list[Frontier],
    on_hub: list[bool],
    code: list[int],
    places: list[int],
) -> Frontier:
    merged: Frontier = {}
    behind: Frontier = {}
    for other in near:
        if on_hub[other]:
            chain, place = code[other], places[other]
            if merged.get(chain, place) <= place:
                merged[chain] = place
            for chain, place in known[other].items():
                if behind.get(chain, place) <= place:
                    behind[chain] = place
        else:
            for chain, place in known[other].items():
                if merged.get(chain, place) <= place:
                    merged[chain] = place
    if behind:
        gone = [chain for chain, place in behind.items() if merged.get(chain, place + 1) <= place]
        for chain in gone:
            del merged[chain]
    return merged


def _as_doors(size: int, known: list[Frontier], hub: NDArray[np.bool_], chains: Chains) -> Doors:
    """Return the hub events of each row as arrays; a hub event has itself."""
    counts = np.fromiter(map(len, known), np.int64, size)
    counts[hub] = 1
    start = np.zeros(size + 1, np.int64)
    np.cumsum(counts, out=start[1:])
    rows = np.empty(int(start[-1]), np.int32)
    rows[start[:-1][hub]] = np.flatnonzero(hub)
    loose = np.flatnonzero(~hub).tolist()
    chain = np.fromiter((key for row in loose for key in known[row]), np.int64)
    place = np.fromiter((at for row in loose for at in known[row].values()), np.int64)
    spot = np.ones(len(rows), bool)
    spot[start[:-1][hub]] = False
    rows[spot] = chains.rows[chains.start[chain] + np.abs(place) - 1]
    return Doors(start, rows)
