"""Sealing: rows become sorted Parquet files, and one Delta commit makes them count."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from flowlab.events import RunInfo
from flowlab.store.clock import wall_ns
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import (
    DataFile,
    Removed,
    SealInfo,
    TableState,
    add_action,
    info_action,
    remove_action,
    write_commit,
)
from flowlab.store.files import Disk
from flowlab.store.heads import Heads, SealedHeads, live_lanes
from flowlab.store.layout import Layout, Stream
from flowlab.store.log_checkpoint import CHECKPOINT_COMMITS, write_checkpoint
from flowlab.store.segments import Share, partition, write_part
from flowlab.store.sidecar import (
    MetadataLog,
    Sidecar,
    key_rows,
    merged,
    pack_commits,
    write_sidecar,
)
from flowlab.store.streams import Streams
from flowlab.store.tail import TailWriter, tail_path
from flowlab.store.tail_reader import CommitMark, KeyUse, TailView
from flowlab.store.truncation import BaseRow
from flowlab.store.writing_pool import in_order


@dataclass(frozen=True, slots=True)
class Sealer:
    """Writes sealed files and commits them; its caller holds the commit lock.

    The order is the protocol: files and their directories durable, sidecar durable, next tail
    file durable, Delta commit durable. Only then is the old tail removed. Stopped anywhere, the
    store opens as it was before or after, never between.
    """

    root: Path
    layout: Layout
    log: CommitLog
    sealed: SealedHeads
    metadata: MetadataLog
    disk: Disk

    def seal(self, view: TailView, writer: TailWriter, *, epoch: int, position: int) -> None:
        """Move a whole tail into sealed files and begin the next tail file."""
        sealed_number = writer.number
        table = view.table()
        content = Sidecar(
            runs=view.buffer.runs[: view.runs],
            keys=key_rows(view.buffer.keys),
            commits=pack_commits(view.marks()),
            lanes=live_lanes(table),
        )
        files = self.write_files(table, Streams.of(table), epoch=epoch)
        with self._removed_on_failure(files):
            info = self._info(content, position=position, tail=sealed_number + 1, epoch=epoch)
            fresh = writer.prepare(sealed_number + 1, first_position=position + 1)
        try:
            self._commit(files, info, operation="SEAL", epoch=epoch)
            writer.adopt(fresh, position)
        except BaseException as error:
            # Whether the commit will be there after a restart is unknown: writing on to either
            # tail file could lose what is written.
            writer.poison(f"the commit that seals the tail failed: {error}")
            raise
        self.disk.remove(tail_path(self.root / "tail", sealed_number))

    def commit_rows(
        self,
        table: pa.Table,
        streams: Streams,
        *,
        runs: tuple[RunInfo, ...],
        anomalies: pa.Table,
        position: int,
        committed_ns: int,
        epoch: int,
        bases: tuple[BaseRow, ...] = (),
    ) -> int:
        """Commit rows straight to sealed files; return the version. The tail is empty.

        Truncations may come with the events that tell of them.
        """
        files = self.write_files(table, streams, epoch=epoch)
        content = Sidecar(
            runs=[(position, run) for run in runs],
            anomalies=anomalies.to_pylist(),
            anomalies_position=position,
            commits=pack_commits([CommitMark(position, committed_ns, epoch)]),
            lanes=live_lanes(table),
            bases=list(bases),
        )
        tail = self.log.latest().info.tail
        with self._removed_on_failure(files):
            info = self._info(content, position=position, tail=tail, epoch=epoch)
        operation = "TRUNCATE" if bases else "WRITE"
        return self._commit(files, info, operation=operation, epoch=epoch)

    def write_files(self, table: pa.Table, streams: Streams, *, epoch: int) -> list[DataFile]:
        """Write sealed files for each partition that has rows: one, or the pieces of one run."""
        root, layout = self.root / "workflows", self.layout
        files: list[DataFile] = []
        shares = partition(table, layout, streams)
        for share in shares:
            self.disk.make_directory(root / layout.folder(share.partition))

        def write(share: Share) -> DataFile:
            return write_part(share.part(), root=root, layout=layout, disk=self.disk, epoch=epoch)

        with self._removed_on_failure(files):
            in_order(write, shares, files, serial=self.disk.serial)
        for share, data in zip(shares, files, strict=True):
            self.sealed.learn(data, share.worlds)
        return _as_runs(files)

    @contextmanager
    def _removed_on_failure(self, files: list[DataFile]) -> Iterator[None]:
        """Take back files that no commit names yet."""
        try:
            yield
        except OSError:
            self.disk.discard(self.root / "workflows" / data.path for data in files)
            raise

    def heads(self, state: TableState, view: TailView) -> Heads:
        """Return the heads of every stream and lane."""
        lanes, bases = self.metadata.written(state).lanes, self.metadata.bases(state)
        heads = Heads(state, self.sealed, lanes, bases, newest=self.log.latest)
        heads.recent.update(view.heads())
        for event in view.buffer.events[: view.events]:
            lane = (event.namespace, event.run_id, event.agent_id)
            if event.agent_sequence > heads.recent_lanes.get(lane, 0):
                heads.recent_lanes[lane] = event.agent_sequence
        return heads

    def keys(self, state: TableState, view: TailView) -> dict[tuple[Stream, str], KeyUse]:
        """Return every idempotency key that was used."""
        return {**self.metadata.written(state).keys, **view.buffer.keys}

    def _info(self, content: Sidecar, *, position: int, tail: int, epoch: int) -> SealInfo:
        state = self.log.latest()
        version = state.version + 1
        # A clock that was set back must not set the log's times back.
        last_ns = sum(elapsed for _, elapsed, _ in content.commits)
        name, checksum = write_sidecar(
            self.root, content, version=version, epoch=epoch, disk=self.disk
        )
        return replace(
            state.info,
            sealed_position=position,
            tail=tail,
            epoch=epoch,
            committed_ns=max(wall_ns(), state.info.committed_ns, last_ns),
            sidecar=name,
            sidecar_sha256=checksum,
            truncations=state.info.truncations + len(content.bases),
        )

    def rewrite(
        self,
        added: list[DataFile],
        removed: list[DataFile],
        *,
        operation: str,
        epoch: int,
        floor: int | None = None,
    ) -> int:
        """Commit files in the place of others that hold the same rows; return the version.

        Args:
            added: durable already, with their directories.
            removed: files of the newest state.
            operation: as the commit names it.
            epoch: of the writer.
            floor: the oldest version whose files are kept from now on.
        """
        state = self.log.latest()
        now_ns = max(wall_ns(), state.info.committed_ns)
        info = replace(
            state.info,
            epoch=epoch,
            committed_ns=now_ns,
            sidecar="",
            sidecar_sha256="",
            floor=state.info.floor if floor is None else floor,
        )
        removed_ms = now_ns // 1_000_000
        gone = [
            Removed(data.path, data.size, state.version + 1, removed_ms, data.partition)
            for data in removed
        ]
        actions = [info_action(info, operation=operation)]
        actions += [remove_action(data) for data in gone]
        actions += [add_action(data, modified_ms=removed_ms, data_change=False) for data in added]
        return self._append(actions, epoch=epoch)

    def _commit(self, files: list[DataFile], info: SealInfo, *, operation: str, epoch: int) -> int:
        version = self.log.latest().version + 1
        modified_ms = info.committed_ns // 1_000_000
        actions = [info_action(info, operation=operation)]
        actions += [
            add_action(data.but(version=version), modified_ms=modified_ms) for data in files
        ]
        return self._append(actions, epoch=epoch)

    def _append(self, actions: list[dict[str, Any]], *, epoch: int) -> int:
        version = self.log.latest().version + 1
        write_commit(self.log.folder, version, actions, self.disk, epoch=epoch)
        if version % CHECKPOINT_COMMITS == 0:
            self._checkpoint(epoch=epoch)
        return version

    def _checkpoint(self, *, epoch: int) -> None:
        """Write a Delta checkpoint: whoever opens the log reads it instead of what is before."""
        try:
            state = self.log.latest()
            sidecars = merged(self.root, state.sidecars, epoch=epoch, disk=self.disk)
            write_checkpoint(self.log.folder, state, sidecars, self.disk, epoch=epoch)
            self.log.adopt(sidecars)
        except OSError as error:
            # The commit is durable and needs no checkpoint: its caller must not be told otherwise.
            message = f"no checkpoint of the commit log was written; the next may be: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)


def _as_runs(files: list[DataFile]) -> list[DataFile]:
    """Tag the files that one write has put into a partition as one sorted run."""
    homes = [tuple(data.partition.items()) for data in files]
    several = {home for home, count in Counter(homes).items() if count > 1}
    first = min((data.least("position") or 0 for data in files), default=0)
    return [
        data.but(run=f"written-{first}") if home in several else data
        for home, data in zip(homes, files, strict=True)
    ]
