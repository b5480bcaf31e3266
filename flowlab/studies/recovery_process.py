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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from pyarrow.parquet import FileMetaData, read_metadata

from flowlab.errors import FlowlabError
from flowlab.recovery import Cached, Checkpointed, Incremental, recover
from flowlab.recovery.pinned import PinnedStore
from flowlab.recovery.policies import EveryEvents, Never, Since
from flowlab.recovery.restoring import contents
from flowlab.runtime import Replay, Restored, Runtime
from flowlab.runtime.scheme import RecoveryScheme, Stream
from flowlab.store import EventStore
from flowlab.store.position_read import stream_events
from flowlab.studies.recovery_cells import FULL_EVERY, Cell
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
WHOLE: Final = 3
"""Whole checkpoints that are taken: the first follows the causes of the whole history."""
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
                    rows.append({"scheme": what, "bytes": size, "wall": [seconds]})
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


def recovered(folder: Path, name: str, cell: Cell) -> list[Row]:
    """Recover a store by each scheme in a fresh process; return what that took.

    Raises:
        FlowlabError: the process failed.
    """
    context = _context()
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(folder / name, name, cell, there))
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


def _measure(folder: Path, name: str, cell: Cell, told: Connection) -> None:
    """Recover by turns by each scheme, and tell the rows."""
    contestants: dict[str, Callable[[], Timed]] = {}
    scheme = scheme_of(name, cell)
    if name == "whole":
        cached = Cached(Checkpointed(Never()), size=cell.workflows)
        contestants["replay"] = lambda: _from_open(folder, cell, Replay())
        contestants["checkpoint"] = lambda: _from_open(folder, cell, scheme)
        contestants["warm cache"] = lambda: _from_memory(folder, cell, cached)
    else:
        contestants["incremental"] = lambda: _from_open(folder, cell, scheme)
    pool = None
    if name == "whole" and cell.workflows >= PARALLEL_FROM:
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
        contestants["parallel"] = lambda: _in_pool(folder, scheme, pool)
    rows: dict[str, Row] = {}
    names = list(contestants)
    for turn in range(cell.repeats + 1):
        for each in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            gc.freeze()
            found = contestants[each]()
            gc.unfreeze()
            if each not in rows:
                read = _read(folder, cell, found, chains=each not in {"replay", "warm cache"})
                rows[each] = {"scheme": each, **read, "first": found.wall_s, "wall": [], "cpu": []}
                continue
            rows[each]["wall"].append(found.wall_s)
            rows[each]["cpu"].append(found.cpu_s)
    if pool is not None:
        pool.shutdown()
    told.send(list(rows.values()))
    told.close()


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


def _from_memory(folder: Path, cell: Cell, cached: Cached) -> Timed:
    """Catch up with the last events, by executions that are in memory already."""
    streams = [("default", "", workflow_id) for workflow_id in cell.ids]
    with EventStore(folder) as store:
        now = store.snapshot().position
        # A cache has followed the tail so far: half of what the killed process wrote, at least.
        rng = random.Random(f"{cell.seed} missed")  # noqa: S311 - a sample
        bulk = cell.shape.events * cell.workflows
        missed = min((now - bulk) // 2, rng.randint(1, MISSED_EVENTS) * cell.workflows)
        before = PinnedStore(store, position=now - missed)
        for stream in streams:
            old = cached.restore(before.as_store, stream, keep_accounts)
            cached.committed(store, stream, old.execution, old.standing, ())
        wall, cpu, found = _clocked(
            lambda: [cached.restore(store, stream, keep_accounts) for stream in streams]
        )
    return Timed(wall, cpu, [restored.events_read for restored in found])


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


def _read(folder: Path, cell: Cell, found: Timed, *, chains: bool) -> dict[str, int]:
    """Return what a recovery has read, of all workflows: what the law says that it costs."""
    size = files = state = groups = group_bytes = 0
    footers: dict[str, FileMetaData] = {}
    opened: set[str] = set()
    with EventStore(folder, read_only=True) as store:
        snapshot = store.snapshot()
        for workflow_id, count in zip(cell.ids, found.events, strict=True):
            stream = ("default", "", workflow_id)
            first = snapshot.head(workflow_id) - count + 1
            events = stream_events(snapshot, stream, first=first)
            size += sum(len(event.payload or b"") for event in events)
            paths = [file.path for file in snapshot.stream_files(stream)]
            for path in set(paths) - footers.keys():
                footers[path] = read_metadata(snapshot.files.root / path)
            own = {path: footers[path] for path in paths}
            for path, footer in own.items():
                some, some_bytes = _scanned(footer, stream, first)
                groups, group_bytes = groups + some, group_bytes + some_bytes
                if some:
                    opened.add(path)
            if chains:
                newest = next(contents(snapshot, stream))
                files += newest.chain
                state += newest.size_bytes
    return {
        "workflows": cell.workflows,
        "events": sum(found.events),
        "payload_bytes": size,
        "files": files,
        "state_bytes": state,
        "tail_events": snapshot.position - snapshot.state.info.sealed_position,
        "groups": groups,
        "group_bytes": group_bytes,
        "footers": sum(footers[path].num_row_groups for path in opened),
    }


def _scanned(footer: FileMetaData, stream: Stream, first: int) -> tuple[int, int]:
    """Return the row groups that hold a stream's events from one on, and the bytes of payloads.

    A row group is what is read at once, however few of its events are wanted. What the killed
    process wrote last lies in the tail, in no row group; a file of which none is read stays closed.
    """
    groups = size = 0
    for place in range(footer.num_row_groups):
        group = footer.row_group(place)
        columns = [group.column(at) for at in range(group.num_columns)]
        held = {column.path_in_schema: column for column in columns}
        whose = held["workflow_id"].statistics
        ours = whose.min <= stream[2] <= whose.max
        if ours and (whose.min != whose.max or held["sequence"].statistics.max >= first):
            groups += 1
            size += held["payload"].total_uncompressed_size
    return groups, size
