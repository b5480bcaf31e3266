"""A plan in a world: tells a `PlanInstance` what happens, and writes what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flowlab.simulation.call import Call
from flowlab.simulation.driver import (
    KEY_MASK,
    MESSAGE,
    PROGRAM,
    Caller,
    Fire,
    call_key,
    failure,
)
from flowlab.simulation.plan_shapes import PlanShapes, shapes_of
from flowlab.simulation.recorder import LEAST, MOST, NOTHING, PACK, ROW_BYTES, json_of, plain
from flowlab.workflow import PlanInstance, StepOp
from flowlab.workflow.plan_command import (
    ARRIVED,
    END_CANCELED,
    END_COMPLETED,
    END_FAILED,
    PIVOT,
    RELEASED,
    SCHEDULE,
    TIMER,
    UNDO,
    UNDO_TIMER,
    Command,
)

if TYPE_CHECKING:
    from flowlab.simulation.engine import Engine
    from flowlab.workflow import Plan

_TIMERS = frozenset({TIMER, UNDO_TIMER})
_MEETINGS = frozenset({ARRIVED, RELEASED})
_STATUS = {END_COMPLETED: "completed", END_FAILED: "failed", END_CANCELED: "canceled"}
_ENDS = {
    END_COMPLETED: "WorkflowCompleted",
    END_FAILED: "WorkflowFailed",
    END_CANCELED: "WorkflowCanceled",
}


class PlanDriver(Caller):
    """Carries out one instance of a plan.

    The history is written as rows and nothing else: the instance names events by their rows.
    """

    __slots__ = ("_roles", "_shapes", "_timeout_ns", "instance", "plan")

    instance: PlanInstance | None

    def __init__(self, engine: Engine, plan: Plan, workflow_id: str) -> None:
        super().__init__(engine, plan.name, workflow_id)
        self.plan = plan
        self._roles: Mapping[str, str] | None = None
        self._shapes: PlanShapes = shapes_of(engine, plan.name)
        self._timeout_ns = engine.world.timeout_ns

    # -- what happens to it -----------------------------------------------------------------------

    def bind(self, roles: Mapping[str, str]) -> None:
        """Say which agent takes each role of the plan."""
        self._roles = dict(roles)

    def begin(self, now_ns: int, value: Any, cause: int = NOTHING) -> None:
        """Begin with an input."""
        kept, value = plain(value)
        roles, recorder = self._roles, self.engine.recorder
        text = kept if type(kept) is bytes else json_of(kept)
        if roles is not None:
            text += b',"roles":' + json_of(roles)
        shape = self._shapes.started
        row = recorder.add(now_ns, shape, self.code, NOTHING, cause, -1, recorder.keep(text))
        program = self._shapes.program
        self.instance = PlanInstance(program, value, roles, self._draw())
        self._carry_out(now_ns, self.instance.start(row))

    def _draw(self) -> Callable[[], float] | None:
        if not self._shapes.program.draws:
            return None
        return self.engine.random(self.workflow_id, 0, "retry").random

    def answer(self, now_ns: int, call: Call) -> None:
        """Take the answer to a call."""
        if self.down_until_ns > now_ns:
            self.engine.at(self.down_until_ns, self.answer, call)
            return
        call.done = True
        if call.origin is not None:
            call.origin.done = True
        engine, kept, op, code = self.engine, call.kept, call.op, self.code
        if call.failed:
            shape = self._shapes.failed(op, call)
            value = engine.recorder.keep(kept)
        elif type(kept) is int and LEAST <= kept <= MOST:
            shape = self._shapes.completed_int[call.undo][op.index]
            value = kept
        else:
            shape = self._shapes.completed[call.undo][op.index]
            value = engine.recorder.keep(kept)
        rows = engine.rows
        row = len(rows) // ROW_BYTES
        rows += PACK(now_ns, value, shape, code, code, call.asked, call.txn, -1)
        instance = self.instance
        if instance is None:
            return
        if call.failed:
            tell = instance.undo_failed if call.undo else instance.failed
            kind, message = call.outcome
            commands = tell(op, row, call.attempt, kind, message, False, now_ns)
        elif call.undo:
            commands = instance.undone(op, row, call.attempt)
        else:
            commands = instance.completed(op, row, call.outcome, call.attempt)
        if commands:
            self._carry_out(now_ns, commands)

    def give_up(self, now_ns: int, call: Call) -> None:
        """Take note that a call was not answered in time."""
        if self.is_down(now_ns, self.give_up, call):
            return
        call.done = True
        undo = call.undo
        payload: dict[str, Any] = {"attempt": call.attempt}
        message = "it was not answered in time"
        if undo:
            payload["error"] = failure("TimedOut", message)
        row = self._note(
            now_ns,
            "CompensationFailed" if undo else "ActivityTimedOut",
            call.name,
            call.op.name,
            payload,
            ((call.asked, PROGRAM),),
        )
        if self.instance is None:
            return
        tell = self.instance.undo_failed if undo else self.instance.failed
        told = message if undo else "TimedOut"
        commands = tell(call.op, row, call.attempt, "TimedOut", told, True, now_ns)
        self._carry_out(now_ns, commands)

    def signal(self, now_ns: int, name: str, value: Any, cause: int) -> None:
        """Take an event from outside, for which no plan waits."""
        causes = () if cause == NOTHING else ((cause, MESSAGE),)
        self._note(now_ns, "Signaled", name, None, {"value": value}, causes)

    def cancel(self, now_ns: int, reason: str, cause: int) -> None:
        """Take a request to stop."""
        causes = () if cause == NOTHING else ((cause, MESSAGE),)
        payload = {"reason": reason} if reason else {}
        row = self._note(now_ns, "WorkflowCancelRequested", self.name, None, payload, causes)
        if self.instance is not None:
            self._carry_out(now_ns, self.instance.cancel(row, reason))

    def is_over(self, fire: Fire, about: Any) -> bool:
        """Say whether an entry of the agenda that calls it would do nothing any more."""
        del about
        return fire == self._fire and self.instance is None

    def recover(self) -> None:
        """Come back after a crash of the process: the instance is data, and was saved."""
        if self.instance is not None:
            program, draw = self._shapes.program, self._draw()
            self.instance = PlanInstance.from_json(program, self.instance.to_json(), draw)

    def waiting(self) -> list[str]:
        """Say what it waits for."""
        instance = self.instance
        if instance is None:
            return []
        return [
            f"{name} by {agent}" + (f", attempt {-attempt:,} to come" if attempt < 0 else "")
            for name, agent, attempt in instance.awaited
        ]

    # -- what it asks for -------------------------------------------------------------------------

    def _carry_out(self, now_ns: int, commands: tuple[Command, ...]) -> None:
        while commands:
            noted = None
            for command in commands:
                kind = command.kind
                if kind == SCHEDULE:
                    row = self._schedule(now_ns, command)
                else:
                    row = self._write(now_ns, command, kind)
                if command.wants_ref:
                    noted = noted or []
                    noted.append((command, row))
            if noted is None or self.instance is None:
                return
            more: list[Command] = []
            for command, row in noted:
                more += self.instance.noted(command, row, now_ns)
            commands = tuple(more)

    def _schedule(self, now_ns: int, command: Command) -> int:
        """Write the request of a step, and send it."""
        op: Any = command.op
        engine, roles, code = self.engine, self._roles, self.code
        server = engine.servers[op.agent if roles is None else roles.get(op.agent, op.agent)]
        causes, attempt, value = command.causes, command.attempt, command.value
        place = -1
        if not op.constant:
            kept, value = plain(value)
            place = engine.recorder.keep(kept)
        if len(causes) == 1:
            ((first, kind),) = causes
            second = -1
            shape = -1
            if attempt == 1 and kind == PROGRAM:
                shape = self._shapes.first[op.index]
            if shape < 0:
                shape = self._shapes.scheduled(op, attempt, kind, causes)
        else:
            shape = self._shapes.scheduled(op, attempt, -1, causes)
            first, second = causes[0][0], causes[1][0]
        rows = engine.rows
        row = len(rows) // ROW_BYTES
        rows += PACK(now_ns, place, shape, code, code, first, second, server.code)
        if len(causes) > 2:  # noqa: PLR2004 - what a row has room for
            engine.recorder.extra[row] = causes
        name = op.name
        # In the order of the fields: by name it takes three times as long.
        call = Call(
            self, op, server, op.activity, value, attempt, False, row, row, code,
            (self.key + self._shapes.keys[op.index] + (attempt << 1)) & KEY_MASK, name, name,
        )  # fmt: skip
        engine.transit.send(now_ns, call)
        timeout_ns = op.timeout_ns or self._timeout_ns
        if timeout_ns is not None:
            engine.arm(now_ns, call, timeout_ns)
        return row

    def _undo(self, now_ns: int, command: Command) -> int:
        """Write the request of a compensation, and send it."""
        op: Any = command.op
        engine = self.engine
        undo = op.undo
        roles = self._roles
        agent = undo.agent if roles is None else roles.get(undo.agent, undo.agent)
        value = plain(command.value)[1]
        payload: dict[str, Any] = {"agent": agent, "attempt": command.attempt, "input": value}
        if undo.timeout_ns is not None:
            payload["timeout_ns"] = undo.timeout_ns
        row = self._note(
            now_ns, "CompensationScheduled", undo.activity, op.name, payload, command.causes
        )
        call = Call(self, op, engine.servers[agent], undo.activity, value, command.attempt, True)
        call.row = call.asked = row
        call.coordination = self.code
        call.step = call.step_id = op.name
        call.key = call_key(self.key, self._shapes.keys[op.index], call)
        engine.transit.send(now_ns, call)
        timeout_ns = undo.timeout_ns or self._timeout_ns
        if timeout_ns is not None:
            engine.arm(now_ns, call, timeout_ns)
        return row

    def _write(self, now_ns: int, command: Command, kind: int) -> int:
        op: Any = command.op
        causes = command.causes
        if kind == UNDO:
            return self._undo(now_ns, command)
        if kind in _TIMERS:
            activity = op.activity if kind == TIMER else op.undo.activity
            payload = {"attempt": command.attempt, "delay_ns": command.value}
            row = self._note(now_ns, "TimerStarted", activity, op.name, payload, causes)
            told = (op, command.attempt, kind, row)
            self.engine.at(now_ns + command.value, self._fire, told)
            return row
        if kind == PIVOT:
            return self._note(now_ns, "PivotReached", op.name, op.name, None, causes)
        if kind in _MEETINGS:
            event = "BarrierArrived" if kind == ARRIVED else "BarrierReleased"
            return self._note(now_ns, event, op.name, op.name, command.value, causes)
        self.status = _STATUS[kind]
        value = command.value
        self.result = value.get("result") if kind == END_COMPLETED else value
        row = self._note(now_ns, _ENDS[kind], self.name, None, value, causes)
        self.instance = None
        self.engine.workflows.ended(now_ns, self, row)
        return row

    def _fire(self, now_ns: int, told: tuple[StepOp, int, int, int]) -> None:
        """Take note that the time before an attempt has passed."""
        if self.is_down(now_ns, self._fire, told) or self.instance is None:
            return
        op, attempt, kind, asked = told
        undo = kind == UNDO_TIMER
        name = op.undo.activity if undo and op.undo is not None else op.activity
        row = self._note(now_ns, "TimerFired", name, op.name, None, ((asked, PROGRAM),))
        tell = self.instance.undo_timer_fired if undo else self.instance.timer_fired
        self._carry_out(now_ns, tell(op, row, attempt))

    def _note(
        self,
        now_ns: int,
        event_type: str,
        name: str,
        step_id: str | None,
        payload: Any,
        causes: tuple[tuple[int, int], ...],
    ) -> int:
        recorder, code = self.engine.recorder, self.code
        shape = self._shapes.note(event_type, name, step_id, payload is not None, causes)
        value = -1 if payload is None else recorder.keep(json_of(payload))
        a = causes[0][0] if causes else NOTHING
        b = causes[1][0] if len(causes) > 1 else NOTHING
        rows = recorder.rows
        row = len(rows) // ROW_BYTES
        rows += PACK(now_ns, value, shape, code, code, a, b, -1)
        if len(causes) > 2:  # noqa: PLR2004 - what a row has room for
            recorder.extra[row] = causes
        return row
