"""Histories that were never run: played from code and made-up results, and copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EVENT_SCHEMA, Cause, Event
from flowlab.workflow import Execution, Workflow

TICK_NS: Final = 1_000_000
"""Between one event and the next."""


def played(
    workflow: Workflow, workflow_id: str, value: Any, result: Callable[[Any], Any]
) -> list[Event]:
    """Return the history of code whose activities end at once, one generation of it.

    Args:
        workflow: the code.
        workflow_id: its stream.
        value: its input.
        result: of an activity, from its input.

    Example:
        >>> from flowlab.workflow import workflow
        >>> @workflow
        ... async def once(ctx, value):
        ...     return await ctx.call_activity("double", value)
        >>> [event.event_type for event in played(once, "w", 1, lambda value: 2 * value)]
        ['WorkflowStarted', 'ActivityScheduled', 'ActivityCompleted', 'WorkflowCompleted']
    """
    execution, history = Execution(workflow, workflow_id), list[Event]()

    def record(event: Event) -> Event:
        place = len(history) + 1
        stamped = event.replace(workflow_id=workflow_id, sequence=place, time_ns=place * TICK_NS)
        history.append(stamped)
        return stamped

    told = [record(Event.of("WorkflowStarted", name=workflow.name, payload={"input": value}))]
    while drafts := execution.advance(told):
        told = []
        for draft in drafts:
            asked = record(draft)
            told.append(asked)
            if asked.event_type == "ActivityScheduled":
                payload = {"result": result(asked.data["input"])}
                causes = (Cause(workflow_id, asked.sequence),)
                ended = Event.of(
                    "ActivityCompleted", name=asked.name, payload=payload, causes=causes
                )
                told.append(record(ended))
    return history


def renamed(table: pa.Table, workflow_id: str) -> pa.Table:
    """Return the same history of another workflow."""
    flat = table.column("causes").combine_chunks().flatten()
    ids = pa.repeat(pa.scalar(workflow_id), len(flat))
    ours = pa.repeat(pa.scalar(workflow_id), table.num_rows)
    return _replaced(table, ids, flat.field(1), workflow_id=ours)


def moved(table: pa.Table, by: int, generation: int) -> pa.Table:
    """Return the same generation, later in the stream."""
    flat = table.column("causes").combine_chunks().flatten()
    return _replaced(
        table,
        flat.field(0),
        pc.add(flat.field(1), by),
        sequence=pc.add(table.column("sequence"), by),
        time_ns=pc.add(table.column("time_ns"), by * TICK_NS),
        generation=pa.repeat(pa.scalar(generation, pa.int32()), table.num_rows),
    )


def _replaced(table: pa.Table, ids: pa.Array, sequences: pa.Array, **ours: Any) -> pa.Table:
    """Return a table with other columns, and other causes at the same places."""
    kind = EVENT_SCHEMA.field("causes").type
    structs = pa.StructArray.from_arrays([ids, sequences], fields=list(kind.value_type))
    offsets = table.column("causes").combine_chunks().offsets
    ours["causes"] = pa.ListArray.from_arrays(offsets, structs).cast(kind)
    arrays = [ours.get(name, table.column(name)) for name in table.column_names]
    return pa.Table.from_arrays(arrays, schema=table.schema)
