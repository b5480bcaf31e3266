"""What a scheme has heard of a stream's causes, so that a checkpoint reads no event again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from flowlab.events import Event

MOST_CAUSES: Final = 10_000
"""Causes in other streams that are remembered; with more than that, they are read from the log."""


@dataclass(slots=True)
class Heard:
    """The causes in other streams that events of one stream name, heard one after the other.

    A checkpoint's causality vector needs them. Without this, each would read and decode all events
    since the one before, which took longer than all else that it does.

    Args:
        first, last: sequences of the events that were heard without a gap; none if last < first.
        causes: (sequence of the event, stream of the cause, its sequence).

    Example:
        >>> from flowlab.events import Cause
        >>> heard = Heard()
        >>> heard.take(Event.of("A", workflow_id="w", sequence=4))
        >>> heard.take(Event.of("B", workflow_id="w", sequence=5, causes=(Cause("@ann", 2),)))
        >>> heard.within(4, 5), heard.within(3, 5)
        ([('@ann', 2)], None)
    """

    first: int = 1
    last: int = 0
    causes: list[tuple[int, str, int]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Hear of the next event; after a gap what was heard before counts no more."""
        if event.sequence != self.last + 1:
            self.first = event.sequence
            self.causes.clear()
        self.last = event.sequence
        for cause in event.causes:
            if cause.workflow_id != event.workflow_id:
                self.causes.append((event.sequence, cause.workflow_id, cause.sequence))
        if len(self.causes) > MOST_CAUSES:
            self.forget(event.sequence)

    def within(self, first: int, last: int) -> list[tuple[str, int]] | None:
        """Return what events name as causes; None if not all from `first` to `last` were heard."""
        if not self.first <= first <= last <= self.last:
            return None
        return [(name, cause) for at, name, cause in self.causes if first <= at <= last]

    def forget(self, upto: int) -> None:
        """Forget the causes of events up to a sequence: a checkpoint holds them now."""
        self.first = max(self.first, upto + 1)
        self.causes = [told for told in self.causes if told[0] > upto]
