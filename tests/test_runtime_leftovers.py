"""What a durable host owes those who hang, are refused, or have mistaken themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowlab import EventStore, Replayer, workflow
from flowlab.errors import (
    InvalidArgumentError,
    InvalidEventError,
    NonDeterminismError,
    WorkflowError,
)
from flowlab.events.codec import encode_json
from flowlab.runtime import Runtime
from flowlab.runtime.errands import Errands
from flowlab.runtime.families import Families
from flowlab.runtime.pooling import Pooling
from flowlab.workflow import Workflow, WorkflowContext


@pytest.mark.parametrize("part", [Errands, Families, Pooling])
def test_a_part_of_a_host_cannot_be_made_without_what_it_needs_of_the_whole(part: type) -> None:
    with pytest.raises(TypeError, match="_settle"):
        part()


@workflow
async def together(ctx: WorkflowContext, count: int) -> int:
    results = await ctx.when_all(*[ctx.call_activity("step", n) for n in range(count)])
    return await ctx.call_activity("step", sum(results))


@workflow
async def in_turn(ctx: WorkflowContext, count: int) -> int:
    whole = 0
    for call in [ctx.call_activity("step", n) for n in range(count)]:
        whole += await call
    return await ctx.call_activity("step", whole)


def step(value: int) -> int:
    return value


@pytest.mark.parametrize("code", [together, in_turn])
def test_a_workflow_waits_for_thousands_of_answers_and_goes_on_from_all_of_them(
    code: Workflow, tmp_path: Path
) -> None:
    # More than 4 096 answers were once more than an event could name as its causes: the workflow
    # could not go on, not even after a restart.
    count = 4_200
    with EventStore(tmp_path) as store:
        runtime = Runtime(store, code, activities=[step], where={"step": "inline"})
        assert runtime.run(code, count, id="w") == sum(range(count))
        log = store.read("/workflows/w/events")
        last = [event for event in log.events() if event.event_type == "ActivityScheduled"][-1]
        assert len(last.causes) == count
        assert Replayer([code]).replay(log).ok
        assert store.verify().ok


def no_loop() -> list[Any]:
    loop: list[Any] = [("a tuple is encoded with care",)]
    loop.append({"again": loop})
    return loop


@pytest.mark.parametrize("value", [no_loop()])
def test_a_value_that_holds_itself_is_refused_by_that_name(value: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidEventError, match=r"payload\[1\]\.again is a list that holds itself"):
        encode_json(value)
    with EventStore(tmp_path) as store:
        runtime = Runtime(store, together, activities=[step])
        with pytest.raises(InvalidEventError, match="is a list that holds itself"):
            runtime.run(together, value, id="w")


def test_values_that_are_only_shared_or_deep_are_told_from_those_that_hold_themselves() -> None:
    part = (1,)
    assert encode_json([part, part, {"x": part}]) == b'[[1],[1],{"x":[1]}]'
    deep: Any = (0,)
    for _ in range(250):
        deep = [deep]
    with pytest.raises(InvalidEventError, match="nested deeper than 200 levels") as refused:
        encode_json(deep)
    assert len(str(refused.value)) < 200


def test_a_runtime_takes_several_workflows_and_says_what_it_does_not_take(tmp_path: Path) -> None:
    with EventStore(tmp_path) as store:
        both = Runtime(store, together, in_turn, activities=[step])
        assert both.run("in_turn", 2, id="w") == 1
        for wrong in (step, "together", 7):
            with pytest.raises(InvalidArgumentError, match="is no workflow; give a @workflow"):
                Runtime(store, wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="is no workflow; give a @workflow"):
            Runtime(store, together, step)  # type: ignore[arg-type]
        for what in ("children", "processes", "threads"):
            with pytest.raises(InvalidArgumentError, match=f"{what} is 1000000; expected"):
                Runtime(store, together, **{what: 10**6})  # type: ignore[arg-type]


def test_a_query_that_is_no_function_or_has_no_state_to_ask_is_refused(tmp_path: Path) -> None:
    async def ask() -> None:
        async with Runtime(store, together, activities=[step]) as runtime:
            handle = await runtime.start(together, 1, id="w")
            with pytest.raises(InvalidArgumentError, match="'x'; expected a function of the state"):
                handle.query("x")  # type: ignore[arg-type]
            with pytest.raises(InvalidArgumentError, match="has no state to ask here"):
                handle.query(lambda state: state.done)
            assert await handle.result() == 0

    with EventStore(tmp_path) as store:
        asyncio.run(ask())


def test_a_list_given_to_when_all_is_refused_in_one_line(tmp_path: Path) -> None:
    @workflow
    async def listed(ctx: WorkflowContext, count: int) -> Any:
        return await ctx.when_all([ctx.call_activity("step", n) for n in range(count)])  # type: ignore[arg-type]

    with EventStore(tmp_path) as store:
        runtime = Runtime(store, listed, activities=[step])
        with pytest.raises(WorkflowError, match="give them one by one, not as a list") as refused:
            runtime.run(listed, 100, id="w")
        assert len(str(refused.value)) < 500


def test_code_that_changed_is_told_with_its_line_when_it_is_taken_up(tmp_path: Path) -> None:
    @workflow(name="trip")
    async def before(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("step", 1)
        await ctx.wait_for_event("go")

    @workflow(name="trip")
    async def after(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("step", 2)
        await ctx.wait_for_event("go")

    async def run(code: Workflow) -> None:
        with EventStore(tmp_path) as store:
            async with Runtime(store, code, activities=[step]) as runtime:
                await runtime.start(code, id="w")
                await runtime.quiet()

    asyncio.run(run(before))
    line = after.body.__code__.co_firstlineno + 2
    with pytest.raises(NonDeterminismError, match=rf"{Path(__file__).name}:{line}\.$"):
        asyncio.run(run(after))
