"""What has a length: calls and their attempts, compensations, timers, children, locks, waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.events import Event
from flowlab.figures.text import clean, duration, plural
from flowlab.figures.window import Window, lane_key

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
_KINDS: Final = {
    "CompensationScheduled": "compensation",
    "TimerStarted": "timer",
    "ChildWorkflowInitiated": "child",
    "OperationScheduled": "child",
}
_CALL_ROWS: Final = (
    ("workflow_id", "sequence"),
    ("started_workflow_id", "started_sequence"),
    ("workflow_id", "ended_sequence"),
)
_MAX_TIP: Final = 240


@dataclass(frozen=True, slots=True)
class Bar:
    """Work with a length, by rows of the window.

    Args:
        lane: where it is drawn.
        kind: activity, compensation, timer, child, lock or barrier.
        status: as in the relation `activities`.
        asked: the row at which it was asked for; from here to the first start it waited.
        starts: the rows of its attempts; the last one worked until `ended`.
        ended: the row of its end; None while it runs.
        cut: the row of the crash that broke the last attempt.
        attempt: how often it was tried; attempts that have no event of their own count too.
        step: the plan's node, where the log says.
    """

    lane: int
    kind: str
    label: str
    status: str
    asked: int
    starts: tuple[int, ...]
    ended: int | None
    attempt: int = 1
    tip: str = ""
    step: str | None = None
    cut: int | None = None

    @property
    def rows(self) -> tuple[int, ...]:
        """Every row that belongs to it."""
        last = () if self.ended is None else (self.ended,)
        return tuple(dict.fromkeys((self.asked, *self.starts, *last)))

    @property
    def words(self) -> str:
        """Its name, and how often it was tried."""
        return self.label + (f" ×{self.attempt}" if self.attempt > 1 else "")


def read_bars(window: Window, lane_of: Mapping[tuple[str, str, str], int]) -> list[Bar]:
    """Read every bar out of a window, in the order in which they were asked for."""
    rows = {event.id: row for row, event in enumerate(window.events)}
    bars = [
        *_calls(window, rows, lane_of),
        *_pairs(window, rows, lane_of),
        *_locks(window, lane_of),
        *_barrier_waits(window, rows, lane_of),
    ]
    return sorted(bars, key=lambda bar: (bar.asked, bar.lane, bar.kind))


def _calls(
    window: Window, rows: Mapping[Any, int], lane_of: Mapping[tuple[str, str, str], int]
) -> Iterator[Bar]:
    attempts = _attempts(window, rows)
    crashes = _crashes(window)
    names = (
        "namespace, run_id, workflow_id, sequence, agent_id, name, attempt, status, tokens, "
        "started_workflow_id, started_sequence, ended_sequence"
    )
    for call in window.log.query(f"SELECT {names} FROM activities").to_pylist():
        key = (call["namespace"], call["run_id"], call["agent_id"])
        found = [
            rows.get((call["namespace"], call["run_id"], call[stream], call[sequence]))
            for stream, sequence in _CALL_ROWS
        ]
        asked, began, ended = (
            None if row is None or not window.visible[row] else row for row in found
        )
        first = next((row for row in (asked, began, ended) if row is not None), None)
        if key not in lane_of or first is None:
            continue
        starts = attempts.get(first, ()) or (() if began is None else (began,))
        if not starts and ended is not None and call["status"] != "timed_out":
            starts = (first,)
        last = starts[-1] if starts else first
        cut = None
        if ended is None:
            cut = next((crash for crash in crashes.get(key, ()) if crash > last), None)
        facts = [] if call["tokens"] is None else [plural(call["tokens"], "token")]
        yield Bar(
            lane_of[key],
            "activity",
            clean(call["name"] or "activity"),
            call["status"],
            first,
            starts,
            ended,
            call["attempt"],
            _tip(window.events, call, (asked, began, ended), facts),
            window.events[first].step_id,
            cut,
        )


def _attempts(window: Window, rows: Mapping[Any, int]) -> dict[int, tuple[int, ...]]:
    """Return the rows of the recorded starts of each call."""
    found: dict[int, list[int]] = {}
    for row, event in enumerate(window.events):
        if event.event_type != "ActivityStarted" or not window.visible[row]:
            continue
        for cause in event.causes:
            asked = rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
            if asked is not None and window.events[asked].event_type == "ActivityScheduled":
                found.setdefault(asked, []).append(row)
    return {asked: tuple(starts) for asked, starts in found.items()}


def _crashes(window: Window) -> dict[tuple[str, str, str], list[int]]:
    found: dict[tuple[str, str, str], list[int]] = {}
    for row, event in enumerate(window.events):
        if event.event_type == "AgentCrashed":
            found.setdefault(lane_key(event), []).append(row)
    return found


def _pairs(
    window: Window, rows: Mapping[Any, int], lane_of: Mapping[tuple[str, str, str], int]
) -> Iterator[Bar]:
    """Pair the beginnings and ends that are no activities: compensations, timers, children."""
    events = window.events
    begun: dict[int, int | None] = {
        row: None
        for row, event in enumerate(events)
        if event.event_type in _KINDS and window.visible[row]
    }
    for row, event in enumerate(events):
        start = _beginning_of(event, window, rows, begun) if window.visible[row] else None
        if start is not None:
            begun[start] = row
    for asked, ended in begun.items():
        event = events[asked]
        kind = _KINDS[event.event_type]
        last = None if ended is None else events[ended]
        status = "running" if last is None else status_of(last.event_type)
        lane = lane_of.get(lane_key(last or event))
        if lane is None:
            continue
        name = clean(event.name or kind)
        label = f"timer {name}" if kind == "timer" and name.isdigit() else name
        call = {"name": label, "agent_id": event.agent_id, "attempt": 1, "status": status}
        tip = kind + ": " + _tip(events, call, (asked, asked, ended), [])
        yield Bar(lane, kind, label, status, asked, (asked,), ended, 1, tip, event.step_id)


def _beginning_of(
    event: Event, window: Window, rows: Mapping[Any, int], begun: Mapping[int, int | None]
) -> int | None:
    """Find what an end belongs to: its cause, or else the oldest open one with its name."""
    wanted = PAIRS.get(event.event_type)
    if wanted is None:
        return None
    for cause in event.causes:
        found = rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
        if found is not None and found in begun and window.events[found].event_type == wanted:
            return found
    stream, mine = event.id[:3], (wanted, event.name)
    for source, ended in begun.items():
        other = window.events[source]
        if ended is None and other.id[:3] == stream and (other.event_type, other.name) == mine:
            return source if other.sequence < event.sequence else None
    return None


def _locks(window: Window, lane_of: Mapping[tuple[str, str, str], int]) -> Iterator[Bar]:
    """Yield the times for which a lane waited for a lock and held it."""
    open_locks: dict[tuple[Any, ...], dict[str, int]] = {}
    for row, event in enumerate(window.events):
        if not event.event_type.startswith("Lock") or not window.visible[row]:
            continue
        key = (lane_key(event), event.name, event.coordination_id)
        known = open_locks.setdefault(key, {})
        if event.event_type != "LockReleased":
            if event.event_type in known:
                yield from _lock(window, lane_of, known, None)
                known.clear()
            known[event.event_type] = row
        elif known:
            yield from _lock(window, lane_of, open_locks.pop(key), row)
    for known in open_locks.values():
        yield from _lock(window, lane_of, known, None)


def _lock(
    window: Window,
    lane_of: Mapping[tuple[str, str, str], int],
    known: Mapping[str, int],
    released: int | None,
) -> Iterator[Bar]:
    if not known:
        return
    claimed = known.get("LockClaimed")
    asked = min(known.values())
    event = window.events[asked]
    lane = lane_of.get(lane_key(event))
    if lane is None:
        return
    name = clean(event.name or "lock")
    tip = f"lock {name} · {clean(event.agent_id)}"
    waited_until = released if claimed is None else claimed
    for verb, first, last in (("waited", asked, waited_until), ("held", claimed, released)):
        if first is not None and last is not None and first != last:
            took = window.events[last].time_ns - window.events[first].time_ns
            tip += f" · {verb} {duration(took)}"
    status = "running" if released is None else "completed"
    starts = () if claimed is None else (claimed,)
    yield Bar(lane, "lock", name, status, asked, starts, released, 1, cut_text(tip))


def _barrier_waits(
    window: Window, rows: Mapping[Any, int], lane_of: Mapping[tuple[str, str, str], int]
) -> Iterator[Bar]:
    """Yield the times for which a lane waited at a barrier."""
    waiting: dict[tuple[Any, ...], list[int]] = {}
    for row, event in enumerate(window.events):
        if not window.visible[row] or not event.event_type.startswith("Barrier"):
            continue
        key = (event.namespace, event.run_id, event.coordination_id, event.step_id)
        if event.event_type == "BarrierArrived":
            waiting.setdefault(key, []).append(row)
            continue
        named = {
            rows.get((*event.id[:2], cause.workflow_id, cause.sequence)) for cause in event.causes
        }
        came = waiting.pop(key, [])
        for others in waiting.values():
            came += [other for other in others if other in named]
            others[:] = [other for other in others if other not in named]
        for arrival in sorted(came):
            yield from _barrier_wait(window, lane_of, arrival, row)
    for arrivals in waiting.values():
        for arrival in arrivals:
            yield from _barrier_wait(window, lane_of, arrival, None)


def _barrier_wait(
    window: Window,
    lane_of: Mapping[tuple[str, str, str], int],
    arrival: int,
    released: int | None,
) -> Iterator[Bar]:
    event = window.events[arrival]
    lane = lane_of.get(lane_key(event))
    if lane is None:
        return
    name = clean(event.name or event.step_id or "barrier")
    tip = f"barrier {name} · {clean(event.agent_id)}"
    if released is not None:
        tip += f" · waited {duration(window.events[released].time_ns - event.time_ns)}"
    status = "running" if released is None else "completed"
    yield Bar(lane, "barrier", name, status, arrival, (), released, 1, cut_text(tip))


def status_of(event_type: str) -> str:
    """Return the status that an event of this type leaves behind.

    Example:
        >>> status_of("ChildWorkflowTimedOut"), status_of("TimerFired")
        ('timed_out', 'completed')
    """
    for ending, status in (("Failed", "failed"), ("TimedOut", "timed_out")):
        if event_type.endswith(ending):
            return status
    return "canceled" if event_type.endswith(("Canceled", "Terminated")) else "completed"


def _tip(
    events: Sequence[Event],
    call: Mapping[str, Any],
    rows: tuple[int | None, int | None, int | None],
    facts: list[str],
) -> str:
    asked, began, ended = (None if row is None else events[row] for row in rows)
    parts = [f"{clean(call['name'])} · {clean(call['agent_id'])[:80]} · {call['status']}"]
    if call["attempt"] > 1:
        parts.append(f"attempt {call['attempt']}")
    if asked and began and began is not asked:
        parts.append(f"waited {duration(began.time_ns - asked.time_ns)}")
    if ended and (began or asked):
        parts.append(f"took {duration(ended.time_ns - (began or asked or ended).time_ns)}")
    parts += facts
    said = next((text for text in map(said_in, (ended, began, asked)) if text), "")
    said = "" if said == clean(call["name"]) else said
    return cut_text(" · ".join([*parts, said] if said else parts))


def said_in(event: Event | None) -> str:
    """Find the sentence in a payload that tells a person what it was about."""
    if event is None or event.payload is None:
        return ""
    data = event.data
    if not isinstance(data, dict):
        return ""
    error = data.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    for text in (message, data.get("summary")):
        if isinstance(text, str) and text:
            return clean(text[:_MAX_TIP])
    return ""


def cut_text(text: str) -> str:
    """Cut what a pointer says to a length that fits a screen."""
    return text if len(text) <= _MAX_TIP else text[: _MAX_TIP - 1] + "…"
