"""Which streams are workflows, and which of those have not ended: the rule of all who ask."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowlab.events import EVENT_CATEGORIES

if TYPE_CHECKING:
    from flowlab.runtime.scheme import Stream
    from flowlab.store import Snapshot

Identify = Callable[["Stream"], str | None]
"""Says of which workflow a stream is an instance whose history does not say so; else None."""

_BEGUN: Final = """
SELECT namespace, workflow_id, name, status, events, started_ns
FROM workflows WHERE run_id = '' AND name IS NOT NULL
"""
_CUT: Final = f"""
SELECT t.namespace, t.workflow_id, NULL AS name, coalesce(w.status, 'open') AS status,
       coalesce(w.events, 0) AS events, coalesce(w.started_ns, 0) AS started_ns
FROM truncations t LEFT JOIN workflows w USING (namespace, run_id, workflow_id)
WHERE t.run_id = '' AND NOT starts_with(t.workflow_id, '@') AND w.name IS NULL
AND CASE WHEN w.events IS NULL THEN EXISTS (
        SELECT 1 FROM checkpoints c
        WHERE (c.namespace, c.run_id, c.workflow_id) = (t.namespace, t.run_id, t.workflow_id)
        AND c.at_sequence >= t.base
        AND starts_with(c.origin, 'flowlab') AND c.origin <> 'flowlab state')
    ELSE EXISTS (
        SELECT 1 FROM events e
        WHERE (e.namespace, e.run_id, e.workflow_id) = (t.namespace, t.run_id, t.workflow_id)
        AND e.event_type IN ({", ".join(map(repr, EVENT_CATEGORIES))})) END
"""
"""Workflows whose beginning was truncated: what is left are words of a history; where nothing is,
a scheme has taken a checkpoint of the end. Those of a state are for looking back alone."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The live workflows of a namespace that have not ended.

    Args:
        names: what each is an instance of, by its id, the oldest first.
        nameless: the ids of those whose beginning is gone, and of which no checkpoint says so.
    """

    names: dict[str, str]
    nameless: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Unfinished({len(self.names)} named, {len(self.nameless)} nameless)"

    def warn(self) -> None:
        """Warn of each that nobody can take up as it is."""
        for workflow_id in self.nameless:
            warnings.warn(f"left as it is: {nameless(workflow_id)}", RuntimeWarning, stacklevel=3)


def nameless(workflow_id: str) -> str:
    """Return what there is to say of a workflow that does not say which it is."""
    return (
        f"the beginning of {workflow_id!r} is gone, since it was truncated; recover it by the "
        "scheme that took its checkpoints, or say which workflow it is: start(workflow, id=...)"
    )


def workflows_of(snapshot: Snapshot) -> str:
    """Return SQL for the live workflows of a snapshot: one row for each stream that is one.

    A stream in which no workflow begins is an aggregate's or a person's own, and none of them;
    unless its beginning was truncated: then the name is null.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     told = store.append("w", {"event_type": "WorkflowStarted", "name": "trip"})
        ...     told = store.append("notes", {"event_type": "Written"})
        ...     snapshot = store.snapshot()
        ...     snapshot.sql(workflows_of(snapshot))["workflow_id"].to_list()
        ['w']
    """
    cut = any(stream[1] == "" for stream in snapshot.bases.by_stream)
    return f"{_BEGUN} UNION ALL {_CUT}" if cut else _BEGUN


def find_unfinished(snapshot: Snapshot, identify: Identify, namespace: str) -> Unfinished:
    """Return the workflows of a namespace that have not ended.

    Args:
        snapshot: of the store.
        identify: asked about those whose beginning was truncated.
        namespace: of the workflows.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     told = store.append("w", {"event_type": "WorkflowStarted", "name": "trip"})
        ...     find_unfinished(store.snapshot(), lambda stream: None, "default").names
        {'w': 'trip'}
    """
    quoted = namespace.replace("'", "''")
    table = snapshot.query(
        f"SELECT workflow_id, name FROM ({workflows_of(snapshot)}) WHERE namespace = '{quoted}' "
        "AND status IN ('open', 'running') ORDER BY started_ns, workflow_id"
    )
    names: dict[str, str] = {}
    unknown: list[str] = []
    columns = (table.column(place).to_pylist() for place in (0, 1))
    for workflow_id, known in zip(*columns, strict=True):
        name = identify((namespace, "", workflow_id)) if known is None else known
        if name is None:
            unknown.append(workflow_id)
        else:
            names[workflow_id] = name
    return Unfinished(names, tuple(unknown))
