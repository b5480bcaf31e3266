"""A plan is checked before it runs: against every execution of small plans, and rule by rule."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from workflow_worlds import executions, numbered, small_plans

from flowlab.errors import FlowlabError, LimitError, PlanError
from flowlab.workflow import (
    PLAN_RULES,
    Barrier,
    Compensation,
    Conditional,
    Node,
    Parallel,
    Plan,
    Predicates,
    Sequential,
    Step,
    check_plan,
    field,
    locate,
    named,
    plan_problems,
    result,
)
from flowlab.workflow.plan_order import MAX_BARRIER_CHOICES, Order


def do(name: str, agent: str = "a", **more: Any) -> Step:
    return Step(name, agent=agent, compensation=f"undo_{name}", **more)


def pivot(name: str, agent: str = "a", **more: Any) -> Step:
    return Step(name, agent=agent, kind="pivot", **more)


def again(name: str, agent: str = "a", **more: Any) -> Step:
    return Step(name, agent=agent, kind="retryable", idempotent=True, **more)


def rules(plan: Plan | Node, **more: Any) -> list[str]:
    return [problem.rule for problem in plan_problems(plan, **more)]


def broken(plan: Node, rule: str) -> set[str]:
    return {p.node_id.partition(":")[2] for p in plan_problems(plan) if p.rule == rule}


def pairs_seen(plan: Node) -> set[tuple[str, str]]:
    """Return (earlier, later) of all executions."""
    traces = (trace for trace, _ in executions(plan))
    return {pair for trace in traces for pair in combinations(trace, 2)}


@pytest.mark.parametrize("barriers", [False, True])
def test_a_step_may_run_before_another_exactly_if_an_execution_does_so(*, barriers: bool) -> None:
    @given(small_plans(barriers=barriers))
    @settings(max_examples=400)
    def law(plan: Node) -> None:
        order = Order(plan)
        steps = [at for at in locate(plan) if isinstance(at.node, Step)]
        said = {
            (first.node.name, second.node.name)
            for first in steps
            for second in steps
            if order.may_precede(first.path, second.path)
        }
        assert said == pairs_seen(plan)

    law()


@pytest.mark.parametrize("barriers", [False, True])
def test_the_pivot_rules_refuse_exactly_what_some_execution_breaks(*, barriers: bool) -> None:
    @given(small_plans(barriers=barriers))
    @settings(max_examples=400)
    def law(plan: Node) -> None:
        steps = [at.node for at in locate(plan) if isinstance(at.node, Step)]
        kinds = {step.name: step.kind for step in steps}
        place = {step.name: i for i, step in enumerate(steps)}
        pairs = pairs_seen(plan)
        late = {b for a, b in pairs if (kinds[a], kinds[b]) == ("pivot", "compensable")}
        twice = {
            max(a, b, key=place.__getitem__)
            for a, b in pairs
            if (kinds[a], kinds[b]) == ("pivot", "pivot")
        }
        assert broken(plan, "compensable-after-pivot") == late
        assert broken(plan, "two-pivots") == twice

    law()


@given(small_plans(barriers=True))
@settings(max_examples=800)
def test_the_barrier_rule_refuses_exactly_the_plans_of_which_an_execution_gets_stuck(
    plan: Node,
) -> None:
    assert ("barrier" in rules(plan)) == any(not ended for _, ended in executions(plan))


@given(small_plans(barriers=False))
def test_a_plan_without_barriers_always_comes_to_its_end(plan: Node) -> None:
    assert all(ended for _, ended in executions(plan))
    assert not {"barrier", "barrier-twice"} & set(rules(plan))


def test_the_oracle_itself_counts_executions_as_mathematics_does() -> None:
    three = [do(f"s{i}") for i in range(3)]
    assert len(executions(Parallel(*three))) == 6
    assert len(executions(Sequential(*three))) == 1
    assert len(executions(Parallel(Sequential(*three[:2]), three[2]))) == 3
    assert len(executions(Conditional(field("p") == 1, three[0]))) == 2


GOOD = [
    Sequential(do("a"), do("b"), pivot("c"), again("d")),
    Sequential(again("look"), do("a"), pivot("c")),
    Step("look", agent="a", effect=False),
    Sequential(Parallel(do("a"), do("b")), pivot("c"), Parallel(again("d"), again("e"))),
    Conditional(field("p") == 1, pivot("a"), otherwise=pivot("b")),
    Parallel(
        Sequential(do("a", "x"), Barrier("ready", ["x", "y"])),
        Sequential(do("b", "y"), Barrier("ready", ["x", "y"]), pivot("c", "y")),
    ),
    Sequential(do("a", "x"), do("b", "y"), Barrier("ready", ["x", "y"]), do("c", "x")),
    Sequential(
        do("a", "x"), Parallel(Sequential(do("b", "y"), Barrier("r", ["x", "y"])), do("c", "z"))
    ),
    Sequential(Conditional(field("p") == 1, do("a", "x")), Barrier("r", ["x"])),
    Conditional(field("land"), {"DE": do("a")}, otherwise=Sequential()),
    Sequential(do("a"), do("b", input=result("a"))),
    Sequential(
        do("a"),
        Step("b", agent="x", compensation=Compensation("u", input=[result("b"), result("a")])),
    ),
]


@pytest.mark.parametrize("plan", GOOD, ids=str)
def test_a_plan_that_keeps_the_rules_is_returned(plan: Node) -> None:
    assert check_plan(plan) == Plan(plan)
    assert check_plan(Plan(plan, name="p")) == Plan(plan, name="p")


def two_orders() -> Node:
    """Return two branches that wait for each other at two barriers, each at the other's first."""
    first, second = Barrier("one", ["x", "y"]), Barrier("two", ["x", "y"])
    return Parallel(
        Sequential(do("a", "x"), first, second), Sequential(do("b", "y"), second, first)
    )


REFUSED: list[tuple[Node, str, str]] = [
    (Sequential(), "empty", "plan 'plan' has no step; add a Step"),
    (Sequential(do("a"), Parallel()), "empty", "the Parallel at 0/1 has no branch"),
    (Step("a", agent="x"), "no-compensation", "step 'a' .0:a. is compensable and names no comp"),
    (
        Step("a", agent="x", kind="retryable"),
        "not-idempotent",
        "step 'a' is retryable but not declared idempotent",
    ),
    (
        Sequential(pivot("a"), do("b")),
        "compensable-after-pivot",
        "step 'b' .0/1:b. is compensable and may run after the pivot 'a', when there is",
    ),
    (
        Parallel(pivot("a"), do("b")),
        "compensable-after-pivot",
        "may run after the pivot 'a', beside which it stands",
    ),
    (
        Sequential(Conditional(field("p") == 1, pivot("a")), do("b")),
        "compensable-after-pivot",
        "step 'b'",
    ),
    (
        Sequential(pivot("a"), Conditional(field("p") == 1, pivot("b"))),
        "two-pivots",
        "step 'b' .0/1/0:b. is a pivot, and so is 'a' .0/0:a. of the same execution",
    ),
    (Parallel(pivot("a"), pivot("b")), "two-pivots", "only one step can decide"),
    (Sequential(do("a"), do("a")), "duplicate-name", "step 'a' .0/1:a. has the name of 0/0:a"),
    (
        Sequential(Parallel(do("a"), sync_point="s"), Parallel(do("b"), sync_point="s")),
        "duplicate-name",
        "sync point 's' .0/1:s. has the name of 0/0:s",
    ),
    (
        Sequential(do("a", "x"), Barrier("s", ["x"]), Parallel(do("b"), sync_point="s")),
        "duplicate-name",
        "sync point 's' .0/2:s. has the name of 0/1:s",
    ),
    (
        Sequential(do("a", "x"), Barrier("r", ["x", "y"]), do("b", "y")),
        "barrier",
        "barrier 'r' .0/1:r. requires y, who can never arrive",
    ),
    (
        Parallel(Sequential(do("a", "x"), Barrier("r", ["x", "y"])), do("b", "y")),
        "barrier",
        "requires y, who can never arrive: no branch that gets to it has an earlier step of theirs",
    ),
    (
        Sequential(
            do("a", "x"),
            Parallel(Sequential(do("b", "y"), Barrier("r", ["x", "y"])), do("c", "x")),
        ),
        "barrier",
        "requires x, who can never arrive",
    ),
    (
        Parallel(
            Sequential(do("a", "x"), Barrier("r", ["x", "y"])),
            Conditional(field("p") == 1, Sequential(do("b", "y"), Barrier("r", ["x", "y"]))),
        ),
        "barrier",
        "barrier 'r' .0/0/1:r. may wait for ever: if 0/1 takes nothing, y never arrives",
    ),
    (two_orders(), "barrier", "may wait for ever: y never arrives, since branches wait at two too"),
    (
        Sequential(do("a", "x"), Barrier("r", ["x"]), Barrier("r", ["x"])),
        "barrier-twice",
        "barrier 'r' stands at 0/2:r after 0/1:r, where it has opened",
    ),
    (
        Parallel(
            Sequential(do("a", "x"), Barrier("r", ["x"])),
            Sequential(do("b", "y"), Barrier("r", ["x", "y"])),
        ),
        "barrier-twice",
        "requires x, y at 0/1/1:r and x at 0/0/1:r; it is one barrier",
    ),
    (
        Conditional(field("land"), {"DE": do("a")}),
        "no-otherwise",
        "the Conditional at 0 on field.'land'. has no otherwise",
    ),
    (do("a", input=result("z")), "result", "reads the result of 'z', but no step has that name"),
    (do("a", input=result("a")), "result", "reads the result of 'a', which is itself"),
    (Sequential(do("a", input=result("b")), do("b")), "result", "of 'b', which may run later"),
    (Parallel(do("a", input={"x": [result("b")]}), do("b")), "result", "which may run later"),
    (
        Conditional(field("p") == 1, do("a"), otherwise=do("b", input=result("a"))),
        "result",
        "but no execution has both",
    ),
    (
        Sequential(Conditional(result("b", "ok") == True, do("a")), do("b")),  # noqa: E712 - data
        "result",
        "Conditional .0/0. reads the result of 'b', which may run later",
    ),
    (
        Step("a", agent="x", compensation=Compensation("u", input=result("b"))),
        "result",
        "reads the result of 'b', but no step",
    ),
]


@pytest.mark.parametrize(("plan", "rule", "message"), REFUSED)
def test_a_refusal_names_the_step_and_the_rule(plan: Node, rule: str, message: str) -> None:
    assert rules(plan) == [rule] * len(rules(plan))
    with pytest.raises(PlanError, match=message) as caught:
        check_plan(plan)
    assert f"[{rule}]" in str(caught.value)
    assert isinstance(caught.value, (FlowlabError, ValueError))


def test_every_rule_has_a_plan_that_breaks_it() -> None:
    elsewhere = {"unknown-agent", "unknown-predicate"}
    assert {rule for _, rule, _ in REFUSED} | elsewhere == PLAN_RULES.keys()


def test_an_agent_that_is_unknown_is_named_with_those_that_are() -> None:
    plan = Sequential(
        Step("a", agent="x", compensation=Compensation("undo", agent="z")),
        Barrier("r", ["x"]),
        do("b", "y"),
    )
    assert rules(plan) == []
    assert rules(plan, agents=["x", "y", "z"]) == []
    assert rules(plan, agents=["y"]) == ["unknown-agent"] * 3
    assert rules(Plan(plan, agents=["x", "y"])) == ["unknown-agent"]
    with pytest.raises(PlanError, match="compensation of step 'a' .* agent 'z'; there is x, y"):
        check_plan(plan, agents=["x", "y"])
    with pytest.raises(PlanError, match="got the text 'xy'"):
        check_plan(plan, agents="xy")


def test_a_named_predicate_is_looked_for_where_functions_are_registered() -> None:
    plan = Conditional(named("urgent") & ~named("paid"), do("a"))
    assert rules(plan) == []
    assert rules(plan, predicates=Predicates(urgent=bool)) == ["unknown-predicate"]
    assert rules(plan, predicates=Predicates(urgent=bool, paid=bool)) == []


def test_a_barrier_between_a_compensable_step_and_a_pivot_beside_it_makes_the_plan_right() -> None:
    def plan(*meeting: Barrier) -> Node:
        return Parallel(
            Sequential(do("book", "hotel"), *meeting),
            Sequential(do("quote", "bank"), *meeting, pivot("charge", "bank")),
        )

    assert rules(plan()) == ["compensable-after-pivot"]
    assert rules(plan(Barrier("booked", ["hotel", "bank"]))) == []
    assert rules(plan(Barrier("booked", ["bank"]))) == ["compensable-after-pivot"]


def test_a_result_may_be_read_behind_a_barrier_that_its_step_is_before() -> None:
    meet = Barrier("meet", ["x", "y"])
    plan = Parallel(
        Sequential(do("a", "x"), meet),
        Sequential(do("b", "y"), meet, do("c", "y", input=result("a"))),
    )
    assert rules(plan) == []


def test_an_error_shows_the_first_five_problems_and_counts_the_rest() -> None:
    plan = Sequential(*(Step(f"s{i}", agent="x") for i in range(8)))
    with pytest.raises(PlanError, match="and 3 more; plan_problems") as caught:
        check_plan(plan)
    assert str(caught.value).count("[no-compensation]") == 5


def test_alternatives_with_barriers_have_a_limit_with_a_name() -> None:
    one = Conditional(field("p") == 1, Sequential(do("a"), Barrier("r", ["a"])))
    nodes = [one] * MAX_BARRIER_CHOICES.bit_length()
    with pytest.raises(LimitError, match="MAX_BARRIER_CHOICES = 1024"):
        check_plan(numbered(Parallel(*nodes)))
    assert rules(numbered(Parallel(*nodes[:-2]))) == []
