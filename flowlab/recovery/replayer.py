"""Saved histories held against today's code: what a deployment would break, before it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Final, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import FlowlabError, InvalidArgumentError, NonDeterminismError, NotFoundError
from flowlab.events import Event, EventLog
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.events.wording import brief
from flowlab.recovery.choreographed import held
from flowlab.recovery.cones import with_cones
from flowlab.recovery.known import Replayable, by_name
from flowlab.recovery.replay_report import Divergence, Replayed, ReplayReport, ReplayStatus, shown
from flowlab.store import EventStore, Snapshot
from flowlab.store.stream_tables import stream_table, stream_tables
from flowlab.workflow import Choreography, Execution, PlanExecution, Program, Workflow
from flowlab.workflow.columns import REPLAYED_COLUMNS, Generation, generations
from flowlab.workflow.guard import armed
from flowlab.workflow.matching import Grade

Progress = Callable[[int, int], object]
"""Told how many events are done, and how many there are."""
Source = EventLog | EventStore | Snapshot

_ORDER: Final = ("namespace", "run_id", "workflow_id", "sequence")
_STREAM: Final = _ORDER[:3]
_HINT: Final = (
    "guard the change with ctx.patched, or let the histories that run today end with the code that "
    "began them"
)
_UNSTABLE: Final = (
    "two replays of it differ: the code reads something outside its context (flowlab determinism "
    "finds it)"
)


class Replayer:
    """Checks saved histories against today's code; nothing is executed, and nothing written.

    Args:
        workflows: code, plans and choreographies; a module that holds them; or a mapping from
            their names.
        seed: of the streams of chance where a run does not say its own, as the runtime has it.

    Raises:
        InvalidArgumentError: something else was given, or two of one name.

    Example:
        >>> from flowlab.workflow import workflow
        >>> @workflow
        ... async def greet(ctx, name):
        ...     return await ctx.call_activity("say", name)
        >>> started = Event.of("WorkflowStarted", workflow_id="greet-1", name="greet", sequence=1,
        ...                    time_ns=0, payload={"input": "Ada"})
        >>> asked = Event.of("ActivityScheduled", workflow_id="greet-1", name="shout", sequence=2,
        ...                  time_ns=0, payload={"input": "Ada", "attempt": 1})
        >>> report = Replayer([greet]).replay(EventLog.from_events([started, asked]))
        >>> report
        ReplayReport(1 history, 2 events: 1 needs_patch)
        >>> found = report.diverged[0].divergence
        >>> found.sequence, found.differs, found.asked
        (2, 'name', 'ActivityScheduled say({"attempt":1,"input":"Ada"})')
    """

    def __init__(
        self,
        workflows: Iterable[Replayable] | Mapping[str, Replayable] | ModuleType,
        *,
        seed: object = 0,
    ) -> None:
        self._known = by_name(workflows)
        if not self._known:
            message = (
                "there is no workflow to replay with; declare one with @workflow, or make a Plan "
                "or a Choreography"
            )
            raise InvalidArgumentError(message)
        self._seed = seed

    def __repr__(self) -> str:
        return f"Replayer({', '.join(sorted(self._known))})"

    def replay(
        self,
        log: Source,
        workflow_id: str | None = None,
        *,
        grade: Grade = "result",
        progress: Progress | None = None,
    ) -> ReplayReport:
        """Replay every history of a log, or those of one workflow; a damaged one stops no other.

        Args:
            log: a log, a store, or a snapshot of one.
            workflow_id: of one workflow, in every run; None is all.
            grade: how much of each event is held against the code: its `kind`; its `name` and step,
                too; its `argument`; the `result` of the workflow, too.
            progress: told after each history.

        Raises:
            InvalidArgumentError: the grade is not known, or there is no log.
            NotFoundError: there is no workflow of that id.
            CorruptionError: a sealed file of the store cannot be read.
        """
        if grade not in get_args(Grade):
            message = f"grade is {grade!r}; expected one of {', '.join(get_args(Grade))}"
            raise InvalidArgumentError(message)
        source = log.snapshot() if isinstance(log, EventStore) else log
        if not isinstance(source, (EventLog, Snapshot)):
            message = f"replay takes an EventLog, an EventStore or a Snapshot, not {brief(log)}"
            raise InvalidArgumentError(message)
        seeds = {run.key: run.seed for run in source.runs if run.seed is not None}
        total = source.table.num_rows if isinstance(source, EventLog) else source.position
        rows: list[Replayed] = []
        done = 0
        with armed():
            for generation, follows in _with_gaps(_tables(source, workflow_id)):
                seed = seeds.get((generation.namespace, generation.run_id), self._seed)
                row = self._checked(generation, seed, grade, follows=follows)
                rows.append(row)
                done += row.events
                if progress is not None:
                    progress(done, total)
        rows = with_cones(source, rows)
        if workflow_id is not None and not rows:
            message = f"there is no workflow {workflow_id!r} in it"
            raise NotFoundError(message)
        return ReplayReport(tuple(rows), grade)

    def _checked(
        self, generation: Generation, seed: object, grade: Grade, *, follows: bool
    ) -> Replayed:
        history = generation.history
        event_type, name, _ = history.heads[0]
        begins = event_type == "WorkflowStarted"
        process = self._known.get(name) if begins else None
        status: ReplayStatus = "equal"
        detail, parted = "", None
        if not begins:
            status = "incomplete"
            detail = f"it begins with event {history.sequences[0]}, {event_type}"
        elif process is None:
            status = "unknown"
            detail = f"no workflow {name!r} was given"
        elif not follows:
            status = "damaged"
            detail = f"event {history.sequences[0]} does not follow the event before it"
        elif isinstance(process, Choreography):
            status, detail, parted = held(process, history, grade)
        else:
            status, detail, parted = _Trial(process, generation, seed, grade).held()
        return Replayed(
            namespace=generation.namespace,
            run_id=generation.run_id,
            workflow_id=generation.workflow_id,
            generation=generation.generation,
            process=name if begins else "",
            status=status,
            events=len(history),
            closed=history.heads[-1][0] in TERMINAL_STATUS,
            divergence=parted,
            detail=detail,
        )


def _tables(source: EventLog | Snapshot, workflow_id: str | None) -> Iterator[pa.Table]:
    """Yield tables that hold streams of workflows whole and in order."""
    if isinstance(source, EventLog):
        table = source.table
        if workflow_id is not None:
            table = table.filter(pc.equal(table.column("workflow_id"), workflow_id))
        yield _in_order(_of_workflows(table))
    elif workflow_id is None:
        yield from map(_of_workflows, stream_tables(source, REPLAYED_COLUMNS))
    else:
        for namespace in _namespaces(source):
            for run in source.streams_in(namespace, None, workflow_id):
                yield stream_table(source, (namespace, run, workflow_id), REPLAYED_COLUMNS)


def _namespaces(source: Snapshot) -> list[str]:
    reader = source.files.reader
    found = {space for data in source.state.files for space in reader.namespaces(data)}
    if source.tail is not None:
        found |= {stream[0] for stream in source.tail.buffer.streams}
    return sorted(found)


def _of_workflows(table: pa.Table) -> pa.Table:
    """Leave out the streams of agents and of the world."""
    ids = table.column("workflow_id")
    if pa.types.is_dictionary(ids.type):
        known = [pc.starts_with(chunk.dictionary, "@") for chunk in ids.chunks]
        if not any(pc.any(others).as_py() for others in known):
            return table
        ids = ids.cast(ids.type.value_type)
    others = pc.starts_with(ids, "@")
    return table.filter(pc.invert(others)) if pc.any(others).as_py() else table


def _in_order(table: pa.Table) -> pa.Table:
    if table.num_rows < 2:  # noqa: PLR2004 - one row is in order
        return table
    earlier = table.slice(0, table.num_rows - 1)
    rises = np.zeros(table.num_rows - 1, bool)
    same = np.ones(table.num_rows - 1, bool)
    for name in _ORDER:
        column, before = table.column(name).slice(1), earlier.column(name)
        rises |= same & pc.greater(column, before).to_numpy()
        same &= pc.equal(column, before).to_numpy()
    # What is there twice stays so: it is damage, and told.
    if (rises | same).all():
        return table
    return table.sort_by([(name, "ascending") for name in _ORDER])


def _with_gaps(tables: Iterable[pa.Table]) -> Iterator[tuple[Generation, bool]]:
    """Yield generations, and whether each follows the one before of its stream, if there is one."""
    before: tuple[str, str, str, int] | None = None
    for table in tables:
        for found in generations(table):
            stream = (found.namespace, found.run_id, found.workflow_id)
            first, last = found.history.sequences[0], found.history.sequences[-1]
            follows = before is None or before[:3] != stream or before[3] + 1 == first
            before = (*stream, last)
            yield found, follows


@dataclass(frozen=True, slots=True)
class _Trial:
    """One history, and what is to be held against it."""

    process: Workflow | Program
    generation: Generation
    seed: object
    grade: Grade

    def held(self) -> tuple[ReplayStatus, str, Divergence | None]:
        """Replay the history; return what became of it."""
        execution = self._begun()
        try:
            execution.advance(self.generation.history)
        except NonDeterminismError as error:
            return self._parted(execution, error)
        except FlowlabError as error:
            return "damaged", str(error), None
        return "equal", "", None

    def _begun(self) -> Execution | PlanExecution:
        process, workflow_id = self.process, self.generation.workflow_id
        if isinstance(process, Workflow):
            return Execution(process, workflow_id, seed=self.seed, grade=self.grade)
        return PlanExecution(process, workflow_id, seed=self.seed, grade=self.grade)

    def _parted(
        self, execution: Execution | PlanExecution, error: NonDeterminismError
    ) -> tuple[ReplayStatus, str, Divergence]:
        """Say where the code parts from the history, and whether it does so each time."""
        again = ""
        try:
            self._begun().advance(self.generation.history)
        except FlowlabError as second:
            again = str(second)
        stable = again == str(error) and error.mean == "replay"
        hint = _HINT if stable else _UNSTABLE
        line = ""
        if error.mean != "replay":
            hint, line = str(error), str(error).partition(": workflow")[0]
        else:
            line = error.line
        recorded: Event | None = error.recorded
        asked: Event | None = error.asked
        divergence = Divergence(
            sequence=recorded.sequence if recorded is not None else execution.last_sequence,
            recorded=shown(recorded) if recorded is not None else "",
            asked=shown(asked) if asked is not None else "nothing: it waits, or has ended",
            differs=error.differs,
            line=line,
            hint=hint,
            message=str(error),
        )
        return "needs_patch" if stable else "nondeterministic", hint, divergence
