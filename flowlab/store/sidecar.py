"""What a sealed commit keeps besides events: runs, anomalies, idempotency keys, commit times.

One gzip'd JSON file for each Delta commit, named by it with its SHA-256, so the commit log says
whether it is whole. A Delta checkpoint names merged ones, which hold the same for many commits.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pyarrow as pa

from flowlab.errors import CorruptionError
from flowlab.events import ANOMALY_SCHEMA, RunInfo
from flowlab.store.delta import SidecarRef, TableState
from flowlab.store.files import Disk
from flowlab.store.layout import Stream
from flowlab.store.opening import read_file
from flowlab.store.tail_reader import CommitMark, KeyUse
from flowlab.store.truncation import BaseRow, Bases

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


class _Written(msgspec.Struct):
    """What a writer reads of a sidecar."""

    keys: list[_KeyRow] = []
    lanes: list[tuple[str, str, int]] | None = None


class _Bases(msgspec.Struct):
    """What a reader needs of a sidecar to know where streams begin."""

    bases: list[BaseRow] = []


class Sidecar(msgspec.Struct):
    """The content of one sidecar file.

    Args:
        runs: (position of the commit, metadata).
        anomalies: rows of `ANOMALY_SCHEMA`.
        anomalies_position: the position of the commit that they came with.
        keys: idempotency keys.
        commits: (position, committed_ns, epoch) as differences from the row before.
        bases: truncations.
        lanes: (namespace, agent_id, last tick) of the live run's lanes in this commit's events; of
            several rows of a lane the greatest counts; None where that is not told.
    """

    format: int = 1
    runs: list[tuple[int, RunInfo]] = []
    anomalies: list[dict[str, Any]] = []
    anomalies_position: int = 0
    keys: list[_KeyRow] = []
    commits: list[tuple[int, int, int]] = []
    bases: list[BaseRow] = []
    lanes: list[tuple[str, str, int]] | None = []


class _Merged(msgspec.Struct):
    """The content of a merged file: that of others, one after the other."""

    format: int
    parts: list[msgspec.Raw]


class _Probe(msgspec.Struct):
    parts: list[msgspec.Raw] | None = None


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
    name = f"{FOLDER}/{version:020d}-e{epoch}.json.gz"
    return name, _write(root / name, msgspec.json.encode(content), disk)


def read_sidecar(root: Path, ref: SidecarRef, kind: type[T]) -> list[T]:
    """Read and check a sidecar, or a part of each commit in it, in the order of the commits.

    Raises:
        CorruptionError: it is missing, or not what the commit named.
    """
    data = _read(root, ref)
    try:
        parts = msgspec.json.decode(data, type=_Probe).parts
        return [
            msgspec.json.decode(part, type=kind) for part in ([data] if parts is None else parts)
        ]
    except msgspec.MsgspecError as error:
        message = f"{ref.name} cannot be read: {error}; restore it from a copy"
        raise CorruptionError(message) from error


def merged(
    root: Path, sidecars: tuple[SidecarRef, ...], *, epoch: int, disk: Disk
) -> tuple[SidecarRef, ...]:
    """Merge neighbours of like size into larger files, so that their number stays logarithmic.

    What they hold is carried over as it is, members that this version does not know included.
    """
    stack: list[list[SidecarRef]] = []
    for ref in sidecars:
        stack.append([ref])
        while len(stack) > 1 and _span(stack[-2]) <= _span(stack[-1]):
            last = stack.pop()
            stack[-1] += last
    return tuple(_merge(root, refs, epoch=epoch, disk=disk) for refs in stack)


def _span(refs: list[SidecarRef]) -> int:
    return refs[-1].last - refs[0].first + 1


def _merge(root: Path, refs: list[SidecarRef], *, epoch: int, disk: Disk) -> SidecarRef:
    if len(refs) == 1:
        return refs[0]
    parts: list[msgspec.Raw] = []
    for ref in refs:
        data = _read(root, ref)
        inner = msgspec.json.decode(data, type=_Probe).parts
        parts += [msgspec.Raw(data)] if inner is None else inner
    first, last = refs[0].first, refs[-1].last
    name = f"{FOLDER}/{first:020d}-{last:020d}-e{epoch}.json.gz"
    checksum = _write(root / name, msgspec.json.encode(_Merged(2, parts)), disk)
    return SidecarRef(name, checksum, first, last)


def _write(path: Path, content: bytes, disk: Disk) -> str:
    data = gzip.compress(content, 6, mtime=0)
    disk.replace(path, data)
    return hashlib.sha256(data).hexdigest()


def _read(root: Path, ref: SidecarRef) -> bytes:
    try:
        data = read_file(root / ref.name)
    except FileNotFoundError as error:
        message = f"{ref.name} is missing ({error}); restore it from a copy"
        raise CorruptionError(message) from error
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        message = f"{ref.name} has not the SHA-256 that its commit names; restore it from a copy"
        raise CorruptionError(message)
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{ref.name} cannot be read: {error}; restore it from a copy"
        raise CorruptionError(message) from error


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the sidecars up to one version say of the log; idempotency keys are the writer's."""

    version: int
    runs: tuple[tuple[int, RunInfo], ...] = ()
    anomalies: tuple[tuple[int, pa.Table], ...] = ()
    commits: tuple[CommitMark, ...] = ()

    def position_at(self, time_ns: int) -> int:
        """Return the last position committed at or before a time, 0 where none was."""
        times = [mark.committed_ns for mark in self.commits]
        place = bisect_right(times, time_ns)
        return self.commits[place - 1].position if place else 0


@dataclass(frozen=True, slots=True)
class Written:
    """What the sidecars up to one version say to a writer.

    Args:
        version: of the commit log.
        keys: the idempotency keys, and what they were used for.
        lanes: the last tick of each lane of the live run, by (namespace, agent_id); None where some
            commit does not say.
    """

    version: int = -1
    keys: dict[tuple[Stream, str], KeyUse] = field(default_factory=dict)
    lanes: dict[tuple[str, str], int] | None = field(default_factory=dict)


class MetadataLog:
    """Reads sidecars once each: they never change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._known = Metadata(-1)
        self._written = Written()
        self._bases = Bases()

    def written(self, state: TableState) -> Written:
        """Return what a writer needs to know up to a version, and much less than there is."""
        with self._lock:
            known = self._written
            refs = _fresh(state, known.version)
            if refs is None:
                known, refs = Written(), state.sidecars
            keys, lanes = known.keys, known.lanes
            fresh: list[tuple[str, str, int]] = []
            for ref in refs:
                for part in read_sidecar(self.root, ref, _Written):
                    keys.update(row.use for row in part.keys)
                    fresh.extend(part.lanes or ())
                    if part.lanes is None:
                        lanes = None
            if lanes is not None:
                for namespace, agent_id, tick in fresh:
                    lanes[namespace, agent_id] = max(tick, lanes.get((namespace, agent_id), 0))
            self._written = Written(state.version, keys, lanes)
            return self._written

    def bases(self, state: TableState) -> Bases:
        """Return where streams begin at a version; nothing is read where none was truncated."""
        if not state.info.truncations:
            return Bases()
        with self._lock:
            if self._bases.version != state.version:
                rows = [
                    row
                    for ref in state.sidecars
                    for part in read_sidecar(self.root, ref, _Bases)
                    for row in part.bases
                ]
                self._bases = Bases(state.version, tuple(rows))
            return self._bases

    def upto(self, state: TableState) -> Metadata:
        """Return the metadata at a version of the commit log."""
        with self._lock:
            known = self._known
            if known.version == state.version:
                return known
            if known.version > state.version:
                return self._extend(Metadata(-1), state, state.sidecars)
            fresh = _fresh(state, known.version)
            if fresh is None:
                known, fresh = Metadata(-1), state.sidecars
            self._known = self._extend(known, state, fresh)
            return self._known

    def _extend(
        self, known: Metadata, state: TableState, fresh: tuple[SidecarRef, ...]
    ) -> Metadata:
        runs, anomalies = list(known.runs), list(known.anomalies)
        commits = list(known.commits)
        for ref in fresh:
            for content in read_sidecar(self.root, ref, Sidecar):
                runs.extend(content.runs)
                if content.anomalies:
                    table = pa.Table.from_pylist(content.anomalies, ANOMALY_SCHEMA)
                    anomalies.append((content.anomalies_position, table))
                position, time_ns, epoch = 0, 0, 0
                for step, elapsed, change in content.commits:
                    position, time_ns, epoch = position + step, time_ns + elapsed, epoch + change
                    commits.append(CommitMark(position, time_ns, epoch))
        parts = (tuple(runs), tuple(anomalies), tuple(commits))
        return Metadata(state.version, *parts)


def _fresh(state: TableState, version: int) -> tuple[SidecarRef, ...] | None:
    """Return the sidecars of commits after a version; None where one holds older commits, too."""
    if version > state.version:
        return None
    fresh = tuple(ref for ref in state.sidecars if ref.last > version)
    return None if any(ref.first <= version for ref in fresh) else fresh
