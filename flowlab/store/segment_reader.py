"""Reads sealed files natively: cached footers, and only the row groups that can match."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowlab.errors import CorruptionError
from flowlab.events import EVENT_SCHEMA
from flowlab.store.delta import FILE_COLUMNS, DataFile

MAX_CACHED_FOOTERS: Final = 512
MAX_CACHED_HANDLES: Final = 64
FEW_GROUPS: Final = 4
"""So many row groups are decoded sooner by one thread than by handing them to several."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """The bounds of one row group, from the footer."""

    index: int
    rows: int
    least: dict[str, Any]
    most: dict[str, Any]

    def may_hold(self, column: str, low: Any, high: Any) -> bool:
        """Whether a value between low and high (None: open) can be inside."""
        least, most = self.least.get(column), self.most.get(column)
        if least is None or most is None:
            return True
        return not ((low is not None and most < low) or (high is not None and least > high))


@dataclass(frozen=True, slots=True)
class StreamIndex:
    """The streams of one sealed file: runs, first and last sequences by workflow."""

    by_workflow: dict[str, list[tuple[str, int, int]]]

    def of(self, workflow_id: str) -> list[tuple[str, int, int]]:
        """Return (run, first sequence, last sequence) of a workflow in each run."""
        return self.by_workflow.get(workflow_id, [])


class SegmentReader:
    """Opens sealed files and keeps their footers; safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._streams: dict[str, StreamIndex] = {}
        self._footers: OrderedDict[str, tuple[pq.FileMetaData, tuple[RowGroup, ...]]] = (
            OrderedDict()
        )
        self._handles: OrderedDict[str, pq.ParquetFile] = OrderedDict()

    def row_groups(self, data: DataFile) -> tuple[RowGroup, ...]:
        """Return the bounds of a file's row groups."""
        with self._lock:
            return self._footer(data)[1]

    def streams(self, data: DataFile) -> StreamIndex:
        """Return the streams of a file, read from its id columns once."""
        with self._lock:
            if data.path not in self._streams:
                table = self.read(data, columns=("run_id", "workflow_id", "sequence"))
                grouped = table.group_by(["run_id", "workflow_id"]).aggregate(
                    [("sequence", "min"), ("sequence", "max")]
                )
                names = ("workflow_id", "run_id", "sequence_min", "sequence_max")
                index: dict[str, list[tuple[str, int, int]]] = {}
                for flow, *span in zip(
                    *(grouped.column(name).to_pylist() for name in names), strict=True
                ):
                    index.setdefault(flow, []).append((span[0], span[1], span[2]))
                self._streams[data.path] = StreamIndex(index)
            return self._streams[data.path]

    def read(
        self,
        data: DataFile,
        groups: list[int] | None = None,
        *,
        columns: tuple[str, ...] = FILE_COLUMNS,
        verify: bool = False,
    ) -> pa.Table:
        """Read row groups of a file (all of them by default).

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        wanted = list(columns)
        try:
            with self._lock:
                handle = self._open(data, verify=verify)
                if groups is None:
                    return handle.read(columns=wanted, use_threads=True)
                return handle.read_row_groups(
                    groups, columns=wanted, use_threads=len(groups) > FEW_GROUPS
                )
        except (OSError, pa.ArrowException) as error:
            self._handles.pop(data.path, None)
            message = f"sealed file {data.path} cannot be read: {error}; flowlab store verify DIR"
            raise CorruptionError(message) from error

    def with_namespace(self, table: pa.Table, namespace: str) -> pa.Table:
        """Put the partition's namespace back as a column, in schema order."""
        column = pa.repeat(pa.scalar(namespace, pa.string()), table.num_rows)
        arrays = [column, *(table.column(name) for name in FILE_COLUMNS)]
        cast = [
            array if array.type == field.type else array.cast(field.type)
            for array, field in zip(arrays, EVENT_SCHEMA, strict=True)
        ]
        return pa.Table.from_arrays(cast, schema=EVENT_SCHEMA)

    def _footer(self, data: DataFile) -> tuple[pq.FileMetaData, tuple[RowGroup, ...]]:
        if data.path not in self._footers:
            try:
                metadata = pq.read_metadata(self.root / data.path)
            except (OSError, pa.ArrowException) as error:
                message = f"sealed file {data.path} has no readable footer: {error}"
                raise CorruptionError(message) from error
            self._footers[data.path] = (metadata, _bounds(metadata))
            if len(self._footers) > MAX_CACHED_FOOTERS:
                self._footers.popitem(last=False)
        self._footers.move_to_end(data.path)
        return self._footers[data.path]

    def _open(self, data: DataFile, *, verify: bool) -> pq.ParquetFile:
        metadata = self._footer(data)[0]
        if verify:
            path = self.root / data.path
            return pq.ParquetFile(path, page_checksum_verification=True)
        if data.path not in self._handles:
            # Reading a page's checksum costs less than a tenth of decoding it.
            self._handles[data.path] = pq.ParquetFile(
                self.root / data.path, metadata=metadata, page_checksum_verification=True
            )
            if len(self._handles) > MAX_CACHED_HANDLES:
                self._handles.popitem(last=False)[1].close()
        self._handles.move_to_end(data.path)
        return self._handles[data.path]

    def close(self) -> None:
        """Close every handle."""
        for handle in self._handles.values():
            handle.close()
        self._handles.clear()


def _bounds(metadata: pq.FileMetaData) -> tuple[RowGroup, ...]:
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    wanted = [
        (i, name)
        for i, name in enumerate(names)
        if name in {"run_id", "workflow_id", "sequence", "position", "agent_id", "time_ns"}
    ]
    groups = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        least: dict[str, Any] = {}
        most: dict[str, Any] = {}
        for i, name in wanted:
            statistics = group.column(i).statistics
            if statistics is not None and statistics.has_min_max:
                least[name], most[name] = statistics.min, statistics.max
        groups.append(RowGroup(index, group.num_rows, least, most))
    return tuple(groups)


def stream_mask(table: pa.Table, run_id: str, workflow_id: str) -> pa.Array:
    """Return which rows belong to one stream."""
    return pc.and_(
        pc.equal(table.column("run_id"), run_id), pc.equal(table.column("workflow_id"), workflow_id)
    )
