"""What no world could have is one clear error before anything runs."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from flowlab.errors import DeterminismWarning, FlowlabError
from flowlab.scenarios import SCENARIOS
from flowlab.scenarios import trip as trip_module
from flowlab.simulation import (
    Agent,
    AgentContext,
    Cancel,
    Faults,
    Network,
    Resource,
    Run,
    Signal,
    Start,
    World,
    simulate,
    simulate_many,
)
from flowlab.workflow import Sequential, Step, WorkflowContext, workflow

NAN = float("nan")
DEEP: list[Any] = []
for _ in range(50_000):
    DEEP = [DEEP]


def same(value: Any) -> Any:
    return value


def bank(name: str = "bank", **options: Any) -> Agent:
    return Agent(name, named={"charge": same}, **options)


def pay(agent: str = "bank") -> Step:
    return Step("charge", agent=agent, kind="pivot")


@workflow
async def code(ctx: WorkflowContext, value: Any) -> Any:
    return await ctx.call_activity("charge", value)


AFAR = Network(links={("orchestrator", "bakn"): 3})


def world(*starts: Any, **options: Any) -> World:
    return World([bank()], pay(), starts or 1, **options)


def three(_ctx: Any, _value: Any, _more: Any) -> None:
    """Takes more than a handler gets."""


def by_name(_ctx: Any, _value: Any, *, more: Any) -> None:
    """Needs what nobody gives."""
    del more


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no agents": (lambda: World([], pay()), "a world needs agents"),
    "an agent for a list": (lambda: World(bank(), pay()), "a list of Agents"),
    "two agents": (lambda: World([bank(), bank()], pay()), "two of the agents"),
    "no workflow": (lambda: World([bank()], []), "needs a workflow"),
    "two workflows": (lambda: World([bank()], [code, code]), "two workflows"),
    "a resource like an agent": (lambda: world(resources=[Resource("bank")]), "a resource"),
    "a handler of three": (lambda: Agent("bank", three), "takes 3 arguments"),
    "a handler of names": (lambda: Agent("bank", by_name), "takes 3 arguments"),
    "no handler": (lambda: Agent("bank", named={"a": 5}), "is 5"),
    "named list": (lambda: Agent("bank", named=[same]), "a mapping"),
    "activity of int": (lambda: Agent("bank", named={5: same}), "is 5"),
    "activity without name": (lambda: Agent("bank", named={"": same}), "is ''"),
    "agent called world": (lambda: bank("world"), "world's own"),
    "agent called orchestrator": (lambda: bank("orchestrator"), "world's own"),
    "agent with an @": (lambda: bank("@bank"), "or @ before it"),
    "agent with spaces": (lambda: bank(" bank"), "without spaces"),
    "agent of surrogates": (lambda: bank("\ud800"), "UTF-8"),
    "agent too long": (lambda: bank("x" * 1_024), "1023 bytes"),
    "state of a set": (lambda: bank(state={"a": {1}}), "the state of agent 'bank'"),
    "state of nan": (lambda: bank(state={"a": NAN}), "the state of agent 'bank'"),
    "state too deep": (lambda: bank(state={"a": DEEP}), "nested deeper"),
    "cell of int": (lambda: bank(state={5: 1}), "str keys"),
    "cell without name": (lambda: bank(state={"": 1}), "a cell of agent 'bank' is ''"),
    "cell of surrogates": (lambda: bank(state={"\ud800": 1}), "a cell of agent 'bank'"),
    "negative latency": (lambda: world(network=Network(latency=-1)), "latency is -1 ns"),
    "negative service": (lambda: bank(service=-1), "is -1 ns"),
    "negative timeout": (lambda: world(timeout=-1), "timeout is -1 ns"),
    "no network": (lambda: world(network="fast"), "got 'fast'; expected a Network"),
    "no predicates": (lambda: world(predicates=5), "expected Predicates"),
    "no delays": (lambda: world(delays=5), "expected a function"),
    "delays of text": (lambda: simulate(world(delays=lambda _w, _n: 5)), "delays gave 5"),
    "delays of two": (lambda: simulate(world(delays=lambda _w, _n: (1, 2))), "delays gave"),
    "delays below 0": (lambda: simulate(world(delays=lambda _w, _n: (1, 2, -3))), "delays gave"),
    "no invariant": (lambda: world(invariants=[5]), "it holds 5"),
    "invariant of 5": (lambda: simulate(world(invariants=[lambda _: 5])), "returned 5"),
    "no events": (lambda: world(max_events=0), "max_events is 0"),
    "events of text": (lambda: world(max_events="x"), "max_events is 'x'"),
    "no time": (lambda: world(max_time=0), "max_time is 0 ns"),
    "time too long": (lambda: world(max_time=10**30), "146 years"),
    "starts of None": (lambda: World([bank()], pay(), None), "starts is a number"),
    "starts of float": (lambda: World([bank()], pay(), 3.5), "got 3.5"),
    "starts of bool": (lambda: World([bank()], pay(), True), "got True"),
    "starts below 0": (lambda: World([bank()], pay(), -1), "got -1"),
    "starts of text": (lambda: World([bank()], pay(), "a"), "got 'a'"),
    "starts of texts": (lambda: world("a"), "Start, Signal or Cancel values; got 'a'"),
    "starts of two": (lambda: World([bank()], pay(), lambda _a, _b: []), "one argument"),
    "starts give 5": (lambda: simulate(World([bank()], pay(), lambda _: 5)), "got 5"),
    "out of order": (lambda: world(Start("a", at=5), Start("b", at=4)), "in order of time"),
    "before the beginning": (lambda: world(Start("a", at=-5)), "at is -5 ns"),
    "at text": (lambda: world(Start("a", at="5")), "at is '5'"),
    "at too late": (lambda: world(Start("a", at=10**30)), "146 years"),
    "two of one id": (lambda: world(Start("a"), Start("a")), "given twice"),
    "unknown workflow": (lambda: world(Start("a", workflow="b")), "no workflow is called 'b'"),
    "id of int": (lambda: world(Start(5)), "a workflow id is 5"),
    "id of None": (lambda: world(Start(None)), "a workflow id is None"),
    "id without name": (lambda: world(Start("")), "a workflow id is ''"),
    "id of surrogates": (lambda: world(Start("\ud800")), "UTF-8"),
    "id too long": (lambda: world(Start("é" * 512)), "1023 bytes"),
    "id of the world": (lambda: world(Start("world")), "the world's own"),
    "id with an @": (lambda: world(Start("@bank")), "the world's own"),
    "id of an agent": (lambda: world(Start("bank")), "an agent's name"),
    "input of a set": (lambda: world(Start("a", {1})), "the input of 'a'"),
    "input of nan": (lambda: world(Start("a", NAN)), "the input of 'a'"),
    "input too deep": (lambda: world(Start("a", DEEP)), "the input of 'a'"),
    "role of nobody": (lambda: world(Start("a", roles={"bank": "b"})), "agent 'b'"),
    "role of no plan": (lambda: world(Start("a", roles={"till": "bank"})), "gives role 'till'"),
    "role of a list": (lambda: world(Start("a", roles=["bank"])), "a mapping"),
    "role of a set": (lambda: world(Start("a", roles={"bank": {}})), "agent {}"),
    "nobody for a role": (lambda: World([bank()], pay("till")), "names 'till'"),
    "no handler for a role": (
        lambda: World([bank(), Agent("b")], pay(), [Start("a", roles={"bank": "b"})]),
        "asks agent 'b' for 'charge'",
    ),
    "no handler for the second of two equal roles": (
        lambda: World(
            [bank(), Agent("b")],
            Sequential(Step("hold", agent="x", activity="charge", compensation="charge"), pay("y")),
            [Start("a", roles={"x": "bank", "y": "b"})],
        ),
        "asks agent 'b' for 'charge'",
    ),
    "roles of code": (lambda: World([bank()], code, [Start("a", roles={})]), "roles are for plans"),
    "signal of a set": (lambda: world(Signal("a", "b", {1})), "the value of signal 'b'"),
    "signal of nan": (lambda: world(Signal("a", "b", NAN)), "the value of signal 'b'"),
    "signal of int": (lambda: world(Signal("a", 5)), "the name of a Signal is 5"),
    "signal to int": (lambda: world(Signal(5, "b")), "is 5"),
    "reason of int": (lambda: world(Cancel("a", 5)), "the reason of a Cancel is 5"),
    "seed of bool": (lambda: simulate(world(), seed=True), "seed is True"),
    "seed of text": (lambda: simulate(world(), seed="x"), "seed is 'x'"),
    "seed too large": (lambda: simulate(world(), seed=1 << 63), "64 bits"),
    "no faults": (lambda: simulate(world(), faults=5), "faults is 5"),
    "faults of no name": (lambda: simulate(world(), faults="b"), "no preset"),
    "rate above 1": (lambda: simulate(world(), faults=Faults(loss=2)), "loss is 2"),
    "no parameter": (lambda: simulate(world(), speed=3), "no parameter 'speed'"),
    "link of nobody": (lambda: world(network=AFAR), "nobody is called 'bakn'; there are bank, o"),
    "link of nobody, given": (lambda: simulate(world(), network=AFAR), "nobody is called 'bakn'"),
    "no world": (lambda: simulate(code), "Give it to a World"),
    "a scenario's name": (lambda: simulate("trip"), "in flowlab.scenarios: SCENARIOS['trip']"),
    "a scenario's module": (lambda: simulate(trip_module), "in that module: trip"),
    "a function": (lambda: simulate(same), "Write @scenario above it"),
    "a bare function": (lambda: World([bank()], same), "got <function same>. Declare"),
    "a handler without name": (lambda: Agent("a", lambda _: 1), "<lambda>.<locals>.<lambda>>)"),
    "text for a number": (lambda: simulate(SCENARIOS["trip"], trips="3"), "expected int, as 3"),
    "text for a bool": (lambda: simulate(SCENARIOS["trip"], bug="no"), "expected bool, as False"),
    "without a number": (lambda: simulate(world()).twin(without=3), "without is 3"),
    "measures of a list": (lambda: simulate_many(world(), seeds=1, measures=[same]), "a mapping"),
}


@pytest.mark.parametrize(("make", "why"), BAD.values(), ids=BAD.keys())
def test_what_no_world_could_have_is_refused_at_the_door(make: Any, why: str) -> None:
    with pytest.raises(FlowlabError) as caught:
        make()

    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (Start("b"), "is taken"),
        (Start("bank"), "an agent's name"),
        (Start("c", workflow="x"), "no workflow is called 'x'"),
        (Start("c", roles={"bank": "x"}), "agent 'x'"),
        (Start("c", {1}), "cannot hold"),
    ],
    ids=["id", "agent", "workflow", "role", "input"],
)
def test_what_a_function_gives_is_refused_when_its_time_has_come(start: Start, why: str) -> None:
    given = World([bank()], pay(), lambda _: iter([Start("b"), start]))

    with pytest.raises(FlowlabError) as caught:
        simulate(given)

    assert why in str(caught.value)


@pytest.mark.parametrize("name", ["a/b", "é", "x" * 1_023, " ", "a\nb", "a\0b", "%2F", "🜁"])
def test_an_id_may_be_any_text_that_the_log_can_keep(name: str) -> None:
    run = simulate(world(Start(name)))

    assert run.statuses == {name: "completed"}
    assert {event.workflow_id for event in run.log} == {name, "@bank"}


@pytest.mark.parametrize("child", ["\ud800", "@x", "bank", "world", "a", "x" * 2_000])
def test_a_child_that_cannot_begin_has_failed(child: str) -> None:
    @workflow
    async def parent(ctx: WorkflowContext, _: Any) -> Any:
        return await ctx.call_child_workflow("code", workflow_id=child)

    run = simulate(World([bank()], [parent, code], [Start("a")]))

    assert run.statuses == {"a": "failed"}
    # What is no id is refused where it is asked for; one that is taken, when the child begins.
    taken = child in {"bank", "a"}
    kind = "ChildWorkflowError" if taken else "InvalidArgumentError"
    assert run.results["a"]["error"]["type"] == kind
    assert len(run.log) == (4 if taken else 2)


# Nobody had such an activity, and the workflow asked 25 000 times: until its history was full.
@pytest.mark.parametrize("asked", [{"agent": "nobody"}, {"agent": "bank"}, {}])
def test_what_nobody_can_be_asked_for_is_not_tried_again(asked: dict[str, str]) -> None:
    @workflow
    async def ask(ctx: WorkflowContext, _: Any) -> None:
        async with ctx.saga() as saga:
            await saga.step("charge", agent="bank", compensation="refund")
            await saga.step("send", **asked, kind="retryable", idempotent=True)

    run = simulate(World([bank()], ask, [Start("a")]))

    counts = run.log.sql("SELECT count(*) FROM events WHERE ends_with(event_type, 'Scheduled')")
    assert (run.statuses["a"], counts.item()) == ("failed", 3)
    assert run.results["a"]["uncompensated"] == ["charge"]
    assert run.stopped == ""


# Whoever wrote it lost the agent's state without a word, and broke the world of the next message.
def test_a_handler_that_replaces_the_state_fails_and_says_how_to_change_it() -> None:
    def reset(ctx: AgentContext) -> None:
        ctx.state = {"paid": 0}  # type: ignore[assignment]

    run = simulate(
        World([Agent("a", reset, state={"paid": 1})], Step("reset", agent="a", kind="pivot"), 2)
    )

    assert list(run.statuses.values()) == ["failed", "failed"]
    assert "ctx.state[key] = value" in run.results["plan-1"]["error"]["message"]
    assert run.states["a"] == {"paid": 1}


def test_an_invariant_may_assert_and_another_error_of_it_names_it() -> None:
    def nothing_is_lost(run: Run) -> None:
        assert not run.states["bank"], "something is left"
        raise AssertionError

    def broken(run: Run) -> None:
        raise LookupError(run.run_id)

    (violation,) = simulate(world(invariants=[nothing_is_lost])).violations
    assert violation.message == "it does not hold"
    (violation,) = simulate(
        World([bank(state={"a": 1})], pay(), invariants=[nothing_is_lost])
    ).violations
    assert violation.message.startswith("something is left")
    with pytest.raises(LookupError) as told:
        simulate(world(invariants=[broken]))
    assert told.value.__notes__ == ["in the invariant 'broken'"]


def test_a_missing_key_says_that_it_is_missing() -> None:
    def take(ctx: AgentContext) -> None:
        ctx.state["stock"] -= 1

    run = simulate(World([Agent("a", take)], Step("take", agent="a", kind="pivot"), 1))

    assert "there is no 'stock'" in run.results["plan-1"]["error"]["message"]


# A handler that read the clock was simulated without a word, and two runs of one seed differed.
def test_a_handler_that_reads_clock_or_chance_is_warned_of_once() -> None:
    def guess(_ctx: AgentContext) -> float:
        return time.time() + random.random()

    def draw(ctx: AgentContext) -> float:
        return ctx.now_ns() + ctx.random().random()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            World([bank(), Agent("a", guess, draw)], pay())
    chance, clock = sorted(str(found.message) for found in told)
    assert {found.category for found in told} == {DeterminismWarning}
    assert "the handler of 'guess' reads random.random" in chance
    assert "the handler of 'guess' reads time.time" in clock


# An agent that a Runtime was given was told that "the same seed will give another world".
def test_an_agent_that_is_in_no_world_may_read_clocks_and_wait() -> None:
    def look(value: Any) -> Any:
        time.sleep(0)
        return value, time.time()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Agent("a", look, named={"wait": lambda ctx, _: time.sleep(ctx.state["s"])})
    assert told == []


def test_a_handler_that_waits_on_the_wall_is_told_what_takes_time_of_the_world() -> None:
    def look(value: Any) -> Any:
        time.sleep(0)
        return value

    said = r"'look' waits by time\.sleep, which takes no time of the world; await ctx\.sleep"
    with pytest.warns(DeterminismWarning, match=said):
        World([bank(), Agent("a", look)], pay())
