"""Clusterings that are stopped, damaged, swapped or built twice: never a wrong answer."""

from __future__ import annotations

import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from flowlab.cli import main
from flowlab.errors import CorruptionError, InvalidArgumentError, LockedError
from flowlab.events import EVENT_COLUMNS, Event
from flowlab.store import Disk, EventStore, Layout, cluster_build, cluster_files
from flowlab.store.cluster_files import GROWTH, MERGE_ROWS, group_sizes, merges
from flowlab.store.delta import DataFile
from flowlab.testing import CrashDisk, DiskState, every_boundary
from flowlab.testing.device_states import LEAST_STATES

KEYS = (
    "/agents/ann",
    "/agents/bob/events/5..40",
    "/coordination/plan",
    "/coordination/plan/actions",
)
WHERE = (
    "agent_id = 'ann' ORDER BY time_ns, agent_sequence, workflow_id, sequence",
    "agent_id = 'bob' AND time_ns BETWEEN 5 AND 40 ORDER BY time_ns, agent_sequence, sequence",
    "coordination_id = 'plan' ORDER BY position",
    "coordination_id = 'plan' AND step_id IS NOT NULL ORDER BY position",
)


def event(number: int) -> Event:
    return Event.of(
        "MarkerRecorded",
        name=str(number),
        agent_id=("ann", "bob", "cat")[number % 3],
        time_ns=(number * 37) % 53,
        coordination_id="plan" if number % 5 == 0 else None,
        step_id="s" if number % 10 == 0 else None,
    )


def fill(store: EventStore, first: int, last: int) -> None:
    """Append events to two streams, and seal them."""
    for number in range(first, last):
        store.append(f"w{number % 2}", event(number))
    store.seal()


def check(store: EventStore) -> None:
    """Compare reads by key with SQL over the events alone."""
    for key, where in zip(KEYS, WHERE, strict=True):
        expected = store.query(f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE {where}")
        assert store.read(key).table.to_pylist() == expected.to_pylist(), key


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")}


@contextmanager
def told_of_damage() -> Iterator[None]:
    with pytest.warns(RuntimeWarning, match="--rebuild makes it anew"):
        yield


class FullDisk(Disk):
    """Refuses one call of its primitives: no space is left."""

    refuse_at = -1
    calls = 0


def _refusing(name: str) -> Callable[..., Any]:
    real = getattr(Disk, name)

    def call(self: FullDisk, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self.refuse_at:
            raise OSError(28, "No space left on device")
        return real(self, *arguments, **options)

    return call


for _name in ("open_rw write_at sync_data sync_directory link rename remove mkdir").split():
    setattr(FullDisk, _name, _refusing(_name))

BUILDS = [("first", "agents"), ("extension", "agents"), ("rebuild", "agents")]
BUILDS += [("first", "coordination"), ("extension", "coordination")]


def prepare(folder: Path, build: str, kind: str) -> int:
    """Make a store to be clustered; return up to which position."""
    with EventStore(folder / "s", layout=Layout(1)) as store:
        fill(store, 0, 16)
        if build != "first":
            store.cluster(kind)
            fill(store, 16, 21)
    return 16 if build == "first" else 21


def check_and_go_on(folder: Path, kind: str, upto: int) -> None:
    with EventStore(folder / "s") as store:
        quick_check(store, kind, upto)
        (result,) = store.cluster(kind)
        assert result.position == upto
        quick_check(store, kind, upto)
        held = store._files.clusterings.tables[kind].latest()
        assert held is not None
        assert files(folder / "s" / kind) == held.needed


@pytest.mark.parametrize(("build", "kind"), BUILDS)
def test_a_build_that_stops_at_any_boundary_leaves_every_answer_right(
    monkeypatch: pytest.MonkeyPatch, build: str, kind: str
) -> None:
    monkeypatch.setattr(cluster_build, "PIECE_ROWS", 10)

    def operation(folder: Path, disk: CrashDisk, acknowledge: Callable[[], None]) -> None:
        with EventStore(folder / "s", disk=disk) as store:
            store.cluster(kind, rebuild=build == "rebuild")
            acknowledge()

    def check(state: DiskState) -> None:
        check_and_go_on(state.folder, kind, 16 if build == "first" else 21)

    report = every_boundary(
        operation,
        check,
        name=f"{build} of {kind}",
        prepare=lambda folder: prepare(folder, build, kind),
        limit=LEAST_STATES,
    )
    print(report)
    assert report.boundaries > 20


@pytest.mark.parametrize(("build", "kind"), [("extension", "agents"), ("first", "coordination")])
def test_a_full_disk_at_any_call_of_a_build_leaves_every_answer_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: str, kind: str
) -> None:
    monkeypatch.setattr(cluster_build, "PIECE_ROWS", 10)
    upto = prepare(tmp_path / "start", build, kind)
    call, finished = 0, False
    while not finished:
        call += 1
        root = tmp_path / f"s{call}"
        shutil.copytree(tmp_path / "start", root)
        disk = FullDisk()
        store = EventStore(root / "s", disk=disk)
        disk.calls, disk.refuse_at = 0, call
        with suppress(OSError):
            store.cluster(kind)
        finished = disk.calls < call
        check_and_go_on(root, kind, upto)
        shutil.rmtree(root)
    assert call > 20


def quick_check(store: EventStore, kind: str, upto: int) -> None:
    numbers = [n for n in range(upto) if (n % 3 == 0 if kind == "agents" else n % 5 == 0)]
    if kind == "agents":
        numbers.sort(key=lambda n: (n * 37) % 53)
    key = "/agents/ann" if kind == "agents" else "/coordination/plan"
    assert store.read(key).table.column("name").to_pylist() == [str(n) for n in numbers]


def damage(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("pattern", ["namespace=*/bucket=*/*.parquet", "_delta_log/*0.json"])
@pytest.mark.parametrize("kind", ["agents", "coordination"])
def test_a_damaged_clustering_is_told_and_not_used(
    tmp_path: Path, kind: str, pattern: str, place: float
) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 0, 30)
        store.cluster()
    for path in (tmp_path / "s" / kind).glob(pattern):
        damage(path, place)
    with EventStore(tmp_path / "s") as store:
        with warnings.catch_warnings():
            # What no answer needs may be damaged without a word; verify finds it.
            warnings.simplefilter("ignore")
            check(store)
        assert not store.verify().ok
        store.cluster(kind, rebuild=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(store)
        assert store.verify().ok


@pytest.mark.parametrize("pattern", ["namespace=*/bucket=*/*.parquet", "_delta_log/*0.json"])
def test_a_clustering_with_files_missing_is_told_and_not_used(tmp_path: Path, pattern: str) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 0, 30)
        store.cluster()
        fill(store, 30, 40)
        store.cluster()
    for kind in ("agents", "coordination"):
        for path in (tmp_path / "s" / kind).glob(pattern):
            path.unlink()
    with EventStore(tmp_path / "s") as store:
        with told_of_damage():
            check(store)
        if pattern.endswith(".json"):
            with pytest.raises(CorruptionError, match="--rebuild makes it anew"):
                store.cluster("agents")
        store.cluster(rebuild=True)
        check(store)
        assert store.verify().ok


def test_a_clustering_that_is_gone_is_not_missed(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 0, 30)
        store.cluster()
        check(store)
        shutil.rmtree(tmp_path / "s" / "agents")
        check(store)
        assert [item.kind for item in store.info().clusterings] == ["coordination"]
        store.cluster()
        check(store)


def test_a_clustering_of_another_store_is_not_used(tmp_path: Path) -> None:
    for name in ("s", "other"):
        with EventStore(tmp_path / name) as store:
            fill(store, 0 if name == "s" else 100, 30 if name == "s" else 130)
            store.cluster()
    for kind in ("agents", "coordination"):
        shutil.rmtree(tmp_path / "s" / kind)
        shutil.copytree(tmp_path / "other" / kind, tmp_path / "s" / kind)
    with EventStore(tmp_path / "s") as store, told_of_damage():
        check(store)


def test_a_clustering_of_a_state_that_was_taken_back_is_not_used(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 0, 10)
    shutil.copytree(tmp_path / "s", tmp_path / "older")
    with EventStore(tmp_path / "s") as store:
        fill(store, 10, 30)
        store.cluster()
    for kind in ("agents", "coordination"):
        shutil.copytree(tmp_path / "s" / kind, tmp_path / "older" / kind)
    with EventStore(tmp_path / "older") as store:
        with told_of_damage():
            check(store)
        fill(store, 50, 75)
        check(store)
        fill(store, 75, 80)
        check(store)
        store.cluster(rebuild=True)
        check(store)
        assert store.verify().ok


def test_a_reader_goes_over_to_a_clustering_that_was_made_anew(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store, EventStore(tmp_path / "s", read_only=True) as reader:
        fill(store, 0, 30)
        store.cluster()
        check(reader)
        damage(tmp_path / "s" / "agents" / "_delta_log" / f"{0:020d}.json", 0.5)
        fill(store, 30, 60)
        with EventStore(tmp_path / "s") as other:
            other.cluster("agents", rebuild=True)
            fill(other, 60, 70)
            other.cluster("agents")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(reader)
        assert [item.behind for item in reader.info().clusterings] == [0, 40]


def test_the_event_at_the_position_of_a_clustering_is_there_once(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        for number in range(0, 16, 5):
            # The last event sealed is one of `ann` or `bob`, and every other one of the plan.
            fill(store, number, number + 5)
            store.cluster()
            store.append("w0", event(99))
            check(store)


def test_of_two_builders_the_second_says_so_and_does_nothing(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store, EventStore(tmp_path / "s") as other:
        fill(store, 0, 30)

        def meanwhile(_: str) -> None:
            with pytest.raises(LockedError, match="lock of the clustering 'agents'.*by process"):
                other.cluster("agents")

        store.cluster("agents", progress=meanwhile)
        assert other.cluster("agents")[0].events == 0
        check(other)


def test_an_append_and_a_seal_go_on_while_a_clustering_is_built(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store, EventStore(tmp_path / "s") as builder:
        fill(store, 0, 30)
        said: list[str] = []

        def meanwhile(what: str) -> None:
            fill(store, 30 + len(said), 31 + len(said))
            said.append(what)

        builder.cluster(progress=meanwhile)
        assert said
        check(store)
        check(builder)


def test_no_read_is_wrong_while_clusterings_are_built_and_swept(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store, EventStore(tmp_path / "s", read_only=True) as reader:
        fill(store, 0, 30)
        failed: list[BaseException] = []

        def write() -> None:
            try:
                with EventStore(tmp_path / "s") as builder:
                    for turn in range(12):
                        fill(builder, 30 + 3 * turn, 33 + 3 * turn)
                        builder.cluster(rebuild=turn % 3 == 0)
            except BaseException as error:  # noqa: BLE001 - the test raises it
                failed.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive():
            now = reader.snapshot()
            for key, numbers in (("/agents/ann", range(0, now.position, 3)),):
                expected = sorted(numbers, key=lambda n: ((n * 37) % 53, n))
                found = now.read(key).table.column("name").to_pylist()
                assert found == [str(number) for number in expected]
        writer.join()
        assert failed == []
        check(reader)


def test_the_clusterings_are_delta_tables_that_others_read(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 0, 30)
        store.cluster()
        fill(store, 30, 50)
        store.cluster()
        fill(store, 50, 55)
        for version, upto in ((0, 30), (1, 50)):
            expected = store.sql(f"FROM events WHERE position <= {upto} ORDER BY position")
            table = DeltaTable(str(tmp_path / "s" / "agents"), version=version)
            found = pl.from_arrow(pa.table(table.to_pyarrow_table()))
            assert isinstance(found, pl.DataFrame)
            found = found.sort("position").select(expected.columns)
            assert found.cast(expected.schema).equals(expected)
            assert table.transaction_version("flowlab.workflows") == version + 1
        lazy = pl.read_delta(str(tmp_path / "s" / "agents"))
        assert lazy["position"].sort().to_list() == list(range(1, 51))
        ranges = pl.read_delta(str(tmp_path / "s" / "coordination"))
        plans = store.sql("FROM events WHERE coordination_id IS NOT NULL AND position <= 50")
        assert ranges["events"].sum() == plans.height


def test_a_clustering_that_was_extended_often_is_read_from_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_build, "CHECKPOINT_COMMITS", 4)
    with EventStore(tmp_path / "s") as store:
        for number in range(7):
            fill(store, number * 3, number * 3 + 3)
            store.cluster()
    log = tmp_path / "s" / "agents" / "_delta_log"
    assert [path.name[:20] for path in log.glob("*.checkpoint.parquet")] == [f"{4:020d}"]
    (log / f"{1:020d}.json").write_bytes(b"nobody reads it")
    with EventStore(tmp_path / "s") as store:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(store)
        assert [item.version for item in store.info().clusterings] == [6, 6]
        assert store.verify().ok
    table = DeltaTable(str(tmp_path / "s" / "agents"))
    assert sorted(table.to_pyarrow_table()["position"].to_pylist()) == list(range(1, 22))


def _losing(bunches: list[Any]) -> list[Any]:
    first = bunches[0]
    table = first.table.slice(1)
    return [cluster_files.Bunch(first.namespace, first.bucket, table, (table.num_rows,))]


def _doubling(bunches: list[Any]) -> list[Any]:
    return [*bunches, *bunches[:1]]


def _turned(bunches: list[Any]) -> list[Any]:
    first = bunches[0]
    table = first.table.take(pa.array(range(first.table.num_rows - 1, -1, -1)))
    return [cluster_files.Bunch(first.namespace, first.bucket, table, first.owners), *bunches[1:]]


def _altered(bunches: list[Any]) -> list[Any]:
    first = bunches[0]
    place = first.table.column_names.index("workflow_id")
    column = pa.array(["elsewhere"] * first.table.num_rows)
    table = first.table.set_column(place, "workflow_id", column)
    return [cluster_files.Bunch(first.namespace, first.bucket, table, first.owners), *bunches[1:]]


@pytest.mark.parametrize("wrong", [_losing, _doubling, _turned, _altered])
@pytest.mark.parametrize("kind", ["agents", "coordination"])
def test_verify_names_what_a_clustering_has_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, wrong: Callable[[Any], Any]
) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 0, 30)
        store.cluster()
        assert store.verify().ok
        real = cluster_build.arrange
        monkeypatch.setattr(cluster_build, "arrange", lambda *given: wrong(real(*given)))
        monkeypatch.setattr(cluster_build, "merges", lambda *_: [])
        store.cluster(kind, rebuild=True)
        report = store.verify()
        assert {item.kind for item in report.problems} <= {"clustering", "order"}
        assert not report.ok
        assert kind in str(report)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60), st.integers(1, 9))
def test_the_files_of_a_partition_stay_few_and_each_row_is_written_few_times(
    sizes: list[int], fresh: int
) -> None:
    held: list[DataFile] = []
    written = number = 0
    for start in range(0, len(sizes), fresh):
        new = []
        for rows in sizes[start : start + fresh]:
            number += 1
            new.append(DataFile(f"f{number}", {}, rows, rows, {}))
        groups = merges(held, new)
        taken = [data.path for group in groups for data in group]
        assert len(set(taken)) == len(taken)
        held = [data for data in (*held, *new) if data.path not in taken]
        for group in groups:
            rows = sum(data.rows for data in group)
            assert rows <= MERGE_ROWS
            written += rows
            number += 1
            held.append(DataFile(f"f{number}", {}, rows, rows, {}))
    total = sum(sizes)
    assert sum(data.rows for data in held) == total
    assert len(held) <= 1 + total.bit_length()
    assert written <= total * (1 + 2 * total.bit_length())
    ordered = sorted(data.rows for data in held)
    assert all(GROWTH * ordered[n] < rows for n, rows in enumerate(ordered[1:]))


@given(st.lists(st.integers(1, 9000), max_size=40))
def test_a_row_group_holds_one_owner_or_whole_ones(owners: list[int]) -> None:
    sizes = group_sizes(tuple(owners))
    assert sum(sizes) == sum(owners)
    ends, cuts = [], {0}
    for rows in owners:
        ends.append((ends[-1] if ends else 0) + rows)
    for size in sizes:
        assert 0 < size <= cluster_files.ROW_GROUP_ROWS
        cuts.add(max(cuts) + size)
    for rows, end in zip(owners, ends, strict=True):
        if rows > cluster_files.ROW_GROUP_ROWS // cluster_files.SMALL:
            assert {end - rows, end} <= cuts


def test_an_agent_s_range_reads_its_own_row_groups_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_files, "ROW_GROUP_ROWS", 8)
    with EventStore(tmp_path / "s") as store:
        for number in range(400):
            row = Event.of("MarkerRecorded", agent_id=f"a{number % 5}", time_ns=number)
            store.append(f"w{number % 40}", row)
        store.seal()
        store.cluster()
        reader = store._files.clusterings.tables["agents"].reader
        read: list[int] = []
        real = reader.read

        def counting(data: DataFile, groups: list[int], **options: Any) -> pa.Table:
            read.extend(groups)
            return real(data, groups, **options)

        monkeypatch.setattr(reader, "read", counting)
        monkeypatch.setattr(store._files.reader, "read", None)
        assert len(store.read("/agents/a3/events/100..199").table) == 20
        assert len(read) <= 4
        read.clear()
        assert len(store.read("/agents/a3", reverse=True, limit=3).table) == 3
        assert len(read) == 1


def test_the_command_builds_clusterings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 0, 30)
        store.append("w0", event(31))
    assert main(["store", "cluster", str(tmp_path / "s"), "--agents"]) == 0
    told = capsys.readouterr()
    assert told.out == "agents: up to position 30, 30 events taken in, 3 files\n"
    assert "flowlab store seal DIR comes first" in told.err
    assert main(["store", "info", str(tmp_path / "s")]) == 0
    assert "up to 30, 1 behind, 3 files" in capsys.readouterr().out
    assert main(["store", "cluster", str(tmp_path / "none")]) == 2


def test_what_cannot_be_clustered_is_refused(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        assert [result.version for result in store.cluster()] == [-1, -1]
        with pytest.raises(InvalidArgumentError, match="expected one of 'agents', 'coordination'"):
            store.cluster("agent")
    with (
        EventStore(tmp_path / "s", read_only=True) as store,
        pytest.raises(InvalidArgumentError, match="open for reading only"),
    ):
        store.cluster()
