"""What a countermeasure is, and what the worlds of several of them have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flowlab.simulation import Agent, AgentContext, World
from flowlab.workflow import NO_RETRY, Plan, Step

OVERWRITTEN: Final = """
SELECT w.run_id, w.coordination_id AS saga, o.coordination_id AS other,
       t.sequence AS touched, o.sequence AS other_wrote, w.sequence AS wrote
FROM events t JOIN events o USING (run_id, workflow_id) JOIN events w USING (run_id, workflow_id)
WHERE t.sequence < o.sequence AND o.sequence < w.sequence
  AND t.coordination_id = w.coordination_id AND o.coordination_id <> w.coordination_id
  AND (list_has_any(t.reads, o.writes) OR list_has_any(t.writes, o.writes))
  AND list_has_any(w.writes, o.writes) AND NOT list_has_any(w.reads, o.writes)
"""
"""Who wrote, without a look at it, over what another saga had written since the last look."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Countermeasure:
    """An anomaly of sagas, and what helps against it.

    Args:
        name: as the literature has it.
        story: what goes wrong, and what is done about it.
        broken: a world in which its invariant breaks for some seeds.
        fixed: the same world with the countermeasure, in which it holds for all.
        query: SQL that finds the harm in a log: a row for each time that it was done.

    Example:
        >>> from flowlab.scenarios.countermeasures import COUNTERMEASURES
        >>> COUNTERMEASURES["by value"]
        Countermeasure('by value')
    """

    name: str
    story: str
    broken: World
    fixed: World
    query: str

    def __repr__(self) -> str:
        return f"Countermeasure({self.name!r})"


class NotPossibleError(Exception):
    """The business says no, and a second attempt would hear the same."""


def retryable(name: str, agent: str, given: Any = None) -> Step:
    """Return a step that is tried until it succeeds.

    Example:
        >>> retryable("mail", "post").kind
        'retryable'
    """
    return Step(name, agent=agent, input=given, kind="retryable", idempotent=True)


def alone(name: str, agent: str) -> Plan:
    """Return a saga of one step.

    Example:
        >>> alone("cancel", "orders")
        Plan('cancel', 1 step, agents orders)
    """
    return Plan(Step(name, agent=agent, kind="pivot", retry=NO_RETRY), name=name)


def bank() -> Agent:
    """Return an agent that notes who has paid, and who was refunded.

    Example:
        >>> bank()
        Agent('bank', pay, refund)
    """

    def pay(ctx: AgentContext) -> None:
        ctx.state[ctx.workflow_id] = "paid"

    def refund(ctx: AgentContext) -> None:
        ctx.state[ctx.workflow_id] = "refunded"

    return Agent("bank", pay, refund)
