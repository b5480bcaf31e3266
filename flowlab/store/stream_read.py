"""The native path for one stream: only the row groups that can hold it, from either end."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EVENT_SCHEMA, table_from_events
from flowlab.store.delta import DataFile
from flowlab.store.segment_reader import SegmentReader, Span
from flowlab.store.tail_reader import TailView


def read_stream(
    span: Span,
    files: list[DataFile],
    tail: TailView | None,
    reader: SegmentReader,
    *,
    reverse: bool,
    limit: int | None,
) -> pa.Table:
    """Return the events of a span in sequence order, or from the last to the first."""
    _, run_id, workflow_id = span.stream
    files = [
        data
        for data in files
        if _may_hold(data, "run_id", run_id, run_id)
        and _may_hold(data, "workflow_id", workflow_id, workflow_id)
        and _may_hold(data, "sequence", span.first, span.last)
    ]
    # A stream's positions rise with its sequences, so files in position order are in order.
    files.sort(key=lambda data: data.least("position") or 0, reverse=reverse)
    newest = _tail_rows(span, tail)
    parts = [newest] if reverse and newest else []
    for data in files:
        if limit is not None and sum(map(len, parts)) >= limit:
            break
        parts.extend(_read_file(span, data, reader, reverse=reverse, limit=limit))
    if not reverse and newest:
        parts.append(newest)
    table = pa.concat_tables(parts) if parts else EVENT_SCHEMA.empty_table()
    if reverse or len(parts) > 1:
        by = [("sequence", "descending" if reverse else "ascending")]
        table = table.take(pc.sort_indices(table.select(["sequence"]), sort_keys=by))
    return table if limit is None else table.slice(0, limit)


def _read_file(
    span: Span, data: DataFile, reader: SegmentReader, *, reverse: bool, limit: int | None
) -> list[pa.Table]:
    _, run_id, workflow_id = span.stream
    groups = [
        group.index
        for group in reader.row_groups(data)
        if group.may_hold("run_id", run_id, run_id)
        and group.may_hold("workflow_id", workflow_id, workflow_id)
        and group.may_hold("sequence", span.first, span.last)
        and group.may_hold("position", None, span.bound)
    ]
    if reverse:
        groups.reverse()
    parts: list[pa.Table] = []
    rows = 0
    for group in groups:
        if limit is not None and rows >= limit:
            break
        table = reader.read_rows(data, group, span)
        rows += table.num_rows
        if table.num_rows:
            parts.append(table)
    return parts


def _tail_rows(span: Span, tail: TailView | None) -> pa.Table | None:
    if tail is None:
        return None
    events = [
        event
        for event in tail.stream(span.stream)
        if (span.first is None or event.sequence >= span.first)
        and (span.last is None or event.sequence <= span.last)
        and (span.bound is None or event.position <= span.bound)
    ]
    return table_from_events(events) if events else None


def _may_hold(data: DataFile, column: str, low: object, high: object) -> bool:
    least, most = data.least(column), data.most(column)
    if least is None or most is None:
        return True
    return not ((low is not None and most < low) or (high is not None and least > high))
