"""Children in sagas: a completed one is undone by its compensation, another one canceled."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_host import ID, Host

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, Event
from flowlab.workflow import (
    NO_RETRY,
    CompensationResult,
    Execution,
    Saga,
    WorkflowContext,
    workflow,
)


@workflow
async def hotel(ctx: WorkflowContext, nights: int) -> Any:
    return await ctx.call_activity("reserve", nights)


@hotel.compensate
async def undo_hotel(ctx: WorkflowContext, given: Any) -> None:
    await ctx.call_activity("release", given["result"])


def of(host: Host, event_type: str) -> list[Event]:
    return [event for event in host.history if event.event_type == event_type]


def failing(*names: str, says: dict[str, Any] | None = None) -> Any:
    def answer(name: str, _value: Any, _attempt: int) -> Any:
        if name in names:
            raise RuntimeError(name)
        return (says or {}).get(name, {"did": name})

    return answer


def test_a_workflow_declares_the_one_that_undoes_it_and_only_one() -> None:
    assert hotel.compensation is undo_hotel
    assert repr(undo_hotel) == "Workflow('hotel.compensate')"
    with pytest.raises(InvalidArgumentError, match="has a compensation already"):
        hotel.compensate(undo_hotel.body)
    with pytest.raises(InvalidArgumentError, match="async"):
        workflow(undo_hotel.body).compensate(print)  # type: ignore[arg-type]


def test_a_completed_child_is_undone_by_running_its_compensation_as_a_child() -> None:
    seen: list[Saga] = []

    @workflow(unchecked="the test looks inside")
    async def trip(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            seen[:] = [saga]
            await saga.child(hotel, 3)
            await saga.step("charge", kind="pivot")

    host = Host(trip, failing("charge")).run()
    first, second = of(host, "ChildWorkflowInitiated")
    assert (first.name, first.step_id, first.coordination_id) == ("hotel", "hotel", "w#0.1")
    assert (second.name, second.step_id) == ("hotel.compensate", "hotel")
    assert second.data == {
        "workflow_id": "w/0.2",
        "input": {"input": 3, "result": {"did": "hotel"}},
    }
    assert host.types[-1] == "WorkflowFailed"
    assert "uncompensated" not in host.end
    assert seen[0].outcomes == {"hotel": CompensationResult.COMPENSATED}


@pytest.mark.parametrize("completes", [True, False])
def test_a_child_in_flight_is_canceled_its_end_awaited_and_undone_if_it_has_completed(
    *, completes: bool
) -> None:
    @workflow
    async def trip(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await ctx.when_all(saga.child(hotel, 3), saga.step("fails", kind="pivot"))

    pick = [1, 0, 0].pop
    host = Host(trip, failing("fails"), obey=lambda _name: not completes)
    host.pick = lambda count: min(count - 1, pick(0) if count > 1 else 0)
    host.run()
    (canceled,) = of(host, "CancelInitiated")
    assert canceled.data["workflow_id"] == "w/0.1"
    assert [event.name for event in of(host, "ChildWorkflowInitiated")] == (
        ["hotel", "hotel.compensate"] if completes else ["hotel"]
    )
    assert len(of(host, "ChildWorkflowCanceled")) == (0 if completes else 1)
    assert host.types[-1] == "WorkflowFailed"
    assert "uncompensated" not in host.end


def test_a_child_that_failed_and_left_effects_makes_its_parent_say_so() -> None:
    @workflow
    async def trip(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.step("flight", compensation="cancel_flight")
            await saga.child(hotel, 3)

    host = Host(trip, failing()).start()
    assert host.step()
    child = host.open.pop()
    payload = {"error": {"type": "X", "message": "lost"}, "uncompensated": ["room"]}
    host.tell("ChildWorkflowFailed", payload=payload, causes=(Cause(ID, child.sequence),))
    while host.step():
        pass
    assert [event.name for event in of(host, "CompensationScheduled")] == ["cancel_flight"]
    assert host.end["uncompensated"] == ["hotel"]


def test_a_compensation_says_what_it_found_and_a_failed_one_leaves_its_effect() -> None:
    seen: list[Saga] = []

    @workflow(unchecked="the test looks inside")
    async def trip(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga(go_on=True) as saga:
            seen[:] = [saga]
            for name in ("plain", "empty", "says", "raises"):
                await saga.step(name, compensation=f"undo_{name}", compensation_retry=NO_RETRY)
            await saga.child(hotel, name="odd", undo_with=lambda result: result["no such key"])
            await saga.child(hotel, name="never", compensation="undo_never")

    says = {
        "undo_empty": {"compensation": "nothing_to_do"},
        "undo_says": {"compensation": "failed"},
        "undo_plain": {"compensation": 7},
    }
    # The last child is among those that fail; it shares its workflow's name with the one before.
    asked = {"hotel": 0}
    plain = failing("undo_raises", says=says)

    def answer(name: str, value: Any, attempt: int) -> Any:
        asked["hotel"] += name == "hotel"
        if asked["hotel"] == 2 and name == "hotel":
            raise RuntimeError(name)
        return plain(name, value, attempt)

    host = Host(trip, answer).run()
    result = CompensationResult
    assert seen[0].outcomes == {
        "plain": result.COMPENSATED,
        "empty": result.NOTHING_TO_DO,
        "says": result.FAILED,
        "raises": result.FAILED,
        "odd": result.FAILED,
        "never": result.NOTHING_TO_DO,
    }
    assert host.end["uncompensated"] == ["odd", "raises", "says"]


def test_what_undoes_a_child_is_never_canceled() -> None:
    @workflow
    async def trip(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.child(hotel, 3)
            raise ValueError

    host = Host(trip, failing()).start()
    assert host.step()
    host.tell("WorkflowCancelRequested")
    while host.step():
        pass
    assert of(host, "CancelInitiated") == []
    assert host.types[-1] == "WorkflowFailed"
    assert Execution(trip, ID).advance(host.history) == ()


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"workflow": "hotel"}, "needs a compensation"),
        ({"workflow": 7}, "by @workflow or by its name"),
        ({"workflow": hotel, "kind": "pivot", "compensation": "undo"}, "never undone"),
    ],
)
def test_a_child_step_that_breaks_a_rule_is_not_begun(fields: dict[str, Any], rule: str) -> None:
    @workflow
    async def odd(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.child(**fields)

    assert rule in Host(odd).start().end["error"]["message"]


def test_a_child_may_be_the_pivot_and_is_then_never_undone() -> None:
    @workflow
    async def trip(ctx: WorkflowContext, _: Any) -> str:
        async with ctx.saga() as saga:
            await saga.child(hotel, 3, kind="pivot")
            await saga.child("mail", kind="retryable")
        return "booked"

    host = Host(trip, failing()).run()
    assert host.end == {"result": "booked"}
    assert [event.name for event in of(host, "PivotReached")] == ["hotel"]


@given(
    kinds=st.lists(st.booleans(), min_size=1, max_size=5),
    bad=st.integers(0, 6),
    seed=st.integers(0, 10**6),
    together=st.booleans(),
    parallel=st.booleans(),
)
def test_a_saga_of_steps_and_children_undoes_exactly_what_completed(
    *, kinds: list[bool], bad: int, seed: int, together: bool, parallel: bool
) -> None:
    seen: list[Saga] = []

    @workflow(unchecked="the test looks inside")
    async def body(ctx: WorkflowContext, _: Any) -> str:
        async with ctx.saga(parallel=parallel) as saga:
            seen[:] = [saga]

            def do(number: int) -> Any:
                how = saga.child if kinds[number] else saga.step
                return how(f"s{number}", compensation=f"u{number}")

            if together:
                await ctx.when_all(*map(do, range(len(kinds))))
            for number in [] if together else range(len(kinds)):
                await do(number)
            await ctx.call_activity("last")
        return "done"

    rng = random.Random(seed)
    names = {f"s{bad}", "last" if bad == len(kinds) else ""}
    obey = {"s0": rng.random() < 0.5}
    host = Host(body, failing(*names), rng.randrange, obey=lambda name: obey.get(name, True)).run()
    done = [
        host.history[event.causes[0].sequence - 1].name.removeprefix("s")
        for event in host.history
        if event.event_type in {"ActivityCompleted", "ChildWorkflowCompleted"}
        and host.history[event.causes[0].sequence - 1].name.startswith("s")
    ]
    undone = [e.name.removeprefix("u") for e in host.history if e.name.startswith("u")]
    if bad > len(kinds):
        assert host.end == {"result": "done"}
        assert seen[0].outcomes == {}
        return
    assert host.types[-1] == "WorkflowFailed"
    assert undone == done[::-1]
    begun = {str(event.step_id) for event in host.history if event.step_id}
    assert seen[0].outcomes == {
        step: CompensationResult.COMPENSATED
        if step[1:] in done
        else CompensationResult.NOTHING_TO_DO
        for step in begun
    }
    assert Execution(body, ID).advance(host.history) == ()
