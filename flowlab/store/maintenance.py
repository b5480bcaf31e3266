"""What keeps a store small and trustworthy: sealing, truncation, and verification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from flowlab.errors import FlowlabError, FormatVersionError, InvalidArgumentError
from flowlab.events import EventLog, Key
from flowlab.store import bulk
from flowlab.store.clock import wall_ns
from flowlab.store.compaction import (
    CompactResult,
    Job,
    Rewriter,
    archivals,
    compactions,
    maintenance_lock,
)
from flowlab.store.delta import DataFile, TableState
from flowlab.store.heads import Heads
from flowlab.store.layout import Stream
from flowlab.store.leftovers import (
    remove_view_drafts,
    unnamed,
    unnamed_checkpoints,
    unnamed_sidecars,
)
from flowlab.store.pins import pinned
from flowlab.store.reading import StoreReading
from flowlab.store.snapshot import Snapshot
from flowlab.store.truncation import (
    BaseRow,
    Bases,
    TruncateResult,
    archive_path,
    archived,
    truncation_events,
)
from flowlab.store.vacuum import MAX_NAMES, RETAINED_NS, VacuumResult, floor_of, needless
from flowlab.store.verify import Verifier, VerifyReport
from flowlab.store.view_keeping import keep_states

FIRST_TO_TRUNCATE: Final = 2
"""The format whose readers know bases."""


class StoreMaintenance(StoreReading):
    """Maintenance of an open store."""

    def seal(self) -> bool:
        """Move the tail into sorted Parquet files; return whether there was anything to move."""
        self._check_writable()
        return self._writer.seal()

    def truncate(
        self,
        workflow_id: str | Mapping[str, int],
        *,
        upto: int | None = None,
        namespace: str = "default",
        run_id: str = "",
        archive: str | PathLike[str] | None = None,
        discard: bool = False,
        remember: Callable[[EventLog], Any] | None = None,
    ) -> TruncateResult:
        """Let streams begin later: events up to a sequence are in no answer any more, at once.

        What goes away is written to a Parquet file first, durable, and an event `LogTruncated` in
        the stream `@world` tells of it, in the same commit. The bytes in the sealed files go with
        the next `compact` and `vacuum`; versions from before stay readable until then.
        Sequences, positions and lane ticks go on as if nothing had happened, and events may still
        name causes below a base: they lie before the horizon.

        Args:
            workflow_id: the stream, or for each of several the last sequence to go.
            upto: the last sequence to go, where one stream is named.
            namespace: of the streams.
            run_id: of the streams, empty for the live run.
            archive: the file to write what goes away to; by default one in `archive/` of the store.
            discard: write no such file.
            remember: is given the log of the run, and returns what is to be remembered of what
                goes: a JSON value that the event tells as `horizon`. No one else appends meanwhile.
                `recovery.truncate` keeps the causal order and the clocks with it.

        Raises:
            InvalidArgumentError: a sequence is not one of its stream, or is gone already.
            FormatVersionError: an older flowlab made the store.
        """
        self._check_writable()
        self._check_truncatable()
        wanted = _wanted(workflow_id, upto)
        if archive is not None and discard:
            message = "give either archive or discard=True, not both"
            raise InvalidArgumentError(message)
        streams = {(namespace, run_id, name): last for name, last in wanted.items()}

        def commit(heads: Heads, state: TableState, position: int, now_ns: int) -> TruncateResult:
            snapshot = Snapshot(self._files, state, None)
            gone = _gone(snapshot, heads, streams)
            keep_states(self._files.views, snapshot, gone)
            horizon = None
            if remember is not None:
                horizon = remember(snapshot.read(Key(namespace=namespace, run_id=run_id)))
            version = state.version + 1
            path = None if discard else self._archive_path(streams, archive, version)
            where = "" if path is None else _shown(path, self.path)
            rows = [
                BaseRow(stream, last, position + place, version, where, lanes)
                for place, (stream, last, lanes) in enumerate(_lanes(gone, heads, streams), 1)
            ]
            events = truncation_events(rows, horizon)
            admitted = bulk.admit(events, heads, position=position, now_ns=now_ns)
            with archived(path, gone, self.disk, lambda: self._log.latest().version >= version):
                self._sealer.commit_rows(
                    *admitted,
                    runs=(),
                    anomalies=snapshot.anomalies.slice(0, 0),
                    position=position + len(rows),
                    committed_ns=now_ns,
                    epoch=self._role.epoch,
                    bases=tuple(rows),
                )
            return TruncateResult(version, gone.num_rows, wanted, where)

        return self._writer.exclusively(commit)

    def _archive_path(
        self, streams: Mapping[Stream, int], archive: str | PathLike[str] | None, version: int
    ) -> Path:
        if archive is not None:
            return Path(archive).absolute()
        first, base = next(iter(streams.items()))
        return archive_path(self.path, first, base=base, version=version, epoch=self._role.epoch)

    def _check_truncatable(self) -> None:
        if self._manifest.format < FIRST_TO_TRUNCATE:
            message = (
                f"the store has format {self._manifest.format}, of which older readers would show "
                "truncated events again; append its log to a new store, and truncate there"
            )
            raise FormatVersionError(message)

    def compact(
        self, *, full: bool = False, progress: Callable[[str], None] | None = None
    ) -> CompactResult:
        """Merge small sealed files into larger sorted ones; drop what was truncated.

        The rows and every answer stay as they are, and so do older versions, until `vacuum`.
        Appends, of this process and of others, and readers go on meanwhile.

        Args:
            full: merge each partition into one sorted run; by default only runs of like size, so
                that a row is written again a logarithmic number of times.
            progress: told how far it is.

        Raises:
            LockedError: another process compacts, archives or vacuums.
        """
        return self._rewrite(
            lambda state, bases: compactions(state, bases, full=full), "OPTIMIZE", progress
        )

    def archive(
        self,
        *,
        upto: int | None = None,
        before_ns: int | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> CompactResult:
        """Move older events into the archive tier: the same table, compressed further.

        They stay in every answer. Compaction leaves the archive alone.

        Args:
            upto: the last position to move; by default all that is sealed.
            before_ns: instead: what was committed until then (nanoseconds since 1970).
            progress: told how far it is.

        Raises:
            InvalidArgumentError: both are given, or they are no whole numbers.
            LockedError: another process compacts, archives or vacuums.
        """
        given = [value for value in (upto, before_ns) if value is not None]
        if len(given) > 1 or any(type(value) is not int for value in given):
            message = f"give one of upto and before_ns, as an int, or none; got {given}"
            raise InvalidArgumentError(message)

        def jobs(state: TableState, _bases: Bases) -> list[Job]:
            last = state.info.sealed_position if upto is None else upto
            if before_ns is not None:
                last = self._metadata.upto(state).position_at(before_ns)
            return archivals(state, last)

        return self._rewrite(jobs, "ARCHIVE", progress)

    def vacuum(
        self, *, retain: timedelta | int = RETAINED_NS, dry_run: bool = False
    ) -> VacuumResult:
        """Remove files that no version needs which is still to be read, and what was left behind.

        Versions that were the newest at some time within `retain` stay readable, and those that
        any reader has pinned; of what is older, `as_of(version=...)` says that it is gone.
        Positions stay readable, whatever is removed, but for what was truncated. Drafts of stopped
        writers go too, and sidecars, archives and states of checkpoints that nothing names.

        Args:
            retain: how long versions stay readable, a timedelta or nanoseconds; 0: the newest only.
            dry_run: only say what would go.

        Raises:
            InvalidArgumentError: the time is below 0.
            LockedError: another process compacts, archives or vacuums.
        """
        self._check_writable()
        if isinstance(retain, timedelta):
            retain = retain // timedelta(microseconds=1) * 1000
        if type(retain) is not int or retain < 0:
            message = f"retain is {retain!r}; expected a timedelta or nanoseconds, 0 or more"
            raise InvalidArgumentError(message)
        with maintenance_lock(self.path, self.disk, timeout_s=self._role.timeout_s):
            # What this process read last is not what it will read next.
            self.snapshot()
            self._pins.refresh()
            sidecars = list(unnamed_sidecars(self.path, self._log))
            return self._writer.beside(
                lambda state: self._vacuum(
                    state, floor_of(self._log, retain, wall_ns()), sidecars, dry_run=dry_run
                )
            )

    def _vacuum(
        self, state: TableState, floor: int, sidecars: list[Path], *, dry_run: bool
    ) -> VacuumResult:
        asked, held = floor, pinned(self.path, self.disk)
        floor = min([floor, *held])
        version = state.version
        if not dry_run and floor > state.info.floor:
            epoch = state.info.epoch
            version = self._sealer.rewrite([], [], operation="VACUUM", epoch=epoch, floor=floor)
            state = self._log.latest()
            # Only now: a reader pins its version before it looks at the floor.
            held = pinned(self.path, self.disk)
        elif dry_run:
            kept = tuple(data for data in state.removed if data.version > floor)
            state = replace(state, removed=kept)
        found = needless(self.path / "workflows", state, self._log, held)
        now = self.snapshot()
        found += unnamed(self.path, self._log, now.bases.rows, sidecars)
        found += unnamed_checkpoints(self.path, now, floor)
        if not dry_run:
            for path, _ in found:
                self.disk.remove(path)
        found += remove_view_drafts(self.path, self.disk, dry_run=dry_run)
        return VacuumResult(
            version,
            floor,
            len(found),
            sum(size for _, size in found),
            tuple(path.relative_to(self.path).as_posix() for path, _ in found[:MAX_NAMES]),
            tuple(sorted((held_at, who) for held_at, who in held.items() if held_at < asked)),
            dry_run,
        )

    def _rewrite(
        self,
        plan: Callable[[TableState, Bases], list[Job]],
        operation: str,
        progress: Callable[[str], None] | None,
    ) -> CompactResult:
        self._check_writable()
        with maintenance_lock(self.path, self.disk, timeout_s=self._role.timeout_s):
            # Pinned like a reader's: what is read here must not be vacuumed by a build of its own.
            state = self.snapshot().state
            bases = self._metadata.bases(state)

            def commit(added: list[DataFile], removed: list[DataFile], what: str) -> int:
                return self._writer.beside(
                    lambda latest: self._sealer.rewrite(
                        added, removed, operation=what, epoch=latest.info.epoch
                    )
                )

            rewriter = Rewriter(
                root=self.path,
                layout=self._manifest.layout,
                reader=self._files.reader,
                disk=self.disk,
                bases=bases,
                state=state,
                log=self._log,
                commit=commit,
                epoch=state.info.epoch,
                say=progress or (lambda _: None),
            )
            return rewriter.run(plan(state, bases), operation=operation)

    def verify(self, *, progress: Callable[[str], None] | None = None) -> VerifyReport:
        """Check every file's checksums and every event's place; repair nothing.

        Others may write, compact and vacuum meanwhile.
        """
        with suppress(FlowlabError):  # what hinders a reader is what is to be found
            _pinned = self.snapshot()
        return Verifier(self.path, progress=progress).run()


def _wanted(workflow_id: str | Mapping[str, int], upto: int | None) -> dict[str, int]:
    wanted = dict(workflow_id) if isinstance(workflow_id, Mapping) else {workflow_id: upto}
    if not wanted or (isinstance(workflow_id, Mapping) and upto is not None):
        message = "give one workflow_id and upto, or a mapping of workflow ids to sequences"
        raise InvalidArgumentError(message)
    found: dict[str, int] = {}
    for name, last in wanted.items():
        if not isinstance(name, str) or type(last) is not int:
            message = f"stream {name!r} is to go up to {last!r}; expected an id and a sequence"
            raise InvalidArgumentError(message)
        found[name] = last
    return found


def _gone(snapshot: Snapshot, heads: Heads, streams: dict[Stream, int]) -> pa.Table:
    """Return the events that are to go, after checking that they are there."""
    parts = []
    for stream, last in streams.items():
        head, base = heads.head(*stream), snapshot.bases.base(stream)
        if not base < last <= head:
            held = (
                f"it holds {base + 1} to {head}: give one of them"
                if head > base
                else "it holds no event; store.tree() names the streams"
            )
            message = f"stream {stream[2]!r} cannot be truncated up to {last}: {held}"
            raise InvalidArgumentError(message)
        key = Key(
            "workflows",
            stream[2],
            namespace=stream[0],
            run_id=stream[1],
            section="events",
            first=base + 1,
            last=last,
        )
        parts.append(snapshot.read(key).table)
    return pa.concat_tables(parts)


def _lanes(
    gone: pa.Table, heads: Heads, streams: dict[Stream, int]
) -> list[tuple[Stream, int, list[tuple[str, int]]]]:
    """Return each stream with its base and the last ticks of the lanes that lose events."""
    rows = gone.select(["workflow_id", "agent_id"]).group_by(["workflow_id", "agent_id"])
    agents: dict[str, set[str]] = {}
    for row in rows.aggregate([]).to_pylist():
        agents.setdefault(row["workflow_id"], set()).add(row["agent_id"])
    return [
        (
            stream,
            last,
            [(agent, heads.lane(*stream[:2], agent)) for agent in sorted(agents[stream[2]])],
        )
        for stream, last in streams.items()
    ]


def _shown(path: Path, root: Path) -> str:
    """Return a path as the log records it: below the store where it is there."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
