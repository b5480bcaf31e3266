"""One call of an activity, over all its attempts."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from flowlab.errors import ActivityError, CancelledError, InvalidEventError
from flowlab.events import MAX_ID_BYTES, Event
from flowlab.events.codec import encode_json, encode_payload, encode_quickly
from flowlab.workflow.answers import because, data_of, error_of, told
from flowlab.workflow.commands import MAX_ASKED, Command, Commands, Hears, check_name
from flowlab.workflow.handles import Handle
from flowlab.workflow.matching import Head
from flowlab.workflow.past import Because
from flowlab.workflow.retry import NO_RETRY, RetryPolicy

Family = Literal["Activity", "Compensation"]

MAX_KEPT: Final = 4_096
"""Requests, and what stands around their inputs, that are kept for the next call."""


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


class Call(Handle, eq=False):
    """Asks for each attempt, and decides by the policy what a failure means.

    It is its own handle, and the command of its first attempt; see `Command`.

    Args:
        commands: what the workflow asks for.
        request: what is asked for.
        value: its input.

    Attributes:
        in_doubt: whether the time of an attempt ran out: it may have happened all the same.
    """

    _commands: Commands
    request: Request
    _input: Any
    recorded: Hears | None = None
    draft: Event | None = None
    place: int = -1
    sequence: int = 0
    time_ns: int = 0
    in_doubt: bool = False
    _attempt: int = 1
    _stopped: bool = False
    _last: Command | None = None

    def __await__(self) -> Generator[Handle, None, Any]:
        """Wait until it is done; return its value or raise its error."""
        at_hand = self._commands.at_hand
        if at_hand is None or not at_hand(self):
            # Who waits would keep the whole history alive that was at hand, until he goes on.
            del at_hand
            yield self
            while not self.done:
                yield self
        if self._error is not None:
            raise self._error
        return self._value

    def tell(self) -> None:
        """Let everyone know that it is done."""
        fiber = self.waiter
        if fiber is None or fiber.loop is None or fiber.waits is not self or self.told:
            Handle.tell(self)
            return
        # Nearly always one fiber waits: its answer tells of what led to the first attempt, too.
        self.waiter = fiber.waits = None
        fiber.learn_next(self.because, fiber.loop.past.of(self.sequence))
        fiber.loop.ready.append((fiber, None))

    @property
    def what(self) -> str:
        """A word for what is waited for."""
        return f"{self.request.family.lower()} {self.request.activity!r}"

    @property
    def event_type(self) -> str:
        """Of the command."""
        return _SCHEDULED[self.request.family]

    @property
    def name(self) -> str:
        """Of the command."""
        return self.request.activity

    @property
    def step_id(self) -> str | None:
        """Of the command."""
        return self.request.step_id

    @property
    def coordination_id(self) -> str | None:
        """Of the command."""
        return self.request.coordination_id

    def stop(self, reason: str, because: Because | None) -> None:
        """Give it up, if it is not done and can be: what undoes is never given up."""
        if self.done or self._stopped or self.request.family != "Activity":
            return
        self._stopped = True
        if not self._end_waiting(because, reason):
            last = self if self._last is None else self._last
            self._commands.withdraw(last, "ActivityCancelRequested", because)

    def give_up(self) -> None:
        """Let the attempt in flight be the last one."""
        self._stopped = True
        self._end_waiting(None)

    def _end_waiting(self, why: Because | None, reason: str = "") -> bool:
        """Say whether the call waited to be tried again, and end that."""
        last = self._last
        if last is None or last.event_type != "TimerStarted" or self.done:
            return False
        self._commands.withdraw(last, "TimerCanceled", why)
        error = CancelledError(told(f"{self.what} was canceled", reason))
        self.reject(error, self._commands.reasons(why))
        return True

    def answered(self, event: Event) -> None:
        """Take the answer to the attempt in flight."""
        kind, why = event.event_type, because(event)
        if kind.endswith("Completed"):
            self._finish(data_of(event).get("result"), None, why)
        elif kind.endswith("Canceled"):
            reason = str(data_of(event).get("reason", ""))
            self.reject(CancelledError(told(f"{self.what} was canceled", reason)), why)
        else:
            self._failed(event, why)

    def _failed(self, event: Event, why: Because) -> None:
        request = self.request
        timed_out = event.event_type.endswith("TimedOut")
        self.in_doubt = self.in_doubt or timed_out
        error_type, message = error_of(event, "TimedOut" if timed_out else "Error")
        due, chance = None, self._commands.section.chance
        if not self._stopped:
            due = request.policy.next_attempt_ns(
                self._attempt,
                error_type=error_type,
                now_ns=event.time_ns,
                first_scheduled_ns=self.time_ns,
                draw=chance("retry").random() if request.policy.jitter else 0.5,
            )
        if due is None:
            error = ActivityError(
                f"{self.what} failed in attempt {self._attempt}: {message}",
                activity=request.activity,
                error_type=error_type,
                timed_out=timed_out,
            )
            self.reject(error, why)
            return
        self._attempt += 1
        delay = {"delay_ns": due - event.time_ns, "attempt": self._attempt}
        self._ask("TimerStarted", delay, why, self._again)

    def _again(self, timer: Event) -> None:
        if not self.done:
            payload = payload_of(self.request, self._input, self._attempt)
            self._ask(self.event_type, payload, because(timer), self.answered)

    def _ask(self, event_type: str, payload: Any, why: Because, answered: Hears) -> None:
        self._last = self._commands.ask(
            event_type,
            self.name,
            payload,
            why=why,
            step_id=self.step_id,
            coordination_id=self.coordination_id,
            answered=answered,
        )


def payload_of(request: Request, value: Any, attempt: int) -> dict[str, Any]:
    """Return what the event of an attempt carries."""
    payload: dict[str, Any] = {"input": value, "attempt": attempt}
    if request.agent is not None:
        payload["agent"] = request.agent
    if request.timeout_ns is not None:
        payload["timeout_ns"] = request.timeout_ns
    return payload


Form = tuple[Request, bytes, bytes, Head]
"""What all calls of an activity have in common: the payload around the input, and the head."""


@lru_cache(maxsize=MAX_KEPT)
def plain_form(activity: str, agent: str | None = None) -> Form:
    """Return the form of a call without retries and timeout."""
    if not activity.isascii() or len(activity) > MAX_ID_BYTES:
        check_name(activity, "ActivityScheduled")
    request = Request(activity=activity, agent=agent)
    return (request, *_around(agent, None), ("ActivityScheduled", activity, None))


@lru_cache(maxsize=MAX_KEPT)
def _around(agent: str | None, timeout_ns: int | None) -> tuple[bytes, bytes]:
    """Return what stands before and behind the input in the payload of a first attempt."""
    first = {} if agent is None else {"agent": agent}
    last = {} if timeout_ns is None else {"timeout_ns": timeout_ns}
    whole = encode_json({**first, "attempt": 1, "input": 0, **last})
    head, tail = whole.rsplit(b'"input":0', 1)
    return head + b'"input":', tail


def schedule(commands: Commands, form: Form, value: Any) -> Call:
    """Ask for the first attempt of a call, whose payload is the input within its form.

    Raises:
        InvalidArgumentError: the log cannot keep the name, or the workflow has ended.
        InvalidEventError: the input is not JSON.
        LimitError: the workflow asks for more and more, and never waits.
    """
    request, before, behind, head = form
    encoded = encode_quickly(value)
    payload: bytes | None
    if encoded is None:
        payload = encode_payload(payload_of(request, value, 1))
    else:
        payload = before + encoded + behind
    asked = commands.asked
    if commands.closed or len(asked) >= MAX_ASKED:
        commands.check_room()
    call = Call(commands, request, value)
    ahead, ground = commands.ahead, commands.ground
    if ground is None or not ahead:
        commands.draft(call, head, request.coordination_id, payload)
        return call
    place = ahead[-1]
    if ground.payloads[place] == payload and ground.heads[place] == head:
        ahead.pop()
        call.place = place
        asked.append(call)
        return call
    commands.put(call, payload)
    return call


def schedule_request(commands: Commands, request: Request) -> Call:
    """Ask for the first attempt of a call whose request holds its input.

    Raises:
        InvalidArgumentError: the log cannot keep the name, or the workflow has ended.
        InvalidEventError: the input is not JSON.
        LimitError: the workflow asks for more and more, and never waits.
    """
    name, event_type = request.activity, _SCHEDULED[request.family]
    if not name.isascii() or len(name) > MAX_ID_BYTES:
        check_name(name, event_type)
    try:
        before, behind = _around(request.agent, request.timeout_ns)
    except (TypeError, InvalidEventError):
        # An agent that is no text, or no Unicode: what can be said of the whole is said there.
        encode_payload(payload_of(request, None, 1))
        raise
    form = (request, before, behind, (event_type, name, request.step_id))
    return schedule(commands, form, request.value)


_SCHEDULED: Final = {"Activity": "ActivityScheduled", "Compensation": "CompensationScheduled"}
