"""State files: a container with magic, version and CRC around a body that is nobody's business.

Checkpoints, snapshots of aggregates and materialized projections are one each. A file is written
whole under another name, synced and renamed, its directory synced; docs/format.md has its bytes.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from flowlab.errors import CorruptionError, FormatVersionError, InvalidArgumentError, LimitError
from flowlab.events import encode_json, grouped
from flowlab.store.clock import random_salt
from flowlab.store.files import Disk
from flowlab.store.opening import read_file

MAGIC: Final = b"FLSTATE1"
FORMAT: Final = 1
SUFFIX: Final = ".state"
"""How the name of a state file ends."""
MAX_STATE_BYTES: Final = 1 << 30
"""Largest body of a state file."""
MAX_TRIES: Final = 3
"""Drafts of a state file that are written, where vacuum takes them away."""
CHECKPOINT: Final = 1
AGGREGATE: Final = 2
PROJECTION: Final = 3
KINDS: Final = {CHECKPOINT: "checkpoint", AGGREGATE: "aggregate", PROJECTION: "projection"}
_FIELDS: Final = struct.Struct("<8sIIIQ")
_SUMS: Final = struct.Struct("<II")
HEADER_BYTES: Final = _FIELDS.size + _SUMS.size


@dataclass(frozen=True, slots=True)
class Container:
    """What a state file holds.

    Args:
        kind: one of `KINDS`.
        meta: a JSON object that says whose state it is, and after which event.
        body: the state.
    """

    kind: int
    meta: dict[str, Any]
    body: bytes

    def __repr__(self) -> str:
        return f"Container({KINDS[self.kind]}, {len(self.body)} bytes)"


def encode_container(content: Container) -> bytes:
    """Return the bytes of a state file.

    Raises:
        InvalidArgumentError: the body is not bytes, or the meta data no JSON.
        LimitError: the body is larger than `MAX_STATE_BYTES`.

    Example:
        >>> data = encode_container(Container(CHECKPOINT, {"sequence": 7}, b"state"))
        >>> decode_container(data, where="here", kind=CHECKPOINT).body
        b'state'
    """
    body = content.body
    if not isinstance(body, bytes):
        message = f"the state is a {type(body).__name__}; expected bytes: encode it first"
        raise InvalidArgumentError(message)
    if len(body) > MAX_STATE_BYTES:
        message = (
            f"the state takes {grouped(len(body))} bytes; MAX_STATE_BYTES is "
            f"{grouped(MAX_STATE_BYTES)}: keep large data outside, and its address in the state"
        )
        raise LimitError(message)
    meta = encode_json(content.meta)
    fields = _FIELDS.pack(MAGIC, FORMAT, content.kind, len(meta), len(body))
    sums = _SUMS.pack(zlib.crc32(fields), zlib.crc32(body, zlib.crc32(meta)))
    return b"".join((fields, sums, meta, body))


def decode_container(data: bytes, *, where: str, kind: int) -> Container:
    """Read the bytes of a state file.

    Args:
        data: the whole file.
        where: the file's name, for errors.
        kind: what is expected.

    Raises:
        CorruptionError: it is torn or damaged, or holds something else.
        FormatVersionError: a newer flowlab wrote it.
    """
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        message = f"{where} is no state file: it has {len(data)} bytes and begins {data[:8]!r}"
        raise CorruptionError(message)
    _, version, found, meta_bytes, body_bytes = _FIELDS.unpack_from(data)
    head_crc, crc = _SUMS.unpack_from(data, _FIELDS.size)
    if zlib.crc32(data[: _FIELDS.size]) != head_crc:
        message = f"{where} is damaged: its header does not have the CRC-32 that stands in it"
        raise CorruptionError(message)
    if version > FORMAT:
        message = (
            f"{where} has state format {version}; this flowlab reads up to {FORMAT}: use a newer "
            "one"
        )
        raise FormatVersionError(message)
    whole = HEADER_BYTES + meta_bytes + body_bytes
    if len(data) != whole or zlib.crc32(data[HEADER_BYTES:]) != crc:
        message = f"{where} is damaged: {len(data)} of {whole} bytes, or not the CRC-32 in it"
        raise CorruptionError(message)
    if found != kind:
        message = f"{where} holds a {KINDS.get(found, found)}; expected a {KINDS[kind]}"
        raise CorruptionError(message)
    meta = msgspec.json.decode(data[HEADER_BYTES : HEADER_BYTES + meta_bytes], type=dict[str, Any])
    return Container(kind, meta, data[HEADER_BYTES + meta_bytes :])


def read_container(path: Path, *, kind: int, sha256: str | None = None) -> Container:
    """Read and check a state file.

    Raises:
        CorruptionError: it is missing, damaged or cannot be read, or has not the digest.
        FormatVersionError: a newer flowlab wrote it.
    """
    try:
        data = read_file(path)
    except FileNotFoundError as error:
        message = f"{path.name} is missing: {error}"
        raise CorruptionError(message) from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        message = f"{path.name} does not have the SHA-256 that the log names"
        raise CorruptionError(message)
    return decode_container(data, where=path.name, kind=kind)


def write_container(path: Path, content: Container, disk: Disk) -> None:
    """Put a state file in place of another, whole and durable; the caller keeps others out."""
    data = encode_container(content)
    disk.make_directory(path.parent)
    disk.replace(path, data)


@dataclass(frozen=True, slots=True)
class Added:
    """A state file that was put in place.

    Args:
        sha256: of its bytes.
        inode: by which it is told from another of its name.
    """

    sha256: str
    inode: int


def add_container(path: Path, content: Container, disk: Disk) -> Added | None:
    """Put a new state file in place; return None where there is one of that name already."""
    data = encode_container(content)
    disk.make_directory(path.parent)
    for turn in range(MAX_TRIES):
        try:
            inode = disk.publish(path, data, scratch=f"{random_salt():016x}")
        except FileNotFoundError:
            # Vacuum takes drafts away: it cannot know that this one's writer is alive.
            if turn == MAX_TRIES - 1:
                raise
        else:
            return None if inode is None else Added(hashlib.sha256(data).hexdigest(), inode)
    raise AssertionError
