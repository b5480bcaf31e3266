"""What a history says was answered to what, to be told again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.events import Event, counted, encode_payload
from flowlab.runtime.standing import ANSWERS, REQUESTS
from flowlab.workflow.answers import data_of

CHILD: Final = "ChildWorkflowInitiated"
GIVEN_UP: Final = frozenset({"ActivityCancelRequested", "CancelInitiated", "TimerCanceled"})
"""The events by which a workflow gives up what it has asked for."""
_EFFECT: Final = b'"effect":false'


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to a request, and how long it took."""

    event: Event
    took_ns: int

    def __repr__(self) -> str:
        return f"Answer({self.event.event_type} after {self.took_ns} ns)"


class Record:
    """What a history says was answered to what.

    Args:
        events: a generation of a workflow, from its WorkflowStarted on.
        without: sequences of requests whose answers are not to be used, but for how long they took.
    """

    def __init__(self, events: Sequence[Event], *, without: Collection[int] = ()) -> None:
        self.without = set(without)
        self.requests: dict[int, Event] = {}
        self.taken_up: dict[int, int] = {}
        self.given_up: dict[int, int] = {}
        self.answers: dict[int, Answer] = {}
        for event in events:
            if event.event_type in REQUESTS:
                self.requests[event.sequence] = event
                continue
            for asked in self._asked(event):
                if event.event_type in GIVEN_UP:
                    self.given_up.setdefault(asked, event.time_ns)
                elif asked in self.answers:
                    continue
                elif event.event_type == "ActivityStarted":
                    self.taken_up[event.sequence] = asked
                elif event.event_type in ANSWERS:
                    took = max(event.time_ns - self.requests[asked].time_ns, 0)
                    self.answers[asked] = Answer(event, took)
        self.answered = {answer.event.sequence: asked for asked, answer in self.answers.items()}
        self.end_ns = max((event.time_ns for event in events), default=0)
        self._waiting: dict[Any, deque[int]] = defaultdict(deque)
        for sequence, request in self.requests.items():
            self._waiting[_key(request)].append(sequence)

    def __repr__(self) -> str:
        return f"Record({counted(len(self.answers), 'answer')})"

    def take(self, request: Event, *, affected: bool = False) -> tuple[Answer | None, int]:
        """Return the answer to a request that is the same, each once, and how long it took.

        Where there is no answer, that is how long there was none at least. What is not to be used
        is returned only where the answer may be `affected`.
        """
        waiting = self._waiting.get(_key(request))
        if not waiting:
            return None, 0
        sequence = waiting.popleft()
        answer = self.answers.get(sequence)
        if answer is not None and sequence in self.without and not affected:
            return None, answer.took_ns
        return answer, self.took_ns(sequence)

    def took_ns(self, sequence: int) -> int:
        """Return how long a request was open."""
        answer = self.answers.get(sequence)
        if answer is not None:
            return answer.took_ns
        until = self.given_up.get(sequence, self.end_ns)
        return max(until - self.requests[sequence].time_ns, 0)

    def used(self, sequence: int, request: Event) -> None:
        """Take note that the answer to a request was told already."""
        waiting = self._waiting.get(_key(request))
        if waiting and sequence in waiting:
            waiting.remove(sequence)

    def _asked(self, event: Event) -> list[int]:
        """Return the requests that an event is about: it names them, or who took them up."""
        mine = (c.sequence for c in event.causes if c.workflow_id == event.workflow_id)
        named = (self.taken_up.get(sequence, sequence) for sequence in mine)
        return [sequence for sequence in named if sequence in self.requests]


def _key(request: Event) -> Any:
    """Return what tells a request from others.

    A child is the same under whatever id, and a step whether or not its request says already, as
    those of an older flowlab do not, that it has no effect.
    """
    asks: Any = request.payload
    if request.event_type == CHILD:
        asks = encode_payload({"input": data_of(request).get("input")})
    elif asks is not None and _EFFECT in asks:
        data = data_of(request)
        asks = encode_payload({key: data[key] for key in data if key != "effect"})
    return (request.event_type, request.name, request.step_id, request.coordination_id, asks)
