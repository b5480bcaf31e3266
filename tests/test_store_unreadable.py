"""The fear: a file is there and cannot be read, and the store says nothing that helps, or stops.

A checkpoint in whose place a folder lay stopped a runtime as if the disk could not be written, and
a commit in the same state gave an error of the operating system's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_recovery_runtime import PLAN, STEPS, run_until

from flowlab.errors import CorruptionError, FlowlabError
from flowlab.events import Event
from flowlab.recovery import Checkpointed, EveryEvents
from flowlab.store import EventStore, Layout, Snapshots, aggregate, projection
from flowlab.store.opening import read_file


@aggregate(version=1, snapshots=Snapshots(every_events=1))
class Account:
    initial: Any = None

    def decide(state: Any, command: int) -> Event:  # noqa: N805
        return Event.of("Deposited", payload={"amount": command})

    def evolve(state: Any, event: Event) -> Any:  # noqa: N805
        return (state or 0) + event.data["amount"]


count = projection(name="count", initial=0, of="/workflows/w1")(lambda state, _: state + 1)


def fill(root: Path) -> None:
    with EventStore(root, layout=Layout(buckets=1)) as store:
        store.register(count)
        for number in range(6):
            store.append(f"w{number % 2}", Event.of("MarkerRecorded", name=f"n{number}"))
        store.execute(Account, "7", 3)
        store.project(count)
        store.checkpoint("w0", b"state", at=2)
        store.seal()
        store.truncate("w0", upto=1)
        store.append("w1", Event.of("MarkerRecorded", name="last"))


def asked(root: Path, *, read_only: bool) -> tuple[Any, ...]:
    """Ask a store for all that it has, and of one that is written for more."""
    with EventStore(root, read_only=read_only) as store:
        store.register(count)
        told: tuple[Any, ...] = (store.read("/workflows/w1").digest, store.project(count))
        if not read_only:
            store.execute(Account, "7", 1)
            store.seal()
        return told


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_folder_in_the_place_of_any_file_is_told_by_the_store_s_own_errors(
    tmp_path: Path,
) -> None:
    whole = tmp_path / "whole"
    fill(whole)
    found = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    # The last of each kind: the others of it are read as that is.
    files = {(path.parts[0], path.suffix): path for path in found}.values()
    told = asked(whole, read_only=True)
    refused: dict[str, str] = {}
    kinds = {path.parts[0] for path in files}
    assert {"checkpoints", "aggregates", "projections", "metadata", "tail", "workflows"} <= kinds
    for path in files:
        root = tmp_path / "copy"
        shutil.copytree(whole, root)
        (root / path).unlink()
        (root / path).mkdir()
        for read_only in (True, False):
            try:
                assert asked(root, read_only=read_only) == told
            except FlowlabError as error:
                refused[path.as_posix()] = str(error)
        shutil.rmtree(root)
    assert all(Path(path).name in error for path, error in refused.items())
    kinds = {path.split("/")[0] for path in refused}
    assert {"flowlab.json", "metadata", "tail", "workflows"} <= kinds
    assert not {"checkpoints", "aggregates"} & kinds


@pytest.mark.parametrize("how", ["folder", "EIO", "EACCES"])
def test_a_checkpoint_that_cannot_be_read_is_passed_over_and_the_runtime_goes_on(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = Checkpointed(EveryEvents(4))
    with EventStore(tmp_path) as store:
        done = asyncio.run(run_until(store, PLAN, scheme, 3))
        assert store.checkpoints("w")
    if how == "folder":
        for path in tmp_path.rglob("checkpoints/*/*.state"):
            path.unlink()
            path.mkdir()
    else:
        real, number = Path.open, getattr(errno, how)

        def fails(path: Path, *given: Any, **named: Any) -> Any:
            if path.suffix == ".state":
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *given, **named)

        monkeypatch.setattr(Path, "open", fails)
    with EventStore(tmp_path) as store:
        with pytest.warns(RuntimeWarning, match=r"is passed over for the one before, or the log"):
            done += asyncio.run(run_until(store, PLAN, Checkpointed(EveryEvents(10**6)), STEPS))
        assert sorted(done) == sorted(f"s{number}" for number in range(STEPS))


def test_a_limit_of_the_process_is_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *given: Any, **named: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "missing")
    with pytest.raises(CorruptionError, match="is a folder where a file of the store belongs"):
        read_file(tmp_path)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="Too many open files"):
        read_file(tmp_path / "any")
