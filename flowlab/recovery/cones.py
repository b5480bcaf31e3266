"""The causal cones of what a replay has found: all that led to where the code parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.order import order_of
from flowlab.errors import FlowlabError
from flowlab.events import EventId, EventLog, grouped
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
    children, of agents, and of whoever else had a part in it. Where that cannot be, it is the part
    in the stream itself, and `cone_lacks` says why.
    """
    found: list[Replayed] = []
    run: tuple[str, str] | None = None
    log, lacks, cones = source if isinstance(source, EventLog) else None, "", 0
    for row in rows:
        if row.divergence is None:
            found.append(row)
            continue
        cone = None
        if cones == MAX_CONES:
            told = f"all of it: only the first {MAX_CONES} divergences have one"
        else:
            cones += 1
            if isinstance(source, Snapshot) and run != (row.namespace, row.run_id):
                run = (row.namespace, row.run_id)
                log, lacks = _run_log(source, *run)
            told = lacks
            if log is not None:
                cone, told = _cone(log, row)
            if cone is None and isinstance(source, Snapshot):
                cone, told = _within(source, row, told)
            elif cone is None:
                told = f"all of it: {told}"
        parted = replace(row.divergence, cone=cone, cone_lacks=told)
        found.append(replace(row, divergence=parted))
    return found


def _run_log(source: Snapshot, namespace: str, run_id: str) -> tuple[EventLog | None, str]:
    """Return the log of one run; or why it is not there: it is too long, or cannot be read."""
    if source.position > MAX_CONE_EVENTS:
        events, most = grouped(source.position), grouped(MAX_CONE_EVENTS)
        return None, f"the store has {events} events, and up to {most} are read for it"
    run = f"/runs/{encode_id(run_id)}" if run_id else ""
    try:
        log = source.read(f"/namespaces/{encode_id(namespace)}{run}")
    except FlowlabError as error:
        return None, f"the log of the run cannot be read: {error}"  # damaged elsewhere
    mine = pc.equal(log.table.column("run_id"), run_id)
    return EventLog(log.table.filter(mine), log.runs), ""


def _within(source: Snapshot, row: Replayed, why: str) -> tuple[EventLog | None, str]:
    """Return the part of a cone within the stream, and what it lacks."""
    key = Key("workflows", row.workflow_id, namespace=row.namespace, run_id=row.run_id)
    try:
        cone, told = _cone(source.read(key), row)
    except FlowlabError as error:
        cone, told = None, str(error)
    if cone is None:
        return None, f"all of it: {told}"
    return cone, f"the events of other streams: {why}"


def _cone(log: EventLog, row: Replayed) -> tuple[EventLog | None, str]:
    """Return the events of a log that led to where the code parts, with that one; or why not."""
    assert row.divergence is not None
    event = EventId(row.namespace, row.run_id, row.workflow_id, row.divergence.sequence)
    try:
        order = order_of(log)
        rows = [*order.past(event).tolist(), order.row(event)]
    except FlowlabError as error:
        # A log that is damaged elsewhere has no order: what parted is told all the same.
        return None, f"the log has no causal order: {error}"
    return EventLog(log.table.take(pa.array(sorted(rows))), log.runs), ""
