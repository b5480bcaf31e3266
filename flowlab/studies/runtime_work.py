"""One workflow of each kind, with effects outside of the log: what the studies of kills run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from flowlab.errors import FlowlabError, WorkflowError
from flowlab.recovery import Checkpointed, EveryEvents
from flowlab.runtime import ActivityContext, Runtime, WorkflowHandle
from flowlab.runtime.agents import AgentSpec
from flowlab.runtime.scheme import RecoveryScheme
from flowlab.runtime.states import agent_values
from flowlab.simulation import Agent
from flowlab.store import EventStore
from flowlab.workflow import (
    Parallel,
    Plan,
    RetryPolicy,
    Sequential,
    Step,
    WorkflowContext,
    workflow,
)

TICK: Final = timedelta(milliseconds=1)
AGAIN: Final = RetryPolicy(initial_interval=TICK, maximum_attempts=3)
SHELF: Final = "shelf"
FULL: Final = 100
TRUCKS: Final = 2
STORE: Final = "s"
EFFECTS: Final = "effects"
NOTES: Final = "notes"

Note = Callable[[str], None]
"""Keeps a line outside of the store, before anything else happens."""


@dataclass
class Progress:
    """The declared state of `batched`."""

    next: int = 0
    total: int = 0


@workflow
async def sequential(ctx: WorkflowContext, steps: int) -> int:
    """Add one result after the other."""
    total = 0
    for step in range(steps):
        total += await ctx.call_activity("give", step)
    return total


@workflow
async def side_by_side(ctx: WorkflowContext, steps: int) -> list[int]:
    """Have threads and agents work at the same time."""
    calls = [ctx.call_activity("give_in_thread", step) for step in range(steps)]
    calls += [ctx.call_activity("give", step, agent="clerk") for step in range(steps)]
    return list(await ctx.when_all(*calls))


@workflow
async def retried(ctx: WorkflowContext, steps: int) -> int:
    """Try twice what fails the first time."""
    return sum([await ctx.call_activity("flaky", step, retry=AGAIN) for step in range(steps)])


@workflow
async def undone(ctx: WorkflowContext, steps: int) -> str:
    """Undo a saga in the end."""
    try:
        async with ctx.saga() as saga:
            for step in range(steps):
                await saga.step("give", step, name=f"give-{step}", compensation="take_back")
            await saga.step("refuse", kind="pivot")
    except FlowlabError as error:
        return type(error).__name__
    return "done"


@workflow
async def timed(ctx: WorkflowContext, steps: int) -> int:
    """Wait, and work, and wait."""
    total = 0
    for step in range(steps):
        await ctx.sleep(TICK)
        total += await ctx.call_activity("give", step)
    return total


@workflow
async def parent(ctx: WorkflowContext, steps: int) -> list[Any]:
    """Leave the work to children."""
    calls = [
        ctx.call_child_workflow(child, steps, workflow_id=f"{ctx.workflow_id}-{child.name}")
        for child in (sequential, undone)
    ]
    return list(await ctx.when_all(*calls))


@workflow(state=Progress)
async def batched(ctx: WorkflowContext, steps: int, state: Progress) -> int:
    """Go on from the newest savepoint."""
    while state.next < steps:
        state.total += await ctx.call_activity("give", state.next)
        state.next += 1
        await ctx.savepoint()
    return state.total


@workflow
async def renewed(ctx: WorkflowContext, left: int) -> int:
    """Begin anew with a short history, again and again."""
    given = await ctx.call_activity("give", left)
    if left:
        ctx.continue_as_new(left - 1)
    return int(given)


@workflow
async def told(ctx: WorkflowContext, steps: int) -> int:
    """Wait for events from outside."""
    return sum([int(await ctx.wait_for_event(f"go-{step}")) for step in range(steps)])


@workflow
async def stopped(ctx: WorkflowContext, _: int) -> None:
    """Wait for what never comes, until it is canceled."""
    await ctx.wait_for_event("never")


@workflow
async def loaded(ctx: WorkflowContext, steps: int) -> int:
    """Let an agent change its durable state, one cell after the other."""
    for step in range(steps):
        await ctx.call_activity("load", step, agent=SHELF)
    return steps


PLAN: Final = Plan(
    Sequential(
        Step("room", agent="clerk", activity="give", compensation="take_back", input=1),
        Parallel(
            Step("left", agent="clerk", activity="give", compensation="take_back", input=2),
            Step("right", agent=SHELF, activity="load", compensation="unload", input=3),
        ),
        Step("pay", agent="clerk", activity="refuse", kind="pivot"),
    ),
    name="planned",
)

WORKFLOWS: Final = (
    sequential, side_by_side, retried, undone, timed, parent, batched, renewed, told, stopped,
    loaded, PLAN,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """What is started, and what comes from outside.

    Args:
        kinds: which workflows, by name; an id is the name.
        steps: of each.
        checkpoints: whether recovery begins from checkpoints.
    """

    kinds: tuple[str, ...] = tuple(one.name for one in WORKFLOWS)
    steps: int = 2
    checkpoints: bool = False

    def scheme(self) -> RecoveryScheme | None:
        """Return how workflows are got back."""
        return Checkpointed(EveryEvents(4)) if self.checkpoints else None

    def runtime(self, store: EventStore, effects: Effects) -> Runtime:
        """Return a runtime that has all of it."""
        clerk: dict[str, Callable[..., Any]] = {
            "give": effects.give,
            "take_back": effects.give,
            "refuse": effects.refuse,
        }
        others: dict[str, Callable[..., Any]] = {
            "give_in_thread": effects.give_in_thread,
            "flaky": effects.flaky,
        }
        handlers: dict[str, Callable[..., Any]] = {"load": effects.load, "unload": effects.unload}
        agents: dict[str, AgentSpec] = {
            "clerk": clerk,
            SHELF: Agent(SHELF, named=handlers, state={"left": FULL}),
        }
        return Runtime(
            store,
            WORKFLOWS,
            activities={**clerk, **others},
            agents=agents,
            recovery=self.scheme(),
        )


ALL: Final = Work()


@dataclass(slots=True)
class Effects:
    """The activities: each leaves a line outside, durable before it answers.

    Args:
        write: takes the line "key attempt delivery".
    """

    write: Note

    @classmethod
    def in_file(cls, path: Path) -> Effects:
        """Write to the end of a file, with a sync for each line."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

        def write(line: str) -> None:
            os.write(descriptor, f"{line}\n".encode())
            os.fsync(descriptor)

        return cls(write)

    def happen(self, ctx: ActivityContext) -> None:
        """Do what cannot be taken back."""
        self.write(f"{ctx.idempotency_key} {ctx.attempt} {ctx.delivery}")

    async def give(self, ctx: ActivityContext, value: Any) -> int:
        """Return the value, as a task of the loop."""
        self.happen(ctx)
        return value if isinstance(value, int) else 0

    def give_in_thread(self, ctx: ActivityContext, value: int) -> int:
        """Return the value, in a thread."""
        self.happen(ctx)
        return value

    async def flaky(self, ctx: ActivityContext, value: int) -> int:
        """Fail the first time."""
        self.happen(ctx)
        if ctx.attempt == 1:
            message = "not now"
            raise OSError(message)
        return value

    async def refuse(self, ctx: ActivityContext) -> None:
        """Fail for good."""
        self.happen(ctx)
        message = "declined"
        raise ValueError(message)

    def load(self, ctx: ActivityContext, value: int) -> int:
        """Take from the shelf, and remember what."""
        self.happen(ctx)
        ctx.state["left"] -= 1
        ctx.state[f"truck-{value % TRUCKS}"] = ctx.state.get(f"truck-{value % TRUCKS}", 0) + 1
        return value

    def unload(self, ctx: ActivityContext) -> None:
        """Put one back."""
        self.happen(ctx)
        ctx.state["left"] += 1


@dataclass(slots=True)
class Notes:
    """What a caller was told, kept outside of the store.

    Args:
        lines: "started ID", "raised ID NAME", "canceled ID" and "result ID JSON", in order.
    """

    lines: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Notes:
        """Read what a process has noted; its last line may be cut off."""
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return cls(text[: text.rfind("\n") + 1].splitlines())

    @property
    def results(self) -> dict[str, str]:
        """The results that callers were given, by id, as JSON."""
        found = {}
        for line in self.lines:
            if line.startswith("result "):
                _, name, text = line.split(" ", 2)
                found[name] = text
        return found


async def carry_out(
    work: Work, store: EventStore, effects: Effects, note: Note, done: Notes
) -> None:
    """Take up what there is, start the rest, tell what comes from outside, and wait for all.

    Args:
        work: what to do.
        store: open for writing.
        effects: the activities.
        note: called once something is acknowledged.
        done: what was acknowledged before.
    """
    known = set(done.lines)

    async def once(line: str, call: Callable[[], Any]) -> None:
        if line not in known:
            await call()
            note(line)

    async with work.runtime(store, effects) as runtime:
        await runtime.recover()
        handles: dict[str, WorkflowHandle] = {}
        for name in work.kinds:
            handles[name] = await runtime.start(name, work.steps, id=name)
            note(f"started {name}")
        if told.name in work.kinds:
            for step in range(work.steps):
                await once(
                    f"raised {told.name} go-{step}",
                    lambda step=step: handles[told.name].raise_event(f"go-{step}", step),  # type: ignore[misc]
                )
        if stopped.name in work.kinds:
            await once(f"canceled {stopped.name}", lambda: handles[stopped.name].cancel("enough"))
        for name, handle in handles.items():
            note(f"result {name} {await outcome(handle)}")


async def outcome(handle: WorkflowHandle) -> str:
    """Return how a workflow ended, as JSON."""
    try:
        return json.dumps(await handle.result())
    except WorkflowError as error:
        return json.dumps({"failed": str(error)})


def shelf(store: EventStore) -> dict[str, Any]:
    """Return the durable state of the agent that has one."""
    return agent_values(store, SHELF)
