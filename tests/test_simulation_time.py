"""The laws of virtual time: how long a call takes, when a timeout fires, and who wins a tie."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from engine_worlds import FAULTS, SEEDS, types, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowlab.simulation import Agent, Faults, Network, Run, Start, World, simulate
from flowlab.simulation.call import Call
from flowlab.simulation.engine import Engine
from flowlab.workflow import SECOND, Plan, RetryPolicy, Step, WorkflowContext, workflow

TIMES = st.integers(0, 12)


def clerk(**options: Any) -> Agent:
    return Agent("clerk", named={"stamp": lambda _ctx, value: value}, **options)


def stamp(timeout: int | None = None) -> Plan:
    return Plan(Step("stamp", agent="clerk", kind="pivot", timeout=timeout), name="form")


def office(calls: list[tuple[int, int, int, int]], timeout: int | None = None) -> Run:
    """Run a call each: (start, request, service, reply)."""
    calls = sorted(calls, key=lambda call: call[0])
    world = World(
        [clerk()],
        stamp(),
        [Start(f"f{number}", at=call[0]) for number, call in enumerate(calls)],
        delays=lambda workflow_id, _: calls[int(workflow_id[1:])][1:],
        timeout=timeout,
    )
    return simulate(world)


@given(st.lists(st.tuples(TIMES, TIMES, TIMES, TIMES), max_size=12))
def test_an_agent_serves_first_come_first_served_one_at_a_time(
    calls: list[tuple[int, int, int, int]],
) -> None:
    calls = sorted(calls, key=lambda call: call[0])
    arrivals = sorted((at + request, at, n) for n, (at, request, _, _) in enumerate(calls))
    free, expected = 0, {}
    for arrived, _, n in arrivals:
        begun = max(free, arrived)
        free = begun + calls[n][2]
        expected[f"f{n}"] = (begun, begun - arrived, free, free + calls[n][3])

    run = office(calls)
    found: dict[str, list[int]] = {}
    for event in run.log:
        flow = event.coordination_id or event.workflow_id
        if event.event_type == "MessageReceived":
            found[flow] = [event.time_ns, event.data["waited_ns"]]
        elif event.event_type in {"TransactionCommitted", "ActivityCompleted"}:
            found[flow].append(event.time_ns)
    assert {flow: tuple(times) for flow, times in found.items()} == expected


@given(
    st.lists(st.tuples(TIMES, TIMES, TIMES), min_size=1, max_size=10),
    st.integers(1, 12),
)
def test_a_timeout_fires_exactly_then_unless_the_answer_came_before_whatever_others_do(
    calls: list[tuple[int, int, int]], timeout: int
) -> None:
    # An answer in the nanosecond of the timeout comes too late; whether it did depended on the
    # calls of other workflows with equal timeouts.
    calls = sorted(calls)
    run = office([(at, request, 0, reply) for at, request, reply in calls], timeout)
    for number, (at, request, reply) in enumerate(calls):
        ends = [
            (event.event_type, event.time_ns - at)
            for event in run.log
            if event.workflow_id == f"f{number}"
            and event.event_type in {"ActivityCompleted", "ActivityTimedOut"}
        ]
        answered = ("ActivityCompleted", request + reply)
        late = [("ActivityTimedOut", timeout), answered]
        assert ends == ([answered] if request + reply < timeout else late)


def plain_arm(engine: Engine, now_ns: int, call: Call, timeout_ns: int) -> None:
    """Arm a timeout as an entry of its own."""

    def fire(then_ns: int, armed: Call) -> None:
        if not armed.done:
            assert armed.driver is not None
            armed.driver.give_up(then_ns, armed)

    engine.at(now_ns + timeout_ns, fire, call)


@given(worlds(), SEEDS, FAULTS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_timeouts_in_queues_are_those_of_a_plain_agenda(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Engine, "arm", plain_arm)
        plain = simulate(world, seed=seed, faults=faults)

    assert run.digest == plain.digest


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=5))
def test_waiting_takes_exactly_as_long_as_it_says(steps: list[tuple[int, bool]]) -> None:
    @workflow
    async def sleeper(ctx: WorkflowContext, value: Any) -> Any:
        seen = [ctx.now_ns()]
        for duration, calls in value:
            if calls:
                await ctx.call_activity("stamp")
            else:
                await ctx.sleep(duration)
            seen.append(ctx.now_ns())
        return seen

    world = World(
        [clerk(service=3)], sleeper, [Start("s", steps, at=7)], network=Network(latency=2)
    )
    expected = [7]
    for duration, calls in steps:
        expected.append(expected[-1] + (2 + 3 + 2 if calls else duration))

    assert simulate(world).results == {"s": expected}


@given(st.integers(1, 4), st.integers(1, 3))
def test_a_retry_comes_after_its_interval_and_the_timeout_of_each_attempt(
    attempts: int, coefficient: int
) -> None:
    policy = RetryPolicy(
        maximum_attempts=attempts, initial_interval=SECOND, backoff_coefficient=coefficient
    )
    world = World(
        [clerk()], Step("stamp", agent="clerk", kind="pivot", retry=policy), timeout=5 * SECOND
    )
    run = simulate(world, faults=Faults(loss=1.0))
    times = [event.time_ns for event in run.log if event.event_type == "ActivityScheduled"]
    expected = [0]
    for attempt in range(attempts - 1):
        expected.append(expected[-1] + 5 * SECOND + SECOND * coefficient**attempt)

    assert times == expected
    assert run.end_ns == expected[-1] + 5 * SECOND


# -- limits ----------------------------------------------------------------------------------------


def letters(ctx: Any, value: Any) -> None:
    other = {"clerk": "friend", "friend": "clerk"}[ctx.agent]
    ctx.send(other, "write", value)


@workflow
async def renews(ctx: WorkflowContext, value: Any) -> None:
    ctx.continue_as_new(value)


@workflow
async def renews_after_a_call(ctx: WorkflowContext, value: Any) -> None:
    await ctx.call_activity("stamp")
    ctx.continue_as_new(value)


@workflow
async def insists(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_activity("stamp", retry=RetryPolicy(maximum_interval=SECOND), timeout=SECOND)


@workflow
async def never_rests(ctx: WorkflowContext, _: Any) -> None:
    while True:
        await ctx.sleep(0)


@workflow
async def has_children(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_child_workflow("has_children")


@workflow
async def writes(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_activity("write", agent="friend")


ENDLESS = [renews, renews_after_a_call, insists, never_rests, has_children, writes]


@pytest.mark.parametrize("code", ENDLESS, ids=lambda code: code.name)
def test_a_world_that_never_ends_is_stopped_at_its_most_events_and_says_so(code: Any) -> None:
    agents = [
        Agent(name, named={"stamp": lambda: None, "write": letters}) for name in ("clerk", "friend")
    ]
    world = World(agents, code, max_events=500)
    run = simulate(world, faults=Faults(hang=1.0) if code is insists else None)

    assert run.stopped == "max_events: it has more than 500 events"
    assert 500 < run.event_count < 700
    assert run.event_count == len(run.log)
    assert not run.ok
    if code is not writes:
        assert "open" in run.statuses.values()


@pytest.mark.parametrize("code", [insists, writes, renews_after_a_call], ids=lambda c: c.name)
def test_a_world_that_never_ends_is_stopped_at_its_longest_time_and_says_so(code: Any) -> None:
    agents = [
        Agent(name, named={"stamp": lambda: None, "write": letters}) for name in ("clerk", "friend")
    ]
    world = World(agents, code, max_time=SECOND)
    run = simulate(world, faults=Faults(hang=1.0) if code is insists else None)

    assert run.stopped == "max_time: it goes on after 1 s"
    assert run.end_ns <= SECOND
    assert max(event.time_ns for event in run.log) <= SECOND


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_limit_is_no_limit_to_what_ends_within_it(limit: int) -> None:
    world = World([clerk()], stamp(), max_events=limit)
    run = simulate(world)

    # It is looked at every 32 entries: a small world is over by then.
    assert (run.stopped, run.event_count) == ("", 7)


@pytest.mark.parametrize("last", [4 * SECOND, 4 * SECOND - 1, 4])
def test_what_begins_too_late_does_not_begin_and_what_was_answered_holds_nothing_up(
    last: int,
) -> None:
    starts = [Start("a"), Start("b", at=4 * SECOND)]
    run = simulate(World([clerk()], stamp(), starts, network=Network(latency=2), max_time=last))

    assert dict(run.statuses) == {4 * SECOND: {"a": "completed", "b": "open"}}.get(
        last, {"a": "completed"}
    )
    assert run.stopped.startswith("max_time")
    alone = simulate(World([clerk()], stamp(), network=Network(latency=2), max_time=4))
    assert (alone.stopped, alone.end_ns) == ("", 4)


def test_a_workflow_that_asks_for_ever_without_waiting_fails_by_name() -> None:
    @workflow
    async def greedy(ctx: WorkflowContext, _: Any) -> None:
        while True:
            ctx.call_activity("stamp")

    with pytest.MonkeyPatch.context() as patched:
        for module in ("calls", "commands"):
            patched.setattr(f"flowlab.workflow.{module}.MAX_ASKED", 50)
        run = simulate(World([clerk()], greedy))

    assert run.results["greedy-1"]["error"]["type"] == "LimitError"
    assert Counter(types(run, "greedy-1"))["ActivityScheduled"] == 50
