"""What lies over a picture: the veil over the rest, rings around what is pointed out, a cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from flowlab.figures import theme
from flowlab.figures.arrows import Arrow, draw_arrow, lanes_of_rows
from flowlab.figures.emphasis import Pointed
from flowlab.figures.glyphs import cross
from flowlab.figures.layout import Layout, PlacedBar
from flowlab.figures.scene import Scene
from flowlab.figures.svg import circle, group, line, num, path, rect

_VEIL: Final = 0.72
_FAR: Final = 14.0


@dataclass(frozen=True, slots=True)
class Ring:
    """How what has a role is framed, and what the legend calls it."""

    words: str
    colour: str
    width: float = 2.2
    dashes: str | None = None
    double: bool = False


RINGS: Final = {
    "event": Ring("the event asked about", theme.INK, 2.0, double=True),
    "past": Ring("its past", theme.BLUE),
    "future": Ring("its future", theme.VERMILION, dashes="3.5 2.5"),
    "chosen": Ring("pointed out", theme.INK),
    "gone": Ring("only above", theme.VERMILION, dashes="4 3"),
    "new": Ring("only below", theme.GREEN),
    "moved": Ring("in both, after other events", theme.BLUE, dashes="1.5 2"),
    "gone first": Ring("only above: here they part", theme.VERMILION, dashes="4 3", double=True),
    "new first": Ring("only below: here they part", theme.GREEN, double=True),
    "parts": Ring("here they part", theme.INK, double=True),
}


def ring(role: str, x: float, y: float, r: float) -> str:
    """Draw a ring around a sign."""
    look = RINGS[role]
    drawn = circle(
        x, y, r, fill="none", stroke=look.colour, stroke_width=look.width,
        stroke_dasharray=look.dashes,
    )  # fmt: skip
    if look.double:
        drawn += circle(x, y, r + 3.5, fill="none", stroke=look.colour, stroke_width=1.4)
    return drawn


def frame(role: str, placed: PlacedBar) -> str:
    """Draw a frame around a bar."""
    look = RINGS[role]
    parts = []
    for edge, width in ((3.0, look.width), (6.0, 1.4))[: 2 if look.double else 1]:
        parts.append(
            rect(
                placed.x1 - edge,
                placed.y - placed.height / 2 - edge,
                placed.x2 - placed.x1 + 2 * edge,
                placed.height + 2 * edge,
                rx=4,
                fill="none",
                stroke=look.colour,
                stroke_width=width,
                stroke_dasharray=look.dashes,
            )
        )
    return "".join(parts)


def veil(layout: Layout) -> Iterator[str]:
    """Make everything below pale, each lane on its own ground."""
    left, right = layout.left - 8, layout.right + 32
    for index, box in enumerate(layout.lanes):
        ground = theme.BAND if index % 2 == 0 else theme.PANEL
        yield rect(left, box.top, right - left, box.height, fill=ground, fill_opacity=_VEIL)


def role_of_bar(placed: PlacedBar, pointed: Pointed, apart: frozenset[int]) -> str | None:
    """Return why a bar is pointed out: for a row that it stands for, and no other sign does."""
    own = [row for row in placed.bar.rows if row not in apart]
    roles = [pointed.roles[row] for row in own if row in pointed.roles]
    return next((role for role in roles if RINGS[role].double), next(iter(roles), None))


def is_on_the_way(rows: tuple[int, int], pointed: Pointed) -> bool:
    """Say whether two events that are joined are pointed out: of a path, two that follow."""
    if not all(row in pointed.roles for row in rows):
        return False
    return pointed.steps is None or rows in pointed.steps


def draw_way(
    scene: Scene, layout: Layout, found: Sequence[Arrow], pointed: Pointed
) -> Iterator[str]:
    """Draw what joins events that are pointed out, thicker: along lanes and across them."""
    home = lanes_of_rows(scene)
    for link in scene.links:
        pair = (link.cause, link.effect)
        lanes = {home.get(row) for row in pair}
        if len(lanes) == 1 and None not in lanes and is_on_the_way(pair, pointed):
            (x1, y1), (x2, y2) = layout.anchors[link.cause], layout.anchors[link.effect]
            yield line(x1, y1, x2, y2, stroke=theme.INK, stroke_width=2.2)
    for arrow in found:
        yield draw_arrow(arrow, opacity=1.0, wider=1.2)


def ring_radii(scene: Scene, layout: Layout, pointed: Pointed) -> dict[int, float]:
    """Return how far the rings reach around their signs."""
    return {
        point.row: ring_size(layout) + (5.0 if RINGS[pointed.roles[point.row]].double else 1.5)
        for point in scene.points
        if point.row in pointed.roles
    }


def ring_size(layout: Layout) -> float:
    """Return the radius of a ring around a sign."""
    return max(layout.radius, 3.6) + 3.5


def draw_cut(
    scene: Scene, layout: Layout, found: Sequence[Arrow], pointed: Pointed
) -> Iterator[str]:
    """Draw a cut: a line through every lane, what lies before it tinted, what breaks it marked."""
    if pointed.inside is None:
        return
    points = list(_line(scene, layout, pointed))
    if not points:
        return
    way = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in points)
    area = f"{way}L{num(layout.left)} {num(layout.bottom)}L{num(layout.left)} {num(layout.top)}Z"
    colour = theme.GREEN if pointed.consistent else theme.VERMILION
    said = "a consistent cut" if pointed.consistent else "a cut that is not consistent"
    yield group(
        path(area, fill=colour, fill_opacity=0.09),
        path(way, stroke=colour, stroke_width=2.4,
             stroke_dasharray=None if pointed.consistent else "9 4"),
        tip=said,
    )  # fmt: skip
    known = {arrow.rows: arrow for arrow in found}
    for cause, effect in pointed.offending:
        if cause in layout.anchors and effect in layout.anchors:
            (x1, y1), (x2, y2) = layout.anchors[cause], layout.anchors[effect]
            arrow = Arrow("breaks", x1, y1, x2, y2)
            arrow = replace(known.get((cause, effect), arrow), style="breaks")
            mark = cross((x1 + x2) / 2, (y1 + y2) / 2, 5)
            tip = "the effect lies before the cut, its cause beyond"
            yield group(draw_arrow(arrow, opacity=1.0), mark, tip=tip)


def _line(scene: Scene, layout: Layout, pointed: Pointed) -> Iterator[tuple[float, float]]:
    """Yield the corners of a cut from the top: upright in each lane, slanted between."""
    lane_of = {lane.key: index for index, lane in enumerate(scene.lanes)}
    spans = [[layout.left - 10, layout.right + 10] for _ in scene.lanes]
    for row in layout.anchors:
        event = scene.window.events[row]
        lane = lane_of.get((event.namespace, event.run_id, event.agent_id))
        if lane is None:
            continue
        x = layout.axis.x(scene.at[row])
        if pointed.within(scene.window, row):
            spans[lane][0] = max(spans[lane][0], x)
        else:
            spans[lane][1] = min(spans[lane][1], x)
    for (last, after), box in zip(spans, layout.lanes, strict=True):
        # In a gap of the lane; where there is a long one, near to what lies before it.
        x = min((last + after) / 2, last + _FAR * 2.2) if after > last else last + 2
        yield x, box.top + (4 if box is not layout.lanes[0] else 0)
        yield x, box.bottom - (4 if box is not layout.lanes[-1] else 0)
