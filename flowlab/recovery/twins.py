"""The twin of a recorded workflow: one event changed, and only what it affects done again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Event
from flowlab.events.wording import brief
from flowlab.recovery.children import NestedRedo, generations
from flowlab.recovery.forking import KEEP, fork_of
from flowlab.recovery.known import Process, conducted_by_name
from flowlab.recovery.record import Record
from flowlab.recovery.redoing import OUTSIDE, Again, Execute, Redone


def recorded_twin(
    events: Iterable[Event],
    process: Process,
    *,
    at: Event | int,
    execute: Execute,
    result: Any = KEEP,
    error: Exception | None = None,
    without: bool = False,
    reuse: Literal["causal", "data"] = "causal",
    workflows: Iterable[Process] | Mapping[str, Process] | ModuleType = (),
    seed: object = 0,
) -> Redone:
    """Do a recorded workflow again from one of its events, with that event changed.

    Up to the event the history is taken as it is. From there the code goes on: what it asks for as
    before is answered from the record, as long as the event did not affect it; what it asks for
    anew, and what is in the event's causal future, is carried out now. The first time's order and
    durations are kept where they are known. A change to what was recorded changes nothing.

    Any event can be named. The start stands for the workflow's input; a request for its answer,
    where it has none the twin parts right after it; what the code itself makes of others (an end, a
    marker, a barrier, a request to cancel) cannot be chosen: the error names what led to it.

    A child is answered from the record if it is asked for as before, by whatever id, and its code
    is not among `workflows`, or the event did not affect it; else its code is run within this one.

    Args:
        events: the history of one workflow, or more of its run: recorded histories of children are
            used where those are done again.
        process: its code or plan.
        at: the event, or its sequence where `events` hold one workflow. The twin is of the
            generation that it is in.
        execute: carries an activity out: a function of (activity, input), or one of the input for
            each activity by name.
        result: what the activity or the child returns instead, the value of the signal, or the
            input of the workflow.
        error: what the activity or the child raises instead.
        without: the answer, the timer's firing, or the event from outside, never comes.
        reuse: `causal`: what follows causally from the event is carried out again, as agents with
            state need; `data`: whatever is asked for with the input that it had is answered as it
            was, as for activities whose result follows from their input.
        workflows: code and plans of children; a module that holds them; or a mapping from names.
        seed: of the streams of chance, as of the recorded run.

    Returns:
        The new history; `Redone.log()` is it as a log, to be compared by `flowlab.diff`.

    Raises:
        NotFoundError: the history has no such event.
        InvalidArgumentError: not exactly one change is given, or one that the event does not allow;
            an activity or a child is to be carried out and is not given. The message says what to
            give.

    Example:
        >>> from flowlab.events import Cause
        >>> from flowlab.workflow import Program, Sequential, Step, result
        >>> plan = Program.of(Sequential(
        ...     Step("a", agent="x", effect=False),
        ...     Step("b", agent="x", effect=False, input=result("a")),
        ... ))
        >>> first = Again(plan, "w", Record([]), lambda name, value: [name, value])
        >>> first.tell(Event.of("WorkflowStarted", name="plan", payload={"input": 1}))
        >>> history = first.run().events
        >>> twin = recorded_twin(history, plan, at=3, result=7, execute=lambda n, v: v)
        >>> twin, twin.result
        (Redone(completed, 1 call executed, 0 reused), {'a': 7, 'b': 7})
    """
    if sum((result is not KEEP, error is not None, without)) != 1:
        message = "give one change: result=..., error=... or without=True"
        raise InvalidArgumentError(message)
    code = next(iter(conducted_by_name([process]).values()))
    streams = _streams(events, at)
    history, place = _place(streams, at)
    fork = fork_of(history, place, Record(history))
    told = None if without else fork.instead(result, error)
    if told is None:
        fork.check_missing()
    same = told is None if fork.is_open else _same(told, fork.event)
    future = set() if same else affected(history, fork.event.sequence)
    again = Again(
        code,
        fork.event.workflow_id,
        Record(history, without=future if reuse == "causal" else ()),
        execute,
        seed=seed,
        first=history[0].sequence,
        children=NestedRedo(
            conducted_by_name(workflows),
            {key[2]: stream for key, stream in streams.items()},
            reuse == "causal",
            seed,
        ),
    )
    changed = fork.event.sequence
    later = history[fork.place :]
    again.outside([e for e in later if e.event_type in OUTSIDE and e.sequence != changed])
    again.replay(history[: fork.place], never=fork.asked)
    if told is None or fork.is_open:
        again.go_on()
    if told is not None:
        again.now_ns = max(again.now_ns, told.time_ns)
        again.tell(fork.event if same else told)
    return again.run()


def affected(history: Sequence[Event], sequence: int) -> set[int]:
    """Return the sequences of the events of a history that follow causally from one of them.

    Example:
        >>> from flowlab.events import Cause
        >>> chain = [Event.of("A", workflow_id="w", sequence=1),
        ...          Event.of("B", workflow_id="w", sequence=2, causes=(Cause("w", 1),)),
        ...          Event.of("C", workflow_id="w", sequence=3)]
        >>> affected(chain, 1)
        {2}
    """
    found: set[int] = set()
    for event in history:
        named = {c.sequence for c in event.causes if c.workflow_id == event.workflow_id}
        if sequence in named or named & found:
            found.add(event.sequence)
    return found


def _same(told: Event | None, event: Event) -> bool:
    """Say whether an event is told as it was."""
    return told is not None and (told.event_type, told.payload) == (event.event_type, event.payload)


def _streams(events: Iterable[Event], at: Event | int) -> dict[tuple[str, str, str], list[Event]]:
    """Return histories by stream: of one run, where the event says which."""
    if not isinstance(at, Event) and type(at) is not int:
        message = f"at is {brief(at)}; expected an event of the history, or its sequence"
        raise InvalidArgumentError(message)
    found: dict[tuple[str, str, str], list[Event]] = {}
    for event in events:
        if event.workflow_id.startswith("@"):
            continue
        if isinstance(at, int) or (event.namespace, event.run_id) == (at.namespace, at.run_id):
            stream = (event.namespace, event.run_id, event.workflow_id)
            found.setdefault(stream, []).append(event)
    return found


def _place(
    streams: Mapping[tuple[str, str, str], list[Event]], at: Event | int
) -> tuple[list[Event], int]:
    """Return the generation that an event is in, and its place there."""
    if isinstance(at, int) and len(streams) > 1:
        message = (
            f"at is {at}, and there are events of {len(streams)} workflows; give the event itself"
        )
        raise InvalidArgumentError(message)
    sequence, mine = at, next(iter(streams.values()), [])
    if not isinstance(at, int):
        sequence = at.sequence
        mine = streams.get((at.namespace, at.run_id, at.workflow_id), [])
    for history in generations(mine):
        for place, event in enumerate(history):
            if event.sequence == sequence:
                return history, place
    message = f"the history has no event {brief(at)}; it holds {len(mine)}"
    raise NotFoundError(message)
