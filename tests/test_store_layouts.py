"""Whatever the folders, a store gives the same answers; values never come from a path."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import golden_store
import independent
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store_bulk import logs

from flowlab.cli import main
from flowlab.errors import CorruptionError, InvalidArgumentError
from flowlab.events import EVENT_COLUMNS, Event, EventLog, encode_id
from flowlab.store import EventStore, Layout, Snapshot
from flowlab.store.layout import MAX_SEGMENT_BYTES, Level
from flowlab.studies.store_faults import UnsyncedDisk

HOUR_NS = 3_600_000_000_000
LAYOUTS = [
    Layout.of(),
    Layout.of("namespace", "workflow"),
    Layout.of("workflow", "run"),
    Layout.of("bucket:3"),
    Layout.of("day", "namespace", "bucket:2"),
    Layout.of("namespace", "agent"),
    Layout.of("agent_bucket:2", "hour"),
    Layout.of("run", "agent", "day", "namespace"),
]
layouts = st.sampled_from(LAYOUTS)
QUERIES = (
    "SELECT * FROM events ORDER BY position",
    "SELECT namespace, run_id, workflow_id, count(*) FROM events GROUP BY ALL ORDER BY ALL",
    "SELECT event_type, max(time_ns) FROM events WHERE position > 3 GROUP BY ALL ORDER BY ALL",
    "SELECT cause_workflow_id, cause_sequence FROM edges ORDER BY ALL",
)
AT_ONCE = "SELECT " + ", ".join(f"(SELECT list(row) FROM ({text}) AS row)" for text in QUERIES)
"""Each answer is a list of its rows, in one row: most of a query is making the relations."""


def answers(snapshot: Snapshot) -> pa.Table:
    return snapshot.query(AT_ONCE)


def fill(store: EventStore, pieces: list[EventLog], *, seal: bool) -> None:
    """Write the first piece in bulk, the others one by one."""
    store.append_log(pieces[0])
    for piece in pieces[1:]:
        for event in piece:
            place = {"namespace": event.namespace, "run_id": event.run_id}
            plain = event.replace(sequence=0, agent_sequence=0, causes=())
            store.append(event.workflow_id, plain, **place)
        if seal:
            store.seal()


@settings(max_examples=8)
@given(
    layout=layouts,
    pieces=st.lists(logs(), min_size=1, max_size=3),
    seal=st.booleans(),
    data=st.data(),
)
def test_every_layout_gives_the_answers_of_the_default(
    layout: Layout,
    pieces: list[EventLog],
    seal: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    with (
        TemporaryDirectory() as folder,
        EventStore(Path(folder) / "default", disk=UnsyncedDisk()) as plain,
        EventStore(Path(folder) / "other", layout=layout, disk=UnsyncedDisk()) as store,
    ):
        for target in (plain, store):
            fill(target, pieces, seal=seal)
        last = plain.snapshot().position
        assert store.snapshot().position == last
        assert store.log().digest == plain.log().digest
        assert answers(store.snapshot()) == answers(plain.snapshot())
        assert store.info().namespaces == plain.info().namespaces
        position = data.draw(st.integers(0, last))
        assert answers(store.as_of(position=position)) == answers(plain.as_of(position=position))
        for version in range(1, plain.snapshot().version + 1):
            ours, theirs = store.as_of(version=version), plain.as_of(version=version)
            assert answers(ours) == answers(theirs)
        streams = {(e.namespace, e.run_id, e.workflow_id) for e in plain.log()}
        for namespace, run, flow in streams:
            world = f"/namespaces/{encode_id(namespace)}/runs/{encode_id(run)}" if run else (
                f"/namespaces/{encode_id(namespace)}")  # fmt: skip
            key = f"{world}/workflows/{encode_id(flow)}"
            for reverse in (False, True):
                for limit in (None, 1, 2):
                    found = store.read(key, reverse=reverse, limit=limit)
                    assert found.table.equals(plain.read(key, reverse=reverse, limit=limit).table)
            head = store.snapshot().head(flow, namespace=namespace, run_id=run)
            assert head == plain.snapshot().head(flow, namespace=namespace, run_id=run)
        report = store.verify()
        assert report.ok, str(report)
        by_position = sorted(store.log().table.to_pylist(), key=lambda row: row["position"])
        assert independent.Content(store.path).events == by_position


@pytest.mark.parametrize("layout", [*LAYOUTS, Layout(buckets=2)], ids=str)
def test_delta_readers_read_every_layout_equal(tmp_path: Path, layout: Layout) -> None:
    with EventStore(tmp_path / "s", layout=layout) as store:
        events = [
            Event.of("Signaled", time_ns=hour * HOUR_NS, agent_id=agent, payload=[hour])
            for hour in (-1, 0, 30)
            for agent in ("a/ü %", "b=c")
        ]
        for flow in ("w", "v/1", "..", "W"):
            store.append(flow, events, namespace="a b/ü%")
            store.append(flow, events, run_id="r 1")
            store.seal()
        ours = pl.DataFrame(store.log().table).sort("position")
        folder = str(store.path / "workflows")
        columns = list(EVENT_COLUMNS)
        for theirs in (
            pl.DataFrame(pa.table(DeltaTable(folder).to_pyarrow_table())),
            pl.scan_delta(folder).collect(),
        ):
            assert theirs.select(columns).sort("position").equals(ours)
            assert set(theirs.columns) == {*columns, *layout.columns}
            for name, source in (
                ("workflow_partition", "workflow_id"),
                ("agent_partition", "agent_id"),
            ):
                if name in layout.columns:
                    assert theirs[name].to_list() == theirs[source].to_list()
        if "day" in layout.columns:
            days = pl.scan_delta(folder).select("day", "time_ns").collect().sort("time_ns")
            assert [str(day) for day in days["day"].unique(maintain_order=True)] == [
                "1969-12-31", "1970-01-01", "1970-01-02",
            ]  # fmt: skip


def test_a_stream_that_lies_in_several_partitions_has_its_head_and_its_ends(tmp_path: Path) -> None:
    # The file of the other stream's last event holds an early event of this one, and not its head.
    agents = [("w", 1, "a"), ("w", 2, "b"), ("w", 3, "a"), ("w", 4, "b"), ("v", 1, "a")]
    rows = [
        Event.of("A", workflow_id=flow, sequence=n, agent_id=agent, follows_lane=False, time_ns=0)
        for flow, n, agent in agents
    ]
    with EventStore(tmp_path / "s", layout=Layout.of("agent")) as store:
        store.append_log(EventLog.from_events(rows))
    with EventStore(tmp_path / "s") as store:
        assert store.snapshot().head("w") == 4
        for limit in (1, 2, 3, 4):
            forward = store.read("/workflows/w", limit=limit).table["sequence"].to_pylist()
            assert forward == list(range(1, limit + 1))
            back = store.read("/workflows/w", reverse=True, limit=limit).table["sequence"]
            assert back.to_pylist() == list(range(4, 4 - limit, -1))
        assert store.append("w", Event.of("B"), expected_version=4).first_sequence == 5


def test_ids_too_long_for_a_folder_are_told_apart_by_a_digest(tmp_path: Path) -> None:
    layout = Layout.of("workflow")
    long = ["ü" * 250, "ü" * 249 + "x", "w" * MAX_SEGMENT_BYTES]
    folders = [layout.folder({"workflow_partition": flow}) for flow in long]
    assert len(set(folders)) == 3
    assert all(len(folder) <= 255 for folder in folders)
    assert folders[2].endswith("=" + long[2])
    with EventStore(tmp_path / "s", layout=layout) as store:
        for flow in long:
            store.append(flow, Event.of("A"))
        store.seal()
        assert [event.workflow_id for event in store.log()] == sorted(long)
        assert DeltaTable(str(store.path / "workflows")).to_pyarrow_table().num_rows == 3
        assert store.verify().ok


def test_a_partition_s_values_come_from_the_log_and_not_from_its_path(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s", layout=Layout.of("namespace", "workflow")) as store:
        store.append("w", Event.of("A"))
        store.seal()
    (commit,) = (tmp_path / "s" / "workflows" / "_delta_log").glob("*1.json")
    add = next(json.loads(line) for line in commit.read_text().splitlines() if '"add"' in line)
    assert add["add"]["partitionValues"] == {"namespace": "default", "workflow_partition": "w"}


def test_commits_of_a_store_with_another_layout_are_refused_by_name(tmp_path: Path) -> None:
    for name, layout in (("s", Layout.of("workflow")), ("other", Layout())):
        with EventStore(tmp_path / name, layout=layout) as store:
            store.append("w", Event.of("A"))
            store.seal()
    log = "workflows/_delta_log"
    shutil.rmtree(tmp_path / "s" / log)
    shutil.copytree(tmp_path / "other" / log, tmp_path / "s" / log)
    with EventStore(tmp_path / "s", read_only=True) as store:
        with pytest.raises(CorruptionError, match="files of two stores are mixed"):
            store.read("/workflows/w")
        assert not store.verify().ok
    with pytest.raises(CorruptionError, match="'workflow_partition': its commit is of another"):
        Layout.of("workflow").home_of({"namespace": "default", "bucket": "1"})


def test_verify_finds_rows_in_a_wrong_partition(tmp_path: Path) -> None:
    from flowlab.store.selfcheck import BLANK, with_crc

    with EventStore(tmp_path / "s", layout=Layout.of("workflow")) as store:
        store.append("w", Event.of("A"))
        store.seal()
    (commit,) = (tmp_path / "s" / "workflows" / "_delta_log").glob("*1.json")
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    lines[0]["commitInfo"]["flowlab"]["crc32"] = BLANK
    lines[1]["add"]["partitionValues"]["workflow_partition"] = "v"
    text = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    commit.write_bytes(with_crc(text))
    with EventStore(tmp_path / "s", read_only=True) as store:
        assert [problem.kind for problem in store.verify().problems] == ["partition"]


@pytest.mark.parametrize(
    ("levels", "what"),
    [
        (("bucket:0",), "MAX_BUCKETS"),
        (("bucket:4097",), "MAX_BUCKETS"),
        (("bucket:x",), "count after the colon"),
        (("folder",), "no level of a layout; expected namespace, run"),
        (("day", "day"), "twice"),
        (("day:3",), "has no number"),
        ((3,), "expected text"),
    ],
)
def test_what_is_no_layout_is_refused_with_what_would_be(
    levels: tuple[str, ...], what: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=what):
        Layout.of(*levels)


@given(st.lists(st.sampled_from(["namespace", "run", "workflow", "bucket:7", "agent",
                                 "agent_bucket:2", "day", "hour"]), unique=True))  # fmt: skip
def test_a_layout_is_a_value_and_survives_its_json_and_its_repr(levels: list[str]) -> None:
    layout = Layout.of(*levels)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    assert eval(repr(layout), {"Layout": Layout}) == layout
    assert hash(Layout.of(*map(Level.parse, levels))) == hash(layout)


def test_the_default_is_16_buckets_in_each_namespace_and_a_layout_never_changes(
    tmp_path: Path,
) -> None:
    assert Layout() == Layout.of("namespace", "bucket") == Layout.of("namespace", "bucket:16")
    assert Layout().to_json() == {"kind": "namespace-bucket", "buckets": 16}
    EventStore(tmp_path / "s", layout=Layout.of("day")).close()
    with pytest.raises(InvalidArgumentError, match="never changes"):
        EventStore(tmp_path / "s", layout=Layout())
    with EventStore(tmp_path / "s") as store:
        assert store.info().layout == Layout.of("day")
        assert "layout day" in str(store.info())


def test_the_study_of_layouts_has_a_row_for_each(tmp_path: Path) -> None:
    from flowlab.studies.measuring import Scale
    from flowlab.studies.store_layouts import LAYOUTS as COMPARED
    from flowlab.studies.store_layouts import compare_layouts

    scale = Scale(events=1_000, blocks=2, repeats=1)
    frame, ratio = compare_layouts(tmp_path, scale, COMPARED)
    assert frame["layout"].n_unique() == len(COMPARED)
    assert frame["files"].to_list() == [10, 1, 10, 16, 29]
    assert 0 < ratio[0] <= ratio[1] <= ratio[2]


@pytest.mark.parametrize("layout", [LAYOUTS[0], LAYOUTS[1], LAYOUTS[6]], ids=str)
def test_maintenance_changes_no_answer_in_any_layout(tmp_path: Path, layout: Layout) -> None:
    golden_store.fill(tmp_path / "default")
    golden_store.fill(tmp_path / "other", layout=layout)
    steps: list[Callable[[EventStore], object]] = [
        EventStore.seal,
        lambda store: store.compact(full=True),
        lambda store: store.cluster(),
        lambda store: store.truncate("u", upto=1),
        lambda store: store.archive(upto=12),
        lambda store: store.append("w", Event.of("A", agent_id="bob")),
        lambda store: store.compact(full=True),
        lambda store: store.vacuum(retain=0),
    ]
    with EventStore(tmp_path / "default") as plain, EventStore(tmp_path / "other") as store:
        assert store.info().layout == layout
        for step in steps:
            step(plain)
            step(store)
            for key in golden_store.KEYS[::3]:
                found = without_times(store.read(key).table)
                assert found.equals(without_times(plain.read(key).table)), key
        report = store.verify()
        assert report.ok, str(report)


def without_times(table: pa.Table) -> pa.Table:
    """Leave out what two stores that are filled at different times may differ in."""
    return table.drop_columns(["time_ns", "payload"])


def test_a_layout_is_chosen_on_the_command_line_where_a_store_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = str(tmp_path / "made")
    assert main(["store", "init", made, "--layout", "day,bucket:4"]) == 0
    assert main(["store", "init", made]) == 0
    assert capsys.readouterr().out.count("layout day/bucket:4") == 2
    assert main(["store", "init", made, "--layout", "run"]) == 2
    assert "a layout never changes" in capsys.readouterr().err
    assert main(["store", "init", str(tmp_path / "other"), "--layout", "week"]) == 2
    assert "'week' is no level of a layout; expected namespace" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    log = tmp_path / "log.jsonl"
    log.write_text('{"workflow_id": "w", "event_type": "A"}\n', encoding="utf-8")
    folder, seed = str(tmp_path / "one"), ["--seed", "1"]
    for verb in (["simulate", "trip", *seed], ["import", str(log), "--as", "jsonl"]):
        main([*verb, "--store", folder, "--layout", ""])
        with EventStore(folder, read_only=True) as store:
            assert store.info().layout == Layout.of()
        shutil.rmtree(folder)
