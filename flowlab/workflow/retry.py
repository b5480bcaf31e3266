"""When a failed attempt is tried again: a pure function of logical time, never of the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.workflow.durations import SECOND, Duration, as_ns

MAX_INTERVAL_FACTOR: Final = 100
"""Without a maximum of its own, an interval grows to so many initial intervals."""

UNKNOWN_ACTIVITY: Final = "UnknownActivity"
"""The type of the error where nobody can be asked: the next attempt finds nobody either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how late a failed activity is tried again.

    Before retry k (k = 1 after the first failure) it waits
    min(maximum_interval, initial_interval * backoff_coefficient^(k-1)). Source: the retry policies
    of Temporal, whose defaults these are.

    Args:
        initial_interval: before the first retry; nanoseconds or a timedelta (1 s).
        backoff_coefficient: by which the interval grows, at least 1 (2.0).
        maximum_interval: the longest; None is 100 times the initial one.
        maximum_attempts: the first included; None is without limit.
        non_retryable_error_types: names of error types that are final. That no agent has such an
            activity (`UnknownActivity`) always is.
        retry_timeout: no attempt begins later than this after the first was scheduled, in logical
            time; None is without limit.
        jitter: the part of an interval that is drawn: 0.1 gives 90 to 110 % of it.

    Raises:
        InvalidArgumentError: an argument is outside what it may be.

    Example:
        >>> policy = RetryPolicy(maximum_attempts=4)
        >>> [policy.interval_ns(retry) // SECOND for retry in (1, 2, 3, 20)]
        [1, 2, 4, 100]
        >>> policy.next_attempt_ns(4, error_type="Timeout", now_ns=0, first_scheduled_ns=0)
    """

    initial_interval: Duration = SECOND
    backoff_coefficient: float = 2.0
    maximum_interval: Duration | None = None
    maximum_attempts: int | None = None
    non_retryable_error_types: tuple[str, ...] = ()
    retry_timeout: Duration | None = None
    jitter: float = 0.0

    def __post_init__(self) -> None:
        put = object.__setattr__
        initial = as_ns(self.initial_interval, "initial_interval", least=1)
        put(self, "initial_interval", initial)
        if self.maximum_interval is not None:
            most = as_ns(self.maximum_interval, "maximum_interval", least=initial)
            put(self, "maximum_interval", most)
        if self.retry_timeout is not None:
            put(self, "retry_timeout", as_ns(self.retry_timeout, "retry_timeout", least=1))
        _check_number(self.backoff_coefficient, "backoff_coefficient", 1, 1e6)
        _check_number(self.jitter, "jitter", 0, 1)
        attempts = self.maximum_attempts
        if attempts is not None and (type(attempts) is not int or attempts < 1):
            message = f"maximum_attempts is {attempts!r}; expected an int of at least 1, or None"
            raise InvalidArgumentError(message)
        names = self.non_retryable_error_types
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            message = (
                f"non_retryable_error_types is {names!r}; expected names of error types, such as "
                '("CardDeclined",)'
            )
            raise InvalidArgumentError(message)
        put(self, "non_retryable_error_types", tuple(names))

    def interval_ns(self, retry: int, *, draw: float = 0.5) -> int:
        """Return the wait before a retry, in nanoseconds.

        Args:
            retry: 1 after the first failure.
            draw: from [0, 1): where the jitter falls; a half is no change.

        Raises:
            InvalidArgumentError: `retry` is below 1, or `draw` outside [0, 1).
        """
        if type(retry) is not int or retry < 1:
            message = f"retry is {retry!r}; expected an int of at least 1"
            raise InvalidArgumentError(message)
        if not 0 <= draw < 1:
            message = f"draw is {draw!r}; expected a number from 0 up to 1"
            raise InvalidArgumentError(message)
        assert isinstance(self.initial_interval, int)
        most = self.initial_interval * MAX_INTERVAL_FACTOR
        if self.maximum_interval is not None:
            assert isinstance(self.maximum_interval, int)
            most = self.maximum_interval
        interval: float = self.initial_interval
        # Multiplying one by one is the same everywhere; a power's last digit is not.
        for _ in range(retry - 1):
            if interval >= most or self.backoff_coefficient == 1:
                break
            interval *= self.backoff_coefficient
        capped = min(most, round(interval))
        if not self.jitter:
            return capped
        return round(capped * (1 + self.jitter * (2 * draw - 1)))

    def next_attempt_ns(
        self,
        attempt: int,
        *,
        error_type: str,
        now_ns: int,
        first_scheduled_ns: int,
        draw: float = 0.5,
    ) -> int | None:
        """Return the logical time of the next attempt, or None where the failure is final.

        Args:
            attempt: the one that failed, from 1.
            error_type: of its failure.
            now_ns: the logical time of the failure: the event's, never the clock's at replay.
            first_scheduled_ns: the logical time at which the activity was first scheduled.
            draw: as for `interval_ns`.
        """
        if error_type == UNKNOWN_ACTIVITY or error_type in self.non_retryable_error_types:
            return None
        if self.maximum_attempts is not None and attempt >= self.maximum_attempts:
            return None
        due = now_ns + self.interval_ns(attempt, draw=draw)
        if self.retry_timeout is not None:
            assert isinstance(self.retry_timeout, int)
            if due > first_scheduled_ns + self.retry_timeout:
                return None
        return due

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: the fields that differ from the defaults, durations in nanoseconds."""
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                found[field.name] = list(value) if isinstance(value, tuple) else value
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RetryPolicy:
        """Read what `to_json` wrote.

        Raises:
            InvalidArgumentError: a field is unknown, or its value outside what it may be.

        Example:
            >>> RetryPolicy.from_json(RetryPolicy(maximum_attempts=3).to_json())
            RetryPolicy(maximum_attempts=3)
        """
        if not isinstance(value, Mapping):
            message = f"a retry policy is {value!r}; expected an object of its fields"
            raise InvalidArgumentError(message)
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(value) - known)
        if unknown:
            message = f"a retry policy has no {unknown}; its fields are {sorted(known)}"
            raise InvalidArgumentError(message)
        names = value.get("non_retryable_error_types", ())
        rest = {key: item for key, item in value.items() if key != "non_retryable_error_types"}
        return cls(
            **rest,
            non_retryable_error_types=tuple(names) if isinstance(names, list) else names,
        )

    def __repr__(self) -> str:
        told = ", ".join(
            f"{name}={tuple(value) if isinstance(value, list) else value!r}"
            for name, value in self.to_json().items()
        )
        return f"RetryPolicy({told})"


def _check_number(value: object, name: str, least: float, most: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not least <= float(str(value)) <= most:
        message = f"{name} is {value!r}; expected a number from {least:g} to {most:g}"
        raise InvalidArgumentError(message)


NO_RETRY: Final = RetryPolicy(maximum_attempts=1)
"""One attempt."""
