"""A workflow as whoever started it holds it: its result, its state, and the events it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowlab.errors import InvalidArgumentError, WorkflowError
from flowlab.events import EventLog
from flowlab.events.keys import Key
from flowlab.runtime.instance import Instance
from flowlab.runtime.standing import OPEN
from flowlab.workflow.names import shortened

if TYPE_CHECKING:
    from flowlab.runtime.runtime import Runtime


class WorkflowHandle:
    """One workflow of a runtime.

    Attributes:
        workflow_id: its stream.
    """

    __slots__ = ("_instance", "_runtime", "workflow_id")

    def __init__(self, runtime: Runtime, instance: Instance) -> None:
        self._runtime = runtime
        self._instance = instance
        self.workflow_id = instance.workflow_id

    def __repr__(self) -> str:
        return f"WorkflowHandle({self.workflow_id!r}, {self.status})"

    @property
    def status(self) -> str:
        """`open`, or how it ended, once that is durable: `completed`, `failed`, `canceled`."""
        return self._instance.standing.status if self._instance.settled else OPEN

    @property
    def error(self) -> Exception | None:
        """Why it cannot go on in this runtime, which `result()` raises; None while it can."""
        return self._instance.error if self._instance.settled else None

    async def result(self) -> Any:
        """Wait for its end, and return its result.

        Raises:
            WorkflowError: it failed or was canceled.
            NonDeterminismError: its code does not fit its history: it stays as it is in the log.
            FlowlabError: the runtime had to stop; the workflow goes on when it is started again.
        """
        instance = self._instance
        await self._runtime.ended(instance)
        if instance.error is not None:
            raise instance.error
        if instance.standing.status == "completed":
            return instance.result
        raise failure_of(instance)

    async def raise_event(self, name: str, value: Any = None) -> None:
        """Send it an event; durable when this returns.

        Raises:
            InvalidEventError: the value is no JSON.
        """
        await self._runtime.raise_event(self.workflow_id, name, value)

    async def cancel(self, reason: str = "") -> None:
        """Ask it to stop; it may clean up, and its result then says `canceled`."""
        await self._runtime.cancel(self.workflow_id, reason)

    def query(self, question: Callable[[Any], Any] | None = None) -> Any:
        """Return what it has come to, without a trace in its history.

        Args:
            question: a function of the state that the workflow declares (`@workflow(state=T)`), or
                of the instance of a plan; None answers with status and what it waits for.

        Raises:
            InvalidArgumentError: it is no function, or there is no state to ask.

        Example:
            handle.query(lambda state: len(state.done))
        """
        execution, standing = self._instance.execution, self._instance.standing
        if question is not None:
            if not callable(question):
                message = (
                    f"the question is {shortened(question)}; expected a function of the state, as "
                    "lambda state: state.done, or nothing: query() tells how it stands"
                )
                raise InvalidArgumentError(message)
            held = getattr(execution, "state", None)
            held = held if held is not None else getattr(execution, "instance", None)
            if held is None:
                message = (
                    f"{self.workflow_id!r} has no state to ask here; declare one with "
                    "@workflow(state=T), or ask nothing: query() tells how it stands"
                )
                raise InvalidArgumentError(message)
            return question(held)
        waits = [f"{event.event_type} {event.name}".rstrip() for event in standing.open.values()]
        waits += list(getattr(execution, "awaited", ()))
        return {
            "status": self.status,
            "generation": standing.generation,
            "events": standing.head,
            "waits_for": [] if self._instance.settled else waits,
        }

    def log(self) -> EventLog:
        """Return its history so far."""
        key = Key(
            "workflows", self.workflow_id, section="events", namespace=self._runtime.namespace
        )
        return self._runtime.store.read(str(key))


def failure_of(instance: Instance) -> WorkflowError:
    """Return the error of a workflow that did not complete."""
    told = instance.result if isinstance(instance.result, dict) else {}
    error = told.get("error")
    if isinstance(error, dict):
        kind, message = str(error.get("type", "Error")), str(error.get("message", ""))
    else:
        kind, message = "Canceled", str(told.get("reason", "it was canceled"))
    left = told.get("uncompensated") or ()
    return WorkflowError(
        f"workflow {instance.workflow_id!r} {instance.standing.status}: {message}",
        workflow_id=instance.workflow_id,
        error_type=kind,
        uncompensated=tuple(map(str, left)),
    )
