"""The commit log read from a Delta checkpoint is the commit log read from its first commit."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import deltalake
import polars as pl
import pytest

from flowlab.errors import CorruptionError
from flowlab.store import EventStore, commit_log, log_checkpoint, sealing
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import TableState
from flowlab.store.log_checkpoint import checkpoint_path
from flowlab.store.sidecar import MetadataLog

COMMITS = 11
EVERY = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "CHECKPOINT_COMMITS", EVERY)
        with EventStore(tmp_path / "s") as store:
            for number in range(COMMITS):
                marker = {"event_type": "MarkerRecorded", "name": str(number)}
                store.append(f"w{number % 3}", marker, idempotency_key=f"k{number}")
                store.seal()
    return tmp_path / "s"


def log_of(folder: Path) -> Path:
    return folder / "workflows" / "_delta_log"


def replayed(folder: Path, version: int) -> TableState:
    """The state that the commits alone give."""
    bare = folder.parent / "bare"
    shutil.rmtree(bare, ignore_errors=True)
    bare.mkdir()
    for path in log_of(folder).glob("*.json"):
        shutil.copy(path, bare)
    state = CommitLog(bare).at(version)
    assert state is not None
    return state


def test_a_checkpoint_holds_what_the_commits_before_it_say(folder: Path) -> None:
    for version in range(COMMITS + 1):
        found, expected = CommitLog(log_of(folder)).at(version), replayed(folder, version)
        assert found is not None
        assert (found.files, found.info, found.table) == (
            expected.files,
            expected.info,
            expected.table,
        )
        one, other = MetadataLog(folder), MetadataLog(folder)
        assert one.upto(found) == other.upto(expected)
        assert one.written(found) == other.written(expected)


def test_the_sidecars_of_a_long_log_are_few(folder: Path) -> None:
    state = CommitLog(log_of(folder)).latest()
    assert [(ref.first, ref.last) for ref in state.sidecars] == [(1, 8), (9, 9), (10, 10), (11, 11)]


def test_opening_reads_the_newest_checkpoint_and_the_commits_since(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = commit_log.read_settled
    reading = lambda path: (read.append(path.name), whole(path))[1]  # noqa: E731 - for a moment
    monkeypatch.setattr(commit_log, "read_settled", reading)
    with EventStore(folder, read_only=True) as store:
        assert store.snapshot().position == COMMITS
    assert read == [f"{number:020d}.json" for number in range(9, COMMITS + 1)]


@pytest.mark.parametrize("place", range(0, 4000, 97))
def test_a_damaged_checkpoint_is_passed_over_and_never_believed(folder: Path, place: int) -> None:
    path = checkpoint_path(log_of(folder), 8)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << place % 8
    path.write_bytes(data)
    expected = replayed(folder, COMMITS)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = CommitLog(log_of(folder)).latest()
    assert (found.files, found.info, found.table) == (expected.files, expected.info, expected.table)
    assert [ref.last for ref in found.sidecars][-3:] == [9, 10, 11]
    if told:
        assert "is damaged" in str(told[0].message)


def test_a_checkpoint_of_another_program_is_not_needed(folder: Path) -> None:
    deltalake.DeltaTable(str(folder / "workflows")).create_checkpoint()
    assert checkpoint_path(log_of(folder), COMMITS).exists()
    state = CommitLog(log_of(folder)).latest()
    assert state.files == replayed(folder, COMMITS).files


def test_delta_readers_begin_at_the_checkpoint(folder: Path) -> None:
    for number in range(9):
        if number < 8:
            (log_of(folder) / f"{number:020d}.json").unlink()
    table = str(folder / "workflows")
    assert deltalake.DeltaTable(table).to_pyarrow_table().num_rows == COMMITS
    assert sorted(pl.read_delta(table)["name"]) == sorted(map(str, range(COMMITS)))


def test_a_commit_that_is_missing_behind_the_checkpoint_is_refused(folder: Path) -> None:
    (log_of(folder) / f"{10:020d}.json").unlink()
    with pytest.raises(CorruptionError, match=r"commit 10 is missing .*11 is there"):
        CommitLog(log_of(folder)).latest()


def test_older_states_are_made_again_when_they_are_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "MAX_STATES", 2)
    log = CommitLog(log_of(folder))
    for version in (3, 9, 0, 3, 11, 5):
        found = log.at(version)
        assert found is not None
        assert found.files == replayed(folder, version).files
    assert log.at(COMMITS + 1) is None
    assert log_checkpoint.CHECKPOINT_COMMITS > EVERY
