"""All writing goes through a Disk, so that syncs are counted and failures can be injected."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from flowlab.errors import CorruptionError, LockedError
from flowlab.store.clock import monotonic_s, process_id, sleep_s
from flowlab.store.opening import folder_there, opened, told_where_unwritable

if sys.platform != "win32":
    import fcntl
else:
    import msvcrt

BUFFER_BYTES: Final = 1 << 20
LOCK_POLL_S: Final = 0.005
LOCK_TIMEOUT_S: Final = 10.0
"""How long a lock is waited for by default, in seconds."""
HOLDER_BYTES: Final = 32
"""What a lock file holds: the process that has its lock."""


class Disk:
    """The store's view of the operating system; one object for each open store.

    Whatever the store changes, it changes by one of eight primitives: `open_rw`, `write_at`,
    `sync_data`, `sync_directory`, `link`, `rename`, `remove`, `mkdir`. The others are made of
    them, so that a subclass which counts, records or refuses the eight sees everything.

    Attributes:
        data_syncs: how often a file's content was forced to the device.
        directory_syncs: how often a directory was.
        bytes_written: bytes given to the operating system.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> disk = Disk()
        >>> with TemporaryDirectory() as folder:
        ...     disk.replace(Path(folder) / "note", b"durable")
        ...     (Path(folder) / "note").read_bytes()
        b'durable'
        >>> disk.data_syncs, disk.directory_syncs, disk.bytes_written
        (1, 1, 7)
    """

    def __init__(self) -> None:
        self.data_syncs = 0
        self.directory_syncs = 0
        self.bytes_written = 0
        self._settled: set[Path] = set()

    @property
    def serial(self) -> bool:
        """Whether files are written one after the other: a subclass sees calls in one order."""
        return type(self) is not Disk

    # -- the primitives -----------------------------------------------------------------------

    def open_rw(self, path: Path, *, create: bool = False) -> int:
        """Open a file for reading and writing at offsets; return its descriptor."""
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        with told_where_unwritable(path):
            return os.open(path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o644)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """Write all of the bytes at the offset."""
        while data:
            count = _write(descriptor, data, offset)
            self.bytes_written += count
            if count == len(data):
                return  # nearly always, all of it is taken at once
            data, offset = memoryview(data)[count:], offset + count

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

    def begin_sync(self, descriptor: int, offset: int, size: int) -> None:
        """Let the device begin with what a sync will wait for: a hint, where the system takes one.

        It changes nothing, so it is no primitive. Linux begins to write what it is told will not be
        needed; it forgets whole pages only, and none that it is writing.
        """
        if sys.platform == "linux":
            try:  # noqa: SIM105 - at every durable step, and `suppress` takes as long as the rest
                os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)
            except OSError:
                pass

    def sync_directory(self, path: Path) -> None:
        """Force a directory's entries to the device (Windows has no such call)."""
        self.directory_syncs += 1
        if sys.platform == "win32":
            return
        _sync_entries(path)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; fail if that name is taken."""
        os.link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of whatever had that name."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file's name if it is there: nothing refers to it any more."""
        path.unlink(missing_ok=True)

    def mkdir(self, path: Path) -> None:
        """Make one directory; fail if the name is taken."""
        with told_where_unwritable(path):
            path.mkdir()

    # -- what is made of them -----------------------------------------------------------------

    def discard(self, paths: Iterable[Path]) -> None:
        """Remove files that nothing names yet, as far as it goes: on a full disk they fill it."""
        for path in paths:
            with contextlib.suppress(OSError):
                self.remove(path)

    @contextmanager
    def create(self, path: Path) -> Iterator[BinaryIO]:
        """Write a new file; it is durable (but for its directory entry) when the block ends."""
        descriptor = self.open_rw(path, create=True)
        end = _NewFile(self, descriptor)
        try:
            stream = io.BufferedWriter(end, BUFFER_BYTES)
            yield cast("BinaryIO", stream)
            stream.flush()
            self.sync_data(descriptor)
        except OSError:
            # Half a file is of no use, and on a full disk it would keep the disk full.
            with contextlib.suppress(OSError):
                self.remove(path)
            raise
        finally:
            end.is_open = False
            os.close(descriptor)

    def publish(self, path: Path, data: bytes, *, scratch: str) -> int | None:
        """Make a file appear whole and durable, or not at all.

        Returns:
            Its inode; None if a file of that name exists already.

        Linking, unlike renaming, refuses to replace: two writers cannot both win a commit number.
        """
        temporary = path.with_name(f".{path.name}.{scratch}")
        self.remove(temporary)
        with self.create(temporary) as stream:
            stream.write(data)
        try:
            inode = temporary.stat().st_ino
        except FileNotFoundError:
            # Vacuum takes drafts away; where the name is taken, this one was of no use.
            if path.exists():
                return None
            raise
        if not self._appears(temporary, path):
            self.discard([temporary])
            return None
        # Until it is synced the file has two names: so a reader knows that it may be lost yet.
        self.sync_directory(path.parent)
        self.discard([temporary])
        return inode

    def _appears(self, draft: Path, path: Path) -> bool:
        """Give a draft its name; return False if that is taken."""
        try:
            self.link(draft, path)
        except FileExistsError:
            return False
        except OSError:
            # File systems without hard links: the commit lock still excludes a second writer.
            if path.exists():
                return False
            try:
                self.rename(draft, path)
            except OSError:
                self.discard([draft])
                raise
        return True

    def replace(self, path: Path, data: bytes) -> None:
        """Replace a small file's content atomically and durably."""
        temporary = path.with_name(f".{path.name}.new")
        self.remove(temporary)
        with self.create(temporary) as stream:
            stream.write(data)
        try:
            self.rename(temporary, path)
        except IsADirectoryError as error:
            self.discard([temporary])
            raise CorruptionError(folder_there(path)) from error
        self.sync_directory(path.parent)

    def make_directory(self, path: Path) -> None:
        """Make a directory (and its parents); its entry is durable, whoever made it."""
        missing = []
        while not path.exists():
            missing.append(path)
            path = path.parent
        # Who made the deepest one that is there may have been stopped before the sync.
        if path.parent not in self._settled:
            self.sync_directory(path.parent)
            self._settled.add(path.parent)
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                self.mkdir(folder)
            self.sync_directory(folder.parent)
            self._settled.add(folder.parent)


class _NewFile(io.RawIOBase):
    """The end of a new file as a stream, so that libraries write through the disk too."""

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self.is_open = True
        self._disk = disk
        self._descriptor = descriptor
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        count = len(data)
        # What a buffer still holds after an error must not reach whoever has the descriptor next.
        if self.is_open:
            self._disk.write_at(self._descriptor, data, self._size)
        self._size += count
        return count

    def tell(self) -> int:
        return self._size


def read_settled(path: Path) -> bytes:
    """Read a published file, and make sure that it is durable before it is answered from.

    While it has a second name, its writer has not synced the directory yet, or was stopped before.

    Raises:
        FileNotFoundError: it is not there.
        CorruptionError: it cannot be read.
    """
    with opened(path, buffering=0) as stream:
        names = os.fstat(stream.fileno()).st_nlink
        data = stream.read()
    if sys.platform != "win32" and names > 1:
        _sync_entries(path.parent)
    return data


def _sync_entries(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seek_and_write(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, data)


_write: Final = getattr(os, "pwrite", _seek_and_write)
"""Writes at the offset; returns how many bytes were taken."""


def _seek_and_read(descriptor: int, size: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


read_at: Final[Callable[[int, int, int], bytes]] = getattr(os, "pread", _seek_and_read)
"""Reads up to `size` bytes at the offset: (descriptor, size, offset)."""


def lock(
    descriptor: int, *, timeout_s: float, holder: Callable[[], str], what: str = "commit lock"
) -> None:
    """Take the advisory lock of a file; `unlock` gives it back.

    Args:
        descriptor: of the file.
        timeout_s: how long to wait, in seconds.
        holder: names who holds it, for the error.
        what: the lock is, for the error.

    Raises:
        LockedError: another process holds it for longer than the timeout.
    """
    if _try_lock(descriptor):
        return
    deadline = monotonic_s() + timeout_s
    while not _try_lock(descriptor):
        if monotonic_s() >= deadline:
            held = f"has been held for more than {timeout_s:g} s" if timeout_s else "is held"
            message = (
                f"the store's {what} {held} ({holder()}); try again, and if that process hangs, "
                "end it: nothing of this call was written"
            )
            raise LockedError(message)
        sleep_s(LOCK_POLL_S)


@contextmanager
def file_lock(path: Path, disk: Disk, *, timeout_s: float, what: str) -> Iterator[None]:
    """Hold the advisory lock of a file that is made where it is missing and names its holder.

    Args:
        path: of the file; it is never removed.
        disk: to write to.
        timeout_s: how long to wait, in seconds.
        what: the lock is, for the error.

    Raises:
        LockedError: another process, or another holder in this one, has it for longer.
    """
    with contextlib.suppress(FileExistsError):
        os.close(disk.open_rw(path, create=True))
    descriptor = disk.open_rw(path)

    def holder() -> str:
        told = read_at(descriptor, HOLDER_BYTES, 0).decode(errors="replace").strip()
        return f"by process {told or 'unknown'}"

    try:
        lock(descriptor, timeout_s=timeout_s, holder=holder, what=what)
        try:
            disk.write_at(descriptor, str(process_id()).encode().ljust(HOLDER_BYTES), 0)
            yield
        finally:
            unlock(descriptor)
    finally:
        os.close(descriptor)


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
