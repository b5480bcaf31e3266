"""From time, order or causal depth to pixels: one straight scale, with long idle gaps taken out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from flowlab.figures.text import duration

BREAK_WIDTH: Final = 34.0
"""Pixels that a taken-out gap keeps."""
MAX_BREAKS: Final = 12
_TICK_ROOM: Final = 84.0
_MINUTE: Final = 60 * 10**9
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_LONG_STEPS: Final = (
    *(n * 10**9 for n in (10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000, 50000)),
)
_STEPS: Final = (*(n * 10**k for k in range(10) for n in (1, 2, 5)), *_LONG_STEPS)


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on the axis, in pixels, with its label."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Break:
    """A gap taken out: its place in pixels and how long it was."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A piecewise straight map from values to pixels.

    `segments` holds (first value, last value, x of the first value); `scale` is pixels for one
    unit of value.
    """

    kind: str
    segments: tuple[tuple[int, int, float], ...]
    scale: float
    end: float

    def x(self, value: int) -> float:
        """Return the place of a value in pixels; values in a break stand in its middle."""
        for first, last, start in self.segments:
            if value < first:
                return start - BREAK_WIDTH / 2
            if value <= last:
                return start + (value - first) * self.scale
        return self.end

    @property
    def breaks(self) -> tuple[Break, ...]:
        """The gaps taken out."""
        pairs = zip(self.segments, self.segments[1:], strict=False)
        return tuple(
            Break(after[2] - BREAK_WIDTH / 2, duration(after[0] - before[1]))
            for before, after in pairs
        )

    def ticks(self) -> tuple[Tick, ...]:
        """Return ticks at round values: from the first event, or from the last break."""
        if self.kind != "time":
            return self._counts()
        step = next((s for s in _STEPS if s * self.scale >= _TICK_ROOM), _STEPS[-1])
        ticks: list[Tick] = []
        for index, (first, last, start) in enumerate(self.segments):
            for place in range((last - first) // step + 1):
                label = tick_label(place * step, step)
                x = start + place * step * self.scale
                if index and place == 0:
                    continue
                if not ticks or x - ticks[-1].x >= _TICK_ROOM * 0.6:
                    ticks.append(Tick(x, "+" + label if index else label))
        return tuple(ticks)

    def _counts(self) -> tuple[Tick, ...]:
        first, last, start = self.segments[0]
        step = next((s for s in _STEPS if s * self.scale >= _TICK_ROOM / 2), _STEPS[-1])
        return tuple(
            Tick(start + place * self.scale, f"{first + place}")
            for place in range(0, last - first + 1, step)
        )


def tick_label(ns: int, step: int) -> str:
    """Write a tick in the unit of its step.

    Example:
        >>> tick_label(40_000_000, 20_000_000), tick_label(0, 10), tick_label(90 * 10**9, 10**10)
        ('40 ms', '0', '90 s')
    """
    if ns == 0:
        return "0"
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (10**9, "s"), (10**6, "ms"))
    for unit, name in (*units, (10**3, "µs"), (1, "ns")):
        if step >= unit:
            return f"{ns / unit:g} {name}"
    return f"{ns} ns"


def make_axis(
    kind: str,
    values: Iterable[int],
    working: Sequence[tuple[int, int]],
    *,
    left: float,
    right: float,
) -> Axis:
    """Fit values between two pixels, taking out long gaps in which nobody worked.

    Args:
        kind: `"time"`, `"order"` or `"depth"`; only time has gaps taken out.
        values: every value that is drawn.
        working: spans of work, which are never taken out.
        left: pixel of the first value.
        right: pixel of the last.

    Example:
        >>> make_axis("order", [0, 1, 2], [], left=0, right=100).x(1)
        50.0
    """
    places = sorted(set(values)) or [0]
    gaps = _idle_gaps(places, working) if kind == "time" else []
    bounds = [places[0], *(edge for gap in sorted(gaps) for edge in gap), places[-1]]
    pairs = list(zip(bounds[::2], bounds[1::2], strict=True))
    room = right - left - BREAK_WIDTH * len(gaps)
    length = sum(last - first for first, last in pairs)
    scale = room / length if length else 0.0
    segments, x = [], left
    for first, last in pairs:
        segments.append((first, last, x))
        x += (last - first) * scale + BREAK_WIDTH
    return Axis(kind, tuple(segments), scale, right)


def _idle_gaps(places: Sequence[int], working: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Choose the gaps to take out: each more than twice as long as all that would remain."""
    gaps = []
    spans = sorted(working)
    place, reached = 0, places[0]
    for before, after in pairwise(places):
        while place < len(spans) and spans[place][0] <= before:
            reached = max(reached, spans[place][1])
            place += 1
        if reached <= before:
            gaps.append((before, after))
    gaps.sort(key=lambda gap: (gap[0] - gap[1], gap))
    remaining = places[-1] - places[0]
    chosen = 0
    for count, (before, after) in enumerate(gaps[: min(MAX_BREAKS, len(gaps) // 2)], 1):
        remaining -= after - before
        if after - before > 2 * remaining:
            chosen = count
    return gaps[:chosen]
