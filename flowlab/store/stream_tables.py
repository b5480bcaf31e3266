"""Some columns of many streams: whole streams at a time, sorted, straight from the sealed files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EVENT_SCHEMA, Event, table_from_events
from flowlab.store.delta import DataFile
from flowlab.store.layout import Stream
from flowlab.store.pruning import groups_of_stream
from flowlab.store.span import Span
from flowlab.store.stream_read import read_file

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

_ORDER: Final = ("namespace", "run_id", "workflow_id", "sequence")


def _narrow_schema(snapshot: Snapshot, columns: tuple[str, ...]) -> pa.Schema:
    """Return the schema of some columns and of those that a read needs; of all before an upcast."""
    return EVENT_SCHEMA if snapshot.files.upcasts else _narrowed(columns)


@cache
def _narrowed(columns: tuple[str, ...]) -> pa.Schema:
    return pa.schema([field for field in EVENT_SCHEMA if field.name in {*columns, *_ORDER}])


def stream_table(snapshot: Snapshot, stream: Stream, columns: tuple[str, ...]) -> pa.Table:
    """Return some columns of one stream in sequence order; an empty table where it is not there.

    Raises:
        CorruptionError: a file is missing or damaged.
    """
    schema = _narrow_schema(snapshot, columns)
    # What a span is told by must be read as well.
    place = EVENT_SCHEMA.field("position")
    wide = schema if place.name in schema.names else schema.append(place)
    reader = snapshot.files.reader.narrowed(wide)
    span = Span.of_stream(stream, snapshot.bases.base(stream) + 1, None, snapshot.position)
    parts = []
    for data in snapshot.stream_files(stream):
        if span.may_be_in(data):
            near = groups_of_stream(reader, data, stream)
            parts += read_file(span, data, reader, reverse=False, limit=None, near=near)
    parts = [part.select(schema.names) for part in parts]
    tail = snapshot.tail
    events = [] if tail is None else tail.stream(stream)
    first = snapshot.bases.base(stream)
    events = [e for e in events if first < e.sequence and e.position <= snapshot.position]
    return _put_together(snapshot, parts, events, schema)


def stream_tables(snapshot: Snapshot, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """Yield some columns of all streams: each stream whole in one table, sorted, in sequence order.

    Texts may be coded by dictionaries.

    Raises:
        CorruptionError: a file is missing or damaged.
    """
    schema = _narrow_schema(snapshot, columns)
    coded = schema if snapshot.files.upcasts else _coded(columns)
    files: dict[tuple[str, ...], list[DataFile]] = {}
    layout = snapshot.files.shelves.layout
    whole = layout.keeps_streams_whole
    for data in snapshot.state.files:
        home = tuple(data.partition.values()) if whole else ()
        files.setdefault(home, []).append(data)
    tails: dict[tuple[str, ...], list[Event]] = {}
    tail = snapshot.tail
    for event in tail.buffer.events[: tail.events] if tail is not None else ():
        home = layout.home(*event.id[:3]) if whole else ()
        if event.position <= snapshot.position:
            tails.setdefault(home, []).append(event)
    for home in sorted({*files, *tails}):
        parts = [_rows(snapshot, data, coded) for data in files.get(home, ())]
        # Sealed files are sorted; a tail is in the order of commits, in which streams interleave.
        events = sorted(tails.get(home, ()), key=lambda event: event.id)
        yield _put_together(snapshot, parts, events, schema)


def _rows(snapshot: Snapshot, data: DataFile, schema: pa.Schema) -> pa.Table:
    """Return the rows of a file that a snapshot shows, decoding only columns that vary in it."""
    late = (data.most("position") or 0) > snapshot.position
    asked = [*schema.names, *(["position"] if late and "position" not in schema.names else [])]
    table, fixed = snapshot.files.reader.read_coded(data, asked)
    if late:
        table = table.filter(pc.less_equal(table.column("position"), snapshot.position))
    if not table.num_rows:
        return schema.empty_table()
    found = dict(zip(table.column_names, table.columns, strict=True))
    alike = pa.array(np.zeros(table.num_rows, np.int32))
    arrays = [
        _as(found[field.name], field.type)
        if field.name in found
        else _repeated(fixed.get(field.name), field.type, alike)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _repeated(value: Any, kind: pa.DataType, alike: pa.Array) -> pa.Array:
    """Return a column of one value; given are the codes of one whose texts are all alike."""
    if value is not None and pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(alike, pa.array([value], kind.value_type))
    return pa.repeat(pa.scalar(value, kind), len(alike))


@cache
def _coded(columns: tuple[str, ...]) -> pa.Schema:
    """Return the schema of some columns whose texts are codes."""
    text, coded = pa.string(), pa.dictionary(pa.int32(), pa.string())
    return pa.schema([f.with_type(coded) if f.type == text else f for f in _narrowed(columns)])


def _put_together(
    snapshot: Snapshot, parts: list[pa.Table], events: list[Event], schema: pa.Schema
) -> pa.Table:
    """Return parts that are sorted, each in itself, as one sorted table."""
    if events:
        parts = [*parts, table_from_events(events).select(schema.names)]
    if len(parts) > 1 or snapshot.bases.by_stream:
        parts = [part.cast(schema) for part in parts]
    table = pa.concat_tables(parts) if parts else schema.empty_table()
    if len(parts) > 1:
        table = table.sort_by([(name, "ascending") for name in _ORDER])
    if snapshot.bases.by_stream and table.num_rows:
        table = table.filter(_is_left(snapshot, table))
    return snapshot.files.upcasts.table(table)


def _is_left(snapshot: Snapshot, table: pa.Table) -> pa.Array:
    """Return which events of a sorted table are not truncated."""
    begins = np.ones(table.num_rows, bool)
    begins[1:] = False
    for name in _ORDER[:3]:
        column = table.column(name)
        begins[1:] |= pc.not_equal(column.slice(1), column.slice(0, len(begins) - 1)).to_numpy()
    first = np.flatnonzero(begins)
    names = [table.column(name).take(pa.array(first)).to_pylist() for name in _ORDER[:3]]
    bases = [snapshot.bases.base(stream) for stream in zip(*names, strict=True)]
    sizes = np.diff([*first, len(begins)])
    return pa.array(table.column("sequence").to_numpy() > np.repeat(bases, sizes))
