"""What a sealed commit keeps besides events: runs, anomalies, idempotency keys, commit times.

One gzip'd JSON file for each Delta commit, named by it with its SHA-256, so the commit log says
whether it is whole.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pyarrow as pa

from flowlab.errors import CorruptionError
from flowlab.events import ANOMALY_SCHEMA, RunInfo
from flowlab.store.delta import SealInfo, TableState
from flowlab.store.files import Disk
from flowlab.store.layout import Stream
from flowlab.store.tail_reader import CommitMark, KeyUse

FOLDER: Final = "metadata"
T = TypeVar("T")


class _KeyRow(msgspec.Struct, array_like=True):
    stream: Stream
    key: str
    fingerprint: str
    first_sequence: int
    last_sequence: int
    first_position: int
    last_position: int

    @property
    def use(self) -> tuple[tuple[Stream, str], KeyUse]:
        """The stream and key, and what they were used for."""
        uses = KeyUse(
            bytes.fromhex(self.fingerprint),
            self.first_sequence,
            self.last_sequence,
            self.first_position,
            self.last_position,
        )
        return (tuple(self.stream), self.key), uses  # type: ignore[return-value]


class _Keys(msgspec.Struct):
    """What a writer reads of a sidecar."""

    keys: list[_KeyRow] = []


class Sidecar(msgspec.Struct):
    """The content of one sidecar file.

    Args:
        runs: (position of the commit, metadata).
        anomalies: rows of `ANOMALY_SCHEMA`.
        anomalies_position: the position of the commit that they came with.
        keys: idempotency keys.
        commits: (position, committed_ns, epoch) as differences from the row before.
    """

    format: int = 1
    runs: list[tuple[int, RunInfo]] = []
    anomalies: list[dict[str, Any]] = []
    anomalies_position: int = 0
    keys: list[_KeyRow] = []
    commits: list[tuple[int, int, int]] = []


def key_rows(keys: dict[tuple[Stream, str], KeyUse]) -> list[_KeyRow]:
    """Return idempotency keys as rows of a sidecar."""
    return [
        _KeyRow(
            stream,
            key,
            use.fingerprint.hex(),
            use.first_sequence,
            use.last_sequence,
            use.first_position,
            use.last_position,
        )
        for (stream, key), use in keys.items()
    ]


def pack_commits(marks: list[CommitMark]) -> list[tuple[int, int, int]]:
    """Return commit marks as differences, which compress to a few bytes each."""
    rows, position, time_ns, epoch = [], 0, 0, 0
    for mark in marks:
        rows.append((mark.position - position, mark.committed_ns - time_ns, mark.epoch - epoch))
        position, time_ns, epoch = mark.position, mark.committed_ns, mark.epoch
    return rows


def write_sidecar(
    root: Path, content: Sidecar, *, version: int, epoch: int, disk: Disk
) -> tuple[str, str]:
    """Write the sidecar of a commit, durable; return its name below the store and its SHA-256."""
    data = gzip.compress(msgspec.json.encode(content), 6, mtime=0)
    name = f"{FOLDER}/{version:020d}-e{epoch}.json.gz"
    disk.replace(root / name, data)
    return name, hashlib.sha256(data).hexdigest()


def read_sidecar(root: Path, info: SealInfo, kind: type[T]) -> T:
    """Read and check the sidecar of a commit, or a part of it; empty where it has none.

    Raises:
        CorruptionError: it is missing, or not what the commit named.
    """
    if not info.sidecar:
        return kind()
    try:
        data = (root / info.sidecar).read_bytes()
    except OSError as error:
        message = f"{info.sidecar} is missing ({error}); the commit log names it"
        raise CorruptionError(message) from error
    if hashlib.sha256(data).hexdigest() != info.sidecar_sha256:
        message = f"{info.sidecar} does not have the SHA-256 that its commit names"
        raise CorruptionError(message)
    try:
        return msgspec.json.decode(gzip.decompress(data), type=kind)
    except (msgspec.MsgspecError, OSError, zlib.error) as error:
        message = f"{info.sidecar} cannot be read: {error}"
        raise CorruptionError(message) from error


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the sidecars up to one version say of the log; idempotency keys are the writer's."""

    version: int
    runs: tuple[tuple[int, RunInfo], ...]
    anomalies: tuple[tuple[int, pa.Table], ...]
    commits: tuple[CommitMark, ...]

    def position_at(self, time_ns: int) -> int:
        """Return the last position committed at or before a time, 0 where none was."""
        times = [mark.committed_ns for mark in self.commits]
        place = bisect_right(times, time_ns)
        return self.commits[place - 1].position if place else 0


class MetadataLog:
    """Reads sidecars once each: they never change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._known = Metadata(-1, (), (), ())
        self._keys: tuple[int, dict[tuple[Stream, str], KeyUse]] = (-1, {})

    def keys(self, state: TableState) -> dict[tuple[Stream, str], KeyUse]:
        """Return the idempotency keys up to a version: all that a writer needs, and much less."""
        with self._lock:
            version, keys = self._keys
            if version > state.version:
                version, keys = -1, {}
            for info in state.history[version + 1 :]:
                keys.update(row.use for row in read_sidecar(self.root, info, _Keys).keys)
            self._keys = (state.version, keys)
            return keys

    def upto(self, state: TableState) -> Metadata:
        """Return the metadata at a version of the commit log."""
        with self._lock:
            known = self._known
            if known.version == state.version:
                return known
            if known.version > state.version:
                return self._extend(Metadata(-1, (), (), ()), state)
            self._known = self._extend(known, state)
            return self._known

    def _extend(self, known: Metadata, state: TableState) -> Metadata:
        runs, anomalies = list(known.runs), list(known.anomalies)
        commits = list(known.commits)
        for info in state.history[known.version + 1 :]:
            content = read_sidecar(self.root, info, Sidecar)
            runs.extend(content.runs)
            if content.anomalies:
                table = pa.Table.from_pylist(content.anomalies, ANOMALY_SCHEMA)
                anomalies.append((content.anomalies_position, table))
            position, time_ns, epoch = 0, 0, 0
            for step, elapsed, change in content.commits:
                position, time_ns, epoch = position + step, time_ns + elapsed, epoch + change
                commits.append(CommitMark(position, time_ns, epoch))
        return Metadata(state.version, tuple(runs), tuple(anomalies), tuple(commits))
