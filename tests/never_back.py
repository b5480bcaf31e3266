"""Worlds whose code never comes back, each run to its limit; prints what stopped each, as JSON.

It runs in a process of its own: were a world not left, it would take the tests with it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flowlab.simulation import Agent, AgentContext, Run, World, simulate, simulate_many
from flowlab.workflow import SECOND, Step, Workflow, WorkflowContext, workflow

LIMIT = SECOND // 20


def fine(_: AgentContext) -> int:
    return 1


def spin(_: AgentContext) -> None:
    while True:
        pass


async def spin_later(ctx: AgentContext) -> None:
    await ctx.sleep(5)
    while True:
        pass


@workflow
async def spins(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_activity("fine", agent="agent")
    while True:
        pass


@workflow
async def swallows(ctx: WorkflowContext, _: Any) -> None:
    while True:
        with suppress(Exception):
            ctx.uuid4()


@workflow
async def swallows_all(ctx: WorkflowContext, _: Any) -> None:
    while True:
        with suppress(BaseException):
            ctx.now_ns()


@workflow
async def undoes(ctx: WorkflowContext, _: Any) -> None:
    async with ctx.saga() as saga:
        await saga.step("fine", agent="agent", compensation="fine")
        while True:
            pass


def invariant(_: Run) -> Iterator[str]:
    yield "it is found before"
    while True:
        pass


def starts(_: object) -> Iterator[Any]:
    while True:
        pass
    yield


def world(work: Workflow | str, **more: Any) -> World:
    named = {"fine": fine, "spin": spin, "spin_later": spin_later, "within": within}
    process = Step(work, agent="agent", kind="pivot") if isinstance(work, str) else work
    return World([Agent("agent", named=named)], process, **{"max_turn": LIMIT, **more})


def within(_: AgentContext) -> str:
    return simulate(world("spin")).stopped


def told(found: Run) -> str:
    return f"{found.stopped} {len(found.log)} {len(found.stuck)} {len(found.violations)}"


def main() -> None:
    cases = {
        "spins": world(spins),
        "swallows": world(swallows),
        "swallows_all": world(swallows_all),
        "undoes": world(undoes),
        "spin": world("spin"),
        "spin_later": world("spin_later"),
        "invariant": world("fine", invariants=[invariant]),
        "starts": world("fine", starts=starts),
    }
    found = {name: told(simulate(case)) for name, case in cases.items()}
    inside = simulate(world("within", max_turn=60 * SECOND))
    found["within"] = inside.results["plan-1"]["within"]
    found["around"] = inside.stopped
    campaign = simulate_many(world("spin"), seeds=2)
    found["campaign"] = " ".join(campaign.rows["stopped"])
    child = os.fork() if hasattr(os, "fork") else 0
    if not child:
        sys.exit("max_turn" not in simulate(world("spin")).stopped)
    found["forked"] = str(os.waitpid(child, 0)[1])
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
