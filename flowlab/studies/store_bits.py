"""Every bit and every cut of one small file of each kind, against what was read before."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from flowlab.errors import FlowlabError
from flowlab.events import RunInfo, parse_key
from flowlab.store import EventStore, Layout
from flowlab.store.cluster_read import read_clustered
from flowlab.store.commit_log import CommitLog
from flowlab.store.log_checkpoint import write_checkpoint
from flowlab.studies.store_faults import UnsyncedDisk
from flowlab.studies.store_operations import counted, marks

WORKERS: Final = 2
CHUNK: Final = 500
"""Damages that a worker does to a copy of its own, before it takes another."""
PLAIN: Final = "plain"
CHECKPOINTED: Final = "checkpointed"


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

    def add(self, other: DamageReport) -> None:
        """Take in what was found elsewhere."""
        self.told += other.told
        self.harmless += other.harmless
        self.wrong += other.wrong

    def judge(self, ask: Callable[[], Any], expected: Any, kind: str, what: str) -> None:
        """Ask a damaged store, and count the outcome."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = ask()
            except FlowlabError:
                self.told[kind] += 1
                return
            except Exception as error:  # noqa: BLE001 - any other error is what is looked for
                self.wrong.append(f"{kind}, {what}: {error!r}")
                return
        if caught:
            self.told[kind] += 1
        elif found == expected:
            self.harmless[kind] += 1
        else:
            self.wrong.append(f"{kind}, {what}: answers differ in silence")


def read_keys(root: Path, keys: tuple[str, ...]) -> Any:
    """Open a store anew, and read what is below some keys, natively."""
    with EventStore(root, read_only=True) as store:
        snapshot = store.snapshot()
        return snapshot.position, snapshot.runs, [snapshot.read(key).events() for key in keys]


def read_cluster(root: Path, key: str) -> Any:
    """Open a store anew, and read a key from its clustering alone.

    Where that is damaged, a warning tells, and the store answers without it; where there is none,
    the store answers in silence.
    """
    with EventStore(root, read_only=True) as store:
        whole = parse_key(key).within(namespace="default", run_id="")
        table = read_clustered(store.snapshot(), whole, reverse=False, limit=None)
        if table is None and not any((root / str(whole.root) / "_delta_log").iterdir()):
            table = store.read(key).table
        return None if table is None else table.to_pydict()


def read_state(root: Path) -> Any:
    """Open a store anew, and load its checkpoint."""
    with EventStore(root, read_only=True) as store:
        loaded = store.latest_checkpoint("w")
        return None if loaded is None else (loaded.state, loaded.causality, loaded.checkpoint)


def read_projection(root: Path) -> Any:
    """Open a store anew, and ask a projection that has a saved state."""
    with EventStore(root, read_only=True) as store:
        return store.project(counted).state


def read_log(root: Path) -> Any:
    """Read the commit log, as an open store does first."""
    return CommitLog(root / "workflows" / "_delta_log").latest()


@dataclass(frozen=True, slots=True)
class Target:
    """A file that is damaged, and the question that reads it.

    Args:
        kind: of file, for people.
        pattern: finds it below the store.
        ask: opens the store anew and reads what the file holds.
        store: which of the small stores.
        large: whether another of its format stands for it, but at full size.
    """

    kind: str
    pattern: str
    ask: Callable[[Path], Any]
    store: str = PLAIN
    large: bool = False

    def find(self, folder: Path) -> Path:
        """Return the file, below a folder that holds the small stores."""
        return next(iter(sorted((folder / self.store).glob(self.pattern))))


_EVENTS: Final = partial(read_keys, keys=("/workflows/w/events",))
_AGENT: Final = partial(read_cluster, key="/agents/agent/events")
_PLAN: Final = partial(read_cluster, key="/coordination/plan")
_LOG: Final = "_delta_log/" + "0" * 19

TARGETS: Final = (
    Target("tail", "tail/*.log", _EVENTS),
    Target("watermark", "tail/watermark", _EVENTS),
    Target("segment", "workflows/namespace*/*/*.parquet", _EVENTS),
    Target("commit", f"workflows/{_LOG}1.json", _EVENTS),
    Target("first commit", f"workflows/{_LOG}0.json", _EVENTS, large=True),
    Target("checkpoint of the log", "workflows/_delta_log/*.parquet", read_log, CHECKPOINTED),
    Target("sidecar", "metadata/*.gz", _EVENTS),
    Target("manifest", "flowlab.json", _EVENTS),
    Target("checkpoint", "checkpoints/*/*.state", read_state),
    Target("projection", "projections/*.state", read_projection),
    Target("coordination map", "coordination/namespace*/*/*.parquet", _PLAN),
    Target("commit of the map", f"coordination/{_LOG}0.json", _PLAN, large=True),
    Target("clustering by agent", "agents/namespace*/bucket=[!0]*/*.parquet", _AGENT, large=True),
    Target("commit of the clustering", f"agents/{_LOG}0.json", _AGENT, large=True),
)
"""A file of each kind that a store has."""


def make_smallest_stores(folder: Path) -> None:
    """Make a store whose files are as small as can be, and one with a checkpoint of its log."""
    for name in (PLAIN, CHECKPOINTED):
        with EventStore(folder / name, layout=Layout(buckets=1), disk=UnsyncedDisk()) as store:
            store.record_run(RunInfo(scenario="s", parameters={"n": 1}))
            store.append("w", marks("a", "b"), idempotency_key="k")
            store.seal()
            store.cluster()
            store.checkpoint("w", b"state of w", causality={"w": 2})
            store.append("w", marks("c"))
            store.catch_up(counted)
            state = store.snapshot().state
    log = folder / CHECKPOINTED / "workflows" / "_delta_log"
    write_checkpoint(log, state, state.sidecars, UnsyncedDisk(), epoch=state.info.epoch)


def every_damage(path: Path) -> list[tuple[str, int]]:
    """Return what can be done to a file: each bit flipped, each cut, and its loss."""
    whole = path.read_bytes()
    size = len(whole.rstrip(b"\0")) if path.suffix == ".log" else len(whole)
    flips = [("flip", bit) for bit in range(size * 8)]
    return [*flips, *(("cut", place) for place in range(size)), ("gone", 0)]


@dataclass(frozen=True, slots=True)
class Damages:
    """Damages of one file of a store, done one at a time.

    Args:
        kind: of file, for people.
        root: of the store.
        name: of the file below it.
        ask: opens a store anew and reads what the file holds.
        done: some of `every_damage`.
    """

    kind: str
    root: Path
    name: str
    ask: Callable[[Path], Any]
    done: list[tuple[str, int]]

    @classmethod
    def of(cls, target: Target, folder: Path, done: list[tuple[str, int]]) -> Damages:
        """Return damages of a file of the small stores that a folder holds."""
        root = folder / target.store
        return cls(target.kind, root, str(target.find(folder).relative_to(root)), target.ask, done)

    def judge(self, expected: Any = None) -> DamageReport:
        """Do each and ask; the file is whole again afterwards.

        Args:
            expected: the answer of the whole store, where it is known already.
        """
        report, path = DamageReport(), self.root / self.name
        ask = partial(self.ask, self.root)
        whole, expected = path.read_bytes(), ask() if expected is None else expected
        for what, place in self.done:
            with damaged(path, whole, what, place):
                report.judge(ask, expected, self.kind, f"{what} {place} of {len(whole)}")
        assert path.read_bytes() == whole
        return report

    def judge_copy(self) -> DamageReport:
        """Do them to a copy of the store: in a process of its own."""
        with TemporaryDirectory(dir=self.root.parent) as folder:
            shutil.copytree(self.root, folder, dirs_exist_ok=True)
            return replace(self, root=Path(folder)).judge()

    def chunks(self) -> Iterator[Damages]:
        """Yield them in pieces of at most `CHUNK`."""
        for first in range(0, len(self.done), CHUNK):
            yield replace(self, done=self.done[first : first + CHUNK])


def damage_one(folder: Path, target: Target, damages: list[tuple[str, int]]) -> DamageReport:
    """Do damages to a file, one at a time, and ask what it is read for.

    Args:
        folder: holds the small stores, which are whole again afterwards.
        target: the file.
        damages: some of `every_damage`.
    """
    return Damages.of(target, folder, damages).judge()


@contextmanager
def damaged(path: Path, whole: bytes, what: str, place: int) -> Iterator[None]:
    """Have a file damaged in place while something is asked."""
    if what == "flip":
        byte = whole[place // 8]
        _put(path, byte ^ 1 << place % 8, place // 8)
        yield
        _put(path, byte, place // 8)
        return
    if what == "cut":
        os.truncate(path, place)
    else:
        path.unlink()
    yield
    path.write_bytes(whole)


def _put(path: Path, byte: int, offset: int) -> None:
    with path.open("r+b", buffering=0) as stream:
        stream.seek(offset)
        stream.write(bytes([byte]))


def smallest(folder: Path, *, large: bool = False, step: int = 1) -> list[Damages]:
    """Return every damage of one small file of each kind.

    Args:
        folder: where the stores are made.
        large: whether the larger files are damaged too.
        step: of what can be done to a file, each so manieth is done.
    """
    make_smallest_stores(folder)
    return [
        Damages.of(target, folder, every_damage(target.find(folder))[::step])
        for target in TARGETS
        if large or not target.large
    ]


def judge_all(
    every: Iterable[Damages], *, workers: int = WORKERS
) -> Iterator[tuple[Damages, DamageReport]]:
    """Do damages in several processes, each to copies of its own; yield what each file's did."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        asked = [
            (damages, [pool.submit(chunk.judge_copy) for chunk in damages.chunks()])
            for damages in every
        ]
        for damages, futures in asked:
            report = DamageReport()
            for future in futures:
                try:
                    report.add(future.result())
                except BrokenProcessPool as error:
                    report.wrong.append(f"{damages.kind}: the process ended: {error}")
            yield damages, report
