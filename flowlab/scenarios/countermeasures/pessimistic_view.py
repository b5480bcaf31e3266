"""Pessimistic view: order the steps so that what others may rely on comes last.

The harm. A cancel gives the credit of an order back, and another order spends it. Then the parcel
turns out to be on its way, and the credit is taken back: a dirty read, and the credit is negative.

The countermeasure. The parcel first, the credit last: nobody sees what may still be undone.
"""

from __future__ import annotations

from typing import Final

from flowlab.scenarios.countermeasures.countermeasure import (
    Countermeasure,
    NotPossibleError,
    alone,
    retryable,
)
from flowlab.simulation import Agent, AgentContext, Run, Start, World
from flowlab.workflow import NO_RETRY, Node, Plan, Sequential, Step

MS: Final = 1_000_000


def release_credit(ctx: AgentContext) -> None:
    """Give the customer the credit of the order back."""
    ctx.state["credit"] += 80


def take_back(ctx: AgentContext) -> None:
    """Undo that."""
    ctx.state["credit"] -= 80


def spend(ctx: AgentContext) -> None:
    """Pay for another order, if there is credit enough."""
    if ctx.state["credit"] < 50:  # noqa: PLR2004
        message = "the credit is not enough"
        raise NotPossibleError(message)
    ctx.state["credit"] -= 50


def stop_delivery(ctx: AgentContext) -> None:
    """Stop a parcel that has not left."""
    if ctx.state["parcel"] == "dispatched":
        message = "the parcel is on its way"
        raise NotPossibleError(message)
    ctx.state["parcel"] = "stopped"


def credit_is_never_negative(run: Run) -> str | None:
    """Nobody spends credit that is taken back."""
    credit = run.states["bank"]["credit"]
    return f"the credit is {credit}" if credit < 0 else None


def world(*, fixed: bool) -> World:
    """Return the world with or without the countermeasure."""
    stop = Step("stop_delivery", agent="depot", kind="pivot", retry=NO_RETRY)
    steps: list[Node] = [Step("release_credit", agent="bank", compensation="take_back"), stop]
    if fixed:
        steps = [stop, retryable("release_credit", "bank")]
    agents = [
        Agent("bank", release_credit, take_back, spend, state={"credit": 20}),
        Agent("depot", stop_delivery, state={"parcel": "dispatched"}),
    ]
    plans = [Plan(Sequential(*steps), name="cancel"), alone("spend", "bank")]
    starts = [Start("regrets", workflow="cancel"), Start("buys", at=12 * MS, workflow="spend")]
    return World(agents, plans, starts, invariants=[credit_is_never_negative])


DIRTY_READ: Final = """
SELECT r.run_id, r.coordination_id AS saga, d.coordination_id AS undone_saga,
       d.sequence AS wrote, r.sequence AS relied_on_it, c.sequence AS undone
FROM events d JOIN events r USING (run_id, workflow_id) JOIN events c USING (run_id, workflow_id)
WHERE d.sequence < r.sequence AND r.sequence < c.sequence
  AND c.coordination_id = d.coordination_id AND r.coordination_id <> d.coordination_id
  AND list_has_any(d.writes, r.reads) AND len(r.writes) > 0 AND list_has_any(c.writes, d.writes)
  AND EXISTS (FROM events s WHERE s.run_id = c.run_id AND s.workflow_id = c.coordination_id
              AND s.event_type = 'CompensationScheduled' AND s.name = c.name)
"""
"""Who did something because of what a saga wrote and then took back."""


PESSIMISTIC_VIEW: Final = Countermeasure(
    "pessimistic view",
    __doc__,
    broken=world(fixed=False),
    fixed=world(fixed=True),
    query=DIRTY_READ,
)
