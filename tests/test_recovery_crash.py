"""A stop at any boundary of the disk, while a checkpoint replaces an older one, loses nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from recovery_host import STREAM, Recorded, asked
from test_recovery_schemes import long_history
from workflow_host import ID

from flowlab.recovery import Checkpointed, EveryEvents, Never, Replay
from flowlab.store import EventStore
from flowlab.testing import every_boundary

BEFORE, AFTER = 4, 6


@pytest.mark.parametrize(
    "make",
    [
        lambda: Checkpointed(EveryEvents(2), keep=1),
        lambda: Checkpointed(EveryEvents(2), keep=1, then="truncate"),
    ],
    ids=["keeping", "truncating"],
)
def test_a_stop_at_every_boundary_of_a_checkpoint_leaves_a_workflow_that_can_be_restored(
    make: Any,
) -> None:
    process, history = long_history(8)
    truncates = make().then is not None

    def prepare(folder: Path) -> None:
        with EventStore(folder / "s") as store:
            Recorded(store, process, history[:BEFORE], make()).commit_all()

    def write(folder: Path, disk: Any, acknowledge: Any) -> None:
        with EventStore(folder / "s", disk=disk) as store:
            scheme = make()
            recorded = Recorded(store, process, history[:AFTER], scheme)
            restored = scheme.restore(store, STREAM, process)
            recorded.execution, recorded.standing = restored.execution, restored.standing
            recorded.done = BEFORE
            while recorded.done < AFTER:
                recorded.commit(2)
                acknowledge()

    def check(state: Any) -> None:
        with EventStore(state.folder / "s") as store, warnings.catch_warnings():
            warnings.simplefilter("error")
            head = store.snapshot().head(ID)
            assert head >= BEFORE + 2 * state.acknowledged
            restored = Checkpointed(Never()).restore(store, STREAM, process)
            assert restored.standing.head == head
            assert restored.checkpoint is not None
            if not truncates:
                assert asked(restored) == asked(Replay().restore(store, STREAM, process))

    report = every_boundary(write, check, prepare=prepare, limit=6)
    assert report.boundaries > 15
    assert any(name.startswith("remove") for name in report.by_boundary)
