"""A host of recorded histories: commits them to a store as a runtime would, and stops anywhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workflow_host import ID

from flowlab.events import Event
from flowlab.runtime import Replay, Restored, Standing
from flowlab.runtime.scheme import Executing, Process, RecoveryScheme, execution_of
from flowlab.store import EventStore

STREAM = ("default", "", ID)


@contextmanager
def fresh_store() -> Iterator[EventStore]:
    with TemporaryDirectory() as folder, EventStore(Path(folder) / "s") as store:
        yield store


@dataclass
class Recorded:
    """Commits a history, some events at a time, to a store; a scheme hears of each commit."""

    store: EventStore
    process: Process
    history: Sequence[Event]
    scheme: RecoveryScheme
    done: int = 0
    execution: Executing = field(init=False)
    standing: Standing = field(default_factory=Standing)

    def __post_init__(self) -> None:
        self.execution = execution_of(self.process, ID)

    def commit(self, count: int = 1) -> None:
        events = list(self.history[self.done : self.done + count])
        self.store.append(ID, events)
        self.execution.advance(events)
        for event in events:
            self.standing.take(event)
        self.done += len(events)
        self.scheme.committed(self.store, STREAM, self.execution, self.standing, events)

    def commit_all(self, *, sizes: Sequence[int] = (1,)) -> None:
        turn = 0
        while self.done < len(self.history):
            self.commit(sizes[turn % len(sizes)])
            turn += 1


def asked(restored: Restored) -> Any:
    """Return what a restored workflow asks for, and what it waits for."""
    standing = restored.standing
    waits = [(at, event.event_type, event.data) for at, event in standing.open.items()]
    stands = (standing.status, standing.head, standing.keys, standing.withdrawn)
    return restored.execution.advance(()), stands, waits


def goes_on_alike(restored: Restored, history: Sequence[Event]) -> Any:
    """Return what a restored workflow asks for after each event that was still to come."""
    found = []
    for event in history[restored.standing.head :]:
        found.append(restored.execution.advance([event]))
        restored.standing.take(event)
    return found, restored.execution.closed, restored.standing.status


def check_like_replay(
    scheme: RecoveryScheme, store: EventStore, process: Process, history: Sequence[Event]
) -> Restored:
    """Check that a scheme gives what a replay gives, now and until the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        restored = scheme.restore(store, STREAM, process)
    full = Replay().restore(store, STREAM, process)
    assert asked(restored) == asked(full)
    assert goes_on_alike(restored, history) == goes_on_alike(full, history)
    return restored
