"""Compaction, archive, truncation and vacuum: what they may change, and what they must not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import deltalake
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import force_setattr

from flowlab.cli import main
from flowlab.errors import (
    FormatVersionError,
    InvalidArgumentError,
    LockedError,
    NotFoundError,
    TruncatedError,
)
from flowlab.events import EVENT_SCHEMA, Cause, Event, encode_id, table_from_events
from flowlab.store import EventStore, Layout, compaction, pins
from flowlab.store.clock import boot_id, process_id, process_started, wall_ns
from flowlab.store.compaction import first_to_merge, maintenance_lock
from flowlab.store.cutting import LAST_GROUPS, FileSizes, cut, pieces
from flowlab.store.layout import EVENT_ID
from flowlab.studies.workload import make_log

GOLDEN = Path(__file__).parent / "golden" / "format-1" / "store"


def mark(name: object, agent: str = "a") -> Event:
    return Event.of("MarkerRecorded", name=str(name), agent_id=agent)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as opened:
        yield opened


def filled(store: EventStore, rounds: int, flows: int = 3) -> None:
    for number in range(rounds):
        for flow in range(flows):
            store.append(f"w{flow}", mark(f"{number}.{flow}"))
        store.seal()


def everything(store: EventStore) -> list[tuple[object, ...]]:
    return store.sql("SELECT * FROM events ORDER BY position").rows()


# -- cutting and choosing ------------------------------------------------------------------------


@st.composite
def sorted_pieces(draw: st.DrawFn) -> list[pa.Table]:
    """Sorted rows of streams, in tables that begin anywhere."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=8))
    events = [
        Event.of("MarkerRecorded", workflow_id=f"w{flow}", agent_id="a").replace(sequence=number)
        for flow, size in enumerate(sizes)
        for number in range(1, size + 1)
    ]
    whole = table_from_events(events)
    ends = sorted({*draw(st.lists(st.integers(0, len(events)), max_size=5)), len(events)})
    return [whole.slice(a, b - a) for a, b in zip([0, *ends], ends, strict=False)]


def check_pieces(pieces: list[list[str]], lengths: dict[str, int], sizes: FileSizes) -> None:
    for piece in pieces:
        assert 0 < len(piece) <= sizes.most
        long = [name for name in set(piece) if sizes.is_long(lengths[name])]
        assert not long or set(piece) == set(long), "a long stream shares a file"
        assert all(piece.count(name) == lengths[name] for name in set(piece) - set(long))
        assert all(piece.count(name) <= sizes.longest for name in piece)
    for name in filter(lambda name: sizes.is_long(lengths[name]), lengths):
        last = [len(piece) for piece in pieces if name in piece][-1]
        assert last <= LAST_GROUPS * sizes.group
        if sizes.longest >= LAST_GROUPS * sizes.group:
            assert last > min(sizes.group, lengths[name] - 1)


@given(sorted_pieces(), st.integers(1, 10), st.integers(1, 10), st.integers(1, 3))
def test_rows_are_cut_between_streams_and_a_long_stream_stands_alone_and_ends_in_a_short_file(
    tables: list[pa.Table], one: int, other: int, group: int
) -> None:
    longest, most = sorted((one, other))
    sizes = FileSizes(most, longest, group)
    whole = pa.concat_tables(tables)
    names = whole.column("workflow_id").to_pylist()
    lengths = {name: names.count(name) for name in names}
    cuts = list(cut(iter(tables), sizes))
    assert pa.concat_tables(cuts).select(EVENT_ID).equals(whole.select(EVENT_ID))
    check_pieces([t.column("workflow_id").to_pylist() for t in cuts], lengths, sizes)
    codes = np.unique(names, return_inverse=True)[1]
    places = pieces(codes, sizes)
    assert [row for begin, end in places for row in range(begin, end)] == list(range(len(names)))
    check_pieces([names[begin:end] for begin, end in places], lengths, sizes)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200))
def test_runs_stay_logarithmic_in_the_rows_and_so_does_what_is_written_again(
    sizes: list[int],
) -> None:
    runs: list[int] = []
    written = 0
    for size in sizes:
        runs.append(size)
        place = first_to_merge(runs)
        if place < len(runs) - 1:
            written += sum(runs[place:])
            runs[place:] = [sum(runs[place:])]
    # Each older run has more than four times what is newer.
    assert len(runs) <= 1 + sum(sizes).bit_length() / 2
    assert sum(runs) == sum(sizes)
    assert written <= sum(sizes) * (1 + 5 * sum(sizes).bit_length())


@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=10),
    st.integers(1, 6),
    st.data(),
)
def test_a_stream_reads_the_same_from_either_end_whatever_files_it_lies_in(
    tmp_path_factory: pytest.TempPathFactory,
    appends: list[tuple[str, int]],
    most: int,
    data: st.DataObject,
) -> None:
    root = tmp_path_factory.mktemp("cut")
    names: dict[str, list[str]] = {}
    with pytest.MonkeyPatch.context() as patch, EventStore(root / "s") as store:
        patch.setattr(compaction, "MAX_FILE_ROWS", most)
        patch.setattr(compaction, "MAX_STREAM_ROWS", most)
        for number, (flow, size) in enumerate(appends):
            fresh = [f"{number}.{place}" for place in range(size)]
            names.setdefault(flow, []).extend(fresh)
            store.append(flow, [mark(name) for name in fresh])
            store.seal()
            if data.draw(st.booleans()):
                store.compact(full=data.draw(st.booleans()))
        for flow, expected in names.items():
            for limit in (None, 1, 4):
                for reverse in (False, True):
                    log = store.read(f"/workflows/{flow}", reverse=reverse, limit=limit)
                    found = log.table.column("name").to_pylist()
                    assert found == (expected[::-1] if reverse else expected)[:limit]
            assert store.snapshot().head(flow) == len(expected)
    shutil.rmtree(root)


# -- compaction ----------------------------------------------------------------------------------


def test_compaction_changes_files_and_no_answer_and_older_versions_stay(
    store: EventStore,
) -> None:
    filled(store, 6)
    before, version = everything(store), store.snapshot().version
    result = store.compact(full=True)
    assert (result.files_before, result.files_after) == (18, 3)
    assert result.rewritten == 18
    assert everything(store) == before
    table = str(store.path / "workflows")
    for number in range(1, result.version + 1):
        told = store.as_of(version=number).sql("SELECT count(*) FROM events").item()
        assert deltalake.DeltaTable(table, version=number).to_pyarrow_table().num_rows == told
        assert pl.read_delta(table, version=number).height == told
    assert store.as_of(version=version).sql("SELECT count(*) FROM events").item() == 18
    assert store.compact(full=True).rewritten == 0
    assert store.verify().ok


def test_a_stream_longer_than_a_file_is_not_written_again_and_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MAX_FILE_ROWS", 4)
    monkeypatch.setattr(compaction, "MAX_STREAM_ROWS", 4)
    for number in range(5):
        store.append("long", [mark(f"{number}.{place}") for place in range(3)])
        store.seal()
    assert store.compact(full=True).files_after == 4
    assert store.compact(full=True).rewritten == 0
    assert store.compact().rewritten == 0
    store.append("long", mark("more"))
    store.seal()
    assert store.compact().rewritten == 0
    assert len(store.read("/workflows/long")) == 16


def test_a_forked_child_leaves_the_pin_of_its_parent(store: EventStore) -> None:
    filled(store, 1)
    held = store.snapshot()
    (pin,) = (store.path / "pins").glob("*.json")
    store._pins._process += 1
    store._pins.close()
    assert pin.exists()
    store._pins._process -= 1
    store._pins.close()
    assert not pin.exists()
    assert held.version == 1


def test_pins_that_are_void_do_not_pile_up(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        filled(store, 1)
        for number in range(pins.MANY):
            pin_file(store, started=1).rename(store.path / "pins" / f"{number}.json")
    with EventStore(tmp_path / "s", read_only=True) as reader:
        assert reader.snapshot().version == 1
        assert len(list((tmp_path / "s" / "pins").iterdir())) == 1


def test_a_writer_goes_on_while_another_process_compacts_and_vacuums(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as writer, EventStore(tmp_path / "s") as keeper:
        filled(writer, 3)
        for number in range(3):
            keeper.compact(full=True)
            keeper.archive(upto=3)
            keeper.vacuum(retain=0)
            # A stream that is not in memory is looked up in the new files.
            writer.append(f"new{number}", mark("n"), expected_version=0)
            writer.append("w1", mark("more"), expected_version=3 + number)
            writer.seal()
        assert keeper.snapshot().head("w1") == 6
        assert keeper.verify().ok


def test_one_process_at_a_time_takes_files_away(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s", lock_timeout_s=0) as store:
        filled(store, 2)
        with (
            maintenance_lock(store.path, store.disk, timeout_s=0),
            pytest.raises(LockedError, match="maintenance lock"),
        ):
            store.compact()
        store.compact()


def test_columns_of_a_later_version_are_carried_over(store: EventStore) -> None:
    filled(store, 2, flows=1)
    state = store.snapshot().state
    for data in state.files:
        path = store.path / "workflows" / data.path
        table = pq.read_table(path)
        extra = pa.array([f"x{n}" for n in range(table.num_rows)])
        pq.write_table(table.append_column("later", extra), path, row_group_size=2048)
        force_setattr(data, "footer_crc", None)
        force_setattr(data, "file_crc", None)
    store.compact(full=True)
    (merged,) = store.snapshot().state.files
    found = pq.read_table(store.path / "workflows" / merged.path)
    assert found.column("later").to_pylist() == ["x0", "x0"]
    assert found.column("name").to_pylist() == ["0.0", "1.0"]


def test_the_archive_is_smaller_stays_in_every_answer_and_is_left_alone(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s", layout=Layout.of()) as store:
        store.append_table(make_log(20_000))
        before = everything(store)
        (hot,) = store.snapshot().state.files
        result = store.archive(upto=15_000)
        assert result.rewritten == 20_000
        assert everything(store) == before
        held = {data.tier: data for data in store.snapshot().state.files}
        assert {tier: data.rows for tier, data in held.items()} == {"archive": 15_000, "": 5_000}
        assert held["archive"].size < 0.9 * hot.size * 15_000 / 20_000
        assert store.compact(full=True).rewritten == 0
        assert store.archive().rewritten == 5_000
        assert store.verify().ok
        with pytest.raises(InvalidArgumentError, match="upto and before_ns"):
            store.archive(upto=3, before_ns=4)


# -- truncation ----------------------------------------------------------------------------------


def test_what_was_truncated_is_in_its_archive_and_in_no_answer(store: EventStore) -> None:
    filled(store, 5)
    gone = store.read("/workflows/w1/events/..3").table
    result = store.truncate("w1", upto=3)
    kept = pq.read_table(store.path / result.archive)
    assert kept.cast(EVENT_SCHEMA).equals(gone)
    assert (result.events, result.bases) == (3, {"w1": 3})
    told = store.read("/workflows/@world").table.to_pylist()[-1]
    assert (told["event_type"], told["name"]) == ("LogTruncated", "w1")
    assert json.loads(told["payload"])["base"] == 3
    rows = store.sql("SELECT workflow_id, base, archive FROM truncations").rows()
    assert rows == [("w1", 3, result.archive)]
    # The bytes go with the next compaction, and then with vacuum.
    store.compact()
    table = deltalake.DeltaTable(str(store.path / "workflows")).to_pyarrow_table()
    names = set(table.column("name").to_pylist())
    assert names.isdisjoint(gone.column("name").to_pylist())
    assert store.verify().checked["truncated events"] == 3


def test_a_truncated_stream_and_its_lanes_go_on_where_they_were(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", [mark(n, agent="only here") for n in range(4)])
        store.truncate("w", upto=4, discard=True)
        store.compact()
    with EventStore(tmp_path / "s") as store:
        assert store.append("w", mark(5, agent="only here"), expected_version=4).first_sequence == 5
        (row,) = store.read("/workflows/w").table.to_pylist()
        assert (row["sequence"], row["agent_sequence"], row["position"]) == (5, 5, 6)
        assert store.verify().ok
        # A cause below the base existed: it lies before the horizon.
        store.append("v", mark("after").replace(causes=(Cause("w", 2),)))
        assert store.verify().ok


def test_a_stream_that_was_truncated_whole_has_its_head_once_its_rows_are_gone(
    store: EventStore,
) -> None:
    filled(store, 3)
    store.truncate("w1", upto=3, discard=True)
    heads = [store.snapshot().head("w1")]
    store.compact(full=True)
    heads.append(store.snapshot().head("w1"))
    store.vacuum(retain=0)
    heads.append(store.snapshot().head("w1"))
    assert heads == [3, 3, 3]
    assert store.append("w1", mark("next")).first_sequence == 4


def test_a_state_before_a_truncation_is_read_until_vacuum_and_then_says_where_it_went(
    store: EventStore,
) -> None:
    filled(store, 3)
    before = everything(store)
    result = store.truncate({"w0": 2, "w2": 1})
    store.compact()
    assert store.as_of(position=9).sql("SELECT * FROM events ORDER BY position").rows() == before
    store.vacuum(retain=0)
    with pytest.raises(TruncatedError, match=encode_id(Path(result.archive).name)):
        store.as_of(position=9)
    assert store.as_of(position=11).sql("SELECT count(*) FROM events").item() == 8


def test_a_store_of_an_older_format_is_not_truncated(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "s")
    with EventStore(tmp_path / "s") as store, pytest.raises(FormatVersionError, match="format 1"):
        store.truncate("w", upto=1)


@pytest.mark.parametrize(
    "wrong",
    [{"workflow_id": "w0"}, {"workflow_id": {}}, {"workflow_id": {"w0": 1}, "upto": 1}]
    + [{"workflow_id": "w0", "upto": upto} for upto in (0, -1, 4, True, "1")]
    + [{"workflow_id": "nowhere", "upto": 1}]
    + [{"workflow_id": "w0", "upto": 1, "archive": "x", "discard": True}],
)
def test_a_truncation_that_cannot_be_is_refused_and_changes_nothing(
    store: EventStore, wrong: dict[str, object]
) -> None:
    filled(store, 3)
    before = everything(store)
    with pytest.raises(InvalidArgumentError):
        store.truncate(**wrong)  # type: ignore[arg-type]
    assert everything(store) == before
    assert not (store.path / "archive").exists()


def test_an_archive_that_is_there_already_is_not_replaced(
    store: EventStore, tmp_path: Path
) -> None:
    filled(store, 1)
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(InvalidArgumentError, match="is there already"):
        store.truncate("w0", upto=1, archive=tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"mine"
    assert store.snapshot().head("w0") == 1
    assert len(store.read("/workflows/w0")) == 1


# -- vacuum and pins -----------------------------------------------------------------------------


def parquet(store: EventStore) -> int:
    return len(list((store.path / "workflows").rglob("*.parquet")))


def test_vacuum_removes_what_no_readable_version_needs(store: EventStore) -> None:
    filled(store, 4)
    store.compact(full=True)
    version = store.snapshot().version
    assert store.vacuum(retain=timedelta(days=1)).files == 0
    dry = store.vacuum(retain=0, dry_run=True)
    assert (dry.files, parquet(store)) == (12, 15)
    result = store.vacuum(retain=0)
    assert (result.files, result.floor, parquet(store)) == (12, version, 3)
    with pytest.raises(NotFoundError, match=f"versions {version} to"):
        store.as_of(version=version - 1)
    table = str(store.path / "workflows")
    for number in (version, result.version):
        assert deltalake.DeltaTable(table, version=number).to_pyarrow_table().num_rows == 12
    assert store.as_of(position=5).sql("SELECT count(*) FROM events").item() == 5
    for wrong in (-1, 1.5, timedelta(days=-1)):
        with pytest.raises(InvalidArgumentError, match="retain"):
            store.vacuum(retain=wrong)  # type: ignore[arg-type]


def test_vacuum_removes_what_stopped_writers_left(store: EventStore) -> None:
    filled(store, 1)
    (orphan,) = list((store.path / "workflows").rglob("*.parquet"))[:1]
    shutil.copy(orphan, orphan.with_name("part-left.parquet"))
    (store.path / "metadata" / ".draft.new").write_bytes(b"x")
    report = store.verify()
    assert report.ok
    assert [note.kind for note in report.notes] == ["orphan", "orphan"]
    assert "that no version names" in str(report)
    assert store.vacuum().files == 2
    assert store.verify().notes == ()


READER = """
import sys
from flowlab.store import EventStore
with EventStore(sys.argv[1], read_only=True) as store:
    snapshot = store.snapshot()
    print("pinned", snapshot.version, flush=True)
    sys.stdin.readline()
    print(snapshot.sql("SELECT count(*) FROM events").item(), flush=True)
    sys.stdin.readline()
"""


def test_a_reader_in_another_process_keeps_its_files_for_as_long_as_it_lives(
    store: EventStore,
) -> None:
    filled(store, 3)
    command = [sys.executable, "-c", READER, str(store.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "pinned 3\n"
        store.compact(full=True)
        result = store.vacuum(retain=0)
        assert (result.files, result.floor) == (0, 3)
        assert result.pinned == ((3, f"process {reader.pid}"),)
        print(file=reader.stdin, flush=True)
        assert reader.stdout.readline() == "9\n"
        reader.kill()
    assert store.vacuum(retain=0).files == 9


def test_a_snapshot_of_this_process_keeps_its_files_until_it_is_let_go(store: EventStore) -> None:
    filled(store, 3)
    snapshot = store.as_of(version=2)
    store.compact(full=True)
    assert store.vacuum(retain=0).files == 0
    assert snapshot.sql("SELECT count(*) FROM events").item() == 6
    del snapshot
    assert store.vacuum(retain=0).files == 9


def pin_file(store: EventStore, **changes: int) -> Path:
    folder = store.path / "pins"
    folder.mkdir(exist_ok=True)
    record = {
        "version": 1,
        "pid": process_id(),
        "started": process_started(process_id()),
        "boot": boot_id(),
        "until_ns": wall_ns() + 10**12,
        **changes,
    }
    path = folder / "other.json"
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        # While its process runs, no clock ends it.
        ({"until_ns": 1}, True),
        ({"started": 1}, False),
        ({"pid": 2**22 + 1}, False),
        # Of another machine or another boot nothing is known but when its lease ends.
        ({"boot": 1, "pid": 2**22 + 1}, True),
        ({"boot": 1, "until_ns": 1}, False),
        # Nor of a container, whose processes are not seen from here.
        ({"space": 1, "pid": 2**22 + 1}, True),
        ({"space": 1, "until_ns": 1}, False),
        ({"space": 1, "until_ns": 1, "until_boot_ns": 2**62}, True),
        ({"space": 1, "until_boot_ns": 1}, False),
    ],
)
def test_a_pin_counts_while_its_lease_and_its_process_last(
    store: EventStore,
    changes: dict[str, int],
    counts: bool,  # noqa: FBT001
) -> None:
    filled(store, 3)
    store.compact(full=True)
    path = pin_file(store, **changes)
    assert store.vacuum(retain=0).files == (0 if counts else 9)
    assert path.exists() == counts


def test_a_pin_that_is_torn_is_no_pin(store: EventStore) -> None:
    filled(store, 3)
    store.compact(full=True)
    pin_file(store).write_text('{"version": 1, "pi')
    assert store.vacuum(retain=0).files == 9


def test_a_reader_that_vacuum_overtakes_before_its_pin_is_there_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventStore(tmp_path / "s") as store, EventStore(tmp_path / "s", read_only=True) as reader:
        filled(store, 3)
        hold, overtaken = pins.Pins.hold, []

        def late(self: pins.Pins, version: int, holder: object) -> None:
            if self is reader._pins and not overtaken:
                overtaken.append(version)
                store.compact(full=True)
                assert store.vacuum(retain=0).files == 9
            hold(self, version, holder)

        monkeypatch.setattr(pins.Pins, "hold", late)
        snapshot = reader.snapshot()
        assert overtaken == [3]
        assert snapshot.version > 3
        assert snapshot.sql("SELECT count(*) FROM events").item() == 9


# -- the command line ----------------------------------------------------------------------------


def test_the_verbs_keep_a_store_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "s")
    with EventStore(folder) as store:
        filled(store, 3)
        before = everything(store)
    assert main(["store", "compact", folder, "--full", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files_after"] == 3
    assert main(["store", "archive", folder, "--older-than", "0"]) == 0
    assert main(["store", "vacuum", folder, "--retain", "0", "--dry-run"]) == 0
    assert "would go    12 files" in capsys.readouterr().out
    assert main(["store", "vacuum", folder, "--retain", "0"]) == 0
    assert "versions" in capsys.readouterr().out
    with EventStore(folder, read_only=True) as store:
        assert everything(store) == before
    assert main(["store", "truncate", folder, "w1", "--upto", "2"]) == 0
    assert "'w1' up to 2" in capsys.readouterr().out
    told = {}
    for verb in ("info", "verify", "cluster"):
        assert main(["store", verb, folder, "--json"]) == 0
        told[verb] = json.loads(capsys.readouterr().out)
    assert (told["info"]["position"], told["verify"]["checked"]["events"]) == (10, 8)
    assert [each["events"] for each in told["cluster"]] == [8, 8]
    assert main(["store", "truncate", folder, "w1", "--upto", "2"]) != 0
    assert "it holds 3 to 3" in capsys.readouterr().err
    for verb in ("compact", "cluster"):
        assert main(["store", verb, folder]) == 0
        assert "in the tail" not in capsys.readouterr().err
    with EventStore(folder) as store:
        store.append("w0", mark("late"))
    for verb in ("compact", "cluster"):
        assert main(["store", verb, folder]) == 0
        assert "1 event in the tail; flowlab store seal DIR comes first" in capsys.readouterr().err
    assert main(["store", "compact", str(tmp_path / "absent")]) != 0
    assert not (tmp_path / "absent").exists()
