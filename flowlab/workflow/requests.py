"""A timer and a child workflow, as a workflow asks for them and gives them up."""

from __future__ import annotations

from typing import Any

import msgspec

from flowlab.errors import CancelledError, ChildWorkflowError
from flowlab.events import Event
from flowlab.workflow.answers import because, data_of, error_of, told
from flowlab.workflow.commands import Commands
from flowlab.workflow.handles import Promise
from flowlab.workflow.past import Because


class Timer:
    """A timer: done when it has fired, and given up at once.

    Args:
        commands: what the workflow asks for.
        delay_ns: how long it takes.
    """

    __slots__ = ("_asked", "_commands", "handle")

    def __init__(self, commands: Commands, delay_ns: int) -> None:
        self._commands = commands
        self.handle = Promise(f"a timer of {delay_ns} ns", self._stop)
        self._asked = commands.ask(
            "TimerStarted", payload={"delay_ns": delay_ns}, answered=self._fired
        )

    def _fired(self, event: Event) -> None:
        self.handle.resolve(None, because(event))

    def _stop(self, reason: str, why: Because | None) -> None:
        self._commands.withdraw(self._asked, "TimerCanceled", why)
        error = CancelledError(told(f"{self.handle.what} was canceled", reason))
        self.handle.reject(error, self._commands.reasons(why))


class ChildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a workflow asks of another.

    Args:
        workflow: its name.
        value: its input, any JSON value.
        workflow_id: of its stream; None derives one.
        step_id, coordination_id: the step and the saga that it belongs to.
        undoes: it undoes something, so it is never given up.
    """

    workflow: str
    value: Any = None
    workflow_id: str | None = None
    step_id: str | None = None
    coordination_id: str | None = None
    undoes: bool = False


class Child:
    """A child workflow: done when its end is known here.

    Args:
        commands: what the workflow asks for.
        request: what is asked for.
        workflow_id: of its stream.
    """

    __slots__ = ("_asked", "_commands", "_stopped", "_workflow_id", "handle")

    def __init__(self, commands: Commands, request: ChildRequest, workflow_id: str) -> None:
        self._commands = commands
        self._stopped = False
        self._workflow_id = workflow_id
        self.handle = Promise(f"child workflow {self._workflow_id!r}")
        if not request.undoes:
            self.handle.stopper = self._stop
        self._asked = commands.ask(
            "ChildWorkflowInitiated",
            request.workflow,
            {"workflow_id": workflow_id, "input": request.value},
            step_id=request.step_id,
            coordination_id=request.coordination_id,
            answered=self._answered,
        )

    def _answered(self, event: Event) -> None:
        data, why = data_of(event), because(event)
        if event.event_type == "ChildWorkflowCompleted":
            self.handle.resolve(data.get("result"), why)
        elif event.event_type == "ChildWorkflowCanceled":
            reason = str(data.get("reason", ""))
            self.handle.reject(
                CancelledError(told(f"{self.handle.what} was canceled", reason)), why
            )
        else:
            left = data.get("uncompensated")
            error = ChildWorkflowError(
                f"{self._workflow_id!r}: {error_of(event, 'it failed')[1]}",
                uncompensated=tuple(map(str, left)) if isinstance(left, list) else (),
            )
            self.handle.reject(error, why)

    def _stop(self, reason: str, why: Because | None) -> None:
        if not self._stopped:
            self._stopped = True
            payload = {"workflow_id": self._workflow_id, "reason": reason}
            self._commands.withdraw(self._asked, "CancelInitiated", why, payload)
