"""The disks that fail, against what they stand for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.store import Disk
from flowlab.testing import (
    CrashDisk,
    DiskState,
    Fault,
    FaultyDisk,
    FileSystem,
    Stopped,
    device_states,
    every_boundary,
)
from flowlab.testing.file_system import write_out

NAMES = st.sampled_from(["a", "b", "d/a", "d/b"])


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(root.rglob("*"))
    }


def shown(system: FileSystem, applied: frozenset[int]) -> dict[str, bytes | None]:
    return {name: content for name, (_, content) in system.tree(applied).items()}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_process_sees_in_the_model_what_it_sees_in_the_folder(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "d").mkdir()
    disk = CrashDisk(root)
    for _ in range(data.draw(st.integers(1, 12))):
        name = root / data.draw(NAMES)
        match data.draw(st.sampled_from(["write", "link", "rename", "remove", "sync", "names"])):
            case "write":
                descriptor = disk.open_rw(name, create=not name.exists())
                disk.write_at(
                    descriptor, data.draw(st.binary(max_size=9)), data.draw(st.integers(0, 5))
                )
                if data.draw(st.booleans()):
                    disk.sync_data(descriptor)
                os.close(descriptor)
            case "link" if name.exists():
                other = root / data.draw(NAMES)
                if not other.exists():
                    disk.link(name, other)
            case "rename" if name.exists():
                disk.rename(name, root / data.draw(NAMES))
            case "remove":
                disk.remove(name)
            case "names":
                disk.sync_directory(name.parent)
            case _:
                continue
    system = disk.at(len(disk.trace))
    assert shown(system, system.numbers()) == tree(root)
    for folder in (root, root / "d"):
        system.sync_directory(folder.relative_to(root).as_posix())
    for node in list(system.contents):
        if system.contents[node] is not None:
            system.sync(node)
    assert not system.pending
    assert shown(system, frozenset()) == tree(root)


def written(root: Path) -> CrashDisk:
    """Write `new` over `old`, by a draft that is synced and renamed, and sync no directory."""
    (root / "note").write_bytes(b"old")
    disk = CrashDisk(root)
    with disk.create(root / "draft") as stream:
        stream.write(b"new")
    disk.rename(root / "draft", root / "note")
    return disk


def test_what_was_not_synced_may_be_gone_and_what_was_is_there(tmp_path: Path) -> None:
    disk = written(tmp_path)
    last = disk.at(len(disk.trace))
    assert shown(last, frozenset()) == {"note": b"old"}
    found = {tuple(shown(last, state.applied).items()) for state in device_states(last)[0]}
    assert (("note", b"new"),) in found
    assert (("note", b"old"),) in found
    disk.sync_directory(tmp_path)
    after = disk.at(len(disk.trace))
    assert [state.kind for state in device_states(after)[0]] == ["process death", "only synced"]
    assert shown(after, frozenset()) == {"note": b"new"}


def test_a_write_is_torn_at_each_byte_and_grows_with_zeros(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path)
    with disk.create(tmp_path / "f") as stream:
        stream.write(b"abc")
    disk.sync_directory(tmp_path)
    system = disk.at(2)
    system.sync_directory(".")
    contents = {
        content
        for state in device_states(system)[0]
        for _, content in system.tree(state.applied, state.parts).values()
    }
    assert contents == {b"", b"a", b"ab", b"abc", b"\0\0\0"}


def test_states_over_the_limit_are_counted_and_drawn_by_the_seed(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path)
    descriptor = disk.open_rw(tmp_path / "f", create=True)
    disk.write_at(descriptor, bytes(range(60)), 0)
    os.close(descriptor)
    system = disk.at(2)
    every, none_left = device_states(system, limit=1000)
    some, left = device_states(system, limit=10, seed=3)
    assert none_left == 0
    assert len(some) == 10
    assert left == len(every) - 10
    assert [state.kind for state in some[:2]] == ["process death", "only synced"]
    assert some == device_states(system, limit=10, seed=3)[0]
    assert some != device_states(system, limit=10, seed=4)[0]


def test_two_names_of_one_file_are_one_file_in_a_state(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    disk = CrashDisk(tmp_path / "run")
    with disk.create(tmp_path / "run" / "a") as stream:
        stream.write(b"x")
    disk.link(tmp_path / "run" / "a", tmp_path / "run" / "b")
    system = disk.at(len(disk.trace))
    write_out(system.tree(system.numbers()), tmp_path / "state")
    assert (tmp_path / "state" / "a").stat().st_nlink == 2


def careless(folder: Path, disk: Disk, acknowledge: object) -> None:
    disk.replace(folder / "note", b"new")
    assert callable(acknowledge)
    acknowledge()


def test_the_driver_finds_a_file_that_is_replaced_without_a_sync() -> None:
    """Break what is tested, and see it fail: the classic of programs that save in place."""

    def hasty(folder: Path, disk: CrashDisk, _: object) -> None:
        descriptor = disk.open_rw(folder / "draft", create=True)
        disk.write_at(descriptor, b"new", 0)
        os.close(descriptor)
        disk.rename(folder / "draft", folder / "note")

    def check(state: DiskState) -> None:
        assert (state.folder / "note").read_bytes() in {b"old", b"new"}

    def prepare(folder: Path) -> None:
        (folder / "note").write_bytes(b"old")

    report = every_boundary(careless, check, prepare=prepare)
    assert report.boundaries == 6
    assert report.by_boundary["rename note"] == 1
    with pytest.raises(AssertionError) as caught:
        every_boundary(hasty, check, prepare=prepare)
    assert "Call(rename draft to note)" in caught.value.__notes__[0]


def test_a_fault_strikes_the_call_it_names_and_is_counted(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path, Fault("sync directory", nth=2, how="EIO"))
    disk.replace(tmp_path / "a", b"1")
    with pytest.raises(OSError, match="Input/output error"):
        disk.replace(tmp_path / "b", b"2")
    disk.replace(tmp_path / "c", b"3")
    assert disk.hits == {"sync directory .": 1}


def test_a_sync_that_fails_has_dropped_what_was_written(tmp_path: Path) -> None:
    """Linux marks the pages clean: a second sync succeeds, and the bytes are gone."""
    disk = FaultyDisk(tmp_path, Fault("sync", nth=2, how="EIO"))
    descriptor = disk.open_rw(tmp_path / "f", create=True)
    disk.write_at(descriptor, b"kept", 0)
    disk.sync_data(descriptor)
    disk.write_at(descriptor, b"gone, and more", 0)
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_data(descriptor)
    disk.sync_data(descriptor)
    os.close(descriptor)
    assert (tmp_path / "f").read_bytes() == b"kept"
    assert disk.at(len(disk.trace)).contents == {0: b"kept"}


def test_a_full_disk_takes_a_part_of_a_write_and_a_short_write_goes_on(tmp_path: Path) -> None:
    full = FaultyDisk(tmp_path, Fault("write", how="ENOSPC", lasting=True))
    descriptor = full.open_rw(tmp_path / "f", create=True)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            full.write_at(descriptor, b"12345678", 0)
    assert (tmp_path / "f").read_bytes() == b"1234"
    os.close(descriptor)
    short = FaultyDisk(tmp_path, Fault("write", how="short"))
    with short.create(tmp_path / "g") as stream:
        stream.write(b"12345678")
    assert (tmp_path / "g").read_bytes() == b"12345678"


def test_a_disk_writes_on_where_the_system_wrote_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[:3], offset))
    Disk().replace(tmp_path / "f", b"0123456789")
    assert (tmp_path / "f").read_bytes() == b"0123456789"


def test_after_a_stop_nothing_goes_on(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path, Fault("rename", how="stop"))
    with pytest.raises(Stopped):
        disk.replace(tmp_path / "a", b"1")
    before = tree(tmp_path)
    with pytest.raises(Stopped):
        disk.remove(tmp_path / ".a.new")
    assert tree(tmp_path) == before == {".a.new": b"1"}


def test_a_fault_that_cannot_be_is_refused() -> None:
    for wrong in ({"kind": "read"}, {"nth": 0}, {"how": "ENOENT"}):
        with pytest.raises(InvalidArgumentError, match="is no fault"):
            Fault(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="limit is 1"):
        every_boundary(careless, lambda _: None, limit=1)
