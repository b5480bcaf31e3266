"""What a picture of a plan shows, without drawing it: nodes, edges, and a tree of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from flowlab.workflow.nodes import Conditional, Parallel, Sequential, node_id_of
from flowlab.workflow.step import Barrier, Node, Step

NodeKind = Literal[
    "start", "end", "step", "compensation", "fork", "join", "decision", "merge", "barrier", "event"
]
"""What a node of a drawing stands for."""

EdgeKind = Literal["next", "branch", "case", "otherwise", "compensates", "emits", "fails", "undoes"]
"""What an edge of a drawing stands for."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node of a picture.

    Args:
        node_id: the id in the plan; what a picture adds has a suffix, as in `0/1+join`.
        kind: what it stands for.
        label: what is written on it.
        agent: whose lane it is in; None for nobody's.
        step_kind: of a step, whether it is compensable, pivot or retryable.

    Example:
        >>> DrawnNode("0:charge", "step", "charge", agent="bank", step_kind="pivot").label
        'charge'
    """

    node_id: str
    kind: NodeKind
    label: str
    agent: str | None = None
    step_kind: str | None = None


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """An arrow of a picture, from one node's id to another's.

    Example:
        >>> DrawnEdge("start", "0:charge", "next").kind
        'next'
    """

    source: str
    target: str
    kind: EdgeKind
    label: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture as data: the same plan gives the same nodes and edges in the same order.

    Example:
        >>> draw_nodes(Step("charge", agent="bank"))
        Drawing(3 nodes, 2 edges)
    """

    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]

    def __repr__(self) -> str:
        return f"Drawing({len(self.nodes)} nodes, {len(self.edges)} edges)"


def draw_nodes(root: Node) -> Drawing:
    """Return the picture of a node and all in it, between a start and an end.

    Example:
        >>> [edge.target for edge in draw_nodes(Sequential(Step("a", agent="x"))).edges]
        ['0/0:a', 'end']
    """
    canvas = _Canvas([DrawnNode("start", "start", "start")], [])
    tip = canvas.draw(root, (0,), ("start", "next", ""))
    canvas.nodes.append(DrawnNode("end", "end", "end"))
    canvas.edge(tip, "end")
    return Drawing(tuple(canvas.nodes), tuple(canvas.edges))


def tree_of(root: Node) -> Iterator[str]:
    """Yield the lines of a tree of text; a sequence at the top needs no line of its own.

    Example:
        >>> print("\\n".join(tree_of(Parallel(Step("a", agent="x"), Step("b", agent="y")))))
        └─ side by side
           ├─ a  by x, not undone
           └─ b  by y, not undone
    """
    tops = root.nodes if isinstance(root, Sequential) else (root,)
    if not tops:
        yield "└─ nothing"
    for position, node in enumerate(tops):
        yield from _lines("", node, "", last=position == len(tops) - 1)


_Tip = tuple[str, EdgeKind, str]


class _Canvas:
    """Collects nodes and edges; a tip is where the next arrow leaves, and of which kind."""

    def __init__(self, nodes: list[DrawnNode], edges: list[DrawnEdge]) -> None:
        self.nodes = nodes
        self.edges = edges

    def edge(self, tip: _Tip, target: str) -> None:
        source, kind, label = tip
        self.edges.append(DrawnEdge(source, target, kind, label))

    def draw(self, node: Node, path: tuple[int, ...], tip: _Tip) -> _Tip:
        node_id = node_id_of(path, node)
        match node:
            case Sequential(nodes):
                for position, child in enumerate(nodes):
                    tip = self.draw(child, (*path, position), tip)
                return tip
            case Parallel(branches, sync_point):
                self._add(DrawnNode(node_id, "fork", ""), tip)
                join = f"{node_id}+join"
                tips = [
                    self.draw(branch, (*path, position), (node_id, "branch", ""))
                    for position, branch in enumerate(branches)
                ]
                return self._meet(DrawnNode(join, "join", sync_point or ""), tips)
            case Conditional():
                return self._draw_conditional(node, path, tip)
            case Barrier(name, _):
                self._add(DrawnNode(node_id, "barrier", name), tip)
            case Step():
                step = DrawnNode(node_id, "step", node.name, node.agent, node.kind)
                self._add(step, tip)
                self._draw_compensation(node, node_id)
        return node_id, "next", ""

    def _draw_conditional(self, node: Conditional, path: tuple[int, ...], tip: _Tip) -> _Tip:
        node_id = node_id_of(path, node)
        self._add(DrawnNode(node_id, "decision", repr(node.on)), tip)
        tips = []
        for position, child in enumerate(node.children):
            leaves: _Tip = (node_id, "otherwise", "otherwise")
            if position < len(node.branches):
                leaves = (node_id, "case", node.branches[position].when.text)
            tips.append(self.draw(child, (*path, position), leaves))
        if node.may_skip:
            tips.append((node_id, "otherwise", "otherwise"))
        return self._meet(DrawnNode(f"{node_id}+merge", "merge", ""), tips)

    def _draw_compensation(self, step: Step, node_id: str) -> None:
        if step.compensation is not None:
            undo = f"{node_id}+compensation"
            agent = step.compensation.agent or step.agent
            self.nodes.append(DrawnNode(undo, "compensation", step.compensation.activity, agent))
            self.edges.append(DrawnEdge(undo, node_id, "compensates"))

    def _add(self, node: DrawnNode, tip: _Tip) -> None:
        self.nodes.append(node)
        self.edge(tip, node.node_id)

    def _meet(self, node: DrawnNode, tips: list[_Tip]) -> _Tip:
        self.nodes.append(node)
        for tip in tips:
            self.edge(tip, node.node_id)
        return node.node_id, "next", ""


def _lines(indent: str, node: Node, label: str, *, last: bool) -> Iterator[str]:
    yield f"{indent}{'└─' if last else '├─'} {label}{_headline(node)}"
    deeper = f"{indent}{'   ' if last else '│  '}"
    labels = ["" for _ in node.children]
    nothing = isinstance(node, Conditional) and node.may_skip
    if isinstance(node, Conditional):
        cases = [f"{branch.when.text}: " for branch in node.branches]
        labels = [*cases, "otherwise: "][: len(node.children)]
    for position, child in enumerate(node.children):
        is_last = position == len(node.children) - 1 and not nothing
        yield from _lines(deeper, child, labels[position], last=is_last)
    if nothing:
        yield f"{deeper}└─ otherwise: nothing"


def _headline(node: Node) -> str:
    match node:
        case Step():
            return f"{node.name}  {', '.join(_facts(node))}"
        case Barrier(name, required_agents):
            return f"barrier {name}  for {', '.join(required_agents)}"
        case Sequential(nodes):
            return "one after the other" if nodes else "nothing"
        case Parallel(_, sync_point):
            return "side by side" + (f", then {sync_point}" if sync_point else "")
        case Conditional(on, _, _):
            return f"depending on {on!r}"
        case _:
            return repr(node)


def _facts(step: Step) -> Iterator[str]:
    yield f"by {step.agent}"
    if step.activity != step.name:
        yield f"does {step.activity}"
    if step.kind != "compensable":
        yield step.kind
    elif not step.effect:
        yield "no effect"
    elif step.compensation is None:
        yield "not undone"
    else:
        by = step.compensation.agent
        agent = "" if by is None or by == step.agent else f" of {by}"
        yield f"undone by {step.compensation.activity}{agent}"
