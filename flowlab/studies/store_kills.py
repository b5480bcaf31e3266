"""A real process is killed while it writes: what it had acknowledged is kept outside of it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from flowlab.store import EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, workplace
from flowlab.studies.store_operations import counted, marks
from flowlab.testing import CrashDisk
from flowlab.testing.crash_disk import place

KILLS: Final = 200
QUICK_KILLS: Final = 4
MANY_EVENTS: Final = 100_000
LEAST_HITS: Final = 5
STEPS: Final = 24
SEAL_EVENTS: Final = 12
OUTSIDE_SHARE: Final = 0.1
MAX_DELAY_S: Final = 0.3
STORE: Final = "s"
MAX_TRIES: Final = 12
"""Writers for each kill that is asked for, at most."""
BULK, DERIVE, COMPACT = 5, 7, 9
STORE_LIVES: Final = 12
"""Writers of one store, before a new one is begun."""


class KillDisk(CrashDisk):
    """Kills its own process at the n-th arrival at a boundary, and writes down where."""

    def __init__(self, root: Path, notes: int, boundary: str, nth: int) -> None:
        super().__init__(root)
        self._notes = notes
        self._left = {boundary: nth}
        self.seen: Counter[str] = Counter()

    def before(self, kind: str, name: str) -> None:
        """Die here, where it is the turn."""
        super().before(kind, name)
        where = f"{kind} {place(name)}"
        self.seen[where] += 1
        if where in self._left:
            self._left[where] -= 1
            if not self._left[where]:
                os.write(self._notes, f"at {where}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)


def work(folder: Path, notes: Path, life: int, boundary: str, nth: int) -> KillDisk:
    """Write to the store, and note each attempt before and each acknowledgement after it."""
    descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    disk = KillDisk(folder, descriptor, boundary, nth)
    with EventStore(folder / STORE, disk=disk, seal_events=SEAL_EVENTS) as store:
        for number in range(STEPS):
            names = [f"{life}.{number}.{part}" for part in range(1 + number % 3)]
            os.write(descriptor, f"try {' '.join(names)}\n".encode())
            if number % 8 == BULK:
                kinds = ["MarkerRecorded"] * len(names)
                streams = ["bulk"] * len(names)
                columns = {"workflow_id": streams, "event_type": kinds, "name": names}
                store.append_table(pa.table(columns))
            else:
                store.append(f"w{number % 2}", marks(*names))
            os.write(descriptor, f"ack {' '.join(names)}\n".encode())
            if number % 12 == DERIVE:
                store.catch_up(counted)
                store.cluster()
            if number % 12 == COMPACT:
                store.compact()
                store.vacuum(retain=0)
    os.write(descriptor, b"end\n")
    os.close(descriptor)
    return disk


@dataclass(slots=True)
class KillReport:
    """What a number of kills left behind.

    Args:
        kills: processes that were killed.
        outside: those of them killed from outside, at no boundary that was chosen.
        ended: processes that were done before.
        hits: kills by boundary.
        wrong: what was found wrong, in words.
        acknowledged: events that were acknowledged.
    """

    kills: int = 0
    outside: int = 0
    ended: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    acknowledged: int = 0

    def __repr__(self) -> str:
        least = min(self.hits.values(), default=0)
        return (
            f"KillReport({self.kills} kills, {len(self.hits)} boundaries of at least {least} hits, "
            f"{self.outside} from outside, {self.acknowledged} events acknowledged, "
            f"{len(self.wrong)} wrong)"
        )


def kill_often(folder: Path, *, kills: int, least: int = 0, seed: int = SEED) -> KillReport:
    """Kill writers of one kind of store with SIGKILL; after each look for what it acknowledged.

    A writer kills itself at a boundary, those with the fewest hits first, or is killed from outside
    at a random time. It goes on with the store that the one before left, a new one now and then.

    Args:
        folder: for the stores.
        kills: how many at least.
        least: go on until each boundary was hit so often.
        seed: of the choices.
    """
    rng = random.Random(seed)  # noqa: S311 - a sample
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    report, root = KillReport(), folder / "0"
    root.mkdir()
    seen = work(_made(folder / "dry"), folder / "dry.notes", 0, "", 1).seen
    report.hits.update(dict.fromkeys(seen, 0))
    missed: set[str] = set()
    for life in range(1, MAX_TRIES * max(kills, least * len(seen))):
        if report.kills >= kills and min(report.hits.values()) >= least:
            break
        names = rng.sample(sorted(seen), len(seen))
        boundary = min(names, key=lambda name: report.hits[name])
        outside = rng.random() < OUTSIDE_SHARE
        # What happens once in a store's life is hit in a new one.
        if life % STORE_LIVES == 0 or boundary in missed:
            root = _made(folder / f"{life}")
        nth = 1 if boundary in missed else rng.randint(1, 3)
        notes = root.with_suffix(".notes")
        arguments = (root, notes, life, "" if outside else boundary, nth)
        child = context.Process(target=work, args=arguments)
        child.start()
        child.join(rng.random() * MAX_DELAY_S if outside else None)
        if outside and child.exitcode is None:
            child.kill()
        child.join()
        killed = child.exitcode == -signal.SIGKILL
        _tell(report, root / STORE, notes, killed=killed)
        if not killed:
            missed.add(boundary)
        if child.exitcode not in {0, -signal.SIGKILL}:
            report.wrong.append(f"life {life} ended with exit code {child.exitcode}")
    return report


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def killed_at(notes: Sequence[str]) -> str:
    """Return the boundary at which a process ended itself; empty where it was killed outside."""
    return notes[-1].removeprefix("at ") if notes and notes[-1].startswith("at ") else ""


def _tell(report: KillReport, store: Path, notes: Path, *, killed: bool) -> None:
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    if killed:
        report.kills += 1
        where = killed_at(lines)
        if where:
            report.hits[where] += 1
        else:
            report.outside += 1
    else:
        report.ended += 1
    acknowledged = [line[4:].split() for line in lines if line.startswith("ack ")]
    report.acknowledged += len(acknowledged[-1]) if acknowledged else 0
    wrong = _wrong(store, lines)
    if wrong:
        report.wrong.append(f"after {lines[-1]!r}: {wrong}")


def _noted(lines: list[str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the names that were acknowledged, and the attempts that were not."""
    sure: list[str] = []
    maybe: list[tuple[str, ...]] = []
    attempt: tuple[str, ...] = ()
    for line in [*lines, "try"]:
        word, _, rest = line.partition(" ")
        if word == "ack":
            sure += attempt
            attempt = ()
        elif word == "try":
            if attempt:
                maybe.append(attempt)
            attempt = tuple(rest.split())
    return sure, maybe


def _wrong(root: Path, lines: list[str]) -> str:
    """Return what is wrong with a store, as words; empty where all is as it was acknowledged."""
    sure, maybe = _noted(lines)
    if not (root / "flowlab.json").exists():
        return f"{len(sure)} events are gone with the store" if sure else ""
    with EventStore(root, read_only=True) as store:
        verified = store.verify()
        if not verified.ok:
            return str(verified.problems)
        found = store.query("SELECT name FROM events ORDER BY position")["name"].to_pylist()
    if len(set(found)) != len(found):
        return "an event is there twice"
    if not set(sure) <= set(found):
        return f"{sorted(set(sure) - set(found))} were acknowledged and are gone"
    extra = set(found) - set(sure)
    for names in maybe:
        if extra & set(names) and not set(names) <= extra:
            return f"of {names} only {extra & set(names)} are there"
        extra -= set(names)
    if extra:
        return f"{sorted(extra)} were never appended"
    known = [name for name in found if name in set(sure)]
    return "" if known == sure else "the order is not that of the acknowledgements"


def kills(scale: Scale) -> Measurement:
    """Kill a writing process with SIGKILL at each named boundary, five times or more, 200 in all.

    It appends, seals, appends in bulk, clusters, projects, compacts and vacuums, and notes what it
    attempts and what was acknowledged in a file of its own. The value is how often the store, with
    its next reader and writer, was wrong.
    """
    whole = scale.events >= MANY_EVENTS
    with workplace(scale) as folder:
        report = kill_often(
            folder, kills=KILLS if whole else QUICK_KILLS, least=LEAST_HITS if whole else 0
        )
    beside = {name: f"{count} hits" for name, count in sorted(report.hits.items())}
    beside["all"] = repr(report)
    return Measurement.faults(report.wrong, "wrong stores", beside)
