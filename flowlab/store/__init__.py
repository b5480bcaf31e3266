"""The event store: tail, sealed files, commit log, keys, SQL, time travel."""

from __future__ import annotations

from flowlab.store.aggregate import Aggregate, Snapshots, aggregate
from flowlab.store.checkpoints import Checkpoint, LoadedCheckpoint
from flowlab.store.clustering import ClusteringInfo, ClusterResult
from flowlab.store.event_store import CommitResult, EventStore
from flowlab.store.executing import ExecuteResult
from flowlab.store.files import Disk
from flowlab.store.group_commit import AppendResult
from flowlab.store.info import StoreInfo
from flowlab.store.layout import Layout
from flowlab.store.projection import Projection, projection
from flowlab.store.projector import Projector
from flowlab.store.resolve import Located
from flowlab.store.segments import ROW_GROUP_ROWS, WRITE_OPTIONS
from flowlab.store.snapshot import Snapshot
from flowlab.store.tree import Tree
from flowlab.store.verify import Problem, VerifyReport
from flowlab.store.view_status import RecoveryReport, ViewState, ViewStatus

__all__ = [
    "ROW_GROUP_ROWS",
    "WRITE_OPTIONS",
    "Aggregate",
    "AppendResult",
    "Checkpoint",
    "ClusterResult",
    "ClusteringInfo",
    "CommitResult",
    "Disk",
    "EventStore",
    "ExecuteResult",
    "Layout",
    "LoadedCheckpoint",
    "Located",
    "Problem",
    "Projection",
    "Projector",
    "RecoveryReport",
    "Snapshot",
    "Snapshots",
    "StoreInfo",
    "Tree",
    "VerifyReport",
    "ViewState",
    "ViewStatus",
    "aggregate",
    "projection",
]
