"""Semantic locks in worlds: held by workflows, waited for by messages, seen in the log."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import DeadlockError, LockedError
from flowlab.events import Event
from flowlab.simulation import (
    Agent,
    AgentContext,
    Cancel,
    Faults,
    HeldLock,
    Run,
    Start,
    World,
    simulate,
)
from flowlab.workflow import (
    NO_RETRY,
    SECOND,
    Plan,
    RetryPolicy,
    Sequential,
    Step,
    WorkflowContext,
    workflow,
)

HEALING = Faults(loss=0.05, duplicate=0.05, reorder=0.05, crash=0.08, fail=0.05, slow=0.05)
PATIENT = RetryPolicy(maximum_attempts=30)


def named(run: Run, *kinds: str) -> list[Event]:
    return [event for event in run.log if event.event_type in kinds]


def hold(ctx: AgentContext) -> None:
    ctx.claim("room", policy="stash")
    ctx.state["guest"] = ctx.workflow_id


def drop(ctx: AgentContext) -> None:
    if ctx.release("room"):
        ctx.state["guest"] = None


def hotel(**options: Any) -> Agent:
    return Agent("hotel", hold, drop, service=SECOND, **options)


def undoable(activity: str = "hold", agent: str = "hotel") -> Step:
    return Step(activity, agent=agent, compensation="drop")


def last(activity: str = "drop", agent: str = "hotel") -> Step:
    return Step(activity, agent=agent, kind="retryable", idempotent=True, retry=PATIENT)


@given(count=st.integers(1, 6), seed=st.integers(0, 999), faulty=st.booleans())
@settings(max_examples=80)
def test_a_key_has_one_holder_at_a_time_and_who_holds_it_is_in_the_log(
    count: int, seed: int, *, faulty: bool
) -> None:
    plan = Sequential(undoable(), last())
    world = World([hotel()], plan, count, timeout=60 * SECOND)
    run = simulate(world, seed=seed, faults=HEALING if faulty else None)
    holder: str | None = None
    for event in run.log:
        if event.event_type == "LockClaimed":
            assert holder is None
            holder = event.data["owner"]
        elif event.event_type == "LockReleased":
            assert holder == event.data["owner"]
            holder = None
        elif event.event_type == "TransactionCommitted" and event.name == "hold":
            assert (
                event.data is None or event.data.get("repeated") or event.coordination_id == holder
            )
    assert run.locks == (() if holder is None else (HeldLock("hotel", "room", holder),))
    if not faulty:
        assert set(run.statuses.values()) == {"completed"}
        assert len(named(run, "LockClaimed")) == len(named(run, "LockReleased")) == count


def test_a_claim_that_waited_has_the_release_and_its_waiting_among_its_causes() -> None:
    run = simulate(World([hotel()], Sequential(undoable(), last()), 3))
    events = {(event.workflow_id, event.sequence): event for event in run.log}
    causes = [
        [
            (events[cause.workflow_id, cause.sequence].event_type, int(cause.kind))
            for cause in event.causes
        ]
        for event in named(run, "LockClaimed")
    ]
    waited = [("LockReleased", 6), ("LockStashed", 6)]
    assert causes == [[], waited, waited]
    stashed = named(run, "LockStashed")
    assert [(event.agent_id, event.name, event.writes) for event in stashed] == [
        ("hotel", "room", ())
    ] * 2


def test_a_claim_after_a_release_has_it_as_a_cause_though_it_did_not_wait() -> None:
    starts = [Start("a"), Start("b", at=60 * SECOND)]
    run = simulate(World([hotel()], Sequential(undoable(), last()), starts))
    (release, _) = named(run, "LockReleased")
    (_, claim) = named(run, "LockClaimed")
    assert [(cause.workflow_id, cause.sequence) for cause in claim.causes] == [
        (release.workflow_id, release.sequence)
    ]


def test_a_claim_that_fails_fails_its_activity_by_name() -> None:
    def grab(ctx: AgentContext) -> None:
        ctx.claim("room")

    world = World(
        [Agent("hotel", grab, drop)],
        Step("grab", agent="hotel", compensation="drop", retry=NO_RETRY),
        [Start("a"), Start("b", at=SECOND)],
    )
    run = simulate(world)
    assert run.statuses == {"a": "completed", "b": "failed"}
    (failed,) = named(run, "ActivityFailed")
    error = failed.data["error"]
    assert error["type"] == LockedError.__name__
    assert error["message"].startswith("b cannot have 'room' of hotel: a holds it")
    assert run.locks == (HeldLock("hotel", "room", "a"),)


def both_ways() -> World:
    def take(ctx: AgentContext) -> None:
        ctx.claim("room", policy="stash")

    def drop_it(ctx: AgentContext) -> None:
        ctx.release("room")

    agents = [Agent(name, named={"take": take, "drop": drop_it}) for name in ("east", "west")]

    def way(name: str, *order: str) -> Plan:
        steps = [
            Step(agent, activity="take", agent=agent, compensation="drop", retry=NO_RETRY)
            for agent in order
        ]
        done = [
            Step(f"free {agent}", activity="drop", agent=agent, kind="retryable", idempotent=True)
            for agent in order
        ]
        return Plan(Sequential(*steps, *done), name=name)

    plans = [way("there", "east", "west"), way("back", "west", "east")]
    starts = [Start("a", workflow="there"), Start("b", workflow="back")]
    return World(agents, plans, starts, timeout=None)


def test_a_deadlock_across_agents_is_refused_with_its_cycle_and_everybody_goes_on() -> None:
    caught = 0
    for seed in range(40):
        run = simulate(both_ways(), seed=seed)
        assert run.locks == ()
        failures = named(run, "ActivityFailed")
        ended = sorted(run.statuses.values())
        assert ended == (["completed", "failed"] if failures else ["completed", "completed"])
        for failure in failures:
            caught += 1
            error = failure.data["error"]
            assert error["type"] == DeadlockError.__name__
            assert "waits for 'room' of east behind" in error["message"]
            assert "waits for 'room' of west behind" in error["message"]
    assert caught > 10


def test_a_transaction_that_comes_to_nothing_has_claimed_and_released_nothing() -> None:
    def grab(ctx: AgentContext) -> None:
        ctx.claim("room")
        ctx.claim("key")
        ctx.release("room")
        message = "and out"
        raise ValueError(message)

    def lose(ctx: AgentContext) -> None:
        assert ctx.release("room")
        message = "and out"
        raise ValueError(message)

    def keep(ctx: AgentContext) -> None:
        ctx.claim("room")

    agents = [Agent("hotel", grab, lose, keep, drop)]
    run = simulate(World(agents, Step("grab", agent="hotel", compensation="drop", retry=NO_RETRY)))
    assert named(run, "LockClaimed", "LockReleased") == []
    assert run.locks == ()
    keeping = Sequential(
        Step("keep", agent="hotel", compensation="grab"),
        Step("lose", agent="hotel", compensation="drop", retry=NO_RETRY),
    )
    # The compensation fails each time, and is tried again for as long as the world goes on.
    run = simulate(World(agents, keeping, max_events=200))
    assert [event.event_type for event in named(run, "LockClaimed", "LockReleased")] == [
        "LockClaimed"
    ]
    assert run.locks == (HeldLock("hotel", "room", "plan-1"),)


def test_to_claim_twice_is_to_claim_once_and_to_release_twice_does_no_harm() -> None:
    def grab(ctx: AgentContext) -> None:
        ctx.claim("room")
        ctx.claim("room")

    def free(ctx: AgentContext) -> list[bool]:
        return [ctx.release("room"), ctx.release("room")]

    again = Step("again", activity="grab", agent="hotel", compensation="drop")
    agents = [Agent("hotel", grab, free, drop)]
    first = Step("grab", agent="hotel", compensation="drop")
    frees = [
        Step(name, activity="free", agent="hotel", kind="retryable", idempotent=True)
        for name in "xy"
    ]
    run = simulate(World(agents, Sequential(first, again, *frees)))
    assert run.results["plan-1"]["x"] == [True, True]
    assert run.results["plan-1"]["y"] == [False, False]
    assert Counter(event.event_type for event in named(run, "LockClaimed", "LockReleased")) == {
        "LockClaimed": 1,
        "LockReleased": 1,
    }


def test_a_lock_that_was_granted_and_not_claimed_any_more_is_released() -> None:
    def pick(ctx: AgentContext) -> str:
        if ctx.state.get("closed"):
            return "closed"
        ctx.claim("room", policy="stash")
        return "in"

    def close(ctx: AgentContext) -> None:
        ctx.state["closed"] = True
        ctx.release("room")

    plan = Sequential(
        Step("pick", agent="hotel", compensation="drop"),
        Step("close", agent="hotel", kind="pivot"),
    )
    run = simulate(World([Agent("hotel", pick, close, drop)], plan, 3))
    picked = sorted(result["pick"] for result in run.results.values())
    assert picked == ["closed", "closed", "in"]
    kinds = [event.event_type for event in named(run, "LockClaimed", "LockReleased")]
    assert kinds == ["LockClaimed", "LockReleased"] * 3
    assert run.locks == ()


def test_who_is_asked_to_stop_waits_for_no_lock_any_more() -> None:
    @workflow
    async def stay(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("hold")

    starts = [Start("a"), Start("b", at=10 * SECOND), Cancel("b", at=20 * SECOND)]
    run = simulate(World([hotel()], stay, starts, timeout=None))
    assert run.statuses == {"a": "completed", "b": "canceled"}
    assert [event.data["owner"] for event in named(run, "LockClaimed")] == ["a"]
    assert run.locks == (HeldLock("hotel", "room", "a"),)
    assert "held: 'room' of hotel, held by a, which is completed" in str(run)


def test_who_releases_what_it_waits_for_does_not_claim_it_later() -> None:
    hasty = Step("hold", agent="hotel", compensation="drop", timeout=9 * SECOND, retry=NO_RETRY)
    plans = [Plan(undoable(), name="stays"), Plan(hasty, name="hasty")]
    starts = [Start("a", workflow="stays"), Start("b", at=10 * SECOND, workflow="hasty")]
    run = simulate(World([hotel()], plans, starts))
    assert run.statuses == {"a": "completed", "b": "failed"}
    assert [event.data["owner"] for event in named(run, "LockClaimed")] == ["a"]
    (dropped,) = named(run, "MessageDropped")
    assert dropped.data["reason"] == "its workflow has released the lock"


@pytest.mark.parametrize("interleaving", [False, True])
def test_an_async_handler_that_is_stashed_begins_again(*, interleaving: bool) -> None:
    async def visit(ctx: AgentContext) -> None:
        ctx.state["came"] = ctx.state.get("came", 0) + 1
        await ctx.sleep(SECOND)
        ctx.claim("room", policy="stash")
        ctx.state["slept"] = ctx.state.get("slept", 0) + 1

    plan = Sequential(Step("visit", agent="hotel", compensation="drop"), last())
    world = World([Agent("hotel", visit, drop, interleaving=interleaving)], plan, 2)
    for seed in range(10):
        run = simulate(world, seed=seed)
        assert set(run.statuses.values()) == {"completed"}
        assert run.states["hotel"]["slept"] == 2
        assert run.states["hotel"]["came"] == 2 + len(named(run, "LockStashed"))
        assert run.locks == ()


def test_a_world_with_locks_and_faults_is_a_function_of_its_seed() -> None:
    for seed in range(20):
        world = World([hotel(deduplicate=True)], Sequential(undoable(), last()), 4)
        runs = [simulate(world, seed=seed, faults=HEALING) for _ in range(2)]
        assert runs[0].digest == runs[1].digest


def test_a_message_that_waits_for_lock_after_lock_meets_what_befalls_it_anew_each_time() -> None:
    def take(key: str) -> Any:
        return lambda ctx: ctx.claim(key, policy="stash")

    def take_both(ctx: AgentContext) -> None:
        ctx.claim("room", policy="stash")
        ctx.claim("view", policy="stash")

    named = {"room": take("room"), "view": take("view"), "both": take_both, "drop": drop_both}
    agents = [
        Agent("hotel", named=named),
        Agent("short", named={"stay": lambda _: None}, service=SECOND),
        Agent("long", named={"stay": lambda _: None}, service=60 * SECOND),
    ]
    plans = [
        Plan(Sequential(undoable("room"), stay("short"), last()), name="one"),
        Plan(Sequential(undoable("view"), stay("long"), last()), name="two"),
        Plan(Sequential(undoable("both"), last()), name="three"),
    ]
    starts = [
        Start("a", workflow="one"),
        Start("b", workflow="two"),
        Start("c", workflow="three", at=SECOND),
    ]
    run = simulate(World(agents, plans, starts, timeout=None), faults=Faults(slow=1.0))
    slow = [event.data["fault"] for event in run.log if event.event_type == "FaultInjected"]
    assert [fault for fault in slow if "both" in fault] == [
        "slow:hotel:c/both/1",
        "slow:hotel:c/both/1#2",
        "slow:hotel:c/both/1#3",
    ]


def drop_both(ctx: AgentContext) -> None:
    ctx.release("room")
    ctx.release("view")


def stay(agent: str) -> Step:
    return Step(f"stay_{agent}", activity="stay", agent=agent, compensation="stay")


def test_who_was_asked_to_stop_does_not_get_the_lock_when_it_is_free() -> None:
    @workflow
    async def stay(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("hold")
        await ctx.sleep(60 * SECOND)
        await ctx.call_activity("drop")

    starts = [Start("a"), Start("b", at=10 * SECOND), Cancel("b", at=20 * SECOND)]
    run = simulate(World([hotel()], stay, starts, timeout=None))
    assert run.statuses == {"a": "completed", "b": "canceled"}
    assert [event.data["owner"] for event in named(run, "LockClaimed")] == ["a"]
    assert [event.workflow_id for event in named(run, "ActivityCanceled")] == ["b"]
    assert run.locks == ()
