"""Clusterings by agent and by coordination: reads are the same with them, whatever happened."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flowlab.errors import NotFoundError, TruncatedError
from flowlab.events import EVENT_COLUMNS, Event, EventLog, encode_id
from flowlab.store import EventStore, Layout, Snapshot, cluster_build, cluster_files

AGENTS = ("ann", "bob/2", "ü%")
PLANS = ("plan", "p/1")
FLOWS = ("w", "v/1", "x")
RUNS = ("", "r")
KINDS = ("MarkerRecorded", "BarrierArrived", "CompensationFailed", "SomethingNew")
ORDER = {
    "agents": "time_ns {0}, agent_sequence {0}, workflow_id {0}, sequence {0}",
    "coordination": "position {0}",
}

events = st.builds(
    Event.of,
    st.sampled_from(KINDS),
    agent_id=st.sampled_from(AGENTS),
    time_ns=st.integers(-5, 30),
    coordination_id=st.none() | st.sampled_from(PLANS),
    step_id=st.none() | st.sampled_from(["s1", "s2"]),
    payload=st.binary(max_size=3),
    follows_lane=st.booleans(),
)
keys = st.one_of(
    st.builds(
        "/agents/{}{}".format,
        st.sampled_from(AGENTS).map(encode_id),
        st.sampled_from(["", "/events", "/actions", "/events/3..20", "/events/..7", "/events/5"]),
    ),
    st.builds(
        "/coordination/{}{}".format,
        st.sampled_from(PLANS).map(encode_id),
        st.sampled_from(["", "/actions", "/actions/s1", "/sequences"]),
    ),
)


def without(snapshot: Snapshot, key: str, *, reverse: bool, limit: int | None) -> pa.Table:
    """Read a key by SQL over the events alone, as if there were no clustering."""
    parts = key.split("/")
    run = parts[2] if parts[1] == "runs" else ""
    parts = parts[3:] if run else parts[1:]
    owner = {"agents": "agent_id", "coordination": "coordination_id"}[parts[0]]
    name = next(n for n in (*AGENTS, *PLANS) if encode_id(n) == parts[1])
    where = [f"namespace = 'default' AND run_id = '{run}' AND {owner} = '{name}'"]
    rest = "/".join(parts[2:])
    if parts[0] == "coordination" and parts[2:3] == ["actions"]:
        where.append(f"step_id = '{parts[3]}'" if len(parts) > 3 else "step_id IS NOT NULL")
    elif rest == "actions":
        where.append("category(event_type) = 'action'")
    elif rest.startswith("events/"):
        first, _, last = parts[3].partition("..")
        if first:
            where.append(f"time_ns >= {first}")
        if last or ".." not in parts[3]:
            where.append(f"time_ns <= {last or first}")
    order = ORDER[parts[0]].format("DESC" if reverse else "ASC")
    tail = "" if limit is None else f" LIMIT {limit}"
    query = f"FROM events WHERE {' AND '.join(where)} ORDER BY {order}{tail}"
    return snapshot.query(f"SELECT {', '.join(EVENT_COLUMNS)} {query}")


def check(snapshot: Snapshot, key: str, *, reverse: bool, limit: int | None) -> None:
    expected = without(snapshot, key, reverse=reverse, limit=limit)
    try:
        found = snapshot.read(key, reverse=reverse, limit=limit).table
    except NotFoundError:
        assert not expected.num_rows, key
    else:
        assert found.to_pylist() == expected.to_pylist(), key
    query = "SELECT COLUMNS(*) FROM {} ORDER BY position"
    found = snapshot.query(query.format("agent_events"))
    assert found.to_pylist() == snapshot.query(query.format("events")).to_pylist()


class ClusterMachine(RuleBasedStateMachine):
    """Drives a store whose clusterings are built at any moment, in small pieces and merges."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.pins: list[Snapshot] = []
        self.patch = pytest.MonkeyPatch()

    @initialize(
        layout=st.sampled_from([Layout(), Layout(1), Layout.of(), Layout.of("day", "workflow")]),
        piece=st.sampled_from([1, 3, 1000]),
        group=st.sampled_from([1, 2, 2048]),
        most=st.sampled_from([6, 1000]),
    )
    def create(self, layout: Layout, piece: int, group: int, most: int) -> None:
        self.patch.setattr(cluster_build, "PIECE_ROWS", piece)
        self.patch.setattr(cluster_files, "MERGE_ROWS", most)
        self.patch.setattr("flowlab.store.segments.ROW_GROUP_ROWS", group)
        self.patch.setattr(cluster_files, "ROW_GROUP_ROWS", group)
        self.store = EventStore(self.folder / "s", layout=layout, seal_events=20)
        self.reader = EventStore(self.folder / "s", read_only=True)

    @rule(flow=st.sampled_from(FLOWS), run=st.sampled_from(RUNS), rows=st.lists(events, max_size=6))
    def append(self, flow: str, run: str, rows: list[Event]) -> None:
        if rows:
            self.store.append(flow, rows, run_id=run)

    @rule(run=st.sampled_from(RUNS), rows=st.lists(events, min_size=1, max_size=9), data=st.data())
    def append_in_bulk(self, run: str, rows: list[Event], data: st.DataObject) -> None:
        flow = data.draw(st.sampled_from(FLOWS))
        table = EventLog.from_events(rows).table
        names = {"workflow_id": flow, "run_id": run}
        for name, value in names.items():
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array([value] * table.num_rows))
        self.store.append_table(table.drop_columns(["sequence", "position", "agent_sequence"]))

    @rule()
    def seal(self) -> None:
        self.store.seal()

    @rule(kind=st.sampled_from([None, "agents", "coordination"]), rebuild=st.booleans())
    def cluster(self, kind: str | None, rebuild: bool) -> None:  # noqa: FBT001
        sealed = self.store.snapshot().state.info.sealed_position
        for result in self.store.cluster(kind, rebuild=rebuild):
            assert result.position == sealed

    @rule(flow=st.sampled_from(FLOWS), run=st.sampled_from(RUNS), data=st.data())
    def truncate(self, flow: str, run: str, data: st.DataObject) -> None:
        where = f"workflow_id = '{flow}' AND run_id = '{run}'"
        query = f"SELECT min(sequence), max(sequence) FROM events WHERE {where}"
        first, last = self.store.sql(query).row(0)
        if first is not None:
            upto = data.draw(st.integers(first, last))
            self.store.truncate(flow, upto=upto, run_id=run, discard=True)

    @rule(full=st.booleans())
    def compact(self, full: bool) -> None:  # noqa: FBT001
        self.store.compact(full=full)

    @rule(data=st.data())
    def archive(self, data: st.DataObject) -> None:
        self.store.archive(upto=data.draw(st.integers(0, self.reader.snapshot().position)))

    @rule()
    def vacuum(self) -> None:
        self.store.vacuum(retain=0)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = EventStore(self.folder / "s", seal_events=20)

    @rule()
    def pin(self) -> None:
        self.pins = [*self.pins[-3:], self.reader.snapshot()]

    @rule(key=keys, run=st.sampled_from(RUNS), reverse=st.booleans(), data=st.data())
    def read(self, key: str, run: str, reverse: bool, data: st.DataObject) -> None:  # noqa: FBT001
        snapshot = data.draw(st.sampled_from([self.reader.snapshot(), *self.pins]))
        limit = data.draw(st.none() | st.integers(1, 4))
        owner = "/".join(key.split("/")[:3])
        if not run and not without(snapshot, owner, reverse=False, limit=1).num_rows:
            return  # what the live run has not may be another's
        key = f"/runs/{run}{key}" if run else key
        check(snapshot, key, reverse=reverse, limit=limit)

    @precondition(lambda self: self.reader.snapshot().position > 0)
    @rule(key=keys, reverse=st.booleans(), data=st.data())
    def travel(self, key: str, reverse: bool, data: st.DataObject) -> None:  # noqa: FBT001
        now = self.reader.snapshot()
        if data.draw(st.booleans()):
            position = data.draw(st.integers(1, now.position))
            try:
                then = self.reader.as_of(position=position)
            except TruncatedError:
                return  # vacuum has let go of it
        else:
            # How far vacuum went depends on when the collector ended pins: what is drawn must not.
            floor, place = now.state.info.floor, data.draw(st.integers(0, 100))
            then = self.reader.as_of(version=floor + place % (now.version - floor + 1))
        check(then, f"/runs/r{key}", reverse=reverse, limit=None)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.seal()
            self.store.cluster()
            assert self.store.verify().ok
            for root in AGENTS:
                for snapshot in (*self.pins, self.reader.snapshot()):
                    check(snapshot, f"/runs/r/agents/{encode_id(root)}", reverse=False, limit=None)
            self.store.close()
            self.reader.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


TestClusterings = ClusterMachine.TestCase
TestClusterings.settings = settings(max_examples=15, stateful_step_count=20)
