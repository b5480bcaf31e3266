"""Recovery of everything that is unfinished: in one process, or in parallel on a pool."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, Final

from flowlab.errors import FlowlabError, InvalidArgumentError, NotFoundError
from flowlab.events.wording import brief
from flowlab.recovery.pinned import PinnedStore
from flowlab.recovery.recovered import Recovered, RecoveryReport
from flowlab.recovery.restoring import process_of
from flowlab.recovery.schemes import Checkpointed
from flowlab.runtime import choreographing
from flowlab.runtime.processes import Carried
from flowlab.runtime.scheme import RecoveryScheme
from flowlab.runtime.unfinished import find_unfinished
from flowlab.store import EventStore, Snapshot
from flowlab.store.clock import monotonic_s
from flowlab.workflow import Choreography, Plan, PlanExecution, Program, Workflow
from flowlab.workflow.names import as_id

PIECES: Final = 4
"""Pieces of work for each process of a pool, so that a slow one holds up little."""

Progress = Callable[[int, int], object]
"""Told how many workflows are recovered, of how many."""


def recover(
    store: EventStore,
    processes: Mapping[str, Carried | Plan] | Iterable[Carried | Plan],
    *,
    scheme: RecoveryScheme | None = None,
    namespace: str = "default",
    workers: int = 1,
    executor: Executor | None = None,
    critical: bool = True,
    seed: object = 0,
    states: bool = True,
    progress: Progress | None = None,
) -> RecoveryReport:
    """Recover every unfinished workflow of a store, and say what each has cost.

    They are the live ones of a namespace. All see the store at one position.
    Independent workflows are recovered side by side where there is more than one worker: each
    process opens the store for reading, and hands back what it has measured, and of plans the
    state. A function's coroutine cannot leave its process, so of functions only the figures come
    back. A saga that nobody conducts comes back from its whole log, whatever the scheme. The rows
    are the same for any number of workers, but for the times.

    Args:
        store: open.
        processes: what the workflows run: workflows, programs, plans without named predicates and
            choreographies, or a mapping from their names.
        scheme: by which; None is `Checkpointed()`.
        namespace: of the workflows.
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
    as_id(namespace, "namespace")
    began = monotonic_s()
    known = by_name(processes)
    chosen: RecoveryScheme = Checkpointed() if scheme is None else scheme
    projections = None
    if critical:
        projections = store.recover_projections()
    pinned = PinnedStore(store)
    found = unfinished(pinned.snapshot(), namespace)
    rows: list[Recovered] = []
    if workers == 1 and executor is None:
        for item in found.items():
            rows.append(_one(pinned, item, known, chosen, seed, namespace=namespace, states=states))
            if progress is not None:
                progress(len(rows), len(found))
    else:
        position = pinned.snapshot().position
        work = _Work(str(store.path), position, _portable(known), chosen, seed, namespace, states)
        rows = _pooled(work, list(found.items()), workers, executor, progress)
    return RecoveryReport(repr(chosen), workers, tuple(rows), monotonic_s() - began, projections)


def by_name(
    processes: Mapping[str, Carried | Plan] | Iterable[Carried | Plan],
) -> dict[str, Carried]:
    """Return processes by name; a plan is made ready.

    Raises:
        InvalidArgumentError: something is no workflow, plan or choreography.
        PlanError: a plan names predicates, so that only its program can be recovered.
    """
    given = processes.items() if isinstance(processes, Mapping) else ((None, p) for p in processes)
    found: dict[str, Carried] = {}
    for name, process in given:
        if not isinstance(process, (Workflow, Program, Plan, Choreography)):
            message = (
                f"{brief(process)} is no workflow; give a @workflow, a Program, a Plan or a "
                "Choreography"
            )
            raise InvalidArgumentError(message)
        ready = Program.of(process) if isinstance(process, Plan) else process
        own = ready.plan.name if isinstance(ready, Program) else ready.name
        found[own if name is None else name] = ready
    return found


def unfinished(snapshot: Snapshot, namespace: str = "default") -> dict[str, str]:
    """Return the live workflows that have begun and not ended, each with what it is, in order.

    They are those of one namespace. Of one whose beginning was truncated, its newest checkpoint
    says what it is; where none does, there is a warning.
    """
    found = find_unfinished(snapshot, partial(process_of, snapshot), namespace)
    found.warn()
    return dict(sorted(found.names.items()))


# -- one, and many ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Work:
    path: str
    position: int
    processes: bytes
    scheme: RecoveryScheme
    seed: object
    namespace: str
    states: bool


def _one(
    pinned: PinnedStore,
    named: tuple[str, str],
    processes: Mapping[str, Carried],
    scheme: RecoveryScheme,
    seed: object,
    *,
    namespace: str,
    states: bool,
) -> Recovered:
    name, kind = named
    began = monotonic_s()
    try:
        if kind not in processes:
            known = ", ".join(sorted(processes)) or "none"
            message = f"{name!r} is an instance of {kind!r}; the processes given are: {known}"
            raise NotFoundError(message)
        process = processes[kind]
        if isinstance(process, Choreography):
            return _saga(pinned, name, process, namespace, began)
        stream = (namespace, "", name)
        restored = scheme.restore(pinned.as_store, stream, process, seed=seed)
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


def _saga(
    pinned: PinnedStore, name: str, process: Choreography, namespace: str, began: float
) -> Recovered:
    """Recover what nobody conducts: no scheme sees it, for its state is what its log says."""
    execution, standing, read = choreographing.restore(
        pinned.as_store, process, name, namespace=namespace
    )
    return Recovered(
        workflow_id=name,
        process=process.name,
        head=standing.head,
        events_read=read,
        replayed=read,
        waits=tuple(execution.awaited),
        seconds=monotonic_s() - began,
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
        _one(
            _opened[key],
            item,
            processes,
            work.scheme,
            work.seed,
            namespace=work.namespace,
            states=work.states,
        )
        for item in names
    ]


def _portable(processes: Mapping[str, Carried]) -> bytes:
    """Return processes for another process: what is data by value, workflows by where they stand.

    Raises:
        InvalidArgumentError: a workflow does not stand in a module under its function's name.
    """
    told: dict[str, Any] = {}
    for name, process in processes.items():
        if isinstance(process, (Program, Choreography)):
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


def _loaded(portable: bytes) -> dict[str, Carried]:
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
