"""The events that a workflow's code asks for, until they are in the history and answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import MAX_ID_BYTES, Cause, CauseKind, Event
from flowlab.events.codec import encode_payload
from flowlab.workflow.handles import Because, Loop
from flowlab.workflow.matching import check_command
from flowlab.workflow.past import Past

Hears = Callable[[Event], None]

MAX_ASKED: Final = 50_000
"""Most events that a workflow may ask for at once."""


class Command:
    """One event that was asked for.

    Attributes:
        draft: what was asked for.
        answered: hears the event that answers it; None if none does.
        recorded: hears the event itself, once it is in the history.
        sequence: its place there; 0 before.
        time_ns: its time there.
    """

    __slots__ = ("answered", "draft", "recorded", "sequence", "time_ns")

    def __init__(self, draft: Event, answered: Hears | None, recorded: Hears | None) -> None:
        self.draft = draft
        self.answered = answered
        self.recorded = recorded
        self.sequence = 0
        self.time_ns = 0

    def __repr__(self) -> str:
        return f"Command({self.draft.event_type!r}, sequence={self.sequence})"


class Commands:
    """What a workflow has asked for: first to be recorded, then to be answered.

    Args:
        workflow_id: its stream.
        loop: runs its code, and so knows why it asks.
        past: of its stream.

    Attributes:
        generation: of its events.
        closed: it has ended, and asks for nothing more.
        owed: requests to take back as soon as they are in the history; it does not end before.
    """

    __slots__ = (
        "_asked",
        "_loop",
        "_next",
        "_open",
        "_past",
        "_taken_up",
        "closed",
        "generation",
        "owed",
        "workflow_id",
    )

    def __init__(self, workflow_id: str, loop: Loop, past: Past) -> None:
        self.workflow_id = workflow_id
        self.generation = 0
        self.closed = False
        self.owed = 0
        self._loop = loop
        self._past = past
        self._asked: list[Command] = []
        self._next = 0
        self._open: dict[int, Command] = {}
        self._taken_up: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"Commands({self.workflow_id!r}, {self.waiting} asked, {len(self._open)} open)"

    @property
    def drafts(self) -> tuple[Event, ...]:
        """What is to be recorded, in order."""
        return tuple([command.draft for command in self._asked[self._next :]])

    @property
    def waiting(self) -> int:
        """How many are to be recorded."""
        return len(self._asked) - self._next

    @property
    def in_flight(self) -> list[str]:
        """A word for each request that is to be recorded or answered."""
        waiting = self._asked[self._next :]
        asked = [c for c in waiting if c.answered is not None or c.recorded is not None]
        drafts = [command.draft for command in (*self._open.values(), *asked)]
        return [f"{draft.event_type} {draft.name}".rstrip() for draft in drafts]

    def reasons(self, why: Because | None) -> Because:
        """Return what was given, or else why the code runs now."""
        return self._loop.why if why is None else why

    def minimal(self, why: Because) -> Because:
        """Take out of some events those from which others of them follow."""
        return self._past.minimal(why)

    def draft(
        self,
        event_type: str,
        name: str = "",
        payload: Any = None,
        *,
        why: Because | None = None,
        step_id: str | None = None,
        coordination_id: str | None = None,
    ) -> Event:
        """Make an event of this stream whose causes are `why`, or why the code runs now.

        Raises:
            InvalidArgumentError: the log cannot keep the name.
        """
        if not name.isascii() or len(name) > MAX_ID_BYTES:
            _check_name(name, event_type)
        if why is None:
            why = self._loop.why
        mine = self.workflow_id
        # Causes stand in the order of the stream; nearly always there is one.
        pairs = why.items() if len(why) == 1 else sorted(why.items())
        return Event(
            event_type=event_type,
            name=name,
            payload=encode_payload(payload),
            workflow_id=mine,
            generation=self.generation,
            follows_lane=False,
            causes=tuple([Cause(mine, sequence, kind) for sequence, kind in pairs]),
            step_id=step_id,
            coordination_id=coordination_id,
        )

    def ask(
        self, draft: Event, answered: Hears | None = None, recorded: Hears | None = None
    ) -> Command:
        """Ask for an event, and say who hears its answer, and the event once it is recorded.

        Raises:
            InvalidArgumentError: the workflow has ended.
            LimitError: it asks for more and more, and never waits.
        """
        if self.closed:
            message = f"workflow {self.workflow_id!r} has ended; it can ask for nothing more"
            raise InvalidArgumentError(message)
        if len(self._asked) - self._next >= MAX_ASKED:
            message = (
                f"workflow {self.workflow_id!r} asks for more than MAX_ASKED ({MAX_ASKED:,}) "
                "events without waiting for any; await what it asks for"
            )
            raise LimitError(message)
        command = Command(draft, answered, recorded)
        self._asked.append(command)
        return command

    def end(self, draft: Event) -> None:
        """Ask for the event that ends the workflow."""
        self._asked.append(Command(draft, None, None))
        self.closed = True

    def withdraw(
        self, command: Command, event_type: str, why: Because | None, payload: Any = None
    ) -> None:
        """Ask for an event that takes a request back, once the request is in the history."""
        if self.closed:
            return
        reasons = self.reasons(why)
        if not command.sequence:

            def recorded(_: Event) -> None:
                self.owed -= 1
                self.withdraw(command, event_type, reasons, payload)

            command.recorded = recorded
            self.owed += 1
            return
        if event_type == "TimerCanceled":
            self._open.pop(command.sequence, None)
        taken_back = command.draft
        draft = self.draft(
            event_type,
            taken_back.name,
            payload,
            why=self.minimal({**reasons, command.sequence: int(CauseKind.PROGRAM)}),
            step_id=taken_back.step_id,
            coordination_id=taken_back.coordination_id,
        )
        self.ask(draft)

    def record(self, event: Event) -> None:
        """Take the event that the history holds, if it is what was asked for next.

        Raises:
            NonDeterminismError: it is not.
        """
        asked, place = self._asked, self._next
        check_command(event, asked[place].draft if asked else None, self.workflow_id)
        command = asked[place]
        self._next = place + 1
        if self._next == len(asked):
            self._next = 0
            asked.clear()
        command.sequence, command.time_ns = event.sequence, event.time_ns
        if command.answered is not None:
            self._open[event.sequence] = command
        if command.recorded is not None:
            command.recorded(event)

    def take_up(self, event: Event) -> None:
        """Take note of who took a request up: its answer may name the start and not the request."""
        for cause in event.causes:
            if cause.workflow_id == self.workflow_id and cause.sequence in self._open:
                self._taken_up[event.sequence] = cause.sequence

    def answer(self, event: Event) -> None:
        """Let the request that an event answers hear of it; nothing waits for a late answer."""
        for cause in event.causes:
            if cause.workflow_id == self.workflow_id:
                sequence = self._taken_up.pop(cause.sequence, cause.sequence)
                command = self._open.pop(sequence, None)
                if command is not None and command.answered is not None:
                    command.answered(event)
                    return

    def forget(self) -> None:
        """Forget which requests were taken up."""
        self._taken_up.clear()


def _check_name(name: str, event_type: str) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        message = f"the name {name!r} ({event_type}) is no valid Unicode; give another"
        raise InvalidArgumentError(message) from None
    if size > MAX_ID_BYTES:
        message = (
            f"a name ({event_type}) takes {size} bytes, more than MAX_ID_BYTES ({MAX_ID_BYTES}): "
            f"{name[:40]!r}..."
        )
        raise InvalidArgumentError(message)
