"""Reads sealed files natively: cached footers, and only the row groups that can match."""

from __future__ import annotations

import errno
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowlab.errors import CorruptionError
from flowlab.events import EVENT_SCHEMA
from flowlab.store.delta import DataFile
from flowlab.store.layout import EVENT_ID, STREAM_COLUMNS
from flowlab.store.opening import forbidden
from flowlab.store.row_groups import RowGroups
from flowlab.store.segments import file_crc, footer_of, read_footer
from flowlab.store.span import Span

MAX_CACHED_FOOTERS: Final = 512
MAX_ALONE: Final = 8
MAX_AT_ONCE: Final = 1 << 20
"""A file of up to so many bytes, of which all rows are asked for, is read at once."""
MAX_CACHED_HANDLES: Final = 64
MAX_CACHED_GROUPS: Final = 256
"""Row groups whose streams are kept."""
_TOO_MANY_OPEN: Final = frozenset({errno.EMFILE, errno.ENFILE})
_NO_DAMAGE: Final = _TOO_MANY_OPEN | {errno.ENOMEM, errno.EINTR}
_TEXTS: Final = frozenset(field.name for field in EVENT_SCHEMA if field.type == pa.string())
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StreamIndex:
    """The streams of one sealed file: runs, first and last sequences by workflow."""

    by_workflow: dict[tuple[str, str], list[tuple[str, int, int]]]

    def of(self, namespace: str, workflow_id: str) -> list[tuple[str, int, int]]:
        """Return (run, first sequence, last sequence) of a workflow in each run."""
        return self.by_workflow.get((namespace, workflow_id), [])


class SegmentReader:
    """Opens sealed files and keeps their footers; safe to use from several threads."""

    def __init__(self, root: Path, schema: pa.Schema = EVENT_SCHEMA) -> None:
        self.root = root
        self.schema = schema
        self.columns = tuple(schema.names)
        self._lock = threading.RLock()
        self._streams: dict[str, StreamIndex] = {}
        self._groups: OrderedDict[tuple[str, int], StreamIndex] = OrderedDict()
        self._footers: OrderedDict[str, tuple[pq.FileMetaData, RowGroups]] = OrderedDict()
        self._handles: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._whole: set[str] = set()

    def narrowed(self, schema: pa.Schema) -> SegmentReader:
        """Return a reader of fewer columns that shares all that is kept open."""
        narrow = copy(self)
        narrow.schema, narrow.columns = schema, tuple(schema.names)
        return narrow

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

    def row_groups(self, data: DataFile) -> RowGroups:
        """Return the bounds of a file's row groups."""
        with self._lock:
            return self._footer(data)[1]

    def streams(self, data: DataFile) -> StreamIndex:
        """Return the streams of a file, read from its id columns once."""
        with self._lock:
            if data.path not in self._streams:
                self._streams[data.path] = _index(data, self.read(data, columns=EVENT_ID))
            return self._streams[data.path]

    def group_streams(self, data: DataFile, group: int) -> StreamIndex:
        """Return the streams of one row group; what was asked for last is kept."""
        with self._lock:
            if data.path in self._streams and len(self._footer(data)[1]) == 1:
                return self._streams[data.path]
            key = (data.path, group)
            if key not in self._groups:
                self._groups[key] = _index(data, self.read(data, [group], columns=EVENT_ID))
                if len(self._groups) > MAX_CACHED_GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(key)
            return self._groups[key]

    def namespaces(self, data: DataFile) -> list[str]:
        """Return the namespaces of a file's rows."""
        if data.namespace is not None:
            return [data.namespace]
        bounds = {
            (g.least.get("namespace"), g.most.get("namespace")) for g in self.row_groups(data)
        }
        if all(least == most is not None for least, most in bounds):
            return sorted(str(least) for least, _ in bounds)
        found = pc.unique(self.read(data, columns=("namespace",)).column("namespace"))
        return sorted(found.to_pylist())

    def read(
        self,
        data: DataFile,
        groups: list[int] | None = None,
        *,
        columns: tuple[str, ...] | None = None,
        verify: bool = False,
    ) -> pa.Table:
        """Read row groups of a file, and columns as far as it has them (all by default).

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        asked = self.columns if columns is None else columns
        names = [name for name in asked if name not in data.partition]
        try:
            with self._lock:
                handle = self._open(data, verify=verify)
                if groups is None:
                    return handle.read(columns=names)
                # For a few small groups, handing work to threads takes longer than the work.
                many = len(groups) > MAX_ALONE
                return handle.read_row_groups(groups, columns=names, use_threads=many)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(data, error) from error

    def read_coded(self, data: DataFile, columns: Sequence[str]) -> tuple[pa.Table, dict[str, Any]]:
        """Read all rows of a file, texts as codes, decoding only columns that vary in it.

        Returns:
            The rows, and the value of each column that holds one only.

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        path = self.root / data.path
        texts = [name for name in columns if name in _TEXTS and name not in data.partition]
        try:
            with self._lock:
                if data.size <= MAX_AT_ONCE:
                    content = self._with_room(path.read_bytes)
                    _check_footer(data, footer_of(pa.py_buffer(content)))
                    handle = _with_codes(pa.BufferReader(content), texts)
                    fixed = RowGroups(handle.metadata, data).fixed
                else:
                    metadata, groups = self._footer(data)
                    fixed = groups.fixed
                    handle = self._with_room(partial(_with_codes, path, texts, metadata))
                names = [name for name in columns if name not in fixed]
                with handle:
                    many = handle.num_row_groups > MAX_ALONE
                    return handle.read(names, use_threads=many), fixed
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise self._damaged(data, error) from error

    def read_all(self, data: DataFile, groups: list[int]) -> pa.Table:
        """Read row groups with every column that the file has, those of a later version too.

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        try:
            with self._lock:
                return self._open(data, verify=False).read_row_groups(groups)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(data, error) from error

    def read_rows(
        self, data: DataFile, group: int, span: Span, *, sparse: bool = False
    ) -> pa.Table:
        """Read the rows of a span from one row group, decoding only columns that vary in it.

        Args:
            data: the file.
            group: which of its row groups.
            span: the rows.
            sparse: most groups have none: look first, then decode the other columns.

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        table, fixed = self.read_varying(data, group, span, sparse=sparse)
        if not table.num_rows:
            return self.schema.empty_table()
        arrays = [
            pa.repeat(pa.scalar(fixed[field.name], field.type), table.num_rows)
            if field.name in fixed
            else _as(table.column(field.name), field.type)
            for field in self.schema
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def read_varying(
        self, data: DataFile, group: int, span: Span, *, sparse: bool = False
    ) -> tuple[pa.Table, dict[str, Any]]:
        """Read the same as they lie in the file.

        Returns:
            The columns that vary in the row group, and the value of each that does not.

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        bounds = self.row_groups(data)[group]
        tested = span.tested_in(bounds)
        if tested is None:
            return self.schema.empty_table(), {}
        if sparse and tested:
            mask = span.mask(self.read(data, [group], columns=tested), tested)
            if mask is not None and not pc.any(mask).as_py():
                return self.schema.empty_table(), {}
        varying = [name for name in self.columns if name not in bounds.fixed]
        table = self.read(data, [group], columns=tuple(varying))
        mask = span.mask(table, tested)
        if mask is not None:
            table = _taken(table, pc.indices_nonzero(mask))
        return table, bounds.fixed

    def holds(self, data: DataFile, span: Span) -> bool:
        """Say whether a file has a row of a span; mostly its footer knows.

        Raises:
            CorruptionError: the file is missing or damaged.
        """
        asked: list[tuple[int, tuple[str, ...]]] = []
        for group in self.row_groups(data):
            tested = span.tested_in(group) if span.may_be_in(group) else None
            if tested == ():
                return True
            if tested is not None:
                asked.append((group.index, tested))
        return any(
            pc.any(span.mask(self.read(data, [index], columns=tested), tested)).as_py()
            for index, tested in asked
        )

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
        if isinstance(error, PermissionError):
            return forbidden(self.root / data.path, error)
        hint = ""
        if isinstance(error, FileNotFoundError):
            hint = "a snapshot that is no longer pinned (after a day) may have lost it to vacuum: "
            hint += "take a new one, or "
        return CorruptionError(
            f"sealed file {data.path} cannot be read: {error}; {hint}flowlab store verify DIR"
        )

    def _footer(self, data: DataFile) -> tuple[pq.FileMetaData, RowGroups]:
        if data.path not in self._footers:
            path = self.root / data.path
            try:
                footer = self._with_room(partial(read_footer, path))
                _check_footer(data, footer)
                metadata = pq.read_metadata(pa.BufferReader(footer))
                groups = RowGroups(metadata, data)
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


def _check_footer(data: DataFile, footer: bytes) -> None:
    if data.footer_crc is not None and zlib.crc32(footer) != data.footer_crc:
        message = "its footer does not have the checksum that the commit log names"
        raise ValueError(message)


def _with_codes(
    source: Path | pa.BufferReader, texts: list[str], metadata: pq.FileMetaData | None = None
) -> pq.ParquetFile:
    # What is in memory is not to be fetched ahead by another thread.
    opened = partial(
        pq.ParquetFile,
        source,
        metadata=metadata,
        pre_buffer=isinstance(source, Path),
        page_checksum_verification=True,
    )
    try:
        return opened(read_dictionary=texts)
    except KeyError:  # a file of another version lacks one of them
        return opened()


def with_namespace(data: DataFile, table: pa.Table) -> pa.Table:
    """Return rows of a file with their namespace, which is no column of most files."""
    if data.namespace is None:
        return table
    spaces = pa.repeat(pa.scalar(data.namespace, pa.string()), table.num_rows)
    return table.add_column(0, EVENT_SCHEMA.field("namespace"), spaces)


def _index(data: DataFile, table: pa.Table) -> StreamIndex:
    grouped = (
        with_namespace(data, table)
        .group_by(list(STREAM_COLUMNS))
        .aggregate([("sequence", "min"), ("sequence", "max")])
    )
    names = ("namespace", "workflow_id", "run_id", "sequence_min", "sequence_max")
    index: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    columns = (grouped.column(name).to_pylist() for name in names)
    for space, flow, run, first, last in zip(*columns, strict=True):
        index.setdefault((space, flow), []).append((run, first, last))
    return StreamIndex(index)


def _taken(table: pa.Table, rows: pa.Array) -> pa.Table:
    """Return some rows of a table, in order; most often they lie together."""
    count = len(rows)
    first = rows[0].as_py() if count else 0
    if not count or rows[-1].as_py() - first == count - 1:
        return table.slice(first, count)
    return table.take(rows)


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)
