"""Recovery of everything that is unfinished: in one process, or in parallel on a pool."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from html import escape
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import FlowlabError, InvalidArgumentError, NotFoundError
from flowlab.events import counted
from flowlab.events.wording import brief
from flowlab.recovery.pinned import PinnedStore
from flowlab.recovery.restoring import contents
from flowlab.recovery.schemes import Checkpointed
from flowlab.runtime.scheme import Process, RecoveryScheme
from flowlab.store import EventStore, Snapshot
from flowlab.store import RecoveryReport as ProjectionsReport
from flowlab.store.clock import monotonic_s
from flowlab.workflow import PlanExecution, Program, Workflow

if TYPE_CHECKING:
    import polars as pl

MAX_SHOWN: Final = 20
"""Workflows of a report's HTML table."""
PIECES: Final = 4
"""Pieces of work for each process of a pool, so that a slow one holds up little."""

Progress = Callable[[int, int], object]
"""Told how many workflows are recovered, of how many."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """One workflow of a recovery.

    Args:
        workflow_id: which.
        process: what it is an instance of.
        checkpoint: the id of the checkpoint that it began from, None where from its beginning.
        head: its last event.
        events_read: events of its stream that were read.
        replayed: events that its code or plan was given.
        waits: what it has asked for and has no answer to, as "type name".
        seconds: that it took, in its process.
        state: a plan's state as JSON, from which `PlanExecution.from_json` goes on; else None.
        error: why it could not be recovered; empty where it was.
    """

    workflow_id: str
    process: str
    checkpoint: str | None = None
    head: int = 0
    events_read: int = 0
    replayed: int = 0
    waits: tuple[str, ...] = ()
    seconds: float = 0.0
    state: Any = None
    error: str = ""

    def __repr__(self) -> str:
        if self.error:
            return f"Recovered({self.workflow_id!r}, failed)"
        begun = "its beginning" if self.checkpoint is None else f"checkpoint {self.checkpoint!r}"
        read = counted(self.events_read, "event")
        return f"Recovered({self.workflow_id!r} at {self.head}, from {begun}, {read} read)"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What a recovery has got back, a row for each workflow, by workflow_id.

    Args:
        scheme: its repr.
        workers: processes.
        rows: the workflows.
        seconds: from begin to end.
        projections: what was done about projections, None where nothing.
    """

    scheme: str
    workers: int
    rows: tuple[Recovered, ...]
    seconds: float
    projections: ProjectionsReport | None = None

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        what = counted(len(self.rows), "workflow")
        read = counted(self.events_read, "event")
        return f"RecoveryReport({what} by {self.scheme}, {read} read{failed})"

    @property
    def failed(self) -> tuple[Recovered, ...]:
        """Those that could not be recovered."""
        return tuple(row for row in self.rows if row.error)

    @property
    def events_read(self) -> int:
        """Events that were read, of all."""
        return sum(row.events_read for row in self.rows)

    @property
    def replayed(self) -> int:
        """Events that were replayed, of all."""
        return sum(row.replayed for row in self.rows)

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a frame, without the states."""
        import polars as pl  # noqa: PLC0415

        names = ("workflow_id", "process", "checkpoint", "head", "events_read", "replayed")
        more = ("seconds", "error")
        columns = {name: [getattr(row, name) for row in self.rows] for name in (*names, *more)}
        types = {"checkpoint": pl.String, "seconds": pl.Float64}
        ints = dict.fromkeys(("head", "events_read", "replayed"), pl.Int64)
        texts = dict.fromkeys(("workflow_id", "process", "error"), pl.String)
        frame = pl.DataFrame(columns, schema_overrides={**texts, **ints, **types})
        waits = pl.Series("waits", [list(row.waits) for row in self.rows], pl.List(pl.String))
        return frame.with_columns(pl.lit(self.scheme).alias("scheme"), waits)

    def _repr_html_(self) -> str:
        head = ("workflow", "process", "checkpoint", "events read", "replayed", "ms", "waits for")
        lines = [
            (
                row.workflow_id,
                row.process,
                row.checkpoint or "",
                str(row.events_read),
                str(row.replayed),
                f"{row.seconds * 1e3:.2f}",
                row.error or ", ".join(row.waits),
            )
            for row in self.rows[:MAX_SHOWN]
        ]
        total = ("all", "", "", str(self.events_read), str(self.replayed))
        lines.append((*total, f"{self.seconds * 1e3:.2f}", counted(self.workers, "process")))
        body = "".join(_line(line, "td") for line in lines)
        shown = f", {MAX_SHOWN} of {len(self.rows)} shown" if len(self.rows) > MAX_SHOWN else ""
        title = f"<caption>{escape(repr(self))}{shown}</caption>"
        return f"<table>{title}<thead>{_line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def recover(
    store: EventStore,
    processes: Mapping[str, Process] | Iterable[Process],
    *,
    scheme: RecoveryScheme | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    critical: bool = True,
    seed: object = 0,
    states: bool = True,
    progress: Progress | None = None,
) -> RecoveryReport:
    """Recover every unfinished workflow of a store, and say what each has cost.

    They are the live ones of the namespace `default`. All see the store at one position.
    Independent workflows are recovered side by side where there is more than one worker: each
    process opens the store for reading, and hands back what it has measured, and of plans the
    state. A function's coroutine cannot leave its process, so of functions only the figures come
    back. The rows are the same for any number of workers, but for the times.

    Args:
        store: open.
        processes: what the workflows run: workflows and programs, or a mapping from their names.
        scheme: by which; None is `Checkpointed()`.
        workers: processes; 1 is this one.
        executor: a warm pool to use instead of one that is made here; it stays open.
        critical: bring critical projections up to date, too; the others wait for their first use.
        seed: of the streams of chance, as the runtime has it.
        states: whether states of plans are handed back.
        progress: told after each piece of work.

    Raises:
        InvalidArgumentError: a process cannot be sent to a pool; or the arguments do not fit.
        ProjectionError: a critical projection's fold failed: recovery is not ready.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab.workflow import Step
        >>> plan = Program.of(Step("pay", agent="bank", kind="pivot"))
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     begun = {"event_type": "WorkflowStarted", "name": "plan", "payload": {"input": 1}}
        ...     told = store.append("order-1", begun)
        ...     report = recover(store, [plan])
        >>> report, report.rows[0]  # doctest: +NORMALIZE_WHITESPACE
        (RecoveryReport(1 workflow by Checkpointed(EveryEvents(1000), keep=2), 1 event read),
         Recovered('order-1' at 1, from its beginning, 1 event read))
    """
    if type(workers) is not int or workers < 1:
        message = f"workers is {brief(workers)}; expected a whole number from 1"
        raise InvalidArgumentError(message)
    began = monotonic_s()
    known = by_name(processes)
    chosen: RecoveryScheme = Checkpointed() if scheme is None else scheme
    projections = None
    if critical:
        projections = store.recover_projections()
    pinned = PinnedStore(store)
    found = unfinished(pinned.snapshot())
    rows: list[Recovered] = []
    if workers == 1 and executor is None:
        for item in found.items():
            rows.append(_one(pinned, item, known, chosen, seed, states=states))
            if progress is not None:
                progress(len(rows), len(found))
    else:
        position = pinned.snapshot().position
        work = _Work(str(store.path), position, _portable(known), chosen, seed, states)
        rows = _pooled(work, list(found.items()), workers, executor, progress)
    return RecoveryReport(repr(chosen), workers, tuple(rows), monotonic_s() - began, projections)


def by_name(processes: Mapping[str, Process] | Iterable[Process]) -> dict[str, Process]:
    """Return processes by name.

    Raises:
        InvalidArgumentError: something is neither a workflow nor a program.
    """
    given = processes.items() if isinstance(processes, Mapping) else ((None, p) for p in processes)
    found: dict[str, Process] = {}
    for name, process in given:
        if not isinstance(process, (Workflow, Program)):
            message = f"{brief(process)} is no @workflow and no Program; compile a plan first"
            raise InvalidArgumentError(message)
        own = process.name if isinstance(process, Workflow) else process.plan.name
        found[own if name is None else name] = process
    return found


def unfinished(snapshot: Snapshot) -> dict[str, str]:
    """Return the live workflows that have begun and not ended, each with what it is, in order.

    They are those of the namespace `default`. Of one whose beginning was truncated, its newest
    checkpoint says what it is.
    """
    query = (
        "SELECT workflow_id, name FROM workflows WHERE namespace = 'default' AND run_id = '' "
        "AND status = 'open' ORDER BY workflow_id"
    )
    table = snapshot.query(query)
    found: dict[str, str] = {}
    for workflow_id, name in zip(*(table.column(i).to_pylist() for i in (0, 1)), strict=True):
        if name is not None:
            found[workflow_id] = name
        elif snapshot.bases.base(stream := ("default", "", workflow_id)):
            newest = next(contents(snapshot, stream), None)
            if newest is not None:
                found[workflow_id] = newest.content.process
    return found


# -- one, and many ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Work:
    path: str
    position: int
    processes: bytes
    scheme: RecoveryScheme
    seed: object
    states: bool


def _one(
    pinned: PinnedStore,
    named: tuple[str, str],
    processes: Mapping[str, Process],
    scheme: RecoveryScheme,
    seed: object,
    *,
    states: bool,
) -> Recovered:
    name, kind = named
    stream = ("default", "", name)
    began = monotonic_s()
    try:
        if kind not in processes:
            known = ", ".join(sorted(processes)) or "none"
            message = f"{name!r} is an instance of {kind!r}; the processes given are: {known}"
            raise NotFoundError(message)
        restored = scheme.restore(pinned.as_store, stream, processes[kind], seed=seed)
    except FlowlabError as error:
        return Recovered(name, kind, error=str(error), seconds=monotonic_s() - began)
    seconds = monotonic_s() - began
    standing, execution = restored.standing, restored.execution
    return Recovered(
        workflow_id=name,
        process=kind,
        checkpoint=restored.checkpoint,
        head=standing.head,
        events_read=restored.events_read,
        replayed=restored.replayed,
        waits=tuple(f"{event.event_type} {event.name}" for event in standing.open.values()),
        seconds=seconds,
        state=execution.to_json() if states and isinstance(execution, PlanExecution) else None,
    )


def _pooled(
    work: _Work,
    names: list[tuple[str, str]],
    workers: int,
    executor: Executor | None,
    progress: Progress | None,
) -> list[Recovered]:
    try:
        pickle.dumps(work)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        message = f"{work.scheme!r} cannot be sent to another process ({error}); use workers=1"
        raise InvalidArgumentError(message) from error
    rows: list[Recovered] = []
    with ExitStack() as stack:
        pool = executor
        if pool is None:
            made = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            pool = stack.enter_context(made)
        size = -(-len(names) // (workers * PIECES)) or 1
        pieces = [names[start : start + size] for start in range(0, len(names), size)]
        for found in pool.map(_piece, [work] * len(pieces), pieces):
            rows.extend(found)
            if progress is not None:
                progress(len(rows), len(names))
    return rows


_opened: dict[tuple[str, int], PinnedStore] = {}
"""In a process of a pool: the store that it has open, which stays open for the next piece."""


def _piece(work: _Work, names: list[tuple[str, str]]) -> list[Recovered]:
    """Recover some workflows in a process of a pool."""
    key = work.path, work.position
    if key not in _opened:
        _opened.clear()
        store = EventStore(work.path, read_only=True)
        _opened[key] = PinnedStore(store, position=work.position)
    processes = _loaded(work.processes)
    return [
        _one(_opened[key], item, processes, work.scheme, work.seed, states=work.states)
        for item in names
    ]


def _portable(processes: Mapping[str, Process]) -> bytes:
    """Return processes for another process: programs by value, workflows by where they stand.

    Raises:
        InvalidArgumentError: a workflow does not stand in a module under its function's name.
    """
    told: dict[str, Any] = {}
    for name, process in processes.items():
        if isinstance(process, Program):
            told[name] = process
            continue
        place = process.body.__module__, process.body.__qualname__
        try:
            same = _at(*place) is process
        except (ImportError, AttributeError):
            same = False
        if not same:
            message = (
                f"workflow {process.name!r} cannot be found by another process: put it into a "
                f"module, as {place[1]!r} of {place[0]!r}, or use workers=1"
            )
            raise InvalidArgumentError(message)
        told[name] = place
    return pickle.dumps(told)


def _loaded(portable: bytes) -> dict[str, Process]:
    told = pickle.loads(portable)  # noqa: S301 - what the parent process has sent
    return {
        name: _at(*process) if isinstance(process, tuple) else process
        for name, process in told.items()
    }


def _at(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _line(cells: Iterable[str], tag: str) -> str:
    inside = "".join(f'<{tag} style="text-align:left">{escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{inside}</tr>"
