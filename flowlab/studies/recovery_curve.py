"""What intervals between checkpoints cost, and the lines through what was measured of them."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured of one interval, in one round.

    Args:
        every: events between checkpoints.
        snapshots: seconds that each checkpoint took.
        recoveries: of each crash (events since the checkpoint, seconds of the processor: the least
            of some).
    """

    every: int
    snapshots: tuple[float, ...]
    recoveries: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """What one interval costs, of all rounds.

    Args:
        every: events between checkpoints.
        snapshot_s: that one took, the median.
        recovery_s: the mean over the places of crash of their medians.
    """

    every: int
    snapshot_s: float
    recovery_s: float

    def cost(self, p: float) -> float:
        """Return seconds an event, with a probability of a recovery."""
        return self.snapshot_s / self.every + p * self.recovery_s


@dataclass(frozen=True, slots=True)
class Curve:
    """A checkpoint takes S + s N, a recovery L + r n: the lines through what was measured.

    An interval then costs S/N + s + p (L + r (N-1)/2) an event. What a checkpoint takes the longer
    for each event since the one before, s, is paid for every event whatever N is, as L is for every
    recovery: the least is at sqrt(2 S / (p r)), with the S that is left at N = 0.

    Args:
        snapshot_s, growth_s: S, and s.
        load_s, replay_s: L, and r.

    Example:
        >>> Curve(50, 0.01, 20, 0.5).best(0.001), Curve(50, 0.25, 99, 0.5).best(0.001)
        (447.21359549995793, 447.21359549995793)
    """

    snapshot_s: float
    growth_s: float
    load_s: float
    replay_s: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Curve:
        """Return the lines with the least squares of relative errors; each may slope down.

        All intervals tell of both lines, so that none decides where the least is.

        Example:
            >>> samples = [Sample(n, (50 + n / 50,), ((n, 20 + n / 2),)) for n in (100, 200, 800)]
            >>> round(Curve.of(samples).best(0.001))
            447
        """
        wrote, read = medians(samples)
        snapshot_s, growth_s = _line(wrote)
        load_s, replay_s = _line({n: seconds for (_, n), seconds in read.items()})
        return cls(snapshot_s, growth_s, load_s, replay_s)

    def cost(self, every: float, p: float) -> float:
        """Return seconds an event, with a probability of a recovery."""
        recovery_s = self.load_s + self.replay_s * (every - 1) / 2.0
        return self.snapshot_s / every + self.growth_s + p * recovery_s

    def best(self, p: float) -> float:
        """Return the interval that costs least; none does, if it is infinite."""
        if self.snapshot_s <= 0 or self.replay_s <= 0:
            return math.inf
        return math.sqrt(2.0 * self.snapshot_s / (p * self.replay_s))


def medians(
    samples: Sequence[Sample],
) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
    """Return the median time of checkpoints by interval; of recoveries by interval and place."""
    wrote: dict[int, list[float]] = defaultdict(list)
    read: dict[tuple[int, int], list[float]] = defaultdict(list)
    for sample in samples:
        wrote[sample.every] += sample.snapshots
        for events, seconds in sample.recoveries:
            read[sample.every, events].append(seconds)
    return (
        {every: statistics.median(times) for every, times in sorted(wrote.items())},
        {place: statistics.median(times) for place, times in sorted(read.items())},
    )


def _line(told: Mapping[int, float]) -> tuple[float, float]:
    x, y = np.array([*told], float), np.array([*told.values()])
    found = np.linalg.lstsq(np.column_stack([1.0 / y, x / y]), np.ones(len(y)), rcond=None)[0]
    return float(found[0]), float(found[1])
