"""One instance of a plan, as plain data: what has happened in, what is to be done next out."""

from __future__ import annotations

from typing import Any

from flowlab.errors import PlanError
from flowlab.workflow.plan_command import (
    ARRIVED,
    END_COMPLETED,
    PIVOT,
    RELEASED,
    SCHEDULE,
    TIMER,
    UNDO,
    Causes,
    Command,
    Commands,
)
from flowlab.workflow.plan_meetings import Meetings
from flowlab.workflow.plan_past import AFTER_TIMER, FORK, JOIN, PROGRAM, Past
from flowlab.workflow.plan_program import (
    BarrierOp,
    ChooseOp,
    ForkOp,
    JoinOp,
    Op,
    StepOp,
)
from flowlab.workflow.plan_retry import delay_ns
from flowlab.workflow.plan_state import ENDED, RUNNING, STOPPING, UNDOING, PlanState
from flowlab.workflow.plan_undo import Stop, Undoing


class PlanInstance(PlanState):
    """The state of one instance of a plan: no IO, no clock, no events, only references to them.

    Each method tells what has happened, and returns what is to be written now, in order. The host
    writes all of it, then calls `noted` for each command that `wants_ref`, in that order, and does
    the same with what that returns. An answer that nothing waits for changes nothing and asks for
    nothing. Two hosts that tell the same in the same order write the same.

    Args:
        program: the plan.
        value: the input of the instance: the state that `field(...)` reads.
        roles: which agent takes a role; a role without one is the agent itself.
        draw: returns the next of a stream of numbers from 0 up to 1, for the jitter of retries.

    Example:
        >>> from flowlab.workflow import Program, Sequential, Step
        >>> plan = Sequential(
        ...     Step("book", agent="hotel", compensation="cancel"),
        ...     Step("pay", agent="bank", kind="pivot"),
        ... )
        >>> instance = PlanInstance(Program.of(plan), {"nights": 2})
        >>> book, pay = instance.program.steps
        >>> instance.start(1)
        (Command(SCHEDULE, 'book', attempt=1, causes=((1, 0),)),)
        >>> instance.completed(book, 3, "room 12")
        (Command(SCHEDULE, 'pay', attempt=1, causes=((3, 0),)),)
        >>> instance.failed(pay, 5, 1, "Declined", "no money", False, 0)[0].value
        {'input': None, 'result': 'room 12'}
    """

    __slots__ = ()

    # -- what has happened ------------------------------------------------------------------------

    def start(self, ref: int) -> Commands:
        """Begin, with the reference of the event that says so."""
        self._last = ref
        if self.program.forks:
            self._past = Past()
            self._past.note(ref, ())
        out: list[Command] = []
        self._go(self.program.entry, ((ref, PROGRAM),), out)
        return tuple(out)

    def completed(self, op: StepOp, ref: int, result: Any, attempt: int = 0) -> Commands:
        """Take a step's result; attempt 0 means the one in flight."""
        attempts = self._attempts
        now = attempts[op.index]
        if now <= 0 or (attempt and attempt != now):
            return ()
        attempts[op.index] = 0
        self._results[op.name] = result
        self._last = ref
        after = op.next_step
        if self._past is None and self._unknown is None:
            # The usual case, millions of times: a chain in which nothing else goes on.
            if after is not None and after.constant:
                attempts[after.index] = 1
                value, why = after.constant_input, ((ref, PROGRAM),)
                return (Command(SCHEDULE, after, 1, value, why, after.wants_ref),)
            if op.is_last:
                self.phase = ENDED
                end = {"result": self._results}
                return (Command(END_COMPLETED, None, 0, end, ((ref, PROGRAM),)),)
        return self._completed(op, ref)

    def failed(  # noqa: PLR0917 - hosts call it by position
        self,
        op: StepOp,
        ref: int,
        attempt: int,
        error_type: str,
        message: str,
        timed_out: bool,  # noqa: FBT001 - as above
        now_ns: int,
    ) -> Commands:
        """Take that an attempt failed, or had no answer in time: it is tried again, or given up."""
        if self._attempts[op.index] != attempt:
            return ()
        self._last = ref
        if self._past is not None:
            self._past.answered(op.index, ref)
        if timed_out and op.undo is not None:
            self._unknown = self._unknown or set()
            self._unknown.add(op.name)
        if self.phase == RUNNING:
            first_ns = None if self._first_ns is None else self._first_ns.get(op.index)
            delay = delay_ns(op.policy, attempt, error_type, now_ns, first_ns, self._draws)
            if delay is not None:
                causes = ((ref, PROGRAM),)
                self._attempts[op.index] = -(attempt + 1)
                if self._past is not None:
                    self._past.asked(op.index, causes)
                return (Command(TIMER, op, attempt + 1, delay, causes),)
        self._give_up(op)
        out: list[Command] = []
        if self.phase == RUNNING:
            told = f"activity {op.activity!r} failed in attempt {attempt}: {message}"
            self._end_early(Stop("ActivityError", told), out)
        else:
            self._undo_if_landed(out)
        return tuple(out)

    def timer_fired(self, op: StepOp, ref: int, attempt: int) -> Commands:
        """Take that the time for an attempt of a step has come."""
        if self.phase != RUNNING or self._attempts[op.index] != -attempt:
            return ()
        self._last = ref
        if self._past is not None:
            self._past.answered(op.index, ref)
        out: list[Command] = []
        self._ask(op, attempt, ((ref, AFTER_TIMER),), out)
        return tuple(out)

    def undone(self, op: StepOp, ref: int, attempt: int = 0) -> Commands:
        """Take that a step was undone; attempt 0 means the one in flight."""
        if self._undoing is None:
            return ()
        return self._after_undoing(self._undoing.undone(op, ref, attempt))

    def undo_failed(  # noqa: PLR0917 - called as `failed` is
        self,
        op: StepOp,
        ref: int,
        attempt: int,
        error_type: str,
        message: str,
        timed_out: bool,  # noqa: FBT001, ARG002 - as above
        now_ns: int,
    ) -> Commands:
        """Take that an attempt to undo a step failed, or had no answer in time."""
        if self._undoing is None:
            return ()
        return self._after_undoing(
            self._undoing.failed(op, ref, attempt, error_type, message, now_ns)
        )

    def undo_timer_fired(self, op: StepOp, ref: int, attempt: int) -> Commands:
        """Take that the time for an attempt to undo a step has come."""
        return () if self._undoing is None else self._undoing.timer_fired(op, ref, attempt)

    def cancel(self, ref: int, reason: str = "") -> Commands:
        """Take that it was asked to stop; an instance that is stopping goes on doing so."""
        if self.phase != RUNNING:
            return ()
        if self._past is None:
            # A plan without branches has waited for its last answer, and from now for this one.
            self._past = Past()
            self._past.note(self._last, ())
            for step in self.in_flight:
                self._past.asked(step.index, ((self._last, PROGRAM),))
        self._past.note(ref, ())
        told = f"plan {self.program.plan.name!r} was asked to stop"
        out: list[Command] = []
        self._end_early(
            Stop("CancelledError", f"{told}: {reason}" if reason else told, canceled=True), out
        )
        return tuple(out)

    def noted(self, command: Command, ref: int, time_ns: int) -> Commands:
        """Take that a command which wants its reference was written."""
        op = command.op
        if isinstance(op, StepOp):
            if command.kind == UNDO and self._undoing is not None:
                self._undoing.noted(op, time_ns)
            elif command.kind == SCHEDULE:
                self._first_ns = self._first_ns or {}
                self._first_ns[op.index] = time_ns
            return ()
        if self.phase != RUNNING or op is None:
            return ()
        self._last = ref
        if self._past is not None:
            self._past.note(ref, command.causes)
        out: list[Command] = []
        if isinstance(op, JoinOp):
            causes: Causes = ((ref, PROGRAM),)
            self._joined(causes)
            self._go(op.next, causes, out)
        elif command.kind == ARRIVED:
            self._arrive(op, ref, out)
        else:
            for branch, waited in self._meeting_places().gate(op.name).open(ref):
                self._go(branch.next, self._met(waited), out)
        return tuple(out)

    # -- how it goes on ---------------------------------------------------------------------------

    def _completed(self, op: StepOp, ref: int) -> Commands:
        if self._past is not None:
            self._past.answered(op.index, ref)
        if self._unknown is not None:
            self._unknown.discard(op.name)
        causes: Causes = ((ref, PROGRAM),)
        out: list[Command] = []
        if op.kind == "pivot":
            self._passed_pivot = True
            out.append(Command(PIVOT, op, 0, None, causes))
        if self.phase == RUNNING:
            self._go(op.next, causes, out)
        else:
            self._undo_if_landed(out)
        return tuple(out)

    def _go(self, op: Op, causes: Causes, out: list[Command]) -> None:
        """Go on from an operation, until every branch waits for something."""
        if type(op) is StepOp and self.phase == RUNNING:
            self._ask(op, 1, causes, out)
            return
        todo = [(op, causes)]
        while todo and self.phase == RUNNING:
            op, causes = todo.pop()
            if isinstance(op, StepOp):
                self._ask(op, 1, causes, out)
            elif isinstance(op, JoinOp):
                ends = self._meeting_places().end(op, [ref for ref, _ in causes])
                if ends is not None:
                    todo += self._join(op, self._met(ends), out)
            elif isinstance(op, ForkOp):
                self._meeting_places().fork(op.join)
                forked = tuple((ref, FORK) for ref, _ in causes)
                todo += [(branch, forked) for branch in reversed(op.branches)]
            elif isinstance(op, ChooseOp):
                todo += [(taken, causes) for taken in self._choose(op, out)]
            elif isinstance(op, BarrierOp):
                agents = sorted({self.agent_of(role) for role in op.arrives})
                out.append(Command(ARRIVED, op, 0, {"agents": agents}, causes, wants_ref=True))
            else:
                self.phase = ENDED
                out.append(Command(END_COMPLETED, None, 0, {"result": self._ordered()}, causes))

    def _ask(self, op: StepOp, attempt: int, causes: Causes, out: list[Command]) -> None:
        try:
            value = op.constant_input if op.constant else op.input.fill(self.value, self._results)
        except PlanError as error:
            self._end_early(Stop("PlanError", f"step {op.name!r}: {error}"), out)
            return
        self._attempts[op.index] = attempt
        if self._past is not None:
            self._past.asked(op.index, causes)
        wants_ref = op.wants_ref and attempt == 1
        out.append(Command(SCHEDULE, op, attempt, value, causes, wants_ref))

    def _choose(self, op: ChooseOp, out: list[Command]) -> list[Op]:
        try:
            taken = op.node.choose(
                self.value, results=self._results, predicates=self.program.predicates
            )
        except Exception as error:  # noqa: BLE001 - a predicate is a user's code: how it failed
            self._end_early(Stop(type(error).__name__, f"{op.node.on!r}: {error}"), out)
            return []
        return [op.skip if taken is None else op.targets[taken]]

    def _join(self, op: JoinOp, causes: Causes, out: list[Command]) -> list[tuple[Op, Causes]]:
        if op.name is None:
            self._joined(causes)
            return [(op.next, causes)]
        agents = sorted({self.agent_of(role) for role in op.agents})
        joined = tuple((ref, JOIN) for ref, _ in causes)
        out.append(Command(RELEASED, op, 0, {"agents": agents}, joined, wants_ref=True))
        return []

    def _arrive(self, op: BarrierOp, ref: int, out: list[Command]) -> None:
        gate = self._meeting_places().gate(op.name)
        if gate.opened is not None:
            self._go(op.next, self._met((gate.opened, ref)), out)
        elif gate.arrive(op, ref):
            agents = sorted({self.agent_of(role) for role in op.required})
            causes = tuple((arrival, JOIN) for arrival in gate.through)
            out.append(Command(RELEASED, op, 0, {"agents": agents}, causes, wants_ref=True))

    def _joined(self, causes: Causes) -> None:
        if self._past is not None and self._meeting_places().idle:
            self._past.forget(causes)

    def _met(self, refs: tuple[int, ...] | list[int]) -> Causes:
        if len(refs) == 1 or self._past is None:
            return ((refs[0], PROGRAM),)
        return self._past.meeting(refs)

    def _meeting_places(self) -> Meetings:
        if self._meetings is None:
            self._meetings = Meetings()
        return self._meetings

    def _ordered(self) -> dict[str, Any]:
        """Return the results in the order of the plan."""
        if not self.program.forks:
            return self._results
        results = self._results
        return {s.name: results[s.name] for s in self.program.steps if s.name in results}

    # -- how it stops -----------------------------------------------------------------------------

    def _end_early(self, stop: Stop, out: list[Command]) -> None:
        self.phase, self._stop = STOPPING, stop
        for step in self.program.steps:
            if self._attempts[step.index] < 0:
                self._give_up(step)
        self._undo_if_landed(out)

    def _give_up(self, op: StepOp) -> None:
        """Try a step no more; it counts as done if an attempt of it may have happened."""
        self._attempts[op.index] = 0
        if self._unknown is not None and op.name in self._unknown:
            self._results[op.name] = None

    def _undo_if_landed(self, out: list[Command]) -> None:
        if any(self._attempts):
            return
        assert self._stop is not None
        causes: Causes = ((self._last, PROGRAM),)
        if self._past is not None:
            causes = self._past.frontier()
        self.phase = UNDOING
        self._undoing = Undoing(self._done(), self._stop)
        out += self._after_undoing(self._undoing.begin(causes, passed_pivot=self._passed_pivot))

    def _after_undoing(self, commands: Commands) -> Commands:
        if self._undoing is not None and self._undoing.closed:
            self.phase = ENDED
        return commands
