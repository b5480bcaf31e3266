"""What an event of a recorded workflow stands for, where it is to be changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, Event, encode_payload
from flowlab.events.wording import error_facts
from flowlab.recovery.record import Record
from flowlab.recovery.redoing import OUTSIDE
from flowlab.runtime.standing import REQUESTS
from flowlab.workflow.answers import data_of

KEEP: Final[Any] = object()
"""No other result is given."""

MAX_NAMED: Final = 5
"""Events that an error names."""
_CHOSEN: Final = REQUESTS | OUTSIDE | {"WorkflowStarted", "ActivityStarted"}
_FAMILIES: Final = ("Activity", "Compensation", "ChildWorkflow")


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a twin parts from what was recorded.

    Args:
        event: what is changed: the start, an event from outside, an answer; or a request that has
            no answer.
        place: how many events of the history come before the change.
        asked: the sequence of the request that is answered; None where the event answers none.
    """

    event: Event
    place: int
    asked: int | None = None

    def __repr__(self) -> str:
        return f"Fork({self.event!r}, after {self.place} events)"

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered what is to be answered."""
        return self.asked == self.event.sequence

    def check_missing(self) -> None:
        """Refuse to leave out what no history is without.

        Raises:
            InvalidArgumentError: it is the start.
        """
        if self.event.event_type == "WorkflowStarted":
            message = f"without {self.event!r} there is no workflow; give result=..., another input"
            raise InvalidArgumentError(message)

    def instead(self, result: Any, error: Exception | None) -> Event:
        """Return the event that says something else.

        Raises:
            InvalidArgumentError: it can say nothing else.
        """
        event, kind = self.event, self.event.event_type
        if kind == "WorkflowStarted":
            if error is not None:
                message = f"{event!r} cannot fail; give result=..., another input"
                raise InvalidArgumentError(message)
            return event.replace(payload=encode_payload({**data_of(event), "input": result}))
        if kind == "Signaled":
            if error is not None:
                message = f"{event!r} cannot fail; give result=..., another value, or without=True"
                raise InvalidArgumentError(message)
            return event.replace(payload=encode_payload({"value": result}))
        family = next((name for name in _FAMILIES if kind.startswith(name)), "")
        if not family or self.asked is None:
            message = f"{event!r} has no result and no error to change; give without=True"
            raise InvalidArgumentError(message)
        data = data_of(event)
        told = f"{family}{'Completed' if error is None else 'Failed'}"
        facts: dict[str, Any] = {"result": result}
        if error is not None:
            facts = {"error": error_facts(error)}
            if family != "ChildWorkflow":
                facts["attempt"] = data.get("attempt", 1)
        said = "result" if error is None else "error"
        if kind == told and said in data and data[said] == facts[said]:
            return event
        mine = [c for c in event.causes if c.workflow_id == event.workflow_id]
        if event.event_type in REQUESTS:
            mine = [Cause(event.workflow_id, self.asked)]
        return event.replace(event_type=told, payload=encode_payload(facts), causes=tuple(mine))


def fork_of(history: Sequence[Event], place: int, record: Record) -> Fork:
    """Return where a twin parts that changes one event.

    A request, and that it was taken up, stand for its answer; where it has none, the twin parts
    right after it.

    Raises:
        InvalidArgumentError: the event is what the code makes of others: they can be changed.
    """
    event = history[place]
    if event.event_type == "WorkflowStarted" or event.event_type in OUTSIDE:
        return Fork(event, place)
    asked = record.taken_up.get(event.sequence, event.sequence)
    asked = record.answered.get(event.sequence, asked)
    if asked not in record.requests:
        raise InvalidArgumentError(_derived(history, event, record))
    answer = record.answers.get(asked)
    at = record.requests[asked] if answer is None else answer.event
    before = next(n for n, known in enumerate(history) if known.sequence == at.sequence)
    return Fork(at, before + (answer is None), asked)


def _derived(history: Sequence[Event], event: Event, record: Record) -> str:
    """Say which events led to one that the code has asked for itself."""
    by_sequence = {known.sequence: known for known in history}
    found: dict[int, Event] = {}
    left, seen = [event], {event.sequence}
    while left:
        for cause in left.pop().causes:
            before = by_sequence.get(cause.sequence)
            mine = cause.workflow_id == event.workflow_id and before is not None
            if not mine or before is None or before.sequence in seen:
                continue
            seen.add(before.sequence)
            if before.event_type in _CHOSEN or before.sequence in record.answered:
                found[before.sequence] = before
            else:
                left.append(before)
    led = [found[sequence] for sequence in sorted(found, reverse=True)] or [history[0]]
    named = " or ".join(
        f"at={known.sequence} ({f'{known.event_type} {known.name}'.rstrip()})"
        for known in led[:MAX_NAMED]
    )
    return f"{event!r} is what the code makes of what came before it; change that: {named}"
