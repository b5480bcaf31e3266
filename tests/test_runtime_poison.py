"""A workflow or an activity that does what nobody expects stops itself, and nobody else.

A runtime commits a turn of many workflows in one write. What the store would refuse of one of them
stopped all, and stopped them again in every later runtime: a child whose id was too long, an error
whose text was 20 MB. What no `except Exception` sees was never heard of: an activity whose client
raised `asyncio.CancelledError` was waited for without end.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowlab import Agent, EventStore, Runtime, workflow
from flowlab.errors import InvalidArgumentError, LimitError, WorkflowError
from flowlab.events import MAX_ID_BYTES
from flowlab.events.wording import MAX_ERROR_CHARS, error_text
from flowlab.runtime import Gone
from flowlab.runtime.effect import checked
from flowlab.workflow import WorkflowContext

LONG = "x" * 2_000


class Outside(BaseException):
    """What an `except Exception` does not see."""


ERRORS = {
    "long": ValueError("z" * 20_000_000),
    "surrogate": ValueError("\ud800"),
    "canceled": asyncio.CancelledError(),
    "outside": Outside("from outside"),
}


def raises(_ctx: Any, how: str) -> None:
    raise ERRORS[how]


async def raises_async(_ctx: Any, how: str) -> None:
    raise ERRORS[how]


@workflow
async def calm(ctx: WorkflowContext, _: Any) -> str:
    await ctx.wait_for_event("go")
    return "calm"


@workflow
async def calls(ctx: WorkflowContext, given: dict[str, str]) -> Any:
    return await ctx.call_activity(given["activity"], given["how"])


@workflow
async def begins(ctx: WorkflowContext, child: str | None) -> Any:
    return await ctx.call_child_workflow("calm", workflow_id=child)


@workflow
async def itself(_ctx: WorkflowContext, how: str) -> None:
    raise ERRORS[how]


@workflow
async def nested(ctx: WorkflowContext, n: int) -> int:
    if n == 0:
        return 0
    return 1 + int(await ctx.call_child_workflow("nested", n - 1))


def told(folder: Path, spec: Any, value: Any, *, name: str = "strange", **more: Any) -> str:
    """Run something strange beside a workflow that must not feel it; return how it ends."""

    async def both() -> str:
        with EventStore(folder) as store:
            made = [calm, calls, begins, itself, nested]
            async with Runtime(store, made, activities=[raises, raises_async], **more) as runtime:
                beside = await runtime.start(calm, id="beside")
                strange = await runtime.start(spec, value, id=name)
                with pytest.raises(WorkflowError) as caught:
                    await asyncio.wait_for(strange.result(), 30)
                await beside.raise_event("go")
                assert await asyncio.wait_for(beside.result(), 30) == "calm"
            assert store.verify().ok
        text = str(caught.value)
        return text if len(text) < 2_000 else f"{len(text)} characters: {text[-100:]}"

    return asyncio.run(both())


@pytest.mark.parametrize("child", [LONG, "é" * 600, "\ud800", "@hotel", "world"])
def test_a_child_whose_id_no_stream_can_have_fails_in_the_code_that_asks_for_it(
    tmp_path: Path, child: str
) -> None:
    assert "workflow id" in told(tmp_path, begins, child)


def test_a_workflow_whose_own_id_leaves_no_room_for_a_childs_fails_alone(tmp_path: Path) -> None:
    assert "workflow id" in told(tmp_path, begins, None, name="b" * (MAX_ID_BYTES - 2))


@pytest.mark.parametrize("activity", ["raises", "raises_async"])
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("long", "(20 000 000 characters)"),
        ("surrogate", "attempt 1: "),
        ("canceled", "CancelledError"),
        ("outside", "from outside"),
    ],
)
def test_whatever_an_activity_raises_is_its_answer(
    tmp_path: Path, activity: str, how: str, says: str
) -> None:
    assert says in told(tmp_path, calls, {"activity": activity, "how": how})


@pytest.mark.parametrize("place", ["inline", "thread"])
def test_it_is_wherever_the_activity_runs(tmp_path: Path, place: str) -> None:
    found = told(tmp_path, calls, {"activity": "raises", "how": "outside"}, where={"raises": place})
    assert "from outside" in found


@pytest.mark.parametrize("how", ["long", "surrogate", "canceled"])
def test_whatever_the_code_of_a_workflow_raises_is_its_own_end(tmp_path: Path, how: str) -> None:
    said = told(tmp_path, itself, how)
    assert {"long": "(20 000 000 characters)", "surrogate": "\ud800"}.get(
        how, "CancelledError"
    ) in said


def test_children_of_children_are_begun_deeper_than_a_stack_is(tmp_path: Path) -> None:
    """Each level once took frames of the interpreter's stack, until that stopped the runtime."""
    with EventStore(tmp_path) as store:
        assert Runtime(store, nested).run(nested, 240, id="n") == 240


def test_an_endless_chain_of_children_ends_where_ids_do(tmp_path: Path) -> None:
    assert "/0.1/0.1/0.1" in told(tmp_path, nested, 10_000)


def test_what_an_event_keeps_of_an_error_is_its_beginning() -> None:
    assert len(error_text(ERRORS["long"])) < MAX_ERROR_CHARS + 40
    assert error_text(KeyError("k" * 70_000)).startswith("there is no 'kkk")


def test_a_reason_to_cancel_that_no_event_can_hold_is_its_callers_error(tmp_path: Path) -> None:
    async def both() -> str:
        with EventStore(tmp_path) as store:
            async with Runtime(store, calm) as runtime:
                handle = await runtime.start(calm, id="a")
                with pytest.raises(LimitError):
                    await handle.cancel("r" * 20_000_000)
                await handle.raise_event("go")
                return await handle.result()

    assert asyncio.run(both()) == "calm"


def test_an_id_that_is_another_workflows_is_told_as_that_and_not_as_changed_code(
    tmp_path: Path,
) -> None:
    with EventStore(tmp_path) as store:
        with pytest.raises(WorkflowError):
            Runtime(store, [calls, itself], activities=[raises]).run(
                calls, {"activity": "raises", "how": "outside"}, id="a"
            )
        with pytest.raises(
            InvalidArgumentError, match="is an instance of 'calls', not of 'itself'"
        ):
            Runtime(store, [calls, itself], activities=[raises]).run(itself, "outside", id="a")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"uncertain": {"raise": "fail"}}, "uncertain names 'raise', which nobody carries out"),
        ({"recovery": "checkpoint"}, "expected a scheme of flowlab.recovery"),
        ({"namespace": ""}, "namespace is ''"),
        ({"clock": 5}, "clock is 5"),
    ],
)
def test_what_a_runtime_cannot_use_it_refuses_before_anything_runs(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    with EventStore(tmp_path) as store, pytest.raises(InvalidArgumentError, match=says):
        Runtime(store, calm, activities=[raises], **given)


def test_an_agent_that_does_everything_may_have_a_policy_for_any_activity(tmp_path: Path) -> None:
    agent = Agent("hotel", named={"book": raises})
    with EventStore(tmp_path) as store:
        Runtime(store, calm, agents={"all": raises}, uncertain={"book": "fail"})
        Runtime(store, calm, agents=[agent], uncertain={"book": "fail", "": "repeat"})


def test_what_an_inquiry_says_of_a_failure_is_cut_as_well() -> None:
    said, _ = checked(Gone("Lost", "g" * 20_000_000))
    assert isinstance(said, Gone)
    assert len(said.message) < MAX_ERROR_CHARS + 40
