"""Running a workflow again and again in a small world of its own, to see whether it does the same.

The world is a list for a history and answers by name and input, handed out in an order of choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flowlab.errors import ActivityError, InvalidArgumentError, NonDeterminismError
from flowlab.events import Cause, Event, encode_json
from flowlab.workflow.chance import Random, stream
from flowlab.workflow.definition import Workflow
from flowlab.workflow.durations import SECOND
from flowlab.workflow.execution import Execution
from flowlab.workflow.guard import armed, disarmed

Answers = Callable[[str, Any, int], Any]
"""(activity, input, attempt) -> result; raises to fail."""

MAX_TRIAL_EVENTS: Final = 2_000
"""The longest history that a trial makes; longer ones are cut, and replayed as far as they go."""
ORDERS: Final = 4
"""In how many orders a workflow's calls are answered."""
_RUNS: Final = frozenset({"second run", "another order", "side by side"})
_FAILING: Final = 0.2
_ID: Final = "trial"
_ASKS: Final = frozenset(
    {"ActivityScheduled", "CompensationScheduled", "TimerStarted", "ChildWorkflowInitiated"}
)
_GIVES_UP: Final = frozenset({"ActivityCancelRequested", "CancelInitiated", "TimerCanceled"})


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a workflow did, and would not do again.

    Args:
        mean: what found it.
        message: where, and both sides where there are two.
    """

    mean: str
    message: str

    def __str__(self) -> str:
        return f"{self.mean}: {self.message}"


@dataclass(frozen=True, slots=True)
class TryOut:
    """What came of trying a workflow out.

    Args:
        violations: what was found: by the guard, and by the first of the free runs that saw it.
        histories: of the runs, each of which can be replayed elsewhere.
        end: the type of the event that the first run ended with, or why it did not.
    """

    violations: tuple[Violation, ...]
    histories: tuple[tuple[Event, ...], ...]
    end: str

    def __repr__(self) -> str:
        return f"TryOut({len(self.violations)} violations, {len(self.histories)} histories)"


def derived_answer(activity: str, value: Any, _attempt: int = 1) -> Any:
    """Return an answer that depends on the activity's name and input alone.

    An object is given back with an id; anything else becomes a number below 100.

    Example:
        >>> derived_answer("book", {"nights": 2}), derived_answer("price", "room")
        ({'nights': 2, 'id': 'book-11a2'}, 13)
    """
    digest = hashlib.sha256(activity.encode() + b"\0" + encode_json(value)).hexdigest()
    if isinstance(value, dict):
        return {**value, "id": f"{activity}-{digest[:4]}"}
    return int(digest[:8], 16) % 100


def try_out(
    workflow: Workflow,
    value: Any = None,
    *,
    seed: int = 0,
    answers: Answers = derived_answer,
    orders: int = ORDERS,
) -> TryOut:
    """Run a workflow under the guard, then freely: again, side by side, and in other orders.

    Every history is replayed. From the third order on, some calls fail.

    Args:
        workflow: the code.
        value: its input.
        seed: of the streams of chance, of the orders and of the failures.
        answers: what activities answer.
        orders: how many orders of completion, the first in the order of the calls.

    Raises:
        InvalidArgumentError: there is no order.

    Example:
        >>> from flowlab.workflow import workflow
        >>> @workflow
        ... async def greet(ctx, name):
        ...     return await ctx.call_activity("say", name)
        >>> try_out(greet, "Ada")
        TryOut(0 violations, 4 histories)
    """
    if orders < 1:
        message = f"orders is {orders}; expected at least 1: in how many orders calls are answered"
        raise InvalidArgumentError(message)
    found: dict[str, Violation] = {}

    def note(mean: str, message: str | None) -> None:
        # What was found without the guard once would be found again by the other runs.
        if message is not None and not _RUNS & found.keys():
            found[mean] = Violation(mean, message)

    guarded: list[Event] = []
    try:
        _World(workflow, seed, answers, guarded).run(value)
    except NonDeterminismError as error:
        note(error.mean, str(error))
    histories: list[tuple[Event, ...]] = []
    with disarmed(), armed():
        for order in range(orders):
            pick = stream(seed, "order", order) if order else None
            given = _unreliable(answers, stream(seed, "failures", order)) if order > 1 else answers
            history: list[Event] = []
            end = _World(workflow, seed, given, history, pick).run(value)
            histories.append(tuple(history))
            if order == 0:
                first_end = end
                if not found:
                    note("second run", difference(guarded, history))
            note("second run" if order == 0 else "another order", replay(workflow, history, seed))
        note("side by side", side_by_side(workflow, histories[0], seed))
    return TryOut(tuple(found.values()), tuple(histories), first_end)


def replay(workflow: Workflow, history: Sequence[Event], seed: int = 0) -> str | None:
    """Replay a history; return where the code asks for something else, or None."""
    return _followed([Execution(workflow, _ID, seed=seed)], history)


def side_by_side(workflow: Workflow, history: Sequence[Event], seed: int = 0) -> str | None:
    """Replay a history twice at once, in turns; return where the code asks for something else."""
    return _followed([Execution(workflow, _ID, seed=seed) for _ in range(2)], history)


def difference(left: Sequence[Event], right: Sequence[Event]) -> str | None:
    """Return the first event in which two histories differ, with both sides, or None."""
    for place in range(max(len(left), len(right))):
        sides = [_shown(side[place]) if place < len(side) else "nothing" for side in (left, right)]
        if sides[0] != sides[1]:
            return f"event {place + 1} is {sides[0]} in the first run and {sides[1]} in the second"
    return None


def _unreliable(answers: Answers, chance: Random) -> Answers:
    def answer(activity: str, value: Any, attempt: int) -> Any:
        if chance.random() < _FAILING:
            message = "the trial lets it fail"
            raise ActivityError(message, activity=activity)
        return answers(activity, value, attempt)

    return answer


def _followed(executions: Sequence[Execution], history: Sequence[Event]) -> str | None:
    asked: tuple[Event, ...] = ()
    try:
        for event in history:
            for execution in executions:
                asked = execution.advance([event])
    except NonDeterminismError as error:
        return str(error)
    if asked:
        return f"after the last event of the history the code asks for {_shown(asked[0])}"
    return None


def _shown(event: Event) -> str:
    payload = (event.payload or b"").decode("utf-8", "replace")
    return f"{event.event_type} {event.name}({payload[:_SHOWN_CHARS]})"


_SHOWN_CHARS: Final = 160


def run_once(
    workflow: Workflow, value: Any, *, seed: int = 0, answers: Answers = derived_answer
) -> tuple[Event, ...]:
    """Run a workflow once; return its history.

    Example:
        >>> from flowlab.workflow import workflow
        >>> @workflow
        ... async def greet(ctx, name):
        ...     return await ctx.call_activity("say", name)
        >>> [event.event_type for event in run_once(greet, "Ada")][-2:]
        ['ActivityCompleted', 'WorkflowCompleted']
    """
    history: list[Event] = []
    _World(workflow, seed, answers, history).run(value)
    return tuple(history)


class _World:
    """Appends what the workflow asks for, and answers it.

    Args:
        workflow: the code.
        seed: of its streams of chance.
        answers: what activities answer.
        history: where the events go.
        pick: chooses which call is answered next; None is the oldest.
    """

    def __init__(
        self,
        workflow: Workflow,
        seed: int,
        answers: Answers,
        history: list[Event],
        pick: Random | None = None,
    ) -> None:
        self._execution = Execution(workflow, _ID, seed=seed)
        self._answers = answers
        self._history = history
        self._pick = pick
        self._open: list[Event] = []
        self._given_up: set[int] = set()

    def run(self, value: Any) -> str:
        """Run to the end; return how it ended."""
        self._tell("WorkflowStarted", payload={"input": value})
        while not self._execution.closed:
            if len(self._history) >= MAX_TRIAL_EVENTS:
                return f"cut after MAX_TRIAL_EVENTS ({MAX_TRIAL_EVENTS:,}) events"
            awaited = self._execution._inbox.awaited  # noqa: SLF001 - of the same room
            if self._open:
                place = self._pick.randrange(len(self._open)) if self._pick else 0
                self._answer(self._open.pop(place))
            elif awaited:
                told = derived_answer(awaited[0], None)
                self._tell("Signaled", name=awaited[0], payload={"value": told})
            else:
                return "waits for nothing that could come"
        last = self._history[-1]
        return f"{last.event_type} {(last.payload or b'').decode()[:_SHOWN_CHARS]}"

    def _answer(self, asked: Event) -> None:
        causes = (Cause(_ID, asked.sequence),)
        if asked.event_type == "TimerStarted":
            self._tell("TimerFired", causes=causes)
            return
        child = asked.event_type == "ChildWorkflowInitiated"
        kind = "ChildWorkflow" if child else asked.event_type.removesuffix("Scheduled")
        data: Any = asked.data
        attempt = data.get("attempt", 1)
        if asked.sequence in self._given_up:
            self._tell(f"{kind}Canceled", payload={"reason": "given up"}, causes=causes)
            return
        try:
            result = self._answers(asked.name, data.get("input"), attempt)
            encode_json(result)
        except Exception as error:  # noqa: BLE001 - what an activity raises is its answer
            told = {"type": type(error).__name__, "message": str(error)}
            payload = {"error": told, "attempt": attempt}
            self._tell(f"{kind}Failed", payload=payload, causes=causes)
        else:
            self._tell(f"{kind}Completed", payload={"result": result}, causes=causes)

    def _tell(self, event_type: str, **fields: Any) -> None:
        asked = self._execution.advance([self._record(Event.of(event_type, **fields))])
        while asked:
            recorded = [self._record(draft) for draft in asked]
            self._open += [event for event in recorded if event.event_type in _ASKS]
            for event in recorded:
                if event.event_type in _GIVES_UP:
                    self._given_up |= {cause.sequence for cause in event.causes}
            # A timer that was given up is gone; a call has still to say that it is.
            self._open = [
                event
                for event in self._open
                if event.event_type != "TimerStarted" or event.sequence not in self._given_up
            ]
            asked = self._execution.advance(recorded)

    def _record(self, event: Event) -> Event:
        sequence = len(self._history) + 1
        stamped = msgspec.structs.replace(
            event, workflow_id=_ID, sequence=sequence, time_ns=sequence * SECOND
        )
        self._history.append(stamped)
        return stamped
