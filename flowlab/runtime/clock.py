"""The clock of a durable host: wall time that never runs backwards."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from flowlab.store.clock import monotonic_s, wall_ns


@runtime_checkable
class Clock(Protocol):
    """Says what time it is; a test gives one of its own."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970, never fewer than before."""
        ...


class WallClock:
    """The wall clock, which goes on by the time that has passed where the system's is set back.

    Example:
        >>> clock = WallClock()
        >>> clock.now_ns() <= clock.now_ns()
        True
    """

    __slots__ = ("_last_ns", "_seen_s")

    def __init__(self) -> None:
        self._last_ns = 0
        self._seen_s = monotonic_s()

    def __repr__(self) -> str:
        return "WallClock()"

    def now_ns(self) -> int:
        """Return nanoseconds since 1970."""
        wall, seen_s = wall_ns(), monotonic_s()
        if wall < self._last_ns:
            wall = self._last_ns + int((seen_s - self._seen_s) * 1e9)
        self._last_ns, self._seen_s = wall, seen_s
        return wall

    def at_least(self, time_ns: int) -> None:
        """Go on from a time that the log has, if it is later."""
        if time_ns > self.now_ns():
            self._last_ns = time_ns
