"""Parents and children: workflows that other workflows ask for, and hear of."""

from __future__ import annotations

from typing import Any, Final

from flowlab.errors import FlowlabError, InvalidArgumentError, NotFoundError
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.vocabulary import WORLD_STREAM
from flowlab.runtime.hosting import Hosting
from flowlab.runtime.instance import Instance
from flowlab.runtime.recording import check_sizes

PROGRAM: Final = int(CauseKind.PROGRAM)
FORK: Final = int(CauseKind.FORK)
JOIN: Final = int(CauseKind.JOIN)

NOBODY: Final = "no workflow has that id"

_CHILD_ENDS: Final = {
    "completed": "ChildWorkflowCompleted",
    "failed": "ChildWorkflowFailed",
    "canceled": "ChildWorkflowCanceled",
}


class Families(Hosting):
    """What a host does for workflows that ask for others."""

    def signal(self, workflow_id: str, name: str, value: Any, cause: Cause | None = None) -> None:
        """Take an event from outside, or from another workflow."""
        instance, why = self._reached(workflow_id, cause)
        if instance is None:
            self._lost(workflow_id, name, cause, why)
            return
        causes = () if cause is None else (cause,)
        event = Event.of("Signaled", name=name, payload={"value": value}, causes=causes)
        check_sizes(workflow_id, [event])
        self._tell(instance, event)

    def cancel(self, workflow_id: str, reason: str, cause: Cause | None = None) -> None:
        """Take a request to stop."""
        instance, why = self._reached(workflow_id, cause)
        if instance is None:
            self._lost(workflow_id, "cancel", cause, why)
        elif instance.is_open:
            event = Event.of(
                "WorkflowCancelRequested",
                name=instance.standing.name,
                payload={"reason": reason} if reason else {},
                causes=() if cause is None else (cause,),
            )
            check_sizes(workflow_id, [event])
            self._tell(instance, event)

    def begin_child(self, parent: Instance, asked: Event) -> None:
        """Begin the workflow that another one has asked for, or say why it cannot be begun."""
        data = asked.data
        workflow_id = data["workflow_id"]
        cause = Cause(parent.workflow_id, asked.sequence, FORK)
        problem = ""
        if asked.name not in self.processes:
            known = ", ".join(sorted(self.processes))
            problem = f"there is no workflow {asked.name!r}; the runtime has {known}"
        elif self._reached(workflow_id, cause) != (None, NOBODY):
            problem = f"workflow id {workflow_id!r} is taken; give each workflow an id of its own"
        if problem:
            error = {"message": problem, "type": InvalidArgumentError.__name__}
            self._child_ended(parent, asked, "ChildWorkflowFailed", {"error": error}, None)
            return
        self.begin(asked.name, workflow_id, data["input"], parent=cause)

    def _end(self, instance: Instance, end: Event) -> None:
        data = end.data or {}
        if end.event_type == "WorkflowContinuedAsNew":
            return
        instance.result = data.get("result") if end.event_type == "WorkflowCompleted" else data
        self._turn.ended.append(instance)
        if instance.parent is not None:
            self._later.append(lambda: self.tell_parent(instance, end))

    def tell_parent(self, child: Instance, end: Event) -> None:
        """Tell whoever asked for a workflow that it has ended."""
        assert child.parent is not None
        # One that cannot go on here is told when it is taken up: the end is in the log.
        parent, _ = self._reached(child.parent.workflow_id, child.parent)
        if parent is None or child.parent.sequence not in parent.standing.open:
            return
        asked = parent.standing.open[child.parent.sequence]
        kind, payload = child_answer(child.standing.status, child.result)
        self._child_ended(parent, asked, kind, payload, Cause(end.workflow_id, end.sequence, JOIN))

    def stop_parent(self, child: Instance) -> None:
        """Let whoever waits for a workflow that cannot go on here not go on either, and say so."""
        assert child.parent is not None
        parent = self.instances.get(child.parent.workflow_id)
        if parent is None or not parent.is_open:
            return
        if child.parent.sequence in parent.standing.open:
            why = str(child.error).rstrip(".")
            message = (
                f"{parent.workflow_id!r} waits for its child {child.workflow_id!r}, which cannot "
                f"go on here: {why}. Mend that and start the runtime again: both are in the log as "
                "they were"
            )
            error = FlowlabError(message)
            error.__cause__ = child.error
            self._give_up_on(parent, error)

    def _child_ended(
        self,
        parent: Instance,
        asked: Event,
        kind: str,
        payload: dict[str, Any],
        end: Cause | None,
    ) -> None:
        asking = Cause(parent.workflow_id, asked.sequence, PROGRAM)
        causes = (asking,) if end is None else (asking, end)
        self._tell(parent, Event.of(kind, name=asked.name, payload=payload, causes=causes))

    def _reached(self, workflow_id: str, cause: Cause | None) -> tuple[Instance | None, str]:
        """Get the workflow that another one addresses; else None, and why it cannot be had.

        Raises:
            FlowlabError: it cannot go on here, and somebody outside asks for it.
        """
        try:
            return self._known(workflow_id), NOBODY
        except FlowlabError as error:
            if cause is None:
                raise
            return None, str(error)

    def _lost(self, workflow_id: str, name: str, cause: Cause | None, why: str) -> None:
        if cause is None:
            message = f"there is no workflow {workflow_id!r} to take {name!r}; start it first"
            raise NotFoundError(message)
        self.recording.beside(
            WORLD_STREAM,
            WORLD_STREAM,
            "MessageDropped",
            name=name,
            payload={"reason": why, "to": workflow_id},
            causes=(cause,),
            coordination_id=cause.workflow_id,
        )


def child_answer(status: str, result: Any) -> tuple[str, dict[str, Any]]:
    """Return what a parent hears of how a child has ended: the type and the payload of the event.

    Example:
        >>> child_answer("completed", 7)
        ('ChildWorkflowCompleted', {'result': 7})
    """
    payload = {"result": result}
    if status != "completed":
        left = result.get("uncompensated") if isinstance(result, dict) else None
        payload = {"error": _error_in(result)} | ({"uncompensated": left} if left else {})
    return _CHILD_ENDS.get(status, "ChildWorkflowFailed"), payload


def _error_in(result: Any) -> dict[str, Any]:
    told = result if isinstance(result, dict) else {}
    error = told.get("error")
    if isinstance(error, dict):
        return error
    return {"message": str(told.get("reason", "it was canceled")), "type": "Canceled"}
