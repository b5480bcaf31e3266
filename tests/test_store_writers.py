"""The fear: two processes append at once, and one takes the other's place in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowlab.errors import FencedError
from flowlab.events import Event
from flowlab.store import EventStore
from flowlab.studies.store_writers import QUICK_TURNS, two_writers


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
