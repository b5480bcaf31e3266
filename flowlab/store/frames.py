"""Write-ahead frames: one commit is one frame, so a torn write can only be the last one.

File header, 40 bytes: magic "FLTAIL01", format (u32), file number (u32), salt (u64), first
position (i64), CRC-32 of the bytes before it (u32), padding. Frame, 8-byte aligned: magic "FLFR"
(u32), body length (u32), number (u64), first position (i64), CRC-32 over salt, number, first
position, length and body (u32), padding (u32), body, zeros up to the next multiple of 8. Integers
are little-endian. The rest of a preallocated file is zeros.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import msgspec

from flowlab.errors import CorruptionError, FormatVersionError
from flowlab.events import UNSTAMPED, Event, RunInfo

FORMAT: Final = 1
_PADDING: Final = tuple([bytes(size) for size in range(8)])
FILE_MAGIC: Final = b"FLTAIL01"
FRAME_MAGIC: Final = b"FLFR"
FILE_HEADER: Final = struct.Struct("<8sIIQqI4x")
FRAME_HEADER: Final = struct.Struct("<4sIQqI4x")
_SEALED_FIELDS: Final = struct.Struct("<QQqI")
MAX_FRAME_BYTES: Final = 256 * 1024 * 1024


class Transaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one call committed to one stream, whole or not at all.

    The events are kept as they were given; `filled` puts in what the commit gave them.

    Args:
        namespace, run_id, workflow_id: the stream.
        first_sequence: of the first event; the others follow without gaps.
        first_position: likewise.
        ticks: the agent_sequence of each event.
        events: as given, MessagePack; empty for a transaction that only records runs.
        key: the idempotency key.
        fingerprint: SHA-256 of the events as given, where there is a key.
        runs: metadata recorded.
    """

    namespace: str
    run_id: str
    workflow_id: str
    first_sequence: int
    first_position: int
    ticks: list[int]
    events: msgspec.Raw
    key: str | None = None
    fingerprint: bytes | None = None
    runs: list[RunInfo] = []

    def filled(self, committed_ns: int) -> list[Event]:
        """Return the events with their place, lane tick and time."""
        events = _EVENTS.decode(self.events)
        put = msgspec.structs.force_setattr  # these objects are this method's own until returned
        for index, (event, tick) in enumerate(zip(events, self.ticks, strict=True)):
            put(event, "namespace", self.namespace)
            put(event, "run_id", self.run_id)
            put(event, "workflow_id", self.workflow_id)
            put(event, "sequence", self.first_sequence + index)
            put(event, "position", self.first_position + index)
            put(event, "agent_sequence", tick)
            if not event.agent_id:
                put(event, "agent_id", self.workflow_id)
            if event.time_ns == UNSTAMPED:
                put(event, "time_ns", committed_ns)
        return events


class Commit(msgspec.Struct, frozen=True, array_like=True):
    """The body of a frame: the transactions that shared one sync."""

    epoch: int
    committed_ns: int
    transactions: list[Transaction]


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame found in a tail file."""

    number: int
    first_position: int
    offset: int
    end: int
    body: bytes

    def commit(self) -> Commit:
        """Decode the body.

        Raises:
            CorruptionError: the checksum holds but the content is not a commit of this format.
        """
        try:
            return _DECODER.decode(self.body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            message = f"the frame at offset {self.offset} holds no commit: {error}"
            raise CorruptionError(message) from error


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Commit)
_EVENTS: Final = msgspec.msgpack.Decoder(list[Event])


def encode_events(events: list[Event]) -> bytes:
    """Encode a batch of events as given."""
    return _ENCODER.encode(events)


def decode_events(data: bytes) -> list[Event]:
    """Decode a batch of events."""
    return _EVENTS.decode(data)


def encode_commit(commit: Commit) -> bytes:
    """Encode a frame's body."""
    return _ENCODER.encode(commit)


def encode_frame(body: bytes, *, number: int, first_position: int, salt: int) -> bytes:
    """Build a frame, padded to a multiple of 8."""
    crc = _crc(body, number, first_position, salt)
    size = len(body)
    header = FRAME_HEADER.pack(FRAME_MAGIC, size, number, first_position, crc)
    return b"".join((header, body, _PADDING[-size % 8]))


def encode_file_header(*, number: int, salt: int, first_position: int) -> bytes:
    """Build the header of a tail file."""
    head = struct.pack("<8sIIQq", FILE_MAGIC, FORMAT, number, salt, first_position)
    return FILE_HEADER.pack(FILE_MAGIC, FORMAT, number, salt, first_position, zlib.crc32(head))


def decode_file_header(data: bytes, *, where: str) -> tuple[int, int, int] | None:
    """Return (number, salt, first_position), or None where the header was never whole.

    Raises:
        CorruptionError: the header is damaged and frames follow.
        FormatVersionError: the file is of a newer format.
    """
    if len(data) < FILE_HEADER.size:
        return None
    magic, version, number, salt, first_position, crc = FILE_HEADER.unpack_from(data)
    if magic != FILE_MAGIC or zlib.crc32(data[:32]) != crc:
        if FRAME_MAGIC not in data[FILE_HEADER.size :]:
            return None
        message = f"{where}: the file header at offset 0 is damaged and frames follow it"
        raise CorruptionError(message)
    if version > FORMAT:
        message = f"{where}: tail format {version} is newer than this flowlab reads ({FORMAT})"
        raise FormatVersionError(message)
    return number, salt, first_position


def scan(
    data: bytes, *, salt: int, start: int, end: int | None = None, base: int = 0, where: str
) -> list[Frame]:
    """Return the whole frames from `start`, in order, up to the first that is not whole.

    Args:
        data: the file's bytes from offset `base` on; `start` and `end` count from there too.
        salt: the file's salt.
        start: offset of the first frame.
        end: the durable watermark: frames beyond it are not looked at.
        base: where `data` begins in the file.
        where: the file's name, for errors.

    Raises:
        CorruptionError: a frame is damaged and a good one follows it, or the damage lies below
            the watermark.
    """
    frames: list[Frame] = []
    offset = start
    limit = len(data) if end is None else end
    while offset < limit:
        frame = _frame_at(data, offset, salt)
        if frame is None:
            break
        frames.append(frame)
        offset = frame.end
    if end is not None:
        if offset < end:
            message = f"{where}: the frame at offset {base + offset} is damaged, and was committed"
            raise CorruptionError(message)
        return frames
    later = _next_frame(data, offset, salt)
    if later is not None:
        message = (
            f"{where}: the frame at offset {base + offset} is damaged, but a good one follows at "
            f"{base + later.offset}; restore the file from a copy, or cut it off at "
            f"{base + offset} to keep only what is before"
        )
        raise CorruptionError(message)
    return frames


def _frame_at(data: bytes, offset: int, salt: int) -> Frame | None:
    if offset + FRAME_HEADER.size > len(data):
        return None
    magic, length, number, first_position, crc = FRAME_HEADER.unpack_from(data, offset)
    start = offset + FRAME_HEADER.size
    if magic != FRAME_MAGIC or length > MAX_FRAME_BYTES or start + length > len(data):
        return None
    body = bytes(data[start : start + length])
    if _crc(body, number, first_position, salt) != crc:
        return None
    return Frame(number, first_position, offset, start + length + (-length % 8), body)


def _next_frame(data: bytes, offset: int, salt: int) -> Frame | None:
    place = data.find(FRAME_MAGIC, offset + 1)
    while place != -1:
        frame = _frame_at(data, place, salt) if place % 8 == 0 else None
        if frame is not None:
            return frame
        place = data.find(FRAME_MAGIC, place + 1)
    return None


def _crc(body: bytes, number: int, first_position: int, salt: int) -> int:
    return zlib.crc32(
        body, zlib.crc32(_SEALED_FIELDS.pack(salt, number, first_position, len(body)))
    )
