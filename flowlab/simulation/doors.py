"""What the values of this room check at the door: rates, factors, and JSON objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.workflow import Duration, as_ns

RATE_BITS: Final = 21
"""A rate is exact to 2^-21, about one in two million: three of them share one draw."""

LEAST_RATE: Final = 2.0**-RATE_BITS
"""The smallest rate that is not 0."""

MAX_AT_NS: Final = 1 << 62
"""Latest virtual time at which anything may be asked to happen: 146 years."""


def as_rate(value: Any, what: str) -> float:
    """Return a probability: 0, or a number from `LEAST_RATE` to 1.

    Raises:
        InvalidArgumentError: it is none.

    Example:
        >>> as_rate(1, "loss")
        1.0
    """
    if type(value) not in {int, float} or not 0 <= value <= 1:
        message = f"{what} is {value!r}; expected a rate from 0 to 1: 0.01 is one in a hundred"
        raise InvalidArgumentError(message)
    if 0 < value < LEAST_RATE:
        message = f"{what} is {value!r}; expected 0, or a rate from 2**-{RATE_BITS} (5e-7) to 1"
        raise InvalidArgumentError(message)
    return float(value)


def as_number(value: Any, what: str, *, least: float, most: float) -> float:
    """Return a number between two bounds.

    Raises:
        InvalidArgumentError: it is none.

    Example:
        >>> as_number(3, "slow_factor", least=1, most=10)
        3.0
    """
    if type(value) not in {int, float} or not least <= value <= most:
        message = f"{what} is {value!r}; expected a number from {least:g} to {most:g}"
        raise InvalidArgumentError(message)
    return float(value)


def as_members(
    value: Any, what: str, *, known: Collection[str], required: Collection[str] = ()
) -> dict[str, Any]:
    """Return the fields of a JSON object that has all of the required, and none but the known.

    Raises:
        InvalidArgumentError: it is no object, or a field is unknown or missing.

    Example:
        >>> as_members({"loss": 0.1}, "faults", known=["loss"])
        {'loss': 0.1}
    """
    if not isinstance(value, Mapping):
        message = f"{what}: got {value!r} ({type(value).__name__}); expected an object of fields"
        raise InvalidArgumentError(message)
    unknown = [name for name in value if name not in known]
    if unknown:
        fields = ", ".join(known)
        message = f"{what}: the field {unknown[0]!r} is unknown; the fields are {fields}"
        raise InvalidArgumentError(message)
    missing = [name for name in required if name not in value]
    if missing:
        message = (
            f"{what}: the field {missing[0]!r} is missing; there is {', '.join(value) or 'none'}"
        )
        raise InvalidArgumentError(message)
    return dict(value)


def as_time(value: Duration, what: str) -> int:
    """Return a time of the world in nanoseconds.

    Raises:
        InvalidArgumentError: it is no duration, negative, or later than `MAX_AT_NS`.

    Example:
        >>> as_time(7, "at")
        7
    """
    ns = value if type(value) is int and value >= 0 else as_ns(value, what)
    if ns > MAX_AT_NS:
        message = f"{what} is {ns} ns; expected at most MAX_AT_NS ({MAX_AT_NS}), 146 years"
        raise InvalidArgumentError(message)
    return ns
