"""Every event of a recorded workflow can be named: its twin changes what it affects, no more."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from plan_hosts import PlanHost, moody
from workflow_host import Host

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.recovery import recorded_twin
from flowlab.recovery.forking import Fork, fork_of
from flowlab.recovery.record import Record
from flowlab.recovery.redoing import Redone
from flowlab.recovery.twins import affected
from flowlab.runtime.standing import ANSWERS, EFFECTS, REQUESTS
from flowlab.scenarios.dispatch import dispatch
from flowlab.scenarios.nested import nested
from flowlab.simulation import simulate
from flowlab.workflow import (
    SECOND,
    Compensation,
    Conditional,
    Parallel,
    Program,
    Sequential,
    Step,
    Workflow,
    WorkflowContext,
    result,
    workflow,
)
from flowlab.workflow.matching import COMMAND_TYPES

Reuse = Literal["causal", "data"]
REUSES: tuple[Reuse, ...] = ("causal", "data")


@workflow
async def kid(ctx: WorkflowContext, value: Any) -> Any:
    return ["kid", await ctx.call_activity("inner", value)]


@workflow
async def chain(ctx: WorkflowContext, value: Any) -> Any:
    first = await ctx.call_activity("first", value)
    await ctx.sleep(5 * SECOND)
    patched = ctx.patched("later")
    child = await ctx.call_child_workflow(kid, first)
    told = await ctx.wait_for_event("go")
    return [first, patched, child, told, await ctx.call_activity("last", told)]


@workflow
async def beside(ctx: WorkflowContext, value: Any) -> Any:
    async def branch(name: str) -> Any:
        got = await ctx.call_activity(name, value)
        await ctx.sleep(SECOND)
        return await ctx.call_activity(f"{name}+", got)

    both = await ctx.when_all(branch("left"), ctx.call_child_workflow(kid, value), branch("right"))
    return [both, await ctx.call_activity("join", both)]


@workflow
async def racing(ctx: WorkflowContext, value: Any) -> Any:
    slow = ctx.call_activity("slow", value)
    clock = ctx.sleep(3 * SECOND)
    other = ctx.call_activity("other", value)
    await ctx.when_any(slow, clock)
    for handle in (slow, clock):
        if not handle.done:
            handle.cancel()
    return [slow.done, await other]


@workflow
async def undoing(ctx: WorkflowContext, value: Any) -> Any:
    async with ctx.saga() as saga:
        await saga.step("book", value, compensation="cancel")
        await ctx.when_all(
            saga.step("hire", 1, compensation="return"), saga.step("pay", 2, compensation="refund")
        )
        return await saga.step("leave", 3, kind="pivot")


@workflow
async def catching(ctx: WorkflowContext, value: Any) -> Any:
    try:
        got = await ctx.call_child_workflow(kid, value)
    except Exception as error:  # noqa: BLE001 - to be told
        got = type(error).__name__
    return [got, await ctx.call_child_workflow(kid, got)]


tour = Program.of(
    Sequential(
        Step("look", agent="x", effect=False),
        Parallel(
            Step("book", agent="x", compensation=Compensation("cancel"), input=result("look")),
            Step("hire", agent="y", compensation="return"),
        ),
        Conditional(result("look") != 0, Step("pay", agent="z", compensation="refund")),
        Step("leave", agent="x", compensation="stay", input=result("book")),
    )
)
CODES: dict[str, Any] = {
    "chain": chain, "beside": beside, "racing": racing, "undoing": undoing,
    "catching": catching, "tour": tour,
}  # fmt: skip


def act(name: str, value: Any) -> Any:
    """Return activities of which no two results are equal by chance."""
    return ["old", name, value]


def answered(seed: int) -> Callable[[str, Any, int], Any]:
    """Return agents of which some fail or never answer: all of them work for the seed 0."""
    moods = moody(seed)

    def answer(name: str, value: Any, attempt: int) -> Any:
        if seed:
            moods(name, value, attempt)
        return ["kid", act("inner", value)] if name == "kid" else act(name, value)

    return answer


def recorded(name: str, seed: int) -> list[Event]:
    """Record a workflow: answers come in an order by chance, and a signal at some time."""
    code, chance = CODES[name], random.Random(seed)
    kind = Host if isinstance(code, Workflow) else PlanHost
    host: Any = kind(code=code, answer=answered(seed), pick=chance.randrange)
    host.tell("WorkflowStarted", name=name, payload={"input": 7})
    at, steps = chance.randrange(6), 0
    while host.step() or steps <= at:
        if steps == at:
            host.tell("Signaled", name="go", payload={"value": 9})
        steps += 1
    history: list[Event] = []
    for event in host.history:
        # As hosts do: what is asked for has the time of what led to it.
        asked = event.event_type in COMMAND_TYPES
        history.append(event.replace(time_ns=history[-1].time_ns) if asked else event)
    if seed % 4 == 3:
        return history[: chance.randrange(1, len(history) + 1)]
    return history


WORLDS = [(name, seed) for name in CODES for seed in range(6)]


def twin(name: str, history: list[Event], at: Event, reuse: Reuse, **change: Any) -> Redone:
    return recorded_twin(
        history, CODES[name], at=at, execute=act, reuse=reuse, workflows=[kid], **change
    )


def fork_at(history: list[Event], at: Event) -> Fork | None:
    try:
        return fork_of(history, history.index(at), Record(history))
    except InvalidArgumentError:
        return None


def told(events: Any) -> list[Any]:
    return [
        (e.event_type, e.name, e.step_id, e.payload, e.sequence, e.time_ns, e.causes)
        for e in events
    ]


def as_it_was(fork: Fork) -> dict[str, Any] | None:
    """Return the change of an event that is none."""
    event, data = fork.event, fork.event.data or {}
    if fork.is_open:
        return {"without": True}
    if event.event_type == "WorkflowStarted":
        return {"result": data["input"]}
    if event.event_type == "Signaled":
        return {"result": data["value"]}
    if event.event_type.endswith("Completed"):
        return {"result": data["result"]}
    if event.event_type.endswith("Failed"):
        error = data["error"]
        return {"error": type(error["type"], (Exception,), {})(error["message"])}
    return None


def changes(fork: Fork) -> Iterator[dict[str, Any]]:
    """Yield what an event allows."""
    if fork.event.event_type != "WorkflowStarted":
        yield {"without": True}
    if "Timer" not in fork.event.event_type:
        yield {"result": "other"}
        if fork.asked is not None:
            yield {"error": ValueError("no")}


@pytest.mark.parametrize(("name", "seed"), WORLDS)
def test_a_twin_in_which_an_event_is_as_it_was_equals_the_recorded_run(
    name: str, seed: int
) -> None:
    history = recorded(name, seed)
    named = 0
    for at in history:
        fork = fork_at(history, at)
        change = None if fork is None else as_it_was(fork)
        if change is None:
            continue
        named += 1
        for reuse in REUSES:
            again = twin(name, history, at, reuse, **change)
            closed = any(e.event_type in TERMINAL_STATUS for e in history)
            assert told(again.events[: len(history)]) == told(history)
            if closed:
                assert (len(again.events), again.executed) == (len(history), ())
    assert named


@pytest.mark.parametrize("scenario", [nested, dispatch])
def test_a_twin_of_a_simulated_run_in_which_an_event_is_as_it_was_equals_it(scenario: Any) -> None:
    run = simulate(scenario, seed=0)
    world = run.recipe.world()
    every = list(run.log.events())
    for workflow_id in sorted({e.workflow_id for e in every if e.workflow_id[0] != "@"})[:3]:
        history = [event for event in every if event.workflow_id == workflow_id]
        process = world.programs.get(history[0].name) or world.workflows[history[0].name]
        for at in history:
            fork = fork_at(history, at)
            change = None if fork is None else as_it_was(fork)
            if change is not None:
                again = recorded_twin(every, process, at=at, execute={}, seed=0, **change)
                assert told(again.events) == told(history)


def plain(event: Event) -> Any:
    """Return an event without its place, and a child without its id."""
    data = event.data
    if event.event_type == "ChildWorkflowInitiated":
        data = data["input"]
    return (event.event_type, event.name, event.step_id, repr(data))


def widened(history: list[Event], cone: set[int], fork: Fork) -> set[int]:
    """Return a cone with what the log's causes do not tell.

    A saga undoes nothing before its steps in flight have ended; and nobody is canceled unless asked
    to be.
    """
    for event in history[fork.place :]:
        if event.event_type.startswith("Compensation") or event.event_type.endswith("Canceled"):
            cone |= {event.sequence} | affected(history, event.sequence)
    return cone


@pytest.mark.parametrize(("name", "seed"), WORLDS)
def test_a_twin_of_every_event_keeps_what_was_before_and_what_the_event_did_not_affect(
    name: str, seed: int
) -> None:
    history = recorded(name, seed)
    for at in history:
        fork = fork_at(history, at)
        if fork is None:
            continue
        cone = widened(history, affected(history, fork.event.sequence), fork)
        kept = [e for e in history if e.sequence not in {*cone, fork.event.sequence}]
        for change in changes(fork):
            for reuse in REUSES:
                again = twin(name, history, at, reuse, **change)
                assert told(again.events[: fork.place]) == told(history[: fork.place])
                ends = (e.time_ns for e in again.events if e.event_type in TERMINAL_STATUS)
                end = next(ends, 1 << 62)
                raced = any(e.event_type == "TimerCanceled" for e in again.events)
                due = Counter(
                    plain(e)
                    for e in kept
                    if e.time_ns < end and not (raced and e.event_type == "TimerFired")
                )
                assert due <= Counter(plain(e) for e in again.events)
                # What was answered outside the cone is not carried out again.
                asked = Counter(
                    e.step_id or e.name for e in again.events if e.event_type in EFFECTS
                )
                had = {
                    asked
                    for asked, answer in Record(history).answers.items()
                    if answer.event.event_type != "ActivityCanceled"
                }
                spared = Counter(
                    e.step_id or e.name
                    for e in kept
                    if e.event_type in EFFECTS and e.sequence in had and e.time_ns < end
                )
                own = Counter(name for name, _ in again.executed if name != "inner")
                assert own <= asked - spared


@pytest.mark.parametrize(("name", "seed"), WORLDS)
def test_an_event_that_the_code_makes_of_others_says_which_to_change(name: str, seed: int) -> None:
    history = recorded(name, seed)
    for at in history:
        if fork_at(history, at) is not None:
            continue
        assert at.event_type not in {*REQUESTS, "Signaled", "WorkflowStarted"}
        with pytest.raises(InvalidArgumentError, match="change that: at=") as refused:
            twin(name, history, at, "causal", without=True)
        named = [int(found) for found in re.findall(r"at=(\d+)", str(refused.value))]
        for sequence in named:
            event = history[sequence - 1]
            fork = fork_at(history, event)
            assert fork is not None
            twin(name, history, event, "causal", **next(changes(fork)))


@pytest.mark.parametrize("name", ["chain", "beside", "tour"])
@pytest.mark.parametrize("seed", [0, 4, 8])
@pytest.mark.parametrize("reuse", REUSES)
def test_the_end_is_that_of_running_all_of_it_with_that_change(
    name: str, seed: int, reuse: Reuse
) -> None:
    chance = random.Random(seed)
    code: Any = CODES[name]

    def full(changed: str, to: Any, *, go: Any = 9, value: Any = 7) -> Any:
        def answer(called: str, given: Any, attempt: int) -> Any:
            return to if called == changed else answered(0)(called, given, attempt)

        kind = Host if isinstance(code, Workflow) else PlanHost
        host: Any = kind(code=code, answer=answer, pick=chance.randrange)
        host.tell("WorkflowStarted", name=name, payload={"input": value})
        host.tell("Signaled", name="go", payload={"value": go})
        while host.step():
            pass
        return host.history

    history = full("", None)
    for at in history:
        fork = fork_at(history, at)
        if fork is None or "Timer" in at.event_type:
            continue
        again = twin(name, history, at, reuse, result="other")
        if at.event_type == "WorkflowStarted":
            expected = full("", None, value="other")
        elif at.event_type == "Signaled":
            expected = full("", None, go="other")
        else:
            assert fork.asked is not None
            expected = full(history[fork.asked - 1].name, "other")
        assert again.status == "completed"
        assert again.result == expected[-1].data["result"]


def test_a_child_that_is_asked_for_as_before_is_answered_from_the_record_and_else_done_again() -> (
    None
):
    history = recorded("chain", 0)
    first = next(e for e in history if e.event_type == "ActivityCompleted")
    child = next(e for e in history if e.event_type == "ChildWorkflowInitiated")
    with pytest.raises(InvalidArgumentError, match=r"'kid' with input 'x'.*workflows=\[kid\]"):
        recorded_twin(history, chain, at=first, result="x", execute=act)
    again = recorded_twin(history, chain, at=first, result="x", execute=act, workflows=[kid])
    assert again.result[2] == ["kid", ["old", "inner", "x"]]
    assert again.executed[0] == ("inner", "x")
    timer = next(e for e in history if e.event_type == "TimerStarted")
    start = twin("chain", history, history[0], "data", result=7)
    assert start.reused[:2] == ("first", "kid")
    without = recorded_twin(history, chain, at=timer, without=True, execute=act)
    assert without.status == "open"
    assert {e.event_type for e in without.events[timer.sequence :]} <= {"Signaled"}
    failed = recorded_twin(history, chain, at=child, error=ValueError("no"), execute=act)
    assert failed.status == "failed"
    assert all(e.event_type in ANSWERS for e in history if e.sequence in Record(history).answered)


@workflow
async def counting(ctx: WorkflowContext, value: Any) -> Any:
    got = await ctx.call_activity("add", value)
    if got < 5:
        ctx.continue_as_new(got)
    return got


@workflow
async def asking(ctx: WorkflowContext, value: Any) -> Any:
    return await ctx.call_child_workflow(counting, value)


def test_a_child_that_continues_as_new_is_done_again_to_its_end() -> None:
    host = Host(code=asking, answer=lambda _n, _v, _a: 5).run(3)
    again = recorded_twin(
        host.history, asking, at=1, result=1, execute={"add": lambda v: v + 1}, workflows=[counting]
    )
    assert again.result == 5
    assert again.executed == (("add", 1), ("add", 2), ("add", 3), ("add", 4))


def test_what_a_recorded_child_did_is_reused_where_it_is_done_again() -> None:
    def of(workflow_id: str, history: list[Event]) -> list[Event]:
        return [
            event.replace(
                workflow_id=workflow_id,
                causes=tuple(Cause(workflow_id, cause.sequence) for cause in event.causes),
            )
            for event in history
        ]

    inner = of("w/0.1", Host(code=counting, answer=lambda _n, _v, _a: 6).run(3).history)
    outer = Host(code=asking, answer=lambda _n, _v, _a: 6).run(3).history
    again = recorded_twin(
        [*outer, *inner], asking, at=outer[0], result=3, execute={}, workflows=[counting],
    )  # fmt: skip
    assert (again.result, again.reused) == (6, ("counting",))
    grown = Host(code=asking, answer=lambda _n, _v, _a: 6).run(2).history
    data = recorded_twin(
        [*grown, *inner], asking, at=grown[0], result=3, execute={}, workflows=[counting],
        reuse="data",
    )  # fmt: skip
    assert (data.result, data.reused, data.executed) == (6, ("add",), ())
    causal = recorded_twin(
        [*grown, *inner], asking, at=grown[0], result=3, execute={"add": lambda v: v + 3},
        workflows=[counting],
    )  # fmt: skip
    assert (causal.result, causal.reused, causal.executed) == (6, (), (("add", 3),))


def test_a_call_that_nobody_can_carry_out_is_refused_and_named() -> None:
    history = recorded("chain", 0)
    with pytest.raises(InvalidArgumentError, match=r"execute=\{'first': ...\}"):
        recorded_twin(history, chain, at=1, result=1, execute={"last": lambda v: v})


def test_a_request_that_does_not_say_yet_that_it_has_no_effect_is_answered_as_it_was() -> None:
    # An older flowlab did not write it: asked for again, such a step was carried out again.
    history = recorded("tour", 0)
    older = [
        event.replace(payload=Event.of("", payload=without).payload)
        if (without := {key: event.data[key] for key in event.data or {} if key != "effect"})
        else event
        for event in history
    ]
    assert [e.payload for e in older] != [e.payload for e in history]
    for change in ({"result": 7}, {"result": 8}):
        now, then = (
            recorded_twin(events, tour, at=events[0], execute=act, reuse="data", **change)
            for events in (history, older)
        )
        assert (then.executed, then.reused, then.result) == (now.executed, now.reused, now.result)
        assert "look" in then.reused


def test_a_history_of_others_whose_events_hold_less_has_twins_too() -> None:
    # An importer may know that a child was begun, or a workflow, and not with what input.
    started = recorded("chain", 0)[0].replace(payload=None)
    child = Event.of("ChildWorkflowInitiated", workflow_id=started.workflow_id, sequence=2)
    assert list(Record([started, child]).requests) == [2]
    fork = fork_of([started, child], 0, Record([started, child]))
    assert fork.instead(3, None).data == {"input": 3}


@pytest.mark.parametrize("at", ["2", None, 2.0, True])
def test_what_is_neither_an_event_nor_a_sequence_is_refused(at: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="at is .*expected an event of the history"):
        recorded_twin(recorded("chain", 0), chain, at=at, execute=act, result=1)
