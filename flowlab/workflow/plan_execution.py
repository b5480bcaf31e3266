"""A plan driven by its history: events in, the next events out, as `Execution` does for code."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from flowlab.errors import CorruptionError, InvalidArgumentError
from flowlab.events import Cause, Event
from flowlab.events.codec import encode_payload
from flowlab.workflow.answers import STARTS, data_of, error_of
from flowlab.workflow.chance import stream
from flowlab.workflow.matching import COMMAND_TYPES, Grade, check_command
from flowlab.workflow.plan import Plan
from flowlab.workflow.plan_command import (
    SCHEDULE,
    TIMER,
    UNDO,
    UNDO_TIMER,
    Command,
    Commands,
    command_from_json,
    command_to_json,
)
from flowlab.workflow.plan_instance import PlanInstance
from flowlab.workflow.plan_program import Program, StepOp
from flowlab.workflow.plan_retry import Draw
from flowlab.workflow.step import Node

EVENT_TYPES: Final = (
    "ActivityScheduled",
    "CompensationScheduled",
    "TimerStarted",
    "TimerStarted",
    "BarrierArrived",
    "BarrierReleased",
    "PivotReached",
    "WorkflowCompleted",
    "WorkflowFailed",
    "WorkflowCanceled",
)
"""The type of the event that each kind of command asks for."""

PLAN_COMMAND_TYPES: Final = COMMAND_TYPES | set(EVENT_TYPES)
"""The events of a plan's history that the plan asks for; all others answer it."""


class PlanExecution:
    """One instance of a plan, driven by its history; it is to plans what `Execution` is to code.

    `advance(events)` takes what the stream holds next and returns the events that the plan now
    asks for, as drafts without sequence and time. The host appends them, hands them back with the
    next events, and carries out what they ask for. The law: the drafts depend on the plan and the
    history alone. The roles of an instance stand in its WorkflowStarted event: the payload is
    {"input": ..., "roles": {"role": "agent"}}, the latter only where a role is bound.

    Args:
        program: the plan, best compiled once for all its instances.
        workflow_id: its stream.
        seed: of the stream of chance; a host takes the run's.
        grade: how much of what the history holds must be what the plan asks for.

    Example:
        >>> from flowlab.workflow import Step
        >>> execution = PlanExecution(Step("say", agent="ann", kind="pivot"), "greet-1")
        >>> started = Event.of("WorkflowStarted", workflow_id="greet-1", sequence=1, time_ns=0,
        ...                    payload={"input": None})
        >>> [(draft.event_type, draft.data) for draft in execution.advance([started])]
        [('ActivityScheduled', {'agent': 'ann', 'attempt': 1, 'input': None})]
    """

    def __init__(
        self,
        program: Program | Plan | Node,
        workflow_id: str,
        *,
        seed: object = 0,
        grade: Grade = "result",
    ) -> None:
        self.program: Final = program if isinstance(program, Program) else Program.of(program)
        self.workflow_id: Final = workflow_id
        self.generation = 0
        self.now_ns = 0
        self.seed: Final = seed
        self._grade: Grade = grade
        self._instance: PlanInstance | None = None
        self._asked: deque[tuple[Command, Event]] = deque()
        self._open: dict[int, Command] = {}
        self._taken_up: dict[int, int] = {}
        self._last = 0

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._last} events"
        return f"PlanExecution({self.program.plan.name!r}, {self.workflow_id!r}, {state})"

    @property
    def closed(self) -> bool:
        """Whether its end was asked for."""
        return self._instance is not None and self._instance.closed

    @property
    def instance(self) -> PlanInstance | None:
        """The state of the instance; None before it has begun."""
        return self._instance

    @property
    def last_sequence(self) -> int:
        """The place of the last event that it knows; 0 if there is none."""
        return self._last

    def advance(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Take the next events of the stream; return every event that the plan asks for now.

        Raises:
            NonDeterminismError: the history holds something other than the plan asks for.
            CorruptionError: the events do not follow those before.
        """
        for event in events:
            self._take(event)
        return tuple(draft for _, draft in self._asked)

    def _take(self, event: Event) -> None:
        if self._last and event.sequence != self._last + 1:
            message = (
                f"event {event.sequence} of {self.workflow_id!r} follows {self._last}; give every "
                "event of the stream, in order and once"
            )
            raise CorruptionError(message)
        if event.event_type in PLAN_COMMAND_TYPES:
            command, draft = self._asked[0] if self._asked else (None, None)
            if draft is not None and draft.payload != event.payload:
                draft = _as_once(draft, event)
            check_command(event, draft, self.workflow_id, self._grade)
            assert command is not None
            self._asked.popleft()
            self._recorded(command, event)
        elif event.event_type == "WorkflowStarted":
            self._begin(event)
        elif self._instance is not None and not self._instance.closed:
            self._answer(self._instance, event)
        self._last = event.sequence
        self.now_ns = max(self.now_ns, event.time_ns)

    def _begin(self, event: Event) -> None:
        if self._instance is not None:
            message = (
                f"event {event.sequence} of {self.workflow_id!r} begins a workflow that has begun; "
                "a new generation needs a PlanExecution of its own"
            )
            raise CorruptionError(message)
        data = data_of(event)
        roles = data.get("roles", {})
        if not isinstance(roles, dict) or not all(isinstance(a, str) for a in roles.values()):
            message = (
                f"event {event.sequence} of {self.workflow_id!r} binds roles to {roles!r}; "
                'expected an object from roles to agents, as in {"pilot": "ann"}'
            )
            raise CorruptionError(message)
        self.generation = event.generation
        self._instance = PlanInstance(self.program, data.get("input"), roles or None, self._draw())
        self._ask(self._instance.start(event.sequence))

    def _draw(self) -> Draw | None:
        if not self.program.draws:
            return None
        return stream(self.seed, self.workflow_id, self.generation, "retry").random

    def _recorded(self, command: Command, event: Event) -> None:
        if command.kind in _REQUESTS:
            # Its answer is told by step and attempt; what was asked for stands in the history.
            self._open[event.sequence] = msgspec.structs.replace(command, value=None, causes=())
        if command.wants_ref and self._instance is not None:
            self._ask(self._instance.noted(command, event.sequence, event.time_ns))

    def _answer(self, instance: PlanInstance, event: Event) -> None:
        if event.event_type == "WorkflowCancelRequested":
            self._ask(instance.cancel(event.sequence, str(data_of(event).get("reason", ""))))
            return
        for cause in event.causes:
            if cause.workflow_id != event.workflow_id:
                continue
            # An answer may name the event that took the request up, and not the request.
            request = self._taken_up.get(cause.sequence, cause.sequence)
            if request not in self._open:
                continue
            if event.event_type in STARTS:
                self._taken_up[event.sequence] = request
            elif event.event_type in _ANSWERS[self._open[request].kind]:
                self._taken_up.pop(cause.sequence, None)
                self._ask(_told(instance, self._open.pop(request), event))
            return

    def _ask(self, commands: Commands) -> None:
        self._asked.extend((command, self._draft(command)) for command in commands)

    def _draft(self, command: Command) -> Event:
        op, kind, payload = command.op, command.kind, command.value
        name = self.program.plan.name if op is None else op.name
        step_id = None if op is None else op.name
        if isinstance(op, StepOp) and kind in _REQUESTS:
            asked = op if kind in _FORWARD else op.undo
            assert asked is not None
            name = asked.activity
            payload = {"delay_ns": command.value, "attempt": command.attempt}
            if kind in _ATTEMPTS:
                assert self._instance is not None
                agent = self._instance.agent_of(asked.agent)
                payload = {"input": command.value, "attempt": command.attempt, "agent": agent}
                if asked.timeout_ns is not None:
                    payload["timeout_ns"] = asked.timeout_ns
                if kind == SCHEDULE and not op.has_effect:
                    payload["effect"] = False
        causes = tuple(Cause(self.workflow_id, ref, why) for ref, why in sorted(command.causes))
        return Event.of(
            EVENT_TYPES[kind],
            name=name,
            payload=payload,
            workflow_id=self.workflow_id,
            generation=self.generation,
            follows_lane=False,
            causes=causes,
            step_id=step_id,
            coordination_id=self.workflow_id,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the whole state as JSON, from which `from_json` goes on without the history."""
        return {
            "workflow_id": self.workflow_id,
            "generation": self.generation,
            "now_ns": self.now_ns,
            "last": self._last,
            "instance": None if self._instance is None else self._instance.to_json(),
            "asked": [command_to_json(command) for command, _ in self._asked],
            "open": [[seq, command_to_json(asked)] for seq, asked in self._open.items()],
            "taken_up": [list(pair) for pair in self._taken_up.items()],
        }

    @classmethod
    def from_json(
        cls, program: Program | Plan | Node, data: Any, *, seed: object = 0
    ) -> PlanExecution:
        """Read what `to_json` wrote; the next event to give is the one after `last`.

        Raises:
            InvalidArgumentError: it is not the state of an instance of this plan.
        """
        compiled = program if isinstance(program, Program) else Program.of(program)
        try:
            execution = cls(compiled, data["workflow_id"], seed=seed)
            execution._restore(data)
        except (KeyError, TypeError, ValueError, IndexError, AssertionError) as error:
            if isinstance(error, InvalidArgumentError):
                raise
            message = f"the state of an instance of a plan is damaged: {error!r}"
            raise InvalidArgumentError(message) from error
        return execution

    def _restore(self, data: Mapping[str, Any]) -> None:
        program = self.program
        self.generation, self.now_ns = data["generation"], data["now_ns"]
        self._last = data["last"]
        if data["instance"] is not None:
            self._instance = PlanInstance.from_json(program, data["instance"], self._draw())
        self._ask(tuple(command_from_json(item, program) for item in data["asked"]))
        self._open = {seq: command_from_json(item, program) for seq, item in data["open"]}
        self._taken_up = dict(data["taken_up"])


_FORWARD: Final = frozenset({SCHEDULE, TIMER})
_ATTEMPTS: Final = frozenset({SCHEDULE, UNDO})
_ANSWERS: Final = {
    SCHEDULE: frozenset({"ActivityCompleted", "ActivityFailed", "ActivityTimedOut"}),
    UNDO: frozenset({"CompensationCompleted", "CompensationFailed", "ActivityTimedOut"}),
    TIMER: frozenset({"TimerFired"}),
    UNDO_TIMER: frozenset({"TimerFired"}),
}
_REQUESTS: Final = frozenset(_ANSWERS)


def _as_once(draft: Event, recorded: Event) -> Event:
    """Return a request as it was written before requests said that a step has no effect."""
    asked, known = data_of(draft), data_of(recorded)
    if draft.event_type != "ActivityScheduled" or "effect" not in asked or "effect" in known:
        return draft
    once = {key: asked[key] for key in asked if key != "effect"}
    return draft.replace(payload=encode_payload(once))


def _told(instance: PlanInstance, command: Command, event: Event) -> Commands:
    """Tell an instance the answer to what it has asked for."""
    op, ref, attempt, forward = (
        command.op,
        event.sequence,
        command.attempt,
        command.kind in _FORWARD,
    )
    assert isinstance(op, StepOp)
    if command.kind not in _ATTEMPTS:
        return (instance.timer_fired if forward else instance.undo_timer_fired)(op, ref, attempt)
    if event.event_type.endswith("Completed"):
        if forward:
            return instance.completed(op, ref, data_of(event).get("result"), attempt)
        return instance.undone(op, ref, attempt)
    timed_out = event.event_type.endswith("TimedOut")
    error_type, message = error_of(event, "TimedOut" if timed_out else "Error")
    tell = instance.failed if forward else instance.undo_failed
    return tell(op, ref, attempt, error_type, message, timed_out, event.time_ns)
