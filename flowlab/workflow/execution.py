"""The deterministic core: history in, the next events out. No IO, no clock, no threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flowlab.errors import (
    CancelledError,
    ChildWorkflowError,
    CompensationError,
    CorruptionError,
    InvalidArgumentError,
    LimitError,
)
from flowlab.events import MAX_CAUSES, Cause, Event
from flowlab.workflow.answers import ANSWERS, STARTS, Inbox, because, data_of, error_of
from flowlab.workflow.calls import Call, Request
from flowlab.workflow.chance import Random, stream
from flowlab.workflow.context import WorkflowContext
from flowlab.workflow.definition import Workflow
from flowlab.workflow.guard import guarded
from flowlab.workflow.handles import Because, ContinueAsNew, Fiber, Handle, Loop
from flowlab.workflow.matching import COMMAND_TYPES, check_command

LONG_EVENTS: Final = 4_096
"""A history of so many events is long: continue-as-new is suggested."""
LONG_BYTES: Final = 4 * 1024 * 1024
"""A history whose payloads take so many bytes is long, too."""
MAX_HISTORY_EVENTS: Final = 50_000
"""The longest history of one generation; each event keeps a bit for each one before it."""


@dataclass(slots=True)
class _Command:
    """An event that the code asked for, and what to do once it is in the history."""

    draft: Event
    recorded: Callable[[Event], None] | None


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

    def __init__(self, workflow: Workflow, workflow_id: str, *, seed: object = 0) -> None:
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.generation = 0
        self.now_ns = 0
        self.closed = False
        self._seed = seed
        self._loop = Loop(self._minimal)
        self._main: Fiber | None = None
        self._commands: deque[_Command] = deque()
        self._open: dict[int, Callable[[Event], None]] = {}
        self._inbox = Inbox()
        self._streams: dict[str, Random] = {}
        self._patches: dict[str, bool] = {}
        self._ahead: Sequence[Event] = ()
        self._past: dict[int, int] = {}
        self._first = 0
        self._children = 0
        self._sagas = 0
        self._length = 0
        self._bytes = 0
        self._last = 0

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._length} events"
        return f"Execution({self.workflow.name!r}, {self.workflow_id!r}, {state})"

    @guarded
    def advance(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Take the next events of the stream; return every event that the code asks for now.

        Raises:
            NonDeterminismError: the history holds something other than the code asks for.
            CorruptionError: the events do not follow those before.
        """
        batch = list(events)
        for place, event in enumerate(batch):
            self._ahead = batch[place + 1 :]
            self._take(event)
        self._ahead = ()
        return tuple(command.draft for command in self._commands)

    # -- what the context asks for --------------------------------------------------------------

    def schedule(self, request: Request) -> Handle:
        """Ask for an activity, or for a compensation."""
        call = Call(self, request)
        call.ask()
        return call.handle

    def note(self, event_type: str, step_id: str, coordination_id: str, payload: Any) -> None:
        """Put into the history what the code has come to."""
        draft = self.draft(event_type, name=step_id, payload=payload)
        self.ask(msgspec.structs.replace(draft, step_id=step_id, coordination_id=coordination_id))

    def start_timer(self, delay_ns: int) -> Handle:
        """Ask for a timer."""
        handle = Handle(f"a timer of {delay_ns} ns")
        draft = self.draft("TimerStarted", payload={"delay_ns": delay_ns})
        self.ask(draft, self.opens(lambda event: handle.resolve(None, because(event))))
        return handle

    def start_child(self, name: str, value: Any, workflow_id: str | None) -> Handle:
        """Ask for a child workflow."""
        self._children += 1
        child = workflow_id or f"{self.workflow_id}/{self.generation}.{self._children}"
        handle = Handle(f"child workflow {child!r}")

        def answered(event: Event) -> None:
            if event.event_type == "ChildWorkflowCompleted":
                handle.resolve(data_of(event).get("result"), because(event))
            else:
                told = error_of(event, "it failed")[1]
                handle.reject(ChildWorkflowError(f"{child!r}: {told}"), because(event))

        draft = self.draft(
            "ChildWorkflowInitiated", name=name, payload={"workflow_id": child, "input": value}
        )
        self.ask(draft, self.opens(answered))
        return handle

    def expect_signal(self, name: str) -> Handle:
        """Wait for an event from outside."""
        return self._inbox.expect(name)

    def send_signal(self, workflow_id: str, name: str, value: Any) -> None:
        """Ask for an event in another workflow's stream."""
        payload = {"workflow_id": workflow_id, "value": value}
        self.ask(self.draft("SignalInitiated", name=name, payload=payload))

    def patched(self, patch_id: str) -> bool:
        """Decide once for each patch: by its marker, or by whether this is new ground."""
        if patch_id not in self._patches:
            ahead = [event for event in self._ahead if event.event_type in COMMAND_TYPES]
            marked = any(
                event.event_type == "MarkerRecorded" and event.name == patch_id for event in ahead
            )
            self._patches[patch_id] = marked or not ahead
            if self._patches[patch_id]:
                self.ask(self.draft("MarkerRecorded", name=patch_id))
        return self._patches[patch_id]

    def next_saga(self) -> str:
        """Return the id of the next saga of this workflow."""
        self._sagas += 1
        return f"{self.workflow_id}#{self.generation}.{self._sagas}"

    def chance(self, name: str) -> Random:
        """Return a named stream of chance of this workflow's generation."""
        if name not in self._streams:
            self._streams[name] = stream(self._seed, self.workflow_id, self.generation, name)
        return self._streams[name]

    def branch(self, coroutine: Coroutine[Any, Any, Any]) -> Handle:
        """Let a coroutine run beside the one that runs."""
        current = self._loop.current
        fiber = Fiber(coroutine, dict(current.because) if current else {}, "a branch")
        self._loop.start(fiber)
        return fiber.handle

    @property
    def is_long(self) -> bool:
        """Whether continue-as-new is suggested."""
        return self._length >= LONG_EVENTS or self._bytes >= LONG_BYTES

    # -- history ----------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if self._last and event.sequence != self._last + 1:
            message = (
                f"event {event.sequence} of {self.workflow_id!r} follows {self._last}; give every "
                "event of the stream, in order and once"
            )
            raise CorruptionError(message)
        if self._length >= MAX_HISTORY_EVENTS:
            message = (
                f"the history of {self.workflow_id!r} has more than MAX_HISTORY_EVENTS "
                f"({MAX_HISTORY_EVENTS:,}) events; let the workflow continue as new"
            )
            raise LimitError(message)
        self._last = event.sequence
        self._length += 1
        self._first = self._first or event.sequence
        past = 0
        for cause in event.causes:
            if cause.workflow_id == self.workflow_id and cause.sequence in self._past:
                past |= self._past[cause.sequence] | 1 << (cause.sequence - self._first)
        self._past[event.sequence] = past
        self._bytes += len(event.payload or b"")
        self.now_ns = max(self.now_ns, event.time_ns)
        if event.event_type in COMMAND_TYPES:
            asked = self._commands[0].draft if self._commands else None
            check_command(event, asked, self.workflow_id)
            recorded = self._commands.popleft().recorded
            if recorded is not None:
                recorded(event)
        elif not self.closed:
            self._answer(event)
            self._loop.run()
            self._settle()

    def _answer(self, event: Event) -> None:
        kind = event.event_type
        if kind == "WorkflowStarted":
            self._begin(event)
        elif kind == "Signaled":
            self._inbox.take(event)
        elif kind == "WorkflowCancelRequested" and self._main is not None:
            reason = data_of(event).get("reason", "")
            told = f"workflow {self.workflow_id!r} was asked to stop" + (reason and f": {reason}")
            self._loop.interrupt(self._main, CancelledError(told), because(event))
        elif kind in STARTS:
            # Its answer may name the start and not the request.
            for cause in event.causes:
                if cause.sequence in self._open and cause.workflow_id == event.workflow_id:
                    self._open[event.sequence] = self._open[cause.sequence]
        elif kind in ANSWERS:
            for cause in event.causes:
                if cause.workflow_id == event.workflow_id and cause.sequence in self._open:
                    # A late answer finds its call answered already: nothing waits for it.
                    self._open[cause.sequence](event)
                    break

    def _begin(self, event: Event) -> None:
        if self._main is not None:
            message = (
                f"event {event.sequence} of {self.workflow_id!r} begins a workflow that has begun; "
                "a new generation needs an Execution of its own"
            )
            raise CorruptionError(message)
        self.generation = event.generation
        ctx = WorkflowContext(self, self.workflow_id, self.generation)
        coroutine = self.workflow.body(ctx, data_of(event).get("input"))
        self._main = Fiber(coroutine, because(event), f"workflow {self.workflow_id!r}")
        self._loop.start(self._main)

    def _settle(self) -> None:
        """Write the end of the workflow, once its code has ended."""
        main = self._main
        if main is None or not main.handle.done or self.closed:
            return
        self.closed = True
        try:
            payload: dict[str, Any] = {"result": main.handle.result()}
            kind = "WorkflowCompleted"
        except ContinueAsNew as next_:
            kind, payload = "WorkflowContinuedAsNew", {"input": next_.value}
        except CancelledError as error:
            kind, payload = "WorkflowCanceled", {"reason": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever the code raised is how it failed
            kind = "WorkflowFailed"
            payload = {"error": {"type": type(error).__name__, "message": str(error)}}
            if isinstance(error, CompensationError):
                payload["uncompensated"] = list(error.uncompensated)
        draft = self.draft(kind, name=self.workflow.name, payload=payload, why=main.because)
        self._loop.close()
        self.ask(draft)

    # -- commands ---------------------------------------------------------------------------------

    def opens(self, answered: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return what lets the answers to an event be heard, once it is in the history."""

        def recorded(event: Event) -> None:
            self._open[event.sequence] = answered

        return recorded

    def _minimal(self, why: Because) -> Because:
        implied = 0
        for sequence in why:
            implied |= self._past[sequence]
        kept = {seq: kind for seq, kind in why.items() if not implied >> (seq - self._first) & 1}
        if len(kept) > MAX_CAUSES:
            message = (
                f"workflow {self.workflow_id!r} has waited for {len(kept)} answers without asking "
                f"for anything; MAX_CAUSES is {MAX_CAUSES}: continue as new, or call an activity"
            )
            raise LimitError(message)
        return kept

    def draft(
        self,
        event_type: str,
        *,
        name: str = "",
        payload: Any = None,
        why: Because | None = None,
    ) -> Event:
        """Make an event of this stream whose causes are `why`, or why the code runs now."""
        if why is None:
            current = self._loop.current
            why = current.because if current is not None else {}
        causes = tuple(Cause(self.workflow_id, seq, kind) for seq, kind in sorted(why.items()))
        return Event.of(
            event_type,
            name=name,
            payload=payload,
            workflow_id=self.workflow_id,
            generation=self.generation,
            follows_lane=False,
            causes=causes,
        )

    def ask(self, draft: Event, recorded: Callable[[Event], None] | None = None) -> None:
        """Ask for an event, and say what to do once it is in the history."""
        if self.closed and draft.event_type not in _ENDS:
            message = f"workflow {self.workflow_id!r} has ended; it can ask for nothing more"
            raise InvalidArgumentError(message)
        self._commands.append(_Command(draft, recorded))


_ENDS: Final = frozenset(
    {"WorkflowCompleted", "WorkflowFailed", "WorkflowCanceled", "WorkflowContinuedAsNew"}
)
