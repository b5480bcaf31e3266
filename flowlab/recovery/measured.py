"""What a checkpoint, a load and the replay of an event cost, from recoveries that were measured.

A recovery that replays n events takes L + r n. The line is fitted to relative errors, and by their
absolute values: a recovery of a millisecond counts as much as one of a minute, and one that was
held up by something else bends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.estimates import Costs
from flowlab.recovery.failures import checked_gaps
from flowlab.recovery.numbers import LARGEST

MIN_RECOVERIES: Final = 4
_STEPS: Final = 500
_LEAST: Final = 1e-9

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CostsFit:
    """Costs that were fitted, and how well they tell the recoveries that they come from.

    Args:
        costs: S, L and r.
        recoveries: how many were measured.
        median_error: of the relative errors of the predicted times.
        worst_error: the largest of them.
    """

    costs: Costs
    recoveries: int
    median_error: float
    worst_error: float

    def predicted_s(self, events: float) -> float:
        """Return how long a recovery takes that replays so many events: L + r n.

        Example:
            >>> found = fit_costs([(0, 1.0), (10, 2.0), (20, 3.0), (30, 4.0)], [5.0])
            >>> round(found.predicted_s(100), 6)
            11.0
        """
        return self.costs.load_s + self.costs.replay_s * events

    def __repr__(self) -> str:
        errors = f"off by {self.median_error:.1%} in the median, {self.worst_error:.1%} at worst"
        return f"CostsFit({self.costs!r}, of {self.recoveries} recoveries, {errors})"


def fit_costs(recoveries: Iterable[tuple[float, float]], writes: Iterable[float]) -> CostsFit:
    """Fit S, L and r to recoveries and to snapshots that were measured.

    To predict other recoveries, measure these on other runs than those.

    Args:
        recoveries: (events replayed, seconds) of each, at least 4, of at least two lengths.
        writes: seconds that each snapshot took to become durable; their median is S.

    Raises:
        InvalidArgumentError: too few, of one length, not numbers above 0, or times that do not
            rise with the events: then replay was not what they measured.

    Example:
        >>> fit_costs([(0, 1.0), (10, 2.0), (20, 3.0), (30, 4.0), (15, 60.0)], [5.0, 5.2, 4.9])
        CostsFit(Costs(snapshot 5 s, load 1 s, replay 0.1 s an event), of 5 recoveries,
        off by 0.0% in the median, 95.8% at worst)
    """
    pairs = list(recoveries)
    events, seconds = _columns(pairs)
    snapshot_s = float(np.median(checked_gaps(writes, "writes")))
    load_s, replay_s = _line(events, seconds)
    if load_s < 0.0:
        # No load takes less than nothing: the line through the origin that fits best.
        load_s = 0.0
        some = events > 0
        replay_s = _weighted_median(seconds[some] / events[some], events[some] / seconds[some])
    if not replay_s > 0.0:
        message = (
            f"the times of {len(pairs)} recoveries do not rise with the events that they replayed; "
            "expected longer replays to take longer: measure some of very different lengths"
        )
        raise InvalidArgumentError(message)
    errors = np.abs(load_s + replay_s * events - seconds) / seconds
    costs = Costs(snapshot_s, load_s, replay_s)
    return CostsFit(costs, len(pairs), float(np.median(errors)), float(np.max(errors)))


def _columns(pairs: list[Any]) -> tuple[Numbers, Numbers]:
    if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004
        message = f"recoveries are {str(pairs)[:60]}; expected pairs (events replayed, seconds)"
        raise InvalidArgumentError(message)
    seconds = checked_gaps([pair[1] for pair in pairs], "recoveries", least=MIN_RECOVERIES)
    events = np.asarray([pair[0] for pair in pairs], np.float64)
    wrong = events[~((events >= 0) & (events <= LARGEST))]
    if len(wrong):
        message = f"a recovery replayed {wrong[0]:g} events; expected a number of at least 0"
        raise InvalidArgumentError(message)
    if len(np.unique(events)) == 1:
        message = (
            f"all {len(pairs)} recoveries replayed {events[0]:g} events; expected different "
            "lengths, since the load and the replay cannot be told apart otherwise"
        )
        raise InvalidArgumentError(message)
    return events, seconds


def _line(events: Numbers, seconds: Numbers) -> tuple[float, float]:
    """Return L and r of least sum of absolute relative errors, by reweighted least squares."""
    # In relative terms the model is L (1/s) + r (n/s) = 1.
    design = np.column_stack([1.0 / seconds, events / seconds])
    scale = np.maximum(np.max(np.abs(design), axis=0), 1e-300)
    scaled = design / scale
    weights = np.ones(len(seconds))
    found = np.zeros(2)
    for _ in range(_STEPS):
        root = np.sqrt(weights)
        fresh = np.linalg.lstsq(scaled * root[:, None], root, rcond=None)[0]
        if np.max(np.abs(fresh - found)) <= 1e-12 * np.max(np.abs(fresh)):
            break
        found = fresh
        weights = 1.0 / np.maximum(np.abs(scaled @ found - 1.0), _LEAST)
    load_s, replay_s = (found / scale).tolist()
    return load_s, replay_s


def _weighted_median(values: Numbers, weights: Numbers) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(total, total[-1] / 2.0))])
