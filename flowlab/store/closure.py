"""The least consistent cut that holds an event: what a state after it depends on, by stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowlab.store.position_read import stream_events

if TYPE_CHECKING:
    from flowlab.store.layout import Stream
    from flowlab.store.snapshot import Snapshot


def least_cut(
    snapshot: Snapshot, stream: Stream, at: int, known: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return of each stream of a world the last sequence that a state after an event depends on.

    It is the causality vector that a checkpoint carries: the least cut that holds the stream up to
    the event, and with every event its named causes and all that its stream held before. Cuts of
    this kind join by the greater number, so that one is found from the one before by reading what
    is new in it, and nothing else.

    Args:
        snapshot: of the store.
        stream: of the event.
        at: its sequence.
        known: a cut that was found for an earlier event of the stream.

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
        for event in stream_events(snapshot, (*stream[:2], name), first=first, last=last):
            for cause in event.causes:
                if cause.workflow_id != name and cause.sequence > cut.get(cause.workflow_id, 0):
                    wanted = max(cause.sequence, todo.get(cause.workflow_id, 0))
                    todo[cause.workflow_id] = wanted
    return dict(sorted(cut.items()))
