"""Cancellation: it reaches calls, children, timers and branches, and never what undoes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_host import ID, Host

from flowlab.errors import ActivityError, CancelledError, ChildWorkflowError
from flowlab.events import Cause, Event
from flowlab.workflow import (
    NO_RETRY,
    Execution,
    RetryPolicy,
    WorkflowContext,
    workflow,
)
from flowlab.workflow.handles import Promise


def causes_of(event: Event) -> list[int]:
    return [cause.sequence for cause in event.causes]


def of(host: Host, event_type: str) -> list[Event]:
    return [event for event in host.history if event.event_type == event_type]


def drained(host: Host) -> Host:
    while host.step():
        pass
    assert Execution(host.code, ID).advance(host.history) == ()
    return host


def refused(_name: str, _value: Any, _attempt: int) -> Any:
    message = "busy"
    raise TimeoutError(message)


# -- a request to stop -----------------------------------------------------------------------------


def test_a_request_to_stop_reaches_every_call_that_is_waited_for() -> None:
    @workflow
    async def fan(ctx: WorkflowContext, _: Any) -> None:
        async def branch() -> None:
            await ctx.call_activity("inner")

        await ctx.when_all(
            ctx.call_activity("work"), ctx.call_child_workflow("child"), ctx.sleep(9), branch()
        )

    host = Host(fan).start()
    asked = {event.name: event.sequence for event in host.history if event.name}
    host.tell("WorkflowCancelRequested", payload={"reason": "by hand"})
    request = host.history[asked["inner"]].sequence
    given_up = {
        event.name: (event.event_type, causes_of(event))
        for event in host.history
        if event.event_type in {"ActivityCancelRequested", "CancelInitiated", "TimerCanceled"}
    }
    (timer,) = of(host, "TimerStarted")
    assert given_up == {
        "work": ("ActivityCancelRequested", [asked["work"], request]),
        "inner": ("ActivityCancelRequested", [asked["inner"], request]),
        "child": ("CancelInitiated", [asked["child"], request]),
        "": ("TimerCanceled", [timer.sequence, request]),
    }
    (told,) = of(host, "CancelInitiated")
    assert told.data == {"workflow_id": "w/0.1", "reason": "by hand"}
    assert of(host, "ActivityCancelRequested")[0].payload is None
    assert drained(host).types[-1] == "WorkflowCanceled"
    assert host.end["reason"].endswith("by hand")


def test_what_nobody_waits_for_goes_on_and_its_answer_wakes_nobody() -> None:
    @workflow
    async def tidy(ctx: WorkflowContext, _: Any) -> Any:
        ctx.call_activity("aside")
        try:
            await ctx.call_activity("work")
        except CancelledError:
            return await ctx.call_activity("clean", 7)

    host = Host(tidy).start()
    host.tell("WorkflowCancelRequested")
    assert [event.name for event in of(host, "ActivityCancelRequested")] == ["work"]
    assert drained(host).end == {"result": 7}
    (clean,) = (event for event in of(host, "ActivityScheduled") if event.name == "clean")
    assert causes_of(clean) == [1, 4]


def test_an_activity_that_cannot_be_stopped_ends_as_it_ends() -> None:
    @workflow
    async def ask(ctx: WorkflowContext, _: Any) -> list[Any]:
        calls = [ctx.call_activity(name) for name in ("obeys", "finishes", "fails", "late")]
        await ctx.sleep(1)
        for call in calls:
            call.cancel("enough")
            call.cancel("twice is once")
        ends: list[Any] = []
        for call in calls:
            try:
                ends.append(await call)
            except (CancelledError, ActivityError) as error:
                ends.append(type(error).__name__)
        return ends

    host = Host(ask).start()
    timer = host.open.pop()
    host.tell("TimerFired", causes=(Cause(ID, timer.sequence),))
    assert len(of(host, "ActivityCancelRequested")) == 4
    calls = {event.name: (Cause(ID, event.sequence),) for event in host.open}
    host.open.clear()
    error = {"error": {"type": "OSError", "message": "broke"}}
    host.tell("ActivityCanceled", causes=calls["obeys"])
    host.tell("ActivityCompleted", payload={"result": 1}, causes=calls["finishes"])
    host.tell("ActivityFailed", payload=error, causes=calls["fails"])
    host.tell("ActivityTimedOut", causes=calls["late"])
    assert host.end == {"result": ["CancelledError", 1, "ActivityError", "ActivityError"]}


def test_a_call_that_waits_to_be_tried_again_is_given_up_at_once() -> None:
    @workflow
    async def stubborn(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("work", retry=RetryPolicy())

    host = Host(stubborn, refused).start()
    assert host.step()
    assert host.open[0].event_type == "TimerStarted"
    host.tell("WorkflowCancelRequested")
    assert host.types[-2:] == ["TimerCanceled", "WorkflowCanceled"]
    assert of(host, "TimerCanceled")[0].name == "work"
    assert drained(host).open == []


def test_an_attempt_in_flight_is_the_last_one_once_it_is_to_be_canceled() -> None:
    @workflow
    async def stubborn(ctx: WorkflowContext, _: Any) -> Any:
        call = ctx.call_activity("work", retry=RetryPolicy())
        call.cancel()
        try:
            await call
        except ActivityError as error:
            return error.error_type

    host = drained(Host(stubborn, refused, obey=lambda _name: False).start())
    assert host.types[1:3] == ["ActivityScheduled", "ActivityCancelRequested"]
    assert host.end == {"result": "TimeoutError"}
    assert len(of(host, "ActivityScheduled")) == 1


def test_a_timer_that_lost_is_canceled_and_fires_for_nobody() -> None:
    @workflow
    async def race(ctx: WorkflowContext, _: Any) -> str:
        work, timer = ctx.call_activity("work"), ctx.sleep(9)
        won = await ctx.when_any(work, timer)
        timer.cancel()
        await ctx.call_activity("after")
        return "work" if won is work else "timer"

    host = Host(race).start()
    (started,) = of(host, "TimerStarted")
    assert host.step()
    (canceled,) = of(host, "TimerCanceled")
    assert causes_of(canceled) == [started.sequence, 4]
    host.tell("TimerFired", causes=(Cause(ID, started.sequence),))
    assert drained(host).end == {"result": "work"}


@pytest.mark.parametrize("obey", [True, False])
def test_a_child_that_was_canceled_says_so_or_ends_as_it_ends(*, obey: bool) -> None:
    @workflow
    async def parent(ctx: WorkflowContext, _: Any) -> str:
        child = ctx.call_child_workflow("child", 5)
        await ctx.sleep(1)
        child.cancel("too slow")
        try:
            return f"ended with {await child}"
        except CancelledError as error:
            return str(error)

    host = Host(parent, pick=lambda count: count - 1, obey=lambda _name: obey).run()
    told = "child workflow 'w/0.1' was canceled: asked to"
    assert host.end == {"result": told if obey else "ended with 5"}


def test_a_branch_is_canceled_where_it_waits_and_an_event_goes_to_the_next_in_line() -> None:
    @workflow
    async def two(ctx: WorkflowContext, _: Any) -> list[Any]:
        seen: list[Any] = []

        async def listen(number: int) -> None:
            try:
                seen.append([number, await ctx.wait_for_event("go")])
            except CancelledError:
                seen.append([number, "canceled"])

        first, second = ctx.when_all(listen(1)), ctx.when_all(listen(2))
        await ctx.sleep(1)
        first.cancel()
        await ctx.when_all(first, second)
        return seen

    host = Host(two).start()
    assert host.step()
    host.tell("Signaled", name="go", payload={"value": "x"})
    assert host.end == {"result": [[1, "canceled"], [2, "x"]]}


def test_a_branch_that_has_not_begun_to_wait_is_interrupted_where_it_first_does() -> None:
    @workflow
    async def early(ctx: WorkflowContext, _: Any) -> str:
        async def branch() -> None:
            await ctx.call_activity("work")

        going = ctx.when_all(branch())
        going.cancel()
        try:
            await going
        except CancelledError:
            return "canceled"
        return "done"

    host = drained(Host(early).start())
    assert host.end == {"result": "canceled"}


def test_a_second_request_interrupts_the_cleaning_up_of_the_first() -> None:
    @workflow
    async def slow(ctx: WorkflowContext, _: Any) -> None:
        try:
            await ctx.call_activity("work")
        finally:
            await ctx.call_activity("clean")

    host = Host(slow).start()
    host.tell("WorkflowCancelRequested", payload={"reason": "first"})
    host.tell("WorkflowCancelRequested", payload={"reason": "second"})
    assert host.types[-1] == "WorkflowCanceled"
    assert host.end["reason"].endswith("second")
    assert [event.name for event in of(host, "ActivityCancelRequested")] == ["work", "clean"]


# -- sagas -----------------------------------------------------------------------------------------


@workflow
async def trip(ctx: WorkflowContext, _: Any) -> str:
    async with ctx.saga() as saga:
        await saga.step("flight", compensation="cancel_flight")
        await saga.step("hotel", compensation="cancel_hotel")
        await ctx.call_activity("wait")
    return "booked"


def test_no_request_to_stop_interrupts_the_undoing() -> None:
    host = Host(trip).start()
    assert host.step()
    assert host.step()
    host.tell("WorkflowCancelRequested", payload={"reason": "first"})
    assert host.step()  # `wait` is canceled, and the undoing begins
    host.tell("WorkflowCancelRequested", payload={"reason": "second"})
    assert [event.name for event in of(drained(host), "ActivityCancelRequested")] == ["wait"]
    assert [e.name for e in of(host, "CompensationScheduled")] == ["cancel_hotel", "cancel_flight"]
    assert len(of(host, "CompensationCompleted")) == 2
    assert host.types[-1] == "WorkflowCanceled"
    assert host.end["reason"].endswith("first")


def test_a_request_that_comes_during_the_undoing_reaches_code_that_goes_on_after_it() -> None:
    @workflow
    async def goes_on(ctx: WorkflowContext, _: Any) -> str:
        try:
            async with ctx.saga() as saga:
                await saga.step("flight", compensation="cancel_flight")
                await ctx.call_activity("fails")
        except ActivityError:
            await ctx.call_activity("another_way")
        return "went on"

    def answer(name: str, value: Any, _attempt: int) -> Any:
        return refused(name, value, 1) if name == "fails" else value

    host = Host(goes_on, answer).start()
    assert host.step()
    assert host.step()
    host.tell("WorkflowCancelRequested")
    assert drained(host).types[-1] == "WorkflowCanceled"
    assert [event.name for event in of(host, "ActivityCancelRequested")] == ["another_way"]
    assert len(of(host, "CompensationCompleted")) == 1


def test_a_workflow_does_not_end_before_the_sagas_of_its_branches_are_undone() -> None:
    @workflow
    async def race(ctx: WorkflowContext, _: Any) -> str:
        async def book() -> None:
            async with ctx.saga() as saga:
                await saga.step("flight", compensation="cancel_flight")
                await saga.step("hotel", compensation="cancel_hotel")

        await ctx.when_any(book(), ctx.sleep(1))
        return "in time"

    host = Host(race, pick=lambda count: count - 1).start()
    assert host.step()
    timer, _hotel = host.open
    host.open.remove(timer)
    host.tell("TimerFired", causes=(Cause(ID, timer.sequence),))
    assert not host.execution.closed
    assert drained(host).end == {"result": "in time"}
    (undone,) = of(host, "CompensationCompleted")
    assert causes_of(host.history[-1])[-1] == undone.sequence


def test_effects_that_a_branch_leaves_at_the_end_make_the_workflow_fail() -> None:
    def answer(name: str, value: Any, _attempt: int) -> Any:
        return refused(name, value, 1) if name == "cancel_flight" else value

    @workflow
    async def race(ctx: WorkflowContext, _: Any) -> str:
        async def book() -> None:
            async with ctx.saga() as saga:
                await saga.step("flight", compensation="cancel_flight", compensation_retry=NO_RETRY)
                await ctx.wait_for_event("never")

        await ctx.when_any(book(), ctx.wait_for_event("go"))
        return "in time"

    host = Host(race, answer).start()
    assert host.step()
    host.tell("Signaled", name="go")
    assert drained(host).types[-1] == "WorkflowFailed"
    assert host.end["uncompensated"] == ["flight"]


def test_a_failing_saga_gives_up_retries_and_does_not_wait_for_ever() -> None:
    def answer(name: str, value: Any, _attempt: int) -> Any:
        return value if name.startswith("undo") else refused(name, value, 1)

    @workflow
    async def stuck(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await ctx.when_all(
                saga.step("sure", kind="retryable", idempotent=True),
                saga.step("fails", compensation="undo"),
            )

    host = drained(Host(stuck, answer).start())
    assert host.types[-1] == "WorkflowFailed"
    assert [event.name for event in of(host, "TimerCanceled")] == ["sure"]


@given(
    when=st.integers(0, 12),
    seed=st.integers(0, 10**6),
    bad=st.sets(st.integers(0, 5), max_size=1),
    widths=st.lists(st.integers(1, 3), min_size=1, max_size=3),
)
def test_a_saga_that_is_canceled_undoes_exactly_what_was_done(
    when: int, seed: int, bad: set[int], widths: list[int]
) -> None:
    @workflow
    async def body(ctx: WorkflowContext, _: Any) -> str:
        number = 0
        async with ctx.saga() as saga:
            for width in widths:
                steps = []
                for _ in range(width):
                    steps.append(saga.step(f"s{number}", compensation=f"u{number}"))
                    number += 1
                await ctx.when_all(*steps)
        return "done"

    def answer(name: str, value: Any, _attempt: int) -> Any:
        return refused(name, value, 1) if name in {f"s{number}" for number in bad} else value

    rng = random.Random(seed)
    host = Host(body, answer, rng.randrange, obey=lambda _name: rng.random() < 0.5).start()
    for _ in range(when):
        host.step()
    if not host.execution.closed:
        host.tell("WorkflowCancelRequested")
    drained(host)
    done = [
        host.history[event.causes[0].sequence - 1].step_id
        for event in of(host, "ActivityCompleted")
    ]
    undone = [event.step_id for event in of(host, "CompensationScheduled")]
    if host.types[-1] == "WorkflowCompleted":
        assert undone == []
    else:
        assert undone == done[::-1]
        assert len(of(host, "CompensationCompleted")) == len(undone)


def test_a_result_that_is_not_json_is_how_the_workflow_failed() -> None:
    @workflow
    async def odd(_ctx: WorkflowContext, _: Any) -> Any:
        return {1, 2}

    host = Host(odd).run()
    assert host.types[-1] == "WorkflowFailed"
    assert host.end["error"]["type"] == "InvalidEventError"


def test_handles_and_errors_say_what_was_given_up() -> None:
    handle = Promise("a wish")
    handle.cancel()
    assert not handle.done
    assert ChildWorkflowError("it failed").uncompensated == ()


def test_what_a_branch_does_to_clean_up_after_the_end_reaches_nobody() -> None:
    @workflow
    async def race(ctx: WorkflowContext, _: Any) -> str:
        async def branch() -> None:
            timer = ctx.sleep(9)
            try:
                await ctx.wait_for_event("never")
            finally:
                timer.cancel()
                await ctx.call_activity("too_late")

        await ctx.when_any(branch(), ctx.call_activity("work"))
        return "done"

    host = Host(race, pick=lambda count: count - 1).start()
    assert [event.event_type for event in host.open] == ["ActivityScheduled", "TimerStarted"]
    host.open.pop()
    assert drained(host).end == {"result": "done"}
    assert "too_late" not in [event.name for event in host.history]
