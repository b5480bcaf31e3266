"""What a world costs grows as the world does: twice as much of anything is twice the work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from flowlab.simulation import Agent, Faults, Network, Run, Start, World, simulate
from flowlab.studies.measuring import counted_calls
from flowlab.workflow import Plan, Step, WorkflowContext, workflow


def agent(name: str = "bank", **options: Any) -> Agent:
    return Agent(name, named={"charge": lambda _ctx, value: value}, **options)


@workflow
async def beside(ctx: WorkflowContext, count: int) -> None:
    await ctx.when_all(*[ctx.call_activity("charge") for _ in range(count)])


@workflow
async def one_by_one(ctx: WorkflowContext, count: int) -> None:
    for _ in range(count):
        await ctx.call_activity("charge")


@workflow
async def waits(ctx: WorkflowContext, count: int) -> None:
    await ctx.when_all(*[ctx.sleep(number) for number in range(count)])


@workflow
async def withdraws(ctx: WorkflowContext, count: int) -> None:
    calls = [ctx.call_activity("charge") for _ in range(count)]
    await ctx.sleep(1)
    for call in calls:
        call.cancel()
    await ctx.sleep(1_000)


@workflow
async def family(ctx: WorkflowContext, count: int) -> None:
    await ctx.when_all(*[ctx.call_child_workflow("child") for _ in range(count)])


@workflow
async def child(ctx: WorkflowContext, _: Any) -> None:
    await ctx.sleep(1)


def coded(code: Any, count: int, **options: Any) -> World:
    options = {"network": Network(latency=1), "timeout": None} | options
    return World([agent(service=100)], [code, child], [Start("w", count)], **options)


def pay(agent_name: str = "bank") -> Plan:
    return Plan(Step("charge", agent=agent_name, kind="pivot"), name="pay")


def many_agents(count: int, last: str = "zz") -> World:
    agents = [agent(f"a{number}") for number in range(count)]
    roles = [{"someone": f"a{number}"} for number in range(count)]
    starts = [Start(f"w{number}", roles=roles[number]) for number in range(count)]
    return World([*agents, agent(last)], pay("someone"), starts)


def asked_by_activity(count: int) -> World:
    idle = [Agent(f"a{number}", named={"rest": lambda: None}) for number in range(count)]
    return World([*idle, agent("zz")], one_by_one, [Start("w", count)])


WORLDS: dict[str, Callable[[int], World]] = {
    "a mailbox": lambda count: World([agent(service=100)], pay(), count, timeout=None),
    "timeouts": lambda count: World([agent(service=100)], pay(), count, timeout=50),
    "calls beside each other": lambda count: coded(beside, count),
    "calls one by one": lambda count: coded(one_by_one, count),
    "timers": lambda count: coded(waits, count),
    "requests taken back": lambda count: coded(withdraws, count),
    "children": lambda count: coded(family, count),
    "agents": many_agents,
    "agents that nobody asks": asked_by_activity,
}
FAULTS = Faults(loss=0.05, duplicate=0.05, crash=0.05, lost_write=0.05)


def calls_of(make: Callable[[], Run]) -> int:
    """Count the calls of functions, in Python and in C."""
    runs: list[Run] = []
    found = counted_calls(lambda: runs.append(make()))
    assert runs[0].event_count > 0
    return found["work"]


@pytest.mark.parametrize("faults", [Faults(), FAULTS], ids=["calm", "faults"])
@pytest.mark.parametrize("build", WORLDS.values(), ids=WORLDS.keys())
def test_twice_as_much_is_no_more_than_twice_the_work(
    build: Callable[[int], World], faults: Faults
) -> None:
    # Each answer of many that are waited for was looked at by each other one.
    simulate(build(50), faults=faults)
    once, twice = (
        calls_of(partial(simulate, build(count), seed=1, faults=faults)) for count in (200, 400)
    )

    assert twice < 2.3 * once


def test_a_large_value_is_in_the_log_once_for_each_event_that_tells_it() -> None:
    large = "x" * (1 << 20)

    def charge(ctx: Any, value: Any) -> Any:
        ctx.state["kept"] = value
        return value

    @workflow
    async def send(ctx: WorkflowContext, value: Any) -> Any:
        return await ctx.call_activity("charge", value)

    run = simulate(World([Agent("bank", charge)], send, [Start("w", large)]))
    sizes = {event.event_type: len(event.payload or b"") for event in run.log}

    assert run.results["w"] == large
    assert [kind for kind, size in sizes.items() if size > len(large)] == [
        "WorkflowStarted",
        "ActivityScheduled",
        "TransactionCommitted",
        "ActivityCompleted",
        "WorkflowCompleted",
    ]
    assert sum(sizes.values()) < 5 * (len(large) + 100)
