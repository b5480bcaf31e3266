"""The tail: the newest commits, in preallocated write-ahead files with a durable watermark."""

from __future__ import annotations

import contextlib
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from flowlab.errors import CorruptionError, LimitError, PoisonedError
from flowlab.events import grouped
from flowlab.store.clock import boot_id, random_salt
from flowlab.store.files import Disk
from flowlab.store.frames import (
    FILE_HEADER,
    MAX_FRAME_BYTES,
    Frame,
    decode_file_header,
    encode_file_header,
    encode_frame,
    scan,
)
from flowlab.store.opening import FULL_DISK, opened, read_file

PREALLOCATED_BYTES: Final = 1 << 20
GROWTH_BYTES: Final = 1 << 18
SALT_BITS: Final = 32
"""Lower bits of a salt that are random; the upper ones are the mark of the store."""
WATERMARK_NAME: Final = "watermark"
_WATERMARK: Final = struct.Struct("<8sIIQqI4x")
_WATERMARK_HEAD: Final = struct.Struct("<8sIIQq")
_WATERMARK_MAGIC: Final = b"FLMARK01"


class Watermark(msgspec.Struct, frozen=True):
    """Up to where the tail is durable, as of a boot: beyond it nothing may be shown."""

    boot: int
    file: int
    offset: int
    position: int

    def encode(self) -> bytes:
        """Return the 40 bytes of the file."""
        fields = (_WATERMARK_MAGIC, self.boot, self.file, self.offset, self.position)
        return _WATERMARK.pack(*fields, zlib.crc32(_WATERMARK_HEAD.pack(*fields)))

    @classmethod
    def decode(cls, data: bytes) -> Watermark | None:
        """Return the watermark, or None where the bytes are torn or absent."""
        if len(data) < _WATERMARK.size:
            return None
        magic, boot, file, offset, position, crc = _WATERMARK.unpack_from(data)
        if magic != _WATERMARK_MAGIC or zlib.crc32(data[:32]) != crc:
            return None
        return cls(boot, file, offset, position)


def tail_path(folder: Path, number: int) -> Path:
    """Return the path of a tail file."""
    return folder / f"{number:08d}.log"


def tail_numbers(folder: Path) -> list[int]:
    """Return the numbers of the tail files present, in order."""
    return sorted(int(path.stem) for path in folder.glob("[0-9]*.log") if path.stem.isdigit())


def read_watermark(folder: Path) -> Watermark | None:
    """Read the watermark; it is published by a plain write, so a torn read is tried again."""
    for _ in range(3):
        try:
            data = read_file(folder / WATERMARK_NAME)
        except FileNotFoundError:
            return None
        mark = Watermark.decode(data)
        if mark is not None:
            return mark
    return None


def missing_bytes(folder: Path, number: int) -> int:
    """Return how many committed bytes a cut-off tail file lacks, as far as this boot can tell."""
    committed = committed_bytes(folder, number)
    if not committed:
        return 0
    try:
        size = tail_path(folder, number).stat().st_size
    except FileNotFoundError:
        size = 0
    return max(0, committed - size)


def committed_bytes(folder: Path, number: int) -> int:
    """Return up to where a tail file is synced, 0 where this boot cannot tell."""
    mark = read_watermark(folder)
    if mark is None or mark.file != number or mark.boot != boot_id() or not mark.boot:
        return 0
    return mark.offset


def tail_is_begun(folder: Path, number: int, *, version: int) -> bool:
    """Say whether the tail file that the newest commit names is there; it must be the newest.

    Only a store that was never written to has none. A watermark is written after the commit that
    begins its file, so one of a later file means that commits are gone.

    Raises:
        CorruptionError: the file or later commits are missing.
    """
    mark = read_watermark(folder)
    path = tail_path(folder, number)
    if mark is not None and mark.file > number:
        message = (
            f"tail/{WATERMARK_NAME} names file {mark.file}, but the newest commit that is there, "
            f"{version}, names file {number}: later commits are missing from workflows/_delta_log; "
            "restore them from a copy"
        )
        raise CorruptionError(message)
    begun = path.exists()
    if not begun and (version > 0 or mark is not None):
        message = (
            f"tail/{path.name} is missing, and with it every event that was not sealed; restore it "
            "from a copy, or put an empty file in its place to go on without them"
        )
        raise CorruptionError(message)
    return begun


def read_tail(
    folder: Path, number: int, *, all_whole: bool = False, owner: int | None = None
) -> list[Frame]:
    """Return the durable frames of the tail file `number`.

    Within the boot that wrote the watermark, frames end at it. After a restart the page cache is
    gone, so every whole frame on disk is durable: then, and for a writer that is about to sync
    (`all_whole`), the file itself decides. A file that was cut off gives the whole frames before
    the cut, with a warning.

    Raises:
        CorruptionError: a damaged frame is followed by a good one, or lies below the watermark; the
            file is of another store than the one of the mark `owner`.
    """
    committed = committed_bytes(folder, number)
    path = tail_path(folder, number)
    try:
        with opened(path) as stream:
            # A tail file is made at its full size: most of it may be empty still.
            data = stream.read(committed if committed and not all_whole else -1)
    except FileNotFoundError:
        return []
    header = decode_file_header(data, where=path.name)
    if len(data) < committed:
        message = (
            f"{path.name} is cut off at {len(data)} bytes, but {committed} were committed: "
            "what is gone is lost, and what is whole before it is shown"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        committed = 0
    if header is None:
        if committed > FILE_HEADER.size:
            message = f"{path.name}: the file header is gone, but {committed} bytes were committed"
            raise CorruptionError(message)
        return []
    if owner is not None and header[1] >> SALT_BITS != owner:
        message = (
            f"{path.name} is of another store: its salt does not begin with the mark of this one; "
            "put this store's own file back"
        )
        raise CorruptionError(message)
    end = committed if committed and not all_whole else None
    frames = scan(data, salt=header[1], start=FILE_HEADER.size, end=end, where=path.name)
    reached = frames[-1].end if frames else FILE_HEADER.size
    if reached < committed:
        message = f"{path.name}: the frame at offset {reached} is damaged, and was committed"
        raise CorruptionError(message)
    return frames


@dataclass(frozen=True, slots=True)
class NewTail:
    """A tail file that is ready and not yet in use."""

    descriptor: int
    number: int
    salt: int


class TailWriter:
    """The open end of the tail: one frame and one sync for each commit.

    Attributes:
        number: of the file.
        offset: where its next frame goes.
    """

    def __init__(self, folder: Path, disk: Disk, *, owner: int | None = None) -> None:
        self.folder = folder
        self._disk = disk
        self._owner = owner
        self._descriptor = -1
        self._mark_descriptor = -1
        self._poisoned: str | None = None
        self.number = 0
        self._salt = 0
        self.offset = 0
        self._allocated = 0
        self._frame_number = 0

    def create(self, number: int, *, first_position: int) -> None:
        """Begin a tail file and write to it from now on."""
        self.adopt(self.prepare(number, first_position=first_position), first_position - 1)

    def prepare(self, number: int, *, first_position: int) -> NewTail:
        """Make a tail file, durable with its directory entry, without writing to it yet."""
        path = tail_path(self.folder, number)
        self._disk.remove(path)
        salt = random_salt()
        if self._owner is not None:
            salt = self._owner << SALT_BITS | salt & (1 << SALT_BITS) - 1
        descriptor = self._disk.open_rw(path, create=True)
        try:
            header = encode_file_header(number=number, salt=salt, first_position=first_position)
            self._disk.write_at(descriptor, header.ljust(PREALLOCATED_BYTES, b"\0"), 0)
            self._disk.sync_data(descriptor)
            self._disk.sync_directory(self.folder)
        except BaseException:
            os.close(descriptor)
            raise
        return NewTail(descriptor, number, salt)

    def adopt(self, new: NewTail, position: int) -> None:
        """Write to a prepared file from now on."""
        self._close_file()
        self._descriptor, self.number, self._salt = new.descriptor, new.number, new.salt
        self.offset, self._allocated = FILE_HEADER.size, PREALLOCATED_BYTES
        self._frame_number = 0
        self.publish(position)

    def resume(self, number: int) -> list[Frame]:
        """Open an existing tail file for writing: sync what it holds, clear what was torn.

        Its maker may have been stopped before its directory was synced. The scanned frames are
        synced before the watermark moves, so nothing is shown that a power failure could still
        take back.
        """
        self._close_file()
        path = tail_path(self.folder, number)
        frames = read_tail(self.folder, number, all_whole=True, owner=self._owner)
        data_size = path.stat().st_size
        end = frames[-1].end if frames else FILE_HEADER.size
        synced = committed_bytes(self.folder, number)
        with opened(path) as stream:
            header = decode_file_header(stream.read(FILE_HEADER.size), where=path.name)
            stream.seek(synced)
            unsure = stream.read(max(0, end - synced))
        if header is None:
            return []
        self._descriptor = self._disk.open_rw(path)
        self.number, self._salt, self.offset = number, header[1], end
        self._frame_number = frames[-1].number if frames else 0
        self._allocated = max(data_size, end)
        # What a sync failed to write is read as before, and no later sync writes it: it is written
        # anew, or the frames after it would be lost behind the gap.
        rest = unsure + bytes(self._allocated - end)
        self._disk.write_at(self._descriptor, rest, end - len(unsure))
        self._disk.sync_data(self._descriptor)
        self._disk.sync_directory(self.folder)
        return frames

    @property
    def is_open(self) -> bool:
        """Whether a file is open for writing."""
        return self._descriptor >= 0

    def write(
        self,
        body: bytes,
        first_position: int,
        last_position: int,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Commit one frame: when this returns, it is durable and readers may see it.

        Args:
            body: of the frame.
            first_position: of its events.
            last_position: likewise.
            meanwhile: called while the device writes.

        Raises:
            PoisonedError: the write or its sync failed, now or earlier.
            LimitError: the frame is larger than `MAX_FRAME_BYTES`.
        """
        if self._poisoned:
            raise self.poisoned()
        if len(body) > MAX_FRAME_BYTES:
            message = (
                f"the batch takes {grouped(len(body))} bytes; one commit holds at most "
                f"MAX_FRAME_BYTES ({grouped(MAX_FRAME_BYTES)}): split it, or use append_log"
            )
            raise LimitError(message)
        disk, descriptor, offset = self._disk, self._descriptor, self.offset
        number = self._frame_number + 1
        frame = encode_frame(body, number=number, first_position=first_position, salt=self._salt)
        end = offset + len(frame)
        if end > self._allocated:
            # The zeros after the frame ride on its own sync: growing costs no second one.
            frame = frame + bytes(GROWTH_BYTES)
        try:
            disk.write_at(descriptor, frame, offset)
            if meanwhile is not None:
                disk.begin_sync(descriptor, offset, len(frame))
                self._call(meanwhile)
            # What can be done before the sync is: the same code takes longer after it.
            mark = Watermark(boot_id(), self.number, end, last_position).encode()
            allocated = max(self._allocated, offset + len(frame))
            disk.sync_data(descriptor)
        except OSError as error:
            room = "make room, and " if error.errno in FULL_DISK else ""
            self._poisoned = (
                f"writing {tail_path(self.folder, self.number).name} failed: {error}; what is "
                "durable is unknown, and a second sync would hide it: "
                f"{room}open the store again"
            )
            raise PoisonedError(self._poisoned) from error
        self._allocated, self.offset, self._frame_number = allocated, end, number
        try:
            self._put(mark)
        except OSError as error:
            self.poison(
                f"the commit is on disk, but {WATERMARK_NAME} could not be written ({error}), "
                "so that no reader sees it yet"
            )
            self.check()

    def check(self) -> None:
        """Raise PoisonedError if an earlier write or sync failed."""
        if self._poisoned:
            raise self.poisoned()

    @property
    def is_poisoned(self) -> bool:
        """Whether every further write is refused."""
        return self._poisoned is not None

    def poisoned(self) -> PoisonedError:
        """Return the error that says why nothing more is written."""
        return PoisonedError(self._poisoned)

    def poison(self, reason: str) -> None:
        """Refuse every further write: what is durable is unknown."""
        self._poisoned = self._poisoned or f"{reason}; open the store again"

    def _call(self, meanwhile: Callable[[], None]) -> None:
        try:
            meanwhile()
        except BaseException as error:
            # The frame may survive or not: whoever opens the store again finds out.
            self.poison(f"{type(error).__name__} was raised while a commit was being synced")
            raise

    def publish(self, position: int) -> None:
        """Move the watermark to the end of what is synced."""
        self._put(Watermark(boot_id(), self.number, self.offset, position).encode())

    def _put(self, mark: bytes) -> None:
        if self._mark_descriptor < 0:
            path = self.folder / WATERMARK_NAME
            with contextlib.suppress(FileExistsError):
                os.close(self._disk.open_rw(path, create=True))
            self._mark_descriptor = self._disk.open_rw(path)
        self._disk.write_at(self._mark_descriptor, mark, 0)

    def close(self) -> None:
        """Close the files; everything committed is durable already."""
        self._close_file()
        if self._mark_descriptor >= 0:
            os.close(self._mark_descriptor)
        self._mark_descriptor = -1

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
