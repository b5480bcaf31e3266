"""Reads sealed files natively: cached footers, and only the row groups that can match."""

from __future__ import annotations

import errno
import json
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowlab.errors import CorruptionError
from flowlab.events import EVENT_SCHEMA
from flowlab.store.delta import FILE_COLUMNS, DataFile
from flowlab.store.layout import Stream
from flowlab.store.segments import CONSTANTS_KEY, file_crc, read_footer

MAX_CACHED_FOOTERS: Final = 512
MAX_CACHED_HANDLES: Final = 64
_TOO_MANY_OPEN: Final = frozenset({errno.EMFILE, errno.ENFILE})
_NO_DAMAGE: Final = _TOO_MANY_OPEN | {errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EINTR}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """A range of one stream.

    Args:
        stream: (namespace, run_id, workflow_id).
        first: the least sequence, None for the stream's first.
        last: the greatest, None for the stream's last.
        bound: the last position to show, None for all.
    """

    stream: Stream
    first: int | None = None
    last: int | None = None
    bound: int | None = None


@dataclass(frozen=True, slots=True)
class RowGroup:
    """The bounds of one row group, from the footer, and the columns that hold one value only."""

    index: int
    rows: int
    least: dict[str, Any]
    most: dict[str, Any]
    fixed: dict[str, Any]

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
        self._whole: set[str] = set()

    def check(self, files: tuple[DataFile, ...]) -> None:
        """Check files against their checksums, each once, for a reader that checks no page.

        Raises:
            CorruptionError: a file is missing or damaged.
        """
        for data in files:
            if data.path in self._whole:
                continue
            try:
                found = self._with_room(partial(file_crc, self.root / data.path))
            except OSError as error:
                raise self._damaged(data, error) from error
            if data.file_crc not in {None, found}:
                wrong = ValueError("it does not have the checksum that the commit log names")
                raise self._damaged(data, wrong)
            self._whole.add(data.path)

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
        try:
            with self._lock:
                handle = self._open(data, verify=verify)
                if groups is None:
                    return handle.read(columns=list(columns))
                return handle.read_row_groups(groups, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(data, error) from error

    def read_rows(self, data: DataFile, group: int, span: Span) -> pa.Table:
        """Read the rows of a span from one row group, decoding only columns that vary in it.

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        fixed = self.row_groups(data)[group].fixed
        _, run_id, workflow_id = span.stream
        varying = [name for name in FILE_COLUMNS if name not in fixed]
        table = self.read(data, [group], columns=tuple(varying))
        mask: pa.ChunkedArray | None = None
        for name, value in (("run_id", run_id), ("workflow_id", workflow_id)):
            if name in fixed:
                if fixed[name] != value:
                    return EVENT_SCHEMA.empty_table()
                continue
            mask = _both(mask, pc.equal(table.column(name), value))
        for name, low, high in (
            ("sequence", span.first, span.last),
            ("position", None, span.bound),
        ):
            if low is not None:
                mask = _both(mask, pc.greater_equal(table.column(name), low))
            if high is not None:
                mask = _both(mask, pc.less_equal(table.column(name), high))
        if mask is not None:
            # Rows are sorted by stream and sequence, so those of a span lie together.
            rows = pc.indices_nonzero(mask)
            first = rows[0].as_py() if len(rows) else 0
            table = table.slice(first, len(rows))
        values = {"namespace": span.stream[0], **fixed}
        arrays = [
            pa.repeat(pa.scalar(values[field.name], field.type), table.num_rows)
            if field.name in values
            else _as(table.column(field.name), field.type)
            for field in EVENT_SCHEMA
        ]
        return pa.Table.from_arrays(arrays, schema=EVENT_SCHEMA)

    def _with_room(self, opening: Callable[[], T]) -> T:
        """Open a file; where too many are open, close those that are kept open for speed."""
        try:
            return opening()
        except OSError as error:
            if error.errno not in _TOO_MANY_OPEN or not self._handles:
                raise
        with self._lock:
            self.close()
        return opening()

    def _damaged(self, data: DataFile, error: Exception) -> Exception:
        self._handles.pop(data.path, None)
        if isinstance(error, OSError) and error.errno in _NO_DAMAGE:
            return error
        return CorruptionError(
            f"sealed file {data.path} cannot be read: {error}; flowlab store verify DIR"
        )

    def _footer(self, data: DataFile) -> tuple[pq.FileMetaData, tuple[RowGroup, ...]]:
        if data.path not in self._footers:
            path = self.root / data.path
            try:
                self._with_room(lambda: _check_footer(data, path))
                metadata = self._with_room(lambda: pq.read_metadata(path))
                groups = _bounds(metadata)
            except (OSError, ValueError, KeyError, pa.ArrowException) as error:
                raise self._damaged(data, error) from error
            self._footers[data.path] = (metadata, groups)
            if len(self._footers) > MAX_CACHED_FOOTERS:
                self._footers.popitem(last=False)
        self._footers.move_to_end(data.path)
        return self._footers[data.path]

    def _open(self, data: DataFile, *, verify: bool) -> pq.ParquetFile:
        metadata = self._footer(data)[0]
        if verify:
            return pq.ParquetFile(self.root / data.path, page_checksum_verification=True)
        if data.path not in self._handles:
            # Without it a flipped bit of a page would be an answer.
            path = self.root / data.path
            self._handles[data.path] = self._with_room(
                lambda: pq.ParquetFile(path, metadata=metadata, page_checksum_verification=True)
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
    told = json.loads((metadata.metadata or {}).get(CONSTANTS_KEY.encode(), b"[]"))
    groups = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        least: dict[str, Any] = {}
        most: dict[str, Any] = {}
        for i, name in wanted:
            statistics = group.column(i).statistics
            if statistics is not None and statistics.has_min_max:
                least[name], most[name] = statistics.min, statistics.max
        fixed = told[index] if told else {}
        groups.append(RowGroup(index, group.num_rows, least, most, fixed))
    return tuple(groups)


def _check_footer(data: DataFile, path: Path) -> None:
    if data.footer_crc is not None and zlib.crc32(read_footer(path)) != data.footer_crc:
        message = "its footer does not have the checksum that the commit log names"
        raise ValueError(message)


def _both(mask: Any, other: Any) -> Any:
    return other if mask is None else pc.and_(mask, other)


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)
