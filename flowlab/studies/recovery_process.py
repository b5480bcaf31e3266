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
from functools import partial
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
from flowlab.store import EventStore, Snapshot
from flowlab.store.position_read import stream_events
from flowlab.studies.recovery_cells import FULL_EVERY, Cell
from flowlab.studies.recovery_workload import (
    histories,
    keep_accounts,
    result_of,
    take_checkpoints,
)
from flowlab.workflow.savepoints import is_savepoint

LONGEST_LIFE_S: Final = 0.12
"""A process is killed so long after its first steps, at the latest."""
PATIENCE_S: Final = 120.0
MISSED_EVENTS: Final = 200
"""Of each workflow, which a warm cache has to catch up with: up to so many, by chance."""
FOLLOWED_EVENTS: Final = 4
"""Of each workflow, which a warm cache follows for before it has missed some."""
WARM: Final = "warm cache"
WARM_RUNS: Final = 4
"""In a turn. Of a calibration cell each has missed another part: one alone tells too little."""
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
    contestants: list[tuple[str, Callable[[], Timed]]] = []
    scheme = scheme_of(name, cell)
    if name == "whole":
        contestants.append(("replay", lambda: _from_open(folder, cell, Replay())))
        contestants.append(("checkpoint", lambda: _from_open(folder, cell, scheme)))
        cached = Cached(Checkpointed(Never()), size=cell.workflows)
        for run in range(WARM_RUNS):
            # As many in the grid, of one kind: code that ran often of late is quicker.
            part = run if cell.kind == "calibration" else 0
            contestants.append((f"{WARM}{part}", partial(_from_memory, folder, cell, cached, part)))
    else:
        contestants.append(("incremental", lambda: _from_open(folder, cell, scheme)))
    pool = None
    if name == "whole" and cell.workflows >= PARALLEL_FROM:
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
        contestants.append(("parallel", lambda: _in_pool(folder, scheme, pool)))
    rows: dict[str, Row] = {}
    for turn in range(cell.repeats + 1):
        first = turn % len(contestants)
        for each, restore in contestants[first:] + contestants[:first]:
            gc.collect()
            gc.freeze()
            found = restore()
            gc.unfreeze()
            if each not in rows:
                told_as = WARM if each.startswith(WARM) else each
                read = _read(folder, cell, found, chains=told_as not in {"replay", WARM})
                rows[each] = {"scheme": told_as, **read, "wall": [], "cpu": []}
                rows[each]["first"] = found.wall_s
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


def _from_memory(folder: Path, cell: Cell, cached: Cached, run: int) -> Timed:
    """Catch up with the last events, by executions that are in memory already and have followed.

    What filling them has left to the collector is no part of catching up. It is collected before
    they follow for a few events, and only then the clock starts: a collector that has just gone
    through all memory leaves nothing in the processor's caches, which took more than the events.
    """
    streams = [("default", "", workflow_id) for workflow_id in cell.ids]
    with EventStore(folder) as store:
        snapshot = store.snapshot()
        missed = _missed(cell, snapshot, run)
        for ahead in (FOLLOWED_EVENTS * cell.workflows, 0):
            before = PinnedStore(store, position=snapshot.position - missed - ahead)
            for stream in streams:
                old = cached.restore(before.as_store, stream, keep_accounts)
                cached.committed(store, stream, old.execution, old.standing, ())
                # Whoever has followed a stream so far has looked for its end before.
                snapshot.head(stream[2])
            del before, old
            if ahead:
                gc.collect()
                gc.freeze()
        del snapshot
        wall, cpu, found = _clocked(
            lambda: [cached.restore(store, stream, keep_accounts) for stream in streams]
        )
    return Timed(wall, cpu, [restored.events_read for restored in found])


def _missed(cell: Cell, snapshot: Snapshot, run: int) -> int:
    """Return how many of the last events a cache has missed.

    Half of what the killed process wrote at most, and of that by chance; where costs are fitted,
    any part of it, so that some runs pass savepoints and some pass none.
    """
    rng = random.Random(f"{cell.seed} missed{run or ''}")  # noqa: S311 - a sample
    wrote = snapshot.position - cell.shape.events * cell.workflows
    if cell.kind == "calibration":
        wrote = min(wrote, 4 * MISSED_EVENTS * cell.workflows)
        return max(1, round(wrote * (run + rng.random()) / WARM_RUNS))
    return min(wrote // 2, rng.randint(1, MISSED_EVENTS) * cell.workflows)


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
    size = files = state = groups = group_bytes = moved = savepoints = saved = 0
    footers: dict[str, FileMetaData] = {}
    opened: set[str] = set()
    with EventStore(folder, read_only=True) as store:
        snapshot = store.snapshot()
        for workflow_id, count in zip(cell.ids, found.events, strict=True):
            stream = ("default", "", workflow_id)
            first = snapshot.head(workflow_id) - count + 1
            events = stream_events(snapshot, stream, first=first)
            size += sum(len(event.payload or b"") for event in events)
            marks = [len(event.payload or b"") for event in events if is_savepoint(event)]
            moved, savepoints = moved + bool(events), savepoints + len(marks)
            saved += sum(marks)
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
        "moved": moved,
        "savepoints": savepoints,
        "saved_bytes": saved,
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
