"""The shapes of the events of one plan, made once for all its instances in a recorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowlab.events.codec import encode_json
from flowlab.simulation.draws import key_of
from flowlab.simulation.driver import FORK, MESSAGE, PROGRAM
from flowlab.simulation.recorder import Value

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.engine import Engine
    from flowlab.simulation.recorder import Recorder
    from flowlab.workflow import Program, StepOp


class PlanShapes:
    """The codes of the shapes of one plan's events.

    Attributes:
        started: of WorkflowStarted.
        completed_int, completed: by [whether it is a compensation][step]: of the answer, for a
            result that is an int, and for any.
        first: by step: of the request of its first attempt, where one event of the program is its
            only cause; -1 as long as it is not made. It is what most requests are.
        keys: an integer for each step's name.
        program: the plan.
    """

    __slots__ = (
        "_failed",
        "_notes",
        "_recorder",
        "_scheduled",
        "completed",
        "completed_int",
        "first",
        "keys",
        "program",
        "started",
    )

    def __init__(self, recorder: Recorder, program: Program) -> None:
        self._recorder = recorder
        self._scheduled: dict[tuple[int, ...], int] = {}
        self.program = program
        self._notes: dict[tuple[str, str, str | None, bool, int, int], int] = {}
        self._failed: dict[tuple[int, int, bool], int] = {}
        self.started = recorder.shape(
            "WorkflowStarted",
            name=program.plan.name,
            value=Value.JSON,
            head=b'{"input":',
            tail=b"}",
            kind_a=FORK,
        )
        self.completed_int = self._completed(program, Value.INT)
        self.completed = self._completed(program, Value.JSON)
        self.first = [-1] * len(program.steps)
        self.keys = [key_of(step.name) for step in program.steps]

    def __repr__(self) -> str:
        return f"PlanShapes({len(self.keys)} steps)"

    def _completed(self, program: Program, value: int) -> tuple[list[int], list[int]]:
        codes: tuple[list[int], list[int]] = ([], [])
        for step in program.steps:
            undo = step.undo.activity if step.undo is not None else step.activity
            for place, (family, name) in enumerate(
                (("Activity", step.activity), ("Compensation", undo))
            ):
                code = self._recorder.shape(
                    f"{family}Completed",
                    name=name,
                    step_id=step.name,
                    value=value,
                    head=b'{"result":',
                    tail=b"}",
                    kind_a=PROGRAM,
                    kind_b=MESSAGE,
                )
                codes[place].append(code)
        return codes

    def failed(self, op: StepOp, call: Call) -> int:
        """Return the shape of an answer that is an error."""
        known = (op.index, call.attempt, call.undo)
        code = self._failed.get(known)
        if code is None:
            code = self._failed[known] = self._recorder.shape(
                "CompensationFailed" if call.undo else "ActivityFailed",
                name=call.name,
                step_id=op.name,
                value=Value.JSON,
                head=b'{"attempt":%d,"error":' % call.attempt,
                tail=b"}",
                kind_a=PROGRAM,
                kind_b=MESSAGE,
            )
        return code

    def note(
        self,
        event_type: str,
        name: str,
        step_id: str | None,
        payload: bool,  # noqa: FBT001 - called by position, in the loop
        causes: tuple[tuple[int, int], ...],
    ) -> int:
        """Return the shape of any other event of the history."""
        kind_a = causes[0][1] if causes else 0
        kind_b = causes[1][1] if len(causes) > 1 else 0
        known = (event_type, name, step_id, payload, kind_a, kind_b)
        code = self._notes.get(known)
        if code is None:
            code = self._notes[known] = self._recorder.shape(
                event_type,
                name=name,
                step_id=step_id,
                value=Value.JSON if payload else Value.NONE,
                kind_a=kind_a,
                kind_b=kind_b,
            )
        return code

    def scheduled(
        self, op: StepOp, attempt: int, kind: int, causes: tuple[tuple[int, int], ...]
    ) -> int:
        """Return the shape of the request of a step: the agent's name comes from the row.

        `kind` is that of its only cause; -1 where there are several.
        """
        known: tuple[int, ...] = (op.index, attempt, kind)
        if kind < 0:
            known += tuple(each for _, each in causes)
        code = self._scheduled.get(known)
        if code is None:
            tail = b"}"
            if op.timeout_ns is not None:
                tail = b',"timeout_ns":%d}' % op.timeout_ns
            if op.input.constant:
                tail = encode_json(op.constant_input) + tail
            effect = b"" if op.has_effect else b'"effect":false,'
            kinds = [each for _, each in causes[:2]] + [0]
            code = self._scheduled[known] = self._recorder.shape(
                "ActivityScheduled",
                name=op.activity,
                step_id=op.name,
                value=Value.NONE if op.input.constant else Value.JSON,
                head=b'{"agent":',
                agent=b',"attempt":%d,%b"input":' % (attempt, effect),
                tail=tail,
                kind_a=kinds[0],
                kind_b=kinds[1],
            )
            if attempt == 1 and kind == PROGRAM:
                self.first[op.index] = code
        return code


def shapes_of(engine: Engine, name: str) -> PlanShapes:
    """Return the shapes of a plan of a world, made once for its recorder."""
    program, recorder = engine.world.programs[name], engine.recorder
    known = recorder.plans.get(program)
    if known is None:
        known = recorder.plans[program] = PlanShapes(recorder, program)
    found: PlanShapes = known
    return found
