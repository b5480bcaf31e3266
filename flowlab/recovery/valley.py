"""Where a function with one valley is least."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

_GOLDEN: Final = (math.sqrt(5.0) - 1.0) / 2.0
_ROUNDS: Final = 120
"""Rounds narrow the place by 0.618 each: after these it is as narrow as numbers are."""


def lowest(
    of: Callable[[float], float], low: float, high: float, *, precision: float = 0.0
) -> float:
    """Return where a function with one valley is least, by golden section.

    Args:
        of: the function.
        low: least place.
        high: greatest place.
        precision: share of the place to which it is found, where a call is dear.

    Example:
        >>> round(lowest(lambda x: (x - 2) ** 2, 0, 10), 6)
        2.0
    """
    one, other = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_one, at_other = of(one), of(other)
    for _ in range(_ROUNDS):
        if high - low <= precision * high:
            break
        if at_one <= at_other:
            high, other, at_other = other, one, at_one
            one = high - _GOLDEN * (high - low)
            at_one = of(one)
        else:
            low, one, at_one = one, other, at_other
            other = low + _GOLDEN * (high - low)
            at_other = of(other)
    return (low + high) / 2.0
