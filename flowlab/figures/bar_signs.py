"""How bars are drawn: waiting thin and pale, attempts pale, work full, and how each ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowlab.figures import theme
from flowlab.figures.glyphs import glyph
from flowlab.figures.layout import PlacedBar, Segment
from flowlab.figures.svg import group, line, rect

STATUS_SIGNS: Final = frozenset({"failed", "timed_out", "canceled"})
"""How a bar may end that its end has a sign for."""


@dataclass(frozen=True, slots=True)
class Paint:
    """How the work of a bar of one kind is drawn."""

    fill: str
    stroke: str
    opacity: float | None = None
    dashes: str | None = None
    on: str = theme.INK


PAINTS: Final = {
    "activity": Paint(theme.BLUE, theme.BLUE, on=theme.ON_BAR),
    "compensation": Paint(theme.PURPLE, theme.PURPLE, 0.25, "5 3"),
    "timer": Paint(theme.FAINT, theme.MUTED, 0.2, "1 2"),
    "child": Paint(theme.SKY, theme.BLUE, 0.35),
    "lock": Paint(theme.ORANGE, theme.INK, 0.8),
    "barrier": Paint(theme.FAINT, theme.MUTED, 0.4),
}
FAILED: Final = Paint(theme.VERMILION, theme.VERMILION, on=theme.ON_BAR)


def draw_bar(placed: PlacedBar) -> str:
    """Draw a bar: waiting thin and pale, attempts pale, work full, and how it ended."""
    paint = paint_of(placed)
    parts = [_segment(part, placed, paint_of(placed, part)) for part in placed.segments]
    end = placed.x2 if placed.end is None else placed.end
    kind, status = placed.bar.kind, placed.bar.status
    if placed.open:
        y, half = placed.y, placed.height / 2
        half = half if placed.segments[-1].kind == "work" else min(4.0, half)
        parts.append(rect(end - 5, y - half, 5, 2 * half, fill=theme.PANEL))
        parts += [
            line(end - shift, y - half, end - shift, y + half, stroke=paint.stroke)
            for shift in (7.0, 3.0)
        ]
    if status in STATUS_SIGNS:
        parts.append(glyph(status, end, placed.y, 5 if placed.height >= 12 else 3.5))
    elif kind == "timer" and not placed.open:
        parts.append(glyph("timer", end, placed.y, 5))
    elif placed.segments[-1].result == "aborted":
        parts.append(glyph("failed", end, placed.y, 5))
    elif kind == "lock" and placed.segments[-1].kind == "work":
        parts.append(glyph("lock", placed.segments[-1].x1 + 1, placed.y, 4))
    return group(*parts, tip=placed.bar.tip)


def paint_of(placed: PlacedBar, part: Segment | None = None) -> Paint:
    """Return how a bar or a part is painted: what failed has a colour beside its cross.

    Work that an agent has committed is done, whatever became of the call.
    """
    bar = placed.bar
    if part is not None and part.result == "committed":
        return PAINTS[bar.kind]
    if bar.status in {"failed", "timed_out"} or bar.cut is not None:
        if bar.kind == "activity":
            return FAILED
        kind = PAINTS[bar.kind]
        return Paint(theme.VERMILION, theme.VERMILION, kind.opacity, kind.dashes, theme.INK)
    return PAINTS[bar.kind]


def _segment(segment: Segment, placed: PlacedBar, paint: Paint) -> str:
    width, half = segment.x2 - segment.x1, placed.height / 2
    if segment.kind == "waiting":
        thin = min(4.0, half)
        return rect(
            segment.x1,
            placed.y - thin,
            width,
            2 * thin,
            fill=paint.fill,
            fill_opacity=0.22,
            stroke=paint.stroke,
            stroke_opacity=0.55,
            stroke_dasharray="2 2",
        )
    box = (segment.x1, placed.y - half, width, placed.height)
    if segment.kind == "attempt":
        pale = rect(
            *box,
            rx=3,
            fill=theme.VERMILION,
            fill_opacity=0.25,
            stroke=theme.VERMILION,
        )
        return pale + glyph("failed", segment.x2 - 5, placed.y, 3)
    ground = rect(*box, rx=3, fill=theme.PANEL) if paint.opacity else ""
    work = rect(
        *box,
        rx=min(3.0, half),
        fill=paint.fill,
        fill_opacity=paint.opacity,
        stroke=paint.stroke,
        stroke_dasharray=paint.dashes,
    )
    inner = ""
    if placed.bar.kind == "child" and width > 8:
        inner = rect(
            segment.x1 + 2.5,
            placed.y - half + 2.5,
            width - 5,
            placed.height - 5,
            fill="none",
            stroke=paint.stroke,
            stroke_opacity=0.6,
        )
    return ground + work + inner
