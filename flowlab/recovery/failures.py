"""How long a system runs between failures: exponential, Weibull, or as it was observed.

A gap is the time from the moment a system runs (again) to its next failure. All times are seconds.
A distribution is a value with a mean, a survival function, a hazard and draws; `flowlab.recovery.
fitting` finds one for observed gaps, `flowlab.recovery.renewal` the best interval under it.

Sources: Schroeder and Gibson, A large-scale study of failures in high-performance computing
systems, IEEE TDSC 7(4), 2010 (Weibull with a shape of 0.7 to 0.8); Kitchin, Langberg and Proschan,
A new method for estimating life distributions from incomplete data, Statistics & Decisions 1, 1983.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.numbers import LARGEST, SMALLEST, at_least, positive

Numbers = NDArray[np.float64]


class Chance(Protocol):
    """What draws: a numpy generator, seeded by whoever hosts the experiment."""

    def random(self, size: int) -> Numbers:
        """Return so many numbers from 0 to below 1."""


class Failures(Protocol):
    """A distribution of the time between failures, in seconds."""

    @property
    def mean_s(self) -> float:
        """The mean time between failures."""

    def survival(self, seconds: ArrayLike) -> Numbers:
        """Return the probability that a gap is longer, for each time."""

    def hazard(self, seconds: ArrayLike) -> Numbers:
        """Return the failures a second of a system that has run so long, for each time."""

    def draw(self, chance: Chance, count: int) -> Numbers:
        """Return so many gaps drawn with a generator."""


@dataclass(frozen=True, slots=True)
class Exponential:
    """Failures that have no memory: a system that ran long fails neither sooner nor later.

    Args:
        mean_s: the mean time between failures (M).

    Raises:
        InvalidArgumentError: it is not a finite number above 0.

    Example:
        >>> day = Exponential(86_400)
        >>> day, round(float(day.survival(86_400)), 6)
        (Exponential(mean 86400 s), 0.367879)
    """

    mean_s: float

    def __post_init__(self) -> None:
        positive(mean_s=self.mean_s)

    def survival(self, seconds: ArrayLike) -> Numbers:
        """Return the probability that a gap is longer, for each time."""
        return np.asarray(np.exp(-_times(seconds) / self.mean_s))

    def hazard(self, seconds: ArrayLike) -> Numbers:
        """Return the failures a second, which is the same after any time."""
        return np.full_like(_times(seconds), 1.0 / self.mean_s)

    def draw(self, chance: Chance, count: int) -> Numbers:
        """Return so many gaps drawn with a generator."""
        return -self.mean_s * np.log1p(-chance.random(count))

    def __repr__(self) -> str:
        return f"Exponential(mean {self.mean_s:g} s)"


@dataclass(frozen=True, slots=True)
class Weibull:
    """Failures that get rarer (shape below 1) or more frequent (above 1) the longer a system runs.

    Args:
        shape: k; with 1 it is exponential.
        scale_s: the time by which 63 % of the gaps have ended.

    Raises:
        InvalidArgumentError: one is not a finite number above 0.

    Example:
        >>> young = Weibull(0.7, 1000)
        >>> young, bool(young.hazard(10) > young.hazard(1000))
        (Weibull(shape 0.7, mean 1265.82 s), True)
    """

    shape: float
    scale_s: float

    def __post_init__(self) -> None:
        positive(shape=self.shape, scale_s=self.scale_s)

    @classmethod
    def of_mean(cls, mean_s: float, shape: float) -> Weibull:
        """Return the one of a shape whose mean is this.

        Example:
            >>> round(Weibull.of_mean(3600, 0.7).mean_s, 6)
            3600.0
        """
        positive(mean_s=mean_s, shape=shape)
        return cls(shape, mean_s / cls(shape, 1.0).mean_s)

    @property
    def mean_s(self) -> float:
        """The mean time between failures: scale times Gamma(1 + 1/shape)."""
        with np.errstate(over="ignore"):
            return self.scale_s * float(np.exp(math.lgamma(1.0 + 1.0 / self.shape)))

    def survival(self, seconds: ArrayLike) -> Numbers:
        """Return the probability that a gap is longer, for each time."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(-((_times(seconds) / self.scale_s) ** self.shape)))

    def hazard(self, seconds: ArrayLike) -> Numbers:
        """Return the failures a second after each time; infinite at 0 for a shape below 1."""
        with np.errstate(divide="ignore", over="ignore"):
            power = (_times(seconds) / self.scale_s) ** (self.shape - 1.0)
        return np.asarray(self.shape / self.scale_s * power)

    def draw(self, chance: Chance, count: int) -> Numbers:
        """Return so many gaps drawn with a generator."""
        hazards = -np.log1p(-chance.random(count))
        with np.errstate(over="ignore"):
            return np.asarray(self.scale_s * hazards ** (1.0 / self.shape))

    def __repr__(self) -> str:
        return f"Weibull(shape {self.shape:.4g}, mean {self.mean_s:g} s)"


@dataclass(frozen=True, slots=True)
class Empirical:
    """Failures as they were observed, with no law assumed: each gap is as likely as the others.

    Args:
        gaps_s: the observed times between failures, at least one; kept in rising order.

    Raises:
        InvalidArgumentError: there is none, or one is not a finite number above 0.

    Example:
        >>> seen = Empirical([30, 10, 20, 20])
        >>> seen, float(seen.survival(20)), float(seen.survival(19.9))
        (Empirical(4 gaps, mean 20 s), 0.25, 0.75)
    """

    gaps_s: tuple[float, ...]

    def __init__(self, gaps_s: Iterable[float]) -> None:
        object.__setattr__(self, "gaps_s", tuple(np.sort(checked_gaps(gaps_s)).tolist()))

    @property
    def mean_s(self) -> float:
        """The mean of the gaps."""
        return math.fsum(self.gaps_s) / len(self.gaps_s)

    def survival(self, seconds: ArrayLike) -> Numbers:
        """Return the share of the gaps that are longer, for each time."""
        longer = len(self.gaps_s) - np.searchsorted(self.gaps_s, _times(seconds), side="right")
        return np.asarray(longer / len(self.gaps_s))

    def hazard(self, seconds: ArrayLike) -> Numbers:
        """Return the failures a second after each time: the piecewise exponential estimate.

        Between two gaps that follow each other in length it is the failures at the end over the
        time that all which lasted so long spent in between; infinite beyond the longest.
        """
        ends, failed = np.unique(self.gaps_s, return_counts=True)
        widths = np.diff(ends, prepend=0.0)
        at_risk = np.cumsum(failed[::-1])[::-1]
        rates = np.append(failed / (at_risk * widths), math.inf)
        return np.asarray(rates[np.searchsorted(ends, _times(seconds), side="left")])

    def draw(self, chance: Chance, count: int) -> Numbers:
        """Return so many gaps drawn with a generator, with replacement."""
        places = (chance.random(count) * len(self.gaps_s)).astype(np.int64)
        return np.asarray(self.gaps_s)[places]

    def __repr__(self) -> str:
        count = len(self.gaps_s)
        return f"Empirical({count} gap{'s' * (count != 1)}, mean {self.mean_s:g} s)"


def checked_gaps(gaps: Any, name: str = "gaps", *, least: int = 1) -> Numbers:
    """Return gaps as an array of numbers above 0, or refuse them by their place.

    Raises:
        InvalidArgumentError: there are fewer than `least`, or one is not a finite number above 0.

    Example:
        >>> checked_gaps([1, 2.5]).tolist()
        [1.0, 2.5]
    """
    values = list(gaps) if isinstance(gaps, Iterable) else gaps
    try:
        given = np.asarray(values)
    except (TypeError, ValueError):
        given = np.empty((0, 0))
    if given.ndim != 1 or given.dtype.kind not in "iuf":
        message = f"{name} are {str(values)[:60]}; expected a sequence of numbers of seconds"
        raise InvalidArgumentError(message)
    found = given.astype(np.float64)
    if len(found) < least:
        message = f"{len(found)} {name} are given; expected at least {least}"
        raise InvalidArgumentError(message)
    wrong = np.flatnonzero(~((found >= SMALLEST) & (found <= LARGEST)))
    if len(wrong):
        place = int(wrong[0])
        message = f"{name}[{place}] is {found[place]:g}; expected a finite number above 0"
        if name == "gaps" and found[place] == 0:
            message += ": failures at the same moment are one failure, so give it once"
        raise InvalidArgumentError(message)
    return found


def as_failures(failures: Any) -> Failures:
    """Return a distribution of what a person gives: one, a mean in seconds, or observed gaps.

    Raises:
        InvalidArgumentError: it is none of these.

    Example:
        >>> as_failures(3600), as_failures([10, 20])
        (Exponential(mean 3600 s), Empirical(2 gaps, mean 15 s))
    """
    if isinstance(failures, (Exponential, Weibull, Empirical)):
        return failures
    if isinstance(failures, (int, float)):
        if isinstance(failures, bool):
            _no(failures)
        positive(**{"the mean of failures": failures})
        return Exponential(float(failures))
    if isinstance(failures, (str, bytes)) or not isinstance(failures, Iterable):
        needed = ("mean_s", "survival", "hazard", "draw")
        if not all(hasattr(failures, name) for name in needed):
            _no(failures)
        found: Failures = failures  # type: ignore[assignment]
        return found
    return Empirical(failures)


def _no(failures: object) -> Any:
    message = (
        f"failures are {str(failures)[:60]!r}; expected a mean number of seconds between them, "
        "observed gaps in seconds, or a distribution such as Weibull(shape, scale_s)"
    )
    raise InvalidArgumentError(message)


def _times(seconds: ArrayLike) -> Numbers:
    found = np.asarray(seconds, np.float64)
    if not bool(np.all(found >= 0)):
        at_least(0.0, seconds=float(np.min(found)))
    return found
