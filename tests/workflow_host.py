"""The smallest host of a workflow: a list for a history, and answers in an order of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from flowlab.events import Cause, Event
from flowlab.workflow import SECOND, Execution, Workflow

ID = "w"


class NoAnswer(Exception):  # noqa: N818 - it is no error: nobody answers
    """An agent never answers, so its time runs out."""


@dataclass
class Host:
    """The smallest host: appends what is asked for, and answers in an order of its own.

    Args:
        code: the workflow.
        answer: (name, input, attempt) -> result; raises to fail.
        pick: chooses among the requests that are open.
        obey: says of each call that is to be canceled whether it is.
        begins: says of each call whether it is taken up first, and by what its answer names it:
            `asked` or `taken`; empty where nobody takes it up.
    """

    code: Workflow
    answer: Callable[[str, Any, int], Any] = lambda _name, value, _attempt: value
    pick: Callable[[int], int] = lambda _count: 0
    obey: Callable[[str], bool] = lambda _name: True
    begins: Callable[[], str] = lambda: ""
    history: list[Event] = field(default_factory=list)
    open: list[Event] = field(default_factory=list)
    canceled: set[int] = field(default_factory=set)
    now: int = 0

    def __post_init__(self) -> None:
        self.execution = Execution(self.code, ID)

    def record(self, event: Event) -> Event:
        self.now += SECOND
        stamped = msgspec.structs.replace(
            event, workflow_id=ID, sequence=len(self.history) + 1, time_ns=self.now
        )
        self.history.append(stamped)
        return stamped

    def tell(self, event_type: str, **fields: Any) -> None:
        self.feed([self.record(Event.of(event_type, **fields))])

    def feed(self, events: list[Event]) -> None:
        drafts = self.execution.advance(events)
        while drafts:
            recorded = [self.record(draft) for draft in drafts]
            self.open += [event for event in recorded if event.event_type in ANSWERED]
            for event in recorded:
                if event.event_type in GIVEN_UP:
                    self.canceled |= {cause.sequence for cause in event.causes}
            # A timer has no host that answers: it is gone.
            self.open = [e for e in self.open if not (self.gone(e) and "Timer" in e.event_type)]
            drafts = self.execution.advance(recorded)

    def gone(self, event: Event) -> bool:
        return event.sequence in self.canceled

    def start(self, value: Any = None) -> Host:
        self.tell("WorkflowStarted", payload={"input": value})
        return self

    def step(self) -> bool:
        if not self.open or self.execution.closed:
            return False
        asked = self.open.pop(self.pick(len(self.open)))
        causes = (Cause(ID, asked.sequence),)
        if asked.event_type == "TimerStarted":
            self.tell("TimerFired", causes=causes)
            return True
        child = asked.event_type == "ChildWorkflowInitiated"
        kind = "ChildWorkflow" if child else asked.event_type.removesuffix("Scheduled")
        if kind == "Activity" and (named := self.begins()):
            self.tell("ActivityStarted", name=asked.name, causes=causes)
            if named == "taken":
                causes = (Cause(ID, self.history[-1].sequence),)
        if self.gone(asked) and self.obey(asked.name):
            self.tell(f"{kind}Canceled", payload={"reason": "asked to"}, causes=causes)
            return True
        self.reply(asked, kind, causes)
        return True

    def reply(self, asked: Event, kind: str, causes: tuple[Cause, ...]) -> None:
        attempt = asked.data.get("attempt", 1)
        try:
            result = self.answer(asked.name, asked.data["input"], attempt)
        except NoAnswer:
            self.tell("ActivityTimedOut", causes=causes)
        except Exception as error:  # noqa: BLE001 - what an agent raises is its answer
            told = {"type": type(error).__name__, "message": str(error)}
            payload = {"error": told, "attempt": attempt}
            self.tell(f"{kind}Failed", payload=payload, causes=causes)
        else:
            self.tell(f"{kind}Completed", payload={"result": result}, causes=causes)

    def run(self, value: Any = None) -> Host:
        self.start(value)
        while self.step():
            pass
        return self

    @property
    def types(self) -> list[str]:
        return [event.event_type for event in self.history]

    @property
    def end(self) -> Any:
        return self.history[-1].data


GIVEN_UP = {"ActivityCancelRequested", "CancelInitiated", "TimerCanceled"}
ANSWERED = {
    "ActivityScheduled",
    "CompensationScheduled",
    "TimerStarted",
    "ChildWorkflowInitiated",
}
