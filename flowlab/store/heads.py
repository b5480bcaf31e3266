"""The heads of streams and lanes: what the next event of each must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.store.delta import TableState
from flowlab.store.layout import Layout, Stream
from flowlab.store.segment_reader import SegmentReader

Lane = tuple[str, str, str]


@dataclass(slots=True)
class Heads:
    """The last sequence of each stream, and the last tick of each lane.

    Sealed heads are read a partition at a time, when first asked for; afterwards a lookup is one
    dictionary access whatever the size of the store.
    """

    state: TableState
    reader: SegmentReader
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
            self._sealed[partition] = self._load(namespace, bucket)
        return self._sealed[partition].get((run_id, workflow_id), 0)

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

    def _load(self, namespace: str, bucket: int) -> dict[tuple[str, str], int]:
        heads: dict[tuple[str, str], int] = {}
        for data in self.state.files:
            if (data.namespace, data.bucket) == (namespace, bucket):
                for flow, spans in self.reader.streams(data).by_workflow.items():
                    for run, _, last in spans:
                        heads[run, flow] = max(last, heads.get((run, flow), 0))
        return heads

    def _load_lanes(self, namespace: str, run_id: str) -> dict[str, int]:
        lanes: dict[str, int] = {}
        columns = ("run_id", "agent_id", "agent_sequence")
        for data in self.state.files:
            if data.namespace != namespace:
                continue
            groups = [
                group.index
                for group in self.reader.row_groups(data)
                if group.may_hold("run_id", run_id, run_id)
            ]
            if not groups:
                continue
            table = self.reader.read(data, groups, columns=columns)
            table = table.filter(pc.equal(table.column("run_id"), run_id))
            grouped = table.group_by(["agent_id"]).aggregate([("agent_sequence", "max")])
            for agent, last in _rows(grouped, "agent_id", "agent_sequence_max"):
                lanes[agent] = max(last, lanes.get(agent, 0))
        return lanes


def _rows(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)
