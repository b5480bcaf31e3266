"""A process that runs workflows with a lease: for tests that kill it, or stop it for a while."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from flowlab.errors import FencedError
from flowlab.runtime import ActivityContext, Runtime
from flowlab.store import EventStore
from flowlab.workflow import WorkflowContext, workflow

LEASE = timedelta(milliseconds=400)
STEPS = 40


@workflow
async def long(ctx: WorkflowContext, steps: int) -> int:
    total = 0
    for step in range(steps):
        total += await ctx.call_activity("work", step)
    return total


def runtime_on(store: EventStore, effects: Path) -> Runtime:
    async def work(ctx: ActivityContext, value: int) -> int:
        with effects.open("a", encoding="utf-8") as file:
            file.write(f"{ctx.idempotency_key} {ctx.delivery}\n")
        await ctx.sleep(timedelta(milliseconds=10))
        return value

    return Runtime(store, long, activities={"work": work}, lease=LEASE)


async def main(folder: str) -> int:
    path = Path(folder)
    with EventStore(path / "store") as store:
        runtime = runtime_on(store, path / "effects")
        async with runtime:
            handle: Any = await runtime.start(long, STEPS, id="w")
            try:
                await handle.result()
            except FencedError as error:
                (path / "fenced").write_text(str(error), encoding="utf-8")
                return 3
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
