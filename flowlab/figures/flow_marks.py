"""The states of an executed plan, as they are drawn over its graph, and their legend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Final

from flowlab.figures import theme
from flowlab.figures.flow_layout import FlowLayout, FlowNode
from flowlab.figures.flow_signs import draw_entries
from flowlab.figures.flow_states import Executed
from flowlab.figures.glyphs import clock, cross, glyph
from flowlab.figures.svg import circle, group, num, path, rect, text
from flowlab.figures.text import clean, text_width

_VEIL: Final = 0.72
_WORDS: Final = {
    "done": "done",
    "failed": "failed",
    "compensated": "done, and compensated",
    "running": "running",
    "skipped": "skipped: never begun",
    "to come": "still to come",
    "chain": "compensation chain, in this order",
    "times": "number of attempts",
}


def draw_states(laid: FlowLayout, executed: Executed) -> Iterator[str]:
    """Draw what was not gone through pale, a badge on every other box, and the chain."""
    for edge in laid.edges:
        kind = edge.drawn.kind
        if kind in {"compensates", "undoes"}:
            continue
        if executed.taken(edge.drawn.source, edge.drawn.target):
            yield _thick(edge.way)
    for node in laid.nodes:
        state = executed.states.get(node.drawn.node_id)
        if state in {None, "skipped"}:
            yield _pale(node, laid)
        elif node.drawn.kind in {"step", "compensation"} and state is not None:
            tries = executed.attempts.get(node.drawn.node_id, 1)
            said = f"{node.drawn.label}: {state}" + (f", {tries} attempts" if tries > 1 else "")
            marks = _badge(state, node.x + node.half - 3, node.y - node.tall)
            if tries > 1:
                marks += _times(f"×{tries}", node.x + node.half - 16, node.y - node.tall - 3)
            yield group(marks, tip=said)
    yield from _chain(laid, executed)


def _thick(way: tuple[tuple[float, float], ...]) -> str:
    """Draw the middle of a way that was taken thicker, its head left as it is."""
    *_, before, last = way
    dx, dy = last[0] - before[0], last[1] - before[1]
    length = abs(dx) + abs(dy) or 1.0
    end = (last[0] - dx / length * 8, last[1] - dy / length * 8)
    points = [*way[:-1], end]
    d = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in points)
    return path(d, stroke=theme.INK, stroke_width=2.4)


def _pale(node: FlowNode, laid: FlowLayout) -> str:
    """Cover a node, and the words below a small one, with a veil of its lane's colour."""
    edge = 3.0
    small = node.half <= 8
    words = text_width(clean(node.drawn.label), 11) / 2 + 4 if small else 0.0
    half = max(node.half, words) + edge
    more = 16.0 if words > 4 else 0.0
    place = next((n for n, lane in enumerate(laid.lanes) if node.y < lane.bottom), 0)
    ground = theme.BAND if place % 2 == 0 else theme.PANEL
    height = 2 * (node.tall + edge) + more
    top = node.y - node.tall - edge
    return rect(node.x - half, top, 2 * half, height, fill=ground, fill_opacity=_VEIL)


def _badge(state: str, x: float, y: float) -> str:
    colour = {"failed": theme.VERMILION, "compensated": theme.PURPLE}.get(state, theme.GREEN)
    colour = theme.INK if state == "running" else colour
    ground = circle(x, y, 8, fill=theme.PANEL, stroke=colour, stroke_width=1.4)
    if state == "failed":
        return ground + cross(x, y, 3.6)
    if state == "running":
        return clock(x, y, 8)
    if state == "compensated":
        turn = f"M{num(x + 4)} {num(y + 2.6)}A4.2 4.2 0 1 0 {num(x - 3.8)} {num(y + 1)}"
        head = (
            f"M{num(x - 6.4)} {num(y - 1.2)}L{num(x - 3.6)} {num(y + 3.4)}"
            f"L{num(x - 0.9)} {num(y - 1)}Z"
        )
        return (
            ground
            + path(turn, stroke=theme.PURPLE, stroke_width=1.8)
            + path(head, fill=theme.PURPLE)
        )
    return ground + glyph("commit", x, y, 4)


def _times(words: str, x: float, y: float) -> str:
    wide = text_width(words, 11) * 1.1
    ground = rect(x - wide - 2, y - 10, wide + 4, 13, fill=theme.PANEL, fill_opacity=0.9)
    return ground + text(x - wide, y, words, size=11, weight=600)


def _chain(laid: FlowLayout, executed: Executed) -> Iterator[str]:
    placed = {node.drawn.node_id: node for node in laid.nodes}
    nodes = [placed[name] for name in executed.chain if name in placed]
    for one, other in pairwise(nodes):
        yield _link(one, other)
    for number, node in enumerate(nodes, 1):
        yield _number(str(number), node.x - node.half + 3, node.y - node.tall)


def _number(words: str, x: float, y: float) -> str:
    plate = circle(x, y, 8, fill=theme.PURPLE, stroke=theme.PANEL, stroke_width=1)
    return plate + text(x, y + 4, words, size=11, weight=600, anchor="middle", fill=theme.INK)


def _link(one: FlowNode, other: FlowNode) -> str:
    """Draw a dashed arrow from one compensation to the next, bulging to the side."""
    side = -1.0 if other.x <= one.x else 1.0
    x1, x2 = one.x + side * one.half, other.x - side * other.half
    if abs(one.x - other.x) < 1:
        x2 = other.x + side * other.half
        bulge = x1 + side * 30
        curve = f"C{num(bulge)} {num(one.y)} {num(bulge)} {num(other.y)}"
        d, dx = f"M{num(x1)} {num(one.y)}{curve} {num(x2 + side * 6)} {num(other.y)}", -side
    else:
        middle = (x1 + x2) / 2
        curve = f"C{num(middle)} {num(one.y)} {num(middle)} {num(other.y)}"
        d, dx = f"M{num(x1)} {num(one.y)}{curve} {num(x2 - side * 6)} {num(other.y)}", side
    head = (
        f"M{num(x2)} {num(other.y)}L{num(x2 - dx * 8)} {num(other.y - 4)}"
        f"L{num(x2 - dx * 8)} {num(other.y + 4)}Z"
    )
    line = path(d, stroke=theme.PURPLE, stroke_width=2, stroke_dasharray="5 3")
    return group(line, path(head, fill=theme.PURPLE), tip="the next to be undone")


def draw_state_legend(
    executed: Executed, *, left: float, right: float, top: float, below: float
) -> tuple[list[str], float]:
    """Draw a sample and words for each state that occurs, below the plan's own legend."""
    there = set(executed.states.values())
    there |= {"to come"} if executed.outcome == "running" else set()
    there |= {"chain"} if executed.chain else set()
    there |= {"times"} if executed.attempts else set()
    samples: dict[str, Callable[[float, float], str]] = {
        state: partial(_badge, state) for state in ("done", "failed", "compensated", "running")
    }
    samples["skipped"] = samples["to come"] = _sample_pale
    samples["chain"] = partial(_number, "1")
    samples["times"] = lambda x, y: _times("×2", x + 9, y + 4)
    entries = [(words, samples[key]) for key, words in _WORDS.items() if key in there]
    parts, height = draw_entries(entries, left=left, right=right, top=top + below)
    return parts, below + height


def _sample_pale(x: float, y: float) -> str:
    box = rect(x - 12, y - 7, 24, 14, rx=5, fill=theme.PANEL, stroke=theme.BLUE, stroke_width=1.6)
    return box + rect(x - 14, y - 9, 28, 18, fill=theme.PANEL, fill_opacity=_VEIL)
