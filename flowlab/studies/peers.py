"""What claims compare with: other stores, used as their documentation shows."""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

import pyarrow as pa

from flowlab.errors import MissingDependencyError
from flowlab.events import EventLog

if TYPE_CHECKING:
    from flowlab.events import Event

PEERS_EXTRA: Final = "pip install 'flowlab[peers]'"
_HOME: Final = UUID("00000000-0000-0000-0000-00000000f10b")


class BareFile:
    """Append and fsync, with nothing else: the floor of a durable append."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def append(self, data: bytes) -> None:
        """Append the bytes; they are durable on return."""
        os.write(self._descriptor, data)
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@dataclass(frozen=True)
class DomainEvent:
    """An event as the library `eventsourcing` wants it: an id, a version, a time, its fields."""

    originator_id: UUID
    originator_version: int
    timestamp: dt.datetime
    agent_id: str
    name: str
    payload: dict[str, Any]


class Eventsourcing:
    """The event store of the library `eventsourcing`, on SQLite, with its JSON transcoder.

    Its SQLite settings are its own: a write-ahead log, and synchronous FULL.

    Raises:
        MissingDependencyError: the library is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from eventsourcing.persistence import (  # noqa: PLC0415
                DatetimeAsISO,
                EventStore,
                JSONTranscoder,
                Mapper,
                UUIDAsHex,
            )
            from eventsourcing.sqlite import (  # noqa: PLC0415
                SQLiteApplicationRecorder,
                SQLiteDatastore,
            )
        except ImportError as error:
            message = f"this claim compares with the library eventsourcing: {PEERS_EXTRA}"
            raise MissingDependencyError(message) from error
        self._datastore = SQLiteDatastore(str(path))
        recorder = SQLiteApplicationRecorder(self._datastore)
        recorder.create_table()
        transcoder = JSONTranscoder()
        transcoder.register(UUIDAsHex())
        transcoder.register(DatetimeAsISO())
        self._store: Any = EventStore(Mapper(transcoder), recorder)

    @staticmethod
    def events(stream: str, payloads: Sequence[bytes]) -> list[DomainEvent]:
        """Make one stream's events."""
        home = uuid5(_HOME, stream)
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        return [
            DomainEvent(home, number, moment, f"agent-{number % 50:02d}", "charge_card", payload)
            for number, payload in enumerate(map(json.loads, payloads), 1)
        ]

    def put(self, events: list[DomainEvent]) -> None:
        """Commit the events in one transaction."""
        self._store.put(events)

    def close(self) -> None:
        """Close the database."""
        self._datastore.close()


class SqliteLog:
    """A log in SQLite as one would write it by hand: typed columns, and the whole event as JSON.

    The unique index is on (workflow_id, sequence).
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.execute(
            "CREATE TABLE events (workflow_id TEXT, sequence INTEGER, agent_id TEXT, "
            "event_type TEXT, time_ns INTEGER, event TEXT)"
        )

    def load(self, table: pa.Table) -> None:
        """Insert a whole log, then index it."""
        for batch in table.to_batches(max_chunksize=20_000):
            events = EventLog(pa.Table.from_batches([batch])).events()
            self._connection.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (e.workflow_id, e.sequence, e.agent_id, e.event_type, e.time_ns, json_line(e))
                    for e in events
                ],
            )
        self._connection.execute("CREATE UNIQUE INDEX ids ON events (workflow_id, sequence)")
        self._connection.commit()

    def stream(self, workflow_id: str) -> list[Any]:
        """Read one stream by the index, and decode it."""
        query = "SELECT event FROM events WHERE workflow_id = ? ORDER BY sequence"
        return [json.loads(row[0]) for row in self._connection.execute(query, (workflow_id,))]

    def aggregate(self) -> list[Any]:
        """Count events by agent and type, over the whole log."""
        return self._connection.execute(f"{AGGREGATE} ORDER BY 1, 2").fetchall()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


AGGREGATE: Final = (
    "SELECT agent_id, event_type, count(*), min(time_ns), max(time_ns) FROM events GROUP BY 1, 2"
)


def json_line(event: Event) -> str:
    """Write an event as a line of JSON: every column, the payload as JSON inside."""
    return json.dumps(as_object(event), separators=(",", ":"), ensure_ascii=False)


def as_object(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object: every column."""
    row: dict[str, Any] = {name: getattr(event, name) for name in event.__struct_fields__}
    row["causes"] = [
        {"workflow_id": cause.workflow_id, "sequence": cause.sequence, "kind": cause.kind}
        for cause in event.causes
    ]
    for name in ("reads", "writes"):
        cells = row[name]
        row[name] = None if cells is None else [[cell.owner, cell.key] for cell in cells]
    row["payload"] = event.data
    return row
