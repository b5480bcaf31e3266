"""A workflow that is carried out in a world: what all kinds of them have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from flowlab.events import CauseKind, Event
from flowlab.simulation.draws import key_of
from flowlab.simulation.recorder import NOTHING, Value

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.engine import Engine

PROGRAM: Final = int(CauseKind.PROGRAM)
MESSAGE: Final = int(CauseKind.MESSAGE)
JOIN: Final = int(CauseKind.JOIN)
FORK: Final = int(CauseKind.FORK)

Fire = Callable[[int, Any], None]
"""What an entry of the agenda does: given the time, and what it is about."""

Causes = list[tuple[int, int]]
"""Of an event: (row, kind)."""

OPEN: Final = "open"
CHILD_ENDS: Final = {
    "completed": "ChildWorkflowCompleted",
    "failed": "ChildWorkflowFailed",
    "canceled": "ChildWorkflowCanceled",
}
"""How a parent's history tells each end of a child."""
KEY_MASK: Final = (1 << 64) - 1


class Over(Exception):  # noqa: N818 - no error: the world has come to its end
    """Ends a world: nothing is left to happen, or a limit is reached."""


class Driver(ABC):
    """One workflow of one world, from its start to its end.

    Attributes:
        workflow_id, code: its id, and its stream.
        name: of the plan or the code.
        status, result: how it ended; `open` before.
        parent: the workflow that waits for it, and the row that asked for it.
        key: of its draws.
        down_until_ns: when its process is back, after a crash.
    """

    __slots__ = (
        "calls",
        "code",
        "down_until_ns",
        "engine",
        "key",
        "name",
        "parent",
        "result",
        "status",
        "workflow_id",
    )

    def __init__(self, engine: Engine, name: str, workflow_id: str) -> None:
        self.engine = engine
        self.name = name
        self.workflow_id = workflow_id
        self.code = engine.recorder.stream(workflow_id, workflow_id)
        self.key = key_of(workflow_id)
        self.status = OPEN
        self.result: Any = None
        self.parent: tuple[Parent, int] | None = None
        self.calls = 0
        self.down_until_ns = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.workflow_id!r}, {self.status})"

    @abstractmethod
    def begin(self, now_ns: int, value: Any, cause: int = NOTHING) -> None:
        """Begin with an input; `cause` is the row that asked for it."""

    @abstractmethod
    def signal(self, now_ns: int, name: str, value: Any, cause: int) -> None:
        """Take an event from outside."""

    @abstractmethod
    def cancel(self, now_ns: int, reason: str, cause: int) -> None:
        """Take a request to stop."""

    @abstractmethod
    def waiting(self) -> list[str]:
        """Say what it waits for, in the order in which it began to."""

    def forget(self) -> None:  # noqa: B027 - most kinds keep none
        """Let go of the messages that it keeps: its world has ended."""

    def is_down(self, now_ns: int, fire: Fire, about: Any) -> bool:
        """Put off what happens to a workflow whose process is down until it is back."""
        if self.down_until_ns <= now_ns:
            return False
        self.engine.at(self.down_until_ns, fire, about)
        return True

    def is_over(self, fire: Fire, about: Any) -> bool:
        """Say whether an entry of the agenda that calls it would do nothing any more."""
        del fire, about
        return False

    def record(self, now_ns: int, event: Event, causes: Sequence[tuple[int, int]]) -> int:
        """Write an event of the history with causes (row, kind); return its row."""
        recorder = self.engine.recorder
        refs = [cause for cause, _ in causes[:2]] + [NOTHING, NOTHING]
        kinds = [kind for _, kind in causes[:2]] + [0, 0]
        shape = recorder.shape(
            event.event_type,
            name=event.name,
            step_id=event.step_id,
            value=Value.NONE if event.payload is None else Value.JSON,
            kind_a=kinds[0],
            kind_b=kinds[1],
        )
        coordination = NOTHING
        if event.coordination_id is not None:
            coordination = self.engine.correlation(event.coordination_id, self.code)
        value = 0 if event.payload is None else recorder.keep(event.payload)
        row = recorder.add(now_ns, shape, self.code, coordination, refs[0], refs[1], value)
        if len(causes) > 2:  # noqa: PLR2004 - what a row has room for
            recorder.extra[row] = tuple(causes)
        return row

    def renew_stream(self) -> None:
        """Go on in the same stream with the next generation."""
        streams = self.engine.recorder.streams
        old = streams[self.code]
        self.code = self.engine.recorder.stream(
            old.name, old.lane, root=old.root, generation=old.generation + 1
        )


class Caller(Driver):
    """A workflow that calls agents, from a process that may crash: all but a choreography."""

    __slots__ = ()

    @abstractmethod
    def answer(self, now_ns: int, call: Call) -> None:
        """Take the answer to a call."""

    @abstractmethod
    def give_up(self, now_ns: int, call: Call) -> None:
        """Take note that a call was not answered in time."""

    @abstractmethod
    def recover(self) -> None:
        """Come back after a crash of the process."""


class Parent(Caller):
    """A workflow that begins others and withdraws what it has asked for, as only code does."""

    __slots__ = ()

    @abstractmethod
    def canceled(self, now_ns: int, call: Call) -> None:
        """Take note that an agent gave a call up before it began."""

    @abstractmethod
    def child_ended(
        self, now_ns: int, asked: int, name: str, status: str, result: Any, end: int
    ) -> None:
        """Take the end of a child; `asked` and `end` are rows."""


def family_of(call: Call) -> str:
    """Return what the event types of a call begin with."""
    return "Compensation" if call.undo else "Activity"


def failure(error_type: str, message: str) -> dict[str, str]:
    """Return the error that an event carries."""
    return {"message": message, "type": error_type}


def error_in(result: Any) -> dict[str, Any]:
    """Return the error that a workflow's end carries, or one made of its reason."""
    told = result if isinstance(result, dict) else {}
    error = told.get("error")
    if isinstance(error, dict):
        return error
    return failure("Canceled", str(told.get("reason", "it was canceled")))


def call_key(workflow: int, step: int, call: Call) -> int:
    """Return what names a call as an integer; its parts draw at this place and the next."""
    return (workflow + step + (call.undo << 16 | call.attempt << 1)) & KEY_MASK
