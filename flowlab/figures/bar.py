"""A bar: what has a length in a picture, by rows of the window, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.events import Event
from flowlab.figures.text import clean, duration
from flowlab.figures.visits import Visit

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
        visits: how agents handled it, where the log tells that from the waiting.
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
    visits: tuple[Visit, ...] = ()

    @property
    def rows(self) -> tuple[int, ...]:
        """Every row that belongs to it."""
        last = () if self.ended is None else (self.ended,)
        handled = (row for visit in self.visits for row in visit.own)
        return tuple(dict.fromkeys((self.asked, *self.starts, *handled, *last)))

    @property
    def outcome(self) -> int | None:
        """The row at which what was asked for was done: what a compensation points back to."""
        done = [visit.done for visit in self.visits if visit.outcome == "committed"]
        return done[-1] if done else self.ended

    @property
    def words(self) -> str:
        """Its name, and how often it was tried."""
        return self.label + (f" ×{self.attempt}" if self.attempt > 1 else "")


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


def tip_of(
    events: Sequence[Event],
    call: Mapping[str, Any],
    rows: tuple[int | None, int | None, int | None],
    facts: list[str],
) -> str:
    """Return what a pointer over a call says: who, how it ended, how long, and what was said."""
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
