"""What a recovery has read, counted beside it: of what the law says that it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyarrow.parquet import FileMetaData, read_metadata

from flowlab.recovery.restoring import contents
from flowlab.runtime.scheme import Stream
from flowlab.store import EventStore
from flowlab.store.position_read import stream_events
from flowlab.studies.recovery_cells import Cell
from flowlab.workflow.following import LEAST_AT_HAND
from flowlab.workflow.savepoints import is_savepoint


def reads_of(folder: Path, cell: Cell, events: Sequence[int], *, chains: bool) -> dict[str, int]:
    """Return what a recovery has read, of all workflows.

    Args:
        folder: of the store.
        cell: whose workflows were recovered.
        events: that were read of each.
        chains: whether it began from checkpoints.
    """
    size = files = state = groups = group_bytes = moved = savepoints = saved = 0
    footers: dict[str, FileMetaData] = {}
    opened: set[str] = set()
    with EventStore(folder, read_only=True) as store:
        snapshot = store.snapshot()
        for workflow_id, count in zip(cell.ids, events, strict=True):
            stream = ("default", "", workflow_id)
            first = snapshot.head(workflow_id) - count + 1
            read = stream_events(snapshot, stream, first=first)
            size += sum(len(event.payload or b"") for event in read)
            marks = [len(event.payload or b"") for event in read if is_savepoint(event)]
            # At the savepoint that it begins from, the code is entered; it passes the others.
            passed = marks[1:] if chains and read and is_savepoint(read[0]) else marks
            moved, savepoints = moved + bool(read), savepoints + len(passed)
            saved += sum(passed)
            paths = [file.path for file in snapshot.stream_files(stream)]
            for path in set(paths) - footers.keys():
                footers[path] = read_metadata(snapshot.files.root / path)
            for path in paths:
                some, some_bytes = _scanned(footers[path], stream, first)
                groups, group_bytes = groups + some, group_bytes + some_bytes
                opened.update([path] if some else ())
            if chains:
                newest = next(contents(snapshot, stream))
                files += newest.chain
                state += newest.size_bytes
        tail = [] if snapshot.tail is None else snapshot.tail.buffer.events[: snapshot.tail.events]
    # An execution takes many events together, and fewer one by one.
    batches = [count for count in events if count >= LEAST_AT_HAND]
    return {
        "workflows": cell.workflows,
        "moved": moved,
        "single_events": sum(events) - sum(batches),
        "batches": len(batches),
        "batch_events": sum(batches),
        "savepoints": savepoints,
        "saved_bytes": saved,
        "events": sum(events),
        "payload_bytes": size,
        "files": files,
        "state_bytes": state,
        "tail_events": len(tail),
        "tail_bytes": sum(len(event.payload or b"") for event in tail),
        "sealed_files": len(snapshot.state.files),
        "opened_files": len(opened),
        "groups": groups,
        "group_bytes": group_bytes,
    }


def _scanned(footer: FileMetaData, stream: Stream, first: int) -> tuple[int, int]:
    """Return the row groups that hold a stream's events from one on, and the bytes of payloads.

    A row group is what is read at once, however few of its events are wanted. What the killed
    process wrote last lies in the tail, in no row group; a file of which none is read stays closed.
    """
    groups = size = 0
    for place in range(footer.num_row_groups):
        group = footer.row_group(place)
        columns = [group.column(at) for at in range(group.num_columns)]
        held = {column.path_in_schema: column for column in columns}
        whose = held["workflow_id"].statistics
        ours = whose.min <= stream[2] <= whose.max
        if ours and (whose.min != whose.max or held["sequence"].statistics.max >= first):
            groups += 1
            size += held["payload"].total_uncompressed_size
    return groups, size
