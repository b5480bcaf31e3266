"""An order that nobody conducts: each agent knows which events it reacts to, and no other agent.

What happens. `OrderPlaced` comes from the shop. The warehouse hears it and sets goods aside; that
they are, `GoodsReserved`, is heard by the bank, which charges the card: the pivot. `CardCharged` is
heard by the courier and by the accountant, who work side by side. If the card is declined, the bank
says so, and the warehouse, which hears that too, puts the goods back. No process knows the whole
order; whether one has completed is a projection of its events, which the log makes.

What to look at. The picture of one order beside that of the scenario `order`: no lane of an
orchestrator, and each event goes straight from agent to agent. Nobody waits for a result, so an
agent tells what it has to tell again and again until that was acknowledged. That is why a message
may come twice where none was doubled, and why every agent must recognize what it has done already.

A query to try, which shows the order as its events tell it, each by whom:

    SELECT workflow_id, time_ns / 1e9 AS seconds, agent_id, event_type, name
    FROM events WHERE NOT starts_with(workflow_id, '@') ORDER BY workflow_id, sequence

The planted bug (`bug=True`). The warehouse does not recognize an event that it has heard before,
and sets goods aside once more. It takes lost acknowledgements or doubled messages to see it.
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
from flowlab.workflow import SECOND, Choreography, Reaction

MS: Final = SECOND // 1_000


class OutOfStockError(Exception):
    """The goods are gone."""


class CardDeclinedError(Exception):
    """The bank says no."""


ORDER: Final = Choreography(
    Reaction(
        "warehouse",
        on="OrderPlaced",
        emits="GoodsReserved",
        fails_with="GoodsMissing",
        activity="reserve",
        compensation="put_back",
        undone_by="CardDeclined",
    ),
    Reaction(
        "bank",
        on="GoodsReserved",
        emits="CardCharged",
        fails_with="CardDeclined",
        activity="charge",
        kind="pivot",
    ),
    Reaction(
        "courier",
        on="CardCharged",
        emits="ParcelSent",
        activity="send",
        kind="retryable",
        idempotent=True,
    ),
    Reaction(
        "accountant",
        on="CardCharged",
        emits="InvoiceWritten",
        activity="write_invoice",
        kind="retryable",
        idempotent=True,
    ),
    start="OrderPlaced",
    final=["ParcelSent", "InvoiceWritten", "GoodsMissing"],
    name="choreographed_order",
)


def reserve(ctx: AgentContext, order: dict[str, int]) -> dict[str, int]:
    """Set goods aside; what an agent returns is what its event tells."""
    if order["count"] > ctx.state["stock"]:
        message = f"{order['count']} wanted, {ctx.state['stock']} left"
        raise OutOfStockError(message)
    ctx.state["stock"] -= order["count"]
    return order


def put_back(ctx: AgentContext, done: dict[str, Any]) -> None:
    """Put the goods of an order back: its agent remembers what it did."""
    ctx.state["stock"] += done["result"]["count"]


def charge(ctx: AgentContext, order: dict[str, int]) -> dict[str, int]:
    """Charge the card, or decline it."""
    if ctx.random().random() < ctx.state["declined"]:
        message = "the limit of the card is reached"
        raise CardDeclinedError(message)
    ctx.state["charges"][ctx.workflow_id] = order["count"]
    return order


def send(ctx: AgentContext, order: dict[str, int]) -> None:
    """Bring the goods to the customer."""
    ctx.state["sent"][ctx.workflow_id] = order["count"]


def write_invoice(ctx: AgentContext, order: dict[str, int]) -> None:
    """Write the invoice."""
    ctx.state["invoices"][ctx.workflow_id] = order["count"]


def goods_are_kept(run: Run) -> Iterator[str]:
    """What is in stock and what was sent are together what there was."""
    if "open" in run.statuses.values():
        return
    stock, sent = run.states["warehouse"]["stock"], sum(run.states["courier"]["sent"].values())
    if stock + sent != run.states["warehouse"]["delivered"]:
        yield f"{stock} in stock + {sent} sent, of {run.states['warehouse']['delivered']}"


def an_order_is_whole_or_nothing(run: Run) -> Iterator[str]:
    """An order that completed is charged, sent and invoiced; one that failed is none of it."""
    for order, status in run.statuses.items():
        places = (("bank", "charges"), ("courier", "sent"), ("accountant", "invoices"))
        has = [agent for agent, cell in places if order in run.states[agent][cell]]
        if (status == "completed" and len(has) != len(places)) or (status == "failed" and has):
            yield f"{order} has {status}, with something at: {', '.join(has) or 'nobody'}"


@scenario
def choreographed_order(
    *, orders: int = 4, stock: int = 6, declined: float = 0.2, bug: bool = False
) -> World:
    """Orders by choreography: events and reactions, and nobody who conducts.

    Args:
        orders: how many there are, within a second.
        stock: how many goods there are at the beginning; an order is of one to three.
        declined: the share of cards that the bank declines.
        bug: whether the warehouse handles an event again that it has heard before.
    """
    goods, bank = {"stock": stock, "delivered": stock}, {"charges": {}, "declined": declined}
    service = Exponential(100 * MS)

    def agent(name: str, *handlers: Any, state: dict[str, Any]) -> Agent:
        once = not (bug and name == "warehouse")
        return Agent(name, *handlers, state=state, service=service, deduplicate=once)

    agents = [
        agent("warehouse", reserve, put_back, state=goods),
        agent("bank", charge, state=bank),
        agent("courier", send, state={"sent": {}}),
        agent("accountant", write_invoice, state={"invoices": {}}),
    ]

    def starts(chances: Chances) -> Iterator[Start]:
        chance = chances.random("orders")
        for n in range(orders):
            lines = {"count": chance.randint(1, 3)}
            yield Start(f"order-{n + 1}", lines, at=n * SECOND // orders)

    kept = [goods_are_kept, an_order_is_whole_or_nothing]
    return World(agents, ORDER, starts, invariants=kept, timeout=5 * SECOND)
