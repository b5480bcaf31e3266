"""A real process is killed while it runs workflows: what it did, and was told, is kept outside."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flowlab.store import EventStore, Layout
from flowlab.store.clock import monotonic_s
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, workplace
from flowlab.studies.runtime_checks import Undisturbed, differences, effects_in, problems
from flowlab.studies.runtime_work import EFFECTS, NOTES, STORE, Effects, Notes, Work, carry_out
from flowlab.studies.store_kills import KillDisk, killed_at

RANDOM_KILLS: Final = 500
QUICK_KILLS: Final = 6
LEAST_HITS: Final = 5
MANY_EVENTS: Final = 100_000
SEAL_EVENTS: Final = 40
MAX_TRIES: Final = 6
"""Processes for each kill that is asked for, at most."""
MAX_NTH: Final = 12
"""A process dies at one of the first arrivals at a boundary."""
RECURRING: Final = 4
KEPT: Final = 0.25
"""Of the stores in which a process died at a boundary that comes once."""
HALF: Final = 0.5
SLACK: Final = 1.2
"""Random times reach beyond a life without kills, by this factor."""


def live(folder: Path, work: Work, boundary: str, nth: int) -> KillDisk:
    """Be a process that carries the work out, or goes on with it, and dies at a boundary."""
    notes = Notes.read(folder / NOTES)
    descriptor = os.open(folder / NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    disk = KillDisk(folder, descriptor, boundary, nth)

    def note(line: str) -> None:
        os.write(descriptor, f"{line}\n".encode())

    note("life")
    store = EventStore(folder / STORE, layout=Layout(2), disk=disk, seal_events=SEAL_EVENTS)
    with store:
        effects = Effects.in_file(folder / EFFECTS)
        asyncio.run(carry_out(work, store, effects, note, notes))
    note("end")
    os.close(descriptor)
    return disk


@dataclass(slots=True)
class KillReport:
    """What a number of kills left behind.

    Args:
        kills: processes that were killed.
        at_random: those of them killed from outside, at random times.
        ended: processes that came to the end.
        works: pieces of work that were carried through all kills.
        hits: kills by boundary.
        acknowledged: starts, events, cancellations and results that callers were told of.
        effects: that happened.
        repeated: effects that happened again, each named in the log before.
        wrong: what was found wrong, in words.
    """

    kills: int = 0
    at_random: int = 0
    ended: int = 0
    works: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    effects: int = 0
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        least = min(self.hits.values(), default=0)
        return (
            f"KillReport({self.kills} kills, {len(self.hits)} boundaries of at least {least} hits, "
            f"{self.at_random} at random times, {self.effects} effects, {self.repeated} of them "
            f"named and repeated, {len(self.wrong)} wrong)"
        )


def kill_often(
    folder: Path, *, at_random: int, least: int = 0, most: int | None = None, seed: int = SEED
) -> KillReport:
    """Kill a runtime with SIGKILL, look at what it left, and go on in another process.

    A process kills itself at a boundary of the disk, those with the fewest hits first, or is killed
    from outside at a random time. The next one recovers and goes on, until all the work is done;
    then the results must be those of a run without kills.

    Args:
        folder: for the stores.
        at_random: kills from outside.
        least: go on until each boundary was hit so often.
        most: kills at boundaries, instead of that.
        seed: of the choices.
    """
    killing = _Killing(folder, random.Random(seed))  # noqa: S311 - a sample
    report = killing.report
    for _ in range(MAX_TRIES * (at_random + (most or least * len(report.hits)))):
        least_hit, hits = min(report.hits.values()), report.hits.total()
        enough = least_hit >= least if most is None else hits >= most
        if enough and report.at_random >= at_random:
            break
        coin = report.at_random < at_random and killing.rng.random() < HALF
        killing.one_life(at_boundary=not (enough or coin))
    killing.count()
    return report


class _Killing:
    """Processes one after the other on one store, and the next store once the work is done."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng = rng
        self.report = KillReport()
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._works = [Work(checkpoints=flag) for flag in (False, True)]
        self._usual = []
        for number, work in enumerate(self._works):
            began = monotonic_s()
            usual = folder / f"usual-{number}"
            usual.mkdir()
            seen = live(usual, work, "", 1).seen
            self._usual.append(Undisturbed.of(usual, seen))
            self._life_s = monotonic_s() - began
        for one in self._usual:
            self.report.hits.update(dict.fromkeys(one.boundaries, 0))
        self._stores = 0
        self._fresh = True
        self._missed: set[str] = set()
        self._root = folder / "0"
        self._root.mkdir()

    def one_life(self, *, at_boundary: bool) -> None:
        """Let a process live and die, and look at what it left."""
        report, usual = self.report, self._usual[self._stores % 2]
        boundary, nth = self._choose(usual.boundaries) if at_boundary else ("", 1)
        self._fresh = False
        given = (self._root, self._works[self._stores % 2], boundary, nth)
        child = self._context.Process(target=live, args=given)
        began = monotonic_s()
        child.start()
        if not boundary:
            child.join(self.rng.random() * SLACK * self._life_s)
            child.kill()
        child.join()
        where = killed_at(Notes.read(self._root / NOTES).lines)
        if child.exitcode == -signal.SIGKILL:
            report.kills += 1
            report.hits.update([where] if where else [])
            report.at_random += not where
        elif child.exitcode:
            report.wrong.append(f"a process ended with exit code {child.exitcode}")
        elif boundary:
            self._missed.add(boundary)
        report.wrong += [f"after {where or 'a kill'}: {text}" for text in problems(self._root)]
        if child.exitcode == 0:
            report.ended += 1
            self._life_s = monotonic_s() - began
            report.wrong += [f"at the end: {text}" for text in differences(self._root, usual)]
        # What happens once is hit in new stores: most of those are left after that.
        once = bool(where) and usual.boundaries[where] < RECURRING
        if child.exitcode == 0 or report.wrong or (once and self.rng.random() > KEPT):
            self._next_store()

    def _choose(self, boundaries: Counter[str]) -> tuple[str, int]:
        """Return a boundary with the fewest hits, and at which arrival it is the turn."""
        # What happens once in a store's life is hit in a new one.
        names = [name for name, times in boundaries.items() if self._fresh or times >= RECURRING]
        names = self.rng.sample(sorted(names), len(names))
        boundary = min(names, key=lambda name: self.report.hits[name])
        most = 1 if boundary in self._missed else min(MAX_NTH, boundaries[boundary])
        return boundary, self.rng.randint(1, most)

    def _next_store(self) -> None:
        self.count()
        self._stores += 1
        self._fresh = True
        self._root = self._folder / str(self._stores)
        self._root.mkdir()

    def count(self) -> None:
        """Count what happened in this store."""
        report, found = self.report, effects_in(self._root)
        report.works += 1
        report.effects += len(found)
        report.repeated += len(found) - len(set(found))
        told = ("started", "raised", "canceled", "result")
        lines = set(Notes.read(self._root / NOTES).lines)
        report.acknowledged += sum(line.startswith(told) for line in lines)


def kills(scale: Scale) -> Measurement:
    """Kill a runtime at each named boundary, five times or more, and 500 times at random times.

    Twelve workflows, one of each kind, run at once: sequential, parallel, retried, compensated,
    with timers, with children, with declared state, continued as new, signaled, canceled, with an
    agent's durable state, and a plan; every second time with checkpoints. Each activity leaves a
    line in a file of its own, and syncs it. The value is how much was wrong: acknowledged and lost,
    repeated and not named, not as without kills.
    """
    whole = scale.events >= MANY_EVENTS
    with workplace(scale) as folder:
        report = kill_often(
            folder,
            at_random=RANDOM_KILLS if whole else QUICK_KILLS,
            least=LEAST_HITS if whole else 0,
            most=None if whole else QUICK_KILLS,
        )
    if whole and (report.at_random < RANDOM_KILLS or min(report.hits.values()) < LEAST_HITS):
        report.wrong.append("fewer kills than the claim speaks of")
    beside = {name: f"{count} hits" for name, count in sorted(report.hits.items())}
    beside["all"] = repr(report)
    beside["work"] = f"{report.works} stores, {report.acknowledged} acknowledgements"
    beside["peers"] = PEERS
    return Measurement.faults(report.wrong, "wrong stores, effects or results", beside)


PEERS: Final = (
    "in 20 kills DBOS repeats 20 effects and names none; LangGraph 15 in sync mode, and by default "
    "up to 107 in one crash"
)
