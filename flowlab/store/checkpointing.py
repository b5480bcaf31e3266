"""How an open store takes checkpoints, and finds them again."""

from __future__ import annotations

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
from flowlab.store.containers import CHECKPOINT, SUFFIX, Container, add_container
from flowlab.store.group_commit import Request
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
            namespace: of the stream.
            run_id: of the stream, empty for the live one.

        Raises:
            InvalidArgumentError: the state is not bytes, or causality no JSON.
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
        meta = {"stream": list(stream), "at": at, "causality": _plain(causality)}
        name, path, digest = self._write_checkpoint(stream, at, Container(CHECKPOINT, meta, state))
        found = Checkpoint(
            id=name,
            stream=stream,
            at=at,
            savepoint=savepoint,
            origin=origin,
            position=0,
            taken_ns=0,
            path=path,
            sha256=digest,
            size_bytes=len(state),
        )
        position = self._tell(found)
        return next(
            known
            for known in self.checkpoints(workflow_id, namespace=namespace, run_id=run_id)
            if known.position == position
        )

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

    def _tell(self, found: Checkpoint) -> int:
        """Append the event that makes a checkpoint count; return its position."""
        event = Event.of(
            checkpoints.TAKEN,
            name=found.stream[2],
            follows_lane=False,
            causes=(Cause(found.stream[2], found.at),),
            payload=checkpoints.taken_event(found),
        )
        try:
            batch = Batch((*found.stream[:2], WORLD_STREAM), [event])
            return self._writer.submit(Request(batch)).first_position
        except FlowlabError as error:
            if not isinstance(error, PoisonedError):  # then the event may be durable after all
                with suppress(OSError):
                    self.disk.remove(self.path / found.path)
            raise

    def _write_checkpoint(
        self, stream: tuple[str, str, str], at: int, content: Container
    ) -> tuple[str, str, str]:
        """Write a state file under a name that is free; return the id, the path and the digest."""
        folder = checkpoints.folder_of(stream)
        for number, name in enumerate(checkpoints.names(at)):
            if number == MAX_CHECKPOINTS_AT:
                break
            path = f"{folder}/{name}{SUFFIX}"
            digest = add_container(self.path / path, content, self.disk)
            if digest is not None:
                return name, path, digest
        message = (
            f"{stream[2]!r} has MAX_CHECKPOINTS_AT ({MAX_CHECKPOINTS_AT}) checkpoints after event "
            f"{at} already; append before taking more"
        )
        raise LimitError(message)


def _plain(causality: Any) -> Any:
    try:
        return msgspec.to_builtins(causality)
    except (TypeError, ValueError, RecursionError) as error:
        message = (
            f"causality is {brief(causality)}; expected a JSON value, or a dataclass of such: "
            f"{error}"
        )
        raise InvalidArgumentError(message) from error
