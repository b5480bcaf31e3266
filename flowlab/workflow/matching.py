"""Holding a history against the code: kind, name, arguments, one grade after the other."""

from __future__ import annotations

from typing import Final

from flowlab.errors import NonDeterminismError
from flowlab.events import Event

COMMAND_TYPES: Final = frozenset(
    {
        "ActivityScheduled",
        "ActivityCancelRequested",
        "CompensationScheduled",
        "SagaStepCommitted",
        "PivotReached",
        "BarrierArrived",
        "BarrierReleased",
        "TimerStarted",
        "TimerCanceled",
        "ChildWorkflowInitiated",
        "CancelInitiated",
        "MarkerRecorded",
        "SignalInitiated",
        "WorkflowCompleted",
        "WorkflowFailed",
        "WorkflowCanceled",
        "WorkflowContinuedAsNew",
    }
)
"""The events that a workflow's code asks for; all others answer it."""

MAX_SHOWN_CHARS: Final = 160


def check_command(event: Event, asked: Event | None, workflow_id: str) -> None:
    """Check that the code asks for what the history holds.

    Raises:
        NonDeterminismError: it does not; the message holds both, and the grade at which they part.
    """
    if asked is None:
        wanted, grade = "nothing (it waits, or has ended)", "kind"
    elif event.event_type != asked.event_type:
        wanted, grade = _shown(asked), "kind"
    elif event.name != asked.name:
        wanted, grade = _shown(asked), "name"
    elif event.step_id != asked.step_id:
        wanted, grade = f"{_shown(asked)} of step {asked.step_id!r}", "step"
    elif event.payload != asked.payload:
        wanted, grade = _shown(asked), "result" if event.event_type in _RESULTS else "arguments"
    else:
        return
    message = (
        f"event {event.sequence} of workflow {workflow_id!r} records {_shown(event)}, but the code "
        f"now asks for {wanted} (they differ in {grade}). Either the code changed since it was "
        "recorded (guard the change with ctx.patched), or it reads something outside its context: "
        "a clock, chance, a global, the order of a set."
    )
    raise NonDeterminismError(message)


_RESULTS: Final = frozenset({"WorkflowCompleted", "WorkflowFailed", "WorkflowContinuedAsNew"})


def _shown(event: Event) -> str:
    payload = (event.payload or b"").decode("utf-8", "replace")
    if len(payload) > MAX_SHOWN_CHARS:
        payload = payload[:MAX_SHOWN_CHARS] + "..."
    name = f" {event.name}" if event.name else ""
    return f"{event.event_type}{name}({payload})"
