"""Every boundary of a workflow that runs for real: whatever stops there, it goes on to its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from flowlab.store import Disk, EventStore, Layout
from flowlab.studies.claim import Measurement
from flowlab.studies.driving import WORKERS, count_harmed
from flowlab.studies.measuring import SEED, Scale
from flowlab.studies.runtime_checks import histories_in, lost, occurrences, unnamed
from flowlab.studies.runtime_work import ALL, STORE, Effects, Notes, Work, carry_out, shelf
from flowlab.studies.store_faults import UnsyncedDisk
from flowlab.testing import BoundaryReport, CrashDisk, DiskState, every_boundary
from flowlab.testing.boundaries import Acknowledge
from flowlab.testing.device_states import LEAST_STATES

MANY_EVENTS: Final = 100_000
CHECKED_STATES: Final = 12
QUICK_KINDS: Final = 1


@dataclass(slots=True)
class Drive:
    """One kind of workflow on its way through every boundary.

    Attributes:
        work: what is run.
        outside: what callers were told and which effects happened ("effect KEY ATTEMPT DELIVERY"),
            in order: as much of it as was acknowledged has happened before a stop.
        results: those of a run without a stop.
        shelf: the agent's durable state then.
    """

    work: Work
    outside: list[str] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    shelf: dict[str, Any] = field(default_factory=dict)

    def prepare(self, folder: Path) -> None:
        """Make an empty store: how one comes to be is driven elsewhere."""
        with self._opened(folder, UnsyncedDisk()) as store:
            store.take_role()

    def run(self, folder: Path, disk: CrashDisk, acknowledge: Acknowledge) -> None:
        """Run the workflow to its end."""
        self.outside = []

        def tell(line: str) -> None:
            self.outside.append(line)
            acknowledge()

        with self._opened(folder, disk) as store:
            effects = Effects(lambda line: tell(f"effect {line}"))
            asyncio.run(carry_out(self.work, store, effects, tell, Notes()))
            self.shelf = shelf(store)
        self.results = Notes(self.outside).results

    def check(self, state: DiskState) -> None:
        """Check one state: what was told is there, and the workflow goes on to the same end.

        Raises:
            AssertionError: it is not so.
            FlowlabError: the store cannot be opened, or written to.
        """
        before = self.outside[: state.acknowledged]
        happened = [line.partition(" ")[2] for line in before if line.startswith("effect ")]
        with EventStore(state.folder / STORE, read_only=True) as store:
            _holds(store, Notes(before), happened)
        again, notes = list(happened), list(before)
        with self._opened(state.folder, UnsyncedDisk()) as store:
            effects = Effects(again.append)
            asyncio.run(carry_out(self.work, store, effects, notes.append, Notes(before)))
            _holds(store, Notes(notes), again)
            report = store.verify()
            assert report.ok, report.problems
            assert shelf(store) == self.shelf
        assert Notes(notes).results == self.results

    @staticmethod
    def _opened(folder: Path, disk: Disk) -> EventStore:
        return EventStore(folder / STORE, layout=Layout(1), disk=disk)


def _holds(store: EventStore, notes: Notes, effects: list[str]) -> None:
    histories = histories_in(store)
    wrong = [*lost(histories, notes), *unnamed(histories, occurrences(effects))]
    assert not wrong, wrong


def drive(
    kind: str,
    *,
    steps: int = 1,
    checkpoints: bool = False,
    limit: int = LEAST_STATES,
    seed: int = SEED,
    folder: Path | None = None,
) -> BoundaryReport:
    """Drive a workflow through every boundary.

    Args:
        kind: one of `ALL.kinds`.
        steps: that it takes.
        checkpoints: whether recovery begins from checkpoints.
        limit: states of each boundary.
        seed: of those that are drawn where there are more.
        folder: where the states are made.

    Raises:
        AssertionError: a stop loses what was acknowledged, repeats an effect without naming it, or
            leads to another end.
    """
    found = Drive(Work((kind,), steps, checkpoints))
    return every_boundary(
        found.run,
        found.check,
        name=kind,
        prepare=found.prepare,
        limit=limit,
        seed=seed,
        folder=folder,
    )


def boundaries(scale: Scale) -> Measurement:
    """Drive a workflow of each kind through every boundary; count those that a stop can harm.

    The changes of the disk are recorded, with what callers were told and which effects happened
    between them. Each state that a process's death or a power failure could leave at each boundary
    is made and compared with that, and another runtime goes on to the end there. Two processes
    share the kinds.
    """
    whole, deep = scale.events >= MANY_EVENTS, scale.largest > scale.events
    return count_harmed(
        ALL.kinds[: None if whole else QUICK_KINDS],
        partial(_drive, deep=deep, folder=scale.folder),
        what="kinds of workflow that a stop can harm",
        scale=scale,
        workers=WORKERS if whole else 1,
    )


def _drive(kind: str, *, deep: bool, folder: Path | None) -> BoundaryReport:
    limit = CHECKED_STATES if deep else LEAST_STATES
    return drive(kind, checkpoints=deep, limit=limit, folder=folder)
