"""A handler or a workflow that does wrong fails its activity or itself, and the world goes on."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from flowlab.simulation import Agent, Run, Start, World, simulate
from flowlab.store import EventStore
from flowlab.workflow import WorkflowContext, workflow

DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def sets(key: Any, value: Any) -> Any:
    def handler(ctx: Any) -> None:
        ctx.state[key] = value

    return handler


def raises(error: BaseException) -> Any:
    def handler(ctx: Any) -> None:
        ctx.state["touched"] = 1
        raise error

    return handler


def yields(_: Any) -> Any:
    yield 1


WRONG: dict[str, tuple[Any, str]] = {
    "a set": (lambda _: {"b", "a"}, "InvalidEventError"),
    "nan": (lambda _: float("nan"), "InvalidEventError"),
    "infinity": (lambda _: [float("inf")], "InvalidEventError"),
    "an object": (lambda _: object(), "InvalidEventError"),
    "a generator": (yields, "InvalidEventError"),
    "too many digits": (lambda _: 10**5_000, "InvalidEventError"),
    "two surrogates": (lambda _: "\ud83d\ude00", "InvalidEventError"),
    "too deep": (lambda _: DEEP, "InvalidEventError"),
    "keys that are no text": (lambda _: {1: 2}, "InvalidEventError"),
    "a cell of a set": (sets("x", {1}), "InvalidEventError"),
    "a cell of nan": (sets("x", float("nan")), "InvalidEventError"),
    "a cell of digits": (sets("x", 10**5_000), "InvalidEventError"),
    "a cell too deep": (sets("x", DEEP), "InvalidEventError"),
    "a cell of an int": (sets(5, 1), "InvalidArgumentError"),
    "a cell without a name": (sets("", 1), "InvalidArgumentError"),
    "a cell of surrogates": (sets("\ud800", 1), "InvalidArgumentError"),
    "a cell too long": (sets("x" * 2_000, 1), "InvalidArgumentError"),
    "asks for no cell": (lambda ctx: ctx.state[5], "KeyError"),
    "asks for surrogates": (lambda ctx: ctx.state["\ud800"], "KeyError"),
    "no resource": (lambda ctx: ctx.resource("shelf"), "InvalidArgumentError"),
    "sends to nobody": (lambda ctx: ctx.send("nobody", "x"), "InvalidArgumentError"),
    "sends no activity": (lambda ctx: ctx.send("bank", "x"), "InvalidArgumentError"),
    "sends a set": (lambda ctx: ctx.send("bank", "look", {1}), "InvalidEventError"),
    "signals no name": (lambda ctx: ctx.signal("w", 5), "InvalidArgumentError"),
    "signals surrogates": (lambda ctx: ctx.signal("\ud800", "x"), "InvalidArgumentError"),
    "signals a set": (lambda ctx: ctx.signal("w", "x", {1}), "InvalidEventError"),
    "an error": (raises(ValueError("no")), "ValueError"),
    "an error without text": (raises(BrokenError()), "BrokenError"),
    "an error of surrogates": (raises(ValueError("\ud800")), "ValueError"),
    "an exit": (lambda _: sys.exit(3), "SystemExit"),
    "the end of a generator": (raises(GeneratorExit()), "GeneratorExit"),
    "the end of an iteration": (raises(StopIteration()), "StopIteration"),
    "too much recursion": (raises(RecursionError()), "RecursionError"),
    "too little memory": (raises(MemoryError()), "MemoryError"),
    "division": (lambda _: 1 // 0, "ZeroDivisionError"),
}


@workflow
async def asks(ctx: WorkflowContext, _: Any) -> Any:
    try:
        await ctx.call_activity("wrong")
    except Exception as error:  # noqa: BLE001 - what it is called is the test's matter
        return [error.error_type, await ctx.call_activity("look")]
    return None


def look(ctx: Any) -> Any:
    return dict(ctx.state)


def kept(run: Run) -> None:
    """Check that the log can be read, and that a store takes it."""
    with tempfile.TemporaryDirectory() as folder, EventStore(Path(folder) / "store") as store:
        run.save(store)
        assert store.log().digest == run.digest


@pytest.mark.parametrize(("handler", "error"), WRONG.values(), ids=WRONG.keys())
def test_a_handler_that_does_wrong_fails_its_activity_and_changes_nothing(
    handler: Any, error: str
) -> None:
    bank = Agent("bank", named={"wrong": handler, "look": look}, state={"a": 1})
    run = simulate(World([bank], asks, [Start("w")]))

    assert run.results["w"] == [error, {"a": 1}]
    assert run.states == {"bank": {"a": 1}}
    (failed,) = [event for event in run.log if event.event_type == "TransactionAborted"]
    assert failed.data["error"]["type"] == error
    assert " at 0x" not in failed.data["error"]["message"]
    kept(run)


def test_what_a_person_stops_is_stopped() -> None:
    bank = Agent("bank", named={"wrong": raises(KeyboardInterrupt()), "look": look})
    with pytest.raises(KeyboardInterrupt):
        simulate(World([bank], asks))


FINE: dict[str, Any] = {
    "a tuple": ((1, 2), [1, 2]),
    "a large int": (10**100, 10**100),
    "a surrogate": ("\ud800", "\ud800"),
    "an int below": (-(2**63), -(2**63)),
    "an int above": (2**63, 2**63),
    "minus zero": (-0.0, -0.0),
    "a bool": (True, True),
    "nested": (DEEP[0][0][0] and [[[[[[]]]]]], [[[[[[]]]]]]),
}


@pytest.mark.parametrize(("given", "taken"), FINE.values(), ids=FINE.keys())
def test_what_json_can_hold_is_a_result_a_cell_and_an_input(given: Any, taken: Any) -> None:
    def wrong(ctx: Any, value: Any) -> Any:
        ctx.state["x"] = given
        return [given, value]

    @workflow
    async def hands_on(ctx: WorkflowContext, value: Any) -> Any:
        return await ctx.call_activity("wrong", value)

    run = simulate(World([Agent("bank", wrong)], hands_on, [Start("w", given)]))

    assert repr(run.results["w"]) == repr([taken, taken])
    assert repr(dict(run.states["bank"])) == repr({"x": taken})
    kept(run)


BAD_CODE: dict[str, Any] = {
    "asks with nan": lambda ctx: ctx.call_activity("look", float("nan")),
    "asks too deep": lambda ctx: ctx.call_activity("look", DEEP),
    "asks for surrogates": lambda ctx: ctx.call_activity("\ud800"),
    "asks for a name too long": lambda ctx: ctx.call_activity("x" * 2_000),
    "signals surrogates": lambda ctx: ctx.raise_event("w", "\ud800", 1),
    "has a child of no name": lambda ctx: ctx.call_child_workflow("nobody"),
    "has itself as a child": lambda ctx: ctx.call_child_workflow("wrongs", workflow_id="w"),
    "exits": lambda _: sys.exit(3),
    "divides": lambda _: 1 // 0,
}


@pytest.mark.parametrize("does", BAD_CODE.values(), ids=BAD_CODE.keys())
def test_a_workflow_that_does_wrong_fails_and_the_others_go_on(does: Any) -> None:
    @workflow(unchecked="what it does is the test's matter")
    async def wrongs(ctx: WorkflowContext, wrong: Any) -> Any:
        if wrong:
            return await does(ctx)
        return await ctx.call_activity("look")

    bank = Agent("bank", named={"look": look}, state={"a": 1})
    run = simulate(World([bank], wrongs, [Start("w", 1), Start("x", 0)]))

    assert run.statuses == {"w": "failed", "x": "completed"}
    kept(run)
