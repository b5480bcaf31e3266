"""Bulk append: the same rules as one by one, straight to sealed files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import InvalidEventError
from flowlab.events import ANOMALY_SCHEMA, Cause, CauseKind, Event, EventLog, RunInfo
from flowlab.store import EventStore

texts = st.text(max_size=6)
ids = st.text(min_size=1, max_size=4)


@st.composite
def logs(draw: st.DrawFn) -> EventLog:
    """Draw a log of a few streams whose causes exist and come before, rows in any order."""
    heads: dict[tuple[str, str, str], int] = {}
    ticks: dict[tuple[str, str, str], int] = {}
    streams = draw(st.lists(st.tuples(ids, texts, ids), min_size=1, max_size=4, unique=True))
    events: list[Event] = []
    for _ in range(draw(st.integers(0, 12))):
        stream = draw(st.sampled_from(streams))
        within = [key for key in heads if key[:2] == stream[:2]]
        causes = []
        for key in draw(st.lists(st.sampled_from(within), max_size=3)) if within else []:
            sequence = draw(st.integers(1, heads[key]))
            causes.append(Cause(key[2], sequence, draw(st.sampled_from(CauseKind))))
        heads[stream] = heads.get(stream, 0) + 1
        agent = draw(ids)
        lane = (*stream[:2], agent)
        ticks[lane] = ticks.get(lane, 0) + 1
        events.append(
            Event.of(
                draw(ids),
                payload=draw(st.none() | st.binary(max_size=5) | st.integers()),
                namespace=stream[0],
                run_id=stream[1],
                workflow_id=stream[2],
                sequence=heads[stream],
                agent_id=agent,
                agent_sequence=ticks[lane],
                name=draw(texts),
                time_ns=draw(st.integers(-(2**62), 2**62)),
                follows_lane=draw(st.booleans()),
                causes=tuple(causes),
                coordination_id=draw(st.none() | ids),
            )
        )
    shuffled = draw(st.permutations(events))
    return EventLog.from_events(shuffled)


@settings(max_examples=30)
@given(logs())
def test_a_log_comes_back_equal_and_positions_extend_its_causal_order(log: EventLog) -> None:
    with TemporaryDirectory() as folder, EventStore(Path(folder) / "s") as store:
        store.append_log(log)
        back = store.log()

        assert back.digest == log.digest
        positions = {event.id: event.position for event in back}
        assert sorted(positions.values()) == list(range(1, len(log) + 1))
        last_of_lane: dict[Any, int] = {}
        for event in sorted(
            back, key=lambda e: (e.namespace, e.run_id, e.agent_id, e.agent_sequence)
        ):
            for cause in event.causes:
                before = event.id._replace(workflow_id=cause.workflow_id, sequence=cause.sequence)
                assert positions[before] < event.position
            if event.sequence > 1:
                before = event.id._replace(sequence=event.sequence - 1)
                assert positions[before] < event.position
            lane = (event.namespace, event.run_id, event.agent_id)
            if event.follows_lane and lane in last_of_lane:
                assert last_of_lane[lane] < event.position
            last_of_lane[lane] = event.position
        assert store.verify().ok


@settings(max_examples=30)
@given(logs())
def test_one_by_one_and_in_bulk_give_the_same_log(log: EventLog) -> None:
    with (
        TemporaryDirectory() as folder,
        EventStore(Path(folder) / "bulk") as bulk,
        EventStore(Path(folder) / "single") as single,
    ):
        bulk.append_log(log)
        for event in sorted(bulk.log(), key=lambda event: event.position):
            single.append(
                event.workflow_id,
                event.replace(position=0, sequence=0, agent_sequence=0),
                namespace=event.namespace,
                run_id=event.run_id,
            )
        single.seal()
        kept = [c for c in bulk.log().table.column_names if c != "agent_sequence"]
        assert single.log().table.select(kept).equals(bulk.log().table.select(kept))


@settings(max_examples=30)
@given(log=logs(), data=st.data())
def test_a_log_in_pieces_by_any_way_and_any_writer_is_the_log_at_once(
    log: EventLog, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        with EventStore(Path(folder) / "whole") as store:
            store.append_log(log)
            whole = store.log()
        left = sorted(whole, key=lambda event: event.position)
        while left:
            count = data.draw(st.integers(1, len(left)))
            piece, left = left[:count], left[count:]
            with EventStore(Path(folder) / "pieces") as store:
                if data.draw(st.booleans()):
                    store.append_log(EventLog.from_events(piece))
                    continue
                for event in piece:
                    stream = {"namespace": event.namespace, "run_id": event.run_id}
                    store.append(event.workflow_id, event.replace(position=0), **stream)
        with EventStore(Path(folder) / "pieces") as store:
            assert store.log().table.equals(whole.table)
            again = EventLog.from_events(list(whole))
            if len(whole):
                with pytest.raises(InvalidEventError, match="duplicate id"):
                    store.append_log(again)


def rows(**changes: Any) -> pa.Table:
    events = [
        {"workflow_id": "w", "sequence": 1, "event_type": "A"},
        {"workflow_id": "w", "sequence": 2, "event_type": "B"},
        {"workflow_id": "v", "sequence": 1, "event_type": "C", **changes},
    ]
    return EventLog.from_events(events).table


BAD = {
    "sequence.*duplicate": {"workflow_id": "w", "sequence": 2},
    "sequence.*gap": {"sequence": 3},
    "event_type": {"event_type": ""},
    "workflow_id.*empty": {"workflow_id": ""},
    "agent_id.*MAX_ID_BYTES": {"agent_id": "x" * 1025},
    "coordination_id.*empty": {"coordination_id": ""},
    "causes.*'w'/3": {"causes": [{"workflow_id": "w", "sequence": 3}]},
    "causes.*'z'/1": {"causes": [{"workflow_id": "z", "sequence": 1}]},
    "causes.*'v'/1": {"causes": [{"workflow_id": "v", "sequence": 1}]},
    "schema_version": {"schema_version": 0},
    "generation": {"generation": -1},
    "cause_kinds": {"causes": [Cause("w", 1, 50)]},
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_row_is_refused_by_field_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    with EventStore(tmp_path / "s") as store:
        with pytest.raises(InvalidEventError, match=what):
            store.append_table(rows(**BAD[what]))

        assert store.snapshot().position == 0
        assert store.append_table(rows()).last_position == 3


def test_a_cycle_of_causes_is_refused(tmp_path: Path) -> None:
    log = EventLog.from_events(
        [
            {
                "workflow_id": flow,
                "sequence": 1,
                "event_type": "A",
                "causes": [{"workflow_id": other, "sequence": 1}],
            }
            for flow, other in (("a", "b"), ("b", "c"), ("c", "a"))
        ]
    )
    with EventStore(tmp_path / "s") as store, pytest.raises(InvalidEventError, match="cycle"):
        store.append_log(log)


def test_a_polars_frame_without_numbers_is_numbered_in_row_order(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"workflow_id": ["w", "v", "w"], "event_type": ["A", "B", "C"], "agent_id": ["x", "x", "y"]}
    )
    with EventStore(tmp_path / "s") as store:
        store.append("w", {"event_type": "first", "agent_id": "x"})
        result = store.append_table(frame)

        assert (result.first_position, result.last_position) == (2, 4)
        found = store.sql(
            "SELECT workflow_id, sequence, agent_id, agent_sequence, position, event_type "
            "FROM events ORDER BY position"
        ).rows()
        assert found == [
            ("w", 1, "x", 1, 1, "first"),
            ("w", 2, "x", 2, 2, "A"),
            ("v", 1, "x", 3, 3, "B"),
            ("w", 3, "y", 1, 4, "C"),
        ]
        assert store.sql("SELECT min(time_ns) > 1_600_000_000_000_000_000 FROM events").item()


def test_a_frame_with_unknown_columns_or_wrong_types_is_refused(tmp_path: Path) -> None:
    frame = pl.DataFrame({"workflow_id": ["w"], "event_type": ["A"]})
    with EventStore(tmp_path / "s") as store:
        with pytest.raises(InvalidEventError, match="color"):
            store.append_table(frame.with_columns(color=pl.lit("red")))
        with pytest.raises(InvalidEventError, match="time_ns"):
            store.append_table(frame.with_columns(time_ns=pl.lit("noon")))
        with pytest.raises(InvalidEventError, match="event_type"):
            store.append_table(frame.drop("event_type"))
        assert store.snapshot().position == 0


def test_bulk_seals_the_tail_first_so_positions_stay_in_order(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", [{"event_type": "A"}, {"event_type": "B"}], idempotency_key="k")
        store.append_table(pa.table({"workflow_id": ["v"], "event_type": ["C"]}))
        store.append("w", {"event_type": "D"})

        assert store.info().tail_events == 1
        found = store.sql("SELECT event_type FROM events ORDER BY position")
        assert found["event_type"].to_list() == ["A", "B", "C", "D"]
        again = store.append("w", [{"event_type": "A"}, {"event_type": "B"}], idempotency_key="k")
        assert again.repeated


def test_runs_that_share_their_parameters_are_each_kept_and_checked(tmp_path: Path) -> None:
    rates = {"loss": 0.5}
    made = RunInfo(parameters=rates, faults=rates)
    runs = tuple(msgspec.structs.replace(made, run_id=f"r{n}", seed=n) for n in range(3))
    log = EventLog.from_events([{"workflow_id": "w", "event_type": "A", "run_id": "r0"}]).table
    with EventStore(tmp_path / "s") as store:
        for wrong in ({"seed": 1 << 63}, {"seed": True}, {"clock": 7}, {"run_id": "x" * 1025}):
            bad = msgspec.structs.replace(runs[2], **wrong)
            with pytest.raises(InvalidEventError, match="r2|run_id"):
                store.append_log(EventLog(log, (*runs, bad)))
        store.append_log(EventLog(log, runs))
        rates["loss"] = 1.0
        kept = store.log().runs
        assert [(run.run_id, run.seed) for run in kept] == [("r0", 0), ("r1", 1), ("r2", 2)]
        assert all(run.parameters == run.faults == {"loss": 0.5} for run in kept)


def test_runs_and_anomalies_go_along_and_time_travel_hides_them(tmp_path: Path) -> None:
    damage = pa.Table.from_pylist(
        [
            {
                "namespace": "default",
                "run_id": "r",
                "workflow_id": "w",
                "sequence": 1,
                "kind": "dangling",
                "detail": "names 9",
                "ref_workflow_id": "w",
                "ref_sequence": 9,
                "source": "f.json",
            }
        ],
        ANOMALY_SCHEMA,
    )
    table = EventLog.from_events(
        [{"run_id": "r", "workflow_id": "w", "sequence": 1, "event_type": "A"}]
    ).table
    log = EventLog(table, (RunInfo(run_id="r", attributes={"a": [1]}),), damage)
    with EventStore(tmp_path / "s") as store:
        store.append("live", {"event_type": "A"})
        store.append_log(log)

        assert store.log().anomalies.equals(damage)
        assert store.runs == log.runs
        assert store.verify().ok, "recorded damage is content"
        assert store.as_of(position=1).log().anomalies.num_rows == 0
        assert store.as_of(position=1).runs == ()
        assert store.read("/workflows/live").anomalies.num_rows == 0
        assert store.read("/runs/r/workflows/w").runs == log.runs
