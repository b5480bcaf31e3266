"""Where checkpoints cost least, measured: what they and recoveries take, by the events between."""

from __future__ import annotations

import gc
import math
import random
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa

from flowlab.recovery import Costs
from flowlab.recovery.replaying import best_interval
from flowlab.runtime.scheme import Stream
from flowlab.store import EventStore
from flowlab.studies.measuring import SEED, Scale, Spread, workplace
from flowlab.studies.recovery_cells import WHOLE_EVENTS, Cell, calibration
from flowlab.studies.recovery_curve import Curve, Point, Sample, medians
from flowlab.studies.recovery_fit import SchemeCosts, fit_schemes, law_costs, seconds_of
from flowlab.studies.recovery_process import Watched, scheme_of
from flowlab.studies.recovery_reads import reads_of
from flowlab.studies.recovery_workload import (
    Shape,
    history,
    keep_accounts,
    savepoints,
    take_checkpoints,
)

STATE_BYTES: Final = 10_000
AIMED_AT: Final = 1_000
"""The interval for which p is chosen: large enough that a recovery is more than opening."""
BY: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
"""The intervals that are measured, as multiples of N*."""
PLACES: Final = 4
"""Crashes for each interval, spread evenly over it: a failure's place is uniform."""
WRITES: Final = 6
FIRST: Final = 2
"""Checkpoints before those, with which a store and a scheme look up what they then remember."""
ROUNDS: Final = 9
STREAM: Final = ("default", "", "books")
LONGEST_EVENTS: Final = 9_000
"""Of the calibration's streams that are written again beside the intervals."""
RESAMPLES: Final = 100
LEAST_S: Final = 2e-7
"""Of the replay of an event: so quick is none."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """One turn through all that is measured.

    Args:
        samples: of the intervals.
        beside: checkpoints and recoveries of the calibration's streams, between them.
    """

    samples: tuple[Sample, ...]
    beside: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Optimum:
    """The measured best interval beside the predicted one.

    Args:
        p: probability of a recovery at an event, given.
        costs: of the calibration, which was some minutes before.
        rounds: at least one.
    """

    p: float
    costs: Mapping[str, SchemeCosts]
    rounds: tuple[Round, ...]

    @property
    def n_star(self) -> float:
        """The predicted one: what the law says of the calibration's costs."""
        return _n_star(_law(self.costs, self.rounds), self.p)

    @property
    def pace(self) -> float:
        """How many times as long as in the calibration recoveries took."""
        return _pace(self.costs, self.rounds)

    @property
    def curve(self) -> Curve:
        """The lines through all rounds."""
        return Curve.of([sample for each in self.rounds for sample in each.samples])

    @property
    def value(self) -> float:
        """Measured over predicted, of all rounds together."""
        return self._ratio(self.rounds)

    @property
    def ratio(self) -> Spread:
        """The same, with the quartiles of resampled rounds."""
        return Spread(self.value, *self._within(0.5), len(self.rounds))

    @property
    def interval(self) -> tuple[float, float]:
        """Within which 90 % of the ratios of resampled rounds are."""
        return self._within(0.9)

    @property
    def points(self) -> tuple[Point, ...]:
        """Of all intervals."""
        wrote, read = medians([sample for each in self.rounds for sample in each.samples])
        return tuple(
            Point(every, seconds, statistics.mean(t for (n, _), t in read.items() if n == every))
            for every, seconds in wrote.items()
        )

    @property
    def misfit(self) -> float:
        """By what share a measured cost is off the curve, at most."""
        curve = self.curve
        return max(
            abs(point.cost(self.p) / curve.cost(point.every, self.p) - 1.0) for point in self.points
        )

    @property
    def regret(self) -> float:
        """By what share the measured cost at N* is above the least that was measured."""
        points, n_star = self.points, self.n_star
        at = min(points, key=lambda point: abs(math.log(point.every / n_star)))
        return at.cost(self.p) / min(point.cost(self.p) for point in points) - 1.0

    def _ratio(self, rounds: Sequence[Round]) -> float:
        curve = Curve.of([sample for each in rounds for sample in each.samples])
        return curve.best(self.p) / _n_star(_law(self.costs, rounds), self.p)

    def _within(self, share: float) -> tuple[float, float]:
        rng = random.Random(f"{SEED} rounds")  # noqa: S311 - a sample
        drawn = (rng.choices(self.rounds, k=len(self.rounds)) for _ in range(RESAMPLES))
        found = sorted(map(self._ratio, drawn))
        # One of them, and no mean of two: some may have no bound.
        edge = round((1.0 - share) / 2.0 * (RESAMPLES - 1))
        return found[edge], found[-1 - edge]


def _law(costs: Mapping[str, SchemeCosts], rounds: Sequence[Round]) -> Costs:
    """Return S, L and r as they were while the intervals were measured.

    A device and a processor are quicker in one minute than in another, by more than the law is off.
    What a checkpoint takes is therefore fitted to those of the calibration's streams that were
    written between the intervals, and what recoveries take goes at the pace of those.
    """
    wrote = fit_schemes(_writes(rounds))
    size_bytes = STATE_BYTES * 4 // 3 + 1_000  # the state, and what it stands in
    payload_bytes = (Shape(1).payload_bytes + 40) / 2
    read = costs["checkpoint"].seconds
    # A calibration of the smallest size may know of no cost of an event.
    known = replace(costs["checkpoint"], seconds={**read, "events": max(read["events"], LEAST_S)})
    law = law_costs(
        {**wrote, "checkpoint": known}, state_bytes=size_bytes, payload_bytes=payload_bytes
    )
    pace = _pace(costs, rounds)
    return Costs(law.snapshot_s, law.load_s * pace, law.replay_s * pace)


def _writes(rounds: Sequence[Round]) -> list[Row]:
    """Return the checkpoints of each stream of the calibration as one row, which is their median.

    Medians are what stands for the intervals, too: to fit single ones by relative errors would give
    the quick ones more weight, and so the more the busier a machine is.
    """
    of: dict[str, list[Row]] = defaultdict(list)
    for row in (row for each in rounds for row in each.beside if row["scheme"] == "write"):
        of[row["cell"]].append(row)
    return [
        {**rows[0], "wall": [[statistics.median(seconds_of(row) for row in rows)]]}
        for rows in of.values()
    ]


def _pace(costs: Mapping[str, SchemeCosts], rounds: Sequence[Round]) -> float:
    """Return how many times as long as in the calibration a recovery took, in the median."""
    known = costs["checkpoint"]
    return statistics.median(
        seconds_of(row) / known.predict(row)
        for each in rounds
        for row in each.beside
        if row["scheme"] == "checkpoint"
    )


def _n_star(law: Costs, p: float) -> float:
    return best_interval(S=law.snapshot_s, L=law.load_s, r=law.replay_s, p=p).n_star


def measure_optimum(
    costs: Mapping[str, SchemeCosts], scale: Scale, *, folder: Path, repeats: int
) -> Optimum:
    """Measure the cost of intervals around N*, which comes from other runs.

    Args:
        costs: of the calibration runs.
        scale: how much.
        folder: for the stores.
        repeats: recoveries at each place.
    """
    whole = scale.events >= WHOLE_EVENTS
    aimed = AIMED_AT if whole else AIMED_AT // 10
    alone = [cell for cell in calibration(scale) if cell.workflows == 1]
    cells = [cell for cell in alone if cell.shape.events <= LONGEST_EVENTS]
    tables = {cell.name: history(cell.shape, cell.ids[0]) for cell in cells}
    rng = random.Random(f"{SEED} turns")  # noqa: S311 - an order
    gc.collect()
    gc.freeze()
    before = [_beside(folder, cell, tables[cell.name], repeats) for cell in cells]
    law = _law(costs, [Round((), tuple(row for rows in before for row in rows))])
    # The p at which the law asks for such an interval: given, not measured, and at most 1.
    p = min(1.0, float(f"{2.0 * law.snapshot_s / (law.replay_s * aimed**2):.2g}"))
    shapes = {
        Shape(1, every=max(5, round(by * _n_star(law, p))), state_bytes=STATE_BYTES) for by in BY
    }
    histories = {
        shape: history(_longer(shape, (FIRST + WRITES + 1) * shape.cycle + 1), STREAM[2])
        for shape in sorted(shapes, key=lambda shape: shape.every)
    }
    rounds = []
    for _ in range(ROUNDS if whole else 2):
        samples: list[Sample] = []
        beside: list[Row] = []
        turns: list[Shape | Cell] = [*histories, *cells]
        for turn in rng.sample(turns, len(turns)):
            if isinstance(turn, Cell):
                beside += _beside(folder, turn, tables[turn.name], repeats)
            else:
                samples.append(_sample(folder, turn, histories[turn], repeats))
        rounds.append(Round(tuple(samples), tuple(beside)))
    gc.unfreeze()
    return Optimum(p, costs, tuple(rounds))


def _longer(shape: Shape, events: int) -> Shape:
    return Shape(events, every=shape.every, state_bytes=shape.state_bytes)


def _beside(folder: Path, cell: Cell, table: pa.Table, repeats: int) -> list[Row]:
    """Take checkpoints of a calibration's stream, and recover it; return what each took."""
    policy = Watched(cell.shape.cycle)
    count = min(FIRST + WRITES, len(savepoints(cell.shape)))
    stream = ("default", "", cell.ids[0])
    with TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "s"
        with EventStore(path) as store:
            store.append_table(table)
            take_checkpoints(store, stream, cell.shape, scheme_of("whole", cell, policy), count)
        found = [_recovered(path, cell, stream) for _ in range(repeats)]
        read = reads_of(path, cell, [found[0][1]], chains=True)
    rows: list[Row] = [
        {"scheme": "write", "cell": cell.name, "bytes": size, "wall": [[seconds]]}
        for size, seconds in policy.written[FIRST:]
    ]
    least = min(seconds for seconds, _ in found)
    return [*rows, {"scheme": "checkpoint", **read, "wall": [[least]]}]


def _sample(folder: Path, shape: Shape, table: pa.Table, repeats: int) -> Sample:
    cell, policy = Cell("grid", shape), Watched(shape.cycle)
    last = 1 + (FIRST + WRITES) * shape.cycle
    recoveries = []
    with TemporaryDirectory(dir=folder) as place:
        written, crashed = Path(place) / "written", Path(place) / "crashed"
        with EventStore(written) as store:
            store.append_table(table.slice(0, last))
            until = _longer(shape, last)
            count = FIRST + WRITES
            take_checkpoints(store, STREAM, until, scheme_of("whole", cell, policy), count)
        for part in range(PLACES):
            since = round((part + 0.5) / PLACES * shape.cycle)
            # Of a copy, so that what came since the checkpoint is in one file at every place.
            shutil.copytree(written, crashed)
            with EventStore(crashed) as store:
                store.append_table(table.slice(last, since))
            took = min(_recovered(crashed, cell, STREAM)[0] for _ in range(repeats))
            recoveries.append((since, took))
            shutil.rmtree(crashed)
    seconds = tuple(seconds for _, seconds in policy.written[FIRST:])
    return Sample(shape.cycle, seconds, tuple(recoveries))


def _recovered(folder: Path, cell: Cell, stream: Stream) -> tuple[float, int]:
    """Return what a recovery took from opening the store on, and how many events it read.

    It reads warm files and waits for nobody: on a quiet machine both clocks tell the same to half a
    percent, and on a busy one the processor's does not tell what others do.
    """
    gc.collect()
    began = time.process_time()
    store = EventStore(folder)
    restored = scheme_of("whole", cell).restore(store, stream, keep_accounts)
    seconds = time.process_time() - began
    store.close()
    return seconds, restored.events_read


def optimum(scale: Scale, costs: Mapping[str, SchemeCosts]) -> Optimum:
    """Measure the optimum in a folder that is gone afterwards."""
    whole = scale.events >= WHOLE_EVENTS
    with workplace(scale) as folder:
        return measure_optimum(costs, scale, folder=folder, repeats=4 if whole else 2)
