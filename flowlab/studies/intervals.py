"""Intervals of rates, of means, and of paired differences; and how many pairs would tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from statistics import NormalDist
from typing import Final

from flowlab.errors import InvalidArgumentError

POWER: Final = 0.8
"""The chance to find a difference that is there, for which numbers of pairs are given."""
_EXACT_UNTIL: Final = 1_000
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True, repr=False)
class Interval:
    """An estimate, and the values that the data do not speak against.

    Args:
        value: the estimate.
        low, high: the ends, which belong to it.

    Example:
        >>> Interval(0.25, 0.1, 0.4), Interval(0.25, 0.1, 0.4).holds(0)
        (Interval(0.25, 0.1 to 0.4), False)
    """

    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies inside."""
        return self.low <= value <= self.high

    def __repr__(self) -> str:
        return f"Interval({self.value:.4g}, {self.low:.4g} to {self.high:.4g})"


def wilson(successes: int, count: int, *, confidence: float = 0.95) -> Interval:
    """Return a rate with its score interval.

    Its ends are the rates p at which |successes/count - p| is exactly z standard deviations of p,
    so it never leaves 0 to 1, and it is of use at 0 and at 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    J. Am. Stat. Assoc. 22 (1927), 209-212.

    Raises:
        InvalidArgumentError: there are no runs, more successes than runs, or the confidence is
            not between 0 and 1.

    Example:
        >>> wilson(81, 263), wilson(0, 20)
        (Interval(0.308, 0.2553 to 0.3662), Interval(0, 0 to 0.1611))
    """
    if not 0 <= successes <= count or not count:
        message = f"{successes} successes in {count} runs; expected 0 to {count}, of at least one"
        raise InvalidArgumentError(message)
    z2 = _z(confidence) ** 2
    failures = count - successes
    centre = successes + z2 / 2
    half = math.sqrt(z2 * (successes * failures / count + z2 / 4))
    low = (centre - half) / (count + z2) if successes else 0.0
    high = (centre + half) / (count + z2) if failures else 1.0
    return Interval(successes / count, low, high)


def paired_rates(gained: int, lost: int, pairs: int, *, confidence: float = 0.95) -> Interval:
    """Return the difference of two rates of the same pairs, with its score interval.

    Its ends are the differences d at which (gained - lost - pairs * d) is exactly z standard
    deviations, those that are most likely given d. Pairs that agree count by their number alone.

    Source: T. Tango, Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design, Statistics in Medicine 17 (1998), 891-908.

    Args:
        gained: pairs that the second arm alone succeeds in.
        lost: pairs that the first arm alone succeeds in.
        pairs: all of them.
        confidence: of the interval.

    Raises:
        InvalidArgumentError: the counts are not those of pairs, or the confidence is not between 0
            and 1.

    Example:
        >>> paired_rates(9, 3, 32), paired_rates(3, 9, 32)
        (Interval(0.1875, -0.02709 to 0.3897), Interval(-0.1875, -0.3897 to 0.02709))
    """
    if min(gained, lost) < 0 or gained + lost > pairs or not pairs:
        message = f"{gained} gained and {lost} lost of {pairs} pairs; expected at most {pairs} both"
        raise InvalidArgumentError(message)
    z = _z(confidence)
    low = _tango_low(gained, lost, pairs, z)
    return Interval((gained - lost) / pairs, low, -_tango_low(lost, gained, pairs, z))


def _tango_low(gained: int, lost: int, pairs: int, z: float) -> float:
    """Find the smaller end: the score falls as the difference rises, and is 0 at the estimate."""

    def is_below(difference: float) -> bool:
        # Twice the most likely rate of `lost`, given the difference, solves a quadratic.
        linear = -gained - lost + (2 * pairs - gained + lost) * difference
        constant = -lost * difference * (1 - difference)
        root = math.sqrt(max(linear * linear - 8 * pairs * constant, 0.0))
        # Of the two forms of the solution, the one that adds numbers of one sign.
        twice = -4 * constant / (linear + root) if linear > 0 else (root - linear) / (2 * pairs)
        variance = max(twice + difference * (1 - difference), 0.0)
        return gained - lost - pairs * difference > z * math.sqrt(pairs * variance)

    return _last(is_below, -1.0, (gained - lost) / pairs)


def mean_of(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Return a mean with Student's interval.

    The mean of the differences of pairs makes the paired interval. It holds for values that are
    normal, and in good approximation for the mean of many others.

    Source: Student, The probable error of a mean, Biometrika 6 (1908), 1-25.

    Raises:
        InvalidArgumentError: there are fewer than two values, or the confidence is not between 0
            and 1.

    Example:
        >>> mean_of([1.0, 2.0, 3.0, 4.0])
        Interval(2.5, 0.4457 to 4.554)
    """
    if len(values) < 2:  # noqa: PLR2004 - what a spread needs
        message = f"a mean with an interval needs at least two values; {len(values)} given"
        raise InvalidArgumentError(message)
    _z(confidence)
    mean, deviation = _moments(values)
    times = student_quantile(0.5 + confidence / 2, len(values) - 1)
    half = times * deviation / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def student_quantile(probability: float, freedom: int) -> float:
    """Return the value below which Student's t is with a probability from 0.5 on.

    Source: the finite sums of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4, solved by bisection;
    above 1 000 degrees of freedom their expansion 26.7.5.

    Example:
        >>> round(student_quantile(0.975, 10), 6), round(student_quantile(0.975, 10**6), 6)
        (2.228139, 1.959966)
    """
    if freedom > _EXACT_UNTIL:
        x = _NORMAL.inv_cdf(probability)
        first = (x**3 + x) / 4
        second = (5 * x**5 + 16 * x**3 + 3 * x) / 96
        third = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
        return x + first / freedom + second / freedom**2 + third / freedom**3
    inside = 2 * probability - 1
    angle = _last(lambda theta: _within(theta, freedom) < inside, 0.0, math.pi / 2)
    return math.tan(angle) * math.sqrt(freedom)


def _within(theta: float, freedom: int) -> float:
    """Return the probability that |t| is below tan(theta) * sqrt(freedom)."""
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = freedom % 2
    term, terms = (cosine, []) if odd else (1.0, [])
    for place in range(1 + odd, freedom, 2):
        terms.append(term)
        term *= cosine * cosine * place / (place + 1)
    total = sine * math.fsum(terms)
    return (theta + total) * 2 / math.pi if odd else total


def pairs_for_rates(
    gained: int, lost: int, pairs: int, *, confidence: float = 0.95, power: float = POWER
) -> int | None:
    """Return how many pairs would tell two rates apart, were the ones seen the true ones.

    Source: R. J. Connor, Sample size for testing differences in proportions for the paired-sample
    design, Biometrics 43 (1987), 207-211: (z sqrt(p) + y sqrt(p - d^2))^2 / d^2 pairs, with p the
    part of the pairs that disagree, d the difference, and z and y the normal quantiles of the
    confidence and of the power.

    Returns:
        The number of pairs; None where no difference was seen, which no number would show.

    Example:
        >>> pairs_for_rates(30, 20, 500), pairs_for_rates(20, 20, 500)
        (1960, None)
    """
    if gained == lost:
        return None
    discordant, difference = (gained + lost) / pairs, (gained - lost) / pairs
    rest = math.sqrt(max(discordant - difference**2, 0.0))
    root = _z(confidence) * math.sqrt(discordant) + _NORMAL.inv_cdf(power) * rest
    return math.ceil((root / difference) ** 2)


def pairs_for_means(
    differences: Sequence[float], *, confidence: float = 0.95, power: float = POWER
) -> int | None:
    """Return how many pairs would tell two means apart, were the ones seen the true ones.

    Source: W. C. Guenther, Sample size formulas for normal theory t tests, The American
    Statistician 35 (1981), 243-244: ((z + y) s / d)^2 + z^2 / 2 pairs, with s the standard
    deviation of the differences, d their mean, and z and y the normal quantiles of the confidence
    and of the power.

    Returns:
        The number of pairs; None where no difference was seen, which no number would show.

    Example:
        >>> pairs_for_means([0.5, -1.0, 1.5, -0.5, 1.0])
        96
    """
    mean, deviation = _moments(differences)
    if not mean:
        return None
    z = _z(confidence)
    return math.ceil(((z + _NORMAL.inv_cdf(power)) * deviation / mean) ** 2 + z**2 / 2)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1))


def check_confidence(confidence: float) -> None:
    """Check that a confidence is one.

    Raises:
        InvalidArgumentError: it is no number between 0 and 1.

    Example:
        >>> check_confidence(95)
        Traceback (most recent call last):
        flowlab.errors.InvalidArgumentError: confidence is 95; expected a number ...
    """
    if not isinstance(confidence, Real) or not 0 < confidence < 1:
        message = f"confidence is {confidence!r}; expected a number between 0 and 1, such as 0.95"
        raise InvalidArgumentError(message)


def _z(confidence: float) -> float:
    check_confidence(confidence)
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


def _last(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Bisect to the last float below which a condition holds."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return low
        if is_below(middle):
            low = middle
        else:
            high = middle
