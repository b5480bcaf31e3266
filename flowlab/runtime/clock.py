"""The clock of a durable host: wall time that never runs backwards."""

from __future__ import annotations

from typing import Protocol

from flowlab.store.clock import wall_ns


class Clock(Protocol):
    """Says what time it is; a test gives one of its own."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970, never fewer than before."""
        ...


class WallClock:
    """The wall clock, which stands still where the system's is set back.

    Example:
        >>> clock = WallClock()
        >>> clock.now_ns() <= clock.now_ns()
        True
    """

    __slots__ = ("_last_ns",)

    def __init__(self) -> None:
        self._last_ns = 0

    def __repr__(self) -> str:
        return "WallClock()"

    def now_ns(self) -> int:
        """Return nanoseconds since 1970."""
        self._last_ns = max(self._last_ns, wall_ns())
        return self._last_ns
