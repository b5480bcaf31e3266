"""Which checkpoints of a workflow are kept, and which a newer one lets go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowlab.events import Event
from flowlab.runtime.scheme import Stream
from flowlab.runtime.standing import Standing
from flowlab.store import Checkpoint, EventStore
from flowlab.store.position_read import stream_events
from flowlab.workflow.savepoints import is_savepoint

OURS: Final = "flowlab"
"""How the origin of a checkpoint begins that a scheme has taken."""
CHUNK: Final = 4_096
"""Events that are read at once, from the newest, until what is looked for is found."""


def origin_of(base: str) -> str:
    """Return the origin of a checkpoint that a scheme takes: whole, or a delta of another.

    Example:
        >>> origin_of(""), origin_of("00000012")
        ('flowlab', 'flowlab, on 00000012')
    """
    return f"{OURS}, on {base}" if base else OURS


def is_ours(checkpoint: Checkpoint) -> bool:
    """Say whether a scheme has taken a checkpoint, so that its policy may let it go."""
    return not checkpoint.savepoint and checkpoint.origin.partition(",")[0] == OURS


def base_of(checkpoint: Checkpoint) -> str:
    """Return the id of the checkpoint that another is a delta of; empty where it is whole."""
    return checkpoint.origin.partition(", on ")[2] if is_ours(checkpoint) else ""


def kept_and_gone(
    held: Sequence[Checkpoint], keep: int, base: str
) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Return the checkpoints that stay beside a new one, and those that it lets go.

    Those stay that are among the newest, and whatever they or the new one are deltas of. What no
    scheme has taken is in neither list.

    Args:
        held: the checkpoints of the workflow.
        keep: how many may be gone on from, the new one among them.
        base: what the new one is a delta of; empty where it is whole.
    """
    ours = sorted((c for c in held if is_ours(c)), key=lambda c: (c.at, c.position))
    kept = ours[max(0, len(ours) - (keep - 1)) :]
    by_id = {checkpoint.id: checkpoint for checkpoint in ours}
    needed = {checkpoint.id for checkpoint in kept}
    for start in (base, *map(base_of, kept)):
        name = start
        while name in by_id and name not in needed:
            needed.add(name)
            name = base_of(by_id[name])
    return kept, [checkpoint for checkpoint in ours if checkpoint.id not in needed]


def newest_savepoint(store: EventStore, stream: Stream, standing: Standing) -> Event | None:
    """Return the last savepoint of a workflow's newest generation, None where there is none."""
    snapshot = store.snapshot()
    began = 1 if standing.started is None else standing.started.sequence
    first, last = max(began, snapshot.bases.base(stream) + 1), standing.head
    while last >= first:
        start = max(first, last - CHUNK + 1)
        for event in reversed(stream_events(snapshot, stream, first=start, last=last)):
            if is_savepoint(event):
                return event
        last = start - 1
    return None
