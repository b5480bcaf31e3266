"""Compaction and archival: the same rows in fewer, sorted files, by a commit of their own.

Files are merged as in a log-structured merge tree (O'Neil et al., 1996), by size: their number
stays logarithmic, and each row is written again a logarithmic number of times. The new files are
written off the commit lock; only their commit takes it, so that appends go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import counted, grouped
from flowlab.store.clock import random_salt
from flowlab.store.commit_log import CommitLog
from flowlab.store.cutting import FileSizes, cut
from flowlab.store.delta import DataFile, TableState
from flowlab.store.files import Disk, file_lock
from flowlab.store.layout import Layout
from flowlab.store.merging import by_partition, generations, merge
from flowlab.store.segment_reader import SegmentReader
from flowlab.store.segments import MAX_FILE_ROWS, MAX_STREAM_ROWS, ROW_GROUP_ROWS, Part, write_part
from flowlab.store.truncation import Bases

LOCK_NAME: Final = "maintenance.lock"
SIZE_RATIO: Final = 4
"""A file is merged with newer ones that together have at least a quarter of its rows."""
ARCHIVE_TIER: Final = "archive"
ARCHIVE_GROUP_ROWS: Final = 8 * ROW_GROUP_ROWS
ARCHIVE_OPTIONS: Final = {"compression_level": 12, "row_group_rows": ARCHIVE_GROUP_ROWS}
"""About a fifth smaller than hot files on a process-like log, and five times as slow to write."""
COMMIT_ROWS: Final = 4_000_000
"""Rows that are written again before a commit names them."""


@dataclass(frozen=True, slots=True)
class CompactResult:
    """What a compaction or an archival did.

    Args:
        version: of the commit log afterwards.
        files_before, files_after: of the whole store.
        bytes_before, bytes_after: of the whole store.
        rewritten: events that were written again.
        dropped: events of truncated streams that are in no file of this version any more.
    """

    version: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rewritten: int
    dropped: int

    def __repr__(self) -> str:
        return (
            f"CompactResult({grouped(self.files_before)} to {counted(self.files_after, 'file')}, "
            f"{counted(self.rewritten, 'event')} written again)"
        )

    def __str__(self) -> str:
        lines = [
            f"files       {grouped(self.files_before)} to {grouped(self.files_after)}",
            f"bytes       {grouped(self.bytes_before)} to {grouped(self.bytes_after)}",
            f"rewritten   {counted(self.rewritten, 'event')}",
            f"dropped     {counted(self.dropped, 'event')} below the bases of their streams",
            f"version     {self.version}",
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Job:
    """Files of one partition that are to be written again, together.

    Args:
        runs: the files by the operation that wrote them, the oldest first.
        upto: rows up to this position go to the archive; None: all stay in the tier of the files.
    """

    runs: tuple[tuple[DataFile, ...], ...]
    upto: int | None = None

    @property
    def files(self) -> list[DataFile]:
        """All of them."""
        return [data for run in self.runs for data in run]


def compactions(state: TableState, bases: Bases, *, full: bool) -> list[Job]:
    """Return what is to be merged: runs of like size, and files that hold rows that are gone.

    Args:
        state: of the store.
        bases: of its streams.
        full: merge all of a partition into one run.
    """
    jobs = []
    for files in by_partition(state.files):
        runs = generations(data for data in files if not data.tier)
        first = 0 if full else first_to_merge([sum(data.rows for data in run) for run in runs])
        # A run that is alone and whole need not be written again, however many files it has.
        merged = [tuple(run) for run in runs[first:]] if len(runs) - first > 1 else []
        if merged:
            jobs.append(Job(tuple(merged)))
        taken = {data.path for run in merged for data in run}
        jobs += [Job(((data,),)) for data in files if data.path not in taken and bases.reach(data)]
    return jobs


def archivals(state: TableState, upto: int) -> list[Job]:
    """Return the jobs that move the events up to a position into the archive."""
    jobs = []
    for files in by_partition(state.files):
        hot = [data for data in files if not data.tier and (data.least("position") or 0) <= upto]
        if hot:
            jobs.append(Job(tuple(map(tuple, generations(hot))), upto))
    return jobs


def first_to_merge(rows: list[int]) -> int:
    """Return the place from which runs, the oldest first, are merged; their number for none.

    Example:
        >>> first_to_merge([1000, 100, 10, 10]), first_to_merge([1000, 100, 90, 80])
        (2, 0)
        >>> first_to_merge([1000, 100, 10])
        2
    """
    place, total = len(rows) - 1, sum(rows[-1:])
    for number in range(len(rows) - 2, -1, -1):
        if rows[number] <= SIZE_RATIO * total:
            place, total = number, sum(rows[number:])
    return max(place, 0)


@dataclass(slots=True)
class Rewriter:
    """Writes files again, and commits them.

    Args:
        root: of the store.
        layout: of the store.
        reader: of its files.
        disk: to write to.
        bases: as of the state that is read.
        state: the state whose files are read.
        log: of the store.
        commit: commits (added, removed) as (operation); returns the version.
        epoch: of the writer.
        say: told about progress.
        salt: makes the names of its files its own.
    """

    root: Path
    layout: Layout
    reader: SegmentReader
    disk: Disk
    bases: Bases
    state: TableState
    log: CommitLog
    commit: Callable[[list[DataFile], list[DataFile], str], int]
    epoch: int
    say: Callable[[str], None]
    salt: int = field(default_factory=random_salt)
    count: int = 0
    jobs: int = 0
    rewritten: int = 0
    dropped: int = 0
    added: list[DataFile] = field(default_factory=list)
    removed: list[DataFile] = field(default_factory=list)

    def run(self, jobs: list[Job], *, operation: str) -> CompactResult:
        """Do the jobs; what a commit has named stays, should a later one fail."""
        before, version = self.state.files, self.state.version
        change = [0, 0]
        pending = 0
        try:
            for number, job in enumerate(jobs, 1):
                pending += self._do(job)
                self.say(f"{number} of {counted(len(jobs), 'partition')} written again")
                if pending >= COMMIT_ROWS or number == len(jobs):
                    change[0] += len(self.added) - len(self.removed)
                    change[1] += _size(self.added) - _size(self.removed)
                    version = self.commit(self.added, self.removed, operation)
                    self.added, self.removed, pending = [], [], 0
        except OSError:
            self._take_back()
            raise
        return CompactResult(
            version,
            len(before),
            len(before) + change[0],
            _size(before),
            _size(before) + change[1],
            self.rewritten,
            self.dropped,
        )

    def _take_back(self) -> None:
        """Remove files that no commit names: on a full disk they would keep it full."""
        # A commit that has appeared counts, whatever failed after that.
        named = {data.path for data in self.log.latest().files}
        left = [data.path for data in self.added if data.path not in named]
        self.disk.discard(self.root / "workflows" / path for path in left)

    def _do(self, job: Job) -> int:
        old = job.files
        self.jobs += 1
        rows = sum(data.rows for data in old)
        tables = merge(job.runs, self.reader, self.bases)
        if job.upto is None:
            written = self._write(tables, old[0], old[0].tier)
        else:
            written = self._split(tables, old[0], job.upto)
        self.removed += old
        self.rewritten += written
        self.dropped += rows - written
        return rows

    def _write(self, tables: Iterator[pa.Table], like: DataFile, tier: str) -> int:
        group = ARCHIVE_GROUP_ROWS if tier else ROW_GROUP_ROWS
        rows = 0
        for table in cut(tables, FileSizes(MAX_FILE_ROWS, MAX_STREAM_ROWS, group)):
            self.count += 1
            rows += table.num_rows
            columns = [name for name in table.column_names if name not in like.partition]
            part = Part(like.partition, frozenset(), table.select(columns))
            data = write_part(
                part,
                root=self.root / "workflows",
                layout=self.layout,
                disk=self.disk,
                epoch=self.epoch,
                name=self._name(tier or "merged"),
                options=ARCHIVE_OPTIONS if tier else None,
            )
            run = f"{self.salt:016x}-{self.jobs}"
            self.added.append(data.but(version=self.state.version, tier=tier, run=run))
        return rows

    def _name(self, what: str) -> str:
        # No two tries have the same number and salt, so what a stopped one left is never reused.
        return f"{what}-v{self.state.version}-{self.count:06d}-{self.salt:016x}.parquet"

    def _split(self, tables: Iterator[pa.Table], like: DataFile, upto: int) -> int:
        """Write rows up to a position to the archive, and the others beside it."""
        young: list[pa.Table] = []

        def old() -> Iterator[pa.Table]:
            for table in tables:
                is_old = pc.less_equal(table.column("position"), upto)
                yield table.filter(is_old)
                rest = table.filter(pc.invert(is_old))
                if rest.num_rows:
                    young.append(rest)

        rows = self._write(old(), like, ARCHIVE_TIER)
        return rows + self._write(iter(young), like, "")


def maintenance_lock(root: Path, disk: Disk, *, timeout_s: float) -> AbstractContextManager[None]:
    """Hold the lock of those who take files away: one at a time, off the commit lock.

    Raises:
        LockedError: another process holds it.
    """
    what = "maintenance lock (compact, archive, vacuum)"
    return file_lock(root / LOCK_NAME, disk, timeout_s=timeout_s, what=what)


def _size(files: list[DataFile] | tuple[DataFile, ...]) -> int:
    return sum(data.size for data in files)
