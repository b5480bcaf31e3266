"""Reading by key: any Unicode in ids, every leaf of the tree, both directions, pinned states."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowlab.errors import (
    InvalidArgumentError,
    InvalidKeyError,
    NotFoundError,
    QueryError,
)
from flowlab.events import Cause, Event, EventLog, RunInfo, encode_id
from flowlab.store import EventStore
from flowlab.store.resolve import MAX_RUNS

NASTY = [
    "a/b",
    "100%",
    "..",
    ".",
    "é\u0301",
    "\x00\x01\n\t",
    "'\"; DROP",
    "*",
    "[a]",
    "{x}",
    "\U0001f600",
    " ",
]
ids = st.sampled_from(NASTY) | st.text(min_size=1, max_size=8)


@example("a/b", "%2F", "..", "*")
@settings(max_examples=25)
@given(ids, ids, ids, ids)
def test_any_id_works_in_keys_paths_sql_and_the_sealed_table(
    flow: str, agent: str, space: str, run: str
) -> None:
    event = Event.of("Signaled", agent_id=agent, coordination_id=flow, step_id=run, time_ns=5)
    world = f"/namespaces/{encode_id(space)}/runs/{encode_id(run)}"
    keys = [
        f"{world}/workflows/{encode_id(flow)}/events/1",
        f"{world}/agents/{encode_id(agent)}/events/5",
        f"{world}/coordination/{encode_id(flow)}/actions/{encode_id(run)}",
        f"{world}/workflows/{encode_id(flow)}/events/coordination_events",
    ]
    with TemporaryDirectory() as folder, EventStore(Path(folder) / "s [1]*") as store:
        store.append(flow, event, namespace=space, run_id=run)
        for _ in ("tail", "sealed"):
            for key in keys:
                assert [e.workflow_id for e in store.read(key)] == [flow], key
            assert store.sql("SELECT namespace, run_id, agent_id FROM events").row(0) == (
                space,
                run,
                agent,
            )
            assert encode_id(flow) in str(store.tree(f"{world}/workflows"))
            store.seal()
        assert DeltaTable(str(store.path / "workflows")).to_pyarrow_table().num_rows == 1
        assert store.verify().ok


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    """Give a store with 10 events of `w`, the first 4 sealed, the next 3 sealed, 3 in the tail."""
    made = EventStore(tmp_path / "s")
    kinds = ["WorkflowStarted", "ActivityScheduled", "CompensationScheduled", "BarrierArrived"]
    for number in range(10):
        event = Event.of(
            kinds[number % 4],
            name=str(number + 1),
            agent_id=f"agent-{number % 2}",
            time_ns=100 - number,
            coordination_id="plan" if number % 3 == 0 else None,
            step_id=f"s{number}" if number % 6 == 0 else None,
        )
        made.append("w", event)
        if number in {3, 6}:
            made.seal()
    return made


def names(log: EventLog) -> list[int]:
    return [int(name) for name in log.table.column("name").to_pylist()]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("/workflows/w", range(1, 11)),
        ("/workflows/w/events", range(1, 11)),
        ("/workflows/w/events/00000004", [4]),
        ("/workflows/w/events/3..8", range(3, 9)),
        ("/workflows/w/events/9..", [9, 10]),
        ("/workflows/w/events/..2", [1, 2]),
        ("/workflows/w/events/coordination_events", [4, 8]),
        ("/workflows/w/events/compensation_events", [3, 7]),
        ("/workflows/w/events/agent_actions", [2, 6, 10]),
        ("/workflows", range(1, 11)),
        ("/workflows/w*", range(1, 11)),
        ("/agents/agent-0", [9, 7, 5, 3, 1]),
        ("/agents/agent-0/events/94..", [7, 5, 3, 1]),
        ("/agents/agent-1/actions", [10, 6, 2]),
        ("/coordination/plan", [1, 4, 7, 10]),
        ("/coordination/plan/actions", [1, 7]),
        ("/coordination/plan/actions/s6", [7]),
        ("/coordination/plan/sequences", [1, 4, 7, 10]),
        ("/", range(1, 11)),
        ("/namespaces/default", range(1, 11)),
    ],
)
def test_every_key_selects_its_events_in_its_order_from_either_end(
    store: EventStore, key: str, expected: list[int]
) -> None:
    wanted = list(expected)
    assert names(store.read(key)) == wanted
    assert names(store.read(key, reverse=True)) == wanted[::-1]
    for limit in (0, 1, 2, 99):
        assert names(store.read(key, limit=limit)) == wanted[:limit]
        assert names(store.read(key, reverse=True, limit=limit)) == wanted[::-1][:limit]


def test_every_position_is_a_state_that_later_writes_do_not_change(store: EventStore) -> None:
    pinned = [store.as_of(position=position) for position in range(11)]
    store.append("w", Event.of("Signaled", name="11"))
    store.seal()

    for position, snapshot in enumerate(pinned):
        assert snapshot.sql("SELECT count(*) FROM events").item() == position
        if position:
            assert names(snapshot.read("/workflows/w")) == list(range(1, position + 1))
            assert names(snapshot.read("/workflows/w", reverse=True, limit=1)) == [position]
            assert snapshot.head("w") == position
        assert names(store.as_of(position=position).log()) == list(range(1, position + 1))


def test_commit_times_and_versions_name_states(store: EventStore) -> None:
    store.seal()
    times = [event.time_ns for event in store.read("/workflows/w")]
    assert times != sorted(times), "time order is not commit order"
    marks = [mark.committed_ns for mark in store._metadata.upto(store.snapshot().state).commits]
    for count, moment in enumerate(marks, 1):
        later = sum(mark <= moment for mark in marks)
        assert count <= later
        assert store.as_of(time_ns=moment).position == later
    assert store.as_of(time_ns=marks[0] - 1).position == 0
    assert [store.as_of(version=v).position for v in range(4)] == [0, 4, 7, 10]
    with pytest.raises(NotFoundError, match="0 to 3"):
        store.as_of(version=4)
    with pytest.raises(NotFoundError, match="1 to 10"):
        store.as_of(position=11)
    with pytest.raises(InvalidArgumentError, match="exactly one"):
        store.as_of(position=1, version=1)


def test_what_is_not_there_is_refused_with_the_nearest_names(store: EventStore) -> None:
    store.append("order-17", Event.of("Signaled"))
    with pytest.raises(NotFoundError, match="'order-17'"):
        store.read("/workflows/order-71/events")
    with pytest.raises(NotFoundError, match="holds 1 to 10"):
        store.read("/workflows/w/events/11")
    with pytest.raises(NotFoundError, match="agent-0"):
        store.read("/agents/agent-9")
    with pytest.raises(InvalidKeyError, match="metadata"):
        store.read("/workflows/w/metadata")
    with pytest.raises(InvalidKeyError, match="begin"):
        store.read("workflows/w")
    for key in ("/workflows/w", "/agents/agent-0"):
        with pytest.raises(InvalidArgumentError, match="limit is -1"):
            store.read(key, limit=-1)


def test_a_key_without_a_run_means_the_live_one_or_the_only_other(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("both", Event.of("Signaled", name="1"))
        for number, run in enumerate(("r1", "r2"), 2):
            store.append("both", Event.of("Signaled", name=str(number)), run_id=run)
        store.append("only", Event.of("Signaled", name="4"), run_id="r2")
        for run in ("r1", "r2"):
            store.append("twice", Event.of("Signaled", name="5"), run_id=run)
        store.seal()

        assert names(store.read("/workflows/both")) == [1]
        assert store.snapshot().locate("/workflows/both").note == ""
        assert names(store.read("/workflows/only")) == [4]
        assert "run 'r2'" in store.snapshot().locate("/workflows/only").note
        with pytest.raises(InvalidKeyError, match=r"2 runs.*/runs/r1/workflows/twice"):
            store.read("/workflows/twice")


# Runs were looked for up to 99, and that number was told as if it were all.
def test_a_key_in_more_runs_than_are_looked_for_says_so(tmp_path: Path) -> None:
    events = pl.DataFrame(
        {
            "run_id": [f"r{number:03}" for number in range(MAX_RUNS + 20)],
            "workflow_id": "w",
            "event_type": "Signaled",
            "agent_id": "a",
        }
    )
    with EventStore(tmp_path / "s") as store:
        store.append_table(events)
        with pytest.raises(InvalidKeyError, match=f"in {MAX_RUNS} or more runs"):
            store.read("/agents/a")
        with pytest.raises(InvalidKeyError, match=f"in {MAX_RUNS + 20} runs"):
            store.read("/workflows/w")


def test_metadata_names_creation_time_version_and_agents(store: EventStore) -> None:
    store.record_run(RunInfo(version="7"))

    assert store.metadata("/workflows/w/metadata") == {
        "creation_time": 91,
        "version": "7",
        "agents": ["agent-0", "agent-1"],
    }
    assert store.metadata("/workflows/w/metadata/version") == "7"


def test_sql_errors_point_at_the_place(store: EventStore) -> None:
    with pytest.raises(QueryError, match=r"LINE 1.*\n?.*\^|syntax error"):
        store.sql("SELECT FROM WHERE")
    with pytest.raises(QueryError, match="workflows"):
        store.sql("SELECT * FROM workflow")


def test_the_sealed_part_is_a_delta_table_equal_to_it_at_every_version(store: EventStore) -> None:
    events = [Event.of("Signaled"), Event.of("Signaled", causes=(Cause("v", 1),), payload=[1])]
    store.append("v", events, namespace="a b/ü%")
    store.seal()
    folder = str(store.path / "workflows")
    columns = ["namespace", "run_id", "workflow_id", "sequence", "position", "payload", "causes"]
    for version in range(1, store.snapshot().version + 1):
        ours = pl.DataFrame(store.as_of(version=version).log().table).select(columns)
        with_delta = pl.DataFrame(DeltaTable(folder, version=version).to_pyarrow_table())
        with_polars = pl.scan_delta(folder, version=version).collect()
        for theirs in (with_delta, with_polars):
            assert theirs.select(columns).sort(columns[:4]).equals(ours.sort(columns[:4]))
    assert pl.scan_delta(folder).collect().height == 12


def test_a_tree_shows_what_there_is_with_counts(store: EventStore) -> None:
    store.append("x", Event.of("Signaled"), run_id="other/run")

    drawn = str(store.tree(depth=5))

    assert "workflows  (1)" in drawn
    assert "w  (10 events, 1..10)" in drawn
    assert "runs/other%2Frun  (1 event)" in drawn
    assert "compensation_events  (2 events)" in drawn
    assert "plan  (4 events" in drawn
    assert repr(store.tree("/agents")).startswith("Tree('/agents', ")
    assert "1 of 2 shown" in str(store.tree("/agents", limit=1))
