"""The least consistent cut that holds an event: what a state after it depends on, by stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import CorruptionError
from flowlab.store.checkpoints import load
from flowlab.store.position_read import stream_events
from flowlab.store.span import Span

if TYPE_CHECKING:
    from flowlab.store.layout import Stream
    from flowlab.store.snapshot import Snapshot


MANY_EVENTS: Final = 1_000
"""From so many events on, the causes are looked at as columns."""


class _Told(msgspec.Struct):
    vector: dict[str, int]


def least_cut(
    snapshot: Snapshot,
    stream: Stream,
    at: int,
    known: Mapping[str, int] | None = None,
    heard: Iterable[tuple[str, int]] | None = None,
) -> dict[str, int]:
    """Return of each stream of a world the last sequence that a state after an event depends on.

    It is the causality vector that a checkpoint carries: the least cut that holds the stream up to
    the event, and with every event its named causes and all that its stream held before. Cuts of
    this kind join by the greater number, so that one is found from the one before by reading what
    is new in it, and nothing else. Where a stream was truncated, its causes resume from the vector
    of the first checkpoint after what is gone; without one, those of what is left count.

    Args:
        snapshot: of the store.
        stream: of the event.
        at: its sequence.
        known: a cut that was found for an earlier event of the stream.
        heard: what the stream's own events after `known` and up to `at` name as causes in other
            streams, where the caller has seen them all: they are not read then.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     told = store.append("@ann", [{"event_type": "A"}, {"event_type": "B"}])
        ...     cause = {"workflow_id": "@ann", "sequence": 1}
        ...     told = store.append("w", {"event_type": "C", "causes": [cause]})
        ...     least_cut(store.snapshot(), ("default", "", "w"), 1)
        {'@ann': 1, 'w': 1}
    """
    cut = dict(known or {})
    todo = {stream[2]: at}
    while todo:
        name, last = todo.popitem()
        first = cut.get(name, 0) + 1
        if last < first:
            continue
        cut[name] = last
        if heard is not None and name == stream[2] and last == at:
            found, heard = heard, None
        else:
            found = _found(snapshot, (*stream[:2], name), first, last)
        for cause, sequence in found:
            if cause != name and sequence > max(cut.get(cause, 0), todo.get(cause, 0)):
                todo[cause] = sequence
    return dict(sorted(cut.items()))


def _found(snapshot: Snapshot, stream: Stream, first: int, last: int) -> Iterable[tuple[str, int]]:
    """Return what events of a stream name as causes, and the vector that stands for those gone."""
    gone = min(snapshot.bases.base(stream), last)
    resumed = () if gone < first else _resumed(snapshot, stream, gone, last)
    return chain(resumed, _causes(snapshot, stream, first, last))


def _resumed(snapshot: Snapshot, stream: Stream, gone: int, last: int) -> Iterable[tuple[str, int]]:
    """Return the vector of the first readable checkpoint of a stream from `gone` to `last`."""
    held = snapshot.checkpoints(stream[2], namespace=stream[0], run_id=stream[1])
    for checkpoint in held:
        if gone <= checkpoint.at <= last:
            try:
                told = load(snapshot.files.root.parent, checkpoint).causality
                return msgspec.convert(told, _Told).vector.items()
            except (CorruptionError, msgspec.ValidationError):
                continue
    return ()


def _causes(snapshot: Snapshot, stream: Stream, first: int, last: int) -> Iterable[tuple[str, int]]:
    """Return what events of a stream name as their causes: of many events, the last of each."""
    if last - first < MANY_EVENTS:
        events = stream_events(snapshot, stream, first=first, last=last)
        return ((c.workflow_id, c.sequence) for event in events for c in event.causes)
    span = Span.of_stream(stream, first, last, snapshot.position)
    found = pc.list_flatten(snapshot.stream_rows(stream, span).column("causes"))
    names, sequences = pc.struct_field(found, "workflow_id"), pc.struct_field(found, "sequence")
    table = pa.table({"name": names, "sequence": sequences})
    last_of = table.group_by("name").aggregate([("sequence", "max")])
    return zip(*(last_of.column(n).to_pylist() for n in ("name", "sequence_max")), strict=True)
