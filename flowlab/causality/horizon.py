"""What must be remembered of truncated events, so that the order of those left stays exact."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from flowlab.causality.graph import CausalGraph, Edges
from flowlab.causality.topology import sort_rows
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import CauseKind, EventId, EventLog, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.order import CausalOrder
    from flowlab.causality.selecting import EventRef

_LANE_KEY: Final = ("agent_sequence", "position", "workflow_id", "sequence")
"""What orders the events of a lane."""
_MOST_COMPARED: Final = 512
"""Of more events before a truncated one, those that are before another are kept, too."""

Base = str | tuple[str, str, str]
"""A stream: its workflow_id, or (namespace, run_id, workflow_id)."""


@dataclass(frozen=True, slots=True, repr=False)
class Forgotten:
    """A truncated event that may still be a cause: who it was, and what is left of its past.

    Args:
        id: its id.
        agent_id: its lane.
        agent_sequence: its tick there.
        position: in the whole log.
        before: the events left that happened before it: the last ones, and the last on its lane.
    """

    id: EventId
    agent_id: str
    agent_sequence: int
    position: int
    before: tuple[EventId, ...]

    @property
    def lane_key(self) -> tuple[int, int, str, int]:
        """Its place on its lane."""
        return self.agent_sequence, self.position, self.id.workflow_id, self.id.sequence

    def __repr__(self) -> str:
        name = f"{self.id.workflow_id}/{self.id.sequence}"
        return f"Forgotten({name}, after {counted(len(self.before), 'event')} left)"


@dataclass(frozen=True, slots=True, repr=False)
class BeforeHorizon:
    """The truncated events that those left may refer to; `truncate` makes it.

    `CausalOrder(log, horizon=...)` orders what is left as the whole log does: what happened before
    a truncated event happened before whatever that was a cause of.

    Args:
        events: in id order.

    Example:
        >>> from flowlab import EventLog
        >>> log = EventLog.from_text("A: a >m | B: <m b >n | C: <n c")
        >>> left, horizon = truncate(log.causality, {"@B": 3})
        >>> horizon
        BeforeHorizon(1 truncated event)
        >>> type(log.causality)(left, horizon=horizon).happened_before(("@A", 2), ("@C", 1))
        True
    """

    events: tuple[Forgotten, ...]

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Forgotten]:
        return iter(self.events)

    def __repr__(self) -> str:
        return f"BeforeHorizon({counted(len(self.events), 'truncated event')})"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, as a checkpoint carries it."""
        return {
            "events": [
                {
                    **event.id._asdict(),
                    "agent_id": event.agent_id,
                    "agent_sequence": event.agent_sequence,
                    "position": event.position,
                    "before": [[cause.workflow_id, cause.sequence] for cause in event.before],
                }
                for event in self.events
            ]
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> BeforeHorizon:
        """Read what `to_json` has told.

        Raises:
            InvalidArgumentError: it is something else.
        """
        try:
            return cls(tuple(_read(event) for event in told["events"]))
        except (KeyError, TypeError, ValueError) as error:
            message = f"{told!r:.80} is no horizon in JSON: expected what to_json() gives"
            raise InvalidArgumentError(message) from error


def _read(told: Mapping[str, Any]) -> Forgotten:
    name = EventId(*(told[field] for field in EventId._fields))
    before = tuple(name._replace(workflow_id=w, sequence=s) for w, s in told["before"])
    return Forgotten(name, told["agent_id"], told["agent_sequence"], told["position"], before)


# -- truncating -----------------------------------------------------------------------------------


def truncate(
    order: CausalOrder, bases: Mapping[Base, int], *, keep: Iterable[EventRef] = ()
) -> tuple[EventLog, BeforeHorizon]:
    """Cut off the beginning of streams; return what is left, and what must be remembered.

    Remembered are the truncated events that one left names, or follows on its lane; the last event
    of each lane, which the next one will follow; and those in `keep`.

    Args:
        order: the order of the log; with a horizon, where it was truncated before.
        bases: of each stream, the last sequence that is cut off; other streams stay whole.
        keep: events that may yet become causes: messages on their way, open requests.

    Raises:
        NotFoundError: the log has no such stream, or no such event.
        InvalidArgumentError: a base is no sequence, or several runs have the stream.
    """
    gone = _gone(order, bases)
    table = order.log.table
    left = EventLog(table.filter(pa.array(~gone)), order.log.runs, order.log.anomalies)
    graph = order.graph
    edges = graph.edges
    wanted = set(edges.cause[gone[edges.cause] & ~gone[edges.effect]].tolist())
    ends = graph.lane_rows[graph.lane_start[1:] - 1]
    wanted.update(ends[gone[ends]].tolist())
    wanted.update(row for row in map(order.row, keep) if gone[row])
    past = _Past(order, gone)
    columns = {name: table.column(name) for name in (*EventId._fields, "agent_id", *_LANE_KEY)}
    found = [*past.carried()]
    for row in wanted:
        told = {name: column[row].as_py() for name, column in columns.items()}
        found.append(
            Forgotten(
                EventId(*(told[name] for name in EventId._fields)),
                told["agent_id"],
                told["agent_sequence"],
                told["position"],
                past.ids(past.before(row)),
            )
        )
    return left, BeforeHorizon(tuple(sorted(found, key=lambda event: event.id)))


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
        if len(rows) > _MOST_COMPARED:
            return [int(row) for row in rows]
        reaches = self.order.index.reaches_many
        return [row for row in rows.tolist() if not reaches(np.full(len(rows), row), rows).any()]

    def ids(self, rows: Iterable[int]) -> tuple[EventId, ...]:
        """Return the ids of rows."""
        at = np.array(list(rows), np.int64)
        found = self.order.log.table.select(EventId._fields).take(at).to_pylist()
        return tuple(EventId(**row) for row in found)

    def carried(self) -> Iterator[Forgotten]:
        """Yield what an earlier truncation has left to remember, in terms of what is left now."""
        for event in self.order.horizon or ():
            rows = {left for cause in event.before for left in self.before(self.order.row(cause))}
            yield replace(event, before=self.ids(sorted(rows)))


# -- ordering what is left ------------------------------------------------------------------------


def with_horizon(graph: CausalGraph, horizon: BeforeHorizon) -> CausalGraph:
    """Return a graph with the edges that lead over truncated events.

    Raises:
        NotFoundError: an event that is said to be left is not in the log.
    """
    rows = _Rows(graph)
    known = {event.id: event for event in horizon if rows.of(event.id) is None}
    causes: list[int] = []
    effects: list[int] = []

    def learn(effect: int, event: Forgotten) -> list[int]:
        found = [rows.sure(cause) for cause in event.before]
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
        anomalies=_undamaged(graph.anomalies, known),
    )


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
    columns = [graph.log.table.column(name) for name in _LANE_KEY]

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
