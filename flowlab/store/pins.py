"""Pins: readers say which version of the commit log they still read, so that vacuum spares it.

One small file for each open store that has snapshots; nothing is synced, since after a restart no
reader of before is left. The order of steps makes it safe without a lock. A reader writes its pin,
and then looks whether vacuum's floor has passed it; vacuum raises its floor, and then looks for
pins (as in Dekker's algorithm): one of them sees the other.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from flowlab.store.clock import (
    boot_id,
    boot_ns,
    own_start,
    process_id,
    process_space,
    process_started,
    random_salt,
    wall_ns,
)
from flowlab.store.files import Disk

FOLDER: Final = "pins"
LEASE_NS: Final = 24 * 3600 * 1_000_000_000
"""How long a pin counts after it was last written, where nothing tells if its process lives."""
RENEW_NS: Final = LEASE_NS // 4
MANY: Final = 64
"""Pins among which a reader looks for void ones before it adds its own."""
PRESENT: Final = 1
"""What a process has begun at, where the system does not tell when."""
NUMBERS: Final = ("version", "pid", "started", "boot", "until_ns")
"""What a pin says at least."""


class Pins:
    """The pin of one open store: the oldest version that a snapshot of it still reads."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._folder = root / FOLDER
        self._process = process_id()
        self._disk = disk
        self._lock = threading.Lock()
        self._held: Counter[int] = Counter()
        self._released: deque[int] = deque()
        self._path: Path | None = None
        self._written: tuple[int, int] | None = None

    def hold(self, version: int, holder: object) -> None:
        """Pin a version for as long as an object lives.

        A folder that cannot be written to is passed over: vacuum's retention still holds there.
        """
        with self._lock:
            self._held[version] += 1
            self._write()
        # It runs wherever the collector does: it takes no lock and touches no file.
        weakref.finalize(holder, self._released.append, version).atexit = False

    def close(self) -> None:
        """Take the pin away; a forked child leaves that to its parent."""
        if self._process != process_id():
            return
        with self._lock:
            self._held.clear()
            self._drop()

    def refresh(self) -> None:
        """Write the pin anew where snapshots have ended since it was written."""
        with self._lock:
            self._drain()
            if self._held:
                self._write()
            else:
                self._drop()

    def _drain(self) -> None:
        while self._released:
            version = self._released.popleft()
            self._held[version] -= 1
            if self._held[version] <= 0:
                del self._held[version]

    def _write(self) -> None:
        self._drain()
        oldest = min(self._held)
        now_ns = wall_ns()
        if self._written is not None:
            known, written_ns = self._written
            if known == oldest and now_ns - written_ns < RENEW_NS:
                return
        record = {
            "version": oldest,
            "pid": process_id(),
            "started": own_start(),
            "boot": boot_id(),
            "space": process_space(),
            "until_ns": now_ns + LEASE_NS,
            "until_boot_ns": boot_ns() + LEASE_NS,
        }
        with suppress(OSError):
            if self._path is None:
                if not self._folder.exists():
                    self._disk.mkdir(self._folder)
                elif sum(1 for _ in self._folder.iterdir()) >= MANY:
                    pinned(self._root, self._disk)
                self._path = self._folder / f"{process_id()}-{random_salt():016x}.json"
            _put(self._disk, self._path, record)
            self._written = (oldest, now_ns)

    def _drop(self) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._disk.remove(self._path)
        self._path, self._written = None, None


def pinned(root: Path, disk: Disk) -> dict[int, str]:
    """Return the versions that are pinned, with who holds each; void pins are removed."""
    found: dict[int, str] = {}
    folder = root / FOLDER
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        record = _read(path)
        if record is None:
            continue
        if _counts(path, record, disk):
            found.setdefault(record["version"], f"process {record['pid']}")
        else:
            with suppress(OSError):
                disk.remove(path)
    for path in folder.iterdir() if folder.is_dir() else ():
        if _is_left(path):
            with suppress(OSError):
                disk.remove(path)
    return found


def _is_left(path: Path) -> bool:
    """Say whether a file is a note on a pin that is gone, or a draft of a dead process."""
    if path.suffix == ".seen":
        return not path.with_suffix(".json").exists()
    try:
        # A draft lives for a moment; whoever takes one away too early leaves a reader unpinned.
        return path.suffix == ".new" and wall_ns() - path.stat().st_mtime_ns > LEASE_NS
    except OSError:
        return False


def _read(path: Path, names: tuple[str, ...] = NUMBERS) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_bytes())
        numbers = [record[name] for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if all(type(number) is int for number in numbers) else None


def _counts(path: Path, record: dict[str, Any], disk: Disk) -> bool:
    """Say whether a pin counts; where its process can be asked, no wall clock is."""
    if not record["boot"] or record["boot"] != boot_id():
        # Of another machine, or of before a restart: which cannot be told.
        return _lease_lasts(path, record, disk)
    if record.get("space", process_space()) == process_space():
        started = process_started(record["pid"])
        if started != record["started"]:
            return False
        if started > PRESENT:
            return True
    # Of a container whose processes are not seen from here, or where no process tells its start.
    until_boot_ns = record.get("until_boot_ns")
    if type(until_boot_ns) is not int or not boot_ns():
        return _lease_lasts(path, record, disk)
    return boot_ns() <= until_boot_ns


def _lease_lasts(path: Path, record: dict[str, Any], disk: Disk) -> bool:
    """Say whether a lease lasts by the wall clock, and never longer than one from now on.

    The clock may have been ahead when the pin was written, or be behind: then the lease begins when
    vacuum first sees it, which a note beside the pin tells.
    """
    now_ns, until_ns = wall_ns(), record["until_ns"]
    if until_ns <= now_ns + LEASE_NS:
        return bool(now_ns <= until_ns)
    seen = _read(_note(path), ("until_ns", "seen_ns"))
    if seen is not None and seen["until_ns"] == until_ns and seen["seen_ns"] <= now_ns:
        return bool(now_ns - seen["seen_ns"] <= LEASE_NS)
    with suppress(OSError):
        _put(disk, _note(path), {"until_ns": until_ns, "seen_ns": now_ns})
    return True


def _note(path: Path) -> Path:
    return path.with_suffix(".seen")


def _put(disk: Disk, path: Path, record: dict[str, int]) -> None:
    """Put a small file in the place of another, whole; nothing is synced."""
    scratch = path.with_name(f"{path.stem}-{random_salt():016x}.new")
    descriptor = disk.open_rw(scratch, create=True)
    try:
        disk.write_at(descriptor, json.dumps(record).encode(), 0)
    finally:
        os.close(descriptor)
    disk.rename(scratch, path)
