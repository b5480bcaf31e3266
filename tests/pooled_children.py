"""Workflows for tests of children in other processes, which must find them in a module."""

from __future__ import annotations

import os
from typing import Any

from flowlab.workflow import WorkflowContext, workflow


@workflow
async def leaf(ctx: WorkflowContext, steps: int) -> int:
    total = 0
    for step in range(steps):
        total += await ctx.call_activity("give", step)
    if steps > 3:
        await ctx.sleep(1_000_000)
    return total


@workflow
async def again(ctx: WorkflowContext, left: int) -> Any:
    await ctx.call_activity("give", left)
    return ctx.continue_as_new(left - 1) if left else "done"


@workflow
async def listens(ctx: WorkflowContext, _: Any) -> Any:
    return await ctx.wait_for_event("go")


@workflow(unchecked="it is to kill its process")
async def deadly(ctx: WorkflowContext, _: Any) -> None:
    await ctx.call_activity("give", 1)
    os._exit(1)


@workflow
async def root(ctx: WorkflowContext, count: int) -> list[Any]:
    calls = [ctx.call_child_workflow(leaf, n % 5, workflow_id=f"leaf-{n}") for n in range(count)]
    calls.append(ctx.call_child_workflow(again, 2, workflow_id="again"))
    return list(await ctx.when_all(*calls))


@workflow
async def asks(ctx: WorkflowContext, which: str) -> Any:
    child = {"listens": listens, "deadly": deadly, "again": again}[which]
    return await ctx.call_child_workflow(child, workflow_id="child")


EVERY = [leaf, again, listens, deadly, root, asks]


def give(value: int) -> int:
    return value
