"""Independent branches of one plan come back side by side as they come back with the whole."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_hosts import PlanHost, driven, moody
from workflow_host import ID

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.branches import independent_branches, recover_branches
from flowlab.workflow import (
    Barrier,
    Conditional,
    Node,
    Parallel,
    PlanExecution,
    Program,
    RetryPolicy,
    Sequential,
    Step,
    result,
)
from flowlab.workflow import field as of_state

RETRY = RetryPolicy(maximum_attempts=9)


@st.composite
def branching(draw: st.DrawFn) -> Program:
    """Return plans of branches that stand alone, between steps before and a step after.

    They may read what the steps before have come to.
    """
    branches = []
    for number in range(draw(st.integers(2, 3))):
        nodes: list[Node] = []
        for place in range(draw(st.integers(1, 4))):
            name = f"b{number}s{place}"
            reads: list[Any] = [result(f"b{number}s0")] if place and draw(st.booleans()) else [1]
            if draw(st.integers(0, 2)) == 0:
                reads.append(result(draw(st.sampled_from(["before", "first"]))))
            step = Step(name, agent=f"a{number}", effect=False, input=reads, retry=RETRY)
            maybe = place > 0 and draw(st.integers(0, 3)) == 0
            nodes.append(Conditional(of_state("p") == 1, step) if maybe else step)
        branches.append(Sequential(*nodes))
    first = Step("first", agent="z", effect=False, retry=RETRY)
    before = Step("before", agent="z", effect=False, input=result("first"), retry=RETRY)
    after = Step("after", agent="z", effect=False, retry=RETRY)
    point = draw(st.sampled_from([None, "met"]))
    return Program.of(Sequential(first, before, Parallel(*branches, sync_point=point), after))


@settings(max_examples=20)
@given(branching(), st.integers(0, 1_000))
def test_branches_hold_what_a_replay_of_the_whole_has_of_them(program: Program, seed: int) -> None:
    host = PlanHost(code=program, answer=moody(seed), pick=random.Random(seed).randrange)
    driven(host, seed, value={"p": seed % 2})
    with ThreadPoolExecutor(2) as pool:
        for upto in range(1, len(host.history) + 1):
            whole = PlanExecution(program, ID)
            whole.advance(host.history[:upto])
            instance: Any = whole.instance
            if instance.phase != 0:
                break
            found = recover_branches(
                program, host.history[:upto], executor=pool if upto % 2 else None
            )
            names = [name for state in found for name in state.steps]
            results: dict[str, Any] = {}
            for state in found:
                results |= state.results
            assert results == {k: v for k, v in instance.results.items() if k in names}
            flying = {name for state in found for name in state.in_flight}
            mine = {step.name for step in instance.in_flight if step.name in names}
            assert flying == mine


def test_branches_go_to_other_processes() -> None:
    plan = Parallel(Step("a", agent="x", effect=False), Step("b", agent="y", effect=False))
    host = PlanHost(code=plan)
    host.begin(None)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = recover_branches(plan, host.history, executor=pool)
    assert [state.in_flight for state in found] == [("a",), ("b",)]
    assert repr(found[0]) == "BranchState(0 of 1 step done, 1 in flight)"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Step("a", agent="x", effect=False), "has no branches"),
        (
            Parallel(Step("a", agent="x", effect=False), Step("b", agent="x", effect=False)),
            "agent 'x' works on more than one",
        ),
        (
            Sequential(
                Conditional(of_state("p") == 1, Step("a", agent="x", effect=False)),
                Parallel(
                    Step("b", agent="y", effect=False, input=result("a")),
                    Step("c", agent="z", effect=False),
                ),
            ),
            "step 'b' reads the result of 'a'",
        ),
        (
            Sequential(
                Conditional(of_state("p") == 1, Step("a", agent="x", effect=False)),
                Step("then", agent="x", effect=False, input=result("a")),
                Parallel(
                    Step("b", agent="y", effect=False, input=result("then")),
                    Step("c", agent="z", effect=False),
                ),
            ),
            "step 'b' reads the result of 'a'",
        ),
        (
            Sequential(
                Step("a", agent="x", effect=False),
                Conditional(
                    result("a") == 1,
                    Parallel(
                        Step("b", agent="y", effect=False), Step("c", agent="z", effect=False)
                    ),
                ),
            ),
            "step 'b' reads the result of 'a'",
        ),
        (
            Parallel(
                Sequential(Step("a", agent="x", effect=False), Barrier("m", ["x", "y"])),
                Sequential(Step("b", agent="y", effect=False), Barrier("m", ["x", "y"])),
            ),
            "they meet at a barrier",
        ),
    ],
)
def test_branches_that_share_something_are_refused_with_what_it_is(plan: Node, said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        independent_branches(plan)


def test_a_plan_that_is_being_undone_is_recovered_as_a_whole() -> None:
    plan = Parallel(
        Step("a", agent="x", compensation="undo_a"), Step("b", agent="y", compensation="undo_b")
    )

    def answer(name: str, _value: Any, _attempt: int) -> Any:
        if name == "b":
            raise ValueError(name)
        return name

    host = driven(PlanHost(code=plan, answer=answer), 0, value=None)
    with pytest.raises(InvalidArgumentError, match="recover it as a whole"):
        recover_branches(plan, host.history)
