"""What need not be read to find a stream: files and row groups whose bounds leave no room."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from flowlab.store.delta import DataFile
from flowlab.store.layout import Stream

if TYPE_CHECKING:
    from flowlab.store.segment_reader import SegmentReader
    from flowlab.store.span import RowGroup

MAX_GROUPS_LOOKED_AT: Final = 4
"""Row groups of a file that are read one by one to find a workflow whose run is not known."""


def holders(files: Iterable[DataFile], run_id: str | None, workflow_id: str) -> list[DataFile]:
    """Return the files whose bounds leave room for a workflow, in one run or in any."""
    return [
        data
        for data in files
        if data.may_hold("workflow_id", workflow_id, workflow_id)
        and (run_id is None or data.may_hold("run_id", run_id, run_id))
    ]


def groups_of_stream(groups: Sequence[RowGroup], run_id: str, workflow_id: str) -> list[RowGroup]:
    """Return the row groups of a file that can hold a stream, in O(log n) looks at the bounds.

    Rows are sorted by (run_id, workflow_id), so the groups that lie within a run are sorted by
    workflow; those at the run's ends hold other runs, too, and their bounds say less.
    """
    try:
        near = _near(groups, run_id, workflow_id)
    except KeyError:  # a row group without bounds can hold anything
        near = list(groups)
    return [group for group in near if _may_hold(group, run_id, workflow_id)]


def _near(groups: Sequence[RowGroup], run_id: str, workflow_id: str) -> list[RowGroup]:
    begin = bisect_left(groups, run_id, key=lambda group: str(group.most["run_id"]))
    end = bisect_right(groups, run_id, lo=begin, key=lambda group: str(group.least["run_id"]))
    first = begin + (begin < end and groups[begin].least["run_id"] != run_id)
    last = max(first, end - (begin < end and groups[end - 1].most["run_id"] != run_id))
    low = bisect_left(
        groups, workflow_id, lo=first, hi=last, key=lambda group: str(group.most["workflow_id"])
    )
    high = bisect_right(
        groups, workflow_id, lo=low, hi=last, key=lambda group: str(group.least["workflow_id"])
    )
    return [*groups[begin:first], *groups[low:high], *groups[last:end]]


def spans_in(
    reader: SegmentReader, data: DataFile, namespace: str, run_id: str | None, workflow_id: str
) -> list[tuple[str, int, int]]:
    """Return (run, first, last sequence) of a workflow in a file, for each run or for one.

    Of a stream whose run is known only the first and the last row group that hold it are read;
    where the run is not, few row groups one by one, or the file's ids once.
    """
    if data.namespace not in {None, namespace}:
        return []
    groups = reader.row_groups(data)
    if run_id is None:
        found = [
            group for group in groups if group.may_hold("workflow_id", workflow_id, workflow_id)
        ]
        if len(found) > MAX_GROUPS_LOOKED_AT:
            return reader.streams(data).of(namespace, workflow_id)
        spans: dict[str, tuple[int, int]] = {}
        for group in found:
            for run, first, last in reader.group_streams(data, group.index).of(
                namespace, workflow_id
            ):
                known = spans.get(run, (first, last))
                spans[run] = (min(first, known[0]), max(last, known[1]))
        return [(run, *span) for run, span in spans.items()]
    if data.namespace is None:  # rows are sorted by namespace first
        found = [group for group in groups if _may_hold(group, run_id, workflow_id)]
    else:
        found = groups_of_stream(groups, run_id, workflow_id)
    ends = [
        next(
            (
                span[place]
                for group in order
                for span in reader.group_streams(data, group.index).of(namespace, workflow_id)
                if span[0] == run_id
            ),
            None,
        )
        for place, order in ((1, found), (2, found[::-1]))
    ]
    return [] if ends[0] is None or ends[1] is None else [(run_id, int(ends[0]), int(ends[1]))]


def last_in(
    reader: SegmentReader, files: Iterable[DataFile], stream: Stream, *, whole: bool
) -> int:
    """Return the last sequence of a stream in files, 0 where none holds it.

    A stream's positions rise with its sequences, so the newest file that holds it has the last;
    unless the layout keeps streams `whole`, files that were written together share one.
    """
    by_age = sorted(files, key=lambda data: data.most("position") or 0, reverse=True)
    found = 0
    for data in holders(by_age, *stream[1:]):
        for _, _, last in spans_in(reader, data, *stream):
            if whole:
                return last
            found = max(found, last)
    return found


def _may_hold(group: RowGroup, run_id: str, workflow_id: str) -> bool:
    return group.may_hold("run_id", run_id, run_id) and group.may_hold(
        "workflow_id", workflow_id, workflow_id
    )
