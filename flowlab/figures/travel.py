"""The state of everything at each event of a log: cells, and the changes that events make."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import numpy as np
import pyarrow as pa

from flowlab.errors import FlowlabError, InvalidArgumentError
from flowlab.events import EventLog, is_history_stream, rank_strings
from flowlab.figures.travel_values import (
    CellName,
    CheckpointMark,
    Folding,
    Lane,
    Reading,
    Stream,
    Taken,
    marked,
)
from flowlab.figures.travel_words import fields_of, payload_of, shown, state_words, values_told

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_EVENTS: Final = 100_000
"""Events of a log that one travels through; of a longer one, give a part."""
ABSENT: Final = -1
"""The code of a cell without a value."""
UNTOLD: Final = "(written; the log does not tell what)"
_TAKEN: Final = "CheckpointTaken"
_WORKFLOW_STATES: Final = (
    "SELECT namespace, run_id, workflow_id, sequence, state, detail FROM states "
    "ORDER BY namespace, run_id, workflow_id, sequence"
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What events do to cells, by row: each line is (row, cell, value), in order of rows."""

    row: NDArray[np.int32]
    cell: NDArray[np.int32]
    value: NDArray[np.int32]


@dataclass(frozen=True, eq=False, repr=False)
class Travel:
    """A log as one travels through it: its rows are the log's, each after what it follows.

    Args:
        log: the events, in the order of the rows.
        lanes: streams, and resources that no stream stands for.
        lane: of each row.
        cells: what holds values.
        changes: what events do to them.
        values: the texts of the values, by code.
        checkpoints: (row from which it counts, lane, mark), in order of rows.
    """

    log: EventLog
    lanes: tuple[Lane, ...]
    lane: NDArray[np.int32]
    cells: tuple[CellName, ...]
    changes: Changes
    values: tuple[str, ...]
    checkpoints: tuple[tuple[int, int, CheckpointMark], ...]

    def __repr__(self) -> str:
        return f"Travel({len(self.log)} events, {len(self.cells)} cells)"

    def state(self, row: int) -> dict[CellName, str]:
        """Return the value of each cell after a row, by name; those that have none are left out."""
        held = np.full(len(self.cells), ABSENT, np.int32)
        upto = int(np.searchsorted(self.changes.row, row, side="right"))
        held[self.changes.cell[:upto]] = self.changes.value[:upto]
        found = np.flatnonzero(held != ABSENT).tolist()
        return {self.cells[cell]: self.values[held[cell]] for cell in found}

    def changed(self, row: int) -> frozenset[CellName]:
        """Return the cells that the event of a row has written."""
        first, last = np.searchsorted(self.changes.row, [row, row + 1])
        return frozenset(self.cells[cell] for cell in self.changes.cell[first:last].tolist())

    def reading(self, row: int, lane: int | None = None) -> Reading:
        """Return what recovery from after a row would read: of a lane, or of all."""
        sequences = self._sequences
        total = np.zeros(len(self.lanes), np.int64)
        since = np.zeros(len(self.lanes), np.int64)
        latest: dict[int, CheckpointMark] = {}
        for from_row, of, mark in self.checkpoints:
            if from_row <= row and (of not in latest or mark.at >= latest[of].at):
                latest[of] = mark
        lanes = self.lane[: row + 1]
        np.add.at(total, lanes, 1)
        at = np.full(len(self.lanes), -1, np.int64)
        for of, mark in latest.items():
            at[of] = mark.at
        np.add.at(since, lanes, sequences[: row + 1] > at[lanes])
        chosen = range(len(self.lanes)) if lane is None else (lane,)
        loaded = [latest[of] for of in chosen if of in latest]
        return Reading(
            len(loaded),
            sum(mark.size_bytes for mark in loaded),
            int(sum(since[of] for of in chosen)),
            int(sum(total[of] for of in chosen)),
        )

    @cached_property
    def _sequences(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self.log.table.column("sequence").to_numpy()
        return found


def read_travel(
    log: EventLog,
    *,
    checkpoints: Iterable[Taken] | None = None,
    aggregates: Iterable[Folding] = (),
) -> Travel:
    """Read the state of everything at each event of a log.

    A workflow has one cell, its state. An agent's cells are what its transactions wrote; what a log
    does not tell is said so. The cells of an aggregate are the fields of its state, or its state.

    Args:
        log: of at most `MAX_EVENTS` events.
        checkpoints: where they lie; None for those that the log tells of.
        aggregates: kinds, whose streams are those named by them.

    Raises:
        InvalidArgumentError: the log is too long, or an aggregate's fold fails.
    """
    if len(log) > MAX_EVENTS:
        message = (
            f"the log has {len(log)} events; one travels through at most {MAX_EVENTS}: give a part "
            "of it, as log.filter(run_id=...) or log.filter(workflow_id=...)"
        )
        raise InvalidArgumentError(message)
    log = in_order(log)
    streams, codes = _streams(log)
    kinds = tuple(aggregates)
    reader = _Reader(log, streams, codes, {kind.name: kind for kind in kinds})
    lines = sorted(reader.changes(), key=lambda line: line[0])
    table = np.asarray(lines, np.int32).reshape(len(lines), 3)
    changes = Changes(table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())
    marks = tuple(sorted(reader.marks(checkpoints), key=lambda mark: mark[:2]))
    return Travel(
        log, tuple(reader.lanes), codes, tuple(reader.cells), changes, tuple(reader.values), marks
    )


def in_order(log: EventLog) -> EventLog:
    """Return a log with its rows by time, those of a stream in its order whatever the clock said.

    Example:
        >>> log = EventLog.from_events([
        ...     {"workflow_id": "w", "sequence": n, "time_ns": t, "event_type": "Signaled"}
        ...     for n, t in ((2, 3), (1, 5))])
        >>> [event.sequence for event in in_order(log)]
        [1, 2]
    """
    table = log.table
    ranks = [rank_strings(table.column(name))[0] for name in ("workflow_id", "run_id", "namespace")]
    sequence, position, time = (
        table.column(name).to_numpy() for name in ("sequence", "position", "time_ns")
    )
    order = np.lexsort([sequence, *ranks])
    held = time[order].copy()
    same = np.ones(len(order), bool)
    same[:1] = False
    for rank in ranks:
        same[1:] &= rank[order][1:] == rank[order][:-1]
    # A clock that ran back: the event stands no earlier than the one it follows.
    for start, end in _stretches(same):
        held[start:end] = np.maximum.accumulate(held[start:end])
    times = np.empty_like(held)
    times[order] = held
    turn = np.lexsort([sequence, *ranks, position, times])
    return EventLog(table.take(pa.array(turn)), log.runs, log.anomalies)


def _stretches(same: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    starts = np.flatnonzero(~same).tolist()
    ends = [*starts[1:], len(same)] if starts else []
    yield from zip(starts, ends, strict=True)


def _streams(log: EventLog) -> tuple[list[Stream], NDArray[np.int32]]:
    """Return the streams in order of their first event, and that of each row."""
    columns = [
        log.table.column(name).to_pylist() for name in ("namespace", "run_id", "workflow_id")
    ]
    numbers: dict[Stream, int] = {}
    codes = [numbers.setdefault(key, len(numbers)) for key in zip(*columns, strict=True)]
    return list(numbers), np.asarray(codes, np.int32)


class _Reader:
    """Collects lanes, cells and values while a log is read once."""

    def __init__(
        self,
        log: EventLog,
        streams: Sequence[Stream],
        codes: NDArray[np.int32],
        kinds: dict[str, Folding],
    ) -> None:
        self.log = log
        self.codes = codes
        self.kinds = {stream: _kind_of(stream, kinds) for stream in streams}
        self.lanes: list[Lane] = []
        for stream in streams:
            kind = "workflow" if is_history_stream(stream[2]) else "agent"
            kind = "aggregate" if self.kinds[stream] else kind
            label = stream[2].removeprefix("@")
            if label != stream[2] and (*stream[:2], label) in self.kinds:
                label = f"host of {label}"  # the process that runs that workflow
            self.lanes.append(Lane(stream, kind, label))
        self.by_stream = {lane.stream: place for place, lane in enumerate(self.lanes)}
        self.places: dict[CellName, int] = {}
        self.codes_of: dict[str, int] = {}

    @property
    def cells(self) -> list[CellName]:
        return list(self.places)

    @property
    def values(self) -> list[str]:
        return list(self.codes_of)

    def changes(self) -> Iterator[tuple[int, int, int]]:
        yield from self._workflows()
        yield from self._transactions()
        yield from self._aggregates()

    def _code(self, value: str) -> int:
        return self.codes_of.setdefault(value, len(self.codes_of))

    def _cell(self, kind: str, lane: int, owner: str, key: str) -> int:
        return self.places.setdefault(CellName(kind, lane, owner, key), len(self.places))

    @cached_property
    def _row_of(self) -> dict[tuple[int, int], int]:
        """The row of each (lane, sequence); of two with one id, the first."""
        sequences = self.log.table.column("sequence").to_pylist()
        found: dict[tuple[int, int], int] = {}
        for row, pair in enumerate(zip(self.codes.tolist(), sequences, strict=True)):
            found.setdefault(pair, row)
        return found

    def _workflows(self) -> Iterator[tuple[int, int, int]]:
        last: dict[int, str] = {}
        for told in self.log.query(_WORKFLOW_STATES).to_pylist():
            stream = (told["namespace"], told["run_id"], told["workflow_id"])
            lane = self.by_stream[stream]
            if self.kinds[stream] is not None:
                continue
            said = state_words(told["state"], json.loads(told["detail"] or "{}"))
            if last.get(lane) != said:
                last[lane] = said
                row = self._row_of[lane, told["sequence"]]
                yield row, self._cell("workflow", lane, stream[2], "state"), self._code(said)

    def _transactions(self) -> Iterator[tuple[int, int, int]]:
        table = self.log.table
        has = np.flatnonzero(table.column("writes").is_valid().to_numpy())
        names = ("writes", "payload", "agent_id", "namespace", "run_id")
        taken = table.select(names).take(pa.array(has)).to_pydict()
        for row, written, payload, agent, *world_ in zip(
            has.tolist(), *taken.values(), strict=True
        ):
            if not written:
                continue
            world = (world_[0], world_[1])
            told = values_told(payload, agent)
            for cell in written:
                owner, key = cell["owner"], cell["key"]
                kind, lane = self._lane_of(world, owner)
                value = shown(told[owner, key]) if (owner, key) in told else UNTOLD
                yield row, self._cell(kind, lane, owner, key), self._code(value)

    def _lane_of(self, world: tuple[str, str], owner: str) -> tuple[str, int]:
        stream = (*world, f"@{owner}")
        if stream not in self.by_stream:
            self.by_stream[stream] = len(self.lanes)
            self.lanes.append(Lane(stream, "resource", owner))
        lane = self.by_stream[stream]
        return self.lanes[lane].kind, lane

    def _aggregates(self) -> Iterator[tuple[int, int, int]]:
        for stream, kind in self.kinds.items():
            if kind is None:
                continue
            lane = self.by_stream[stream]
            rows = np.flatnonzero(self.codes == lane)
            events = EventLog(self.log.table.take(pa.array(rows))).events()
            state: object = kind.initial
            before: dict[str, str] = {}
            for row, event in zip(rows.tolist(), events, strict=True):
                state = _evolved(kind, state, event)
                after = fields_of(state)
                for key in before.keys() | after.keys():
                    if before.get(key) != after.get(key):
                        value = self._code(after[key]) if key in after else ABSENT
                        yield row, self._cell("aggregate", lane, stream[2], key), value
                before = after

    def marks(self, given: Iterable[Taken] | None) -> Iterator[tuple[int, int, CheckpointMark]]:
        if given is None:
            yield from self._told_marks()
            return
        for one in given:
            mark = marked(one)
            lane = self.by_stream.get(mark.stream)
            row = None if lane is None else self._reached(lane, mark.at)
            if lane is not None and row is not None:
                yield row, lane, mark

    def _reached(self, lane: int, at: int) -> int | None:
        """Return the row from which a stream's state at a sequence can be had; None for never.

        Where the events up to it were truncated, the stream begins with what follows it.
        """
        rows = np.flatnonzero(self.codes == lane)
        sequences = self.log.table.column("sequence").to_numpy()[rows]
        place = int(np.searchsorted(sequences, at))
        return int(rows[place]) if place < len(rows) else None

    def _told_marks(self) -> Iterator[tuple[int, int, CheckpointMark]]:
        table = self.log.table
        types = table.column("event_type").to_numpy()
        for row in np.flatnonzero(types == _TAKEN).tolist():
            world = tuple(table.column(n)[row].as_py() for n in ("namespace", "run_id"))
            told = payload_of(table.column("payload")[row].as_py())
            stream = (*world, told.get("workflow_id"))
            at, size = told.get("at"), told.get("bytes", 0)
            if stream in self.by_stream and _is_count(at) and _is_count(size):
                mark = CheckpointMark(stream, at, size, bool(told.get("savepoint")))
                yield row, self.by_stream[stream], mark


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _kind_of(stream: Stream, kinds: dict[str, Folding]) -> Folding | None:
    fitting = [name for name in kinds if stream[2].startswith(f"{name}-")]
    return kinds[max(fitting, key=len)] if fitting else None


def _evolved(kind: Folding, state: object, event: Any) -> object:
    try:
        return kind.evolve(state, event)
    except FlowlabError:
        raise
    except Exception as error:
        message = (
            f"the fold of {kind.name!r} fails at {event.workflow_id}/{event.sequence}: "
            f"{type(error).__name__}: {error}; travel without it, or mend its evolve"
        )
        raise InvalidArgumentError(message) from error
