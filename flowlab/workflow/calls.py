"""One call of an activity, over all its attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from flowlab.errors import ActivityError, CancelledError
from flowlab.events import Event
from flowlab.workflow.answers import because, data_of, error_of, told
from flowlab.workflow.commands import Command, Commands
from flowlab.workflow.handles import Because, Handle
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
from flowlab.workflow.section import Section

Family = Literal["Activity", "Compensation"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
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
        commands: what the workflow asks for.
        request: what is asked for.
        section: where the chance of a policy with jitter comes from.
    """

    __slots__ = (
        "_attempt",
        "_commands",
        "_first",
        "_last",
        "_request",
        "_section",
        "_stopped",
        "handle",
    )

    def __init__(self, commands: Commands, request: Request, section: Section) -> None:
        self._commands = commands
        self._request = request
        self._section = section
        self._attempt = 1
        self._stopped = False
        self.handle = Handle(f"{request.family.lower()} {request.activity!r}")
        if request.family == "Activity":
            # What undoes is never given up.
            self.handle.stopper = self._stop
        self._first = self._last = self._ask(None)

    def give_up(self) -> None:
        """Let the attempt in flight be the last one."""
        self._stopped = True
        self._end_waiting(None)

    def _ask(self, why: Because | None) -> Command:
        request = self._request
        payload: dict[str, Any] = {"input": request.value, "attempt": self._attempt}
        if request.agent is not None:
            payload["agent"] = request.agent
        if request.timeout_ns is not None:
            payload["timeout_ns"] = request.timeout_ns
        return self._command(f"{request.family}Scheduled", payload, why, self._answered)

    def _command(
        self, event_type: str, payload: Any, why: Because | None, answered: Callable[[Event], None]
    ) -> Command:
        request = self._request
        draft = self._commands.draft(
            event_type,
            request.activity,
            payload,
            why=why,
            step_id=request.step_id,
            coordination_id=request.coordination_id,
        )
        return self._commands.ask(draft, answered)

    def _stop(self, reason: str, why: Because | None) -> None:
        if self._stopped:
            return
        self._stopped = True
        if not self._end_waiting(why, reason):
            self._commands.withdraw(self._last, "ActivityCancelRequested", why)

    def _end_waiting(self, why: Because | None, reason: str = "") -> bool:
        """Say whether the call waited to be tried again, and end that."""
        if self._last.draft.event_type != "TimerStarted" or self.handle.done:
            return False
        self._commands.withdraw(self._last, "TimerCanceled", why)
        error = CancelledError(told(f"{self.handle.what} was canceled", reason))
        self.handle.reject(error, self._commands.reasons(why))
        return True

    def _answered(self, event: Event) -> None:
        kind, why = event.event_type, because(event)
        if kind.endswith("Completed"):
            self.handle.resolve(data_of(event).get("result"), why)
        elif kind.endswith("Canceled"):
            reason = str(data_of(event).get("reason", ""))
            error = CancelledError(told(f"{self.handle.what} was canceled", reason))
            self.handle.reject(error, why)
        else:
            self._failed(event, why)

    def _failed(self, event: Event, why: Because) -> None:
        request = self._request
        timed_out = event.event_type.endswith("TimedOut")
        error_type, message = error_of(event, "TimedOut" if timed_out else "Error")
        due = None
        if not self._stopped:
            due = request.policy.next_attempt_ns(
                self._attempt,
                error_type=error_type,
                now_ns=event.time_ns,
                first_scheduled_ns=self._first.time_ns,
                draw=self._section.chance("retry").random() if request.policy.jitter else 0.5,
            )
        if due is None:
            what = f"{request.family.lower()} {request.activity!r}"
            error = ActivityError(
                f"{what} failed in attempt {self._attempt}: {message}",
                activity=request.activity,
                error_type=error_type,
                timed_out=timed_out,
            )
            self.handle.reject(error, why)
            return
        self._attempt += 1
        delay = {"delay_ns": due - event.time_ns, "attempt": self._attempt}
        self._last = self._command("TimerStarted", delay, why, self._again)

    def _again(self, timer: Event) -> None:
        if not self.handle.done:
            self._last = self._ask(because(timer))
