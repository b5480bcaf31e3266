"""Everything that the store writes goes through its disk, so that failures can be injected."""

from __future__ import annotations

import ast
import io
import os
from pathlib import Path

import pytest

from flowlab.store import Disk, EventStore

STORE = Path(__file__).parent.parent / "flowlab" / "store"
OF_A_PATH = frozenset(
    "unlink rename mkdir rmdir touch write_text write_bytes hardlink_to symlink_to chmod".split()
)
OF_THE_SYSTEM = frozenset(
    "open link symlink unlink remove rename renames replace mkdir makedirs rmdir truncate "
    "ftruncate write pwrite writev fsync fdatasync chmod".split()
)
MODULES = sorted(path for path in STORE.rglob("*.py") if path.name != "files.py")


def writes_past_the_disk(source: str) -> list[str]:
    """Return the calls of a module that change a file and are not a disk's."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node.func)
        owner, _, name = text.rpartition(".")
        modes = [
            str(part.value)
            for part in (*node.args, *(word.value for word in node.keywords))
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        opens = name == "open" and any(set(mode) & set("wxa+") for mode in modes)
        whole = name == "replace" and len(node.args) == 1 and not node.keywords
        if owner.endswith("disk"):
            continue
        if (
            (owner == "os" and name in OF_THE_SYSTEM)
            or owner == "shutil"
            or (owner != "os" and name in OF_A_PATH)
            or opens
            or whole
        ):
            found.append(f"line {node.lineno}: {text}")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_module_of_the_store_writes_past_its_disk(module: Path) -> None:
    assert writes_past_the_disk(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "path.unlink(missing_ok=True)",
        "temporary.replace(path)",
        "os.fsync(descriptor)",
        "path.open('xb')",
        "open(path, mode='w')",
        "shutil.rmtree(path)",
        "(root / 'x').write_bytes(data)",
    ],
)
def test_the_walk_sees_a_write_however_it_is_spelled(source: str) -> None:
    assert len(writes_past_the_disk(source)) == 1


@pytest.mark.parametrize(
    "source",
    ["self._disk.remove(path)", "text.replace('a', 'b')", "path.open('rb')", "os.close(3)"],
)
def test_the_walk_passes_over_what_is_no_write(source: str) -> None:
    assert writes_past_the_disk(source) == []


class Narrow(Disk):
    """Notes the primitives it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        self.asked.append("write_at")
        super().write_at(descriptor, data, offset)

    def sync_directory(self, path: Path) -> None:
        self.asked.append(f"sync {path.name}")
        super().sync_directory(path)


def test_a_store_writes_through_the_disk_it_is_given(tmp_path: Path) -> None:
    disk = Narrow()
    with EventStore(tmp_path / "s", disk=disk) as store:
        store.append("w", {"event_type": "MarkerRecorded"})
        store.seal()
        assert store.disk is disk
    assert disk.asked.count("sync _delta_log") == 3


def test_a_file_through_the_disk_holds_what_was_written_in_pieces_of_any_size(
    tmp_path: Path,
) -> None:
    disk, pieces = Disk(), [b"a", bytes(5 << 20), b"", b"bc" * 700_000, b"d"]
    with disk.create(tmp_path / "f") as stream:
        for piece in pieces:
            stream.write(piece)
        assert stream.tell() == sum(map(len, pieces))
    assert (tmp_path / "f").read_bytes() == b"".join(pieces)
    assert disk.bytes_written == sum(map(len, pieces))


def test_what_a_failed_file_still_held_reaches_no_other_file(tmp_path: Path) -> None:
    """The buffer outlives the block, and its descriptor's number is another file's by then."""
    disk = Disk()
    kept: list[object] = []

    def fail() -> None:
        with disk.create(tmp_path / "f") as stream:
            stream.write(b"lost")
            kept.append(stream)
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert not (tmp_path / "f").exists()
    other = disk.open_rw(tmp_path / "g", create=True)
    assert isinstance(kept[0], io.BufferedWriter)
    kept.pop()
    os.close(other)
    assert (tmp_path / "g").read_bytes() == b""


def test_a_directory_that_another_made_and_did_not_sync_is_synced_before_it_is_used(
    tmp_path: Path,
) -> None:
    """A writer was stopped between making a folder and syncing its name: nobody did it later."""
    folder = tmp_path / "namespace=default" / "bucket=0"
    folder.mkdir(parents=True)
    disk = Narrow()
    for _ in range(2):
        disk.make_directory(folder)
    assert disk.asked == ["sync namespace=default"]
