"""Replaying a history at hand: at full speed, and to the same end as one event after the other."""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_workflow_execution import coded, executed, programs
from workflow_host import ID, Host

from flowlab.errors import CancelledError, CorruptionError, LimitError, NonDeterminismError
from flowlab.events import Event
from flowlab.events.codec import encode_payload
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import World, simulate
from flowlab.workflow import Execution, History, Workflow, WorkflowContext, workflow
from flowlab.workflow.calls import payload_of, plain_form
from flowlab.workflow.handles import Loop
from flowlab.workflow.matching import COMMAND_TYPES

Outcome = tuple[Any, ...]


def outcome(execution: Execution, error: Exception | None = None) -> Outcome:
    """Return all that can be seen of an execution from outside."""
    return (
        execution.advance([]) if error is None else (type(error), error.args[0]),
        execution.closed,
        execution.awaited,
        execution.last_sequence,
        execution.now_ns,
        execution.is_long,
        execution.commands.in_flight,
        execution.generation,
    )


def one_by_one(code: Workflow, history: list[Event], seed: object = 0) -> Outcome:
    execution = Execution(code, history[0].workflow_id if history else ID, seed=seed)
    try:
        for event in history:
            execution.advance([event])
    except (NonDeterminismError, CorruptionError) as error:
        return outcome(execution, error)[:1]
    return outcome(execution)


def at_hand(code: Workflow, history: list[Event], seed: object = 0) -> Outcome:
    workflow_id = history[0].workflow_id if history else ID
    execution = Execution(code, workflow_id, seed=seed)
    try:
        execution.advance(History.of_events(history, workflow_id))
    except (NonDeterminismError, CorruptionError) as error:
        return outcome(execution, error)[:1]
    return outcome(execution)


@given(program=programs, seed=st.integers(0, 10**6), place=st.integers(0, 10**6))
def test_every_prefix_at_hand_comes_to_what_it_comes_to_event_by_event(
    program: Any, seed: int, place: int
) -> None:
    host = executed(program, seed)
    prefix = host.history[: place % (len(host.history) + 1)]
    assert at_hand(host.code, prefix) == one_by_one(host.code, prefix)


@given(
    program=programs,
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
)
def test_what_follows_a_history_at_hand_is_what_follows_its_events(
    program: Any, seed: int, cuts: list[int]
) -> None:
    host = executed(program, seed)
    places = sorted(cut % (len(host.history) + 1) for cut in cuts)
    execution, last = Execution(host.code, ID), 0
    for number, place in enumerate([*places, len(host.history)]):
        part = host.history[last:place]
        execution.advance(part if number % 2 else History.of_events(part, ID))
        last = place
        assert outcome(execution) == one_by_one(host.code, host.history[:place])


@given(
    program=programs,
    seed=st.integers(0, 10**6),
    place=st.integers(0, 10**6),
    how=st.sampled_from(["name", "payload", "step", "type", "lost", "twice", "late", "causes"]),
)
def test_an_altered_history_is_refused_at_hand_as_it_is_event_by_event(
    program: Any, seed: int, place: int, how: str
) -> None:
    host = executed(program, seed)
    history = list(host.history)
    place %= len(history)
    victim = history[place]
    if how == "name":
        history[place] = victim.replace(name=victim.name + "!")
    elif how == "payload":
        history[place] = victim.replace(payload=b'{"result":[1,' if place % 2 else b'{"x":1}')
    elif how == "step":
        history[place] = victim.replace(step_id="other")
    elif how == "type":
        history[place] = victim.replace(event_type="ActivityStarted")
    elif how == "lost":
        del history[place]
    elif how == "twice":
        history.insert(place, victim)
    elif how == "late":
        history[place:] = [e.replace(sequence=e.sequence + 1) for e in history[place:]]
    else:
        history[place] = victim.replace(causes=())
    assert at_hand(host.code, history) == one_by_one(host.code, history)


@given(first=programs, second=programs, seed=st.integers(0, 10**6))
def test_other_code_parts_from_a_history_at_hand_where_it_does_event_by_event(
    first: Any, second: Any, seed: int
) -> None:
    history = executed(first, seed).history
    assert at_hand(coded(second), history) == one_by_one(coded(second), history)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_of_the_library_replays_at_hand_at_every_length(name: str) -> None:
    world = SCENARIOS[name]()
    for preset in ("none", "chaos"):
        log = simulate(world, seed=1, faults=preset).log
        for workflow_id, code in _coded_in(world, log):
            events = [e for e in log.events() if e.workflow_id == workflow_id]
            events = [e for e in events if e.generation == events[0].generation]
            picked = {len(events), *random.Random(1).choices(range(len(events) + 1), k=12)}
            for length in sorted(picked):
                part = events[:length]
                assert at_hand(code, part, 1) == one_by_one(code, part, 1)
            assert at_hand(code, events, 1)[0] == ()


def _coded_in(world: World, log: Any) -> list[tuple[str, Workflow]]:
    names = {e.workflow_id: e.name for e in log.events() if e.event_type == "WorkflowStarted"}
    known = {name: code for name, code in world.workflows.items() if isinstance(code, Workflow)}
    return [(workflow_id, known[name]) for workflow_id, name in names.items() if name in known]


def test_common_events_pass_without_an_object_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow
    async def loop(ctx: WorkflowContext, count: int) -> int:
        for number in range(count):
            await ctx.call_activity("step", number)
        return count

    host = Host(loop).run(100)
    made: list[int] = []
    event = History.event
    monkeypatch.setattr(History, "event", lambda self, at: (made.append(at), event(self, at))[1])
    Execution(loop, ID).advance(History.of_events(host.history, ID))
    assert made == [0, len(host.history) - 1]


def test_who_waits_keeps_nothing_of_the_history_that_was_at_hand() -> None:
    """A call that was awaited kept all of it alive, until it was answered."""

    class Column(list[Any]):
        """A list that can be watched."""

    @workflow
    async def several(ctx: WorkflowContext, count: int) -> None:
        for number in range(count):
            await ctx.call_activity("step", number)
        await ctx.when_all(*[ctx.call_activity("step", number) for number in range(count)])

    events = Host(several).run(5).history
    for length in range(len(events)):
        execution, history = Execution(several, ID), History.of_events(events[:length], ID)
        history.payloads = Column(history.payloads)
        kept = weakref.ref(history.payloads)
        execution.advance(history)
        del history
        gc.collect(1)
        if kept() is not None:  # among what is older all of pytest's objects are searched
            gc.collect()
        assert kept() is None, length


@pytest.mark.parametrize("named", ["", "asked", "taken"])
def test_the_code_goes_on_by_itself_where_each_answer_comes_next(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    @workflow
    async def loop(ctx: WorkflowContext, count: int) -> int:
        return sum([await ctx.call_activity("step", number) for number in range(count)])

    host = Host(loop, begins=lambda: named).run(100)
    entered: list[Any] = []
    step = Loop.step
    monkeypatch.setattr(
        Loop, "step", lambda self, *given: (entered.append(given), step(self, *given))[1]
    )
    Execution(loop, ID).advance(History.of_events(host.history, ID))
    assert len(entered) == 2
    for cut in range(100, 120):
        execution = Execution(loop, ID)
        execution.advance(History.of_events(host.history[:cut], ID))
        entered.clear()
        execution.advance(History.of_events(host.history[cut:], ID))
        assert len(entered) <= 3, cut


@given(program=programs, seed=st.integers(0, 10**6))
def test_calls_that_are_taken_up_come_to_the_same_at_hand_at_every_length(
    program: Any, seed: int
) -> None:
    draws = random.Random(seed)
    host = executed(program, seed, begins=lambda: draws.choice(["", "asked", "taken"]))
    for length in range(len(host.history) + 1):
        part = host.history[:length]
        assert at_hand(host.code, part) == one_by_one(host.code, part)


def test_what_is_canceled_before_it_is_awaited_comes_to_the_same_at_hand() -> None:
    async def waits(call: Any) -> Any:
        try:
            return await call
        except CancelledError:
            return None

    @workflow
    async def dropping(ctx: WorkflowContext, count: int) -> list[Any]:
        found = []
        for number in range(count):
            call = ctx.call_activity("step", number)
            if number % 2:
                call.cancel("no more")
            found += await ctx.when_all(waits(call)) if number % 3 else [await waits(call)]
        return found

    for obey in (True, False):
        host = Host(dropping, obey=lambda _, obey=obey: obey).run(12)
        for length in range(len(host.history) + 1):
            part = host.history[:length]
            assert at_hand(dropping, part) == one_by_one(dropping, part)


def test_who_is_ready_runs_before_the_code_that_awaits_goes_on() -> None:
    @workflow
    async def noting(ctx: WorkflowContext, count: int) -> None:
        seen: list[int] = []

        async def note(number: int) -> None:
            seen.append(number)

        for number in range(count):
            await ctx.call_activity("step", number)
            noted = ctx.when_all(note(number))
            await ctx.call_activity("look", list(seen))
            await ctx.call_activity("tell", list(seen))
            await noted

    history = Host(noting).run(3).history
    assert b"[0,1,2]" in (history[-3].payload or b"")
    assert at_hand(noting, history) == one_by_one(noting, history)


def test_whoever_else_waits_hears_of_an_answer_and_causes_are_those_of_the_history() -> None:
    @workflow(name="same")
    async def plain(ctx: WorkflowContext, _: Any) -> Any:
        return [await ctx.call_activity("step", number) for number in range(4)]

    @workflow(name="same")
    async def twice(ctx: WorkflowContext, _: Any) -> Any:
        found = [await ctx.call_activity("step", 0)]
        for number in range(1, 4):
            call = ctx.call_activity("step", number)
            both = ctx.when_all(call) if number == 2 else None
            found.append(await call)
            if both is not None:
                await both
        return found

    @workflow(name="same")
    async def dropping(ctx: WorkflowContext, _: Any) -> Any:
        await ctx.call_activity("step", 0)
        call = ctx.call_activity("step", 1)
        call.cancel()
        return await call

    history = Host(plain).run().history
    for code in (plain, twice, dropping):
        for length in range(len(history) + 1):
            assert at_hand(code, history[:length]) == one_by_one(code, history[:length])
    assert at_hand(twice, history)[0] == ()
    altered = [*history[:5], history[5].replace(causes=()), *history[6:]]
    for length in range(len(altered)):
        assert at_hand(plain, altered[:length]) == one_by_one(plain, altered[:length])


def test_a_long_wait_for_answers_keeps_few_causes_and_too_many_are_refused_in_both_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @workflow
    async def fan(ctx: WorkflowContext, count: int) -> None:
        calls = [ctx.call_activity("step", number) for number in range(count)]
        for call in calls:
            await call
        await ctx.call_activity("last")

    monkeypatch.setattr("flowlab.workflow.past.MAX_CAUSES", 40)
    monkeypatch.setattr("flowlab.workflow.handles.MAX_KNOWN", 20)
    host = Host(fan).run(40)
    assert at_hand(fan, host.history) == one_by_one(fan, host.history)
    with pytest.raises(LimitError, match="waited for 41"):
        Host(fan).run(41)


@workflow
async def insists(ctx: WorkflowContext, count: int) -> str:
    try:
        while True:
            await ctx.when_all(*[ctx.call_activity("step", number) for number in range(count)])
    except LimitError:
        await ctx.call_activity("last")
        return "interrupted"


@pytest.mark.parametrize("count", [1, 3, 30, 70])
def test_code_is_interrupted_where_its_history_is_too_long_and_the_same_however_that_is_read(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It could not take another event, and never could again: neither go on nor end.
    monkeypatch.setattr("flowlab.workflow.following.MAX_HISTORY_EVENTS", 100)
    host = Host(insists).run(count)
    assert host.end == {"result": "interrupted"}
    assert 100 < len(host.history) < 400
    for cut in range(0, len(host.history) + 1, 7):
        assert at_hand(insists, host.history[:cut]) == one_by_one(insists, host.history[:cut])
        execution = Execution(insists, ID)
        execution.advance(History.of_events(host.history[:cut], ID) if cut else [])
        execution.advance(host.history[cut:])
        assert outcome(execution) == one_by_one(insists, host.history)


@workflow
async def steps(ctx: WorkflowContext, count: int) -> None:
    for number in range(count):
        await ctx.call_activity("step", number)
        await ctx.sleep(1)


def test_causes_are_the_same_when_known_ones_are_thinned_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = Host(steps).run(60).history
    expected = one_by_one(steps, history[:-1])
    monkeypatch.setattr("flowlab.workflow.past.MAX_CAUSES", 3)
    monkeypatch.setattr("flowlab.workflow.handles.MAX_KNOWN", 3)
    assert at_hand(steps, history[:-1]) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(value=json_values, agent=st.none() | st.text(max_size=5))
def test_an_input_is_encoded_as_the_whole_payload_would_be(value: Any, agent: str | None) -> None:
    @workflow
    async def once(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("step", value, agent=agent)

    started = Event.of("WorkflowStarted", workflow_id=ID, sequence=1, time_ns=0)
    (draft,) = Execution(once, ID).advance([started])
    request, *_ = plain_form("step", agent)
    told, expected = None, None
    try:
        expected = encode_payload(payload_of(request, value, 1))
    except ValueError as error:
        told = str(error)
    if told is None:
        assert draft.payload == expected
    else:
        assert draft.event_type == "WorkflowFailed"
        assert draft.data["error"]["message"] == told


@pytest.mark.parametrize(
    ("grade", "found"),
    [("kind", ()), ("name", ("name",)), ("argument", ("name", "arguments"))],
)
def test_a_grade_says_how_much_of_a_history_is_held_against_the_code(
    grade: Any, found: tuple[str, ...]
) -> None:
    history = Host(steps).run(3).history
    for what, change in (("name", {"name": "other"}), ("arguments", {"payload": b"{}"})):
        altered = [msgspec.structs.replace(history[1], **change)]
        for feed in (list, lambda events: History.of_events(events, ID)):
            execution = Execution(steps, ID, grade=grade)
            events = feed([history[0], *altered, *history[2:]])
            if what in found:
                with pytest.raises(NonDeterminismError, match=f"differ in {what}"):
                    execution.advance(events)
            else:
                assert execution.advance(events) == ()


def test_a_history_is_a_collection_of_its_events_as_the_core_reads_them() -> None:
    events = Host(steps).run(2).history
    history = History.of_events(events, ID)
    assert [event.sequence for event in history] == [event.sequence for event in events]
    assert list(history[2:4]) == list(history)[2:4]
    assert repr(history) == f"History('w', {len(events)} events)"
    assert {event.event_type for event in history} & COMMAND_TYPES


@settings(max_examples=25)
@given(order=st.permutations(range(4)), seed=st.integers(0, 10**6), steps_before=st.integers(0, 2))
def test_answers_awaited_in_any_order_are_causes_of_what_is_asked_next(
    order: list[int], seed: int, steps_before: int
) -> None:
    @workflow
    async def late(ctx: WorkflowContext, _: Any) -> None:
        for number in range(steps_before):
            await ctx.call_activity("before", number)
        calls = [ctx.call_activity("early", number) for number in range(4)]
        for place in order:
            await calls[place]
            await ctx.call_activity("between", place)

    host = Host(late, pick=random.Random(seed).randrange).run()
    for length in range(len(host.history) + 1):
        part = host.history[:length]
        assert at_hand(late, part) == one_by_one(late, part)
