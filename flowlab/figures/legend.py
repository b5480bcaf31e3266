"""The legend: a sample and a word for each thing that occurs in the picture, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final

from flowlab.figures import theme
from flowlab.figures.arrows import STYLES, Arrow, draw_arrow
from flowlab.figures.bar import Bar
from flowlab.figures.bar_signs import draw_bar
from flowlab.figures.glyphs import GLYPHS, glyph
from flowlab.figures.layout import PlacedBar, Segment
from flowlab.figures.overlay import RINGS, ring
from flowlab.figures.svg import line, rect, text
from flowlab.figures.text import text_width

LINE_HEIGHT: Final = 22.0
_SIZE: Final = 11
_SAMPLE: Final = 26.0
_GAP: Final = 20.0


def _sample_bar(kind: str, part: str = "work", *, running: bool = False) -> Callable[..., str]:
    def draw(x: float, y: float) -> str:
        bar = Bar(0, kind, "", "completed", 0, (0,), None if running else 1)
        height = 8.0 if kind in {"timer", "lock"} else 13.0
        wide = 20 if kind == "timer" else 24
        shown = PlacedBar(bar, (Segment(part, x, x + wide),), y, height, 0, running)
        return draw_bar(shown)

    return draw


def _down(x: float, y: float) -> str:
    return rect(x, y - 6, 24, 12, fill=theme.WASH, stroke=theme.VERMILION, stroke_dasharray="3 3")


def _barrier(x: float, y: float) -> str:
    return line(x + 12, y - 8, x + 12, y + 8, stroke=theme.INK, stroke_width=5)


def _times(x: float, y: float) -> str:
    return text(x + 6, y + 4, "×3", size=_SIZE, weight=600)


_BARS: Final[dict[str, tuple[Callable[[float, float], str], str]]] = {
    "work": (_sample_bar("activity"), "working"),
    "waiting": (_sample_bar("activity", "waiting"), "waiting"),
    "attempt": (_sample_bar("activity", "attempt"), "attempt that was tried again"),
    "times": (_times, "number of attempts"),
    "running": (_sample_bar("activity", running=True), "goes on: no end shown"),
    "compensation bar": (_sample_bar("compensation"), "compensation"),
    "timer bar": (_sample_bar("timer"), "timer"),
    "child bar": (_sample_bar("child"), "child workflow or operation"),
    "lock bar": (_sample_bar("lock"), "holds a lock"),
    "down": (_down, "agent down"),
    "barrier span": (_barrier, "barrier: all who took part go on"),
}


def _cut(x: float, y: float) -> str:
    return line(x + 12, y - 9, x + 12, y + 9, stroke=theme.GREEN, stroke_width=2.4)


def _broken_cut(x: float, y: float) -> str:
    return line(
        x + 12, y - 9, x + 12, y + 9,
        stroke=theme.VERMILION, stroke_width=2.4, stroke_dasharray="9 4",
    )  # fmt: skip


def _pale(x: float, y: float) -> str:
    veil = rect(x, y - 8, 24, 16, fill=theme.PANEL, fill_opacity=0.72)
    return rect(x, y - 5, 24, 10, rx=3, fill=theme.BLUE) + veil


_OVER: Final[dict[str, tuple[Callable[[float, float], str], str]]] = {
    "pale": (_pale, "the rest"),
    "cut": (_cut, "consistent cut: all causes of what is left of it are left of it"),
    "broken cut": (_broken_cut, "a cut that is not consistent"),
}


def _sample_ring(role: str, x: float, y: float) -> str:
    return ring(role, x + 12, y, 6)


def _items(keys: AbstractSet[str]) -> Iterator[tuple[Callable[[float, float], str], str]]:
    for key, item in _BARS.items():
        if key in keys:
            yield item
    for key, (_, words) in GLYPHS.items():
        if key in keys:
            yield partial(_sample_glyph, key), words
    for role, look in RINGS.items():
        if f"ring {role}" in keys:
            yield partial(_sample_ring, role), look.words
    for key, item in _OVER.items():
        if key in keys:
            yield item
    for key, style in STYLES.items():
        if key in keys:
            yield partial(_sample_arrow, key), style.words


def _sample_glyph(key: str, x: float, y: float) -> str:
    return glyph(key, x + 12, y, 5)


def _sample_arrow(key: str, x: float, y: float) -> str:
    return draw_arrow(Arrow(key, *_ends(key, x, y)))


def _ends(key: str, x: float, y: float) -> tuple[float, float, float, float]:
    return (x + 24, y + 4, x, y + 4) if key == "back" else (x, y, x + 24, y)


def draw_legend(
    keys: AbstractSet[str], *, left: float, right: float, top: float
) -> tuple[list[str], float]:
    """Draw the legend in lines; return its parts and its height."""
    parts: list[str] = []
    x, y = left, top + LINE_HEIGHT / 2
    for sample, words in _items(keys):
        width = _SAMPLE + 6 + text_width(words, _SIZE)
        if x > left and x + width > right:
            x, y = left, y + LINE_HEIGHT
        parts += [sample(x, y), text(x + _SAMPLE + 6, y + 4, words, size=_SIZE, fill=theme.MUTED)]
        x += width + _GAP
    return parts, (y + LINE_HEIGHT / 2 - top) if parts else 0.0
