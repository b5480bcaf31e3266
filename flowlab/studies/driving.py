"""Operations that are driven through every boundary: shared by processes, told, and kept."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

import flowlab
from flowlab.errors import FlowlabError
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale
from flowlab.testing import BoundaryReport

Driver: TypeAlias = Callable[[str], BoundaryReport]

WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class Driven:
    """What driving an operation gave.

    Args:
        boundaries: that it has.
        states: of the disk that were checked.
        harm: what a stop did to it, in words; empty where it did none.
    """

    boundaries: int = 0
    states: int = 0
    harm: str = ""

    def __str__(self) -> str:
        return self.harm or f"{self.boundaries} boundaries, {self.states} states"


def count_harmed(
    names: Sequence[str], drive: Driver, *, what: str, scale: Scale, workers: int = WORKERS
) -> Measurement:
    """Drive operations through every boundary, and count those that a stop can harm.

    In the scale's folder what was driven unharmed is kept until all is: a measurement that was
    stopped goes on from there, if the code is the same to the letter.

    Args:
        names: of the operations.
        drive: drives one; it is called in another process, unless there is one worker.
        what: is counted, for people.
        scale: says where files go, and who is told of each operation.
        workers: processes.
    """
    kept = _Kept.of(scale.folder, f"{what} {scale.events} {scale.largest}")
    found = {name: driven for name, driven in kept.read().items() if name in names}
    left = [name for name in names if name not in found]
    for name, driven in _driven(left, drive, workers):
        found[name] = driven
        scale.tell(f"{name}: {driven} ({len(found)} of {len(names)})")
        kept.write(found)
    kept.remove()
    ordered = [found[name] for name in names]
    whole = Driven(sum(d.boundaries for d in ordered), sum(d.states for d in ordered))
    beside = {name: str(found[name]) for name in names} | {"all": str(whole)}
    return Measurement.count(sum(bool(driven.harm) for driven in ordered), what, beside)


def _driven(names: Sequence[str], drive: Driver, workers: int) -> Iterator[tuple[str, Driven]]:
    """Yield each operation when it was driven."""
    if workers == 1:
        yield from ((name, _drive_one(drive, name)) for name in names)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        asked = {pool.submit(_drive_one, drive, name): name for name in names}
        for future in as_completed(asked):
            yield asked[future], future.result()


def _drive_one(drive: Driver, name: str) -> Driven:
    try:
        report = drive(name)
    except (AssertionError, FlowlabError) as error:
        notes = " ".join(getattr(error, "__notes__", ()))
        return Driven(harm=f"{error} {notes}".strip() or repr(error))
    return Driven(report.boundaries, report.states)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file of what was driven so far; without a folder nothing is kept."""

    path: Path | None

    @classmethod
    def of(cls, folder: Path | None, what: str) -> _Kept:
        if folder is None:
            return cls(None)
        digest = sha256(what.encode())
        home = Path(flowlab.__file__).parent
        for source in sorted(home.rglob("*.py")):
            digest.update(source.relative_to(home).as_posix().encode() + source.read_bytes())
        return cls(folder / f"flowlab-check-{digest.hexdigest()[:16]}.json")

    def read(self) -> dict[str, Driven]:
        if self.path is None or not self.path.exists():
            return {}
        return msgspec.json.decode(self.path.read_bytes(), type=dict[str, Driven])

    def write(self, found: dict[str, Driven]) -> None:
        if self.path is not None:
            well = {name: driven for name, driven in found.items() if not driven.harm}
            beside = self.path.with_suffix(".new")
            beside.write_bytes(msgspec.json.encode(well))
            beside.replace(self.path)

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)
