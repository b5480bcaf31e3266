"""What is told of workflows that do not end: each has its chain of who waits for whom."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from typing import Any

import pytest

from flowlab.errors import ActivityError
from flowlab.simulation import Agent, AgentContext, Faults, Run, Start, World, simulate
from flowlab.simulation.engine import Engine
from flowlab.workflow import (
    NO_RETRY,
    SECOND,
    Parallel,
    Plan,
    Sequential,
    Step,
    WorkflowContext,
    workflow,
)


def chains(run: Run) -> dict[str, str]:
    return {stuck.workflow_id: stuck.waits_for for stuck in run.stuck}


def work(ctx: AgentContext) -> None:
    ctx.state["n"] = ctx.state.get("n", 0) + 1


def one(**options: Any) -> World:
    step = Step("pay", agent="bank", activity="work", kind="pivot")
    return World([Agent("bank", work)], step, **options)


def found(world: World, faults: Faults, text: str) -> str:
    for seed in range(200):
        for chain in chains(simulate(world, seed=seed, faults=faults)).values():
            if text in chain:
                return chain
    raise AssertionError(text)


def test_a_message_that_was_lost_is_told_with_its_fault() -> None:
    patient = one(timeout=None)
    assert found(patient, Faults(loss=0.3), "message") == (
        "work by bank; the message to bank was lost (loss:plan-1/pay/1/request)"
    )
    assert found(patient, Faults(loss=0.3), "answer") == (
        "work by bank; the answer of bank was lost (loss:plan-1/pay/1/reply)"
    )
    assert found(patient, Faults(hang=0.3), "hangs") == (
        "work by bank; bank hangs on it (hang:bank:plan-1/pay/1)"
    )


def test_an_agent_that_is_down_when_the_world_stops_is_told_to_be() -> None:
    world = one(timeout=None, max_time=SECOND)
    assert found(world, Faults(crash=0.5, downtime=60 * SECOND), "crashed") == (
        "work by bank; bank has crashed and is not back"
    )


def test_who_is_behind_others_is_told_how_many_and_what_the_agent_does() -> None:
    agents = [Agent("bank", work, service=3600 * SECOND)]
    step = Step("work", agent="bank", kind="pivot", timeout=7200 * SECOND)
    run = simulate(World(agents, step, 3, max_time=SECOND))
    assert sorted(chains(run).values()) == [
        "work by bank; bank works on it",
        "work by bank; it waits at bank behind 1 other; bank is busy with work for plan-2",
        "work by bank; it waits at bank; bank is busy with work for plan-2",
    ]


async def ask(ctx: AgentContext, whom: str) -> None:
    await ctx.sleep(SECOND)
    await ctx.call(whom, "help")


def help_out() -> None:
    return


def two_ways() -> World:
    agents = [Agent(name, named={"ask": ask, "help": help_out}) for name in ("left", "right")]
    plans = [
        Plan(Step("ask", agent=agent, kind="pivot", input=whom), name=agent)
        for agent, whom in (("left", "right"), ("right", "left"))
    ]
    starts = [Start("a", workflow="left"), Start("b", workflow="right")]
    return World(agents, plans, starts, timeout=None)


def test_two_agents_that_ask_each_other_are_a_deadlock_that_the_report_names() -> None:
    assert chains(simulate(two_ways())) == {
        "a": "ask by left; left is busy with it, and waits for help by right; it waits at right; "
        "right is busy with ask for b, and waits for help by left; it waits at left; "
        "a deadlock: left waits for right waits for left",
        "b": "ask by right; right is busy with it, and waits for help by left; it waits at left; "
        "left is busy with ask for a, and waits for help by right; it waits at right; "
        "a deadlock: right waits for left waits for right",
    }


def test_agents_that_interleave_do_not_deadlock_so() -> None:
    agents = [
        Agent(name, named={"ask": ask, "help": help_out}, interleaving=True)
        for name in ("left", "right")
    ]
    world = two_ways()
    run = simulate(World(agents, world.workflows.values(), list(world.inputs(0)), timeout=None))
    assert set(run.statuses.values()) == {"completed"}


def hold(ctx: AgentContext) -> None:
    ctx.claim("room", policy="stash")


def test_who_waits_for_a_lock_is_told_its_holder_whether_it_has_ended_or_waits_itself() -> None:
    stay = Step("hold", agent="hotel", compensation="work")
    never = Step("never", agent="bank", compensation="work")

    async def ever(ctx: AgentContext) -> None:
        await ctx.call("void", "hold_on")

    async def hold_on(ctx: AgentContext) -> None:
        await ctx.sleep(3600 * SECOND)

    agents = [
        Agent("hotel", hold, work),
        Agent("bank", named={"never": ever, "work": work}),
        Agent("void", hold_on),
    ]
    plans = [Plan(Sequential(stay), name="short"), Plan(Sequential(stay, never), name="long")]
    starts = [Start("a", workflow="short"), Start("b", at=SECOND, workflow="short")]
    run = simulate(World(agents, plans, starts, timeout=None))
    assert chains(run) == {
        "b": "hold by hotel; it waits at hotel for 'room', which a holds; "
        "a is completed and has not released it"
    }
    starts = [Start("a", workflow="long"), Start("b", at=SECOND, workflow="short")]
    run = simulate(World(agents, plans, starts, timeout=None, max_time=10 * SECOND))
    assert chains(run)["b"] == (
        "hold by hotel; it waits at hotel for 'room', which a holds; a waits for never by bank; "
        "bank is busy with it, and waits for hold_on by void; void is busy with it, and sleeps"
    )


def test_children_and_events_from_outside_are_told_and_branches_one_after_the_other() -> None:
    @workflow
    async def inner(ctx: WorkflowContext, _: object) -> None:
        await ctx.wait_for_event("approved")

    @workflow
    async def outer(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_child_workflow(inner, workflow_id="kid")

    run = simulate(World([Agent("bank", work)], [outer, inner], [Start("mum")]))
    assert chains(run) == {
        "mum": "child workflow 'kid'; kid waits for event 'approved'",
        "kid": "event 'approved'",
    }
    both = Parallel(
        Step("x", activity="work", agent="bank", compensation="work"),
        Step("y", activity="work", agent="bank", compensation="work"),
    )
    agents = [Agent("bank", work, service=60 * SECOND)]
    (stuck,) = simulate(World(agents, both, timeout=None, max_time=SECOND)).stuck
    assert stuck.chain == (
        "work by bank",
        "bank works on it",
        "work by bank",
        "it waits at bank",
        "bank is busy with work for plan-1",
    )


def test_who_waits_at_a_barrier_is_told_who_did_not_arrive() -> None:
    @workflow
    async def meet(ctx: WorkflowContext, _: object) -> None:
        await ctx.barrier("tea", ["mill", "oven", "shop"], "mill")

    run = simulate(World([Agent("bank", work)], meet))
    assert chains(run) == {"meet-1": "barrier 'tea', where oven and shop did not arrive"}


def test_who_was_at_work_when_the_world_was_stopped_is_not_told_to_wait_for_nothing() -> None:
    @workflow
    async def again(ctx: WorkflowContext, count: int) -> None:
        ctx.continue_as_new(count + 1)

    run = simulate(World([Agent("bank", work)], again, [Start("a", 0)], max_events=50))
    assert run.stopped.startswith("max_events")
    assert chains(run) == {"a": "its turn: it was at work when the world was stopped"}


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Watch over the engines of the worlds that run."""
    found: list[Any] = []
    before = Engine.run

    def run(self: Engine) -> None:
        found.append(weakref.ref(self))
        before(self)

    monkeypatch.setattr(Engine, "run", run)
    return found


def test_worlds_that_ended_with_work_left_are_taken_back_by_memory(engines: list[Any]) -> None:
    @workflow
    async def asks(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("work")

    simulate(two_ways())
    simulate(World([Agent("bank", work)], asks, timeout=None), faults=Faults(loss=1.0))
    simulate(World([Agent("bank", work, service=SECOND)], asks, 9, max_events=20))
    simulate(one())
    gc.collect()
    assert [engine() for engine in engines] == [None] * 4


# Each such world was held for good, 200 kB in a campaign: the traceback of what its code failed
# with leads to the engine's frames, and those to calls, which the collector does not look into.
@pytest.mark.parametrize(
    "kind", ["it fails", "its branch fails", "its saga fails", "its child does"]
)
def test_a_world_whose_code_failed_is_taken_back_by_memory(engines: list[Any], kind: str) -> None:
    def refuse(ctx: AgentContext, _: object) -> None:
        raise ValueError(ctx.activity)

    @workflow
    async def alone(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("refuse")

    @workflow
    async def fails(ctx: WorkflowContext, _: object) -> None:
        if kind == "it fails":
            await ctx.call_activity("refuse")
        elif kind == "its branch fails":
            await ctx.when_all(alone.body(ctx, None), ctx.call_activity("work"))
        elif kind == "its child does":
            await ctx.call_child_workflow(alone)
        async with ctx.saga() as saga:
            await saga.step("work", compensation="refuse", compensation_retry=NO_RETRY)
            await saga.step("refuse", kind="pivot")

    agent = Agent("agent", named={"refuse": refuse, "work": work})
    assert set(simulate(World([agent], [fails, alone], 2)).statuses.values()) == {"failed"}
    gc.collect()
    assert [engine() for engine in engines] == [None]


def test_a_world_whose_code_left_a_branch_beside_one_that_failed_is_taken_back_by_memory(
    engines: list[Any],
) -> None:
    def refuse(ctx: AgentContext, _: object) -> None:
        raise ValueError(ctx.activity)

    async def ask(ctx: WorkflowContext, name: str) -> None:
        await ctx.call_activity(name, agent="quick")

    @workflow
    async def goes_on(ctx: WorkflowContext, _: object) -> None:
        with suppress(ActivityError):
            await ctx.when_all(ctx.call_activity("work", agent="slow"), ask(ctx, "refuse"))

    agents = [Agent("slow", work, service=SECOND), Agent("quick", refuse)]
    assert simulate(World(agents, goes_on)).ok
    gc.collect()
    assert [engine() for engine in engines] == [None]


def test_a_world_whose_code_waits_with_an_error_in_hand_is_taken_back_by_memory(
    engines: list[Any],
) -> None:
    def refuse(ctx: AgentContext, _: object) -> None:
        raise ValueError(ctx.activity)

    async def ask(ctx: WorkflowContext) -> None:
        await ctx.call_activity("refuse")

    @workflow
    async def waits(ctx: WorkflowContext, _: object) -> None:
        branch = ctx.when_all(ask(ctx))
        with suppress(ActivityError):
            await branch
        await ctx.wait_for_event("never")
        await branch

    assert chains(simulate(World([Agent("agent", refuse)], waits))) == {"waits-1": "event 'never'"}
    gc.collect()  # closes the code that waits
    gc.collect()
    assert [engine() for engine in engines] == [None]


def test_a_compensation_that_fails_for_ever_is_told_with_the_attempt_that_is_to_come() -> None:
    def refuse(ctx: AgentContext, _: object) -> None:
        raise ValueError(ctx.activity)

    kitchen = Agent("kitchen", named={"cook": lambda *_: 1, "cancel": refuse, "pay": refuse})
    plan = Sequential(
        Step("cook", agent="kitchen", compensation="cancel"),
        Step("pay", agent="kitchen", kind="pivot"),
    )

    run = simulate(World([kitchen], plan, max_events=500), seed=1)

    failed = sum(event.event_type == "CompensationFailed" for event in run.log.events())
    assert [found.chain for found in run.stuck] == [
        (f"cancel by kitchen, attempt {failed + 1:,} to come",)
    ]


def test_what_was_lost_of_a_message_whose_copy_was_answered_is_waited_for_by_nobody() -> None:
    agent = Agent("bank", named={"ask": lambda *_: 1, "pay": lambda *_: 2})
    steps = [Step("ask", agent="bank", compensation="pay"), Step("pay", agent="bank", kind="pivot")]
    world, stuck = World([agent], Sequential(*steps), timeout=None), 0
    for seed in range(150):
        run = simulate(world, seed=seed, faults=Faults(duplicate=0.5, loss=0.4))
        done = {e.name for e in run.log.events() if e.event_type == "ActivityCompleted"}
        for chain in chains(run).values():
            stuck += "ask" in done
            assert not any(f"{name} by bank" in chain for name in done)
    assert stuck > 0


def test_a_child_that_waits_for_a_lock_of_its_parent_is_a_deadlock_of_the_two() -> None:
    @workflow
    async def inner(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("hold")

    @workflow
    async def outer(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("hold")
        await ctx.call_child_workflow(inner, workflow_id="kid")

    run = simulate(World([Agent("hotel", hold)], [outer, inner], [Start("mum")], timeout=None))
    assert chains(run) == {
        "mum": "child workflow 'kid'; kid waits for hold by any agent; it waits at hotel for "
        "'room', which mum holds; a deadlock: mum waits for kid waits for mum",
        "kid": "hold by any agent; it waits at hotel for 'room', which mum holds; mum waits for "
        "child workflow 'kid'; a deadlock: kid waits for mum waits for kid",
    }
