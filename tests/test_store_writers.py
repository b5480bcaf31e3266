"""The fear: two processes append at once, and one takes the other's place in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowlab.errors import FencedError, PoisonedError
from flowlab.events import Event
from flowlab.store import EventStore
from flowlab.studies.store_writers import QUICK_TURNS, two_writers
from flowlab.testing import Fault, FaultyDisk


def test_of_two_processes_that_decide_on_one_head_one_is_refused_and_all_is_there_once_in_order(
    tmp_path: Path,
) -> None:
    """`flowlab check store.writers` takes many more turns."""
    report = two_writers(tmp_path, same=True, turns=QUICK_TURNS)

    print(report)
    assert report.wrong == []
    assert report.conflicts >= QUICK_TURNS
    assert report.attempts == 2 * QUICK_TURNS + report.conflicts + report.fenced


def test_two_processes_that_append_to_a_stream_each_have_no_conflict(tmp_path: Path) -> None:
    report = two_writers(tmp_path, same=False, turns=QUICK_TURNS)

    print(report)
    assert report.wrong == []
    assert report.conflicts == 0
    assert report.attempts == 2 * QUICK_TURNS + report.fenced


def test_a_writer_that_lost_its_epoch_fails_by_name_whatever_its_stream(tmp_path: Path) -> None:
    event = Event.of("MarkerRecorded")
    with EventStore(tmp_path / "s") as first, EventStore(tmp_path / "s") as second:
        first.append("v", event)
        second.append("w", event)
        for stream in ("v", "w", "x"):
            with pytest.raises(FencedError, match=r"taken over .*: its epoch is 2, this one's 1"):
                first.append(stream, event, expected_version=0)
        second.append("w", event, expected_version=1)
        assert second.snapshot().position == 3


def test_the_head_of_a_stream_is_that_of_the_log_whoever_writes_and_whatever_fails(
    tmp_path: Path,
) -> None:
    event = Event.of("MarkerRecorded")
    with EventStore(tmp_path / "s") as first, EventStore(tmp_path / "s") as second:
        assert first.head("w") == 0
        first.append("w", event)
        assert (first.head("w"), second.head("w"), first.head("v")) == (1, 1, 0)
        second.append("w", event, expected_version=1)
        # What the first one knew of its own commits is old now.
        assert (first.head("w"), second.head("w")) == (2, 2)
        second.truncate("w", upto=2, discard=True)
        second.compact(full=True)
        assert (first.head("w"), second.head("w")) == (2, 2)
    # Its lock, the tail that was left, and then the append: what that was to write is not there.
    disk = FaultyDisk(tmp_path, Fault("sync", nth=3, how="EIO"))
    with EventStore(tmp_path / "s", disk=disk) as broken:
        broken.take_role()
        with pytest.raises(PoisonedError):
            broken.append("w", event)
        assert broken.head("w") == 2
