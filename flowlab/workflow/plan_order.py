"""What may run before what in a plan: exactly, barriers and alternatives included.

**Who arrives at a barrier.** An agent is *present* on a branch, and arrives at a barrier when a
branch on which it is present gets there. Walking from the root of the plan down to the barrier,

- nobody is present at the root;
- past the earlier nodes of a sequence, the agents of their steps are present (an alternative that
  was not taken counts: whoever had nothing to do there is done);
- into a branch of a `Parallel`, those who are present go along who have a step on that branch, or
  on none of the branches; who has steps on the others only is there, and not here;
- into an alternative of a `Conditional`, all who are present go along.

A barrier opens when each of its required agents has arrived from some branch, and stays open. What
has become possible stays possible until it is done, so of a given choice of alternatives exactly
the same nodes are reached whatever the order: a step `b` may run before a step `a` if and only if
`b` is reached although `a` is never done. That is how `Order` decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import prod
from typing import Final, NamedTuple

from flowlab.errors import LimitError
from flowlab.workflow.nodes import Conditional, Located, Parallel, Sequential, locate
from flowlab.workflow.step import Barrier, Node, Step

MAX_BARRIER_CHOICES: Final = 1_024
"""Most combinations of alternatives with barriers in them that a check goes through."""

Path = tuple[int, ...]
Choice = Mapping[Path, int | None]
"""Which child each conditional takes, by the conditional's path; None for nothing."""


class _World(NamedTuple):
    choice: Choice
    undone: frozenset[Path]
    opened: set[str]


class Order:
    """The order of a plan's nodes, to be asked; see the module for what it rests on.

    Example:
        >>> a, b = Step("a", agent="x"), Step("b", agent="y")
        >>> order = Order(Parallel(a, b))
        >>> order.may_precede((0, 0), (0, 1)), order.may_precede((0, 1), (0, 0))
        (True, True)
        >>> Order(Sequential(a, b)).may_precede((0, 1), (0, 0))
        False
    """

    def __init__(self, root: Node) -> None:
        self.root: Final = root
        self.nodes: Final[dict[Path, Located]] = {at.path: at for at in locate(root)}
        self.barriers: Final[dict[Path, Barrier]] = {
            at.path: at.node for at in self.nodes.values() if isinstance(at.node, Barrier)
        }
        self.required: Final[dict[str, set[str]]] = {}
        for barrier in self.barriers.values():
            self.required.setdefault(barrier.name, set()).update(barrier.required_agents)
        self._agents: Final = self._agents_below()
        self._present: Final[dict[Path, frozenset[str]]] = {}
        self._walk_presence(root, (0,), frozenset())
        self._deciding: Final = {
            path[:length]
            for path in self.barriers
            for length in range(1, len(path))
            if isinstance(self.nodes[path[:length]].node, Conditional)
        }

    def present(self, path: Path) -> frozenset[str]:
        """Return the agents that arrive when the barrier at a path is reached."""
        return self._present[path]

    def meeting(self, first: Path, second: Path) -> Path:
        """Return the path of the innermost node that holds both."""
        length = 0
        while length < min(len(first), len(second)) and first[length] == second[length]:
            length += 1
        return first[:length]

    def may_precede(self, first: Path, second: Path) -> bool:
        """Say whether there is an execution in which `first` is done before `second`."""
        below = [first[: len(second)] == second, second[: len(first)] == first]
        if any(below):
            return second != first and below[1]
        common = self.meeting(first, second)
        meeting = self.nodes[common].node
        if isinstance(meeting, Conditional):
            return False
        if isinstance(meeting, Sequential) and first[len(common)] > second[len(common)]:
            return False
        if not self.barriers:
            return True
        fixed = {**self._taken(first), **self._taken(second)}
        for choice in self.choices(fixed):
            if second in self.reached(choice)[0] and first in self.reached(choice, (second,))[0]:
                return True
        return False

    def may_both_run(self, first: Path, second: Path) -> bool:
        """Say whether there is an execution in which both are done."""
        return self.may_precede(first, second) or self.may_precede(second, first)

    def waiting(self, choice: Choice) -> frozenset[Path]:
        """Return the barriers that keep their branch for ever, if these alternatives are taken."""
        return self.reached(choice)[1]

    def choices(self, fixed: Choice | None = None) -> Iterator[dict[Path, int | None]]:
        """Yield every combination of alternatives that matters to barriers; `fixed` are given.

        Raises:
            LimitError: there are more than `MAX_BARRIER_CHOICES`.
        """
        given = dict(fixed or {})
        count = self._count(self.root, (0,), given)
        if count > MAX_BARRIER_CHOICES:
            message = (
                f"{count} combinations of alternatives hold barriers, more than "
                f"MAX_BARRIER_CHOICES = {MAX_BARRIER_CHOICES}; take barriers out of conditionals"
            )
            raise LimitError(message)
        for choice in self._choose([(self.root, (0,))], given):
            yield given | choice

    def reached(
        self, choice: Choice, undone: Collection[Path] = ()
    ) -> tuple[frozenset[Path], frozenset[Path]]:
        """Return the nodes that are reached and passed, and the barriers that stay shut.

        Args:
            choice: the alternatives taken; a conditional without an entry takes nothing.
            undone: steps that are never done.
        """
        never = frozenset(undone)
        opened: set[str] = set()
        while True:
            reached: set[Path] = set()
            self._go(self.root, (0,), _World(choice, never, opened), reached)
            at_barrier = [path for path in reached if path in self.barriers]
            arrived: dict[str, set[str]] = {}
            for path in at_barrier:
                arrived.setdefault(self.barriers[path].name, set()).update(self._present[path])
            now = {name for name, agents in arrived.items() if self.required[name] <= agents}
            if now == opened:
                shut = {path for path in at_barrier if self.barriers[path].name not in opened}
                return frozenset(reached.difference(undone, shut)), frozenset(shut)
            opened = now

    def _go(self, node: Node, path: Path, world: _World, reached: set[Path]) -> bool:
        """Collect what is reached, and say whether the node comes to its end."""
        if path in world.undone:
            return False
        reached.add(path)
        match node:
            case Sequential(nodes):
                return all(
                    self._go(child, (*path, i), world, reached) for i, child in enumerate(nodes)
                )
            case Parallel(branches, _):
                ends = [
                    self._go(child, (*path, i), world, reached) for i, child in enumerate(branches)
                ]
                return all(ends)
            case Conditional():
                taken = world.choice.get(path)
                if taken is None:
                    return True
                child = node.children[taken]
                return self._go(child, (*path, taken), world, reached)
            case Barrier(name, _):
                return name in world.opened
            case _:
                return True

    def _count(self, node: Node, path: Path, fixed: Choice) -> int:
        counts = [
            self._count(child, (*path, i), fixed)
            for i, child in enumerate(node.children)
            if not isinstance(node, Conditional) or fixed.get(path, i) == i
        ]
        if not isinstance(node, Conditional):
            return prod(counts)
        if path in fixed:
            return counts[0] if counts else 1
        return sum(counts) + node.may_skip if path in self._deciding else 1

    def _choose(
        self, todo: list[tuple[Node, Path]], fixed: Choice
    ) -> Iterator[dict[Path, int | None]]:
        todo = list(todo)
        while todo:
            node, path = todo.pop()
            children = [(child, (*path, i)) for i, child in enumerate(node.children)]
            if not isinstance(node, Conditional):
                todo += reversed(children)
            elif path in fixed:
                taken = fixed[path]
                todo += [] if taken is None else [children[taken]]
            elif path in self._deciding:
                takes: list[tuple[int | None, list[tuple[Node, Path]]]]
                takes = [(i, [child]) for i, child in enumerate(children)]
                takes += [(None, [])] * node.may_skip
                for taken, inner in takes:
                    for choice in self._choose([*todo, *inner], fixed):
                        yield {path: taken} | choice
                return
        yield {}

    def _taken(self, path: Path) -> dict[Path, int | None]:
        return {
            path[:length]: path[length]
            for length in range(1, len(path))
            if isinstance(self.nodes[path[:length]].node, Conditional)
        }

    def _agents_below(self) -> dict[Path, frozenset[str]]:
        agents: dict[Path, frozenset[str]] = {}
        for path, at in reversed(self.nodes.items()):
            own = {at.node.agent} if isinstance(at.node, Step) else set[str]()
            below = (agents[(*path, i)] for i in range(len(at.node.children)))
            agents[path] = frozenset(own).union(*below)
        return agents

    def _walk_presence(self, node: Node, path: Path, present: frozenset[str]) -> None:
        self._present[path] = present
        children = [(child, (*path, i)) for i, child in enumerate(node.children)]
        elsewhere = self._agents[path]
        for child, below in children:
            if isinstance(node, Parallel):
                going = present & (self._agents[below] | (present - elsewhere))
                self._walk_presence(child, below, going)
            else:
                self._walk_presence(child, below, present)
            if isinstance(node, Sequential):
                present |= self._agents[below]
