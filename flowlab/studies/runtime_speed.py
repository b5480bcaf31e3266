"""What a durable step costs: against the device, and how it grows with a workflow's state."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from flowlab.errors import MissingDependencyError
from flowlab.runtime import Runtime
from flowlab.store import EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import (
    Scale,
    Spread,
    counted_syncs,
    duration,
    race,
    timed,
    workplace,
)
from flowlab.studies.peers import Eventsourcing
from flowlab.studies.step_peers import STEP_PEERS
from flowlab.workflow import WorkflowContext, workflow

STEPS: Final = 40
"""Of a workflow that is timed; it has one commit more, since its start is durable, too."""
LONG: Final = 200
GROWN_BYTES: Final = 200_000
PIECE_BYTES: Final = 1_000
_NEVER: Final = 1 << 40


@workflow
async def steps(ctx: WorkflowContext, count: int) -> int:
    """Take one step after the other."""
    total = 0
    for _ in range(count):
        total += await ctx.call_activity("step", 1)
    return total


@workflow
async def listing(ctx: WorkflowContext, count: int) -> int:
    """Keep a list that grows by a piece in each step."""
    found = [await ctx.call_activity("piece", number) for number in range(count)]
    return sum(map(len, found))


@workflow
async def waiting(ctx: WorkflowContext, count: int) -> int:
    """Take steps, and wait for an event then."""
    for _ in range(count):
        await ctx.call_activity("step", 1)
    return int(await ctx.wait_for_event("go"))


async def step(value: int) -> int:
    """Return at once."""
    return value


async def piece(number: int) -> str:
    """Return about a thousand bytes."""
    return f"{number:010d}".ljust(PIECE_BYTES, "x")


class Running:
    """A runtime in a loop of its own, for measurements that are no coroutines.

    Args:
        folder: of its store, which seals nothing: what is timed is the step alone.
    """

    def __init__(self, folder: Path) -> None:
        self.store = EventStore(folder, seal_events=_NEVER, seal_bytes=_NEVER)
        self._loop = asyncio.new_event_loop()
        self._runtime = Runtime(self.store, [steps, listing, waiting], activities=[step, piece])

    def __enter__(self) -> Self:
        self._loop.run_until_complete(self._runtime.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.run_until_complete(self._runtime.close())
        self._loop.close()
        self.store.close()

    def run(self, name: str, count: int, workflow_id: str) -> Any:
        """Run a workflow to its end."""

        async def whole() -> Any:
            handle = await self._runtime.start(name, count, id=workflow_id)
            return await handle.result()

        return self._loop.run_until_complete(whole())

    def until_quiet(self, name: str, count: int, workflow_id: str) -> None:
        """Run a workflow until it waits for an event from outside."""

        async def whole() -> None:
            await self._runtime.start(name, count, id=workflow_id)
            await self._runtime.quiet()

        self._loop.run_until_complete(whole())

    def resume(self, name: str, count: int, workflow_id: str) -> None:
        """Take a workflow up."""
        self._loop.run_until_complete(self._runtime.start(name, count, id=workflow_id))


class BareFile:
    """Append and fdatasync: the floor of a durable step."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def append(self, data: bytes, times: int) -> None:
        """Append the bytes so often; they are durable each time."""
        sync = getattr(os, "fdatasync", os.fsync)  # not every system tells them apart
        for _ in range(times):
            os.write(self._descriptor, data)
            sync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def durable_steps(scale: Scale) -> Measurement:
    """Time a sequential workflow of 40 steps against 41 bare appends and syncs of equal bytes.

    Its activity is async and returns at once. A step's result and the next intent share a commit,
    so 40 steps are 41 commits: one more for the start. The value is the rate of the workflow's
    commits as a part of that of the bare ones, in alternating blocks; other engines that are
    installed take their turns.
    """
    with ExitStack() as held:
        folder = held.enter_context(workplace(scale))
        ours = held.enter_context(Running(folder / "s"))
        ours.run("steps", STEPS, "first")
        before = ours.store.disk.bytes_written
        with counted_syncs() as syncs:
            ours.run("steps", STEPS, "second")
        size = (ours.store.disk.bytes_written - before) // (STEPS + 1)
        floor, data = held.enter_context(closing(BareFile(folder / "bare"))), bytes(size)
        contestants: dict[str, Callable[[int], object]] = {
            "workflow": lambda n: ours.run("steps", STEPS, f"w-{n}"),
            "bare": lambda _: floor.append(data, STEPS + 1),
        }
        peers = _peers(folder, held)
        found = race(contestants | peers, blocks=scale.blocks * 2, repeats=3, warm=1)
    rate = found.ratio("bare", "workflow")
    beside = {
        "one step": found.shown("workflow", STEPS + 1),
        "append and fdatasync": found.shown("bare", STEPS + 1),
        "bytes of a step": str(size),
        "syncs of 40 steps": str(syncs["data"]),
    }
    for name in peers:
        beside[name] = found.shown(name, STEPS + 1)
        beside[f"steps for each of {name}"] = f"{found.ratio(name, 'workflow').median:.2f}"
    return Measurement.ratio(rate, beside)


def _peers(folder: Path, held: ExitStack) -> dict[str, Callable[[int], object]]:
    """Return what takes as many steps with each engine that is installed, and appends as often."""
    found: dict[str, Callable[[int], object]] = {}
    for name, peer in STEP_PEERS.items():
        with suppress(MissingDependencyError):
            take = held.enter_context(peer(folder))
            found[name] = partial(_steps_of, take)
    with suppress(MissingDependencyError):
        store = Eventsourcing(folder / "peer.db")

        def append(number: int) -> None:
            for event in store.events(f"w-{number}", [b'{"result":1}'] * (STEPS + 1)):
                store.put([event])

        found["an append of eventsourcing on SQLite"] = append
    return found


def _steps_of(take: Callable[[int], object], _number: int) -> object:
    return take(STEPS + 1)


def resume(scale: Scale) -> Measurement:
    """Time taking up a workflow that has done 200 steps: from the call until that is durable.

    The store is opened, and its writer's role taken, before; so is the code loaded.
    """
    rounds = scale.rounds(9) + 1
    seconds = []
    with workplace(scale) as folder:
        with Running(folder / "s") as first:
            for number in range(rounds):
                first.until_quiet("waiting", LONG, f"w-{number}")
        with Running(folder / "s") as again:
            events = again.store.snapshot().head("w-0")
            for number in range(rounds):
                took, _ = timed(lambda n=number: again.resume("waiting", LONG, f"w-{n}"))  # type: ignore[misc]
                seconds.append(took * 1e3)
    spread = Spread.of(seconds[1:])  # the first one loads what it needs
    beside = {"events": str(events), "the first": duration(seconds[0] / 1e3)}
    return Measurement(spread.median, spread.low, spread.high, "ms", spread.count, beside)


def grown(scale: Scale) -> Measurement:
    """Count the bytes that are written while a list grows to 200 kB, a thousand in each step.

    The value is bytes written for each byte of the list, watermarks included, by a runtime that
    recovers by replay and takes no checkpoints; twice as long a list takes twice as many where the
    total is linear.
    """
    with workplace(scale) as folder, Running(folder / "s") as ours:
        written = {}
        for count in (GROWN_BYTES // PIECE_BYTES, 2 * GROWN_BYTES // PIECE_BYTES):
            before = ours.store.disk.bytes_written
            assert ours.run("listing", count, f"w-{count}") == count * PIECE_BYTES
            written[count] = ours.store.disk.bytes_written - before
    once, twice = written.values()
    beside = {
        "for 200 kB": f"{once:,} bytes, {once // (GROWN_BYTES // PIECE_BYTES):,} a step",
        "for twice as much": f"{twice / once:.2f} times as many",
        "peer elsewhere": "LangGraph writes 204 MB for a list that grows to 200 kB",
    }
    return Measurement.count(once / GROWN_BYTES, "bytes written for a byte of state", beside)
