"""The writer's role: one lock for each commit, and an epoch that fences whoever held it before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flowlab.errors import FencedError, InvalidArgumentError, NotAStoreError
from flowlab.store.clock import process_id, wall_ns
from flowlab.store.files import Disk, lock, read_at, unlock

NAME: Final = "lock"
SIZE: Final = 256


class Role:
    """Who may commit. The role is taken at the first write, and lost when another takes it.

    Attributes:
        epoch: of this writer, 0 before the role is taken.
    """

    def __init__(self, root: Path, disk: Disk, *, timeout_s: float) -> None:
        if type(timeout_s) not in {int, float} or not timeout_s >= 0:
            message = f"lock_timeout_s is {timeout_s!r}; expected a number of seconds, 0 or more"
            raise InvalidArgumentError(message)
        self.epoch = 0
        self._root = root
        self._path = root / NAME
        self._name = str(self._path)  # made once: every commit looks at it
        self._disk = disk
        self.timeout_s = timeout_s
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None
        self._process = 0
        self._record = b""

    def acquire(self, least_epoch: Callable[[], int]) -> bool:
        """Take the commit lock; return whether the role was newly taken. `unlock` ends it.

        Args:
            least_epoch: asked when the role is taken: the highest epoch that the log shows.

        Raises:
            LockedError: another process has held the lock for longer than the timeout.
            FencedError: another writer has taken the role, or the lock file is gone.
        """
        self.hold()
        try:
            record = read_at(self._descriptor, SIZE, 0)
            # The bytes that this writer put there: nobody has been here since.
            if self.epoch and record == self._record:
                return False
            return self._check_or_take(_parse(record), least_epoch)
        except BaseException:
            self.unlock()
            raise

    def hold(self) -> None:
        """Take the commit lock and leave the role with whoever has it. `unlock` ends it.

        Raises:
            LockedError: another process has held the lock for longer than the timeout.
            FencedError: the lock file was removed or replaced.
        """
        if self._descriptor < 0:
            self._open()
        # A lock belongs to the open file, which a child process shares: it must not touch it.
        if self._process != process_id():
            raise self._of_parent()
        lock(self._descriptor, timeout_s=self.timeout_s, holder=self._holder)
        try:
            self._check_file()
        except BaseException:
            self.unlock()
            raise

    def unlock(self) -> None:
        """Give the commit lock back; the role stays."""
        unlock(self._descriptor)

    @property
    def is_mine(self) -> bool:
        """Whether the role was taken, and nobody has taken it since: of one process, at a time."""
        return (
            self.epoch > 0
            and self._process == process_id()
            and read_at(self._descriptor, SIZE, 0) == self._record
        )

    def release(self) -> None:
        """Give the role up without changing anything: the next write takes it again."""
        self.epoch = 0

    def close(self) -> None:
        """Close the lock file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        path = self._path
        try:
            os.close(self._disk.open_rw(path, create=True))
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            message = (
                f"the store {self._root} is not there any more: it was moved or removed; open it "
                "where it is. Nothing of this call was written"
            )
            raise NotAStoreError(message) from error
        self._descriptor = self._disk.open_rw(path)
        made = os.fstat(self._descriptor)
        self._identity = (made.st_dev, made.st_ino)
        self._process = process_id()

    def _check_file(self) -> None:
        # Whoever made a new file of that name would not see this writer's lock, nor it theirs; and
        # what is written by path would go to another store than what is written by descriptor.
        try:
            found = os.stat(self._name)  # noqa: PTH116 - at every commit, of a name made once
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            message = (
                f"the file {NAME!r} of the store {self._root.name!r} was removed or replaced, or "
                "the whole store was, or was moved: it keeps no other writer out; open the store "
                "again. Nothing of this call was written"
            )
            raise FencedError(message)

    def _of_parent(self) -> FencedError:
        return FencedError(
            f"this EventStore writes for process {self._process}, and this is "
            f"{process_id()}: open the store again in the child process"
        )

    def _check_or_take(self, record: dict[str, Any], least_epoch: Callable[[], int]) -> bool:
        if self.epoch == 0:
            self._take(max(int(record.get("epoch", 0)), least_epoch()) + 1)
            return True
        message = (
            f"another writer ({_describe(record)}) has taken over the store: its epoch is "
            f"{record.get('epoch')}, this one's {self.epoch}; open the store again to "
            "write. Nothing of this call was written"
        )
        raise FencedError(message)

    def _take(self, epoch: int) -> None:
        record = {"epoch": epoch, "pid": process_id(), "since_ns": wall_ns()}
        self._record = json.dumps(record).encode().ljust(SIZE)
        self._disk.write_at(self._descriptor, self._record, 0)
        self._disk.sync_data(self._descriptor)
        self.epoch = epoch

    def _holder(self) -> str:
        return f"by {_describe(_parse(read_at(self._descriptor, SIZE, 0)))}"


def _parse(data: bytes) -> dict[str, Any]:
    # Torn or absent, the record says nothing: the caller's least epoch comes from the log.
    try:
        record = json.loads(data or b"{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) and type(record.get("epoch")) is int else {}


def _describe(record: dict[str, Any]) -> str:
    return f"process {record.get('pid', 'unknown')}"
