"""Runtimes that are killed: what they acknowledged is there, and what they repeat is named."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from flowlab.errors import FlowlabError
from flowlab.runtime import ActivityContext, Runtime
from flowlab.simulation import Agent
from flowlab.store import EventStore
from flowlab.studies.runtime_boundaries import drive
from flowlab.studies.runtime_checks import histories_in, lost, occurrences, unnamed
from flowlab.studies.runtime_kills import kill_often
from flowlab.studies.runtime_work import STORE, Effects, Notes, Work, carry_out, shelf
from flowlab.testing import Fault, FaultyDisk, Stopped
from flowlab.workflow import WorkflowContext, workflow

QUICK = Work(kinds=("sequential", "loaded", "told"), steps=1)


def stopped_at(folder: Path, fault: Fault, work: Work, effects: list[str]) -> Notes:
    """Run some work until the process is gone; return what was acknowledged."""
    notes: list[str] = []
    store = EventStore(folder / STORE, disk=FaultyDisk(folder, fault))
    with pytest.raises((Stopped, OSError)):
        asyncio.run(carry_out(work, store, Effects(effects.append), notes.append, Notes()))
    return Notes(notes)


# A frame was in the tail, and the process died before the watermark said so. The next runtime read
# the log without it, took the writer's role with its first append, which brought the frame in, and
# was refused: "stream 'sequential' is at version 2, not at the expected 0".
@pytest.mark.parametrize("nth", [2, 4, 6])
def test_what_a_process_wrote_as_it_died_is_known_to_the_one_that_goes_on(
    nth: int, tmp_path: Path
) -> None:
    effects: list[str] = []
    fault = Fault("write s/tail/watermark", nth, "stop")
    notes = stopped_at(tmp_path, fault, QUICK, effects)
    again: list[str] = list(notes.lines)
    with EventStore(tmp_path / STORE) as store:
        asyncio.run(carry_out(QUICK, store, Effects(effects.append), again.append, notes))
        histories = histories_in(store)
        assert not lost(histories, Notes(again))
        assert not unnamed(histories, occurrences(effects))
        assert shelf(store) == {"left": 99, "truck-0": 1}
    assert Notes(again).results == {"sequential": "0", "loaded": "1", "told": "0"}


def test_whatever_stops_a_workflow_at_whichever_boundary_it_goes_on_to_the_same_end(
    tmp_path: Path,
) -> None:
    report = drive("loaded", folder=tmp_path)
    assert report.boundaries > 15
    assert report.by_state["process death"] > 5


def test_a_killed_runtime_has_lost_nothing_and_names_what_it_repeats(tmp_path: Path) -> None:
    report = kill_often(tmp_path, at_random=2, most=4)
    assert report.wrong == []
    assert report.kills >= 4
    assert report.ended >= 1


# A deleted cell came back as null, and the next runtime's handlers found it there.
def test_a_cell_that_an_agent_has_deleted_is_not_there_after_a_restart(tmp_path: Path) -> None:
    @workflow
    async def forget(ctx: WorkflowContext, what: str) -> list[str]:
        return list(await ctx.call_activity("forget", what, agent="ann"))

    def forgets(ctx: ActivityContext, what: str) -> list[str]:
        if what in ctx.state:
            del ctx.state[what]
            ctx.state["last"] = None
        return sorted(ctx.state)

    for turn, known in enumerate([["b", "last"], ["last"], ["last"]]):
        with EventStore(tmp_path / STORE) as store:
            ann = Agent("ann", named={"forget": forgets}, state={"a": 1, "b": 2})
            found = Runtime(store, forget, agents=[ann]).run(forget, "ab"[turn > 0], id=f"w{turn}")
        assert found == known


@pytest.mark.parametrize("kind", ["write s/tail/#.log", "sync s/tail/#.log"])
@pytest.mark.parametrize("how", ["ENOSPC", "EIO"])
def test_a_disk_that_fails_while_a_workflow_is_taken_up_loses_nothing(
    kind: str, how: str, tmp_path: Path
) -> None:
    effects: list[str] = []
    notes = stopped_at(tmp_path, Fault("write s/tail/watermark", 3, "stop"), QUICK, effects)
    again = list(notes.lines)
    disk = FaultyDisk(tmp_path, Fault(kind, 1, how, lasting=True))
    with (
        EventStore(tmp_path / STORE, disk=disk) as store,
        suppress(OSError, FlowlabError),
    ):
        asyncio.run(carry_out(QUICK, store, Effects(effects.append), again.append, notes))
    assert disk.hits
    with EventStore(tmp_path / STORE) as store:
        last = list(again)
        asyncio.run(carry_out(QUICK, store, Effects(effects.append), last.append, Notes(again)))
        histories = histories_in(store)
        assert not lost(histories, Notes(last))
        assert not unnamed(histories, occurrences(effects))
    assert Notes(last).results == {"sequential": "0", "loaded": "1", "told": "0"}
