"""The space-time diagram as SVG: presentation attributes only, so it survives GitHub."""

from __future__ import annotations

from typing import Final

from flowlab.figures import theme
from flowlab.figures.axis import Axis, make_axis
from flowlab.figures.marks import Bar, Scene
from flowlab.figures.text import ellipsize, escape, plural

LANE_HEIGHT: Final = 54
TOP: Final = 64
LEFT: Final = 250
RIGHT: Final = 40
_BAD: Final = {"failed", "timed_out", "canceled", "crash"}
_COLOURS: Final = {"failed": theme.VERMILION, "timed_out": theme.VERMILION}


def draw(scene: Scene, *, width: int, title: str) -> str:
    """Draw a scene."""
    right = width - RIGHT
    working = [
        (scene.at[bar.asked], scene.at[bar.ended])
        for bar in scene.bars
        if bar.ended in scene.at and bar.asked in scene.at
    ]
    axis = make_axis(
        scene.window.axis, scene.at.values(), working, left=LEFT + 16, right=right - 16
    )
    height = TOP + LANE_HEIGHT * max(1, len(scene.lanes)) + 70
    parts = [
        _open(width, height),
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_counts(scene))}</desc>",
        _rect(0, 0, width, height, theme.PANEL, f' rx="8" stroke="{theme.BORDER}"'),
        _text(20, 28, title, size=16, weight="600"),
        _text(20, 47, _counts(scene), size=12, fill=theme.MUTED),
        *_grid(scene, axis, right, height),
        *_arrows(scene, axis),
        *(_bar(bar, scene, axis) for bar in scene.bars),
        *_points(scene, axis),
        *_legend(height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _open(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="{theme.FONT}">'
    )


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:  # noqa: PLR0917
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{fill}"{more}/>'
    )


def _counts(scene: Scene) -> str:
    window = scene.window
    shown = sum(window.visible)
    text = f"showing {shown} of {plural(window.total, 'event')}"
    if window.hidden:
        text += f", {window.hidden} workflow-task events left out"
    if window.left_out:
        text += f", {window.left_out} beyond the limit"
    if len(scene.lanes) < window.total_lanes:
        text += f", {len(scene.lanes)} of {plural(window.total_lanes, 'lane')}"
    along = {"time": "time", "order": "causal order", "depth": "causal depth"}[window.axis]
    return f"{text}; along the axis: {along}"


def _y(lane: int) -> float:
    return TOP + LANE_HEIGHT * lane + LANE_HEIGHT / 2


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    fill: str = theme.INK,
    weight: str = "400",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'
    )


def _grid(scene: Scene, axis: Axis, right: float, height: float) -> list[str]:
    parts = []
    for index, lane in enumerate(scene.lanes):
        y = _y(index)
        if index % 2 == 0:
            parts.append(
                f'<rect x="8" y="{y - LANE_HEIGHT / 2:.1f}" width="{right + 24:.1f}" '
                f'height="{LANE_HEIGHT}" fill="{theme.BAND}"/>'
            )
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{theme.FAINT}"/>'
        )
        label = ellipsize(lane.label, 13, LEFT - 62)
        parts.append(f"<g><title>{escape(lane.label)}</title>")
        parts.append(_text(20, y, label, size=13, weight="600"))
        parts.append(_text(20, y + 16, lane.note, size=11, fill=theme.MUTED) + "</g>")
    bottom = height - 70
    for tick in axis.ticks():
        parts.append(
            f'<line x1="{tick.x:.1f}" y1="{TOP}" x2="{tick.x:.1f}" y2="{bottom}" '
            f'stroke="{theme.GRID}"/>'
        )
        parts.append(
            _text(tick.x, bottom + 16, tick.label, size=11, fill=theme.MUTED, anchor="middle")
        )
    for gap in axis.breaks:
        parts.append(
            f'<line x1="{gap.x:.1f}" y1="{TOP}" x2="{gap.x:.1f}" y2="{bottom}" '
            f'stroke="{theme.FAINT}" stroke-dasharray="2 4"/>'
        )
        label = f"// {gap.label}"
        parts.append(_text(gap.x, TOP - 4, label, size=10, fill=theme.MUTED, anchor="middle"))
    return parts


def _arrows(scene: Scene, axis: Axis) -> list[str]:
    lane_of = _lane_of(scene)
    # A bar says itself that its end follows from its call.
    said = {(bar.asked, bar.ended) for bar in scene.bars}
    parts = []
    for link in scene.links:
        if (link.cause, link.effect) in said:
            continue
        if link.cause not in lane_of or link.effect not in lane_of:
            continue
        if lane_of[link.cause] == lane_of[link.effect]:
            continue
        x1, x2 = axis.x(scene.at[link.cause]), axis.x(scene.at[link.effect])
        y1, y2 = _y(lane_of[link.cause]), _y(lane_of[link.effect])
        sign = 1 if y2 > y1 else -1
        y2 -= sign * 11
        guess = link.bridged or link.kind == "assumed"
        dashed = ' stroke-dasharray="4 3"' if guess else ""
        parts.append(
            f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" fill="none" stroke="{theme.MUTED}" '
            f'stroke-opacity="0.7"{dashed}/>'
        )
        parts.append(
            f'<path d="M{x2 - 3.5:.1f} {y2 - sign * 6:.1f}L{x2:.1f} {y2:.1f}'
            f'L{x2 + 3.5:.1f} {y2 - sign * 6:.1f}Z" fill="{theme.MUTED}"/>'
        )
    return parts


def _lane_of(scene: Scene) -> dict[int, int]:
    lanes = {key: index for index, key in enumerate(scene.window.lanes)}
    return {
        row: lanes[event.namespace, event.run_id, event.agent_id]
        for row, event in enumerate(scene.window.events)
        if row in scene.at
    }


def _bar(bar: Bar, scene: Scene, axis: Axis) -> str:
    y = _y(bar.lane) - 10
    asked = axis.x(scene.at[bar.asked]) if bar.asked in scene.at else LEFT
    began = axis.x(scene.at[bar.began]) if bar.began in scene.at else asked
    ended = axis.x(scene.at[bar.ended]) if bar.ended in scene.at else axis.end
    colour = _COLOURS.get(bar.status, theme.BLUE if bar.kind == "activity" else theme.PURPLE)
    wide = max(3.0, ended - began)
    dashed = "" if bar.ended in scene.at else ' stroke-dasharray="5 3"'
    parts = [f"<g><title>{escape(bar.tip)}</title>"]
    if began - asked > 1:
        parts.append(
            f'<rect x="{asked:.1f}" y="{y + 6:.1f}" width="{began - asked:.1f}" height="8" '
            f'fill="{colour}" fill-opacity="0.25"/>'
        )
    parts.append(
        f'<rect x="{began:.1f}" y="{y:.1f}" width="{wide:.1f}" height="20" rx="3" fill="{colour}" '
        f'stroke="{colour}"{dashed}/>'
    )
    label = bar.label + (f" ×{bar.attempt}" if bar.attempt > 1 else "")
    inside = ellipsize(label, 11, (wide - 10) * 0.86) if wide > 40 else ""
    if inside:
        parts.append(_text(began + 4, y + 14, inside, size=11, fill=theme.ON_BAR))
    else:
        outside = ellipsize(label, 11, 150)
        late = began > axis.end - 160
        place = ended if late else began
        anchor = "end" if late else "start"
        parts.append(_text(place, y - 3, outside, size=11, fill=theme.INK, anchor=anchor))
    if bar.status in _BAD:
        x = began + wide
        parts.append(_cross(x, y + 10))
    return "".join([*parts, "</g>"])


def _cross(x: float, y: float) -> str:
    return (
        f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" stroke="{theme.INK}" '
        'stroke-width="2.5" fill="none"/>'
    )


def _points(scene: Scene, axis: Axis) -> list[str]:
    parts = []
    reached = [0.0] * len(scene.lanes)
    for point in sorted(scene.points, key=lambda item: (item.lane, scene.at[item.row], item.row)):
        x, y = axis.x(scene.at[point.row]), _y(point.lane)
        parts.append(f"<g><title>{escape(point.tip)}</title>")
        if point.glyph in _BAD:
            parts.append(_cross(x, y))
        elif point.glyph in {"start", "end", "again"}:
            parts.append(_rect(x - 4, y - 9, 8, 18, theme.GREEN))
        elif point.glyph == "pivot":
            parts.append(f'<path d="M{x:.1f} {y - 8:.1f}l8 8l-8 8l-8 -8Z" fill="{theme.ORANGE}"/>')
        else:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{theme.INK}"/>')
        if point.label and x > reached[point.lane]:
            label = ellipsize(point.label, 10, 110)
            parts.append(_text(x, y + 21, label, size=10, fill=theme.MUTED))
            reached[point.lane] = x + 120
        parts.append("</g>")
    return parts


def _legend(height: float) -> list[str]:
    y = height - 20
    items = [
        (_rect(20, y - 10, 22, 12, theme.BLUE), "work"),
        (_rect(100, y - 8, 22, 8, theme.BLUE, ' fill-opacity="0.25"'), "waiting"),
        (_cross(200, y - 4), "failed"),
        (_rect(276, y - 11, 8, 14, theme.GREEN), "start, end"),
        (_arrow_sample(y), "cause across lanes"),
    ]
    places = (48, 128, 212, 292, 404)
    return [
        shape + _text(x, y, text, size=11, fill=theme.MUTED)
        for (shape, text), x in zip(items, places, strict=True)
    ]


def _arrow_sample(y: float) -> str:
    return (
        f'<path d="M372 {y - 4}h20" stroke="{theme.MUTED}"/>'
        f'<path d="M390 {y - 8}l6 4l-6 4Z" fill="{theme.MUTED}"/>'
    )
