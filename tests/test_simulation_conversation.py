"""Agents that wait in the middle of their work: segments, answers, crashes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import ActivityError
from flowlab.events import Event
from flowlab.simulation import Agent, AgentContext, Faults, Run, World, simulate
from flowlab.workflow import SECOND, RetryPolicy, Step

ENDS = {"TransactionCommitted", "TransactionAborted", "LockStashed"}
HEALING = Faults(loss=0.05, duplicate=0.05, reorder=0.05, crash=0.08, fail=0.05, slow=0.05)
PATIENT = RetryPolicy(maximum_attempts=30)


def one(activity: str = "work", **options: Any) -> Step:
    return Step(activity, agent="boss", kind="retryable", idempotent=True, retry=PATIENT, **options)


def of(run: Run, agent: str) -> list[Event]:
    return [event for event in run.log if event.workflow_id == f"@{agent}"]


def types(run: Run, agent: str) -> list[str]:
    return [event.event_type for event in of(run, agent)]


SCRIPTS = st.lists(st.sampled_from(["sleep", "ask", "fail", "add"]), max_size=5)


def scripted(scripts: list[list[str]], *, interleaving: bool = False) -> World:
    async def work(ctx: AgentContext) -> int:
        for step in scripts[int(ctx.workflow_id.rpartition("-")[2]) - 1]:
            if step == "sleep":
                await ctx.sleep(SECOND)
            elif step == "ask":
                await ctx.call("clerk", "look", timeout=20 * SECOND)
            elif step == "fail":
                message = "told to"
                raise ValueError(message)
            ctx.state[step] = ctx.state.get(step, 0) + 1
        return 1

    def look(ctx: AgentContext) -> int:
        ctx.state["asked"] = ctx.state.get("asked", 0) + 1
        return int(ctx.state["asked"])

    agents = [Agent("boss", work, interleaving=interleaving), Agent("clerk", look)]
    return World(agents, Step("work", agent="boss", kind="pivot"), len(scripts), timeout=None)


def committed(script: list[str]) -> list[str]:
    """Return the steps that count: a segment that fails takes with it all since the last await."""
    if "fail" not in script:
        return script
    done = script[: script.index("fail")]
    while done and done[-1] == "add":
        done = done[:-1]
    return done[:-1]


@given(scripts=st.lists(SCRIPTS, min_size=1, max_size=4), interleaving=st.booleans())
@settings(max_examples=60)
def test_every_segment_ends_in_exactly_one_event(
    scripts: list[list[str]], *, interleaving: bool
) -> None:
    run = simulate(scripted(scripts, interleaving=interleaving), seed=3)
    done = [script[: script.index("fail")] if "fail" in script else script for script in scripts]
    awaits = Counter(step for script in done for step in script)
    found = Counter(types(run, "boss"))
    segments = len(scripts) + awaits["sleep"] + awaits["ask"]
    assert sum(found[kind] for kind in ENDS) == segments
    assert found["TransactionAborted"] == sum("fail" in script for script in scripts)
    assert found["TimerStarted"] == found["TimerFired"] == awaits["sleep"]
    assert found["MessageReceived"] == len(scripts) + awaits["ask"]
    kept = Counter(step for script in scripts for step in committed(script))
    assert run.states["boss"] == kept
    assert set(run.statuses.values()) <= {"completed", "failed"}


@given(scripts=st.lists(SCRIPTS, min_size=1, max_size=3), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_under_faults_a_conversation_is_a_function_of_the_seed_and_each_wake_up_has_its_cause(
    scripts: list[list[str]], seed: int
) -> None:
    world = scripted(scripts, interleaving=True)
    run = simulate(world, seed=seed, faults=HEALING)
    assert run.digest == simulate(world, seed=seed, faults=HEALING).digest
    events = {(event.workflow_id, event.sequence): event for event in run.log}
    for event in of(run, "boss"):
        causes = [events[cause.workflow_id, cause.sequence].event_type for cause in event.causes]
        if event.event_type == "TimerFired":
            assert causes == ["TimerStarted"]
        elif event.event_type == "MessageReceived" and event.name == "look":
            assert causes[0] in {*ENDS, "MessageDuplicated"}


def test_a_busy_agent_takes_nothing_else_unless_it_interleaves() -> None:
    orders = {}
    for interleaving in (False, True):
        run = simulate(scripted([["sleep"], ["sleep"]], interleaving=interleaving), seed=1)
        orders[interleaving] = [
            kind for kind in types(run, "boss") if kind in {"MessageReceived", "TimerFired"}
        ]
    assert orders[False] == ["MessageReceived", "TimerFired"] * 2
    assert orders[True] == ["MessageReceived"] * 2 + ["TimerFired"] * 2


def test_what_is_read_after_an_await_is_fresh() -> None:
    async def slow(ctx: AgentContext) -> list[int]:
        before = ctx.state["n"]
        await ctx.sleep(SECOND)
        return [before, ctx.state["n"]]

    def fast(ctx: AgentContext) -> None:
        ctx.state["n"] += 1

    async def both(ctx: AgentContext) -> Any:
        ctx.send("boss", "fast")
        return await ctx.call("boss", "slow")

    agents = [
        Agent("boss", slow, fast, state={"n": 0}, interleaving=True),
        Agent("clerk", both),
    ]
    world = World(agents, Step("both", agent="clerk", kind="pivot"))
    results = {tuple(simulate(world, seed=s).results["plan-1"]["both"]) for s in range(20)}
    assert results == {(0, 1), (1, 1)}


def test_a_crash_loses_the_half_run_handler_and_keeps_its_committed_segments() -> None:
    async def work(ctx: AgentContext) -> None:
        ctx.state["begun"] = ctx.state.get("begun", 0) + 1
        await ctx.sleep(SECOND)
        ctx.state["ended"] = ctx.state.get("ended", 0) + 1

    world = World([Agent("boss", work)], one(), timeout=None)
    crashed = 0
    for seed in range(60):
        run = simulate(world, seed=seed, faults=Faults(crash=0.3))
        found = Counter(types(run, "boss"))
        assert run.statuses == {"plan-1": "completed"}
        assert run.states["boss"]["begun"] == found["TimerStarted"]
        assert run.states["boss"]["ended"] >= 1
        assert found["MessageReceived"] == 1 + found["AgentCrashed"]
        crashed += any(fault.endswith(".2") for fault in run.faults)
    assert crashed > 5


def test_an_answer_that_comes_too_late_is_an_event_that_nobody_waits_for() -> None:
    async def work(ctx: AgentContext) -> str:
        try:
            await ctx.call("clerk", "look", timeout=SECOND)
        except ActivityError as error:
            return f"{error.activity} {error.error_type} {error.timed_out}"
        return "answered"

    def look(value: object) -> None:
        del value

    world = World(
        [Agent("boss", work), Agent("clerk", look, service=5 * SECOND)],
        Step("work", agent="boss", kind="pivot"),
    )
    run = simulate(world)
    assert run.results["plan-1"] == {"work": "look TimedOut True"}
    (dropped,) = [event for event in run.log if event.event_type == "MessageDropped"]
    assert dropped.data == {"reason": "nobody waits for it any more", "to": "boss"}
    assert [cause.workflow_id for cause in dropped.causes] == ["@clerk"]


def test_the_error_of_the_agent_that_is_asked_is_raised_where_it_is_awaited() -> None:
    async def work(ctx: AgentContext) -> list[str]:
        try:
            await ctx.call("clerk", "look", 7)
        except ActivityError as error:
            return [error.error_type, str(error)]
        return []

    def look(value: int) -> None:
        message = f"not {value}"
        raise KeyError(message)

    world = World([Agent("boss", work), Agent("clerk", look)], one())
    told = ["KeyError", "look by clerk failed: KeyError: 'not 7'"]
    assert simulate(world).results["plan-1"] == {"work": told}


async def awaits_a_loop() -> None:
    await asyncio.sleep(0)


async def asks_nobody(ctx: AgentContext) -> None:
    await ctx.call("nobody", "look")


async def sleeps_backwards(ctx: AgentContext) -> None:
    await ctx.sleep(-1)


async def writes_no_json(ctx: AgentContext) -> None:
    ctx.state["x"] = object()
    await ctx.sleep(1)


async def asks_no_json(ctx: AgentContext) -> None:
    await ctx.call("boss", "work", object())


def sends_no_json(ctx: AgentContext) -> None:
    ctx.send("boss", "work", object())


def sends_to_nobody(ctx: AgentContext) -> None:
    ctx.send("nobody", "work")


@pytest.mark.parametrize(
    ("handler", "kind", "why"),
    [
        (awaits_a_loop, "InvalidArgumentError", "awaits None; in a world there is ctx.sleep"),
        (asks_nobody, "InvalidArgumentError", "no agent is called 'nobody'"),
        (sleeps_backwards, "InvalidArgumentError", "duration is -1"),
        (writes_no_json, "InvalidEventError", "object"),
        (asks_no_json, "InvalidEventError", "object"),
        (sends_no_json, "InvalidEventError", "object"),
        (sends_to_nobody, "InvalidArgumentError", "no agent is called 'nobody'"),
    ],
)
def test_a_handler_that_does_wrong_fails_its_activity_and_the_world_goes_on(
    handler: Any, kind: str, why: str
) -> None:
    world = World(
        [Agent("boss", named={"work": handler})], Step("work", agent="boss", kind="pivot")
    )
    run = simulate(world)
    (failed,) = [event for event in run.log if event.event_type == "ActivityFailed"]
    assert failed.data["error"]["type"] == kind
    assert why in failed.data["error"]["message"]
    assert run.states["boss"] == {}


def test_a_request_that_comes_again_while_it_is_worked_on_is_worked_on_once() -> None:
    async def work(ctx: AgentContext) -> int:
        await ctx.sleep(SECOND)
        ctx.state["done"] = ctx.state.get("done", 0) + 1
        return int(ctx.state["done"])

    boss = Agent("boss", work, interleaving=True, deduplicate=True)
    doubled = 0
    for seed in range(40):
        run = simulate(World([boss], one()), seed=seed, faults=Faults(duplicate=0.5))
        assert run.states["boss"] == {"done": 1}
        assert run.results["plan-1"] == {"work": 1}
        found = Counter(types(run, "boss"))
        assert found["TransactionCommitted"] == found["MessageReceived"] + found["TimerFired"]
        doubled += found["MessageReceived"] == 2
    assert doubled > 10


def test_the_way_out_of_a_handler_that_crashed_changes_nothing() -> None:
    async def work(ctx: AgentContext) -> None:
        try:
            await ctx.sleep(SECOND)
        finally:
            ctx.state["left"] = ctx.state.get("left", 0) + 1
            ctx.claim("seat")

    world = World([Agent("boss", work)], one(), timeout=None)
    for seed in range(40):
        run = simulate(world, seed=seed, faults=Faults(crash=0.3))
        found = [event for event in of(run, "boss") if event.event_type == "TransactionCommitted"]
        assert run.states["boss"]["left"] == sum("left" in str(event.data) for event in found)
