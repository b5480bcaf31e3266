"""The principal branch of Lambert's W on the real line, with what `numpy` alone does not have."""

from __future__ import annotations

import math
from typing import Final

from flowlab.errors import InvalidArgumentError

BRANCH_POINT: Final = -1.0 / math.e
_STEPS: Final = 50
_NEAR: Final = 1e-6
_SMALL: Final = 0.1
_MIDDLE: Final = 0.5
_FAR: Final = 30.0


def lambert_w0(x: float) -> float:
    """Return w, at least -1, with w e^w = x.

    Near the branch point the series in sqrt(2 (e x + 1)) is used, elsewhere Halley's iteration to
    the last digit (Corless et al., On the Lambert W function, 1996).

    Args:
        x: at least -1/e.

    Raises:
        InvalidArgumentError: x is below -1/e, or no number.

    Example:
        >>> lambert_w0(math.e), round(lambert_w0(1.0), 12)
        (1.0, 0.56714329041)
    """
    if not x >= BRANCH_POINT:
        if x > BRANCH_POINT - 1e-15:
            return -1.0  # below it by rounding alone
        message = f"W0 is asked at {x!r}; expected a number of at least -1/e ({BRANCH_POINT:.6g})"
        raise InvalidArgumentError(message)
    if math.isinf(x):
        return x
    distance = math.e * x + 1.0
    root = math.sqrt(max(0.0, 2.0 * distance))
    if root < _NEAR:
        return -1.0 + root - root * root / 3.0
    return _halley(x, _first_guess(x, root))


def one_plus_w0(epsilon: float) -> float:
    """Return 1 + W0(-e^(-1-epsilon)), from 0 to 1, to full relative accuracy.

    With W0 = -1 + u it solves u + log(1 - u) = -epsilon, in which nothing small is subtracted from
    something large: the intervals of small costs come from here.

    Raises:
        InvalidArgumentError: epsilon is below 0, or no number.

    Example:
        >>> round(one_plus_w0(0.1), 9), one_plus_w0(0.0)
        (0.383183168, 0.0)
    """
    if not epsilon >= 0.0:
        message = f"epsilon is {epsilon!r}; expected a number of at least 0"
        raise InvalidArgumentError(message)
    if epsilon == 0.0:
        return 0.0
    if epsilon > _FAR:
        return 1.0 + lambert_w0(-math.exp(-1.0 - epsilon))
    u = min(math.sqrt(2.0 * epsilon), 1.0 - math.exp(-1.0 - epsilon))
    for _ in range(_STEPS):
        # f(u) = u + log1p(-u) + epsilon; its derivative is -u / (1 - u).
        value = _u_plus_log1p(u) + epsilon
        change = value * (1.0 - u) / u
        fresh = min(max(u + change, u / 4.0), (1.0 + u) / 2.0)
        if abs(fresh - u) <= 4e-16 * u:
            return fresh
        u = fresh
    return u


def _u_plus_log1p(u: float) -> float:
    """Return u + log(1 - u), which is about -u^2/2 for a small u."""
    if u > _SMALL:
        return u + math.log1p(-u)
    total, term = 0.0, u * u
    for place in range(2, 40):
        total -= term / place
        term *= u
        if term < 1e-18 * abs(total):
            break
    return total


def _first_guess(x: float, root: float) -> float:
    if x < -_SMALL:
        return -1.0 + root - root * root / 3.0 + 11.0 / 72.0 * root**3
    if x < _MIDDLE:
        return x / (1.0 + x)
    return math.log1p(x) * (1.0 - math.log1p(math.log1p(x)) / (2.0 + math.log1p(x)))


def _halley(x: float, w: float) -> float:
    for _ in range(_STEPS):
        power = math.exp(w)
        value = w * power - x
        slope = power * (w + 1.0) - (w + 2.0) * value / (2.0 * w + 2.0)
        change = value / slope
        w -= change
        if abs(change) <= 4e-16 * max(abs(w), 1e-300):
            break
    return w
