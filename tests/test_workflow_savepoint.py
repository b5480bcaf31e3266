"""Declared state: a workflow goes on from a savepoint as from its whole history."""

from __future__ import annotations

import gc
import random
import warnings
from dataclasses import dataclass, field
from typing import Any, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_host import ID, Host

from flowlab.errors import CancelledError, CorruptionError, InvalidArgumentError
from flowlab.events import Cause, Event
from flowlab.workflow import Execution, RetryPolicy, Workflow, WorkflowContext, workflow
from flowlab.workflow.matching import COMMAND_TYPES
from flowlab.workflow.savepoints import is_savepoint


@dataclass
class Progress:
    next: int = 0
    total: int = 0
    seen: list[Any] = field(default_factory=list)


class Frozen(msgspec.Struct, frozen=True):
    count: int = 0


class Loose(TypedDict, total=False):
    count: int


@workflow(state=Progress)
async def batch(ctx: WorkflowContext, count: int, state: Progress) -> dict[str, Any]:
    while state.next < count:
        number = state.next
        async with ctx.saga() as saga:
            state.total += await saga.step("add", number, compensation="undo")
        if ctx.random("dice").random() < 0.5:
            await ctx.call_child_workflow("child", number)
        if number % 3 == 2:
            state.seen.append(await ctx.wait_for_event("go"))
        if ctx.patched("newer"):
            await ctx.when_all(ctx.sleep(1), ctx.call_activity("both", str(ctx.uuid4())))
        state.next = number + 1
        await ctx.savepoint()
    return {"total": state.total, "seen": state.seen, "long": ctx.continue_as_new_suggested}


def savepoints(host: Host) -> list[Event]:
    return [event for event in host.history if is_savepoint(event)]


def entered(host: Host, savepoint: Event, code: Workflow | None = None) -> Execution:
    return Execution.from_savepoint(code or host.code, ID, host.history[0], savepoint)


def finished(code: Workflow, value: Any, seed: int) -> Host:
    rng = random.Random(seed)
    host = Host(code, pick=rng.randrange).start(value)
    for number in range(300):
        if host.execution.closed:
            break
        if rng.random() < 0.2 or not host.step():
            host.tell("Signaled", name=rng.choice(["go", "other"]), payload={"value": number})
    return host


def test_a_savepoint_is_a_marker_that_holds_the_state() -> None:
    host = finished(batch, 2, 1)
    first, second = savepoints(host)
    assert first.data["state"] == {"next": 1, "total": 0, "seen": []}
    assert second.data["state"]["next"] == 2
    assert host.end["result"]["total"] == 1


@given(count=st.integers(1, 5), seed=st.integers(0, 10**6), data=st.data())
def test_going_on_from_any_savepoint_asks_for_what_a_full_replay_asks_for(
    count: int, seed: int, data: st.DataObject
) -> None:
    host = finished(batch, count, seed)
    assert Execution(batch, ID).advance(host.history) == ()
    savepoint = data.draw(st.sampled_from(savepoints(host)))
    cut = data.draw(st.integers(savepoint.sequence, len(host.history)))
    whole, part = Execution(batch, ID), entered(host, savepoint)
    asked = whole.advance(host.history[:cut])
    assert part.advance(host.history[part.last_sequence : cut]) == asked
    rest = host.history[cut:]
    assert part.advance(rest) == whole.advance(rest) == ()
    assert part.closed == whole.closed == host.execution.closed
    assert part.state == whole.state
    assert part.now_ns == whole.now_ns


def test_what_comes_while_a_savepoint_is_written_is_not_lost() -> None:
    @workflow(state=Progress)
    async def listen(ctx: WorkflowContext, _: Any, state: Progress) -> Any:
        if not state.next:
            await ctx.sleep(1)
            state.next = 1
            await ctx.savepoint()
        events = [ctx.wait_for_event("go") for _ in range(2)]
        try:
            await ctx.call_activity("work")
        except CancelledError:
            return [event.result() for event in events]

    host = Host(listen).start()
    host.tell("Signaled", name="go", payload={"value": "before"})
    fired = host.record(Event.of("TimerFired", causes=(Cause(ID, 2),)))
    (asked,) = host.execution.advance([fired])
    # Others write into the stream before the host has written what it was asked for.
    between = [
        host.record(Event.of("Signaled", name="go", payload={"value": "meanwhile"})),
        host.record(Event.of("WorkflowCancelRequested")),
    ]
    assert host.execution.advance(between) == (asked,)
    savepoint = host.record(asked)
    host.feed([savepoint])
    while host.step():
        pass
    assert host.end == {"result": ["before", "meanwhile"]}
    assert savepoint.data["kept"] == {"go": [[3, "before"]]}
    again = entered(host, savepoint)
    assert again.last_sequence == fired.sequence
    assert again.advance(host.history[again.last_sequence :]) == ()
    assert again.closed


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (lambda ctx: ctx.call_activity("work"), "in flight: ActivityScheduled work"),
        (lambda ctx: ctx.wait_for_event("go"), "in flight: event 'go'"),
        (lambda ctx: ctx.sleep(5), "in flight: TimerStarted"),
        (lambda ctx: ctx.when_all(ctx.savepoint()), "in flight: workflow 'w'"),
        (lambda ctx: ctx.barrier("b", ["x", "y"], "x"), "in flight: BarrierArrived b"),
    ],
)
def test_nothing_may_be_in_flight_at_a_savepoint(code: Any, told: str) -> None:
    @workflow(state=Progress)
    async def hasty(ctx: WorkflowContext, _: Any, _state: Progress) -> None:
        waited = code(ctx)
        if "workflow" in told:
            await waited
        await ctx.savepoint()

    host = Host(hasty).start()
    assert told in host.end["error"]["message"]


def test_a_saga_that_is_open_allows_no_savepoint() -> None:
    @workflow(state=Progress)
    async def inside(ctx: WorkflowContext, _: Any, _state: Progress) -> None:
        async with ctx.saga():
            await ctx.savepoint()

    assert "in flight: a saga" in Host(inside).start().end["error"]["message"]


def test_a_workflow_without_state_has_no_savepoint_and_no_state() -> None:
    @workflow
    async def plain(ctx: WorkflowContext, what: str) -> None:
        if what == "state":
            ctx.state.count = 1
        await ctx.savepoint()

    for what in ("state", "savepoint"):
        assert "@workflow(state=T)" in Host(plain).start(what).end["error"]["message"]


@pytest.mark.parametrize("state", [Frozen, Loose, dict, dict[str, int], Progress])
def test_a_state_is_a_dataclass_a_struct_or_a_dict(state: Any) -> None:
    @workflow(state=state)
    async def count(ctx: WorkflowContext, _: Any, state: Any) -> Any:
        if isinstance(state, dict):
            state["count"] = state.get("count", 0) + 1
        elif isinstance(state, Frozen):
            ctx.state = Frozen(state.count + 1)
        else:
            state.next += 1
        await ctx.savepoint()
        return msgspec.to_builtins(ctx.state)

    host = Host(count).start()
    (savepoint,) = savepoints(host)
    again = entered(host, savepoint)
    (second,) = again.advance(host.history[again.last_sequence : savepoint.sequence])
    assert 2 in second.data["state"].values()


@pytest.mark.parametrize(
    ("state", "why"),
    [(int.from_bytes, "TypeError"), (object, "Object"), (type("Need", (), {}), "Need")],
)
def test_a_type_that_cannot_be_saved_is_refused_at_the_door(state: Any, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot have"):

        @workflow(state=state)
        async def bad(_ctx: WorkflowContext, _: Any, _state: Any) -> None: ...

    assert why


def test_a_state_of_another_type_is_refused_when_it_is_given_and_when_it_is_read() -> None:
    @workflow(state=Frozen)
    async def odd(ctx: WorkflowContext, _: Any, _state: Frozen) -> None:
        ctx.state = Frozen(3)
        await ctx.savepoint()
        ctx.state = {"count": 1}

    host = Host(odd).start()
    assert "a state of <class" in host.end["error"]["message"]
    (savepoint,) = savepoints(host)
    changed = savepoint.replace(payload=b'{"state":{"count":"many"}}')
    with pytest.raises(CorruptionError, match="saved by other code"):
        entered(host, changed)
    with pytest.raises(InvalidArgumentError, match="is no savepoint of"):
        entered(host, host.history[0])


def test_a_workflow_with_state_takes_three_arguments() -> None:
    with pytest.raises(InvalidArgumentError, match=r"expected \(ctx, input, state\)"):

        @workflow(state=Frozen)
        async def two(_ctx: WorkflowContext, _: Any) -> None: ...


def test_no_patch_is_named_as_savepoints_are() -> None:
    @workflow
    async def odd(ctx: WorkflowContext, _: Any) -> None:
        ctx.patched("savepoint")

    assert "cannot be named 'savepoint'" in Host(odd).start().end["error"]["message"]


def test_retries_with_jitter_agree_after_reentry() -> None:
    def answer(_name: str, value: Any, attempt: int) -> Any:
        if attempt < 3:
            message = "busy"
            raise OSError(message)
        return value

    @workflow(state=Progress)
    async def tries(ctx: WorkflowContext, count: int, state: Progress) -> None:
        while state.next < count:
            await ctx.call_activity("work", retry=RetryPolicy(jitter=0.5))
            state.next += 1
            await ctx.savepoint()

    host = Host(tries, answer).run(3)
    delays = [e.data["delay_ns"] for e in host.history if e.event_type == "TimerStarted"]
    assert len(set(delays)) == 6
    for savepoint in savepoints(host):
        again = entered(host, savepoint)
        assert again.advance(host.history[again.last_sequence :]) == ()
        assert again.closed
    assert {"MarkerRecorded", "BarrierArrived"} <= COMMAND_TYPES


def test_an_execution_that_is_dropped_before_it_is_entered_leaves_no_coroutine_behind() -> None:
    host = finished(batch, 2, 1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for savepoint in savepoints(host):
            execution = entered(host, savepoint)
            assert execution.generation == host.history[0].generation
            del execution
        gc.collect()
    assert [str(warning.message) for warning in told] == []
