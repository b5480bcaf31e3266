"""How the parts of a plan are put together: one after the other, side by side, or one of several.

Nodes nest freely, up to `MAX_PLAN_DEPTH` levels and `MAX_PLAN_NODES` nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from flowlab.errors import LimitError, PlanError
from flowlab.workflow.predicate import Predicate, as_predicate
from flowlab.workflow.registry import Predicates
from flowlab.workflow.step import Node, Step, name_of, set_fields
from flowlab.workflow.template import NO_RESULTS, Place, Template, json_equal

MAX_PLAN_DEPTH: Final = 64
"""Deepest nesting of nodes in a plan."""

MAX_PLAN_NODES: Final = 10_000
"""Most nodes of a plan, those of every alternative counted."""

_SHOWN_CHARS: Final = 90


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Sequential(Node):
    """Nodes one after the other; without any, nothing to do.

    Example:
        >>> Sequential(Step("a", agent="x"), Step("b", agent="x"))
        Sequential(a, b)
    """

    nodes: tuple[Node, ...]

    def __init__(self, *nodes: Node) -> None:
        set_fields(self, nodes=_as_nodes(nodes))
        _check_limits(self)

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes inside, by position."""
        return self.nodes

    def __repr__(self) -> str:
        return _shown(self)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Parallel(Node):
    """Branches that run side by side; it is done when all of them are.

    Args:
        branches: the nodes, one a branch.
        sync_point: the name under which the log records that all branches have come together.

    Example:
        >>> Parallel(Step("a", agent="x"), Step("b", agent="y"), sync_point="both")
        Parallel(a, b, sync_point='both')
    """

    branches: tuple[Node, ...]
    sync_point: str | None

    def __init__(self, *branches: Node, sync_point: str | None = None) -> None:
        point = None if sync_point is None else name_of(sync_point, "a sync point")
        set_fields(self, branches=_as_nodes(branches), sync_point=point)
        _check_limits(self)

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes inside, by position."""
        return self.branches

    def __repr__(self) -> str:
        return _shown(self)


@dataclass(frozen=True, slots=True)
class Branch:
    """An alternative of a `Conditional`: the node, and the value that it is taken for.

    Example:
        >>> from flowlab.workflow import field
        >>> Conditional(field("vip") == True, Step("a", agent="x")).branches[0].when
        Template(true)
    """

    when: Template
    node: Node


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Conditional(Node):
    """Alternatives, of which the state chooses one when the plan gets there.

    Args:
        on: a predicate, or a reference whose value chooses.
        branches: a node for each value; a node alone is what is done if the predicate holds. The
            first branch whose value is equal is taken, in the order given.
        otherwise: what is done for any other value, and where there is none; None means nothing,
            which `check_plan` refuses where a reference chooses.

    Example:
        >>> from flowlab.workflow import field
        >>> large, small = Step("approve", agent="boss"), Step("note", agent="clerk")
        >>> Conditional(field("total") > 100, large, otherwise=small)
        Conditional(field('total') > 100, {true: approve}, otherwise=note)
        >>> Conditional(field("land"), {"DE": large, "FR": small}).choose({"land": "FR"})
        1
    """

    on: Predicate | Place
    branches: tuple[Branch, ...]
    otherwise: Node | None

    def __init__(self, on: Any, branches: Any, *, otherwise: Node | None = None) -> None:
        place = on if isinstance(on, Place) else getattr(on, "place", None)
        chooser = place if isinstance(place, Place) and not isinstance(on, Predicate) else None
        found = as_predicate(on) if chooser is None else chooser
        default = None if otherwise is None else as_node(otherwise)
        set_fields(self, on=found, branches=_branches(branches, found), otherwise=default)
        if default is not None and isinstance(found, Predicate) and len(self.branches) > 1:
            message = f"{found!r} is true or false, and both have a branch: leave otherwise out"
            raise PlanError(message)
        _check_limits(self)

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes inside, by position."""
        nodes = tuple(branch.node for branch in self.branches)
        return nodes if self.otherwise is None else (*nodes, self.otherwise)

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it reads."""
        return (self.on,) if isinstance(self.on, Place) else self.on.places

    @property
    def may_skip(self) -> bool:
        """Whether there may be nothing to do."""
        both = isinstance(self.on, Predicate) and len(self.branches) > 1
        return self.otherwise is None and not both

    def choose(
        self,
        state: Any,
        *,
        results: Mapping[str, Any] = NO_RESULTS,
        predicates: Predicates | None = None,
    ) -> int | None:
        """Return the position among `children` of what is to be done; None for nothing."""
        if isinstance(self.on, Predicate):
            value = self.on.holds(state, results=results, predicates=predicates)
        else:
            value = self.on.find(state, results)
        for position, branch in enumerate(self.branches):
            if json_equal(value, branch.when.to_json()):
                return position
        return None if self.otherwise is None else len(self.branches)

    def __repr__(self) -> str:
        return _shown(self)


class Located(NamedTuple):
    """A node and where it stands: its path of positions from the root, and its id.

    The id is the path and the name, as in `0/1:charge`; it is the same in every run.
    """

    node_id: str
    path: tuple[int, ...]
    node: Node


def locate(root: Node) -> Iterator[Located]:
    """Yield every node with its id, each before its children, in the order of the plan.

    Example:
        >>> plan = Sequential(Step("reserve", agent="x"), Parallel(Step("charge", agent="y")))
        >>> [at.node_id for at in locate(plan)]
        ['0', '0/0:reserve', '0/1', '0/1/0:charge']
    """
    stack: list[tuple[tuple[int, ...], Node]] = [((0,), root)]
    while stack:
        path, node = stack.pop()
        yield Located(node_id_of(path, node), path, node)
        children = tuple(enumerate(node.children))
        stack += [((*path, position), child) for position, child in reversed(children)]


def node_id_of(path: tuple[int, ...], node: Node) -> str:
    """Return the id of a node at a path: positions, then the name if it has one.

    Example:
        >>> node_id_of((0, 2), Step("charge", agent="bank"))
        '0/2:charge'
    """
    place = "/".join(map(str, path))
    name = node.sync_point if isinstance(node, Parallel) else getattr(node, "name", None)
    return place if name is None else f"{place}:{name}"


def as_node(value: object) -> Node:
    """Return a node as it is, and refuse anything else with what to write instead.

    Example:
        >>> as_node([Step("a", agent="x")])
        Traceback (most recent call last):
        flowlab.errors.PlanError: a list is no node: write Sequential(...) ...
    """
    if isinstance(value, Node):
        return value
    if isinstance(value, (list, tuple, set, dict)):
        message = (
            f"a {type(value).__name__} is no node: write Sequential(...) for one after the other "
            "or Parallel(...) for side by side; Sequential(*steps) takes the items of a list"
        )
    elif isinstance(value, str):
        message = f"{value!r} is no node: write Step({value!r}, agent=...)"
    elif callable(value):
        name = getattr(value, "__name__", "function")
        message = (
            f"a function ({name}) is no node: write Step('name', agent=...) and register the "
            "function as an activity of that name"
        )
    else:
        message = (
            "a node is a Step, Sequential, Parallel, Conditional or Barrier; "
            f"got {value!r} ({type(value).__name__})"
        )
    raise PlanError(message)


def _as_nodes(values: tuple[object, ...]) -> tuple[Node, ...]:
    return tuple(map(as_node, values))


def _branches(value: object, on: Predicate | Place) -> tuple[Branch, ...]:
    if isinstance(value, Node):
        value = {True: value}
    if isinstance(value, tuple) and value and all(isinstance(item, Branch) for item in value):
        pairs = [(item.when.to_json(), item.node) for item in value]
    elif isinstance(value, dict) and value:
        pairs = list(value.items())
    else:
        message = (
            "the branches of a Conditional are a dict from a value to a node, as in "
            f"{{True: Step(...), False: Step(...)}}, or one node; got {value!r}"
        )
        raise PlanError(message)
    for position, (when, _) in enumerate(pairs):
        if isinstance(on, Predicate) and not isinstance(when, bool):
            message = f"{on!r} is true or false, so no branch is taken for {when!r}"
            raise PlanError(message)
        if not isinstance(when, (str, int, float, bool, type(None))):
            message = f"a branch is taken for a text, a number, true, false or null; got {when!r}"
            raise PlanError(message)
        if any(json_equal(when, earlier) for earlier, _ in pairs[:position]):
            message = f"two branches are taken for {when!r}; the second never would"
            raise PlanError(message)
    return tuple(Branch(Template.of(when), as_node(node)) for when, node in pairs)


def _check_limits(node: Node) -> None:
    level, count = [node], 0
    for _ in range(MAX_PLAN_DEPTH):
        count += len(level)
        level = [child for parent in level for child in parent.children]
    if level:
        message = f"the plan is nested deeper than MAX_PLAN_DEPTH = {MAX_PLAN_DEPTH}; flatten it"
        raise LimitError(message)
    if count > MAX_PLAN_NODES:
        message = (
            f"the plan has {count} nodes, more than MAX_PLAN_NODES = {MAX_PLAN_NODES}; "
            "make a part of it an activity, or a child workflow"
        )
        raise LimitError(message)


def _shown(node: Node) -> str:
    text = _brief(node)
    if len(text) <= _SHOWN_CHARS:
        return text
    count = sum(isinstance(at.node, Step) for at in locate(node))
    return f"{text[: _SHOWN_CHARS - 20].rstrip(', ')}, ... {count} steps)"


def _brief(node: Node) -> str:
    match node:
        case Sequential(nodes):
            return f"Sequential({', '.join(map(_brief, nodes))})"
        case Parallel(branches, sync_point):
            point = [] if sync_point is None else [f"sync_point={sync_point!r}"]
            return f"Parallel({', '.join([*map(_brief, branches), *point])})"
        case Conditional(on, branches, otherwise):
            cases = ", ".join(f"{branch.when.text}: {_brief(branch.node)}" for branch in branches)
            rest = "" if otherwise is None else f", otherwise={_brief(otherwise)}"
            return f"Conditional({on!r}, {{{cases}}}{rest})"
        case _:
            return str(getattr(node, "name", node))
