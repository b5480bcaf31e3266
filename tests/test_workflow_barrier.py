"""Barriers: branches of one workflow wait for each other, and go on together."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_host import ID, Host

from flowlab.events import CauseKind, Event
from flowlab.workflow import Execution, WorkflowContext, workflow

PROGRAM, JOIN = int(CauseKind.PROGRAM), int(CauseKind.JOIN)


def of(host: Host, event_type: str) -> list[Event]:
    return [event for event in host.history if event.event_type == event_type]


def pairs(event: Event) -> list[tuple[int, int]]:
    return [(cause.sequence, cause.kind) for cause in event.causes]


@workflow
async def trip(ctx: WorkflowContext, _: Any) -> None:
    async def book(agent: str) -> None:
        await ctx.call_activity("reserve", agent=agent)
        await ctx.barrier("ready", ["hotel", "airline"])
        await ctx.call_activity("confirm", agent=agent)

    await ctx.when_all(book("hotel"), book("airline"))


def test_a_barrier_opens_when_all_have_arrived_and_all_go_on_from_its_opening() -> None:
    host = Host(trip).start()
    assert host.step()
    assert host.types[-1] == "BarrierArrived"
    assert "BarrierReleased" not in host.types
    while host.step():
        pass
    arrivals, (released,) = of(host, "BarrierArrived"), of(host, "BarrierReleased")
    assert [event.data for event in arrivals] == [{"agents": ["hotel"]}, {"agents": ["airline"]}]
    assert released.data == {"agents": ["airline", "hotel"]}
    assert pairs(released) == [(event.sequence, JOIN) for event in arrivals]
    for event in (*arrivals, released):
        assert (event.name, event.step_id, event.coordination_id) == ("ready", "ready", ID)
    confirmed = [e for e in of(host, "ActivityScheduled") if e.name == "confirm"]
    assert [pairs(event) for event in confirmed] == [[(released.sequence, PROGRAM)]] * 2
    assert host.types[-1] == "WorkflowCompleted"


def test_a_branch_may_say_for_whom_it_arrives() -> None:
    @workflow
    async def meet(ctx: WorkflowContext, _: Any) -> str:
        both = ctx.barrier("b", ["x", "y", "z"], arriving=["x", "y"])
        await ctx.when_all(both, ctx.barrier("b", ["z", "y", "x"], arriving="z"))
        return "met"

    assert Host(meet).start().end == {"result": "met"}


def test_an_open_barrier_lets_the_late_pass_who_follow_from_it_and_their_own_arrival() -> None:
    @workflow
    async def late(ctx: WorkflowContext, _: Any) -> None:
        async def other() -> None:
            await ctx.wait_for_event("go")
            await ctx.barrier("b", ["x"], arriving="x")
            await ctx.call_activity("after")

        await ctx.when_all(other(), ctx.barrier("b", ["x"], arriving="x"))

    host = Host(late).start()
    host.tell("Signaled", name="go")
    (released,), (after,) = of(host, "BarrierReleased"), of(host, "ActivityScheduled")
    assert pairs(after) == [
        (released.sequence, PROGRAM),
        (of(host, "BarrierArrived")[1].sequence, PROGRAM),
    ]


@pytest.mark.parametrize(
    ("agents", "arriving", "rule"),
    [
        ([], None, "at least one name"),
        ("hotel", "hotel", "at least one name"),
        (["x"], "y", "['y'] are not among those it waits for: ['x']"),
        (["x", "z"], "x", "it waits for ['x', 'z'] here, and for ['x', 'y'] before"),
        (["x", "y"], None, "say for whom it arrives (arriving=...)"),
    ],
)
def test_an_arrival_that_makes_no_sense_is_refused(agents: Any, arriving: Any, rule: str) -> None:
    @workflow
    async def odd(ctx: WorkflowContext, _: Any) -> None:
        ctx.barrier("known", ["x", "y"], "x")
        name = "known" if "z" in agents else "new"
        ctx.barrier(name, agents, arriving)

    assert rule in Host(odd).start().end["error"]["message"]


def test_who_leaves_a_barrier_has_arrived_all_the_same() -> None:
    @workflow
    async def impatient(ctx: WorkflowContext, _: Any) -> str:
        first = ctx.barrier("b", ["x", "y"], arriving="x")
        await ctx.sleep(1)
        first.cancel()
        await ctx.barrier("b", ["x", "y"], arriving="y")
        return "met"

    assert Host(impatient).run().end == {"result": "met"}


def test_a_request_to_stop_reaches_who_waits_at_a_barrier() -> None:
    host = Host(trip).start()
    assert host.step()
    host.tell("WorkflowCancelRequested")
    while host.step():
        pass
    assert host.types[-1] == "WorkflowCanceled"
    assert Execution(trip, ID).advance(host.history) == ()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 10**6))
def test_nobody_passes_a_barrier_before_everybody_has_arrived(before: list[int], seed: int) -> None:
    agents = [f"a{number}" for number in range(len(before))]

    @workflow
    async def rounds(ctx: WorkflowContext, _: Any) -> None:
        async def one(agent: str, calls: int) -> None:
            for number in range(2):
                for _ in range(calls):
                    await ctx.call_activity(f"work{number}", agent=agent)
                await ctx.barrier(f"round-{number}", agents, arriving=agent)

        await ctx.when_all(*map(one, agents, before))

    rng = random.Random(seed)
    host = Host(rounds, pick=rng.randrange).run()
    assert host.types[-1] == "WorkflowCompleted"
    past: dict[int, set[int]] = {}
    for event in host.history:
        direct = {cause.sequence for cause in event.causes}
        past[event.sequence] = direct.union(*(past[sequence] for sequence in direct))
        for sequence in direct:
            assert all(sequence not in past[other] for other in direct - {sequence})
    first = [e.sequence for e in of(host, "BarrierArrived") if e.name == "round-0"]
    assert len(first) == len(agents)
    for event in host.history:
        if event.name in {"work1", "round-1"}:
            assert set(first) <= past[event.sequence]
    for cut in range(len(host.history)):
        execution = Execution(rounds, ID)
        execution.advance(host.history[:cut])
        assert execution.advance(host.history[cut:]) == ()
    assert pairs(host.history[-1]) == [(host.history[-2].sequence, PROGRAM)]
