"""When to checkpoint work that is done again, whatever the distribution of failures (law A).

Each time the system is up again its next failure is a fresh draw. Of a gap X between failures the
restart R is spent first, and of the rest each whole period of work and checkpoint is kept; so the
wall time of a second of work is (E[X] + D) / (tau E[floor((X - R)+ / (tau + delta))]), and the
expectation is the sum over j of P(X >= R + j (tau + delta)). With an exponential distribution it is
the closed form of `flowlab.recovery.rework`.

Where failures get rarer the longer a system is up (a Weibull shape below 1) the best of all plans
has growing intervals; what is found here is the best constant one.

Source: the renewal-reward theorem; Bougeret et al., SC'11, on Weibull failures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from flowlab.recovery.failures import Empirical, Exponential, Failures, as_failures
from flowlab.recovery.numbers import at_least, positive
from flowlab.recovery.rework import young
from flowlab.recovery.valley import lowest

_EXACT: Final = 4_096
"""Periods that are summed one by one; beyond them the sum is an integral."""
_PANELS: Final = 4_096
_NOTHING: Final = 1e-17
_GRID: Final = 201
_OCTAVES: Final = 8.0
_PRECISION: Final = 1e-9


@dataclass(frozen=True, slots=True)
class BestTau:
    """The best constant interval between checkpoints under a distribution of failures.

    Args:
        tau: seconds of work between checkpoints.
        overhead: what checkpoints and failures add to each second of work.
        at_young: the same at Young's interval, which knows the mean alone.
    """

    tau: float
    overhead: float
    at_young: float

    def __repr__(self) -> str:
        return (
            f"BestTau({self.tau:.6g} s, overhead {self.overhead:.4g}, {self.at_young:.4g} at Young)"
        )


def overhead_under(
    failures: Any,
    tau: float,
    *,
    delta: float,
    R: float = 0.0,  # noqa: N803 - the literature's symbols
    D: float = 0.0,  # noqa: N803
) -> float:
    """Return what checkpoints and failures add to each second of work, as a share of it.

    It is infinite where no gap is long enough for a restart, a piece of work and its checkpoint.

    Args:
        failures: a distribution, observed gaps in seconds, or a mean.
        tau: seconds of work between checkpoints.
        delta: seconds to write one.
        R: seconds to restart; a failure may strike it.
        D: seconds of downtime, in which none does.

    Example:
        >>> from flowlab.recovery.failures import Weibull
        >>> round(overhead_under(360, 60, delta=5), 6)
        0.187296
        >>> round(overhead_under(Weibull.of_mean(360, 0.7), 60, delta=5), 4)
        0.1792
    """
    found = as_failures(failures)
    positive(tau=tau, delta=delta)
    at_least(0.0, R=R, D=D)
    periods = _periods(found, tau + delta, R)
    if periods <= 0.0:
        return math.inf
    return (found.mean_s + D) / (tau * periods) - 1.0


def best_tau(
    failures: Any,
    *,
    delta: float,
    R: float = 0.0,  # noqa: N803
    D: float = 0.0,  # noqa: N803
) -> BestTau:
    """Return the constant interval between checkpoints of least overhead.

    It is searched over eight octaves on both sides of Young's; of observed gaps, whose overhead
    jumps from interval to interval, to 6 % of the interval.

    Args:
        failures: a distribution, observed gaps in seconds, or a mean.
        delta: seconds to write a checkpoint.
        R: seconds to restart; a failure may strike it.
        D: seconds of downtime, in which none does.

    Example:
        >>> from flowlab.recovery.failures import Weibull
        >>> best_tau(360, delta=5)
        BestTau(56.714 s, overhead 0.187, 0.1873 at Young)
        >>> best_tau(Weibull.of_mean(360, 0.7), delta=5)
        BestTau(60.5595 s, overhead 0.1792, 0.1792 at Young)
    """
    found = as_failures(failures)

    def at(tau: float) -> float:
        return overhead_under(found, tau, delta=delta, R=R, D=D)

    middle = young(delta, found.mean_s)
    grid = middle * 2.0 ** np.linspace(-_OCTAVES, _OCTAVES, _GRID)
    values = [at(tau) for tau in grid.tolist()]
    place = int(np.argmin(values))
    tau, least = float(grid[place]), values[place]
    if not isinstance(found, Empirical):
        around = grid[[max(0, place - 1), min(_GRID - 1, place + 1)]].tolist()
        tau = lowest(at, *around, precision=_PRECISION)
        least = at(tau)
    return BestTau(tau, least, at(middle))


def _periods(failures: Failures, period: float, restart: float) -> float:
    """Return how many whole periods a gap holds after a restart, in the mean."""
    if isinstance(failures, Exponential):
        reach = period / failures.mean_s
        return 0.0 if reach > 700.0 else math.exp(-restart / failures.mean_s) / math.expm1(reach)  # noqa: PLR2004
    if isinstance(failures, Empirical):
        left = np.maximum(np.asarray(failures.gaps_s) - restart, 0.0)
        return float(np.mean(np.floor(left / period)))
    places = restart + period * np.arange(1, _EXACT + 1)
    survival = failures.survival(places)
    return float(np.sum(survival)) + _tail(failures, float(places[-1]) + period / 2.0) / period


def _tail(failures: Failures, start: float) -> float:
    """Return the integral of the survival function from a time on, by Simpson in log time."""
    stop = start
    while float(failures.survival(stop)) > _NOTHING and stop < 1e300:  # noqa: PLR2004
        stop *= 2.0
    if stop == start:
        return 0.0
    logs = np.linspace(math.log(start), math.log(stop), _PANELS + 1)
    times = np.exp(logs)
    weights = np.full(_PANELS + 1, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    step = (logs[-1] - logs[0]) / _PANELS
    area = float(np.sum(weights * failures.survival(times) * times))
    return area * float(step) / 3.0
