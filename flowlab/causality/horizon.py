"""What is remembered of truncated events, so that order and clocks of those left stay exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowlab.errors import InvalidArgumentError
from flowlab.events import EventId, counted

Lane = tuple[str, str, str]
"""A lane: (namespace, run_id, agent_id)."""


@dataclass(frozen=True, slots=True, repr=False)
class HorizonClock:
    """The clocks of a truncated event, as far as what is left needs them.

    Args:
        lamport: its Lamport clock.
        hybrid: its hybrid logical clock: the time part in nanoseconds, and the counter.
        counts: of columns of the horizon, how many truncated events of that part of a lane are
            this one or its past; of columns that are left out, none.
    """

    lamport: int
    hybrid: tuple[int, int]
    counts: tuple[tuple[int, int], ...]

    def __repr__(self) -> str:
        gone = sum(count for _, count in self.counts)
        return f"HorizonClock({self.lamport}, over {counted(gone, 'truncated event')})"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        counts = [list(count) for count in self.counts]
        return {"lamport": self.lamport, "hybrid": list(self.hybrid), "counts": counts}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> HorizonClock:
        """Read what `to_json` has told."""
        seen, counter = told["hybrid"]
        counts = tuple((int(column), int(count)) for column, count in told["counts"])
        return cls(int(told["lamport"]), (int(seen), int(counter)), counts)


@dataclass(frozen=True, slots=True, repr=False)
class Forgotten:
    """A truncated event that may still be a cause: who it was, and what is left of its past.

    Args:
        id: its id.
        agent_id: its lane.
        agent_sequence: its tick there.
        position: in the whole log.
        before: the events left that happened before it: the last ones, and the last on its lane.
        clock: its clocks; None where an older flowlab, which did not keep them, cut it off.
        until: what it waits for, where no event left follows it yet: `named` until an event names
            it, `followed` until its stream goes on; else empty.
    """

    id: EventId
    agent_id: str
    agent_sequence: int
    position: int
    before: tuple[EventId, ...]
    clock: HorizonClock | None = None
    until: str = ""

    @property
    def lane(self) -> Lane:
        """Its lane."""
        return self.id.namespace, self.id.run_id, self.agent_id

    @property
    def lane_key(self) -> tuple[int, int, str, int]:
        """Its place on its lane."""
        return self.agent_sequence, self.position, self.id.workflow_id, self.id.sequence

    def __repr__(self) -> str:
        name = f"{self.id.workflow_id}/{self.id.sequence}"
        return f"Forgotten({name}, after {counted(len(self.before), 'event')} left)"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        told = {
            **self.id._asdict(),
            "agent_id": self.agent_id,
            "agent_sequence": self.agent_sequence,
            "position": self.position,
            "before": [[cause.workflow_id, cause.sequence] for cause in self.before],
            "until": self.until,
        }
        return told if self.clock is None else {**told, "clock": self.clock.to_json()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Forgotten:
        """Read what `to_json` has told."""
        name = EventId(*(told[field] for field in EventId._fields))
        clock = told.get("clock")
        return cls(
            id=name,
            agent_id=told["agent_id"],
            agent_sequence=told["agent_sequence"],
            position=told["position"],
            before=tuple(name._replace(workflow_id=w, sequence=s) for w, s in told["before"]),
            clock=None if clock is None else HorizonClock.from_json(clock),
            until=told.get("until", ""),
        )


@dataclass(frozen=True, slots=True, repr=False)
class BeforeHorizon:
    """The truncated events that those left may refer to; `truncate` makes it.

    `CausalOrder(log, horizon=...)` orders what is left as the whole log does: what happened before
    a truncated event happened before whatever that was a cause of. Vector, Lamport and hybrid
    clocks resume from those that are kept here, and so are the whole log's too. A horizon that an
    older flowlab has written keeps none: then `resumes` is false, and clocks count what is left.

    Args:
        events: in id order.
        columns: the lanes of which the clocks count truncated events. A lane whose work overlaps
            may have several, each for a part of it: what is known of a part only grows, so that of
            several pasts together the greatest count is the right one, part by part.

    Example:
        >>> from flowlab import EventLog
        >>> from flowlab.causality import truncate
        >>> log = EventLog.from_text("A: a >m | B: <m b >n | C: <n c")
        >>> left, horizon = truncate(log.causality, {"@B": 3})
        >>> horizon
        BeforeHorizon(1 truncated event)
        >>> order = type(log.causality)(left, horizon=horizon)
        >>> order.happened_before(("@A", 2), ("@C", 1)), order.vector_clock(("@C", 1))
        (True, {'A': 2, 'B': 3, 'C': 1})
    """

    events: tuple[Forgotten, ...]
    columns: tuple[Lane, ...] = ()

    @property
    def resumes(self) -> bool:
        """Whether clocks resume: all events have theirs."""
        return all(event.clock is not None for event in self.events)

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Forgotten]:
        return iter(self.events)

    def __repr__(self) -> str:
        return f"BeforeHorizon({counted(len(self.events), 'truncated event')})"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, as a checkpoint or a `LogTruncated` event carries it."""
        return {
            "events": [event.to_json() for event in self.events],
            "columns": [list(column) for column in self.columns],
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> BeforeHorizon:
        """Read what `to_json` has told, now or in an older flowlab.

        Raises:
            InvalidArgumentError: it is something else.
        """
        try:
            events = tuple(Forgotten.from_json(event) for event in told["events"])
            columns = tuple((n, r, a) for n, r, a in told.get("columns", ()))
            for column in {c for event in events if event.clock for c, _ in event.clock.counts}:
                _ = range(len(columns)).index(column)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"{told!r:.80} is no horizon in JSON: expected what to_json() gives"
            raise InvalidArgumentError(message) from error
        return cls(events, columns)
