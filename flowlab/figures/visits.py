"""What an agent did with a message: from when it took it up until it committed, failed or fell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowlab.events import CauseKind, Event
from flowlab.figures.window import Window, lane_key

_OUTCOMES: Final = {
    "TransactionCommitted": "committed",
    "TransactionAborted": "aborted",
    "AgentCrashed": "crashed",
    "FaultInjected": "hung",
}
_HANG: Final = "hang"
_TAKES_UP: Final = "waited_ns"
"""In the payload of a `MessageReceived` with which the handling of the message begins."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The handling of one message by one agent, by rows of the window.

    Args:
        start: where the agent takes the message up.
        done: where that ends: the transaction's event, the crash, or the fault that hangs it.
        outcome: committed, aborted, crashed, hung; or open, where the log ends first.
        request: the row of the event that sent the message; None where the log lacks it.
    """

    start: int
    done: int | None
    outcome: str
    request: int | None

    @property
    def own(self) -> tuple[int, ...]:
        """The rows that its bar stands for; a crash and a fault have signs of their own."""
        ended = self.outcome in {"committed", "aborted"} and self.done is not None
        return (self.start, self.done) if ended and self.done is not None else (self.start,)


def read_visits(window: Window) -> list[Visit]:
    """Read every visit of the visible lanes, in the order in which they began."""
    found: list[Visit] = []
    begun: dict[tuple[str, str, str], int] = {}
    events = window.events
    for row, event in enumerate(events):
        if not window.visible[row]:
            continue
        lane = lane_key(event)
        if event.event_type == "MessageReceived":
            if lane in begun:
                found.append(_visit(window, begun.pop(lane), None))
            if _takes_up(event):
                begun[lane] = row
        elif lane in begun and _ends(events[begun[lane]], event):
            found.append(_visit(window, begun.pop(lane), row))
    found += [_visit(window, start, None) for start in begun.values()]
    return sorted(found, key=lambda visit: visit.start)


def _takes_up(event: Event) -> bool:
    data = None if event.payload is None else event.data
    return isinstance(data, dict) and _TAKES_UP in data


def _ends(start: Event, event: Event) -> bool:
    if event.event_type == "FaultInjected":
        return event.name == _HANG
    if event.event_type == "AgentCrashed":
        return True
    return event.event_type in _OUTCOMES and event.name == start.name


def _visit(window: Window, start: int, done: int | None) -> Visit:
    outcome = "open" if done is None else _OUTCOMES[window.events[done].event_type]
    return Visit(start, done, outcome, _request(window, start))


def _request(window: Window, row: int) -> int | None:
    """Return what sent the message that a row received; a copy is as good as the message."""
    for _ in range(2):
        event = window.events[row]
        found = next(
            (
                window.rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
                for cause in event.causes
                if cause.kind == CauseKind.MESSAGE
            ),
            None,
        )
        if found is None or window.events[found].event_type != "MessageDuplicated":
            return found
        row = found
    return None
