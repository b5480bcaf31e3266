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
from test_store_read_only import answered, run_unprivileged

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


# A file that one may not read was told as damage, to be restored from a copy; and a sealed one by
# the operating system's words alone.
FORBIDDEN = """
import shutil, warnings
from flowlab.errors import CorruptionError, UnreadableError
warnings.simplefilter("ignore", RuntimeWarning)  # what is derived is passed over, and told so
asks = {
    "read": lambda store: store.read("/workflows/w1").digest,
    "sql": lambda store: store.sql("SELECT sum(position) FROM events").item(),
}
with EventStore(path, read_only=True) as store:
    told = {name: ask(store) for name, ask in asks.items()}
for name in eval(sys.argv[2]):
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    (copy / name).chmod(0)
    refused, several = 0, list(asks.items()) if name.endswith(".parquet") else [*asks.items()][:1]
    for asked, ask in several:
        try:
            with EventStore(copy, read_only=True) as store:
                assert ask(store) == told[asked], name
        except UnreadableError as error:
            assert isinstance(error, PermissionError) and isinstance(error, CorruptionError)
            assert f"{copy / name} may not be read: Permission denied; give this user" in str(error)
            refused += 1
    try:
        with EventStore(copy, read_only=True) as store:
            problems = store.verify().problems
        assert [problem.kind for problem in problems] == ["unreadable"], (name, problems)
        assert f"{copy / name} may not be read" in problems[0].detail, problems
    except UnreadableError:
        assert refused == len(several)
    print(name, refused)
    shutil.rmtree(copy)
"""


def test_a_file_that_may_not_be_read_is_told_as_that_and_not_as_damage(tmp_path: Path) -> None:
    fill(tmp_path / "s")
    with EventStore(tmp_path / "s") as store:
        store.cluster()
    found = sorted(path.relative_to(tmp_path / "s") for path in (tmp_path / "s").rglob("*.*"))
    files = {(path.parts[0], path.suffix): path.as_posix() for path in found if path.suffix}
    del files["archive", ".parquet"]  # nobody reads it
    told = answered(run_unprivileged(FORBIDDEN, tmp_path / "s", sorted(files.values())))
    refused = dict(line.split() for line in told.splitlines())
    kinds = {name.split("/")[0] for name, count in refused.items() if count != "0"}
    assert kinds == {"flowlab.json", "metadata", "tail", "workflows"}
    assert len(refused) == len(files)
