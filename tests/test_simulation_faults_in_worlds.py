"""Each kind of fault in the smallest world in which it can be seen, and what all faults keep."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from engine_worlds import FAULTS, SEEDS, histories, types, worlds
from hypothesis import HealthCheck, given, settings

from flowlab.simulation import (
    Agent,
    Faults,
    FaultSource,
    Network,
    Partitions,
    Run,
    Signal,
    Start,
    World,
    key_of,
    simulate,
)
from flowlab.simulation.recipe import Recipe
from flowlab.simulation.simulate import run_of
from flowlab.workflow import Plan, RetryPolicy, Step, WorkflowContext, workflow

lightly = settings(max_examples=100, suppress_health_check=list(HealthCheck))

REQUEST, SERVICE, REPLY, TIMEOUT = 2, 3, 2, 100
ONCE = RetryPolicy(maximum_attempts=1)


def add(ctx: Any, _: Any) -> int:
    ctx.state["count"] += 1
    return int(ctx.state["count"])


def add_and_note(ctx: Any, _: Any) -> None:
    ctx.state["count"] += 1
    ctx.state["by"] = ctx.workflow_id


def bank(handler: Any = add, **options: Any) -> Agent:
    options = {"service": SERVICE, "state": {"count": 0, "by": ""}} | options
    return Agent("bank", named={"charge": handler}, **options)


def till(agent: Agent | None = None, *, attempts: int = 1, starts: Any = None) -> World:
    return World(
        [agent or bank()],
        Step(
            "charge",
            agent="bank",
            kind="pivot",
            retry=RetryPolicy(maximum_attempts=attempts, initial_interval=10),
        ),
        starts or [Start("w")],
        network=Network(latency=REQUEST),
        timeout=TIMEOUT,
    )


def run_without(world: World, faults: Faults, *without: str, seed: int = 0) -> Run:
    """Run a world in which some faults do not happen, though they would."""
    return run_of(Recipe.of(world, seed, faults, {}).changed(without=frozenset(without)))


def steps(run: Run) -> list[tuple[str, int]]:
    """Return (type, time) of every event, in the order in which they happened."""
    return [(event.event_type, event.time_ns) for event in run.log]


CALM = [
    ("WorkflowStarted", 0),
    ("ActivityScheduled", 0),
    ("MessageReceived", 2),
    ("TransactionCommitted", 5),
    ("ActivityCompleted", 7),
    ("PivotReached", 7),
    ("WorkflowCompleted", 7),
]


def test_without_faults_a_call_is_four_events_at_their_times() -> None:
    assert steps(simulate(till())) == CALM


# -- messages --------------------------------------------------------------------------------------


def test_every_request_is_lost_and_every_attempt_times_out() -> None:
    run = simulate(till(attempts=2), faults=Faults(loss=1))

    assert run.faults == ("loss:w/charge/1/request", "loss:w/charge/2/request")
    assert types(run, "@bank") == []
    assert steps(run) == [
        ("WorkflowStarted", 0),
        ("ActivityScheduled", 0),
        ("MessageDropped", 0),
        ("ActivityTimedOut", 100),
        ("TimerStarted", 100),
        ("TimerFired", 110),
        ("ActivityScheduled", 110),
        ("MessageDropped", 110),
        ("ActivityTimedOut", 210),
        ("WorkflowFailed", 210),
    ]


def test_a_lost_reply_leaves_the_effect_and_the_next_attempt_does_it_again() -> None:
    without = ["loss:w/charge/1/request", "loss:w/charge/2/request", "loss:w/charge/2/reply"]
    once = run_without(till(bank(deduplicate=True), attempts=2), Faults(loss=1), *without)
    twice = run_without(till(attempts=2), Faults(loss=1), *without)

    assert once.faults == twice.faults == ("loss:w/charge/1/reply",)
    assert (once.states["bank"]["count"], twice.states["bank"]["count"]) == (1, 2)
    assert (once.results["w"], twice.results["w"]) == ({"charge": 1}, {"charge": 2})


@pytest.mark.parametrize("deduplicate", [False, True])
def test_a_duplicate_is_handled_twice_unless_the_agent_knows_it(*, deduplicate: bool) -> None:
    faults = Faults(duplicate=1, extra_delay=20)
    run = simulate(till(bank(deduplicate=deduplicate)), faults=faults)

    # The copy of a request is a message of its own, and so is what is answered to it.
    assert run.faults == (
        "duplicate:w/charge/1/request",
        "duplicate:w/charge/1/reply",
        "duplicate:w/charge/1'/reply",
    )
    assert run.states["bank"]["count"] == (1 if deduplicate else 2)
    assert [time for kind, time in steps(run) if kind == "MessageReceived"] == [2, 22]
    answers = [e for e in run.log if e.event_type == "ActivityCompleted"]
    assert [event.time_ns for event in answers] == [7, 27, 27, 47]
    known = 1 if deduplicate else 2
    assert [event.data["result"] for event in answers] == [1, 1, known, known]
    assert run.results["w"] == {"charge": 1}


def test_what_a_copy_has_answered_does_not_time_out() -> None:
    # The message itself hangs, and its copy is answered; the timeout of the message fired though.
    faults = Faults(duplicate=1, extra_delay=20, hang=1)
    without = ["hang:bank:w/charge/1'", "duplicate:w/charge/1'/reply"]
    run = run_without(till(), faults, *without)

    assert run.faults == ("duplicate:w/charge/1/request", "hang:bank:w/charge/1")
    assert run.statuses["w"] == "completed"
    assert "ActivityTimedOut" not in types(run, "w")


def test_a_message_that_is_held_up_arrives_later_by_what_the_log_says() -> None:
    run = simulate(till(), faults=Faults(reorder=1, extra_delay=20))

    assert run.faults == ("reorder:w/charge/1/request", "reorder:w/charge/1/reply")
    shown = [(kind, time) for kind, time in steps(run) if not kind.startswith("Fault")]
    assert [kind for kind, _ in shown] == [kind for kind, _ in CALM]
    assert [time for _, time in shown] == [0, 0, 22, 25, 47, 47, 47]


@pytest.mark.parametrize("seed", range(10))
def test_a_partition_cuts_exactly_what_is_sent_across_it_and_heals(seed: int) -> None:
    faults = Faults(partition=Partitions(every=20, duration=15, share=0.5))
    agents = [Agent(name, named={"charge": add}, state={"count": 0}) for name in ("ann", "bob")]
    starts = [
        Start(f"{name}{at}", at=at, workflow=name) for at in range(0, 120, 5) for name in "ab"
    ]
    plans = [Step("charge", agent=agent, kind="pivot", timeout=9) for agent in ("ann", "bob")]

    world = World(
        agents,
        [Plan(step, name=step.agent[0]) for step in plans],
        starts,
        network=Network(latency=3),
    )
    run = simulate(world, seed=seed, faults=faults)
    source = FaultSource(
        faults,
        key_of(seed, "faults"),
        agents=["orchestrator", "ann", "bob"],
        horizon_ns=world.max_time_ns,
    )
    dropped = {
        (cause.workflow_id, cause.sequence): event.data["fault"]
        for event in run.log
        if event.event_type == "MessageDropped"
        for cause in event.causes
        if cause.workflow_id != "@world"
    }
    expected = {}
    for event in run.log:
        agent = {"a": "ann", "b": "bob"}.get((event.coordination_id or "")[:1], "")
        place = event.workflow_id, event.sequence
        if event.event_type == "ActivityScheduled":
            fault = source.partitioned("orchestrator", agent, event.time_ns)
        elif event.event_type == "TransactionCommitted":
            fault = source.partitioned(agent, "orchestrator", event.time_ns)
        else:
            continue
        if fault is not None:
            expected[place] = fault
    assert dropped == expected
    assert set(run.faults) == set(expected.values())
    assert len(run.faults) >= 2


# -- agents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_loses_or_keeps_its_transaction_and_the_message_comes_again(
    *, after: bool, deduplicate: bool
) -> None:
    world = till(bank(deduplicate=deduplicate))
    seen = set()
    for seed in range(10):
        run = run_without(world, Faults(crash=1, downtime=20), "crash:bank:w/charge/1#2", seed=seed)
        assert run.faults == ("crash:bank:w/charge/1",)
        committed = types(run, "@bank")[1] == "TransactionCommitted"
        seen.add(committed)
        if committed != after:
            continue
        assert types(run, "@bank") == [
            "MessageReceived",
            *(["TransactionCommitted"] if after else []),
            "AgentCrashed",
            "AgentRestarted",
            "MessageReceived",
            "TransactionCommitted",
        ]
        assert [time for kind, time in steps(run) if kind == "MessageReceived"] == [2, 25]
        assert run.states["bank"]["count"] == (2 if after and not deduplicate else 1)
        assert steps(run)[-3:] == [(kind, 30) for kind, _ in CALM[-3:]]
    assert seen == {False, True}


def test_an_agent_that_always_crashes_ends_nowhere_but_at_the_limit() -> None:
    world = till()
    endless = World(
        world.agents, world.workflows.values(), world.starts, max_events=200, timeout=None
    )
    run = simulate(endless, faults=Faults(crash=1))

    assert run.stopped.startswith("max_events")
    assert run.statuses["w"] == "open"
    assert len(set(run.faults)) == types(run, "@bank").count("AgentCrashed")


def test_an_activity_that_fails_has_no_effect_and_says_that_it_may_be_tried_again() -> None:
    run = simulate(till(), faults=Faults(fail=1))

    assert run.faults == ("fail:bank:w/charge/1",)
    assert types(run, "@bank") == ["MessageReceived", "FaultInjected", "TransactionAborted"]
    (failed,) = [event for event in run.log if event.event_type == "ActivityFailed"]
    assert (failed.time_ns, failed.data["error"]["type"]) == (7, "TransientError")
    assert run.states["bank"]["count"] == 0


def test_an_activity_that_hangs_answers_nobody_and_the_agent_goes_on() -> None:
    starts = [Start("w"), Start("x")]
    run = run_without(till(starts=starts), Faults(hang=1), "hang:bank:x/charge/1")

    assert run.faults == ("hang:bank:w/charge/1",)
    assert run.statuses == {"w": "failed", "x": "completed"}
    assert [time for kind, time in steps(run) if kind == "MessageReceived"] == [2, 5]
    assert run.states["bank"]["count"] == 1
    assert run.end_ns == TIMEOUT


def test_a_slow_segment_takes_its_factor_longer() -> None:
    run = simulate(till(), faults=Faults(slow=1, slow_factor=10))

    assert run.faults == ("slow:bank:w/charge/1",)
    assert [time for kind, time in steps(run) if kind == "TransactionCommitted"] == [2 + 30]


def test_a_skewed_clock_changes_what_the_agent_reads_from_it_and_nothing_else() -> None:
    read = []

    def look(ctx: Any) -> None:
        read.append(ctx.now_ns())

    calm = simulate(till(bank(look)))
    run = simulate(till(bank(look)), faults=Faults(skew=1, skew_offset=50, skew_drift_ppb=0))

    assert run.faults == ("skew:bank",)
    assert read[0] == 5
    assert read[1] in {55, -45}
    assert steps(run) == [("FaultInjected", 0), *steps(calm)]
    assert run.log.history_digest == calm.log.history_digest


# -- disks -----------------------------------------------------------------------------------------


def after_a_crash(kind: str, *without: str, starts: Any = None, **more: Any) -> Run:
    """Let one write meet a fault, and the agent crash as it handles the workflow called z."""
    faults = Faults(crash=1, downtime=20, **{kind: 1.0}, **more)
    starts = starts or [Start("w"), Start("z", at=50)]
    kept = [f"crash:bank:{start.workflow_id}/charge/1" for start in starts[:-1]]
    again = ["crash:bank:z/charge/1#2", f"{kind}:bank:z/charge/1", f"{kind}:bank:z/charge/1#2"]
    for seed in range(20):
        run = run_without(
            till(bank(add_and_note), starts=starts), faults, *kept, *again, *without, seed=seed
        )
        crashed = types(run, "@bank").index("AgentCrashed")
        if types(run, "@bank")[crashed - 1] == "MessageReceived":
            return run
    raise AssertionError


def restarted(run: Run) -> Any:
    (event,) = [event for event in run.log if event.event_type == "AgentRestarted"]
    return event.data, sorted(cell.key for cell in event.writes or ())


@pytest.mark.parametrize("kind", ["lost_write", "torn_write", "delayed_write"])
def test_nobody_notices_a_write_that_is_not_durable_before_a_crash(kind: str) -> None:
    calm = simulate(till(bank(add_and_note)))
    run = simulate(till(bank(add_and_note)), faults=Faults(**{kind: 1.0}))

    assert run.faults == (f"{kind}:bank:w/charge/1",)
    assert run.states == calm.states
    assert [step for step in steps(run) if step[0] != "FaultInjected"] == steps(calm)


def test_a_lost_write_is_gone_after_a_crash() -> None:
    run = after_a_crash("lost_write")

    assert run.faults == ("lost_write:bank:w/charge/1", "crash:bank:z/charge/1")
    assert restarted(run) == ({"values": {"by": "", "count": 0}}, ["by", "count"])
    assert run.states["bank"] == {"by": "z", "count": 1}


def test_of_a_torn_write_the_first_cells_are_there_after_a_crash() -> None:
    found = set()
    for seed in range(20):
        run = run_without(
            till(bank(add_and_note), starts=[Start("w"), Start("z", at=50)]),
            Faults(crash=1, downtime=20, torn_write=1),
            "crash:bank:w/charge/1",
            "crash:bank:z/charge/1#2",
            "torn_write:bank:z/charge/1",
            "torn_write:bank:z/charge/1#2",
            seed=seed,
        )
        (torn,) = [e for e in run.log if e.event_type == "FaultInjected"]
        durable = torn.data["durable"]
        assert torn.data["cells"] == ["by", "count"]
        assert durable in ([], ["by"])
        crashed = types(run, "@bank").index("AgentCrashed")
        if types(run, "@bank")[crashed - 1] == "MessageReceived":
            values = {"count": 0} if durable else {"by": "", "count": 0}
            assert restarted(run) == ({"values": values}, sorted(values))
            found.add(len(durable))
    assert found == {0, 1}


@pytest.mark.parametrize(("delay", "lost"), [(49, False), (50, False), (51, True)])
def test_a_delayed_write_is_gone_after_a_crash_that_comes_before_it(
    *, delay: int, lost: bool
) -> None:
    # Written at 5; the agent crashes at 55: what is on its way then never arrives.
    run = after_a_crash("delayed_write", write_delay=delay)

    values, _ = restarted(run)
    assert (values is not None) == lost
    assert run.states["bank"] == {"by": "z", "count": 1 if lost else 2}


def test_a_later_write_is_not_overtaken_by_a_delayed_one() -> None:
    starts = [Start("w"), Start("x", at=20), Start("z", at=50)]
    run = after_a_crash(
        "delayed_write", "delayed_write:bank:x/charge/1", starts=starts, write_delay=40
    )

    assert restarted(run) == (None, [])
    assert run.states["bank"] == {"by": "z", "count": 3}


def test_an_answer_that_an_agent_remembers_is_as_durable_as_what_it_did() -> None:
    # The crash loses the write; were the answer still known, the retry would do nothing.
    faults = Faults(crash=1, downtime=20, lost_write=1)
    for seed in range(20):
        run = run_without(
            till(bank(deduplicate=True)),
            faults,
            "crash:bank:w/charge/1#2",
            "lost_write:bank:w/charge/1#2",
            seed=seed,
        )
        assert run.states["bank"]["count"] == 1


# -- hosts -----------------------------------------------------------------------------------------


@workflow
async def talks(ctx: WorkflowContext, _: Any) -> Any:
    first = await ctx.call_activity("charge", timeout=TIMEOUT)
    both = await ctx.when_all(ctx.call_activity("charge"), ctx.call_activity("charge"))
    heard = await ctx.wait_for_event("go")
    await ctx.sleep(5)
    return [first, *both, heard, ctx.random("x").random()]


def host(*starts: Any) -> World:
    return World([bank()], talks, starts, network=Network(latency=REQUEST), timeout=None)


@pytest.mark.parametrize("seed", range(20))
def test_a_workflow_goes_on_after_its_process_has_crashed_with_the_same_history(seed: int) -> None:
    world = host(Start("w"), Signal("w", "go", 1, at=1_000))
    calm = simulate(world, seed=seed)
    run = simulate(world, seed=seed, faults=Faults(host_crash=1, downtime=30))

    assert run.results == calm.results
    assert run.log.history_digest == calm.log.history_digest
    # The second of two answers may come while it is down, and waits.
    assert types(run, "@w") == ["AgentCrashed", "AgentRestarted"] * len(run.faults)
    assert len(run.faults) in {1, 2, 3}


def test_what_reaches_a_process_that_is_down_waits_until_it_is_back() -> None:
    # A signal, a request to stop and the end of a child were handled while nobody was there.
    world = host(Start("w"), Signal("w", "go", 1, at=20))
    for seed in range(20):
        run = simulate(world, seed=seed, faults=Faults(host_crash=1, downtime=300))
        down = [
            (event.event_type, event.time_ns)
            for event in run.log
            if event.event_type in {"AgentCrashed", "AgentRestarted"}
        ]
        spans = [(down[i][1], down[i + 1][1]) for i in range(0, len(down), 2)]
        for event in run.log:
            if event.workflow_id == "w":
                assert not any(start < event.time_ns < end for start, end in spans)
        assert run.statuses["w"] == "completed"


# -- what was asked for and is not wanted any more -------------------------------------------------


@workflow
async def changes_its_mind(ctx: WorkflowContext, wait: int) -> Any:
    call = ctx.call_activity("charge", agent="bank")
    await ctx.sleep(wait)
    call.cancel("too slow")
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error).__name__


def queue(wait: int) -> World:
    starts = [Start("first", 10_000), Start("second", wait, at=1)]
    return World(
        [bank()],
        changes_its_mind,
        starts,
        network=Network(latency=REQUEST),
        timeout=None,
    )


@pytest.mark.parametrize(("wait", "done"), [(0, False), (1, False), (2, True), (3, True)])
def test_what_is_withdrawn_before_it_was_begun_is_not_done(*, wait: int, done: bool) -> None:
    # The first call is worked on from 2 to 5; the second waits from 3 to 5.
    run = simulate(queue(wait))

    assert run.states["bank"]["count"] == (2 if done else 1)
    assert ("ActivityCanceled" in types(run, "second")) == (not done)


def test_what_was_withdrawn_is_not_done_by_its_copy_either() -> None:
    for extra in (0, 1, 30):
        faults = Faults(duplicate=1, extra_delay=extra)
        run = run_without(queue(0), faults, "duplicate:first/charge.1/1/request")

        assert "duplicate:second/charge.1/1/request" in run.faults
        assert "ActivityCanceled" in types(run, "second")
        assert run.states["bank"]["count"] == 1


def test_what_was_done_before_a_crash_is_not_told_to_be_withdrawn() -> None:
    # While the agent was down, the message of its crash waited, and could be taken back.
    seen = set()
    for seed in range(20):
        run = run_without(
            World(
                [bank()],
                changes_its_mind,
                [Start("w", 10)],
                network=Network(latency=REQUEST),
                timeout=None,
            ),
            Faults(crash=1, downtime=50),
            "crash:bank:w/charge.1/1#2",
            seed=seed,
        )
        seen.add(run.states["bank"]["count"])
        assert "ActivityCompleted" in types(run, "w")
        assert "ActivityCanceled" not in types(run, "w")
    assert seen == {1, 2}


# -- all of them -----------------------------------------------------------------------------------


@given(worlds(), SEEDS, FAULTS)
@lightly
def test_every_fault_is_an_event_and_no_two_faults_have_one_id(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    told = Counter(
        event.data["fault"]
        for event in run.log
        if isinstance(event.data, dict) and "fault" in event.data
    )

    assert set(told) == set(run.faults)
    assert len(set(run.faults)) == len(run.faults)
    assert {f: n for f, n in told.items() if n > 1 and not f.startswith("partition:")} == {}


@given(worlds(), SEEDS, FAULTS)
@lightly
def test_without_a_fault_all_that_came_before_it_is_as_it_was(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    for fault in run.faults[:3]:
        twin = run_without(world, faults, fault, seed=seed)
        events, others = list(run.log), list(twin.log)
        first = next(
            place
            for place, event in enumerate(events)
            if isinstance(event.data, dict) and event.data.get("fault") == fault
        )
        time_ns = events[first].time_ns
        before = [event for event in events[:first] if event.time_ns < time_ns]
        assert fault not in twin.faults
        assert [e.replace(run_id="") for e in before] == [
            e.replace(run_id="") for e in others[: len(before)]
        ]


@given(worlds(), SEEDS, FAULTS)
@lightly
def test_who_begins_ends_once_or_is_told_to_be_open(
    world: World, seed: int, faults: Faults
) -> None:
    run = simulate(world, seed=seed, faults=faults)
    ends = {"WorkflowCompleted", "WorkflowFailed", "WorkflowCanceled"}
    found: Counter[str] = Counter()
    for history in histories(run.log):
        found[history[0].workflow_id] += sum(event.event_type in ends for event in history)

    assert found.keys() == run.statuses.keys()
    open_ones = [flow for flow, status in run.statuses.items() if status == "open"]
    assert {flow for flow, count in found.items() if count == 0} == set(open_ones)
    assert set(found.values()) <= {0, 1}
    assert [stuck.workflow_id for stuck in run.stuck] == open_ones


def test_two_sagas_of_a_workflow_may_have_steps_of_one_name() -> None:
    # They had one idempotency key: an agent that deduplicates did the second saga's by heart.
    @workflow
    async def two_sagas(ctx: WorkflowContext, generations: int) -> Any:
        done = []
        for _ in range(2):
            async with ctx.saga() as saga:
                done.append(await saga.step("charge", agent="bank", kind="pivot"))
        if generations:
            ctx.continue_as_new(generations - 1)
        return done

    run = simulate(World([bank(deduplicate=True)], two_sagas, [Start("w", 1)]))

    assert run.results["w"] == [3, 4]
    assert run.states["bank"]["count"] == 4
