"""A choreographed saga as its log tells it: a fold of events, without IO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from flowlab.errors import CorruptionError
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.workflow.choreography import MAX_REACTIONS, Choreography
from flowlab.workflow.choreography_routes import Heard, Routes
from flowlab.workflow.choreography_state import ChoreographyState, Deed

PROGRAM: Final = int(CauseKind.PROGRAM)
JOIN: Final = int(CauseKind.JOIN)
MESSAGE: Final = int(CauseKind.MESSAGE)
_PLACES: Final = 2 * MAX_REACTIONS
"""Numbers for what may be heard about one event."""


class Errand:
    """An event that one agent is to hear of, until that has come to something.

    Attributes:
        heard: what the agent does about it.
        step: what that is called.
        value: what is told.
        source: the event's sequence.
        attempt: how often it was begun in vain, and once more.
        deliveries: how often this attempt was handed out, as the log says.
    """

    __slots__ = ("attempt", "deliveries", "heard", "source", "step", "value")

    def __init__(self, heard: Heard, step: str, value: Any, source: int) -> None:
        self.heard = heard
        self.step = step
        self.value = value
        self.source = source
        self.attempt = 1
        self.deliveries = 0

    def __repr__(self) -> str:
        return f"Errand({self.heard.agent!r}, {self.step!r}, attempt {self.attempt})"

    @property
    def number(self) -> int:
        """What tells it from every request and every other errand of its workflow: below 0."""
        return -(self.source * _PLACES + 2 * self.heard.index + self.heard.undo + 1)


class ChoreographyExecution:
    """One saga that nobody conducts, as its history and its agents' transactions tell it.

    It takes the events of both in the order of the log: what is on its way, which is each errand
    that is open, depends on them alone. So a crash loses none.

    Args:
        choreography: who reacts to what.
        workflow_id: the correlation id.

    Attributes:
        status: open, or how it ended.
        errands: what is on its way, by number.

    Example:
        >>> from flowlab.workflow import Reaction
        >>> order = Choreography(Reaction("bank", on="Placed", emits="Paid"), start="Placed",
        ...                      final="Paid", name="order")
        >>> execution = ChoreographyExecution(order, "o-1")
        >>> told = Event.of("WorkflowStarted", workflow_id="o-1", sequence=1,
        ...                 payload={"event": "Placed", "input": 7})
        >>> execution.advance([told])
        []
        >>> list(execution.errands.values())
        [Errand('bank', 'Placed', attempt 1)]
    """

    __slots__ = (
        *("_asked", "_emissions", "_next", "_parked", "_posted", "_results"),
        *("choreography", "errands", "state", "status", "workflow_id"),
    )

    def __init__(self, choreography: Choreography, workflow_id: str) -> None:
        self.choreography = choreography
        self.workflow_id = workflow_id
        self.status = "open"
        self.errands: dict[int, Errand] = {}
        self.state: ChoreographyState[Cause] = ChoreographyState(Routes(choreography))
        self._asked: dict[int, tuple[Deed, int]] = {}
        self._emissions: dict[tuple[str, str], Cause] = {}
        self._results: dict[str, Any] = {}
        self._next: dict[int, Deed] = {}
        self._parked: dict[int, list[Errand]] = {}
        self._posted: list[Errand] = []

    def __repr__(self) -> str:
        return f"ChoreographyExecution({self.workflow_id!r}, {self.status})"

    @property
    def awaited(self) -> list[str]:
        """What it waits for, in words."""
        found = [f"{e.heard.agent} to do {e.heard.activity}" for e in self.errands.values()]
        return found or [f"one of {', '.join(self.choreography.final)}, which nothing leads to"]

    def advance(self, events: Sequence[Event]) -> list[Event]:
        """Take events in the order of the log; return the drafts of what follows at once.

        Raises:
            CorruptionError: a reaction is recorded without what it has told.
        """
        for event in events:
            self.take(event)
        return self._drafts()

    def posted(self) -> list[Errand]:
        """Return the errands that are to be run now, each once."""
        posted, self._posted = self._posted, []
        return [errand for errand in posted if errand.number in self.errands]

    @property
    def asked(self) -> set[int]:
        """The numbers of the errands whose undoing is asked for and not answered."""
        return {number for _, number in self._asked.values()}

    def result_of(self, step: str, result: Any) -> None:
        """Say what a reaction has come to, just before its transaction is taken."""
        self._results[step] = result

    def forward(self, step: str) -> Errand | None:
        """Return the errand of a reaction that is on its way."""
        return next((e for e in self.errands.values() if e.step == step and not e.heard.undo), None)

    # -- errands ----------------------------------------------------------------------------------

    def undo(self, errand: Errand) -> Event | bool:
        """Ask a deed to be undone: return the draft of the request.

        False where the deed is at work, so that it must wait; True where there is nothing to undo.
        """
        deed = self.state.undoes(errand.heard, errand.number)
        if deed is False:
            self._parked.setdefault(errand.heard.index, []).append(errand)
            return False
        return True if deed is None else self._request(deed, errand)

    def _request(self, deed: Deed, errand: Errand) -> Event:
        heard = errand.heard
        asked = {
            "agent": heard.agent,
            "attempt": errand.attempt,
            "input": self.state.undo_input(deed, heard),
        }
        return Event.of(
            "CompensationScheduled",
            name=heard.activity,
            payload=asked,
            causes=(Cause(self.workflow_id, errand.source, PROGRAM),),
            step_id=deed.step,
            agent_id=heard.agent,
        )

    # -- the fold ---------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take the next event: of the history, or of an agent that works for it.

        Raises:
            CorruptionError: what it follows from, or a part of it, is missing.
        """
        try:
            self._take(event)
        except (KeyError, IndexError, StopIteration, TypeError) as error:
            message = (
                f"event {event.sequence} of {event.workflow_id!r}, {event.event_type} "
                f"{event.name!r}, does not fit the log of {self.workflow_id!r} before it: a part "
                "of that is missing or damaged; restore it from a copy"
            )
            raise CorruptionError(message) from error

    def _take(self, event: Event) -> None:
        kind = event.event_type
        if event.workflow_id != self.workflow_id:
            self._take_beside(event)
        elif kind == "WorkflowStarted":
            told = event.data
            self._tell(event, told["event"], told["input"], self.state.come(told["event"]))
        elif kind == "Signaled":
            self._take_signal(event)
        elif kind == "CompensationScheduled":
            self._take_request(event)
        elif kind in {"CompensationCompleted", "CompensationFailed"}:
            self._take_answer(event)
        elif kind in TERMINAL_STATUS:
            self.status = TERMINAL_STATUS[kind]

    def _take_beside(self, event: Event) -> None:
        told = event.data if isinstance(event.data, dict) else {}
        if event.event_type == "MessageDropped" and "errand" in told:
            self._drop(told["errand"])
            return
        if "errand" in told and told.get("nothing_to_undo"):
            self._close(told["errand"], _ref(event), JOIN)
            return
        errand = self.errands.get(told.get("errand", 0))
        if errand is None:
            return
        if event.event_type == "MessageReceived":
            self.state.arrive(errand.heard, errand.step)
            errand.deliveries = told["delivery"]
        elif event.event_type == "TransactionCommitted":
            self._take_done(event, errand, told)
        elif event.event_type == "TransactionAborted":
            self._take_refused(event, errand, told)

    def _take_done(self, event: Event, errand: Errand, told: dict[str, Any]) -> None:
        result = self._results.get(errand.step, told.get("result"))
        self.state.arrive(errand.heard, errand.step)
        self.state.did(errand.step, errand.value, result)
        emits = errand.heard.reaction.emits
        for name in emits:
            self._emissions[errand.step, name] = _ref(event)
        if not emits:
            self.state.leaves[_ref(event)] = JOIN
        self._drop(errand.number)

    def _take_refused(self, event: Event, errand: Errand, told: dict[str, Any]) -> None:
        name = errand.heard.reaction.fails_with
        if name is None:
            errand.attempt += 1
            errand.deliveries = 0
            self._posted.append(errand)
            return
        self.state.arrive(errand.heard, errand.step)
        self.state.refused(errand.step, told["error"])
        self._results[errand.step] = {"error": told["error"], "input": errand.value}
        self._emissions[errand.step, name] = _ref(event)
        self._drop(errand.number)

    def _take_signal(self, event: Event) -> None:
        value, step = event.data["value"], event.step_id
        if step is None:
            self._tell(event, event.name, value, self.state.come(event.name))
            return
        self._emissions.pop((step, event.name), None)
        deed = self.state.deeds.get(step)
        if deed is not None and deed.state != "refused":
            deed.result = value
        if all(other != step for other, _ in self._emissions):
            self._results.pop(step, None)
        self._tell(event, event.name, value, step)

    def _take_request(self, event: Event) -> None:
        deed = self.state.deeds[str(event.step_id)]
        source = next(c.sequence for c in event.causes if c.workflow_id == self.workflow_id)
        errand = next(
            e
            for e in self.errands.values()
            if e.heard.undo and e.heard.index == deed.index and e.source == source
        )
        self._next.pop(errand.number, None)
        self.state.void.add(deed.index)
        self.state.undoing(deed, errand.number)
        errand.attempt = event.data["attempt"]
        self._asked[event.sequence] = (deed, errand.number)

    def _take_answer(self, event: Event) -> None:
        asked = [c.sequence for c in event.causes if c.workflow_id == self.workflow_id]
        deed, number = self._asked.pop(asked[0])
        errand = self.errands[number]
        if event.event_type == "CompensationFailed":
            errand.attempt += 1
            self._posted.append(errand)
            return
        other = self.state.undone(deed, _ref(event))
        if other is None:
            self._drop(number)
        else:
            self._next[number] = other

    def _tell(self, event: Event, name: str, value: Any, source: str) -> None:
        for heard, step in self.state.tell(name, value, _ref(event), source):
            errand = Errand(heard, step, value, event.sequence)
            self.errands[errand.number] = errand
            self._posted.append(errand)

    def _close(self, number: int, ref: Cause, kind: int) -> None:
        self.state.leaves[ref] = kind
        self._drop(number)

    def _drop(self, number: int) -> None:
        errand = self.errands.pop(number, None)
        if errand is not None and not errand.heard.undo:
            self._posted += self._parked.pop(errand.heard.index, ())

    # -- what follows -----------------------------------------------------------------------------

    def _drafts(self) -> list[Event]:
        if self.status != "open":
            return []
        drafts = [self._emission(*place, ref) for place, ref in self._emissions.items()]
        drafts += [self._request(deed, self.errands[n]) for n, deed in self._next.items()]
        if drafts or self.errands:
            return drafts
        end = self.state.ending()
        return [] if end is None else [self._end(*end)]

    def _emission(self, step: str, name: str, ref: Cause) -> Event:
        if step not in self._results:
            message = (
                f"the log of {self.workflow_id!r} says that {step!r} was done and not that "
                f"{name!r} was told: a part of it is missing"
            )
            raise CorruptionError(message)
        return Event.of(
            "Signaled",
            name=name,
            payload={"value": self._results[step]},
            causes=(Cause(ref.workflow_id, ref.sequence, MESSAGE),),
            step_id=step,
            agent_id=ref.workflow_id.removeprefix("@"),
        )

    def _end(self, status: str, payload: dict[str, Any]) -> Event:
        leaves = self.state.leaves.items()
        return Event.of(
            f"Workflow{status.capitalize()}",
            name=self.choreography.name,
            payload=payload,
            causes=tuple(Cause(ref.workflow_id, ref.sequence, kind) for ref, kind in leaves),
        )


def fold(
    choreography: Choreography, workflow_id: str, events: Iterable[Event]
) -> ChoreographyExecution:
    """Return a saga as its log tells it; what is on its way is to be posted again."""
    execution = ChoreographyExecution(choreography, workflow_id)
    for event in events:
        execution.take(event)
    execution.posted()
    return execution


def _ref(event: Event) -> Cause:
    return Cause(event.workflow_id, event.sequence)
