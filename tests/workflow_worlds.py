"""Every execution of a small plan, found by running it one step at a time: the checker's oracle.

Nothing here is shared with `flowlab.workflow.plan_order`, which decides without running: a plan is
rewritten, an action at a time, in every order and with every alternative.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from flowlab.workflow import Barrier, Conditional, Node, Parallel, Sequential, Step, field, locate

DONE: Any = ("done",)
Trace = tuple[str, ...]


def executions(root: Node) -> frozenset[tuple[Trace, bool]]:
    """Return (names of steps in the order in which they ran, whether the plan came to its end)."""
    required: dict[str, frozenset[str]] = {}
    for at in locate(root):
        if isinstance(at.node, Barrier):
            known = required.get(at.node.name, frozenset())
            required[at.node.name] = known | set(at.node.required_agents)

    @cache
    def explore(term: Any, arrived: frozenset[tuple[str, str]]) -> frozenset[tuple[Trace, bool]]:
        moves = list(actions(term, arrived, required))
        if not moves:
            return frozenset({((), term == DONE)})
        return frozenset(
            ((*names, *rest), ended)
            for names, after, more in moves
            for rest, ended in explore(after, arrived | more)
        )

    return explore(settled(("do", root, frozenset())), frozenset())


def actions(term: Any, arrived: Any, required: Any) -> Any:
    """Yield (names of the steps done, the term after it, new arrivals) of each possible action."""
    match term:
        case ("do", Step(), _):
            yield (term[1].name,), DONE, frozenset()
        case ("do", Barrier(name, _), present):
            yield (), ("wait", name), frozenset((name, agent) for agent in present)
        case ("wait", name):
            if all((name, agent) in arrived for agent in required[name]):
                yield (), DONE, frozenset()
        case ("do", Conditional(), present):
            for child in term[1].children:
                yield (), settled(("do", child, present)), frozenset()
            if term[1].may_skip:
                yield (), DONE, frozenset()
        case ("then" | "side", *_):
            yield from _actions_inside(term, arrived, required)


def _actions_inside(term: Any, arrived: Any, required: Any) -> Any:
    kind, *parts = term
    for i, part in enumerate(parts[:1] if kind == "then" else parts):
        for names, after, more in actions(part, arrived, required):
            yield names, settled((kind, *parts[:i], after, *parts[i + 1 :])), more


def settled(term: Any) -> Any:
    """Return a term in which nothing is left to unfold."""
    match term:
        case ("do", Sequential(nodes), present):
            if not nodes:
                return DONE
            first = settled(("do", nodes[0], present))
            rest = Sequential(*nodes[1:])
            return settled(("then", first, rest, present | agents_of(nodes[0])))
        case ("then", ("done",), rest, present):
            return settled(("do", rest, present))
        case ("do", Parallel(branches, _), present):
            all_of_them = agents_of(term[1])
            here = [agents_of(branch) for branch in branches]
            along = [
                frozenset(agent for agent in present if agent in own or agent not in all_of_them)
                for own in here
            ]
            sides = zip(branches, along, strict=True)
            return settled(("side", *(settled(("do", *side)) for side in sides)))
        case ("side", *branches) if all(branch == DONE for branch in branches):
            return DONE
    return term


def agents_of(node: Node) -> frozenset[str]:
    return frozenset(at.node.agent for at in locate(node) if isinstance(at.node, Step))


KINDS = st.sampled_from(["compensable", "pivot", "retryable"])
AGENTS = st.sampled_from("abc")
STEPS = st.builds(
    lambda agent, kind: Step(
        "?",
        agent=agent,
        kind=kind,
        compensation="undo" if kind == "compensable" else None,
        idempotent=kind == "retryable",
    ),
    AGENTS,
    KINDS,
)
BARRIERS = st.builds(
    Barrier, st.sampled_from("xy"), st.lists(AGENTS, min_size=1, max_size=2, unique=True)
)


def _composed(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    lists = st.lists(inner, min_size=1, max_size=3)
    both = st.tuples(inner, inner)
    return st.one_of(
        lists.map(lambda nodes: Sequential(*nodes)),
        lists.map(lambda nodes: Parallel(*nodes)),
        both.map(lambda pair: Parallel(*pair)),
        both.map(lambda pair: Sequential(*pair)),
        inner.map(lambda node: Conditional(field("p") == 1, node)),
        both.map(lambda pair: Conditional(field("p") == 1, pair[0], otherwise=pair[1])),
    )


def numbered(root: Node, count: list[int] | None = None) -> Node:
    """Return the same plan with names of its own for its steps."""
    used = [0] if count is None else count
    match root:
        case Step():
            used[0] += 1
            return Step(
                f"s{used[0]}",
                agent=root.agent,
                kind=root.kind,
                compensation=root.compensation,
                idempotent=root.idempotent,
            )
        case Sequential(nodes):
            return Sequential(*(numbered(node, used) for node in nodes))
        case Parallel(branches, _):
            return Parallel(*(numbered(node, used) for node in branches))
        case Conditional(on, branches, otherwise):
            cases = {branch.when.to_json(): numbered(branch.node, used) for branch in branches}
            rest = None if otherwise is None else numbered(otherwise, used)
            return Conditional(on, cases, otherwise=rest)
    return root


@st.composite
def meetings(draw: st.DrawFn) -> Node:
    """Return branches that meet at a barrier whose agents mostly do arrive."""
    sides = draw(st.lists(st.tuples(STEPS, STEPS), min_size=2, max_size=2))
    agents = draw(st.sets(st.sampled_from([before.agent for before, _ in sides]), min_size=1))
    return Parallel(
        *(Sequential(before, Barrier("m", sorted(agents)), after) for before, after in sides)
    )


@st.composite
def forks(draw: st.DrawFn) -> Node:
    """Return a step, then branches of which the first waits for some of the agents."""
    before, here, after, beside = (draw(STEPS) for _ in range(4))
    agents = draw(st.sets(st.sampled_from([before.agent, here.agent]), min_size=1))
    barrier = Barrier("m", sorted(agents))
    other = draw(st.sampled_from([beside, Sequential(barrier, beside)]))
    return Sequential(before, Parallel(Sequential(here, barrier, after), other))


def small_plans(*, barriers: bool) -> st.SearchStrategy[Node]:
    """Return plans of at most six steps and barriers."""
    leaves = st.one_of(STEPS, STEPS, BARRIERS) if barriers else STEPS
    plans = st.recursive(leaves, _composed, max_leaves=6)
    met = meetings() | forks()
    maybe = st.builds(lambda node: Conditional(field("p") == 1, node), met)
    return (st.one_of(plans, met, maybe) if barriers else plans).map(numbered)
