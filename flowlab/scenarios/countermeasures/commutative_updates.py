"""Commutative updates: say what to add, and not what the sum is.

The harm. Two payments read a balance, and each writes what it has computed from it: the one that
writes last has not seen the other, which is lost.

The countermeasure. A debit takes its amount from whatever the balance is, in one transaction; in
any order, debits give the same sum (`flowlab.workflow.commutes` tries both).
"""

from __future__ import annotations

from typing import Final

from flowlab.scenarios.countermeasures.countermeasure import OVERWRITTEN, Countermeasure
from flowlab.simulation import Agent, AgentContext, Run, Start, World
from flowlab.workflow import Plan, Sequential, Step, result

MS: Final = 1_000_000


def look(ctx: AgentContext) -> int:
    """Return the balance."""
    return int(ctx.state["balance"])


def store(ctx: AgentContext, value: dict[str, int]) -> None:
    """Write a balance that was computed from one that was read earlier."""
    ctx.state["balance"] = value["seen"] - value["amount"]


def debit(ctx: AgentContext, value: dict[str, int]) -> None:
    """Take an amount from whatever the balance is: in any order the sum is the same."""
    ctx.state["balance"] -= value["amount"]


def no_payment_is_lost(run: Run) -> str | None:
    """The balance is what it was at the beginning without all payments."""
    balance = run.states["bank"]["balance"]
    return None if balance == 40 else f"100 - 30 - 30 = {balance}"  # noqa: PLR2004


def world(*, fixed: bool) -> World:
    """Return the world with or without the countermeasure."""
    given = {"seen": result("look"), "amount": 30}
    writes = Step("write", agent="bank", activity="store", input=given, kind="pivot")
    if fixed:
        writes = Step("write", agent="bank", activity="debit", input=given, kind="pivot")
    paying = Sequential(Step("look", agent="bank", effect=False), writes)
    agents = [Agent("bank", look, store, debit, state={"balance": 100})]
    starts = [Start("rent"), Start("power", at=6 * MS)]
    return World(agents, Plan(paying, name="pay"), starts, invariants=[no_payment_is_lost])


COMMUTATIVE_UPDATES: Final = Countermeasure(
    "commutative updates",
    __doc__,
    broken=world(fixed=False),
    fixed=world(fixed=True),
    query=OVERWRITTEN,
)
