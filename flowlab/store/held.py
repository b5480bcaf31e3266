"""What the snapshots of one open store share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from flowlab.errors import FencedError
from flowlab.events import Upcasts
from flowlab.store.checkpoints import CheckpointIndex
from flowlab.store.clock import process_id
from flowlab.store.cluster_log import Clusterings
from flowlab.store.placing import Shelves
from flowlab.store.projecting import Views
from flowlab.store.segment_reader import SegmentReader
from flowlab.store.sidecar import MetadataLog


@dataclass(frozen=True, slots=True)
class Files:
    """What snapshots of one store share: where it is, and what has been read already."""

    root: Path
    shelves: Shelves
    reader: SegmentReader
    metadata: MetadataLog
    clusterings: Clusterings
    views: Views
    upcasts: Upcasts = field(default_factory=Upcasts)
    checkpoints: CheckpointIndex = field(default_factory=CheckpointIndex)
    process: int = field(default_factory=process_id)

    def check_process(self) -> None:
        """Refuse to go on in a forked child: locks, connections and threads stayed behind.

        Raises:
            FencedError: another process opened the store.
        """
        if self.process != process_id():
            message = (
                f"the store was opened by process {self.process}, and this is {process_id()}: "
                "open it again in the child process"
            )
            raise FencedError(message)
