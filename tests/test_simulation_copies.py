"""An agent's answer to an attempt: one, however often the network and crashes bring it.

A request that the network doubled failed in one of its copies by an injected fault. The saga took
it that there was nothing to undo, and the other copy booked: a failed trip kept its room.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from engine_worlds import SEEDS, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowlab.events import Event
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import (
    Agent,
    Exponential,
    Faults,
    Network,
    Partitions,
    Run,
    Start,
    World,
    simulate,
    simulate_many,
)
from flowlab.workflow import SECOND, RetryPolicy, Sequential, Step

every_scenario = pytest.mark.parametrize("name", list(SCENARIOS))
often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

COPIES = Faults(fail=0.1, duplicate=0.1)
HARD = Faults(
    fail=0.2,
    duplicate=0.3,
    hang=0.05,
    crash=0.1,
    host_crash=0.05,
    loss=0.05,
    reorder=0.2,
    slow=0.05,
    partition=Partitions(),
)


@every_scenario
@pytest.mark.parametrize("faults", [COPIES, HARD], ids=["copies", "hard"])
def test_no_copy_of_a_request_breaks_an_invariant(name: str, faults: Faults) -> None:
    found = simulate_many(SCENARIOS[name], seeds=range(400, 425), faults=faults, progress=False)

    assert found.violations.rows() == []


LYING: Faults = COPIES | Faults(crash=0.05, lost_write=0.05, torn_write=0.05, delayed_write=0.1)


def is_unexplained(run: Run) -> bool:
    lost = any(event.event_type == "AgentRestarted" and event.data for event in run.log)
    return bool(run.violations) and not lost


@every_scenario
def test_a_disk_that_lies_breaks_an_invariant_only_where_a_crash_took_what_was_answered_for(
    name: str,
) -> None:
    told = {"unexplained": is_unexplained}

    found = simulate_many(
        SCENARIOS[name], seeds=range(500, 520), faults=LYING, measures=told, progress=False
    )

    assert not found.rows["unexplained"].any()


# -- one attempt, one answer -----------------------------------------------------------------------


def take(ctx: Any, _: Any) -> str:
    ctx.state["free"] -= 1
    if ctx.state["free"] < 0:
        message = "nothing is left"
        raise LookupError(message)
    return f"place {ctx.state['free']}"


def give_back(ctx: Any, _: Any) -> None:
    ctx.state["free"] += 1


def never(ctx: Any, _: Any) -> None:
    del ctx
    message = "no"
    raise ValueError(message)


def stay(*, places: int = 9, timeout: int = SECOND, **options: Any) -> World:
    """A booking that is undone, since what follows it always fails."""
    hotel = Agent("hotel", take, give_back, state={"free": places}, service=7, **options)
    bank = Agent("bank", never, service=3)
    plan = Sequential(
        Step(
            "take", agent="hotel", compensation="give_back", retry=RetryPolicy(maximum_attempts=2)
        ),
        Step("never", agent="bank", kind="pivot", retry=RetryPolicy(maximum_attempts=1)),
    )
    starts = [Start(f"w{n}", at=n) for n in range(3)]
    return World([hotel, bank], plan, starts, network=Network(latency=2), timeout=timeout)


def answers(run: Run) -> dict[tuple[str, str, int], list[str]]:
    """Return what a workflow was told of each attempt that it has asked for."""
    found: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    events = {(event.workflow_id, event.sequence): event for event in run.log}
    for event in run.log:
        if event.event_type in {
            "ActivityCompleted",
            "ActivityFailed",
            "CompensationCompleted",
            "CompensationFailed",
        } and any(cause.workflow_id.startswith("@") for cause in event.causes):
            asked = asked_by(event, events)
            found[asked].append(event.event_type)
    return found


def asked_by(event: Event, events: dict[tuple[str, int], Event]) -> tuple[str, str, int]:
    (asked,) = (
        events[cause.workflow_id, cause.sequence]
        for cause in event.causes
        if cause.workflow_id == event.workflow_id
    )
    return asked.workflow_id, asked.name, asked.sequence


@often
@given(world=worlds(), seed=SEEDS, fail=st.sampled_from([0.1, 0.3]))
def test_of_one_attempt_no_workflow_is_told_that_it_failed_and_that_it_succeeded(
    world: World, seed: int, fail: float
) -> None:
    faults = Faults(duplicate=0.4, fail=fail, crash=0.1, hang=0.05)

    told = answers(simulate(world, seed=seed, faults=faults))

    assert [kinds for kinds in told.values() if len(set(kinds)) > 1] == []


def test_what_failed_is_not_begun_when_its_copy_comes() -> None:
    """The attempt is doubled and fails; only another attempt takes a place."""
    faults = Faults(duplicate=1, fail=0.5, extra_delay=Exponential(20))
    seen = set()
    for seed in range(60):
        run = simulate(stay(deduplicate=True), seed=seed, faults=faults)
        for (_, name, _), kinds in answers(run).items():
            if name == "take":
                seen.add((kinds[0], len(kinds) > 1))
        assert run.states["hotel"]["free"] == 9, run
    assert seen >= {("ActivityFailed", True), ("ActivityCompleted", True)}


@pytest.mark.parametrize("deduplicate", [False, True])
def test_a_handler_s_own_refusal_holds_for_its_copies_though_a_place_is_free_meanwhile(
    *, deduplicate: bool
) -> None:
    world = stay(places=1, deduplicate=deduplicate)
    refused = 0
    for seed in range(60):
        run = simulate(world, seed=seed, faults=Faults(duplicate=0.5, extra_delay=40))
        refused += sum(kinds[0] == "ActivityFailed" for kinds in answers(run).values())
        assert [kinds for kinds in answers(run).values() if len(set(kinds)) > 1] == []
        assert not deduplicate or run.states["hotel"]["free"] == 1
    assert refused > 60


@pytest.mark.parametrize("deduplicate", [False, True])
def test_what_was_committed_before_a_crash_is_not_told_to_have_failed_after_it(
    *, deduplicate: bool
) -> None:
    """A crash after the commit, and a fault when the message comes again: the work was done."""
    again = 0
    for seed in range(80):
        world = stay(deduplicate=deduplicate, timeout=3_600 * SECOND)
        run = simulate(world, seed=seed, faults=Faults(crash=0.4, fail=0.4))
        for kinds in answers(run).values():
            assert len(set(kinds)) == 1
        again += sum(event.data == {"repeated": True} for event in run.log)
        if deduplicate:
            assert run.states["hotel"]["free"] == 9
    assert again


def test_another_attempt_of_what_has_failed_may_succeed() -> None:
    world = World(
        [Agent("hotel", take, give_back, state={"free": 9}, deduplicate=True)],
        Step("take", agent="hotel", kind="pivot", retry=RetryPolicy(initial_interval=50)),
    )
    for seed in range(40):
        run = simulate(world, seed=seed, faults=Faults(duplicate=0.6, fail=0.6))
        assert set(run.statuses.values()) == {"completed"}
        assert run.states["hotel"]["free"] == 8


def test_a_request_that_comes_after_its_compensation_is_refused_by_an_agent_that_deduplicates() -> (
    None
):
    """The request is held up for longer than the saga waits for it."""
    refused = 0
    for seed in range(200):
        faults = Faults(reorder=0.3, extra_delay=Exponential(3 * SECOND))
        run = simulate(stay(deduplicate=True), seed=seed, faults=faults)
        undone = set()
        for event in run.log:
            wrote = event.event_type == "TransactionCommitted" and "values" in event.data
            if wrote and event.name == "give_back":
                undone.add(event.coordination_id)
            assert not (wrote and event.name == "take" and event.coordination_id in undone)
            told = (event.data or {}).get("error", {})
            refused += event.event_type == "ActivityFailed" and told["type"] == "UndoneError"
    assert refused


@pytest.mark.parametrize("kind", ["lost_write", "delayed_write"])
def test_what_an_agent_remembers_of_its_answers_is_as_durable_as_its_cells(kind: str) -> None:
    """A counter: after a crash it is as after one of its writes, and those after that are lost."""
    repeated = lost = 0
    faults: dict[str, Any] = {kind: 0.4, "write_delay": 100}
    for seed in range(150):
        hotel = Agent("hotel", take, state={"free": 90}, deduplicate=True, service=7)
        step = Step("take", agent="hotel", kind="pivot", retry=RetryPolicy(initial_interval=50))
        starts = [Start(f"w{n}", at=n) for n in range(4)]
        world = World([hotel], step, starts, network=Network(latency=Exponential(9)))
        everything = Faults(
            crash=0.3, duplicate=0.5, loss=0.3, extra_delay=Exponential(30), **faults
        )
        run = simulate(world, seed=seed, faults=everything)
        held: list[str | None] = []
        for event in run.log:
            if event.event_type == "AgentRestarted" and event.data:
                del held[90 - event.data["values"]["free"] :]
                lost += 1
            elif event.event_type == "TransactionCommitted":
                again = event.data == {"repeated": True}
                assert again == (event.coordination_id in held)
                repeated += again
                held += [] if again else [event.coordination_id]
        assert run.states["hotel"]["free"] == 90 - len(held)
    assert lost
    assert repeated
