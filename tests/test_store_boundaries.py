"""The fear: the process dies, or the power fails, between any two changes of the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from boundaries import check_every_boundary

from flowlab.store import EventStore
from flowlab.studies.store_faults import Drive, drive
from flowlab.studies.store_operations import TABLE
from flowlab.testing import CrashDisk, DiskState

SIMPLE = {
    "creation": 30,
    "append": 10,
    "group commit": 10,
    "record_run": 10,
    "seal": 25,
    "seal of a full tail": 30,
    "bulk append": 40,
}
"""Boundaries that an operation has at least: that it is driven through them, and not past them."""

TWICE = {"creation", "seal"}
"""Where the process also dies, is followed by another, and then the power fails."""


@pytest.mark.parametrize("name", SIMPLE)
def test_a_stop_at_every_boundary_loses_nothing_acknowledged_and_shows_nothing_half(
    name: str,
) -> None:
    """`flowlab check store.boundaries` looks at many more states of each boundary."""
    check_every_boundary(name, least=SIMPLE[name], twice=name in TWICE)


def test_a_commit_that_was_never_synced_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer died between naming a commit and syncing the name; the next one built on it.

    The next writer saw the commit, removed the tail that it seals and acknowledged an append; then
    the power failed, and with the name of the commit all of that was gone. A disk that forgets to
    sync `_delta_log` when a store is opened for writing shows that the driver finds it.
    """
    sync, check = CrashDisk.sync_directory, Drive.check

    def forgetful(self: CrashDisk, path: Path) -> None:
        just_named = bool(self.trace) and self.trace[-1].kind in {"link", "remove"}
        if path.name != "_delta_log" or just_named:
            sync(self, path)

    def check_the_second(self: Drive, state: DiskState) -> None:
        if state.again:
            check(self, state)

    monkeypatch.setattr(CrashDisk, "sync_directory", forgetful)
    monkeypatch.setattr(Drive, "check", check_the_second)
    with pytest.raises(AssertionError, match="expected one of") as caught:
        drive(TABLE["seal"], limit=2, thorough=False)
    assert "link s/workflows/_delta_log" in caught.value.__notes__[0]


def test_a_store_whose_making_was_stopped_reads_as_empty(tmp_path: Path) -> None:
    """Without its first commit it was at version -1, below each floor: reading never returned."""
    EventStore(tmp_path / "s").close()
    (tmp_path / "s" / "workflows" / "_delta_log" / "00000000000000000000.json").unlink()
    with EventStore(tmp_path / "s", read_only=True) as store:
        assert store.snapshot().position == 0
        assert store.verify().ok
