"""What an instance of a plan asks its host to write."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from flowlab.workflow.plan_program import PointOp, Program, StepOp

SCHEDULE: Final = 0
"""ActivityScheduled: an attempt of a step; the value is its input."""
UNDO: Final = 1
"""CompensationScheduled: an attempt to undo a step; the value is the input."""
TIMER: Final = 2
"""TimerStarted before the attempt of a step; the value is the delay in nanoseconds."""
UNDO_TIMER: Final = 3
"""TimerStarted before the attempt to undo a step; the value is the delay in nanoseconds."""
ARRIVED: Final = 4
"""BarrierArrived; the value is the payload."""
RELEASED: Final = 5
"""BarrierReleased, of a barrier or a sync point; the value is the payload."""
PIVOT: Final = 6
"""PivotReached."""
END_COMPLETED: Final = 7
"""WorkflowCompleted; the value is the payload."""
END_FAILED: Final = 8
"""WorkflowFailed; the value is the payload."""
END_CANCELED: Final = 9
"""WorkflowCanceled; the value is the payload."""

COMMAND_KINDS: Final = (
    "SCHEDULE",
    "UNDO",
    "TIMER",
    "UNDO_TIMER",
    "ARRIVED",
    "RELEASED",
    "PIVOT",
    "END_COMPLETED",
    "END_FAILED",
    "END_CANCELED",
)
"""The names of the kinds of commands, by number."""

Causes = tuple[tuple[int, int], ...]
"""Why something is asked for: (reference to an event, kind of cause), the earliest first."""


class Command(msgspec.Struct, frozen=True, gc=False):
    """One event that an instance of a plan asks for.

    Args:
        kind: one of `SCHEDULE`, `UNDO`, `TIMER`, `UNDO_TIMER`, `ARRIVED`, `RELEASED`, `PIVOT`,
            `END_COMPLETED`, `END_FAILED`, `END_CANCELED`.
        op: the step, the barrier or the sync point; None for an end.
        attempt: which attempt is asked for, or comes after the timer; else 0.
        value: what the kind says; shared with the program, so it must not be changed.
        causes: the events that it follows from.
        wants_ref: whether `PlanInstance.noted` must be told once it is written.

    Example:
        >>> Command(PIVOT, None, 0, None, ((3, 0),))
        Command(PIVOT, causes=((3, 0),))
    """

    kind: int
    op: StepOp | PointOp | None
    attempt: int
    value: Any
    causes: Causes
    wants_ref: bool = False

    def __repr__(self) -> str:
        parts = [COMMAND_KINDS[self.kind]]
        if self.op is not None:
            parts.append(repr(self.op.name))
        if self.attempt:
            parts.append(f"attempt={self.attempt}")
        if self.value is not None:
            parts.append(f"value={self.value!r}")
        return f"Command({', '.join(parts)}, causes={self.causes!r})"


Commands = tuple[Command, ...]


def command_to_json(command: Command) -> list[Any]:
    """Return a command as JSON."""
    index = None if command.op is None else command.op.index
    causes = [list(cause) for cause in command.causes]
    return [command.kind, index, command.attempt, command.value, causes, command.wants_ref]


def command_from_json(value: Any, program: Program) -> Command:
    """Read what `command_to_json` wrote.

    Example:
        >>> from flowlab.workflow import Step
        >>> program = Program.of(Step("pay", agent="bank", kind="pivot"))
        >>> command_from_json([PIVOT, 0, 0, None, [[3, 0]], False], program)
        Command(PIVOT, 'pay', causes=((3, 0),))
    """
    kind, index, attempt, content, causes, wants_ref = value
    op: StepOp | PointOp | None = None
    if index is not None:
        op = program.points[index] if kind in {ARRIVED, RELEASED} else program.steps[index]
    return Command(kind, op, attempt, content, tuple((r, k) for r, k in causes), wants_ref)
