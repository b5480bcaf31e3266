"""A plan compiled once, for all its instances: each operation knows what follows it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import LimitError
from flowlab.events import MAX_CAUSES, encode_json
from flowlab.workflow.nodes import Conditional, Parallel, Sequential, locate
from flowlab.workflow.plan import Plan, as_plan
from flowlab.workflow.plan_check import check_plan
from flowlab.workflow.plan_input import Input
from flowlab.workflow.plan_order import Order, Path
from flowlab.workflow.registry import Predicates
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
from flowlab.workflow.saga import UNTIL_IT_SUCCEEDS
from flowlab.workflow.step import Barrier, Compensation, Node, Step, StepKind


class Op:
    """Something that an instance of a plan comes to.

    Operations are made by `Program.of`; each belongs to one program.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class UndoOp(Op):
    """How a step is undone.

    Args:
        activity, agent, timeout_ns, policy: whom to ask for what, and how it is tried again.
        input: of the compensation; None means the step's input and result.
        wants_ref: whether the time of the first request decides about retries.
    """

    activity: str
    agent: str
    timeout_ns: int | None
    policy: RetryPolicy
    input: Input | None
    wants_ref: bool

    def __repr__(self) -> str:
        return f"UndoOp({self.activity!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StepOp(Op):
    """A step.

    Args:
        index: its place among the program's steps.
        name, activity, agent, kind, timeout_ns, policy: as in the plan; the agent may be a role.
        input: of its activity.
        constant, constant_input: whether the input is the same for every instance, and then it.
        undo: how it is undone, if it is.
        next: what follows.
        next_step: what follows if that is a step and nothing else happens at its completion.
        is_last: whether the plan is at its end, and nothing else happens at its completion.
        wants_ref: whether the time of the first request decides about retries.

    Example:
        >>> plan = Step("charge", agent="bank", kind="pivot", input={"amount": 7})
        >>> (charge,) = Program.of(plan).steps
        >>> charge, charge.agent, charge.constant_input
        (StepOp('charge'), 'bank', {'amount': 7})
    """

    index: int
    name: str
    activity: str
    agent: str
    kind: StepKind
    timeout_ns: int | None
    policy: RetryPolicy
    input: Input
    constant: bool
    constant_input: Any
    undo: UndoOp | None
    next: Op
    next_step: StepOp | None
    is_last: bool
    wants_ref: bool

    @property
    def has_effect(self) -> bool:
        """Whether it changes something: a compensable step that nothing undoes says it does not.

        Example:
            >>> Program.of(Step("look", agent="bank", effect=False)).steps[0].has_effect
            False
        """
        return self.kind != "compensable" or self.undo is not None

    def __repr__(self) -> str:
        return f"StepOp({self.name!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ChooseOp(Op):
    """A choice: the node, what follows for each of its children, and what for none."""

    node: Conditional
    targets: tuple[Op, ...]
    skip: Op

    def __repr__(self) -> str:
        return f"ChooseOp({self.node.on!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JoinOp(Op):
    """The end of a `Parallel`: how many branches come together, and under which name."""

    index: int
    name: str | None
    agents: tuple[str, ...]
    branches: int
    next: Op

    def __repr__(self) -> str:
        return f"JoinOp({self.name!r}, {self.branches} branches)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ForkOp(Op):
    """The beginning of a `Parallel`."""

    branches: tuple[Op, ...]
    join: JoinOp

    def __repr__(self) -> str:
        return f"ForkOp({len(self.branches)} branches)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BarrierOp(Op):
    """A barrier on one branch: who arrives when the branch gets there, and who must in all."""

    index: int
    name: str
    arrives: tuple[str, ...]
    required: tuple[str, ...]
    next: Op

    def __repr__(self) -> str:
        return f"BarrierOp({self.name!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EndOp(Op):
    """The end of the plan."""

    def __repr__(self) -> str:
        return "EndOp()"


PointOp = JoinOp | BarrierOp
"""Where branches meet."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Program:
    """A plan that was checked and compiled; immutable, and shared by all its instances.

    Args:
        plan: what was compiled.
        predicates: the functions that its conditions may ask.
        entry: where an instance begins.
        steps: in the order of the plan.
        points: the barriers and the ends of its parallel parts, in the order of the plan.
        forks: whether anything runs side by side.
        draws: whether a retry's delay is drawn.

    Example:
        >>> steps = Sequential(
        ...     Step("a", agent="x", effect=False), Step("b", agent="x", kind="pivot")
        ... )
        >>> program = Program.of(steps)
        >>> program, program.steps[0].next_step
        (Program('plan', 2 steps), StepOp('b'))
    """

    plan: Plan
    predicates: Predicates | None
    entry: Op
    steps: tuple[StepOp, ...]
    points: tuple[PointOp, ...]
    by_name: Mapping[str, StepOp]
    forks: bool
    draws: bool
    digest: str

    @classmethod
    def of(cls, plan: Plan | Node, predicates: Predicates | None = None) -> Program:
        """Check and compile a plan.

        Raises:
            PlanError: it breaks a rule of `check_plan`, or a predicate is not registered.
            LimitError: more branches than an event may have causes would come together.
        """
        checked = check_plan(
            as_plan(plan), predicates=Predicates() if predicates is None else predicates
        )
        compiler = _Compiler(checked)
        entry = compiler.compile(checked.root, (0,), EndOp())
        steps = tuple(compiler.steps[index] for index in range(len(compiler.steps)))
        policies = [step.policy for step in steps]
        policies += [step.undo.policy for step in steps if step.undo is not None]
        return cls(
            plan=checked,
            predicates=predicates,
            entry=entry,
            steps=steps,
            points=tuple(compiler.points[index] for index in range(len(compiler.points))),
            by_name={step.name: step for step in steps},
            forks=any(isinstance(at.node, Parallel) for at in checked.nodes),
            draws=any(policy.jitter > 0 for policy in policies),
            digest=hashlib.sha256(encode_json(checked.to_json())).hexdigest(),
        )

    def __reduce__(self) -> tuple[Callable[..., Program], tuple[Any, ...]]:
        return Program.of, (self.plan, self.predicates)

    def __repr__(self) -> str:
        count = len(self.steps)
        return f"Program({self.plan.name!r}, {count} step{'s' * (count != 1)})"


class _Compiler:
    """Compiles nodes from the end of the plan to its beginning."""

    def __init__(self, plan: Plan) -> None:
        self.order: Final = Order(plan.root)
        self.steps: Final[dict[int, StepOp]] = {}
        self.points: Final[dict[int, PointOp]] = {}
        self.place: Final[dict[Path, int]] = {}
        counts = {Step: 0, Barrier: 0}
        for at in locate(plan.root):
            kind = Step if isinstance(at.node, Step) else Barrier
            if isinstance(at.node, (Step, Barrier, Parallel)):
                self.place[at.path] = counts[kind]
                counts[kind] += 1
        undone = sum(step.compensation is not None for step in plan.steps)
        if _width(plan.root) >= MAX_CAUSES or (plan.parallel_undo and undone >= MAX_CAUSES):
            message = (
                f"plan {plan.name!r} brings together more than MAX_CAUSES = {MAX_CAUSES} events, "
                "which no event may have as causes; nest its branches with sync points between"
            )
            raise LimitError(message)

    def compile(self, node: Node, path: Path, after: Op) -> Op:
        """Return where a node begins, if `after` follows it."""
        match node:
            case Step():
                return self._step(node, path, after)
            case Sequential(nodes):
                for place in range(len(nodes) - 1, -1, -1):
                    after = self.compile(nodes[place], (*path, place), after)
                return after
            case Parallel(branches, sync_point):
                agents = sorted({s.agent for b in branches for s in Plan(b).steps})
                index = self.place[path]
                join = JoinOp(index, sync_point, tuple(agents), len(branches), after)
                self.points[index] = join
                ways = [self.compile(b, (*path, i), join) for i, b in enumerate(branches)]
                return ForkOp(tuple(ways), join)
            case Conditional():
                ways = [self.compile(c, (*path, i), after) for i, c in enumerate(node.children)]
                return ChooseOp(node, tuple(ways), after)
            case Barrier(name, required):
                arrives = tuple(sorted(self.order.present(path) & set(required)))
                index = self.place[path]
                self.points[index] = barrier = BarrierOp(index, name, arrives, required, after)
                return barrier
            case _:
                message = f"{node!r} is no node of flowlab's"
                raise AssertionError(message)

    def _step(self, step: Step, path: Path, after: Op) -> StepOp:
        default = UNTIL_IT_SUCCEEDS if step.kind == "retryable" else NO_RETRY
        policy = step.retry or default
        follows = isinstance(after, StepOp) and step.kind != "pivot"
        index, given = self.place[path], Input.of(step.input)
        self.steps[index] = op = StepOp(
            index=index,
            name=step.name,
            activity=step.activity,
            agent=step.agent,
            kind=step.kind,
            timeout_ns=step.timeout,
            policy=policy,
            input=given,
            constant=given.constant,
            constant_input=given.shape if given.constant else None,
            undo=None if step.compensation is None else _undo(step, step.compensation),
            next=after,
            next_step=after if follows and isinstance(after, StepOp) else None,
            is_last=isinstance(after, EndOp) and step.kind != "pivot",
            wants_ref=policy.retry_timeout is not None,
        )
        return op


def _undo(step: Step, undo: Compensation) -> UndoOp:
    policy = undo.retry or UNTIL_IT_SUCCEEDS
    return UndoOp(
        activity=undo.activity,
        agent=undo.agent or step.agent,
        timeout_ns=undo.timeout,
        policy=policy,
        input=None if undo.input is None else Input.of(undo.input),
        wants_ref=policy.retry_timeout is not None,
    )


def _width(node: Node) -> int:
    """Return the most branches that may go on side by side inside a node."""
    inside = [_width(child) for child in node.children]
    return sum(inside) if isinstance(node, Parallel) else max(inside, default=1)
