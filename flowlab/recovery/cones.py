"""The causal cones of what a replay has found: all that led to where the code parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.order import order_of
from flowlab.errors import FlowlabError
from flowlab.events import EventId, EventLog
from flowlab.events.keys import Key, encode_id
from flowlab.recovery.replay_report import Replayed
from flowlab.store import Snapshot

MAX_CONES: Final = 20
"""Divergences whose causal cones are found."""
MAX_CONE_EVENTS: Final = 1_000_000
"""Events of a store up to which the log of a run is read for a cone; the stream's beyond."""


def with_cones(source: EventLog | Snapshot, rows: Iterable[Replayed]) -> list[Replayed]:
    """Return rows with the causal cones of the first divergences among them.

    Of a store, the log of a run is read once for all of its divergences: the cone holds events of
    children, of agents, and of whoever else had a part in it.
    """
    found: list[Replayed] = []
    run: tuple[str, str] | None = None
    log, cones = source if isinstance(source, EventLog) else None, 0
    for row in rows:
        if row.divergence is None or cones == MAX_CONES:
            found.append(row)
            continue
        cones += 1
        if isinstance(source, Snapshot) and run != (row.namespace, row.run_id):
            run = (row.namespace, row.run_id)
            log = _run_log(source, *run)
        cone = None if log is None else _cone(log, row)
        if cone is None and isinstance(source, Snapshot):
            stream = _stream_log(source, row)
            cone = None if stream is None else _cone(stream, row)
        found.append(replace(row, divergence=replace(row.divergence, cone=cone)))
    return found


def _run_log(source: Snapshot, namespace: str, run_id: str) -> EventLog | None:
    """Return the log of one run; None where it is too long, or cannot be read."""
    if source.position > MAX_CONE_EVENTS:
        return None
    run = f"/runs/{encode_id(run_id)}" if run_id else ""
    try:
        log = source.read(f"/namespaces/{encode_id(namespace)}{run}")
    except FlowlabError:
        return None  # damaged elsewhere
    return EventLog(log.table.filter(pc.equal(log.table.column("run_id"), run_id)), log.runs)


def _stream_log(source: Snapshot, row: Replayed) -> EventLog | None:
    key = Key("workflows", row.workflow_id, namespace=row.namespace, run_id=row.run_id)
    try:
        return source.read(key)
    except FlowlabError:
        return None


def _cone(log: EventLog, row: Replayed) -> EventLog | None:
    """Return the events of a log that led to where the code parts, with that one."""
    assert row.divergence is not None
    event = EventId(row.namespace, row.run_id, row.workflow_id, row.divergence.sequence)
    try:
        order = order_of(log)
        rows = [*order.past(event).tolist(), order.row(event)]
    except FlowlabError:
        # A log that is damaged elsewhere has no order: what parted is told all the same.
        return None
    return EventLog(log.table.take(pa.array(sorted(rows))), log.runs)
