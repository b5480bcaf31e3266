"""What became of each node of a plan in one run of it: done, failed, undone, skipped, running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Event, EventLog
from flowlab.figures.text import clean, plural
from flowlab.workflow.plan_drawing import Drawing, DrawnNode

STATES: Final = ("done", "failed", "compensated", "running", "skipped")
_ENDS: Final = {
    "ActivityCompleted": "done",
    "ActivityFailed": "failed",
    "ActivityTimedOut": "failed",
    "ActivityCanceled": "skipped",
    "CompensationCompleted": "done",
    "CompensationFailed": "failed",
}
_ASKS: Final = frozenset({"ActivityScheduled", "CompensationScheduled"})
_OVER: Final = frozenset(
    {
        "WorkflowCompleted",
        "WorkflowFailed",
        "WorkflowCanceled",
        "WorkflowTimedOut",
        "WorkflowTerminated",
    }
)
_BACK: Final = frozenset({"compensates", "undoes"})


@dataclass(frozen=True, slots=True)
class Executed:
    """A run of a plan: the state of each node, attempts above one, and the compensation chain.

    Args:
        workflow_id: the stream.
        outcome: how the workflow ended, in words.
        states: by node id; a node that is still to come has none.
        attempts: of steps and compensations that were tried more than once.
        chain: the compensations that were asked for, by node id, in order.
    """

    workflow_id: str
    outcome: str
    states: Mapping[str, str]
    attempts: Mapping[str, int]
    chain: tuple[str, ...]

    def taken(self, source: str, target: str) -> bool:
        """Say whether the way from one node to another was taken."""
        gone = {"done", "failed", "compensated", "running"}
        return self.states.get(source) in gone and self.states.get(target) in gone


def read_executed(
    drawing: Drawing, log: EventLog, *, workflow_id: str | None, upto: int | None
) -> Executed:
    """Read what became of a plan's nodes out of a workflow's history.

    Raises:
        NotFoundError: the log has no such workflow.
        InvalidArgumentError: the log has several, and none is named; or runs of that name.
    """
    history = _history(log, workflow_id)
    if upto is not None:
        history = [event for event in history if event.sequence <= upto]
    ended = next((event for event in reversed(history) if event.event_type in _OVER), None)
    states: dict[str, str] = {}
    attempts: dict[str, int] = {}
    chain: list[str] = []
    for node in drawing.nodes:
        if node.kind == "step":
            told, tries = _fate(history, node.label, undoing=False)
            undo, more = _fate(history, node.label, undoing=True)
            name = f"{node.node_id}+compensation"
            if told is not None:
                states[node.node_id] = "compensated" if undo == "done" else told
            if undo is not None:
                states[name] = undo
            attempts |= {key: n for key, n in ((node.node_id, tries), (name, more)) if n > 1}
    for event in history:
        if event.event_type == "CompensationScheduled":
            step = event.step_id or event.name
            chain += [
                f"{node.node_id}+compensation"
                for node in drawing.nodes
                if node.kind == "step" and node.label == step
            ]
    over = ended is not None
    _add_structure(drawing, history, states, completed=over and _is_good(ended))
    if over:
        for node in drawing.nodes:
            states.setdefault(node.node_id, "skipped")
    outcome = "running" if ended is None else ended.event_type.removeprefix("Workflow").lower()
    name = history[0].workflow_id if history else ""
    return Executed(name, outcome, states, attempts, tuple(dict.fromkeys(chain)))


def _is_good(event: Event | None) -> bool:
    return event is not None and event.event_type == "WorkflowCompleted"


def _history(log: EventLog, workflow_id: str | None) -> list[Event]:
    streams = [w for w in log.table.column("workflow_id").unique().to_pylist() if w[:1] != "@"]
    if workflow_id is None and len(streams) != 1:
        message = (
            f"the log has {plural(len(streams), 'workflow')}; name one of them: "
            f"{sorted(streams)[:6]}"
        )
        raise InvalidArgumentError(message)
    wanted = streams[0] if workflow_id is None else workflow_id
    if wanted not in streams:
        message = f"the log has no workflow {wanted!r}; it has {sorted(streams)[:6]}"
        raise NotFoundError(message)
    events = log.filter(workflow_id=wanted).events()
    runs = {event.id[:2] for event in events}
    if len(runs) > 1:
        message = f"{len(runs)} runs have a workflow {wanted!r}; take log.filter(run_id=...)"
        raise InvalidArgumentError(message)
    return sorted(events, key=lambda event: event.sequence)


def _fate(history: Sequence[Event], step: str, *, undoing: bool) -> tuple[str | None, int]:
    """Return how a step, or its undoing, ended and how often it was tried; None: never begun."""
    asked: set[int] = set()
    named: set[int] = set()
    state: str | None = None
    wanted = "CompensationScheduled" if undoing else "ActivityScheduled"
    held = False
    for event in history:
        causes = {c.sequence for c in event.causes if c.workflow_id == event.workflow_id}
        if event.event_type == wanted and (event.step_id or event.name) == step:
            asked.add(event.sequence)
            named.add(event.sequence)
            state = state if held else "running"
        elif event.event_type == "ActivityStarted" and causes & named:
            named.add(event.sequence)
        elif event.event_type in _ENDS and causes & named and not held:
            state = _ENDS[event.event_type]
            held = state == "done"
    return state, len(asked)


def _add_structure(
    drawing: Drawing, history: Sequence[Event], states: dict[str, str], *, completed: bool
) -> None:
    """Add the nodes that are no steps: gone through if a way through them was taken."""
    following: dict[str, list[str]] = {}
    before: dict[str, list[str]] = {}
    for edge in drawing.edges:
        if edge.kind not in _BACK:
            following.setdefault(edge.source, []).append(edge.target)
            before.setdefault(edge.target, []).append(edge.source)
    released = {
        event.step_id or event.name for event in history if event.event_type == "BarrierReleased"
    } | {event.name for event in history if event.event_type == "BarrierReleased"}
    if history:
        states["start"] = "done"
    if completed:
        states["end"] = "done"
    plain = [node for node in drawing.nodes if node.kind not in {"step", "compensation", "event"}]
    changed = True
    while changed:
        changed = False
        for node in plain:
            if node.node_id in states:
                continue
            free = bool(node.label) and node.label in released
            if free or _is_passed(node, states, following, before):
                states[node.node_id] = "done"
                changed = True


def _is_passed(
    node: DrawnNode,
    states: Mapping[str, str],
    following: Mapping[str, Sequence[str]],
    before: Mapping[str, Sequence[str]],
) -> bool:
    if any(states.get(target) for target in following.get(node.node_id, ())):
        return True
    # Nothing follows yet: all that a join waits for is done, or one way that a merge closes.
    earlier = before.get(node.node_id, ())
    through = [states.get(source) in {"done", "compensated"} for source in earlier]
    if node.kind == "join":
        return bool(through) and all(through)
    return node.kind == "merge" and any(through)


def lines_of(executed: Executed, drawing: Drawing) -> Iterator[str]:
    """Yield what became of each step, and the compensation chain, in lines."""
    names = {node.node_id: node.label for node in drawing.nodes}
    yield f"{clean(executed.workflow_id)}: {executed.outcome}"
    for node in drawing.nodes:
        if node.kind in {"step", "compensation"}:
            tries = executed.attempts.get(node.node_id)
            state = executed.states.get(node.node_id, "to come")
            if node.kind == "compensation" and state == "skipped":
                continue
            word = f"undoing: {clean(node.label)}" if node.kind == "compensation" else node.label
            yield f"  {clean(word)}: {state}" + (f", {tries} attempts" if tries else "")
    if executed.chain:
        undone = [clean(names[each.removesuffix("+compensation")]) for each in executed.chain]
        yield f"compensation chain: {', then '.join(undone)}"
