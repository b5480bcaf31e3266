"""The whole store against a plain list, readers included, whatever the order of calls."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import deltalake
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flowlab.errors import (
    ConcurrencyError,
    InvalidArgumentError,
    InvalidEventError,
    NotFoundError,
    TruncatedError,
)
from flowlab.events import Cause, Event, EventLog, encode_id
from flowlab.store import EventStore, Layout, Snapshot

FLOWS = st.sampled_from(["w", "v/1", "ü%"])
RUNS = st.sampled_from(["", "r"])
AGENTS = st.sampled_from(["a", "b"])
LAYOUTS = (
    Layout(buckets=1),
    Layout(buckets=3),
    Layout(),
    Layout.of("namespace", "workflow"),
    Layout.of("run", "workflow"),
    Layout.of("agent_bucket:2", "day"),
    Layout.of(),
)


@dataclass
class Row:
    """An event as the model holds it."""

    run: str
    flow: str
    sequence: int
    name: str
    agent: str
    gone_at: int | None = None

    @property
    def shown(self) -> tuple[str, str, int, str]:
        return self.run, self.flow, self.sequence, self.name


class StoreMachine(RuleBasedStateMachine):
    """Drives one store; `model` holds what was acknowledged, in the order of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.model: list[Row] = []
        self.bases: dict[tuple[str, str], int] = {}
        self.pins: list[tuple[Snapshot, int]] = []
        self.vacuumed = False
        self.count = 0

    @initialize(layout=st.sampled_from(LAYOUTS))
    def create(self, layout: Layout) -> None:
        self.store = EventStore(self.folder / "s", layout=layout, seal_events=12)
        self.reader = EventStore(self.folder / "s", read_only=True)

    # -- the model ----------------------------------------------------------------------------

    def head(self, run: str, flow: str) -> int:
        return sum((row.run, row.flow) == (run, flow) for row in self.model)

    def fresh(self) -> str:
        self.count += 1
        return str(self.count)

    def remember(self, run: str, flow: str, names: list[str], agent: str) -> None:
        for name in names:
            self.model.append(Row(run, flow, self.head(run, flow) + 1, name, agent))

    def at(self, position: int) -> list[Row]:
        """What the store shows after a position."""
        return [
            row for row in self.model[:position] if row.gone_at is None or row.gone_at > position
        ]

    def now(self) -> list[Row]:
        return self.at(len(self.model))

    # -- writing ------------------------------------------------------------------------------

    @rule(flow=FLOWS, run=RUNS, size=st.integers(1, 4), agent=AGENTS)
    def append(self, flow: str, run: str, size: int, agent: str) -> None:
        names = [self.fresh() for _ in range(size)]
        head = self.head(run, flow)
        cause = (Cause(flow, head),) if head else ()
        events = [
            Event.of("MarkerRecorded", name=name, causes=cause, agent_id=agent) for name in names
        ]
        result = self.store.append(flow, events, run_id=run, expected_version=head)
        assert (result.first_sequence, result.last_sequence) == (head + 1, head + size)
        assert result.last_position == len(self.model) + size
        self.remember(run, flow, names, agent)

    @rule(flow=FLOWS, run=RUNS)
    def append_with_a_wrong_version(self, flow: str, run: str) -> None:
        with pytest.raises(ConcurrencyError):
            self.store.append(
                flow,
                Event.of("MarkerRecorded"),
                run_id=run,
                expected_version=self.head(run, flow) + 1,
            )

    @rule(flow=FLOWS, run=RUNS)
    def append_with_a_cause_that_does_not_exist(self, flow: str, run: str) -> None:
        cause = Cause(flow, self.head(run, flow) + 3)
        with pytest.raises(InvalidEventError):
            self.store.append(flow, Event.of("MarkerRecorded", causes=(cause,)), run_id=run)

    @rule(flows=st.lists(FLOWS, min_size=1, max_size=5), run=RUNS, agent=AGENTS)
    def append_in_bulk(self, flows: list[str], run: str, agent: str) -> None:
        rows = []
        for flow in flows:
            name = self.fresh()
            self.remember(run, flow, [name], agent)
            sequence = self.head(run, flow)
            rows.append(
                Event.of(
                    "MarkerRecorded",
                    name=name,
                    run_id=run,
                    workflow_id=flow,
                    sequence=sequence,
                    agent_id=agent,
                    follows_lane=False,
                )
            )
        self.store.append_log(EventLog.from_events(rows))

    # -- upkeep -------------------------------------------------------------------------------

    @rule()
    def seal(self) -> None:
        self.store.seal()

    @rule(full=st.booleans())
    def compact(self, full: bool) -> None:  # noqa: FBT001
        self.store.compact(full=full)

    @rule(data=st.data())
    def archive(self, data: st.DataObject) -> None:
        self.store.archive(upto=data.draw(st.integers(0, len(self.model))))

    @rule()
    def vacuum(self) -> None:
        self.store.vacuum(retain=0)
        self.vacuumed = True

    @rule()
    def cluster(self) -> None:
        self.store.cluster()

    @rule(data=st.data(), flow=FLOWS, run=RUNS)
    def truncate(self, data: st.DataObject, flow: str, run: str) -> None:
        base, head = self.bases.get((run, flow), 0), self.head(run, flow)
        upto = data.draw(st.integers(base, head + 1))
        if not base < upto <= head:
            with pytest.raises(InvalidArgumentError, match="cannot be truncated"):
                self.store.truncate(flow, upto=upto, run_id=run)
            # What the tail held is sealed now; the log is as it was.
            return
        archive = self.folder / f"archive-{self.fresh()}.parquet"
        self.store.truncate(flow, upto=upto, run_id=run, archive=archive)
        position = len(self.model) + 1
        for row in self.model:
            if (row.run, row.flow) == (run, flow) and base < row.sequence <= upto:
                row.gone_at = position
        self.remember(run, "@world", [flow], "@world")
        self.bases[run, flow] = upto

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = EventStore(self.folder / "s", seal_events=12)

    @rule()
    def take_over(self) -> None:
        older, self.store = self.store, EventStore(self.folder / "s", seal_events=12)
        self.append("w", "", 1, "a")
        older.close()

    # -- reading ------------------------------------------------------------------------------

    @rule()
    def pin(self) -> None:
        self.pins.append((self.reader.snapshot(), len(self.model)))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def travel(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.model)))
        try:
            snapshot = self.reader.as_of(position=position)
        except TruncatedError:
            later = any(row.gone_at is not None and row.gone_at > position for row in self.model)
            assert self.vacuumed
            assert later
        else:
            self.check(snapshot, position)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), reverse=st.booleans(), limit=st.none() | st.integers(0, 5))
    def read(self, data: st.DataObject, reverse: bool, limit: int | None) -> None:  # noqa: FBT001
        chosen = data.draw(st.sampled_from(self.model))
        stream = (chosen.run, chosen.flow)
        expected = [row.name for row in self.now() if (row.run, row.flow) == stream]
        world = f"/runs/{chosen.run}" if chosen.run else ""
        key = f"{world}/workflows/{encode_id(chosen.flow)}"
        log = self.reader.read(key, reverse=reverse, limit=limit)
        expected = expected[::-1] if reverse else expected
        assert log.table.column("name").to_pylist() == expected[:limit]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def read_one(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.model))
        world = f"/runs/{row.run}" if row.run else ""
        key = f"{world}/workflows/{encode_id(row.flow)}/events/{row.sequence}"
        if row.gone_at is None:
            assert self.reader.read(key).table.column("name").to_pylist() == [row.name]
        else:
            with pytest.raises(TruncatedError, match="were truncated"):
                self.reader.read(key)

    @rule(agent=AGENTS, run=RUNS, reverse=st.booleans())
    def read_an_agent(self, agent: str, run: str, reverse: bool) -> None:  # noqa: FBT001
        expected = [row.name for row in self.now() if (row.run, row.agent) == (run, agent)]
        key = f"/namespaces/default/runs/{run}/agents/{agent}" if run else f"/agents/{agent}"
        try:
            names = self.reader.read(key, reverse=reverse).table.column("name").to_pylist()
        except NotFoundError:
            names = []
        if run or expected:
            assert sorted(names) == sorted(expected)

    @invariant()
    def readers_see_what_was_acknowledged(self) -> None:
        if self.model:
            assert self.reader.snapshot().position == len(self.model)

    def check(self, snapshot: Snapshot, count: int) -> None:
        query = "SELECT run_id, workflow_id, sequence, name FROM events ORDER BY position"
        assert snapshot.sql(query).rows() == [row.shown for row in self.at(count)]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for snapshot, count in self.pins[:3]:
                self.check(snapshot, count)
            self.check(self.reader.snapshot(), len(self.model))
            report = self.store.verify()
            assert report.ok, str(report)
            self.store.seal()
            table = deltalake.DeltaTable(str(self.folder / "s" / "workflows"))
            names = table.to_pyarrow_table(columns=["name"]).column("name").to_pylist()
            left = {row.name for row in self.now()}
            assert left <= set(names)
            self.store.compact()
            table = deltalake.DeltaTable(str(self.folder / "s" / "workflows"))
            found = table.to_pyarrow_table(columns=["name"]).column("name").to_pylist()
            assert sorted(found) == sorted(row.name for row in self.now())
            self.store.close()
            self.reader.close()
        shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=30)
