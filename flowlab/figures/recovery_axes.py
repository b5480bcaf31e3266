"""Axes of the pictures of recovery: straight and logarithmic, with round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flowlab.figures import theme
from flowlab.figures.recovery_words import count
from flowlab.figures.svg import line, text
from flowlab.figures.text import number

_UNITS: Final = (
    (86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"),
    (1e-9, "ns"),
)  # fmt: skip
_STEPS: Final = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Frame:
    """The box of a plot, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Scale:
    """A map from numbers to pixels, straight or logarithmic; what is outside stays at the edge."""

    first: float
    last: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a number."""
        held = min(max(value, self.first), self.last)
        if self.is_log:
            share = math.log(held / self.first) / math.log(self.last / self.first)
        else:
            share = (held - self.first) / (self.last - self.first)
        return self.start + share * (self.end - self.start)

    def value(self, place: float) -> float:
        """Return the number at a place."""
        share = (place - self.start) / (self.end - self.start)
        if self.is_log:
            return self.first * math.exp(share * math.log(self.last / self.first))
        return self.first + share * (self.last - self.first)


def decades(low: float, high: float) -> tuple[float, float]:
    """Return the powers of ten around two numbers, at least one decade apart.

    Example:
        >>> decades(0.3, 700), decades(10, 10)
        ((0.1, 1000.0), (10.0, 100.0))
    """
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    return power(first), power(max(last, first + 1))


def power(exponent: int) -> float:
    """Return a power of ten, as exact as a float can be.

    Example:
        >>> power(-3), power(2)
        (0.001, 100.0)
    """
    return float(f"1e{exponent}")


def log_ticks(scale: Scale, room: float) -> list[float]:
    """Return the powers of ten that have so many pixels each."""
    first, last = round(math.log10(scale.first)), round(math.log10(scale.last))
    apart = abs(scale.end - scale.start) / max(1, last - first)
    step = max(1, math.ceil(room / apart))
    return [power(exponent) for exponent in range(first, last + 1, step)]


def ticks(most: float, steps: int) -> list[float]:
    """Return round numbers from 0 up to at least the largest, so many steps at most.

    Example:
        >>> ticks(32, 5), ticks(0.7, 5), ticks(0, 5)
        ([0.0, 10.0, 20.0, 30.0, 40.0], [0.0, 0.2, 0.4, 0.6, 0.8], [0.0, 1.0])
    """
    if most <= 0:
        return [0.0, 1.0]
    base = power(math.floor(math.log10(most / steps)))
    step = next((n * base for n in _STEPS if n * base * steps >= most * (1 - 1e-9)), 20 * base)
    return [float(f"{step * n:.12g}") for n in range(math.ceil(most / step - 1e-9) + 1)]


def time_ticks(most: float, steps: int) -> tuple[list[float], list[str]]:
    """Return ticks of an axis of seconds, and their words, all in one unit.

    Example:
        >>> time_ticks(0.031, 4)
        ([0.0, 0.01, 0.02, 0.03, 0.04], ['0', '10 ms', '20 ms', '30 ms', '40 ms'])
    """
    size, name = next((u for u in _UNITS if most >= u[0] * (2 if u[0] > 1 else 1)), _UNITS[-1])
    found = ticks(most / size, steps)
    return [float(f"{n * size:.12g}") for n in found], [
        f"{n:g} {name}" if n else "0" for n in found
    ]


def power_words(value: float) -> str:
    """Write a power of ten seconds in its unit.

    Example:
        >>> power_words(0.01), power_words(100.0), power_words(1e-12)
        ('10 ms', '100 s', '1e-12 s')
    """
    if value >= 1:
        return f"{number(value)} s" if value < 1e6 else f"{value:g} s"
    for size, name in _UNITS[4:]:
        if value >= size * (1 - 1e-9):
            return f"{value / size:.0f} {name}"
    return f"{value:g} s"


def draw_x(
    frame: Frame, scale: Scale, found: Sequence[float], words: Iterable[str]
) -> Iterator[str]:
    """Draw the level axis, with its numbers below."""
    yield line(frame.left, frame.bottom, frame.right, frame.bottom, stroke=theme.FAINT)
    for tick, said in zip(found, words, strict=True):
        x = scale.at(tick)
        yield line(x, frame.bottom, x, frame.bottom + 4, stroke=theme.FAINT)
        yield text(x, frame.bottom + 18, said, size=11, fill=theme.MUTED, anchor="middle")


def draw_y(
    frame: Frame, scale: Scale, found: Sequence[float], words: Iterable[str]
) -> Iterator[str]:
    """Draw a level line at each number of the upright axis."""
    for tick, said in zip(found, words, strict=True):
        y = scale.at(tick)
        yield line(frame.left, y, frame.right, y, stroke=theme.GRID)
        yield text(frame.left - 8, y + 4, said, size=11, fill=theme.MUTED, anchor="end")


def events_words(found: Sequence[float]) -> list[str]:
    """Write ticks that count events."""
    return [count(tick) if tick >= 1 or not tick else f"{tick:g}" for tick in found]
