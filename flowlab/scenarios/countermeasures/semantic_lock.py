"""Semantic lock: the first step marks a record; the last one, or the undoing, takes the mark away.

The harm. An order is canceled while it is being made. The saga that makes it does not know, and its
last step approves the order: a cancel that was acknowledged is lost.

The countermeasure. The first step marks the order as one that a saga is at work on, and the cancel
waits in line for the mark. `LockClaimed`, `LockStashed` and `LockReleased` are in the log.
"""

from __future__ import annotations

from typing import Final

from flowlab.scenarios.countermeasures.countermeasure import (
    OVERWRITTEN,
    Countermeasure,
    alone,
    bank,
    retryable,
)
from flowlab.simulation import Agent, AgentContext, Run, Start, World
from flowlab.workflow import Plan, Sequential, Step

MS: Final = 1_000_000


def create(ctx: AgentContext) -> None:
    """Note the order; it is pending until it is paid."""
    ctx.state["order"] = "pending"


def approve(ctx: AgentContext) -> None:
    """End what `create` began."""
    ctx.state["order"] = "approved"


def reject(ctx: AgentContext) -> None:
    """Undo what `create` began."""
    ctx.state["order"] = "rejected"


def cancel(ctx: AgentContext) -> None:
    """Cancel the order if there is one, and acknowledge that."""
    if ctx.state["order"] is not None:
        ctx.state["order"] = "canceled"
        ctx.state["acknowledged"] = True


def create_and_mark(ctx: AgentContext) -> None:
    """Note the order, and mark it as one that a saga is at work on."""
    ctx.claim("order", policy="stash")
    create(ctx)


def approve_and_unmark(ctx: AgentContext) -> None:
    """End what `create` began, and let others at the order."""
    approve(ctx)
    ctx.release("order")


def reject_and_unmark(ctx: AgentContext) -> None:
    """Undo what `create` began, and let others at the order."""
    reject(ctx)
    ctx.release("order")


def cancel_in_turn(ctx: AgentContext) -> None:
    """Cancel the order, once no saga is at work on it any more."""
    ctx.claim("order", policy="stash")
    cancel(ctx)
    ctx.release("order")


def an_acknowledged_cancel_stays(run: Run) -> str | None:
    """An order whose cancel was acknowledged is canceled."""
    cells = run.states["orders"]
    if cells["acknowledged"] and cells["order"] != "canceled":
        return f"the cancel was acknowledged, and the order is {cells['order']}"
    return None


def world(*, fixed: bool) -> World:
    """Return the world with or without the countermeasure."""
    named = {"create": create, "approve": approve, "reject": reject, "cancel": cancel}
    if fixed:
        named = {
            "create": create_and_mark,
            "approve": approve_and_unmark,
            "reject": reject_and_unmark,
            "cancel": cancel_in_turn,
        }
    agents = [Agent("orders", named=named, state={"order": None, "acknowledged": False}), bank()]
    creating = Sequential(
        Step("create", agent="orders", compensation="reject"),
        Step("pay", agent="bank", compensation="refund"),
        retryable("approve", "orders"),
    )
    plans = [Plan(creating, name="creating"), alone("cancel", "orders")]
    starts = [Start("buys", workflow="creating"), Start("regrets", at=12 * MS, workflow="cancel")]
    return World(agents, plans, starts, invariants=[an_acknowledged_cancel_stays])


SEMANTIC_LOCK: Final = Countermeasure(
    "semantic lock",
    __doc__,
    broken=world(fixed=False),
    fixed=world(fixed=True),
    query=OVERWRITTEN,
)
