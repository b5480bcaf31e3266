"""What a run shows of itself in a notebook."""

from __future__ import annotations

import re
from pathlib import Path

from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, Run, Start, World, simulate
from flowlab.simulation.run import MAX_SHOWN
from flowlab.store import EventStore
from flowlab.workflow import Choreography, Plan, Reaction, Step, WorkflowContext, workflow

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


@workflow
async def audit(ctx: WorkflowContext, request: int) -> int:
    return await ctx.call_activity("pay", request, agent="bank")


@audit.compensate
async def unaudit(ctx: WorkflowContext, done: int) -> None:
    await ctx.call_activity("pay", done, agent="bank")


@workflow(name="late audit")
async def another(ctx: WorkflowContext, request: int) -> int:
    return await ctx.call_activity("pay", request, agent="bank")


def test_worlds_that_were_given_no_name_are_told_apart_by_their_workflows(tmp_path: Path) -> None:
    bank, clerk = (Agent(name, named={"pay": pay}) for name in ("bank", "clerk"))
    once = Step("pay", agent="bank", kind="pivot")
    placed = Reaction("bank", on="Placed", emits="Paid", activity="pay", kind="pivot")
    order = Choreography(placed, start="Placed", final="Paid")
    worlds = [
        World([bank], audit, 0),
        World([bank], another, 0),
        World([bank], [audit, another], 0),
        World([bank], Plan(once, name="pay"), 0),
        World([bank], once, 0),
        World([bank, clerk], Step("pay", agent="clerk", kind="pivot"), 0),
        World([bank], order, 0),
    ]
    runs = [simulate(world, seed=7) for world in worlds]
    names = [run.run_id for run in runs]
    assert names[:4] == ["audit-7", "late_audit-7", "audit+late_audit-7", "pay-7"]
    assert [re.sub("[0-9a-f]{8}", "X", name) for name in names[4:]] == [
        "plan-X-7",
        "plan-X-7",
        "choreography-X-7",
    ]
    assert len(set(names)) == len(worlds)
    with EventStore(tmp_path) as store:
        for run in runs:
            run.save(store)
        assert {run.run_id for run in store.runs} == set(names)
    again = [simulate(World([bank, clerk], once, 0), seed=7).run_id for _ in range(2)]
    assert again == [names[4]] * 2


def test_a_world_of_many_workflows_has_a_name_of_bounded_length() -> None:
    bank = Agent("bank", named={"pay": pay})
    plans = [Plan(Step("pay", agent="bank", kind="pivot"), name=f"pay-{n}") for n in range(40)]
    names = {simulate(World([bank], plans[:count], 0)).run_id for count in (39, 40)}
    assert len(names) == 2
    assert all(name.startswith("pay-0+") and len(name) < 80 for name in names)
