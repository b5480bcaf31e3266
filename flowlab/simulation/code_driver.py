"""A `@workflow` in a world: hosts its `Execution`, and carries out what it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowlab.events import Cause, Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.simulation.call import Call
from flowlab.simulation.draws import key_of
from flowlab.simulation.driver import (
    CHILD_ENDS,
    FORK,
    JOIN,
    MESSAGE,
    OPEN,
    PROGRAM,
    Causes,
    Fire,
    Parent,
    call_key,
    error_in,
    failure,
    family_of,
)
from flowlab.simulation.network import HOST
from flowlab.simulation.recorder import NOTHING
from flowlab.workflow import Execution, Workflow
from flowlab.workflow.retry import UNKNOWN_ACTIVITY

if TYPE_CHECKING:
    from flowlab.simulation.engine import Engine

_FIRST_SAGA: Final = "0.1"
"""What the core calls the first saga of the first generation, behind the workflow's id."""

_LINEAGE: Final = frozenset({"ActivityFailed", "ActivityTimedOut", "TimerStarted", "TimerFired"})
"""What stands between an attempt of a call and the next."""


class CodeDriver(Parent):
    """Hosts one `Execution` after the other: a generation each.

    The history goes to the execution as events and to the recorder as rows. `_rows` leads from the
    sequence of an event in the stream to its row.
    """

    __slots__ = (
        "_calls",
        "_execution",
        "_generation",
        "_history",
        "_keeps_history",
        "_labels",
        "_next",
        "_open",
        "_ordinals",
        "_rows",
        "_sequences",
        "_timers",
        "process",
    )

    def __init__(self, engine: Engine, process: Workflow, workflow_id: str) -> None:
        super().__init__(engine, process.name, workflow_id)
        self.process = process
        self._rows: list[int] = []
        self._sequences: dict[int, int] = {}
        self._open: dict[int, str] = {}
        self._ordinals: dict[str, int] = {}
        self._labels: dict[int, str] = {}
        self._calls: dict[int, Call] = {}
        self._timers: dict[int, str] = {}
        self._next: tuple[Any, int] = (None, NOTHING)
        self._generation = 0
        self._history: list[Event] = []
        faults = engine.faults
        self._keeps_history = faults is not None and faults.host_live
        self._execution = Execution(process, workflow_id, seed=engine.seed)

    # -- what happens to it -----------------------------------------------------------------------

    def begin(self, now_ns: int, value: Any, cause: int = NOTHING) -> None:
        """Begin with an input."""
        causes = [] if cause == NOTHING else [(cause, FORK)]
        self._tell(now_ns, "WorkflowStarted", self.name, {"input": value}, causes)

    def answer(self, now_ns: int, call: Call) -> None:
        """Take the answer to a call."""
        if self.is_down(now_ns, self.answer, call):
            return
        call.done = True
        if call.origin is not None:
            call.origin.done = True
        kind = f"{family_of(call)}{'Failed' if call.failed else 'Completed'}"
        payload = {"result": call.outcome}
        if call.failed:
            payload = {"attempt": call.attempt, "error": failure(*call.outcome)}
        causes = [(call.asked, PROGRAM)] + ([] if call.txn < 0 else [(call.txn, MESSAGE)])
        self._close(now_ns, kind, call, payload, causes)

    def give_up(self, now_ns: int, call: Call) -> None:
        """Take note that a call was not answered in time."""
        if self.is_down(now_ns, self.give_up, call):
            return
        call.done = True
        kind = "CompensationFailed" if call.undo else "ActivityTimedOut"
        payload: dict[str, Any] = {"attempt": call.attempt}
        if call.undo:
            payload["error"] = failure("TimedOut", "it was not answered in time")
        self._close(now_ns, kind, call, payload, [(call.asked, PROGRAM)])

    def signal(self, now_ns: int, name: str, value: Any, cause: int) -> None:
        """Take an event from outside."""
        causes = [] if cause == NOTHING else [(cause, MESSAGE)]
        self._tell(now_ns, "Signaled", name, {"value": value}, causes)

    def cancel(self, now_ns: int, reason: str, cause: int) -> None:
        """Take a request to stop."""
        causes = [] if cause == NOTHING else [(cause, MESSAGE)]
        payload = {"reason": reason} if reason else {}
        self._tell(now_ns, "WorkflowCancelRequested", self.name, payload, causes)

    def child_ended(
        self, now_ns: int, asked: int, name: str, status: str, result: Any, end: int
    ) -> None:
        """Take the end of a child."""
        self._open.pop(asked, None)
        causes = [(asked, PROGRAM)] + ([] if end == NOTHING else [(end, JOIN)])
        kind = CHILD_ENDS[status]
        payload = {"result": result}
        if status != "completed":
            left = result.get("uncompensated") if isinstance(result, dict) else None
            payload = {"error": error_in(result)} | ({"uncompensated": left} if left else {})
        self._tell(now_ns, kind, name, payload, causes)

    def is_over(self, fire: Fire, about: Any) -> bool:
        """Say whether an entry of the agenda that calls it would do nothing any more."""
        return fire == self._fire and about not in self._open

    def recover(self) -> None:
        """Come back after a crash: replay the history of this generation."""
        self._execution = Execution(self.process, self.workflow_id, seed=self.engine.seed)
        left = self._execution.advance(self._history)
        assert not left, "the history asks for nothing that it does not hold"

    def waiting(self) -> list[str]:
        """Say what it waits for, in the order in which it began to."""
        return [*self._open.values(), *self._execution.awaited]

    # -- what it asks for -------------------------------------------------------------------------

    def _tell(
        self, now_ns: int, event_type: str, name: str, payload: dict[str, Any], causes: Causes
    ) -> None:
        """Write what has happened, and carry out what the code makes of it."""
        self._advance(now_ns, Event.of(event_type, name=name, payload=payload), causes)

    def _close(
        self, now_ns: int, kind: str, call: Call, payload: dict[str, Any], causes: Causes
    ) -> None:
        self._open.pop(call.asked, None)
        event = Event.of(kind, name=call.name, payload=payload, step_id=call.step_id)
        if call.op is not None:
            event = event.replace(coordination_id=call.op)
        self._advance(now_ns, event, causes)

    def _advance(self, now_ns: int, event: Event, causes: Causes) -> None:
        own = tuple(
            Cause(self.workflow_id, self._sequences[row], kind)
            for row, kind in causes
            if row in self._sequences
        )
        self._go_on(now_ns, [self._write(now_ns, event.replace(causes=own), causes)])
        while self._execution.closed and self.status == "continued_as_new":
            self._renew(now_ns)

    def _go_on(self, now_ns: int, told: list[Event]) -> None:
        """Hand events to the code, and carry out what it asks for, until it waits."""
        engine = self.engine
        while drafts := self._execution.advance(told):
            if len(engine.rows) > engine.most:
                engine.stop_full()
            told = [self._write(now_ns, draft, self._because(draft)) for draft in drafts]
            for asked in told:
                self._carry_out(now_ns, asked)

    def _because(self, draft: Event) -> Causes:
        return [(self._rows[cause.sequence - 1], cause.kind) for cause in draft.causes]

    def _write(self, now_ns: int, event: Event, causes: Causes) -> Event:
        row = self.record(now_ns, event, causes)
        self._rows.append(row)
        if event.event_type in _LINEAGE and event.step_id is None:
            self._inherit(row, causes)
        sequence = self._sequences[row] = len(self._rows)
        written = event.replace(
            workflow_id=self.workflow_id,
            sequence=sequence,
            time_ns=now_ns,
            generation=self._generation,
        )
        if self._keeps_history:
            self._history.append(written)
        return written

    def _carry_out(self, now_ns: int, event: Event) -> None:
        kind, row = event.event_type, self._rows[event.sequence - 1]
        if kind in {"ActivityScheduled", "CompensationScheduled"}:
            self._call(now_ns, event, row)
        elif kind == "TimerStarted":
            delay_ns = event.data["delay_ns"]
            self._timers[row] = event.name
            self._open[row] = f"a timer of {delay_ns / 1e9:g} s"
            self.engine.at(now_ns + delay_ns, self._fire, row)
        elif kind == "TimerCanceled":
            for cause, _ in self._because(event):
                self._open.pop(cause, None)
        elif kind == "ChildWorkflowInitiated":
            data = event.data
            self._open[row] = f"child workflow {data['workflow_id']!r}"
            self.engine.workflows.begin_child(now_ns, self, row, event.name, data)
        elif kind == "SignalInitiated":
            data = event.data
            key = key_of(self.workflow_id, "signal", event.name, self._ordinal(f"! {event.name}"))
            told = (data["workflow_id"], event.name, data["value"])
            self.engine.transit.signal(now_ns, told, row, HOST, key)
        elif kind == "CancelInitiated":
            data = event.data
            self.engine.workflows.request_cancel(
                now_ns, data["workflow_id"], data.get("reason", ""), row
            )
        elif kind == "ActivityCancelRequested":
            self._cancel_call(now_ns, event)
        elif kind in TERMINAL_STATUS:
            self._end(now_ns, event, row)

    def _call(self, now_ns: int, event: Event, row: int) -> None:
        data, undo = event.data, event.event_type == "CompensationScheduled"
        engine, name, attempt = self.engine, event.name, event.data["attempt"]
        server = engine.server_for(data.get("agent"), name)
        # Whom nobody can be asked for is answered before anybody looks at who that is.
        target: Any = server
        call = Call(self, event.coordination_id, target, name, data["input"], attempt, undo)
        call.coordination = self.code
        call.row = call.asked = row
        call.step_id, call.step = event.step_id, name
        self._calls[row] = call
        self._open[row] = f"{name} by {data.get('agent') or 'any agent'}"
        if server is None:
            call.failed = True
            call.outcome = (UNKNOWN_ACTIVITY, engine.unknown(data.get("agent"), name))
            engine.at(now_ns, self.answer, call)
            return
        call.step = self._labels[row] = self._label(event, name)
        call.key = call_key(self.key, key_of(call.step), call)
        engine.transit.send(now_ns, call)
        timeout_ns = data.get("timeout_ns", engine.world.timeout_ns)
        if timeout_ns is not None:
            engine.arm(now_ns, call, timeout_ns)

    def _label(self, event: Event, name: str) -> str:
        """Name a call so that what happens to others does not change its name."""
        if event.step_id is not None:
            # Two sagas may have a step of one name, and so may two generations.
            saga = (event.coordination_id or "").removeprefix(f"{self.workflow_id}#")
            return event.step_id if saga in {"", _FIRST_SAGA} else f"{event.step_id}#{saga}"
        if event.data["attempt"] > 1:
            # The timer before it leads to the failure, and that one to the call.
            (cause,) = event.causes
            return self._labels[self._rows[cause.sequence - 1]]
        return f"{name}.{self._ordinal(name)}"

    def _ordinal(self, name: str) -> int:
        self._ordinals[name] = found = self._ordinals.get(name, 0) + 1
        return found

    def _inherit(self, row: int, causes: Causes) -> None:
        for cause, _ in causes:
            if cause in self._labels:
                self._labels[row] = self._labels[cause]

    def _fire(self, now_ns: int, row: int) -> None:
        if self.is_down(now_ns, self._fire, row):
            return
        if self._open.pop(row, None) is not None and self.status == OPEN:
            event = Event.of("TimerFired", name=self._timers.pop(row, ""))
            self._advance(now_ns, event, [(row, PROGRAM)])

    def _cancel_call(self, now_ns: int, event: Event) -> None:
        for row, _ in self._because(event):
            call = self._calls.get(row)
            if call is not None and not call.done:
                self.engine.cancel_call(now_ns, call)

    def canceled(self, now_ns: int, call: Call) -> None:
        """Take note that an agent gave a call up before it began."""
        if self.is_down(now_ns, self.canceled, call):
            return
        call.done = True
        causes = [(call.asked, PROGRAM)]
        self._close(now_ns, "ActivityCanceled", call, {"attempt": call.attempt}, causes)

    def _end(self, now_ns: int, event: Event, row: int) -> None:
        self.status = TERMINAL_STATUS[event.event_type]
        data = event.data or {}
        self.result = data.get("result") if self.status == "completed" else data
        self.forget()
        if self.status == "continued_as_new":
            self._next = (data.get("input"), row)
        else:
            self.engine.workflows.ended(now_ns, self, row)

    def forget(self) -> None:
        """Keep nothing of what it has asked for: it has ended, or its world has."""
        for kept in (self._open, self._labels, self._calls, self._timers):
            kept.clear()
        if self.status == OPEN:
            # Code that waits may hold an error, whose frames lead to calls and so back to here.
            del self._execution

    def _renew(self, now_ns: int) -> None:
        value, row = self._next
        self.status = OPEN
        self._generation += 1
        self._history.clear()
        self.renew_stream()
        self._execution = Execution(self.process, self.workflow_id, seed=self.engine.seed)
        causes = (Cause(self.workflow_id, self._sequences[row], PROGRAM),)
        payload = {"input": value}
        started = Event.of("WorkflowStarted", name=self.name, payload=payload, causes=causes)
        self._go_on(now_ns, [self._write(now_ns, started, [(row, PROGRAM)])])
