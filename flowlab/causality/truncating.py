"""Cutting off the beginning of streams, and what must be remembered of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flowlab.causality.bridges import LANE_KEY, was_truncated
from flowlab.causality.horizon import BeforeHorizon, Forgotten, HorizonClock, Lane
from flowlab.causality.parts import merged
from flowlab.causality.resuming import dense
from flowlab.errors import InvalidArgumentError, LimitError, NotFoundError
from flowlab.events import TERMINAL_STATUS, Event, EventId, EventLog

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.graph import CausalGraph
    from flowlab.causality.order import CausalOrder
    from flowlab.causality.selecting import EventRef

_MOST_COMPARED: Final = 512
"""Of more events before a truncated one, those that are before another are kept, too."""
_MOST_CELLS: Final = 4_000_000
"""As much for the comparison: events before a truncated one by chains."""
MAX_HORIZON_CELLS: Final = 200_000_000
"""Most cells of the clocks that a horizon is made from: truncated events by chains."""

ENDS: Final = frozenset(TERMINAL_STATUS) - {"WorkflowContinuedAsNew"}
"""Types of events that nothing follows in their stream."""
NAMED: Final = "named"
FOLLOWED: Final = "followed"

Base = str | tuple[str, str, str]
"""A stream: its workflow_id, or (namespace, run_id, workflow_id)."""


def truncate(
    order: CausalOrder, bases: Mapping[Base, int], *, keep: Iterable[EventRef] = ()
) -> tuple[EventLog, BeforeHorizon]:
    """Cut off the beginning of streams; return what is left, and what must be remembered.

    Remembered are the truncated events that one left names, or follows on its lane; the last event
    of each lane and of each stream that have not ended, which the next one will follow; and those
    in `keep`, until an event of the log names them. What an earlier truncation has left to
    remember, and what is none of these any more, is forgotten.

    Args:
        order: the order of the log; with a horizon, where it was truncated before.
        bases: of each stream, the last sequence that is cut off; other streams stay whole.
        keep: events that may yet become causes: messages on their way, open requests. Those that
            an earlier truncation has cut off may be named again.

    Raises:
        NotFoundError: the log has no such stream, or no such event.
        InvalidArgumentError: a base is no sequence, or several runs have the stream.
        LimitError: what is to be remembered has more than `MAX_HORIZON_CELLS`.
    """
    gone = _gone(order, bases)
    table = order.log.table
    left = EventLog(table.filter(pa.array(~gone)), order.log.runs, order.log.anomalies)
    past = _Past(order, gone)
    kept, kept_again = _kept(order, keep)
    until = _remembered(order, gone, kept)
    old = _carried(order, gone, kept_again)
    rows = np.array(list(until), np.int32)
    names = [*EventId._fields, "agent_id", "agent_sequence", "position"]
    fresh = [
        Forgotten(
            EventId(*(told.pop(name) for name in EventId._fields)),
            **told,
            before=past.ids(past.before(row)),
            until=until[row],
        )
        for row, told in zip(
            rows.tolist(), table.select(names).take(pa.array(rows)).to_pylist(), strict=True
        )
    ]
    carried = [replace(event, before=past.ids(past.left_of(event))) for event in old]
    columns, clocks = _clocks(order, gone, rows, old)
    found = [
        replace(event, clock=clock) for event, clock in zip([*fresh, *carried], clocks, strict=True)
    ]
    return left, BeforeHorizon(tuple(sorted(found, key=lambda event: event.id)), columns)


def _gone(order: CausalOrder, bases: Mapping[Base, int]) -> NDArray[np.bool_]:
    graph = order.graph
    base = np.zeros(len(graph.streams), np.int64)
    for stream, last in bases.items():
        if isinstance(last, bool) or not isinstance(last, int | np.integer) or last < 0:
            message = f"the base of {stream!r:.80} is {last!r:.80}; expected a sequence, or 0"
            raise InvalidArgumentError(message)
        name, world = (stream, None) if isinstance(stream, str) else (stream[2], stream[:2])
        codes = [
            code
            for code in graph.streams.codes_of(name).tolist()
            if world in {None, graph.worlds[graph.streams.world[code]]}
        ]
        if not codes:
            message = f"the log has no stream {stream!r:.80}"
            raise NotFoundError(message)
        if len(codes) > 1:
            message = (
                f"{len(codes)} runs have a stream {name!r}; name one by "
                "(namespace, run_id, workflow_id)"
            )
            raise InvalidArgumentError(message)
        base[codes[0]] = last
    gone: NDArray[np.bool_] = graph.sequence <= base[graph.stream]
    return gone


def _remembered(order: CausalOrder, gone: NDArray[np.bool_], keep: list[int]) -> dict[int, str]:
    """Return the rows that must be remembered, and until when."""
    graph = order.graph
    edges = graph.edges
    wanted = set(edges.cause[gone[edges.cause] & ~gone[edges.effect]].tolist())
    ends = graph.lane_rows[graph.lane_start[1:] - 1]
    last = _last_of_lanes(order)
    names, types = (order.log.table.column(name) for name in ("workflow_id", "event_type"))
    for row in ends[gone[ends]].tolist():
        lane = _lane_of(graph, row)
        # A workflow that is a lane of its own goes on no more: else each one was kept for good.
        over = lane[2] == names[row].as_py() and types[row].as_py() in ENDS
        if lane not in last and not over:
            wanted.add(row)
    until = dict.fromkeys(wanted, "")
    heads = graph.places.rows_of(np.arange(len(graph.streams), dtype=np.int32), graph.places.high)
    for row in heads[gone[heads]].tolist():
        if types[row].as_py() not in ENDS:
            until[row] = FOLLOWED
    until.update((row, NAMED) for row in keep if gone[row])
    return dict(sorted(until.items()))


def _lane_of(graph: CausalGraph, row: int) -> Lane:
    lane = graph.lane[row]
    return (*graph.worlds[graph.lanes.world[lane]], graph.lanes.ids[lane])


def _last_of_lanes(order: CausalOrder) -> dict[Lane, Forgotten]:
    """Return the event of each lane that the horizon remembers, where it is the lane's last."""
    graph, table = order.graph, order.log.table
    latest: dict[Lane, Forgotten] = {}
    for event in order.horizon or ():
        known = latest.get(event.lane)
        if known is None or known.lane_key < event.lane_key:
            latest[event.lane] = event
    for row in graph.lane_rows[graph.lane_start[1:] - 1].tolist():
        lane = _lane_of(graph, row)
        if lane in latest:
            key = tuple(table.column(name)[row].as_py() for name in LANE_KEY)
            if latest[lane].lane_key < key:
                del latest[lane]
    return latest


def _kept(order: CausalOrder, keep: Iterable[EventRef]) -> tuple[list[int], set[EventId]]:
    """Return the rows that are to be kept, and what is remembered and to be kept still."""
    names: dict[EventRef, EventId] = {event.id: event.id for event in order.horizon or ()}
    names.update({(name.workflow_id, name.sequence): name for name in names.values()})
    rows, again = [], set()
    for event in keep:
        name = event.id if isinstance(event, Event) else event
        if isinstance(name, tuple) and name in names:
            again.add(names[name])
        else:
            rows.append(order.row(event))
    return rows, again


def _carried(order: CausalOrder, gone: NDArray[np.bool_], kept: set[EventId]) -> list[Forgotten]:
    """Return what an earlier truncation has left to remember, and is to be remembered still."""
    graph = order.graph
    named = {event.id for _, event in graph.over}
    wanted = kept | {event.id for row, event in graph.over if not gone[row]}
    wanted.update(event.id for event in _last_of_lanes(order).values())
    worlds = (graph.worlds[world] for world in graph.streams.world.tolist())
    going = {(*world, name) for world, name in zip(worlds, graph.streams.ids, strict=True)}
    return [
        event
        for event in order.horizon or ()
        if event.id in wanted
        or (event.until == NAMED and event.id not in named)
        or (event.until == FOLLOWED and event.id[:3] not in going)
    ]


def _clocks(
    order: CausalOrder,
    gone: NDArray[np.bool_],
    rows: NDArray[np.int32],
    old: list[Forgotten],
) -> tuple[tuple[Lane, ...], Sequence[HorizonClock | None]]:
    """Return the columns and the clocks of what is remembered: of rows, then of what was before.

    Clocks that count what an older flowlab left would be too low: then there are none.
    """
    resumed, known = order.resumed, [event.clock for event in old if event.clock is not None]
    if resumed is None and (order.horizon is not None or was_truncated(order.graph)):
        return (), [None] * (len(rows) + len(old))
    lanes, counts = _counted(order, gone, rows, old)
    if resumed is not None:
        earlier = [resumed.of(rows), dense(known, len(resumed.columns))]
        lanes, counts = [*resumed.columns, *lanes], np.hstack([np.vstack(earlier), counts])
    lanes, counts = merged(lanes, counts)
    lamport, (seen, counter) = order.lamport, order.hybrid
    clocks = [(int(lamport[row]), (int(seen[row]), int(counter[row]))) for row in rows]
    clocks += [(clock.lamport, clock.hybrid) for clock in known]
    return tuple(lanes), [
        HorizonClock(*clock, tuple((int(c), int(mine[c])) for c in np.flatnonzero(mine)))
        for clock, mine in zip(clocks, counts, strict=True)
    ]


def _counted(
    order: CausalOrder,
    gone: NDArray[np.bool_],
    rows: NDArray[np.int32],
    old: list[Forgotten],
) -> tuple[list[Lane], NDArray[np.int32]]:
    """Return how many events that go now are known of each lane's part in each chain.

    A past is a prefix of each chain, so of one lane in it, too: the greater count holds the other.

    Args:
        order: before the truncation.
        gone: of each row, whether it is cut off.
        rows: that are to be remembered.
        old: what was remembered before, and is still.
    """
    graph, chains = order.graph, order.chains
    size = len(rows) + len(old)
    if size * len(chains) > MAX_HORIZON_CELLS:
        message = (
            f"{size} truncated events are to be remembered, with clocks over {len(chains)} chains: "
            f"more than MAX_HORIZON_CELLS={MAX_HORIZON_CELLS}; truncate fewer streams at once"
        )
        raise LimitError(message)
    prefixes = np.zeros((size, len(chains)), np.int32)
    if len(rows):
        order.index.prefixes(rows, prefixes[: len(rows)])
    for mine, event in zip(prefixes[len(rows) :], old, strict=True):
        for row in map(order.row, event.before):
            np.maximum(mine, order.index.prefix(row), out=mine, casting="unsafe")
    lost = chains.rows[gone[chains.rows]]
    keys = chains.chain[lost].astype(np.int64) * len(graph.lanes) + graph.lane[lost]
    parts, part = np.unique(keys, return_inverse=True)
    counts = np.zeros((size, len(parts)), np.int32)
    lanes = []
    by_part = np.argsort(part, kind="stable")
    bounds = np.searchsorted(part[by_part], np.arange(len(parts) + 1))
    for number, key in enumerate(parts.tolist()):
        mine = lost[by_part[bounds[number] : bounds[number + 1]]]
        chain = key // len(graph.lanes)
        counts[:, number] = np.searchsorted(chains.place[mine], prefixes[:, chain], side="right")
        lanes.append(_lane_of(graph, int(mine[0])))
    return lanes, counts


class _Past:
    """What is left of pasts.

    Args:
        order: the order of the log before the truncation.
        gone: of each row, whether it is cut off.
    """

    def __init__(self, order: CausalOrder, gone: NDArray[np.bool_]) -> None:
        self.order = order
        self.gone = gone
        chains = order.chains
        # Of each place of each chain, the last one up to there that is left; 0 where none is.
        last = np.where(gone[chains.rows], 0, chains.place[chains.rows]).astype(np.int64)
        last += np.repeat(chains.start[:-1], chains.lengths)
        self.last = np.maximum.accumulate(last) if len(last) else last

    def before(self, row: int) -> list[int]:
        """Return the last rows left that a row or its past holds, and the last on its lane."""
        if not self.gone[row]:
            return [row]
        order, chains = self.order, self.order.chains
        counts = order.index.prefix(row)
        some = np.flatnonzero(counts)
        begin = chains.start[:-1][some]
        at = self.last[begin + counts[some] - 1]
        rows = chains.rows[at[at > begin] - 1]
        graph = order.graph
        lane = graph.lane[row]
        mates = graph.lane_rows[graph.lane_start[lane] : graph.lane_start[lane + 1]]
        earlier = mates[: int(np.flatnonzero(mates == row)[0])]
        earlier = earlier[~self.gone[earlier]][-1:]
        earlier = earlier[order.index.reaches_many(earlier, np.full(len(earlier), row, np.int32))]
        return sorted({*self._latest(rows), *earlier.tolist()})

    def _latest(self, rows: NDArray[np.int32]) -> list[int]:
        order, chains = self.order, self.order.chains
        if len(rows) > _MOST_COMPARED or len(rows) * len(chains) > _MOST_CELLS:
            return [int(row) for row in rows]
        prefixes = np.zeros((len(rows), len(chains)), np.int32)
        order.index.prefixes(rows, prefixes)
        known = prefixes[:, chains.chain[rows]] >= chains.place[rows]
        np.fill_diagonal(known, val=False)
        return [int(row) for row in rows[~known.any(axis=0)]]

    def ids(self, rows: Iterable[int]) -> tuple[EventId, ...]:
        """Return the ids of rows."""
        at = np.array(list(rows), np.int64)
        found = self.order.log.table.select(EventId._fields).take(at).to_pylist()
        return tuple(EventId(**row) for row in found)

    def left_of(self, event: Forgotten) -> list[int]:
        """Return what is left before an event that was truncated earlier."""
        rows = {left for cause in event.before for left in self.before(self.order.row(cause))}
        return sorted(rows)
