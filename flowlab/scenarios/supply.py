"""A supply chain with disruptions: if the near supplier cannot deliver, the far one and a ship do.

What happens. A shop orders bicycles. Frames come from a near supplier, unless it is on strike; the
plan has an alternative, a `Conditional` on what the supplier answered: then they are bought far
away, and a place on a ship is booked beside that. The factory's slot is the pivot; from there on
the delivery is only tried until it succeeds. If the factory has no slot, what was bought goes back.

What to look at. That a supplier is disrupted is an answer ("no"), and the plan goes on; that a
factory is full is a failure, and the plan is undone. Both are refusals, told in two ways.

A query to try, which shows how often each alternative was taken:

    SELECT name, status, count(*) FROM activities WHERE name LIKE 'buy%' GROUP BY ALL ORDER BY ALL

The planted bug (`bug=True`). The near supplier sets the frames aside before it finds out that it is
on strike, and then answers "no". A handler that raises leaves nothing behind; one that returns "no"
leaves what it has written, and no compensation gives it back, since the step has "succeeded".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowlab.simulation import Agent, AgentContext, Exponential, Run, Start, World, scenario
from flowlab.workflow import (
    SECOND,
    Conditional,
    Parallel,
    Plan,
    RetryPolicy,
    Sequential,
    Step,
    result,
)

HOUR: Final = 3_600 * SECOND
# What is used up stays so; only what was not answered is asked for again.
AGAIN: Final = RetryPolicy(initial_interval=HOUR, non_retryable_error_types=("NothingLeftError",))


class NothingLeftError(Exception):
    """It is used up, or the order is over."""


def take(ctx: AgentContext) -> None:
    """Set one piece aside for an order, once."""
    orders = ctx.state["orders"]
    if orders.get(ctx.workflow_id) != "taken":
        if ctx.workflow_id in orders or not ctx.state["left"]:
            message = f"{ctx.agent} has {ctx.state['left']} left for {ctx.workflow_id}"
            raise NothingLeftError(message)
        ctx.state["left"] -= 1
        orders[ctx.workflow_id] = "taken"


def give_back(ctx: AgentContext) -> None:
    """Put the piece of an order back, and remember that the order is over."""
    if ctx.state["orders"].get(ctx.workflow_id) == "taken":
        ctx.state["left"] += 1
    ctx.state["orders"][ctx.workflow_id] = "given back"


def buy_near(ctx: AgentContext) -> dict[str, bool]:
    """Set a frame aside, unless there is a strike or none is left."""
    taken = ctx.state["orders"].get(ctx.workflow_id) == "taken"
    if not taken and (on_strike(ctx) or not ctx.state["left"]):
        return {"accepted": False}
    take(ctx)
    return {"accepted": True}


def buy_near_hastily(ctx: AgentContext) -> dict[str, bool]:
    """Set a frame aside, and see then whether there is a strike: the planted bug."""
    if not ctx.state["left"] and ctx.workflow_id not in ctx.state["orders"]:
        return {"accepted": False}
    take(ctx)
    return {"accepted": not on_strike(ctx)}


def on_strike(ctx: AgentContext) -> bool:
    """Find out whether the workers of the supplier are on strike."""
    return bool(ctx.random("strike").random() < ctx.state["disruption"])


PLAN: Final = Plan(
    Sequential(
        Step("buy_near", agent="near", compensation="give_back", retry=AGAIN),
        Conditional(
            result("buy_near", "accepted") == False,  # noqa: E712 - a predicate, not a truth
            Parallel(
                Step(
                    "buy_far", agent="far", activity="take", compensation="give_back", retry=AGAIN
                ),
                Step("ship", agent="ship", activity="take", compensation="give_back", retry=AGAIN),
                sync_point="aboard",
            ),
        ),
        Step("build", agent="factory", activity="take", kind="pivot", retry=AGAIN),
        Step("deliver", agent="carrier", kind="retryable", idempotent=True),
    ),
    name="supply",
)


def deliver(ctx: AgentContext) -> None:
    """Bring a bicycle to the shop, once."""
    ctx.state["delivered"][ctx.workflow_id] = True


def nothing_is_lost(run: Run) -> Iterator[str]:
    """What an agent has left and what is set aside for somebody are what it had at first."""
    for agent in ("near", "far", "ship", "factory"):
        cells = run.states[agent]
        taken = list(cells["orders"].values()).count("taken")
        if cells["left"] + taken != cells["had"]:
            yield f"{agent}: {cells['left']} left + {taken} taken, of {cells['had']}"


def a_bicycle_has_one_frame(run: Run) -> Iterator[str]:
    """An order that completed took one frame, from one supplier; one that failed took none."""
    for name, status in run.statuses.items():
        suppliers = [
            agent for agent in ("near", "far") if run.states[agent]["orders"].get(name) == "taken"
        ]
        if status != "open" and len(suppliers) != (status == "completed"):
            yield f"{name} has {status}, with frames from: {', '.join(suppliers) or 'nobody'}"


@scenario
def supply(*, orders: int = 4, disruption: float = 0.3, slots: int = 3, bug: bool = False) -> World:
    """A supply chain in which suppliers fail, and alternatives are part of the plan.

    Args:
        orders: how many bicycles the shop orders, one every six hours.
        disruption: the share of orders that meet a strike at the near supplier.
        slots: how many bicycles the factory can build.
        bug: whether the near supplier sets frames aside before it knows that it can deliver.
    """

    def holder(name: str, count: int, hours: int) -> Agent:
        state = {"left": count, "had": count, "orders": {}, "disruption": disruption}
        handlers: dict[str, Any] = {"take": take, "give_back": give_back}
        if name == "near":
            handlers["buy_near"] = buy_near_hastily if bug else buy_near
        return Agent(name, named=handlers, state=state, service=Exponential(hours * HOUR))

    agents = [
        holder("near", orders, 2),
        holder("far", orders // 2, 5),
        holder("ship", orders // 2, 20),
        holder("factory", slots, 4),
        Agent("carrier", deliver, state={"delivered": {}}, service=Exponential(3 * HOUR)),
    ]
    starts = [Start(f"bicycle-{n}", at=6 * HOUR * n) for n in range(orders)]
    kept = [nothing_is_lost, a_bicycle_has_one_frame]
    return World(agents, PLAN, starts, invariants=kept, timeout=240 * HOUR)
