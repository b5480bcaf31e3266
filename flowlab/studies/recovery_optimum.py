"""Where checkpoints cost least, measured: what they and recoveries take, by the events between."""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from flowlab.recovery.replaying import best_interval
from flowlab.store import EventStore
from flowlab.studies.measuring import Scale, Spread, timed, workplace
from flowlab.studies.recovery_cells import WHOLE_EVENTS, Cell
from flowlab.studies.recovery_fit import SchemeCosts, law_costs, least_squares
from flowlab.studies.recovery_process import Watched, scheme_of
from flowlab.studies.recovery_workload import Shape, history, keep_accounts, take_checkpoints

STATE_BYTES: Final = 10_000
AIMED_AT: Final = 1_000
"""The interval for which p is chosen: large enough that a recovery is more than opening."""
BY: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
"""The intervals that are measured, as multiples of N*."""
PLACES: Final = 4
"""Crashes for each interval, spread evenly over it: a failure's place is uniform."""
WRITES: Final = 6
ROUNDS: Final = 5
STREAM: Final = ("default", "", "books")


@dataclass(frozen=True, slots=True)
class Point:
    """What one interval costs.

    Args:
        every: events between checkpoints.
        snapshot_s: seconds that one took, the median.
        recovery_s: the mean over the places of crash.
        cost: seconds an event, with the probability of a recovery that was given.
    """

    every: int
    snapshot_s: float
    recovery_s: float
    cost: float


@dataclass(frozen=True, slots=True)
class Optimum:
    """The measured best interval beside the predicted one.

    Args:
        p: probability of a recovery at an event, given.
        n_star: predicted from calibration runs.
        best: measured, of each round: the least of a/N + b + c N through the points.
        points: the last round's.
    """

    p: float
    n_star: float
    best: tuple[float, ...]
    points: tuple[Point, ...]

    @property
    def ratio(self) -> Spread:
        """Measured over predicted."""
        return Spread.of([found / self.n_star for found in self.best])

    @property
    def regret(self) -> float:
        """By what share the measured cost at N* is above the least that was measured."""
        at = min(self.points, key=lambda point: abs(math.log(point.every / self.n_star)))
        return at.cost / min(point.cost for point in self.points) - 1.0


def best_of(points: Sequence[Point]) -> float:
    """Return where the curve a/N + b + c N through measured costs is least.

    Example:
        >>> law = [Point(n, 0, 0, 100 / n + 3 + n / 100) for n in (25, 50, 100, 200, 400)]
        >>> round(best_of(law))
        100
    """
    cost = np.array([point.cost for point in points])
    every = np.array([float(point.every) for point in points])
    terms = np.column_stack([1.0 / every, np.ones(len(points)), every])
    a, _, c = least_squares(terms / cost[:, None], np.ones(len(points)))
    return math.sqrt(a / c) if c > 0 and a > 0 else math.inf


def measure_optimum(
    costs: dict[str, SchemeCosts], scale: Scale, *, folder: Path, repeats: int
) -> Optimum:
    """Measure the cost of intervals around N*, which comes from other runs.

    Args:
        costs: of the calibration runs.
        scale: how much.
        folder: for the stores.
        repeats: recoveries at each place.
    """
    whole = scale.events >= WHOLE_EVENTS
    shape = Shape(1, state_bytes=STATE_BYTES)
    aimed = AIMED_AT if whole else AIMED_AT // 10
    law = law_costs(
        costs, state_bytes=_checkpoint_bytes(shape), payload_bytes=_payload_bytes(shape)
    )
    # The p at which the law asks for such an interval: given, not measured, and at most 1.
    replay_s = max(law.replay_s, 2.0 * law.snapshot_s / aimed**2)
    p = min(1.0, float(f"{2.0 * law.snapshot_s / (replay_s * aimed**2):.2g}"))
    n_star = best_interval(S=law.snapshot_s, L=law.load_s, r=replay_s, p=p).n_star
    best: list[float] = []
    points: list[Point] = []
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS if whole else 2):
        points = []
        for by in BY:
            every = max(5, round(by * n_star))
            with TemporaryDirectory(dir=folder) as place:
                points.append(_point(Path(place) / "s", every, p, repeats))
        best.append(best_of(points))
    gc.unfreeze()
    return Optimum(p, n_star, tuple(best), tuple(points))


def _point(folder: Path, every: int, p: float, repeats: int) -> Point:
    count = WRITES + 1
    shape = Shape(1, every=every, state_bytes=STATE_BYTES)
    cycle = shape.cycle
    whole = Shape((count + 1) * cycle + 1, every=every, state_bytes=STATE_BYTES)
    table = history(whole, STREAM[2])
    last = 1 + count * cycle
    cell = Cell("grid", shape)
    policy = Watched(cycle)
    with EventStore(folder) as store:
        store.append_table(table.slice(0, last))
        until = Shape(last, every=every, state_bytes=STATE_BYTES)
        take_checkpoints(store, STREAM, until, scheme_of("whole", cell, policy), count)
    snapshot_s = statistics.median(seconds for _, seconds in policy.written[1:])
    took: list[float] = []
    for part in range(PLACES):
        upto = last + round((part + 0.5) / PLACES * cycle)
        with EventStore(folder) as store:
            head = store.snapshot().head(STREAM[2])
            store.append_table(table.slice(head, upto - head))
        took.append(min(_recovery_s(folder, cell) for _ in range(repeats)))
    recovery_s = statistics.mean(took)
    return Point(cycle, snapshot_s, recovery_s, snapshot_s / cycle + p * recovery_s)


def _recovery_s(folder: Path, cell: Cell) -> float:
    gc.collect()
    scheme, opened = scheme_of("whole", cell), []

    def call() -> object:
        opened.append(EventStore(folder))
        return scheme.restore(opened[0], STREAM, keep_accounts)

    seconds, _ = timed(call)
    opened[0].close()
    return seconds


def _checkpoint_bytes(shape: Shape) -> int:
    """Return the size of a checkpoint of such a workflow: its state and what it stands in."""
    return shape.state_bytes * 4 // 3 + 1_000


def _payload_bytes(shape: Shape) -> float:
    return (shape.payload_bytes + 40) / 2


def optimum(scale: Scale, costs: dict[str, SchemeCosts]) -> Optimum:
    """Measure the optimum in a folder that is gone afterwards."""
    whole = scale.events >= WHOLE_EVENTS
    with workplace(scale) as folder:
        return measure_optimum(costs, scale, folder=folder, repeats=7 if whole else 2)
