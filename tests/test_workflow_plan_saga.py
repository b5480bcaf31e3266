"""Plans that fail: what was done is undone, in order, exactly once; and what is left is told."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_hosts import Final, PlanHost, driven, moody, plans
from workflow_host import NoAnswer

from flowlab.events import Cause, CauseKind, Event
from flowlab.workflow import (
    NO_RETRY,
    SECOND,
    Compensation,
    Parallel,
    Plan,
    PlanExecution,
    RetryPolicy,
    Sequential,
    Step,
    field,
    result,
)


def do(name: str, agent: str = "a", **more: Any) -> Step:
    return Step(name, agent=agent, compensation=Compensation(f"undo_{name}", **more))


PAY = Step("pay", agent="bank", kind="pivot")
MAIL = Step("mail", agent="clerk", kind="retryable", idempotent=True)


def agents(*names: str, silent: tuple[str, ...] = ()) -> Any:
    """Return agents of which some refuse for good, and some never answer."""

    def answer(name: str, _value: Any, _attempt: int) -> Any:
        if name in silent:
            raise NoAnswer
        if name in names:
            raise Final(name)
        return f"did {name}"

    return answer


def ran(root: Any, answer: Any, **more: Any) -> PlanHost:
    plan = root if isinstance(root, Plan) else Plan(root)
    host = PlanHost(plan, answer, **more)
    host.run({"p": 1})
    return host


def shown(host: PlanHost, event_type: str = "CompensationScheduled") -> list[Any]:
    return [
        (e.step_id, [(c.sequence, CauseKind(c.kind).label) for c in e.causes])
        for e in host.of(event_type)
    ]


def test_what_was_done_is_undone_in_reverse_with_inputs_and_results() -> None:
    told = {"receipt": result("flight"), "why": "no money"}
    unbook = Compensation("undo_hotel", agent="desk", input=told)
    plan = Sequential(
        Step("flight", agent="air", input={"to": field("p")}, compensation="cancel", timeout=9),
        Step("hotel", agent="inn", compensation=unbook),
        Step("look", agent="web", effect=False),
        PAY,
    )
    host = ran(plan, agents("pay"))
    assert shown(host) == [
        ("hotel", [(9, "program")]),
        ("flight", [(11, "program")]),
    ]
    hotel, flight = host.of("CompensationScheduled")
    assert (hotel.name, flight.name) == ("undo_hotel", "cancel")
    assert hotel.data == {
        "input": {"receipt": "did flight", "why": "no money"},
        "attempt": 1,
        "agent": "desk",
    }
    assert flight.data == {
        "input": {"input": {"to": 1}, "result": "did flight"},
        "attempt": 1,
        "agent": "air",
    }
    assert host.types[-1] == "WorkflowFailed"
    assert host.end == {
        "error": {
            "type": "ActivityError",
            "message": "activity 'pay' failed in attempt 1: pay",
        }
    }


def test_all_is_undone_at_once_where_the_plan_says_so() -> None:
    plan = Plan(Sequential(do("x"), do("y"), do("z"), PAY), parallel_undo=True)
    host = ran(plan, agents("pay"), pick=lambda count: count - 1)
    assert shown(host) == [(name, [(9, "program")]) for name in "zyx"]
    assert shown(host, "WorkflowFailed") == [(None, [(13, "join"), (14, "join"), (15, "join")])]


@pytest.mark.parametrize("parallel_undo", [False, True])
@pytest.mark.parametrize("go_on", [False, True])
def test_a_compensation_that_fails_for_good_is_told_with_all_that_is_left(
    *, parallel_undo: bool, go_on: bool
) -> None:
    steps = [do(name, retry=NO_RETRY) for name in "xyz"]
    plan = Plan(Sequential(*steps, PAY), parallel_undo=parallel_undo, go_on=go_on)
    host = ran(plan, agents("pay", "undo_y"))
    left = ["y"] if go_on or parallel_undo else ["y", "x"]
    assert host.end["uncompensated"] == left
    assert host.end["error"] == {
        "type": "CompensationError",
        "message": "activity 'pay' failed in attempt 1: pay; compensations failed (y: undo_y), "
        f"and these effects are left: {', '.join(left)}",
    }
    assert len(host.of("CompensationCompleted")) == 3 - len(left)


def test_a_step_that_may_have_happened_is_undone_too() -> None:
    receipt = Compensation("refund", input={"receipt": result("charge", "receipt")})
    again = RetryPolicy(maximum_attempts=2)
    plan = Sequential(do("x"), Step("charge", agent="b", compensation=receipt, retry=again))

    def first_is_silent(name: str, _value: Any, attempt: int) -> Any:
        if name == "charge":
            raise NoAnswer if attempt == 1 else Final
        return None

    for answer in (agents(silent=("charge",)), first_is_silent):
        host = ran(plan, answer)
        assert [step for step, _ in shown(host)] == ["charge", "x"]
        assert host.of("CompensationScheduled")[0].data["input"] == {"receipt": None}
        assert host.types[-1] == "WorkflowFailed"


@pytest.mark.parametrize("beside", [False, True])
def test_a_step_that_has_succeeded_after_all_is_undone_with_its_result(*, beside: bool) -> None:
    again = RetryPolicy(maximum_attempts=2)
    refund = Compensation("refund", input={"receipt": result("charge", "number")})
    charge = Step("charge", agent="b", compensation=refund, retry=again)
    first = Parallel(charge, Step("look", agent="c", effect=False)) if beside else charge

    def answer(name: str, _value: Any, attempt: int) -> Any:
        if name == "charge" and attempt == 1:
            raise NoAnswer
        if name == "pay":
            raise Final
        return {"number": attempt}

    host = ran(Sequential(first, PAY), answer)
    (undo,) = host.of("CompensationScheduled")
    assert undo.data["input"] == {"receipt": 2}


def test_no_attempt_to_undo_begins_after_its_time_counted_from_the_first_request() -> None:
    patient = RetryPolicy(initial_interval=SECOND, retry_timeout=5 * SECOND)
    host = ran(Sequential(do("x", retry=patient), PAY), agents("pay", "undo_x"))
    assert [event.time_ns // SECOND for event in host.of("CompensationScheduled")] == [6, 10]
    assert host.end["uncompensated"] == ["x"]


def test_steps_in_flight_are_waited_for_and_retries_are_given_up() -> None:
    later = RetryPolicy(maximum_attempts=5)
    plan = Parallel(
        do("slow", "x"), do("fails", "y"), Step("tries", agent="z", effect=False, retry=later)
    )
    host = PlanHost(plan, agents("fails", "tries")).begin({})
    open_ = {event.name: event for event in host.open}
    host.open = [open_[name] for name in ("tries", "fails")]
    assert host.step()
    assert host.step()
    assert host.types[4:] == ["ActivityFailed", "TimerStarted", "ActivityFailed"]
    host.tell("TimerFired", causes=(Cause("w", 6),))
    assert host.types[-1] == "TimerFired"
    host.open = [open_["slow"]]
    assert host.step()
    assert shown(host) == [("slow", [(5, "join"), (7, "join"), (9, "join")])]


def test_after_the_pivot_nothing_is_undone_and_what_is_left_is_told() -> None:
    stubborn = Step("mail", agent="c", kind="retryable", idempotent=True, retry=NO_RETRY)
    host = ran(Sequential(do("x"), do("y"), PAY, stubborn), agents("mail"))
    assert host.of("CompensationScheduled") == []
    assert host.types[-1] == "WorkflowFailed"
    assert host.end["uncompensated"] == ["x", "y"]
    assert "the pivot was passed" in host.end["error"]["message"]
    assert ran(Sequential(PAY, stubborn), agents("mail")).end == {
        "error": {
            "type": "ActivityError",
            "message": "activity 'mail' failed in attempt 1: mail",
        }
    }


def test_the_pivot_is_told_where_it_is_the_last_step_and_while_the_plan_stops() -> None:
    host = ran(PAY, agents())
    assert host.types[2:] == ["ActivityCompleted", "PivotReached", "WorkflowCompleted"]
    assert shown(host, "PivotReached") == [("pay", [(3, "program")])]
    host = PlanHost(Sequential(do("x"), PAY), agents()).begin({})
    assert host.step()
    host.cancel("")
    assert host.step()
    assert host.types[4:] == [
        "WorkflowCancelRequested",
        "ActivityCompleted",
        "PivotReached",
        "WorkflowFailed",
    ]
    assert host.end["uncompensated"] == ["x"]


def test_a_retryable_step_is_tried_until_it_succeeds() -> None:
    def answer(name: str, _value: Any, attempt: int) -> Any:
        if name == "mail" and attempt < 20:
            raise OSError
        return None

    host = ran(Sequential(PAY, MAIL), answer)
    assert host.types[-1] == "WorkflowCompleted"
    delays = [event.data["delay_ns"] // SECOND for event in host.of("TimerStarted")]
    assert delays == [1, 2, 4, 8, 16, 32, 64, *[100] * 12]
    assert [event.data["attempt"] for event in host.of("TimerStarted")] == list(range(2, 21))


def test_no_attempt_begins_after_its_time_counted_from_the_first_request() -> None:
    policy = RetryPolicy(initial_interval=5 * SECOND, backoff_coefficient=1, retry_timeout=SECOND)
    host = ran(Sequential(Step("a", agent="x", effect=False, retry=policy)), agents("a"))
    assert host.of("TimerStarted") == []
    patient = RetryPolicy(initial_interval=SECOND, retry_timeout=5 * SECOND)
    host = ran(Sequential(Step("a", agent="x", effect=False, retry=patient)), agents("a"))
    # Each event is a second after the one before: attempts begin at 2 s and 5 s; 9 s is too late.
    assert [event.time_ns // SECOND for event in host.of("ActivityScheduled")] == [2, 6]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_cancelling_undoes_what_was_done_and_says_why(steps: int) -> None:
    host = PlanHost(Sequential(do("x"), do("y"), do("z")), agents()).begin({})
    for _ in range(steps):
        assert host.step()
    host.cancel("rain")
    host.tell("WorkflowCancelRequested", payload={"reason": "more rain"})
    while host.step():
        pass
    assert [step for step, _ in shown(host)] == list("xyz"[steps::-1])
    assert host.types[-1] == "WorkflowCanceled"
    assert host.end == {"reason": "plan 'plan' was asked to stop: rain"}
    first = host.of("CompensationScheduled")[0]
    asked, landed = 3 + 2 * steps, first.causes[1].sequence
    assert [c.sequence for c in first.causes] == [asked, landed]
    assert host.history[landed - 1].event_type == "ActivityCompleted"


def test_cancelling_while_a_retry_waits_or_after_the_end_waits_for_nothing() -> None:
    step = Step("a", agent="x", effect=False, retry=RetryPolicy())
    host = PlanHost(Sequential(do("b"), step), agents("a")).begin({})
    while not host.of("TimerStarted"):
        assert host.step()
    host.cancel("")
    assert shown(host) == [("b", [(5, "join"), (7, "join")])]
    while host.step():
        pass
    assert host.end == {"reason": "plan 'plan' was asked to stop"}
    host.cancel("too late")
    assert host.types[-1] == "WorkflowCancelRequested"


def test_a_compensation_whose_input_cannot_be_told_is_told_as_left() -> None:
    undo = Compensation("undo", input=result("maybe", "id"))
    plan = Plan(
        Sequential(do("x"), Step("maybe", agent="a", compensation=undo), do("y"), PAY), go_on=True
    )
    host = ran(plan, agents("pay"))
    assert [step for step, _ in shown(host)] == ["y", "x"]
    assert host.end["uncompensated"] == ["maybe"]
    assert "(maybe: result('maybe', 'id') is not there" in host.end["error"]["message"]


def completed(host: PlanHost, family: str) -> list[str]:
    found = host.of(f"{family}Completed")
    return [str(host.history[event.causes[0].sequence - 1].step_id) for event in found]


def may_have_happened(host: PlanHost, undoable: set[str]) -> list[str]:
    """Return the steps with an effect that happened or may have, as the history shows it."""
    found = dict.fromkeys(completed(host, "Activity"))
    for event in host.of("ActivityTimedOut"):
        asked = host.history[event.causes[0].sequence - 1]
        if asked.event_type == "ActivityScheduled":
            found[str(asked.step_id)] = None
    return [name for name in found if name in undoable]


@given(
    plan=plans(failing=True),
    seed=st.integers(0, 10**6),
    value=st.sampled_from([{"p": 0}, {"p": 1}]),
    cancel=st.none() | st.integers(1, 6),
)
@settings(max_examples=400)
def test_a_plan_that_fails_undoes_exactly_what_may_have_been_done_or_tells_what_is_left(
    plan: Plan, seed: int, value: Any, cancel: int | None
) -> None:
    host = PlanHost(plan, moody(seed), pick=random.Random(seed).randrange)
    driven(host, seed, value=value, cancel_after=cancel)
    assert PlanExecution(plan, "w").advance(host.history) == ()
    undoable = {step.name for step in plan.steps if step.compensation is not None}
    happened = may_have_happened(host, undoable)
    undone = completed(host, "Compensation")
    asked = list(dict.fromkeys(str(e.step_id) for e in host.of("CompensationScheduled")))
    left = host.end.get("uncompensated", [])
    if host.types[-1] == "WorkflowCompleted":
        assert asked == []
        return
    assert host.types[-1] in {"WorkflowFailed", "WorkflowCanceled"}
    assert sorted([*undone, *left]) == sorted(happened)
    assert set(asked) <= set(happened)
    if host.of("PivotReached"):
        assert asked == []
    answered = completed(host, "Activity")
    order = [name for name in asked if name in answered]
    assert order == [name for name in reversed(answered) if name in order]
    if asked:
        check_where_undoing_begins(host)
    if not plan.parallel_undo:
        check_that_one_is_undone_after_the_other(host)


def check_that_one_is_undone_after_the_other(host: PlanHost) -> None:
    """Check that at most one compensation is under way at any time."""
    under_way: set[int] = set()
    for event in host.history:
        if event.event_type == "CompensationScheduled":
            assert not under_way
            under_way.add(event.sequence)
        else:
            under_way.difference_update(cause.sequence for cause in event.causes)


def check_where_undoing_begins(host: PlanHost) -> None:
    """Check that the first compensation follows from every answer before it."""
    first: Event = host.of("CompensationScheduled")[0]
    past: dict[int, set[int]] = {}
    for event in host.history:
        direct = {cause.sequence for cause in event.causes}
        past[event.sequence] = direct.union(*(past[sequence] for sequence in direct))
    answers = {"ActivityCompleted", "ActivityFailed", "ActivityTimedOut"}
    for event in host.history[: first.sequence - 1]:
        if event.event_type in answers:
            assert event.sequence in past[first.sequence]
