"""What a turn of the durable host leaves to be done."""

from __future__ import annotations

import msgspec

from flowlab.events import Event
from flowlab.runtime.agents import Lane, Performer
from flowlab.runtime.effect import Effect
from flowlab.runtime.instance import Instance


class Turn(msgspec.Struct):
    """What is to be done once a turn is durable.

    Args:
        events: what it wrote.
        effects: to be handed out, each with whose it is: a lane, or nobody's.
        requests: of more that are nobody's, each with its key and how often it was handed out.
        timers: (workflow_id, sequence, how many nanoseconds it takes from now).
        stopped: timers and effects that nothing waits for any more: (workflow_id, sequence).
        late: effects that were not answered in time, and go on: (workflow_id, sequence).
        ended: workflows that have ended.
        is_ready: there is nothing but effects, which were all prepared.
        inquiries: effects that may have happened, each with what finds that out.
        errands: of choreographies: (workflow_id, number, after how many nanoseconds).
    """

    events: list[Event] = []
    effects: list[tuple[Lane | None, Effect]] = []
    timers: list[tuple[str, int, int]] = []
    stopped: list[tuple[str, int]] = []
    late: list[tuple[str, int]] = []
    ended: list[Instance] = []
    errands: list[tuple[str, int, int]] = []
    inquiries: list[tuple[Effect, Performer]] = []
    requests: list[tuple[Event, str, int]] = []
    is_ready: bool = False

    def read_requests(self) -> None:
        """Make effects of the requests."""
        for request, key, delivery in self.requests:
            self.effects.append((None, Effect.of(request, key, delivery=delivery)))
        self.requests.clear()

    @property
    def is_simple(self) -> bool:
        """Whether there is nothing to be done but to begin effects, which wait for ever."""
        others = self.timers or self.stopped or self.late or self.ended or self.errands
        if others or self.inquiries:
            return False
        return not [effect for _, effect in self.effects if effect.timeout_ns is not None]
