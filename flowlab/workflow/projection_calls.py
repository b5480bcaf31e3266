"""The calls of one generation of a workflow, as its events tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final, Literal

from flowlab.events import CauseKind, Event
from flowlab.events.vocabulary import (
    CALL_ANSWERS,
    CALL_FAILURES,
    CALL_REQUESTS,
    CALL_STARTS,
    CALL_SUCCESSES,
)
from flowlab.workflow.answers import data_of
from flowlab.workflow.state import AgentExecuting, Compensating
from flowlab.workflow.undoing import CompensationResult

CHILD: Final = "ChildWorkflowInitiated"

Taken = tuple[int, str, int, str]
"""When a request was taken up, at which place, and by whom."""

Asked = Literal["", "to do", "to undo"]
"""What an event asks for."""


@dataclass(frozen=True, slots=True)
class Receipts:
    """What agents say of the requests that they have taken up.

    Args:
        taken: by the request's place.
        names: of what was taken up, or lost on its way.

    Example:
        >>> Receipts.of([])
        Receipts(taken={}, names=frozenset())
    """

    taken: dict[tuple[str, int], Taken]
    names: frozenset[str]

    @classmethod
    def of(cls, events: Iterable[Event]) -> Receipts:
        """Read them from the events of agents and of the world."""
        listed, message = list(events), int(CauseKind.MESSAGE)
        copies = {
            (event.workflow_id, event.sequence): cause
            for event in listed
            if event.event_type == "MessageDuplicated"
            for cause in event.causes
            if cause.kind == message
        }
        taken: dict[tuple[str, int], Taken] = {}
        names = set()
        for event in listed:
            if event.event_type not in {"MessageReceived", "MessageDropped"}:
                continue
            for cause in event.causes:
                copied = copies.get((cause.workflow_id, cause.sequence))
                sent = copied or cause
                if (copied is None and cause.kind != message) or sent.workflow_id.startswith("@"):
                    continue
                names.add(event.name)
                if event.event_type == "MessageReceived":
                    place = sent.workflow_id, sent.sequence
                    told = (event.time_ns, event.workflow_id, event.sequence, event.agent_id)
                    taken[place] = min(told, taken.get(place, told))
        return cls(taken, frozenset(names))

    def tell_of(self, request: Event) -> bool:
        """Say whether it would be told that a request was taken up."""
        named = data_of(request).get("agent")
        return request.name in self.names or bool(self.names and isinstance(named, str) and named)


@dataclass(slots=True)
class Call:
    """A request, and how far it has come: asked, begun, ended, failed or retried.

    Example:
        >>> Call(Event.of("ActivityScheduled", name="book"), "airline", undoes=False).step
        'book'
    """

    event: Event
    agent: str
    undoes: bool
    status: str = "asked"
    ended: int = 0

    @property
    def step(self) -> str:
        """The step that it belongs to, or else what is done."""
        return self.event.step_id or self.event.name

    @property
    def place(self) -> tuple[str, str]:
        """Its saga and its step."""
        return self.event.coordination_id or "", self.step

    @property
    def is_open(self) -> bool:
        """Whether it is not answered."""
        return self.status in {"asked", "begun"}


@dataclass(slots=True)
class Calls:
    """What the events of a generation have said so far.

    Args:
        receipts: what agents have taken up.

    Attributes:
        results: what was done, by step.

    Example:
        >>> calls = Calls()
        >>> asked = Event.of("ActivityScheduled", sequence=2, name="book",
        ...                  payload={"agent": "airline"})
        >>> calls.take(asked)
        'to do'
        >>> calls.executing()
        AgentExecuting(current={'airline'}, pending=())
    """

    receipts: Receipts = field(default_factory=lambda: Receipts({}, frozenset()))
    results: dict[str, Any] = field(default_factory=dict)
    _calls: dict[int, Call] = field(default_factory=dict)
    _acts: dict[int, int] = field(default_factory=dict)
    # What an event may change, or a state tells: a walk through every call for each event would
    # take as long as the square of the history.
    _open: dict[int, Call] = field(default_factory=dict)
    _failed: Counter[str] = field(default_factory=Counter)
    _undoing: dict[int, Call] = field(default_factory=dict)
    _ended: dict[int, Call] = field(default_factory=dict)
    _sagas: set[str] = field(default_factory=set)
    _untaken: list[tuple[int, int]] = field(default_factory=list)
    _committed: list[tuple[str, str]] = field(default_factory=list)
    _children: set[tuple[str, str]] = field(default_factory=set)
    _effects: dict[int, Call] = field(default_factory=dict)
    _undone: dict[tuple[str, str], int] = field(default_factory=dict)
    _starts: bool = False

    def take(self, event: Event, now_ns: int = 0) -> Asked:
        """Take the next event; return what it asks for.

        Args:
            event: it.
            now_ns: the time that the history has come to.
        """
        self._begin(now_ns)
        asked = self._take(event)
        if asked:
            self._begin(now_ns)
        return asked

    def _begin(self, now_ns: int) -> None:
        """Take note of what agents have taken up by now."""
        while self._untaken and self._untaken[0][0] <= now_ns:
            call = self._calls[heappop(self._untaken)[1]]
            if call.status == "asked":
                call.agent = self.receipts.taken[call.event.workflow_id, call.event.sequence][3]
                self._put(call, "begun")

    def _put(self, call: Call, status: str) -> None:
        """Take note of how far a call has come."""
        self._failed[call.agent] += (status == "failed") - (call.status == "failed")
        sequence, call.status = call.event.sequence, status
        for held, holds in (
            (self._open, call.is_open),
            (self._undoing, call.undoes and (call.is_open or status == "retried")),
        ):
            if holds:
                held[sequence] = call
            else:
                held.pop(sequence, None)

    def _take(self, event: Event) -> Asked:
        kind = event.event_type
        if kind in CALL_REQUESTS:
            return self._ask(event)
        if kind in CALL_ANSWERS:
            self._hear(event)
        elif kind == "TimerStarted" and data_of(event).get("attempt") is not None:
            self._retry(event)
        elif kind == "SagaStepCommitted" and data_of(event).get("kind") == "compensable":
            self._committed.append((event.coordination_id or "", event.step_id or ""))
        return ""

    def executing(self) -> AgentExecuting:
        """Return who works, and on what nobody has begun to work."""
        working = [call for call in self._open.values() if not call.undoes]
        waiting = [
            call.event.name
            for call in working
            if call.status == "asked"
            and call.event.event_type != CHILD
            and (self._starts or self.receipts.tell_of(call.event))
        ]
        return AgentExecuting(frozenset(call.agent for call in working), tuple(waiting))

    def compensating(self) -> Compensating:
        """Return who failed, and what is to be undone."""
        failed = frozenset(+self._failed)
        chain = [call.step for _, call in sorted(self._undoing.items())]
        chain += [step for saga, step in reversed(self._committed) if saga in self._sagas]
        return Compensating(failed, tuple(chain))

    def left(self) -> tuple[str, ...]:
        """Return what was done and not undone, in the order in which it was done: see `states_of`.

        Each step of a saga or a plan stands there once, however many of its attempts were done.
        """
        found: dict[object, str] = {}
        for sequence, call in self._effects.items():
            of_step = bool(call.event.step_id)
            # What undoes a step undoes every attempt that was asked for before.
            if not of_step or self._undone.get(call.place, 0) < sequence:
                found.setdefault(call.place if of_step else sequence, call.step)
        return tuple(found.values())

    def _ask(self, event: Event) -> Asked:
        call = Call(event, _agent_of(event), self._undoes(event))
        self._calls[event.sequence] = call
        self._put(call, "asked")
        taken = self.receipts.taken.get((event.workflow_id, event.sequence))
        if taken is not None and event.event_type != CHILD:
            heappush(self._untaken, (taken[0], event.sequence))
        if not call.undoes:
            return "to do"
        self._sagas.add(call.place[0])
        self._committed = [it for it in self._committed if it != call.place]
        for other in list(self._undoing.values()):
            if other.status == "retried" and other.place == call.place:
                self._put(other, "ended")
        return "to undo"

    def _undoes(self, event: Event) -> bool:
        """Say whether a request undoes something: a saga asks for the child of a step once."""
        if event.event_type != CHILD:
            return event.event_type == "CompensationScheduled"
        place = (event.coordination_id or "", event.step_id or "")
        if not all(place):
            return False
        known = place in self._children
        self._children.add(place)
        return known

    def _hear(self, event: Event) -> None:
        own = [it.sequence for it in event.causes if it.workflow_id == event.workflow_id]
        direct = [sequence for sequence in own if sequence in self._calls]
        through = [self._acts[sequence] for sequence in own if sequence in self._acts]
        kind = event.event_type
        self._starts = self._starts or kind == "ActivityStarted"
        if direct:
            self._acts[event.sequence] = max(direct)
        if not direct and not through:
            return
        call = self._calls[max(direct + through)]
        self._act(call, event)
        if kind in CALL_STARTS:
            self._put(call, "begun")
        elif call.is_open:
            call.ended = event.sequence
            self._ended[event.sequence] = call
            self._put(call, "failed" if kind in CALL_FAILURES else "ended")
            if kind in CALL_SUCCESSES and not call.undoes:
                self.results[call.step] = data_of(event).get("result")

    def _act(self, call: Call, event: Event) -> None:
        """Take note of what was done or undone, though nobody waited for it any more."""
        kind, data = event.event_type, data_of(event)
        if call.undoes:
            held = CompensationResult.of(data.get("result")) is not CompensationResult.FAILED
            if held and (kind in CALL_SUCCESSES or kind == "CompensationCompleted"):
                sequence = call.event.sequence
                self._undone[call.place] = max(sequence, self._undone.get(call.place, 0))
            return
        held = kind in CALL_SUCCESSES or (
            kind == "ChildWorkflowFailed" and bool(names_in(data, "uncompensated"))
        )
        if held and data_of(call.event).get("effect") is not False:
            self._effects.setdefault(call.event.sequence, call)

    def _retry(self, event: Event) -> None:
        for cause in event.causes:
            call = (
                self._ended.get(cause.sequence) if cause.workflow_id == event.workflow_id else None
            )
            if call is not None and call.ended == cause.sequence and call.status == "failed":
                self._put(call, "retried")


def names_in(data: dict[str, Any], key: str) -> list[str]:
    """Return the names that a payload lists.

    Example:
        >>> names_in({"uncompensated": ["flight"]}, "uncompensated"), names_in({}, "uncompensated")
        (['flight'], [])
    """
    found = data.get(key)
    return [str(name) for name in found if name is not None] if isinstance(found, list) else []


def _agent_of(event: Event) -> str:
    """Return whom a request asks: a child is its own agent, under its workflow id."""
    child = event.event_type == CHILD
    named = data_of(event).get("workflow_id" if child else "agent")
    if isinstance(named, str) and named:
        return named
    return (event.name if child else event.agent_id) or event.workflow_id
