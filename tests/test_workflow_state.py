"""The state machine: values, one table, and no way around it."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product

import pytest

from flowlab.errors import IllegalTransitionError
from flowlab.workflow import (
    TERMINAL,
    TRANSITIONS,
    AgentExecuting,
    Canceled,
    Compensating,
    Completed,
    ContinuedAsNew,
    Failed,
    Initiated,
    WorkflowState,
    transition,
    transition_table,
)

STATES: list[WorkflowState] = [
    Initiated(frozenset({"b", "a"})),
    AgentExecuting(frozenset({"a"}), ("book",)),
    Compensating(frozenset({"a"}), ("cancel",)),
    Completed({"book": 1}),
    Failed("no rooms", ("flight",)),
    Canceled("by hand"),
    ContinuedAsNew(1),
]


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_a_transition_is_taken_exactly_where_the_table_has_it(
    before: WorkflowState, after: WorkflowState
) -> None:
    if type(after) in TRANSITIONS[type(before)]:
        assert transition(before, after) is after
    else:
        with pytest.raises(IllegalTransitionError) as refused:
            transition(before, after)
        assert transition_table() in str(refused.value)
        assert f"{type(before).__name__} cannot become {type(after).__name__}" in str(refused.value)


def test_the_table_is_about_every_state_and_nothing_else() -> None:
    kinds = {type(state) for state in STATES}
    assert set(TRANSITIONS) == kinds
    assert {to for following in TRANSITIONS.values() for to in following} <= kinds


def test_every_state_is_reached_and_every_open_one_can_end() -> None:
    reached, fresh = {Initiated}, {Initiated}
    while fresh:
        fresh = {to for state in fresh for to in TRANSITIONS[state]} - reached
        reached |= fresh
    assert reached == set(TRANSITIONS)
    for state in set(TRANSITIONS) - TERMINAL:
        assert {Completed, Failed, Canceled} <= set(TRANSITIONS[state])
    assert TRANSITIONS[Failed] == TRANSITIONS[Canceled] == ()


def test_results_do_not_change_after_the_end() -> None:
    results = {"book": 1}
    state = Completed(results)
    results["book"] = 2
    assert state.results["book"] == 1
    with pytest.raises(TypeError):
        state.results["book"] = 3  # type: ignore[index]


def test_a_state_is_shown_alike_under_every_hash_seed() -> None:
    code = (
        "from flowlab.workflow import Initiated;"
        "print(Initiated(frozenset(['planner', 'airline', 'hotel'])))"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert shown == {"Initiated(agents={'airline', 'hotel', 'planner'})\n"}
