"""What a decoder gives: one run's events, its metadata, and the damage found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from flowlab.errors import ImportFormatError
from flowlab.events import ANOMALY_SCHEMA, Event, EventLog, RunInfo


class UnknownFormatError(ImportFormatError):
    """A file whose records are of no format that is known: a mapping can read it."""


@dataclass(slots=True)
class Trace:
    """One world as it is read; `log` makes the value.

    Args:
        info: the run's metadata.
        events: in row order, numbered.
        anomalies: rows of `ANOMALY_SCHEMA`.
    """

    info: RunInfo
    events: list[Event] = field(default_factory=list)
    anomalies: list[dict[str, Any]] = field(default_factory=list)

    def damage(
        self,
        workflow_id: str,
        sequence: int,
        kind: str,
        detail: str,
        *,
        ref: tuple[str, int] | None = None,
    ) -> None:
        """Note damage at an event."""
        self.anomalies.append(
            {
                "namespace": self.info.namespace,
                "run_id": self.info.run_id,
                "workflow_id": workflow_id,
                "sequence": sequence,
                "kind": kind,
                "detail": detail,
                "ref_workflow_id": None if ref is None else ref[0],
                "ref_sequence": None if ref is None else ref[1],
                "source": self.info.source,
            }
        )

    def log(self) -> EventLog:
        """Return the run as an EventLog."""
        table = EventLog.from_events(self.events).table
        anomalies = pa.Table.from_pylist(self.anomalies, ANOMALY_SCHEMA)
        return EventLog(table, (self.info,), anomalies)


def unused(name: str, used: set[str]) -> str:
    """Return a name that no other has, and note it: a second `x` is `x (2)`.

    Example:
        >>> used = {"x", "x (2)"}
        >>> unused("x", used), unused("y", used)
        ('x (3)', 'y')
    """
    found, count = name, 1
    while found in used:
        count += 1
        found = f"{name} ({count})"
    used.add(found)
    return found


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file's content stands in the import.

    Args:
        name: the path below the folder given, with suffix.
        run_id: the same without suffix.
        namespace: of the import.
        reveal: whether text decoded from payloads may become names and lanes.
    """

    name: str
    run_id: str
    namespace: str = "default"
    reveal: bool = True

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix."""
        return self.run_id.rpartition("/")[2]
