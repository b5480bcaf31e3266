"""Worlds for tests of campaigns, twins and schedulers; other processes import them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowlab.simulation import (
    Agent,
    AgentContext,
    Faults,
    Resource,
    Run,
    Start,
    Uniform,
    World,
    scenario,
)
from flowlab.workflow import Plan, RetryPolicy, Sequential, Step, WorkflowContext, workflow

MS = 1_000_000
TWICE = RetryPolicy(maximum_attempts=2)
STORMY = Faults(loss=0.03, duplicate=0.02, reorder=0.05, crash=0.02, fail=0.05, slow=0.05)


def book(ctx: AgentContext, _: Any) -> int:
    ctx.state["booked"] = ctx.state.get("booked", 0) + 1
    return int(ctx.state["booked"])


def cancel(ctx: AgentContext, _: Any) -> int:
    ctx.state["booked"] -= 1
    return int(ctx.state["booked"])


def none_negative(run: Run) -> Iterator[str]:
    for name, cells in run.states.items():
        if cells.get("booked", 0) < 0:
            yield f"{name} has {cells['booked']}"


def no_more_than_completed(run: Run) -> bool:
    """A planted bug: duplicates and retries book twice."""
    done = sum(status == "completed" for status in run.statuses.values())
    return bool(run.states["car"].get("booked", 0) <= done)


@scenario
def booking(
    *,
    customers: int = 2,
    retry: RetryPolicy = TWICE,
    strict: bool = False,
) -> World:
    """Trips are booked, step by step."""
    names = ("flight", "hotel", "car")
    agents = [
        Agent(name, book, cancel, state={"booked": 0}, service=Uniform(MS, 5 * MS))
        for name in names
    ]
    steps = [
        Step(f"book_{name}", agent=name, activity="book", compensation="cancel", retry=retry)
        for name in names
    ]
    return World(
        agents,
        Plan(Sequential(*steps), name="trip"),
        [Start(f"trip-{number}", at=number * 3 * MS) for number in range(1, customers + 1)],
        invariants=[none_negative, *([no_more_than_completed] if strict else [])],
    )


@scenario
def unruled() -> World:
    """A plan whose scenario has neither a retry policy nor a network to set."""
    agents = [Agent("bank", named={"charge": lambda: "paid"})]
    return World(agents, Plan(Step("charge", agent="bank", kind="pivot"), name="till"), 3)


def deposit(ctx: AgentContext, amount: int) -> int:
    balance = ctx.resource("account")["balance"] + amount
    ctx.resource("account")["balance"] = balance
    return int(balance)


@workflow
async def saver(ctx: WorkflowContext, amount: int) -> Any:
    await ctx.call_activity("look", None, agent="clerk")
    return await ctx.call_activity("deposit", amount, agent="bank")


@scenario
def saving() -> World:
    """Workflows in code, and a resource that two agents use."""
    clerk = Agent("clerk", named={"look": lambda ctx, _: ctx.resource("account")["balance"]})
    bank = Agent("bank", deposit, service=2 * MS)
    return World(
        [clerk, bank],
        saver,
        [Start(f"saver-{number}", 10) for number in range(4)],
        resources=[Resource("account", {"balance": 0})],
    )


def booked(run: Run) -> int:
    return sum(cells.get("booked", 0) for cells in run.states.values())


@scenario
def apart() -> World:
    """Two plans on two agents, which have nothing to do with each other."""
    plans, starts = [], []
    agents = [Agent(side, book, cancel, state={"booked": 0}) for side in ("left", "right")]
    for agent in agents:
        step = Step("first", agent=agent.name, activity="book", compensation="cancel", retry=TWICE)
        last = Step("last", agent=agent.name, activity="book", kind="pivot")
        plans.append(Plan(Sequential(step, last), name=agent.name))
        starts += [Start(f"{agent.name}-{n}", workflow=agent.name) for n in (1, 2)]
    return World(agents, plans, starts)


@workflow
async def racer(ctx: WorkflowContext, amount: int) -> Any:
    """Look, and then write what follows from what was seen: another may have written meanwhile."""
    seen = await ctx.call_activity("look", None, agent="bank")
    return await ctx.call_activity("write", seen + amount, agent="bank")


@workflow
async def adder(ctx: WorkflowContext, amount: int) -> Any:
    return await ctx.call_activity("add", amount, agent="bank")


def look(ctx: AgentContext, _: Any) -> int:
    return int(ctx.state["balance"])


def write(ctx: AgentContext, value: int) -> int:
    ctx.state["balance"] = value
    return value


def add(ctx: AgentContext, value: int) -> int:
    ctx.state["balance"] += value
    return int(ctx.state["balance"])


def nothing_is_lost(run: Run) -> str | None:
    done = [int(result is not None) for result in run.results.values()]
    balance = run.states["bank"]["balance"]
    return None if balance == 10 * sum(done) else f"{balance} after {sum(done)} deposits"


@scenario
def deposits(*, racy: bool = False, apart: int = 1_000 * MS) -> World:
    """Deposits long after each other: by time, nobody ever meets another."""
    bank = Agent("bank", look, write, add, state={"balance": 0}, service=MS)
    flow = racer if racy else adder
    starts = [Start(f"saver-{n}", 10, at=n * apart) for n in range(3)]
    return World([bank], flow, starts, invariants=[nothing_is_lost], timeout=None)


def tell(ctx: AgentContext, count: int) -> None:
    for number in range(count):
        ctx.send("reader", "hear", number)


def hear(ctx: AgentContext, number: int) -> None:
    ctx.state["heard"] = [*ctx.state["heard"], number]


@scenario
def letters(*, count: int = 4) -> World:
    """One agent sends letters to another, which keeps them as they come."""
    agents = [Agent("writer", tell), Agent("reader", hear, state={"heard": []})]
    flow = Plan(Step("tell", agent="writer", kind="pivot", input=count), name="letters")
    return World(agents, flow, 1)
