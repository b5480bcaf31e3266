"""What an append's caller prepares while the device writes is done once, in its own thread."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from flowlab.errors import ConcurrencyError, InvalidArgumentError, PoisonedError
from flowlab.events import Event
from flowlab.store import EventStore
from flowlab.store.files import Disk

MARK = Event.of("MarkerRecorded", name="m")


class Listing(Disk):
    """A disk that lists what is done with files of the tail."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        self.done.append("write")
        super().write_at(descriptor, data, offset)

    def sync_data(self, descriptor: int) -> None:
        self.done.append("sync")
        super().sync_data(descriptor)


def test_it_is_done_between_the_write_and_the_sync(tmp_path: Path) -> None:
    disk = Listing()
    with EventStore(tmp_path, disk=disk) as store:
        store.append("w", MARK)
        for together in (False, True):
            disk.done.clear()
            if together:
                event = MARK.replace(workflow_id="w")
                store.append_together([event], meanwhile=lambda: disk.done.append("prepared"))
            else:
                store.append("w", MARK, meanwhile=lambda: disk.done.append("prepared"))
            assert disk.done == ["write", "prepared", "sync", "write"]


def test_each_of_many_threads_does_its_own_once_before_it_goes_on(tmp_path: Path) -> None:
    found: list[tuple[str, int]] = []
    missed = []

    def appends(name: str) -> None:
        for turn in range(40):
            store.append(name, MARK, meanwhile=lambda: found.append((name, threading.get_ident())))
            if sum(1 for other, _ in found if other == name) != turn + 1:
                missed.append((name, turn))

    with EventStore(tmp_path) as store:
        names = [f"w-{n}" for n in range(6)]
        threads = {name: threading.Thread(target=appends, args=(name,)) for name in names}
        for thread in threads.values():
            thread.start()
        for thread in threads.values():
            thread.join()
    assert not missed
    assert len(found) == 240
    assert {(name, threads[name].ident) for name in names} == set(found)


def test_nothing_is_prepared_for_what_is_refused_and_once_for_what_is_repeated(
    tmp_path: Path,
) -> None:
    done: list[int] = []
    with EventStore(tmp_path) as store:
        with pytest.raises(ConcurrencyError):
            store.append("w", MARK, expected_version=7, meanwhile=lambda: done.append(0))
        assert done == []
        for number in (1, 2):
            result = store.append(
                "w", MARK, idempotency_key="k", meanwhile=lambda n=number: done.append(n)
            )
        assert result.repeated
        assert done == [1, 2]


def test_a_sync_that_fails_after_it_is_an_error_and_nothing_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    done: list[int] = []
    with EventStore(tmp_path) as store:
        store.append("w", MARK)
        monkeypatch.setattr(store.disk, "sync_data", fail)
        with pytest.raises(PoisonedError):
            store.append("w", MARK, meanwhile=lambda: done.append(1))
        assert done == [1]
        assert len(store.read("/workflows/w").events()) == 1


def test_a_caller_who_raises_in_it_stops_the_store_and_leaves_no_gap(tmp_path: Path) -> None:
    def refuse() -> None:
        message = "it must not raise"
        raise InvalidArgumentError(message)

    with EventStore(tmp_path) as store:
        store.append("w", MARK)
        with pytest.raises(InvalidArgumentError):
            store.append("w", MARK, meanwhile=refuse)
        with pytest.raises(PoisonedError):
            store.append("w", MARK)
    with EventStore(tmp_path) as store:
        store.append("w", MARK)
        events = store.read("/workflows/w").events()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
