"""The states of what the library does, against a fold that walks the log anew for every event."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from state_oracle import Told
from test_workflow_states import agree

from flowlab.errors import WorkflowError
from flowlab.events import Event, EventLog
from flowlab.runtime import Runtime
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, World, simulate
from flowlab.store import EventStore
from flowlab.workflow import (
    AgentExecuting,
    Choreography,
    Compensating,
    Failed,
    Plan,
    Reaction,
    RetryPolicy,
    Sequential,
    Step,
    WorkflowContext,
    states_of,
    workflow,
)

SEEDS = range(4)


def worlds_of(name: str) -> EventLog:
    """Return the worlds of a scenario under faults, in one log."""
    logs = [
        simulate(SCENARIOS[name](), seed=seed, faults=faults).log
        for seed in SEEDS
        for faults in ("chaos", "production")
    ]
    return EventLog.from_events(
        [event for log in logs for event in log.events()],
        runs=[run for log in logs for run in log.runs],
    )


def histories_of(log: EventLog) -> list[list[Event]]:
    """Return the histories of a log."""
    events = [event for event in log.events() if not event.workflow_id.startswith("@")]
    events.sort(key=lambda event: event.id)
    return [list(found) for _, found in groupby(events, key=lambda event: event.id[:3])]


def beside(log: EventLog) -> dict[tuple[str, str], list[Event]]:
    """Return the events of agents and of the world, by run."""
    found: dict[tuple[str, str], list[Event]] = {}
    for event in log.events():
        if event.workflow_id.startswith("@"):
            found.setdefault(event.id[:2], []).append(event)
    return found


def was_begun(request: Event, others: list[Event], now_ns: int) -> bool:
    """Say whether an agent has received a request, or a copy of it, by some time."""
    sent = {(request.workflow_id, request.sequence)}
    for kind in ("MessageDuplicated", "MessageReceived"):
        found = [
            event
            for event in others
            if event.event_type == kind
            and any((cause.workflow_id, cause.sequence) in sent for cause in event.causes)
        ]
        sent |= {(event.workflow_id, event.sequence) for event in found}
    return any(event.time_ns <= now_ns for event in found)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_states_of_every_scenario_are_those_of_a_plain_walk_through_its_log(name: str) -> None:
    log = worlds_of(name)
    histories = histories_of(log)
    assert agree(log) == sum(map(len, histories))
    seen = set()
    agents = beside(log)
    for history in histories:
        others = agents[history[0].id[:2]]
        for sequence, state in states_of(history, beside=others):
            told = Told.upto(history, sequence)
            if isinstance(state, AgentExecuting):
                waiting = [
                    asked.name
                    for asked in told.open
                    if not told.undoes(asked)
                    and "Child" not in asked.event_type
                    and not was_begun(asked, others, told.events[-1].time_ns)
                ]
                assert list(state.pending) == waiting
                seen |= {"pending"} if waiting else set()
            assert type(state).__name__ == told.name
            for field, wanted in told.fields.items():
                found: Any = getattr(state, field)
                if field == "compensation_chain":
                    found = list(found[: len(wanted)])
                elif field == "final_state":
                    found = set(found)
                assert found == wanted, (sequence, field)
            seen.add(told.name)
    assert seen & {"Completed", "ContinuedAsNew"}
    assert ("pending" in seen) == ("AgentExecuting" in seen)


def test_a_parent_that_undoes_only_children_compensates() -> None:
    found = []
    for seed in range(30):
        log = simulate(SCENARIOS["nested"](), seed=seed, faults="chaos").log
        for history in histories_of(log):
            if not any(event.event_type == "CompensationScheduled" for event in history):
                found += [state for _, state in states_of(history)]
    undoing = [state for state in found if isinstance(state, Compensating)]
    assert {state.compensation_chain[:1] for state in undoing} == {(), ("journey",), ("venue",)}


def failing(kind: str, name: str) -> dict[str, Any]:
    if name.startswith(kind):
        message = f"{name} does not do it"
        raise LookupError(message)
    return {"done": name}


@workflow
async def lunch(ctx: WorkflowContext, _request: object) -> None:
    await ctx.call_activity("look", agent="cook")
    async with ctx.saga() as saga:
        await saga.step("wash", kind="retryable", idempotent=True, agent="cook")
        await saga.step("lay", compensation="clear", agent="maid")
        await saga.child(serve)
        await saga.step("pay", kind="pivot", agent="cook")
        await saga.step("wave", kind="retryable", idempotent=True, agent="maid")
    await ctx.call_activity("fail_late", agent="cook")


@workflow
async def serve(ctx: WorkflowContext, _request: object) -> None:
    await ctx.call_activity("carry", agent="maid")


@serve.compensate
async def take_back(ctx: WorkflowContext, _done: object) -> None:
    await ctx.call_activity("clear", agent="maid")


def lunches(breaks: str) -> EventLog:
    """Return the log of a lunch at which what begins so goes wrong."""
    acts = ("look", "wash", "lay", "clear", "pay", "wave", "fail_late", "carry")
    named = {act: (lambda _ctx, _value, act=act: failing(breaks, act)) for act in acts}
    people = [Agent(name, named=named) for name in ("cook", "maid")]
    return simulate(World(people, [lunch, serve]), seed=3).log


@pytest.mark.parametrize(
    ("breaks", "left"),
    [
        ("pay", ("look", "wash")),
        ("fail", ("look", "wash", "lay", "serve", "pay", "wave")),
        ("lay", ("look", "wash")),
        ("carry", ("look", "wash")),
        ("look", ()),
    ],
)
def test_what_is_left_of_a_failure_is_what_was_done_and_not_undone(
    breaks: str, left: tuple[str, ...]
) -> None:
    log = lunches(breaks)
    assert agree(log) > 0
    (history, *_) = histories_of(log)
    state = states_of(history)[-1][1]
    assert isinstance(state, Failed)
    assert state.final_state == left


def test_a_request_is_pending_until_its_agent_begins_it_in_a_world_and_in_a_durable_run(
    tmp_path: Path,
) -> None:
    @workflow
    async def feast(ctx: WorkflowContext, _request: object) -> None:
        await ctx.when_all(*(ctx.call_activity("wash", n, agent="cook") for n in range(3)))
        await ctx.call_activity("pay")

    cook = Agent("cook", named={name: (lambda _ctx, value: value) for name in ("wash", "pay")})
    world = simulate(World([cook], feast)).log
    with EventStore(tmp_path) as store:
        Runtime(store, feast, agents=[cook]).run(feast, None, id="feast-1")
        durable = store.log()
    for log in (world, durable):
        assert agree(log) > 0
        (history,) = histories_of(log)
        (others,) = beside(log).values()
        told = dict(states_of(history, beside=others))
        waiting = {n: state.pending for n, state in told.items()
                   if isinstance(state, AgentExecuting)}  # fmt: skip
        assert set(waiting[4]) == {"wash"}
        assert waiting[6] in {("wash",), ()}
        assert waiting[7] == ()


def test_a_step_without_effect_leaves_nothing_in_a_world_and_in_a_durable_run(
    tmp_path: Path,
) -> None:
    plan = Plan(
        Sequential(
            Step("look", agent="cook", effect=False),
            Step("wash", agent="cook", kind="pivot"),
            Step("wave", agent="cook", kind="retryable", idempotent=True,
                 retry=RetryPolicy(maximum_attempts=1)),
        ),
        name="lunch",
    )  # fmt: skip
    named = {act: (lambda _ctx, _value, act=act: failing("wave", act))
             for act in ("look", "wash", "wave")}  # fmt: skip
    cook = Agent("cook", named=named)
    world = simulate(World([cook], plan)).log
    with EventStore(tmp_path) as store:
        with pytest.raises(WorkflowError):
            Runtime(store, plan, agents=[cook]).run(plan, None, id="lunch-1")
        durable = store.log()
    for log in (world, durable):
        assert agree(log) > 0
        ((*_, (_, state)),) = [states_of(history) for history in histories_of(log)]
        assert isinstance(state, Failed)
        assert state.final_state == ("wash",)
    assert world.history_digest == durable.history_digest


def test_a_choreography_that_fails_tells_what_nothing_undoes() -> None:
    order = Choreography(
        Reaction("shop", on="Placed", emits="Noted", activity="note", kind="retryable",
                 idempotent=True),
        Reaction("bank", on="Noted", emits="Paid", fails_with="Refused", activity="pay",
                 kind="pivot"),
        start="Placed", final=["Paid", "Refused"], name="order",
    )  # fmt: skip
    named = {act: (lambda _ctx, _value, act=act: failing("pay", act)) for act in ("note", "pay")}
    log = simulate(World([Agent("shop", named=named), Agent("bank", named=named)], order)).log
    assert agree(log) > 0
    ((*_, (_, state)),) = [states_of(history) for history in histories_of(log)]
    assert state == Failed("pay does not do it", ("note",))
