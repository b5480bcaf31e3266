"""The twin of a recorded workflow: one answer changed, and only what it affects done again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Event
from flowlab.events.wording import brief, error_facts
from flowlab.recovery.redoing import OUTSIDE, Again, Answer, Execute, Record, Redone
from flowlab.runtime.scheme import Process
from flowlab.runtime.standing import ANSWERS

_KEEP: Any = object()


def recorded_twin(
    events: Iterable[Event],
    process: Process,
    *,
    at: Event | int,
    execute: Execute,
    result: Any = _KEEP,
    error: Exception | None = None,
    without: bool = False,
    reuse: Literal["causal", "data"] = "causal",
    seed: object = 0,
) -> Redone:
    """Do a recorded workflow again from one of its events, with that event changed.

    Up to the event the history is taken as it is. From there the code goes on: what it asks for as
    before is answered from the record, as long as the event did not affect it; what it asks for
    anew, and what is in the event's causal future, is carried out now. The first time's order and
    durations are kept where they are known.

    Args:
        events: the history of one workflow, or the generation that the event is in.
        process: its plan or code.
        at: an answer of an activity, a timer or a child, or an event from outside; or its sequence.
        execute: carries an activity out: a function of (activity, input), or one of the input for
            each activity by name.
        result: what the activity or the child returns instead, or the value of the signal.
        error: what the activity raises instead.
        without: the answer, or the event from outside, never comes.
        reuse: `causal`: what follows causally from the event is carried out again, as agents with
            state need; `data`: whatever is asked for with the input that it had is answered as it
            was, as for activities whose result follows from their input.
        seed: of the streams of chance, as of the recorded run.

    Returns:
        The new history; `Redone.log()` is it as a log, to be compared by `flowlab.diff`.

    Raises:
        NotFoundError: the history has no such event.
        InvalidArgumentError: the event is no answer, or not exactly one change is given; or a child
            is asked for anew.

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
    history = list(events)
    place = _place(history, at)
    changed = history[place]
    if sum((result is not _KEEP, error is not None, without)) != 1:
        message = "give one change: result=..., error=... or without=True"
        raise InvalidArgumentError(message)
    future = affected(history, changed.sequence)
    record = Record(history, without=future if reuse == "causal" else ())
    again = Again(process, changed.workflow_id, record, execute, seed=seed)
    told = None if without else _instead(changed, result, error)
    asked = next((s for s, answer in record.answers.items() if answer.event == changed), None)
    if asked is not None and told is None:
        again.never.add(asked)
    elif asked is not None and told is not None:
        record.answers[asked] = Answer(told, record.answers[asked].took_ns)
    again.changed = asked
    outside = [event for event in history[place:] if event.event_type in OUTSIDE]
    if changed in outside:
        outside.remove(changed)
        outside += [] if told is None else [told]
    elif asked is None:
        message = (
            f"{changed!r} answers nothing that the workflow asked for; give an answer of an "
            "activity, a timer or a child, or an event from outside"
        )
        raise InvalidArgumentError(message)
    again.outside(outside)
    again.replay(history[:place])
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


def _place(history: Sequence[Event], at: Event | int) -> int:
    sequence = at.sequence if isinstance(at, Event) else at
    for place, event in enumerate(history):
        if event.sequence == sequence:
            return place
    message = f"the history has no event {brief(at)}; it holds {len(history)}"
    raise NotFoundError(message)


def _instead(event: Event, result: Any, error: Exception | None) -> Event:
    """Return an answer, or an event from outside, that says something else."""
    kind = event.event_type
    if kind == "Signaled" and error is None:
        return event.replace(payload=Event.of(kind, payload={"value": result}).payload)
    families = ("Activity", "Compensation", "ChildWorkflow")
    family = next((name for name in families if kind.startswith(name)), "")
    if kind not in ANSWERS or not family:
        message = f"{event!r} has no result and no error to change; give without=True"
        raise InvalidArgumentError(message)
    if error is None:
        told = Event.of(f"{family}Completed", payload={"result": result})
    else:
        data = event.data if isinstance(event.data, dict) else {}
        facts = {"attempt": data.get("attempt", 1), "error": error_facts(error)}
        told = Event.of(f"{family}Failed", payload=facts)
    return event.replace(event_type=told.event_type, payload=told.payload)
