"""Wherever a function runs, what it raises or returns ends its activity alike, and no other's.

An error that did not unpickle broke the pool of processes under the activities beside it, and one
that no coroutine may raise kept a workflow waiting for ever.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import ActivityError
from flowlab.runtime import Runtime
from flowlab.store import EventStore
from flowlab.workflow import WorkflowContext, workflow

FACED_S = 20
"""Who hears of no end by then waits for ever."""


class Odd(Exception):  # noqa: N818 - what a user calls so
    """Does not unpickle: its arguments are not those that it was made of."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


class Mute(Exception):  # noqa: N818 - what a user calls so
    def __str__(self) -> str:
        raise ValueError


class Local:
    def __reduce__(self) -> Any:
        raise TypeError


def act(what: str) -> Any:
    """Raise or return something that is hard to hand over."""
    raised: dict[str, BaseException] = {
        "odd": Odd(1, 2),
        "mute": Mute(),
        "stop": StopIteration(3),
        "exit": SystemExit(4),
        "left": GeneratorExit(),
        "no such": KeyError("stock"),
        "holds what does not pickle": ValueError(Local()),
    }
    if what in raised:
        raise raised[what]
    returned: dict[str, Any] = {
        "function": lambda: 1,
        "set": {1, 2},
        "local": Local(),
        "tuple": (1, ("a", 2**70)),
        "half a character": "\\ud800",
        "plain": {"b": [1.5, None], "a": True},
        "innocent": 7,
    }
    if what == "innocent":
        time.sleep(0.05)
    return returned[what]


WHAT = (
    "innocent",
    "odd",
    "mute",
    "stop",
    "exit",
    "left",
    "no such",
    "holds what does not pickle",
    "function",
    "set",
    "local",
    "tuple",
    "half a character",
    "plain",
)


@workflow
async def all_of_them(ctx: WorkflowContext, whats: list[str]) -> list[Any]:
    calls = [ctx.call_activity("act", what) for what in whats]
    told = []
    for call in calls:
        try:
            told.append(await call)
        except ActivityError as error:
            told.append([error.error_type, str(error)])
    return told


async def told(folder: Path, place: str, function: Any, whats: list[str]) -> Any:
    with EventStore(folder / place) as store:
        activities, where = {"act": function}, {"act": place}
        async with Runtime(
            store, all_of_them, activities=activities, where=where, processes=1
        ) as runtime:
            handle = await runtime.start(all_of_them, whats, id="w")
            return await asyncio.wait_for(handle.result(), FACED_S)


def test_what_a_function_raises_or_returns_is_told_alike_wherever_it_runs(tmp_path: Path) -> None:
    inline = asyncio.run(told(tmp_path, "inline", act, list(WHAT)))
    by_what = dict(zip(WHAT, inline, strict=True))
    assert by_what["innocent"] == 7
    assert by_what["odd"][0] == "Odd"
    assert "1 and 2" in by_what["odd"][1]
    assert {by_what[w][0] for w in ("function", "set", "local")} == {"InvalidResult"}
    for place in ("thread", "process"):
        assert asyncio.run(told(tmp_path, place, act, list(WHAT))) == inline


def die(what: str) -> Any:
    if what == "dies":
        os._exit(3)
    return what


def test_a_process_that_dies_is_told_as_that_and_the_next_activity_has_another(
    tmp_path: Path,
) -> None:
    @workflow
    async def one_by_one(ctx: WorkflowContext, _: Any) -> list[str]:
        with pytest.raises(ActivityError) as died:
            await ctx.call_activity("act", "dies")
        return [died.value.error_type, await ctx.call_activity("act", "goes on")]

    with EventStore(tmp_path) as store:
        runtime = Runtime(
            store, one_by_one, activities={"act": die}, where={"act": "process"}, processes=1
        )
        assert runtime.run(one_by_one, id="w") == ["WorkerCrashed", "goes on"]


HELD = """
import sys, time
import flowlab as fl

@fl.workflow
async def below(ctx, _):
    return await ctx.wait_for_event("never")

@fl.workflow
async def above(ctx, _):
    child = ctx.call_child_workflow("below", workflow_id="below")
    await ctx.when_all(child, ctx.call_activity("hold"))

def hold(_):
    print("holds", flush=True)
    time.sleep(3_600)

if __name__ == "__main__":
    with fl.EventStore(sys.argv[1]) as store:
        fl.Runtime(
            store, above, below, activities=[hold], where={"hold": "process"}, children=1
        ).run(above, id="above")
"""


def test_processes_that_work_for_a_runtime_end_when_it_is_killed(tmp_path: Path) -> None:
    """Each kill left them behind: they waited for work for ever, with the pipes they were given."""
    script = tmp_path / "held.py"
    script.write_text(HELD)
    words = [sys.executable, str(script), str(tmp_path / "s")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"holds"
        process.kill()
        # Its output ends once nobody holds the pipe, of the two processes that it had begun.
        assert process.communicate(timeout=FACED_S * 3) == (b"", None)
