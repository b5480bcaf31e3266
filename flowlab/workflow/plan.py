"""A plan: nodes under one name, with the agents that may take part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import PlanError
from flowlab.workflow.nodes import (
    MAX_PLAN_DEPTH,
    MAX_PLAN_NODES,
    Branch,
    Conditional,
    Located,
    Parallel,
    Sequential,
    as_node,
    locate,
)
from flowlab.workflow.plan_drawing import Drawing, DrawnEdge, DrawnNode, draw_nodes, tree_of
from flowlab.workflow.plan_json import node_from_json, node_to_json
from flowlab.workflow.step import Barrier, Compensation, Node, Step, StepKind, name_of, set_fields
from flowlab.workflow.strict_json import built, flag, load, members, text, texts, version

__all__ = [
    "MAX_PLAN_DEPTH",
    "MAX_PLAN_NODES",
    "PLAN_VERSION",
    "Barrier",
    "Branch",
    "Compensation",
    "Conditional",
    "Drawing",
    "DrawnEdge",
    "DrawnNode",
    "Located",
    "Node",
    "Parallel",
    "Plan",
    "Sequential",
    "Step",
    "StepKind",
    "as_plan",
    "locate",
]

PLAN_VERSION: Final = 1
"""The version of a plan's JSON that this flowlab reads and writes."""

_WAYS: Final = {
    "parallel_undo": "all is undone at once",
    "go_on": "a compensation that fails stops no other",
}


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Plan:
    """What agents are to do, in which order, as a value: compared, sent, drawn, checked, run.

    `print(plan)` draws it as a tree. Making a plan checks its parts; `check_plan` checks the whole.

    Args:
        root: the node that holds all others.
        name: what the plan is called.
        agents: who may take part; None means whoever the plan names.
        parallel_undo: after a failure, undo all that was done at once; otherwise one after the
            other, in the reverse order of completion.
        go_on: after a compensation that failed for good, still run the others.

    Example:
        >>> plan = Plan(
        ...     Sequential(
        ...         Step("reserve", agent="hotel", compensation="cancel"),
        ...         Step("charge", agent="bank", kind="pivot"),
        ...     ),
        ...     name="trip",
        ... )
        >>> plan
        Plan('trip', 2 steps, agents bank, hotel)
        >>> print(plan)
        trip
        ├─ reserve  by hotel, undone by cancel
        └─ charge  by bank, pivot
        >>> Plan.from_json(plan.to_json()) == plan
        True
    """

    root: Node
    name: str
    agents: tuple[str, ...] | None
    parallel_undo: bool
    go_on: bool

    def __init__(
        self,
        root: Node,
        *,
        name: str = "plan",
        agents: Iterable[str] | None = None,
        parallel_undo: bool = False,
        go_on: bool = False,
    ) -> None:
        if isinstance(agents, str):
            message = f"agents is a list of names; got the text {agents!r}"
            raise PlanError(message)
        known = None if agents is None else tuple(sorted({name_of(a, "an agent") for a in agents}))
        if not isinstance(parallel_undo, bool) or not isinstance(go_on, bool):
            message = (
                f"parallel_undo and go_on are True or False; got {parallel_undo!r} and {go_on!r}"
            )
            raise PlanError(message)
        set_fields(
            self,
            root=as_node(root),
            name=name_of(name, "a plan"),
            agents=known,
            parallel_undo=parallel_undo,
            go_on=go_on,
        )

    @property
    def nodes(self) -> tuple[Located, ...]:
        """Every node with its id, each before its children, in the order of the plan."""
        return tuple(locate(self.root))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in the order of the plan."""
        return tuple(at.node for at in locate(self.root) if isinstance(at.node, Step))

    @property
    def named_agents(self) -> tuple[str, ...]:
        """The agents that steps, compensations and barriers name, sorted."""
        found: set[str] = set()
        for at in locate(self.root):
            if isinstance(at.node, Step):
                found.add(at.node.agent)
                if at.node.compensation is not None and at.node.compensation.agent is not None:
                    found.add(at.node.compensation.agent)
            elif isinstance(at.node, Barrier):
                found.update(at.node.required_agents)
        return tuple(sorted(found))

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON, with the version of its form."""
        value: dict[str, Any] = {"version": PLAN_VERSION, "name": self.name}
        if self.agents is not None:
            value["agents"] = list(self.agents)
        value |= dict.fromkeys(self._ways, True)
        return value | {"root": node_to_json(self.root)}

    @classmethod
    def from_json(cls, document: Any) -> Plan:
        """Return the plan of a JSON document, as text or as its value.

        Raises:
            PlanError: the text is damaged, or a kind, a field, a type or a version is wrong; the
                message begins with the place, as in `$.root.nodes[2].agent`.
            LimitError: there are more levels or nodes than a plan may have.
        """
        value = load(document, "a plan")
        members(value, "$", required=("version", "root"), optional=("name", "agents", *_WAYS))
        version(value, PLAN_VERSION, "plans")
        name = text(value.get("name", "plan"), "$.name")
        agents = texts(value["agents"], "$.agents") if "agents" in value else None
        root = node_from_json(value["root"], "$.root")
        ways = {way: flag(value[way], f"$.{way}") for way in _WAYS if way in value}
        return built("$", lambda: cls(root, name=name, agents=agents, **ways))

    def drawing(self) -> Drawing:
        """Return what a picture of the plan shows: nodes and edges with their kinds, in order."""
        return draw_nodes(self.root)

    @property
    def _ways(self) -> tuple[str, ...]:
        """The ways of undoing that it asks for."""
        return tuple(way for way in _WAYS if getattr(self, way))

    def __str__(self) -> str:
        told = [_WAYS[way] for way in self._ways]
        first = f"{self.name}  after a failure {', and '.join(told)}" if told else self.name
        return "\n".join([first, *tree_of(self.root)])

    def __repr__(self) -> str:
        count, most = len(self.steps), 5
        agents = self.agents if self.agents is not None else self.named_agents
        more = f" and {len(agents) - most} more" if len(agents) > most else ""
        shown = (", ".join(agents[:most]) or "none") + more
        ways = "".join(f", {way}=True" for way in self._ways)
        return f"Plan({self.name!r}, {count} step{'s' * (count != 1)}, agents {shown}{ways})"


def as_plan(value: Plan | Node) -> Plan:
    """Return a plan as it is, and a node as a plan.

    Example:
        >>> as_plan(Step("charge", agent="bank"))
        Plan('plan', 1 step, agents bank)
    """
    return value if isinstance(value, Plan) else Plan(as_node(value))
