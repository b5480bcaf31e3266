"""By value: the risk of a request decides how much isolation it gets.

The harm. Two customers buy the last ring at once: both find it there, and both pay.

The countermeasure. A lock would prevent that for everything that is sold, and make everybody wait.
So what is dear gets one, and what is cheap does not: a pen may be sold twice, which costs a pen.
"""

from __future__ import annotations

from typing import Any, Final

from flowlab.scenarios.countermeasures.countermeasure import (
    Countermeasure,
    NotPossibleError,
    bank,
    retryable,
)
from flowlab.simulation import Agent, AgentContext, Run, Start, World
from flowlab.workflow import NO_RETRY, Plan, Sequential, Step, field

MS: Final = 1_000_000
DEAR: Final = 1_000
"""From which price on a thing gets a lock."""


def check(ctx: AgentContext, order: dict[str, Any]) -> None:
    """See whether the thing is there."""
    if ctx.state[order["item"]] < 1:
        message = f"there is no {order['item']} left"
        raise NotPossibleError(message)


def check_by_value(ctx: AgentContext, order: dict[str, Any]) -> None:
    """See whether the thing is there; if it is dear, let nobody else at it before it is taken."""
    if order["price"] >= DEAR:
        ctx.claim(order["item"], policy="stash")
    check(ctx, order)


def take(ctx: AgentContext, order: dict[str, Any]) -> None:
    """Take the thing that was paid for; if there is none, the shop has to buy one."""
    ctx.state[order["item"]] -= 1
    ctx.release(order["item"])


def no_dear_thing_is_sold_twice(run: Run) -> str | None:
    """Of a dear thing no more are sold than there are; a pen more or less is no harm."""
    rings = run.states["shop"]["ring"]
    return f"{1 - rings} rings are sold, and there was one" if rings < 0 else None


def world(*, fixed: bool) -> World:
    """Return the world with or without the countermeasure."""
    order = {"item": field("item"), "price": field("price")}
    buying = Sequential(
        Step("check", agent="shop", input=order, effect=False, retry=NO_RETRY),
        Step("pay", agent="bank", compensation="refund"),
        retryable("take", "shop", order),
    )
    named = {"check": check_by_value if fixed else check}
    agents = [Agent("shop", take, named=named, state={"ring": 1, "pen": 1}), bank()]
    starts = [
        Start(f"{who} buys a {item}", {"item": item, "price": price}, at=at)
        for who, at in (("Ada", 0), ("Bo", 12 * MS))
        for item, price in (("ring", 2_000), ("pen", 2))
    ]
    return World(agents, Plan(buying, name="buy"), starts, invariants=[no_dear_thing_is_sold_twice])


OVERSOLD: Final = """
SELECT run_id, coordination_id AS saga, (payload_json(payload)->>'$.values.ring')::INT AS rings
FROM events
WHERE event_type = 'TransactionCommitted' AND name = 'take' AND rings < 0
"""
"""Who took a ring that was not there any more."""


BY_VALUE: Final = Countermeasure(
    "by value",
    __doc__,
    broken=world(fixed=False),
    fixed=world(fixed=True),
    query=OVERSOLD,
)
