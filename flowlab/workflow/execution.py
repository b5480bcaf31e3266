"""The deterministic core: history in, the next events out. No IO, no clock, no threads."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterable
from functools import partial
from typing import Any, Final, Self

from flowlab.errors import (
    CancelledError,
    CorruptionError,
    InvalidArgumentError,
    InvalidEventError,
    LimitError,
    NonDeterminismError,
)
from flowlab.events import CauseKind, Event
from flowlab.events.wording import error_facts
from flowlab.workflow.answers import ANSWERS, STARTS, Inbox, because, data_of, told
from flowlab.workflow.barriers import Barriers
from flowlab.workflow.calls import Call, Request, schedule_request
from flowlab.workflow.commands import Commands
from flowlab.workflow.context import WorkflowContext
from flowlab.workflow.definition import Workflow
from flowlab.workflow.ending import ending_of, forget_frames
from flowlab.workflow.following import follow
from flowlab.workflow.guard import guarded
from flowlab.workflow.handles import Fiber, Handle, Loop, Promise
from flowlab.workflow.joining import joined
from flowlab.workflow.matching import COMMAND_TYPES, Grade
from flowlab.workflow.names import as_workflow_id
from flowlab.workflow.past import Because, Past
from flowlab.workflow.places import tell_place
from flowlab.workflow.progress import Progress
from flowlab.workflow.requests import Child, ChildRequest, Timer
from flowlab.workflow.savepoints import SAVEPOINT, decode_state, saved
from flowlab.workflow.section import Section

LONG_EVENTS: Final = 4_096
"""A history of so many events is long: continue-as-new is suggested."""
LONG_BYTES: Final = 4 * 1024 * 1024
"""A history whose payloads since its last savepoint take so many bytes is long, too."""


class Execution:
    """One generation of a workflow, driven by its history.

    `advance(events)` takes what the stream holds next and returns the events that the code now
    asks for, as drafts without sequence and time. The host appends them, hands them back with the
    next events, and carries out what they ask for. The law: the drafts depend on the code and the
    history alone.

    Args:
        workflow: the code.
        workflow_id: its stream.
        seed: of the streams of chance; a host takes the run's.
        grade: how much of what the history holds must be what the code asks for.

    Attributes:
        state: what a workflow that declares a state has come to.
        section: ids and chance since the last savepoint.
        progress, past, loop, commands: how far it is, what follows from what, the code that runs,
            and what it has asked for.

    Example:
        >>> from flowlab.workflow import workflow
        >>> @workflow
        ... async def greet(ctx, name):
        ...     return await ctx.call_activity("say", name)
        >>> execution = Execution(greet, "greet-1")
        >>> started = Event.of("WorkflowStarted", workflow_id="greet-1", sequence=1, time_ns=0,
        ...                    payload={"input": "Ada"})
        >>> [draft.event_type for draft in execution.advance([started])]
        ['ActivityScheduled']
    """

    def __init__(
        self, workflow: Workflow, workflow_id: str, *, seed: object = 0, grade: Grade = "result"
    ) -> None:
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.seed = seed
        self.generation = 0
        self.state: Any = None
        self.section = Section(workflow_id, seed)
        self.past = Past(workflow_id)
        self.loop = Loop(self.past)
        self.commands = Commands(workflow_id, self.loop, self.past, self.section, grade)
        self._barriers = Barriers(self.commands)
        self._inbox = Inbox()
        self._main: Fiber | None = None
        self._held: dict[Fiber, None] = {}
        self.progress = Progress()
        self._entry: tuple[Event, Event] | None = None
        self._meanwhile: list[Event] = []

    @classmethod
    def from_savepoint(
        cls,
        workflow: Workflow,
        workflow_id: str,
        started: Event,
        savepoint: Event,
        *,
        seed: object = 0,
    ) -> Self:
        """Return an execution that goes on from a savepoint.

        Give `advance` the stream's events after `last_sequence`: mostly from the savepoint itself
        on. It then asks for what a replay of the whole history asks for from there, if the code
        keeps the contract: what it does after a savepoint depends on input and state alone.

        Args:
            workflow: the code, which declares its state.
            workflow_id: its stream.
            started: the WorkflowStarted event of the generation.
            savepoint: the marker.
            seed: of the streams of chance.

        Raises:
            InvalidArgumentError: the event is no savepoint, or the workflow declares no state.
            CorruptionError: the saved state is not of the declared type.
        """
        execution = cls(workflow, workflow_id, seed=seed)
        execution.state = decode_state(savepoint, workflow)
        # Its coroutine is made where it is entered: one that is dropped unstarted would complain.
        execution._entry = started, savepoint
        execution.generation = execution.commands.generation = started.generation
        execution._inbox.keep(data_of(savepoint).get("kept") or {})
        # The newest cause of what the code asks for is the event that made it run.
        before = [cause.sequence for cause in savepoint.causes]
        last = max(before, default=savepoint.sequence - 1)
        execution.progress.begin_at(started, last)
        return execution

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.progress.length} events"
        return f"Execution({self.workflow.name!r}, {self.workflow_id!r}, {state})"

    @property
    def closed(self) -> bool:
        """Whether the workflow has ended: its last event is asked for, or in the history."""
        return self.commands.closed

    @property
    def last_sequence(self) -> int:
        """The place of the last event that it knows; 0 if there is none."""
        return self.progress.last

    @property
    def now_ns(self) -> int:
        """The logical time: the latest of the events up to the one that it now answers."""
        return self.progress.now_ns

    @property
    def awaited(self) -> list[str]:
        """A word for each event from outside and each barrier that the code waits for."""
        return [*(handle.what for handle in self._inbox.waiting), *self._barriers.awaited]

    @guarded
    def advance(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Take the next events of the stream; return every event that the code asks for now.

        Args:
            events: in order, each once; many are quickest as one `History`.

        Raises:
            NonDeterminismError: the history holds something other than the code asks for.
            CorruptionError: the events do not follow those before.
        """
        try:
            follow(self, events)
        except NonDeterminismError as error:
            tell_place(self, error)
            raise
        return self.commands.drafts

    # -- what the context asks for --------------------------------------------------------------

    def schedule(self, request: Request) -> Call:
        """Ask for an activity, or for a compensation."""
        self.fiber.called(request.agent)
        return schedule_request(self.commands, request)

    def note(self, event_type: str, step_id: str, coordination_id: str, payload: Any) -> None:
        """Put into the history what the code has come to."""
        self.commands.ask(
            event_type, step_id, payload, step_id=step_id, coordination_id=coordination_id
        )

    def start_timer(self, delay_ns: int) -> Handle:
        """Ask for a timer."""
        return Timer(self.commands, delay_ns).handle

    def start_child(self, request: ChildRequest) -> Handle:
        """Ask for a child workflow."""
        workflow_id = as_workflow_id(request.workflow_id or self.section.next_child())
        return Child(self.commands, request, workflow_id).handle

    def expect_signal(self, name: str) -> Handle:
        """Wait for an event from outside."""
        handle = self._inbox.expect(name)
        handle.stopper = partial(self._forget, name, handle)
        return handle

    def send_signal(self, workflow_id: str, name: str, value: Any) -> None:
        """Ask for an event in another workflow's stream."""
        payload = {"workflow_id": workflow_id, "value": value}
        self.commands.ask("SignalInitiated", name, payload)

    def arrive(
        self, name: str, agents: Collection[str], arriving: Collection[str] | None
    ) -> Handle:
        """Arrive at a barrier: for some, or for those whom this branch has called."""
        if arriving is None:
            called = self.fiber.agents
            arriving = [agent for agent in agents if agent in called]
        return self._barriers.arrive(name, agents, arriving)

    def savepoint(self) -> Handle:
        """Ask for a savepoint; what interrupts the workflow meanwhile reaches it afterwards."""
        main, commands = self.fiber, self.commands
        payload = saved(self.workflow, self.state, self._in_flight(main), self._inbox)
        handle = Promise("a savepoint")

        def recorded(event: Event) -> None:
            main.shield -= 1
            self._begin_section(event, main)
            handle.resolve(None, main.because)

        commands.ask("MarkerRecorded", SAVEPOINT, payload, recorded=recorded)
        main.shield += 1
        return handle

    def patched(self, patch_id: str) -> bool:
        """Decide once for each patch: by its marker, or by whether this is new ground."""
        if patch_id == SAVEPOINT:
            message = f"a patch cannot be named {SAVEPOINT!r}, as savepoints are; name the change"
            raise InvalidArgumentError(message)
        patches = self.section.patches
        if patch_id not in patches:
            # Its marker, if there is one, follows the commands that are asked for already.
            then = self.progress.command(self.commands)
            patches[patch_id] = then is None or then == ("MarkerRecorded", patch_id)
            if patches[patch_id]:
                self.commands.ask("MarkerRecorded", patch_id)
        return patches[patch_id]

    def branch(self, coroutine: Coroutine[Any, Any, Any]) -> Handle:
        """Let a coroutine run beside the one that runs."""
        fiber = Fiber(coroutine, dict(self.loop.why), "a branch")
        fiber.handle.stopper = partial(self._interrupt, fiber, "a branch was canceled")
        self.loop.start(fiber)
        return fiber.handle

    @property
    def is_entered(self) -> bool:
        """Whether it is not about to be entered again, at a savepoint."""
        return self._entry is None

    @property
    def runs_on(self) -> bool:
        """Whether the code has begun, has not ended, and is not about to be entered again."""
        return self._main is not None and self._entry is None and not self.commands.closed

    @property
    def end(self) -> Handle:
        """The end of the code, once that has begun."""
        assert self._main is not None
        return self._main.handle

    @property
    def fiber(self) -> Fiber:
        """The branch whose code runs now."""
        assert self.loop.current is not None
        return self.loop.current

    @property
    def is_long(self) -> bool:
        """Whether continue-as-new is suggested."""
        progress = self.progress
        return progress.length >= LONG_EVENTS or progress.bytes_read >= LONG_BYTES

    # -- history ----------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take one event that follows those before: what a batch does with each."""
        if self._entry is not None:
            self._enter_again(event, *self._entry)
        elif event.event_type in COMMAND_TYPES:
            self.commands.record(event)
        elif not self.commands.closed:
            self._answer(event)
        self.go_on()

    def overrun(self, event: Event, error: LimitError) -> None:
        """Interrupt the code at an event, as one that asks it to stop does: it is too long."""
        if self._main is not None:
            self.loop.interrupt(self._main, error, str(error), because(event))
            self.go_on()

    def go_on(self) -> bool:
        """Run what can go on, and write the end once the code has come to it: was it so?"""
        if self.loop.ready:
            self.loop.run()
        main = self._main
        if main is not None and main.handle.done and not self.commands.closed:
            self._settle(main)
        return self.commands.closed

    def _answer(self, event: Event) -> None:
        kind = event.event_type
        if kind in ANSWERS:
            self.commands.answer(event)
        elif kind == "WorkflowStarted":
            if self.workflow.state is not None:
                self.state = self.workflow.state()
            self.loop.start(self._begin(event, because(event)))
        elif kind == "Signaled":
            self._inbox.take(event)
        elif kind == "WorkflowCancelRequested" and self._main is not None:
            reason = str(data_of(event).get("reason", ""))
            what = f"workflow {self.workflow_id!r} was asked to stop"
            self._interrupt(self._main, what, reason, because(event))
        elif kind in STARTS:
            self.commands.take_up(event)

    def _begin(self, started: Event, why: Because) -> Fiber:
        if self._main is not None:
            message = (
                f"event {started.sequence} of {self.workflow_id!r} begins a workflow that has "
                "begun; a new generation needs an Execution of its own"
            )
            raise CorruptionError(message)
        self.generation = self.commands.generation = started.generation
        self.section.begin(str(started.generation))
        ctx = WorkflowContext(self, self.workflow_id, self.generation)
        coroutine = self.workflow(ctx, data_of(started).get("input"), self.state)
        self._main = Fiber(coroutine, why, f"workflow {self.workflow_id!r}")
        return self._main

    def _enter_again(self, event: Event, started: Event, savepoint: Event) -> None:
        """Take what came while the savepoint was being written, and then go on from it."""
        if event.sequence < savepoint.sequence:
            self._meanwhile.append(event)
            return
        self._entry = None
        self.commands.skip(self.progress.place)
        main = self._begin(started, because(savepoint))
        self._begin_section(event, main)
        self.loop.start(main)
        for before in self._meanwhile:
            if before.event_type in {"Signaled", "WorkflowCancelRequested"}:
                self._answer(before)
        self._meanwhile.clear()

    def _begin_section(self, savepoint: Event, main: Fiber) -> None:
        """Leave behind what a function that is re-entered from a savepoint cannot know."""
        self.past.forget(savepoint)
        self.commands.forget()
        self._barriers.clear()
        self.section.begin(f"{self.generation}.{savepoint.sequence}")
        main.because, main.agents = {savepoint.sequence: int(CauseKind.PROGRAM)}, ()
        self.progress.save()

    def _in_flight(self, main: Fiber) -> list[str]:
        """Return a word for each thing that the code would have to wait for."""
        others = [fiber.handle.what for fiber in self.loop.alive if fiber is not main]
        return self.commands.in_flight + self.awaited + others + ["a saga"] * main.sagas

    def _forget(self, name: str, handle: Handle, reason: str, why: Because | None) -> None:
        self._inbox.forget(name, handle)
        error = CancelledError(told(f"{handle.what} is not waited for any more", reason))
        handle.reject(error, self.commands.reasons(why))

    def _interrupt(self, fiber: Fiber, what: str, reason: str, why: Because | None) -> None:
        self.loop.interrupt(fiber, CancelledError(told(what, reason)), reason, why)

    def _settle(self, main: Fiber) -> None:
        """Write the end of the workflow, once its code and the sagas of its branches have ended."""
        alive = self.loop.alive
        while new := [fiber for fiber in alive if fiber.sagas and fiber not in self._held]:
            for fiber in new:
                self._held[fiber] = None
                self._interrupt(fiber, "the workflow has ended", "", main.because)
            self.loop.run()
        if self.commands.owed or any(fiber.sagas for fiber in alive):
            return
        why = main.because
        if self._held:
            why = self.past.minimal(joined([why, *(fiber.because for fiber in self._held)]))
        ends = [fiber.handle for fiber in (main, *self._held)]
        kind, payload = ending_of(*ends)
        try:
            self.commands.end(kind, self.workflow.name, payload, why)
        except InvalidEventError as error:  # a result that is not JSON is the code's failure
            failed = {"error": error_facts(error)}
            self.commands.end("WorkflowFailed", self.workflow.name, failed, why)
        self.loop.close()
        forget_frames(ends)
