"""Does a recorded workflow again: what is asked for as before is answered from the record."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import Cause, Event, EventLog, counted
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.events.wording import error_facts
from flowlab.runtime.scheme import Process, execution_of
from flowlab.runtime.standing import ANSWERS, EFFECTS, OPEN, REQUESTS

Execute = Callable[[str, Any], Any] | Mapping[str, Callable[[Any], Any]]
"""Carries an activity out: a function of (activity, input), or one of the input for each."""

OUTSIDE: Final = frozenset({"Signaled", "WorkflowCancelRequested"})
"""The events that nobody in the workflow has asked for."""
NEW: Final = 1 << 62
"""The turn of what was not recorded: after what was."""
MAX_REDONE: Final = 100_000
"""Events after which doing it again is given up."""


@dataclass(frozen=True, slots=True)
class Redone:
    """A workflow that was done again.

    Args:
        events: its new history.
        status: how it stands at the end.
        result: what it ended with; None where it did not complete.
        executed: what was carried out now: (activity or step, input) of each, in order.
        reused: what was answered from the record: of each the activity or step, in order.
    """

    events: tuple[Event, ...]
    status: str
    result: Any
    executed: tuple[tuple[str, Any], ...]
    reused: tuple[str, ...]

    def __repr__(self) -> str:
        again = counted(len(self.executed), "call")
        return f"Redone({self.status}, {again} executed, {len(self.reused)} reused)"

    @property
    def rerun(self) -> tuple[str, ...]:
        """The names of what was carried out now, each once, in order."""
        return tuple(dict.fromkeys(name for name, _ in self.executed))

    def log(self, *, run_id: str = "twin") -> EventLog:
        """Return the new history as a log of a run of its own."""
        return EventLog.from_events([event.replace(run_id=run_id) for event in self.events])


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
        requests: dict[int, Event] = {}
        taken_up: dict[int, int] = {}
        self.answers: dict[int, Answer] = {}
        for event in events:
            if event.event_type in REQUESTS:
                requests[event.sequence] = event
                continue
            for cause in event.causes:
                if cause.workflow_id != event.workflow_id:
                    continue
                asked = taken_up.get(cause.sequence, cause.sequence)
                if asked not in requests or asked in self.answers:
                    continue
                if event.event_type == "ActivityStarted":
                    taken_up[event.sequence] = asked
                elif event.event_type in ANSWERS and event.event_type != "TimerCanceled":
                    took = max(event.time_ns - requests[asked].time_ns, 0)
                    self.answers[asked] = Answer(event, took)
        self._waiting: dict[Any, deque[int]] = defaultdict(deque)
        for sequence, request in requests.items():
            self._waiting[_key(request)].append(sequence)

    def __repr__(self) -> str:
        return f"Record({counted(len(self.answers), 'answer')})"

    def take(self, request: Event) -> tuple[Answer | None, int]:
        """Return the answer to a request that is the same, each once, and how long it took."""
        waiting = self._waiting.get(_key(request))
        if not waiting:
            return None, 0
        sequence = waiting.popleft()
        answer = self.answers.get(sequence)
        if answer is None:
            return None, 0
        return (None if sequence in self.without else answer), answer.took_ns

    def used(self, sequence: int, request: Event) -> None:
        """Take note that the answer to a request was told already."""
        waiting = self._waiting.get(_key(request))
        if waiting and sequence in waiting:
            waiting.remove(sequence)


class Again:
    """Hosts a workflow that is done again, in virtual time.

    Args:
        process: its code or plan.
        record: what was answered the first time.
        execute: carries out what is not in the record.
        seed: of the streams of chance.
    """

    def __init__(
        self,
        process: Process,
        workflow_id: str,
        record: Record,
        execute: Execute,
        *,
        seed: object = 0,
    ) -> None:
        self.execution = execution_of(process, workflow_id, seed=seed)
        self.workflow_id = workflow_id
        self.record = record
        self.execute = execute
        self.history: list[Event] = []
        self.open: dict[int, Event] = {}
        self.executed: list[tuple[str, Any]] = []
        self.reused: list[str] = []
        self.never: set[int] = set()
        self.changed: int | None = None
        self.now_ns = 0
        self._due: list[tuple[int, int, int, Event]] = []
        self._count = 0

    def __repr__(self) -> str:
        return f"Again({self.workflow_id!r}, {counted(len(self.history), 'event')})"

    def replay(self, events: Sequence[Event]) -> None:
        """Take the beginning of the history as it is; what it leaves open is to be answered."""
        self.execution.advance(events)
        for event in events:
            self._note(event)
            if event.event_type in REQUESTS:
                self.record.used(event.sequence, event)
        for sequence, request in list(self.open.items()):
            answer = self.record.answers.get(sequence)
            if sequence not in self.never:
                took = 0 if answer is None else answer.took_ns
                self._schedule(request, answer, took)

    def outside(self, events: Sequence[Event]) -> None:
        """Let what came from outside come again, at its time."""
        for event in events:
            self._push(event.time_ns, event, event.sequence)

    def tell(self, event: Event) -> None:
        """Take something that has happened, and whatever the workflow makes of it."""
        drafts = self.execution.advance([self._stamped(event)])
        while drafts:
            events = [self._stamped(draft) for draft in drafts]
            for asked in events:
                if asked.sequence in self.open:
                    self._schedule(asked, *self.record.take(asked))
            drafts = self.execution.advance(events)

    def run(self) -> Redone:
        """Go on to the end, or to where nothing is left to wait for."""
        while self._due and not self.execution.closed:
            if len(self.history) > MAX_REDONE:
                message = (
                    f"{self.workflow_id!r} did not end within MAX_REDONE ({MAX_REDONE}) events"
                )
                raise LimitError(message)
            due, _, _, event = heapq.heappop(self._due)
            asked = [c.sequence for c in event.causes if c.workflow_id == self.workflow_id]
            if event.event_type in ANSWERS and not self.open.keys() & set(asked):
                continue  # it was given up meanwhile
            self.now_ns = max(self.now_ns, due)
            self.tell(event)
        last = self.history[-1] if self.history else None
        ends = [e for e in self.history if e.event_type in TERMINAL_STATUS]
        status = TERMINAL_STATUS[ends[-1].event_type] if ends and last is not None else OPEN
        data = ends[-1].data if ends else None
        result = data.get("result") if status == "completed" and isinstance(data, dict) else None
        return Redone(tuple(self.history), status, result, tuple(self.executed), tuple(self.reused))

    # -- inside -----------------------------------------------------------------------------------

    def _schedule(self, request: Event, answer: Answer | None, took: int) -> None:
        name = request.step_id or request.name
        turn = NEW
        if answer is not None:
            if request.event_type in EFFECTS and request.sequence != self.changed:
                self.reused.append(name)
            told, turn = answer.event, answer.event.sequence or NEW
        elif request.event_type == "TimerStarted":
            told = Event.of("TimerFired", name=request.name, step_id=request.step_id)
            took = int(request.data["delay_ns"])
        elif request.event_type in EFFECTS:
            told = self._carried_out(request, name)
        else:
            message = (
                f"{self.workflow_id!r} asks for {request!r}, which the record does not answer; "
                "do the child again by itself, and give what it returns"
            )
            raise InvalidArgumentError(message)
        cause = Cause(self.workflow_id, request.sequence)
        own = told.replace(causes=(cause,), position=0, agent_sequence=0)
        self._push(request.time_ns + took, own, turn)

    def _carried_out(self, request: Event, name: str) -> Event:
        data = request.data
        value = data.get("input")
        self.executed.append((name, value))
        family = request.event_type.removesuffix("Scheduled")
        try:
            if isinstance(self.execute, Mapping):
                result = self.execute[request.name](value)
            else:
                result = self.execute(request.name, value)
        except Exception as error:  # noqa: BLE001 - what an activity raises is its answer
            payload = {"attempt": data.get("attempt", 1), "error": error_facts(error)}
            kind = f"{family}Failed"
        else:
            payload, kind = {"result": result}, f"{family}Completed"
        told = Event.of(kind, name=request.name, payload=payload, step_id=request.step_id)
        return told.replace(coordination_id=request.coordination_id)

    def _push(self, due_ns: int, event: Event, turn: int) -> None:
        """Put an event on the agenda; what was recorded at the same time keeps its order."""
        self._count += 1
        heapq.heappush(self._due, (due_ns, turn, self._count, event))

    def _stamped(self, event: Event) -> Event:
        stamped = event.replace(
            workflow_id=self.workflow_id,
            sequence=len(self.history) + self._first,
            time_ns=self.now_ns,
            generation=self.execution.generation,
            position=0,
        )
        self._note(stamped)
        return stamped

    @property
    def _first(self) -> int:
        return self.history[0].sequence if self.history else 1

    def _note(self, event: Event) -> None:
        self.history.append(event)
        self.now_ns = max(self.now_ns, event.time_ns)
        if event.event_type in REQUESTS:
            self.open[event.sequence] = event
        elif event.event_type in ANSWERS:
            for cause in event.causes:
                if cause.workflow_id == event.workflow_id:
                    self.open.pop(cause.sequence, None)


def _key(request: Event) -> Any:
    return (
        request.event_type,
        request.name,
        request.step_id,
        request.coordination_id,
        request.payload,
    )
