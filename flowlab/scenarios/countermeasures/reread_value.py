"""Reread value: look again before you write.

The harm. Two customers choose the same free seat, and both pay. Each gets it assigned: whoever was
first has paid for a seat in which somebody else sits.

The countermeasure. The last step reads the seat again, and fails if it is not as it was when it was
chosen; the saga then refunds what was paid.
"""

from __future__ import annotations

from typing import Any, Final

from flowlab.scenarios.countermeasures.countermeasure import (
    OVERWRITTEN,
    Countermeasure,
    NotPossibleError,
    bank,
)
from flowlab.simulation import Agent, AgentContext, Run, Start, World
from flowlab.workflow import NO_RETRY, Plan, Sequential, Step, reread, result

MS: Final = 1_000_000


def choose(ctx: AgentContext) -> Any:
    """Return who has the seat: nobody, or it cannot be had."""
    if ctx.state["seat"] is not None:
        message = "the seat is taken"
        raise NotPossibleError(message)
    return ctx.state["seat"]


def assign(ctx: AgentContext, seen: object) -> None:
    """Give the seat to whoever has paid."""
    del seen
    ctx.state["seat"] = ctx.workflow_id


def assign_if_unchanged(ctx: AgentContext, seen: object) -> None:
    """Give the seat to whoever has paid, if it still is as it was when it was chosen."""
    reread(seen, ctx.state["seat"], what="the seat")
    ctx.state["seat"] = ctx.workflow_id


def a_seat_is_sold_once(run: Run) -> str | None:
    """Whoever completed sits."""
    sold = [name for name, status in run.statuses.items() if status == "completed"]
    if sold == [run.states["airline"]["seat"]]:
        return None
    return f"{' and '.join(sold) or 'nobody'} bought it, {run.states['airline']['seat']} has it"


def world(*, fixed: bool) -> World:
    """Return the world with or without the countermeasure."""
    selling = Sequential(
        Step("choose", agent="airline", effect=False, retry=NO_RETRY),
        Step("pay", agent="bank", compensation="refund"),
        Step("assign", agent="airline", input=result("choose"), kind="pivot", retry=NO_RETRY),
    )
    named = {"assign": assign_if_unchanged if fixed else assign}
    agents = [Agent("airline", choose, named=named, state={"seat": None}), bank()]
    starts = [Start("Ada"), Start("Bo", at=12 * MS)]
    return World(agents, Plan(selling, name="sell"), starts, invariants=[a_seat_is_sold_once])


REREAD_VALUE: Final = Countermeasure(
    "reread value",
    __doc__,
    broken=world(fixed=False),
    fixed=world(fixed=True),
    query=OVERWRITTEN,
)
