"""What a clustering is: the log in another order, in a table of its own, up to a position."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from flowlab.errors import InvalidArgumentError
from flowlab.events import EVENT_SCHEMA, counted, encode_id, grouped

CLUSTER_BUCKETS: Final = 16
"""Hash buckets of each clustering, whatever the layout of the store."""
SOURCE_APP: Final = "flowlab.workflows"
"""Whose version the last `txn` of a clustering names."""

RANGE_SCHEMA: Final = pa.schema(
    [
        pa.field("namespace", pa.string(), False),
        pa.field("run_id", pa.string(), False),
        pa.field("coordination_id", pa.string(), False),
        pa.field("workflow_id", pa.string(), False),
        pa.field("first_sequence", pa.int64(), False),
        pa.field("last_sequence", pa.int64(), False),
        pa.field("events", pa.int64(), False),
        pa.field("first_position", pa.int64(), False),
        pa.field("last_position", pa.int64(), False),
    ]
)
"""Where the events of a coordination are: a range of a stream, and how many of it are its."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of clustering.

    Args:
        name: of its folder.
        schema: of its rows.
        owner: the column that, with the run, decides the bucket.
        order: the columns by which the rows of a file are sorted.
    """

    name: str
    schema: pa.Schema
    owner: str
    order: tuple[str, ...]

    def bucket(self, run_id: str, owner: str) -> int:
        """Return the bucket of an owner: CRC-32 of run, NUL and owner in UTF-8, modulo."""
        return zlib.crc32(f"{run_id}\0{owner}".encode()) % CLUSTER_BUCKETS

    def folder(self, namespace: str, bucket: int) -> str:
        """Return the folder of a partition, below that of the clustering."""
        return f"namespace={encode_id(namespace)}/bucket={bucket}"


AGENTS: Final = Kind(
    "agents",
    EVENT_SCHEMA,
    "agent_id",
    ("run_id", "agent_id", "time_ns", "agent_sequence", "workflow_id", "sequence"),
)
COORDINATION: Final = Kind(
    "coordination",
    RANGE_SCHEMA,
    "coordination_id",
    ("run_id", "coordination_id", "workflow_id", "first_sequence"),
)
KINDS: Final = (AGENTS, COORDINATION)


def kinds_of(name: str | None) -> tuple[Kind, ...]:
    """Return the kinds of a name, all for None.

    Raises:
        InvalidArgumentError: there is no such kind.
    """
    if name is None:
        return KINDS
    found = tuple(kind for kind in KINDS if kind.name == name)
    if not found:
        known = ", ".join(repr(kind.name) for kind in KINDS)
        message = f"there is no clustering {name!r}; expected one of {known}, or None for all"
        raise InvalidArgumentError(message)
    return found


@dataclass(frozen=True, slots=True)
class ClusterResult:
    """What one build of a clustering did.

    Args:
        kind: `agents` or `coordination`.
        version: of its table, now.
        position: it holds every sealed event up to here.
        events: that this build took in.
        files: of its table, now.
        merged: files that it merged into larger ones.

    Example:
        >>> ClusterResult("agents", 0, 10, 10, 1, 0)
        ClusterResult('agents', 10 events taken in, up to position 10, 1 file)
    """

    kind: str
    version: int
    position: int
    events: int
    files: int
    merged: int

    def __repr__(self) -> str:
        return (
            f"ClusterResult({self.kind!r}, {counted(self.events, 'event')} taken in, "
            f"up to position {grouped(self.position)}, {counted(self.files, 'file')})"
        )


@dataclass(frozen=True, slots=True)
class ClusteringInfo:
    """Up to where a clustering holds.

    Args:
        kind: `agents` or `coordination`.
        version: of its table.
        position: it holds every sealed event up to here.
        behind: durable events after that, which reads take from the store itself.
        files, bytes: of its table.

    Example:
        >>> ClusteringInfo("agents", 0, 90, 10, 1, 5000)
        ClusteringInfo('agents', up to position 90, 10 behind)
    """

    kind: str
    version: int
    position: int
    behind: int
    files: int
    bytes: int

    def __repr__(self) -> str:
        where = f"up to position {grouped(self.position)}, {grouped(self.behind)} behind"
        return f"ClusteringInfo({self.kind!r}, {where})"

    def __str__(self) -> str:
        return (
            f"up to {grouped(self.position)}, {grouped(self.behind)} behind, "
            f"{counted(self.files, 'file')}, {grouped(self.bytes)} bytes"
        )
