"""Following a history: each event by itself, or, where many are at hand, at full speed.

What is recorded already need not be asked for anew. So where many events are at hand, a command is
compared with the next recorded one as soon as the code asks for it, and no draft is made, no cause
worked out, no event built. All else takes the way of a single event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.errors import CorruptionError, LimitError
from flowlab.events import CauseKind, Event
from flowlab.workflow.calls import Call
from flowlab.workflow.history import COMMAND, DONE, TAKEN, History

if TYPE_CHECKING:
    from flowlab.workflow.execution import Execution

MAX_HISTORY_EVENTS: Final = 50_000
"""The longest history of one generation."""
LEAST_AT_HAND: Final = 32
"""So many events are worth the columns."""


Row = tuple[int, int, Any, bytes | None]
"""The place of an event, its kind, own causes and payload."""


class _Result(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The payload of most results."""

    result: Any = None


_result_of: Final = msgspec.json.Decoder(_Result).decode
_PROGRAM: Final = int(CauseKind.PROGRAM)


def follow(execution: Execution, events: Iterable[Event]) -> None:
    """Let an execution take events.

    Raises:
        NonDeterminismError: the history holds something other than the code asks for.
        CorruptionError: the events do not follow those before.
        LimitError: there are too many.
    """
    progress = execution.progress
    if not isinstance(events, History):
        batch = list(events)
        if len(batch) < LEAST_AT_HAND:
            _one_by_one(execution, batch)
            return
        events = History.of_events(batch, execution.workflow_id)
    whole = events.is_whole and progress.last in {0, events.sequences[0] - 1}
    if whole and progress.length + len(events) <= MAX_HISTORY_EVENTS:
        _all_at_hand(execution, events)
    else:
        _one_by_one(execution, list(events))


def _one_by_one(execution: Execution, batch: list[Event]) -> None:
    progress = execution.progress
    progress.begin(batch)
    try:
        for progress.place, event in enumerate(batch):
            _check_next(execution, event)
            progress.take(event)
            execution.past.add(event)
            execution.take(event)
    finally:
        progress.leave()


def _check_next(execution: Execution, event: Event) -> None:
    progress = execution.progress
    if progress.last and event.sequence != progress.last + 1:
        message = (
            f"event {event.sequence} of {execution.workflow_id!r} follows {progress.last}; give "
            "every event of the stream, in order and once"
        )
        raise CorruptionError(message)
    if progress.length >= MAX_HISTORY_EVENTS:
        message = (
            f"the history of {execution.workflow_id!r} has more than MAX_HISTORY_EVENTS "
            f"({MAX_HISTORY_EVENTS:,}) events; let the workflow continue as new"
        )
        raise LimitError(message)


def _all_at_hand(execution: Execution, history: History) -> None:
    progress, commands = execution.progress, execution.commands
    execution.past.extend(history.sequences[0], history.own)
    progress.enter(history)
    commands.enter(history)
    try:
        rows = zip(range(len(history)), history.kinds, history.own, history.payloads, strict=True)
        for place, _, _, _ in rows:
            progress.place = place
            execution.take(history.event(place))
            while execution.runs_on and (other := _run_along(execution, history, rows)) is not None:
                progress.place = other
                execution.take(history.event(other))
        progress.place = len(history) - 1
    finally:
        commands.leave()
        progress.leave()


def _run_along(execution: Execution, history: History, rows: Iterator[Row]) -> int | None:
    """Go through events of the common kinds; return the place of the first one that is not."""
    commands, progress, loop = execution.commands, execution.progress, execution.loop
    asked, waiting, taken_up, end = commands.asked, commands.open, commands.taken_up, execution.end
    kind: int
    own: Any
    first, times, causes = history.sequences[0], history.times, history.own
    for place, kind, own, payload in rows:
        if kind == COMMAND:
            head = commands.next
            command = asked[head] if head < len(asked) else None
            if type(command) is not Call or command.place != place or command.recorded:
                return place
            if head + 1 == len(asked):
                commands.next = 0
                asked.clear()
            else:
                commands.next = head + 1
            command.sequence = sequence = first + place
            command.time_ns = times[place]
            waiting[sequence] = command
        elif kind == DONE:
            call = waiting.get(taken_up.get(own, own))
            if type(call) is not Call:
                return place
            try:
                call._value = _result_of(payload or b"").result  # noqa: SLF001
            except (msgspec.DecodeError, UnicodeDecodeError):
                return place
            del waiting[call.sequence]
            taken_up.pop(own, None)
            progress.place = place
            call.done, call.because = True, {first + place: _PROGRAM}
            fiber = call.waiter
            if fiber is not None and call.told is None and fiber.waits is call:
                # Nobody else is to be told: what `tell` and the loop would do, without them.
                call.waiter = fiber.waits = None
                asked_at = call.sequence - first
                fiber.learn_next(call.because, causes[asked_at] if asked_at >= 0 else 0)
                loop.step(fiber)
            else:
                call.tell()
            if (loop.ready or end.done) and execution.go_on():
                return None
        elif kind == TAKEN and own in waiting:
            taken_up[first + place] = own
        elif kind != TAKEN:
            return place
    return None
