"""Worlds that do not end by themselves, and when a world is over."""

from __future__ import annotations

from typing import Any

import pytest

from flowlab.simulation import Agent, World, simulate
from flowlab.workflow import SECOND, RetryPolicy, Step, WorkflowContext, workflow


def charge() -> str:
    return "paid"


def test_a_workflow_whose_history_grows_without_end_stops_its_world_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The limit of a history was an error that simulate raised: nothing was left to look at.
    monkeypatch.setattr("flowlab.workflow.following.MOST_EVENTS", 50)

    @workflow
    async def insists(ctx: WorkflowContext, _: Any) -> None:
        await ctx.call_activity("never", agent="bank", retry=RetryPolicy())

    def never() -> None:
        raise ValueError

    run = simulate(World([Agent("bank", never)], insists), seed=1)

    assert "MAX_HISTORY_EVENTS" in run.stopped
    assert run.statuses == {"insists-1": "open"}
    assert [stuck.workflow_id for stuck in run.stuck] == ["insists-1"]
    assert run.event_count == len(run.log)


def test_a_world_is_over_with_its_last_event_whatever_was_waited_for() -> None:
    # It was over when the last timeout had passed, though every call had been answered.
    world = World(
        [Agent("bank", charge)],
        Step("charge", agent="bank", kind="pivot"),
        timeout=1_000 * SECOND,
    )
    run = simulate(world, seed=1)

    assert run.end_ns == max(event.time_ns for event in run.log) < SECOND
