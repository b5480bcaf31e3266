"""The fear: the process dies, or the disk refuses, between any two steps."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import FlowlabError
from flowlab.events import Event
from flowlab.store import Disk, EventStore

OPERATIONS = ("open_rw", "write_at", "sync_data", "sync_directory", "publish", "replace", "create")


class Crash(BaseException):
    """The process is gone: no handler of ours may see it."""


class Countdown:
    """Counts the calls of every disk operation and stops at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, error: Callable[[], BaseException]) -> None:
        self.calls = 0
        self.stop_at = -1
        self._error = error
        for name in OPERATIONS:
            patch.setattr(Disk, name, self._wrapped(getattr(Disk, name)))

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.stop_at:
                raise self._error()
            return original(*args, **options)

        return call


def contents(root: Path) -> list[str]:
    with EventStore(root, read_only=True) as store:
        assert store.verify().ok
        return store.sql("SELECT name FROM events ORDER BY position")["name"].to_list()


def marks(*names: str) -> list[Event]:
    return [Event.of("MarkerRecorded", name=name) for name in names]


# Sealing and bulk appends are driven through every boundary in test_store_boundaries.py.
ACTIONS: dict[str, tuple[Callable[[EventStore], object], list[str]]] = {
    "append": (lambda store: store.append("w", marks("c", "d")), ["c", "d"]),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", ["crash", "error"])
def test_a_stop_at_every_disk_operation_leaves_all_or_nothing(
    tmp_path: Path, action: str, kind: str
) -> None:
    run, added = ACTIONS[action]
    with EventStore(tmp_path / "start") as store:
        store.append("w", marks("a"))
        store.seal()
        store.append("v", marks("b"))
    before = ["a", "b"]
    boundary, outcomes = 0, set()
    while True:
        boundary += 1
        root = tmp_path / f"{boundary}"
        shutil.copytree(tmp_path / "start", root)
        with pytest.MonkeyPatch.context() as patch:
            failure = Crash if kind == "crash" else lambda: OSError(28, "No space left on device")
            countdown = Countdown(patch, failure)
            store = EventStore(root)
            countdown.calls, countdown.stop_at = 0, boundary
            try:
                run(store)
                acknowledged = True
            except (Crash, FlowlabError, OSError):
                acknowledged = False
            finished = countdown.calls < boundary
        found = contents(root)
        assert found in ([before + added] if acknowledged else [before, before + added])
        outcomes.add(tuple(found))
        with EventStore(root) as again:
            again.append("w", marks("later"))
        # A frame that was written whole and not synced counts once the next writer has synced it.
        possible = [found] if acknowledged else [found, before + added]
        assert contents(root) in [[*names, "later"] for names in possible]
        if finished:
            assert acknowledged
            break
        shutil.rmtree(root)
    print(f"{action}: {boundary - 1} boundaries")
    assert boundary > 3
    assert len(outcomes) == 2


def test_creation_can_stop_anywhere_and_be_done_again(tmp_path: Path) -> None:
    boundary, finished = 0, False
    while not finished:
        boundary += 1
        root = tmp_path / f"{boundary}"
        with pytest.MonkeyPatch.context() as patch:
            countdown = Countdown(patch, Crash)
            countdown.stop_at = boundary
            try:
                EventStore(root).close()
                finished = True
            except Crash:
                pass
        with EventStore(root) as store:
            store.append("w", marks("a"))
        assert contents(root) == ["a"]
    assert boundary > 5


def test_a_seal_that_fails_for_want_of_space_does_not_fail_the_append(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s", seal_events=4) as store:
        store.append("w", marks("a", "b", "c"))
        with pytest.MonkeyPatch.context() as patch:

            def full(*_: object, **__: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(Disk, "create", full)
            with pytest.warns(RuntimeWarning, match="sealing failed"):
                store.append("w", marks("d"))
        assert store.info().tail_events == 4
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.append("w", marks("e", "f", "g", "h"))
        assert store.info().tail_events == 0
    assert contents(tmp_path / "s") == list("abcdefgh")


CHILD = """
import sys
from flowlab.errors import ConcurrencyError
from flowlab.events import Event
from flowlab.store import EventStore
with EventStore(sys.argv[1], seal_events=40) as store:
    number = store.snapshot().position
    print("ready", flush=True)
    while True:
        event = Event.of("MarkerRecorded", name=str(number + 1))
        try:
            result = store.append("w", [event], expected_version=number)
        except ConcurrencyError:
            # The commit that the kill struck was whole: the new writer's look at the tail shows it.
            number = store.snapshot().position
            continue
        number += 1
        assert result.last_position == number
        print(number, flush=True)
"""


def test_sigkill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    root = tmp_path / "s"
    acknowledged = 0
    for kill in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(root)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            for _ in range(7 * kill + 1):
                acknowledged = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split("\n")
            whole = [line for line in rest[:-1] if line]
            acknowledged = int(whole[-1]) if whole else acknowledged
        found = contents(root)
        assert found == [str(number) for number in range(1, len(found) + 1)]
        assert acknowledged <= len(found) <= acknowledged + 1
        acknowledged = len(found)
