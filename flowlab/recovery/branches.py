"""Recovery of the independent branches of one plan, side by side.

What that can mean: a plan's state is one value, but as long as it is running, what a branch has
come to follows from the events of its own steps and of those before, where it reads no results of
another branch, meets no barrier and shares no agent. Then each branch is replayed as a plan of its
own, after the steps before it that it reads. Where a branch has failed, or the plan is being
undone, all branches matter to each other: recover it as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, Event, counted
from flowlab.recovery.provenance import begun, dependencies
from flowlab.runtime.standing import ANSWERS
from flowlab.workflow import (
    Barrier,
    Conditional,
    Node,
    Parallel,
    Plan,
    PlanExecution,
    Program,
    Sequential,
    Step,
    locate,
)
from flowlab.workflow.nodes import Located

_RUNNING: Final = 0
_ASKS: Final = frozenset({"ActivityScheduled", "TimerStarted", "PivotReached"})
_ANSWERS: Final = ANSWERS | {"ActivityStarted"}


@dataclass(frozen=True, slots=True)
class BranchState:
    """What one branch of a plan has come to.

    Args:
        steps: of the branch, in the order of the plan.
        results: of those that completed, by step.
        in_flight: the steps that an answer or a timer is awaited for.
        events: of its history that were replayed.
    """

    steps: tuple[str, ...]
    results: dict[str, Any]
    in_flight: tuple[str, ...]
    events: int

    def __repr__(self) -> str:
        done = f"{len(self.results)} of {counted(len(self.steps), 'step')} done"
        return f"BranchState({done}, {len(self.in_flight)} in flight)"


def independent_branches(plan: Program | Plan | Node) -> tuple[Node, ...]:
    """Return the branches of the first `Parallel` of a plan, if each stands alone.

    It may read what steps before the `Parallel` have come to, where these are sure to run.

    Raises:
        InvalidArgumentError: nothing runs side by side, or the branches share an agent, a result
            or a barrier, or read what may be missing; the message says what.

    Example:
        >>> from flowlab.workflow import Sequential
        >>> plan = Parallel(
        ...     Sequential(Step("a", agent="x", effect=False), Step("b", agent="x", effect=False)),
        ...     Step("c", agent="y", effect=False),
        ... )
        >>> independent_branches(plan)
        (Sequential(a, b), Step('c', agent='y', effect=False))
    """
    program = plan if isinstance(plan, Program) else Program.of(plan)
    places = list(locate(program.plan.root))
    found = next((at for at in places if isinstance(at.node, Parallel)), None)
    if found is None:
        message = f"{program!r} has no branches: nothing in it runs side by side"
        raise InvalidArgumentError(message)
    assert isinstance(found.node, Parallel)
    shared = _shared(program, found.node.branches, _sure(places, found.path))
    if shared:
        message = (
            f"the branches of {program!r} are not independent: {shared}; recover it as a whole"
        )
        raise InvalidArgumentError(message)
    return found.node.branches


def recover_branches(
    plan: Program | Plan | Node, events: Iterable[Event], *, executor: Executor | None = None
) -> tuple[BranchState, ...]:
    """Replay the independent branches of a running plan, each by itself; in the order of the plan.

    The law: together they hold the results and the steps in flight that a replay of the whole
    history has of these steps.

    Args:
        plan: the plan.
        events: the history of one instance, from its WorkflowStarted on.
        executor: on which the branches are replayed side by side; None is here, one by one.

    Raises:
        InvalidArgumentError: the branches are not independent; or the plan has failed, was asked to
            stop or is being undone, so that they matter to each other; or the history does not
            begin it.
    """
    program = plan if isinstance(plan, Program) else Program.of(plan)
    branches = independent_branches(program)
    history = begun(events)
    step_of: dict[int, str] = {}
    for event in history:
        if event.event_type in {"WorkflowCancelRequested", "CompensationScheduled"}:
            raise _as_a_whole(program)
        step = event.step_id if event.event_type in _ASKS else None
        if event.event_type in _ANSWERS:
            step = next((step_of[c.sequence] for c in event.causes if c.sequence in step_of), None)
        if step is not None:
            step_of[event.sequence] = step
    work = []
    reads = dependencies(program)
    steps = [at.node for at in locate(program.plan.root) if isinstance(at.node, Step)]
    for branch in branches:
        names = {at.node.name for at in locate(branch) if isinstance(at.node, Step)}
        known = names | _read_by(names, reads)
        before = [step for step in steps if step.name in known - names]
        mine = [event for event in history if step_of.get(event.sequence) in known]
        plan_of_it = Plan(Sequential(*before, branch) if before else branch)
        work.append((plan_of_it, _renumbered([history[0], *mine]), names))
    if executor is None:
        found = [_replayed(*item) for item in work]
    else:
        found = list(executor.map(_replayed, *zip(*work, strict=True)))
    if any(state is None for state in found):
        raise _as_a_whole(program)
    states = tuple(state for state in found if state is not None)
    if _has_come_to(program, history, set(step_of.values()), states):
        return states
    return tuple(replace(state, in_flight=()) for state in states)


def _has_come_to(
    program: Program, history: list[Event], heard: set[str], states: tuple[BranchState, ...]
) -> bool:
    """Say whether the branches were begun: each by itself does not know what is before them.

    Args:
        program: the plan.
        history: of it.
        heard: the steps that the history tells of.
        states: of the branches.
    """
    mine = {name for state in states for name in state.steps}
    if mine & heard:
        return True
    execution = PlanExecution(program, history[0].workflow_id)
    execution.advance(history)
    assert execution.instance is not None
    return any(step.name in mine for step in execution.instance.in_flight)


def _replayed(plan: Plan, events: list[Event], mine: set[str]) -> BranchState | None:
    """Replay one branch as a plan of its own; None where it is not running or at its end.

    Args:
        plan: the branch, after the steps before it that it reads.
        events: of them all.
        mine: the steps of the branch.
    """
    program = Program.of(plan)
    execution = PlanExecution(program, events[0].workflow_id)
    execution.advance(events)
    instance = execution.instance
    assert instance is not None
    names = tuple(step.name for step in program.steps if step.name in mine)
    if instance.phase != _RUNNING and not _completed(execution):
        return None
    flying = tuple(step.name for step in instance.in_flight if step.name in mine)
    results = {name: value for name, value in instance.results.items() if name in mine}
    return BranchState(names, results, flying, len(events) - 1)


def _sure(places: list[Located], upto: tuple[int, ...]) -> set[str]:
    """Return the steps that have come to something wherever the plan has come to a place."""
    choices = {at.path: at.node for at in places if isinstance(at.node, Conditional)}
    sure = {
        at.node.name
        for at in places
        if isinstance(at.node, Step)
        and at.path < upto
        and not any(at.path[: len(path)] == path for path in choices)
    }
    # What a choice around the place reads decides whether anything there runs.
    for path, choice in choices.items():
        if upto[: len(path)] == path:
            sure -= {place.step for place in choice.places if place.step is not None}
    return sure


def _read_by(names: set[str], reads: dict[str, set[str]]) -> set[str]:
    """Return all other steps whose results some steps read, and those read, and so on."""
    found: set[str] = set()
    todo = set(names)
    while todo:
        new = reads[todo.pop()] - names - found
        found |= new
        todo |= new
    return found


def _completed(execution: PlanExecution) -> bool:
    drafts = execution.advance(())
    return bool(drafts) and drafts[-1].event_type == "WorkflowCompleted"


def _renumbered(events: list[Event]) -> list[Event]:
    """Return events as a history without gaps."""
    place = {event.sequence: number for number, event in enumerate(events, 1)}
    return [
        event.replace(
            sequence=place[event.sequence],
            causes=tuple(
                Cause(cause.workflow_id, place[cause.sequence], cause.kind)
                for cause in event.causes
                if cause.workflow_id == event.workflow_id and cause.sequence in place
            ),
        )
        for event in events
    ]


def _as_a_whole(program: Program) -> InvalidArgumentError:
    message = (
        f"an instance of {program!r} has failed, was asked to stop or is being undone, so that its "
        "branches matter to each other; recover it as a whole"
    )
    return InvalidArgumentError(message)


def _shared(program: Program, branches: tuple[Node, ...], sure: set[str]) -> str:
    """Say what branches share; empty where each stands alone, after steps that are sure to run."""
    reads = dependencies(program)
    seen: dict[str, int] = {}
    for number, branch in enumerate(branches):
        inside = [at.node for at in locate(branch)]
        steps = [node for node in inside if isinstance(node, Step)]
        names = {step.name for step in steps}
        if any(isinstance(node, Barrier) for node in inside):
            return "they meet at a barrier"
        for step in steps:
            if seen.setdefault(step.agent, number) != number:
                return f"agent {step.agent!r} works on more than one"
            outside = sorted(_read_by({step.name}, reads) - names - sure)
            if outside:
                return f"step {step.name!r} reads the result of {outside[0]!r}"
    return "delays between attempts are drawn for all of them" if program.draws else ""
