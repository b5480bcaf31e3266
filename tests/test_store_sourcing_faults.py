"""The fear: a stop between two changes of the disk leaves a state that tells of other events."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_store_aggregates import SAVED, balance, move
from test_store_projections import paid, views

from flowlab.errors import FlowlabError
from flowlab.store import EventStore
from flowlab.store import inline as inline_module
from flowlab.testing import CrashDisk, DiskState, Fault, FaultyDisk, every_boundary
from flowlab.testing.boundaries import Acknowledge

VIEWS = views()


def prepare(folder: Path) -> None:
    with EventStore(folder / "s") as store:
        store.append("w", [paid(1), paid(2)])
        store.execute(SAVED, "ada", move(1))
        store.execute(SAVED, "ada", move(1))
        store.catch_up(*VIEWS[:4])
        store.seal()
        store.append("w", paid(4))


def catch_up(store: EventStore, acknowledge: Acknowledge) -> None:
    store.catch_up(*VIEWS[:4])
    acknowledge()


def execute(store: EventStore, acknowledge: Acknowledge) -> None:
    store.execute(SAVED, "ada", move(5), idempotency_key="k")
    acknowledge()


def checkpoint(store: EventStore, acknowledge: Acknowledge) -> None:
    store.checkpoint("w", b"state", causality=[1])
    acknowledge()


def append_inline(store: EventStore, acknowledge: Acknowledge) -> None:
    store.register(VIEWS[0], VIEWS[1])
    store.append("w", paid(8))
    acknowledge()


Operation = Callable[[EventStore, Acknowledge], None]
OPERATIONS: dict[str, Operation] = {
    "catch_up": catch_up,
    "execute": execute,
    "checkpoint": checkpoint,
    "append, inline": append_inline,
}


def amounts(store: EventStore) -> list[int]:
    events = store.read("/workflows/w").events()
    return [event.data["amount"] for event in events]


def check(state: DiskState) -> None:
    """Check that what is there is before or after, and that every state is the fold of it."""
    with EventStore(state.folder / "s") as store, warnings.catch_warnings():
        # A power failure may cut a file that was never synced: it is found, and built again.
        warnings.simplefilter("ignore", RuntimeWarning)
        for view in VIEWS:
            found = store.project(view)
            by_flow = view.by == "workflow"
            expected = {("default", "", "w"): sum(amounts(store))} if by_flow else {}
            assert found.states == (expected or {None: sum(amounts(store))}), view
        events = store.read("/workflows/account-ada").events()
        assert balance(store, SAVED) == sum(event.data["amount"] for event in events) in {2, 7}
        newest = store.latest_checkpoint("w")
        for taken in store.checkpoints("w"):
            assert store.load_checkpoint(taken).state == b"state"
        told = (sum(amounts(store)), len(events), newest is not None)
        assert told[0] in {7, 15}
        if state.acknowledged:
            assert CHECKS[0](told), "what was acknowledged is there"
        result = store.execute(SAVED, "ada", move(5), idempotency_key="k")
        assert result.version == 3, "executed once, now or then"
        store.checkpoint("w", b"state")


CHECKS: list[Callable[[tuple[Any, ...]], bool]] = []
DONE: dict[str, Callable[[tuple[Any, ...]], bool]] = {
    "catch_up": lambda _: True,
    "execute": lambda told: told[1] == 3,
    "checkpoint": lambda told: told[2],
    "append, inline": lambda told: told[0] == 15,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_stop_at_every_boundary_leaves_states_that_are_folds_of_what_is_there(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline_module, "SAVE_EVERY", 1)
    CHECKS[:] = [DONE[name]]

    def run(folder: Path, disk: CrashDisk, acknowledge: Acknowledge) -> None:
        store = EventStore(folder / "s", disk=disk)
        OPERATIONS[name](store, acknowledge)
        # No close: whoever dies does not get to it.

    report = every_boundary(run, check, name=name, prepare=prepare, limit=2)
    print(report)
    assert report.boundaries >= 10
    assert report.left_out >= 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_that_fails_is_an_error_or_a_warning_and_leaves_no_false_state(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline_module, "SAVE_EVERY", 1)
    CHECKS[:] = [DONE[name]]
    prepare(tmp_path / "start")
    for number in range(1, 100):
        how = "EIO" if number % 2 else "ENOSPC"
        root = shutil.copytree(tmp_path / "start", tmp_path / str(number))
        disk = FaultyDisk(root, Fault(nth=number, how=how))
        acknowledged: list[None] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            store = EventStore(root / "s", disk=disk)
            try:
                OPERATIONS[name](store, partial(acknowledged.append, None))
            except (FlowlabError, OSError):
                assert not acknowledged
            store.close()
        check(DiskState(root, len(acknowledged), number, "", how, power_failed=False))
        shutil.rmtree(root)
        if not disk.hits:
            break
    assert 5 < number < 99
