"""The event store: tail, sealed files, commit log, keys, SQL, time travel."""

from __future__ import annotations

from flowlab.store.clustering import ClusteringInfo, ClusterResult
from flowlab.store.event_store import CommitResult, EventStore
from flowlab.store.files import Disk
from flowlab.store.group_commit import AppendResult
from flowlab.store.info import StoreInfo
from flowlab.store.layout import Layout
from flowlab.store.resolve import Located
from flowlab.store.segments import ROW_GROUP_ROWS, WRITE_OPTIONS
from flowlab.store.snapshot import Snapshot
from flowlab.store.tree import Tree
from flowlab.store.verify import Problem, VerifyReport

__all__ = [
    "ROW_GROUP_ROWS",
    "WRITE_OPTIONS",
    "AppendResult",
    "ClusterResult",
    "ClusteringInfo",
    "CommitResult",
    "Disk",
    "EventStore",
    "Layout",
    "Located",
    "Problem",
    "Snapshot",
    "StoreInfo",
    "Tree",
    "VerifyReport",
]
