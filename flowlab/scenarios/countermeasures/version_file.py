"""Version file: note what arrives, and do it in the order that it needs.

The harm. A payment is authorized and, by another saga, taken back. The messages overtake each
other: what takes it back comes first and finds nothing, and the authorization stays in force.

The countermeasure. A file of the operations on the record knows that the authorization was taken
back before it came, and skips it: the mark that stays behind is called a tombstone.
"""

from __future__ import annotations

from typing import Final

from flowlab.scenarios.countermeasures.countermeasure import Countermeasure, alone
from flowlab.simulation import Agent, AgentContext, Run, Start, World
from flowlab.workflow import Operation, VersionFile

MS: Final = 1_000_000


def authorize(ctx: AgentContext) -> None:
    """Authorize a payment."""
    ctx.state["authorized"] = True


def void(ctx: AgentContext) -> None:
    """Take the authorization back; there may be none."""
    ctx.state["authorized"] = False


def authorize_by_file(ctx: AgentContext) -> None:
    """Authorize a payment, unless it was taken back already."""
    filed = VersionFile.from_json(ctx.state["file"]).arrived(Operation("authorize"))
    ctx.state["file"] = filed.file.to_json()
    if filed.due:
        authorize(ctx)


def void_by_file(ctx: AgentContext) -> None:
    """Take the authorization back, or remember to skip it when it comes."""
    filed = VersionFile.from_json(ctx.state["file"]).undone("authorize")
    ctx.state["file"] = filed.file.to_json()
    if filed.outcome == "due":
        void(ctx)


def what_was_voided_is_not_in_force(run: Run) -> str | None:
    """Once everything has arrived, the card is not charged for an order that was canceled."""
    if run.states["cards"]["authorized"] and run.statuses["cancels"] == "completed":
        return "the authorization was taken back, and is in force"
    return None


def world(*, fixed: bool) -> World:
    """Return the world with or without the countermeasure."""
    plain = {"authorize": authorize, "void": void}
    filing = {"authorize": authorize_by_file, "void": void_by_file}
    cells = {"authorized": False, "file": VersionFile().to_json()}
    agents = [Agent("cards", named=filing if fixed else plain, state=cells)]
    plans = [alone("authorize", "cards"), alone("void", "cards")]
    starts = [Start("orders", workflow="authorize"), Start("cancels", at=MS, workflow="void")]
    return World(agents, plans, starts, invariants=[what_was_voided_is_not_in_force])


LATE_EFFECT: Final = """
SELECT v.run_id, v.coordination_id AS canceled_by, v.sequence AS voided, a.sequence AS authorized
FROM events v JOIN events a USING (run_id, workflow_id)
WHERE v.event_type = 'TransactionCommitted' AND v.name = 'void' AND v.sequence < a.sequence
  AND a.name = 'authorize' AND (payload_json(a.payload)->>'$.values.authorized') = 'true'
"""
"""What was authorized after it had been taken back."""


VERSION_FILE: Final = Countermeasure(
    "version file",
    __doc__,
    broken=world(fixed=False),
    fixed=world(fixed=True),
    query=LATE_EFFECT,
)
