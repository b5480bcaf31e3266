"""The whole store against a plain list, readers included, whatever the order of calls."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flowlab.errors import ConcurrencyError, InvalidEventError
from flowlab.events import Cause, Event, EventLog, encode_id
from flowlab.store import EventStore, Layout, Snapshot

FLOWS = st.sampled_from(["w", "v/1", "ü%"])
RUNS = st.sampled_from(["", "r"])
LAYOUTS = st.sampled_from(
    [Layout(buckets=1), Layout(), Layout.of("run", "workflow"), Layout.of("agent_bucket:2", "day")]
)
Content = tuple[str, str, int, str]


class StoreMachine(RuleBasedStateMachine):
    """Drives one store; `model` is the list of what was acknowledged, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.model: list[Content] = []
        self.pins: list[tuple[Snapshot, int]] = []
        self.count = 0

    @initialize(layout=LAYOUTS)
    def create(self, layout: Layout) -> None:
        self.store = EventStore(self.folder / "s", layout=layout, seal_events=12)
        self.reader = EventStore(self.folder / "s", read_only=True)

    def head(self, run: str, flow: str) -> int:
        return sum((row[0], row[1]) == (run, flow) for row in self.model)

    def fresh(self) -> str:
        self.count += 1
        return str(self.count)

    def remember(self, run: str, flow: str, names: list[str]) -> None:
        for name in names:
            self.model.append((run, flow, self.head(run, flow) + 1, name))

    @rule(flow=FLOWS, run=RUNS, size=st.integers(1, 4))
    def append(self, flow: str, run: str, size: int) -> None:
        names = [self.fresh() for _ in range(size)]
        head = self.head(run, flow)
        cause = (Cause(flow, head),) if head else ()
        events = [Event.of("MarkerRecorded", name=name, causes=cause) for name in names]
        result = self.store.append(flow, events, run_id=run, expected_version=head)
        assert (result.first_sequence, result.last_sequence) == (head + 1, head + size)
        assert result.last_position == len(self.model) + size
        self.remember(run, flow, names)

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

    @rule(flows=st.lists(FLOWS, min_size=1, max_size=5), run=RUNS)
    def append_in_bulk(self, flows: list[str], run: str) -> None:
        rows = []
        for flow in flows:
            name = self.fresh()
            self.remember(run, flow, [name])
            sequence = self.head(run, flow)
            rows.append(
                Event.of(
                    "MarkerRecorded",
                    name=name,
                    run_id=run,
                    workflow_id=flow,
                    sequence=sequence,
                    follows_lane=False,
                )
            )
        self.store.append_log(EventLog.from_events(rows))

    @rule()
    def seal(self) -> None:
        self.store.seal()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = EventStore(self.folder / "s", seal_events=12)

    @rule()
    def take_over(self) -> None:
        older, self.store = self.store, EventStore(self.folder / "s", seal_events=12)
        self.append("w", "", 1)
        older.close()

    @rule()
    def pin(self) -> None:
        self.pins.append((self.reader.snapshot(), len(self.model)))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def travel(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.model)))
        self.check(self.reader.as_of(position=position), position)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), reverse=st.booleans(), limit=st.none() | st.integers(0, 5))
    def read(self, data: st.DataObject, reverse: bool, limit: int | None) -> None:  # noqa: FBT001
        run, flow, *_ = data.draw(st.sampled_from(self.model))
        expected = [row[3] for row in self.model if row[:2] == (run, flow)]
        world = f"/runs/{run}" if run else ""
        key = f"{world}/workflows/{encode_id(flow)}"
        log = self.reader.read(key, reverse=reverse, limit=limit)
        expected = expected[::-1] if reverse else expected
        assert log.table.column("name").to_pylist() == expected[:limit]

    @invariant()
    def readers_see_what_was_acknowledged(self) -> None:
        if self.model:
            assert self.reader.snapshot().position == len(self.model)

    def check(self, snapshot: Snapshot, count: int) -> None:
        query = "SELECT run_id, workflow_id, sequence, name FROM events ORDER BY position"
        assert snapshot.sql(query).rows() == self.model[:count]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for snapshot, count in self.pins[:3]:
                self.check(snapshot, count)
            self.check(self.reader.snapshot(), len(self.model))
            assert self.store.verify().ok
            self.store.close()
            self.reader.close()
        shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=25)
