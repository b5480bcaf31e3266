"""What need not be read to find a stream: files and row groups whose bounds leave no room."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, overload

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


class Picked(Sequence["RowGroup"]):
    """Some row groups of a file, looked at no sooner than they are asked for.

    Args:
        groups: all of the file.
        places: those that are picked, in order.
    """

    __slots__ = ("_groups", "_places")

    def __init__(self, groups: Sequence[RowGroup], places: list[int]) -> None:
        self._groups = groups
        self._places = places

    def __repr__(self) -> str:
        return f"Picked({len(self._places)} of {len(self._groups)})"

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> RowGroup: ...
    @overload
    def __getitem__(self, place: slice) -> Picked: ...
    def __getitem__(self, place: int | slice) -> RowGroup | Picked:
        if isinstance(place, slice):
            return Picked(self._groups, self._places[place])
        return self._groups[self._places[place]]


def groups_of_stream(
    reader: SegmentReader,
    data: DataFile,
    stream: Stream,
    first: int | None = None,
    last: int | None = None,
) -> Sequence[RowGroup]:
    """Return the row groups of a file that can hold a stream, in O(log n) looks at the bounds.

    In a file of one namespace rows are sorted by (run_id, workflow_id, sequence), so the groups
    that lie within a run are sorted by workflow, and those within a workflow by sequence; those at
    the ends hold others, too, and their bounds say less. In a file of several namespaces, each
    group is looked at.

    Args:
        reader: of files.
        data: the file.
        stream: (namespace, run_id, workflow_id).
        first: the least sequence that is wanted; None is open.
        last: the greatest; None is open.
    """
    groups, (_, run_id, workflow_id) = reader.row_groups(data), stream
    try:
        if data.namespace is not None and data.is_of(run_id, workflow_id):
            return Picked(groups, [*_between(groups, range(len(groups)), first, last)])
        if data.namespace is not None:
            return Picked(groups, _near(groups, run_id, workflow_id, (first, last)))
    except KeyError:  # a row group without bounds can hold anything
        pass
    return [group for group in groups if _may_hold(group, run_id, workflow_id)]


def _near(
    groups: Sequence[RowGroup],
    run_id: str,
    workflow_id: str,
    span: tuple[int | None, int | None],
) -> list[int]:
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
    # Between its first and its last group a workflow has all rows to itself.
    inner = range(low + 1, max(low + 1, high - 1))
    ends = [*range(begin, first), *range(low, min(low + 1, high))]
    rest = [*range(max(low + 1, high - 1), high), *range(last, end)]
    return [
        *(place for place in ends if _may_hold(groups[place], run_id, workflow_id)),
        *_between(groups, inner, *span),
        *(place for place in rest if _may_hold(groups[place], run_id, workflow_id)),
    ]


def _between(
    groups: Sequence[RowGroup], inner: range, first: int | None, last: int | None
) -> range:
    """Return the groups of one workflow that can hold some of its sequences."""
    low, high = inner.start, inner.stop
    if first is not None:
        low = bisect_left(groups, first, lo=low, hi=high, key=lambda g: int(g.most["sequence"]))
    if last is not None:
        high = bisect_right(groups, last, lo=low, hi=high, key=lambda g: int(g.least["sequence"]))
    return range(low, high)


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
        several = [
            group for group in groups if group.may_hold("workflow_id", workflow_id, workflow_id)
        ]
        if len(several) > MAX_GROUPS_LOOKED_AT:
            return reader.streams(data).of(namespace, workflow_id)
        spans: dict[str, tuple[int, int]] = {}
        for group in several:
            for run, first, last in reader.group_streams(data, group.index).of(
                namespace, workflow_id
            ):
                known = spans.get(run, (first, last))
                spans[run] = (min(first, known[0]), max(last, known[1]))
        return [(run, *span) for run, span in spans.items()]
    found = groups_of_stream(reader, data, (namespace, run_id, workflow_id))
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
