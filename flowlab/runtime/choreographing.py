"""Choreographed sagas in a durable host: who is to hear of what, and what comes of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.keys import Key
from flowlab.events.vocabulary import WORLD_STREAM
from flowlab.runtime.effect import INVALID_RESULT, Done, Effect, Gone, Outcome
from flowlab.runtime.instance import Instance
from flowlab.runtime.standing import Standing
from flowlab.store import EventStore
from flowlab.workflow import SECOND, Choreography
from flowlab.workflow.choreography_execution import ChoreographyExecution, Errand, fold

if TYPE_CHECKING:
    from flowlab.runtime.agents import Agents
    from flowlab.runtime.errands import Errands

FIRST_AGAIN_NS: Final = SECOND
"""How long after its first failure a reaction is tried again that has no event for it."""
LONGEST_AGAIN_NS: Final = 64 * SECOND
"""The longest such wait; each is twice the one before."""


def check_agents(processes: Iterable[object], agents: Agents) -> None:
    """Refuse choreographies with a reaction that nobody here can carry out.

    Raises:
        InvalidArgumentError: which one.
    """
    for process in processes:
        if isinstance(process, Choreography):
            _check_agents(process, agents)


def _check_agents(choreography: Choreography, agents: Agents) -> None:
    for reaction in choreography.reactions:
        undo = reaction.compensation
        wanted = [(reaction.agent, reaction.activity)]
        if undo is not None and reaction.undone_by:
            wanted.append((undo.agent or reaction.agent, undo.activity))
        for agent, activity in wanted:
            if agents.find(agent, activity)[1] is None:
                message = (
                    f"choreography {choreography.name!r}: {agents.unknown(agent, activity)}; give "
                    "the runtime agents={...} for every reaction and compensation"
                )
                raise InvalidArgumentError(message)


def effect_of(execution: ChoreographyExecution, errand: Errand) -> Effect:
    """Return what the agent of an errand is asked to do."""
    return Effect(
        workflow_id=execution.workflow_id,
        sequence=errand.number,
        activity=errand.heard.activity,
        agent=errand.heard.agent,
        value=errand.value,
        attempt=errand.attempt,
        undo=False,
        key=f"{execution.workflow_id}/{errand.step}",
        timeout_ns=None,
        step_id=errand.step,
        coordination_id=execution.workflow_id,
        delivery=errand.deliveries + 1,
        source=errand.source,
    )


def again_ns(attempt: int) -> int:
    """Return how long before an attempt is waited, in nanoseconds.

    Example:
        >>> [again_ns(attempt) // SECOND for attempt in (1, 2, 3, 9, 99)]
        [0, 1, 2, 64, 64]
    """
    if attempt == 1:
        return 0
    return min(FIRST_AGAIN_NS << min(attempt - 2, 30), LONGEST_AGAIN_NS)


def post(host: Errands, execution: ChoreographyExecution) -> None:
    """Run the errands that have become due: reactions now, what undoes them in a turn of its own.

    So the request to undo is durable before it is begun, and after what it follows from.
    """
    for errand in execution.posted():
        delay_ns = again_ns(errand.attempt)
        if delay_ns or errand.heard.undo:
            host.put_off(execution.workflow_id, errand.number, delay_ns)
        else:
            _react(host, execution, errand)


def run_errand(host: Errands, instance: Instance, number: int, attempt: int | None = None) -> None:
    """Run an errand whose time has come, unless it has come to something meanwhile."""
    execution = instance.execution
    assert isinstance(execution, ChoreographyExecution)
    errand = execution.errands.get(number)
    if errand is None:
        return
    if attempt is not None:
        errand.attempt = attempt
    if not errand.heard.undo:
        _react(host, execution, errand)
        return
    asked = execution.undo(errand)
    if isinstance(asked, Event):
        host.go_on_with(instance, asked)
    elif asked:
        told = {"errand": number, "nothing_to_undo": True}
        _note(host, instance, errand, "MessageReceived", told)


def _react(host: Errands, execution: ChoreographyExecution, errand: Errand) -> None:
    instance = host.instances[execution.workflow_id]
    if not execution.state.arrive(errand.heard, errand.step):
        told = {
            "errand": errand.number,
            "reason": f"{errand.heard.agent} has heard that it is undone",
            "to": errand.heard.agent,
        }
        _note(host, instance, errand, "MessageDropped", told)
        return
    host.hand_to_agent(effect_of(execution, errand))


def _note(
    host: Errands, instance: Instance, errand: Errand, kind: str, told: dict[str, Any]
) -> None:
    stream = WORLD_STREAM if kind == "MessageDropped" else f"@{errand.heard.agent}"
    host.recording.beside(
        stream,
        stream if stream == WORLD_STREAM else errand.heard.agent,
        kind,
        name=errand.heard.activity,
        payload=told,
        causes=(Cause(instance.workflow_id, errand.source, int(CauseKind.MESSAGE)),),
        coordination_id=instance.workflow_id,
    )
    host.take_in(instance, host.recording.events[-1])


def told_of(host: Errands, effect: Effect, outcome: Outcome) -> dict[str, Any]:
    """Return what the transaction of a reaction says beyond that of a request."""
    told: dict[str, Any] = {"errand": effect.sequence}
    instance = host.instances.get(effect.workflow_id)
    if instance is not None and isinstance(outcome, Done):
        execution = instance.execution
        assert isinstance(execution, ChoreographyExecution)
        errand = execution.errands.get(effect.sequence)
        if errand is not None and not errand.heard.reaction.emits:
            # Nothing else in the log says it, and what undoes it may need it.
            told["result"] = outcome.result
    return told


def reacted(host: Errands, effect: Effect, outcome: Outcome, transaction: Event | None) -> None:
    """Take note of what an agent has done about an event; `transaction` is written already."""
    instance = host.instances.get(effect.workflow_id)
    if instance is None:
        return
    execution = instance.execution
    assert isinstance(execution, ChoreographyExecution)
    if effect.sequence not in execution.errands:
        return
    if transaction is None:
        error = None
        if isinstance(outcome, Gone):
            error = {"message": outcome.message, "type": outcome.error_type}
        told = told_of(host, effect, outcome)
        host.recording.transaction(str(effect.agent), effect, None, error, told=told)
        transaction = host.recording.events[-1]
    if isinstance(outcome, Done):
        execution.result_of(str(effect.step_id), outcome.result)
    elif outcome.error_type == INVALID_RESULT:
        _warn_of_result(execution.errands[effect.sequence], outcome)
    host.take_in(instance, transaction)


def _warn_of_result(errand: Errand, outcome: Gone) -> None:
    """Warn of a result that will be no better the next time, where nothing else would tell."""
    if errand.heard.reaction.fails_with is None:
        message = (
            f"what {errand.heard.activity!r} of agent {errand.heard.agent!r} returns cannot be "
            f"told, and it is tried again and again, for its reaction has no fails_with: "
            f"{outcome.message}"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def restore(
    store: EventStore, choreography: Choreography, workflow_id: str, *, namespace: str
) -> tuple[ChoreographyExecution, Standing, int]:
    """Return a saga as its log tells it, how it stands, and how many events were read."""
    key = Key("coordination", workflow_id, namespace=namespace)
    events = [event for event in store.read(str(key)).events() if not event.run_id]
    mine = [
        event
        for event in events
        if event.workflow_id == workflow_id or event.workflow_id.startswith("@")
    ]
    execution = fold(choreography, workflow_id, mine)
    standing = Standing.of(event for event in mine if event.workflow_id == workflow_id)
    return execution, standing, len(events)


def left_open(execution: ChoreographyExecution) -> tuple[list[Effect], list[Effect], list[Errand]]:
    """Tell apart what is on its way: (may have happened, not begun, is to be undone)."""
    forward = [errand for errand in execution.errands.values() if not errand.heard.undo]
    begun = [effect_of(execution, errand) for errand in forward if errand.deliveries]
    waiting = [effect_of(execution, errand) for errand in forward if not errand.deliveries]
    asked = execution.asked
    undo = [e for e in execution.errands.values() if e.heard.undo and e.number not in asked]
    return begun, waiting, undo
