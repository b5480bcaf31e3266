"""The state of a workflow at each of its events: a fold in Python, and the same in SQL."""

from __future__ import annotations

import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_hosts import PlanHost, driven, moody, plans
from workflow_host import ID, Host

from flowlab.errors import IllegalTransitionError, InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, EventLog, RunInfo
from flowlab.interop import import_log, load_mapping
from flowlab.interop.samples import write_samples
from flowlab.studies.measuring import counted_calls
from flowlab.workflow import (
    NO_RETRY,
    AgentExecuting,
    Canceled,
    Compensating,
    Completed,
    ContinuedAsNew,
    Execution,
    Failed,
    Initiated,
    RetryPolicy,
    Saga,
    WorkflowContext,
    WorkflowState,
    state_of,
    states_of,
    workflow,
)

DATA = Path(__file__).parent.parent / "data"


# -- what a history says, by hand ------------------------------------------------------------------


@workflow
async def trip(ctx: WorkflowContext, request: int) -> str:
    async with ctx.saga() as saga:
        await saga.step("flight", request, compensation="cancel_flight", agent="airline")
        await saga.step("hotel", request, compensation="cancel_hotel", agent="hotel")
        await saga.step("charge", request, kind="pivot", agent="bank")
    return "booked"


class Declined(Exception): ...  # noqa: N818 - a business reason, as an agent reports it


def declined(name: str, _value: Any, _attempt: int) -> Any:
    if name == "charge":
        raise Declined(name)
    return f"{name} done"


def executing(*agents: str) -> AgentExecuting:
    return AgentExecuting(frozenset(agents))


def test_a_saga_that_fails_goes_through_these_states() -> None:
    history = Host(trip, declined).run(7).history
    bank = frozenset({"bank"})
    told = states_of(history, agents=["airline", "hotel", "bank"])
    assert [(event.event_type, state) for event, (_, state) in zip(history, told, strict=True)] == [
        ("WorkflowStarted", Initiated(frozenset({"airline", "hotel", "bank"}))),
        ("ActivityScheduled", executing("airline")),
        ("ActivityCompleted", executing()),
        ("SagaStepCommitted", executing()),
        ("ActivityScheduled", executing("hotel")),
        ("ActivityCompleted", executing()),
        ("SagaStepCommitted", executing()),
        ("ActivityScheduled", executing("bank")),
        ("ActivityFailed", executing()),
        ("CompensationScheduled", Compensating(bank, ("hotel", "flight"))),
        ("CompensationCompleted", Compensating(bank, ("flight",))),
        ("CompensationScheduled", Compensating(bank, ("flight",))),
        ("CompensationCompleted", Compensating(bank)),
        ("WorkflowFailed", Failed("activity 'charge' failed in attempt 1: charge")),
    ]


def test_a_workflow_that_ends_well_has_its_results_by_step() -> None:
    history = Host(trip, lambda name, _value, _attempt: f"{name} done").run(7).history
    results = {"flight": "flight done", "hotel": "hotel done", "charge": "charge done"}
    assert states_of(history)[-1] == (len(history), Completed(results))


def made(*events: tuple[str, dict[str, Any]]) -> list[Event]:
    return [
        Event.of(kind, workflow_id=ID, sequence=number, agent_id="desk", time_ns=number, **fields)
        for number, (kind, fields) in enumerate(events, 1)
    ]


def after(*sequences: int) -> tuple[Cause, ...]:
    return tuple(Cause(ID, sequence) for sequence in sequences)


def test_calls_that_nobody_has_begun_are_pending_where_beginnings_are_recorded() -> None:
    history = made(
        ("ActivityScheduled", {"name": "a", "payload": {"agent": "x"}}),
        ("ActivityScheduled", {"name": "b"}),
        ("ActivityStarted", {"causes": after(1)}),
        ("ActivityFailed", {"causes": after(3)}),
        ("ActivityStarted", {"causes": after(1)}),
        ("ActivityStarted", {"causes": after(2)}),
        ("ActivityCompleted", {"causes": after(2)}),
        ("ActivityCompleted", {"causes": after(2)}),
    )
    assert [state for _, state in states_of(history)] == [
        executing("x"),
        executing("x", "desk"),
        AgentExecuting(frozenset({"x", "desk"}), ("b",)),
        AgentExecuting(frozenset({"desk"}), ("b",)),
        AgentExecuting(frozenset({"x", "desk"}), ("b",)),
        executing("x", "desk"),
        executing("x"),
        executing("x"),
    ]
    assert agree(EventLog.from_events(history)) == len(history)


def test_a_compensation_that_is_tried_again_is_still_to_be_done_and_has_not_failed() -> None:
    undo = {"step_id": "s", "coordination_id": "c", "name": "undo"}
    history = made(
        ("CompensationScheduled", undo),
        ("CompensationFailed", {"causes": after(1)}),
        ("TimerStarted", {"causes": after(2), "payload": {"attempt": 2, "delay_ns": 5}}),
        ("TimerFired", {"causes": after(3)}),
        ("CompensationScheduled", {**undo, "causes": after(4)}),
        ("CompensationFailed", {"causes": after(5)}),
        ("WorkflowFailed", {"payload": {"error": {"type": "E"}, "uncompensated": ["s"]}}),
    )
    desk = frozenset({"desk"})
    assert [state for _, state in states_of(history)] == [
        Compensating(frozenset(), ("s",)),
        Compensating(desk),
        Compensating(frozenset(), ("s",)),
        Compensating(frozenset(), ("s",)),
        Compensating(frozenset(), ("s",)),
        Compensating(desk),
        Failed("E", ("s",)),
    ]
    assert agree(EventLog.from_events(history)) == len(history)


@pytest.mark.parametrize(
    ("end", "payload", "state"),
    [
        ("WorkflowCanceled", {"reason": "enough"}, Canceled("enough")),
        ("WorkflowTerminated", None, Canceled()),
        ("WorkflowTimedOut", None, Failed("timed out")),
        ("WorkflowFailed", {"error": {"message": "no", "type": "E"}}, Failed("no")),
        ("WorkflowFailed", b"\xff", Failed()),
        ("WorkflowContinuedAsNew", {"input": 1}, ContinuedAsNew(1)),
        ("WorkflowCompleted", {"result": 1}, Completed()),
    ],
)
def test_every_end_has_its_state(end: str, payload: Any, state: WorkflowState) -> None:
    history = made(("WorkflowStarted", {}), (end, {"payload": payload}), ("Signaled", {}))
    assert states_of(history)[1:] == [(2, state), (3, state)]
    assert agree(EventLog.from_events(history)) == 3


def test_children_at_work_are_current_under_their_ids_and_one_that_is_undone_compensates() -> None:
    @workflow
    async def family(ctx: WorkflowContext, _request: int) -> None:
        async with ctx.saga() as saga:
            await saga.child("pack", compensation="unpack")
            await ctx.when_all(saga.child("drive", kind="pivot"), ctx.call_child_workflow("sing"))

    host = Host(family, declined).start(7)
    host.step()
    host.answer = lambda _name, _value, _attempt: 1 / 0
    host.obey = lambda _name: False
    host.step()
    host.step()
    host.answer = lambda name, _value, _attempt: name
    while host.step():
        pass
    history = host.history
    failed = frozenset({"w/0.2", "w/0.3"})
    assert [(event.event_type, state) for event, (_, state) in zip(
        history, states_of(history), strict=True)] == [
        ("WorkflowStarted", Initiated()),
        ("ChildWorkflowInitiated", executing("w/0.1")),
        ("ChildWorkflowCompleted", executing()),
        ("SagaStepCommitted", executing()),
        ("ChildWorkflowInitiated", executing("w/0.2")),
        ("ChildWorkflowInitiated", executing("w/0.2", "w/0.3")),
        ("ChildWorkflowFailed", executing("w/0.3")),
        ("CancelInitiated", executing("w/0.3")),
        ("ChildWorkflowFailed", executing()),
        ("ChildWorkflowInitiated", Compensating(failed, ("pack",))),
        ("ChildWorkflowCompleted", Compensating(failed)),
        ("WorkflowFailed", Failed("'w/0.2': division by zero")),
    ]  # fmt: skip
    assert agree(EventLog.from_events(history)) == len(history)


def test_what_was_done_late_or_in_vain_is_left_and_what_was_undone_is_not() -> None:
    one, two = ({"step_id": step, "coordination_id": "c"} for step in ("one", "two"))
    history = made(
        ("ActivityScheduled", {"name": "a", **one}),
        ("ActivityTimedOut", {"causes": after(1)}),
        ("ActivityScheduled", {"name": "b", **two}),
        ("ActivityCompleted", {"causes": after(3)}),
        ("ActivityScheduled", {"name": "see", "payload": {"effect": False}}),
        ("ActivityCompleted", {"causes": after(5)}),
        ("ActivityScheduled", {"name": "say"}),
        ("ActivityCompleted", {"causes": after(7)}),
        ("ActivityScheduled", {"name": "say"}),
        ("ActivityCompleted", {"causes": after(9)}),
        ("CompensationScheduled", {"name": "undo", **two}),
        ("CompensationCompleted", {"causes": after(11), "payload": {"result": None}}),
        ("CompensationScheduled", {"name": "undo", **one}),
        ("CompensationCompleted",
         {"causes": after(13), "payload": {"result": {"compensation": "failed"}}}),
        ("ActivityCompleted", {"causes": after(1)}),
        ("WorkflowFailed", {"payload": {"uncompensated": ["one", "odd"]}}),
    )  # fmt: skip
    assert states_of(history)[-1][1] == Failed("", ("say", "say", "one", "odd"))
    assert agree(EventLog.from_events(history)) == len(history)


def test_what_children_came_to_is_among_the_results() -> None:
    history = made(
        ("WorkflowStarted", {}),
        ("ChildWorkflowInitiated", {"name": "sing", "payload": {"workflow_id": "w/1"}}),
        ("ChildWorkflowInitiated", {"name": "", "payload": {"workflow_id": 1}}),
        ("ChildWorkflowStarted", {"causes": after(2)}),
        ("ChildWorkflowCompleted", {"causes": after(4), "payload": {"result": [1]}}),
        ("ChildWorkflowTerminated", {"causes": after(3)}),
        ("WorkflowCompleted", {}),
    )
    assert [state for _, state in states_of(history)][2:] == [
        executing("w/1", ID),
        executing("w/1", ID),
        executing(ID),
        executing(),
        Completed({"sing": [1]}),
    ]
    assert agree(EventLog.from_events(history)) == len(history)


def test_a_generation_begins_without_what_was_open_before() -> None:
    history = made(
        ("WorkflowStarted", {}),
        ("ActivityScheduled", {"name": "a"}),
        ("WorkflowContinuedAsNew", {}),
        ("WorkflowStarted", {"generation": 1}),
        ("ActivityScheduled", {"name": "b", "payload": {"agent": "x"}, "generation": 1}),
        ("ActivityCompleted", {"causes": after(2), "generation": 1}),
    )
    assert [state for _, state in states_of(history)][2:] == [
        ContinuedAsNew(1),
        Initiated(),
        executing("x"),
        executing("x"),
    ]
    assert agree(EventLog.from_events(history)) == len(history)


def test_what_the_table_does_not_have_is_refused_with_the_event() -> None:
    history = made(("WorkflowFailed", {}), ("ActivityScheduled", {}))
    with pytest.raises(IllegalTransitionError, match=r"at event 2 \(ActivityScheduled\) of 'w'"):
        states_of(history)


def test_events_of_two_streams_or_out_of_order_are_refused() -> None:
    first, second = made(("WorkflowStarted", {}), ("Signaled", {}))
    for wrong in ([second, first], [first, second.replace(workflow_id="v")]):
        with pytest.raises(InvalidArgumentError, match="one stream, in order"):
            states_of(wrong)


@pytest.mark.parametrize(
    ("state", "detail"), [("Gone", "{}"), ("Failed", "["), ("Failed", '{"x":1}'), ("Failed", "1")]
)
def test_what_is_no_row_of_the_relation_is_refused(state: str, detail: str) -> None:
    with pytest.raises(InvalidArgumentError, match="no row of the relation states"):
        state_of(state, detail)


# -- Python and SQL --------------------------------------------------------------------------------


def agree(log: EventLog) -> int:
    """Check that the relation says of each history what the fold says; return how many rows."""
    rows = log.sql(
        "SELECT namespace, run_id, workflow_id, sequence, state, agents, detail FROM states "
        "ORDER BY ALL"
    ).rows()
    found: dict[tuple[str, str, str], list[tuple[int, WorkflowState]]] = {}
    for *stream, sequence, state, agents, detail in rows:
        value = state_of(state, detail)
        named = getattr(value, "agents", None) or getattr(value, "current", None)
        named = named or getattr(value, "failed_agents", ())
        assert agents == sorted(named)
        found.setdefault(tuple(stream), []).append((sequence, value))
    histories: dict[tuple[str, str, str], list[Event]] = {}
    beside: dict[tuple[str, str], list[Event]] = {}
    for event in log.sorted():
        if event.workflow_id.startswith("@"):
            beside.setdefault(event.id[:2], []).append(event)
        if not event.workflow_id.startswith("@"):
            histories.setdefault(event.id[:3], []).append(event)
    assert found == {
        stream: states_of(
            history,
            agents=log.run(stream[1], namespace=stream[0]).agents,
            beside=beside.get(stream[:2], ()),
        )
        for stream, history in histories.items()
    }
    return len(rows)


@workflow
async def several(ctx: WorkflowContext, told: dict[str, Any]) -> None:
    """Run sagas one after the other, whatever becomes of them, and then end as told."""
    for saga_told in told["sagas"]:
        try:
            async with ctx.saga(parallel=saga_told["parallel"], go_on=True) as saga:

                def step(name: str, agent: str, saga: Saga = saga) -> Coroutine[Any, Any, Any]:
                    if agent == "child":
                        return saga.child(f"do_{name}", name=name, compensation=f"undo_{name}")
                    return saga.step(
                        name,
                        compensation=f"undo_{name}",
                        agent=agent,
                        retry=RetryPolicy(maximum_attempts=2),
                        compensation_retry=RetryPolicy(maximum_attempts=2),
                    )

                if saga_told["parallel"]:
                    await ctx.when_all(*(step(*named) for named in saga_told["steps"]))
                else:
                    for named in saga_told["steps"]:
                        await step(*named)
                if saga_told["fails"]:
                    await ctx.call_activity("last", agent="z", retry=NO_RETRY)
        except Exception:  # noqa: BLE001 - it goes on with the next saga
            pass
    if told["again"]:
        ctx.continue_as_new({**told, "again": told["again"] - 1})
    if told["raises"]:
        message = "at last"
        raise ValueError(message)


@dataclass
class Messy(Host):
    """A host that records beginnings, loses answers, and hears some twice."""

    chance: random.Random = field(default_factory=random.Random)
    taken_up: bool = False
    late: list[Event] = field(default_factory=list)

    def step(self) -> bool:
        if self.execution.closed and self.history[-1].event_type == "WorkflowContinuedAsNew":
            self.execution, self.open = Execution(self.code, ID), []
            generation, value = self.history[-1].generation + 1, self.end["input"]
            self.tell("WorkflowStarted", payload={"input": value}, generation=generation)
            return True
        if self.late and self.chance.random() < 0.2:
            asked = self.late.pop()
            self.tell("ActivityCompleted", causes=(Cause(ID, asked.sequence),), payload={})
            return True
        where = self.chance.randrange(len(self.open)) if self.open else 0
        asked = self.open[where] if self.open else None
        self.pick = lambda _count: where
        if asked is not None and asked.event_type == "ActivityScheduled":
            if self.taken_up and self.chance.random() < 0.6:
                self.tell("ActivityStarted", causes=(Cause(ID, asked.sequence),), agent_id="one")
            if self.chance.random() < 0.1:
                self.late.append(self.open.pop(where))
                self.tell("ActivityTimedOut", causes=(Cause(ID, asked.sequence),))
                return True
        return super().step()


NAMES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "y", "z", "child"])),
    min_size=1,
    max_size=4,
    unique_by=lambda step: step[0],
)
SAGAS = st.fixed_dictionaries({"parallel": st.booleans(), "fails": st.booleans(), "steps": NAMES})
TOLD = st.fixed_dictionaries(
    {
        "sagas": st.lists(SAGAS, min_size=1, max_size=2),
        "again": st.sampled_from([0, 0, 1]),
        "raises": st.booleans(),
    }
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw a history of sagas that fail, are undone, tried again, canceled and go on as new."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    often = draw(st.sampled_from([0.0, 0.3, 0.7]))

    def answer(name: str, _value: Any, _attempt: int) -> Any:
        if chance.random() < often:
            raise Declined(name)
        return {"n": chance.randrange(9)}

    host = Messy(several, answer, chance=chance, taken_up=draw(st.booleans()))
    host.start(draw(TOLD))
    cancel = draw(st.sampled_from([None, None, 2, 5]))
    for number in range(150):
        if number == cancel:
            host.tell("WorkflowCancelRequested", payload={"reason": "enough"})
        if not host.step():
            break
    return host.history


@settings(max_examples=30)
@given(histories())
def test_the_states_in_sql_are_those_of_the_fold_on_any_history(history: list[Event]) -> None:
    info = RunInfo(agents=("x", "y", "z"))
    assert agree(EventLog.from_events(history, runs=[info])) == len(history)


@settings(max_examples=15)
@given(plans(failing=True), st.integers(0, 2**32))
def test_the_states_in_sql_are_those_of_the_fold_on_any_plan(plan: Any, seed: int) -> None:
    host = driven(PlanHost(plan, moody(seed)), seed, value={"p": seed % 2})
    assert agree(EventLog.from_events(host.history)) == len(host.history)


def called(count: int, *, undone: bool) -> tuple[list[Event], list[Event]]:
    """Return a history of requests, each taken up and answered, and what their agent tells."""
    kind = "Compensation" if undone else "Activity"
    told, beside = [("WorkflowStarted", {})], []
    for number in range(count):
        asked = len(told) + 1
        received = {"workflow_id": "@ann", "sequence": number + 1, "agent_id": "ann"}
        cause = Cause(ID, asked, int(CauseKind.MESSAGE))
        beside.append(Event.of("MessageReceived", **received, time_ns=asked, causes=(cause,)))
        told.append((f"{kind}Scheduled", {"step_id": f"s{number}", "payload": {"agent": "ann"}}))
        told.append((f"{kind}Failed", {"causes": after(asked)}))
        if number % 2:
            told.append(("TimerStarted", {"causes": after(asked + 1), "payload": {"attempt": 2}}))
            told.append((f"{kind}Scheduled", {"step_id": f"s{number}"}))
            told.append((f"{kind}Completed", {"causes": after(asked + 3)}))
    return made(*told), beside


# Each event once looked at every call before it, and at what its agent had told.
@pytest.mark.parametrize("undone", [False, True])
def test_the_states_take_work_as_the_history_and_not_as_its_square(undone: bool) -> None:  # noqa: FBT001
    def work(count: int) -> int:
        history, beside = called(count, undone=undone)
        return counted_calls(lambda: states_of(history, beside=beside))["work"]

    assert work(160) < 2.2 * work(80)


@given(histories(), st.data())
def test_a_state_of_the_past_stays_as_it_was(history: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(history)))
    assert states_of(history[:cut]) == states_of(history)[:cut]


@pytest.mark.parametrize(
    ("file", "mapping", "events"),
    [
        ("agents", None, 214),
        ("contract-net.log", None, 0),
        ("tickets.csv", "tickets.toml", 30),
        ("spans.jsonl", "spans.toml", 10),
    ],
)
def test_the_states_in_sql_are_those_of_the_fold_on_the_sample_logs(
    file: str, mapping: str | None, events: int
) -> None:
    found = import_log(DATA / file, mapping=load_mapping(DATA / mapping) if mapping else None)
    assert found.log is not None
    assert agree(found.log) == events


def test_the_states_in_sql_are_those_of_the_fold_on_the_bundled_sample(tmp_path: Path) -> None:
    write_samples(tmp_path)
    log = import_log(tmp_path).log
    assert log is not None
    assert agree(log) == len(log)
