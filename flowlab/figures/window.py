"""Which events of a log a picture holds: its lanes, its detail, and at most so many events."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality import LANE, CausalGraph, read_graph, split_chains
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import UNSTAMPED, Event, EventLog, events_from_table, rank_strings
from flowlab.figures.text import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUSEKEEPING: Final = frozenset(
    {"WorkflowTaskScheduled", "WorkflowTaskStarted", "WorkflowTaskCompleted"}
)
"""Event types of an orchestrator's own turns: hidden unless every detail is asked for."""
MAX_LANES: Final = 60
"""Lanes that one picture holds."""
LEAST_GAIN: Final = 3
"""Crossings that another order of lanes must save, before it is taken unasked."""
MAX_PAYLOAD: Final = 65_536
"""Bytes of a payload that a picture looks into; larger ones are not read."""
WORLD: Final = "@world"
"""The lane of what happens to messages and agents from outside: always the last."""
MAX_BACKWARD_SHARE: Final = 0.05
"""Up to this share of causes may lie after their effects before times count as unusable."""

_MANY: Final = 10_000

LaneKey = tuple[str, str, str]
"""Namespace, run and agent."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a log that a picture shows, and what it leaves out.

    Args:
        log: the events of the window, the hidden ones among them, in drawing order.
        events: the same as values, without payloads that are too large to be looked into.
        rows: where each id stands; of two events with one id, the first.
        visible: for each of them, whether it is drawn.
        edges: (cause, effect, kind) by rows of the window, sorted by effect, without cycles.
        chains: the chain of each row, and its place there: an event of a chain is a cause of the
            next one.
        damage: rows, and what is wrong with their references; (row, None) or (row, other row).
        outside: rows of which a cause lies in a stream that the log does not hold.
        total: events of the whole log; `hidden`: left out by detail; `left_out`: by the limit.
        lanes, total_lanes: lanes allowed here and lanes of the whole log.
        loose: lanes that may change places with one another; `least_gain`: crossings that this
            must save.
        whole: the log holds every stream of its run, so what has no effect here has none at all.
    """

    log: EventLog
    events: tuple[Event, ...]
    rows: Mapping[tuple[object, ...], int]
    visible: tuple[bool, ...]
    edges: tuple[tuple[int, int, int], ...]
    chains: tuple[tuple[int, int], ...]
    damage: tuple[Damage, ...]
    outside: frozenset[int]
    total: int
    hidden: int
    left_out: int
    lanes: tuple[LaneKey, ...]
    total_lanes: int
    loose: frozenset[LaneKey]
    least_gain: int
    axis: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a row's references, in words; `source`: the row that it points to."""

    row: int
    words: str
    kind: str
    source: int | None = None


def choose_window(
    log: EventLog,
    *,
    axis: str,
    lanes: Sequence[str] | str | None,
    detail: str,
    limit: int,
    workflow_id: str | None = None,
    max_lanes: int = MAX_LANES,
) -> Window:
    """Choose the first `limit` events to draw: by time, or by place in their streams.

    Args:
        log: of one run or of several.
        axis: as in `space_time`.
        lanes: as in `space_time`.
        detail: as in `space_time`.
        limit: how many events are visible at most.
        workflow_id: that workflow's events alone; the rest of the log still tells their causes.
        max_lanes: lanes of the window at most.

    Raises:
        NotFoundError: a lane asked for is not in the log.
    """
    graph = read_graph(log)
    if axis == "auto":
        axis = "time" if _times_are_usable(log, graph) else "depth"
    order = _drawing_order(log, by_time=axis == "time")
    if workflow_id is not None:
        mine = pc.equal(log.table.column("workflow_id"), workflow_id).to_numpy()
        order = order[mine[order]]
    seen = graph.lane[order]
    codes = _first_met(seen)
    chosen, loose = _choose_lanes(log, graph, codes, order, lanes)
    chosen = chosen[:max_lanes]
    mask = np.isin(seen, chosen)
    ordered = log.table.take(pa.array(order))
    visible = mask if detail == "all" else mask & ~_is_housekeeping(ordered)
    shown = np.flatnonzero(visible)
    last = len(ordered) if len(shown) <= limit else int(shown[limit - 1]) + 1
    table = ordered.slice(0, last)
    events = tuple(events_from_table(_without_large_payloads(table)))
    rows = _rows_by_id(events)
    damage, outside = _damage(log, graph, events, rows)
    return Window(
        EventLog(table, log.runs, log.anomalies),
        events,
        rows,
        tuple(bool(flag) for flag in visible[:last]),
        _edges(graph, order[:last]),
        _chains(graph, order[:last]),
        damage,
        outside,
        total=len(ordered),
        hidden=int(mask[:last].sum() - visible[:last].sum()),
        left_out=max(0, len(shown) - limit),
        lanes=tuple(_key(graph, code) for code in chosen),
        total_lanes=len(codes),
        loose=frozenset(_key(graph, code) for code in loose),
        least_gain=0 if lanes == "fewest" else LEAST_GAIN,
        axis=axis,
        whole=workflow_id is None and len(chosen) == len(codes),
    )


def _rows_by_id(events: Sequence[Event]) -> dict[tuple[object, ...], int]:
    rows: dict[tuple[object, ...], int] = {}
    for row, event in enumerate(events):
        rows.setdefault(event.id, row)
    return rows


def _is_housekeeping(table: pa.Table) -> NDArray[np.bool_]:
    types = pa.array(sorted(HOUSEKEEPING))
    found = pc.is_in(table.column("event_type"), types).to_numpy(zero_copy_only=False)
    return np.asarray(found, bool)


def _first_met(codes: NDArray[np.int32]) -> list[int]:
    """Return the codes that occur, in the order in which they do first."""
    values, first = np.unique(codes, return_index=True)
    return [int(code) for code in values[np.argsort(first)]]


def _key(graph: CausalGraph, code: int) -> LaneKey:
    return (*graph.worlds[graph.lanes.world[code]], graph.lanes.ids[code])


def _edges(graph: CausalGraph, order: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """Return the edges among the rows that a window holds."""
    place = np.full(graph.size, -1, np.int64)
    place[order] = np.arange(len(order))
    cause, effect = place[graph.cause], place[graph.effect]
    inside = np.flatnonzero((cause >= 0) & (effect >= 0))
    inside = inside[np.argsort(effect[inside], kind="stable")]
    columns = (cause[inside], effect[inside], graph.kind[inside])
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def _chains(graph: CausalGraph, order: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    chains = split_chains(graph)
    columns = chains.chain[order].tolist(), chains.place[order].tolist()
    return tuple(zip(*columns, strict=True))


def _damage(
    log: EventLog,
    graph: CausalGraph,
    events: Sequence[Event],
    rows: Mapping[tuple[object, ...], int],
) -> tuple[tuple[Damage, ...], frozenset[int]]:
    """Return what is wrong with the rows, and the rows with causes outside of the log."""
    found: list[Damage] = []
    twice: dict[int, list[int]] = {}
    if len(rows) < len(events):
        for each, event in enumerate(events):
            twice.setdefault(rows[event.id], []).append(each)
    outside: set[int] = set()
    held = {
        (*graph.worlds[world], stream)
        for world, stream in zip(graph.streams.world, graph.streams.ids, strict=True)
    } if graph.anomalies.num_rows else set()  # fmt: skip
    for anomaly in [*_about(log.anomalies, events), *_about(graph.anomalies, events)]:
        world = (anomaly["namespace"], anomaly["run_id"])
        row = rows.get((*world, anomaly["workflow_id"], anomaly["sequence"]))
        if row is None:
            continue
        source = (*world, anomaly["ref_workflow_id"], anomaly["ref_sequence"])
        words = f"damage: {clean(anomaly['kind'])}: {clean(anomaly['detail'])}"
        if anomaly["kind"] == "never_logged" and held and source[:3] not in held:
            outside.add(row)
            continue
        twins = [row] if anomaly["kind"] != "duplicate_id" else twice.get(row, [row])
        found += [Damage(each, words, anomaly["kind"], rows.get(source)) for each in twins]
    return tuple(found), frozenset(outside)


def _about(anomalies: pa.Table, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the damage at some events: of a part of a large log there may be very much."""
    if anomalies.num_rows > _MANY:
        streams = pa.array(sorted({event.workflow_id for event in events}), pa.string())
        anomalies = anomalies.filter(pc.is_in(anomalies.column("workflow_id"), streams))
    if anomalies.num_rows > _MANY and events:
        numbers = [event.sequence for event in events]
        column = anomalies.column("sequence")
        near = pc.and_(pc.greater_equal(column, min(numbers)), pc.less_equal(column, max(numbers)))
        anomalies = anomalies.filter(near)
    found: list[dict[str, Any]] = anomalies.to_pylist()
    return found


def lane_key(event: Event) -> LaneKey:
    """Return what makes two events share a lane: namespace, run and agent."""
    return (event.namespace, event.run_id, event.agent_id)


def _without_large_payloads(table: pa.Table) -> pa.Table:
    payload = table.column("payload")
    large = pc.greater(pc.fill_null(pc.binary_length(payload), 0), MAX_PAYLOAD)
    if not pc.any(large, min_count=0).as_py():
        return table
    kept = pc.if_else(large, pa.scalar(None, payload.type), payload)
    return table.set_column(table.column_names.index("payload"), table.field("payload"), kept)


def times_are_usable(log: EventLog) -> bool:
    """Say whether time can be the axis: every event has one, they differ, and few run backwards.

    Example:
        >>> times_are_usable(EventLog.from_events([]))
        False
    """
    return _times_are_usable(log, None)


def _times_are_usable(log: EventLog, graph: CausalGraph | None) -> bool:
    if not len(log):
        return False
    times = log.table.column("time_ns").to_numpy()
    if int(times.min()) == UNSTAMPED or int(times.min()) == int(times.max()):
        return False
    graph = graph or read_graph(log)
    backward = int(np.count_nonzero(times[graph.effect] < times[graph.cause]))
    return backward <= MAX_BACKWARD_SHARE * len(graph.cause)


def _drawing_order(log: EventLog, *, by_time: bool) -> NDArray[np.int64]:
    table = log.table
    keys = [rank_strings(table.column(name))[0] for name in ("workflow_id", "run_id", "namespace")]
    sequence = table.column("sequence").to_numpy()
    if by_time:
        # Equal times are told apart by the store's order, then by the stream's own.
        position = table.column("position").to_numpy()
        keys = [sequence, *keys, position, table.column("time_ns").to_numpy()]
    else:
        keys = [keys[0], sequence, *keys[1:]]
    return np.lexsort(keys)


def _choose_lanes(
    log: EventLog,
    graph: CausalGraph,
    codes: list[int],
    order: NDArray[np.int64],
    lanes: Sequence[str] | str | None,
) -> tuple[list[int], list[int]]:
    """Order the lanes: by run, then as its metadata says, then by first event, the world last.

    In a simulated world, what runs stands above the agents that it asks. Returned are the lanes,
    and those whose order says nothing, so that another may be chosen.
    """
    names = {code: _key(graph, code) for code in codes}
    if lanes is not None and not isinstance(lanes, str):
        return _named_lanes(names, lanes), []
    if lanes not in {None, "auto", "given", "fewest"}:
        message = f"lanes is {lanes!r}; expected auto, given, fewest, or a list of agent ids"
        raise InvalidArgumentError(message)
    ranks = {(*run.key, agent): rank for run in log.runs for rank, agent in enumerate(run.agents)}
    worlds = list(dict.fromkeys(key[:2] for key in names.values()))
    first = {code: place for place, code in enumerate(codes)}
    simulated = {run.key for run in log.runs if run.clock == "virtual" and run.scenario}
    asked = _first_requests(log, graph, order) if simulated else {}

    def group(code: int) -> tuple[int, bool, int]:
        key = names[code]
        rank = ranks.get(key, len(ranks))
        if key[:2] in simulated:
            rank = 2 if key[2].startswith("@") else int(key in ranks)
        return worlds.index(key[:2]), key[2] == WORLD, rank

    codes = sorted(codes, key=lambda code: (*group(code), asked.get(code, len(asked)), first[code]))
    if lanes == "given":
        return codes, []
    last = len(ranks)
    agents = [
        code
        for code in codes
        for _, outside, rank in [group(code)]
        if not outside and rank == (1 if names[code][:2] in simulated else last)
    ]
    return codes, agents


def _named_lanes(names: Mapping[int, LaneKey], lanes: Sequence[str]) -> list[int]:
    codes: dict[str, list[int]] = {}
    for code, key in names.items():
        codes.setdefault(key[2], []).append(code)
    for lane in lanes:
        if lane not in codes:
            known = sorted(codes)
            near = difflib.get_close_matches(lane, known, 3, 0.3) or known[:5]
            message = f"no lane {lane!r} in this log; the nearest are {near}"
            raise NotFoundError(message)
    return [code for lane in dict.fromkeys(lanes) for code in codes[lane]]


def _first_requests(log: EventLog, graph: CausalGraph, order: NDArray[np.int64]) -> dict[int, int]:
    """Number the lanes in the order in which they were first sent a message."""
    types = log.table.column("event_type")
    received = np.asarray(pc.equal(types, "MessageReceived").to_numpy(zero_copy_only=False), bool)
    edges = np.flatnonzero((graph.kind != LANE) & received[graph.effect])
    place = np.full(graph.size, graph.size, np.int64)
    place[order] = np.arange(len(order))
    sent = place[graph.cause[edges]]
    return {
        code: number
        for number, code in enumerate(_first_met(graph.lane[graph.effect[edges[np.argsort(sent)]]]))
    }
