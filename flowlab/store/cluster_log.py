"""The tables of the clusterings as readers use them: the newest that fits this store, or none.

A clustering is never needed: where it is damaged, or was made from another state of the store,
reads go on without it and a warning says how to make it anew.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from flowlab.errors import CorruptionError
from flowlab.store.clustering import KINDS, SOURCE_APP, ClusteringInfo, Kind
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import DataFile, TableState, commit_path
from flowlab.store.opening import told_again
from flowlab.store.segment_reader import SegmentReader
from flowlab.store.sidecar import MetadataLog

MAX_READ_TRIES: Final = 3
T = TypeVar("T")
Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Clustering:
    """One version of a clustering.

    Args:
        kind: which one.
        version: of its table.
        position: it holds every event that was sealed up to here, once.
        built_from: the version of `workflows` that it was last built from.
        files: of its table.
        needed: paths of these, and of those that the version before has.
    """

    kind: Kind
    version: int
    position: int
    built_from: int
    files: tuple[DataFile, ...]
    needed: frozenset[str]

    def partition(self, namespace: str, run_id: str, owner: str) -> list[DataFile]:
        """Return the files that can hold an owner's rows."""
        bucket = self.kind.bucket(run_id, owner)
        return [
            data for data in self.files if data.bucket == bucket and data.namespace == namespace
        ]


class ClusterTable:
    """The table of one clustering; what it has read is kept, unless it was made anew.

    Args:
        root: the store's folder.
        kind: which clustering.
        source: the commit log of `workflows`.
    """

    def __init__(self, root: Path, kind: Kind, source: CommitLog) -> None:
        self.kind = kind
        self.root = root / kind.name
        self.folder = self.root / "_delta_log"
        self.reader = SegmentReader(self.root, kind.schema)
        self._source = source
        self._lock = threading.Lock()
        self._log = CommitLog(self.folder)
        self._identity: Identity | None = None
        self._latest: Clustering | None = None
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"ClusterTable({self.kind.name!r})"

    @property
    def advice(self) -> str:
        """What to do about damage."""
        return f"flowlab store cluster DIR --{self.kind.name} --rebuild makes it anew"

    def latest(self) -> Clustering | None:
        """Return the newest version, None where there is none.

        Raises:
            CorruptionError: it is damaged, or was not made from this store as it is.
        """
        with self._lock:
            identity = self._find()
            if identity is None:
                self._latest = None
                return None
            if identity != self._identity:
                # Made anew: its commits have the numbers of others that were read.
                self._log, self._latest = CommitLog(self.folder), None
                self.reader.close()
            state = self._state()
            self._identity = identity
            if self._find() != identity:
                message = f"{self.kind.name}/ is being made anew; try again"
                raise CorruptionError(message)
            if self._latest is None or self._latest.version != state.version:
                self._check(state)
                self._latest = Clustering(
                    self.kind,
                    state.version,
                    state.info.sealed_position,
                    state.transactions[SOURCE_APP],
                    state.files,
                    frozenset([d.path for d in state.files] + [d.path for d in state.removed]),
                )
            return self._latest

    def using(self, read: Callable[[Clustering], T]) -> tuple[Clustering, T] | None:
        """Read from the newest version; return it with what was read, None where it cannot be.

        Where the files of a version are gone because a newer one has replaced them, that is read.
        """
        for turn in range(1, MAX_READ_TRIES + 1):
            try:
                held = self.latest()
                if held is None:
                    return None
                found = read(held)
            except CorruptionError as error:
                if turn == MAX_READ_TRIES:
                    self._warn(str(error))
            else:
                return held, found
        return None

    def _find(self) -> Identity | None:
        try:
            found = commit_path(self.folder, 0).stat()
        except (FileNotFoundError, NotADirectoryError):
            if next(self.folder.glob("*.json"), None) is not None:
                message = f"commit 0 is missing from {self.kind.name}/_delta_log"
                raise CorruptionError(message) from None
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _state(self) -> TableState:
        try:
            return self._log.latest()
        except (CorruptionError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            self._log = CommitLog(self.folder)
            message = f"the commit log of {self.kind.name}/ cannot be read: {error}"
            raise told_again(error, message) from error

    def _check(self, state: TableState) -> None:
        """Check that it was made from this store, in a state that has not been taken back."""
        built_from, told = state.transactions.get(SOURCE_APP, -1), state.info
        source = self._source.at(built_from)
        if built_from > self._source.latest().version or (
            source is not None
            and (source.info.epoch, source.info.committed_ns, source.info.sealed_position)
            != (told.epoch, told.committed_ns, told.sealed_position)
        ):
            message = (
                f"{self.kind.name}/ was made from version {built_from} of another store, or of "
                "this one before it was restored"
            )
            raise CorruptionError(message)

    def _warn(self, what: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            message = (
                f"the clustering {self.kind.name!r} is not used, reads are slower: {what}; "
                f"{self.advice}"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=2)


class Clusterings:
    """The clusterings of one store, for its readers."""

    def __init__(self, root: Path, source: CommitLog, metadata: MetadataLog) -> None:
        self._root = root
        self._source = source
        self._metadata = metadata
        self._lock = threading.Lock()
        self._tables: dict[str, ClusterTable] = {}

    def __repr__(self) -> str:
        return f"Clusterings({', '.join(kind.name for kind in KINDS)})"

    @property
    def tables(self) -> dict[str, ClusterTable]:
        """The table of each clustering, by its name; they are made when one is first asked for."""
        with self._lock:
            if not self._tables:
                made = (ClusterTable(self._root, kind, self._source) for kind in KINDS)
                self._tables = {table.kind.name: table for table in made}
            return self._tables

    def infos(self, position: int) -> tuple[tuple[ClusteringInfo, ...], list[str]]:
        """Return up to where each holds in a log that ends at a position, and what is damaged."""
        infos, damage = [], []
        for name, table in self.tables.items():
            try:
                held = table.latest()
            except CorruptionError as error:
                damage.append(f"the clustering {name!r} is not used: {error}; {table.advice}")
                continue
            if held is not None:
                size = sum(data.size for data in held.files)
                behind = max(position - held.position, 0)
                counts = (held.version, held.position, behind, len(held.files), size)
                infos.append(ClusteringInfo(name, *counts))
        return tuple(infos), damage

    def truncated(self) -> list[int]:
        """Return the versions of `workflows` at which streams were truncated."""
        return [row.version for row in self._metadata.bases(self._source.latest()).rows]

    def close(self) -> None:
        """Close their files."""
        for table in self._tables.values():
            table.reader.close()
