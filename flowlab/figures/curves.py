"""Curves: how something grows with something else, each with its name at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.figures import theme
from flowlab.figures.figure import Figure
from flowlab.figures.sheet import sheet
from flowlab.figures.space_time import MIN_WIDTH
from flowlab.figures.svg import circle, line, num, path, text
from flowlab.figures.text import clean, ellipsize, number, text_width

COLORS: Final = (theme.BLUE, theme.VERMILION, theme.GREEN, theme.PURPLE, theme.ORANGE, theme.SKY)
"""Of the curves, in their order; so many can be told apart."""
_HEIGHT: Final = 360.0
_TOP, _BOTTOM, _LEFT = 92.0, 58.0, 64.0
_ROW: Final = 17.0
_NOTHING: Final = 1e-9

Curve = Sequence[tuple[float, float]]
"""Points from left to right."""


def curves(
    series: Mapping[str, Curve], *, x: str, y: str, title: str, caption: str = "", width: int = 820
) -> Figure:
    """Draw curves over one axis, from zero up.

    Args:
        series: name -> its points (x, y), at most six of them.
        x: what the level axis counts.
        y: what the upright one does.
        title: of the picture.
        caption: a line below the title.
        width: in pixels, at least 480.

    Raises:
        InvalidArgumentError: there are no curves or too many, one has no points, or a number is
            negative or not finite.

    Example:
        >>> curves({"plan": [(2, 2), (4, 4)], "events": [(2, 1), (4, 6)]}, x="agents", y="pairs",
        ...        title="Who knows whom")
        Figure('Who knows whom')
    """
    _check(series, width)
    points = [point for curve in series.values() for point in curve]
    wide = max(text_width(clean(name), 13) for name in series)
    right = width - min(wide, width / 3) - 40
    ticks_x, ticks_y = _ticks(max(p[0] for p in points)), _ticks(max(p[1] for p in points))
    most_x, most_y = ticks_x[-1], ticks_y[-1]

    def at(point: tuple[float, float]) -> tuple[float, float]:
        across, up = point[0] / most_x, point[1] / most_y
        return _LEFT + (right - _LEFT) * across, _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * up

    parts = [
        text(20, _TOP - 16, clean(y), size=12, fill=theme.MUTED),
        text(right, _HEIGHT - 16, clean(x), size=12, fill=theme.MUTED, anchor="end"),
    ]
    for tick in ticks_y:
        _, height = at((0, tick))
        stroke = theme.GRID if tick else theme.FAINT
        parts.append(line(_LEFT, height, right, height, stroke=stroke))
        parts.append(_number(_LEFT - 8, height + 4, tick, "end"))
    parts += [_number(at((tick, 0))[0], _HEIGHT - _BOTTOM + 18, tick, "middle") for tick in ticks_x]
    ends = _apart([at(curve[-1])[1] for curve in series.values()])
    for (name, curve), color, end in zip(series.items(), COLORS, ends, strict=False):
        placed = [at(point) for point in curve]
        d = "M" + "L".join(f"{num(px)} {num(py)}" for px, py in placed)
        parts.append(path(d, stroke=color, stroke_width=2.4))
        parts += [circle(px, py, 3.6, fill=color) for px, py in placed]
        words = ellipsize(clean(name), 13, width - right - 24)
        parts.append(text(placed[-1][0] + 12, end + 4, words, size=13, weight=600, fill=color))
    svg = sheet(parts, title=title, subtitle=caption, width=width, height=_HEIGHT)
    return Figure(svg, _told(series, x, y, title), title)


def _check(series: Mapping[str, Curve], width: int) -> None:
    wrong = ""
    if not series or len(series) > len(COLORS):
        wrong = f"{len(series)} curves; expected 1 to {len(COLORS)}"
    for name, curve in series.items():
        numbers = [value for point in curve for value in point]
        if not numbers or not all(math.isfinite(value) and value >= 0 for value in numbers):
            wrong = f"the curve {name!r}; expected points of finite numbers from 0"
    if width < MIN_WIDTH:
        wrong = f"a width of {width}; expected at least {MIN_WIDTH}"
    if wrong:
        message = f"curves was given {wrong}"
        raise InvalidArgumentError(message)


def _ticks(most: float) -> list[float]:
    """Return round numbers from 0 up to or above the largest, five steps at most.

    Example:
        >>> _ticks(32), _ticks(0.7), _ticks(0)
        ([0.0, 10.0, 20.0, 30.0, 40.0], [0.0, 0.2, 0.4, 0.6, 0.8], [0.0, 1.0])
    """
    if most < _NOTHING:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / 5))
    step = next(times * power for times in (1, 2, 5, 10, 20) if times * power * 5 >= most)
    return [round(step * place, 12) for place in range(math.ceil(most / step - 1e-9) + 1)]


def _number(x: float, y: float, value: float, anchor: str) -> str:
    return text(x, y, number(value), size=11, fill=theme.MUTED, anchor=anchor)


def _apart(heights: Sequence[float]) -> list[float]:
    """Return heights moved down where two names would cover each other."""
    found = list(heights)
    last = -math.inf
    for place in sorted(range(len(found)), key=found.__getitem__):
        found[place] = last = max(found[place], last + _ROW)
    return found


def _told(series: Mapping[str, Curve], x: str, y: str, title: str) -> str:
    lines = [clean(title), f"{clean(y)} by {clean(x)}"]
    for name, curve in series.items():
        points = ", ".join(f"{number(px)}: {number(py)}" for px, py in curve)
        lines.append(f"{clean(name)}  {points}")
    return "\n".join(lines)
