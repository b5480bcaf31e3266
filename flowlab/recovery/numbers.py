"""Checks of numbers at the door of the law."""

from __future__ import annotations

import math

from flowlab.errors import InvalidArgumentError


def positive(**values: float) -> None:
    """Refuse what is not a finite number above 0, by name.

    Raises:
        InvalidArgumentError: a value is not.
    """
    for name, value in values.items():
        if not _is_number(value) or not 0 < value < math.inf:
            message = f"{name} is {value!r}; expected a finite number above 0"
            raise InvalidArgumentError(message)


def at_least(least: float, **values: float) -> None:
    """Refuse what is not a finite number of at least a value, by name.

    Raises:
        InvalidArgumentError: a value is not.
    """
    for name, value in values.items():
        if not _is_number(value) or not least <= value < math.inf:
            message = f"{name} is {value!r}; expected a finite number of at least {least:g}"
            raise InvalidArgumentError(message)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
