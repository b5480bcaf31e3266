"""The claim that damage is told: every file of a small store, a bit or a cut at a time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from flowlab.store import EventStore, Layout
from flowlab.store.log_checkpoint import CHECKPOINT_COMMITS
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, workplace
from flowlab.studies.store_bits import DamageReport, Damages, judge_all, smallest
from flowlab.studies.store_faults import UnsyncedDisk
from flowlab.studies.store_operations import counted, marks, record_run
from flowlab.testing.crash_disk import place

QUICK_PLACES: Final = 1
FULL_PLACES: Final = 3
DEEP_PLACES: Final = 400
QUICK_STEP: Final = 499
MANY_EVENTS: Final = 100_000
STREAMS: Final = ("w", "v", "bulk", "@world")


def make_small_store(root: Path, *, commits: int = CHECKPOINT_COMMITS + 1) -> None:
    """Make a store that has every kind of file, and few bytes."""
    with EventStore(root, layout=Layout(buckets=1), disk=UnsyncedDisk()) as store:
        store.append("w", marks("a", "b"), idempotency_key="k")
        store.seal()
        store.append("v", marks("c"))
        store.checkpoint("w", b"state of w")
        store.seal()
        store.compact(full=True)
        store.cluster()
        while store.snapshot().version < commits:
            record_run(f"run {store.snapshot().version}").do(store)
            store.seal()
        store.append("bulk", marks("d"))
        store.append("w", marks("e", "f"))
        store.catch_up(counted)


def answers(root: Path) -> tuple[Any, ...]:
    """Ask a store for everything that its files hold."""
    with EventStore(root, read_only=True) as store:
        snapshot = store.snapshot()
        found = [snapshot.read(f"/workflows/{name}/events").events() for name in STREAMS]
        loaded = store.latest_checkpoint("w")
        return (
            snapshot.position,
            found,
            snapshot.runs,
            store.query("SELECT * FROM events ORDER BY position").to_pylist(),
            store.read("/agents/agent/events").events(),
            store.read("/coordination/plan").events(),
            None if loaded is None else loaded.state,
            store.project(counted).state,
        )


def damages(size: int, places: int, rng: random.Random) -> Iterator[tuple[str, int]]:
    """Yield what is done to a file of a size: bits that are flipped, and cuts."""
    flips, cuts = range(size * 8), range(size)
    chosen = flips if size * 8 <= places else sorted(rng.sample(flips, places))
    yield from (("flip", bit) for bit in chosen)
    chosen = cuts if size <= places else sorted({0, size - 1, *rng.sample(cuts, places)})
    yield from (("cut", cut) for cut in chosen)
    yield "gone", 0


def samples(root: Path, *, places: int, seed: int = SEED) -> list[Damages]:
    """Return a sample of the damages of each kind of file of a store, which is asked everything.

    Args:
        root: the store.
        places: bits and cuts of each file; all of those of smaller ones.
        seed: of the choice.
    """
    rng = random.Random(seed)  # noqa: S311 - a sample
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    # One of a kind is enough, and the last commit is what a writer would have lost last.
    last = {place(name): name for name in names}
    found = []
    for kind, name in last.items():
        whole = (root / name).read_bytes()
        used = len(whole.rstrip(b"\0")) if name.endswith(".log") else len(whole)
        done = list(damages(used, places, rng))
        found.append(Damages(f"sample of {kind}", root, name, answers, done))
    return found


def damage(scale: Scale) -> Measurement:
    """Damage every kind of file of a small store, and ask everything that it holds.

    Of the smallest file of each kind every bit is flipped and every cut made, one at a time; a
    store that is opened anew reads it natively. (The first commits and the clustering by agent,
    whose formats others have, only at full size.) Then a sample of bits and cuts of every kind of
    file of a store with some commits more, which is asked everything, by SQL too; and each file is
    taken away. The value is how often an answer was another one in silence, or an error was not
    the store's.
    """
    whole, deep = scale.events >= MANY_EVENTS, scale.largest > scale.events
    places = DEEP_PLACES if deep else FULL_PLACES if whole else QUICK_PLACES
    report, beside = DamageReport(), {}
    with workplace(scale) as folder:
        every = smallest(folder / "small", large=deep, step=1 if whole else QUICK_STEP)
        make_small_store(folder / "s")
        every += samples(folder / "s", places=places)
        for done, found in judge_all(every):
            counts = Counter(what for what, _ in done.done)
            told = f"{found.told.total()} told, {found.harmless.total()} harmless"
            beside[done.kind] = f"{counts['flip']} bits and {counts['cut']} cuts: {told}"
            scale.tell(f"{done.kind}: {beside[done.kind]}")
            report.add(found)
    beside["all"] = repr(report)
    return Measurement.faults(report.wrong, "answers changed in silence", beside)
