"""The children of a workflow that is done again, done again within it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import LimitError
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.recovery.record import Record
from flowlab.recovery.redoing import OUTSIDE, Again
from flowlab.runtime.families import child_answer
from flowlab.runtime.scheme import Process
from flowlab.runtime.standing import OPEN

MAX_GENERATIONS: Final = 1_000
"""Generations of a child after which doing it again is given up."""


@dataclass(frozen=True, slots=True)
class NestedRedo:
    """Does children again whose code is known, and theirs.

    Args:
        workflows: code and plans, by name.
        streams: recorded histories, by workflow id; may lack those of children.
        anew: whether what a child asks for as before is carried out again, too.
        seed: of the streams of chance.
    """

    workflows: Mapping[str, Process]
    streams: Mapping[str, Sequence[Event]]
    anew: bool
    seed: object

    def __repr__(self) -> str:
        return f"NestedRedo({', '.join(sorted(self.workflows)) or 'nothing'})"

    def knows(self, name: str) -> bool:
        """Say whether the code of a workflow is known."""
        return name in self.workflows

    def redo(self, request: Event, parent: Again) -> tuple[tuple[str, Any] | None, int]:
        """Return what a child answers, None where it never ends; and at what time."""
        workflow_id, value = request.data["workflow_id"], request.data.get("input")
        past = generations(self.streams.get(workflow_id, ()))
        fork = Cause(parent.workflow_id, request.sequence, int(CauseKind.FORK))
        first, now_ns, causes = 1, request.time_ns, (fork,)
        for generation in range(MAX_GENERATIONS):
            history = past[generation] if generation < len(past) else []
            unused = [event.sequence for event in history] if self.anew else []
            again = Again(
                self.workflows[request.name],
                workflow_id,
                Record(history, without=unused),
                parent.execute,
                seed=self.seed,
                first=first,
                children=self,
            )
            again.now_ns = now_ns
            again.outside([event for event in history if event.event_type in OUTSIDE])
            started = Event.of(
                "WorkflowStarted", name=request.name, payload={"input": value}, causes=causes
            )
            again.tell(started.replace(generation=generation))
            redone = again.run()
            parent.executed += redone.executed
            parent.reused += redone.reused
            if redone.status == OPEN:
                return None, again.now_ns
            end = next(e for e in reversed(redone.events) if e.event_type in TERMINAL_STATUS)
            now_ns = end.time_ns
            if redone.status != "continued_as_new":
                result = redone.result if redone.status == "completed" else end.data
                return child_answer(redone.status, result), now_ns
            value, first = end.data["input"], redone.events[-1].sequence + 1
            causes = (Cause(workflow_id, end.sequence),)
        message = f"{workflow_id!r} did not end within MAX_GENERATIONS ({MAX_GENERATIONS})"
        raise LimitError(message)


def generations(history: Sequence[Event]) -> list[list[Event]]:
    """Return the generations of a history, each from its WorkflowStarted on.

    Example:
        >>> of = Event.of
        >>> [len(part) for part in generations([of("WorkflowStarted"), of("Signaled"),
        ...     of("WorkflowContinuedAsNew"), of("WorkflowStarted")])]
        [3, 1]
    """
    found: list[list[Event]] = []
    for event in history:
        if event.event_type == "WorkflowStarted" or not found:
            found.append([])
        found[-1].append(event)
    return found
