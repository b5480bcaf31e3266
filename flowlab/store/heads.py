"""The heads of streams and lanes: what the next event of each must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.store.delta import DataFile, TableState
from flowlab.store.layout import Layout, Stream
from flowlab.store.segment_reader import SegmentReader
from flowlab.store.streams import Streams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

Lane = tuple[str, str, str]


class SealedHeads:
    """What sealed files hold of runs and streams: each file is looked at once, as it is needed.

    Files never change, and a log grows by files; where one is there no longer, because another has
    taken its place, all are looked at again.

    Args:
        reader: of the files.
    """

    def __init__(self, reader: SegmentReader) -> None:
        self.reader = reader
        self._learned: dict[str, frozenset[str]] = {}
        self._runs: dict[str, tuple[set[str], set[str]]] = {}
        self._streams: dict[tuple[str, int], tuple[dict[tuple[str, str], int], set[str]]] = {}

    def __repr__(self) -> str:
        return f"SealedHeads({self.reader!r})"

    def learn(self, data: DataFile, runs: frozenset[str]) -> None:
        """Take note of the runs of a file that is being written, so that it need not be read."""
        self._learned[data.path] = runs

    def runs(self, state: TableState, namespace: str) -> set[str]:
        """Return the runs of a namespace."""
        found, seen = self._runs.setdefault(namespace, (set(), set()))
        for data in _fresh(found, seen, [f for f in state.files if f.namespace == namespace]):
            learned = self._learned.pop(data.path, None)
            if learned is None:
                names = pc.unique(self.reader.read(data, columns=("run_id",)).column("run_id"))
                learned = frozenset(names.to_pylist())
            found |= learned
        return found

    def streams(self, state: TableState, namespace: str, bucket: int) -> dict[tuple[str, str], int]:
        """Return the heads of a partition: of each (run_id, workflow_id)."""
        found, seen = self._streams.setdefault((namespace, bucket), ({}, set()))
        here = [f for f in state.files if (f.namespace, f.bucket) == (namespace, bucket)]
        for data in _fresh(found, seen, here):
            for flow, spans in self.reader.streams(data).by_workflow.items():
                for run, _, last in spans:
                    found[run, flow] = max(last, found.get((run, flow), 0))
        return found


def _fresh(
    found: set[str] | dict[tuple[str, str], int], seen: set[str], files: list[DataFile]
) -> list[DataFile]:
    """Return the files that were not seen; all of them, and nothing found, where one has gone."""
    paths = {data.path for data in files}
    if not seen <= paths:
        found.clear()
        seen.clear()
    fresh = [data for data in files if data.path not in seen]
    seen |= paths
    return fresh


@dataclass(slots=True)
class Heads:
    """The last sequence of each stream, and the last tick of each lane.

    Sealed heads are read a partition at a time, when first asked for; afterwards a lookup is one
    dictionary access whatever the size of the store.
    """

    state: TableState
    sealed: SealedHeads
    layout: Layout
    recent: dict[Stream, int] = field(default_factory=dict)
    recent_lanes: dict[Lane, int] = field(default_factory=dict)
    _sealed: dict[tuple[str, int], dict[tuple[str, str], int]] = field(default_factory=dict)
    _lanes: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)

    def head(self, namespace: str, run_id: str, workflow_id: str) -> int:
        """Return the last sequence of a stream, 0 where it does not exist."""
        known = self.recent.get((namespace, run_id, workflow_id))
        if known is not None:
            return known
        bucket = self.layout.bucket(run_id, workflow_id)
        partition = (namespace, bucket)
        if partition not in self._sealed:
            self._sealed[partition] = self.sealed.streams(self.state, namespace, bucket)
        return self._sealed[partition].get((run_id, workflow_id), 0)

    def of_all(self, streams: Streams) -> Ints:
        """Return the last sequence of many streams; of most runs none is there yet."""
        recent = {(namespace, run_id) for namespace, run_id, _ in self.recent}
        sealed = {space: self.sealed.runs(self.state, space) for space in streams.spaces}
        heads: Ints = np.zeros(len(streams), np.int64)
        for code in streams.within(
            lambda namespace, run: run in sealed[namespace] or (namespace, run) in recent
        ):
            heads[code] = self.head(*streams.name(code))
        return heads

    def lane(self, namespace: str, run_id: str, agent_id: str) -> int:
        """Return the last tick of a lane, 0 where it has none."""
        known = self.recent_lanes.get((namespace, run_id, agent_id))
        if known is not None:
            return known
        if (namespace, run_id) not in self._lanes:
            self._lanes[namespace, run_id] = self._load_lanes(namespace, run_id)
        return self._lanes[namespace, run_id].get(agent_id, 0)

    def advance(self, stream: Stream, last_sequence: int, last_ticks: dict[str, int]) -> None:
        """Take note of a committed batch: its last sequence, and the last tick of each lane."""
        namespace, run_id, _ = stream
        self.recent[stream] = last_sequence
        for agent, tick in last_ticks.items():
            self.recent_lanes[namespace, run_id, agent] = tick

    def _load_lanes(self, namespace: str, run_id: str) -> dict[str, int]:
        lanes: dict[str, int] = {}
        columns = ("run_id", "agent_id", "agent_sequence")
        for data in self.state.files:
            if data.namespace != namespace:
                continue
            groups = [
                group.index
                for group in self.sealed.reader.row_groups(data)
                if group.may_hold("run_id", run_id, run_id)
            ]
            if not groups:
                continue
            table = self.sealed.reader.read(data, groups, columns=columns)
            table = table.filter(pc.equal(table.column("run_id"), run_id))
            grouped = table.group_by(["agent_id"]).aggregate([("agent_sequence", "max")])
            for agent, last in _rows(grouped, "agent_id", "agent_sequence_max"):
                lanes[agent] = max(last, lanes.get(agent, 0))
        return lanes


def _rows(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)
