"""What a run shows of itself in a notebook."""

from __future__ import annotations

import re

from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, Run, Start, World, simulate
from flowlab.simulation.run import MAX_SHOWN
from flowlab.workflow import Step, WorkflowContext, workflow

STEP = Step("pay", agent="<bank>", kind="pivot")


def rows_of(run: Run) -> list[list[str]]:
    html = run._repr_html_()
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", html)]


def pay(value: int) -> str:
    return f"paid {value}"


def refuse() -> None:
    message = "the card is declined"
    raise ValueError(message)


def nothing_is_paid(run: Run) -> str:
    return f"{len(run.statuses)} <paid>"


def test_a_run_is_shown_as_a_table_of_what_is_wrong_and_how_each_workflow_ended() -> None:
    bank = Agent("<bank>", named={"pay": pay})
    starts = [Start(f"order-{n}") for n in range(MAX_SHOWN + 2)]
    run = simulate(World([bank], STEP, starts, invariants=[nothing_is_paid]))
    rows = rows_of(run)

    assert rows[0] == ["violated", "nothing_is_paid", f"{MAX_SHOWN + 2} &lt;paid&gt;"]
    assert rows[1] == ["workflow", "order-0", "completed: {&#x27;pay&#x27;: &#x27;paid None&#x27;}"]
    assert rows[-1] == ["workflow", "", "and 2 more"]
    assert f"<caption>Run(&#x27;{run.run_id}&#x27;" in run._repr_html_()


def test_the_table_of_a_run_says_why_a_workflow_failed() -> None:
    run = simulate(World([Agent("<bank>", named={"pay": refuse})], STEP))
    ((what, workflow, said),) = rows_of(run)
    assert (what, workflow) == ("workflow", "plan-1")
    assert said.startswith("failed: activity ")
    assert said.endswith("the card is declined")


def test_the_table_of_a_run_names_its_faults_and_who_is_stuck() -> None:
    run = simulate(SCENARIOS["order"], seed=5, faults={"loss": 0.15}, orders=2)
    assert [row[2] for row in rows_of(run) if row[0] == "fault"] == list(run.faults)

    never = simulate(World([Agent("<bank>", named={"pay": pay})], STEP, timeout=None),
                     faults={"loss": 1.0})  # fmt: skip
    assert [row[:2] for row in rows_of(never) if row[0] == "stuck"] == [["stuck", "plan-1"]]


def test_a_workflow_that_fails_by_a_defect_of_its_code_is_told_and_the_run_is_not_ok() -> None:
    @workflow
    async def broken(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activty("stamp")  # type: ignore[attr-defined]

    @workflow
    async def declined(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("refuse")

    clerk = Agent("clerk", refuse)
    run = simulate(World([clerk], broken))

    assert not run.ok
    assert str(run).splitlines()[1].startswith("defect: broken-1: AttributeError: ")
    assert simulate(World([clerk], declined)).ok
