"""The order of each lane's own events: who comes after whom without naming it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


def order_lanes(
    table: pa.Table,
    lane: NDArray[np.int32],
    start: NDArray[np.int64],
    stream_ids: list[str],
    stream: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return all rows lane by lane, and of each the row before it, -1 where it follows none.

    A lane is ordered by its tick, then by position, stream and sequence.
    """
    ticks = table.column("agent_sequence").to_numpy()
    if compiled.pays(len(lane)):
        found = compiled.lanes_in_order(lane, start, ticks)
        if found is not None:
            return found[0], _following(table, found[1])
    small = lane.astype(np.uint16) if len(start) < 2**16 else lane
    rows = np.argsort(small, kind="stable").astype(np.int32)
    inner = lane[rows[1:]] == lane[rows[:-1]]
    if not np.any(inner & (np.diff(ticks[rows]) <= 0)):
        return rows, _before(table, lane, rows)
    names = pc.rank(pa.array(stream_ids, pa.string()), tiebreaker="dense").to_numpy()
    keys = (
        table.column("sequence").to_numpy(),
        names[stream],
        table.column("position").to_numpy(),
        ticks,
        lane,
    )
    rows = np.lexsort(keys).astype(np.int32)
    return rows, _before(table, lane, rows)


def _before(
    table: pa.Table, lane: NDArray[np.int32], lane_rows: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return the row before each on its lane, -1 where it is the first or does not follow it."""
    before = np.empty(len(lane), np.int32)
    before[lane_rows[1:]] = lane_rows[:-1]
    starts_lane = np.flatnonzero(lane[lane_rows[1:]] != lane[lane_rows[:-1]]) + 1
    before[lane_rows[:1]] = -1
    before[lane_rows[starts_lane]] = -1
    return _following(table, before)


def _following(table: pa.Table, before: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leave out what does not follow its lane."""
    follows = table.column("follows_lane")
    if not pc.all(follows).as_py():
        before[~follows.to_numpy()] = -1
    return before
