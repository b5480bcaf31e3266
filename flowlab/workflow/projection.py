"""The state of a workflow at each event of its history: a fold, and nothing but the history.

The relation `states` of every log and store says the same in SQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from flowlab.errors import IllegalTransitionError, InvalidArgumentError
from flowlab.events import Event
from flowlab.workflow.answers import data_of, error_of
from flowlab.workflow.projection_calls import Calls, Receipts, names_in
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

_STATES: Final = {kind.__name__: kind for kind in TRANSITIONS}


def states_of(
    events: Iterable[Event], *, agents: Iterable[str] = (), beside: Iterable[Event] = ()
) -> list[tuple[int, WorkflowState]]:
    """Return (sequence, state) for each event of one stream: the state once it has happened.

    What is told at an event depends on the events up to it alone, so a state of the past stays as
    it was:

    - `current` are the agents of calls that are asked for and not answered: the agent that the
      request names, else the one that made it. A child workflow is its own agent: it stands there
      under its workflow id, and is asked for by its `ChildWorkflowInitiated`.
    - `pending` are those of these calls that no agent has begun. An agent begins a request with the
      `MessageReceived` of its own stream, in simulated worlds as in the runtime, and from then on
      stands in `current` itself; it has begun if it did by the time that the history has come to.
      In a run without such events, and of calls that name no agent and are carried out by a
      function, beginnings are not known, and nothing is pending before the first
      `ActivityStarted` of a generation. A child has begun when it is asked for.
    - A workflow is compensating from the first request that undoes something to its end: a
      `CompensationScheduled`, or a child for a step of a saga that a child has done already.
      `failed_agents` are those whose last answer is a failure that is not tried again;
      `compensation_chain` holds the steps whose compensation is asked for and not done, then the
      compensable steps of that saga that committed and whose turn is still to come, the latest
      first. Of a plan only what is asked for stands there: its log does not say of a step that is
      done whether it has a compensation; `CompensationScheduled` names each when its turn comes.
    - `final_state` lists what was done and not undone: every call that was completed, of whatever
      kind its step is and in a saga or not, under the name of its step, else of its activity. A
      child that completed is one such effect; one that failed has its own `final_state`, and
      stands in its parent's where it said that something is `uncompensated`. Not listed are steps
      with `effect=False`. A step was undone by a compensation that completed, and did not say that
      it failed. Last come what the end itself says is left: steps that nobody knows the outcome of,
      and what a choreography did. Effects of earlier generations are not listed: those ended well.
    - Of several answers to one request the first counts; but what a late one says was done, was
      done.

    Args:
        events: the history, in order.
        agents: who may take part; a run's metadata say so.
        beside: the events of the run's agents and of its world (`@` streams), which say what was
            begun when.

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
    fold = _Fold(frozenset(agents), Receipts.of(beside))
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


class _Fold:
    """The state after the events that were taken."""

    def __init__(self, agents: frozenset[str], receipts: Receipts) -> None:
        self.agents = agents
        self.receipts = receipts
        self.now_ns: int | None = None
        self.state: WorkflowState = Initiated(agents)
        self.calls = Calls(self.receipts)

    def take(self, event: Event) -> None:
        """Take the next event."""
        time_ns = event.time_ns
        self.now_ns = time_ns if self.now_ns is None else max(self.now_ns, time_ns)
        kind, end = event.event_type, _end(event, self.calls)
        if kind == "WorkflowStarted":
            self.calls = Calls(self.receipts)
            self._move(Initiated(self.agents))
            return
        asked = self.calls.take(event, self.now_ns)
        if end is not None:
            self.state = transition(self.state, end)
        elif asked == "to undo" or isinstance(self.state, Compensating):
            self._move(self.calls.compensating())
        elif asked or isinstance(self.state, AgentExecuting):
            self._move(self.calls.executing())

    def _move(self, following: WorkflowState) -> None:
        if following != self.state:
            self.state = transition(self.state, following)


def _end(event: Event, calls: Calls) -> WorkflowState | None:
    """Return the state that an event ends a workflow in, or None."""
    data = data_of(event)
    match event.event_type:
        case "WorkflowCompleted":
            return Completed(calls.results)
        case "WorkflowFailed" | "WorkflowTimedOut" as kind:
            otherwise = "timed out" if kind == "WorkflowTimedOut" else ""
            left = calls.left()
            told = names_in(data, "uncompensated") + names_in(data, "effects_left")
            more = tuple(name for name in told if name not in left)
            return Failed(error_of(event, otherwise)[1], left + more)
        case "WorkflowCanceled" | "WorkflowTerminated":
            reason = data.get("reason")
            return Canceled(reason if isinstance(reason, str) else "")
        case "WorkflowContinuedAsNew":
            return ContinuedAsNew(event.generation + 1)
    return None
