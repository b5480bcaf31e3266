"""Files written at the same time: the results, and the errors, of one after the other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.store import EventStore, files
from flowlab.store.files import Disk
from flowlab.store.writing_pool import in_order
from flowlab.studies.workload import make_log


@given(items=st.lists(st.integers(0, 9), max_size=12), wrong=st.sets(st.integers(0, 9)))
def test_what_is_done_and_what_is_raised_does_not_depend_on_threads(
    items: list[int], wrong: set[int]
) -> None:
    def work(item: int) -> int:
        if item in wrong:
            raise OSError(item)
        return -item

    before = next((place for place, item in enumerate(items) if item in wrong), len(items))
    for serial in (True, False):
        done: list[int] = []
        if before == len(items):
            in_order(work, items, done, serial=serial)
            assert done == [-item for item in items]
        else:
            with pytest.raises(OSError, match=str(items[before])):
                in_order(work, items, done, serial=serial)
            assert done[:before] == [-item for item in items[:before]]
            # What else was done is told, too, so that it can be taken back.
            assert set(done[before:]) <= {-item for item in items[before + 1 :]}


def test_everything_that_was_done_is_told_when_an_error_ends_it() -> None:
    told: set[int] = set()
    both = threading.Barrier(2)

    def work(item: int) -> int:
        if item < 2:
            both.wait(10)
        if item == 0:
            raise OSError(item)
        told.add(item)
        return item

    done: list[int] = []
    with pytest.raises(OSError, match="0"):
        in_order(work, [0, 1, 2, 3, 4, 5, 6, 7], done, serial=False)
    assert set(done) == told


def test_a_store_is_the_same_whether_its_files_are_written_at_the_same_time_or_not(
    tmp_path: Path,
) -> None:
    class OneByOne(Disk):
        """A subclass sees its calls in one order."""

    table = make_log(2_000)
    with pytest.MonkeyPatch.context() as patch:
        for name, disk in (("pool", Disk), ("serial", OneByOne)):
            patch.setattr("flowlab.store.parts.Disk", disk)
            assert disk().serial == (disk is OneByOne)
            with EventStore(tmp_path / name) as store:
                store.append_table(table)
    written = {
        name: {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name / "workflows").rglob("*.parquet")
        }
        for name in ("pool", "serial")
    }
    assert len(written["pool"]) == 16
    assert written["pool"] == written["serial"]


def test_a_full_disk_leaves_no_file_of_those_that_were_written_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append_table(make_log(1_000))
        before = set((tmp_path / "s" / "workflows").rglob("*.parquet"))
        count = iter(range(100))
        real = files.Disk.sync_data

        def full(disk: Disk, descriptor: int) -> None:
            if next(count) == 5:
                raise OSError(28, "No space left on device")
            real(disk, descriptor)

        monkeypatch.setattr(files.Disk, "sync_data", full)
        with pytest.raises(OSError, match="No space"):
            store.append_table(make_log(1_000, first=10))
        monkeypatch.undo()
        assert set((tmp_path / "s" / "workflows").rglob("*.parquet")) == before
        store.append_table(make_log(1_000, first=10))
        assert store.verify().ok
