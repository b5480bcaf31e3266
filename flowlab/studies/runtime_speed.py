"""What a durable step costs: against the device, and how it grows with a workflow's state."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import zlib
from collections.abc import Callable, Generator
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
FILE_BYTES: Final = 1 << 20
"""Zeros that the file of a step by hand grows by."""
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


class _Asked:
    """What a workflow by hand waits for: an activity's result."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __await__(self) -> Generator[_Asked, Any, Any]:
        return (yield self)


class ByHand:
    """The least of a durable step that Python can do: no id, cause, time, lock or check, no replay.

    A coroutine asks for an activity, which is a task of the loop; its result and the next request
    are one frame of JSON with a checksum, appended into a file made at full length, and synced.

    Args:
        folder: of its two files.
        size: bytes of each frame.
    """

    def __init__(self, folder: Path, size: int) -> None:
        flags = os.O_CREAT | os.O_RDWR
        self._frames = os.open(folder / "by-hand.log", flags, 0o644)
        self._mark = os.open(folder / "by-hand.mark", flags, 0o644)
        self._size = size
        self._offset = 0
        self._end = 0
        self._loop = asyncio.new_event_loop()

    def run(self, count: int) -> int:
        """Take so many steps."""
        return self._loop.run_until_complete(self._whole(count))

    async def _whole(self, count: int) -> int:
        code, result = self._code(count), None
        while True:
            try:
                asked = code.send(result)
            except StopIteration as end:
                self._commit({"result": result, "end": end.value})
                return int(end.value)
            self._commit({"result": result, "activity": "step", "input": asked.value})
            result = await asyncio.create_task(step(asked.value))

    @staticmethod
    async def _code(count: int) -> int:
        total = 0
        for _ in range(count):
            total += await _Asked(1)
        return total

    def _commit(self, told: dict[str, Any]) -> None:
        if self._offset + self._size > self._end:
            self._end = self._offset + FILE_BYTES
            os.pwrite(self._frames, bytes(FILE_BYTES), self._offset)
        body = json.dumps(told).encode()
        frame = struct.pack("<II", len(body), zlib.crc32(body)) + body
        os.pwrite(self._frames, frame.ljust(self._size, b"\0"), self._offset)
        getattr(os, "fdatasync", os.fsync)(self._frames)
        self._offset += self._size
        os.pwrite(self._mark, struct.pack("<Q", self._offset), 0)

    def close(self) -> None:
        """Close the files."""
        self._loop.close()
        os.close(self._frames)
        os.close(self._mark)


def durable_steps(scale: Scale) -> Measurement:
    """Time a sequential workflow of 40 steps against 41 bare appends and syncs of equal bytes.

    Its activity is async and returns at once. A step's result and the next intent share a commit,
    so 40 steps are 41 commits: one more for the start. The value is the rate of the workflow's
    commits as a part of that of the bare ones, in alternating blocks; the same steps by hand, and
    other engines that are installed, take their turns.
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
        if hasattr(os, "pwrite"):
            by_hand = held.enter_context(closing(ByHand(folder, size)))
            contestants["by hand"] = lambda _: by_hand.run(STEPS)
        peers = _peers(folder, held)
        found = race(contestants | peers, blocks=scale.blocks * 2, repeats=3, warm=1)
    rate = found.ratio("bare", "workflow")
    beside = {
        "one step": found.shown("workflow", STEPS + 1),
        "append and fdatasync": found.shown("bare", STEPS + 1),
        "bytes of a step": str(size),
        "syncs of 40 steps": str(syncs["data"]),
    }
    if "by hand" in contestants:
        beside["the least in Python, by hand"] = found.shown("by hand", STEPS + 1)
        reachable = found.ratio("bare", "by hand").median
        beside["of the bare rate, by hand"] = f"{reachable:.2f}"
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
