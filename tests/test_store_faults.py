"""The fear: a disk is full, fails or lies, a file is gone or another's, a clock jumps."""

from __future__ import annotations

import shutil
import threading
import warnings
from pathlib import Path

import pytest

from flowlab.errors import ConcurrencyError, CorruptionError, FencedError, FlowlabError
from flowlab.events import Event
from flowlab.store import EventStore, Layout, clock, sealing, writer
from flowlab.studies.store_bits import DamageReport
from flowlab.studies.store_damage import answers, make_small_store, samples
from flowlab.studies.store_operations import marks
from flowlab.testing import Fault, FaultyDisk


def names(root: Path) -> list[str]:
    with EventStore(root, read_only=True) as store:
        assert store.verify().ok
        return store.query("SELECT name FROM events ORDER BY position")["name"].to_pylist()


def test_damage_to_any_kind_of_file_is_told_or_changes_no_answer(tmp_path: Path) -> None:
    """`flowlab check store.damage` damages hundreds of places of each file."""
    make_small_store(tmp_path / "s")
    report, whole = DamageReport(), answers(tmp_path / "s")
    for sample in samples(tmp_path / "s", places=1):
        report.add(sample.judge(whole))

    print(report)
    assert report.wrong == []
    assert answers(tmp_path / "s") == whole
    kinds = {kind.removeprefix("sample of ") for kind in (*report.told, *report.harmless)}
    assert {
        "tail/#.log",
        "tail/watermark",
        "flowlab.json",
        "lock",
        "checkpoints/#/#.state",
    } <= kinds
    assert "workflows/_delta_log/#.checkpoint.parquet" in kinds
    assert report.told["sample of tail/#.log"]


KINDS = ("create", "write", "sync", "sync directory", "link", "rename", "remove", "mkdir")


@pytest.mark.parametrize("how", ["ENOSPC", "EIO"])
def test_an_error_of_any_call_is_told_and_loses_nothing(tmp_path: Path, how: str) -> None:
    """The n-th call of each kind fails while a store appends and seals."""
    with EventStore(tmp_path / "start" / "s") as store:
        store.append("w", marks("a"))
        store.seal()
        store.append("v", marks("b"))
    failed: dict[str, int] = {}
    for kind in KINDS:
        for nth in (1, 2, 3, 5, 8, 13):
            root = tmp_path / f"{kind}-{nth}"
            shutil.copytree(tmp_path / "start", root)
            disk = FaultyDisk(root, Fault(kind, nth=nth, how=how))
            sure = ["a", "b"]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                try:
                    with EventStore(root / "s", disk=disk) as store:
                        store.append("w", marks("c"))
                        sure.append("c")
                        store.seal()
                        store.append("w", marks("d"))
                        sure.append("d")
                except (FlowlabError, OSError):
                    failed[kind] = failed.get(kind, 0) + 1
            found = names(root / "s")
            assert found[: len(sure)] == sure, (kind, nth)
            assert found[len(sure) :] in ([], ["c"], ["d"]), (kind, nth)
            with EventStore(root / "s") as again:
                again.append("u", marks("z"))
                assert again.snapshot().head("u") == 1
            shutil.rmtree(root)
            if not disk.hits:
                break
    assert failed.keys() >= {"create", "write", "sync", "sync directory", "mkdir"}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Give two stores of the same shape: a sealed commit and a tail each, other contents."""
    for store_name in ("one", "two"):
        with EventStore(tmp_path / store_name, layout=Layout(buckets=1)) as store:
            store.append("w", marks(f"{store_name}-a", f"{store_name}-b"))
            store.seal()
            store.append("w", marks(f"{store_name}-c"))
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.parametrize(
    "pattern", ["part-*.parquet", "*00001.json", "metadata/*.gz", "flowlab.json"]
)
def test_a_file_of_another_store_of_the_same_name_is_refused(
    two: tuple[Path, Path], pattern: str
) -> None:
    one, other = two
    (path,) = one.rglob(pattern)
    shutil.copyfile(other / path.relative_to(one), path)
    with pytest.raises(FlowlabError):
        _ask(one)


def _ask(root: Path) -> None:
    with EventStore(root, read_only=True) as store:
        last = store.snapshot().read("/workflows/w/events").events()[-1].name
        found = store.query("SELECT name FROM events ORDER BY position")["name"].to_pylist()
        report = store.verify()
    assert last == found[-1] == "one-c"
    assert found == ["one-a", "one-b", "one-c"]
    if not report.ok:
        raise CorruptionError(str(report.problems))


def test_a_missing_segment_is_named_and_other_streams_are_read_on(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s", layout=Layout(buckets=1)) as store:
        store.append("w", marks("a"))
        store.seal()
        store.append("v", marks("b"))
        store.seal()
    gone = next((tmp_path / "s").rglob("part-000000000001-*.parquet"))
    gone.unlink()
    with EventStore(tmp_path / "s", read_only=True) as reader:
        assert [event.name for event in reader.read("/workflows/v/events").events()] == ["b"]
        with pytest.raises(CorruptionError, match=gone.name):
            reader.read("/workflows/w/events")
        assert [problem.kind for problem in reader.verify().problems] == ["missing"]


def test_a_missing_commit_is_named(two: tuple[Path, Path]) -> None:
    with EventStore(two[0]) as store:
        store.seal()
    (two[0] / "workflows" / "_delta_log" / f"{1:020d}.json").unlink()
    with (
        EventStore(two[0], read_only=True) as reader,
        pytest.raises(CorruptionError, match="commit 1 is missing"),
    ):
        reader.snapshot()


def test_a_read_only_folder_refuses_a_write_with_its_reason_and_is_read(tmp_path: Path) -> None:
    make_small_store(tmp_path / "run" / "s", commits=3)
    before = answers(tmp_path / "run" / "s")
    disk = FaultyDisk(tmp_path / "run", Fault("any", how="EROFS", lasting=True))
    with EventStore(tmp_path / "run" / "s", disk=disk) as store:
        with pytest.raises((OSError, FlowlabError), match="Read-only file system"):
            store.append("w", marks("x"))
        assert store.snapshot().position == before[0]
    assert answers(tmp_path / "run" / "s") == before


@pytest.mark.parametrize("jump_ns", [10**18, -(10**18)])
def test_a_clock_that_jumps_does_not_set_the_log_s_times_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_ns: int
) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", Event.of("MarkerRecorded", name="before"))
        store.seal()
    now = clock.wall_ns
    for module in (sealing, writer):
        monkeypatch.setattr(module, "wall_ns", lambda: now() + jump_ns)
    with EventStore(tmp_path / "s") as store:
        store.append("w", Event.of("MarkerRecorded", name="after"))
        store.seal()
    monkeypatch.undo()
    with EventStore(tmp_path / "s") as store:
        store.append("w", Event.of("MarkerRecorded", name="back"))
        times = [event.time_ns for event in store.read("/workflows/w/events").events()]
        assert times == sorted(times)
    assert names(tmp_path / "s") == ["before", "after", "back"]


def test_two_writers_of_one_stream_take_turns_and_every_conflict_is_told(tmp_path: Path) -> None:
    """Of those that decide on one head, one is kept; the one that was taken over is told so."""
    kept: list[str] = []
    told = {"conflict": 0, "fenced": 0}
    lock = threading.Lock()

    def run(name: str) -> None:
        store, done = EventStore(tmp_path / "s"), 0
        while done < 6:
            head = store.snapshot().head("w")
            try:
                store.append("w", marks(f"{name}{done}"), expected_version=head)
            except ConcurrencyError:
                told["conflict"] += 1
            except FencedError:
                told["fenced"] += 1
                store.close()
                store = EventStore(tmp_path / "s")
            else:
                done += 1
                with lock:
                    kept.append(f"{name}{done}")
        store.close()

    EventStore(tmp_path / "s").close()
    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(told)
    found = names(tmp_path / "s")
    assert [name for name in found if name[0] == "a"] == [f"a{n}" for n in range(6)]
    assert [name for name in found if name[0] == "b"] == [f"b{n}" for n in range(6)]
    assert len(found) == len(kept) == 12
