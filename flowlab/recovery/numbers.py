"""Checks of numbers at the door of the law, and exponentials that do not overflow."""

from __future__ import annotations

import math
from typing import Final

from flowlab.errors import InvalidArgumentError

SMALLEST: Final = 1e-100
LARGEST: Final = 1e100
"""Between them products and quotients of what the laws take are numbers again."""
OVERFLOW: Final = 700.0
"""An exponential beyond is as good as infinite."""


def positive(**values: float) -> None:
    """Refuse what is not a finite number above 0, from 1e-100 to 1e100, by name.

    Raises:
        InvalidArgumentError: a value is not.
    """
    for name, value in values.items():
        if not _is_number(value) or not SMALLEST <= value <= LARGEST:
            message = (
                f"{name} is {value!r}; expected a finite number above 0, from {SMALLEST:g} to "
                f"{LARGEST:g}"
            )
            raise InvalidArgumentError(message)


def probability(**values: float) -> None:
    """Refuse what is no probability above 0, by name.

    Raises:
        InvalidArgumentError: a value is not.
    """
    positive(**values)
    for name, value in values.items():
        if value > 1:
            message = f"{name} is {value!r}; expected a probability of at most 1"
            raise InvalidArgumentError(message)


def at_least(least: float, **values: float) -> None:
    """Refuse what is not a finite number of at least a value, by name.

    Raises:
        InvalidArgumentError: a value is not, or is above 1e100.
    """
    for name, value in values.items():
        if not _is_number(value) or not least <= value <= LARGEST:
            message = f"{name} is {value!r}; expected a finite number of at least {least:g}"
            raise InvalidArgumentError(message)


def exp(x: float) -> float:
    """Return e^x, infinite where it would overflow."""
    return math.inf if x > OVERFLOW else math.exp(x)


def expm1(x: float) -> float:
    """Return e^x - 1, infinite where it would overflow."""
    return math.inf if x > OVERFLOW else math.expm1(x)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
