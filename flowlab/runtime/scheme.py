"""How a runtime gets a workflow back: the seam between it and the schemes of recovery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from flowlab.errors import CorruptionError, NotFoundError
from flowlab.events import Event
from flowlab.events.keys import Key
from flowlab.runtime.standing import Standing
from flowlab.store import EventStore
from flowlab.workflow import Execution, PlanExecution, Program, Workflow

Process = Workflow | Program
"""What a runtime carries out: code, or a plan made ready."""

Executing = Execution | PlanExecution
"""A workflow that is being carried out."""

Stream = tuple[str, str, str]
"""(namespace, run_id, workflow_id); the run is empty for what a runtime executes."""

CHUNK: Final = 4_096
"""Events that are read at once, from the newest, until a generation's beginning is found."""


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
        events = newest_generation(store, stream)
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


def newest_generation(store: EventStore, stream: Stream) -> list[Event]:
    """Return the events of a stream from the beginning of its newest generation on.

    Raises:
        NotFoundError: there is no such stream.
        CorruptionError: the beginning of that generation is not in the store any more.
    """
    key = Key("workflows", stream[2], section="events", namespace=stream[0], run_id=stream[1])
    found: list[Event] = []
    last: int | None = None
    while True:
        span = Key(
            "workflows", stream[2], section="events", first=1 if last else None, last=last,
            namespace=stream[0], run_id=stream[1],
        )  # fmt: skip
        chunk = store.read(str(span if last else key), reverse=True, limit=CHUNK).events()
        for event in chunk:
            found.append(event)
            if event.event_type == "WorkflowStarted":
                found.reverse()
                return found
        if len(chunk) < CHUNK or chunk[-1].sequence == 1:
            break
        last = chunk[-1].sequence - 1
    message = (
        f"{stream[2]!r} has {len(found)} events, and none of them begins a workflow: it was "
        "truncated, or is no workflow's history; recover it from a checkpoint"
    )
    raise (CorruptionError if found else NotFoundError)(message)
