"""A store as it was at one position, for schemes that ask for nothing newer."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from flowlab.events import EventLog
from flowlab.store import Checkpoint, EventStore, LoadedCheckpoint, Snapshot
from flowlab.store.checkpoints import load


class PinnedStore:
    """What a scheme reads of a store, all of it at one snapshot.

    Args:
        store: an open store.
        position: the last one that is shown; None is now.

    Raises:
        NotFoundError: the position is not reached yet.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     told = store.append("w", [{"event_type": "A"}, {"event_type": "B"}])
        ...     PinnedStore(store, position=1).read("/workflows/w")
        EventLog(1 event, 1 workflow, 1 run)
    """

    def __init__(self, store: EventStore, *, position: int | None = None) -> None:
        snapshot = store.snapshot()
        if position is not None and position != snapshot.position:
            snapshot = store.as_of(position=position)
        self.path: Path = store.path
        self._snapshot = snapshot

    def __repr__(self) -> str:
        return f"PinnedStore({self.path.name!r}, position={self._snapshot.position})"

    def snapshot(self) -> Snapshot:
        """Return the snapshot."""
        return self._snapshot

    def read(self, key: str, *, reverse: bool = False, limit: int | None = None) -> EventLog:
        """Return the events of a key; see `Snapshot.read`."""
        return self._snapshot.read(key, reverse=reverse, limit=limit)

    def checkpoints(
        self, workflow_id: str, *, namespace: str = "default", run_id: str = ""
    ) -> tuple[Checkpoint, ...]:
        """Return the checkpoints of a workflow."""
        return self._snapshot.checkpoints(workflow_id, namespace=namespace, run_id=run_id)

    def load_checkpoint(self, checkpoint: Checkpoint) -> LoadedCheckpoint:
        """Return the state of one checkpoint."""
        return load(self.path, checkpoint)

    @property
    def as_store(self) -> EventStore:
        """It, for who expects a store and only reads."""
        return cast("EventStore", self)
