"""The calls of a log too large to be looked at event by event: as bars, by SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.widgets.bars import BAR_KINDS, STATUSES
from flowlab.widgets.packing import Codes
from flowlab.widgets.rows import RowIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.events import EventLog

_WORLD: Final = ("namespace", "run_id")
_ACTIVITIES: Final = (
    "SELECT namespace, run_id, workflow_id, sequence, agent_id, name, status, "
    "coalesce(started_workflow_id, '') AS started_workflow_id, "
    "coalesce(started_sequence, -1) AS started_sequence, "
    "coalesce(ended_sequence, -1) AS ended_sequence FROM activities "
    "ORDER BY namespace, run_id, workflow_id, sequence"
)


def call_columns(
    log: EventLog, index: RowIndex, lane_of: dict[tuple[str, ...], int], words: Codes
) -> dict[str, NDArray[Any]]:
    """Return the columns `bar`, `part` and `bar_row` of the activities of a log."""
    calls = log.query(_ACTIVITIES)
    world = [calls.column(name) for name in _WORLD]
    own = [*world, calls.column("workflow_id")]
    taken = [*world, calls.column("started_workflow_id")]
    asked = index.rows(own, calls.column("sequence").to_numpy())
    began = index.rows(taken, calls.column("started_sequence").to_numpy())
    ended = index.rows(own, calls.column("ended_sequence").to_numpy())
    keys = zip(*(calls.column(name).to_pylist() for name in (*_WORLD, "agent_id")), strict=True)
    lane = np.fromiter((lane_of.get(key, -1) for key in keys), np.int32, len(calls))
    statuses = pc.index_in(calls.column("status"), value_set=pa.array(STATUSES))
    status = pc.fill_null(statuses, STATUSES.index("running")).to_numpy()
    label = np.fromiter(
        (words.of(name or "activity") for name in calls.column("name").to_pylist()),
        np.int32,
        len(calls),
    )
    kept = (lane >= 0) & (asked >= 0)
    size = len(calls)
    kind, nothing = np.full(size, BAR_KINDS.index("activity")), np.full(size, -1)
    bars = np.column_stack([lane, kind, status, asked, ended, nothing, label, nothing])[kept]
    asked, began, ended = asked[kept], began[kept], ended[kept]
    number = np.arange(len(bars))
    start = np.where(began >= 0, began, asked)
    answered = (began >= 0) | (ended >= 0)
    zero = np.zeros(len(bars), np.int64)
    waiting = np.column_stack([number, zero, asked, np.where(answered, start, -1), zero])
    work = np.column_stack([number, zero + 2, start, ended, zero])
    parts = np.concatenate([waiting[(start != asked) | ~answered], work[answered]])
    rows = [np.column_stack([number, row])[row >= 0] for row in (asked, began, ended)]
    return {
        "bar": bars.ravel().astype(np.int32),
        "part": parts[np.argsort(parts[:, 0], kind="stable")].ravel().astype(np.int32),
        "bar_row": np.concatenate(rows).ravel().astype(np.int32),
    }
