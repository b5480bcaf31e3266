"""The workload of replays: workflows that call one activity after the other, and their log."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from flowlab.events import Event, table_from_events
from flowlab.studies.histories import played, renamed
from flowlab.workflow import WorkflowContext, workflow

HISTORY_EVENTS: Final = 10_000
"""Events of one history, or fewer where the whole log has fewer."""
_HOST: Final = "@steps"


@workflow
async def steps(ctx: WorkflowContext, count: int) -> int:
    """Call an activity so many times, each after the one before."""
    for number in range(count):
        await ctx.call_activity("step", number)
    return count


def steps_history(count: int) -> list[Event]:
    """Return the history of a workflow of so many steps.

    Example:
        >>> [event.event_type for event in steps_history(1)]
        ['WorkflowStarted', 'ActivityScheduled', 'ActivityCompleted', 'WorkflowCompleted']
    """
    return played(steps, _HOST, count, lambda number: number)


def steps_log(events: int) -> pa.Table:
    """Return a log of about so many events: equal histories of workflows of their own.

    Example:
        >>> steps_log(100).num_rows
        100
    """
    count = max(1, min(events, HISTORY_EVENTS) // 2 - 1)
    one = table_from_events(steps_history(count))
    copies = max(1, events // one.num_rows)
    return pa.concat_tables([renamed(one, f"steps-{number:06d}") for number in range(copies)])
