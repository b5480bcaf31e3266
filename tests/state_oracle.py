"""The state of a workflow told in the plainest way: every question walks the history anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowlab.events import Event
from flowlab.events.vocabulary import TERMINAL_STATUS

ANSWERS = {
    "ActivityScheduled": {"Completed", "Failed", "TimedOut", "Canceled"},
    "CompensationScheduled": {"Completed", "Failed"},
    "ChildWorkflowInitiated": {"Completed", "Failed", "Canceled"},
}
FAMILIES = {
    "ActivityScheduled": "Activity",
    "CompensationScheduled": "Compensation",
    "ChildWorkflowInitiated": "ChildWorkflow",
}


@dataclass(frozen=True)
class Told:
    """A history of ours up to an event, of its last generation."""

    events: list[Event]

    @classmethod
    def upto(cls, history: list[Event], sequence: int) -> Told:
        """Return what was told once an event has happened."""
        events = [event for event in history if event.sequence <= sequence]
        first = max(n for n, event in enumerate(events) if event.event_type == "WorkflowStarted")
        return cls(events[first:])

    @property
    def requests(self) -> list[Event]:
        """What was asked for: of agents and of children."""
        return [event for event in self.events if event.event_type in FAMILIES]

    def answers(self, request: Event) -> list[Event]:
        """Return what answered a request, the first one first."""
        family = FAMILIES[request.event_type]
        kinds = {family + end for end in ANSWERS[request.event_type]}
        return [
            event
            for event in self.events
            if event.event_type in kinds
            and any(cause.sequence == request.sequence and cause.workflow_id == event.workflow_id
                    for cause in event.causes)
        ]  # fmt: skip

    def undoes(self, request: Event) -> bool:
        """Say whether a request undoes something."""
        if request.event_type == "ChildWorkflowInitiated":
            return request.step_id is not None and any(
                (other.event_type, other.coordination_id, other.step_id)
                == (request.event_type, request.coordination_id, request.step_id)
                for other in self.requests
                if other.sequence < request.sequence
            )
        return request.event_type == "CompensationScheduled"

    @property
    def open(self) -> list[Event]:
        """The requests that are not answered."""
        return [request for request in self.requests if not self.answers(request)]

    @property
    def name(self) -> str:
        """The name of the state."""
        marks = {
            "WorkflowCompleted": "Completed",
            "WorkflowFailed": "Failed",
            "WorkflowCanceled": "Canceled",
            "WorkflowContinuedAsNew": "ContinuedAsNew",
        }
        for event in self.events:
            if event.event_type in TERMINAL_STATUS:
                return marks[event.event_type]
        if any(self.undoes(request) for request in self.requests):
            return "Compensating"
        return "AgentExecuting" if self.requests else "Initiated"

    def agent(self, request: Event) -> str:
        """Return whom a request asks."""
        data: Any = request.data
        if request.event_type == "ChildWorkflowInitiated":
            return str(data["workflow_id"])
        return str(data.get("agent") or request.workflow_id)

    def held(self, request: Event) -> bool:
        """Say whether something was done for a request, or undone, in time or late."""
        for answer in self.answers(request):
            said: Any = answer.data or {}
            if answer.event_type.endswith("Completed"):
                result = said.get("result")
                if not (self.undoes(request) and result == {"compensation": "failed"}):
                    return True
            elif answer.event_type == "ChildWorkflowFailed" and not self.undoes(request):
                return bool(said.get("uncompensated"))
        return False

    def is_left(self, request: Event) -> bool:
        """Say whether what was done for a request is there still."""
        data: Any = request.data
        if self.undoes(request) or data.get("effect") is False or not self.held(request):
            return False
        place = request.coordination_id, request.step_id
        return request.step_id is None or not any(
            (other.coordination_id, other.step_id) == place and self.held(other)
            for other in self.requests
            if self.undoes(other) and other.sequence > request.sequence
        )

    @property
    def left(self) -> set[str]:
        """The steps, activities and children whose effects are left, by what the end says too."""
        end: Any = self.events[-1].data
        told = end.get("uncompensated", []) + end.get("effects_left", [])
        return set(told) | {
            request.step_id or request.name for request in self.requests if self.is_left(request)
        }

    @property
    def fields(self) -> dict[str, Any]:
        """Some of the fields of the state, and what they hold."""
        if self.name == "AgentExecuting":
            return {"current": {self.agent(request) for request in self.open}}
        if self.name == "Compensating":
            undoing = [request.step_id for request in self.open if self.undoes(request)]
            return {"compensation_chain": undoing}
        if self.events[-1].event_type == "WorkflowFailed":
            return {"final_state": self.left}
        return {}
