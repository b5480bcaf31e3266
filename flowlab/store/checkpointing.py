"""How an open store takes checkpoints, and finds them again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from flowlab.errors import (
    FlowlabError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    PoisonedError,
)
from flowlab.events import WORLD_STREAM, Cause, Event
from flowlab.events.wording import brief
from flowlab.store import checkpoints
from flowlab.store.admission import Batch
from flowlab.store.checkpoints import Checkpoint, LoadedCheckpoint
from flowlab.store.closure import least_cut
from flowlab.store.containers import (
    CHECKPOINT,
    MAX_TRIES,
    SUFFIX,
    Added,
    Container,
    add_container,
)
from flowlab.store.group_commit import Request
from flowlab.store.layout import Stream
from flowlab.store.position_read import stream_events
from flowlab.store.reading import StoreReading

MAX_CHECKPOINTS_AT: Final = 1_000
"""Checkpoints of one workflow after the same event."""


class StoreCheckpoints(StoreReading):
    """Checkpoints of an open store."""

    def checkpoint(
        self,
        workflow_id: str,
        state: bytes,
        *,
        at: int | None = None,
        causality: Any = None,
        savepoint: bool = False,
        origin: str = "",
        drops: Iterable[Checkpoint] = (),
        namespace: str = "default",
        run_id: str = "",
    ) -> Checkpoint:
        """Save the state of a workflow after one of its events; it is durable on return.

        The state file is durable first; the checkpoint counts once the event `CheckpointTaken`, in
        the stream `@world`, is: it names the file and its digest, and the workflow's event `at` as
        its cause. Stopped in between, nothing refers to the file.

        Args:
            workflow_id: the stream.
            state: opaque bytes.
            at: the last sequence that is in the state, the stream's head by default.
            causality: what is known of its causes: a JSON value, or a dataclass of such.
            savepoint: a user's own, rather than one for recovery.
            origin: who takes it, for people.
            drops: earlier checkpoints of the workflow that are needed no more: the same event
                lets them go, and their files are removed once it is durable.
            namespace: of the stream.
            run_id: of the stream, empty for the live one.

        Raises:
            InvalidArgumentError: the state is not bytes, or causality no JSON; or a savepoint, or
                another workflow's checkpoint, shall be let go.
            NotFoundError: the stream has no such event.
            LimitError: the state is larger than `MAX_STATE_BYTES`.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from flowlab import EventStore
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     result = store.append("trip-1", [{"event_type": "WorkflowStarted"}])
            ...     taken = store.checkpoint("trip-1", b"rooms: 2")
            ...     found = store.latest_checkpoint("trip-1")
            >>> taken, found.state
            (Checkpoint('trip-1' at 1, checkpoint '00000001', 8 bytes), b'rooms: 2')
        """
        self._check_writable()
        head = self.snapshot().head(workflow_id, namespace=namespace, run_id=run_id)
        at = head if at is None else at
        if type(at) is not int or not 1 <= at <= head:
            message = (
                f"there is no event {at!r} of {workflow_id!r} to be in the state: it has {head}"
            )
            raise NotFoundError(message)
        stream = (namespace, run_id, workflow_id)
        gone = _droppable(drops, stream)
        meta = {"stream": list(stream), "at": at, "causality": _plain(causality)}
        content = Container(CHECKPOINT, meta, state)
        position = self._taken(content, stream, gone, at=at, savepoint=savepoint, origin=origin)
        self.disk.discard(self.path / dropped.path for dropped in gone)
        return next(
            known
            for known in self.checkpoints(workflow_id, namespace=namespace, run_id=run_id)
            if known.position == position
        )

    def adopt_checkpoint(
        self,
        workflow_id: str,
        *,
        at: int | Event | None = None,
        state: bytes,
        origin: str,
        namespace: str = "default",
        run_id: str = "",
    ) -> Checkpoint:
        """Take another system's snapshot of a workflow as a savepoint; it is durable on return.

        The bytes stay opaque. What that system does not know is added from the log: the causality
        vector of the event, which is the least consistent cut that holds it, by stream.

        Args:
            workflow_id: the stream.
            at: the last event that is in the snapshot, or its sequence; the head by default.
            state: the snapshot.
            origin: the system that it comes from, and its own name there.
            namespace: of the stream.
            run_id: of the stream, empty for the live one.

        Raises:
            InvalidArgumentError: the state is not bytes, or nobody is named as its origin.
            NotFoundError: the stream has no such event.
            LimitError: the state is larger than `MAX_STATE_BYTES`.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from flowlab import EventStore
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     result = store.append("trip-1", [{"event_type": "WorkflowStarted"}])
            ...     taken = store.adopt_checkpoint("trip-1", state=b"...", origin="graph:thread-7")
            ...     store.load_checkpoint(taken).causality
            {'event_type': 'WorkflowStarted', 'vector': {'trip-1': 1}}
        """
        if not isinstance(origin, str) or not origin:
            message = f"origin is {brief(origin)}; expected the name of the system it comes from"
            raise InvalidArgumentError(message)
        stream, snapshot = (namespace, run_id, workflow_id), self.snapshot()
        if isinstance(at, Event):
            if at.workflow_id != workflow_id:
                message = f"{at!r} is no event of {workflow_id!r}; give one of its own"
                raise InvalidArgumentError(message)
            at = at.sequence
        if at is None:
            at = snapshot.head(workflow_id, namespace=namespace, run_id=run_id)
        found = stream_events(snapshot, stream, first=at, last=at) if type(at) is int else []
        if not found:
            message = f"there is no event {at!r} of {workflow_id!r} to be in the snapshot"
            raise NotFoundError(message)
        told = {"vector": least_cut(snapshot, stream, at), "event_type": found[0].event_type}
        return self.checkpoint(
            workflow_id, state, at=at, causality=told, savepoint=True, origin=origin,
            namespace=namespace, run_id=run_id,
        )  # fmt: skip

    def checkpoints(
        self, workflow_id: str, *, namespace: str = "default", run_id: str = ""
    ) -> tuple[Checkpoint, ...]:
        """Return the checkpoints of a workflow, by the event that they were taken after."""
        return self.snapshot().checkpoints(workflow_id, namespace=namespace, run_id=run_id)

    def latest_checkpoint(
        self,
        workflow_id: str,
        *,
        at_most: int | None = None,
        namespace: str = "default",
        run_id: str = "",
    ) -> LoadedCheckpoint | None:
        """Return the last checkpoint of a workflow with its state, or None where it has none.

        One that is damaged is passed over for the one before, with a warning.

        Args:
            workflow_id: the stream.
            at_most: the last sequence that may be in the state.
            namespace: of the stream.
            run_id: of the stream, empty for the live one.

        Raises:
            FormatVersionError: a newer flowlab wrote it.
        """
        found = self.checkpoints(workflow_id, namespace=namespace, run_id=run_id)
        return checkpoints.latest(
            self.path, [known for known in found if at_most is None or known.at <= at_most]
        )

    def load_checkpoint(self, checkpoint: Checkpoint) -> LoadedCheckpoint:
        """Return the state of one checkpoint.

        Raises:
            CorruptionError: its file is missing or damaged.
            FormatVersionError: a newer flowlab wrote it.
        """
        return checkpoints.load(self.path, checkpoint)

    def _taken(
        self,
        content: Container,
        stream: Stream,
        drops: tuple[Checkpoint, ...],
        *,
        at: int,
        savepoint: bool,
        origin: str,
    ) -> int:
        """Write a state and the event that makes it count; return the event's position.

        Where vacuum took the file away in between, since no event named it, both are done again.
        """
        for turn in range(MAX_TRIES):
            name, path, added = self._write_checkpoint(stream, at, content)
            found = Checkpoint(
                id=name,
                stream=stream,
                at=at,
                savepoint=savepoint,
                origin=origin,
                position=0,
                taken_ns=0,
                path=path,
                sha256=added.sha256,
                size_bytes=len(content.body),
            )
            try:
                return self._tell(found, drops, added.inode)
            except NotFoundError:
                if turn == MAX_TRIES - 1:
                    raise
        raise AssertionError

    def _tell(self, found: Checkpoint, drops: tuple[Checkpoint, ...], inode: int) -> int:
        """Append the event that makes a checkpoint count; return its position."""
        event = Event.of(
            checkpoints.TAKEN,
            name=found.stream[2],
            follows_lane=False,
            causes=(Cause(found.stream[2], found.at),),
            payload=checkpoints.taken_event(found, (dropped.id for dropped in drops)),
        )
        path = self.path / found.path
        try:
            batch = Batch((*found.stream[:2], WORLD_STREAM), [event])
            return self._writer.submit(Request(batch, needs=(path, inode))).first_position
        except FlowlabError as error:
            if not isinstance(error, PoisonedError):  # then the event may be durable after all
                with suppress(OSError):
                    # Once vacuum took it away, it may be another's of that name.
                    if path.stat().st_ino == inode:
                        self.disk.remove(path)
            raise

    def _write_checkpoint(
        self, stream: tuple[str, str, str], at: int, content: Container
    ) -> tuple[str, str, Added]:
        """Write a state file under a name that is free; return the id, the path and the file."""
        folder = checkpoints.folder_of(stream)
        for number, name in enumerate(checkpoints.names(at)):
            if number == MAX_CHECKPOINTS_AT:
                break
            path = f"{folder}/{name}{SUFFIX}"
            added = add_container(self.path / path, content, self.disk)
            if added is not None:
                return name, path, added
        message = (
            f"{stream[2]!r} has MAX_CHECKPOINTS_AT ({MAX_CHECKPOINTS_AT}) checkpoints after event "
            f"{at} already; append before taking more"
        )
        raise LimitError(message)


def _droppable(drops: Iterable[Checkpoint], stream: Stream) -> tuple[Checkpoint, ...]:
    gone = tuple(drops)
    for dropped in gone:
        if not isinstance(dropped, Checkpoint) or dropped.stream != stream or dropped.savepoint:
            message = (
                f"{dropped!r} cannot be let go for a checkpoint of {stream[2]!r}; expected "
                "checkpoints of the same workflow that are no savepoints"
            )
            raise InvalidArgumentError(message)
    return gone


def _plain(causality: Any) -> Any:
    try:
        return msgspec.to_builtins(causality)
    except (TypeError, ValueError, RecursionError) as error:
        message = (
            f"causality is {brief(causality)}; expected a JSON value, or a dataclass of such: "
            f"{error}"
        )
        raise InvalidArgumentError(message) from error
