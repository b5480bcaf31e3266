"""Lanes by an expression: who did what, as a user would have it."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from flowlab.events import Cause, CauseKind, EventLog
from flowlab.events.asking import query_once


def with_lanes(log: EventLog, expression: str) -> EventLog:
    """Give each event the lane that an SQL expression over its columns says.

    Where the expression gives nothing, the lane stays. The causal order stays too: what followed
    its old lane's event, and no longer stands after it in a lane, names it as a cause.

    Raises:
        QueryError: the expression is refused.

    Example:
        >>> events = [{"workflow_id": "w", "event_type": "A", "agent_id": "a"}]
        >>> log = with_lanes(EventLog.from_events(events), "upper(agent_id)")
        >>> [event.agent_id for event in log]
        ['A']
    """
    rows = pa.array(range(len(log)), pa.int64())
    index = log.table.schema.get_field_index("position")
    numbered = log.table.set_column(index, log.table.schema.field(index), rows)
    query = (
        f"SELECT coalesce(CAST(({expression}) AS VARCHAR), agent_id) AS lane "
        "FROM events ORDER BY position"
    )
    lanes = query_once(EventLog(numbered, log.runs, log.anomalies), query)["lane"].to_pylist()
    ticks: dict[tuple[str, str], int] = {}
    before: dict[tuple[str, str], tuple[str, int]] = {}
    last: dict[tuple[str, str], tuple[str, int]] = {}
    events = []
    for event, given in zip(log, lanes, strict=True):
        lane = given or event.agent_id
        old, new = (event.run_id, event.agent_id), (event.run_id, lane)
        ticks[new] = ticks.get(new, 0) + 1
        previous = before.get(old) if event.follows_lane else None
        follows = previous is not None and last.get(new) == previous
        causes = event.causes
        if previous is not None and not follows:
            known = {(cause.workflow_id, cause.sequence) for cause in causes}
            if previous not in known:
                causes = (*causes, Cause(*previous, CauseKind.PROGRAM))
        before[old] = last[new] = (event.workflow_id, event.sequence)
        events.append(
            event.replace(
                agent_id=lane, agent_sequence=ticks[new], follows_lane=follows, causes=causes
            )
        )
    runs = tuple(
        msgspec.structs.replace(run, agents=tuple(lane for of, lane in ticks if of == run.run_id))
        for run in log.runs
    )
    return EventLog(EventLog.from_events(events).table, runs, log.anomalies)
