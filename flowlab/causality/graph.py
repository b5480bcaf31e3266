"""The causes of a log as integer arrays: who names whom, in an order that puts causes first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality import compiled, damage
from flowlab.causality.columns import Places, encode, in_one, pair, place
from flowlab.causality.lanes import order_lanes
from flowlab.causality.topology import sort_rows
from flowlab.errors import InvalidEventError
from flowlab.events import CauseKind, EventLog, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.horizon import Forgotten

LANE: Final = len(CauseKind)
"""The kind of an edge from the event before on the same lane: the relation `edges` says `lane`."""

KIND_LABELS: Final = (*(kind.label for kind in CauseKind), "lane")
"""The word for each kind of an edge."""


# Not slotted: what is derived is computed when it is first asked for, and kept.
@dataclass(frozen=True, eq=False, repr=False)
class CausalGraph:
    """Events and edges of a log as arrays; a row is the event's place in `log.table`.

    Every edge leads from a cause to an effect in the same world (namespace and run), and the edges
    have no cycle: what would close one is damage, left out here and told in `anomalies`.

    Args:
        log: the log.
        world: of each event, the code of its world.
        worlds: (namespace, run_id) of each code.
        stream: of each event, the code of its stream.
        streams: what the codes of streams stand for.
        sequence: of each event.
        lane: of each event, the code of its lane.
        lanes: what the codes of lanes stand for.
        lane_rows: all rows, lane by lane, each lane in its own order.
        lane_start: where each lane begins in `lane_rows`, and the end.
        named: the edges to the causes that events name, sorted by effect.
        before: of each row, the row before it on its lane if it follows that one, else -1.
        order: all rows, every cause before its effects.
        places: finds rows by stream and sequence.
        anomalies: damage that was found here, `ANOMALY_SCHEMA`.
        truncated: rows that name a truncated event as a cause, and which.
        over: rows that a truncated event is a cause of, with what a horizon remembers of it.
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
    named: Edges
    before: NDArray[np.int32]
    order: NDArray[np.int32]
    places: Places
    anomalies: pa.Table
    truncated: TruncatedCauses
    over: tuple[tuple[int, Forgotten], ...] = ()

    @property
    def size(self) -> int:
        """How many events there are."""
        return len(self.stream)

    @cached_property
    def rank(self) -> NDArray[np.int32]:
        """The place of each row in `order`."""
        rank = np.empty(self.size, np.int32)
        rank[self.order] = np.arange(self.size, dtype=np.int32)
        return rank

    @cached_property
    def in_order(self) -> bool:
        """Whether the rows themselves stand in causal order."""
        return bool(np.all(self.order[:-1] < self.order[1:]))

    @cached_property
    def edges(self) -> Edges:
        """All edges, sorted by effect: of one effect the named causes, then the lane's."""
        return with_lanes(self.named, self.before)

    @property
    def cause(self) -> NDArray[np.int32]:
        """Of each of all edges, the cause's row."""
        return self.edges.cause

    @property
    def effect(self) -> NDArray[np.int32]:
        """Of each of all edges, the effect's row."""
        return self.edges.effect

    @property
    def kind(self) -> NDArray[np.int8]:
        """Of each of all edges, a `CauseKind`, or `LANE`."""
        return self.edges.kind

    @cached_property
    def into(self) -> NDArray[np.int64]:
        """Where the edges into each row begin, and the end: `into[row]:into[row + 1]`."""
        return starts(self.effect, self.size)

    @cached_property
    def out(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The edges out of each row: where they begin among the second, and their effects."""
        order = np.argsort(self.cause, kind="stable")
        return starts(self.cause, self.size), self.effect[order]

    def __repr__(self) -> str:
        edges = len(self.named.cause) + int(np.count_nonzero(self.before >= 0))
        return f"CausalGraph({self.size} events, {edges} edges)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Edges:
    """Edges as columns.

    Args:
        cause: the row of each cause.
        effect: the row of each effect.
        kind: a `CauseKind`, or `LANE`.
    """

    cause: NDArray[np.int32]
    effect: NDArray[np.int32]
    kind: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.cause)

    def __repr__(self) -> str:
        return f"Edges({counted(len(self), 'edge')})"

    def where(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Edges:
        """Return some of the edges."""
        return Edges(self.cause[kept], self.effect[kept], self.kind[kept])


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        return f"Names({counted(len(self), 'name')})"

    @cached_property
    def _codes(self) -> dict[str, list[int]]:
        codes: dict[str, list[int]] = {}
        for code, name in enumerate(self.ids):
            codes.setdefault(name, []).append(code)
        return codes

    def codes_of(self, name: str) -> NDArray[np.int32]:
        """Return the codes of an id, one for each world that has it."""
        return np.array(self._codes.get(name, []), np.int32)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TruncatedCauses:
    """References to events that a truncation has taken away: below what is left of their stream.

    Args:
        row: of each reference, the row of the event that makes it.
        stream: of each reference, the code of the stream.
        sequence: of each reference, the sequence there.
    """

    row: NDArray[np.int32]
    stream: NDArray[np.int32]
    sequence: NDArray[np.int64]


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
    found: list[damage.Found] = []
    named, truncated = _named(table, world, workflow_ids, streams, places, found)
    lane_start = starts(lane, len(lanes))
    lane_rows, before = order_lanes(table, lane, lane_start, streams.ids, stream)
    if places.twice(len(stream)):
        again = places.rows_of(stream, sequence) != np.arange(len(stream))
        found.append(damage.duplicate_id(np.flatnonzero(again).astype(np.int32)))
    found += damage.recorded_late(table, named.cause, named.effect)
    order, kept = sort_rows(table, named.cause, named.effect, before)
    if not kept.all():
        found.append(damage.cycle(named.cause[~kept], named.effect[~kept]))
        named = named.where(kept)
    return CausalGraph(
        log, world, worlds, stream, streams, sequence, lane, lanes, lane_rows, lane_start,
        named, before, order, places, damage.table(log, found), truncated,
    )  # fmt: skip


def with_lanes(named: Edges, before: NDArray[np.int32]) -> Edges:
    """Return the named edges and those of the lanes, sorted by effect, the lane's last."""
    follows = before >= 0
    ends = np.cumsum(np.bincount(named.effect, minlength=len(before)) + follows)
    total = int(ends[-1]) if len(ends) else 0
    lane = np.zeros(total, bool)
    lane[ends[follows] - 1] = True
    rest = ~lane
    merged = []
    rows = np.flatnonzero(follows)
    for mine, theirs in (
        (named.cause, before[rows]),
        (named.effect, rows),
        (named.kind, np.full(len(rows), LANE)),
    ):
        column = np.empty(total, mine.dtype)
        column[rest], column[lane] = mine, theirs
        merged.append(column)
    return Edges(*merged)


def starts(codes: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """Return where each code's run begins once the codes are sorted, and the end."""
    begin = np.zeros(size + 1, np.int64)
    if compiled.pays(len(codes)):
        counts = compiled.counted(codes, size)
    else:
        counts = np.bincount(codes, minlength=size)
    np.cumsum(counts, out=begin[1:])
    return begin


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


def _named(  # noqa: PLR0917 - one pass over what was read
    table: pa.Table,
    world: NDArray[np.int32],
    workflow_ids: pa.Array,
    streams: Names,
    places: Places,
    found: list[damage.Found],
) -> tuple[Edges, TruncatedCauses]:
    """Resolve the causes that events name; add what leads nowhere to `found`."""
    effect, flat, kinds = _causes(table)
    stream = _cause_streams(flat, world, effect, workflow_ids, streams)
    sequence = pc.struct_field(flat, 1).to_numpy()
    cause = places.rows_of(stream, sequence)
    good = (cause >= 0) & (cause != effect)
    if good.all():
        none = np.zeros(0, np.int32)
        return Edges(cause, effect, kinds), TruncatedCauses(none, none, none.astype(np.int64))
    there = cause >= 0
    low = places.low[np.where(stream >= 0, stream, 0)] if len(places.low) else sequence
    before = ~there & (stream >= 0) & (sequence >= 1) & (sequence < low)
    lost = np.flatnonzero(~there & ~before)
    if len(lost):
        found.append(damage.never_logged(effect[lost], flat.take(pa.array(lost))))
    itself = effect[cause == effect]
    if len(itself):
        found.append(damage.cycle(itself, itself))
    edges = Edges(cause, effect, kinds).where(good)
    return edges, TruncatedCauses(effect[before], stream[before], sequence[before])


def _causes(table: pa.Table) -> tuple[NDArray[np.int32], pa.StructArray, NDArray[np.int8]]:
    """Return the causes of all events one after the other, with their effects and kinds."""
    column = in_one(table.column("causes"))
    if compiled.pays(len(column)) and isinstance(column, pa.ListArray) and not column.null_count:
        effect = compiled.repeated(column.offsets.to_numpy())
    else:
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        effect = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    flat = pc.list_flatten(column)
    kinds = pc.list_flatten(table.column("cause_kinds")).to_numpy().astype(np.int8)
    if len(kinds) != len(effect):
        message = (
            f"the log has {len(effect)} causes and {len(kinds)} cause kinds; "
            "give each cause of an event one kind"
        )
        raise InvalidEventError(message)
    return effect, flat, kinds


def _cause_streams(
    flat: pa.StructArray,
    world: NDArray[np.int32],
    effect: NDArray[np.int32],
    workflow_ids: pa.Array,
    streams: Names,
) -> NDArray[np.int32]:
    """Return the stream of each cause, -1 where the effect's world has none of that name."""
    codes, values = encode(pa.chunked_array([pc.struct_field(flat, 0)]))
    places = pc.index_in(values, value_set=workflow_ids).fill_null(-1).to_numpy()
    if not len(values):
        return codes
    workflow = codes if np.array_equal(places, np.arange(len(places))) else places[codes]
    if not len(streams) or int(streams.world.max()) == 0:
        return workflow.astype(np.int32, copy=False)
    width = np.int64(len(workflow_ids))
    own = pc.index_in(pa.array(streams.ids), value_set=workflow_ids).to_numpy()
    keys = streams.world.astype(np.int64) * width + own
    order = np.argsort(keys)
    wanted = world[effect].astype(np.int64) * width + workflow
    spot = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    hit = (keys[order[spot]] == wanted) & (workflow >= 0)
    return np.where(hit, order[spot], -1).astype(np.int32)
