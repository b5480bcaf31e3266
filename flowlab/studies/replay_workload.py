"""The workload of replays: workflows that call one activity after the other, and their log."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from flowlab.events import EVENT_SCHEMA, Cause, Event, table_from_events
from flowlab.workflow import Execution, WorkflowContext, workflow

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
    execution, history = Execution(steps, _HOST), list[Event]()

    def record(event: Event) -> Event:
        place = len(history) + 1
        stamped = event.replace(workflow_id=_HOST, sequence=place, time_ns=place * 1_000_000)
        history.append(stamped)
        return stamped

    told = [record(Event.of("WorkflowStarted", name=steps.name, payload={"input": count}))]
    while drafts := execution.advance(told):
        told = []
        for draft in drafts:
            asked = record(draft)
            told.append(asked)
            if asked.event_type == "ActivityScheduled":
                causes, payload = (Cause(_HOST, asked.sequence),), {"result": asked.data["input"]}
                fields: dict[str, Any] = {"name": "step", "payload": payload, "causes": causes}
                told.append(record(Event.of("ActivityCompleted", **fields)))
    return history


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


def renamed(table: pa.Table, workflow_id: str) -> pa.Table:
    """Return the same history of another workflow."""
    causes = table.column("causes").combine_chunks()
    flat = causes.flatten()
    ids = pa.repeat(pa.scalar(workflow_id), len(flat))
    kind = EVENT_SCHEMA.field("causes").type
    structs = pa.StructArray.from_arrays([ids, flat.field(1)], fields=list(kind.value_type))
    lists = pa.ListArray.from_arrays(causes.offsets, structs).cast(kind)
    ours = {"workflow_id": pa.repeat(pa.scalar(workflow_id), table.num_rows), "causes": lists}
    arrays = [ours.get(name, table.column(name)) for name in table.column_names]
    return pa.Table.from_arrays(arrays, schema=table.schema)
