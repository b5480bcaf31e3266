"""An order: the goods are reserved while the card is charged, and a courier takes the parcel.

What happens. The workflow is code, and its saga has four steps, the first two side by side. Goods
and money can be given back. That the courier has the parcel is the pivot: before it everything can
be undone, after it the customer only has to be told, which is tried until it succeeds. Orders
compete for the goods in the warehouse and for places in the courier's van.

What to look at. Answers get lost, and then nobody knows whether the card was charged. So the
workflow asks again, and the bank must recognize an order that it has seen: its name is the key
under which the charge is kept. Compare `faults="network"` with and without the bug.

A query to try, which shows every attempt with its answer:

    SELECT workflow_id, name, attempt, status FROM activities WHERE attempt > 1 ORDER BY ALL

The planted bug (`bug=True`). The bank keeps its charges under the order and the attempt. An answer
that is lost then costs the customer twice, since the second attempt looks like another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowlab.simulation import (
    Agent,
    AgentContext,
    Chances,
    Exponential,
    Run,
    Start,
    World,
    scenario,
)
from flowlab.workflow import SECOND, RetryPolicy, WorkflowContext, workflow

MS: Final = SECOND // 1_000
PRICE: Final = 120


class OutOfStockError(Exception):
    """The goods are gone."""


class VanFullError(Exception):
    """The courier takes no more parcels today."""


# What was refused stays refused; only what was not answered is asked for again.
AGAIN: Final = RetryPolicy(
    initial_interval=100 * MS, non_retryable_error_types=("OutOfStockError", "VanFullError")
)


@workflow
async def fulfil(ctx: WorkflowContext, lines: dict[str, Any]) -> str:
    """Fulfil an order, or leave everything as it was."""
    async with ctx.saga() as saga:
        await ctx.when_all(
            saga.step("reserve", lines, agent="warehouse", compensation="put_back", retry=AGAIN),
            saga.step("charge", PRICE, agent="bank", compensation="refund", retry=AGAIN),
        )
        await saga.step("collect", agent="courier", kind="pivot", retry=AGAIN)
        await saga.step("tell", agent="customer", kind="retryable", idempotent=True)
    return "on its way"


def reserve(ctx: AgentContext, lines: dict[str, Any]) -> None:
    """Set goods aside for an order, once."""
    orders, count = ctx.state["orders"], lines["count"]
    if orders.get(ctx.workflow_id) is None:
        if count > ctx.state["stock"] or ctx.workflow_id in orders:
            message = f"{count} wanted, {ctx.state['stock']} left"
            raise OutOfStockError(message)
        ctx.state["stock"] -= count
        orders[ctx.workflow_id] = count


def put_back(ctx: AgentContext) -> None:
    """Put the goods of an order back; None remembers that it is over."""
    ctx.state["stock"] += ctx.state["orders"].get(ctx.workflow_id) or 0
    ctx.state["orders"][ctx.workflow_id] = None


def charge(ctx: AgentContext, price: int) -> None:
    """Charge the card once for each order."""
    ctx.state["charges"].setdefault(ctx.workflow_id, price)


def charge_each_attempt(ctx: AgentContext, price: int) -> None:
    """Charge the card for each attempt: the planted bug."""
    key = ctx.workflow_id if ctx.attempt == 1 else f"{ctx.workflow_id}, attempt {ctx.attempt}"
    ctx.state["charges"].setdefault(key, price)


def refund(ctx: AgentContext) -> None:
    """Give the money of an order back; 0 remembers that it is over."""
    ctx.state["charges"][ctx.workflow_id] = 0


def collect(ctx: AgentContext) -> None:
    """Take the parcel of an order, once, while there is a place for it."""
    parcels = ctx.state["parcels"]
    if ctx.workflow_id not in parcels:
        if len(parcels) == ctx.state["places"]:
            message = f"the van holds {len(parcels)} parcels"
            raise VanFullError(message)
        parcels.append(ctx.workflow_id)


def tell(ctx: AgentContext) -> None:
    """Say that the parcel is on its way."""
    ctx.state["told"][ctx.workflow_id] = True


def nobody_pays_for_nothing(run: Run) -> Iterator[str]:
    """The bank has the price of each order that completed, and no more."""
    completed = list(run.statuses.values()).count("completed")
    if "open" in run.statuses.values():
        return
    taken = sum(run.states["bank"]["charges"].values())
    if taken != PRICE * completed:
        yield f"{completed} orders of {PRICE} completed, and the bank has taken {taken}"


def goods_are_kept(run: Run) -> Iterator[str]:
    """What is in stock and what is set aside are together what there was."""
    cells = run.states["warehouse"]
    aside = sum(filter(None, cells["orders"].values()))
    if cells["stock"] + aside != cells["delivered"]:
        yield f"{cells['stock']} in stock + {aside} set aside, of {cells['delivered']}"


def a_parcel_is_an_order_that_completed(run: Run) -> Iterator[str]:
    """The courier has the parcels of the orders that completed, and no others."""
    for parcel in run.states["courier"]["parcels"]:
        if run.statuses[parcel] == "failed":
            yield f"{parcel} is in the van, and has failed"
    for name, status in run.statuses.items():
        if status == "completed" and name not in run.states["courier"]["parcels"]:
            yield f"{name} completed, and is not in the van"


@scenario
def order(*, orders: int = 5, stock: int = 12, places: int = 4, bug: bool = False) -> World:
    """Orders with payment and delivery, in code, with timeouts and retries.

    Args:
        orders: how many there are; they come one by one, each for one to four pieces.
        stock: the pieces in the warehouse.
        places: the parcels that the courier's van holds.
        bug: whether the bank takes a second attempt for a second order.
    """
    goods = {"stock": stock, "delivered": stock, "orders": {}}
    bank: dict[str, Any] = {"charge": charge_each_attempt if bug else charge, "refund": refund}
    van = {"parcels": [], "places": places}
    agents = [
        Agent("warehouse", reserve, put_back, state=goods, service=Exponential(50 * MS)),
        Agent("bank", named=bank, state={"charges": {}}, service=Exponential(150 * MS)),
        Agent("courier", collect, state=van, service=Exponential(100 * MS)),
        Agent("customer", tell, state={"told": {}}, service=Exponential(10 * MS)),
    ]

    def starts(chances: Chances) -> Iterator[Start]:
        chance, now = chances.random("orders"), 0
        for n in range(1, orders + 1):
            now += int(chance.random() * 300 * MS)
            yield Start(f"order-{n}", {"count": 1 + int(chance.random() * 4)}, at=now)

    kept = [nobody_pays_for_nothing, goods_are_kept, a_parcel_is_an_order_that_completed]
    return World(agents, fulfil, starts, invariants=kept, timeout=2 * SECOND)
