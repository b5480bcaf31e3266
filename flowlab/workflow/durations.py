"""Durations: an int of nanoseconds, or a timedelta where a person types it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from flowlab.errors import InvalidArgumentError

Duration = int | timedelta
"""Nanoseconds, or a timedelta."""

SECOND: Final = 1_000_000_000
"""Nanoseconds in a second."""


def as_ns(value: Duration, what: str, *, least: int = 0) -> int:
    """Return a duration in nanoseconds.

    Args:
        value: nanoseconds, or a timedelta (exact to its microsecond).
        what: names the argument in the error.
        least: the smallest that is accepted, in nanoseconds.

    Raises:
        InvalidArgumentError: it is neither, or too small.

    Example:
        >>> as_ns(timedelta(seconds=1.5), "timeout"), as_ns(7, "timeout")
        (1500000000, 7)
    """
    if isinstance(value, timedelta):
        ns = (value // timedelta(microseconds=1)) * 1_000
    elif type(value) is int:
        ns = value
    else:
        message = (
            f"{what} is {value!r} ({type(value).__name__}); expected an int of nanoseconds or a "
            "timedelta: timedelta(seconds=2), or 2 * 10**9"
        )
        raise InvalidArgumentError(message)
    if ns < least:
        message = f"{what} is {ns} ns; expected at least {least}"
        raise InvalidArgumentError(message)
    return ns
