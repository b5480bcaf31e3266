"""Whether a plan can run as meant: each refusal names the step and the rule.

The rules are those of the saga: compensable steps, then at most one pivot, then retryable steps.
They are judged over every execution that the plan allows: `Parallel` may run its branches in any
interleaving that its barriers permit, and a `Conditional` may take any alternative, whatever its
condition and those of others say. A compensable step beside a pivot therefore breaks the rule: it
may run after it. A retryable step may stand anywhere, before the pivot too, where it suits what
only reads; what it does is never undone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from flowlab.errors import PlanError
from flowlab.workflow.nodes import Conditional, Located, Parallel, Sequential
from flowlab.workflow.plan import Plan, as_plan
from flowlab.workflow.plan_order import Order, Path
from flowlab.workflow.predicate import Predicate
from flowlab.workflow.registry import Predicates
from flowlab.workflow.step import Barrier, Node, Step
from flowlab.workflow.template import Place

PLAN_RULES: Final[dict[str, str]] = {
    "empty": "a plan has a step, and a Parallel has a branch",
    "unknown-agent": "every agent is one of the agents that may take part",
    "duplicate-name": "no two steps have one name, nor a sync point and another or a barrier",
    "no-compensation": "a compensable step with an effect names its compensation",
    "not-idempotent": "a retryable step is declared idempotent",
    "compensable-after-pivot": "no compensable step runs after a pivot in any execution",
    "two-pivots": "no execution has two pivots",
    "barrier": "a barrier opens in every execution that reaches it",
    "barrier-twice": "a barrier of one name stands once on a path, with the same agents everywhere",
    "no-otherwise": "a Conditional on a value says what is done for any other",
    "result": "a result that is read is of a step that has been done by then",
    "unknown-predicate": "every named predicate is registered",
}
"""The rules of `check_plan`, by name."""

_MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """A rule that a plan breaks, and where.

    Args:
        rule: its name in `PLAN_RULES`.
        node_id: the node, or "" for the plan.
        message: what was found, and the next step.

    Example:
        >>> plan_problems(Step("charge", agent="bank"))[0].rule
        'no-compensation'
    """

    rule: str
    node_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.message} [{self.rule}]"


def check_plan(
    plan: Plan | Node,
    *,
    agents: Collection[str] | None = None,
    predicates: Predicates | None = None,
) -> Plan:
    """Return the plan if it keeps every rule of `PLAN_RULES`.

    Args:
        plan: a plan or a node.
        agents: who may take part; None means the plan's own list, and if it has none, anybody.
        predicates: the registered functions; None leaves named predicates unchecked.

    Raises:
        PlanError: it breaks a rule; the message names the first five steps and rules.
        LimitError: barriers stand in too many combinations of alternatives.

    Example:
        >>> check_plan(Step("charge", agent="bank", kind="retryable"))
        Traceback (most recent call last):
        flowlab.errors.PlanError: plan 'plan' cannot run: step 'charge' is retryable but not ...
    """
    found = plan_problems(plan, agents=agents, predicates=predicates)
    checked = as_plan(plan)
    if found:
        shown = "\n  ".join(map(str, found[:_MOST_SHOWN]))
        more = len(found) - _MOST_SHOWN
        rest = f"\n  and {more} more; plan_problems(plan) lists them" if more > 0 else ""
        gap = "\n  " if len(found) > 1 else " "
        message = f"plan {checked.name!r} cannot run:{gap}{shown}{rest}"
        raise PlanError(message)
    return checked


def plan_problems(
    plan: Plan | Node,
    *,
    agents: Collection[str] | None = None,
    predicates: Predicates | None = None,
) -> tuple[PlanProblem, ...]:
    """Return every rule that a plan breaks, in the order of the rules and of the plan.

    Example:
        >>> plan = Parallel(
        ...     Step("a", agent="x", kind="pivot"),
        ...     Step("b", agent="y", compensation="undo"),
        ... )
        >>> print(*plan_problems(plan))
        step 'b' (0/1:b) is compensable and may run after the pivot 'a', beside which it stands, ...
    """
    if isinstance(agents, str):
        message = f"agents is a list of names; got the text {agents!r}"
        raise PlanError(message)
    checked = as_plan(plan)
    known = checked.agents if agents is None else agents
    order = Order(checked.root)
    return (
        *_empty(checked),
        *(() if known is None else _unknown_agents(checked, known)),
        *_duplicate_names(checked),
        *_step_kinds(checked),
        *_pivots(checked, order),
        *_barriers_twice(order),
        *_barriers(order),
        *_conditionals(checked, predicates),
        *_results(checked, order),
    )


def _empty(plan: Plan) -> Iterator[PlanProblem]:
    if not plan.steps:
        yield PlanProblem("empty", "", f"plan {plan.name!r} has no step; add a Step(...)")
    for at in plan.nodes:
        if isinstance(at.node, Parallel) and not at.node.branches:
            message = f"the Parallel at {at.node_id} has no branch; give it nodes or take it out"
            yield PlanProblem("empty", at.node_id, message)


def _unknown_agents(plan: Plan, known: Collection[str]) -> Iterator[PlanProblem]:
    have = ", ".join(sorted(known)) or "nobody"
    for at in plan.nodes:
        named: list[tuple[str, str]] = []
        if isinstance(at.node, Step):
            named = [(at.node.agent, f"step {at.node.name!r}")]
            undo = at.node.compensation
            if undo is not None and undo.agent is not None:
                named.append((undo.agent, f"the compensation of step {at.node.name!r}"))
        elif isinstance(at.node, Barrier):
            named = [(agent, f"barrier {at.node.name!r}") for agent in at.node.required_agents]
        for agent, what in named:
            if agent not in known:
                message = f"{what} ({at.node_id}) names the agent {agent!r}; there is {have}"
                yield PlanProblem("unknown-agent", at.node_id, message)


def _duplicate_names(plan: Plan) -> Iterator[PlanProblem]:
    steps: dict[str, str] = {}
    points: dict[str, str] = {
        at.node.name: at.node_id for at in reversed(plan.nodes) if isinstance(at.node, Barrier)
    }
    for at in plan.nodes:
        taken, name, what = steps, getattr(at.node, "name", None), "step"
        if isinstance(at.node, Parallel):
            taken, name, what = points, at.node.sync_point, "sync point"
        elif not isinstance(at.node, Step):
            continue
        if name in taken:
            message = (
                f"{what} {name!r} ({at.node_id}) has the name of {taken[name]}; "
                "the log could not tell them apart, so give it another"
            )
            yield PlanProblem("duplicate-name", at.node_id, message)
        elif name is not None:
            taken[name] = at.node_id


def _step_kinds(plan: Plan) -> Iterator[PlanProblem]:
    for at in plan.nodes:
        step = at.node
        if not isinstance(step, Step):
            continue
        if step.kind == "compensable" and step.effect and step.compensation is None:
            message = (
                f"{_named(at)} is compensable and names no compensation; give compensation=..., "
                "effect=False if it changes nothing, or make it pivot or retryable if it cannot "
                "be undone"
            )
            yield PlanProblem("no-compensation", at.node_id, message)
        if step.kind == "retryable" and not step.idempotent:
            message = (
                f"step {step.name!r} is retryable but not declared idempotent: a retry would do it "
                "twice. Make the activity so that twice is once, and say idempotent=True"
            )
            yield PlanProblem("not-idempotent", at.node_id, message)


def _pivots(plan: Plan, order: Order) -> Iterator[PlanProblem]:
    steps = [(at, at.node) for at in plan.nodes if isinstance(at.node, Step)]
    pivots = [at for at, step in steps if step.kind == "pivot"]
    for at, step in steps:
        for pivot in pivots:
            if step.kind == "compensable" and order.may_precede(pivot.path, at.path):
                message = (
                    f"{_named(at)} is compensable and may run after the pivot "
                    f"{_name(pivot.node)!r}{_beside(order, pivot.path, at.path)}, when there is no "
                    "way back; put it before the pivot, or make it retryable"
                )
                yield PlanProblem("compensable-after-pivot", at.node_id, message)
                break
    for position, second in enumerate(pivots):
        for first in pivots[:position]:
            if order.may_both_run(first.path, second.path):
                message = (
                    f"{_named(second)} is a pivot, and so is {_name(first.node)!r} "
                    f"({first.node_id}) of the same execution; only one step can decide"
                )
                yield PlanProblem("two-pivots", second.node_id, message)
                break


def _barriers_twice(order: Order) -> Iterator[PlanProblem]:
    first: dict[str, Path] = {}
    for path, barrier in order.barriers.items():
        at = order.nodes[path]
        earlier = first.setdefault(barrier.name, path)
        if earlier == path:
            continue
        other = order.barriers[earlier]
        if other.required_agents != barrier.required_agents:
            message = (
                f"barrier {barrier.name!r} requires {', '.join(barrier.required_agents)} at "
                f"{at.node_id} and {', '.join(other.required_agents)} at "
                f"{order.nodes[earlier].node_id}; it is one barrier, so give one list or two names"
            )
            yield PlanProblem("barrier-twice", at.node_id, message)
    for path, barrier in order.barriers.items():
        for earlier, other in order.barriers.items():
            if earlier >= path or other.name != barrier.name:
                continue
            if isinstance(order.nodes[order.meeting(earlier, path)].node, Sequential):
                at = order.nodes[path]
                message = (
                    f"barrier {barrier.name!r} stands at {at.node_id} after "
                    f"{order.nodes[earlier].node_id}, where it has opened; give it another name"
                )
                yield PlanProblem("barrier-twice", at.node_id, message)
                break


def _barriers(order: Order) -> Iterator[PlanProblem]:
    never: dict[str, set[str]] = {}
    for path, barrier in order.barriers.items():
        never.setdefault(barrier.name, set(barrier.required_agents)).difference_update(
            order.present(path)
        )
    told: set[str] = set()
    for path, barrier in order.barriers.items():
        if never[barrier.name] and barrier.name not in told:
            told.add(barrier.name)
            agents = ", ".join(sorted(never[barrier.name]))
            message = (
                f"barrier {barrier.name!r} ({order.nodes[path].node_id}) requires {agents}, who "
                "can never arrive: no branch that gets to it has an earlier step of theirs; put "
                f"Barrier({barrier.name!r}, ...) behind their steps too, or do not require them"
            )
            yield PlanProblem("barrier", order.nodes[path].node_id, message)
    if not order.barriers:
        return
    for choice in order.choices():
        for path in sorted(order.waiting(choice)):
            name = order.barriers[path].name
            if name not in told:
                told.add(name)
                where = order.nodes[path].node_id
                message = (
                    f"barrier {name!r} ({where}) may wait for ever: {_lacking(order, path, choice)}"
                )
                yield PlanProblem("barrier", where, message)


def _lacking(order: Order, path: Path, choice: dict[Path, int | None]) -> str:
    name = order.barriers[path].name
    waiting = order.waiting(choice)
    there = (order.present(other) for other in waiting if order.barriers[other].name == name)
    lacking = ", ".join(sorted(order.required[name].difference(*there)))
    taken = [
        f"{order.nodes[at].node_id} takes "
        + ("nothing" if way is None else f"alternative {way + 1}")
        for at, way in choice.items()
    ]
    when = f"if {' and '.join(taken)}, " if taken else ""
    others = sorted({order.barriers[other].name for other in waiting} - {name})
    also = f", since branches wait at {', '.join(others)} too" if others else ""
    return f"{when}{lacking} never arrive{'s' * (', ' not in lacking)}{also}"


def _conditionals(plan: Plan, predicates: Predicates | None) -> Iterator[PlanProblem]:
    for at in plan.nodes:
        if not isinstance(at.node, Conditional):
            continue
        if isinstance(at.node.on, Place) and at.node.otherwise is None:
            message = (
                f"the Conditional at {at.node_id} on {at.node.on!r} has no otherwise for any other "
                "value; otherwise=Sequential() says that nothing is done"
            )
            yield PlanProblem("no-otherwise", at.node_id, message)
        names = at.node.on.names if isinstance(at.node.on, Predicate) else ()
        for name in names if predicates is not None else ():
            if predicates is not None and name not in predicates:
                message = (
                    f"the Conditional at {at.node_id} asks named({name!r}), which is not in "
                    f"{predicates!r}; register it there"
                )
                yield PlanProblem("unknown-predicate", at.node_id, message)


def _results(plan: Plan, order: Order) -> Iterator[PlanProblem]:
    paths: dict[str, Path] = {}
    for at in plan.nodes:
        if isinstance(at.node, Step):
            paths.setdefault(at.node.name, at.path)
    for at in plan.nodes:
        wanted = {place.step for place in at.node.places}
        if isinstance(at.node, Step) and at.node.compensation is not None:
            undo = at.node.compensation.input
            own = at.node.name
            wanted |= {place.step for place in (undo.places if undo else ()) if place.step != own}
        for name in sorted(step for step in wanted if step is not None):
            why = _why_no_result(paths.get(name), at, order)
            if why:
                message = f"{_named(at)} reads the result of {name!r}, {why}"
                yield PlanProblem("result", at.node_id, message)


def _why_no_result(source: Path | None, at: Located, order: Order) -> str:
    if source is None:
        return "but no step has that name"
    if source == at.path:
        return "which is itself"
    if order.may_precede(at.path, source):
        return "which may run later; put it before, or a barrier between"
    if not order.may_precede(source, at.path):
        return "but no execution has both"
    return ""


def _named(at: Located) -> str:
    what = f"step {_name(at.node)!r}" if isinstance(at.node, Step) else type(at.node).__name__
    return f"{what} ({at.node_id})"


def _name(node: Node) -> str:
    return str(getattr(node, "name", ""))


def _beside(order: Order, first: Path, second: Path) -> str:
    beside = isinstance(order.nodes[order.meeting(first, second)].node, Parallel)
    return ", beside which it stands" if beside else ""
