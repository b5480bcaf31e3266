"""Every boundary of every operation of the store: opened, compared, and written to again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from flowlab.errors import NotAStoreError
from flowlab.store import Disk, EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.driving import count_harmed
from flowlab.studies.measuring import SEED, Scale
from flowlab.studies.store_model import Contents, StoreModel
from flowlab.studies.store_operations import (
    OPERATIONS,
    TABLE,
    Apply,
    Step,
    StoreOperation,
    append,
)
from flowlab.testing import MAX_DEVICE_STATES, BoundaryReport, CrashDisk, DiskState, every_boundary
from flowlab.testing.boundaries import Acknowledge
from flowlab.testing.device_states import EVERYTHING, LEAST_STATES, SYNCED

NAME: Final = "s"
LANE: Final = "agent"
LATER: Final = append("later", "z")
WHOLE: Final = frozenset({EVERYTHING, SYNCED})
CHECKED_STATES: Final = 12
QUICK_OPERATIONS: Final = 2
MANY_EVENTS: Final = 100_000


class UnsyncedDisk(Disk):
    """Counts syncs and does none: for what is thrown away after a check."""

    def sync_data(self, _: int) -> None:
        """Count."""
        self.data_syncs += 1

    def sync_directory(self, _: Path) -> None:
        """Count."""
        self.directory_syncs += 1


@dataclass(slots=True)
class Drive:
    """One operation on its way through every boundary.

    Attributes:
        operation: what is done.
        thorough: whether SQL is asked too, and verify after the last write.
        models: what is shown after each number of acknowledged steps.
        reach: for each of them, the last that may be there while the next step is under way.
    """

    operation: StoreOperation
    thorough: bool = True
    models: list[StoreModel] = field(default_factory=list)
    reach: list[int] = field(default_factory=list)

    def prepare(self, folder: Path) -> None:
        """Make the store as it was before."""
        model = StoreModel()
        if self.operation.before is not None:
            with self.opened(folder, UnsyncedDisk()) as store:
                for step in self.operation.before:
                    for apply in _done(step, store):
                        apply(model)
        self.models = [model]

    def run(self, folder: Path, disk: CrashDisk, acknowledge: Acknowledge) -> None:
        """Do the operation; a reader that was there before must see what it saw, all the time."""
        self.reach = []
        with ExitStack() as stack:
            if self.operation.before is not None and self.operation.keeps_old:
                reader = stack.enter_context(EventStore(folder / NAME, read_only=True))
                pinned, expected = reader.snapshot(), self.models[0].contents()

                def watch() -> None:
                    assert Contents.of(pinned, self.models[0].streams) == expected

                disk.watch = watch
            store = stack.enter_context(self.opened(folder, disk))
            for step in self.operation.steps:
                for apply in _done(step, store):
                    model = self.models[-1].copy()
                    apply(model)
                    self.models.append(model)
                    acknowledge()
                last = len(self.models) - 1
                self.reach += [last] * (last - len(self.reach))
                _shown(store, self.models[-1:])
        self.reach.append(len(self.models) - 1)

    def again(self, folder: Path, disk: CrashDisk, acknowledge: Acknowledge) -> None:
        """Open what a dead process left, and append."""
        with self.opened(folder, disk) as store:
            LATER.do(store)
            acknowledge()

    def check(self, state: DiskState) -> None:
        """Check one state: it opens, is whole, shows what was acknowledged, and can be written to.

        Raises:
            AssertionError: it does not.
            FlowlabError: it cannot be opened, or verified, or written to.
        """
        acknowledged = state.acknowledged - state.again
        possible = self.models[acknowledged : self.reach[acknowledged] + 1]
        if state.again:
            possible = [_after(model, LATER) for model in possible]
        with warnings.catch_warnings(), ExitStack() as stack:
            warnings.simplefilter("error")
            try:
                reader = stack.enter_context(EventStore(state.folder / NAME, read_only=True))
            except NotAStoreError:
                assert self.operation.before is None
                assert not state.acknowledged
            else:
                first = _shown(reader, possible)
                possible = possible[first:]
                if self.models[0].events and self.operation.keeps_old:
                    old = self.models[0]
                    bound = reader.as_of(position=len(old.events))
                    assert Contents.of(bound, old.streams).events == tuple(old.events)
                pinned, seen = reader.snapshot(), possible[0]
                if self.operation.look is not None:
                    self.operation.look(reader, seen)
                stack.callback(lambda: _agrees(Contents.of(pinned, seen.streams), seen.contents()))
            self._write_again(state.folder, possible, whole=self.thorough and state.kind in WHOLE)

    def _write_again(self, folder: Path, possible: Sequence[StoreModel], *, whole: bool) -> None:
        with self.opened(folder, UnsyncedDisk()) as store:
            LATER.do(store)
            # A frame that was whole and not synced counts once this writer has synced it.
            possible = [_after(model, LATER) for model in possible]
            model = possible[_shown(store, possible, verify=False)]
            for step in self.operation.steps:
                for apply in _done(step, store):
                    apply(model)
        with EventStore(folder / NAME, read_only=True) as reader:
            _shown(reader, [model], verify=whole)
            if self.operation.look is not None:
                self.operation.look(reader, model)
            if whole:
                lane = [event for event in model.events if event.agent_id == LANE]
                if lane:
                    lane.sort(key=lambda event: (event.time_ns, event.agent_sequence))
                    assert reader.read(f"/agents/{LANE}/events").events() == lane
                assert Contents.by_sql(reader.snapshot()) == model.contents()

    @contextmanager
    def opened(self, folder: Path, disk: Disk) -> Iterator[EventStore]:
        """Open the store of a folder as the operation has it."""
        with EventStore(folder / NAME, disk=disk, **self.operation.options) as store:
            store.register(*self.operation.views)
            yield store


def drive(
    operation: StoreOperation,
    *,
    limit: int = MAX_DEVICE_STATES,
    seed: int = SEED,
    twice: bool = True,
    thorough: bool = True,
    folder: Path | None = None,
) -> BoundaryReport:
    """Drive an operation of the store through every boundary.

    Args:
        operation: a line of the table `OPERATIONS`.
        limit: states of each boundary.
        seed: of those that are drawn where there are more.
        twice: whether the process also dies at each boundary, is followed by another, and then
            the power fails.
        thorough: whether SQL is asked too, and verify after the last write.
        folder: where the states are made.

    Raises:
        AssertionError: a state shows something else than what was acknowledged.
    """
    found = Drive(operation, thorough)
    return every_boundary(
        found.run,
        found.check,
        name=operation.name,
        prepare=found.prepare,
        again=found.again if twice else None,
        limit=limit,
        seed=seed,
        folder=folder,
    )


def boundaries(scale: Scale) -> Measurement:
    """Drive every operation through every boundary; count the operations that a stop can harm.

    Each operation's changes of the disk are recorded, and each state that a process's death or a
    power failure could leave at each boundary is made, opened, verified, compared with a model
    event by event, and written to again by an append. At full size they are more states, and the
    operation itself is done again in each. Two processes share the operations.
    """
    whole, deep = scale.events >= MANY_EVENTS, scale.largest > scale.events
    return count_harmed(
        [found.name for found in OPERATIONS][: None if whole else QUICK_OPERATIONS],
        partial(_drive, deep=deep, folder=scale.folder),
        what="operations that a stop can harm",
        scale=scale,
    )


def _drive(name: str, *, deep: bool, folder: Path | None) -> BoundaryReport:
    limit = CHECKED_STATES if deep else LEAST_STATES
    return drive(TABLE[name], limit=limit, twice=deep, thorough=deep, folder=folder)


def _done(step: Step, store: EventStore) -> list[Apply]:
    """Do a step; return what it does to a model, in the order of positions."""
    told = step.do(store)
    if step.apply is not None:
        return [step.apply]
    return list(told)


def _after(model: StoreModel, step: Step) -> StoreModel:
    found = model.copy()
    if step.apply is not None:
        step.apply(found)
    return found


def _shown(store: EventStore, possible: Sequence[StoreModel], *, verify: bool = True) -> int:
    """Return which of the possible contents a store shows, all of it being whole."""
    if verify:
        report = store.verify()
        assert report.ok, report.problems
    streams = dict.fromkeys(stream for model in possible for stream in model.streams)
    found = Contents.of(store.snapshot(), streams)
    expected = [model.contents() for model in possible]
    assert found in expected, f"{found}, expected one of {expected}"
    return expected.index(found)


def _agrees(found: Contents, expected: Contents) -> None:
    assert found == expected
