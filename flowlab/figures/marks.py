"""What a picture shows, before it has coordinates: bars, points and arrows on lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flowlab.events import Event
from flowlab.figures.graph import Link, causal_depth, causal_order, visible_links
from flowlab.figures.text import clean, duration, moment, plural, words
from flowlab.figures.window import Window

PAIRS: Final = {
    "CompensationCompleted": "CompensationScheduled",
    "CompensationFailed": "CompensationScheduled",
    "TimerFired": "TimerStarted",
    "TimerCanceled": "TimerStarted",
    "ChildWorkflowCompleted": "ChildWorkflowInitiated",
    "ChildWorkflowFailed": "ChildWorkflowInitiated",
    "ChildWorkflowCanceled": "ChildWorkflowInitiated",
    "ChildWorkflowTimedOut": "ChildWorkflowInitiated",
    "ChildWorkflowTerminated": "ChildWorkflowInitiated",
    "OperationCompleted": "OperationScheduled",
    "OperationFailed": "OperationScheduled",
    "OperationTimedOut": "OperationScheduled",
    "OperationCanceled": "OperationScheduled",
}
"""The events that end a bar other than an activity's, and what began it."""
_KINDS: Final = {"Compensation": "compensation", "Timer": "timer", "ChildWorkflow": "child"}
_CALL_ROWS: Final = ("sequence", "started_sequence", "ended_sequence")
_MAX_PAYLOAD: Final = 65_536
_MAX_TIP: Final = 240


@dataclass(frozen=True, slots=True)
class Bar:
    """Work with a length: rows of the window at which it was asked for, began and ended."""

    lane: int
    kind: str
    label: str
    status: str
    asked: int
    began: int | None
    ended: int | None
    attempt: int
    tip: str


@dataclass(frozen=True, slots=True)
class Point:
    """One event that belongs to no bar."""

    lane: int
    row: int
    glyph: str
    label: str
    tip: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Who did it: an agent, a host, a workflow; and the run it belongs to."""

    key: tuple[str, str, str]
    label: str
    note: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a picture shows. `at` gives each row its place on the axis."""

    window: Window
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    points: tuple[Point, ...]
    links: tuple[Link, ...]
    at: dict[int, int]
    causal: tuple[int, ...] = field(default=())


def scene(window: Window) -> Scene:
    """Read bars, points, links and lanes out of a window."""
    events = window.events
    links = visible_links(window.log, events, window.visible)
    shown = [row for row, flag in enumerate(window.visible) if flag]
    order = [row for row in causal_order(links, len(events)) if window.visible[row]]
    if window.axis == "time":
        at = {row: events[row].time_ns for row in shown}
    elif window.axis == "order":
        at = {row: place for place, row in enumerate(order)}
    else:
        at = causal_depth(links, order)
    lane_of = {key: index for index, key in enumerate(window.lanes)}
    bars = _bars(window, lane_of)
    used = {row for bar in bars for row in (bar.began, bar.ended) if row is not None}
    used |= {bar.asked for bar in bars if lane_of[lane_key(events[bar.asked])] == bar.lane}
    points = tuple(
        Point(lane_of[lane_key(events[row])], row, *_point(events[row]))
        for row in shown
        if row not in used
    )
    return Scene(
        window, _lanes(window, bars, points), tuple(bars), points, tuple(links), at, tuple(order)
    )


def lane_key(event: Event) -> tuple[str, str, str]:
    """Return what makes two events share a lane: namespace, run and agent."""
    return (event.namespace, event.run_id, event.agent_id)


def _bars(window: Window, lane_of: dict[tuple[str, str, str], int]) -> list[Bar]:
    events = window.events
    rows = {event.id: row for row, event in enumerate(events)}
    names = (
        "namespace, run_id, workflow_id, sequence, agent_id, name, attempt, status, tokens, "
        "started_sequence, ended_sequence"
    )
    bars = []
    for call in window.log.query(f"SELECT {names} FROM activities").to_pylist():
        stream = (call["namespace"], call["run_id"], call["workflow_id"])
        places = [rows.get((*stream, call[name])) for name in _CALL_ROWS]  # type: ignore[call-overload]
        asked, began, ended = (
            None if row is None or not window.visible[row] else row for row in places
        )
        first = next((row for row in (asked, began, ended) if row is not None), None)
        lane = lane_of.get((call["namespace"], call["run_id"], call["agent_id"]))
        if lane is None or first is None:
            continue
        label = clean(call["name"] or "activity")
        facts = [plural(call["tokens"], "token")] if call["tokens"] is not None else []
        tip = _bar_tip(events, call, (asked, began, ended), facts)
        status, attempt = call["status"], call["attempt"]
        bars.append(Bar(lane, "activity", label, status, first, began, ended, attempt, tip))
    return sorted(bars + _other_bars(window, rows, lane_of), key=lambda bar: bar.asked)


def _other_bars(
    window: Window, rows: dict[Any, int], lane_of: dict[tuple[str, str, str], int]
) -> list[Bar]:
    """Pair the beginnings and ends that are no activities: compensations, timers, children."""
    events = window.events
    beginnings = set(PAIRS.values())
    begun: dict[int, int | None] = {
        row: None
        for row, event in enumerate(events)
        if event.event_type in beginnings and window.visible[row]
    }
    for row, event in enumerate(events):
        beginning = PAIRS.get(event.event_type)
        for cause in event.causes if beginning else ():
            source = rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
            if source in begun and events[source].event_type == beginning and window.visible[row]:
                begun[source] = row
    bars = []
    for asked, ended in begun.items():
        event = events[asked]
        kind = next((v for k, v in _KINDS.items() if event.event_type.startswith(k)), "child")
        last = None if ended is None else events[ended]
        status = "running" if last is None else _status(last.event_type)
        lane = lane_of[lane_key(event if last is None else last)]
        call = {"name": event.name or kind, "agent_id": event.agent_id, "attempt": 1}
        call["status"] = status
        tip = _bar_tip(events, call, (asked, asked, ended), [])
        name = clean(event.name or kind)
        bars.append(Bar(lane, kind, name, status, asked, asked, ended, 1, tip))
    return bars


def _status(event_type: str) -> str:
    for ending, status in (("Failed", "failed"), ("TimedOut", "timed_out")):
        if event_type.endswith(ending):
            return status
    return "canceled" if event_type.endswith(("Canceled", "Terminated")) else "completed"


def _bar_tip(
    events: Sequence[Event],
    call: dict[str, Any],
    rows: tuple[int | None, int | None, int | None],
    facts: list[str],
) -> str:
    asked, began, ended = (None if row is None else events[row] for row in rows)
    parts = [f"{clean(call['name'])} · {clean(call['agent_id'])} · {call['status']}"]
    if call["attempt"] > 1:
        parts.append(f"attempt {call['attempt']}")
    if asked and began and began is not asked:
        parts.append(f"waited {duration(began.time_ns - asked.time_ns)}")
    if ended and (began or asked):
        parts.append(f"took {duration(ended.time_ns - (began or ended).time_ns)}")
    parts += facts
    for event in (ended, began, asked):
        said = _said(event)
        if said:
            parts.append(said)
            break
    return _cut(" · ".join(parts))


def _said(event: Event | None) -> str:
    """Find the sentence in a payload that tells a person what it was about."""
    if event is None or event.payload is None or len(event.payload) > _MAX_PAYLOAD:
        return ""
    data = event.data
    if not isinstance(data, dict):
        return ""
    error = data.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    for text in (message, data.get("summary")):
        if isinstance(text, str) and text:
            return clean(text)
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TIP else text[: _MAX_TIP - 1] + "…"


_GLYPHS: Final = {
    "WorkflowStarted": "start",
    "WorkflowCompleted": "end",
    "WorkflowContinuedAsNew": "again",
    "AgentCrashed": "crash",
    "AgentRestarted": "start",
    "PivotReached": "pivot",
    "BarrierReleased": "barrier",
    "BarrierArrived": "arrival",
    "CheckpointTaken": "flag",
    "LogTruncated": "flag",
    "LockClaimed": "lock",
    "LockStashed": "lock",
    "LockReleased": "unlock",
    "MessageSent": "sent",
    "SignalInitiated": "sent",
    "MessageReceived": "received",
    "SignalDelivered": "received",
    "Signaled": "signal",
    "MessageDropped": "dropped",
    "MessageDuplicated": "duplicated",
    "TransactionCommitted": "commit",
    "SagaStepCommitted": "commit",
    "ActivityScheduled": "call",
    "WorkflowTaskScheduled": "tick",
    "WorkflowTaskStarted": "tick",
    "WorkflowTaskCompleted": "tick",
}
_QUIET: Final = frozenset({"call", "tick", "start", "end", "commit", "arrival"})


def _point(event: Event) -> tuple[str, str, str]:
    glyph = _GLYPHS.get(event.event_type, "")
    if not glyph:
        status = _status(event.event_type)
        glyph = {"completed": "dot", "canceled": "canceled"}.get(status, status)
    label = clean(event.name or words(event.event_type))
    if glyph in _QUIET:
        label = ""
    elif glyph in {"failed", "timed_out", "canceled", "crash"}:
        label = words(event.event_type)
    said = _said(event)
    facts = [words(event.event_type), clean(event.name), clean(event.agent_id)]
    facts += [f"{clean(event.workflow_id)}/{event.sequence}", moment(event.time_ns), said]
    return glyph, label, _cut(" · ".join(fact for fact in facts if fact))


def _lanes(window: Window, bars: Sequence[Bar], points: Sequence[Point]) -> tuple[Lane, ...]:
    lanes = []
    for index, key in enumerate(window.lanes):
        calls = [bar for bar in bars if bar.lane == index and bar.kind == "activity"]
        count = sum(point.lane == index for point in points)
        note = plural(len(calls), "call") if calls else plural(count, "event")
        if calls and window.axis == "time":
            note += f" · {duration(_busy(window, calls))}"
        lanes.append(Lane(key, clean(key[2]) or "(no agent)", note))
    return tuple(lanes)


def _busy(window: Window, bars: Sequence[Bar]) -> int:
    """Return how long a lane worked: the union of its bars."""
    spans = [
        (window.events[bar.began].time_ns, window.events[bar.ended].time_ns)
        for bar in bars
        if bar.began is not None and bar.ended is not None
    ]
    total, reached = 0, -(2**63)
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total
