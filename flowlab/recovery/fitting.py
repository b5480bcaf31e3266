"""Which distribution the observed times between failures come from.

Maximum likelihood, with the time that has passed without a failure since the last one counted as
what it is: a gap that is at least so long (censored). The shape of a Weibull is found by Newton's
method on its profile likelihood, which has one root.

Sources: Cohen, Technometrics 7(4), 1965 (the equation, censored gaps too); Meeker and Escobar,
Statistical Methods for Reliability Data, 1998, chapter 8 (the interval from the likelihood ratio).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.failures import Exponential, Numbers, Weibull, checked_gaps
from flowlab.recovery.numbers import exp

MIN_GAPS: Final = 8
"""Below so many the shape of a Weibull is anybody's guess."""
LEAST_SPREAD: Final = 1e-6
_STEPS: Final = 200
_MOST_SHAPE: Final = 1e7


@dataclass(frozen=True, slots=True)
class Fit:
    """What the observed gaps say of the failures.

    Args:
        chosen: the distribution to use: Weibull where the likelihood ratio refuses exponential.
        exponential: the best exponential one.
        weibull: the best Weibull.
        shape_low, shape_high: the interval of the shape, with `confidence`.
        confidence: of the interval, and of the choice.
        p_value: probability of a likelihood ratio as large, were the failures exponential.
        aic: Akaike's criterion of the Weibull less that of the exponential: below 0 speaks for
            Weibull.
        gaps: how many, the censored ones not counted.
    """

    chosen: Exponential | Weibull
    exponential: Exponential
    weibull: Weibull
    shape_low: float
    shape_high: float
    confidence: float
    p_value: float
    aic: float
    gaps: int

    def __repr__(self) -> str:
        shape = f"shape {self.weibull.shape:.3g} in [{self.shape_low:.3g}, {self.shape_high:.3g}]"
        return f"Fit({self.chosen!r} of {self.gaps} gaps, {shape}, p {self.p_value:.2g})"


def fit(gaps: Iterable[float], *, censored: Iterable[float] = (), confidence: float = 0.95) -> Fit:
    """Fit an exponential and a Weibull distribution to gaps, and choose.

    Args:
        gaps: times between failures, in seconds, at least 8.
        censored: times that ended without a failure, such as the one since the last.
        confidence: of the interval of the shape; exponential is given up where 1 is outside it.

    Raises:
        InvalidArgumentError: too few gaps, one that is not above 0, gaps that are all but equal
            (then there is no chance in them), or a confidence outside 0 to 1.

    Example:
        >>> fit([5, 12, 31, 44, 60, 97, 120, 260])
        Fit(Exponential(mean 78.625 s) of 8 gaps, shape 0.993 in [0.531, 1.61], p 0.98)
    """
    found = checked_gaps(gaps)
    if len(found) < MIN_GAPS:
        message = (
            f"{len(found)} gaps are given; expected at least {MIN_GAPS} to tell a Weibull from an "
            f"exponential distribution: use Exponential(mean_s={np.mean(found):g}), or Empirical"
        )
        raise InvalidArgumentError(message)
    if not 0 < confidence < 1:
        message = f"confidence is {confidence!r}; expected a share between 0 and 1, such as 0.95"
        raise InvalidArgumentError(message)
    profile = _Profile(found, checked_gaps(censored, "censored", least=0))
    shape = profile.best()
    most = profile.log_likelihood(shape)
    ratio = max(0.0, 2.0 * (most - profile.log_likelihood(1.0)))
    exponential, weibull = Exponential(profile.scale_s(1.0)), Weibull(shape, profile.scale_s(shape))
    p_value = math.erfc(math.sqrt(ratio / 2.0))
    quantile = NormalDist().inv_cdf((1.0 + confidence) / 2.0) ** 2
    low, high = profile.interval(shape, most - quantile / 2.0)
    chosen = weibull if p_value < 1.0 - confidence else exponential
    return Fit(
        chosen, exponential, weibull, low, high, confidence, p_value, 2.0 - ratio, len(found)
    )


class _Profile:
    """The likelihood of a Weibull shape, each with its best scale."""

    __slots__ = ("_all", "_failed", "_mean_log", "_unit")

    def __init__(self, gaps: Numbers, censored: Numbers) -> None:
        everything = np.concatenate([gaps, censored])
        # In units of the longest time no power of a shape overflows.
        self._unit = float(np.max(everything))
        self._all = np.log(everything / self._unit)
        self._failed = len(gaps)
        self._mean_log = float(np.mean(np.log(gaps / self._unit)))
        if self._mean_log > -LEAST_SPREAD:
            message = (
                f"all {len(gaps)} gaps are about {self._unit:g} s and nothing lasted longer; "
                "expected gaps that differ: failures that come by the clock have no distribution"
            )
            raise InvalidArgumentError(message)

    def scale_s(self, shape: float) -> float:
        """Return the best scale: the mean of the k-th powers over the failures, its k-th root."""
        return self._unit * exp(self._log_scale(shape))

    def log_likelihood(self, shape: float) -> float:
        """Return the log-likelihood at a shape and its best scale."""
        each = math.log(shape) - shape * self._log_scale(shape) + (shape - 1.0) * self._mean_log
        return self._failed * (each - 1.0 - math.log(self._unit))

    def _log_scale(self, shape: float) -> float:
        total = float(np.sum(np.exp(shape * self._all)))
        return math.log(total / self._failed) / shape

    def best(self) -> float:
        """Return the shape of greatest likelihood, the one root of the derivative of it."""
        low, high, shape = 0.0, math.inf, 1.0
        for _ in range(_STEPS):
            value, slope = self._equation(shape)
            low, high = (shape, high) if value < 0 else (low, shape)
            # The root of a rising function; a step that leaves what is known is halved.
            fresh = shape - value / slope
            if not low < fresh < high:
                fresh = (low + high) / 2.0 if high < math.inf else 2.0 * shape
            if abs(fresh - shape) <= 1e-14 * shape:
                break
            shape = fresh
        return shape

    def interval(self, shape: float, least: float) -> tuple[float, float]:
        """Return between which shapes the likelihood stays above a value."""
        return self._cross(shape, 0.5, least), self._cross(shape, 2.0, least)

    def _equation(self, shape: float) -> tuple[float, float]:
        powers = np.exp(shape * self._all)
        total = float(np.sum(powers))
        first = float(np.sum(powers * self._all)) / total
        second = float(np.sum(powers * self._all**2)) / total
        value = first - 1.0 / shape - self._mean_log
        return value, second - first**2 + 1.0 / shape**2

    def _cross(self, shape: float, factor: float, least: float) -> float:
        inside = outside = shape
        while self.log_likelihood(outside) > least and 1.0 / _MOST_SHAPE < outside < _MOST_SHAPE:
            inside, outside = outside, outside * factor
        for _ in range(_STEPS):
            middle = (inside + outside) / 2.0
            if middle in {inside, outside}:
                break
            if self.log_likelihood(middle) > least:
                inside = middle
            else:
                outside = middle
        return outside
