"""The native path for one stream: only the row groups that can hold it, from either end."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EVENT_SCHEMA, table_from_events
from flowlab.store.delta import DataFile
from flowlab.store.segment_reader import SegmentReader, stream_mask
from flowlab.store.tail_reader import TailView


@dataclass(frozen=True, slots=True)
class Span:
    """A range of one stream.

    Args:
        stream: (namespace, run_id, workflow_id).
        first: the least sequence, None for the stream's first.
        last: the greatest, None for the stream's last.
        bound: the last position to show, None for all.
    """

    stream: tuple[str, str, str]
    first: int | None
    last: int | None
    bound: int | None


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
    parts = [newest] if reverse and newest.num_rows else []
    for data in files:
        if limit is not None and sum(map(len, parts)) >= limit:
            break
        parts.extend(_read_file(span, data, reader, reverse=reverse, limit=limit))
    if not reverse and newest.num_rows:
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
    for batch in [groups] if limit is None else [[group] for group in groups]:
        if not batch or (limit is not None and rows >= limit):
            break
        table = reader.read(data, batch)
        mask = stream_mask(table, run_id, workflow_id)
        for column, low, high in (
            ("sequence", span.first, span.last),
            ("position", None, span.bound),
        ):
            if low is not None:
                mask = pc.and_(mask, pc.greater_equal(table.column(column), low))
            if high is not None:
                mask = pc.and_(mask, pc.less_equal(table.column(column), high))
        table = reader.with_namespace(table.filter(mask), data.namespace)
        rows += table.num_rows
        parts.append(table)
    return parts


def _tail_rows(span: Span, tail: TailView | None) -> pa.Table:
    if tail is None:
        return EVENT_SCHEMA.empty_table()
    return table_from_events(
        event
        for event in tail.stream(span.stream)
        if (span.first is None or event.sequence >= span.first)
        and (span.last is None or event.sequence <= span.last)
        and (span.bound is None or event.position <= span.bound)
    )


def _may_hold(data: DataFile, column: str, low: object, high: object) -> bool:
    least, most = data.least(column), data.most(column)
    if least is None or most is None:
        return True
    return not ((low is not None and most < low) or (high is not None and least > high))
