"""A choreographed saga is stopped at every boundary of the disk, and goes on to the same end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import WorkflowError
from flowlab.runtime import ActivityContext, Runtime
from flowlab.store import EventStore
from flowlab.studies.store_faults import UnsyncedDisk
from flowlab.testing import CrashDisk, DiskState, every_boundary
from flowlab.workflow import Choreography, Reaction

ORDER = Choreography(
    Reaction(
        "shelf",
        on="Placed",
        emits="Reserved",
        activity="reserve",
        compensation="put_back",
        undone_by="Declined",
    ),
    Reaction(
        "bank",
        on="Reserved",
        emits="Paid",
        fails_with="Declined",
        activity="charge",
        kind="pivot",
    ),
    Reaction("clerk", on="Paid", activity="file", kind="retryable", idempotent=True),
    start="Placed",
    final="Paid",
    name="order",
)


class Outside:
    """The world: which effects have happened, in order, as (key, delivery)."""

    def __init__(self, *, declines: bool, tell: Callable[[], object] = lambda: None) -> None:
        self.happened: list[tuple[str, int]] = []
        self.declines = declines
        self.tell = tell

    async def work(self, ctx: ActivityContext, value: Any) -> Any:
        await asyncio.sleep(0)
        self.happened.append((ctx.idempotency_key, ctx.delivery))
        self.tell()
        if ctx.activity == "charge" and self.declines:
            message = "no"
            raise ValueError(message)
        return value

    def run(self, store: EventStore) -> str:
        acts = {"shelf": ("reserve", "put_back"), "bank": ("charge",), "clerk": ("file",)}
        agents = {agent: dict.fromkeys(names, self.work) for agent, names in acts.items()}
        try:
            return repr(Runtime(store, ORDER, agents=agents).run(ORDER, 3, id="o"))
        except WorkflowError as error:
            return str(error)


@pytest.mark.parametrize("answer", ["paid", "declined"])
def test_stopped_at_any_boundary_it_ends_as_if_it_had_not_been_and_names_what_it_repeats(
    answer: str, tmp_path: Path
) -> None:
    declines = answer == "declined"
    seen: dict[str, Any] = {}

    def prepare(folder: Path) -> None:
        with EventStore(folder / "s", disk=UnsyncedDisk()) as store:
            store.take_role()

    def run(folder: Path, disk: CrashDisk, acknowledge: Callable[[], object]) -> None:
        outside = Outside(declines=declines, tell=acknowledge)
        with EventStore(folder / "s", disk=disk) as store:
            seen["result"] = outside.run(store)
        seen["happened"] = outside.happened

    def check(state: DiskState) -> None:
        before = {key for key, _ in seen["happened"][: state.acknowledged]}
        outside = Outside(declines=declines)
        with EventStore(state.folder / "s", disk=UnsyncedDisk()) as store:
            assert outside.run(store) == seen["result"]
            named = {
                effect["key"]
                for event in store.log().events()
                if event.event_type == "AgentRestarted"
                for effect in event.data["uncertain"]
            }
        after = {key for key, _ in outside.happened}
        assert before & after <= named
        assert before | after == {key for key, _ in seen["happened"]}

    report = every_boundary(run, check, prepare=prepare, limit=2, folder=tmp_path)
    assert report.states > 15
    assert len(seen["happened"]) == 3
