"""The state of one instance of a plan as plain data, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from flowlab.errors import InvalidArgumentError
from flowlab.workflow.plan_meetings import Meetings
from flowlab.workflow.plan_past import Past
from flowlab.workflow.plan_program import Program, StepOp
from flowlab.workflow.plan_retry import Draw, Draws
from flowlab.workflow.plan_undo import Done, Stop, Undoing

RUNNING: Final = 0
STOPPING: Final = 1
UNDOING: Final = 2
ENDED: Final = 3

NO_ROLES: Final[Mapping[str, str]] = {}


class PlanState:
    """What an instance of a plan knows; `PlanInstance` says what it does.

    Args:
        program, value, roles, draw: as for `PlanInstance`.

    Example:
        >>> from flowlab.workflow import Step
        >>> program = Program.of(Step("pay", agent="bank", kind="pivot"))
        >>> state = PlanState(program, {"total": 7})
        >>> PlanState.from_json(program, state.to_json())
        PlanState('plan', running, 0 steps done)
    """

    __slots__ = (
        "_attempts",
        "_draws",
        "_first_ns",
        "_last",
        "_meetings",
        "_passed_pivot",
        "_past",
        "_results",
        "_stop",
        "_undoing",
        "_unknown",
        "phase",
        "program",
        "roles",
        "value",
    )

    def __init__(
        self,
        program: Program,
        value: Any,
        roles: Mapping[str, str] | None = None,
        draw: Draw | None = None,
    ) -> None:
        self.program: Final = program
        self.value: Final = value
        self.roles: Final = NO_ROLES if roles is None else roles
        self.phase = RUNNING
        # 0: not in flight; n: attempt n is; -n: it waits for the timer before attempt n.
        self._attempts = [0] * len(program.steps)
        self._results: dict[str, Any] = {}
        self._last = 0
        self._passed_pivot = False
        self._draws = Draws(draw) if program.draws else None
        self._past: Past | None = None
        self._meetings: Meetings | None = None
        self._first_ns: dict[int, int] | None = None
        self._unknown: set[str] | None = None
        self._stop: Stop | None = None
        self._undoing: Undoing | None = None

    def __repr__(self) -> str:
        phase = ("running", "stopping", "undoing", "ended")[self.phase]
        name, done = self.program.plan.name, len(self._results)
        return f"{type(self).__name__}({name!r}, {phase}, {done} steps done)"

    @property
    def closed(self) -> bool:
        """Whether its end was asked for."""
        return self.phase == ENDED

    @property
    def results(self) -> Mapping[str, Any]:
        """The results so far by step, in the order of completion; None where nobody knows."""
        return self._results

    @property
    def in_flight(self) -> tuple[StepOp, ...]:
        """The steps that an answer or a timer is awaited for, in the order of the plan."""
        return tuple(step for step in self.program.steps if self._attempts[step.index])

    @property
    def awaited(self) -> tuple[tuple[str, str, int], ...]:
        """What an answer or a timer is awaited for: (activity, agent, attempt).

        Compensations too; the attempt is negative where it is not asked for yet.
        """
        found = [(op.activity, op.agent, self._attempts[op.index]) for op in self.in_flight]
        for op, attempt in () if self._undoing is None else self._undoing.awaited:
            assert op.undo is not None
            found.append((op.undo.activity, op.undo.agent, attempt))
        return tuple((name, self.agent_of(agent), attempt) for name, agent, attempt in found)

    @property
    def uncompensated(self) -> tuple[str, ...]:
        """The steps to be undone whose effects are there still, the next to be undone first."""
        if self._undoing is not None:
            return self._undoing.pending
        by_name = self.program.by_name
        return tuple(name for name in reversed(self._results) if by_name[name].undo is not None)

    def agent_of(self, role: str) -> str:
        """Return the agent that takes a role in this instance."""
        return self.roles.get(role, role)

    def _done(self) -> Done:
        unknown = frozenset(self._unknown or ())
        return Done(self.program, self.value, self._results, unknown, self._draws)

    # -- as data ----------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return the whole state as JSON; what was asked for and not noted yet is the host's."""
        stop = self._stop
        return {
            "program": self.program.digest,
            "value": self.value,
            "roles": dict(self.roles),
            "phase": self.phase,
            "attempts": list(self._attempts),
            "results": [list(item) for item in self._results.items()],
            "last": self._last,
            "passed_pivot": self._passed_pivot,
            "draws": 0 if self._draws is None else self._draws.count,
            "past": None if self._past is None else self._past.to_json(),
            "meetings": None if self._meetings is None else self._meetings.to_json(),
            "first_ns": [list(item) for item in (self._first_ns or {}).items()],
            "unknown": sorted(self._unknown or ()),
            "stop": stop and [stop.error_type, stop.message, stop.canceled],
            "undoing": None if self._undoing is None else self._undoing.to_json(),
        }

    @classmethod
    def from_json(cls, program: Program, data: Any, draw: Draw | None = None) -> Self:
        """Read what `to_json` wrote; `draw` is a fresh stream, which is brought to its place.

        Raises:
            InvalidArgumentError: it is not the state of an instance of this plan.
        """
        if not isinstance(data, Mapping) or data.get("program") != program.digest:
            message = (
                f"this is not the state of an instance of {program!r}; give the plan with which "
                "it was written"
            )
            raise InvalidArgumentError(message)
        try:
            instance = cls(program, data["value"], data["roles"] or None)
            instance._restore(data, draw)
        except (KeyError, TypeError, ValueError, IndexError, AssertionError) as error:
            message = f"the state of an instance of {program!r} is damaged: {error!r}"
            raise InvalidArgumentError(message) from error
        return instance

    def _restore(self, data: Mapping[str, Any], draw: Draw | None) -> None:
        self.phase = data["phase"]
        self._attempts = list(data["attempts"])
        self._results = dict(data["results"])
        self._last = data["last"]
        self._passed_pivot = data["passed_pivot"]
        self._draws = Draws(draw, data["draws"]) if self.program.draws else None
        self._first_ns = dict(data["first_ns"]) or None
        self._unknown = set(data["unknown"]) or None
        self._stop = None if data["stop"] is None else Stop(*data["stop"])
        if data["past"] is not None:
            self._past = Past.from_json(data["past"])
        if data["meetings"] is not None:
            self._meetings = Meetings.from_json(data["meetings"], self.program)
        if data["undoing"] is not None:
            assert self._stop is not None
            self._undoing = Undoing.from_json(data["undoing"], self._done(), self._stop)
