"""A batch of a campaign's worlds, as any process runs it: plain values in, columns out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from flowlab.events import RunInfo
from flowlab.events.digest import run_digests
from flowlab.simulation.batch import Batch
from flowlab.simulation.drawn_ahead import DrawnAhead
from flowlab.simulation.grid import COLUMNS
from flowlab.simulation.recipe import Recipe
from flowlab.simulation.run import Run
from flowlab.simulation.simulate import collector_frozen, play

Measure = Callable[[Run], Any]

COLLECTED_EVENTS: Final = 200_000
"""After so many events the memory of finished worlds is taken back, within a batch too."""

_SENT: Final = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is asked for.

    Args:
        recipe: of the worlds, the seed aside.
        seeds: one a world.
        namespace: of the runs.
        measures: what is told of a run, by name.
        wants_events: whether the events are to be handed back, and not their digests alone.
    """

    recipe: Recipe
    seeds: Sequence[int]
    namespace: str
    measures: Mapping[str, Measure]
    wants_events: bool


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What a worker hands back.

    Args:
        columns: a value a run.
        violations: (run id, seed, invariant, message).
        stuck: (run id, seed, workflow id, what it waits for).
        digests: of the runs.
        events: the log, where it was asked for; `infos` is the metadata of its runs.
    """

    columns: dict[str, list[Any]]
    violations: list[tuple[str, int, str, str]]
    stuck: list[tuple[str, int, str, str]]
    digests: list[str]
    events: pa.Table | None
    infos: tuple[RunInfo, ...]

    def __repr__(self) -> str:
        return f"Outcome({len(self.digests)} runs)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the log as one compressed stream: fresh memory and pipes cost more than that."""
        sent = None if self.events is None else _as_bytes(self.events)
        rest = (self.columns, self.violations, self.stuck, self.digests)
        return _received, (*rest, sent, self.infos)


def run_job(job: Job) -> Outcome:
    """Run every world of a job; the world is built once."""
    world = job.recipe.world()
    batch = Batch(job.namespace)
    rows: list[tuple[Any, ...]] = []
    violations: list[tuple[str, int, str, str]] = []
    stuck: list[tuple[str, int, str, str]] = []
    collected = 0
    with collector_frozen():
        ahead = DrawnAhead(job.seeds, job.recipe.faults, world.network)
        for place, seed in enumerate(job.seeds):
            recipe = job.recipe.with_seed(seed)
            try:
                run = play(recipe, world, batch, drawn=(ahead, place))
                measured = [measure(run) for measure in job.measures.values()]
            except Exception as error:
                error.add_note(f"in the world {recipe.run_id!r}, seed {seed}")
                raise
            rows.append((*_row(run), *measured))
            violations += [(run.run_id, seed, it.invariant, it.message) for it in run.violations]
            stuck += [(run.run_id, seed, it.workflow_id, it.waits_for) for it in run.stuck]
            if len(batch.recorder) - collected > COLLECTED_EVENTS:
                collected = len(batch.recorder)
                gc.collect()
    names = (*COLUMNS, *job.measures)
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    log = batch.log()
    digests = run_digests(log.table) if len(log) else []
    events, infos = (log.table, log.runs) if job.wants_events else (None, ())
    return Outcome(columns, violations, stuck, digests, events, infos)


def _as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_SENT) as stream:
        stream.write_table(table)
    sent: bytes = sink.getvalue().to_pybytes()
    return sent


def _received(
    columns: dict[str, list[Any]],
    violations: list[tuple[str, int, str, str]],
    stuck: list[tuple[str, int, str, str]],
    digests: list[str],
    sent: bytes | None,
    infos: tuple[RunInfo, ...],
) -> Outcome:
    events = None if sent is None else pa.ipc.open_stream(sent).read_all()
    return Outcome(columns, violations, stuck, digests, events, infos)


def _row(run: Run) -> tuple[Any, ...]:
    ended = list(run.statuses.values())
    kinds = dict.fromkeys(fault_id.partition(":")[0] for fault_id in run.faults)
    return (
        run.run_id,
        run.seed,
        run.ok,
        run.event_count,
        run.end_ns,
        len(ended),
        ended.count("completed"),
        ended.count("failed"),
        ended.count("canceled"),
        len(run.stuck),
        len(run.violations),
        run.stopped,
        len(run.faults),
        sorted(kinds),
    )
