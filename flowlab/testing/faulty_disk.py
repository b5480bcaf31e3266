"""A disk that refuses: the n-th call of a kind fails, in one of the ways of real disks."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.store import Disk
from flowlab.testing.crash_disk import KINDS, Call, CrashDisk, place

HOWS: Final = ("ENOSPC", "EIO", "EROFS", "short", "stop")


class Stopped(BaseException):
    """The process is gone, as far as the code under test is concerned; no handler may go on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: the n-th call of a kind.

    Args:
        kind: one of `KINDS`, or "any"; with a place behind it ("sync tail/#.log") only there.
        nth: from 1.
        how: "ENOSPC", "EIO" or "EROFS" raise that error ("ENOSPC" of a write after a part of the
            bytes, "EIO" of a sync after it dropped what was to be synced, as Linux does); "short"
            writes in two calls; "stop" raises `Stopped`, there and at each later call.
        lasting: each later call of the kind fails too.

    Raises:
        InvalidArgumentError: an unknown kind or way.
    """

    kind: str = "any"
    nth: int = 1
    how: str = "EIO"
    lasting: bool = False

    def __post_init__(self) -> None:
        if self.how not in HOWS or not self.kind.startswith((*KINDS, "any")) or self.nth < 1:
            message = (
                f"{self} is no fault; expected a kind of {', '.join(KINDS)} or any, nth from 1, "
                f"and how of {', '.join(HOWS)}"
            )
            raise InvalidArgumentError(message)

    def meets(self, kind: str, where: str) -> bool:
        """Whether a call is of the kind."""
        return self.kind in {"any", kind} or self.kind == f"{kind} {where}"


class FaultyDisk(CrashDisk):
    """A disk on which one call, or each from one on, fails.

    Args:
        root: the folder.
        fault: which call fails, and how.

    Attributes:
        hits: how often it failed, by boundary.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     disk = FaultyDisk(Path(folder), Fault("sync", how="EIO"))
        ...     try:
        ...         disk.replace(Path(folder) / "note", b"new")
        ...     except OSError as error:
        ...         print(error.strerror, disk.hits)
        Input/output error {'sync .note.new': 1}
    """

    def __init__(self, root: Path, fault: Fault) -> None:
        super().__init__(root)
        self.fault = fault
        self.hits: dict[str, int] = {}
        self._met = 0
        self._stopped = False

    def before(self, kind: str, name: str) -> None:
        """Fail here, if the fault says so."""
        if self._strikes(kind, name):
            self._fail(name)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """Write; a fault may let a part of the bytes through."""
        _, name = self._files[descriptor]
        if not self._strikes("write", name):
            self._write(descriptor, bytes(data), offset)
            return
        half = len(data) // 2
        if self.fault.how in {"ENOSPC", "short"} and half:
            self._write(descriptor, bytes(data[:half]), offset)
        if self.fault.how != "short":
            self._fail(name)
        self._write(descriptor, bytes(data[half:]), offset + half)

    def sync_data(self, descriptor: int) -> None:
        """Sync; an error of it loses what was written since the last one."""
        node, name = self._files[descriptor]
        if not self._strikes("sync", name):
            self.data_syncs += 1
            self._record(Call("sync", name, node))
            return
        if self.fault.how == "EIO":
            self._record(Call("drop", name, node))
            durable = self._now.contents[node] or b""
            os.ftruncate(descriptor, len(durable))
            Disk.write_at(self, descriptor, durable, 0)
        if self.fault.how != "short":
            self._fail(name)

    def _strikes(self, kind: str, name: str) -> bool:
        if self._stopped:
            raise Stopped
        where = place(name)
        if not self.fault.meets(kind, where):
            return False
        self._met += 1
        if self._met != self.fault.nth and not (self.fault.lasting and self._met > self.fault.nth):
            return False
        self.hits[f"{kind} {where}"] = self.hits.get(f"{kind} {where}", 0) + 1
        return True

    def _fail(self, name: str) -> None:
        if self.fault.how == "stop":
            self._stopped = True
            raise Stopped
        number = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}.get(
            self.fault.how
        )
        if number is not None:
            raise OSError(number, os.strerror(number), name)
