"""Cut: a set of events of one world, what is wrong with it as a past, and the nearest that is one.

A cut is *consistent* if it holds the causes of all its events: then the world may have looked like
that at some moment, whoever watched. Consistent cuts are closed under union and intersection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventId, EventLog, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.graph import Edges
    from flowlab.causality.world_chains import WorldChains
    from flowlab.causality.world_state import WorldState


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cut:
    """A set of events of one world: how much of each chain, and what of that is left out.

    `order.cut(...)` makes one. Cuts of one log are compared as sets: `==`, `<=`, `&` (the events
    in both), `|` (in either), `len`, `in`.

    Args:
        home: the world, and its chains.
        counts: of each chain of the world, how many events there are up to the last in the cut.
        missing: the rows among those that are not in the cut; a consistent cut has none.

    Example:
        >>> from flowlab import EventLog
        >>> order = EventLog.from_text("A: a >m | B: b <m").causality
        >>> cut = order.cut(frontier={"B": 2})
        >>> cut, cut.is_consistent, len(cut.violations)
        (Cut(2 of 4 events, not consistent), False, 1)
        >>> cut.closest_consistent(), cut.closest_consistent("after")
        (Cut(1 of 4 events), Cut(4 of 4 events))
    """

    home: WorldChains
    counts: tuple[int, ...]
    missing: tuple[int, ...] = ()

    @classmethod
    def of_mask(cls, home: WorldChains, inside: NDArray[np.bool_]) -> Cut:
        """Return the cut of the rows that a mask over the whole log says are in it."""
        chains = home.order.chains
        counts = np.zeros(len(chains), np.int64)
        rows = np.flatnonzero(inside)
        np.maximum.at(counts, chains.chain[rows], chains.place[rows])
        gaps = (chains.place <= counts[chains.chain]) & ~inside
        return cls(home, tuple(counts[home.chains].tolist()), tuple(np.flatnonzero(gaps).tolist()))

    # -- what is in it ----------------------------------------------------------------------------

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Of each row of the log, whether it is in the cut."""
        chains = self.home.order.chains
        inside: NDArray[np.bool_] = chains.place <= self.home.full(self.counts)[chains.chain]
        inside[list(self.missing)] = False
        return inside

    @property
    def rows(self) -> NDArray[np.int32]:
        """The rows of its events, in row order."""
        return np.flatnonzero(self.mask).astype(np.int32)

    @property
    def events(self) -> EventLog:
        """Its events, as a log."""
        return self.home.order.take(self.rows)

    @property
    def world(self) -> tuple[str, str]:
        """The namespace and the run_id of the world that it lies in."""
        worlds = self.home.order.graph.worlds
        return worlds[self.home.world] if worlds else ("default", "")

    @property
    def frontier(self) -> dict[str, EventId]:
        """The id of the last event of each agent in the cut; who has none is left out."""
        found = self.frontier_rows
        rows = np.fromiter(found.values(), np.int64, len(found))
        table = self.home.order.log.table.select(EventId._fields).take(rows)
        return dict(zip(found, (EventId(**row) for row in table.to_pylist()), strict=True))

    @property
    def frontier_rows(self) -> dict[str, int]:
        """The row of the last event of each agent in the cut."""
        graph, chains = self.home.order.graph, self.home.order.chains
        if chains.whole[self.home.chains].all():
            lanes = chains.lane[self.home.chains].tolist()
            ends = zip(lanes, range(len(lanes)), self.counts, strict=True)
            return {
                graph.lanes.ids[lane]: self.home.row(chain, count)
                for lane, chain, count in ends
                if count
            }
        rows = graph.lane_rows[self.mask[graph.lane_rows]]
        lanes = graph.lane[rows]
        last = np.ones(len(rows), bool)
        last[:-1] = lanes[1:] != lanes[:-1]
        return {
            graph.lanes.ids[lane]: row
            for lane, row in zip(lanes[last].tolist(), rows[last].tolist(), strict=True)
        }

    def last(self, agent_id: str) -> Event | None:
        """Return the last event of an agent in the cut; None where it has done nothing yet."""
        row = self.frontier_rows.get(agent_id)
        return None if row is None else self.home.order.event(row)

    @property
    def state(self) -> WorldState:
        """The state of the world on it, from the recorded writes; see `order.state_on`."""
        return self.home.order.state_on(self)

    def to_json(self) -> dict[str, Any]:
        """Return the cut by the ticks of its agents, as JSON; `order.cut(json=...)` reads it.

        `lanes` has of each agent the tick up to which all its events are in the cut; `besides`
        the ids of events that are in it and lie further on.
        """
        graph, inside = self.home.order.graph, self.mask
        table = self.home.order.log.table
        ticks = table.column("agent_sequence").to_numpy()
        told: dict[str, int] = {}
        rest = inside.copy()
        for lane in np.flatnonzero(graph.lanes.world == self.home.world).tolist():
            rows = graph.lane_rows[graph.lane_start[lane] : graph.lane_start[lane + 1]]
            out = ~inside[rows]
            stop = ticks[rows[int(out.argmax())]] if out.any() else None
            whole = rows if stop is None else rows[ticks[rows] < stop]
            if len(whole):
                told[graph.lanes.ids[lane]] = int(ticks[whole[-1]])
                rest[whole] = False
        names = table.select(["workflow_id", "sequence"]).take(np.flatnonzero(rest))
        space, run = self.world
        return {
            "namespace": space,
            "run_id": run,
            "lanes": dict(sorted(told.items())),
            "besides": sorted([*row.values()] for row in names.to_pylist()),
        }

    # -- whether it is a past ---------------------------------------------------------------------

    @property
    def is_consistent(self) -> bool:
        """Whether the causes of all its events are in it."""
        if self.missing:
            return False
        home = self.home
        if len(home) ** 2 > len(home.order.graph.edges):
            return not self._broken().any()
        counts = np.array(self.counts)
        return all(
            bool(np.all(home.needs(home.row(chain, count)) <= counts))
            for chain, count in enumerate(self.counts)
            if count
        )

    @property
    def violations(self) -> Edges:
        """The edges whose effect is in the cut and whose cause is not."""
        return self.home.order.graph.edges.where(self._broken())

    def _broken(self) -> NDArray[np.bool_]:
        edges, inside = self.home.order.graph.edges, self.mask
        return inside[edges.effect] & ~inside[edges.cause]

    def closest_consistent(self, side: str = "before") -> Cut:
        """Return the nearest consistent cut.

        Args:
            side: `before` for the greatest one inside this cut (the union of all of them), `after`
                for the least one around it.

        Raises:
            InvalidArgumentError: side is neither.
        """
        if side not in {"before", "after"}:
            message = f"side is {side!r}; expected before or after"
            raise InvalidArgumentError(message)
        home, chains, broken = self.home, self.home.order.chains, self.violations
        counts = np.array(self.counts, np.int64)
        if side == "after":
            for row in _extremes(home, broken.cause, last=True):
                np.maximum(counts, home.needs(row), out=counts)
            return Cut(home, tuple(counts.tolist()))
        gaps = np.array(self.missing, np.int32)
        numbers = np.searchsorted(home.chains, chains.chain[gaps])
        np.minimum.at(counts, numbers, chains.place[gaps] - 1)
        for row in _extremes(home, broken.effect, last=False):
            np.minimum(counts, home.allows(row), out=counts)
        return Cut(home, tuple(counts.tolist()))

    @property
    def enabled(self) -> list[int]:
        """The rows of the events that may come next: all their causes are in the cut."""
        home, counts = self.home, np.array(self.counts)
        found = []
        for chain, count in enumerate(self.counts):
            if count < home.lengths[chain]:
                needed = home.needs(home.row(chain, count + 1))
                needed[chain] -= 1
                if np.all(needed <= counts):
                    found.append(home.row(chain, count + 1))
        return found

    def successors(self) -> Iterator[Cut]:
        """Yield the consistent cuts with one event more, of a consistent one."""
        for row in self.enabled:
            chain = self.home.chain_of(row)
            counts = (*self.counts[:chain], self.counts[chain] + 1, *self.counts[chain + 1 :])
            yield Cut(self.home, counts)

    # -- as sets ----------------------------------------------------------------------------------

    def __and__(self, other: Cut) -> Cut:
        """Return the events in both: of consistent cuts the greatest below both."""
        self._check(other)
        if not (self.missing or other.missing):
            both = zip(self.counts, other.counts, strict=True)
            return Cut(self.home, tuple(min(pair) for pair in both))
        return Cut.of_mask(self.home, self.mask & other.mask)

    def __or__(self, other: Cut) -> Cut:
        """Return the events in either: of consistent cuts the least above both."""
        self._check(other)
        if not (self.missing or other.missing):
            both = zip(self.counts, other.counts, strict=True)
            return Cut(self.home, tuple(max(pair) for pair in both))
        return Cut.of_mask(self.home, self.mask | other.mask)

    def __le__(self, other: Cut) -> bool:
        """Say whether all events of this cut are in the other."""
        self._check(other)
        return (self & other) == self

    def __lt__(self, other: Cut) -> bool:
        """Say whether this cut is part of the other and not all of it."""
        return self <= other and self != other

    def __contains__(self, row: object) -> bool:
        if not isinstance(row, int | np.integer) or isinstance(row, bool):
            return False
        if not 0 <= row < len(self.home.order):
            return False
        chains = self.home.order.chains
        inside = chains.place[row] <= self.home.full(self.counts)[chains.chain[row]]
        return bool(inside) and int(row) not in self.missing

    def __len__(self) -> int:
        return sum(self.counts) - len(self.missing)

    def __eq__(self, other: object) -> bool:
        """Equal when they are the same events of one log."""
        if not isinstance(other, Cut):
            return NotImplemented
        return self._same_world(other) and (self.counts, self.missing) == (
            other.counts,
            other.missing,
        )

    def __hash__(self) -> int:
        return hash((self.home.world, self.counts, self.missing))

    def _same_world(self, other: Cut) -> bool:
        mine, yours = self.home, other.home
        return mine.world == yours.world and mine.order.log is yours.order.log

    def _check(self, other: Cut) -> None:
        if not isinstance(other, Cut) or not self._same_world(other):
            message = f"got {other!r:.80}; cuts are compared within one world of one log"
            raise InvalidArgumentError(message)

    def __repr__(self) -> str:
        told = "" if self.is_consistent else ", not consistent"
        return f"Cut({len(self)} of {counted(self.home.size, 'event')}{told})"

    def _repr_html_(self) -> str:
        order = self.home.order
        table = order.log.table.select(["name", "event_type", "agent_sequence"])
        rows = []
        for agent, row in self.frontier_rows.items():
            name, kind, tick = (column[row].as_py() for column in table.columns)
            cells = (agent, str(tick), f"{name or kind}")
            rows.append("".join(f'<td style="text-align:left">{escape(c)}</td>' for c in cells))
        head = "".join(
            f'<th style="text-align:left">{title}</th>' for title in ("agent", "tick", "last event")
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        title = f"<caption>{escape(repr(self))}</caption>"
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _extremes(home: WorldChains, rows: NDArray[np.int32], *, last: bool) -> list[int]:
    """Return of some rows the last (or the first) of each chain."""
    chains = home.order.chains
    ordered = rows[np.lexsort((chains.place[rows], chains.chain[rows]))]
    edge = np.ones(len(ordered), bool)
    turns = chains.chain[ordered[1:]] != chains.chain[ordered[:-1]]
    if last:
        edge[:-1] = turns
    else:
        edge[1:] = turns
    found: list[int] = ordered[edge].tolist()
    return found
