"""The store as a plain list in memory: what a faulty store is compared with, event by event."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field

from flowlab.events import Event, EventLog, RunInfo, encode_id
from flowlab.store import Snapshot


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a store shows, in the order of positions."""

    position: int = 0
    events: tuple[Event, ...] = ()
    runs: tuple[RunInfo, ...] = ()
    anomalies: int = 0

    @classmethod
    def by_sql(cls, snapshot: Snapshot) -> Contents:
        """Read everything that a snapshot shows, every column of it, by SQL."""
        return cls._of(snapshot, snapshot.log().events())

    @classmethod
    def of(cls, snapshot: Snapshot, streams: Iterable[str]) -> Contents:
        """Read everything that a snapshot shows, stream by stream, without SQL.

        A stream that is not named is missed: the position tells.
        """
        found: list[Event] = []
        for stream in streams:
            if snapshot.head(stream):
                found += snapshot.read(f"/workflows/{encode_id(stream)}/events").events()
        return cls._of(snapshot, found)

    @classmethod
    def _of(cls, snapshot: Snapshot, events: list[Event]) -> Contents:
        ordered = sorted(events, key=lambda event: event.position)
        damage = snapshot.anomalies.num_rows
        return cls(snapshot.position, tuple(ordered), snapshot.runs, damage)

    def __repr__(self) -> str:
        names = " ".join(event.name for event in self.events[-20:])
        return f"Contents({len(self.events)} events, ... {names}, {len(self.runs)} runs)"


@dataclass(slots=True)
class StoreModel:
    """What a store has to show after the calls that it was told of.

    Attributes:
        events: every event that is shown, complete.
        position: the last one given.
        heads, ticks: the last sequence of each stream, and the last tick of each lane.
        runs: the latest record of each run, in order of appearance.
    """

    events: list[Event] = field(default_factory=list)
    position: int = 0
    heads: dict[str, int] = field(default_factory=dict)
    ticks: dict[str, int] = field(default_factory=dict)
    runs: dict[tuple[str, str], RunInfo] = field(default_factory=dict)

    def append(self, workflow_id: str, events: Iterable[Event]) -> None:
        """Take events into one stream: sequences, positions and ticks follow those before."""
        for event in events:
            agent = event.agent_id or workflow_id
            self.position += 1
            self.heads[workflow_id] = self.heads.get(workflow_id, 0) + 1
            self.ticks[agent] = self.ticks.get(agent, 0) + 1
            self.events.append(
                event.replace(
                    workflow_id=workflow_id,
                    sequence=self.heads[workflow_id],
                    position=self.position,
                    agent_id=agent,
                    agent_sequence=self.ticks[agent],
                )
            )

    def append_log(self, log: EventLog) -> None:
        """Take a log whose events stand in the order of their positions."""
        for event in log.events():
            self.append(event.workflow_id, [event])
        for run in log.runs:
            self.record_run(run)

    def truncate(self, workflow_id: str, upto: int) -> None:
        """Let a stream begin later."""
        self.events = [
            event
            for event in self.events
            if event.workflow_id != workflow_id or event.sequence > upto
        ]

    def record_run(self, run: RunInfo) -> None:
        """Take a record of a run."""
        self.runs[run.key] = run

    @property
    def streams(self) -> list[str]:
        """The streams that have events, in order of appearance."""
        return list(dict.fromkeys(event.workflow_id for event in self.events))

    def contents(self) -> Contents:
        """Return what a snapshot has to show."""
        return Contents(self.position, tuple(self.events), tuple(self.runs.values()))

    def copy(self) -> StoreModel:
        """Return a copy that goes its own way."""
        return copy.deepcopy(self)
