"""Which events of a stream follow from which: looked up only where it matters."""

from __future__ import annotations

from flowlab.errors import LimitError
from flowlab.events import MAX_CAUSES, Event

Because = dict[int, int]
"""The events that let code go on: sequence in the workflow's stream -> kind of cause."""


Own = int | tuple[int, ...]
"""The causes of an event within its own stream: a lone one as it is, 0 for none."""


def own_causes(event: Event, workflow_id: str) -> Own:
    """Return the causes of an event within a stream.

    Example:
        >>> from flowlab.events import Cause
        >>> own_causes(Event.of("TimerFired", causes=(Cause("w", 3), Cause("@clock", 9))), "w")
        3
    """
    causes = event.causes
    if len(causes) == 1:
        # By far the most events have one cause: a number takes no memory of its own.
        return causes[0].sequence if causes[0].workflow_id == workflow_id else 0
    own = [cause.sequence for cause in causes if cause.workflow_id == workflow_id]
    return tuple(own) if len(own) > 1 else own[0] if own else 0


class Past:
    """The causes of a workflow's events within its own stream.

    Args:
        workflow_id: the stream.
    """

    __slots__ = ("_base", "_causes", "_first", "_workflow_id")

    def __init__(self, workflow_id: str) -> None:
        self._workflow_id = workflow_id
        self._base = 0
        self._first = 0
        self._causes: list[Own] = []

    def add(self, event: Event) -> None:
        """Take the stream's next event."""
        if not self._causes:
            self._base = self._first = event.sequence
        self._causes.append(own_causes(event, self._workflow_id))

    def extend(self, first: int, causes: list[Own]) -> None:
        """Take many events at once: of each the causes within the stream, a lone one as it is."""
        if not self._causes:
            self._base = self._first = first
        self._causes += causes

    def forget(self, event: Event) -> None:
        """Let an event be the first, with nothing before it."""
        place = event.sequence - self._base
        if place >= len(self._causes) - 1:
            self._causes.clear()
            self._base = event.sequence
            self._causes.append(0)
        else:
            self._causes[place] = 0
        self._first = event.sequence

    def minimal(self, why: Because) -> Because:
        """Take out the events from which another one follows.

        Raises:
            LimitError: more are left than an event may have causes.
        """
        if len(why) == 2:  # noqa: PLR2004 - nearly always it is what was known and what came
            found = self._chain(*sorted(why))
            if found is not None:
                return {sequence: why[sequence] for sequence in found}
        floor = max(min(why, default=0), self._first)
        implied: set[int] = set()
        waiting = list(why)
        while waiting:
            causes = self.of(waiting.pop())
            for cause in (causes,) if isinstance(causes, int) else causes:
                if cause >= floor and cause not in implied:
                    implied.add(cause)
                    waiting.append(cause)
        kept = {sequence: kind for sequence, kind in why.items() if sequence not in implied}
        if len(kept) > MAX_CAUSES:
            message = (
                f"workflow {self._workflow_id!r} has waited for {len(kept)} answers without asking "
                f"for anything; MAX_CAUSES is {MAX_CAUSES}: continue as new, or call an activity"
            )
            raise LimitError(message)
        return kept

    def thinned(self, why: Because) -> Because:
        """Take out as many events from which another one follows as are found quickly.

        Raises:
            LimitError: more are left than an event may have causes.
        """
        # Where each step waits for the one before, nearly all are the causes of others' requests.
        causes, base, first = self._causes, self._base, self._first
        implied: set[int] = set()
        for sequence in why:
            asked = causes[sequence - base] if sequence >= first else 0
            if isinstance(asked, int) and asked >= first:
                before = causes[asked - base]
                implied.update((before,) if isinstance(before, int) else before)
        left = {s: kind for s, kind in why.items() if s not in implied or s < first}
        return left if len(left) <= MAX_CAUSES else self.minimal(left)

    def of(self, sequence: int) -> Own:
        """Return the causes of an event; 0 of one that is not known."""
        place = sequence - self._base
        known = sequence >= self._first and place < len(self._causes)
        return self._causes[place] if known else 0

    def _chain(self, low: int, high: int) -> tuple[int, ...] | None:
        """Return the minimal ones of two events; None where their past has forks."""
        at, known, base, first = high, self._causes, self._base, self._first
        while at > low:
            place = at - base
            causes = known[place] if at >= first and place < len(known) else 0
            if not isinstance(causes, int):
                return None
            at = causes
        return (high,) if at == low else (low, high)
