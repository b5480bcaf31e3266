"""The history of a saga that nobody conducts, held against its choreography of today."""

from __future__ import annotations

from typing import Any, Final

from flowlab.events import Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.recovery.replay_report import Divergence, ReplayStatus, shown
from flowlab.workflow import Choreography
from flowlab.workflow.choreography_routes import Heard, Routes
from flowlab.workflow.choreography_state import ChoreographyState
from flowlab.workflow.history import History
from flowlab.workflow.matching import Grade

_GRADES: Final[tuple[Grade, ...]] = ("kind", "name", "argument", "result")
_HINT: Final = "let the sagas that run today end with the choreography that began them"

Parted = tuple[str, str]
"""What the choreography has instead of an event, and in what the two differ."""


def held(
    choreography: Choreography, history: History, grade: Grade
) -> tuple[ReplayStatus, str, Divergence | None]:
    """Hold a saga's own events against a choreography; return what became of it.

    Each event that an agent has told must come of a reaction to one that was told before, or be
    from outside; each compensation must be that of a reaction, after an event by which it is
    undone, with the input that the choreography gives it; and the end must follow from all that.
    What the agents did in between is in their own streams, and not held against anything.
    """
    trial = _Trial(choreography, grade)
    for event in history:
        try:
            parted = trial.take(event)
        except (KeyError, IndexError, TypeError) as error:
            detail = f"event {event.sequence}, {event.event_type}, lacks a part of it: {error!r}"
            return "damaged", detail, None
        if parted is not None:
            return "needs_patch", _HINT, _divergence(choreography, event, *parted)
    return "equal", "", None


def _divergence(choreography: Choreography, event: Event, asked: str, differs: str) -> Divergence:
    message = (
        f"event {event.sequence} of {event.workflow_id!r} records {shown(event)}, but choreography "
        f"{choreography.name!r} has {asked}"
    )
    return Divergence(
        sequence=event.sequence,
        recorded=shown(event),
        asked=asked,
        differs=differs,
        line="",
        hint=_HINT,
        message=message,
    )


class _Trial:
    """What a choreography makes of a history so far."""

    def __init__(self, choreography: Choreography, grade: Grade) -> None:
        self._choreography = choreography
        self._grade = _GRADES.index(grade)
        self._state: ChoreographyState[int] = ChoreographyState(Routes(choreography))
        self._forward: dict[str, tuple[Heard, Any]] = {}
        self._undo: dict[int, Heard] = {}
        self._errors: list[Any] = []
        self._ended = False
        self._let_pass = False

    def __repr__(self) -> str:
        return f"_Trial({self._choreography!r})"

    def holds(self, grade: Grade) -> bool:
        """Say whether so much of an event is held against the choreography."""
        return _GRADES.index(grade) <= self._grade

    def take(self, event: Event) -> Parted | None:
        """Take the next event; return where the choreography parts from it."""
        kind = event.event_type
        if self._ended:
            return None
        if kind == "WorkflowStarted":
            return self._start(event)
        if kind == "Signaled":
            return self._signal(event)
        if kind == "CompensationScheduled":
            return self._compensation(event)
        if kind in TERMINAL_STATUS:
            self._ended = True
            return self._end(event)
        return None

    def _start(self, event: Event) -> Parted | None:
        told = event.data
        name = told["event"]
        self._tell(event, name, told["input"], self._state.come(name))
        if name in self._choreography.start:
            return None
        return self._named(f"{' or '.join(self._choreography.start)} to start with", "name")

    def _signal(self, event: Event) -> Parted | None:
        step, value = event.step_id, event.data["value"]
        if step is None:
            self._tell(event, event.name, value, self._state.come(event.name))
            return None
        heard, told = self._forward.get(step, (None, None))
        parted: Parted | None = None
        if heard is None:
            parted = self._named(f"no reaction {step!r} to what was told before", "step")
        elif event.name not in heard.reaction.may_emit:
            names = " or ".join(heard.reaction.may_emit) or "nothing"
            parted = self._named(f"Signaled {names} of {step!r}", "name")
        else:
            self._state.arrive(heard, step)
            if event.name in heard.reaction.emits:
                self._state.did(step, told, value)
            else:
                self._errors.append(value["error"])
                self._state.refused(step, value["error"])
        self._tell(event, event.name, value, step)
        return parted

    def _compensation(self, event: Event) -> Parted | None:
        step, asked = str(event.step_id), event.data
        self._state.compensates = True
        heard = self._forward.get(step, (None, None))[0]
        undo = None if heard is None else self._undo.get(heard.index)
        if undo is None:
            return self._named(f"nothing told before that undoes {step!r}", "step")
        if event.name != undo.activity:
            return self._named(f"CompensationScheduled {undo.activity}", "name")
        deed = self._state.deeds.get(step)
        if deed is None or not self.holds("argument"):
            return None  # what it had done is in its agent's stream alone
        expected = {
            "agent": undo.agent,
            "attempt": asked["attempt"],
            "input": self._state.undo_input(deed, undo),
        }
        if asked != expected:
            draft = Event.of("CompensationScheduled", name=undo.activity, payload=expected)
            return shown(draft), "arguments"
        return None

    def _end(self, event: Event) -> Parted | None:
        recorded = TERMINAL_STATUS[event.event_type]
        if recorded not in {"completed", "failed"}:
            return None  # somebody outside has ended it
        if self._let_pass:
            return None  # what follows from events that it does not have is not known
        ending = self._state.ending()
        if ending is None:
            return f"none of {', '.join(self._choreography.final)} yet", "kind"
        status, payload = ending
        if status != recorded:
            return f"Workflow{status.capitalize()}", "kind"
        if not self.holds("result"):
            return None
        # What is left of failed sagas depends on what the agents' streams say as well.
        said = event.data
        same = said["result"] == payload["result"]
        if status == "failed":
            same = same and said["error"] in [*self._errors, payload["error"]]
        draft = Event.of(event.event_type, name=self._choreography.name, payload=payload)
        return None if same else (shown(draft), "result")

    def _named(self, asked: str, differs: str) -> Parted | None:
        """Part from an event that the choreography does not have, unless names are not held."""
        self._let_pass = True
        return (asked, differs) if self.holds("name") else None

    def _tell(self, event: Event, name: str, value: Any, source: str) -> None:
        for heard, step in self._state.tell(name, value, event.sequence, source):
            if heard.undo:
                self._undo[heard.index] = heard
            else:
                self._forward[step] = (heard, value)
