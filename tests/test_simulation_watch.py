"""The watch: code that never comes back is left, and nothing else is touched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowlab.errors import InvalidArgumentError
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, Entry, World, simulate, watch
from flowlab.simulation.watch import watched
from flowlab.workflow import SECOND, Step

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


def test_what_strikes_late_code_never_strikes_what_comes_after() -> None:
    def rounds(thread: int) -> int:
        late = 0
        for turn in range(12):
            # Some end long before the limit, some long after, and most about when they are struck.
            ends = time.perf_counter() + 0.03 + 0.005 * ((turn + 3 * thread) % 12)

            def work(ends: float = ends) -> None:
                while time.perf_counter() < ends:
                    pass

            told = watched(work, SECOND // 25, lambda: None, lambda _: "it")
            late += bool(told)
            after = time.perf_counter() + 0.03
            while time.perf_counter() < after:
                pass
        return late

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(rounds, range(3)))

    assert sum(found) > 0


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
    """A scheduler that thinks, as a person does."""

    def choose(self, enabled: Sequence[Entry]) -> int:
        time.sleep(0.02 if len(enabled) else 0)
        return 0


def test_whoever_chooses_what_happens_next_may_think_as_long_as_they_like() -> None:
    bank = Agent("bank", named={"charge": lambda: "paid"})
    world = World([bank], Step("charge", agent="bank", kind="pivot"), max_turn=SECOND // 50)
    assert simulate(world, scheduler=Slow()).stopped == ""


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
