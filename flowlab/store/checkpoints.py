"""Checkpoints: saved states of workflows, each a state file that a durable event names."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.errors import CorruptionError
from flowlab.events import WORLD_STREAM, Event, counted
from flowlab.store.containers import CHECKPOINT, read_container
from flowlab.store.layout import Stream
from flowlab.store.position_read import stream_events

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

FOLDER: Final = "checkpoints"
TAKEN: Final = "CheckpointTaken"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as the log tells of it; `load` reads its state.

    Args:
        id: in its workflow.
        stream: (namespace, run_id, workflow_id).
        at: the last sequence of the workflow that is in the state.
        savepoint: a user's own, rather than one for recovery.
        origin: who took it, in its own words.
        position: of the `CheckpointTaken` event.
        taken_ns: its time, in nanoseconds since 1970.
        path: of the state file, below the store.
        sha256: of the state file.
        size_bytes: of the state alone.
    """

    id: str
    stream: Stream
    at: int
    savepoint: bool
    origin: str
    position: int
    taken_ns: int
    path: str
    sha256: str
    size_bytes: int

    def __repr__(self) -> str:
        kind = "savepoint" if self.savepoint else "checkpoint"
        size = counted(self.size_bytes, "byte")
        return f"Checkpoint({self.stream[2]!r} at {self.at}, {kind} {self.id!r}, {size})"


@dataclass(frozen=True, slots=True, repr=False)
class LoadedCheckpoint:
    """A checkpoint with its content.

    Args:
        checkpoint: what the log tells of it.
        state: as it was given.
        causality: what was known of its causes: a JSON value, null where nothing was given.
    """

    checkpoint: Checkpoint
    state: bytes
    causality: Any

    def __repr__(self) -> str:
        return f"LoadedCheckpoint({self.checkpoint!r})"


class _Told(msgspec.Struct):
    """The payload of a `CheckpointTaken` event."""

    checkpoint: str
    workflow_id: str
    at: int
    path: str
    sha256: str
    bytes: int
    savepoint: bool = False
    origin: str = ""
    drops: tuple[str, ...] = ()


_TOLD: Final = msgspec.json.Decoder(_Told)


def taken_event(checkpoint: Checkpoint, drops: Iterable[str] = ()) -> dict[str, Any]:
    """Return the payload of the event that makes a checkpoint count, and lets older ones go."""
    told: dict[str, Any] = {
        "checkpoint": checkpoint.id,
        "workflow_id": checkpoint.stream[2],
        "at": checkpoint.at,
        "path": checkpoint.path,
        "sha256": checkpoint.sha256,
        "bytes": checkpoint.size_bytes,
        "savepoint": checkpoint.savepoint,
        "origin": checkpoint.origin,
    }
    gone = list(drops)
    return {**told, "drops": gone} if gone else told


def folder_of(stream: Stream) -> str:
    """Return the folder of a stream's checkpoints below the store: ids may be longer than names.

    Example:
        >>> folder_of(("default", "", "trip-1"))
        'checkpoints/5c31ac61d620fcfd1c8a84a7a9d8cfe7'
    """
    digest = hashlib.sha256("\0".join(stream).encode()).hexdigest()
    return f"{FOLDER}/{digest[:32]}"


@dataclass(slots=True)
class _World:
    seen: int = 0
    sequences: dict[int, int] = field(default_factory=dict)
    found: dict[str, list[Checkpoint]] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)


class CheckpointIndex:
    """The checkpoints of a store by workflow: each event of a world's stream is read once."""

    def __init__(self) -> None:
        self._worlds: dict[tuple[str, str], _World] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"CheckpointIndex({counted(len(self._worlds), 'world')})"

    def of(self, snapshot: Snapshot, stream: Stream) -> list[Checkpoint]:
        """Return the checkpoints of a stream at a snapshot, by (at, position)."""
        with self._lock:
            world = self._worlds.setdefault(stream[:2], _World())
            log = (*stream[:2], WORLD_STREAM)
            for event in stream_events(snapshot, log, first=world.seen + 1):
                world.seen = event.sequence
                found = checkpoint_of(event)
                if found is not None:
                    held = world.found.setdefault(found.stream[2], [])
                    for dropped in let_go(event, held):
                        world.gone.setdefault(dropped.position, event.position)
                    held.append(found)
                    world.sequences[found.position] = event.sequence
            upto, base = snapshot.position, snapshot.bases.base(log)
            shown = [
                found
                for found in world.found.get(stream[2], ())
                if found.position <= upto
                and world.sequences[found.position] > base
                and world.gone.get(found.position, upto + 1) > upto
            ]
        return sorted(shown, key=lambda found: (found.at, found.position))


def load(root: Path, checkpoint: Checkpoint) -> LoadedCheckpoint:
    """Read the state of a checkpoint.

    Raises:
        CorruptionError: its file is missing, damaged, or not the one that the log names.
        FormatVersionError: a newer flowlab wrote it.
    """
    folder, _, name = checkpoint.path.rpartition("/")
    if folder != folder_of(checkpoint.stream) or name.startswith("."):
        message = f"checkpoint {checkpoint.id!r} names {checkpoint.path!r}, which is no path of its"
        raise CorruptionError(message)
    path = root / checkpoint.path
    content = read_container(path, kind=CHECKPOINT, sha256=checkpoint.sha256)
    return LoadedCheckpoint(checkpoint, content.body, content.meta.get("causality"))


def latest(root: Path, found: list[Checkpoint]) -> LoadedCheckpoint | None:
    """Return the last of some checkpoints whose file is whole; None where there is none."""
    for checkpoint in reversed(found):
        try:
            return load(root, checkpoint)
        except CorruptionError as error:
            message = (
                f"checkpoint {checkpoint.id!r} of {checkpoint.stream[2]!r} is passed over for the "
                f"one before: {error}"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=4)
    return None


def names(at: int) -> Iterator[str]:
    """Yield ids for checkpoints at a sequence, until one is free."""
    yield f"{at:08d}"
    number = 2
    while True:
        yield f"{at:08d}-{number}"
        number += 1


def let_go(event: Event, taken: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Return those of earlier checkpoints of a workflow that the event of a newer one lets go."""
    told = _told(event)
    gone = set() if told is None else set(told.drops)
    return [found for found in taken if found.id in gone and not found.savepoint]


def checkpoint_of(event: Event) -> Checkpoint | None:
    """Return the checkpoint that an event tells of, None where it tells of none of ours."""
    told = _told(event)
    if told is None:
        return None
    return Checkpoint(
        id=told.checkpoint,
        stream=(event.namespace, event.run_id, told.workflow_id),
        at=told.at,
        savepoint=told.savepoint,
        origin=told.origin,
        position=event.position,
        taken_ns=event.time_ns,
        path=told.path,
        sha256=told.sha256,
        size_bytes=told.bytes,
    )


def _told(event: Event) -> _Told | None:
    if event.event_type != TAKEN or event.payload is None:
        return None
    try:
        return _TOLD.decode(event.payload)
    except msgspec.MsgspecError:
        return None  # one that another program took, and that this store has no file of
