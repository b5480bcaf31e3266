"""Recovery by provenance: only what depends on what has failed is done again.

After Koehler, Riddle, Zinn, McPhillips and Ludaescher, "Improving workflow fault tolerance through
provenance-based recovery" (SSDBM 2011): the record of who read what says which outputs still hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.recovery.record import Record
from flowlab.recovery.redoing import Again, Execute, Redone
from flowlab.workflow import Conditional, Node, Plan, Program, Step, locate


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is to be done again of a recorded plan, and what holds.

    Args:
        failed: the steps whose outputs are lost or invalid, those that were undone among them.
        rerun: the steps that may have to be done again: these, what reads their results, what is
            chosen by them, and so on; and what has never been done. In the order of the plan.
        reuse: the recorded results of the others, by step.
    """

    failed: tuple[str, ...]
    rerun: tuple[str, ...]
    reuse: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Provenance(rerun {list(self.rerun)}, reuse {list(self.reuse)})"


def provenance_plan(
    plan: Program | Plan | Node, events: Iterable[Event], *, failed: Collection[str]
) -> Provenance:
    """Say which steps of a recorded plan must be done again, and whose outputs hold.

    A step depends on the steps whose results its input reads, and on those that a `Conditional`
    around it reads. Order alone is no dependence: a step that comes later and reads nothing of a
    failed one holds. So it is for activities whose result follows from their input.

    Args:
        plan: the plan.
        events: the history of one instance, from its WorkflowStarted on.
        failed: the steps whose outputs are lost or invalid.

    Raises:
        InvalidArgumentError: the plan has no such step, or the history does not begin the plan.

    Example:
        >>> from flowlab.workflow import Sequential, Step, result
        >>> plan = Sequential(
        ...     Step("a", agent="x", effect=False), Step("b", agent="x", effect=False),
        ...     Step("c", agent="x", effect=False, input=result("a")),
        ... )
        >>> def done(at, step, result):
        ...     asked = Event.of("ActivityScheduled", workflow_id="w", sequence=at, step_id=step)
        ...     return [asked, Event.of("ActivityCompleted", workflow_id="w", sequence=at + 1,
        ...                             payload={"result": result}, causes=(Cause("w", at),))]
        >>> from flowlab.events import Cause
        >>> started = Event.of("WorkflowStarted", workflow_id="w", sequence=1)
        >>> history = [started, *done(2, "a", 1), *done(4, "b", 2), *done(6, "c", 3),
        ...            Event.of("WorkflowCompleted", workflow_id="w", sequence=8)]
        >>> provenance_plan(plan, history, failed={"a"})
        Provenance(rerun ['a', 'c'], reuse ['b'])
    """
    program = plan if isinstance(plan, Program) else Program.of(plan)
    history = begun(events)
    known = [step.name for step in program.steps]
    wrong = sorted(set(failed) - set(known))
    if wrong:
        message = f"the plan has no step {wrong[0]!r}; it has {', '.join(known)}"
        raise InvalidArgumentError(message)
    results, undone = _recorded(history)
    lost = set(failed) | undone
    complete = any(event.event_type == "WorkflowCompleted" for event in history)
    cone = set(lost) if complete else lost | (set(known) - results.keys())
    reads = dependencies(program)
    growing = True
    while growing:
        more = {name for name in known if name not in cone and reads[name] & cone}
        cone |= more
        growing = bool(more)
    return Provenance(
        failed=tuple(name for name in known if name in lost),
        rerun=tuple(name for name in known if name in cone),
        reuse={name: results[name] for name in known if name in results and name not in cone},
    )


def provenance_rerun(
    plan: Program | Plan | Node,
    events: Iterable[Event],
    *,
    failed: Collection[str],
    execute: Execute,
    seed: object = 0,
) -> Redone:
    """Do a recorded plan again: failed steps now, and of the rest only what then is asked anew.

    A step that is asked for with the input that it had is answered from the record; so a step
    behind a failed one is spared where the failed one returns what it had returned. For activities
    whose result follows from their input, the end is that of doing everything again, and no smaller
    set of steps leads there for certain.

    Args:
        plan: the plan.
        events: the history of one instance, from its WorkflowStarted on.
        failed: the steps whose outputs are lost or invalid; those that were undone are, too.
        execute: carries an activity out: a function of (activity, input), or one of the input for
            each activity by name.
        seed: of the streams of chance.

    Raises:
        InvalidArgumentError: as `provenance_plan`.
    """
    program = plan if isinstance(plan, Program) else Program.of(plan)
    history = begun(events)
    lost = set(provenance_plan(program, history, failed=failed).failed)
    without = {event.sequence for event in history if event.step_id in lost}
    compensations = {
        event.sequence for event in history if event.event_type == "CompensationScheduled"
    }
    record = Record(history, without=without | compensations)
    again = Again(program, history[0].workflow_id, record, execute, seed=seed)
    again.now_ns = history[0].time_ns
    again.tell(history[0].replace(agent_sequence=0))
    return again.run()


def dependencies(program: Program) -> dict[str, set[str]]:
    """Return of each step those whose results its input, or a choice around it, reads.

    Example:
        >>> from flowlab.workflow import Sequential, Step, result
        >>> plan = Sequential(
        ...     Step("a", agent="x", effect=False),
        ...     Conditional(result("a") > 1, Step("b", agent="x", effect=False)),
        ... )
        >>> dependencies(Program.of(plan))
        {'a': set(), 'b': {'a'}}
    """
    chosen: dict[tuple[int, ...], set[str]] = {}
    found: dict[str, set[str]] = {}
    for at in locate(program.plan.root):
        if isinstance(at.node, Conditional):
            chosen[at.path] = {place.step for place in at.node.places if place.step is not None}
        elif isinstance(at.node, Step):
            template = program.by_name[at.node.name].input.template
            places = () if template is None else template.places
            mine = {place.step for place in places if place.step is not None}
            around = (steps for path, steps in chosen.items() if at.path[: len(path)] == path)
            found[at.node.name] = mine.union(*around)
    return found


def begun(events: Iterable[Event]) -> list[Event]:
    """Return the history of one instance.

    Raises:
        InvalidArgumentError: it does not begin with the start of the instance.
    """
    history = list(events)
    if not history or history[0].event_type != "WorkflowStarted":
        message = (
            "the history does not begin with WorkflowStarted; give the events of one instance of "
            "the plan, as store.read('/workflows/ID/events').events() does"
        )
        raise InvalidArgumentError(message)
    return history


def _recorded(history: Sequence[Event]) -> tuple[dict[str, Any], set[str]]:
    """Return the results that were recorded, by step, and the steps that were undone."""
    step_of: dict[int, str] = {}
    results: dict[str, Any] = {}
    undone: set[str] = set()
    for event in history:
        kind = event.event_type
        if kind in {"ActivityScheduled", "CompensationScheduled"} and event.step_id is not None:
            step_of[event.sequence] = event.step_id
            if kind == "CompensationScheduled":
                undone.add(event.step_id)
        elif kind == "ActivityStarted":
            step_of.update(
                (event.sequence, step_of[cause.sequence])
                for cause in event.causes
                if cause.sequence in step_of
            )
        elif kind == "ActivityCompleted":
            steps = (step_of[c.sequence] for c in event.causes if c.sequence in step_of)
            data = event.data
            for step in steps:
                results[step] = data.get("result") if isinstance(data, dict) else None
        elif kind in TERMINAL_STATUS:
            break
    return results, undone
