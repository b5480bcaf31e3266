"""How the nodes and arrows of a plan look, and the legend of those that occur."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from flowlab.figures import theme
from flowlab.figures.flow_layout import FlowEdge, FlowLayout, FlowNode, Point
from flowlab.figures.svg import circle, group, num, path, rect, text
from flowlab.figures.text import clean, ellipsize, text_width
from flowlab.workflow.plan_drawing import DrawnNode

_SIZE: Final = 12
_ROUND: Final = 7.0
_LINE: Final = 22.0
_STROKES: Final = {
    "fails": (theme.VERMILION, None),
    "undoes": (theme.VERMILION, "5 4"),
    "compensates": (theme.VERMILION, "2 3"),
}
_KEYS: Final = {
    "compensable": "compensable: can be undone",
    "pivot": "pivot: no way back after it",
    "retryable": "retryable: tried until it succeeds",
    "event": "event",
    "failure": "event of a failure",
    "compensation": "compensation",
    "decision": "decides",
    "fork": "side by side, from here or to here",
    "barrier": "barrier: waits for all",
    "undoes": "is undone because of",
}


def draw_node(node: FlowNode) -> str:
    """Draw a node, with its words."""
    drawn, x, y = node.drawn, node.x, node.y
    tip = " ".join(
        part for part in (drawn.label, f"by {drawn.agent}" if drawn.agent else "") if part
    )
    match drawn.kind:
        case "start":
            sign = circle(x, y, 6, fill=theme.INK)
        case "end":
            ring = circle(x, y, 7, fill=theme.PANEL, stroke=theme.INK, stroke_width=1.6)
            sign = ring + circle(x, y, 3.5, fill=theme.INK)
        case "fork" | "join":
            sign = rect(x - 2.5, y - 11, 5, 22, fill=theme.INK, rx=2) + _below(node)
        case "barrier":
            bars = [rect(x + at, y - 11, 3, 22, fill=theme.PURPLE) for at in (-4.5, 1.5)]
            sign = "".join(bars) + _below(node)
        case "decision" | "merge":
            d = f"M{num(x - 8)} {num(y)}L{num(x)} {num(y - 8)}L{num(x + 8)} {num(y)}"
            diamond = path(
                f"{d}L{num(x)} {num(y + 8)}Z", fill=theme.PANEL, stroke=theme.INK, stroke_width=1.6
            )
            sign = diamond + _below(node)
        case _:
            sign = _box(node)
    return group(sign, tip=tip)


def _box(node: FlowNode) -> str:
    drawn = node.drawn
    key = _key_of(drawn, fails=node.fails)
    stroke, fill, ink, dash, rx = {
        "pivot": (theme.BLUE, theme.BLUE, theme.ON_BAR, None, 5.0),
        "retryable": (theme.GREEN, theme.PANEL, theme.INK, None, 5.0),
        "event": (theme.FAINT, theme.PANEL, theme.INK, None, node.tall),
        "failure": (theme.VERMILION, theme.PANEL, theme.INK, None, node.tall),
        "compensation": (theme.VERMILION, theme.PANEL, theme.INK, "4 3", 5.0),
    }.get(key, (theme.BLUE, theme.PANEL, theme.INK, None, 5.0))
    box = rect(
        node.x - node.half, node.y - node.tall, 2 * node.half, 2 * node.tall,
        fill=fill, stroke=stroke, stroke_width=1.6, stroke_dasharray=dash, rx=rx,
    )  # fmt: skip
    words = ellipsize(clean(drawn.label), _SIZE, 2 * node.half - 12)
    return box + text(node.x, node.y + 4, words, size=_SIZE, fill=ink, anchor="middle")


def _below(node: FlowNode) -> str:
    words = ellipsize(clean(node.drawn.label), 11, 150)
    if not words:
        return ""
    wide = text_width(words, 11) + 6
    plate = rect(node.x - wide / 2, node.y + 14, wide, 13, fill=theme.BAND, fill_opacity=0.85)
    return plate + text(node.x, node.y + 24, words, size=11, anchor="middle")


def _key_of(drawn: DrawnNode, *, fails: bool) -> str:
    if drawn.kind == "step":
        return drawn.step_kind or "compensable"
    if drawn.kind == "event" and fails:
        return "failure"
    return {"join": "fork"}.get(drawn.kind, drawn.kind)


def draw_edge(edge: FlowEdge) -> str:
    """Draw an arrow, its corners rounded."""
    color, dash = _STROKES.get(edge.drawn.kind, (theme.MUTED, None))
    return _arrow(edge.way, color, dash)


def _arrow(way: tuple[Point, ...], color: str, dash: str | None) -> str:
    (x1, y1), (x2, y2) = way[-2:]
    length = max(abs(x2 - x1), abs(y2 - y1), 1e-9)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    tip = (x2 - dx * 1.5, y2 - dy * 1.5)
    base = (tip[0] - dx * 7, tip[1] - dy * 7)
    head = (
        f"M{num(tip[0])} {num(tip[1])}"
        f"L{num(base[0] - dy * 3.6)} {num(base[1] + dx * 3.6)}"
        f"L{num(base[0] + dy * 3.6)} {num(base[1] - dx * 3.6)}Z"
    )
    body = _rounded((*way[:-1], base))
    return path(body, stroke=color, stroke_width=1.6, stroke_dasharray=dash) + path(
        head, fill=color
    )


def _rounded(way: tuple[Point, ...]) -> str:
    parts = [f"M{num(way[0][0])} {num(way[0][1])}"]
    for before, corner, after in zip(way, way[1:], way[2:], strict=False):
        inner, outer = _toward(corner, before), _toward(corner, after)
        parts.append(
            f"L{num(inner[0])} {num(inner[1])}"
            f"Q{num(corner[0])} {num(corner[1])} {num(outer[0])} {num(outer[1])}"
        )
    parts.append(f"L{num(way[-1][0])} {num(way[-1][1])}")
    return "".join(parts)


def _toward(corner: Point, other: Point) -> Point:
    """Return the point where a rounded corner begins, at most half way to the next."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    part = min(_ROUND, length / 2) / length if length else 0.0
    return corner[0] + dx * part, corner[1] + dy * part


def draw_words(edge: FlowEdge) -> str:
    """Write what is said at an arrow, where it comes to its target."""
    if not edge.drawn.label:
        return ""
    # Above the box that the arrow leads to; above the middle of a long level way.
    around = len(edge.way) > 4
    (x, y), (end, _) = edge.way[2:4] if around else edge.way[-2:]
    words = ellipsize(clean(edge.drawn.label), 11, 150)
    level = around or end - x > 40
    x, y = ((x + end) / 2 - text_width(words, 11) / 2, y - 6) if level else (x + 5, y - 20)
    plate = rect(x - 3, y - 10, text_width(words, 11) + 6, 13, fill=theme.PANEL, fill_opacity=0.85)
    return plate + text(x, y, words, size=11, fill=theme.MUTED)


def draw_legend(
    laid: FlowLayout, *, left: float, right: float, top: float
) -> tuple[list[str], float]:
    """Draw a sample and a word for each kind that occurs; return the parts and the height."""
    there = {_key_of(node.drawn, fails=node.fails) for node in laid.nodes}
    there |= {edge.drawn.kind for edge in laid.edges}
    entries = [(words, partial(_sample, key)) for key, words in _KEYS.items() if key in there]
    return draw_entries(entries, left=left, right=right, top=top)


def draw_entries(
    entries: Iterable[tuple[str, Callable[[float, float], str]]],
    *,
    left: float,
    right: float,
    top: float,
) -> tuple[list[str], float]:
    """Draw a legend in lines, words behind each sample; return the parts and the height."""
    parts: list[str] = []
    x, y = left, top + 12
    for words, sample in entries:
        wide = 34 + text_width(words, 11) + 20
        if x > left and x + wide > right:
            x, y = left, y + _LINE
        parts.append(sample(x + 13, y))
        parts.append(text(x + 34, y + 4, words, size=11, fill=theme.MUTED))
        x += wide
    return parts, (y - top + 12 if parts else 0.0)


def _sample(key: str, x: float, y: float) -> str:
    if key == "undoes":
        return _arrow(((x + 12, y), (x - 12, y)), *_STROKES["undoes"])
    if key in {"fork", "barrier", "decision"}:
        kinds = {"fork": "fork", "barrier": "barrier", "decision": "decision"}
        return draw_node(FlowNode(DrawnNode("", kinds[key], ""), x, y, 7, 9))  # type: ignore[arg-type]
    step = key if key in {"compensable", "pivot", "retryable"} else None
    kind = "step" if step else "event" if key == "failure" else key
    drawn = DrawnNode("", kind, "", None, step)  # type: ignore[arg-type]
    return _box(FlowNode(drawn, x, y, 12, 7, key == "failure"))
