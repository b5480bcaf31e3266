"""Sagas in code: what was done is undone, in order, exactly once; and the rules of steps."""

from __future__ import annotations

import gc
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_host import ID, Host, NoAnswer

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause
from flowlab.workflow import NO_RETRY, SECOND, RetryPolicy, WorkflowContext, workflow


class Booked(Exception): ...  # noqa: N818 - a business reason, as an agent reports it


def failing(*names: str) -> Any:
    def answer(name: str, value: Any, _attempt: int) -> Any:
        if name in names:
            raise Booked(name)
        return {"id": f"{name}-{value}"}

    return answer


@workflow
async def trip(ctx: WorkflowContext, request: int) -> str:
    async with ctx.saga() as saga:
        await saga.step("flight", request, compensation="cancel_flight", agent="airline")
        await saga.step("hotel", request, compensation="cancel_hotel")
        await saga.step("charge", request, kind="pivot")
        await saga.step("mail", request, kind="retryable", idempotent=True)
    return "booked"


def names(host: Host, event_type: str) -> list[str]:
    return [event.name for event in host.history if event.event_type == event_type]


def test_a_saga_without_failure_commits_its_steps_and_undoes_nothing() -> None:
    host = Host(trip, failing()).run(7)
    assert host.end == {"result": "booked"}
    assert names(host, "SagaStepCommitted") == ["flight", "hotel", "charge", "mail"]
    assert names(host, "PivotReached") == ["charge"]
    assert names(host, "CompensationScheduled") == []
    assert {event.coordination_id for event in host.history if event.step_id} == {"w#0.1"}


def test_what_was_done_is_undone_in_reverse_with_its_results() -> None:
    host = Host(trip, failing("charge")).run(7)
    assert host.types[-1] == "WorkflowFailed"
    assert "uncompensated" not in host.end
    asked = [event for event in host.history if event.event_type == "CompensationScheduled"]
    assert [(event.name, event.step_id) for event in asked] == [
        ("cancel_hotel", "hotel"),
        ("cancel_flight", "flight"),
    ]
    assert asked[1].data == {
        "input": {"input": 7, "result": {"id": "flight-7"}},
        "attempt": 1,
        "agent": "airline",
    }


def test_after_the_pivot_nothing_is_undone_and_steps_are_tried_until_they_succeed() -> None:
    tries: list[int] = []

    def answer(name: str, _value: Any, attempt: int) -> Any:
        if name == "mail" and attempt < 20:
            tries.append(attempt)
            message = "busy"
            raise TimeoutError(message)
        return None

    host = Host(trip, answer).run(7)
    assert host.end == {"result": "booked"}
    assert tries == list(range(1, 20))
    assert names(host, "CompensationScheduled") == []


@pytest.mark.parametrize(("go_on", "left"), [(False, ["b", "a"]), (True, ["b"])])
def test_a_compensation_that_fails_for_good_stops_or_not_and_names_what_is_left(
    *, go_on: bool, left: list[str]
) -> None:
    @workflow
    async def three(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga(go_on=go_on) as saga:
            for name in "abc":
                await saga.step(name, compensation=f"undo_{name}", compensation_retry=NO_RETRY)
            message = "changed my mind"
            raise ValueError(message)

    host = Host(three, failing("undo_b")).run()
    assert host.types[-1] == "WorkflowFailed"
    assert host.end["uncompensated"] == left
    assert "changed my mind" in host.end["error"]["message"]
    assert len(names(host, "CompensationFailed")) == 1


def test_a_step_whose_time_ran_out_may_have_happened_and_is_undone() -> None:
    @workflow
    async def slow(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.step("charge", 5, compensation="refund", timeout=SECOND)

    host = Host(slow).start()
    host.tell("ActivityTimedOut", causes=(Cause(ID, 2),))
    while host.step():
        pass
    (undo,) = (event for event in host.history if event.event_type == "CompensationScheduled")
    assert undo.data["input"] == {"input": 5, "result": None}


@pytest.mark.parametrize("then", ["fails", "is canceled", "succeeds"])
def test_a_step_of_which_an_attempt_ran_out_of_time_is_undone_whatever_came_of_later_ones(
    then: str,
) -> None:
    """The first request lay in the mailbox of an agent that was down, and was begun in the end."""

    @workflow
    async def slow(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            retry = RetryPolicy(maximum_attempts=2)
            await saga.step("book", 5, compensation="cancel", timeout=SECOND, retry=retry)
            await saga.step("fails", kind="pivot")

    def answer(name: str, _value: Any, attempt: int) -> Any:
        if name == "book" and attempt == 1:
            raise NoAnswer
        if name == "fails" or (name == "book" and then == "fails"):
            raise Booked(name)
        return "booked"

    host = Host(slow, answer).start()
    while host.step():
        if then == "is canceled" and host.types[-2:] == ["TimerFired", "ActivityScheduled"]:
            host.tell("WorkflowCancelRequested")
    assert ("ActivityCanceled" in host.types) == (then == "is canceled")
    (undo,) = (event for event in host.history if event.event_type == "CompensationScheduled")
    result = "booked" if then == "succeeds" else None
    assert undo.data["input"] == {"input": 5, "result": result}


def test_steps_in_flight_are_waited_for_before_anything_is_undone() -> None:
    @workflow
    async def fan(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga(parallel=True) as saga:
            await ctx.when_all(
                saga.step("slow", compensation="undo_slow"),
                saga.step("fails", compensation="undo_fails"),
            )

    host = Host(fan, failing("fails"), pick=lambda count: count - 1).run()
    assert host.types.index("CompensationScheduled") > host.types.index("ActivityCompleted")
    assert names(host, "CompensationScheduled") == ["undo_slow"]


def test_cancelling_undoes_what_was_done() -> None:
    host = Host(trip, failing()).start(1)
    assert host.step()
    host.tell("WorkflowCancelRequested")
    while host.step():
        pass
    assert names(host, "CompensationScheduled")[-1] == "cancel_flight"
    assert host.types[-1] == "WorkflowCanceled"


# Beside the refusal Python told that a coroutine was never awaited, at another line.
@pytest.mark.parametrize("kind", ["steps", "children", "a list"])
def test_what_is_not_begun_since_something_beside_it_was_refused_is_not_warned_of(
    kind: str, recwarn: pytest.WarningsRecorder
) -> None:
    @workflow
    async def both(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            if kind == "steps":
                await ctx.when_all(
                    saga.step("book", 1, compensation="cancel"),
                    saga.step("book", 2, compensation="cancel"),
                )
            elif kind == "children":
                await ctx.when_all(
                    saga.child(trip, 1, compensation=trip), saga.child(trip, 2, compensation=trip)
                )
            else:
                await ctx.when_all(
                    saga.step("third", compensation="cancel"),
                    [saga.step(name, compensation="cancel") for name in ("one", "other")],  # type: ignore[arg-type]
                )

    assert Host(both, failing()).run().types == ["WorkflowStarted", "WorkflowFailed"]
    gc.collect()
    assert not [str(told.message) for told in recwarn]


def test_a_step_may_still_be_awaited_after_another_was_refused() -> None:
    @workflow
    async def goes_on(ctx: WorkflowContext, _: Any) -> Any:
        async with ctx.saga() as saga:
            first = saga.step("book", 1, compensation="cancel")
            with suppress(InvalidArgumentError):
                await saga.step("book", 2, compensation="cancel")
            return await first

    assert Host(goes_on, failing()).run().end == {"result": {"id": "book-1"}}


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, "needs a compensation"),
        ({"kind": "pivot", "compensation": "undo"}, "never undone"),
        ({"kind": "retryable"}, "idempotent=True"),
        ({"kind": "sure"}, "kinds are compensable, pivot, retryable"),
        ({"compensation": "undo", "name": "first"}, "another step has that name"),
    ],
)
def test_a_step_that_breaks_a_rule_is_not_begun(fields: dict[str, Any], rule: str) -> None:
    told: list[str] = []

    @workflow(unchecked="the test looks inside")
    async def wrong(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.step("first", compensation="undo")
            try:
                await saga.step("second", **fields)
            except InvalidArgumentError as error:
                told.append(str(error))

    host = Host(wrong).run()
    assert rule in told[0]
    assert names(host, "ActivityScheduled") == ["first"]


def test_after_the_pivot_no_step_is_compensable_and_no_other_a_pivot() -> None:
    @workflow
    async def late(ctx: WorkflowContext, kind: str) -> None:
        async with ctx.saga() as saga:
            await saga.step("charge", kind="pivot")
            compensation = "undo" if kind == "compensable" else None
            await saga.step("more", kind=kind, compensation=compensation)  # type: ignore[arg-type]

    for kind, rule in (("compensable", "after the pivot"), ("pivot", "was the pivot already")):
        host = Host(late).run(kind)
        assert rule in host.end["error"]["message"]


@given(
    bad=st.sets(st.integers(0, 5), max_size=2),
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
    parallel=st.booleans(),
)
def test_a_saga_that_fails_undoes_exactly_the_steps_that_were_done(
    *, bad: set[int], shape: list[int], seed: int, parallel: bool
) -> None:
    @workflow
    async def body(ctx: WorkflowContext, _: Any) -> str:
        number = 0
        async with ctx.saga(parallel=parallel) as saga:
            for width in shape:
                steps = []
                for _ in range(width):
                    steps.append(saga.step(f"s{number}", compensation=f"u{number}"))
                    number += 1
                await ctx.when_all(*steps)
        return "done"

    rng = random.Random(seed)
    host = Host(body, failing(*(f"s{number}" for number in bad)), pick=rng.randrange).run()
    done = [
        host.history[event.causes[0].sequence - 1].step_id
        for event in host.history
        if event.event_type == "ActivityCompleted"
    ]
    undone = [e.step_id for e in host.history if e.event_type == "CompensationScheduled"]
    if host.types[-1] == "WorkflowCompleted":
        assert undone == []
    else:
        assert sorted(map(str, undone)) == sorted(map(str, done))
        assert undone == done[::-1]
    assert bool(bad & set(range(sum(shape)))) == (host.types[-1] == "WorkflowFailed")
    replay = type(host.execution)(host.code, ID)
    assert replay.advance(host.history) == ()
