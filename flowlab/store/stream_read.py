"""The native path for one stream: only the row groups that can hold it, from either end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import Event, events_from_table, table_from_events
from flowlab.store.delta import DataFile
from flowlab.store.layout import Stream
from flowlab.store.pruning import groups_of_stream
from flowlab.store.segment_reader import SegmentReader
from flowlab.store.span import RowGroup, Span
from flowlab.store.tail_reader import TailView

_OF_STREAM: Final = {"run_id", "workflow_id"}


def read_stream(
    stream: Stream,
    span: Span,
    files: list[DataFile],
    tail: TailView | None,
    reader: SegmentReader,
    *,
    reverse: bool,
    limit: int | None,
) -> pa.Table:
    """Return the events of a span in sequence order, or from the last to the first."""
    files = [data for data in files if span.may_be_in(data)]
    # A stream's positions rise with its sequences: of files in position order, those that begin
    # behind what was found have only later events. (Files of one commit may overlap.)
    files.sort(key=_newest_first if reverse else _begin)
    newest = _tail_rows(stream, span, tail, reverse=reverse, limit=limit)
    parts = [newest] if reverse and newest else []
    for data in files:
        if limit is not None and _enough(parts, data, limit, reverse=reverse):
            break
        near = groups_of_stream(reader, data, stream, *span.bounds.get("sequence", (None, None)))
        found = read_file(span, data, reader, reverse=reverse, limit=limit, near=near)
        parts.extend(found)
    if not reverse and newest:
        parts.append(newest)
    table = pa.concat_tables(parts) if parts else reader.schema.empty_table()
    if reverse or len(parts) > 1:
        by = [("sequence", "descending" if reverse else "ascending")]
        table = table.take(pc.sort_indices(table.select(["sequence"]), sort_keys=by))
    return table if limit is None else table.slice(0, limit)


def read_events(
    stream: Stream, span: Span, files: list[DataFile], reader: SegmentReader
) -> list[Event]:
    """Return the events of a span that lie in files, in sequence order.

    No columns are made of what all rows of a row group have in common.
    """
    found: list[list[Event]] = []
    for data in sorted((data for data in files if span.may_be_in(data)), key=_begin):
        for group in groups_of_stream(reader, data, stream, *span.bounds["sequence"]):
            if span.may_be_in(group):
                table, alike = reader.read_varying(data, group.index, span)
                found += [events_from_table(table, alike)] if table.num_rows else []
    events = [event for part in found for event in part]
    return sorted(events, key=attrgetter("sequence")) if len(found) > 1 else events


def read_file(
    span: Span,
    data: DataFile,
    reader: SegmentReader,
    *,
    reverse: bool,
    limit: int | None,
    near: Sequence[RowGroup] | None = None,
    keep: Callable[[pa.Table], pa.Table] | None = None,
) -> list[pa.Table]:
    """Return the rows of a span in one file, by row group, the last first if `reverse`.

    Where a limit is reached, the groups after it are not read; if `near` is given, no others are.
    Only rows that are kept count.
    """
    near = reader.row_groups(data) if near is None else near
    parts: list[pa.Table] = []
    rows = 0
    # The bounds of a group that is not reached are not looked at either.
    for group in reversed(near) if reverse else near:
        if limit is not None and rows >= limit:
            break
        if not span.may_be_in(group):
            continue
        table = reader.read_rows(data, group.index, span)
        if keep is not None:
            table = keep(table)
        rows += table.num_rows
        if table.num_rows:
            parts.append(table)
    return parts


def _tail_rows(
    stream: Stream, span: Span, tail: TailView | None, *, reverse: bool, limit: int | None
) -> pa.Table | None:
    if tail is None:
        return None
    (first, last), (_, bound) = span.bounds["sequence"], span.bounds["position"]
    events = [
        event
        for event in tail.stream(stream)
        if (first is None or event.sequence >= first)
        and (last is None or event.sequence <= last)
        and (bound is None or event.position <= bound)
    ]
    # More than the stream may be asked for: of one coordination, or of some types.
    whole = set(span.equal) <= _OF_STREAM and span.types is None
    if whole and limit is not None:
        events = events[max(0, len(events) - limit) :] if reverse else events[:limit]
    if not events:
        return None
    table = table_from_events(events)
    return table if whole else span.of_table(table)


def _enough(parts: list[pa.Table], data: DataFile, limit: int, *, reverse: bool) -> bool:
    """Say whether the rows found make those of a file, and of all after it, needless."""
    if limit == 0:
        return True
    if sum(map(len, parts)) < limit:
        return False
    found: list[int] = sorted(
        place for part in parts for place in part.column("position").to_pylist()
    )
    return found[-limit] > _end(data) if reverse else found[limit - 1] < _begin(data)


def _begin(data: DataFile) -> int:
    least: int | None = data.least("position")
    return 0 if least is None else least


def _end(data: DataFile) -> int:
    most: int | None = data.most("position")
    return 2**63 - 1 if most is None else most


def _newest_first(data: DataFile) -> int:
    return -_end(data)
