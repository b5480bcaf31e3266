"""Files of two stores that have the same names: nothing of another store is taken for one's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from flowlab.errors import CorruptionError
from flowlab.events import Event
from flowlab.store import Disk, EventStore
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import commit_path


def filled(folder: Path, name: str) -> Path:
    with EventStore(folder) as store:
        store.append("w", [Event.of("MarkerRecorded", name=name)] * 3)
        store.seal()
        store.append("w", [Event.of("MarkerRecorded", name=name)] * 3)
    return folder


def test_the_tail_of_another_store_is_refused_by_readers_writers_and_verify(tmp_path: Path) -> None:
    one, other = filled(tmp_path / "one", "a"), filled(tmp_path / "other", "b")
    shutil.copy(other / "tail" / "00000002.log", one / "tail" / "00000002.log")
    with (
        EventStore(one, read_only=True) as store,
        pytest.raises(CorruptionError, match="of another store"),
    ):
        store.snapshot()
    with EventStore(one) as store, pytest.raises(CorruptionError, match="of another store"):
        store.append("w", Event.of("MarkerRecorded"))
    with EventStore(one, read_only=True) as store:
        report = store.verify()
        assert [problem.kind for problem in report.problems] == ["damaged"]


class Watching(Disk):
    """Asks a reader for the newest version when a commit has its name and is not durable yet."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = log
        self.seen: list[tuple[int, bool]] = []
        self.syncs = 0

    def link(self, source: Path, target: Path) -> None:
        super().link(source, target)
        if target.parent == self.log:
            with pytest.MonkeyPatch.context() as patch:
                synced = []
                fsync = os.fsync
                patch.setattr(os, "fsync", lambda number: (synced.append(number), fsync(number)))
                version = CommitLog(self.log).latest().version
            self.seen.append((version, bool(synced)))


def test_a_reader_syncs_a_commit_that_its_writer_has_not_synced_yet(tmp_path: Path) -> None:
    log = tmp_path / "s" / "workflows" / "_delta_log"
    disk = Watching(log)
    with EventStore(tmp_path / "s", disk=disk) as store:
        store.append("w", Event.of("MarkerRecorded"))
        store.seal()
        store.append("w", Event.of("MarkerRecorded"))
        store.seal()
    assert disk.seen == [(0, True), (1, True), (2, True)]
    assert commit_path(log, 2).stat().st_nlink == 1
    assert list(log.glob(".*")) == []


def test_a_commit_whose_directory_could_not_be_synced_keeps_its_second_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Disk, path: Path) -> None:
        if path == tmp_path:
            message = "no sync"
            raise OSError(message)

    monkeypatch.setattr(Disk, "sync_directory", refuse)
    with pytest.raises(OSError, match="no sync"):
        Disk().publish(tmp_path / "commit", b"x", scratch="e1")
    assert (tmp_path / "commit").stat().st_nlink == 2
