"""Which events of a stream follow from which: looked up only where it matters."""

from __future__ import annotations

from flowlab.errors import LimitError
from flowlab.events import MAX_CAUSES, Event
from flowlab.workflow.handles import Because


class Past:
    """The causes of a workflow's events within its own stream.

    Args:
        workflow_id: the stream.
    """

    __slots__ = ("_causes", "_first", "_workflow_id")

    def __init__(self, workflow_id: str) -> None:
        self._workflow_id = workflow_id
        self._first = 0
        self._causes: list[int | tuple[int, ...]] = []

    def add(self, event: Event) -> None:
        """Take the stream's next event."""
        if not self._causes:
            self._first = event.sequence
        causes = event.causes
        if len(causes) == 1:
            # By far the most events have one cause: a number takes no memory of its own.
            only = causes[0]
            self._causes.append(only.sequence if only.workflow_id == self._workflow_id else 0)
        else:
            mine = self._workflow_id
            self._causes.append(tuple(c.sequence for c in causes if c.workflow_id == mine))

    def forget(self, event: Event) -> None:
        """Let an event be the first, with nothing before it."""
        self._causes.clear()
        self._first = event.sequence
        self._causes.append(0)

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
            place = waiting.pop() - self._first
            causes = self._causes[place] if 0 <= place < len(self._causes) else 0
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

    def _chain(self, low: int, high: int) -> tuple[int, ...] | None:
        """Return the minimal ones of two events; None where their past has forks."""
        at = high
        while at > low:
            place = at - self._first
            causes = self._causes[place] if 0 <= place < len(self._causes) else 0
            if not isinstance(causes, int):
                return None
            at = causes
        return (high,) if at == low else (low, high)
