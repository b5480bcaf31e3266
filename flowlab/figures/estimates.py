"""Estimates with their intervals: a dot and a line for each, differences about a line at zero."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flowlab.figures import theme
from flowlab.figures.text import THIN_SPACE, clean, ellipsize, text_width, wrap

WIDTH: Final = 1_120.0
_DPI: Final = 100
_POINTS: Final = 72 / _DPI
"""A pixel of the layout, in the points in which Matplotlib counts sizes of type."""
# A user's own style must not leak in, and ids of an SVG are random unless they are salted.
_STYLE: Final[list[Any]] = [
    "default",
    {
        "font.family": "DejaVu Sans",
        "text.parse_math": False,
        "svg.hashsalt": "flowlab",
        "svg.fonttype": "path",
    },
]
_MARGIN: Final = 28.0
_TOP: Final = 106.0
_BOTTOM: Final = 74.0
_ROW: Final = 52.0
_NAMES: Final = 200.0
_SAID: Final = 200.0
_GAP: Final = 16.0
_NAME_SIZE: Final = 14.0
_SAID_SIZE: Final = 12.0
_TICK_SIZE: Final = 11.5
_BOLD: Final = 1.13
"""How much wider bold text is, at most."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval.

    Args:
        value, low, high: in the unit of the axis.
        said: what stands beside it, in one or two lines.
        firm: drawn full; else hollow, since the interval says little.
    """

    value: float
    low: float
    high: float
    said: tuple[str, ...] = ()
    firm: bool = True


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """One arm: what it gives, and how much more than the base; None for the base."""

    label: str
    own: Estimate
    difference: Estimate | None


class Chart(Figure):
    """A Matplotlib figure that shows itself in a notebook, and is written the same each time."""

    title: str = ""

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it to a file, as the ending says: .svg, .png, .pdf; return its path."""
        target = Path(path)
        dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with style.context(_STYLE):
            self.savefig(target, metadata=dated.get(target.suffix.lower()), dpi=2 * _DPI)
        return target

    def __repr__(self) -> str:
        return f"Chart({self.title!r})"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        held = io.BytesIO()
        with style.context(_STYLE):
            self.savefig(held, format="png", dpi=2 * _DPI)
        width, height = self.get_size_inches() * _DPI
        return held.getvalue(), {"width": round(width), "height": round(height)}


def chart(
    rows: Sequence[EstimateRow],
    *,
    title: str,
    headings: tuple[str, str],
    caption: str,
    unit: str = "",
    bounds: tuple[float, float] | None = None,
) -> Chart:
    """Draw arms on lines of their own: left what each gives, right its difference from the base.

    Args:
        rows: from the top.
        title: of the picture.
        headings: of the two panels.
        caption: how the intervals were made.
        unit: what stands after the numbers of the left axis.
        bounds: what the left axis does not go beyond.

    Example:
        >>> off = EstimateRow("off", Estimate(70, 63, 76, ("70 %",)), None)
        >>> on = EstimateRow("on", Estimate(90, 85, 93, ("90 %",)), Estimate(20, 15, 26))
        >>> chart([off, on], title="done by retry", headings=("Rate", "Difference"), caption="",
        ...       unit=" %", bounds=(0, 100))
        Chart('done by retry')
    """
    height = _TOP + _ROW * len(rows) + _BOTTOM
    with style.context(_STYLE):
        drawn = Chart(figsize=(WIDTH / _DPI, height / _DPI), dpi=_DPI, facecolor=theme.PANEL)
        drawn.title = clean(title)
        _words(drawn, height, title, caption)
        names = min(max(text_width(clean(row.label), _NAME_SIZE) for row in rows), _NAMES)
        said = [_said_width([row.own for row in rows])]
        said.append(_said_width([row.difference for row in rows if row.difference]))
        left = _MARGIN + names + _GAP
        room = (WIDTH - left - _MARGIN - sum(said) - 4 * _GAP) / 2
        starts = (left, left + room + _GAP + said[0] + 2 * _GAP)
        sides: tuple[list[Estimate | None], ...]
        sides = ([row.own for row in rows], [row.difference for row in rows])
        for place, (start, estimates) in enumerate(zip(starts, sides, strict=True)):
            heading = ellipsize(clean(headings[place]), 12.5 * _BOLD, room + _GAP + said[place])
            _text(drawn, start, 84, height, heading, size=12.5, weight="bold")
            box = (start / WIDTH, _BOTTOM / height, room / WIDTH, _ROW * len(rows) / height)
            axes = drawn.add_axes(box)
            _panel(axes, estimates, zero=bool(place), bounds=None if place else bounds)
            _ticks(axes, room, signed=bool(place), unit="" if place else unit)
        for place, row in enumerate(rows):
            label = "\n".join(wrap(clean(row.label), _NAME_SIZE, names + 4))
            y = _TOP + _ROW * (place + 0.5)
            _text(drawn, left - _GAP, y, height, label, size=_NAME_SIZE, ha="right", va="center")
    return drawn


def _said(one: Estimate) -> list[str]:
    lines = [clean(line).replace("-", "\u2212") for line in one.said if line]
    if len(lines) == 1 and text_width(lines[0], _SAID_SIZE) > _SAID:
        value, opening, interval = lines[0].partition(" (")
        lines = [value, opening.lstrip() + interval]
    return lines


def _said_width(estimates: Sequence[Estimate]) -> float:
    widths = [text_width(line, _SAID_SIZE) for one in estimates for line in _said(one)]
    return max(widths, default=0.0)


def _words(drawn: Chart, height: float, title: str, caption: str) -> None:
    room = WIDTH - 2 * _MARGIN
    _text(
        drawn,
        _MARGIN,
        42,
        height,
        ellipsize(clean(title), 20 * _BOLD, room),
        size=20,
        weight="bold",
    )
    shown = ellipsize(clean(caption[:1].upper() + caption[1:]), 11, room)
    _text(drawn, _MARGIN, height - 16, height, shown, size=11, color=theme.MUTED)


def _text(
    drawn: Chart, x: float, y: float, height: float, words: str, *, size: float, **more: Any
) -> None:
    more = {"color": theme.INK, **more}
    drawn.text(x / WIDTH, 1 - y / height, words, fontsize=size * _POINTS, **more)


def _panel(
    axes: Axes,
    estimates: Sequence[Estimate | None],
    *,
    zero: bool,
    bounds: tuple[float, float] | None,
) -> None:
    """Draw the estimates of one side; what is said of them stands right of the panel."""
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.set_xlim(*_limits([one for one in estimates if one], zero=zero, bounds=bounds))
    axes.patch.set_visible(False)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(theme.BORDER)
    axes.set_axisbelow(True)
    if zero:
        axes.axvline(0, color=theme.MUTED, linewidth=1.4, zorder=2)
    for place, one in enumerate(estimates):
        if one is not None:
            _mark(axes, place, one)
        elif zero:
            axes.annotate(
                "base", (0, place), (7, 0), textcoords="offset points", va="center",
                fontsize=_SAID_SIZE * _POINTS, color=theme.MUTED,
            )  # fmt: skip


def _mark(axes: Axes, place: int, one: Estimate) -> None:
    color = theme.BLUE if one.firm else theme.MUTED
    axes.plot(
        [one.low, one.high], [place, place], color=color, linewidth=2.6, zorder=3,
        solid_capstyle="round", clip_on=False,
    )  # fmt: skip
    axes.plot(
        [one.value], [place], marker="o", markersize=9, markeredgewidth=2, zorder=4,
        color=color, markerfacecolor=color if one.firm else theme.PANEL, clip_on=False,
    )  # fmt: skip
    axes.annotate(
        "\n".join(_said(one)), (1, place), (_GAP * _POINTS, 0),
        xycoords=axes.get_yaxis_transform(), textcoords="offset points", va="center",
        fontsize=_SAID_SIZE * _POINTS, color=theme.INK if one.firm else theme.MUTED,
        linespacing=1.35,
    )  # fmt: skip


def _limits(
    estimates: Sequence[Estimate], *, zero: bool, bounds: tuple[float, float] | None
) -> tuple[float, float]:
    ends = [end for one in estimates for end in (one.low, one.high)] + [0.0] * zero
    low, high = min(ends), max(ends)
    pad = 0.08 * (high - low) or 0.05 * (abs(high) or 1.0)
    low, high = low - pad, high + pad
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


def _ticks(axes: Axes, room: float, *, signed: bool, unit: str) -> None:
    """Set the grid, with as many numbers below it as there is room for."""
    low, high = axes.get_xlim()
    ticks: list[float] = []
    for most in (5, 4, 3, 2, 1):
        found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=1).tick_values(low, high)
        ticks = [float(value) for value in found if low <= value <= high]
        shown = [_number(value, signed=signed) + unit for value in ticks]
        if math.fsum(text_width(words, _TICK_SIZE) + _GAP for words in shown) <= room:
            break
    else:
        ticks = ticks[:1]
    axes.set_yticks([])
    axes.set_xticks(ticks, [_number(value, signed=signed) + unit for value in ticks])
    axes.tick_params(
        axis="x", length=0, pad=6, labelsize=_TICK_SIZE * _POINTS, labelcolor=theme.MUTED
    )
    axes.grid(visible=True, axis="x", color=theme.GRID, linewidth=1)


def _number(value: float, *, signed: bool) -> str:
    exact = float(f"{value:.9g}")
    size = abs(exact)
    shown = f"{size:.9g}" if size < 1 else f"{size:,.6f}".rstrip("0").rstrip(".")
    sign = "\u2212" if exact < 0 else "+" if signed and exact > 0 else ""
    return sign + shown.replace(",", THIN_SPACE)
