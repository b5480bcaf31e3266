"""Where rows and files lie: the values of a layout's levels for a table's rows, files by home."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flowlab.events import rank_strings
from flowlab.store.delta import DataFile, TableState
from flowlab.store.layout import Home, Layout, Level, buckets_of
from flowlab.store.streams import Streams, rank_ints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_HOUR_NS: Final = 3_600_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Groups:
    """The partitions of a table's rows.

    Args:
        of_row: each row's group, rows in the order of the table's streams.
        of_stream: each stream's group; None where events of a stream lie in several.
        values: of each group, by partition column.
    """

    of_row: Ints
    of_stream: Ints | None
    values: list[dict[str, str]]


class Shelves:
    """The files of a state by the home of their streams; safe to use from several threads.

    Args:
        layout: of the store.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._lock = threading.Lock()
        self._files: tuple[DataFile, ...] = ()
        self._shelves: dict[Home, list[DataFile]] = {}

    def __repr__(self) -> str:
        return f"Shelves({self.layout!r}, {len(self._files)} files)"

    def files(self, state: TableState, home: Home) -> list[DataFile]:
        """Return the files in which the events of a home's streams can lie."""
        with self._lock:
            if state.files is not self._files:
                known = self._files
                # A log grows by files: those that were there already stand on their shelves.
                if state.files[: len(known)] != known:
                    self._shelves, known = {}, ()
                for data in state.files[len(known) :]:
                    home_of = self.layout.home_of(data.partition)
                    self._shelves.setdefault(home_of, []).append(data)
                self._files = state.files
            return list(self._shelves.get(home, ()))


def group_rows(table: pa.Table, layout: Layout, streams: Streams) -> Groups:
    """Return the partition of each row; groups are in the order of their values."""
    codes = np.zeros(len(streams), np.int64)
    values: list[dict[str, str]] = [{}]
    # What a stream determines is found once for each stream, and not for each row.
    for level in layout.levels:
        if level.of_stream:
            codes, values = _crossed(codes, values, level.column, *_of_streams(level, streams))
    rows = codes[streams.codes[streams.order]]
    for level in layout.levels:
        if not level.of_stream:
            found, names = _of_events(level, table, streams)
            rows, values = _crossed(rows, values, level.column, found[streams.order], names)
    return Groups(rows, codes if layout.keeps_streams_whole else None, values)


def _crossed(
    codes: Ints, values: list[dict[str, str]], column: str, found: Ints, names: list[str]
) -> tuple[Ints, list[dict[str, str]]]:
    """Divide groups by one more level."""
    width = max(len(names), 1)
    crossed, keys = rank_ints(codes * width + found)
    pairs = (divmod(key, width) for key in keys.tolist())
    return crossed, [{**values[group], column: names[place]} for group, place in pairs]


def _of_streams(level: Level, streams: Streams) -> tuple[Ints, list[str]]:
    """Return the value of each stream as a place among names."""
    if not len(streams):
        return np.zeros(0, np.int64), []
    runs, flows = streams.worlds % len(streams.runs), streams.keys % len(streams.flows)
    if level.kind == "bucket":
        found = buckets_of(streams.runs, streams.flows, runs.tolist(), flows.tolist(), level.count)
        return np.array(found, np.int64), [str(number) for number in range(level.count)]
    if level.kind == "namespace":
        return streams.worlds // len(streams.runs), streams.spaces
    return (runs, streams.runs) if level.kind == "run" else (flows, streams.flows)


def _of_events(level: Level, table: pa.Table, streams: Streams) -> tuple[Ints, list[str]]:
    """Return the value of each row as a place among names."""
    if level.kind in {"day", "hour"}:
        size = _HOUR_NS if level.kind == "hour" else 24 * _HOUR_NS
        found, numbers = rank_ints(table.column("time_ns").to_numpy() // size)
        hours = 1 if level.kind == "hour" else 24
        return found, [_time_name(number * hours, level.kind) for number in numbers.tolist()]
    agents, names = rank_strings(table.column("agent_id"))
    if level.kind == "agent":
        return agents.astype(np.int64), names
    if not table.num_rows:
        return np.zeros(0, np.int64), []
    runs = (streams.worlds % len(streams.runs))[streams.codes]
    lanes, keys = rank_ints(runs * len(names) + agents)
    of_run, of_agent = keys // len(names), keys % len(names)
    numbers = np.array(
        buckets_of(streams.runs, names, of_run.tolist(), of_agent.tolist(), level.count), np.int64
    )
    return numbers[lanes], [str(number) for number in range(level.count)]


def _time_name(hours: int, kind: str) -> str:
    moment = _EPOCH + timedelta(hours=hours)
    return moment.strftime("%Y-%m-%dT%H" if kind == "hour" else "%Y-%m-%d")
