"""What has a length: calls and their attempts, compensations, timers, children, locks, waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from flowlab.events import Event
from flowlab.figures.bar import Bar, status_of, tip_of
from flowlab.figures.calls import read_calls
from flowlab.figures.holds import barrier_bars, lock_bars
from flowlab.figures.text import clean, plural
from flowlab.figures.visits import Visit, read_visits
from flowlab.figures.window import LaneKey, Window, lane_key

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


def read_bars(window: Window, lane_of: Mapping[LaneKey, int]) -> list[Bar]:
    """Read every bar out of a window, in the order in which they were asked for."""
    visits: dict[int | None, list[Visit]] = {}
    for visit in read_visits(window):
        visits.setdefault(visit.request, []).append(visit)
    bars = [
        *_calls(window, lane_of, visits),
        *_pairs(window, lane_of, visits),
        # What is left was handled for nobody who waits: a message, a copy, or what came too late.
        *(_alone(window, lane_of, visit) for some in visits.values() for visit in some),
        *lock_bars(window, lane_of),
        *barrier_bars(window, lane_of),
    ]
    return sorted(bars, key=lambda bar: (bar.asked, bar.lane, bar.kind))


def _take(
    window: Window, visits: dict[int | None, list[Visit]], asked: int | None, ended: int | None
) -> tuple[Visit, ...]:
    """Take out the visits of a request that began before its end."""
    mine = visits.pop(asked, []) if asked is not None else []
    last = None if ended is None else window.events[ended].time_ns
    within = [v for v in mine if last is None or window.events[v.start].time_ns <= last]
    late = [v for v in mine if v not in within]
    if late:
        visits[asked] = late
    return tuple(within)


def _alone(window: Window, lane_of: Mapping[LaneKey, int], visit: Visit) -> Bar:
    """Return the bar of a visit that no call waits for."""
    event = window.events[visit.start]
    crashed, hung = visit.outcome == "crashed", visit.outcome == "hung"
    failed = visit.outcome == "aborted"
    status = "failed" if failed else "completed" if visit.outcome == "committed" else "running"
    ended = None if crashed or hung else visit.done
    call = {"name": event.name, "agent_id": event.agent_id, "attempt": 1, "status": status}
    return Bar(
        lane_of[lane_key(event)],
        "activity",
        clean(event.name or "message"),
        status,
        visit.start,
        (visit.start,),
        ended,
        1,
        tip_of(window.events, call, (visit.start, visit.start, ended), []),
        None,
        visit.done if crashed or hung else None,
        (visit,),
    )


def _calls(
    window: Window,
    lane_of: Mapping[LaneKey, int],
    visits: dict[int | None, list[Visit]],
) -> Iterator[Bar]:
    attempts = _attempts(window)
    crashes = _crashes(window)
    for call in read_calls(window):
        event = window.events[call.asked]
        key = (event.namespace, event.run_id, call.agent_id)
        asked, began, ended = (
            row if row is not None and window.visible[row] else None
            for row in (call.asked, call.began, call.ended)
        )
        first = next((row for row in (asked, began, ended) if row is not None), None)
        if first is None:
            continue
        lane = lane_of.get(key, lane_of.get(lane_key(window.events[first])))
        if lane is None:
            continue
        mine = _take(window, visits, asked, ended)
        starts = tuple(visit.start for visit in mine) or attempts.get(first, ())
        if not starts and began is not None and asked not in visits:
            starts = (began,)
        if not starts and ended is not None and call.status != "timed_out":
            starts = (first,)
        last = starts[-1] if starts else first
        cut = None
        if ended is None and not mine:
            cut = next((crash for crash in crashes.get(key, ()) if crash > last), None)
        facts = [] if call.tokens is None else [plural(call.tokens, "token")]
        told = {"name": event.name, "agent_id": call.agent_id, "attempt": call.attempt}
        told["status"] = call.status
        yield Bar(
            lane,
            "activity",
            clean(event.name or "activity"),
            call.status,
            first,
            starts,
            ended,
            call.attempt,
            tip_of(window.events, told, (asked, began, ended), facts),
            window.events[first].step_id,
            cut,
            mine,
        )


def _attempts(window: Window) -> dict[int, tuple[int, ...]]:
    """Return the rows of the recorded starts of each call."""
    found: dict[int, list[int]] = {}
    for row, event in enumerate(window.events):
        if event.event_type != "ActivityStarted" or not window.visible[row]:
            continue
        for cause in event.causes:
            asked = window.rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
            if asked is not None and window.events[asked].event_type == "ActivityScheduled":
                found.setdefault(asked, []).append(row)
    return {asked: tuple(starts) for asked, starts in found.items()}


def _crashes(window: Window) -> dict[LaneKey, list[int]]:
    found: dict[LaneKey, list[int]] = {}
    for row, event in enumerate(window.events):
        if event.event_type == "AgentCrashed":
            found.setdefault(lane_key(event), []).append(row)
    return found


def _pairs(
    window: Window,
    lane_of: Mapping[LaneKey, int],
    visits: dict[int | None, list[Visit]],
) -> Iterator[Bar]:
    """Pair the beginnings and ends that are no activities: compensations, timers, children."""
    events = window.events
    begun: dict[int, int | None] = {
        row: None
        for row, event in enumerate(events)
        if event.event_type in _KINDS and window.visible[row]
    }
    for row, event in enumerate(events):
        start = _beginning_of(event, window, begun) if window.visible[row] else None
        if start is not None and not _has_held(events, begun[start]):
            begun[start] = row
    for asked, ended in begun.items():
        event = events[asked]
        kind = _KINDS[event.event_type]
        last = None if ended is None else events[ended]
        status = "running" if last is None else status_of(last.event_type)
        mine = _take(window, visits, asked, ended) if kind == "compensation" else ()
        lane = lane_of.get(lane_key(events[mine[0].start] if mine else last or event))
        if lane is None:
            continue
        name = clean(event.name or kind)
        attempt = _attempt(event)
        label = f"timer {name}" if kind == "timer" and name.isdigit() else name
        label = f"pause: {name}" if kind == "timer" and _tries_again(event) else label
        starts = tuple(visit.start for visit in mine) or (asked,)
        call = {"name": label, "agent_id": event.agent_id, "attempt": attempt, "status": status}
        tip = kind + ": " + tip_of(events, call, (asked, starts[0], ended), [])
        yield Bar(
            lane, kind, label, status, asked, starts, ended, attempt, tip, event.step_id, None, mine
        )


def _attempt(event: Event) -> int:
    """Return which attempt an undoing is; a pause before one is no attempt itself."""
    data = event.data if event.event_type == "CompensationScheduled" and event.payload else None
    attempt = data.get("attempt") if isinstance(data, dict) else None
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def _tries_again(event: Event) -> bool:
    """Say whether a timer is the pause before another attempt."""
    data = event.data if event.payload else None
    return isinstance(data, dict) and "attempt" in data


def _has_held(events: Sequence[Event], ended: int | None) -> bool:
    """Say whether a compensation is over: an answer that comes late makes it no longer."""
    return ended is not None and events[ended].event_type == "CompensationCompleted"


def _beginning_of(event: Event, window: Window, begun: Mapping[int, int | None]) -> int | None:
    """Find what an end belongs to: its cause, or else the oldest open one with its name."""
    wanted = PAIRS.get(event.event_type)
    if wanted is None:
        return None
    for cause in event.causes:
        found = window.rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
        if found is not None and found in begun and window.events[found].event_type == wanted:
            return found
    stream, mine = event.id[:3], (wanted, event.name)
    for source, ended in begun.items():
        other = window.events[source]
        if ended is None and other.id[:3] == stream and (other.event_type, other.name) == mine:
            return source if other.sequence < event.sequence else None
    return None
