"""Workflows for real: the same code, the same histories, and every step in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import recorded

from flowlab.errors import (
    ActivityError,
    CancelledError,
    FencedError,
    InvalidArgumentError,
    NonDeterminismError,
    NotFoundError,
    WorkflowError,
)
from flowlab.runtime import ActivityContext, Runtime
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, simulate
from flowlab.store import EventStore
from flowlab.workflow import Plan, RetryPolicy, Sequential, Step, WorkflowContext, workflow

QUICK = RetryPolicy(initial_interval=timedelta(milliseconds=1))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as opened:
        yield opened


@pytest.mark.parametrize("faults", [None, "network", "chaos"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_equal_answers_in_equal_order_give_the_history_of_the_simulation(
    name: str, faults: str | None, tmp_path: Path
) -> None:
    for seed in (3, 8):
        run = simulate(SCENARIOS[name], seed=seed, faults=faults)
        driven = recorded(SCENARIOS[name](), run.log, tmp_path / f"{seed}", seed=seed)

        log = driven.drive()

        assert log.history_digest == run.log.history_digest
        assert driven.store.verify().ok
        driven.store.close()


@workflow
async def count_up(ctx: WorkflowContext, steps: int) -> int:
    total = 0
    for step in range(steps):
        total += await ctx.call_activity("give", step)
    return total


def give(value: int) -> int:
    return value


def test_a_workflow_that_has_ended_is_not_run_again(store: EventStore) -> None:
    calls = []

    def count(value: int) -> int:
        calls.append(value)
        return value

    for _ in range(3):
        runtime = Runtime(store, count_up, activities={"give": count})
        assert runtime.run(count_up, 4, id="w") == 6
    assert calls == [0, 1, 2, 3]


@pytest.mark.parametrize("place", ["thread", "inline", "process"])
def test_a_function_gives_the_same_wherever_it_runs(store: EventStore, place: str) -> None:
    runtime = Runtime(store, count_up, activities=[give], where={"give": place})
    assert runtime.run(count_up, 3, id="w") == 3


def test_an_agents_state_is_what_its_transactions_left(store: EventStore) -> None:
    @workflow
    async def take(ctx: WorkflowContext, count: int) -> list[int]:
        return [await ctx.call_activity("take", agent="shelf") for _ in range(count)]

    def one(ctx: ActivityContext) -> int:
        ctx.state["left"] -= 1
        if ctx.state["left"] < 0:
            message = "nothing is left"
            raise ValueError(message)
        return int(ctx.state["left"])

    def shelf() -> Agent:
        return Agent("shelf", named={"take": one}, state={"left": 5})

    assert Runtime(store, take, agents=[shelf()]).run(take, 2, id="a") == [4, 3]
    assert Runtime(store, take, agents=[shelf()]).run(take, 3, id="b") == [2, 1, 0]
    with pytest.raises(WorkflowError, match="nothing is left"):
        Runtime(store, take, agents=[shelf()]).run(take, 1, id="c")
    assert store.sql("SELECT count(*) AS n FROM events WHERE agent_id = 'shelf'")["n"][0] == 12


def test_an_agent_does_one_thing_after_the_other_and_others_do_not_wait(store: EventStore) -> None:
    running: list[str] = []
    most: dict[str, int] = {}

    @workflow
    async def fan_out(ctx: WorkflowContext, _: Any) -> None:
        calls = [ctx.call_activity("work", agent=who) for who in ("one", "one", "many", "many")]
        await ctx.when_all(*calls)

    async def work(ctx: ActivityContext) -> None:
        running.append(str(ctx.agent))
        most[str(ctx.agent)] = max(most.get(str(ctx.agent), 0), running.count(str(ctx.agent)))
        await ctx.sleep(timedelta(milliseconds=5))
        running.remove(str(ctx.agent))

    runtime = Runtime(store, fan_out, agents={"one": work, "many": work}, at_once={"many": 2})
    runtime.run(fan_out, id="w")
    assert most == {"one": 1, "many": 2}


def test_attempts_share_a_key_and_two_calls_do_not(store: EventStore) -> None:
    keys: list[tuple[str, int]] = []

    @workflow
    async def twice(ctx: WorkflowContext, _: Any) -> None:
        for _ in range(2):
            await ctx.call_activity("fly", retry=QUICK)

    def fly(ctx: ActivityContext) -> None:
        keys.append((ctx.idempotency_key, ctx.attempt))
        if ctx.attempt == 1:
            message = "fog"
            raise OSError(message)

    Runtime(store, twice, activities=[fly]).run(twice, id="w")
    (first, _), (again, second), (other, _), _ = keys
    assert first == again != other
    assert second == 2


def test_a_result_that_is_no_json_fails_the_activity_and_says_so(store: EventStore) -> None:
    runtime = Runtime(store, count_up, activities={"give": lambda _: {1, 2}})
    with pytest.raises(WorkflowError, match="its result is no JSON value"):
        runtime.run(count_up, 1, id="w")
    failed = store.sql("SELECT payload FROM events WHERE event_type = 'ActivityFailed'")
    assert b"InvalidResult" in failed["payload"][0]


def test_nobody_to_ask_is_a_failure_of_the_activity(store: EventStore) -> None:
    with pytest.raises(WorkflowError, match="nobody carries out 'give'"):
        Runtime(store, count_up).run(count_up, 1, id="w")


def test_an_activity_that_is_not_answered_in_time_is_given_up_and_its_late_answer_shows(
    store: EventStore,
) -> None:
    @workflow
    async def patient(ctx: WorkflowContext, _: Any) -> str:
        try:
            await ctx.call_activity("dawdle", timeout=timedelta(milliseconds=5))
        except ActivityError as error:
            await ctx.sleep(timedelta(milliseconds=60))
            return type(error).__name__
        return "in time"

    async def dawdle(ctx: ActivityContext) -> str:
        await ctx.sleep(timedelta(milliseconds=30))
        return "late"

    assert Runtime(store, patient, activities=[dawdle]).run(patient, id="w") == "ActivityError"
    types = store.read("/workflows/w/events").to_polars()["event_type"].to_list()
    assert types.index("ActivityTimedOut") < types.index("ActivityCompleted")


def test_events_children_and_cancellation(store: EventStore) -> None:
    @workflow
    async def child(ctx: WorkflowContext, name: str) -> str:
        return str(await ctx.wait_for_event(name))

    @workflow
    async def parent(ctx: WorkflowContext, _: Any) -> list[str]:
        first = ctx.call_child_workflow(child, "go", workflow_id="c1")
        second = ctx.call_child_workflow(child, "never", workflow_id="c2")
        told = await first
        second.cancel("not needed")
        try:
            await second
        except CancelledError as error:
            return [told, type(error).__name__]
        return [told]

    async def whole() -> Any:
        async with Runtime(store, [parent, child]) as runtime:
            handle = await runtime.start(parent, id="p")
            assert handle.query()["waits_for"] == ["ChildWorkflowInitiated child"] * 2
            await runtime.raise_event("c1", "go", "gone")
            with pytest.raises(NotFoundError, match="no workflow 'nobody'"):
                await runtime.raise_event("nobody", "go")
            return await handle.result()

    assert asyncio.run(whole()) == ["gone", "CancelledError"]
    assert (
        store.sql("SELECT status FROM workflows WHERE workflow_id = 'c2'")["status"][0]
        == "canceled"
    )
    assert store.verify().ok


def test_what_waits_goes_on_in_another_runtime_and_timers_are_not_started_anew(
    store: EventStore,
) -> None:
    @workflow
    async def wait(ctx: WorkflowContext, _: Any) -> str:
        await ctx.sleep(timedelta(milliseconds=80))
        return str(await ctx.wait_for_event("go"))

    async def begin() -> None:
        async with Runtime(store, wait) as runtime:
            await runtime.start(wait, id="w")

    async def go_on() -> Any:
        async with Runtime(store, wait) as runtime:
            (handle,) = await runtime.recover()
            await handle.raise_event("go", "gone")
            return await handle.result()

    asyncio.run(begin())
    assert asyncio.run(go_on()) == "gone"
    events = store.read("/workflows/w/events").events()
    started, fired = events[1], next(e for e in events if e.event_type == "TimerFired")
    assert fired.time_ns - started.time_ns >= 80e6


def test_an_effect_that_may_have_happened_is_named_before_it_is_repeated(
    store: EventStore,
) -> None:
    begun: list[tuple[str, int]] = []

    async def hang(ctx: ActivityContext) -> str:
        begun.append((ctx.idempotency_key, ctx.delivery))
        if ctx.idempotency_key == "w/work.2" and ctx.delivery < 3:
            await asyncio.sleep(3600)
        return "done"

    @workflow
    async def once(ctx: WorkflowContext, _: Any) -> list[str]:
        first = ctx.call_activity("work", agent="ann")
        second = ctx.call_activity("work", agent="ann")
        return list(await ctx.when_all(first, second))

    async def stopped() -> None:
        async with Runtime(store, once, agents={"ann": {"work": hang}}) as runtime:
            await runtime.start(once, id="w")
            await asyncio.sleep(0.02)

    asyncio.run(stopped())
    asyncio.run(stopped())
    runtime = Runtime(store, once, agents={"ann": {"work": hang}})
    assert runtime.run(once, id="w") == ["done", "done"]
    assert begun[:3] == [("w/work.2", 1), ("w/work.2", 2), ("w/work.2", 3)]
    named = [
        [effect["key"] for effect in event.data["uncertain"]]
        for event in store.read("/workflows/%40w/events").events()
    ]
    # The second one waited behind the first: it was not begun, and is not said to be uncertain.
    assert named == [["w/work.2"], ["w/work.2"]]


def test_an_effect_that_is_not_to_be_repeated_fails_instead(store: EventStore) -> None:
    calls = []

    async def charge(ctx: ActivityContext) -> None:
        calls.append(ctx.delivery)
        await asyncio.sleep(3600)

    @workflow
    async def pay(ctx: WorkflowContext, _: Any) -> str:
        try:
            await ctx.call_activity("charge")
        except ActivityError as error:
            return str(error)
        return "paid"

    async def stopped() -> None:
        async with Runtime(store, pay, activities=[charge]) as runtime:
            await runtime.start(pay, id="w")
            await asyncio.sleep(0.02)

    asyncio.run(stopped())
    runtime = Runtime(store, pay, activities=[charge], uncertain={"charge": "fail"})
    assert "may have happened" in runtime.run(pay, id="w")
    assert calls == [1]


def test_two_runtimes_on_one_store_are_told_apart(store: EventStore) -> None:
    @workflow
    async def wait(ctx: WorkflowContext, _: Any) -> str:
        return str(await ctx.wait_for_event("go"))

    async def both() -> None:
        async with Runtime(store, wait) as older:
            handle = await older.start(wait, id="w")
            with EventStore(store.path) as second:
                async with Runtime(second, wait) as newer:
                    (taken,) = await newer.recover()
                    with pytest.raises(FencedError):
                        await older.raise_event("w", "go", 1)
                    with pytest.raises(FencedError):
                        await handle.result()
                    await taken.raise_event("go", 2)
                    assert await taken.result() == "2"

    asyncio.run(both())


def test_changed_code_stops_its_workflow_and_no_other(store: EventStore) -> None:
    @workflow(name="a")
    async def before(ctx: WorkflowContext, _: Any) -> Any:
        await ctx.call_activity("give", 1)
        return await ctx.wait_for_event("go")

    @workflow(name="a")
    async def after(ctx: WorkflowContext, _: Any) -> Any:
        await ctx.call_activity("give", 2)
        return await ctx.wait_for_event("go")

    async def begin() -> None:
        async with Runtime(store, [before, count_up], activities=[give]) as runtime:
            await runtime.start(before, id="changed")
            await asyncio.sleep(0.05)

    async def go_on() -> None:
        async with Runtime(store, [after, count_up], activities=[give]) as runtime:
            with pytest.raises(NonDeterminismError, match="differ in arguments"):
                await runtime.start(after, id="changed")
            other = await runtime.start(count_up, 3, id="other")
            assert await other.result() == 3

    asyncio.run(begin())
    asyncio.run(go_on())
    assert store.sql("SELECT status FROM workflows WHERE workflow_id = 'changed'").height == 1


def test_a_plan_runs_for_real_and_compensates(store: EventStore) -> None:
    undone: list[str] = []
    plan = Plan(
        Sequential(
            Step("room", agent="hotel", activity="book", compensation="cancel"),
            Step("charge", agent="bank", kind="pivot"),
        ),
        name="trip",
    )

    def charge() -> None:
        message = "declined"
        raise ValueError(message)

    def cancel(ctx: ActivityContext) -> None:
        undone.append(ctx.idempotency_key)

    agents = {"hotel": {"book": lambda: "12A", "cancel": cancel}, "bank": {"charge": charge}}
    with pytest.raises(WorkflowError, match="declined"):
        Runtime(store, plan, agents=agents).run(plan, id="t")
    assert undone == ["t/~room"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"activities": [lambda value: value]}, "no name of its own"),
        ({"activities": [give], "where": {"give": "moon"}}, "places are"),
        ({"activities": [give], "where": {"take": "thread"}}, "nobody carries out"),
        ({"activities": {"give": lambda v: v}, "where": {"give": "process"}}, "another process"),
        ({"agents": {"ann": give}, "at_once": {"ann": 0}}, "at_once"),
        ({"agents": [3]}, "is no agent"),
        ({"uncertain": "hope"}, "repeat or fail"),
        ({"threads": 0}, "threads"),
    ],
)
def test_what_a_runtime_cannot_use_is_refused_with_what_it_expects(
    store: EventStore, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        Runtime(store, count_up, **arguments)


def test_another_input_under_an_id_that_is_known_is_told_of(store: EventStore) -> None:
    runtime = Runtime(store, count_up, activities=[give])
    assert runtime.run(count_up, 3, id="w") == 3
    with pytest.warns(RuntimeWarning, match="was started with the input 3 and keeps it"):
        assert Runtime(store, count_up, activities=[give]).run(count_up, 4, id="w") == 3


def test_workflows_that_have_ended_do_not_fill_the_memory(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlab.runtime.turns.MAX_ENDED", 3)

    async def many() -> None:
        async with Runtime(store, count_up, activities=[give], where={"give": "inline"}) as runtime:
            handles = [await runtime.start(count_up, 2, id=f"w{n}") for n in range(9)]
            assert [await handle.result() for handle in handles] == [1] * 9
            assert len(runtime._host.instances) == 3
            # What is not in memory is read: nothing is run again.
            again = await runtime.start(count_up, 2, id="w0")
            assert (again.status, await again.result()) == ("completed", 1)
            assert await handles[0].result() == 1

    asyncio.run(many())
    assert len(store.sql("SELECT * FROM activities")) == 18


def test_run_within_a_loop_says_what_to_write(store: EventStore) -> None:
    async def inside() -> None:
        Runtime(store, count_up, activities=[give]).run(count_up, 1, id="w")

    with pytest.raises(InvalidArgumentError, match=r"await runtime.start"):
        asyncio.run(inside())
