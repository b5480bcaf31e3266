"""Does a recorded workflow again: what is asked for as before is answered from the record."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import Cause, Event, EventLog, counted
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.events.wording import brief, error_facts
from flowlab.recovery.record import CHILD, GIVEN_UP, Answer, Record
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
        executed: what was carried out now: (activity or step, input) of each, in order, also in
            children that were done again.
        reused: what was answered from the record: of each the activity, step or child, in order.
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
        space = self.events[0].namespace if self.events else "default"
        mine = [event.replace(run_id=run_id, namespace=space) for event in self.events]
        return EventLog.from_events(mine)


class Children(Protocol):
    """Does children again whose code is known."""

    def knows(self, name: str) -> bool:
        """Say whether the code of a workflow is known."""
        ...

    def redo(self, request: Event, parent: Again) -> tuple[tuple[str, Any] | None, int]:
        """Return what a child answers, None where it never ends; and at what time."""
        ...


class Again:
    """Hosts a workflow that is done again, in virtual time.

    Args:
        process: its code or plan.
        record: what was answered the first time.
        execute: carries out what is not in the record.
        seed: of the streams of chance.
        first: the sequence of the first event.
        children: does a child again: a function of its request; None where there is no answer.
            Those whose names it does not know are answered from the record.
    """

    def __init__(
        self,
        process: Process,
        workflow_id: str,
        record: Record,
        execute: Execute,
        *,
        seed: object = 0,
        first: int = 1,
        children: Children | None = None,
    ) -> None:
        self.execution = execution_of(process, workflow_id, seed=seed)
        self.workflow_id = workflow_id
        self.record = record
        self.execute = execute
        self.children = children
        self.history: list[Event] = []
        self.open: dict[int, Event] = {}
        self.executed: list[tuple[str, Any]] = []
        self.reused: list[str] = []
        self.now_ns = 0
        self._first = first
        self._given_up: set[int] = set()
        self._taken_up: dict[int, int] = {}
        self._late: set[int] = set()
        self._due: list[tuple[int, int, int, Event]] = []
        self._count = 0

    def __repr__(self) -> str:
        return f"Again({self.workflow_id!r}, {counted(len(self.history), 'event')})"

    def replay(self, events: Sequence[Event], *, never: int | None = None) -> None:
        """Take the beginning of the history as it is; what it leaves open is to be answered.

        Args:
            events: the beginning.
            never: a request that the record does not answer.
        """
        if events:
            self._first = events[0].sequence
        self.execution.advance(events)
        for event in events:
            self._note(event)
            if event.event_type in REQUESTS:
                self.record.used(event.sequence, event)
        for sequence, request in list(self.open.items()):
            if sequence != never:
                answer = self.record.answers.get(sequence)
                self._schedule(request, answer, self.record.took_ns(sequence))

    def outside(self, events: Sequence[Event]) -> None:
        """Let what came from outside come again, at its time."""
        for event in events:
            self._push(event.time_ns, event, event.sequence)

    def tell(self, event: Event) -> None:
        """Take something that has happened, and whatever the workflow makes of it."""
        self._record(self.execution.advance([self._stamped(event)]))

    def go_on(self) -> None:
        """Record what the workflow has asked for already, where nothing new is to be told."""
        self._record(self.execution.advance(()))

    def run(self) -> Redone:
        """Go on to the end, or to where nothing is left to wait for."""
        while self._due:
            if len(self.history) > MAX_REDONE:
                message = (
                    f"{self.workflow_id!r} did not end within MAX_REDONE ({MAX_REDONE}) events"
                )
                raise LimitError(message)
            due, _, _, event = heapq.heappop(self._due)
            if self.execution.closed and event.event_type not in OUTSIDE:
                continue  # nobody hears of it; what comes from outside is recorded all the same
            told = self._told(event, due)
            if told is not None:
                self.now_ns = max(self.now_ns, due)
                self.tell(told)
        ends = [e for e in self.history if e.event_type in TERMINAL_STATUS]
        status = TERMINAL_STATUS[ends[-1].event_type] if ends else OPEN
        data = ends[-1].data if ends else None
        result = data.get("result") if status == "completed" and isinstance(data, dict) else None
        return Redone(tuple(self.history), status, result, tuple(self.executed), tuple(self.reused))

    # -- inside -----------------------------------------------------------------------------------

    def _record(self, drafts: Sequence[Event]) -> None:
        while drafts:
            events = [self._stamped(draft) for draft in drafts]
            for asked in events:
                if asked.sequence in self.open:
                    child = asked.event_type == CHILD
                    unknown = self.children is None or not self.children.knows(asked.name)
                    taken = self.record.take(asked, affected=child and unknown)
                    self._schedule(asked, *taken)
            drafts = self.execution.advance(events)

    def _schedule(self, request: Event, answer: Answer | None, took: int) -> None:
        due, turn = request.time_ns + took, NEW
        told = request
        if answer is not None:
            told = self._following(request, answer.event)
            turn = answer.event.sequence or NEW
        elif request.event_type == "TimerStarted":
            told = self._answer(request, "TimerFired")
            due = request.time_ns + max(took, int(request.data["delay_ns"]))
        self._push(due, told, turn)

    def _told(self, event: Event, due: int) -> Event | None:
        """Return what has happened where something was due; None where nothing has."""
        request = event
        if event.event_type in ANSWERS:
            asked = self._asked(event)
            if not asked:
                return None  # it was given up meanwhile
            request = self.open[asked[0]]
            canceled = event.event_type.endswith("Canceled")
            if not canceled or asked[0] in self._given_up:
                if request.event_type != "TimerStarted" and asked[0] not in self._late:
                    self.reused.append(request.step_id or request.name)
                return event
            # It was canceled the first time, and nobody asks for that now.
        elif event.event_type not in REQUESTS:
            return event
        elif event.sequence not in self.open:
            return None
        if request.sequence in self._given_up:
            family = "Activity" if request.event_type in EFFECTS else "ChildWorkflow"
            self._answer_later(request, f"{family}Canceled", {}, max(due, self.record.end_ns))
            return None
        if request.event_type in EFFECTS:
            return self._carried_out(request)
        return self._child(request, due)

    def _answer_later(self, request: Event, event_type: str, payload: Any, due: int) -> None:
        """Let what was not recorded be told, as soon as it can be."""
        self._late.add(request.sequence)
        self._push(due, self._answer(request, event_type, payload), NEW)

    def _child(self, request: Event, due: int) -> Event | None:
        """Do a child again; where it takes longer than it did, it answers later."""
        if self.children is None or not self.children.knows(request.name):
            message = (
                f"{self.workflow_id!r} asks for the child workflow {request.name!r} with input "
                f"{brief(request.data['input'])}, which the record does not answer; give its code, "
                f"workflows=[{request.name}], and it is done again"
            )
            raise InvalidArgumentError(message)
        answer, ended_ns = self.children.redo(request, self)
        if answer is None:
            return None
        if ended_ns <= due:
            return self._answer(request, *answer)
        self._answer_later(request, *answer, ended_ns)
        return None

    def _answer(self, request: Event, event_type: str, payload: Any = None) -> Event:
        told = Event.of(event_type, name=request.name, payload=payload, step_id=request.step_id)
        return self._following(request, told.replace(coordination_id=request.coordination_id))

    def _following(self, request: Event, told: Event) -> Event:
        """Return an answer to a request; what else it followed from, it follows from now, too."""
        others = [c for c in told.causes if c.workflow_id != self.workflow_id]
        causes = (Cause(self.workflow_id, request.sequence), *others)
        return told.replace(causes=causes, position=0, agent_sequence=0)

    def _carried_out(self, request: Event) -> Event:
        data = request.data
        value = data.get("input")
        self.executed.append((request.step_id or request.name, value))
        family = request.event_type.removesuffix("Scheduled")
        call = self._call(request.name)
        try:
            result = call(value)
        except Exception as error:  # noqa: BLE001 - what an activity raises is its answer
            payload = {"attempt": data.get("attempt", 1), "error": error_facts(error)}
            kind = f"{family}Failed"
        else:
            payload, kind = {"result": result}, f"{family}Completed"
        return self._answer(request, kind, payload)

    def _call(self, name: str) -> Callable[[Any], Any]:
        if not isinstance(self.execute, Mapping):
            return partial(self.execute, name)
        if name not in self.execute:
            message = (
                f"{self.workflow_id!r} asks for {name!r}, which is to be carried out now, and "
                f"execute has {', '.join(sorted(self.execute)) or 'nothing'}; give "
                f"execute={{{name!r}: ...}}, a function of the input, too"
            )
            raise InvalidArgumentError(message)
        return self.execute[name]

    def _push(self, due_ns: int, event: Event, turn: int) -> None:
        """Put an event on the agenda; what was recorded at the same time keeps its order."""
        self._count += 1
        heapq.heappush(self._due, (due_ns, turn, self._count, event))

    def _stamped(self, event: Event) -> Event:
        stamped = event.replace(
            workflow_id=self.workflow_id,
            sequence=len(self.history) + self._first,
            time_ns=self.now_ns,
            generation=max(event.generation, self.execution.generation),
            position=0,
        )
        self._note(stamped)
        return stamped

    def _note(self, event: Event) -> None:
        self.history.append(event)
        self.now_ns = max(self.now_ns, event.time_ns)
        kind = event.event_type
        if kind in REQUESTS:
            self.open[event.sequence] = event
            return
        for asked in self._asked(event):
            if kind in ANSWERS:
                self.open.pop(asked, None)
            elif kind in GIVEN_UP:
                self._given_up.add(asked)
            elif kind == "ActivityStarted":
                self._taken_up[event.sequence] = asked

    def _asked(self, event: Event) -> list[int]:
        """Return the open requests that an event is about: it names them, or who took them up."""
        mine = (c.sequence for c in event.causes if c.workflow_id == self.workflow_id)
        named = (self._taken_up.get(sequence, sequence) for sequence in mine)
        return [sequence for sequence in named if sequence in self.open]
