"""What a durable host owes those who hang, are refused, or have mistaken themselves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowlab import Agent, EventStore, Replayer, workflow
from flowlab.errors import (
    ActivityError,
    FlowlabError,
    InvalidArgumentError,
    InvalidEventError,
    LimitError,
    NonDeterminismError,
    WorkflowError,
)
from flowlab.events import Event
from flowlab.events.codec import decode_payload, encode_json
from flowlab.runtime import Runtime
from flowlab.runtime.errands import Errands
from flowlab.runtime.families import Families
from flowlab.runtime.pooling import Pooling
from flowlab.workflow import Choreography, Reaction, Workflow, WorkflowContext


@pytest.mark.parametrize("part", [Errands, Families, Pooling])
def test_a_part_of_a_host_cannot_be_made_without_what_it_needs_of_the_whole(part: type) -> None:
    with pytest.raises(TypeError, match="_settle"):
        part()


@workflow
async def together(ctx: WorkflowContext, count: int) -> int:
    results = await ctx.when_all(*[ctx.call_activity("step", n) for n in range(count)])
    return await ctx.call_activity("step", sum(results))


@workflow
async def in_turn(ctx: WorkflowContext, count: int) -> int:
    whole = 0
    for call in [ctx.call_activity("step", n) for n in range(count)]:
        whole += await call
    return await ctx.call_activity("step", whole)


def step(value: int) -> int:
    return value


@pytest.mark.parametrize("code", [together, in_turn])
def test_a_workflow_waits_for_thousands_of_answers_and_goes_on_from_all_of_them(
    code: Workflow, tmp_path: Path
) -> None:
    # More than 4 096 answers were once more than an event could name as its causes: the workflow
    # could not go on, not even after a restart.
    count = 4_200
    with EventStore(tmp_path) as store:
        runtime = Runtime(store, code, activities=[step], where={"step": "inline"})
        assert runtime.run(code, count, id="w") == sum(range(count))
        log = store.read("/workflows/w/events")
        last = [event for event in log.events() if event.event_type == "ActivityScheduled"][-1]
        assert len(last.causes) == count
        assert Replayer([code]).replay(log).ok
        assert store.verify().ok


@workflow
async def piecemeal(ctx: WorkflowContext, left: int) -> str:
    try:
        while left:
            await ctx.call_activity("step", left)
            left -= 1
    except LimitError:
        ctx.continue_as_new(left)
    return "all done"


def test_a_workflow_whose_history_is_too_long_may_end_or_continue_as_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlab.workflow.following.MAX_HISTORY_EVENTS", 50)
    with EventStore(tmp_path) as store:
        runtime = Runtime(store, together, piecemeal, activities=[step], where={"step": "inline"})
        with pytest.raises(WorkflowError, match="has 50 events, and MAX_HISTORY_EVENTS is 50"):
            runtime.run(together, 40, id="w")
        runtime = Runtime(store, piecemeal, activities=[step], where={"step": "inline"})
        assert runtime.run(piecemeal, 60, id="p") == "all done"
        generations = {event.generation for event in store.read("/workflows/p/events").events()}
        assert generations == {0, 1, 2}
        assert Replayer([together, piecemeal]).replay(store).ok
        assert store.verify().ok


def no_loop() -> list[Any]:
    loop: list[Any] = [("a tuple is encoded with care",)]
    loop.append({"again": loop})
    return loop


@pytest.mark.parametrize("value", [no_loop()])
def test_a_value_that_holds_itself_is_refused_by_that_name(value: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidEventError, match=r"payload\[1\]\.again is a list that holds itself"):
        encode_json(value)
    with EventStore(tmp_path) as store:
        runtime = Runtime(store, together, activities=[step])
        with pytest.raises(InvalidEventError, match="is a list that holds itself"):
            runtime.run(together, value, id="w")


def test_values_that_are_only_shared_or_deep_are_told_from_those_that_hold_themselves() -> None:
    part = (1,)
    assert encode_json([part, part, {"x": part}]) == b'[[1],[1],{"x":[1]}]'
    deep: Any = (0,)
    for _ in range(250):
        deep = [deep]
    with pytest.raises(InvalidEventError, match="nested deeper than 200 levels") as refused:
        encode_json(deep)
    assert len(str(refused.value)) < 200


def nested(levels: int, innermost: Any) -> Any:
    """Return lists and dicts in each other, so many levels deep."""
    for level in range(levels):
        innermost = {"]": innermost} if level % 2 else [innermost, '\\" [[{']
    return innermost


@pytest.mark.parametrize("innermost", [1, 10**30, "\ud800"])
def test_two_hundred_levels_are_encoded_and_one_more_is_refused(innermost: Any) -> None:
    # What was plain enough for the fast path was taken up to where the interpreter's stack ends.
    assert decode_payload(encode_json(nested(200, innermost))) == nested(200, innermost)
    assert decode_payload(encode_json([nested(199, innermost)] * 300))[299] == nested(
        199, innermost
    )
    for levels in (201, 900):
        with pytest.raises(InvalidEventError, match="nested deeper than 200 levels"):
            encode_json(nested(levels, innermost))


def test_a_payload_that_is_too_deep_to_be_read_is_an_error_of_that_event() -> None:
    event = Event(event_type="Imported", payload=b"[" * 5_000 + b"]" * 5_000)
    with pytest.raises(InvalidEventError, match="nested deeper than can be read here"):
        event.data  # noqa: B018 - reading it is what is refused


def test_a_result_too_deep_to_be_read_again_fails_its_activity_and_stops_nobody(
    tmp_path: Path,
) -> None:
    # It was written where the stack was short, and whoever recovered had no room to read it: that
    # runtime stopped, with all its workflows.
    @workflow
    async def ask(ctx: WorkflowContext, levels: int) -> str:
        try:
            await ctx.call_activity("nested", levels)
        except ActivityError as error:
            return str(error)
        return "it was taken"

    def answer(levels: int) -> Any:
        return nested(levels, 0)

    with EventStore(tmp_path) as store:
        runtime = Runtime(store, ask, activities={"nested": answer})
        told = runtime.run(ask, 920, id="deep")
    assert "nested deeper than 200 levels; flatten it" in told


def test_a_runtime_takes_several_workflows_and_says_what_it_does_not_take(tmp_path: Path) -> None:
    with EventStore(tmp_path) as store:
        both = Runtime(store, together, in_turn, activities=[step])
        assert both.run("in_turn", 2, id="w") == 1
        for wrong in (step, "together", 7):
            with pytest.raises(InvalidArgumentError, match="is no workflow; give a @workflow"):
                Runtime(store, wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="is no workflow; give a @workflow"):
            Runtime(store, together, step)  # type: ignore[arg-type]
        for what in ("children", "processes", "threads"):
            with pytest.raises(InvalidArgumentError, match=f"{what} is 1000000; expected"):
                Runtime(store, together, **{what: 10**6})  # type: ignore[arg-type]


def test_a_query_that_is_no_function_or_has_no_state_to_ask_is_refused(tmp_path: Path) -> None:
    async def ask() -> None:
        async with Runtime(store, together, activities=[step]) as runtime:
            handle = await runtime.start(together, 1, id="w")
            with pytest.raises(InvalidArgumentError, match="'x'; expected a function of the state"):
                handle.query("x")  # type: ignore[arg-type]
            with pytest.raises(InvalidArgumentError, match="has no state to ask here"):
                handle.query(lambda state: state.done)
            assert await handle.result() == 0

    with EventStore(tmp_path) as store:
        asyncio.run(ask())


def test_a_list_given_to_when_all_is_refused_in_one_line(tmp_path: Path) -> None:
    @workflow
    async def listed(ctx: WorkflowContext, count: int) -> Any:
        return await ctx.when_all([ctx.call_activity("step", n) for n in range(count)])  # type: ignore[arg-type]

    with EventStore(tmp_path) as store:
        runtime = Runtime(store, listed, activities=[step])
        with pytest.raises(WorkflowError, match="give them one by one, not as a list") as refused:
            runtime.run(listed, 100, id="w")
        assert len(str(refused.value)) < 500


def test_code_that_changed_is_told_with_its_line_when_it_is_taken_up(tmp_path: Path) -> None:
    @workflow(name="trip")
    async def before(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("step", 1)
        await ctx.wait_for_event("go")

    @workflow(name="trip")
    async def after(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("step", 2)
        await ctx.wait_for_event("go")

    async def run(code: Workflow) -> None:
        with EventStore(tmp_path) as store:
            async with Runtime(store, code, activities=[step]) as runtime:
                await runtime.start(code, id="w")
                await runtime.quiet()

    asyncio.run(run(before))
    line = after.body.__code__.co_firstlineno + 2
    with pytest.raises(NonDeterminismError, match=rf"{Path(__file__).name}:{line}\.$"):
        asyncio.run(run(after))


async def hang() -> str:
    await asyncio.Event().wait()
    return "never"


@workflow
async def impatient(ctx: WorkflowContext, _: Any) -> str:
    try:
        await ctx.call_activity("hang", agent="clerk", timeout=timedelta(milliseconds=5))
    except ActivityError:
        return await ctx.call_activity("work", agent="clerk")
    return "in time"


def types_of(store: EventStore, stream: str) -> list[str]:
    return [event.event_type for event in store.read(f"/workflows/{stream}/events").events()]


def test_an_agent_is_free_once_an_async_activity_of_it_was_not_answered_in_time(
    tmp_path: Path,
) -> None:
    # One that hangs once held its agent for ever: the runtime waited, and so did the workflow.
    clerk = {"hang": hang, "work": lambda: "done"}
    with EventStore(tmp_path) as store:
        runtime = Runtime(store, impatient, agents={"clerk": clerk}, where={"work": "inline"})
        assert runtime.run(impatient, id="w") == "done"
        assert types_of(store, "w")[2:] == [
            "ActivityTimedOut",
            "ActivityScheduled",
            "ActivityCompleted",
            "WorkflowCompleted",
        ]
        assert types_of(store, "@clerk") == [
            "MessageReceived",
            "TransactionAborted",
            "MessageReceived",
            "TransactionCommitted",
        ]
        assert store.verify().ok


def saga() -> Choreography:
    book = Reaction(
        "hotel",
        on="Placed",
        emits="Booked",
        activity="book",
        compensation="release",
        undone_by="Declined",
    )
    pay = Reaction("bank", on="Booked", emits="Paid", fails_with="Declined", activity="pay")
    return Choreography(book, pay, start="Placed", final=["Paid"], name="saga")


def test_a_compensation_too_large_for_an_event_stops_its_saga_and_nobody_else(
    tmp_path: Path,
) -> None:
    # The input, and what the reaction made of it, fit into an event each, but not together.
    large = "x" * (9 * 1024 * 1024)

    def pay() -> None:
        message = "no"
        raise ValueError(message)

    agents = {"hotel": {"book": lambda: large, "release": lambda: None}, "bank": {"pay": pay}}

    async def both() -> None:
        async with Runtime(store, saga(), impatient, agents=agents) as runtime:
            stopped = await runtime.start("saga", large, id="s")
            with pytest.raises(LimitError, match="CompensationScheduled 'release' takes"):
                await stopped.result()
            assert await (await runtime.start(impatient, id="w")).result() == "on"

    agents["clerk"] = {"hang": hang, "work": lambda: "on"}
    with EventStore(tmp_path) as store:
        asyncio.run(both())
        assert store.verify().ok


def test_a_reaction_whose_result_is_no_json_is_an_error_in_the_log_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlab.runtime.choreographing.FIRST_AGAIN_NS", 1_000)
    order = Choreography(
        Reaction("bank", on="Placed", emits="Paid", activity="pay", kind="retryable"),
        start="Placed",
        final="Paid",
        name="order",
    )
    results: list[Any] = [{1, 2}, "paid"]

    async def begin() -> str:
        runtime = Runtime(
            store, order, agents={"bank": {"pay": lambda: results.pop(0)}}, where={"pay": "inline"}
        )
        async with runtime:
            return str((await (await runtime.start(order, 1, id="o")).result())["Paid"])

    with EventStore(tmp_path) as store:
        with pytest.warns(RuntimeWarning, match="'pay' of agent 'bank' returns cannot be told"):
            asyncio.run(begin())
        aborted = [
            e for e in store.read("/agents/bank/events").events() if "Aborted" in e.event_type
        ]
        assert [event.data["error"]["type"] for event in aborted] == ["InvalidResult"]


@workflow
async def leaves(ctx: WorkflowContext, name: str) -> str:
    ctx.call_activity("slow", name)
    return name


def test_a_workflow_that_ended_before_its_effects_is_let_go_once_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlab.runtime.turns.MAX_ENDED", 2)

    async def many() -> None:
        go = asyncio.Event()

        async def slow() -> None:
            await go.wait()

        async with Runtime(store, leaves, activities=[slow]) as runtime:
            for number in range(6):
                handle = await runtime.start(leaves, "early", id=f"early-{number}")
                assert await handle.result() == "early"
            known = runtime._host.instances
            assert len(known) == 6  # the answers are still to be written
            go.set()
            await runtime.quiet()
            for number in range(6):
                await (await runtime.start(leaves, "later", id=f"later-{number}")).result()
                await runtime.quiet()
            assert not [name for name in known if name.startswith("early")]
            assert len(known) <= 3

    with EventStore(tmp_path) as store:
        asyncio.run(many())
        assert len(store.sql("SELECT * FROM activities WHERE status = 'completed'")) == 12


@workflow
async def brittle(ctx: WorkflowContext, _: Any) -> Any:
    await ctx.wait_for_event("go")
    return await ctx.call_activity("step", "x" * (17 * 1024 * 1024))


@workflow
async def parent(ctx: WorkflowContext, child: str) -> Any:
    return await ctx.call_child_workflow(child, "brittle" if child == "parent" else None)


def test_whoever_waits_for_a_child_that_cannot_go_on_hears_of_it(tmp_path: Path) -> None:
    # Else it would wait until the next start, which would say so.
    async def family() -> None:
        async with Runtime(store, parent, brittle, activities=[step]) as runtime:
            eldest = await runtime.start(parent, "parent", id="p")
            await runtime.quiet()
            (child,) = [name for name in runtime._host.instances if name.count("/") == 2]
            await runtime.raise_event(child, "go")
            with pytest.raises(FlowlabError, match="which cannot go on here") as refused:
                await asyncio.wait_for(eldest.result(), 60)
            assert "MAX_PAYLOAD_BYTES" in str(refused.value)

    with EventStore(tmp_path) as store:
        asyncio.run(family())


async def doubled(value: int) -> int:
    return 2 * value


async def of_context(ctx: Any) -> str:
    return str(ctx.agent)


def test_an_agent_s_async_function_is_awaited_whatever_it_takes(tmp_path: Path) -> None:
    # One of the value alone was taken for a plain function, and its coroutine for the result.
    @workflow
    async def both(ctx: WorkflowContext, _: Any) -> list[Any]:
        return [await ctx.call_activity(name, 3, agent="ann") for name in ("doubled", "of_context")]

    with EventStore(tmp_path) as store:
        runtime = Runtime(store, both, agents=[Agent("ann", doubled, of_context)])
        assert runtime.run(both, id="w") == [6, "ann"]
