"""The events that a workflow's code asks for, until they are in the history and answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import MAX_ID_BYTES, Cause, CauseKind, Event
from flowlab.events.codec import encode_payload
from flowlab.workflow.handles import Loop
from flowlab.workflow.matching import Grade, Head, check_command
from flowlab.workflow.past import Because, Past
from flowlab.workflow.places import asking_place
from flowlab.workflow.section import Section

if TYPE_CHECKING:
    from flowlab.workflow.history import History

Hears = Callable[[Event], None]

MAX_ASKED: Final = 24_000
"""Most events that a workflow may ask for at once: their answers fit into its history, too."""


class Command(msgspec.Struct, eq=False):
    """One event that was asked for.

    Attributes:
        event_type, name, step_id, coordination_id: of the event.
        answered: hears the event that answers it; None if none does.
        recorded: hears the event itself, once it is in the history.
        draft: what was asked for; None where the history at hand holds it.
        place: where that is, in the history at hand; -1 where it does not.
        sequence: its place in the stream; 0 before it is recorded.
        time_ns: its time there.
    """

    event_type: str
    name: str
    step_id: str | None
    coordination_id: str | None
    answered: Hears | None = None
    recorded: Hears | None = None
    draft: Event | None = None
    place: int = -1
    sequence: int = 0
    time_ns: int = 0

    def __repr__(self) -> str:
        return f"Command({self.event_type!r}, sequence={self.sequence})"


class Asked(Protocol):
    """What a call, too, is: an event that was asked for."""

    recorded: Hears | None
    draft: Event | None
    place: int
    sequence: int
    time_ns: int

    @property
    def event_type(self) -> str: ...  # noqa: D102 - as of a command
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def step_id(self) -> str | None: ...  # noqa: D102
    @property
    def coordination_id(self) -> str | None: ...  # noqa: D102
    @property
    def answered(self) -> Hears | None: ...  # noqa: D102


class Commands:
    """What a workflow has asked for: first to be recorded, then to be answered.

    Args:
        workflow_id: its stream.
        loop: runs its code, and so knows why it asks.
        past: of its stream.
        section: where the chance of retries comes from.
        grade: how much of what the history holds must be what was asked for.

    Attributes:
        asked: what was asked for, from `next` on not recorded yet.
        open: what is recorded and not answered, by sequence.
        taken_up: the sequence of what was taken up, by that of the event that says so.
        ground: the history at hand, where that is read ahead.
        ahead: the places in it of commands that nobody has asked for yet, the next one last.
        at_hand: answers a call from it at once, if it can; None where that may not be.
        generation: of its events.
        parted: where the code asked for what the history at hand does not hold, the first time.
        closed: it has ended, and asks for nothing more.
        owed: requests to take back as soon as they are in the history; it does not end before.
    """

    __slots__ = (
        "_grade",
        "_loop",
        "_past",
        "ahead",
        "asked",
        "at_hand",
        "closed",
        "generation",
        "ground",
        "next",
        "open",
        "owed",
        "parted",
        "section",
        "taken_up",
        "workflow_id",
    )

    def __init__(
        self,
        workflow_id: str,
        loop: Loop,
        past: Past,
        section: Section,
        grade: Grade = "result",
    ) -> None:
        self.workflow_id = workflow_id
        self.section = section
        self.generation = 0
        self.closed = False
        self.owed = 0
        self.parted = ""
        self.asked: list[Asked] = []
        self.next = 0
        self.open: dict[int, Asked] = {}
        self.taken_up: dict[int, int] = {}
        self.ground: History | None = None
        self.ahead: list[int] = []
        self.at_hand: Callable[[Any], bool] | None = None
        self._loop = loop
        self._past = past
        self._grade = grade

    def __repr__(self) -> str:
        return f"Commands({self.workflow_id!r}, {self.waiting} asked, {len(self.open)} open)"

    def enter(self, ground: History) -> None:
        """Let a history be at hand: what is asked for is looked up in it first."""
        self.ground = ground
        self.ahead = ground.commands_after(self.waiting)

    def skip(self, place: int) -> None:
        """Let nobody ask for what the history at hand holds up to a place."""
        while self.ahead and self.ahead[-1] <= place:
            self.ahead.pop()

    def leave(self) -> None:
        """Let no history be at hand."""
        self.ground, self.ahead, self.at_hand = None, [], None

    @property
    def drafts(self) -> tuple[Event, ...]:
        """What is to be recorded, in order."""
        asked = self.asked
        if not asked:
            return ()
        if self.next:
            asked = asked[self.next :]
        if len(asked) == 1 and (draft := asked[0].draft) is not None:
            return (draft,)  # as mostly
        return tuple([command.draft for command in asked if command.draft is not None])

    @property
    def waiting(self) -> int:
        """How many are to be recorded."""
        return len(self.asked) - self.next

    @property
    def in_flight(self) -> list[str]:
        """A word for each request that is to be recorded or answered."""
        waiting = self.asked[self.next :]
        asked = [c for c in waiting if c.answered is not None or c.recorded is not None]
        commands = (*self.open.values(), *asked)
        return [f"{command.event_type} {command.name}".rstrip() for command in commands]

    def reasons(self, why: Because | None) -> Because:
        """Return what was given, or else why the code runs now."""
        return self._loop.why if why is None else why

    def minimal(self, why: Because) -> Because:
        """Take out of some events those from which others of them follow."""
        return self._past.minimal(why)

    def ask(
        self,
        event_type: str,
        name: str = "",
        payload: Any = None,
        *,
        why: Because | None = None,
        step_id: str | None = None,
        coordination_id: str | None = None,
        answered: Hears | None = None,
        recorded: Hears | None = None,
    ) -> Command:
        """Ask for an event of this stream whose causes are `why`, or why the code runs now.

        Args:
            event_type: of the event.
            name: of the event.
            payload: of the event.
            why: its causes.
            step_id: of the event.
            coordination_id: of the event.
            answered: hears its answer.
            recorded: hears the event itself, once it is recorded.

        Raises:
            InvalidArgumentError: the log cannot keep the name, or the workflow has ended.
            InvalidEventError: the payload is not JSON.
            LimitError: it asks for more and more, and never waits.
        """
        if not name.isascii() or len(name) > MAX_ID_BYTES:
            check_name(name, event_type)
        encoded = encode_payload(payload)
        self.check_room()
        command = Command(event_type, name, step_id, coordination_id, answered, recorded)
        self.put(command, encoded, why)
        return command

    def check_room(self) -> None:
        """Check that something may be asked for.

        Raises:
            InvalidArgumentError: the workflow has ended.
            LimitError: it asks for more and more, and never waits.
        """
        if self.closed:
            message = f"workflow {self.workflow_id!r} has ended; it can ask for nothing more"
            raise InvalidArgumentError(message)
        if len(self.asked) - self.next >= MAX_ASKED:
            message = (
                f"workflow {self.workflow_id!r} asks for more than MAX_ASKED ({MAX_ASKED:,}) "
                "events without waiting for any; await what it asks for"
            )
            raise LimitError(message)

    def put(self, command: Asked, payload: bytes | None, why: Because | None = None) -> None:
        """Put a command behind those asked for, as a draft unless the history at hand holds it."""
        if self.ground is not None and self.ahead:
            place = self.ahead.pop()
            if self.ground.holds(place, command, payload, self._grade):
                command.place = place
                self.asked.append(command)
                return
            self.parted = self.parted or asking_place()
        head = (command.event_type, command.name, command.step_id)
        self.draft(command, head, command.coordination_id, payload, why)

    def draft(
        self,
        command: Asked,
        head: Head,
        coordination_id: str | None,
        payload: bytes | None,
        why: Because | None = None,
    ) -> None:
        """Put a command behind those asked for as a draft; given is what it says of itself."""
        if why is None:
            why = self._loop.why
        mine = self.workflow_id
        # Causes stand in the order of the stream; nearly always there is one.
        if len(why) == 1:
            ((first, its_kind),) = why.items()
            causes: tuple[Cause, ...] = (Cause(mine, first, its_kind),)
        else:
            causes = tuple([Cause(mine, place, kind) for place, kind in sorted(why.items())])
        event_type, name, step_id = head
        command.draft = Event(
            event_type=event_type,
            name=name,
            payload=payload,
            workflow_id=mine,
            generation=self.generation,
            follows_lane=False,
            causes=causes,
            step_id=step_id,
            coordination_id=coordination_id,
        )
        self.asked.append(command)

    def end(self, event_type: str, name: str, payload: Any, why: Because) -> None:
        """Ask for the event that ends the workflow.

        Raises:
            InvalidArgumentError: the log cannot keep the name.
            InvalidEventError: the payload is not JSON.
        """
        if not name.isascii() or len(name) > MAX_ID_BYTES:
            check_name(name, event_type)
        self.put(Command(event_type, name, None, None), encode_payload(payload), why)
        self.closed = True

    def withdraw(
        self, command: Asked, event_type: str, why: Because | None, payload: Any = None
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
            self.open.pop(command.sequence, None)
        self.ask(
            event_type,
            command.name,
            payload,
            why=self.minimal({**reasons, command.sequence: int(CauseKind.PROGRAM)}),
            step_id=command.step_id,
            coordination_id=command.coordination_id,
        )

    def pass_next(self) -> None:
        """Let the next of those asked for be recorded."""
        self.next += 1
        if self.next == len(self.asked):
            self.next = 0
            self.asked.clear()

    def record(self, event: Event) -> None:
        """Take the event that the history holds, if it is what was asked for next.

        Raises:
            NonDeterminismError: it is not.
        """
        asked, place, mine = self.asked, self.next, self.workflow_id
        if not asked or asked[place].place < 0:
            check_command(event, asked[place].draft if asked else None, mine, self._grade)
        command = asked[place]
        self.pass_next()
        command.sequence, command.time_ns = event.sequence, event.time_ns
        command.draft = None
        if command.answered is not None:
            self.open[event.sequence] = command
        if command.recorded is not None:
            command.recorded(event)

    def take_up(self, event: Event) -> None:
        """Take note of who took a request up: its answer may name the start and not the request."""
        for cause in event.causes:
            if cause.workflow_id == self.workflow_id and cause.sequence in self.open:
                self.taken_up[event.sequence] = cause.sequence

    def answer(self, event: Event) -> None:
        """Let the request that an event answers hear of it; nothing waits for a late answer."""
        for cause in event.causes:
            if cause.workflow_id == self.workflow_id:
                sequence = self.taken_up.pop(cause.sequence, cause.sequence)
                command = self.open.pop(sequence, None)
                if command is not None and command.answered is not None:
                    command.answered(event)
                    return

    def forget(self) -> None:
        """Forget which requests were taken up."""
        self.taken_up.clear()


def check_name(name: str, event_type: str) -> None:
    """Check that the log can keep a name.

    Raises:
        InvalidArgumentError: it cannot.
    """
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
