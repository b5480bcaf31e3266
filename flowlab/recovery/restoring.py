"""From a checkpoint and the events since to a live execution; damage is passed over and told."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import (
    CorruptionError,
    FormatVersionError,
    InvalidArgumentError,
    TruncatedError,
)
from flowlab.events import Event
from flowlab.recovery.checkpoint import (
    PARTS,
    STATE,
    Body,
    WorkflowCheckpoint,
    content_of,
    decode_body,
)
from flowlab.recovery.deltas import changed
from flowlab.recovery.keeping import OURS
from flowlab.runtime.scheme import Process, Restored, execution_of, newest_generation
from flowlab.runtime.standing import Standing
from flowlab.store.checkpoints import load
from flowlab.store.position_read import stream_events

if TYPE_CHECKING:
    from pathlib import Path

    from flowlab.runtime.scheme import Stream
    from flowlab.store import Checkpoint, Snapshot

MAX_CHAIN: Final = 1_024
"""Deltas between a checkpoint and the whole one that it goes back to."""


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that could be read.

    Args:
        checkpoint: what the log tells of it.
        content: what it holds.
        chain: how many files were read for it: 1, and 1 for each delta.
        size_bytes: of them all.
    """

    checkpoint: Checkpoint
    content: WorkflowCheckpoint
    chain: int
    size_bytes: int


def load_content(root: Path, checkpoint: Checkpoint, held: dict[str, Checkpoint]) -> Found:
    """Read a checkpoint of a workflow, and those that it is a delta of.

    Args:
        root: of the store.
        checkpoint: the one to read.
        held: all of the same workflow, by id.

    Raises:
        CorruptionError: its file, or one before it, is missing or damaged.
        FormatVersionError: a newer flowlab wrote it.
    """
    bodies: list[Body] = []
    size, known = 0, checkpoint
    while True:
        loaded = load(root, known)
        size += len(loaded.state)
        body = decode_body(loaded.state, where=known.path)
        bodies.append(body)
        if not body.base:
            break
        if body.base not in held or len(bodies) > MAX_CHAIN or held[body.base].at > known.at:
            message = f"{known.path} is a delta of checkpoint {body.base!r}, which is not there"
            raise CorruptionError(message)
        known = held[body.base]
    parts: Any = {name: getattr(body, name) for name in PARTS}
    for body in reversed(bodies[:-1]):
        parts = changed(parts, body.changes or [])
    content = content_of(bodies[0], parts)
    return Found(checkpoint, content, len(bodies), size)


def contents(
    snapshot: Snapshot, stream: Stream, *, at_most: int | None = None, savepoints: bool = True
) -> Iterator[Found]:
    """Yield the checkpoints of a workflow that can be read, the newest first.

    One that is damaged, or that a newer flowlab wrote, is passed over with a warning that names its
    file; a savepoint that holds another system's bytes without one.
    """
    root = snapshot.files.root.parent
    found = snapshot.checkpoints(stream[2], namespace=stream[0], run_id=stream[1])
    held = {known.id: known for known in found}
    for checkpoint in reversed(found):
        if at_most is not None and checkpoint.at > at_most:
            continue
        if checkpoint.savepoint and not (savepoints and checkpoint.origin.startswith(OURS)):
            continue
        try:
            yield load_content(root, checkpoint, held)
        except (CorruptionError, FormatVersionError) as error:
            passed_over(checkpoint, error)


def process_of(snapshot: Snapshot, stream: Stream) -> str | None:
    """Return of which workflow the newest checkpoint of one that can be read is; else None.

    The checkpoints of a state are for looking back: what they are of is no workflow.
    """
    found = (found.content for found in contents(snapshot, stream))
    return next((content.process for content in found if content.kind != STATE), None)


def passed_over(checkpoint: Checkpoint, error: Exception) -> None:
    """Warn that a checkpoint cannot be used, and why."""
    message = (
        f"checkpoint {checkpoint.id!r} of {checkpoint.stream[2]!r} ({checkpoint.path}) is passed "
        f"over for the one before, or the log: {error}"
    )
    warnings.warn(message, RuntimeWarning, stacklevel=4)


def restored_from(
    found: Found,
    snapshot: Snapshot,
    stream: Stream,
    process: Process,
    *,
    seed: object = 0,
    upto: int | None = None,
) -> tuple[Restored, list[Event]]:
    """Return a workflow as a checkpoint and the events since leave it, and those events.

    Raises:
        InvalidArgumentError: the checkpoint is of another plan, or holds no workflow, or knows of
            events that the history does not have.
        CorruptionError: it does not fit the process.
        TruncatedError: events since were truncated.
        NonDeterminismError: the code does not fit the events since.
    """
    content, checkpoint = found.content, found.checkpoint
    if content.kind == STATE:
        message = f"{checkpoint!r} holds a state, and no workflow that could go on"
        raise InvalidArgumentError(message)
    base = snapshot.bases.base(stream)
    if base > content.at:
        message = f"events {content.at + 1} to {base} of {stream[2]!r} were truncated"
        raise TruncatedError(message)
    execution, standing, place = content.restored(process, stream[2], seed=seed)
    events = stream_events(snapshot, stream, first=place + 1, last=upto)
    last = events[-1].sequence if events else place
    if standing.head > last:
        message = f"{checkpoint!r} knows events up to {standing.head}; there are none after {last}"
        raise InvalidArgumentError(message)
    begins = [
        at
        for at, event in enumerate(events)
        if event.event_type == "WorkflowStarted" and event.sequence > place
    ]
    since = events[begins[-1] :] if begins else events
    if begins:
        execution = execution_of(process, stream[2], seed=seed)
    execution.advance(since)
    for event in events:
        if event.sequence > standing.head:
            standing.take(event)
    restored = Restored(execution, standing, len(events), len(since), checkpoint.id)
    return restored, events


def replayed(
    snapshot: Snapshot,
    stream: Stream,
    process: Process,
    *,
    seed: object = 0,
    upto: int | None = None,
) -> tuple[Restored, list[Event]]:
    """Return a workflow as a replay of its newest generation leaves it, and the events of that.

    Raises:
        NotFoundError: there is no such stream.
        TruncatedError: the beginning of the generation is gone.
        NonDeterminismError: the code does not fit its history.
    """
    events = newest_generation(snapshot, stream, upto=upto)
    execution = execution_of(process, stream[2], seed=seed)
    execution.advance(events)
    return Restored(execution, Standing.of(events), len(events), len(events)), events
