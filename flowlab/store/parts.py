"""The parts of an open store, and how a state of it is pinned: what its methods build on."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Final

from flowlab.errors import CorruptionError, InvalidArgumentError, LimitError
from flowlab.events import Upcast, Upcasts
from flowlab.events.wording import brief
from flowlab.store.aggregate_states import AggregateStates
from flowlab.store.cluster_log import Clusterings
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import TableState
from flowlab.store.files import LOCK_TIMEOUT_S, Disk
from flowlab.store.heads import SealedHeads
from flowlab.store.held import Files
from flowlab.store.inline import InlineViews
from flowlab.store.layout import Layout
from flowlab.store.manifest import Manifest, open_or_create, read_manifest, usable_path
from flowlab.store.pins import Pins
from flowlab.store.placing import Shelves
from flowlab.store.projecting import SavedViews, Views
from flowlab.store.role import Role
from flowlab.store.sealing import Sealer
from flowlab.store.segment_reader import SegmentReader
from flowlab.store.sidecar import MetadataLog
from flowlab.store.snapshot import Snapshot
from flowlab.store.tail import tail_is_begun
from flowlab.store.tail_reader import TailReader, TailView
from flowlab.store.writer import Writer

SEAL_EVENTS: Final = 65_536
SEAL_BYTES: Final = 32 * 1024 * 1024
MAX_PIN_TRIES: Final = 100
MAX_KEY_CHARS: Final = 1024
"""Longest idempotency key."""


class StoreParts:
    """The parts of one open store; `EventStore` adds what a person calls."""

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        read_only: bool = False,
        layout: Layout | None = None,
        seal_events: int = SEAL_EVENTS,
        seal_bytes: int = SEAL_BYTES,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        disk: Disk | None = None,
        upcasts: Iterable[Upcast] = (),
    ) -> None:
        # All that is refused is refused before a store is made.
        _check_options(layout, seal_events=seal_events, seal_bytes=seal_bytes)
        chains = Upcasts(tuple(upcasts))
        self.path = usable_path(path)
        self.disk = Disk() if disk is None else disk
        self._role = Role(self.path, self.disk, timeout_s=lock_timeout_s)
        self._read_only = read_only
        self._manifest = self._opened(layout)
        tables = self.path / "workflows"
        self._log = CommitLog(tables / "_delta_log", table_id=self._manifest.table_id)
        self._tail = TailReader(self.path / "tail", owner=self._manifest.mark)
        self._metadata = MetadataLog(self.path)
        self._files = self._made_files(tables, chains)
        layout, views = self._manifest.layout, self._files.views
        sealed = SealedHeads(self._files.reader, self._files.shelves)
        self._sealer = Sealer(self.path, layout, self._log, sealed, self._metadata, self.disk)
        self._writer = Writer(
            self.path,
            role=self._role,
            sealer=self._sealer,
            log=self._log,
            tail=self._tail,
            disk=self.disk,
            seal_events=seal_events,
            seal_bytes=seal_bytes,
        )
        self._writer.inline = InlineViews(views, self.snapshot)
        self._states = AggregateStates(self.path, self._manifest.table_id, self.disk)
        self._pins = Pins(self.path, self.disk)
        self._pin_lock = threading.Lock()
        self._latest: Snapshot | None = None
        self._pinned: tuple[int, int, int] | None = None
        self._closed = False

    def _opened(self, layout: Layout | None) -> Manifest:
        if self._read_only:
            manifest = read_manifest(self.path)
        else:
            manifest = open_or_create(self.path, layout=layout or Layout(), disk=self.disk)
        if layout is not None and layout != manifest.layout:
            message = f"the store has {manifest.layout}, not {layout}; a layout never changes"
            raise InvalidArgumentError(message)
        return manifest

    def _made_files(self, tables: Path, upcasts: Upcasts) -> Files:
        """Return what snapshots share."""
        return Files(
            tables,
            Shelves(self._manifest.layout),
            SegmentReader(tables),
            self._metadata,
            Clusterings(self.path, self._log, self._metadata),
            Views(SavedViews(self.path, self.disk, self._manifest.table_id, upcasts)),
            upcasts,
        )

    def snapshot(self) -> Snapshot:
        """Pin what is durable now: later writes do not show in it, and nothing waits."""
        while True:
            state, view = self._pin()
            sealed = state.info.sealed_position
            pinned = (
                state.version,
                view.commits if view is not None else 0,
                view.last_position(sealed) if view is not None else sealed,
            )
            with self._pin_lock:
                if self._latest is None or self._pinned != pinned:
                    # Let go of the older one first, so that its version is not pinned again.
                    self._latest = None
                    self._latest = self._held(state, view)
                    self._pinned = pinned
                if self._latest is not None:
                    return self._latest

    def close(self) -> None:
        """Close the files. Everything committed is durable already."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            self._files.reader.close()
            self._files.clusterings.close()
            self._pins.close()

    def _pin(self) -> tuple[TableState, TailView | None]:
        """Return a sealed state and the tail that follows it."""
        self._files.check_process()
        if self._closed:
            message = f"the store {self.path.name!r} is closed; open it again"
            raise InvalidArgumentError(message)
        for _ in range(MAX_PIN_TRIES):
            state = self._log.latest()
            view = self._tail.view(state.info.tail)
            if view is not None and view.follows(state.info.sealed_position):
                return state, view
            # A tail that is gone, or begins further on, was overtaken by a newer version.
            if self._log.latest().version == state.version:
                if view is not None:
                    first, last = view.buffer.events[0].position, state.info.sealed_position
                    message = f"the tail begins at {first}, the sealed part ends at {last}: verify"
                    raise CorruptionError(message)
                read_manifest(self.path)  # a store that was moved away lacks no tail
                if not tail_is_begun(self._tail.folder, state.info.tail, version=state.version):
                    return state, None
        message = f"sealed {MAX_PIN_TRIES} times (MAX_PIN_TRIES) while it was looked at; try again"
        raise LimitError(message)

    @staticmethod
    def _check_key(key: object) -> None:
        if not (isinstance(key, str) and 0 < len(key) <= MAX_KEY_CHARS):
            message = f"idempotency_key is {brief(key)}; expected 1 to {MAX_KEY_CHARS} characters"
            raise InvalidArgumentError(message)

    def _held(
        self, state: TableState, view: TailView | None, *, bound: int | None = None
    ) -> Snapshot | None:
        """Return a snapshot that vacuum spares, None where it has let go of the version."""
        snapshot = Snapshot(self._files, state, view, bound=bound)
        self._pins.hold(state.version, snapshot)
        # Only now: vacuum looks for pins after it has raised its floor.
        floor = self._log.latest().info.floor
        # A store whose making was stopped before its first commit is at version -1.
        return snapshot if floor <= max(state.version, 0) else None

    def _check_writable(self) -> None:
        self._files.check_process()
        if self._closed or self._read_only:
            what = "closed" if self._closed else "open for reading only"
            message = f"the store {self.path.name!r} is {what}; open it again to write"
            raise InvalidArgumentError(message)


def _check_options(layout: object, *, seal_events: object, seal_bytes: object) -> None:
    if not isinstance(layout, Layout | None):
        message = f"layout is {brief(layout)}; expected Layout(buckets=...) or Layout.of(...)"
        raise InvalidArgumentError(message)
    for name, value in (("seal_events", seal_events), ("seal_bytes", seal_bytes)):
        if type(value) is not int or value < 1:
            message = f"{name} is {brief(value)}; expected an int of at least 1"
            raise InvalidArgumentError(message)
