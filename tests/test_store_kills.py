"""The fear: the process is gone at once, wherever it was."""

from __future__ import annotations

from pathlib import Path

from flowlab.store import EventStore
from flowlab.studies.store_kills import _wrong, kill_often


def test_sigkill_at_named_boundaries_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """`flowlab check store.kills` kills at every boundary five times."""
    report = kill_often(tmp_path, kills=12)

    print(report)
    assert report.wrong == []
    assert report.kills >= 12
    assert sum(report.hits.values()) + report.outside == report.kills
    assert sum(hits > 0 for hits in report.hits.values()) >= 8


def test_what_a_kill_could_do_is_told_in_words(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        for name in ("a", "b"):
            store.append("w", {"event_type": "MarkerRecorded", "name": name})
    for lines, words in {
        ("try a", "ack a", "try b"): "",
        ("try a", "ack a", "try b", "ack b", "try c d"): "",
        ("try b", "ack b", "try a", "ack a"): "order",
        ("try a b", "ack a b", "try c", "ack c"): "are gone",
        ("try a", "ack a", "try b c"): "only",
        ("try a", "ack a"): "never appended",
    }.items():
        found = _wrong(tmp_path / "s", list(lines))
        assert words in found
        assert bool(found) == bool(words)
