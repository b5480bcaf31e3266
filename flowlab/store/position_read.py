"""Events in the order of the log: what folds read, a window of positions at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EVENT_COLUMNS, EVENT_SCHEMA, Event, events_from_table
from flowlab.store.delta import DataFile
from flowlab.store.layout import Stream
from flowlab.store.projection import ID_COLUMNS, Projection
from flowlab.store.span import RowGroup, Span
from flowlab.store.stream_read import read_events, read_stream

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

WINDOW_POSITIONS: Final = 1 << 20
"""Positions that are read from sealed files at a time."""
SLICE_EVENTS: Final = 1 << 14
"""Events that are made at a time."""
_TYPES_ONLY: Final = pa.schema(
    [
        EVENT_SCHEMA.field(name)
        for name in (
            "namespace", "run_id", "workflow_id", "sequence", "position", "event_type",
        )
    ]
)  # fmt: skip
_LISTS: Final = ("causes", "cause_kinds", "reads", "writes")


def events_between(
    snapshot: Snapshot, view: Projection, after: int, upto: int
) -> Iterator[list[Event]]:
    """Yield the events that a projection folds, by position, with `after` < position <= `upto`."""
    upcasts = snapshot.files.upcasts
    sealed = min(snapshot.state.info.sealed_position, upto)
    while after < sealed:
        end = _window_end(snapshot.state.files, after, sealed)
        table = _window(snapshot, view, after, end)
        for start in range(0, table.num_rows, SLICE_EVENTS):
            yield upcasts.events(_taken(view, _events(table.slice(start, SLICE_EVENTS))))
        after = end
    tail = snapshot.tail
    if tail is not None and tail.events and after < upto:
        first = tail.buffer.events[0].position
        for start in range(max(after + 1 - first, 0), upto + 1 - first, SLICE_EVENTS):
            end = min(start + SLICE_EVENTS, upto + 1 - first, tail.events)
            yield upcasts.events(_taken(view, tail.buffer.events[start:end]))


def _taken(view: Projection, events: list[Event]) -> list[Event]:
    return events if view.takes_all else [event for event in events if view.takes(event)]


def stream_events(
    snapshot: Snapshot, stream: Stream, *, first: int = 1, last: int | None = None
) -> list[Event]:
    """Return the events of a stream from `first` to `last`, as of the newest versions."""
    return snapshot.files.upcasts.events(_stream_events(snapshot, stream, first, last))


def _stream_events(snapshot: Snapshot, stream: Stream, first: int, last: int | None) -> list[Event]:
    """Return them as written, those of the tail without a detour."""
    files = snapshot.stream_files(stream)
    events: list[Event] = []
    tail = snapshot.tail
    places = tail.buffer.streams.get(stream) if tail is not None else None
    if files:
        # What was truncated may still lie in the files, until they are compacted.
        first = max(first, snapshot.bases.base(stream) + 1)
    # The tail goes on where the files end: from an event in it on, nothing lies in them.
    if files and not (tail and places and tail.buffer.events[places[0]].sequence <= first):
        span = Span.of_stream(stream, first, last, snapshot.position)
        events = read_events(stream, span, files, snapshot.files.reader)
    if tail is None or not places:
        return events
    held = tail.buffer.events
    start = max(first - held[places[0]].sequence, 0)
    for place in places[start:]:
        event = held[place]
        if place >= tail.events or event.position > snapshot.position:
            break
        if last is not None and event.sequence > last:
            break
        events.append(event)
    return events


def newest_of_type(
    snapshot: Snapshot, stream: Stream, event_type: str, *, last: int | None = None
) -> int | None:
    """Return the sequence of a stream's newest event of a type, None where there is none left.

    From the newest row group on, only types and sequences are read, and no more than are needed.

    Args:
        snapshot: of the store.
        stream: (namespace, run_id, workflow_id).
        event_type: as written.
        last: the greatest sequence to look at; None is the last of all.
    """
    base = snapshot.bases.base(stream)
    for event in reversed([] if snapshot.tail is None else snapshot.tail.stream(stream)):
        seen = event.position <= snapshot.position and (last is None or event.sequence <= last)
        if seen and event.event_type == event_type:
            return event.sequence if event.sequence > base else None
    reader = snapshot.files.reader.narrowed(_TYPES_ONLY)
    span = replace(Span.of_stream(stream, base + 1, last, snapshot.position), types=(event_type,))
    found = read_stream(
        stream, span, snapshot.stream_files(stream), None, reader, reverse=True, limit=1
    )
    return found.column("sequence")[0].as_py() if found.num_rows else None


def _window_end(files: tuple[DataFile, ...], after: int, sealed: int) -> int:
    """Return where a window ends: where files end, so that each is read once, if it can be."""
    most = min(after + WINDOW_POSITIONS, sealed)
    ends = {data.most("position") or 0 for data in files}
    spans = [(data.least("position") or 0, data.most("position") or 0) for data in files]
    fitting = [end for end in ends if after < end <= most]
    for end in sorted(fitting, reverse=True):
        if not any(first <= end < last for first, last in spans):
            return end
    return most


def _window(snapshot: Snapshot, view: Projection, after: int, end: int) -> pa.Table:
    key, parts = view.of, []
    equal = {} if key.run_id is None else {"run_id": key.run_id}
    if key.id is not None and not key.id_is_prefix:
        equal[ID_COLUMNS[key.root or ""]] = key.id
    if key.namespace is not None:
        equal["namespace"] = key.namespace
    for data in snapshot.state.files:
        first, last = data.least("position") or 0, data.most("position") or end
        space = data.namespace
        if (
            last <= after
            or first > end
            or (None not in {space, key.namespace} and space != key.namespace)
        ):
            continue
        groups = [
            group
            for group in snapshot.files.reader.row_groups(data)
            if group.may_hold("position", after + 1, end)
            and all(group.may_hold(name, value, value) for name, value in equal.items())
        ]
        if groups:
            parts.append(_rows(snapshot, data, groups, view, (after, end)))
    table = _without_empty_lists(pa.concat_tables(parts) if parts else EVENT_SCHEMA.empty_table())
    by = [("position", "ascending")]
    return table.take(pc.sort_indices(table.select(["position"]), sort_keys=by))


def _without_empty_lists(table: pa.Table) -> pa.Table:
    """Leave out the columns of lists where no row has an element: to sort them is dear."""
    if not pc.sum(pc.list_value_length(table.column("causes"))).as_py():
        table = table.drop_columns(["causes", "cause_kinds"])
    for name in ("reads", "writes"):
        if table.column(name).null_count == table.num_rows:
            table = table.drop_columns([name])
    return table


def _rows(
    snapshot: Snapshot,
    data: DataFile,
    groups: list[RowGroup],
    view: Projection,
    window: tuple[int, int],
) -> pa.Table:
    # A column that holds one value in every row group need not be decoded.
    fixed: dict[str, Any] = {} if data.namespace is None else {"namespace": data.namespace}
    names = EVENT_COLUMNS if data.namespace is None else EVENT_COLUMNS[1:]
    for name in names:
        values = [group.fixed[name] for group in groups if name in group.fixed]
        if len(values) == len(groups) and all(value == values[0] for value in values):
            fixed[name] = values[0]
    varying = tuple(name for name in names if name not in fixed)
    numbers = [group.index for group in groups]
    table = snapshot.files.reader.read(data, numbers, columns=varying)
    after, end = window
    positions = table.column("position")
    mask = pc.and_(pc.greater(positions, after), pc.less_equal(positions, end))
    if view.on is not None and "event_type" not in fixed:
        wanted = pa.array(sorted(view.on), pa.string())
        mask = pc.and_(mask, pc.is_in(table.column("event_type"), value_set=wanted))
    if "event_type" in fixed and view.on is not None and fixed["event_type"] not in view.on:
        return EVENT_SCHEMA.empty_table()
    if not pc.all(mask).as_py():
        table = table.filter(mask)
    if not table.num_rows:
        return EVENT_SCHEMA.empty_table()
    arrays = [
        pa.repeat(pa.scalar(fixed[field.name], field.type), table.num_rows)
        if field.name in fixed
        else table.column(field.name).cast(field.type)
        for field in EVENT_SCHEMA
    ]
    found = pa.Table.from_arrays(arrays, schema=EVENT_SCHEMA)
    return snapshot.bases.left(found, data.namespace) if snapshot.bases.reach(data) else found


def _events(table: pa.Table) -> list[Event]:
    """Make events of rows; what all rows have in common is made once."""
    present = table.column_names
    if "causes" in present or "reads" in present or "writes" in present:
        return events_from_table(_with_lists(table))
    columns: list[Any] = []
    for name in Event.__struct_fields__:
        if name not in present:
            columns.append(repeat(() if name == "causes" else None))
            continue
        column = table.column(name)
        columns.append(_texts(column) if pa.types.is_string(column.type) else column.to_pylist())
    return msgspec.convert(list(zip(*columns, strict=False)), list[Event])


def _with_lists(table: pa.Table) -> pa.Table:
    for name in _LISTS:
        if name not in table.column_names:
            kind = EVENT_SCHEMA.field(name).type
            value = pa.scalar([] if name.startswith("cause") else None, kind)
            table = table.append_column(name, pa.repeat(value, table.num_rows))
    return table


def _texts(column: pa.ChunkedArray) -> Any:
    """Return texts, each distinct one made once."""
    encoded = pc.dictionary_encode(column).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        return column.to_pylist()
    names = encoded.dictionary.to_pylist()
    if len(names) == 1 and not column.null_count:
        return repeat(names[0])
    if not names:
        return repeat(None)
    return [None if code is None else names[code] for code in encoded.indices.to_pylist()]
