"""A sync that failed, on a file system that forgets what it could not write and still reads it.

So do ext4 and others: the error is told once, the pages count as clean, and the next sync has
nothing to do. A frame that was seen there was taken for durable by whoever opened the store again;
what was acknowledged behind it was lost with it when the power failed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowlab.errors import PoisonedError
from flowlab.events import Event
from flowlab.store import EventStore
from flowlab.store.files import Disk
from flowlab.testing import restarted


class Forgetful(Disk):
    """Keeps what is on the device of each file, and forgets what a failed sync should write."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.unsynced: dict[int, list[tuple[int, bytes]]] = {}
        self.device: dict[int, bytearray] = {}

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        super().write_at(descriptor, data, offset)
        node = os.fstat(descriptor).st_ino
        self.unsynced.setdefault(node, []).append((offset, bytes(data)))

    def sync_data(self, descriptor: int) -> None:
        node = os.fstat(descriptor).st_ino
        written = self.unsynced.pop(node, [])
        if self.fails:
            self.fails = False
            raise OSError(5, "Input/output error")
        super().sync_data(descriptor)
        held = self.device.setdefault(node, bytearray())
        for offset, data in written:
            held.extend(bytes(max(0, offset + len(data) - len(held))))
            held[offset : offset + len(data)] = data

    def lose_power(self, path: Path) -> None:
        """Leave of a file what is on the device."""
        path.write_bytes(self.device[path.stat().st_ino])


def named(name: str) -> Event:
    return Event.of("MarkerRecorded", name=name)


@pytest.mark.parametrize("marked", [True, False], ids=["watermark", "no watermark"])
@pytest.mark.parametrize("times", [1, 3])
def test_what_is_acknowledged_after_a_failed_sync_outlives_the_next_power_failure(
    tmp_path: Path, times: int, *, marked: bool
) -> None:
    disk = Forgetful()
    with EventStore(tmp_path, disk=disk) as store:
        store.append("w", named("before"))
        disk.fails = True
        with pytest.raises(PoisonedError, match="open the store again"):
            store.append("w", named("unsure"))
    for _ in range(1, times):
        disk.fails = True
        with EventStore(tmp_path, disk=disk) as store, pytest.raises(OSError, match="output error"):
            store.append("w", named("not yet"))
    if not marked:
        (tmp_path / "tail" / "watermark").unlink()
    with EventStore(tmp_path, disk=disk) as store:
        store.append("w", named("after"))
    disk.lose_power(next((tmp_path / "tail").glob("*.log")))
    with restarted(), EventStore(tmp_path) as store:
        assert store.verify().ok
        names = [event.name for event in store.read("/workflows/w/events").events()]
    assert names == ["before", "unsure", "after"]
