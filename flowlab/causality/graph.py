"""The causes of a log as integer arrays: who names whom, in an order that puts causes first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality import damage
from flowlab.causality.columns import Places, encode, pair, place
from flowlab.causality.topology import sort_rows
from flowlab.errors import InvalidEventError
from flowlab.events import CauseKind, EventLog

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANE: Final = len(CauseKind)
"""The kind of an edge from the event before on the same lane: the relation `edges` says `lane`."""

KIND_LABELS: Final = (*(kind.label for kind in CauseKind), "lane")
"""The word for each kind of an edge."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CausalGraph:
    """Events and edges of a log as arrays; a row is the event's place in `log.table`.

    Every edge leads from a cause to an effect in the same world (namespace and run), and the edges
    have no cycle: what would close one is damage, left out here and told in `anomalies`. Edges are
    sorted by effect, those into a row being `into[row]:into[row + 1]`; of one effect the explicit
    causes come in their recorded order, then the lane's.

    Args:
        log: the log.
        world: of each event, the code of its world.
        worlds: (namespace, run_id) of each code.
        stream: of each event, the code of its stream.
        streams: (namespace, run_id, workflow_id) of each code, as columns: world codes and ids.
        sequence: of each event.
        lane: of each event, the code of its lane.
        lanes: like `streams`, with the agent's id.
        lane_rows: all rows, lane by lane, each lane in its own order.
        lane_start: where each lane begins in `lane_rows`, and the end.
        cause: of each edge, the cause's row.
        effect: of each edge, the effect's row.
        kind: of each edge, a `CauseKind`, or `LANE`.
        into: where the edges into each row begin, and the end.
        order: all rows, every cause before its effects.
        rank: the place of each row in `order`.
        places: finds rows by stream and sequence.
        anomalies: damage that was found here, `ANOMALY_SCHEMA`.
        horizon: rows that name a cause before the horizon (a truncated event), and which.
    """

    log: EventLog
    world: NDArray[np.int32]
    worlds: tuple[tuple[str, str], ...]
    stream: NDArray[np.int32]
    streams: Names
    sequence: NDArray[np.int64]
    lane: NDArray[np.int32]
    lanes: Names
    lane_rows: NDArray[np.int32]
    lane_start: NDArray[np.int64]
    cause: NDArray[np.int32]
    effect: NDArray[np.int32]
    kind: NDArray[np.int8]
    into: NDArray[np.int64]
    order: NDArray[np.int32]
    rank: NDArray[np.int32]
    places: Places
    anomalies: pa.Table
    horizon: Horizon

    @property
    def size(self) -> int:
        """How many events there are."""
        return len(self.stream)

    def __repr__(self) -> str:
        return f"CausalGraph({self.size} events, {len(self.cause)} edges)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Names:
    """What codes of streams or lanes stand for.

    Args:
        world: the code of the world of each.
        ids: the workflow_id or agent_id of each.
    """

    world: NDArray[np.int32]
    ids: list[str]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Horizon:
    """References to events that a truncation has taken away: below what is left of their stream.

    Args:
        row: of each reference, the row of the event that makes it.
        stream: of each reference, the code of the stream.
        sequence: of each reference, the sequence there.
    """

    row: NDArray[np.int32]
    stream: NDArray[np.int32]
    sequence: NDArray[np.int64]


@dataclass(slots=True)
class _Edges:
    """Edges as they are collected, and what was wrong with them."""

    cause: NDArray[np.int32]
    effect: NDArray[np.int32]
    kind: NDArray[np.int8]
    found: list[damage.Found] = field(default_factory=list)


def read_graph(log: EventLog) -> CausalGraph:
    """Read a log's causal graph: explicit causes, and the lane's where an event follows its lane.

    Nothing else is an edge: neither time nor the place in a stream (DESIGN: the causal order is
    the transitive closure of causes and follows_lane). References that lead nowhere, events with
    one id and cycles are told in `anomalies`; a cycle is opened by leaving out those of its edges
    that are not a lane's. A reference below what the log holds of a stream is before the horizon,
    and no damage.

    Raises:
        InvalidEventError: an event has another number of causes than of cause kinds.

    Example:
        >>> log = EventLog.from_events([
        ...     {"workflow_id": "@a", "sequence": 1, "agent_id": "a", "event_type": "MessageSent"},
        ...     {"workflow_id": "@b", "sequence": 1, "agent_id": "b", "event_type": "Signaled",
        ...      "causes": [{"workflow_id": "@a", "sequence": 1}]}])
        >>> graph = read_graph(log)
        >>> graph, graph.cause.tolist(), graph.effect.tolist()
        (CausalGraph(2 events, 1 edges), [0], [1])
    """
    table = log.table
    world, worlds = _worlds(table)
    workflows, workflow_ids = encode(table.column("workflow_id"))
    stream, streams = _names(world, len(worlds), workflows, workflow_ids)
    agents, agent_ids = encode(table.column("agent_id"))
    lane, lanes = _names(world, len(worlds), agents, agent_ids)
    sequence = _integers(table, "sequence")
    places = place(stream, sequence, len(streams))
    rows = np.arange(len(stream), dtype=np.int32)
    firsts = places.rows_of(stream, sequence)
    twice = np.flatnonzero(firsts != rows).astype(np.int32)

    edges, horizon = _explicit(table, world, workflow_ids, streams, places)
    lane_rows, lane_start = _lane_order(table, lane, len(lanes), streams.ids, stream)
    edges = _with_lanes(table, edges, lane_rows, lane)
    edges.found += [damage.duplicate_id(twice)] if len(twice) else []
    edges.found += damage.recorded_late(table, edges.cause, edges.effect)
    order, kept = sort_rows(table, edges.cause, edges.effect, edges.kind == LANE)
    if len(kept) < len(edges.cause):
        closing = np.setdiff1d(np.arange(len(edges.cause)), kept)
        edges.found.append(damage.cycle(edges.cause[closing], edges.effect[closing]))
        edges.cause, edges.effect = edges.cause[kept], edges.effect[kept]
        edges.kind = edges.kind[kept]
    into = np.zeros(len(stream) + 1, np.int64)
    np.cumsum(np.bincount(edges.effect, minlength=len(stream)), out=into[1:])
    rank = np.empty(len(order), np.int32)
    rank[order] = rows
    return CausalGraph(
        log, world, worlds, stream, streams, sequence, lane, lanes, lane_rows, lane_start,
        edges.cause, edges.effect, edges.kind, into, order, rank, places,
        damage.table(log, edges.found), horizon,
    )  # fmt: skip


def _integers(table: pa.Table, name: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] = table.column(name).to_numpy()
    return values


def _worlds(table: pa.Table) -> tuple[NDArray[np.int32], tuple[tuple[str, str], ...]]:
    spaces, space_names = encode(table.column("namespace"))
    runs, run_names = encode(table.column("run_id"))
    if len(space_names) * len(run_names) <= 1:
        known = [(space_names[0].as_py(), run_names[0].as_py())] if len(run_names) else []
        return np.zeros(table.num_rows, np.int32), tuple(known)
    world, left, right = pair(spaces, runs, len(run_names))
    labels = zip(
        space_names.take(pa.array(left)).to_pylist(),
        run_names.take(pa.array(right)).to_pylist(),
        strict=True,
    )
    return world, tuple(labels)


def _names(
    world: NDArray[np.int32], worlds: int, codes: NDArray[np.int32], values: pa.Array
) -> tuple[NDArray[np.int32], Names]:
    if worlds <= 1:
        return codes, Names(np.zeros(len(values), np.int32), values.to_pylist())
    paired, left, right = pair(world, codes, len(values))
    return paired, Names(left.astype(np.int32), values.take(pa.array(right)).to_pylist())


def _explicit(
    table: pa.Table,
    world: NDArray[np.int32],
    workflow_ids: pa.Array,
    streams: Names,
    places: Places,
) -> tuple[_Edges, Horizon]:
    """Resolve the causes that events name."""
    column = table.column("causes").combine_chunks()
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    effect = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    flat = pc.list_flatten(column)
    if isinstance(flat, pa.ChunkedArray):
        flat = flat.combine_chunks()
    kinds = pc.list_flatten(table.column("cause_kinds")).to_numpy().astype(np.int8)
    if len(kinds) != len(effect):
        message = (
            f"the log has {len(effect)} causes and {len(kinds)} cause kinds; "
            "give each cause of an event one kind"
        )
        raise InvalidEventError(message)
    if not len(effect):
        none = np.zeros(0, np.int32)
        return _Edges(none, none, kinds), Horizon(none, none, none.astype(np.int64))
    stream = _cause_streams(flat, world[effect], workflow_ids, streams)
    sequence = pc.struct_field(flat, 1).to_numpy()
    cause = places.rows_of(stream, sequence)
    there = cause >= 0
    known = np.where(stream >= 0, stream, 0)
    before = ~there & (stream >= 0) & (sequence >= 1) & (sequence < places.low[known])
    lost = np.flatnonzero(~there & ~before)
    itself = cause == effect
    found = []
    if len(lost):
        refs = flat.take(pa.array(lost))
        found.append(damage.never_logged(effect[lost], refs))
    if itself.any():
        found.append(damage.cycle(effect[itself], effect[itself]))
    good = there & ~itself
    horizon = Horizon(effect[before], stream[before], sequence[before])
    if good.all():
        return _Edges(cause, effect, kinds, found), horizon
    return _Edges(cause[good], effect[good], kinds[good], found), horizon


def _cause_streams(
    flat: pa.StructArray, world: NDArray[np.int32], workflow_ids: pa.Array, streams: Names
) -> NDArray[np.int32]:
    """Return the stream of each cause, -1 where the effect's world has none of that name."""
    codes, values = encode(pa.chunked_array([pc.struct_field(flat, 0)]))
    places = pc.index_in(values, value_set=workflow_ids).fill_null(-1).to_numpy()
    workflow = places[codes] if len(values) else codes
    if not len(streams) or int(streams.world.max()) == 0:
        return workflow.astype(np.int32)
    width = np.int64(len(workflow_ids))
    own = pc.index_in(pa.array(streams.ids), value_set=workflow_ids).to_numpy()
    keys = streams.world.astype(np.int64) * width + own
    order = np.argsort(keys)
    wanted = world.astype(np.int64) * width + workflow
    spot = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    hit = (keys[order[spot]] == wanted) & (workflow >= 0)
    return np.where(hit, order[spot], -1).astype(np.int32)


def _lane_order(
    table: pa.Table,
    lane: NDArray[np.int32],
    lanes: int,
    stream_ids: list[str],
    stream: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return all rows lane by lane: by the lane's tick, then position, stream and sequence."""
    start = np.zeros(lanes + 1, np.int64)
    np.cumsum(np.bincount(lane, minlength=lanes), out=start[1:])
    small = lane.astype(np.uint16) if lanes < 2**16 else lane
    rows = np.argsort(small, kind="stable").astype(np.int32)
    ticks = _integers(table, "agent_sequence")
    inner = lane[rows[1:]] == lane[rows[:-1]]
    if not np.any(inner & (np.diff(ticks[rows]) <= 0)):
        return rows, start
    names = pc.rank(pa.array(stream_ids, pa.string()), tiebreaker="dense").to_numpy()
    keys = (_integers(table, "sequence"), names[stream], _integers(table, "position"), ticks, lane)
    return np.lexsort(keys).astype(np.int32), start


def _with_lanes(
    table: pa.Table, edges: _Edges, lane_rows: NDArray[np.int32], lane: NDArray[np.int32]
) -> _Edges:
    """Add an edge from the lane's previous event to each event that follows its lane."""
    follows = table.column("follows_lane").to_numpy()
    before, after = lane_rows[:-1], lane_rows[1:]
    linked = (lane[before] == lane[after]) & follows[after]
    size = len(lane)
    counts = np.bincount(edges.effect, minlength=size)
    own = np.full(size, -1, np.int32)
    own[after[linked]] = before[linked]
    ends = np.cumsum(counts + (own >= 0))
    total = int(ends[-1]) if size else 0
    cause, effect = np.empty(total, np.int32), np.empty(total, np.int32)
    kind = np.empty(total, np.int8)
    lanes = np.flatnonzero(own >= 0)
    spot = np.ones(total, bool)
    spot[ends[lanes] - 1] = False
    cause[~spot], effect[~spot], kind[~spot] = own[lanes], lanes, LANE
    cause[spot], effect[spot], kind[spot] = edges.cause, edges.effect, edges.kind
    return _Edges(cause, effect, kind, edges.found)
