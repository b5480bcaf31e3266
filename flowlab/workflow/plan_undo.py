"""The undoing of what one instance of a plan has done: plain data, no IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import PlanError
from flowlab.workflow.plan_command import (
    END_CANCELED,
    END_FAILED,
    UNDO,
    UNDO_TIMER,
    Causes,
    Command,
)
from flowlab.workflow.plan_past import AFTER_TIMER, JOIN, PROGRAM
from flowlab.workflow.plan_program import Program, StepOp
from flowlab.workflow.plan_retry import Draws, delay_ns


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an instance of a plan goes no further.

    Args:
        error_type, message: of the error.
        canceled: whether it was asked to stop.

    Example:
        >>> Stop("ActivityError", "no room")
        Stop(error_type='ActivityError', message='no room', canceled=False)
    """

    error_type: str
    message: str
    canceled: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What an instance of a plan has done by the time that it is undone.

    Args:
        program: the plan.
        value: the input of the instance.
        results: by step, in the order of completion; of a step that may have happened, None.
        unknown: the steps that may have happened.
        draws: of the delays of retries.
    """

    program: Program
    value: Any
    results: Mapping[str, Any]
    unknown: frozenset[str]
    draws: Draws | None = None


class Undoing:
    """Undoes steps in the reverse order of their completion, or all at once, and writes the end.

    Args:
        done: what is to be undone.
        stop: why.

    Example:
        >>> from flowlab.workflow import Step
        >>> program = Program.of(Step("book", agent="hotel", compensation="cancel"))
        >>> done = Done(program, {}, {"book": 7}, frozenset())
        >>> undoing = Undoing(done, Stop("ActivityError", "no money"))
        >>> undoing.begin(((5, 0),), passed_pivot=False)[0].value
        {'input': None, 'result': 7}
        >>> undoing.undone(program.steps[0], 8)[0].value
        {'error': {'type': 'ActivityError', 'message': 'no money'}}
    """

    __slots__ = ("_attempts", "_ends", "_failed", "_first_ns", "_todo", "closed", "done", "stop")

    def __init__(self, done: Done, stop: Stop) -> None:
        self.done: Final = done
        self.stop: Final = stop
        self.closed = False
        by_name = done.program.by_name
        self._todo = [name for name in done.results if by_name[name].undo is not None]
        self._failed: dict[str, str] = {}
        self._attempts: dict[int, int] = {}
        self._first_ns: dict[int, int] = {}
        self._ends: list[int] = []

    def __repr__(self) -> str:
        return f"Undoing({len(self._todo)} to ask for, {len(self._failed)} failed)"

    @property
    def pending(self) -> tuple[str, ...]:
        """The steps whose effects are there still."""
        open_ = {self.done.program.steps[index].name for index in self._attempts}
        left = open_.union(self._todo, self._failed)
        return tuple(name for name in reversed(list(self.done.results)) if name in left)

    @property
    def awaited(self) -> tuple[tuple[StepOp, int], ...]:
        """The steps that are being undone, each with its attempt; negative before that is asked."""
        steps = self.done.program.steps
        return tuple((steps[index], attempt) for index, attempt in self._attempts.items())

    def begin(self, causes: Causes, *, passed_pivot: bool) -> tuple[Command, ...]:
        """Ask for the first compensations, or for the end."""
        out: list[Command] = []
        if passed_pivot:
            left, self._todo = self._todo, []
            self._end(causes, out, left=left, why="the pivot was passed")
        elif self.done.program.plan.parallel_undo:
            while self._todo:
                self._ask(self.done.program.by_name[self._todo.pop()], 1, causes, out)
            if not self._attempts:
                self._end(causes, out)
        else:
            self._next(causes, out)
        return tuple(out)

    def undone(self, op: StepOp, ref: int, attempt: int = 0) -> tuple[Command, ...]:
        """Take that a step was undone; attempt 0 means the one in flight."""
        now = self._attempts.get(op.index, 0)
        if now <= 0 or (attempt and attempt != now):
            return ()
        return self._answered(op, ref)

    def failed(  # noqa: PLR0917 - as PlanInstance's
        self, op: StepOp, ref: int, attempt: int, error_type: str, message: str, now_ns: int
    ) -> tuple[Command, ...]:
        """Take that an attempt to undo a step failed."""
        if self._attempts.get(op.index) != attempt or op.undo is None:
            return ()
        first_ns = self._first_ns.get(op.index)
        delay = delay_ns(op.undo.policy, attempt, error_type, now_ns, first_ns, self.done.draws)
        if delay is None:
            self._failed[op.name] = message
            return self._answered(op, ref)
        self._attempts[op.index] = -(attempt + 1)
        return (Command(UNDO_TIMER, op, attempt + 1, delay, ((ref, PROGRAM),)),)

    def timer_fired(self, op: StepOp, ref: int, attempt: int) -> tuple[Command, ...]:
        """Take that the time for an attempt has come."""
        if self._attempts.get(op.index) != -attempt:
            return ()
        out: list[Command] = []
        self._ask(op, attempt, ((ref, AFTER_TIMER),), out)
        return tuple(out)

    def noted(self, op: StepOp, time_ns: int) -> None:
        """Take note of the time of the first request."""
        self._first_ns[op.index] = time_ns

    def _answered(self, op: StepOp, ref: int) -> tuple[Command, ...]:
        del self._attempts[op.index]
        out: list[Command] = []
        plan = self.done.program.plan
        if plan.parallel_undo:
            self._ends.append(ref)
            if not self._attempts:
                kind = JOIN if len(self._ends) > 1 else PROGRAM
                self._end(tuple((end, kind) for end in self._ends), out)
        elif op.name in self._failed and not plan.go_on:
            self._end(((ref, PROGRAM),), out)
        else:
            self._next(((ref, PROGRAM),), out)
        return tuple(out)

    def _next(self, causes: Causes, out: list[Command]) -> None:
        while self._todo:
            if self._ask(self.done.program.by_name[self._todo.pop()], 1, causes, out):
                return
            if not self.done.program.plan.go_on:
                break
        self._end(causes, out)

    def _ask(self, op: StepOp, attempt: int, causes: Causes, out: list[Command]) -> bool:
        assert op.undo is not None
        try:
            value = self._input(op)
        except PlanError as error:
            self._failed[op.name] = str(error)
            return False
        self._attempts[op.index] = attempt
        wants_ref = op.undo.wants_ref and attempt == 1
        out.append(Command(UNDO, op, attempt, value, causes, wants_ref))
        return True

    def _input(self, op: StepOp) -> Any:
        done = self.done
        assert op.undo is not None
        if op.undo.input is not None:
            return op.undo.input.fill(done.value, done.results, unknown=done.unknown)
        return {"input": op.input.fill(done.value, done.results), "result": done.results[op.name]}

    def _end(
        self,
        causes: Causes,
        out: list[Command],
        *,
        left: list[str] | None = None,
        why: str = "compensations failed",
    ) -> None:
        self.closed = True
        stop, names = self.stop, list(self.pending) if left is None else left
        kind: int = END_FAILED
        payload: dict[str, Any] = {"error": {"type": stop.error_type, "message": stop.message}}
        if names:
            told = "".join(f" ({name}: {self._failed[name]})" for name in list(self._failed)[:1])
            message = f"{stop.message}; {why}{told}, and these effects are left: {', '.join(names)}"
            error = {"type": "CompensationError", "message": message}
            payload = {"error": error, "uncompensated": names}
        elif stop.canceled:
            kind, payload = END_CANCELED, {"reason": stop.message}
        out.append(Command(kind, None, 0, payload, causes))

    def to_json(self) -> dict[str, Any]:
        """Return its own state as JSON."""
        return {
            "todo": list(self._todo),
            "failed": [list(pair) for pair in self._failed.items()],
            "attempts": [list(pair) for pair in self._attempts.items()],
            "first_ns": [list(pair) for pair in self._first_ns.items()],
            "ends": list(self._ends),
            "closed": self.closed,
        }

    @classmethod
    def from_json(cls, value: Any, done: Done, stop: Stop) -> Undoing:
        """Read what `to_json` wrote."""
        undoing = cls(done, stop)
        undoing._todo = list(value["todo"])
        undoing._failed = dict(value["failed"])
        undoing._attempts = dict(value["attempts"])
        undoing._first_ns = dict(value["first_ns"])
        undoing._ends = list(value["ends"])
        undoing.closed = value["closed"]
        return undoing
