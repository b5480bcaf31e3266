"""Which events of a log a picture holds: its lanes, its detail, and at most so many events."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import UNSTAMPED, Event, EventLog, events_from_table, rank_strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUSEKEEPING: Final = frozenset(
    {"WorkflowTaskScheduled", "WorkflowTaskStarted", "WorkflowTaskCompleted"}
)
"""Event types of an orchestrator's own turns: hidden unless every detail is asked for."""
MAX_LANES: Final = 60
"""Lanes that one picture holds."""
MAX_PAYLOAD: Final = 65_536
"""Bytes of a payload that a picture looks into; larger ones are not read."""
MAX_BACKWARD_SHARE: Final = 0.05
"""Up to this share of causes may lie after their effects before times count as unusable."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a log that a picture shows, and what it leaves out.

    Args:
        log: the events of the window, the hidden ones among them, in drawing order.
        events: the same as values, without payloads that are too large to be looked into.
        visible: for each of them, whether it is drawn.
        total: events of the whole log; `hidden`: left out by detail; `left_out`: by the limit.
        lanes, total_lanes: lanes allowed here and lanes of the whole log.
        whole: the log holds every stream of its run, so what has no effect here has none at all.
    """

    log: EventLog
    events: tuple[Event, ...]
    visible: tuple[bool, ...]
    total: int
    hidden: int
    left_out: int
    lanes: tuple[tuple[str, str, str], ...]
    total_lanes: int
    axis: str
    whole: bool = True


def choose_window(
    log: EventLog,
    *,
    axis: str,
    lanes: Sequence[str] | None,
    detail: str,
    limit: int,
    whole: bool = True,
) -> Window:
    """Choose the first `limit` events to draw: by time, or by place in their streams.

    Raises:
        NotFoundError: a lane asked for is not in the log.
    """
    if axis == "auto":
        axis = "time" if times_are_usable(log) else "depth"
    order = _drawing_order(log, by_time=axis == "time")
    ordered = log.table.take(pa.array(order))
    keys = _lane_keys(ordered)
    chosen = _choose_lanes(log, keys, lanes)
    mask = np.ones(len(ordered), bool)
    if len(chosen) < len(set(keys)):
        allowed = set(chosen)
        mask = np.fromiter((key in allowed for key in keys), bool, len(keys))
    visible = mask.copy()
    if detail == "activities":
        types = pa.array(sorted(HOUSEKEEPING))
        noise = pc.is_in(ordered.column("event_type"), types).to_numpy(zero_copy_only=False)
        visible &= ~np.asarray(noise, bool)
    last = len(ordered)
    shown = np.flatnonzero(visible)
    if len(shown) > limit:
        last = int(shown[limit - 1]) + 1
    table = ordered.slice(0, last)
    return Window(
        EventLog(table, log.runs, log.anomalies),
        tuple(events_from_table(_without_large_payloads(table))),
        tuple(bool(flag) for flag in visible[:last]),
        total=len(ordered),
        hidden=int(mask[:last].sum() - visible[:last].sum()),
        left_out=max(0, len(shown) - limit),
        lanes=chosen,
        total_lanes=len(set(keys)),
        axis=axis,
        whole=whole and len(chosen) == len(set(keys)),
    )


def lane_key(event: Event) -> tuple[str, str, str]:
    """Return what makes two events share a lane: namespace, run and agent."""
    return (event.namespace, event.run_id, event.agent_id)


def _without_large_payloads(table: pa.Table) -> pa.Table:
    payload = table.column("payload")
    large = pc.greater(pc.fill_null(pc.binary_length(payload), 0), MAX_PAYLOAD)
    if not pc.any(large, min_count=0).as_py():
        return table
    kept = pc.if_else(large, pa.scalar(None, payload.type), payload)
    return table.set_column(table.column_names.index("payload"), table.field("payload"), kept)


def times_are_usable(log: EventLog) -> bool:
    """Say whether time can be the axis: every event has one, they differ, and few run backwards.

    Example:
        >>> times_are_usable(EventLog.from_events([]))
        False
    """
    if not len(log):
        return False
    times = log.table.column("time_ns").to_numpy()
    if int(times.min()) == UNSTAMPED or int(times.min()) == int(times.max()):
        return False
    counted = log.query(
        "SELECT count(*) AS edges, count(*) FILTER (e.time_ns < c.time_ns) AS backward "
        "FROM edges JOIN events e USING (namespace, run_id, workflow_id, sequence) "
        "JOIN events c ON (edges.namespace, edges.run_id, edges.cause_workflow_id, "
        "edges.cause_sequence) = (c.namespace, c.run_id, c.workflow_id, c.sequence)"
    ).to_pylist()[0]
    return bool(counted["backward"] <= MAX_BACKWARD_SHARE * counted["edges"])


def _drawing_order(log: EventLog, *, by_time: bool) -> NDArray[np.int64]:
    table = log.table
    keys = [rank_strings(table.column(name))[0] for name in ("workflow_id", "run_id", "namespace")]
    sequence = table.column("sequence").to_numpy()
    if by_time:
        # Equal times are told apart by the store's order, then by the stream's own.
        position = table.column("position").to_numpy()
        keys = [sequence, *keys, position, table.column("time_ns").to_numpy()]
    else:
        keys = [keys[0], sequence, *keys[1:]]
    return np.lexsort(keys)


def _lane_keys(table: pa.Table) -> list[tuple[str, str, str]]:
    names = ("namespace", "run_id", "agent_id")
    columns = [table.column(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True))


def _choose_lanes(
    log: EventLog, keys: list[tuple[str, str, str]], lanes: Sequence[str] | None
) -> tuple[tuple[str, str, str], ...]:
    """Order the lanes: by run, then as its metadata says, then by first event.

    In a simulated world, what runs stands above the agents that it asks, and the world below.
    """
    seen = list(dict.fromkeys(keys))
    if lanes is not None:
        if isinstance(lanes, str):
            message = f"lanes is the text {lanes!r}; give a list of agent ids, as [{lanes!r}]"
            raise InvalidArgumentError(message)
        known = {key[2] for key in seen}
        for lane in lanes:
            if lane not in known:
                near = difflib.get_close_matches(lane, sorted(known), 3, 0.3) or sorted(known)[:5]
                message = f"no lane {lane!r} in this log; the nearest are {near}"
                raise NotFoundError(message)
        return tuple(key for lane in lanes for key in seen if key[2] == lane)
    ranks = {(*run.key, agent): rank for run in log.runs for rank, agent in enumerate(run.agents)}
    worlds = list(dict.fromkeys(key[:2] for key in seen))
    first = {key: place for place, key in enumerate(seen)}
    simulated = {run.key for run in log.runs if run.clock == "virtual"}
    asked = _first_requests(log) if simulated else {}

    def place(key: tuple[str, str, str]) -> tuple[int, int, int, int]:
        rank = ranks.get(key, len(ranks))
        if key[:2] in simulated:
            rank = 2 if key[2].startswith("@") else int(key in ranks)
        return worlds.index(key[:2]), rank, asked.get(key, len(asked)), first[key]

    seen.sort(key=place)
    return tuple(seen[:MAX_LANES])


def _first_requests(log: EventLog) -> dict[tuple[str, str, str], int]:
    """Number the lanes in the order in which they were first sent a message."""
    rows = log.query(
        "SELECT r.namespace, r.run_id, r.agent_id FROM (SELECT namespace, run_id, agent_id, "
        "unnest(causes) AS ref FROM events WHERE event_type = 'MessageReceived') r "
        "JOIN events s ON (r.namespace, r.run_id, r.ref.workflow_id, r.ref.sequence) = "
        "(s.namespace, s.run_id, s.workflow_id, s.sequence) GROUP BY ALL "
        "ORDER BY min((s.time_ns, s.workflow_id, s.sequence)), r.agent_id"
    ).to_pylist()
    keys = ((row["namespace"], row["run_id"], row["agent_id"]) for row in rows)
    return {key: number for number, key in enumerate(keys)}
