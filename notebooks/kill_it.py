"""A trip that four agents book for real; the bank says when to pull the plug (41_kill_it)."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

from flowlab import EventStore, Runtime, workflow
from flowlab.runtime import ActivityContext
from flowlab.workflow import WorkflowContext

OUTSIDE = Path("outside.txt")


@workflow
async def trip(ctx: WorkflowContext, town: str) -> str:
    """Book at two places at once, pay, and write a letter."""
    room, seat = await ctx.when_all(
        ctx.call_activity("book", f"a room in {town}", agent="hotel"),
        ctx.call_activity("book", f"a seat to {town}", agent="railway"),
    )
    paid = await ctx.call_activity("pay", 240, agent="bank")
    return str(await ctx.call_activity("write", f"{room}, {seat}, {paid}", agent="clerk"))


def happen(ctx: ActivityContext, what: str) -> None:
    """Change the world outside, where no log can take it back."""
    with OUTSIDE.open("a") as file:
        file.write(f"{ctx.idempotency_key}\t{what}\n")
        file.flush()
        os.fsync(file.fileno())


async def book(ctx: ActivityContext, what: str) -> str:
    """Hotel and railway."""
    happen(ctx, what)
    return what


async def pay(ctx: ActivityContext, euros: int) -> str:
    """The bank: once the money has gone, it says so in a file, and answers an hour later."""
    happen(ctx, f"{euros} euros")
    if ctx.delivery == 1:
        Path(f"{ctx.workflow_id}.paid").touch()  # noqa: ASYNC240
        await ctx.sleep(timedelta(hours=1))
    return f"{euros} euros"


async def write(ctx: ActivityContext, letter: str) -> str:
    """The clerk."""
    happen(ctx, letter)
    return f"sent: {letter}"


AGENTS = {
    "hotel": {"book": book},
    "railway": {"book": book},
    "bank": {"pay": pay},
    "clerk": {"write": write},
}

if __name__ == "__main__":
    with EventStore("trips") as store:
        Runtime(store, trip, agents=AGENTS).run(trip, sys.argv[2], id=sys.argv[1])
