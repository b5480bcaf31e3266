"""The heads of streams and lanes: what the next event of each must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.store.delta import DataFile, TableState
from flowlab.store.layout import LIVE_RUN, Home, Stream
from flowlab.store.placing import Shelves
from flowlab.store.pruning import holders, last_in
from flowlab.store.segment_reader import SegmentReader, with_namespace
from flowlab.store.segments import ROW_GROUP_ROWS
from flowlab.store.streams import Streams
from flowlab.store.truncation import Bases

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

Lane = tuple[str, str, str]
World = tuple[str, str]
Mark = tuple[Stream, int | None, dict[Lane, int | None]]
"""What `Heads` knew of a stream and of lanes."""
LOOKUP_ROWS: Final = 4 * ROW_GROUP_ROWS
"""Rows whose ids, read together, take as long as looking one stream up."""


class SealedHeads:
    """What sealed files hold of runs and streams: each file is looked at once, as it is needed.

    A few streams are looked up one by one, in the row groups that can hold them; once that has
    taken a quarter of what reading a partition's ids takes, they are read, and kept. Files never
    change, and a log grows by files; where one is there no longer, because another has taken its
    place, what was read is forgotten.

    Args:
        reader: of the files.
        shelves: where they are found by the home of a stream.
    """

    def __init__(self, reader: SegmentReader, shelves: Shelves) -> None:
        self.reader = reader
        self.shelves = shelves
        self._learned: dict[str, frozenset[World]] = {}
        self._worlds: dict[str, tuple[set[World], set[str]]] = {}
        self._streams: dict[Home, tuple[dict[Stream, int], set[str]]] = {}
        self._spent: Counter[Home] = Counter()

    def __repr__(self) -> str:
        return f"SealedHeads({self.reader!r})"

    def learn(self, data: DataFile, worlds: frozenset[World]) -> None:
        """Take note of the runs of a file that is being written, so that it need not be read."""
        self._learned[data.path] = worlds

    def worlds(self, state: TableState, namespace: str) -> set[World]:
        """Return (namespace, run_id) of each run of a namespace, and perhaps of others."""
        found, seen = self._worlds.setdefault(namespace, (set(), set()))
        here = [data for data in state.files if data.namespace in {None, namespace}]
        for data in _fresh(found, seen, here):
            learned = self._learned.pop(data.path, None)
            found |= self._worlds_of(data) if learned is None else learned
        return found

    def head(self, state: TableState, home: Home, stream: Stream) -> int:
        """Return the last sequence of a stream, 0 where it does not exist."""
        files = self.shelves.files(state, home)
        if home in self._streams and not self._streams[home][1] <= {data.path for data in files}:
            del self._streams[home]
        if home not in self._streams:
            near = holders(files, *stream[1:])
            self._spent[home] += len(near)
            if not self.are_many(state, home, self._spent[home]):
                whole = self.shelves.layout.keeps_streams_whole
                return last_in(self.reader, near, stream, whole=whole)
        return self.streams(state, home).get(stream, 0)

    def streams(self, state: TableState, home: Home) -> dict[Stream, int]:
        """Return the heads of a home's streams."""
        found, seen = self._streams.setdefault(home, ({}, set()))
        self._spent[home] = 0
        for data in _fresh(found, seen, self.shelves.files(state, home)):
            for (space, flow), spans in self.reader.streams(data).by_workflow.items():
                for run, _, last in spans:
                    stream = (space, run, flow)
                    found[stream] = max(last, found.get(stream, 0))
        return found

    def are_many(self, state: TableState, home: Home, lookups: int) -> bool:
        """Say whether so many lookups take more than a quarter of reading a home's ids."""
        rows = sum(data.rows for data in self.shelves.files(state, home))
        return lookups * LOOKUP_ROWS > rows

    def _worlds_of(self, data: DataFile) -> set[World]:
        """Return the runs of a file, from its bounds where these name one."""
        least, space = data.least("run_id"), data.namespace
        if space is not None and least is not None and least == data.most("run_id"):
            return {(space, least)}
        found: set[World] = set()
        mixed = []
        for group in self.reader.row_groups(data):
            run = group.least.get("run_id")
            if space is not None and run is not None and run == group.most["run_id"]:
                found.add((space, run))
            else:
                mixed.append(group.index)
        if mixed:
            names = ("namespace", "run_id")
            table = with_namespace(data, self.reader.read(data, mixed, columns=names))
            found.update(_rows(table.group_by(list(names)).aggregate([]), *names))
        return found


def _fresh(
    found: set[World] | dict[Stream, int], seen: set[str], files: list[DataFile]
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

    What was asked for or committed is kept; afterwards a lookup is one dictionary access whatever
    the size of the store.

    Args:
        state: of the sealed part.
        sealed: what its files hold.
        live_lanes: the last ticks of the live run's lanes in the sealed part, by (namespace,
            agent_id); None where that is not recorded and has to be read.
        bases: where streams begin that were truncated.
        recent: the heads of streams that were committed since.
        recent_lanes: and of lanes.
        newest: returns the newest state, which is asked for before files are looked at: another
            process may have put other files in the place of those that were there.
    """

    state: TableState
    sealed: SealedHeads
    live_lanes: dict[tuple[str, str], int] | None = None
    bases: Bases = field(default_factory=Bases)
    recent: dict[Stream, int] = field(default_factory=dict)
    recent_lanes: dict[Lane, int] = field(default_factory=dict)
    newest: Callable[[], TableState] | None = None
    _lanes: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    # Who begins a stream asks where it ends, appends at that, and is checked: three times in a row.
    _asked: tuple[Stream, int] = (("", "", ""), 0)

    def head(self, namespace: str, run_id: str, workflow_id: str) -> int:
        """Return the last sequence of a stream, 0 where it does not exist."""
        return self.of((namespace, run_id, workflow_id))

    def of(self, stream: Stream) -> int:
        """Return the last sequence of a stream, 0 where it does not exist."""
        known = self.recent.get(stream)
        if known is not None:
            return known
        if self._asked[0] == stream:
            return self._asked[1]
        home = self.sealed.shelves.layout.home(*stream)
        self._look()
        # Of a stream that was truncated whole nothing is left in any file.
        head = max(self.sealed.head(self.state, home, stream), self.bases.base(stream))
        self._asked = (stream, head)
        return head

    def of_all(self, streams: Streams) -> Ints:
        """Return the last sequence of many streams; of most runs none is there yet."""
        self._look()
        recent = {(namespace, run_id) for namespace, run_id, _ in self.recent}
        sealed = {
            space: self.sealed.worlds(self.state, space)
            | {(space, run) for run in self.bases.runs(space)}
            for space in streams.spaces
        }
        heads: Ints = np.zeros(len(streams), np.int64)
        asked: dict[Home, list[tuple[int, Stream]]] = {}
        layout = self.sealed.shelves.layout
        for code in streams.within(lambda *world: world in sealed[world[0]] or world in recent):
            stream = streams.name(code)
            if stream in self.recent:
                heads[code] = self.recent[stream]
            else:
                heads[code] = self.bases.base(stream)
                asked.setdefault(layout.home(*stream), []).append((code, stream))
        for home, wanted in asked.items():
            files = self.sealed.shelves.files(self.state, home)
            least = min((stream[2] for _, stream in wanted), default="")
            most = max((stream[2] for _, stream in wanted), default="")
            if not any(data.may_hold("workflow_id", least, most) for data in files):
                continue
            if self.sealed.are_many(self.state, home, len(wanted)):
                self.sealed.streams(self.state, home)
            for code, stream in wanted:
                head = self.sealed.head(self.state, home, stream)
                heads[code] = max(head, int(heads[code]))
        return heads

    def lane(self, namespace: str, run_id: str, agent_id: str) -> int:
        """Return the last tick of a lane, 0 where it has none."""
        known = self.recent_lanes.get((namespace, run_id, agent_id))
        if known is not None:
            return known
        if run_id == LIVE_RUN and self.live_lanes is not None:
            return self.live_lanes.get((namespace, agent_id), 0)
        if (namespace, run_id) not in self._lanes:
            self._look()
            self._lanes[namespace, run_id] = self._load_lanes(namespace, run_id)
        return self._lanes[namespace, run_id].get(agent_id, 0)

    def _look(self) -> None:
        if self.newest is not None:
            self.state = self.newest()

    def advance(self, stream: Stream, last_sequence: int, last_ticks: dict[str, int]) -> None:
        """Take note of a committed batch: its last sequence, and the last tick of each lane."""
        namespace, run_id, _ = stream
        self.recent[stream] = last_sequence
        for agent, tick in last_ticks.items():
            self.recent_lanes[namespace, run_id, agent] = tick

    def mark(self, stream: Stream, agents: Iterable[str]) -> Mark:
        """Return what is known of a stream and of lanes, for `back`."""
        namespace, run_id, _ = stream
        lanes = {
            (namespace, run_id, agent): self.recent_lanes.get((namespace, run_id, agent))
            for agent in agents
        }
        return stream, self.recent.get(stream), lanes

    def back(self, mark: Mark) -> None:
        """Forget what was advanced since a mark: it was not committed."""
        stream, head, lanes = mark
        _put(self.recent, stream, head)
        for lane, tick in lanes.items():
            _put(self.recent_lanes, lane, tick)

    def _load_lanes(self, namespace: str, run_id: str) -> dict[str, int]:
        lanes: dict[str, int] = {}
        for agent, last in self.bases.lanes(namespace, run_id):
            lanes[agent] = max(last, lanes.get(agent, 0))
        columns = ("namespace", "run_id", "agent_id", "agent_sequence")
        for data in self.state.files:
            if data.namespace not in {None, namespace} or not data.may_hold(
                "run_id", run_id, run_id
            ):
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
            if data.namespace is None:
                table = table.filter(pc.equal(table.column("namespace"), namespace))
            grouped = table.group_by(["agent_id"]).aggregate([("agent_sequence", "max")])
            for agent, last in _rows(grouped, "agent_id", "agent_sequence_max"):
                lanes[agent] = max(last, lanes.get(agent, 0))
        return lanes


def _put(
    known: dict[tuple[str, str, str], int], key: tuple[str, str, str], value: int | None
) -> None:
    if value is None:
        known.pop(key, None)
    else:
        known[key] = value


def live_lanes(table: pa.Table) -> list[tuple[str, str, int]]:
    """Return (namespace, agent_id, last tick) of the live run's lanes in a table of events."""
    table = table.select(["namespace", "run_id", "agent_id", "agent_sequence"])
    table = table.filter(pc.equal(table.column("run_id"), LIVE_RUN))
    grouped = table.group_by(["namespace", "agent_id"]).aggregate([("agent_sequence", "max")])
    return sorted(_rows(grouped, "namespace", "agent_id", "agent_sequence_max"))


def _rows(table: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)
