"""The state of a workflow at each event of its history: a fold, and nothing but the history.

The relation `states` of every log and store says the same in SQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from flowlab.errors import IllegalTransitionError, InvalidArgumentError
from flowlab.events import Event
from flowlab.workflow.answers import data_of, error_of
from flowlab.workflow.state import (
    TRANSITIONS,
    AgentExecuting,
    Canceled,
    Compensating,
    Completed,
    ContinuedAsNew,
    Failed,
    Initiated,
    WorkflowState,
    transition,
)

_ASKS: Final = frozenset({"ActivityScheduled", "CompensationScheduled"})
_FAILS: Final = frozenset({"ActivityFailed", "ActivityTimedOut", "CompensationFailed"})
_ANSWERS: Final = _FAILS | {"ActivityCompleted", "ActivityCanceled", "CompensationCompleted"}
_STATES: Final = {kind.__name__: kind for kind in TRANSITIONS}


def states_of(
    events: Iterable[Event], *, agents: Iterable[str] = ()
) -> list[tuple[int, WorkflowState]]:
    """Return (sequence, state) for each event of one stream: the state once it has happened.

    What is told at an event depends on the events up to it alone, so a state of the past stays as
    it was:

    - `current` are the agents of calls that are asked for and not answered: the agent that the
      request names, else the one that made it.
    - `pending` are calls that nobody has begun, in histories that record beginnings: from the
      first `ActivityStarted` of a generation on.
    - A workflow is compensating from its first `CompensationScheduled` to its end. `failed_agents`
      are those whose last answer is a failure that is not tried again; `compensation_chain` holds
      the steps whose compensation is asked for and not done, then the compensable steps of that
      saga that committed and whose turn is still to come, the latest first.
    - Of several answers to one request the first counts.

    Args:
        events: the history, in order.
        agents: who may take part; a run's metadata say so.

    Raises:
        IllegalTransitionError: the history holds a transition that the table does not have.
        InvalidArgumentError: the events are of several streams, or not in order.

    Example:
        >>> asked = Event.of("ActivityScheduled", sequence=2, name="book",
        ...                  payload={"agent": "airline"})
        >>> states_of([Event.of("WorkflowStarted", sequence=1), asked], agents=["airline"])
        [(1, Initiated(agents={'airline'})), (2, AgentExecuting(current={'airline'}, pending=()))]
    """
    told: list[tuple[int, WorkflowState]] = []
    fold = _Fold(frozenset(agents))
    stream, last = None, 0
    for event in events:
        if stream not in {None, event.id[:3]} or event.sequence <= last:
            message = (
                f"event {event.sequence} of {event.workflow_id!r} follows event {last} of "
                f"{(stream or event.id)[2]!r}; give the events of one stream, in order"
            )
            raise InvalidArgumentError(message)
        stream, last = event.id[:3], event.sequence
        try:
            fold.take(event)
        except IllegalTransitionError as error:
            message = f"at event {last} ({event.event_type}) of {event.workflow_id!r}: {error}"
            raise IllegalTransitionError(message) from None
        told.append((last, fold.state))
    return told


def state_of(state: str, detail: str) -> WorkflowState:
    """Return the value of a row of the relation `states`, from its columns `state` and `detail`.

    Raises:
        InvalidArgumentError: they are not what a row holds.

    Example:
        >>> state_of("Failed", '{"error":"no rooms","final_state":["flight"]}')
        Failed(error='no rooms', final_state=('flight',))
    """
    try:
        fields = {name: _as_field(name, value) for name, value in json.loads(detail).items()}
        return _STATES[state](**fields)  # type: ignore[no-any-return]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = (
            f"state {state!r} with detail {detail!r} is no row of the relation states ({error!r}); "
            "give both columns as they are"
        )
        raise InvalidArgumentError(message) from error


def _as_field(name: str, value: Any) -> Any:
    if name in {"agents", "current", "failed_agents"}:
        return frozenset(value)
    return tuple(value) if isinstance(value, list) else value


@dataclass(slots=True)
class _Call:
    """A request, and how far it has come: asked, begun, done, ended, failed or retried."""

    event: Event
    agent: str
    step: str
    undoes: bool
    status: str = "asked"
    ended: int = 0

    @property
    def saga(self) -> str:
        return self.event.coordination_id or ""

    @property
    def is_open(self) -> bool:
        return self.status in {"asked", "begun"}


@dataclass(slots=True)
class _Generation:
    """What the events of a generation have said so far."""

    calls: dict[int, _Call] = field(default_factory=dict)
    acts: dict[int, int] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    committed: list[tuple[str, str]] = field(default_factory=list)
    starts: bool = False

    def take(self, event: Event) -> None:
        """Take the next event."""
        kind = event.event_type
        if kind in _ASKS:
            self._ask(event)
        elif kind == "ActivityStarted" or kind in _ANSWERS:
            self._hear(event)
        elif kind == "TimerStarted" and data_of(event).get("attempt") is not None:
            self._retry(event)
        elif kind == "SagaStepCommitted" and data_of(event).get("kind") == "compensable":
            self.committed.append((event.coordination_id or "", event.step_id or ""))

    def executing(self) -> AgentExecuting:
        """Return who works, and on what nobody has begun to work."""
        working = [call for call in self.calls.values() if call.is_open and not call.undoes]
        waiting = [call.event.name for call in working if call.status == "asked"]
        current = frozenset(call.agent for call in working)
        return AgentExecuting(current, tuple(waiting) if self.starts else ())

    def compensating(self) -> Compensating:
        """Return who failed, and what is to be undone."""
        calls = self.calls.values()
        failed = frozenset(call.agent for call in calls if call.status == "failed")
        undoing = [call for call in calls if call.undoes]
        chain = [call.step for call in undoing if call.is_open or call.status == "retried"]
        sagas = {call.saga for call in undoing}
        chain += [step for saga, step in reversed(self.committed) if saga in sagas]
        return Compensating(failed, tuple(chain))

    def _ask(self, event: Event) -> None:
        agent = data_of(event).get("agent")
        named = agent if isinstance(agent, str) and agent else event.agent_id or event.workflow_id
        step = event.step_id or event.name
        call = _Call(event, named, step, event.event_type == "CompensationScheduled")
        if call.undoes:
            self.committed = [it for it in self.committed if it != (call.saga, step)]
            for other in self.calls.values():
                if other.status == "retried" and (other.saga, other.step) == (call.saga, step):
                    other.status = "ended"
        self.calls[event.sequence] = call

    def _hear(self, event: Event) -> None:
        own = [it.sequence for it in event.causes if it.workflow_id == event.workflow_id]
        direct = [sequence for sequence in own if sequence in self.calls]
        through = [self.acts[sequence] for sequence in own if sequence in self.acts]
        kind = event.event_type
        self.starts = self.starts or kind == "ActivityStarted"
        if direct:
            self.acts[event.sequence] = max(direct)
        if not direct and not through:
            return
        call = self.calls[max(direct + through)]
        if kind == "ActivityStarted":
            call.status = "begun"
        elif call.is_open:
            call.ended = event.sequence
            call.status = "failed" if kind in _FAILS else "ended"
            if kind == "ActivityCompleted":
                self.results[call.step] = data_of(event).get("result")

    def _retry(self, event: Event) -> None:
        own = {it.sequence for it in event.causes if it.workflow_id == event.workflow_id}
        for call in self.calls.values():
            if call.ended in own and call.status == "failed":
                call.status = "retried"


class _Fold:
    """The state after the events that were taken."""

    def __init__(self, agents: frozenset[str]) -> None:
        self.agents = agents
        self.state: WorkflowState = Initiated(agents)
        self.generation = _Generation()

    def take(self, event: Event) -> None:
        """Take the next event."""
        kind, end = event.event_type, _end(event, self.generation.results)
        if kind == "WorkflowStarted":
            self.generation = _Generation()
            self._move(Initiated(self.agents))
            return
        self.generation.take(event)
        if end is not None:
            self.state = transition(self.state, end)
        elif kind == "CompensationScheduled" or isinstance(self.state, Compensating):
            self._move(self.generation.compensating())
        elif kind == "ActivityScheduled" or isinstance(self.state, AgentExecuting):
            self._move(self.generation.executing())

    def _move(self, following: WorkflowState) -> None:
        if following != self.state:
            self.state = transition(self.state, following)


def _end(event: Event, results: dict[str, Any]) -> WorkflowState | None:
    """Return the state that an event ends a workflow in, or None."""
    data = data_of(event)
    match event.event_type:
        case "WorkflowCompleted":
            return Completed(results)
        case "WorkflowFailed" | "WorkflowTimedOut" as kind:
            otherwise = "timed out" if kind == "WorkflowTimedOut" else ""
            left = data.get("uncompensated")
            steps = tuple(map(str, left)) if isinstance(left, list) else ()
            return Failed(error_of(event, otherwise)[1], steps)
        case "WorkflowCanceled" | "WorkflowTerminated":
            reason = data.get("reason")
            return Canceled(reason if isinstance(reason, str) else "")
        case "WorkflowContinuedAsNew":
            return ContinuedAsNew(event.generation + 1)
    return None
