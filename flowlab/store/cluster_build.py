"""Builds a clustering from the sealed part: in pieces, off the commit lock, one commit at the end.

What a piece holds is written at once, by partition and sorted; then the files of a partition that
are of like size become one. No file counts before the commit that names it, and a file that a
commit takes away stays for one more version, for those who are reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import CorruptionError
from flowlab.events import EVENT_COLUMNS, grouped
from flowlab.store.clock import random_salt
from flowlab.store.cluster_files import Bunch, arrange, merges, write_bunch
from flowlab.store.cluster_log import Clustering, ClusterTable
from flowlab.store.clustering import (
    AGENTS,
    CLUSTER_BUCKETS,
    COORDINATION,
    SOURCE_APP,
    ClusterResult,
)
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import (
    DataFile,
    Removed,
    SealInfo,
    TableState,
    add_action,
    commit_path,
    create_actions,
    info_action,
    remove_action,
    write_commit,
)
from flowlab.store.files import Disk, file_lock
from flowlab.store.layout import Layout
from flowlab.store.log_checkpoint import CHECKPOINT_COMMITS, write_checkpoint
from flowlab.store.opening import told_again
from flowlab.store.segment_reader import SegmentReader, with_namespace
from flowlab.store.span import RowGroup
from flowlab.store.truncation import Bases

PIECE_ROWS: Final = 1 << 19
PIECE_BYTES: Final = 256 << 20
"""Events that are sorted at once: what is reached first."""
BATCH_ROWS: Final = 1 << 16
BATCH_BYTES: Final = 32 << 20
"""Row groups of a file that are read at once: what is reached first."""
LOCK_NAME: Final = "lock"
_RANGE_SOURCE: Final = (*EVENT_COLUMNS[:5], "coordination_id")


@dataclass(slots=True)
class Build:
    """One build of one clustering; `run` does it.

    Args:
        table: the clustering.
        source: the state of `workflows` that it is to hold.
        bases: where streams begin in that state: what is gone is not taken in.
        reader: of that state's files.
        disk: what writes.
        say: told how far it is.
    """

    table: ClusterTable
    source: TableState
    bases: Bases
    reader: SegmentReader
    disk: Disk
    say: Callable[[str], None]
    count: int = 0
    salt: int = 0
    written: list[DataFile] = field(default_factory=list)

    def run(self, *, rebuild: bool) -> ClusterResult:
        """Take in what was sealed after the clustering's position; all of it to rebuild.

        Raises:
            LockedError: another build of this clustering is at work.
            CorruptionError: the clustering is damaged; the message says how to make it anew.
        """
        upto = self.source.info.sealed_position
        if not upto:
            return self._result(None, 0, 0)
        self.disk.make_directory(self.table.folder)
        with self._locked():
            held = self._held(rebuild=rebuild)
            self._sweep()
            after = held.position if held is not None and not rebuild else 0
            if upto <= after:
                return self._result(held, 0, 0)
            self.salt = random_salt()
            try:
                events = self._write_pieces(after)
                old = [] if held is None or rebuild else list(held.files)
                kept, merged = self._merge(old, list(self.written))
                self._commit(held, kept)
            except Exception:
                # A commit that has appeared counts, whatever failed after that.
                version = 0 if held is None else held.version + 1
                if not commit_path(self.table.folder, version).exists():
                    self.disk.discard(self.table.root / data.path for data in self.written)
                raise
            self._sweep()
            return self._result(self.table.latest(), events, merged)

    # -- inside -------------------------------------------------------------------------------

    def _locked(self) -> AbstractContextManager[None]:
        # What another build takes in need not be done again, so that it is not waited for.
        what = f"lock of the clustering {self.table.kind.name!r}"
        return file_lock(self.table.root / LOCK_NAME, self.disk, timeout_s=0, what=what)

    def _held(self, *, rebuild: bool) -> Clustering | None:
        try:
            return self.table.latest()
        except CorruptionError as error:
            if not rebuild:
                raise told_again(error, f"{error}; {self.table.advice}") from error
        self._clear()
        return None

    def _clear(self) -> None:
        """Remove a table that cannot be read, the newest commits first: each state is one."""
        for path in sorted(self.table.folder.iterdir(), reverse=True):
            self.disk.remove(path)
        self.disk.sync_directory(self.table.folder)

    def _sweep(self) -> None:
        """Remove files that neither the last version nor the one before it names."""
        held = self.table.latest()
        named = frozenset() if held is None else held.needed
        for path in self.table.root.glob("namespace=*/bucket=*/*.parquet"):
            if path.relative_to(self.table.root).as_posix() not in named:
                self.disk.remove(path)

    def _write_pieces(self, after: int) -> int:
        events = 0
        for table in self._pieces(after):
            events += table.num_rows
            for bunch in arrange(self._rows(table), self.table.kind):
                self._write(bunch)
            del table
            self.say(f"{self.table.kind.name}: {grouped(events)} events taken in")
        return events

    def _write(self, bunch: Bunch) -> DataFile:
        self.count += 1
        name = f"part-{self.salt:016x}-{self.count:06d}.parquet"
        kind, root = self.table.kind, self.table.root
        data = write_bunch(bunch, kind, root=root, name=name, disk=self.disk)
        self.written.append(data)
        return data

    def _rows(self, table: pa.Table) -> pa.Table:
        return table if self.table.kind is AGENTS else ranges(table)

    def _pieces(self, after: int) -> Iterator[pa.Table]:
        """Yield the sealed events after a position, some row groups at a time."""
        upto = self.source.info.sealed_position
        parts: list[pa.Table] = []
        rows = size = 0
        for data in self.source.files:
            if (data.most("position") or upto) <= after:
                continue
            groups = [
                group
                for group in self.reader.row_groups(data)
                if group.may_hold("position", after + 1, upto)
            ]
            for few in _batches(groups):
                parts.append(self._read(data, few, after))
                rows, size = rows + parts[-1].num_rows, size + parts[-1].nbytes
                if rows >= PIECE_ROWS or size >= PIECE_BYTES:
                    piece = pa.concat_tables(parts).combine_chunks()
                    parts, rows, size = [], 0, 0
                    yield piece
                    del piece
        if rows:
            yield pa.concat_tables(parts).combine_chunks()

    def _read(self, data: DataFile, groups: list[RowGroup], after: int) -> pa.Table:
        columns = _RANGE_SOURCE if self.table.kind is COORDINATION else None
        table = self.reader.read(data, [group.index for group in groups], columns=columns)
        if any(group.least.get("position", after) <= after for group in groups):
            table = table.filter(pc.greater(table.column("position"), after))
        return self._left(data, table)

    def _merge(self, held: list[DataFile], fresh: list[DataFile]) -> tuple[list[DataFile], int]:
        """Merge files of like size; return those that stay, and how many others replace."""
        kept, merged = [*held, *fresh], 0
        reader = self.table.reader
        partitions = sorted({tuple(data.partition.items()) for data in fresh})
        for number, place in enumerate(partitions, 1):
            old, new = (
                [data for data in files if data.partition == dict(place)] for files in (held, fresh)
            )
            for group in merges(old, new):
                parts = [self._left(data, reader.read(data)) for data in group]
                table = pa.concat_tables(parts).combine_chunks()
                del parts
                replaced = {data.path for data in group}
                kept = [data for data in kept if data.path not in replaced]
                bunches = arrange(table, self.table.kind)  # one, or none where all is gone
                del table
                kept += [self._write(bunch) for bunch in bunches]
                merged += len(group)
                self.say(f"{self.table.kind.name}: {number} of {len(partitions)} partitions merged")
        return kept, merged

    def _left(self, data: DataFile, table: pa.Table) -> pa.Table:
        """Return the rows that are not truncated; a map's rows are no events."""
        if "sequence" in table.column_names:
            table = self.bases.left(table, data.namespace)
        return with_namespace(data, table)

    def _commit(self, held: Clustering | None, kept: list[DataFile]) -> None:
        source, kind = self.source, self.table.kind
        version = -1 if held is None else held.version
        files = () if held is None else held.files
        had, named = {data.path for data in files}, {data.path for data in kept}
        info = SealInfo(
            sealed_position=source.info.sealed_position,
            tail=source.info.tail,
            epoch=source.info.epoch,
            committed_ns=source.info.committed_ns,
            floor=max(version, 0),
        )
        modified_ms = info.committed_ns // 1_000_000
        actions: list[dict[str, Any]] = []
        if held is None:
            table_id = str(UUID(int=self.salt << 64 | random_salt(), version=4))
            name = f"flowlab {kind.name}"
            actions += create_actions(
                table_id, modified_ms, Layout(CLUSTER_BUCKETS), name=name, schema=kind.schema
            )
        actions.append(info_action(info, operation="CLUSTER"))
        told = {"appId": SOURCE_APP, "version": source.version, "lastUpdated": modified_ms}
        actions.append({"txn": told})
        actions += [add_action(d, modified_ms=modified_ms) for d in kept if d.path not in had]
        actions += [
            remove_action(Removed(data.path, data.size, version + 1, modified_ms, data.partition))
            for data in files
            if data.path not in named
        ]
        write_commit(self.table.folder, version + 1, actions, self.disk, epoch=self.salt)
        if version > 0 and (version + 1) % CHECKPOINT_COMMITS == 0:
            with suppress(OSError):  # the commit is durable and needs none
                state = CommitLog(self.table.folder).latest()
                write_checkpoint(self.table.folder, state, (), self.disk, epoch=self.salt)

    def _result(self, held: Clustering | None, events: int, merged: int) -> ClusterResult:
        name = self.table.kind.name
        if held is None:
            return ClusterResult(name, -1, 0, 0, 0, 0)
        return ClusterResult(name, held.version, held.position, events, len(held.files), merged)


def _batches(groups: list[RowGroup]) -> Iterator[list[RowGroup]]:
    """Yield row groups that are read at once."""
    few: list[RowGroup] = []
    for group in groups:
        few.append(group)
        if (
            sum(group.rows for group in few) >= BATCH_ROWS
            or sum(group.bytes for group in few) >= BATCH_BYTES
        ):
            yield few
            few = []
    if few:
        yield few


def ranges(events: pa.Table) -> pa.Table:
    """Return where the events of each coordination are: its ranges of streams."""
    events = events.filter(pc.is_valid(events.column("coordination_id")))
    by = ["namespace", "run_id", "coordination_id", "workflow_id"]
    found = events.group_by(by).aggregate(
        [
            ("sequence", "min"),
            ("sequence", "max"),
            ("sequence", "count"),
            ("position", "min"),
            ("position", "max"),
        ]
    )
    aggregates = ["sequence_min", "sequence_max", "sequence_count", "position_min", "position_max"]
    arrays = [found.column(name) for name in (*by, *aggregates)]
    return pa.Table.from_arrays(arrays, schema=COORDINATION.schema)
