"""Children in worlds: found with what undoes them, and telling their parents what is left."""

from __future__ import annotations

from typing import Any

from flowlab.simulation import Agent, World, simulate
from flowlab.workflow import NO_RETRY, WorkflowContext, workflow


@workflow
async def hotel(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_activity("reserve")


@hotel.compensate
async def undo_hotel(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_activity("release")


@workflow
async def careless(ctx: WorkflowContext, _: Any) -> None:
    async with ctx.saga() as saga:
        await saga.step("reserve", compensation="refuse", compensation_retry=NO_RETRY)
        await saga.step("refuse", kind="pivot")


@careless.compensate
async def undo_careless(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_activity("release")


def trip_of(child: Any) -> Any:
    @workflow
    async def trip(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.child(child)
            await saga.step("refuse", kind="pivot")

    return trip


def add(ctx: Any) -> None:
    ctx.state["rooms"] += 1


def subtract(ctx: Any) -> None:
    ctx.state["rooms"] -= 1


def refuse(_: Any) -> None:
    raise ValueError("no")  # noqa: EM101


def agent() -> Agent:
    named = {"reserve": add, "release": subtract, "refuse": refuse}
    return Agent("hotel", named=named, state={"rooms": 0})


def test_a_world_that_knows_a_workflow_knows_what_undoes_it() -> None:
    # A completed child was not undone: nobody had told the world of "hotel.compensate".
    world = World([agent()], [trip_of(hotel), hotel])

    run = simulate(world, seed=1)

    assert list(world.workflows) == ["trip", "hotel", "hotel.compensate"]
    assert run.statuses["trip-1"] == "failed"
    assert sorted(run.statuses.values()) == ["completed", "completed", "failed"]
    assert run.states["hotel"]["rooms"] == 0


def test_a_parent_hears_which_effects_its_failed_child_has_left() -> None:
    run = simulate(World([agent()], [trip_of(careless), careless]), seed=1)

    assert run.states["hotel"]["rooms"] == 1
    assert run.results["trip-1"]["uncompensated"] == ["careless"]
    (told,) = (e for e in run.log if e.event_type == "ChildWorkflowFailed")
    assert told.data["uncompensated"] == ["reserve"]
