"""The fear: a clock jumps, and vacuum takes away what is read, or never takes anything again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowlab.errors import NotFoundError
from flowlab.events import Event
from flowlab.store import EventStore, clock, maintenance, pins, sealing, writer

HOUR_NS = 3600 * 10**9
YEARS_NS = 10 * 365 * 24 * HOUR_NS


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.ahead_ns = 0
        self._now = clock.wall_ns

    def __call__(self) -> int:
        return self._now() + self.ahead_ns


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    found = Wall()
    for module in (maintenance, pins, sealing, writer):
        monkeypatch.setattr(module, "wall_ns", found)
    return found


def fill(store: EventStore, rounds: int = 3) -> None:
    for number in range(rounds):
        store.append("w", Event.of("MarkerRecorded", name=str(number)))
        store.seal()


def shown(snapshot: object) -> int:
    return snapshot.sql("SELECT count(*) FROM events").item()  # type: ignore[attr-defined]


@pytest.mark.parametrize("jump_ns", [YEARS_NS, -YEARS_NS])
@pytest.mark.parametrize("when", ["before the pin", "after the pin"])
def test_what_a_live_pin_needs_stays_whichever_way_the_clock_jumps(
    tmp_path: Path, wall: Wall, jump_ns: int, when: str
) -> None:
    with EventStore(tmp_path / "s") as store, EventStore(tmp_path / "s", read_only=True) as reader:
        fill(store)
        if when == "before the pin":
            wall.ahead_ns = jump_ns
        snapshot = reader.as_of(version=2)
        wall.ahead_ns = 0 if when == "before the pin" else jump_ns
        store.compact(full=True)
        for retain in (7 * 24 * HOUR_NS, 0):
            store.vacuum(retain=retain)
            assert shown(snapshot) == 2
        del snapshot
        reader._pins.refresh()
        reader.close()
        assert store.vacuum(retain=0).files == 3
        assert shown(store.snapshot()) == 3


def test_a_pin_of_another_machine_ends_a_day_after_it_was_seen_whatever_it_says(
    tmp_path: Path, wall: Wall
) -> None:
    """Its clock was ahead, or this one's is behind: it counted until that time came."""
    with EventStore(tmp_path / "s") as store:
        fill(store)
        store.compact(full=True)
        record = {"version": 2, "pid": 1, "started": 1, "boot": 1, "until_ns": wall() + HOUR_NS}
        wall.ahead_ns = -YEARS_NS
        pin = tmp_path / "s" / "pins" / "1-other.json"
        pin.parent.mkdir(exist_ok=True)
        pin.write_text(json.dumps(record))
        for _ in range(2):
            assert store.vacuum(retain=0).files == 0
            wall.ahead_ns += 20 * HOUR_NS
        # It was renewed: the day begins again.
        pin.write_text(json.dumps({**record, "until_ns": record["until_ns"] + HOUR_NS}))
        assert store.vacuum(retain=0).files == 0
        wall.ahead_ns += 25 * HOUR_NS
        assert store.vacuum(retain=0).files == 3
        assert not [path for path in pin.parent.iterdir() if path.name.startswith("1-other")]


def test_garbage_of_a_time_when_the_clock_was_ahead_goes_once_it_is_old(
    tmp_path: Path, wall: Wall
) -> None:
    """The log's times never run back: no version since would have been a week old for years."""
    with EventStore(tmp_path / "s") as store:
        fill(store, 1)
        wall.ahead_ns = YEARS_NS
        fill(store, 1)
        wall.ahead_ns = 0
        fill(store, 1)
        store.compact(full=True)
        version = store.snapshot().version
        assert store.vacuum(retain=HOUR_NS).files == 0
        assert shown(store.as_of(version=version - 1)) == 3
        wall.ahead_ns = 2 * HOUR_NS
        assert store.vacuum(retain=HOUR_NS).files == 3
        with pytest.raises(NotFoundError, match="vacuum has let go"):
            store.as_of(version=version - 1)
        assert shown(store.snapshot()) == 3


def test_a_version_is_retained_by_the_time_of_its_commit_where_no_clock_jumped(
    tmp_path: Path, wall: Wall
) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 2)
        wall.ahead_ns = 2 * HOUR_NS
        fill(store, 1)
        store.compact(full=True)
        version = store.snapshot().version
        assert store.vacuum(retain=HOUR_NS).floor == 2
        assert shown(store.as_of(version=2)) == 2
        assert store.snapshot().version == version + 1


def test_a_draft_of_a_pin_that_a_killed_reader_left_goes(tmp_path: Path, wall: Wall) -> None:
    with EventStore(tmp_path / "s") as store:
        fill(store, 1)
        draft = tmp_path / "s" / "pins" / "7-a-b.new"
        draft.parent.mkdir(exist_ok=True)
        draft.write_text("{")
        store.vacuum(retain=0)
        assert draft.exists()  # it may be of a reader that is about to give it its name
        wall.ahead_ns = 25 * HOUR_NS
        store.vacuum(retain=0)
        assert not draft.exists()
