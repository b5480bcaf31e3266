"""Drive an operation through every boundary between two changes of the disk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from flowlab.errors import InvalidArgumentError
from flowlab.testing.crash_disk import Call, CrashDisk, restarted
from flowlab.testing.device_states import LEAST_STATES, MAX_DEVICE_STATES, device_states
from flowlab.testing.file_system import FileSystem, write_out

Acknowledge: TypeAlias = Callable[[], None]
Operation: TypeAlias = Callable[[Path, CrashDisk, Acknowledge], object]

NOTED_CALLS: Final = 30
"""Calls that the note of a failed check shows."""


@dataclass(frozen=True, slots=True)
class DiskState:
    """A state of the disk, made real in a folder, for a check to open.

    Args:
        folder: what the disk holds; the check may change it.
        acknowledged: how often the operation had acknowledged something before.
        boundary: how many calls had been made.
        last: the last of them, kind and place.
        kind: of the state, as in `DeviceState`.
        power_failed: whether the machine stopped, and not the process alone.
        again: whether the operation had died once before, and was done again.
    """

    folder: Path
    acknowledged: int
    boundary: int
    last: str
    kind: str
    power_failed: bool
    again: bool = False


@dataclass(frozen=True, slots=True)
class BoundaryReport:
    """What was driven through: every boundary, and how many states of each.

    Args:
        name: of the operation.
        boundaries: between two changes of the disk, before the first and after the last too.
        states: of the disk that were checked; equal ones count once.
        left_out: states that the limit left out.
        by_boundary: boundaries of each kind and place, named by the change before them.
        by_state: states of each kind.
    """

    name: str
    boundaries: int = 0
    states: int = 0
    left_out: int = 0
    by_boundary: Counter[str] = field(default_factory=Counter)
    by_state: Counter[str] = field(default_factory=Counter)

    def __repr__(self) -> str:
        return (
            f"BoundaryReport({self.name}: {self.boundaries} boundaries, {self.states} states, "
            f"{self.left_out} left out)"
        )


def every_boundary(
    operation: Operation,
    check: Callable[[DiskState], object],
    *,
    name: str = "operation",
    prepare: Callable[[Path], object] | None = None,
    again: Operation | None = None,
    limit: int = MAX_DEVICE_STATES,
    seed: int = 0,
    folder: Path | None = None,
) -> BoundaryReport:
    """Record one run of an operation, and check each state that a stop could leave behind.

    Args:
        operation: called with a folder, a disk that records, and what it calls when something is
            acknowledged: from there on, it has to be durable.
        check: called with each state; it opens the folder, and raises if something is wrong.
        name: for the report.
        prepare: fills the folder before; all it writes counts as durable.
        again: what is done after the process died at each boundary, by another, on the same
            machine: the power fails after it.
        limit: states of one boundary; the others are drawn by the seed, and counted.
        seed: of what is drawn.
        folder: where states are made; a temporary one otherwise.

    Raises:
        InvalidArgumentError: the limit is below `LEAST_STATES`.
        Exception: what the check raised, with the boundary, the state and the last calls as notes.

    Example:
        >>> def write(folder, disk, acknowledge):
        ...     disk.replace(folder / "note", b"new")
        ...     acknowledge()
        >>> def check(state):
        ...     found = (state.folder / "note").read_bytes()
        ...     assert found == b"new" or (found == b"old" and not state.acknowledged)
        >>> every_boundary(write, check, prepare=lambda f: (f / "note").write_bytes(b"old"))
        BoundaryReport(operation: 6 boundaries, 13 states, 0 left out)
    """
    if limit < LEAST_STATES:
        message = f"limit is {limit!r}; expected at least {LEAST_STATES} states of each boundary"
        raise InvalidArgumentError(message)
    with TemporaryDirectory(dir=folder) as scratch:
        root = Path(scratch) / "run"
        root.mkdir()
        if prepare is not None:
            prepare(root)
        disk, marks = _recorded(operation, root)
        drive = _Drive(check, Path(scratch) / "state", limit, seed)
        system, last = disk.start.copy(), "start"
        for boundary in range(len(disk.trace) + 1):
            if boundary:
                call = disk.trace[boundary - 1]
                call.apply(system)
                last = call.boundary
            drive.by_boundary[last] += 1
            found = _Boundary(boundary, last, sum(mark <= boundary for mark in marks))
            drive.check_states(system, found, disk.trace[:boundary])
            if again is not None:
                drive.check_again(again, system, found, disk.trace[:boundary])
    return BoundaryReport(
        name,
        drive.by_boundary.total(),
        drive.by_state.total(),
        drive.left_out,
        drive.by_boundary,
        drive.by_state,
    )


def _recorded(
    operation: Operation, root: Path, system: FileSystem | None = None
) -> tuple[CrashDisk, list[int]]:
    """Run an operation on a disk that records; return it, and where something was acknowledged."""
    disk = CrashDisk(root, system=system)
    marks: list[int] = []
    operation(root, disk, lambda: marks.append(len(disk.trace)))
    return disk, marks


@dataclass(frozen=True, slots=True)
class _Boundary:
    number: int
    last: str
    acknowledged: int
    again: bool = False


@dataclass(slots=True)
class _Drive:
    """Makes states and checks them, and counts."""

    check: Callable[[DiskState], object]
    folder: Path
    limit: int
    seed: int
    left_out: int = 0
    seen: set[int] = field(default_factory=set)
    by_boundary: Counter[str] = field(default_factory=Counter)
    by_state: Counter[str] = field(default_factory=Counter)

    def check_states(self, system: FileSystem, at: _Boundary, trace: list[Call]) -> None:
        """Check each state that a stop at a boundary can leave behind."""
        states, left_out = device_states(system, limit=self.limit, seed=self.seed + at.number)
        self.left_out += left_out
        for state in states:
            # A disk that was looked at with as much acknowledged need not be looked at again.
            key = hash((at.acknowledged, at.again, state.key(system)))
            if key in self.seen or (at.again and not state.power_failed):
                continue
            self.seen.add(key)
            self.by_state[state.kind] += 1
            write_out(system.tree(state.applied, state.parts), self.folder)
            found = DiskState(
                self.folder,
                at.acknowledged,
                at.number,
                at.last,
                state.kind,
                state.power_failed,
                at.again,
            )
            with _explained(at, f"state {state!r}, seed {self.seed}", trace):
                if state.power_failed:
                    with restarted():
                        self.check(found)
                else:
                    self.check(found)
            shutil.rmtree(self.folder)

    def check_again(
        self, again: Operation, system: FileSystem, at: _Boundary, trace: list[Call]
    ) -> None:
        """Go on after the process died at a boundary; check what a later power failure leaves."""
        write_out(system.tree(system.numbers()), self.folder)
        with _explained(at, "done again after the process died", trace):
            disk, marks = _recorded(again, self.folder, system)
        shutil.rmtree(self.folder)
        later = _Boundary(at.number, at.last, at.acknowledged + len(marks), again=True)
        self.check_states(disk.at(len(disk.trace)), later, [*trace, *disk.trace])


@contextmanager
def _explained(at: _Boundary, what: str, trace: list[Call]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        calls = "\n".join(f"  {call!r}" for call in trace[-NOTED_CALLS:])
        error.add_note(f"after boundary {at.number}, {what}; the last calls were\n{calls}")
        raise
