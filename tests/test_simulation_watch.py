"""The watch: code that never comes back is left, and nothing else is touched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from flowlab.errors import InvalidArgumentError
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, Entry, World, simulate, watch
from flowlab.simulation.watch import watched
from flowlab.workflow import SECOND, Step
from flowlab.workflow.handles import NeverBack

HERE = Path(__file__).parent


def test_code_that_never_comes_back_is_left_and_its_world_is_stopped_by_name() -> None:
    ran = subprocess.run(
        [sys.executable, "never_back.py"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=HERE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)

    line = r"has not come back for 0\.05 s, at .*never_back\.py:\d+ in"
    handler = r"handler 'spin' of agent 'agent'"
    for case, who, code, rest in (
        ("spins", "workflow 'spins-1'", "spins", "5 1 0"),
        ("swallows", "workflow 'swallows-1'", "swallows", "1 1 0"),
        ("swallows_all", "workflow 'swallows_all-1'", "swallows_all", "1 1 0"),
        # What is left is not undone: its history ends where it did not come back.
        ("undoes", "workflow 'undoes-1'", "undoes", "5 1 0"),
        ("spin", handler, "spin", "3 1 0"),
        ("spin_later", "handler 'spin_later' of agent 'agent'", "spin_later", "6 1 0"),
        ("invariant", "invariant 'invariant'", "invariant", "7 0 1"),
        ("starts", "the code of the world", "starts", "0 0 0"),
    ):
        assert re.fullmatch(rf"max_turn: {who} {line} {code}\. .* {rest}", found[case]), found[case]
    assert re.match(rf"max_turn: {handler} {line} spin", found["within"])
    assert found["around"] == ""
    assert found["campaign"].count("max_turn: handler 'spin'") == 2
    assert found["forked"] == "0"


def test_a_watch_that_looks_all_the_time_changes_no_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.0005)
    monkeypatch.setattr(watch, "_INSIST_S", 0.0005)
    for name in ("trip", "nested", "choreographed_order", "monitor"):
        world = SCENARIOS[name]()
        digests = set()
        for limit in (None, 60 * SECOND):
            object.__setattr__(world, "max_turn_ns", limit)
            run = simulate(world, seed=3, faults="chaos")
            digests.add(run.digest)
            assert run.stopped == ""
        assert len(digests) == 1


@pytest.mark.parametrize("when", ["on the way out", "behind another's"])
def test_what_strikes_late_code_never_strikes_what_comes_after(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Code that ends just as it is struck. Up to CPython 3.12 one flag tells all threads that
    # something is raised in one of them, and the first that takes its own clears it.
    raise_in, mine = watch._raise_in, threading.get_ident()
    ends, wakes = threading.Lock(), threading.Lock()

    def bystander() -> None:
        with suppress(NeverBack):
            wakes.acquire()
            for _ in range(1000):
                pass

    def strike(_thread: int) -> None:
        if when == "on the way out":
            ends.release()
            while sys._current_frames()[mine].f_code is not watch.Watch.leave.__code__:
                time.sleep(0.001)
            raise_in(mine)
        else:
            other = threading.Thread(target=bystander)
            other.start()
            raise_in(mine)
            raise_in(cast("int", other.ident))
            wakes.release()
            other.join()
            ends.release()

    monkeypatch.setattr(watch, "_raise_in", strike)
    ends.acquire()
    wakes.acquire()
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)  # whoever has to give way looks at what is raised in it
    try:
        told = watched(ends.acquire, SECOND // 50, lambda: None, lambda _: "it")
        time.sleep(0)  # and so does whoever waits
    finally:
        sys.setswitchinterval(before)

    assert told.startswith("max_turn: it has not come back")


def test_code_in_a_debugger_has_all_the_time_that_it_takes() -> None:
    def pause() -> None:
        time.sleep(0.15)

    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        told = watched(pause, SECOND // 50, lambda: None, lambda _: "it")
    finally:
        sys.settrace(before)

    assert told == ""


class Slow:
    """A scheduler that thinks once, as a person does."""

    choices = 0

    def choose(self, enabled: Sequence[Entry]) -> int:
        self.choices += 1
        time.sleep(0.25 if enabled and self.choices == 2 else 0)
        return 0


def test_whoever_chooses_what_happens_next_may_think_as_long_as_they_like() -> None:
    bank = Agent("bank", named={"charge": lambda: "paid"})
    world = World([bank], Step("charge", agent="bank", kind="pivot"), max_turn=SECOND // 10)
    slow = Slow()
    assert simulate(world, scheduler=slow).stopped == ""
    assert slow.choices > 2


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="max_turn"):
        World([Agent("a", named={"b": lambda: 1})], Step("b", agent="a", kind="pivot"), max_turn=0)


def test_a_watch_that_broke_down_is_begun_anew_by_the_next_world(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def wait() -> None:
        while not told:
            pass

    def spin() -> None:
        for _ in range(200_000_000):
            pass

    limit_ns = 50_000_000
    assert watched(wait, limit_ns, lambda: 1 // 0, lambda _: "it") == ""
    assert told[0].exc_type is ZeroDivisionError
    assert watched(spin, limit_ns, lambda: 0, lambda _: "it").startswith("max_turn: it has not")
