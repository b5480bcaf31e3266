"""Holding a history against the code: kind, name, arguments, one grade after the other."""

from __future__ import annotations

from typing import Final, Literal

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


Grade = Literal["kind", "name", "argument", "result"]
"""How much of each event is held against the code; each grade takes in those before it."""

Head = tuple[str, str, str | None]
"""The type, name and step of an event."""

Sides = tuple[str, str, str | None, bytes | None]
"""The type, name, step and payload of an event."""

_LEVELS: Final = {"kind": 0, "name": 1, "step": 1, "argument": 2, "arguments": 2, "result": 3}


def difference(recorded: Sides, asked: Sides) -> str | None:
    """Return in what two events differ first: kind, name, step, arguments or result; or None.

    Example:
        >>> difference(("TimerStarted", "", None, b"1"), ("TimerStarted", "", None, b"2"))
        'arguments'
    """
    if recorded == asked:
        return None
    for part, left, right in zip(("kind", "name", "step"), recorded, asked, strict=False):
        if left != right:
            return part
    return "result" if recorded[0] in _RESULTS else "arguments"


def counts(found: str, grade: Grade) -> bool:
    """Say whether a difference counts at a grade.

    Example:
        >>> counts("arguments", "name"), counts("arguments", "result")
        (False, True)
    """
    return _LEVELS[found] <= _LEVELS[grade]


def check_command(
    event: Event, asked: Event | None, workflow_id: str, grade: Grade = "result"
) -> None:
    """Check that the code asks for what the history holds.

    Raises:
        NonDeterminismError: it does not; the message holds both, and the grade at which they part.
    """
    wanted, found = "nothing (it waits, or has ended)", "kind"
    if asked is not None:
        # Nearly always they are equal: the payload says so first.
        if event.payload == asked.payload and event.name == asked.name:  # noqa: SIM102
            if event.event_type == asked.event_type and event.step_id == asked.step_id:
                return
        parted = difference(_sides(event), _sides(asked))
        if parted is None or not counts(parted, grade):
            return
        step = f" of step {asked.step_id!r}" if parted == "step" else ""
        wanted, found = f"{_shown(asked)}{step}", parted
    message = (
        f"event {event.sequence} of workflow {workflow_id!r} records {_shown(event)}, but the code "
        f"now asks for {wanted} (they differ in {found}). Either the code changed since it was "
        "recorded (guard the change with ctx.patched), or it reads something outside its context: "
        "a clock, chance, a global, the order of a set."
    )
    raise NonDeterminismError(message, recorded=event, asked=asked, differs=found)


def _sides(event: Event) -> Sides:
    return event.event_type, event.name, event.step_id, event.payload


_RESULTS: Final = frozenset({"WorkflowCompleted", "WorkflowFailed", "WorkflowContinuedAsNew"})


def _shown(event: Event) -> str:
    payload = (event.payload or b"").decode("utf-8", "replace")
    if len(payload) > MAX_SHOWN_CHARS:
        payload = payload[:MAX_SHOWN_CHARS] + "..."
    name = f" {event.name}" if event.name else ""
    return f"{event.event_type}{name}({payload})"
