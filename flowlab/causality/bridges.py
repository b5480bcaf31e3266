"""The order of a truncated log: edges that lead over what its horizon remembers."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.graph import CausalGraph, Edges
from flowlab.causality.horizon import BeforeHorizon, Forgotten, Lane
from flowlab.causality.topology import sort_rows
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import WORLD_STREAM, CauseKind, EventId

LANE_KEY: Final = ("agent_sequence", "position", "workflow_id", "sequence")
"""What orders the events of a lane."""


TRUNCATED: Final = "LogTruncated"


class _Told(msgspec.Struct):
    horizon: dict[str, Any] | None = None


_TOLD: Final = msgspec.json.Decoder(_Told)


def with_horizon(graph: CausalGraph, horizon: BeforeHorizon) -> CausalGraph:
    """Return a graph with the edges that lead over truncated events.

    Raises:
        NotFoundError: an event that is said to be left is not in the log.
    """
    rows = _Rows(graph)
    known = {event.id: event for event in horizon if rows.of(event.id) is None}
    causes: list[int] = []
    effects: list[int] = []
    over: list[tuple[int, Forgotten]] = []

    def learn(effect: int, event: Forgotten) -> list[int]:
        found = [rows.sure(cause) for cause in event.before]
        over.append((effect, event))
        causes.extend(found)
        effects.extend([effect] * len(found))
        return found

    for row, name in _references(graph, rows):
        if name in known:
            learn(row, known[name])
    before = graph.before.copy()
    follows = graph.log.table.column("follows_lane").to_numpy()
    for row, event in _followed(graph, known.values()):
        if follows[row] and before[row] not in learn(row, event):
            before[row] = -1
    cause = np.concatenate([graph.named.cause, np.array(causes, np.int32)])
    effect = np.concatenate([graph.named.effect, np.array(effects, np.int32)])
    kinds = np.full(len(causes), int(CauseKind.PROGRAM), graph.named.kind.dtype)
    turn = np.argsort(effect, kind="stable")
    named = Edges(cause, effect, np.concatenate([graph.named.kind, kinds])).where(turn)
    order, kept = sort_rows(graph.log.table, named.cause, named.effect, before)
    return replace(
        graph,
        named=named if kept.all() else named.where(kept),
        before=before,
        order=order,
        over=tuple(over),
        anomalies=_undamaged(graph.anomalies, known),
    )


def recorded_horizon(graph: CausalGraph) -> BeforeHorizon | None:
    """Return what a log's own truncations have left to remember, None where they left nothing.

    Of each world, the last `LogTruncated` counts: it tells of all before it. One that tells nothing
    leaves nothing known, and a part of a log has no use for what is told of the whole.
    """
    rows = _Rows(graph)
    events: list[Forgotten] = []
    columns: list[Lane] = []
    for stream in graph.streams.codes_of(WORLD_STREAM).tolist():
        told = _last_told(graph, stream)
        if told is None or any(rows.of(cause) is None for event in told for cause in event.before):
            continue
        events.extend(_moved(event, len(columns)) for event in told)
        columns.extend(told.columns)
    return BeforeHorizon(tuple(events), tuple(columns)) if events else None


def was_truncated(graph: CausalGraph) -> bool:
    """Say whether a log lacks the beginning of a stream, or tells of a truncation."""
    if bool(np.any(graph.places.low > 1)):
        return True
    rows = np.flatnonzero(np.isin(graph.stream, graph.streams.codes_of(WORLD_STREAM)))
    types = pc.take(graph.log.table.column("event_type"), pa.array(rows))
    return bool(pc.any(pc.equal(types, TRUNCATED)).as_py())


def _last_told(graph: CausalGraph, stream: int) -> BeforeHorizon | None:
    table = graph.log.table
    mine = np.flatnonzero(graph.stream == stream)
    types = pc.take(table.column("event_type"), pa.array(mine))
    mine = mine[pc.equal(types, TRUNCATED).to_numpy(zero_copy_only=False)]
    if not len(mine):
        return None
    payload = table.column("payload")[int(mine[np.argmax(graph.sequence[mine])])].as_py()
    try:
        told = _TOLD.decode(payload or b"{}").horizon
        return None if told is None else BeforeHorizon.from_json(told)
    except (msgspec.MsgspecError, InvalidArgumentError):
        return None  # the event is another program's, or damaged


def _moved(event: Forgotten, columns: int) -> Forgotten:
    """Return an event with its counts moved on by some columns."""
    if event.clock is None or not columns:
        return event
    counts = tuple((column + columns, count) for column, count in event.clock.counts)
    return replace(event, clock=replace(event.clock, counts=counts))


class _Rows:
    """Finds rows by id."""

    def __init__(self, graph: CausalGraph) -> None:
        self.graph = graph
        self.streams = {
            (*graph.worlds[world], name): code
            for code, (world, name) in enumerate(
                zip(graph.streams.world.tolist(), graph.streams.ids, strict=True)
            )
        }

    def of(self, name: EventId) -> int | None:
        """Return the row of an event, None where the log does not hold it."""
        stream = self.streams.get(name[:3])
        if stream is None:
            return None
        at = np.array([stream], np.int32), np.array([name.sequence], np.int64)
        row = int(self.graph.places.rows_of(*at)[0])
        return row if row >= 0 else None

    def sure(self, name: EventId) -> int:
        """Return the row of an event that is said to be left."""
        row = self.of(name)
        if row is None:
            message = (
                f"the horizon counts {name.workflow_id}/{name.sequence} among the events left, and "
                "the log does not hold it; truncate the order of this log, with its horizon"
            )
            raise NotFoundError(message)
        return row


def _references(graph: CausalGraph, rows: _Rows) -> Iterator[tuple[int, EventId]]:
    """Yield (row, id) of each reference to an event that the log does not hold."""
    lost = graph.truncated
    columns = (lost.row.tolist(), lost.stream.tolist(), lost.sequence.tolist())
    for row, stream, sequence in zip(*columns, strict=True):
        space, run = graph.worlds[graph.streams.world[stream]]
        yield row, EventId(space, run, graph.streams.ids[stream], sequence)
    for told in graph.anomalies.to_pylist():
        if told["kind"] == "never_logged":
            own = EventId(*(told[name] for name in EventId._fields))
            yield rows.sure(own), _reference_of(told)


def _reference_of(told: Mapping[str, Any]) -> EventId:
    names = ("namespace", "run_id", "ref_workflow_id", "ref_sequence")
    return EventId(*(told[name] for name in names))


def _followed(graph: CausalGraph, events: Iterable[Forgotten]) -> Iterator[tuple[int, Forgotten]]:
    """Yield (row, event) where a truncated event is the one before a row on its lane."""
    lanes: dict[tuple[tuple[str, str], str], int] = {
        (graph.worlds[world], name): lane
        for lane, (world, name) in enumerate(
            zip(graph.lanes.world.tolist(), graph.lanes.ids, strict=True)
        )
    }
    columns = [graph.log.table.column(name) for name in LANE_KEY]

    def key(row: np.int32) -> tuple[Any, ...]:
        return tuple(column[int(row)].as_py() for column in columns)

    latest: dict[int, Forgotten] = {}
    mine: dict[int, list[Forgotten]] = defaultdict(list)
    for event in events:
        lane = lanes.get(((event.id.namespace, event.id.run_id), event.agent_id))
        if lane is not None:
            mine[lane].append(event)
    for lane, gone in mine.items():
        rows = graph.lane_rows[graph.lane_start[lane] : graph.lane_start[lane + 1]]
        for event in sorted(gone, key=lambda event: event.lane_key):
            spot = bisect_left(rows, event.lane_key, key=key)
            if spot < len(rows):
                latest[int(rows[spot])] = event
    yield from latest.items()


def _undamaged(anomalies: pa.Table, known: Mapping[EventId, Forgotten]) -> pa.Table:
    """Return the anomalies without references to events that are known to be truncated."""
    kept = [
        told["kind"] != "never_logged" or _reference_of(told) not in known
        for told in anomalies.to_pylist()
    ]
    return anomalies.filter(pa.array(kept, pa.bool_()))
