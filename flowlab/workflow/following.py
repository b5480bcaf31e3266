"""Following a history: each event by itself, or, where many are at hand, at full speed.

What is recorded already need not be asked for anew. So where many events are at hand, a command is
compared with the next recorded one as soon as the code asks for it, and no draft is made, no cause
worked out, no event built. All else takes the way of a single event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.errors import CorruptionError, LimitError
from flowlab.events import CauseKind, Event
from flowlab.workflow.calls import Call
from flowlab.workflow.history import COMMAND, DONE, TAKEN, History

if TYPE_CHECKING:
    from flowlab.workflow.execution import Execution

MAX_HISTORY_EVENTS: Final = 50_000
"""At so many events of one generation its code is interrupted, and may continue as new or end."""
MOST_EVENTS: Final = 4 * MAX_HISTORY_EVENTS
"""The longest history of one generation, with what code does once it was interrupted."""
LEAST_AT_HAND: Final = 32
"""So many events are worth the columns."""


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
    whole = events.scan.whole and progress.last in {0, events.sequences[0] - 1}
    if whole and progress.length + len(events) < MAX_HISTORY_EVENTS:
        _all_at_hand(execution, events)
    else:
        _one_by_one(execution, list(events))


def is_told_in_vain(execution: Execution, count: int) -> bool:
    """Say whether no code goes on by so many events, those that `advance` has asked for last.

    Then `take_back` may hand them back, at any time before the next events.
    """
    if not execution.is_entered or execution.progress.length + count >= MAX_HISTORY_EVENTS:
        return False
    return not [c for c in execution.commands.asked if c.recorded is not None]


def take_back(execution: Execution, written: Sequence[Event]) -> None:
    """Hand back what `advance` has asked for, as it was written, where it is told in vain.

    It is what `advance` does with these events, and no more: no code runs, nothing is asked for.
    """
    progress, add, record = execution.progress, execution.past.add, execution.commands.record
    for event in written:
        progress.take(event)
        add(event)
        record(event)


def _one_by_one(execution: Execution, batch: list[Event]) -> None:
    progress = execution.progress
    length = progress.begin(batch)
    longest, most = MAX_HISTORY_EVENTS - length - 1, MOST_EVENTS - length
    try:
        add, take = execution.past.add, execution.take
        for place, event in enumerate(batch):
            progress.place = place
            if event.sequence != progress.last + 1 or place >= most:
                _check_next(execution, event)
            progress.take(event)
            add(event)
            take(event)
            if place == longest:
                execution.overrun(event, _too_long(execution, MAX_HISTORY_EVENTS))
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
    if progress.length >= MOST_EVENTS:
        raise _too_long(execution, MOST_EVENTS)


def _too_long(execution: Execution, most: int) -> LimitError:
    message = (
        f"the history of {execution.workflow_id!r} has {most:,} events, and MAX_HISTORY_EVENTS is "
        f"{MAX_HISTORY_EVENTS:,}; let the workflow continue as new before that"
    )
    return LimitError(message)


def _all_at_hand(execution: Execution, history: History) -> None:
    progress, commands = execution.progress, execution.commands
    execution.past.extend(history.sequences[0], history.own)
    progress.enter(history)
    commands.enter(history)
    try:
        place, count = 0, len(history)
        while place < count:
            progress.place = place
            execution.take(history.event(place))
            place += 1
            if execution.runs_on:
                place = _run_along(execution, history, place)
        progress.place = count - 1
    finally:
        commands.leave()
        progress.leave()


def _run_along(execution: Execution, history: History, place: int) -> int:
    """Go through events of the common kinds; return the place of the first one that is not."""
    commands, progress, loop = execution.commands, execution.progress, execution.loop
    asked, waiting, taken_up, end = commands.asked, commands.open, commands.taken_up, execution.end
    own: Any
    first, causes = history.sequences[0], history.own
    kinds, payloads, count = history.scan.kinds, history.payloads, len(history)
    at_hand = _answers(execution, history)
    while place < count:
        kind, own = kinds[place], causes[place]
        if kind == COMMAND:
            head = commands.next
            command = asked[head] if head < len(asked) else None
            if type(command) is not Call or command.place != place or command.recorded:
                return place
            commands.pass_next()
            command.sequence = sequence = first + place
            command.time_ns = history.times[place]
            waiting[sequence] = command
        elif kind == DONE:
            call = waiting.get(taken_up.get(own, own))
            if type(call) is not Call:
                return place
            try:
                call._value = _result_of(payloads[place] or b"").result  # noqa: SLF001
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
                commands.at_hand = at_hand
                loop.step(fiber)
                commands.at_hand = None
                place = progress.place
            else:
                call.tell()
            if (loop.ready or end.done) and execution.go_on():
                return place + 1
        elif kind == TAKEN and own in waiting:
            taken_up[first + place] = own
        elif kind != TAKEN:
            return place
        place += 1
    return place


def _answers(execution: Execution, history: History) -> Callable[[Call], bool]:
    """Return what answers a call that is awaited from the events at hand, if these come next.

    It does what `_run_along` does with the event that asks and with the one that answers, while the
    code that awaits goes on: nobody else could run in between.
    """
    progress, loop, asked = execution.progress, execution.loop, execution.commands.asked
    end, first, causes = execution.end, history.sequences[0], history.own
    kinds, payloads, last = history.scan.kinds, history.payloads, len(history) - 1

    def answer(call: Call) -> bool:
        place = call.place
        if place != progress.place + 1 or len(asked) != 1 or asked[0] is not call or place >= last:
            return False
        asked_at, then = first + place, place + 1
        kind, by = kinds[then], causes[then]
        if kind == TAKEN and by == asked_at and then < last:
            then += 1
            kind, by = kinds[then], causes[then]
            by = asked_at if by == asked_at + 1 else by
        fiber = loop.current
        if kind != DONE or by != asked_at or fiber is None:
            return False
        others = call.waiter or call.told or call.recorded or fiber.pending or loop.ready
        known = fiber.known
        # Where more is known, or the answer does not tell of it, the causes take more work.
        if others or end.done or len(known) != 1 or causes[place] not in known:
            return False
        try:
            call._value = _result_of(payloads[then] or b"").result  # noqa: SLF001
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        asked.clear()
        progress.place = then
        call.done = True
        call.because = fiber.known = {first + then: _PROGRAM}
        fiber.own = False
        return True

    return answer
