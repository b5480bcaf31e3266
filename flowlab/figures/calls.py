"""The calls of activities in a window: what the relation `activities` says, by rows.

A law holds the two together. A picture asks for a few hundred events at once, for which this takes
a hundredth of the time that a query would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.events import CauseKind, Event
from flowlab.figures.window import Window

_STATUS: Final = {
    "ActivityCompleted": "completed",
    "ActivityFailed": "failed",
    "ActivityTimedOut": "timed_out",
    "ActivityCanceled": "canceled",
}
_STEPS: Final = frozenset({"ActivityStarted", *_STATUS})
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Call:
    """One call: who handled it and how it ended, and where it was asked for, began and ended."""

    asked: int
    agent_id: str
    attempt: int
    status: str
    tokens: int | None
    began: int | None
    ended: int | None


def read_calls(window: Window) -> Iterator[Call]:
    """Yield every call, in the order of their requests."""
    events = window.events
    called = [
        row for row, event in enumerate(events)
        if event.event_type == "ActivityScheduled" and window.rows[event.id] == row
    ]  # fmt: skip
    steps = _steps(window, set(called))
    taken = _taken(window, set(called))
    for asked in called:
        mine = steps.get(asked, [])
        starts = [row for row in mine if events[row].event_type == "ActivityStarted"]
        started = max(starts, key=lambda row: events[row].sequence, default=None)
        begun = 0 if started is None else events[started].sequence
        answers = [row for row in mine if events[row].event_type != "ActivityStarted"]
        # An answer after the first changes nothing; of several starts the last one counts.
        ended = min(
            answers,
            key=lambda row: (events[row].sequence < begun, events[row].sequence),
            default=None,
        )
        took = taken.get(asked)
        request = _said(events[asked])
        began = started if took is None else took
        if ended is not None:
            status = _STATUS[events[ended].event_type]
        else:
            status = "scheduled" if began is None else "running"
        attempts = [attempt_in(request) or 1, len(starts)]
        if started is not None:
            attempts.append(attempt_in(_said(events[started])) or 1)
        agent = _agent(events, request, (asked, took, started, ended))
        tokens = None if ended is None else _tokens(_said(events[ended]))
        yield Call(asked, agent, max(attempts), status, tokens, began, ended)


def _said(event: Event) -> Mapping[str, Any]:
    data = None if event.payload is None else event.data
    return data if isinstance(data, dict) else {}


def _agent(
    events: Sequence[Event],
    request: Mapping[str, Any],
    rows: tuple[int, int | None, int | None, int | None],
) -> str:
    asked, took, started, ended = rows
    if took is not None:
        return events[took].agent_id
    if started is not None:
        return events[started if ended is None else ended].agent_id
    named = request.get("agent")
    if isinstance(named, str):
        return named
    return events[asked if ended is None else ended].agent_id


def attempt_in(payload: Mapping[str, Any]) -> int | None:
    """Return which attempt a payload says that it is."""
    return _whole(payload.get("attempt"))


def _tokens(payload: Mapping[str, Any]) -> int | None:
    result = payload.get("result")
    for said in (payload, result if isinstance(result, dict) else {}):
        usage = said.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        if total is not None:
            return _whole(total)
    return None


def _whole(value: object) -> int | None:
    """Read a whole number, as SQL's TRY_CAST does from the text of a JSON value."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if _LEAST <= number <= _MOST else None


def _steps(window: Window, called: set[int]) -> dict[int, list[int]]:
    """Return the starts and ends of each request: those that name it, or a step that does."""
    named: dict[int, list[int]] = {}
    for row, event in enumerate(window.events):
        if event.event_type in _STEPS:
            found = [
                window.rows.get((*event.id[:3], cause.sequence))
                for cause in event.causes
                if cause.workflow_id == event.workflow_id
            ]
            named[row] = [ref for ref in found if ref is not None]
    direct = {row: [ref for ref in refs if ref in called] for row, refs in named.items()}
    steps: dict[int, list[int]] = {}
    for row, refs in named.items():
        through = [request for ref in refs for request in direct.get(ref, ())]
        requests = [*direct[row], *through]
        if requests:
            last = max(requests, key=lambda ref: window.events[ref].sequence)
            steps.setdefault(last, []).append(row)
    return steps


def _taken(window: Window, called: set[int]) -> dict[int, int]:
    """Return where the message of each request was taken up first, or a copy of it was."""
    found: dict[int, int] = {}
    events = window.events

    def when(row: int) -> tuple[int, str, int]:
        return events[row].time_ns, events[row].workflow_id, events[row].sequence

    for row, event in enumerate(events):
        if event.event_type != "MessageReceived":
            continue
        for asked in _sources(window, event):
            if asked in called and (asked not in found or when(row) < when(found[asked])):
                found[asked] = row
    return found


def _sources(window: Window, event: Event) -> Iterator[int]:
    for cause in event.causes:
        sent = window.rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
        if sent is None:
            continue
        if cause.kind == CauseKind.MESSAGE:
            yield sent
        copy = window.events[sent]
        if copy.event_type == "MessageDuplicated":
            for first in copy.causes:
                source = window.rows.get((*copy.id[:2], first.workflow_id, first.sequence))
                if source is not None:
                    yield source
