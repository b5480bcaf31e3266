"""The files of a clustering: rows by bucket in its order, and which files are to be merged."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flowlab.events import EVENT_SCHEMA, rank_strings, sorted_rows
from flowlab.store.clustering import CLUSTER_BUCKETS, Kind
from flowlab.store.delta import DataFile
from flowlab.store.files import Disk
from flowlab.store.segments import (
    CONSTANTS_KEY,
    ROW_GROUP_ROWS,
    WRITE_OPTIONS,
    constants,
    file_crc,
    file_stats,
    read_footer,
)
from flowlab.store.streams import rank_ints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

MERGE_ROWS: Final = 1 << 20
MERGE_BYTES: Final = 64 << 20
SMALL: Final = 4
"""Owners of at most this fraction of a row group share one."""
GROWTH: Final = 2
"""Where a file has at most so many times the rows of all smaller ones, it is merged with them."""
_RANGE_COLUMNS: Final = (
    "run_id",
    "coordination_id",
    "workflow_id",
    "first_sequence",
    "last_sequence",
    "events",
    "first_position",
    "last_position",
)
_RANGE_OPTIONS: Final[dict[str, Any]] = {
    **WRITE_OPTIONS,
    "use_dictionary": list(_RANGE_COLUMNS[:3]),
    "column_encoding": dict.fromkeys(_RANGE_COLUMNS[3:], "DELTA_BINARY_PACKED"),
    "write_statistics": ["run_id", "coordination_id", "first_position", "last_position"],
}


@dataclass(frozen=True, slots=True)
class Bunch:
    """Rows of one partition of a clustering, sorted.

    Args:
        namespace, bucket: the partition.
        table: the rows.
        owners: how many rows each owner has, in order.
    """

    namespace: str
    bucket: int
    table: pa.Table
    owners: tuple[int, ...]


def arrange(table: pa.Table, kind: Kind) -> list[Bunch]:
    """Split rows by partition, each in the order of the clustering."""
    if not table.num_rows:
        return []
    spaces, space_names = rank_strings(table.column("namespace"))
    runs, run_names = rank_strings(table.column("run_id"))
    owners, owner_names = rank_strings(table.column(kind.owner))
    lanes, keys = rank_ints((spaces * len(run_names) + runs) * len(owner_names) + owners)
    world, owner = keys // len(owner_names), keys % len(owner_names)
    bucket = np.array(
        [
            kind.bucket(run_names[run], owner_names[name])
            for run, name in zip((world % len(run_names)).tolist(), owner.tolist(), strict=True)
        ],
        np.int64,
    )
    part = world // len(run_names) * CLUSTER_BUCKETS + bucket
    # Lanes are numbered in the order of their partitions, so that one sort does both.
    order = np.lexsort((keys, part))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rows = sorted_rows(place[lanes], *(_codes(table, name) for name in kind.order[2:]))
    ordered = table.combine_chunks().take(pa.array(rows))
    counts, parts = np.bincount(lanes)[order], part[order]
    bunches, start = [], 0
    for key in np.unique(parts).tolist():
        sizes = tuple(counts[parts == key].tolist())
        space, total = space_names[key // CLUSTER_BUCKETS], sum(sizes)
        bunches.append(Bunch(space, key % CLUSTER_BUCKETS, ordered.slice(start, total), sizes))
        start += total
    return bunches


def _codes(table: pa.Table, name: str) -> Ints:
    column = table.column(name)
    if pa.types.is_string(column.type):
        return rank_strings(column)[0]
    values: Ints = column.to_numpy()
    return values


def write_bunch(bunch: Bunch, kind: Kind, *, root: Path, name: str, disk: Disk) -> DataFile:
    """Write one file of a clustering, durable with its directory entry."""
    folder = kind.folder(bunch.namespace, bunch.bucket)
    path = root / folder / name
    disk.make_directory(path.parent)
    events = kind.schema is EVENT_SCHEMA
    with disk.create(path) as stream:
        _write_groups(bunch, stream, WRITE_OPTIONS if events else _RANGE_OPTIONS)
        size = stream.tell()
    footer, whole = read_footer(path), file_crc(path)
    disk.sync_directory(path.parent)
    columns = None if events else _RANGE_OPTIONS["write_statistics"]
    return DataFile(
        path=f"{folder}/{name}",
        partition={"namespace": bunch.namespace, "bucket": str(bunch.bucket)},
        size=size,
        rows=bunch.table.num_rows,
        stats=file_stats(bunch.table.drop_columns(["namespace"]), columns),
        footer_crc=zlib.crc32(footer),
        file_crc=whole,
    )


def _write_groups(bunch: Bunch, stream: BinaryIO, options: dict[str, Any]) -> None:
    """Write rows so that a group holds one owner or whole small ones: its bounds tell more."""
    table = bunch.table.drop_columns(["namespace"])
    told, start = [], 0
    with pq.ParquetWriter(stream, table.schema, **options) as writer:
        for rows in group_sizes(bunch.owners):
            group = table.slice(start, rows)
            writer.write_table(group, row_group_size=rows)
            start += rows
            if options is WRITE_OPTIONS:
                told.append(constants(group))
        text = json.dumps(told, separators=(",", ":"))
        writer.add_key_value_metadata({CONSTANTS_KEY: text})


def group_sizes(owners: tuple[int, ...]) -> list[int]:
    """Return how many rows each row group has, given how many rows each owner has.

    Example:
        >>> group_sizes((3, 5, 5000, 2))
        [8, 1666, 1667, 1667, 2]
    """
    sizes: list[int] = []
    small = 0
    for rows in owners:
        if rows <= ROW_GROUP_ROWS // SMALL and small + rows <= ROW_GROUP_ROWS:
            small += rows
            continue
        if small:
            sizes.append(small)
            small = 0
        if rows <= ROW_GROUP_ROWS // SMALL:
            small = rows
            continue
        count = -(-rows // ROW_GROUP_ROWS)
        sizes += [rows * (n + 1) // count - rows * n // count for n in range(count)]
    return [*sizes, small] if small else sizes


def merges(held: list[DataFile], fresh: list[DataFile]) -> list[list[DataFile]]:
    """Return which files of one partition are to become one, by size.

    A file is merged with all smaller ones where it has no more than `GROWTH` times their rows, so
    that a row is written a logarithmic number of times and the files are a logarithmic number.

    Example:
        >>> def file(path, rows):
        ...     return DataFile(path, "default", 0, rows, rows, {})
        >>> [[data.path for data in group] for group in merges(
        ...     [file("a", 1000), file("b", 90)], [file("c", 50), file("d", 10)])]
        [['d', 'c', 'b']]
    """
    groups: list[list[DataFile]] = [[]]
    for data in sorted(fresh, key=lambda data: data.rows):
        if groups[-1] and not _fits(groups[-1], data):
            groups.append([])
        groups[-1].append(data)
    last = groups[-1]
    for data in sorted(held, key=lambda data: data.rows):
        if data.rows <= GROWTH * sum(other.rows for other in last) and _fits(last, data):
            last.append(data)
    return [group for group in groups if len(group) > 1]


def _fits(group: list[DataFile], data: DataFile) -> bool:
    rows = data.rows + sum(other.rows for other in group)
    return rows <= MERGE_ROWS and data.size + sum(other.size for other in group) <= MERGE_BYTES
