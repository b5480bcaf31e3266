"""How a runtime gets a workflow back: the seam between it and the schemes of recovery."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from flowlab.errors import CorruptionError, NotFoundError, TruncatedError
from flowlab.events import Event, counted
from flowlab.runtime.standing import Standing
from flowlab.store import EventStore, Snapshot
from flowlab.store.position_read import newest_of_type, stream_events
from flowlab.workflow import Execution, PlanExecution, Program, Workflow

Process = Workflow | Program
"""What a runtime carries out: code, or a plan made ready."""

Executing = Execution | PlanExecution
"""A workflow that is being carried out."""

Stream = tuple[str, str, str]
"""(namespace, run_id, workflow_id); the run is empty for what a runtime executes."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A workflow as it stood when its process stopped.

    Args:
        execution: ready for the event after `standing.head`; `advance(())` says what it asks for
            that its history does not hold, which is nothing unless that was cut.
        standing: what it waits for.
        events_read: events of its stream that were read.
        replayed: events that its code or plan was given.
        checkpoint: the id of the checkpoint that it began from, None where from its beginning.
    """

    execution: Executing
    standing: Standing
    events_read: int
    replayed: int
    checkpoint: str | None = None


@runtime_checkable
class RecoveryScheme(Protocol):
    """Gets workflows back, and prepares for that while they run."""

    def restore(
        self, store: EventStore, stream: Stream, process: Process, *, seed: object = 0
    ) -> Restored:
        """Return a workflow as its history leaves it.

        Raises:
            NotFoundError: there is no such stream.
            NonDeterminismError: the code does not fit its history.
        """
        ...

    def identify(self, store: EventStore, stream: Stream) -> str | None:
        """Return what a workflow is an instance of, where its history does not say; else None."""
        ...

    def committed(
        self,
        store: EventStore,
        stream: Stream,
        execution: Executing,
        standing: Standing,
        events: Sequence[Event],
    ) -> None:
        """Hear of events of a workflow that are durable now; take a checkpoint if one is due."""
        ...


@dataclass(frozen=True, slots=True)
class AgentCells:
    """What an agent's transactions have made of its state.

    Args:
        values: the cells that they have written and not deleted.
        deleted: the cells that they have deleted, and that may have been there from the beginning.
        events_read: events of its stream that were read.
        checkpoint: the id of the checkpoint that was gone on from, None where from the beginning.
    """

    values: Mapping[str, Any]
    deleted: Collection[str] = ()
    events_read: int = 0
    checkpoint: str | None = None


@runtime_checkable
class AgentScheme(Protocol):
    """A scheme that gets agents' states back, too; without it their whole streams are read."""

    def agent_cells(self, store: EventStore, stream: Stream) -> AgentCells:
        """Return what an agent's transactions have made of its state.

        Raises:
            TruncatedError: the beginning of its stream is gone, and no checkpoint can be read.
        """
        ...

    def agent_committed(self, store: EventStore, stream: Stream, events: Sequence[Event]) -> None:
        """Hear of events of an agent with state that are durable now."""
        ...


class Replay:
    """Recovery by replay of the newest generation's whole history; keeps nothing beside the log.

    Example:
        >>> Replay()
        Replay()
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Replay()"

    def restore(
        self, store: EventStore, stream: Stream, process: Process, *, seed: object = 0
    ) -> Restored:
        """Read the newest generation, and replay it."""
        events = newest_generation(store.snapshot(), stream)
        execution = execution_of(process, stream[2], seed=seed)
        execution.advance(events)
        return Restored(execution, Standing.of(events), len(events), len(events))

    @staticmethod
    def identify(store: EventStore, stream: Stream) -> str | None:  # noqa: ARG004 - a scheme's
        """Return None: only the history would say."""
        return None

    def committed(
        self,
        store: EventStore,
        stream: Stream,
        execution: Executing,
        standing: Standing,
        events: Sequence[Event],
    ) -> None:
        """Do nothing: the log is enough."""


def execution_of(process: Process, workflow_id: str, *, seed: object = 0) -> Executing:
    """Return a new execution of code or of a plan."""
    if isinstance(process, Workflow):
        return Execution(process, workflow_id, seed=seed)
    return PlanExecution(process, workflow_id, seed=seed)


def newest_generation(
    snapshot: Snapshot, stream: Stream, *, upto: int | None = None
) -> list[Event]:
    """Return the events of a stream from its last WorkflowStarted on; no other is read.

    Args:
        snapshot: of the store.
        stream: (namespace, run_id, workflow_id).
        upto: the last event that counts; None is the newest.

    Raises:
        NotFoundError: there is no such stream, or it has no event up to there.
        TruncatedError: the beginning of the generation is gone.
        CorruptionError: the stream is no workflow's history.
    """
    head = snapshot.head(stream[2], namespace=stream[0], run_id=stream[1])
    last = head if upto is None else min(upto, head)
    first = newest_of_type(snapshot, stream, "WorkflowStarted", last=last)
    if first is not None:
        return stream_events(snapshot, stream, first=first, last=last)
    base = snapshot.bases.base(stream)
    left = f"{stream[2]!r} has {counted(max(last - base, 0), 'event')} left, and none of them"
    if base:
        message = (
            f"{left} begins a workflow; what came before was truncated: recover it by the scheme "
            "that took its checkpoints or, where no checkpoint of it can be read, restore the "
            "archive"
        )
        raise TruncatedError(message)
    if not last:
        message = f"there is no workflow {stream[2]!r} with an event to recover from"
        raise NotFoundError(message)
    message = f"{left} begins a workflow: it is no workflow's history; name a workflow's stream"
    raise CorruptionError(message)
