"""Every file of a small store is damaged, a bit or a cut at a time: told, or harmless."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flowlab.errors import FlowlabError
from flowlab.store import EventStore, Layout
from flowlab.store.log_checkpoint import CHECKPOINT_COMMITS
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, workplace
from flowlab.studies.store_faults import UnsyncedDisk
from flowlab.studies.store_operations import counted, marks, record_run
from flowlab.testing.crash_disk import place

QUICK_PLACES: Final = 2
FULL_PLACES: Final = 400
MANY_EVENTS: Final = 100_000
STREAMS: Final = ("w", "v", "bulk", "@world")


@dataclass(slots=True)
class DamageReport:
    """What damage did to answers.

    Args:
        told: damages that an error or a warning of the store told of, by kind of file.
        harmless: damages that changed no answer.
        wrong: damages that changed an answer in silence, or raised another error, in words.
    """

    told: Counter[str] = field(default_factory=Counter)
    harmless: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return (
            f"DamageReport({self.told.total()} told, {self.harmless.total()} harmless, "
            f"{len(self.wrong)} wrong)"
        )


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


def damage_each(root: Path, *, places: int, seed: int = SEED) -> DamageReport:
    """Damage each file of a store, one place at a time, and compare the answers.

    Args:
        root: the store.
        places: bits and cuts of each file; all of those of smaller ones.
        seed: of the choice.
    """
    rng, report = random.Random(seed), DamageReport()  # noqa: S311 - a sample
    expected = answers(root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    last: dict[str, Path] = {}
    for path in files:
        # One of a kind is enough, and the last commit is what a writer would have lost last.
        last[place(path.relative_to(root).as_posix())] = path
    for kind, path in last.items():
        whole = path.read_bytes()
        used = len(whole.rstrip(b"\0")) if path.suffix == ".log" else len(whole)
        for what, where in damages(used, places, rng):
            if what == "flip":
                data = bytearray(whole)
                data[where // 8] ^= 1 << where % 8
                path.write_bytes(data)
            elif what == "cut":
                path.write_bytes(whole[:where])
            else:
                path.unlink()
            _judge(report, root, expected, (kind, f"{what} {where} of {len(whole)}"))
            path.write_bytes(whole)
    assert answers(root) == expected
    return report


def _judge(
    report: DamageReport, root: Path, expected: tuple[Any, ...], damage: tuple[str, str]
) -> None:
    kind, what = damage
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = answers(root)
        except FlowlabError:
            report.told[kind] += 1
            return
        except Exception as error:  # noqa: BLE001 - any other error is what is looked for
            report.wrong.append(f"{kind}, {what}: {error!r}")
            return
    if found == expected:
        report.harmless[kind] += 1
    elif caught:
        report.told[kind] += 1
    else:
        report.wrong.append(f"{kind}, {what}: answers differ in silence")


def damage(scale: Scale) -> Measurement:
    """Flip bits of every kind of file of a small store, cut it, and take it away; ask everything.

    Small files bit by bit and cut by cut, of larger ones a sample. The value is how often an answer
    was another one in silence, or an error was not the store's.
    """
    places = FULL_PLACES if scale.events >= MANY_EVENTS else QUICK_PLACES
    with workplace(scale) as folder:
        make_small_store(folder / "s")
        report = damage_each(folder / "s", places=places)
    kinds = sorted({*report.told, *report.harmless})
    beside = {kind: f"{report.told[kind]} told, {report.harmless[kind]} harmless" for kind in kinds}
    beside["all"] = repr(report)
    beside.update({f"wrong {n}": text for n, text in enumerate(report.wrong[:9], 1)})
    return Measurement.count(len(report.wrong), "answers changed in silence", beside)
