"""What attacks on a store's upkeep found: each test is a way in which it once went wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from flowlab.errors import FencedError, NotAStoreError, PoisonedError, TruncatedError
from flowlab.events import Event
from flowlab.store import EventStore, Layout, aggregate
from flowlab.store.log_checkpoint import CHECKPOINT_COMMITS
from flowlab.testing import Fault, FaultyDisk


def mark(name: object, agent: str = "a") -> Event:
    return Event.of("MarkerRecorded", name=str(name), agent_id=agent)


def everything(store: EventStore) -> list[tuple[object, ...]]:
    return store.sql("SELECT * FROM events ORDER BY position").rows()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "s"
    with EventStore(folder) as store:
        for number in range(6):
            store.append(f"w{number % 2}", mark(number))
            if number % 3 == 2:
                store.seal()
    return folder


@pytest.mark.parametrize("verb", ["compact", "archive"])
def test_a_commit_that_appeared_keeps_its_files_whatever_failed_after_it(
    filled: Path, tmp_path: Path, verb: str
) -> None:
    # The commit was linked, the sync of its directory failed, and the error took back the files
    # that the commit names: every read failed from then on.
    folder = Path(shutil.copytree(filled, tmp_path / "s"))
    disk = FaultyDisk(folder, Fault("sync directory workflows/_delta_log", how="EIO"))
    with EventStore(folder) as store:
        before = everything(store)
    with EventStore(folder, disk=disk) as store:
        with pytest.raises(OSError, match="Input/output"):
            store.compact(full=True) if verb == "compact" else store.archive()
        assert disk.hits
        assert everything(store) == before
        with pytest.raises(PoisonedError, match="open the store again"):
            store.append("w0", mark("later"))
    with EventStore(folder) as store:
        assert everything(store) == before
        assert store.verify().ok
        store.append("w0", mark("later"))


def test_a_truncation_that_failed_can_be_tried_again(filled: Path, tmp_path: Path) -> None:
    # The archive file of the first try stood in the way of the second.
    for where in ("sync directory archive", "create metadata/.#-e#.json.gz.new"):
        folder = Path(shutil.copytree(filled, tmp_path / where.replace("/", "-")))
        disk = FaultyDisk(folder, Fault(where, how="ENOSPC"))
        with EventStore(folder, disk=disk) as store:
            with pytest.raises(OSError, match="No space"):
                store.truncate("w0", upto=2)
            assert disk.hits
            assert not list((folder / "archive").iterdir())
            assert store.truncate("w0", upto=2).events == 2


def test_what_was_truncated_is_looked_for_in_the_file_of_its_own_truncation(
    filled: Path, tmp_path: Path
) -> None:
    # Everything below the base was said to be in the file of the last truncation.
    with EventStore(shutil.copytree(filled, tmp_path / "s")) as store:
        first, second = store.truncate("w0", upto=1).archive, store.truncate("w0", upto=2).archive
        for sequence, archive in ((1, first), (2, second)):
            expected = (
                f"events {sequence} to {sequence} of stream 'w0'.* in {archive}; .* begins at 3"
            )
            with pytest.raises(TruncatedError, match=expected):
                store.read(f"/workflows/w0/events/{sequence}")


@pytest.mark.parametrize("stage", ["sealed files", "tail", "events", "clusterings"])
def test_verify_finds_nothing_wrong_while_others_write_and_vacuum(
    filled: Path, tmp_path: Path, stage: str
) -> None:
    # Its files were vacuumed under it, a bulk append's tail did not fit its commit, and a
    # clustering that was built meanwhile held events that its state did not.
    folder = Path(shutil.copytree(filled, tmp_path / "s"))
    with EventStore(folder) as store, EventStore(folder) as other:
        other.cluster()
        other.append("w0", mark("tail"))

        def disturb(what: str) -> None:
            if what == stage:
                for number in range(2):
                    other.truncate("w1", upto=1 + number)
                    other.append("w0", mark(number))
                    other.compact(full=True)
                    other.cluster()
                    other.vacuum(retain=0)
                other.append("w2", mark("last"))

        report = store.verify(progress=disturb)
        assert report.ok, str(report)
        assert store.verify().ok


def test_no_state_of_an_aggregate_is_made_without_the_events_that_are_gone(
    tmp_path: Path,
) -> None:
    # Of a stream that was truncated whole the state was the initial one, and every command met
    # conflicts; a state at a truncated event was said not to be there.
    counter = aggregate(
        name="counter",
        initial=0,
        decide=lambda _state, count: mark(count),
        evolve=lambda state, event: state + int(event.name),
    )
    with EventStore(tmp_path / "s") as store:
        for count in range(1, 4):
            store.execute(counter, "x", count)
    for upto in (2, 3):
        with EventStore(tmp_path / "s") as store:
            store.truncate("counter-x", upto=upto)
        with EventStore(tmp_path / "s") as store:
            for at in (None, *range(1, 4)):
                with pytest.raises(TruncatedError, match=f"events 1 to {upto} were truncated"):
                    store.state(counter, "x", at=at)
            with pytest.raises(TruncatedError, match="were truncated"):
                store.execute(counter, "x", 1)
            assert store.state(counter, "x", at=0) == 0


def test_a_stream_that_was_truncated_whole_still_has_metadata(filled: Path, tmp_path: Path) -> None:
    # min() of no times.
    with EventStore(shutil.copytree(filled, tmp_path / "s")) as store:
        store.truncate("w0", upto=3)
        found = store.metadata("/workflows/w0/metadata")
        assert (found["creation_time"], found["agents"]) == (None, [])


def test_other_readers_see_the_rows_of_long_ids_in_folders_of_their_own(tmp_path: Path) -> None:
    # The folder's name was cut within a character, and Polars dropped the rows of that file.
    ids = {"p" * places + sign * 90 for sign in "\u00fc\u20ac\U0001f600" for places in range(4)}
    with EventStore(tmp_path / "s", layout=Layout.of("workflow")) as store:
        for name in ids:
            store.append(name, mark(name))
        store.seal()
        assert store.verify().ok
    frame = pl.scan_delta(str(tmp_path / "s" / "workflows"))
    found = frame.select("workflow_id", "workflow_partition").collect().rows()
    assert {name for name, _ in found} == ids
    assert len(found) == len(ids)


def test_an_older_snapshot_reads_a_coordination_from_a_newer_clustering(tmp_path: Path) -> None:
    # What the snapshot had in its tail the clustering had sealed: within a range that it named,
    # events of other coordinations were shown too.
    with EventStore(tmp_path / "s") as store:
        plans = ("p", None, "q", "p")
        store.append("w", [mark(plan).replace(coordination_id=plan) for plan in plans])
        snapshot = store.snapshot()
        store.seal()
        store.cluster()
        for plan, positions in (("p", [1, 4]), ("q", [3])):
            for reader in (snapshot, store.snapshot()):
                found = reader.read(f"/coordination/{plan}").table.column("position")
                assert found.to_pylist() == positions


def test_a_writer_of_a_store_that_was_moved_writes_to_no_other_in_its_place(
    filled: Path, tmp_path: Path
) -> None:
    # Appends went to the moved folder by descriptor, and seals to whatever had its old path.
    folder = Path(shutil.copytree(filled, tmp_path / "s"))
    with EventStore(folder) as store, EventStore(folder) as reader:
        store.append("w0", mark("before"))
        folder.rename(tmp_path / "moved")
        with pytest.raises(NotAStoreError, match="is not there"):
            reader.append("w0", mark("lost"))
        with pytest.raises(NotAStoreError, match="is not there"):
            reader.snapshot()
        with pytest.raises(FencedError, match="moved"):
            store.append("w0", mark("lost"))
        with EventStore(folder) as other:
            other.append("w0", mark("new"))
            with pytest.raises(FencedError, match="moved"):
                store.seal()
            assert len(other.log()) == 1
            assert other.verify().ok
    with EventStore(tmp_path / "moved") as store:
        assert len(store.log()) == 7
        assert store.verify().ok


def test_a_checkpoint_of_another_store_is_passed_over_and_named(tmp_path: Path) -> None:
    # The whole log was said to be another store's, and nothing could be read.
    name = f"{CHECKPOINT_COMMITS:020d}.checkpoint.parquet"
    for folder in ("s", "other"):
        with EventStore(tmp_path / folder) as store:
            for number in range(CHECKPOINT_COMMITS):
                store.append("w", mark(f"{folder}{number}"))
                store.seal()
    log = Path("workflows") / "_delta_log"
    shutil.copy(tmp_path / "other" / log / name, tmp_path / "s" / log / name)
    with EventStore(tmp_path / "s") as store:
        with pytest.warns(RuntimeWarning, match="another table; the commits before it are read"):
            found = store.log()
        names = found.table.column("name").to_pylist()
        assert names == [f"s{number}" for number in range(CHECKPOINT_COMMITS)]
        assert any(name in str(problem) for problem in store.verify().problems)
