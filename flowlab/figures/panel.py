"""One run drawn: bands, grid, gaps, arrows, bars, signs and labels, from back to front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from flowlab.figures import theme
from flowlab.figures.arrows import arrows, draw_arrows
from flowlab.figures.bar_signs import STATUS_SIGNS, draw_bar, paint_of
from flowlab.figures.emphasis import NOTHING, Pointed
from flowlab.figures.glyphs import SIGNS, WRONG, glyph
from flowlab.figures.labels import NO_CLOCKS, Beside, Box, Label, place_labels
from flowlab.figures.layout import NAME_SIZE, Layout
from flowlab.figures.overlay import (
    draw_cut,
    draw_way,
    frame,
    is_on_the_way,
    ring,
    ring_radii,
    ring_size,
    role_of_bar,
    veil,
)
from flowlab.figures.scene import Point, Scene
from flowlab.figures.svg import group, line, rect, text
from flowlab.figures.text import duration, text_width

AXIS_HEIGHT: Final = 26.0
_SMALL: Final = frozenset(
    {"call", "event", "sent", "received", "marker", "commit", "answer", "arrived"}
)


class Drawn(NamedTuple):
    """A run that is drawn: the keys of the legend that it needs, and how many clocks had room."""

    parts: list[str]
    keys: set[str]
    clocks: int


def draw_panel(
    scene: Scene, layout: Layout, clocks: Beside = NO_CLOCKS, pointed: Pointed = NOTHING
) -> Drawn:
    """Draw one run."""
    found = arrows(scene, layout)
    rings = ring_radii(scene, layout, pointed)
    labels = place_labels(
        scene, layout, found, _gap_words(scene, layout), clocks=clocks, rings=rings
    )
    way = [arrow for arrow in found if pointed.roles and is_on_the_way(arrow.rows, pointed)]
    apart_from = {*(arrow.rows for arrow in way), *pointed.offending}
    rest = [arrow for arrow in found if arrow.rows not in apart_from]
    parts = [
        *_bands(scene, layout),
        *_grid(layout),
        *_lane_lines(scene, layout),
        *_gaps(scene, layout),
        *_barriers(scene, layout),
        *draw_arrows(rest, total=len(found)),
        *(draw_bar(placed) for placed in layout.bars),
        *_points(scene.points, layout),
        *_damage(scene, layout),
    ]
    if not pointed.roles:
        parts += (_label(label, layout) for label in labels)
    else:
        apart = frozenset(point.row for point in scene.points)
        front = [label for label in labels if _is_pointed(label, layout, pointed, apart)]
        parts += (_label(label, layout) for label in labels if label not in front)
        parts += veil(layout)
        parts += draw_way(scene, layout, way, pointed)
        parts += _in_front(scene, layout, pointed, apart)
        parts += (_label(label, layout) for label in front)
    parts += draw_cut(scene, layout, found, pointed)
    keys = _keys(scene, layout) | {arrow.style for arrow in found}
    keys |= {f"ring {pointed.roles[row]}" for row in layout.anchors.keys() & pointed.roles.keys()}
    if pointed.roles:
        keys.add("pale")
    if pointed.inside is not None:
        keys |= {"cut"} if pointed.consistent else {"broken cut", "breaks"}
    told = sum(label.clock is not None for label in labels)
    return Drawn(parts, keys, told)


def _in_front(
    scene: Scene, layout: Layout, pointed: Pointed, apart: frozenset[int]
) -> Iterator[str]:
    """Draw what is pointed out once more, above the veil, each with its ring."""
    for placed in layout.bars:
        role = role_of_bar(placed, pointed, apart)
        if role is not None:
            yield draw_bar(placed) + frame(role, placed)
    for point in scene.points:
        if point.row in pointed.roles:
            yield from _points([point], layout)
            x, y = layout.anchors[point.row]
            yield ring(pointed.roles[point.row], x, y, ring_size(layout))


def _is_pointed(label: Label, layout: Layout, pointed: Pointed, apart: frozenset[int]) -> bool:
    if label.clock is not None or label.row is not None:
        return (label.row if label.clock is None else label.clock) in pointed.roles
    return label.placed is not None and (
        role_of_bar(layout.bars[label.placed], pointed, apart) is not None
    )


def _label(label: Label, layout: Layout) -> str:
    """Write a label; outside of bars on a ground of its own, since lines may cross there."""
    ground = ""
    fill = theme.MUTED if label.muted else theme.INK
    if label.blank:
        return _blank(label)
    if label.bar is not None:
        placed = layout.bars[label.bar]
        fill = paint_of(placed, placed.work).on
    else:
        colour = theme.BAND if label.lane % 2 == 0 else theme.PANEL
        box = label.box
        ground = rect(
            box.x1 - 1,
            box.y1 + 1,
            box.x2 - box.x1 + 2,
            box.y2 - box.y1 - 1,
            fill=colour,
            fill_opacity=0.85,
        )
    if label.clock is not None and label.text.endswith(SIGNS[WRONG]):
        ground = _wrong(label)
    weight = 600 if label.clock is not None else 400
    words = text(label.x, label.y, label.text, size=label.size, fill=fill, weight=weight)
    return group(ground, words, tip=label.tip)


def _wrong(label: Label) -> str:
    """Frame an answer that is wrong."""
    box = label.box
    return rect(
        box.x1 - 3,
        box.y1,
        box.x2 - box.x1 + 6,
        box.y2 - box.y1 + 1,
        rx=2,
        fill=theme.WASH,
        stroke=theme.VERMILION,
        stroke_width=1.4,
    )


def _blank(label: Label) -> str:
    """Draw a box to fill in, with its number."""
    wide = text_width(label.text, label.size)
    number = text(label.x, label.y, label.text, size=label.size, fill=theme.MUTED)
    ground = rect(label.x - 1, label.y - 11, wide + 4, 15, fill=theme.PANEL, fill_opacity=0.85)
    box = rect(
        label.x + wide + 3, label.y - 11, label.blank, 15,
        rx=2, fill=theme.PANEL, stroke=theme.INK, stroke_width=1,
    )  # fmt: skip
    return ground + number + box


def _bands(scene: Scene, layout: Layout) -> Iterator[str]:
    for index, (lane, box) in enumerate(zip(scene.lanes, layout.lanes, strict=True)):
        if index % 2 == 0:
            yield rect(8, box.top, layout.right + 24, box.height, fill=theme.BAND)
        middle = box.top + box.height / 2
        first = middle - 8 * (len(box.names) - 1) - 2
        words = [
            text(20, first + 16 * place, name, size=NAME_SIZE, weight=600)
            for place, name in enumerate(box.names)
        ]
        note = text(20, first + 16 * len(box.names) - 1, lane.note, size=11, fill=theme.MUTED)
        yield group(*words, note, tip=lane.label[:240])


def _lane_lines(scene: Scene, layout: Layout) -> Iterator[str]:
    for index, box in enumerate(layout.lanes):
        x = layout.left
        for gap in (gap for gap in scene.gaps if gap.lane == index):
            x1, x2 = _gap_span(gap.crash, gap.restart, layout)
            yield line(x, box.base, max(x, x1), box.base, stroke=theme.FAINT)
            x = x2
        yield line(x, box.base, max(x, layout.right), box.base, stroke=theme.FAINT)


def _gap_span(crash: int, restart: int | None, layout: Layout) -> tuple[float, float]:
    end = layout.right if restart is None else layout.anchors[restart][0]
    return layout.anchors[crash][0], end


def _gaps(scene: Scene, layout: Layout) -> Iterator[str]:
    words = {box.x1: box for box in _gap_words(scene, layout)}
    for gap in scene.gaps:
        box = layout.lanes[gap.lane]
        x1, x2 = _gap_span(gap.crash, gap.restart, layout)
        tip = "the agent was down"
        if gap.restart is not None and scene.window.axis == "time":
            tip += f" for {duration(scene.at[gap.restart] - scene.at[gap.crash])}"
        parts = [
            rect(
                x1,
                box.top + 5,
                max(2.0, x2 - x1),
                box.height - 10,
                fill=theme.WASH,
                stroke=theme.VERMILION,
                stroke_dasharray="3 3",
            )
        ]
        for place, word in words.items():
            if x1 <= place <= x2 and box.top <= word.y1 <= box.bottom:
                parts.append(text(word.x1, word.y2 - 2.5, "down", size=10, fill=theme.INK))
        yield group(*parts, tip=tip)


def _gap_words(scene: Scene, layout: Layout) -> list[Box]:
    boxes = []
    width = text_width("down", 10)
    for gap in scene.gaps:
        box = layout.lanes[gap.lane]
        x1, x2 = _gap_span(gap.crash, gap.restart, layout)
        if x2 - x1 > width + 22:
            x = (x1 + x2 - width) / 2
            boxes.append(Box(x, box.top + 7, x + width, box.top + 19))
    return boxes


def _barriers(scene: Scene, layout: Layout) -> Iterator[str]:
    for barrier in scene.barriers:
        x, y = layout.anchors[barrier.row]
        lanes = [layout.lanes[index] for index in barrier.lanes]
        top, bottom = lanes[0].top + 4, lanes[-1].bottom - 4
        low, high = min(top, y), max(bottom, y)
        parts = [line(x, low, x, high, stroke=theme.INK, stroke_width=1.2)]
        parts += [rect(x - 2.5, lane.top + 4, 5, lane.height - 8, fill=theme.INK) for lane in lanes]
        yield group(*parts, tip=barrier.tip)


def _grid(layout: Layout) -> Iterator[str]:
    """Draw the axis: ticks, and what was taken out between them, no label over another."""
    bottom = layout.bottom
    taken: list[tuple[float, float]] = []
    for gap in layout.axis.breaks:
        yield line(gap.x, layout.top, gap.x, bottom, stroke=theme.FAINT, stroke_dasharray="2 4")
        label = f"// {gap.label}"
        if _claim(taken, gap.x, text_width(label, 10)):
            words = text(gap.x, bottom + 16, label, size=10, fill=theme.MUTED, anchor="middle")
            yield group(words, tip=f"{gap.label} in which nothing happened, taken out")
    for tick in layout.axis.ticks():
        yield line(tick.x, layout.top, tick.x, bottom, stroke=theme.GRID)
        if not _claim(taken, tick.x, text_width(tick.label, 11)):
            continue
        edges = (bottom + 16, layout.top - 6) if bottom - layout.top > 560 else (bottom + 16,)
        for y in edges:
            yield text(tick.x, y, tick.label, size=11, fill=theme.MUTED, anchor="middle")


def _claim(taken: list[tuple[float, float]], x: float, width: float) -> bool:
    """Take the room of a label along the axis, if it is free."""
    first, last = x - width / 2 - 3, x + width / 2 + 3
    if any(first < end and start < last for start, end in taken):
        return False
    taken.append((first, last))
    return True


def _points(points: Sequence[Point], layout: Layout) -> Iterator[str]:
    # Where several stand in one place, the one that says most lies on top.
    for point in sorted(points, key=lambda point: point.glyph not in _SMALL):
        x, y = layout.anchors[point.row]
        r = layout.radius
        if point.glyph not in _SMALL:
            r = max(r, 3.6)
        yield group(glyph(point.glyph, x, y, r), tip=point.tip)


def _damage(scene: Scene, layout: Layout) -> Iterator[str]:
    for row, tip in scene.damaged.items():
        if row in layout.anchors:
            x, y = layout.anchors[row]
            yield group(glyph("damage", x, y - 13, 6), tip=tip)


def _keys(scene: Scene, layout: Layout) -> set[str]:
    # The arrow of a call and the bar of a timer say what their signs mean.
    keys = {point.glyph for point in scene.points} - {"call"}
    for placed in layout.bars:
        bar = placed.bar
        keys |= {"waiting", "attempt"} & {segment.kind for segment in placed.segments}
        if any(segment.kind == "work" for segment in placed.segments):
            keys.add("work" if bar.kind == "activity" else f"{bar.kind} bar")
        keys |= {"running"} if placed.open else set()
        if bar.status in STATUS_SIGNS:
            keys.add(bar.status)
        if bar.attempt > 1:
            keys.add("times")
    keys |= {"down"} if scene.gaps else set()
    keys |= {"barrier span"} if scene.barriers else set()
    keys |= {"damage"} if scene.damaged else set()
    return keys - {"barrier"} if scene.barriers else keys
