"""The fear: what stopped writers left fills the disk, or vacuum takes more than that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import NotFoundError
from flowlab.events import WORLD_STREAM, Event
from flowlab.store import Disk, EventStore, maintenance
from flowlab.store.checkpoints import folder_of
from flowlab.store.files import file_lock
from flowlab.store.log_checkpoint import CHECKPOINT_COMMITS
from flowlab.studies.store_operations import ACCOUNT, counted, litter, marks

STREAM = ("default", "", "w")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as opened:
        opened.append("w", marks("a", "b", "c"))
        opened.checkpoint("w", b"one")
        yield opened


def states(store: EventStore) -> list[bytes]:
    return [store.load_checkpoint(found).state for found in store.checkpoints("w")]


def files(store: EventStore) -> set[str]:
    return {
        path.relative_to(store.path).as_posix() for path in store.path.rglob("*") if path.is_file()
    }


def test_vacuum_removes_what_stopped_writers_left_and_nothing_that_is_named(
    store: EventStore,
) -> None:
    store.execute(ACCOUNT, "ada", 5)
    store.catch_up(counted)
    while store.snapshot().version <= CHECKPOINT_COMMITS:
        store.append("v", marks("x"))
        store.seal()
    store.truncate("w", upto=1)
    store.vacuum()
    (store.path / "archive" / "mine.parquet").write_bytes(b"a person's own")
    before, shown = files(store), store.log().digest
    assert any("-" in name[20:41] for name in before if name.startswith("metadata/"))  # merged ones
    litter(store.path)
    left = files(store) - before
    assert {name.partition("/")[0] for name in left} >= {
        "metadata", "archive", "checkpoints", "aggregates", "projections", "workflows",
    }  # fmt: skip
    noted = {note.where for note in store.verify().notes}
    assert noted >= {name for name in left if "projections" not in name}
    assert set(store.vacuum(dry_run=True).names) == left
    assert files(store) == before | left

    result = store.vacuum()

    assert result.files == len(left)
    assert files(store) == before
    assert (states(store), store.log().digest) == ([b"one"], shown)
    assert store.verify().ok
    assert not [note for note in store.verify().notes if note.kind == "orphan"]
    with EventStore(store.path, read_only=True) as again:
        assert again.log().digest == shown


def test_the_file_of_a_checkpoint_that_was_let_go_goes_and_a_savepoint_stays(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was stopped after the event, and before it removed the file."""
    store.checkpoint("w", b"mine", savepoint=True)
    first = store.checkpoints("w")[0]
    with monkeypatch.context() as stopped:
        remove, spared = Disk.remove, store.path / first.path
        stopped.setattr(Disk, "remove", lambda disk, path: path == spared or remove(disk, path))
        store.checkpoint("w", b"two", drops=[first])
    assert (store.path / first.path).exists()
    assert store.vacuum().names == (first.path,)
    assert states(store) == [b"mine", b"two"]


@pytest.mark.parametrize("moment", ["before its inode is known", "before the event"])
def test_a_checkpoint_whose_file_vacuum_takes_before_its_event_is_written_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    removed: list[tuple[str, ...]] = []
    with EventStore(store.path) as other:
        target: Any = store if moment == "before its inode is known" else store._writer
        name = "_tell" if target is store else "submit"
        original = getattr(target, name)

        def overtaken(*given: Any) -> Any:
            if not removed:
                removed.append(other.vacuum().names)
                # Another process takes the free name, for a checkpoint of its own.
                other.checkpoint("w", b"theirs")
            return original(*given)

        monkeypatch.setattr(target, name, overtaken)
        with pytest.raises(Exception, match="has taken over") as fenced:
            store.checkpoint("w", b"two")
        assert fenced.type.__name__ == "FencedError"
    assert removed == [(f"{folder_of(STREAM)}/00000003-2.state",)]
    with EventStore(store.path) as again:
        again.checkpoint("w", b"three")
        assert states(again) == [b"one", b"theirs", b"three"]
        assert again.verify().ok
        assert again.verify().notes == ()


@pytest.mark.parametrize("moment", ["before its inode is known", "before the event"])
def test_a_checkpoint_is_taken_though_vacuum_comes_in_between(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    removed: list[tuple[str, ...]] = []
    target: Any = store if moment == "before its inode is known" else store._writer
    name = "_tell" if target is store else "submit"
    original = getattr(target, name)

    def overtaken(*given: Any) -> Any:
        if not removed:
            removed.append(store.vacuum().names)
        return original(*given)

    monkeypatch.setattr(target, name, overtaken)
    store.checkpoint("w", b"two")
    assert removed == [(f"{folder_of(STREAM)}/00000003-2.state",)]
    assert states(store) == [b"one", b"two"]
    assert store.verify().ok


def test_a_checkpoint_that_vacuum_always_overtakes_says_so(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = store._writer.submit

    def overtaken(request: Any) -> Any:
        store.vacuum()
        return submit(request)

    monkeypatch.setattr(store._writer, "submit", overtaken)
    with pytest.raises(NotFoundError, match="is gone before an event could name it"):
        store.checkpoint("w", b"two")
    assert states(store) == [b"one"]


def test_a_state_file_whose_draft_vacuum_takes_is_written_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, taken = Disk.link, []

    def overtaken(self: Disk, source: Path, target: Path) -> None:
        if not taken and target.suffix == ".state":
            taken.append(store.vacuum().files)
        link(self, source, target)

    monkeypatch.setattr(Disk, "link", overtaken)
    store.checkpoint("w", b"two")
    assert taken == [1]
    assert states(store) == [b"one", b"two"]


def test_the_draft_of_whoever_saves_a_projection_just_now_is_left_alone(store: EventStore) -> None:
    store.catch_up(counted)
    folder = store.path / "projections"
    (folder / ".counted.state.new").write_bytes(b"half")
    with file_lock(folder / "lock", Disk(), timeout_s=0, what="lock"):
        assert store.vacuum().files == 0
    assert store.vacuum().names == ("projections/.counted.state.new",)


def test_a_file_that_an_event_of_a_later_version_names_is_left_alone(store: EventStore) -> None:
    path = f"{folder_of(STREAM)}/later.state"
    (store.path / path).write_bytes(b"of a format to come")
    told = {"format": 9, "path": path}
    store.append(WORLD_STREAM, Event.of("CheckpointTaken", payload=json.dumps(told).encode()))
    assert store.vacuum().files == 0
    assert (store.path / path).exists()


def test_what_a_truncated_event_names_stays_while_the_version_before_is_readable(
    store: EventStore,
) -> None:
    (taken,) = store.checkpoints("w")
    store.truncate(WORLD_STREAM, upto=1)
    before = store.as_of(position=4)
    store.vacuum(retain=0)
    assert before.checkpoints("w") == (taken,)
    assert store.load_checkpoint(taken).state == b"one"
    del before
    store.compact(full=True)
    store.vacuum(retain=0)
    assert not (store.path / taken.path).exists()
    assert store.checkpoints("w") == ()


def test_a_draft_that_vacuum_takes_from_the_second_to_make_a_file_is_no_failure(
    tmp_path: Path,
) -> None:
    """Two processes made one store, and it was vacuumed before the slower one was done."""

    class Overtaken(Disk):
        def sync_data(self, descriptor: int) -> None:
            super().sync_data(descriptor)
            for draft in tmp_path.glob(".*"):
                draft.unlink()

    target = tmp_path / "note"
    with pytest.raises(FileNotFoundError):
        Overtaken().publish(target, b"ours", scratch="1")
    target.write_bytes(b"theirs")
    assert Overtaken().publish(target, b"ours", scratch="1") is None
    assert target.read_bytes() == b"theirs"


def test_the_sidecar_of_a_commit_that_is_being_made_is_not_taken_for_one_that_nothing_names(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vacuum looks for sidecars before it has the lock, and a writer had just written one."""
    store.seal()
    look, seen = maintenance.unnamed_sidecars, []

    def early(root: Path, log: Any, among: Any = None) -> Iterator[Path]:
        found = list(look(root, log, among))
        if not seen:
            # As if it had been written, and its commit had not, when vacuum looked.
            seen.append(next((root / "metadata").glob("*.json.gz")))
            found += seen
        return iter(found)

    monkeypatch.setattr(maintenance, "unnamed_sidecars", early)
    assert store.vacuum().files == 0
    assert seen[0].exists()
    assert store.verify().ok
