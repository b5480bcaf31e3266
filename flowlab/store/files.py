"""All writing goes through a Disk, so that syncs are counted and failures can be injected."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flowlab.errors import LockedError
from flowlab.store.clock import monotonic_s, sleep_s

if sys.platform != "win32":
    import fcntl
else:
    import msvcrt

LOCK_POLL_S = 0.005


class Disk:
    """The store's view of the operating system; one object for each open store.

    Attributes:
        data_syncs: how often a file's content was forced to the device.
        directory_syncs: how often a directory was.
        bytes_written: bytes given to the operating system.
    """

    def __init__(self) -> None:
        self.data_syncs = 0
        self.directory_syncs = 0
        self.bytes_written = 0

    def open_rw(self, path: Path, *, create: bool = False) -> int:
        """Open a file for reading and writing at offsets; return its descriptor."""
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        return os.open(path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o644)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of the bytes at the offset."""
        view = memoryview(data)
        while view:
            if hasattr(os, "pwrite"):
                count = os.pwrite(descriptor, view, offset)
            else:
                os.lseek(descriptor, offset, os.SEEK_SET)
                count = os.write(descriptor, view)
            self.bytes_written += count
            offset += count
            view = view[count:]

    def sync_data(self, descriptor: int) -> None:
        """Force a file's content (and its size) to the device."""
        self.data_syncs += 1
        if sys.platform == "darwin":
            # fsync on macOS stops at the drive's cache; F_FULLFSYNC does not.
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        elif hasattr(os, "fdatasync"):
            os.fdatasync(descriptor)
        else:
            os.fsync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Force a directory's entries to the device (Windows has no such call)."""
        self.directory_syncs += 1
        if sys.platform == "win32":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def create(self, path: Path) -> Iterator[BinaryIO]:
        """Write a new file; it is durable (but for its directory entry) when the block ends."""
        try:
            with path.open("xb") as stream:
                yield stream
                stream.flush()
                self.bytes_written += stream.tell()
                self.sync_data(stream.fileno())
        except FileExistsError:
            raise
        except OSError:
            # Half a file is of no use, and on a full disk it would keep the disk full.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def publish(self, path: Path, data: bytes, *, scratch: str) -> bool:
        """Make a file appear whole and durable, or not at all; return False if it exists already.

        Linking, unlike renaming, refuses to replace: two writers cannot both win a commit number.
        """
        temporary = path.with_name(f".{path.name}.{scratch}")
        temporary.unlink(missing_ok=True)
        with self.create(temporary) as stream:
            stream.write(data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:
            # File systems without hard links: the commit lock still excludes a second writer.
            if path.exists():
                return False
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        self.sync_directory(path.parent)
        return True

    def replace(self, path: Path, data: bytes) -> None:
        """Replace a small file's content atomically and durably."""
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        with self.create(temporary) as stream:
            stream.write(data)
        temporary.replace(path)
        self.sync_directory(path.parent)

    def make_directory(self, path: Path) -> None:
        """Make a directory (and its parents) and sync the entries that are new."""
        missing = []
        while not path.exists():
            missing.append(path)
            path = path.parent
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
            self.sync_directory(folder.parent)

    def remove(self, path: Path) -> None:
        """Remove a file that nothing refers to any more."""
        path.unlink(missing_ok=True)


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Read up to `size` bytes at the offset."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def lock(descriptor: int, *, timeout_s: float, holder: Callable[[], str]) -> None:
    """Take the advisory lock of a file; `unlock` gives it back.

    Args:
        descriptor: of the file.
        timeout_s: how long to wait, in seconds.
        holder: names who holds it, for the error.

    Raises:
        LockedError: another process holds it for longer than the timeout.
    """
    if _try_lock(descriptor):
        return
    deadline = monotonic_s() + timeout_s
    while not _try_lock(descriptor):
        if monotonic_s() >= deadline:
            message = (
                f"the store's commit lock has been held for more than {timeout_s:g} s "
                f"({holder()}); if that process hangs, end it and try again: nothing of this call "
                "was written"
            )
            raise LockedError(message)
        sleep_s(LOCK_POLL_S)


if sys.platform != "win32":

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give the advisory lock of a file back."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

else:

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give the advisory lock of a file back."""
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)


def durability_notes() -> list[str]:
    """Say where this platform's durability is weaker than Linux's and macOS's."""
    if sys.platform != "win32":
        return []
    return [
        "Windows has no call to sync a directory: a new file's name may be lost on power failure",
        "Windows renames where hard links are missing: two machines must not share this store",
        "Windows tells no boot from another: a reader may show what a power failure left unsynced",
    ]
