"""One call of an activity, over all its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flowlab.errors import ActivityError
from flowlab.events import Event
from flowlab.workflow.answers import because, data_of, error_of
from flowlab.workflow.handles import Because, Handle
from flowlab.workflow.retry import NO_RETRY, RetryPolicy

if TYPE_CHECKING:
    from flowlab.workflow.execution import Execution

Family = Literal["Activity", "Compensation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a workflow asks an agent for.

    Args:
        activity: its name.
        value: its input, any JSON value.
        agent: who shall do it; None leaves it to the host.
        policy: when it is tried again.
        timeout_ns: of one attempt; None is without limit.
        step_id, coordination_id: the step and the saga that it belongs to.
        family: whether it does something or undoes it.
    """

    activity: str
    value: Any = None
    agent: str | None = None
    policy: RetryPolicy = NO_RETRY
    timeout_ns: int | None = None
    step_id: str | None = None
    coordination_id: str | None = None
    family: Family = "Activity"


class Call:
    """Asks for each attempt, and decides by the policy what a failure means.

    Args:
        execution: the core that the call belongs to.
        request: what is asked for.
    """

    __slots__ = ("_attempt", "_execution", "_first_ns", "_request", "handle")

    def __init__(self, execution: Execution, request: Request) -> None:
        self._execution = execution
        self._request = request
        self._attempt = 1
        self._first_ns: int | None = None
        self.handle = Handle(f"{request.family.lower()} {request.activity!r}")

    def ask(self, why: Because | None = None) -> None:
        """Ask for the next attempt."""
        request = self._request
        payload: dict[str, Any] = {"input": request.value, "attempt": self._attempt}
        if request.agent is not None:
            payload["agent"] = request.agent
        if request.timeout_ns is not None:
            payload["timeout_ns"] = request.timeout_ns
        core = self._execution
        draft = core.draft(
            f"{request.family}Scheduled", name=request.activity, payload=payload, why=why
        )
        opened = core.opens(self._answered)

        def recorded(event: Event) -> None:
            if self._first_ns is None:
                self._first_ns = event.time_ns
            opened(event)

        core.ask(self._marked(draft), recorded)

    def _answered(self, event: Event) -> None:
        data = data_of(event)
        if self.handle.done or data.get("attempt", self._attempt) != self._attempt:
            return
        why = because(event)
        if event.event_type.endswith("Completed"):
            self.handle.resolve(data.get("result"), why)
            return
        request, core = self._request, self._execution
        timed_out = event.event_type.endswith("TimedOut")
        error_type, told = error_of(event, "TimedOut" if timed_out else "Error")
        due = request.policy.next_attempt_ns(
            self._attempt,
            error_type=error_type,
            now_ns=event.time_ns,
            first_scheduled_ns=self._first_ns or 0,
            draw=core.chance("retry").random() if request.policy.jitter else 0.5,
        )
        if due is None:
            message = (
                f"{request.family.lower()} {request.activity!r} failed in attempt "
                f"{self._attempt}: {told}"
            )
            error = ActivityError(
                message, activity=request.activity, error_type=error_type, timed_out=timed_out
            )
            self.handle.reject(error, why)
            return
        self._attempt += 1
        delay = {"delay_ns": due - event.time_ns, "attempt": self._attempt}
        draft = core.draft("TimerStarted", name=request.activity, payload=delay, why=why)
        core.ask(self._marked(draft), core.opens(lambda timer: self.ask(because(timer))))

    def _marked(self, draft: Event) -> Event:
        return msgspec.structs.replace(
            draft, step_id=self._request.step_id, coordination_id=self._request.coordination_id
        )
