"""Whether, and after which delay, a step of a plan is tried again."""

from __future__ import annotations

from collections.abc import Callable

from flowlab.workflow.retry import RetryPolicy

Draw = Callable[[], float]
"""Returns a number from 0 up to 1; each call the next of a stream."""


class Draws:
    """A stream of draws that counts them, so that a fresh one can be brought to the same place.

    Example:
        >>> draws = Draws(lambda: 0.25)
        >>> draws.next(), draws.count
        (0.25, 1)
    """

    __slots__ = ("_draw", "count")

    def __init__(self, draw: Draw | None, count: int = 0) -> None:
        self._draw = draw
        self.count = 0
        while self.count < count:
            self.next()

    def __repr__(self) -> str:
        return f"Draws({self.count})"

    def next(self) -> float:
        """Return the next draw."""
        self.count += 1
        return 0.5 if self._draw is None else self._draw()


def delay_ns(  # noqa: PLR0917 - all of it decides
    policy: RetryPolicy,
    attempt: int,
    error_type: str,
    now_ns: int,
    first_ns: int | None,
    draws: Draws | None,
) -> int | None:
    """Return how long to wait after a failed attempt; None where the failure is final.

    Example:
        >>> delay_ns(RetryPolicy(maximum_attempts=2), 1, "Busy", 5, None, None)
        1000000000
        >>> delay_ns(RetryPolicy(maximum_attempts=2), 2, "Busy", 5, None, None)
    """
    if policy.maximum_attempts == 1:
        return None
    due = policy.next_attempt_ns(
        attempt,
        error_type=error_type,
        now_ns=now_ns,
        first_scheduled_ns=now_ns if first_ns is None else first_ns,
        draw=draws.next() if policy.jitter and draws is not None else 0.5,
    )
    return None if due is None else due - now_ns
