"""The workload of recoveries: a workflow with declared state, of any length, in generations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from flowlab.events import Event, table_from_events
from flowlab.recovery.checkpoint import WorkflowCheckpoint
from flowlab.recovery.restoring import replayed
from flowlab.store import EventStore
from flowlab.studies.histories import moved, played, renamed
from flowlab.workflow import WorkflowContext, workflow
from flowlab.workflow.savepoints import is_savepoint

COUNTING_ID: Final = "counting-1"
STREAM: Final = ("default", "", COUNTING_ID)
GENERATION_STEPS: Final = 5_000
"""Steps of a generation; each is three events, so that it stays far below the longest history."""


@dataclass
class Counted:
    """The state of `counting`."""

    next: int = 0
    total: int = 0


@workflow(state=Counted)
async def counting(ctx: WorkflowContext, steps: int, state: Counted) -> int:
    """Call an activity so many times, with a savepoint after each, and then begin anew."""
    while state.next < steps:
        state.total += await ctx.call_activity("add", state.next)
        state.next += 1
        await ctx.savepoint()
    ctx.continue_as_new(steps)
    return state.total


def counting_log(events: int) -> pa.Table:
    """Return the log of one workflow of so many events, at least 6.

    Example:
        >>> table = counting_log(100)
        >>> table.num_rows, table.column("sequence")[-1].as_py()
        (100, 100)
    """
    one = table_from_events(_generation(min(GENERATION_STEPS, events)))
    parts, done, number = [], 0, 0
    while done < events:
        parts.append(moved(one, done, number))
        done, number = done + one.num_rows, number + 1
    return pa.concat_tables(parts).slice(0, events)


def unfinished_log(workflows: int, events: int) -> pa.Table:
    """Return the log of so many workflows, each of so many events and not ended.

    Example:
        >>> unfinished_log(3, 40).num_rows
        120
    """
    one = table_from_events(_generation(GENERATION_STEPS)[:events])
    return pa.concat_tables([renamed(one, f"counting-{number:05d}") for number in range(workflows)])


def take_checkpoint(store: EventStore, at: int) -> None:
    """Take the checkpoint that a scheme takes after an event of the workload."""
    restored, events = replayed(store.snapshot(), STREAM, counting, upto=at)
    marks = [event for event in events if is_savepoint(event)]
    content = WorkflowCheckpoint.of(restored.execution, restored.standing, savepoint=marks[-1])
    store.checkpoint(COUNTING_ID, content.encode(), at=content.at, origin="flowlab")


def _generation(steps: int) -> list[Event]:
    return played(counting, COUNTING_ID, steps, lambda _: 1)
