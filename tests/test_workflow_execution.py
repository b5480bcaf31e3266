"""The deterministic core: history in, the next events out, the same from any way of feeding it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_host import ID, Host

from flowlab.errors import (
    ActivityError,
    CancelledError,
    ChildWorkflowError,
    CorruptionError,
    InvalidArgumentError,
    NonDeterminismError,
)
from flowlab.events import Cause, CauseKind, Event
from flowlab.workflow import SECOND, Execution, RetryPolicy, Workflow, WorkflowContext, workflow
from flowlab.workflow.matching import COMMAND_TYPES


def causes_of(event: Event) -> list[tuple[int, int]]:
    return [(cause.sequence, cause.kind) for cause in event.causes]


def replayed(host: Host, cuts: list[int]) -> Execution:
    execution = Execution(host.code, ID)
    last = 0
    for cut in [*sorted(cuts), len(host.history)]:
        execution.advance(host.history[last:cut])
        last = cut
    return execution


# -- what the calls mean -------------------------------------------------------------------------


def test_calls_in_sequence_each_wait_for_the_one_before() -> None:
    @workflow
    async def trip(ctx: WorkflowContext, request: int) -> int:
        first = await ctx.call_activity("add", request, agent="airline")
        return await ctx.call_activity("add", first + 1)  # type: ignore[no-any-return]

    host = Host(trip).run(3)
    assert host.types == [
        "WorkflowStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "ActivityScheduled",
        "ActivityCompleted",
        "WorkflowCompleted",
    ]
    assert host.end == {"result": 4}
    assert host.history[1].data == {"input": 3, "attempt": 1, "agent": "airline"}
    assert [causes_of(host.history[place]) for place in (1, 3, 5)] == [[(1, 0)], [(3, 0)], [(5, 0)]]


def test_branches_run_beside_each_other_and_join_on_all_their_ends() -> None:
    @workflow
    async def fan(ctx: WorkflowContext, _: Any) -> Any:
        async def branch(number: int) -> Any:
            return await ctx.call_activity("b", await ctx.call_activity("a", number))

        return await ctx.when_all(branch(1), branch(2), ctx.call_activity("c", 3))

    host = Host(fan, pick=lambda count: count - 1).run()
    assert host.end == {"result": [1, 2, 3]}
    ends = {e.sequence for e in host.history if e.event_type == "ActivityCompleted"}
    inner = {c for e in host.history[3:-1] for c, _ in causes_of(e) if e.name == "b"}
    assert causes_of(host.history[-1]) == [
        (end, int(CauseKind.JOIN)) for end in sorted(ends - inner)
    ]


def test_a_command_follows_from_everything_its_branch_has_waited_for() -> None:
    @workflow
    async def late(ctx: WorkflowContext, _: Any) -> None:
        one, two = ctx.call_activity("one"), ctx.call_activity("two")
        await two
        await one
        await ctx.call_activity("three")
        await ctx.call_activity("four")

    host = Host(late).run()
    three, four = (e for e in host.history if e.name in {"three", "four"})
    assert [seq for seq, _ in causes_of(three)] == [4, 5]
    assert [seq for seq, _ in causes_of(four)] == [7]


def test_the_first_of_several_wins_and_the_others_go_on() -> None:
    @workflow
    async def race(ctx: WorkflowContext, _: Any) -> Any:
        slow, timer = ctx.call_activity("slow"), ctx.sleep(timedelta(seconds=5))
        won = await ctx.when_any(slow, timer)
        return "timer" if won is timer else "slow"

    assert Host(race, pick=lambda count: count - 1).run().end == {"result": "timer"}
    assert Host(race).run().end == {"result": "slow"}


def test_every_attempt_is_an_event_and_waits_as_the_policy_says() -> None:
    def flaky(_name: str, _value: Any, attempt: int) -> str:
        if attempt < 3:
            message = "busy"
            raise TimeoutError(message)
        return "done"

    @workflow
    async def retry(ctx: WorkflowContext, _: Any) -> Any:
        return await ctx.call_activity("try", retry=RetryPolicy(maximum_attempts=3))

    host = Host(retry, flaky).run()
    attempts = [e.data["attempt"] for e in host.history if e.event_type == "ActivityScheduled"]
    delays = [e.data["delay_ns"] for e in host.history if e.event_type == "TimerStarted"]
    assert attempts == [1, 2, 3]
    assert delays == [SECOND, 2 * SECOND]
    assert host.end == {"result": "done"}


def test_an_error_that_is_final_reaches_the_code_with_its_type() -> None:
    def declined(_name: str, _value: Any, _attempt: int) -> None:
        message = "card declined"
        raise PermissionError(message)

    @workflow
    async def pay(ctx: WorkflowContext, _: Any) -> str:
        policy = RetryPolicy(non_retryable_error_types=("PermissionError",))
        try:
            await ctx.call_activity("charge", retry=policy)
        except ActivityError as error:
            return f"{error.activity}: {error.error_type}"
        return "charged"

    host = Host(pay, declined).run()
    assert host.end == {"result": "charge: PermissionError"}
    assert "TimerStarted" not in host.types


def test_an_error_that_nobody_catches_fails_the_workflow() -> None:
    @workflow
    async def bad(ctx: WorkflowContext, _: Any) -> None:
        await ctx.sleep(1)
        message = "no rooms"
        raise ValueError(message)

    host = Host(bad).run()
    assert host.types[-1] == "WorkflowFailed"
    assert host.end == {"error": {"type": "ValueError", "message": "no rooms"}}


def test_a_late_answer_is_an_event_that_nothing_waits_for() -> None:
    @workflow
    async def slow(ctx: WorkflowContext, _: Any) -> Any:
        try:
            await ctx.call_activity("work", timeout=SECOND)
        except ActivityError as error:
            await ctx.sleep(1)
            return error.error_type

    host = Host(slow).start()
    work = host.open.pop()
    assert work.data["timeout_ns"] == SECOND
    host.tell("ActivityTimedOut", causes=(Cause(ID, work.sequence),))
    host.tell("ActivityCompleted", payload={"result": 1}, causes=(Cause(ID, work.sequence),))
    while host.step():
        pass
    assert host.end == {"result": "TimedOut"}


def test_an_answer_may_name_the_start_instead_of_the_request() -> None:
    @workflow
    async def one(ctx: WorkflowContext, _: Any) -> Any:
        return await ctx.call_activity("work")

    host = Host(one).start()
    host.tell("ActivityStarted", causes=(Cause(ID, 2),))
    host.tell("ActivityCompleted", payload={"result": 7}, causes=(Cause(ID, 3),))
    assert host.end == {"result": 7}


def test_children_have_streams_of_their_own_and_their_errors_come_back() -> None:
    def answer(name: str, value: Any, _attempt: int) -> Any:
        if name == "bad":
            message = "lost"
            raise RuntimeError(message)
        return value * 2

    @workflow
    async def parent(ctx: WorkflowContext, _: Any) -> Any:
        good = await ctx.call_child_workflow("good", 4)
        try:
            await ctx.call_child_workflow("bad", workflow_id="mine")
        except ChildWorkflowError as error:
            return [good, str(error)]

    host = Host(parent, answer).run()
    assert host.end == {"result": [8, "'mine': lost"]}
    ids = [e.data["workflow_id"] for e in host.history if e.name in {"good", "bad"}]
    assert ids == ["w/0.1", "mine"]


def test_events_from_outside_are_handed_out_once_in_order_early_ones_too() -> None:
    @workflow
    async def listen(ctx: WorkflowContext, _: Any) -> list[Any]:
        await ctx.sleep(1)
        first = [await ctx.wait_for_event("go") for _ in range(2)]
        ctx.raise_event("other", "done", first)
        return [*first, await ctx.wait_for_event("go")]

    host = Host(listen).start()
    for value in (1, 2):
        host.tell("Signaled", name="go", payload={"value": value})
    assert host.step()
    host.tell("Signaled", name="stop", payload={"value": 0})
    host.tell("Signaled", name="go", payload={"value": 3})
    assert host.end == {"result": [1, 2, 3]}
    (sent,) = (e for e in host.history if e.event_type == "SignalInitiated")
    assert sent.data == {"workflow_id": "other", "value": [1, 2]}
    assert [kind for _, kind in causes_of(sent)].count(int(CauseKind.MESSAGE)) == 2


def test_cancelling_is_an_error_that_the_code_may_clean_up_after() -> None:
    @workflow
    async def tidy(ctx: WorkflowContext, _: Any) -> None:
        try:
            await ctx.call_activity("work")
        except CancelledError:
            await ctx.call_activity("undo")
            raise

    host = Host(tidy).start()
    host.tell("WorkflowCancelRequested", payload={"reason": "by hand"})
    while host.step():
        pass
    assert "undo" in [e.name for e in host.history]
    assert host.types[-1] == "WorkflowCanceled"
    assert "by hand" in host.end["reason"]


def test_continuing_as_new_ends_the_generation_with_the_next_input() -> None:
    @workflow
    async def monitor(ctx: WorkflowContext, count: int) -> None:
        try:
            await ctx.sleep(1)
            ctx.continue_as_new(count + 1)
        except Exception:  # noqa: BLE001 - a handler this wide must not swallow it
            raise AssertionError from None

    host = Host(monitor).run(1)
    assert host.types[-1] == "WorkflowContinuedAsNew"
    assert host.end == {"input": 2}


def test_chance_and_ids_depend_on_names_and_seed_alone() -> None:
    def draws(seed: int, *, extra: bool) -> list[Any]:
        found: list[Any] = []

        @workflow(unchecked="the test looks inside")
        async def chancy(ctx: WorkflowContext, _: Any) -> None:
            if extra:
                ctx.random("other").random()
            found.extend([ctx.random("delay").random(), str(ctx.uuid4()), str(ctx.uuid4())])

        execution = Execution(chancy, ID, seed=seed)
        execution.advance([Event.of("WorkflowStarted", workflow_id=ID, sequence=1, time_ns=0)])
        return found

    assert draws(1, extra=False) == draws(1, extra=True)
    assert draws(1, extra=False) != draws(2, extra=False)
    assert len(set(draws(1, extra=False))) == 3


def test_time_is_that_of_the_event_that_is_answered() -> None:
    @workflow
    async def clock(ctx: WorkflowContext, _: Any) -> list[int]:
        first = ctx.now_ns()
        await ctx.call_activity("work")
        return [first, ctx.now_ns()]

    host = Host(clock).run()
    assert host.end == {"result": [SECOND, 3 * SECOND]}


# -- replay --------------------------------------------------------------------------------------


def test_a_patch_takes_new_histories_along_the_new_path_and_leaves_old_ones() -> None:
    @workflow(name="trip")
    async def old(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("book")
        await ctx.call_activity("mail")

    @workflow(name="trip")
    async def new(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("book" if not ctx.patched("safe") else "book_safely")
        await ctx.call_activity("mail")

    before, after = Host(old).run(), Host(new).run()
    assert "MarkerRecorded" not in before.types
    assert [e.name for e in after.history if e.name] == ["safe", "book_safely", "mail", "trip"]
    for host in (before, after):
        execution = Execution(new, ID)
        assert execution.advance(host.history) == ()
        assert execution.closed


def test_a_patch_is_found_wherever_the_history_is_cut_behind_what_is_asked_for_already() -> None:
    @workflow
    async def new(ctx: WorkflowContext, _: Any) -> Any:
        handles = [ctx.call_activity("a"), ctx.call_activity("b")]
        if ctx.patched("wider"):
            handles.append(ctx.call_activity("c"))
        return await ctx.when_all(*handles)

    host = Host(new).run()
    assert [event.name for event in host.history[1:5]] == ["a", "b", "wider", "c"]
    for cut in range(len(host.history)):
        assert replayed(host, [cut]).closed


@pytest.mark.parametrize(
    ("code", "grade"),
    [
        (lambda ctx: ctx.sleep(1), "kind"),
        (lambda ctx: ctx.call_activity("hotel", 1), "name"),
        (lambda ctx: ctx.call_activity("book", 2), "arguments"),
    ],
)
def test_code_that_asks_for_something_else_is_told_where_and_how(
    code: Callable[[WorkflowContext], Any], grade: str
) -> None:
    @workflow
    async def was(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("book", 1)

    @workflow
    async def now(ctx: WorkflowContext, _: Any) -> None:
        await code(ctx)

    with pytest.raises(NonDeterminismError) as found:
        Execution(now, ID).advance(Host(was).run().history)
    assert f"they differ in {grade}" in str(found.value)
    assert (
        'event 2 of workflow \'w\' records ActivityScheduled book({"attempt":1,"input":1})'
        in str(found.value)
    )


def test_code_that_ends_early_or_with_another_result_is_told() -> None:
    @workflow
    async def was(ctx: WorkflowContext, _: Any) -> int:
        await ctx.sleep(1)
        return 1

    @workflow
    async def early(_ctx: WorkflowContext, _: Any) -> int:
        return 1

    @workflow(name="was")
    async def other(ctx: WorkflowContext, _: Any) -> int:
        await ctx.sleep(1)
        return 2

    history = Host(was).run().history
    with pytest.raises(NonDeterminismError, match="WorkflowCompleted early.*differ in kind"):
        Execution(early, ID).advance(history)
    with pytest.raises(NonDeterminismError, match="differ in result"):
        Execution(other, ID).advance(history)


def test_a_later_generation_begins_where_its_stream_is() -> None:
    @workflow
    async def one(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("work")

    started = Event.of("WorkflowStarted", workflow_id=ID, sequence=10**15, generation=3, time_ns=0)
    (draft,) = Execution(one, ID).advance([started])
    assert draft.generation == 3
    assert causes_of(draft) == [(10**15, 0)]


def test_a_history_with_a_gap_or_a_second_beginning_is_refused() -> None:
    @workflow
    async def one(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("work")

    history = Host(one).run().history
    with pytest.raises(CorruptionError, match="event 3 of 'w' follows 1"):
        Execution(one, ID).advance([history[0], history[2]])
    twice = msgspec.structs.replace(history[0], sequence=len(history) + 1)
    execution = Execution(one, ID)
    execution.advance(history[:2])
    with pytest.raises(CorruptionError, match="has begun"):
        execution.advance([msgspec.structs.replace(twice, sequence=3)])


def test_awaiting_what_is_not_the_contexts_fails_the_workflow_with_the_next_step() -> None:
    class Foreign:
        def __await__(self) -> Any:
            yield "something"

    @workflow
    async def foreign(_ctx: WorkflowContext, _: Any) -> None:
        await Foreign()

    host = Host(foreign).run()
    assert host.types[-1] == "WorkflowFailed"
    assert "await what ctx gives" in host.end["error"]["message"]


def test_an_activity_that_is_a_bare_function_is_refused_with_its_name() -> None:
    def glaze(_ctx: Any, _value: Any) -> None: ...

    @workflow
    async def pot(ctx: WorkflowContext, value: Any) -> None:
        await ctx.call_activity(value or glaze)

    told = [Host(pot).run(given).end["error"]["message"] for given in (None, 3)]
    assert told[0].startswith(
        "an activity is given by its name, 'glaze', or write @activity above it; got <function "
    )
    assert told[1] == "an activity is given by its name, or as @activity made it; got 3"


def test_a_workflow_must_be_async_and_take_a_context_and_an_input() -> None:
    with pytest.raises(InvalidArgumentError, match="async def"):
        workflow(lambda _ctx, _value: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidArgumentError, match=r"expected \(ctx, input\)"):

        @workflow  # type: ignore[arg-type]
        async def short(_ctx: WorkflowContext) -> None: ...


# -- laws over random programs -------------------------------------------------------------------

programs = st.recursive(
    st.sampled_from(["a", "b", "fails", "timer", "signal", "child", "dropped", "tidy"]),
    lambda inner: st.tuples(
        st.sampled_from(["seq", "all", "any"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


async def leaf(ctx: WorkflowContext, part: str) -> Any:
    if part == "dropped":
        call = ctx.call_activity("a", 1)
        won = await ctx.when_any(call, ctx.sleep(5))
        call.cancel()
        return won is call
    try:
        if part == "fails":
            return await ctx.call_activity("fails", retry=RetryPolicy(maximum_attempts=2))
        return await ctx.call_activity("b", 1)
    except ActivityError as error:
        return str(error)
    except CancelledError:
        return await ctx.call_activity("a", 2)


def coded(program: Any) -> Workflow:
    """Make a workflow that carries out a random program."""

    async def run(ctx: WorkflowContext, part: Any) -> Any:
        match part:
            case "timer":
                return await ctx.sleep(5)
            case "signal":
                return await ctx.wait_for_event("s")
            case "child":
                return await ctx.call_child_workflow("child", 1)
            case "dropped" | "tidy" | "fails":
                return await leaf(ctx, part)
            case str():
                return await ctx.call_activity(part, ctx.random(part).randrange(100))
            case ("seq", parts):
                return [await run(ctx, item) for item in parts]
            case ("all", parts):
                return await ctx.when_all(*(run(ctx, item) for item in parts))
            case ("any", parts):
                return (await ctx.when_any(*(run(ctx, item) for item in parts))).result()
        return None

    @workflow(name="random")
    async def body(ctx: WorkflowContext, _: Any) -> Any:
        return await run(ctx, program)

    return body


def executed(program: Any, seed: int, begins: Callable[[], str] = str) -> Host:
    rng = random.Random(seed)

    def answer(name: str, value: Any, _attempt: int) -> Any:
        if name == "fails":
            message = "no"
            raise OSError(message)
        return value

    obey = {"a": rng.random() < 0.5}
    host = Host(
        coded(program), answer, rng.randrange, lambda name: obey.get(name, True), begins=begins
    ).start()
    asked_to_stop = rng.choice([1, 3, 9, 300, 300])
    for number in range(200):
        if number == asked_to_stop and not host.execution.closed:
            host.tell("WorkflowCancelRequested")
        elif rng.random() < 0.3 and not host.execution.closed:
            host.tell("Signaled", name="s", payload={"value": number})
        elif not host.step():
            if host.execution.closed:
                break
            host.tell("Signaled", name="s", payload={"value": number})
    return host


@given(program=programs, seed=st.integers(0, 10**6), data=st.data())
def test_a_history_replays_to_the_same_commands_however_it_is_fed(
    program: Any, seed: int, data: st.DataObject
) -> None:
    host = executed(program, seed)
    cuts = data.draw(st.lists(st.integers(0, len(host.history)), max_size=5))
    execution = replayed(host, cuts)
    assert execution.advance([]) == ()
    assert execution.closed == host.execution.closed
    assert executed(program, seed).history == host.history


@given(program=programs, seed=st.integers(0, 10**6), place=st.integers(0, 10**6))
def test_a_prefix_asks_for_exactly_the_commands_that_follow_it(
    program: Any, seed: int, place: int
) -> None:
    host = executed(program, seed)
    cut = place % len(host.history) + 1
    asked = Execution(host.code, ID).advance(host.history[:cut])
    after = [event for event in host.history[cut:] if event.event_type in COMMAND_TYPES]
    for draft, event in zip(asked, after, strict=False):
        assert (draft.event_type, draft.name, draft.payload, draft.causes) == (
            event.event_type,
            event.name,
            event.payload,
            event.causes,
        )
    assert len(asked) <= len(after)


@given(program=programs, seed=st.integers(0, 10**6), place=st.integers(0, 10**6))
def test_any_command_that_was_altered_is_found_at_its_place(
    program: Any, seed: int, place: int
) -> None:
    host = executed(program, seed)
    commands = [event for event in host.history if event.event_type in COMMAND_TYPES]
    if not commands:
        return
    victim = commands[place % len(commands)]
    history = list(host.history)
    history[victim.sequence - 1] = msgspec.structs.replace(victim, name=victim.name + "!")
    with pytest.raises(NonDeterminismError, match=f"event {victim.sequence} of"):
        Execution(host.code, ID).advance(history)


@given(program=programs, seed=st.integers(0, 10**6))
def test_causes_lie_in_the_past_and_no_cause_is_implied_by_another(program: Any, seed: int) -> None:
    host = executed(program, seed)
    past: dict[int, set[int]] = {}
    for event in host.history:
        direct = [cause.sequence for cause in event.causes]
        assert all(1 <= sequence < event.sequence for sequence in direct)
        for sequence in direct:
            implied = any(sequence in past[other] for other in direct if other != sequence)
            assert not implied, (event.sequence, direct)
        past[event.sequence] = set(direct).union(*(past[sequence] for sequence in direct))
    ends = [event for event in host.history if event.event_type == "WorkflowCompleted"]
    assert all(1 in past[end.sequence] for end in ends)


# A loop that looked for news each second kept every one of its waits, and told them all in the end.
def test_what_is_waited_for_again_and_again_keeps_nothing_of_the_waits_before() -> None:
    kept: list[int] = []

    @workflow(unchecked="the test looks inside")
    async def looks(ctx: WorkflowContext, rounds: int) -> Any:
        news = ctx.wait_for_event("news")
        for _ in range(rounds):
            await ctx.when_any(news, ctx.sleep(SECOND))
            kept.append(len(news.told or ()))
        await ctx.when_any(ctx.when_all(news, ctx.sleep(SECOND)), ctx.call_activity("stop"))

    host = Host(looks).run(20)
    assert host.types[-1] == "WorkflowCompleted"
    assert set(kept) == {0}
