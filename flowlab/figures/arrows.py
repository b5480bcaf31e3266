"""Arrows: calls, messages and other causes across lanes, and compensations back to their steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot
from typing import Final

from flowlab.figures import theme
from flowlab.figures.bar import Bar
from flowlab.figures.layout import Layout
from flowlab.figures.scene import Scene
from flowlab.figures.svg import circle, group, num, path

MANY: Final = 150
"""From so many arrows on they are drawn thin."""


@dataclass(frozen=True, slots=True)
class Style:
    """How an arrow looks, and what the legend calls it."""

    words: str
    colour: str
    dashes: str | None = None
    width: float = 1.1
    hollow: bool = False


STYLES: Final = {
    "asks": Style("asks for work", theme.MUTED, width=1.3),
    "message": Style("message", theme.BLUE, width=1.5),
    "cause": Style("causes", theme.MUTED),
    "assumed": Style("causes, as far as the log tells", theme.MUTED, "4 3", hollow=True),
    "back": Style("undoes", theme.PURPLE, "5 3", 1.6),
    "outside": Style("cause outside of this log", theme.MUTED, "1.5 2", hollow=True),
    "broken": Style("damage: would close a cycle", theme.VERMILION, "7 2 1 2", 1.8),
    "breaks": Style("breaks the cut", theme.VERMILION, None, 2.6),
    "in flight": Style("message never received", theme.BLUE, "2 3", 1.5, hollow=True),
}


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from a point to a point, in pixels, and the rows that it joins."""

    style: str
    x1: float
    y1: float
    x2: float
    y2: float
    tip: str = ""
    rows: tuple[int, int] = (-1, -1)


def arrows(scene: Scene, layout: Layout) -> list[Arrow]:
    """Return every arrow of a scene, in drawing order."""
    return [
        *_causes(scene, layout),
        *_calls(scene, layout),
        *_backs(scene, layout),
        *_in_flight(scene, layout),
        *_damaged(scene, layout),
    ]


def lanes_of_rows(scene: Scene) -> dict[int, int]:
    """Return the lane in which each row is drawn, -1 for what is between lanes."""
    lanes = {point.row: point.lane for point in scene.points}
    lanes |= dict.fromkeys(scene.adrift, -1)
    for bar in scene.bars:
        for row in bar.rows:
            lanes.setdefault(row, bar.lane)
    return lanes


def _half_heights(scene: Scene, layout: Layout) -> dict[int, float]:
    points = {point.row for point in scene.points}
    return {
        row: placed.height / 2
        for placed in layout.bars
        for row in placed.bar.rows
        if row not in points
    }


def _said(bar: Bar) -> Iterator[tuple[int, int]]:
    """Yield the causes that a bar shows by itself."""
    for start in bar.starts:
        yield bar.asked, start
        if bar.ended is not None:
            yield start, bar.ended
    if bar.ended is not None:
        yield bar.asked, bar.ended


def _causes(scene: Scene, layout: Layout) -> Iterator[Arrow]:
    lanes = lanes_of_rows(scene)
    halves = _half_heights(scene, layout)
    said = {pair for bar in scene.bars for pair in _said(bar)}
    for link in scene.links:
        if (link.cause, link.effect) in said:
            continue
        if link.cause not in lanes or link.effect not in lanes:
            continue
        if lanes[link.cause] == lanes[link.effect]:
            continue
        x1, y1 = layout.anchors[link.cause]
        x2, y2 = layout.anchors[link.effect]
        sign = 1 if y2 > y1 else -1
        y2 -= sign * (halves.get(link.effect, layout.radius) + 1.5)
        y1 += sign * (halves.get(link.cause, layout.radius) - 0.5)
        kind = "message" if link.kind == "message" else "cause"
        style = "assumed" if link.bridged or link.kind == "assumed" else kind
        yield Arrow(style, x1, y1, x2, y2, rows=(link.cause, link.effect))


def _calls(scene: Scene, layout: Layout) -> Iterator[Arrow]:
    """Yield an arrow straight down (or up) from who asked to where the waiting begins."""
    asked_at = {point.row: layout.anchors[point.row] for point in scene.points}
    for lost in scene.lost:
        # A request that was dropped reaches nobody: its arrow ends at the cross.
        asked_at.pop(lost, None)
    for placed in layout.bars:
        origin = asked_at.get(placed.bar.asked)
        if origin is None or placed.bar.kind == "barrier":
            continue
        sign = 1 if placed.y > origin[1] else -1
        waits = placed.segments[0].kind == "waiting"
        end = placed.y - sign * ((4 if waits else placed.height / 2) + 1.5)
        rows = (placed.bar.asked, next(iter(placed.bar.starts), placed.bar.asked))
        begin = origin[1] + sign * (layout.radius - 0.5)
        yield Arrow("asks", origin[0], begin, placed.x1, end, rows=rows)


def _backs(scene: Scene, layout: Layout) -> Iterator[Arrow]:
    for back in scene.backs:
        placed = layout.bars[back.bar]
        x2, y2 = layout.anchors[back.row]
        tip = f"{placed.bar.label} undoes what was done at step {placed.bar.step}"
        top = placed.y - placed.height / 2
        yield Arrow("back", placed.x1, top, x2, y2, tip, (placed.bar.asked, back.row))


def _in_flight(scene: Scene, layout: Layout) -> Iterator[Arrow]:
    for row in scene.in_flight:
        if row in layout.anchors:
            x, y = layout.anchors[row]
            r = layout.radius
            yield Arrow("in flight", x + r * 0.7, y + r * 0.7, x + r + 9, y + r + 9)


def _damaged(scene: Scene, layout: Layout) -> Iterator[Arrow]:
    r = layout.radius * 0.7
    for row in sorted(scene.window.outside):
        if row in layout.anchors:
            x, y = layout.anchors[row]
            yield Arrow("outside", x - r - 11, y - r - 11, x - r, y - r)
    lanes = lanes_of_rows(scene)
    for cause, effect in scene.broken:
        if lanes.get(cause, -1) != lanes.get(effect, -1) and {cause, effect} <= lanes.keys():
            (x1, y1), (x2, y2) = layout.anchors[cause], layout.anchors[effect]
            room = (layout.radius + 2.0) / (hypot(x2 - x1, y2 - y1) or 1.0)
            yield Arrow("broken", x1, y1, x2 - (x2 - x1) * room, y2 - (y2 - y1) * room)


def draw_arrow(
    arrow: Arrow, *, many: bool = False, opacity: float = 0.85, wider: float = 0.0
) -> str:
    """Draw an arrow: its line and its head."""
    style = STYLES[arrow.style]
    if arrow.style == "back":
        return _draw_back(arrow, style)
    dx, dy = arrow.x2 - arrow.x1, arrow.y2 - arrow.y1
    length = hypot(dx, dy) or 1.0
    dx, dy = dx / length, dy / length
    size = 4.0 if many else 7.0 + 2 * wider
    stop = min(size * 0.8, length / 2)
    line = path(
        f"M{num(arrow.x1)} {num(arrow.y1)}L{num(arrow.x2 - dx * stop)} {num(arrow.y2 - dy * stop)}",
        stroke=style.colour,
        stroke_width=(0.7 if many else style.width) + wider,
        stroke_opacity=opacity,
        stroke_dasharray=style.dashes,
    )
    if arrow.style == "in flight":
        end = circle(arrow.x2, arrow.y2, 2.2, fill=theme.PANEL, stroke=style.colour)
        return line + end
    return line + _head(arrow.x2, arrow.y2, dx, dy, size, style)


def _head(x: float, y: float, dx: float, dy: float, size: float, style: Style) -> str:  # noqa: PLR0917
    back_x, back_y = x - dx * size, y - dy * size
    half = size * 0.45
    d = (
        f"M{num(x)} {num(y)}L{num(back_x - dy * half)} {num(back_y + dx * half)}"
        f"L{num(back_x + dy * half)} {num(back_y - dx * half)}Z"
    )
    if style.hollow:
        return path(d, fill=theme.PANEL, stroke=style.colour, stroke_width=1)
    return path(d, fill=style.colour)


def _draw_back(arrow: Arrow, style: Style) -> str:
    """Draw an arc that bulges above its ends, so that it is told from a cause forward in time."""
    lift = min(60.0, 18 + abs(arrow.x1 - arrow.x2) * 0.06)
    top = min(arrow.y1, arrow.y2) - lift
    near = arrow.x2 + min(30.0, abs(arrow.x1 - arrow.x2) * 0.15)
    curve = path(
        f"M{num(arrow.x1)} {num(arrow.y1)}C{num(arrow.x1 - 10)} {num(top)} "
        f"{num(near)} {num(top)} {num(arrow.x2 + 1)} {num(arrow.y2 - 8)}",
        stroke=style.colour,
        stroke_width=style.width,
        stroke_dasharray=style.dashes,
    )
    dx, dy = arrow.x2 - near, arrow.y2 - top
    length = hypot(dx, dy) or 1.0
    head = _head(arrow.x2, arrow.y2 - 2, dx / length, dy / length, 8.0, style)
    return group(curve, head, tip=arrow.tip)


def draw_arrows(found: list[Arrow], *, total: int | None = None) -> list[str]:
    """Draw arrows, thinner and paler where there are many in all."""
    total = len(found) if total is None else total
    many = total > MANY
    opacity = 0.85 if not many else max(0.25, min(0.6, 300 / total))
    return [draw_arrow(arrow, many=many, opacity=opacity) for arrow in found]
