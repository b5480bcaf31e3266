"""CausalOrder: what came before, what after, and what was concurrent, for every event of a log."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.asking import CutQuestions
from flowlab.causality.bridges import recorded_horizon, with_horizon
from flowlab.causality.chains import Chains, split_chains
from flowlab.causality.choosing import many
from flowlab.causality.clocks import (
    CausalityInfo,
    hybrid_clocks,
    info,
    info_table,
    vector_clock,
    vector_clocks,
)
from flowlab.causality.graph import CausalGraph, Edges, read_graph
from flowlab.causality.horizon import BeforeHorizon
from flowlab.causality.indexes import OrderIndex, build_index
from flowlab.causality.joins import Joins, Scope, find_joins, find_steps, whole_scope
from flowlab.causality.paths import CriticalPath, critical_path, depths
from flowlab.causality.reduction import reduced
from flowlab.causality.resuming import Resumed, resume
from flowlab.causality.selecting import EventRef, find_row, find_rows
from flowlab.errors import InvalidArgumentError
from flowlab.events import ANOMALY_SCHEMA, Event, EventLog, counted, to_frame
from flowlab.events.asking import query_once

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl
    from numpy.typing import ArrayLike, NDArray


class CausalOrder(CutQuestions):
    """The exact causal order of a log: the transitive closure of its causes and its lanes.

    Events are cut into chains (a sequential lane is one; a lane whose work overlaps is split), and
    for each event it is known how much of every chain lies in its past. So a pair is compared in
    constant time, and a past is a prefix of each chain. Wherever a method takes an event, it takes
    its row in the log's table, an `Event`, an `EventId`, a pair (workflow_id, sequence) or a key.

    Args:
        log: any log; of several worlds (namespace and run), events of different ones are
            concurrent.
        horizon: of a truncated log, what must be remembered of the events that were cut off
            (`truncate`): then the order among those left is the whole log's.

    The order is computed when it is first asked for and never changes. Damage (a cause that the
    log does not hold, a cycle, two events with one id) is left out of it and told in `anomalies`.

    Example:
        >>> log = EventLog.from_events([
        ...     {"workflow_id": "@a", "sequence": 1, "agent_id": "a", "event_type": "MessageSent"},
        ...     {"workflow_id": "@b", "sequence": 1, "agent_id": "b", "event_type": "Signaled"},
        ...     {"workflow_id": "@b", "sequence": 2, "agent_id": "b", "agent_sequence": 1,
        ...      "event_type": "MessageReceived", "causes": [{"workflow_id": "@a", "sequence": 1}]},
        ... ])
        >>> order = CausalOrder(log)
        >>> order.happened_before(("@a", 1), ("@b", 2)), order.concurrent(("@a", 1), ("@b", 1))
        (True, True)
        >>> order
        CausalOrder(3 events, 2 chains)
    """

    def __init__(self, log: EventLog, *, horizon: BeforeHorizon | None = None) -> None:
        self.log = log
        self._given = horizon
        self._size = len(log)

    def __getstate__(self) -> dict[str, object]:
        """Say what the order is made from: the rest is derived anew where it is unpickled."""
        return {"log": self.log, "_given": self._given, "_size": self._size}

    @cached_property
    def graph(self) -> CausalGraph:
        """Events and edges as arrays."""
        return self._read if self.horizon is None else with_horizon(self._read, self.horizon)

    @cached_property
    def _read(self) -> CausalGraph:
        return read_graph(self.log)

    @cached_property
    def horizon(self) -> BeforeHorizon | None:
        """What is remembered of truncated events: as given, or as the log's truncations tell."""
        return recorded_horizon(self._read) if self._given is None else self._given

    @cached_property
    def resumed(self) -> Resumed | None:
        """What the events know of truncated ones, which their clocks count too."""
        return None if self.horizon is None else resume(self.graph, self.horizon)

    @cached_property
    def chains(self) -> Chains:
        """The chains into which the events are cut."""
        return split_chains(self.graph)

    @cached_property
    def scope(self) -> Scope:
        """The whole log as what is ordered together."""
        return whole_scope(self.graph, self.chains)

    @cached_property
    def joins(self) -> Joins:
        """The events at which a chain learns of another."""
        return find_joins(self.scope)

    @cached_property
    def index(self) -> OrderIndex:
        """What answers questions about pairs."""
        return build_index(self.graph, self.scope, self.joins)

    def __len__(self) -> int:
        return len(self.log)

    def __repr__(self) -> str:
        chains = counted(len(self.chains), "chain")
        return f"CausalOrder({counted(len(self.log), 'event')}, {chains})"

    @property
    def anomalies(self) -> pa.Table:
        """Damage: what the log says of itself, and what was found in its references besides."""
        own, found = self.log.anomalies.select(ANOMALY_SCHEMA.names), self.graph.anomalies
        said = set(map(_damage, own.to_pylist()))
        fresh = [_damage(row) not in said for row in found.to_pylist()]
        return pa.concat_tables([own, found.filter(pa.array(fresh, pa.bool_()))])

    def diagnosed(self) -> EventLog:
        """Return the log with all that was found in its references in the relation `anomalies`."""
        return EventLog(self.log.table, self.log.runs, self.anomalies)

    def row(self, event: EventRef) -> int:
        """Return the row of an event in the log's table.

        Raises:
            NotFoundError: the log has no such event.
            InvalidArgumentError: it names none, or events of several worlds.
        """
        if type(event) is int and 0 <= event < self._size:
            return event
        return find_row(self.graph, event)

    def event(self, row: int) -> Event:
        """Return the event of a row."""
        return EventLog(self.log.table.slice(self.row(row), 1)).events()[0]

    def take(self, rows: ArrayLike) -> EventLog:
        """Return the events of some rows as a log, with the runs they belong to.

        Raises:
            InvalidArgumentError: they are no rows: a mask, or events.
            NotFoundError: one of them is outside the log.
        """
        table = self.log.table.take(pa.array(find_rows(self.graph, rows)))
        part = EventLog(table)
        worlds = {tuple(row.values()) for row in _worlds(part)}
        return EventLog(table, tuple(run for run in self.log.runs if run.key in worlds))

    def happened_before(self, cause: EventRef, effect: EventRef) -> bool:
        """Say whether one event happened before another: it is in the other's causal past."""
        return self.index.reaches(self.row(cause), self.row(effect))

    def concurrent(self, one: EventRef, other: EventRef) -> bool:
        """Say whether two different events are concurrent: neither happened before the other."""
        return self.relation(one, other) == "concurrent"

    def relation(self, one: EventRef, other: EventRef) -> str:
        """Return how an event stands to another: `before`, `after`, `concurrent` or `same`."""
        mine, yours = self.row(one), self.row(other)
        if mine == yours:
            return "same"
        if self.index.reaches(mine, yours):
            return "before"
        return "after" if self.index.reaches(yours, mine) else "concurrent"

    def happened_before_many(self, causes: ArrayLike, effects: ArrayLike) -> NDArray[np.bool_]:
        """Say of many pairs of rows at once whether the first happened before the second.

        Raises:
            InvalidArgumentError: they are no rows, or not as many causes as effects.
            NotFoundError: one of them is outside the log.
        """
        firsts, seconds = find_rows(self.graph, causes), find_rows(self.graph, effects)
        if len(firsts) != len(seconds):
            message = f"got {len(firsts)} causes and {len(seconds)} effects; expected pairs"
            raise InvalidArgumentError(message)
        return self.index.reaches_many(firsts, seconds)

    def prefix(self, event: EventRef) -> NDArray[np.int64]:
        """Return how many events of each chain the event and its past are: a clock over chains."""
        return self.index.prefix(self.row(event))

    def past(self, event: EventRef) -> NDArray[np.int32]:
        """Return the rows of the events that happened before one, in chains."""
        row = self.row(event)
        bounds = self.index.prefix(row)
        bounds[self.chains.chain[row]] -= 1
        return self._heads(bounds)

    def future(self, event: EventRef) -> NDArray[np.int32]:
        """Return the rows of the events that an event happened before, in chains."""
        row = self.row(event)
        bounds, chains = self.index.suffix(row), self.chains
        parts = [
            chains.rows[begin + first : end]
            for begin, end, first in zip(
                chains.start[:-1].tolist(), chains.start[1:].tolist(), bounds.tolist(), strict=True
            )
            if begin + first < end
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    def _heads(self, bounds: NDArray[np.int64]) -> NDArray[np.int32]:
        some = np.flatnonzero(bounds)
        begins = self.chains.start[some]
        spans = zip(begins.tolist(), (begins + bounds[some]).tolist(), strict=True)
        parts = [self.chains.rows[begin:end] for begin, end in spans]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    def concurrent_with(self, event: EventRef) -> NDArray[np.int32]:
        """Return the rows of the events of its world that are concurrent with one, in row order."""
        row = self.row(event)
        rest = self.graph.world == self.graph.world[row]
        rest[self.past(row)] = False
        rest[self.future(row)] = False
        rest[row] = False
        return np.flatnonzero(rest).astype(np.int32)

    def cone(
        self, events: Iterable[EventRef] | EventRef, *, direction: str = "past"
    ) -> NDArray[np.int32]:
        """Return the rows of some events and all that came before (or after) any of them.

        Args:
            events: the tips of the cone, or the one tip.
            direction: `past` or `future`.

        Raises:
            NotFoundError: the log has no such event.
            InvalidArgumentError: something names no event, or the direction is neither.

        Example:
            >>> order = EventLog.from_text("A: a >m | B: <m b").causality
            >>> order.cone(("@B", 1)).tolist(), order.cone([2, 3], direction="future").tolist()
            ([0, 1, 2], [2, 3])
        """
        if direction not in {"past", "future"}:
            message = f"direction is {direction!r:.80}; expected past or future"
            raise InvalidArgumentError(message)
        inside = np.zeros(len(self.log), bool)
        for event in many(events):
            row = self.row(event)
            inside[row] = True
            inside[self.past(row) if direction == "past" else self.future(row)] = True
        return np.flatnonzero(inside).astype(np.int32)

    @cached_property
    def reduced(self) -> Edges:
        """The edges of the transitive reduction: the fewest that give the same order."""
        return reduced(self.graph, self.index)

    def causes(self, event: EventRef) -> NDArray[np.int32]:
        """Return the rows of an event's immediate causes: no other event lies between."""
        row = self.row(event)
        found: NDArray[np.int32] = self.reduced.cause[self.reduced.effect == row]
        return found

    def effects(self, event: EventRef) -> NDArray[np.int32]:
        """Return the rows of an event's immediate effects."""
        row = self.row(event)
        found: NDArray[np.int32] = self.reduced.effect[self.reduced.cause == row]
        return found

    @cached_property
    def depth(self) -> NDArray[np.int32]:
        """The causal depth of each row: events on the longest chain of causes that ends there."""
        steps = find_steps(self.scope, self.joins)
        return depths(self.chains, self.joins, steps)

    @property
    def causal_depth(self) -> int:
        """How many events the longest chain of causes has."""
        return int(self.depth.max(initial=0))

    def critical_path(self, event: EventRef | None = None, *, by: str = "time") -> CriticalPath:
        """Return the chain of causes that an event waited for longest.

        Args:
            event: where it ends; by default at the last event (by time), or the deepest.
            by: `time` goes back from each event to the cause that was last to happen, so that it
                explains why the event was not earlier; `events` takes the longest chain.
        """
        row = None if event is None else self.row(event)
        return critical_path(self.log, self.graph, self.depth, row, by=by)

    @property
    def lamport(self) -> NDArray[np.int32]:
        """The Lamport clock of each row, from 1: its causal depth, in the whole log."""
        return self.depth if self.resumed is None else self.resumed.lamport

    @cached_property
    def hybrid(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The hybrid logical clock of each row: time parts in nanoseconds, and counters."""
        seen = self.log.table.column("time_ns").to_numpy()
        return hybrid_clocks(self.graph, seen, resumed=self.resumed is not None)

    def vector_clock(self, event: EventRef) -> dict[str, int]:
        """Return an event's vector clock: of each agent, how many events it and its past have."""
        return vector_clock(self, self.row(event))

    def vector_clocks(self, rows: ArrayLike | None = None) -> NDArray[np.int32]:
        """Return vector clocks as a matrix: the given rows (all) by `graph.lanes`.

        The columns are agents in order of their first event: `graph.lanes.ids` names them. Of
        sequential lanes, one event happened before another exactly if its clock is less or equal
        everywhere and not the same. Where a lane overlaps, that need not be so: ask the order.

        Raises:
            LimitError: it would have more than `MAX_CLOCK_CELLS` cells.
        """
        every = np.arange(len(self.log), dtype=np.int32)
        return vector_clocks(self, every if rows is None else find_rows(self.graph, rows))

    def info(self, event: EventRef) -> CausalityInfo:
        """Return an event's vector clock, its immediate causes, and its barrier."""
        return info(self, self.row(event))

    @cached_property
    def barriers(self) -> NDArray[np.int64]:
        """The rows of the events that released a barrier."""
        types = self.log.table.column("event_type")
        return np.flatnonzero(pc.equal(types, "BarrierReleased").to_numpy())

    def sql(self, query: str, *, streams: Iterable[str] = ()) -> pl.DataFrame:
        """Query the log's relations, and the relation `causality` of the streams asked for.

        Args:
            query: SQL; `causality` has each event's id, `lamport`, `hybrid_ns`, `hybrid_counter`,
                `agent_clock` (a map), `dependencies` and `coordination_barrier`.
            streams: the workflow ids whose events `causality` holds, or one of them; every stream
                if none is named.

        Raises:
            QueryError: the SQL is refused.

        Example:
            >>> log = EventLog.from_text("A: a1 send>m | B: recv<m")
            >>> log.causality.sql("SELECT agent_clock['A'] FROM causality", streams=["@B"]).item()
            2
        """
        wanted = [streams] if isinstance(streams, str) else list(streams)
        column = self.log.table.column("workflow_id")
        chosen = pc.is_in(column, value_set=pa.array(wanted, pa.string())).to_numpy()
        rows = np.flatnonzero(chosen) if wanted else np.arange(len(self.log))
        told = info_table(self, rows.tolist())
        return to_frame(query_once(self.diagnosed(), query, causality=told))

    @cached_property
    def ordered_pairs(self) -> int:
        """How many pairs of events are ordered."""
        return int(self.index.past_sizes().sum())

    @property
    def concurrent_pairs(self) -> int:
        """How many pairs of events of one world are concurrent."""
        sizes = np.bincount(self.graph.world).astype(object)
        return int((sizes * (sizes - 1) // 2).sum()) - self.ordered_pairs


def _damage(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what makes two anomalies one: what, where, and to where."""
    return tuple(value for name, value in row.items() if name not in {"detail", "source"})


def _worlds(log: EventLog) -> list[dict[str, str]]:
    names = ["namespace", "run_id"]
    rows: list[dict[str, str]] = log.table.select(names).group_by(names).aggregate([]).to_pylist()
    return rows


def order_of(log: EventLog) -> CausalOrder:
    """Return the order of a log: `log.causality`, computed once."""
    order = log.derived.get("causality")
    if order is None:
        order = log.derived["causality"] = CausalOrder(log)
    return cast("CausalOrder", order)
