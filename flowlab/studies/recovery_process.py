"""The processes of the study of recovery: one works until it is killed, one recovers and measures.

Both are real processes on real files; the one that recovers has loaded its code, and nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import random
import shutil
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np

from flowlab.errors import FlowlabError
from flowlab.recovery import Cached, Checkpointed, Incremental, recover
from flowlab.recovery.pinned import PinnedStore
from flowlab.recovery.policies import EveryEvents, Never, Since
from flowlab.runtime import Replay, Restored, Runtime
from flowlab.runtime.scheme import RecoveryScheme, Stream
from flowlab.store import EventStore, Snapshot
from flowlab.studies.recovery_cells import FULL_EVERY, Cell
from flowlab.studies.recovery_reads import reads_of
from flowlab.studies.recovery_workload import (
    histories,
    keep_accounts,
    result_of,
    take_checkpoints,
)

LONGEST_LIFE_S: Final = 0.12
"""A process is killed so long after its first steps, at the latest."""
PATIENCE_S: Final = 120.0
MISSED_EVENTS: Final = 200
"""Of each workflow, which a warm cache has to catch up with: up to so many, by chance."""
FOLLOWED_EVENTS: Final = 4
"""Of each workflow, which a warm cache follows for before it has missed some."""
WARM: Final = "warm cache"
WARM_RUNS: Final = 4
"""In a turn, each of which has missed another part: one alone tells too little of what costs."""
WARM_NAMES: Final = tuple(f"{WARM} {run}" for run in range(WARM_RUNS))
WHOLE: Final = 3
"""Whole checkpoints that are taken: the first follows the causes of the whole history."""
SWEPT_BYTES: Final = 1 << 26
"""More than a processor's caches hold."""
PARALLEL_FROM: Final = 4
"""Workflows from which recovery in two processes is measured."""

Row = dict[str, Any]


@dataclass(slots=True)
class Watched:
    """A policy of every so many events that keeps what each checkpoint cost.

    Args:
        events: between checkpoints.
        written: (bytes, seconds) of each.
    """

    events: int
    written: list[tuple[int, float]] = field(default_factory=list)

    def due(self, since: Since) -> bool:
        """Say whether so many events came since."""
        return since.events >= self.events

    def wrote(self, size_bytes: int, seconds: float) -> None:
        """Hear what a checkpoint cost."""
        self.written.append((size_bytes, seconds))


def scheme_of(store: str, cell: Cell, policy: Any = None) -> Checkpointed:
    """Return the scheme that writes the checkpoints of a store."""
    policy = EveryEvents(cell.shape.cycle) if policy is None else policy
    if store == "whole":
        return Checkpointed(policy)
    return Incremental(policy, full_every=FULL_EVERY)


def prepare(folder: Path, cell: Cell) -> list[Row]:
    """Write the two stores of a cell; return what their checkpoints cost."""
    table = histories(cell.shape, cell.ids)
    with EventStore(folder / "whole") as store:
        store.append_table(table)
    shutil.copytree(folder / "whole", folder / "delta")
    rows: list[Row] = []
    for name, count in (("whole", WHOLE), ("delta", cell.deltas + 1)):
        with EventStore(folder / name) as store:
            for workflow_id in cell.ids:
                policy = Watched(cell.shape.cycle)
                scheme = scheme_of(name, cell, policy)
                stream = ("default", "", workflow_id)
                take_checkpoints(store, stream, cell.shape, scheme, count)
                for size, seconds in policy.written[1:]:
                    what = "write" if name == "whole" else "write a delta"
                    rows.append({"scheme": what, "bytes": size, "wall": [[seconds]]})
    return rows


def killed_at_work(folder: Path, name: str, cell: Cell) -> None:
    """Let a process go on with every workflow of a store, and kill it at a random moment.

    Raises:
        FlowlabError: it ended by itself.
    """
    rng = random.Random(f"{cell.seed} {name}")  # noqa: S311 - a sample
    context = _context()
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=work, args=(folder / name, name, cell, there))
    child.start()
    there.close()
    try:
        began = here.poll(PATIENCE_S)
        if began:
            here.recv()
            time.sleep(rng.random() * LONGEST_LIFE_S)
    except EOFError:
        began = False
    finally:
        child.kill()
        child.join()
        here.close()
    if not began or child.exitcode is None or child.exitcode >= 0:
        message = f"the process that was to be killed ended by itself ({child.exitcode})"
        raise FlowlabError(message)


def work(folder: Path, name: str, cell: Cell, told: Connection) -> None:
    """Go on with every workflow, durably, until somebody kills this process."""
    steps = 0

    def post(step: int) -> str:
        nonlocal steps
        steps += 1
        if steps == cell.workflows + 1:
            told.send(steps)
        return result_of(step, cell.shape.payload_bytes)

    async def forever() -> None:
        with EventStore(folder) as store:
            runtime = Runtime(
                store,
                keep_accounts,
                activities={"post": post},
                where={"post": "inline"},
                recovery=scheme_of(name, cell),
            )
            async with runtime:
                for workflow_id in cell.ids:
                    await runtime.start(keep_accounts, cell.shape.input, id=workflow_id)
                await asyncio.Event().wait()

    asyncio.run(forever())


def recovered(folder: Path, name: str, cell: Cell, process: int) -> list[Row]:
    """Recover a store by each scheme in a fresh process; return what that took.

    Args:
        folder: of the cell's stores.
        name: of the store.
        cell: what is measured.
        process: the how many-th of the cell; the order of the schemes is another in each.

    Raises:
        FlowlabError: the process failed.
    """
    context = _context()
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(folder / name, name, cell, process, there))
    child.start()
    there.close()
    try:
        rows: list[Row] = here.recv()
    except EOFError as error:
        child.join()
        message = f"the process that recovers {cell.name!r} ended with {child.exitcode}"
        raise FlowlabError(message) from error
    finally:
        child.join()
        here.close()
    return rows


def _context() -> Any:
    methods = multiprocessing.get_all_start_methods()
    if "forkserver" not in methods:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # What is loaded when it is first used is loaded before, so that nobody waits for it.
    context.set_forkserver_preload([__name__, "duckdb", "pandas", "polars", "pyarrow.dataset"])
    return context


def _measure(folder: Path, name: str, cell: Cell, process: int, told: Connection) -> None:
    """Recover by turns by each scheme, and tell the rows."""
    pool = None
    if name == "whole" and cell.workflows >= PARALLEL_FROM:
        pool = ProcessPoolExecutor(2, mp_context=_context())
    contestants = _contestants(folder, name, cell, pool)
    rows: dict[str, Row] = {}
    rng = random.Random(f"{cell.seed} turns of {process}")  # noqa: S311 - an order
    # What was loaded is no garbage, and in no collector's way from here on.
    gc.collect()
    gc.freeze()
    swept = np.zeros(SWEPT_BYTES, np.uint8)
    for _ in range(cell.repeats + 1):
        for each in rng.sample(sorted(contestants), len(contestants)):
            gc.collect()
            # Who comes up after a crash finds nothing in the processor's caches. What ran here just
            # before, another scheme or the same, must not decide how much is found there. (A cache
            # that is warm is filled first, by the same work each time.)
            if not each.startswith(WARM):
                swept += 1
            found = contestants[each]()
            if each in rows:
                rows[each]["wall"].append(found.wall_s)
                rows[each]["cpu"].append(found.cpu_s)
                continue
            scheme = WARM if each.startswith(WARM) else each
            read = reads_of(folder, cell, found.events, chains=scheme not in {"replay", WARM})
            rows[each] = {"scheme": scheme, **read, "first": found.wall_s, "wall": [], "cpu": []}
    if pool is not None:
        pool.shutdown()
    counted = _counted(cell)
    told.send([rows[each] for each in contestants if each not in WARM_NAMES or each in counted])
    told.close()


def _contestants(
    folder: Path, name: str, cell: Cell, pool: ProcessPoolExecutor | None
) -> dict[str, Callable[[], Timed]]:
    scheme = scheme_of(name, cell)
    if name != "whole":
        return {"incremental": lambda: _from_open(folder, cell, scheme)}
    found: dict[str, Callable[[], Timed]] = {
        "replay": lambda: _from_open(folder, cell, Replay()),
        "checkpoint": lambda: _from_open(folder, cell, scheme),
    }
    # As many in the grid as where costs are fitted: code that ran often of late is quicker.
    for run, warm in enumerate(WARM_NAMES):
        found[warm] = partial(_from_memory, folder, cell, run)
    if pool is not None:
        found["parallel"] = lambda: _in_pool(folder, scheme, pool)
    return found


def _counted(cell: Cell) -> tuple[str, ...]:
    """Return the warm runs that count: all where costs are fitted, else one, drawn by chance."""
    if cell.kind == "calibration":
        return WARM_NAMES
    rng = random.Random(f"{cell.seed} counted")  # noqa: S311 - a sample
    return (rng.choice(WARM_NAMES),)


@dataclass(frozen=True, slots=True)
class Timed:
    """A recovery of all workflows.

    Args:
        wall_s, cpu_s: from opening the store to the last workflow's being ready.
        events: that were read of each workflow.
    """

    wall_s: float
    cpu_s: float
    events: list[int]


def _clocked(call: Callable[[], list[Any]]) -> tuple[float, float, list[Any]]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = call()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def _from_open(folder: Path, cell: Cell, scheme: RecoveryScheme) -> Timed:
    opened: list[EventStore] = []

    def call() -> list[Restored]:
        store = EventStore(folder)
        opened.append(store)
        streams = [("default", "", workflow_id) for workflow_id in cell.ids]
        return [scheme.restore(store, stream, keep_accounts) for stream in streams]

    wall, cpu, found = _clocked(call)
    opened[0].close()
    return Timed(wall, cpu, [restored.events_read for restored in found])


def _from_memory(folder: Path, cell: Cell, run: int) -> Timed:
    """Catch up with the last events, by executions that are in memory already and have followed.

    What filling them has left to the collector is no part of catching up. It is collected before
    they follow for a few events, and only then the clock starts: a collector that has just gone
    through all memory leaves nothing in the processor's caches, which took more than the events.
    """
    streams = [("default", "", workflow_id) for workflow_id in cell.ids]
    cached = Cached(Checkpointed(Never()), size=cell.workflows)
    with EventStore(folder) as store:
        snapshot = store.snapshot()
        missed = _missed(cell, snapshot, run)
        for ahead in (FOLLOWED_EVENTS * cell.workflows, 0):
            before = PinnedStore(store, position=snapshot.position - missed - ahead)
            for stream in streams:
                old = _filled(cached, before, stream)
                cached.committed(store, stream, old.execution, old.standing, ())
                # Whoever has followed a stream so far has looked for its end before.
                snapshot.head(stream[2])
            del before, old
            if ahead:
                gc.collect()
        del snapshot
        wall, cpu, found = _clocked(
            lambda: [cached.restore(store, stream, keep_accounts) for stream in streams]
        )
    return Timed(wall, cpu, [restored.events_read for restored in found])


def _filled(cached: Cached, before: PinnedStore, stream: Stream) -> Restored:
    with warnings.catch_warnings():
        # As of an older position the newest checkpoint may be one that newer ones have replaced.
        warnings.simplefilter("ignore", RuntimeWarning)
        return cached.restore(before.as_store, stream, keep_accounts)


def _missed(cell: Cell, snapshot: Snapshot, run: int) -> int:
    """Return how many of the last events a cache has missed, in one of its runs.

    At most half of what the killed process wrote, for before that it has followed; of that range
    each run has a quarter, and within it chance decides. It is the same wherever costs are fitted
    and wherever they are predicted.
    """
    rng = random.Random(f"{cell.seed} missed{run}")  # noqa: S311 - a sample
    wrote = snapshot.position - cell.shape.events * cell.workflows
    most = min(wrote // 2, MISSED_EVENTS * cell.workflows)
    return max(1, round(most * (run + rng.random()) / WARM_RUNS))


def _in_pool(folder: Path, scheme: Checkpointed, pool: ProcessPoolExecutor) -> Timed:
    opened: list[EventStore] = []

    def call() -> list[int]:
        store = EventStore(folder)
        opened.append(store)
        report = recover(
            store, [keep_accounts], scheme=scheme, workers=2, executor=pool, states=False
        )
        return [row.events_read for row in report.rows]

    wall, _, found = _clocked(call)
    opened[0].close()
    return Timed(wall, wall, found)
