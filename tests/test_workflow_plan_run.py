"""Plans run: every order is one that the plan allows, and both hosts write the same history."""

from __future__ import annotations

import json
import pickle
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_hosts import (
    DirectHost,
    PlanHost,
    as_written,
    driven,
    moody,
    plans,
)
from workflow_host import ID
from workflow_worlds import executions

from flowlab.errors import (
    CorruptionError,
    InvalidArgumentError,
    LimitError,
    NonDeterminismError,
    PlanError,
)
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.codec import encode_payload
from flowlab.workflow import (
    PLAN_COMMAND_TYPES,
    Barrier,
    Conditional,
    Parallel,
    Plan,
    PlanExecution,
    PlanInstance,
    Predicates,
    Program,
    RetryPolicy,
    Sequential,
    Step,
    field,
    named,
    result,
)
from flowlab.workflow.chance import stream

SEEDS = st.integers(0, 10**6)
WORLDS = st.sampled_from([{"p": 0}, {"p": 1}])


def do(name: str, agent: str = "a", **more: Any) -> Step:
    return Step(name, agent=agent, compensation=f"undo_{name}", **more)


def causes_of(event: Event) -> list[tuple[int, str]]:
    return [(cause.sequence, CauseKind(cause.kind).label) for cause in event.causes]


def failing(plan: Plan, seed: int, value: Any, cancel_after: int | None) -> PlanHost:
    host = PlanHost(plan, moody(seed), pick=random.Random(seed).randrange)
    driven(host, seed, value=value, cancel_after=cancel_after)
    return host


def past_of(history: list[Event]) -> dict[int, set[int]]:
    past: dict[int, set[int]] = {}
    for event in history:
        direct = {cause.sequence for cause in event.causes}
        past[event.sequence] = direct.union(*(past[sequence] for sequence in direct))
    return past


# -- order ----------------------------------------------------------------------------------------


@given(plan=plans(), seed=SEEDS, value=WORLDS)
@settings(max_examples=300)
def test_steps_complete_in_an_order_that_the_plan_allows(plan: Plan, seed: int, value: Any) -> None:
    host = driven(PlanHost(plan, pick=random.Random(seed).randrange), seed, value=value)
    assert host.types[-1] == "WorkflowCompleted"
    assert (host.trace, True) in executions(plan.root)
    assert list(host.end["result"]) == sorted(host.trace)


def every_trace(plan: Plan, value: Any) -> set[tuple[str, ...]]:
    """Return the orders of completion of all schedules: each choice is taken in turn."""
    program, found, script = Program.of(plan), set(), [0]
    while script:
        taken: list[tuple[int, int]] = []

        def pick(count: int, script: list[int] = script, taken: Any = taken) -> int:
            choice = script[len(taken)] if len(taken) < len(script) else 0
            taken.append((choice, count))
            return choice

        found.add(driven(PlanHost(program, pick=pick), 0, value=value).trace)
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        script = [choice for choice, _ in taken]
        if script:
            script[-1] += 1
    return found


@given(plan=plans())
@settings(max_examples=60)
def test_the_orders_of_all_schedules_are_exactly_those_of_the_plan(plan: Plan) -> None:
    allowed = {trace for trace, _ in executions(plan.root)}
    found = every_trace(plan, {"p": 0}) | every_trace(plan, {"p": 1})
    assert found <= allowed
    if sum(isinstance(at.node, Conditional) for at in plan.nodes) <= 1:
        assert found == allowed


@given(plan=plans(), seed=SEEDS, value=WORLDS)
@settings(max_examples=300)
def test_every_order_that_the_causes_of_a_history_allow_is_one_of_the_plan(
    plan: Plan, seed: int, value: Any
) -> None:
    rng = random.Random(seed)
    host = driven(PlanHost(plan, pick=rng.randrange), seed, value=value)
    past, trace, placed = past_of(host.history), [], set[int]()
    while len(placed) < len(host.history):
        free = [s for s in past if s not in placed and past[s] <= placed]
        chosen = rng.choice(free)
        placed.add(chosen)
        event = host.history[chosen - 1]
        if event.event_type == "ActivityCompleted":
            trace.append(str(host.history[event.causes[0].sequence - 1].step_id))
    assert (tuple(trace), True) in executions(plan.root)


@given(plan=plans(barriers=False), seed=SEEDS, value=WORLDS)
@settings(max_examples=200)
def test_a_step_follows_from_no_more_than_every_execution_does_before_it(
    plan: Plan, seed: int, value: Any
) -> None:
    host = driven(PlanHost(plan, pick=random.Random(seed).randrange), seed, value=value)
    past, traces = past_of(host.history), [trace for trace, _ in executions(plan.root)]
    for event in host.of("ActivityScheduled"):
        asked = [host.history[sequence - 1] for sequence in past[event.sequence]]
        before = {e.step_id for e in asked if e.event_type == "ActivityScheduled"}
        for trace in traces:
            if event.step_id in trace:
                earlier = trace[: trace.index(event.step_id)]
                assert before.intersection(trace) <= set(earlier)


@given(plan=plans(failing=True), seed=SEEDS, value=WORLDS, cancel=st.none() | st.integers(1, 6))
@settings(max_examples=300)
def test_no_cause_of_an_event_of_a_plan_is_implied_by_another(
    plan: Plan, seed: int, value: Any, cancel: int | None
) -> None:
    host = failing(plan, seed, value, cancel)
    past = past_of(host.history)
    for event in host.history:
        direct = [cause.sequence for cause in event.causes]
        assert direct == sorted(set(direct))
        assert not any(a in past[b] for a in direct for b in direct), event
        assert not event.follows_lane or event.event_type not in PLAN_COMMAND_TYPES


# -- hosts, replay, cuts --------------------------------------------------------------------------


@given(plan=plans(failing=True), seed=SEEDS, value=WORLDS, cancel=st.none() | st.integers(1, 6))
@settings(max_examples=300)
def test_two_hosts_that_tell_the_same_write_the_same(
    plan: Plan, seed: int, value: Any, cancel: int | None
) -> None:
    host = failing(plan, seed, value, cancel)
    draw = stream(0, ID, 0, "retry").random
    pick = random.Random(seed).randrange
    direct = DirectHost(Program.of(plan), moody(seed), pick, draw)
    driven(direct, seed, value=value, cancel_after=cancel)
    assert as_written(host.history) == direct.written


@given(
    plan=plans(failing=True),
    seed=SEEDS,
    value=WORLDS,
    cancel=st.none() | st.integers(1, 6),
    data=st.data(),
)
@settings(max_examples=200)
def test_a_plans_history_replays_to_the_same_commands_however_it_is_fed(
    plan: Plan, seed: int, value: Any, cancel: int | None, data: st.DataObject
) -> None:
    host = failing(plan, seed, value, cancel)
    cuts = data.draw(st.lists(st.integers(0, len(host.history)), max_size=4).map(sorted))
    execution, last = PlanExecution(plan, ID), 0
    for cut in [*cuts, len(host.history)]:
        asked = execution.advance(host.history[last:cut])
        after = [e for e in host.history[cut:] if e.event_type in PLAN_COMMAND_TYPES]
        assert [(d.event_type, d.name, d.payload, d.causes, d.step_id) for d in asked] == [
            (e.event_type, e.name, e.payload, e.causes, e.step_id) for e in after[: len(asked)]
        ]
        last = cut
    assert execution.advance([]) == ()
    assert execution.closed == host.execution.closed is True
    assert execution.now_ns == host.now


@given(plan=plans(failing=True), seed=SEEDS, value=WORLDS, cancel=st.none() | st.integers(1, 6))
@settings(max_examples=150)
def test_an_instance_that_was_saved_anywhere_goes_on_as_if_it_had_not_been(
    plan: Plan, seed: int, value: Any, cancel: int | None
) -> None:
    host = failing(plan, seed, value, cancel)
    program = Program.of(plan)
    plain, saved = PlanExecution(program, ID), PlanExecution(program, ID)
    for event in host.history:
        text = json.dumps(saved.to_json(), sort_keys=True)
        saved = PlanExecution.from_json(program, json.loads(text))
        assert saved.advance([event]) == plain.advance([event])
        assert json.dumps(saved.to_json()) == json.dumps(plain.to_json())
    assert saved.closed


@given(plan=plans(failing=True), seed=SEEDS, value=WORLDS, place=SEEDS)
@settings(max_examples=100)
def test_a_command_of_a_plan_that_was_altered_is_found_at_its_place(
    plan: Plan, seed: int, value: Any, place: int
) -> None:
    host = failing(plan, seed, value, None)
    commands = [event for event in host.history if event.event_type in PLAN_COMMAND_TYPES]
    victim = commands[place % len(commands)]
    history = list(host.history)
    history[victim.sequence - 1] = msgspec.structs.replace(victim, name=victim.name + "!")
    with pytest.raises(NonDeterminismError, match=f"event {victim.sequence} of"):
        PlanExecution(plan, ID).advance(history)


# -- what is written ------------------------------------------------------------------------------


def test_a_chain_is_written_with_inputs_agents_and_results() -> None:
    plan = Plan(
        Sequential(
            do("book", "hotel", input={"nights": field("nights")}, timeout=5),
            Step("pay", agent="bank", kind="pivot", input=result("book", "price")),
            Step("mail", agent="clerk", kind="retryable", idempotent=True, activity="send"),
        ),
        name="trip",
    )
    host = PlanHost(plan, lambda name, _value, _attempt: {"price": len(name)})
    host.begin({"nights": 2}, roles={"clerk": "ann"})
    while host.step():
        pass
    shown = [(e.event_type, e.name, e.data, causes_of(e)) for e in host.history]
    done = {"price": 4}
    assert shown[1:] == [
        (
            "ActivityScheduled",
            "book",
            {"input": {"nights": 2}, "attempt": 1, "agent": "hotel", "timeout_ns": 5},
            [(1, "program")],
        ),
        ("ActivityCompleted", "", {"result": done}, [(2, "program")]),
        (
            "ActivityScheduled",
            "pay",
            {"input": 4, "attempt": 1, "agent": "bank"},
            [(3, "program")],
        ),
        ("ActivityCompleted", "", {"result": {"price": 3}}, [(4, "program")]),
        ("PivotReached", "pay", None, [(5, "program")]),
        (
            "ActivityScheduled",
            "send",
            {"input": None, "attempt": 1, "agent": "ann"},
            [(5, "program")],
        ),
        ("ActivityCompleted", "", {"result": done}, [(7, "program")]),
        (
            "WorkflowCompleted",
            "trip",
            {"result": {"book": done, "pay": {"price": 3}, "mail": done}},
            [(8, "program")],
        ),
    ]
    assert {e.step_id for e in host.history} == {None, "book", "pay", "mail"}
    commands = [e for e in host.history if e.event_type in PLAN_COMMAND_TYPES]
    assert {e.coordination_id for e in commands} == {ID}


def test_branches_fork_and_join_at_a_sync_point() -> None:
    plan = Sequential(
        do("first"), Parallel(do("left"), do("right", "b"), sync_point="both"), do("last")
    )
    host = PlanHost(plan, pick=lambda count: count - 1).run()
    shown = [(e.event_type, e.step_id, causes_of(e)) for e in host.history[3:]]
    assert shown == [
        ("ActivityScheduled", "left", [(3, "fork")]),
        ("ActivityScheduled", "right", [(3, "fork")]),
        ("ActivityCompleted", None, [(5, "program")]),
        ("ActivityCompleted", None, [(4, "program")]),
        ("BarrierReleased", "both", [(6, "join"), (7, "join")]),
        ("ActivityScheduled", "last", [(8, "program")]),
        ("ActivityCompleted", None, [(9, "program")]),
        ("WorkflowCompleted", None, [(10, "program")]),
    ]
    assert host.of("BarrierReleased")[0].data == {"agents": ["a", "b"]}


def test_a_branch_that_comes_late_to_an_open_barrier_passes() -> None:
    plan = Parallel(
        Sequential(do("a1", "a"), Barrier("met", ["a"]), do("a2", "a")),
        Sequential(do("b1", "b"), Barrier("met", ["a"]), do("b2", "b")),
    )
    first, last = PlanHost(plan), PlanHost(plan, pick=lambda count: count - 1)
    for host in (first, last):
        host.begin(None)
        assert host.step()
        assert host.step()
    assert [(e.event_type, e.step_id, causes_of(e)) for e in first.history[3:]] == [
        ("ActivityCompleted", None, [(2, "program")]),
        ("BarrierArrived", "met", [(4, "program")]),
        ("BarrierReleased", "met", [(5, "join")]),
        ("ActivityScheduled", "a2", [(6, "program")]),
        ("ActivityCompleted", None, [(3, "program")]),
        ("BarrierArrived", "met", [(8, "program")]),
        ("ActivityScheduled", "b2", [(6, "join"), (9, "join")]),
    ]
    # The barrier waits only for a; b brings nobody, so the opening does not follow from it.
    assert [(e.event_type, e.step_id, causes_of(e)) for e in last.history[3:]] == [
        ("ActivityCompleted", None, [(3, "program")]),
        ("BarrierArrived", "met", [(4, "program")]),
        ("ActivityCompleted", None, [(2, "program")]),
        ("BarrierArrived", "met", [(6, "program")]),
        ("BarrierReleased", "met", [(7, "join")]),
        ("ActivityScheduled", "b2", [(5, "join"), (8, "join")]),
        ("ActivityScheduled", "a2", [(8, "program")]),
    ]
    assert [e.data["agents"] for e in last.of("BarrierArrived")] == [[], ["a"]]


def test_branches_that_come_to_a_barrier_at_once_open_it_once() -> None:
    branches = [Sequential(Barrier("met", ["a"]), do(name)) for name in "xy"]
    host = PlanHost(Sequential(do("first"), Parallel(*branches))).run()
    shown = [(e.event_type, e.step_id, causes_of(e)) for e in host.history[3:8]]
    assert shown == [
        ("BarrierArrived", "met", [(3, "fork")]),
        ("BarrierArrived", "met", [(3, "fork")]),
        ("BarrierReleased", "met", [(4, "join")]),
        ("ActivityScheduled", "x", [(6, "program")]),
        ("ActivityScheduled", "y", [(5, "join"), (6, "join")]),
    ]
    assert host.types[-1] == "WorkflowCompleted"


def test_what_lies_before_a_meeting_of_all_branches_is_forgotten() -> None:
    parts = [Parallel(do(f"x{n}"), do(f"y{n}", "b"), sync_point=f"p{n}") for n in range(20)]
    host, sizes = PlanHost(Sequential(*parts)).begin(None), []
    while host.step():
        state = host.execution.instance.to_json()
        sizes.append(len(state["past"]["why"]) + len(state["meetings"]["joins"]))
    assert len(sizes) == 40
    assert max(sizes) == 3


def test_a_condition_or_an_input_that_cannot_be_told_fails_the_workflow_and_undoes() -> None:
    def broken(_: Any) -> bool:
        raise ZeroDivisionError

    choice = Conditional(named("broken"), do("x"))
    for node, kind in ((choice, "ZeroDivisionError"), (do("y", input=field("no")), "PlanError")):
        plan = Sequential(do("first"), Parallel(do("beside", "b"), node))
        host = PlanHost(Program.of(plan, Predicates(broken=broken)))
        host.run({})
        assert host.end["error"]["type"] == kind
        undone = [event.step_id for event in host.of("CompensationScheduled")]
        assert undone == ["beside", "first"]
        assert causes_of(host.of("CompensationScheduled")[0]) == [(5, "program")]


def test_what_fails_behind_a_barrier_follows_from_its_opening() -> None:
    plan = Sequential(do("first"), Barrier("met", ["a"]), do("bad", input=field("no")))
    host = PlanHost(plan).run({})
    assert host.types[4:6] == ["BarrierReleased", "CompensationScheduled"]
    assert causes_of(host.history[5]) == [(5, "program")]


def test_after_a_branch_has_failed_the_others_do_not_begin() -> None:
    host = PlanHost(Parallel(do("bad", input=field("no")), do("beside"))).run({})
    assert host.types == ["WorkflowStarted", "WorkflowFailed"]
    assert "field('no') is not there; the state has no fields" in host.end["error"]["message"]
    assert causes_of(host.history[1]) == [(1, "program")]


def test_an_answer_that_nothing_waits_for_changes_nothing() -> None:
    program = Program.of(
        Sequential(do("a", retry=RetryPolicy(maximum_attempts=2)), do("b", retry=RetryPolicy()))
    )
    run, (a, b) = PlanInstance(program, None), program.steps
    run.start(1)
    run.failed(a, 2, 1, "Busy", "busy", False, 0)

    def unmoved(*answers: Any) -> None:
        before = json.dumps(run.to_json())
        for answer in answers:
            assert answer == ()
        assert json.dumps(run.to_json()) == before

    unmoved(run.completed(a, 3, 0), run.failed(a, 3, 1, "Busy", "busy", True, 0))
    unmoved(run.timer_fired(a, 3, 1), run.undone(a, 3), run.undo_timer_fired(a, 3, 1))
    assert len(run.timer_fired(a, 4, 2)) == 1
    unmoved(run.completed(a, 5, 0, attempt=1), run.completed(b, 5, 0))
    assert len(run.completed(a, 6, 0, attempt=2)) == 1
    unmoved(run.completed(a, 7, 0))
    assert len(run.failed(b, 7, 1, "Busy", "busy", False, 0)) == 1
    assert len(run.cancel(8)) == 1
    unmoved(run.timer_fired(b, 9, 2), run.cancel(9), run.completed(a, 9, 0))
    unmoved(run.undone(a, 9, attempt=2), run.undone(b, 9))
    assert len(run.undone(a, 10, attempt=1)) == 1
    assert run.closed
    unmoved(run.undone(a, 11), run.completed(a, 11, 0), run.cancel(11))


def test_late_and_foreign_answers_ask_for_nothing() -> None:
    step = do("charge", retry=RetryPolicy(maximum_attempts=2))
    host = PlanHost(Plan(step)).begin(None)
    host.tell("ActivityStarted", causes=(Cause(ID, 2),))
    host.tell("ActivityTimedOut", causes=(Cause(ID, 3),))
    host.tell("ActivityCompleted", payload={"result": 1}, causes=(Cause(ID, 2),))
    host.tell("ActivityCompleted", payload={"result": 1}, causes=(Cause(ID, 3),))
    host.tell("TimerFired", causes=(Cause(ID, 2),))
    host.tell("Signaled", name="hello")
    assert host.types[4] == "TimerStarted"
    host.tell("TimerFired", causes=(Cause(ID, 5),))
    host.tell("ActivityCompleted", payload={"result": 1}, causes=(Cause(ID, 2),))
    assert not host.execution.closed
    (second,) = (e for e in host.of("ActivityScheduled") if e.data["attempt"] == 2)
    assert causes_of(second) == [(10, "timer")]
    host.tell("ActivityCompleted", payload={"result": 2}, causes=(Cause(ID, second.sequence),))
    assert host.end == {"result": {"charge": 2}}
    host.tell("ActivityCompleted", payload={"result": 3}, causes=(Cause(ID, second.sequence),))
    host.tell("WorkflowCancelRequested")
    assert host.execution.advance([]) == ()


def test_a_program_is_checked_shared_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match="is not in Predicates"):
        Program.of(Conditional(named("vip"), do("a")))
    with pytest.raises(PlanError, match="names no compensation"):
        Program.of(Step("a", agent="x"))
    monkeypatch.setattr("flowlab.workflow.plan_program.MAX_CAUSES", 40)
    wide = Parallel(*(do(f"s{number}") for number in range(40)))
    with pytest.raises(LimitError, match="MAX_CAUSES"):
        Program.of(wide)
    program = Program.of(Sequential(do("a"), Parallel(do("b"), do("c", "d"))))
    sent = pickle.loads(pickle.dumps(program))
    assert (sent.plan, sent.digest) == (program.plan, program.digest)
    assert repr(program) == "Program('plan', 3 steps)"
    assert [step.next_step for step in program.steps] == [None, None, None]


def test_the_state_of_another_plan_or_a_damaged_one_is_refused() -> None:
    program = Program.of(do("a"))
    instance = PlanInstance(program, {})
    instance.start(1)
    assert (
        repr(PlanInstance.from_json(program, instance.to_json()))
        == "PlanInstance('plan', running, 0 steps done)"
    )
    with pytest.raises(InvalidArgumentError, match="not the state of an instance of Program"):
        PlanInstance.from_json(Program.of(do("b")), instance.to_json())
    with pytest.raises(InvalidArgumentError, match="is damaged"):
        PlanInstance.from_json(program, instance.to_json() | {"past": 7})
    with pytest.raises(InvalidArgumentError, match="is damaged"):
        PlanExecution.from_json(program, {"workflow_id": "w"})


def test_a_plans_history_with_a_gap_a_second_beginning_or_bad_roles_is_refused() -> None:
    history = PlanHost(do("a")).run().history
    with pytest.raises(CorruptionError, match="event 3 of 'w' follows 1"):
        PlanExecution(do("a"), ID).advance([history[0], history[2]])
    again = msgspec.structs.replace(history[0], sequence=3)
    with pytest.raises(CorruptionError, match="has begun"):
        PlanExecution(do("a"), ID).advance([*history[:2], again])
    bad = Event.of("WorkflowStarted", sequence=1, time_ns=0, payload={"roles": {"a": 7}})
    with pytest.raises(CorruptionError, match="binds roles"):
        PlanExecution(do("a"), ID).advance([bad])


def test_a_history_of_before_requests_told_of_steps_without_effect_is_replayed() -> None:
    plan = Plan(Sequential(Step("look", agent="a", effect=False), do("take")))
    history = driven(PlanHost(plan), 1, value={}).history
    assert history[1].data["effect"] is False
    told = {key: value for key, value in history[1].data.items() if key != "effect"}
    old = [history[0], history[1].replace(payload=encode_payload(told)), *history[2:]]
    execution = PlanExecution(plan, ID)
    assert execution.advance(old) == ()
    assert execution.closed
    with pytest.raises(NonDeterminismError, match="differ in arguments"):
        PlanExecution(plan, ID).advance(
            [history[0], history[1].replace(payload=encode_payload({**told, "attempt": 2}))]
        )
