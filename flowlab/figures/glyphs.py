"""The signs of events, told apart by shape; colour only helps. Each has its words in the legend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flowlab.figures import theme
from flowlab.figures.svg import circle, line, num, path, rect

RIGHT, WRONG, MISSING = "right", "wrong", "missing"
SIGNS: Final = {RIGHT: "✓", WRONG: "✗", MISSING: "?"}
"""What stands after an answer that is marked."""

Draw = Callable[[float, float, float], str]


def _p(*pairs: float) -> str:
    points = [f"{num(pairs[n])} {num(pairs[n + 1])}" for n in range(0, len(pairs), 2)]
    return "M" + "L".join(points)


def cross(x: float, y: float, r: float) -> str:
    """Failure: a cross with a light edge, so that it stands out on a bar."""
    d = _p(x - r, y - r, x + r, y + r) + _p(x + r, y - r, x - r, y + r)
    edge = path(d, stroke=theme.PANEL, stroke_width=5)
    return edge + path(d, stroke=theme.VERMILION, stroke_width=2.6)


def _hourglass(x: float, y: float, r: float) -> str:
    d = _p(x - r, y - r, x + r, y - r, x - r, y + r, x + r, y + r) + "Z"
    return path(d, fill=theme.PANEL, stroke=theme.VERMILION, stroke_width=1.8)


def _no_entry(x: float, y: float, r: float) -> str:
    slash = line(x - r * 0.7, y + r * 0.7, x + r * 0.7, y - r * 0.7, stroke=theme.INK)
    return circle(x, y, r, fill=theme.PANEL, stroke=theme.INK, stroke_width=1.6) + slash


def _start(x: float, y: float, r: float) -> str:
    return path(_p(x - r, y - r * 1.3, x + r * 1.2, y, x - r, y + r * 1.3) + "Z", fill=theme.GREEN)


def _end(x: float, y: float, r: float) -> str:
    return rect(x - r, y - r, 2 * r, 2 * r, fill=theme.GREEN)


def _again(x: float, y: float, r: float) -> str:
    return _start(x - r * 0.6, y, r * 0.8) + _start(x + r * 0.8, y, r * 0.8)


def _crash(x: float, y: float, r: float) -> str:
    s, m = r * 1.5, r * 0.55
    d = _p(x, y - s, x + m, y - m, x + s, y, x + m, y + m, x, y + s, x - m, y + m, x - s, y)
    return path(
        d + f"L{num(x - m)} {num(y - m)}Z",
        fill=theme.VERMILION,
        stroke=theme.PANEL,
        stroke_width=1,
    )


def _restart(x: float, y: float, r: float) -> str:
    turn = f"M{num(x + r)} {num(y)}A{num(r)} {num(r)} 0 1 1 {num(x)} {num(y - r)}"
    head = path(_p(x - 0.5, y - r - 3, x + 4, y - r, x - 0.5, y - r + 3) + "Z", fill=theme.GREEN)
    return (
        circle(x, y, r + 1, fill=theme.PANEL)
        + path(turn, stroke=theme.GREEN, stroke_width=2)
        + head
    )


def _pivot(x: float, y: float, r: float) -> str:
    s = r * 1.8
    d = _p(x, y - s, x + s, y, x, y + s, x - s, y) + "Z"
    return path(d, fill=theme.ORANGE, stroke=theme.INK, stroke_width=1.4)


def _knot(x: float, y: float, r: float) -> str:
    return rect(x - r, y - r, 2 * r, 2 * r, fill=theme.INK)


def _checkpoint(x: float, y: float, r: float) -> str:
    pole = line(x, y + r, x, y - r * 1.8, stroke=theme.INK, stroke_width=1.4)
    flag = path(_p(x, y - r * 1.8, x + r * 1.8, y - r, x, y - r * 0.2) + "Z", fill=theme.GREEN)
    return pole + flag


def _truncated(x: float, y: float, r: float) -> str:
    d = _p(x + r * 0.7, y - r * 1.5, x - r * 0.5, y - r * 1.5, x - r * 0.5, y + r * 1.5)
    d += f"L{num(x + r * 0.7)} {num(y + r * 1.5)}"
    return path(d, stroke=theme.INK, stroke_width=2)


def _sent(x: float, y: float, r: float) -> str:
    return circle(x, y, r, fill=theme.BLUE)


def _received(x: float, y: float, r: float) -> str:
    return circle(x, y, r * 0.9, fill=theme.PANEL, stroke=theme.BLUE, stroke_width=2)


def _signal(x: float, y: float, r: float) -> str:
    stem = line(x, y - r * 2.4, x, y - r, stroke=theme.INK, stroke_width=1.6)
    return stem + path(_p(x - r, y - r, x + r, y - r, x, y + r * 0.8) + "Z", fill=theme.INK)


def _dropped(x: float, y: float, r: float) -> str:
    s = r * 0.65
    d = _p(x - s, y - s, x + s, y + s) + _p(x + s, y - s, x - s, y + s)
    ring = circle(x, y, r * 1.2, fill=theme.PANEL, stroke=theme.VERMILION, stroke_width=1.6)
    return ring + path(d, stroke=theme.VERMILION, stroke_width=1.6)


def _duplicated(x: float, y: float, r: float) -> str:
    return "".join(
        circle(x + shift, y, r * 0.9, fill=theme.PANEL, stroke=theme.BLUE, stroke_width=1.6)
        for shift in (-r * 0.6, r * 0.6)
    )


def _commit(x: float, y: float, r: float) -> str:
    d = _p(x - r, y, x - r * 0.2, y + r * 0.8, x + r * 1.1, y - r * 0.9)
    edge = path(d, stroke=theme.PANEL, stroke_width=5)
    return edge + path(d, stroke=theme.GREEN, stroke_width=2.2)


def _aborted(x: float, y: float, r: float) -> str:
    d = _p(x - r * 0.7, y - r * 0.7, x + r * 0.7, y + r * 0.7)
    d += _p(x + r * 0.7, y - r * 0.7, x - r * 0.7, y + r * 0.7)
    return circle(x, y, r, fill=theme.PANEL) + path(d, stroke=theme.VERMILION, stroke_width=1.8)


def _arrived(x: float, y: float, r: float) -> str:
    r *= 0.8
    return rect(x - r, y - r, 2 * r, 2 * r, fill=theme.PANEL, stroke=theme.INK, stroke_width=1.5)


def _answer(x: float, y: float, r: float) -> str:
    return circle(x, y, r * 0.8, fill=theme.PANEL, stroke=theme.INK, stroke_width=1.4)


def _fault(x: float, y: float, r: float) -> str:
    r *= 1.5
    d = _p(x + r * 0.3, y - r, x - r * 0.6, y + r * 0.15, x, y + r * 0.15)
    d += f"L{num(x - r * 0.3)} {num(y + r)}L{num(x + r * 0.6)} {num(y - r * 0.15)}"
    d += f"L{num(x)} {num(y - r * 0.15)}Z"
    return path(d, fill=theme.ORANGE, stroke=theme.INK, stroke_width=0.9)


def _marker(x: float, y: float, r: float) -> str:
    r *= 0.85
    return rect(x - r, y - r, 2 * r, 2 * r, fill=theme.PANEL, stroke=theme.MUTED, stroke_width=1.5)


def _event(x: float, y: float, r: float) -> str:
    return circle(x, y, r, fill=theme.INK)


def _other(x: float, y: float, r: float) -> str:
    return circle(x, y, r * 0.8, fill=theme.MUTED, stroke=theme.INK, stroke_width=1)


def clock(x: float, y: float, r: float) -> str:
    """The end of a timer: a clock that struck."""
    face = circle(x, y, r, fill=theme.PANEL, stroke=theme.INK, stroke_width=1.4)
    return face + path(_p(x, y - r * 0.7, x, y, x + r * 0.6, y), stroke=theme.INK, stroke_width=1.2)


def padlock(x: float, y: float, r: float) -> str:
    """A lock that is held."""
    bow = f"M{num(x - r * 0.6)} {num(y)}v{num(-r * 0.6)}a{num(r * 0.6)} {num(r * 0.6)} 0 0 1 "
    bow += f"{num(r * 1.2)} 0v{num(r * 0.6)}"
    return path(bow, stroke=theme.INK, stroke_width=1.4) + rect(
        x - r, y - r * 0.2, 2 * r, r * 1.4, fill=theme.INK
    )


def warning(x: float, y: float, r: float) -> str:
    """Damage: a triangle with a stroke that calls for care."""
    d = _p(x, y - r * 1.2, x + r * 1.2, y + r * 0.9, x - r * 1.2, y + r * 0.9) + "Z"
    return (
        path(d, fill=theme.ORANGE, stroke=theme.INK, stroke_width=1)
        + line(x, y - r * 0.5, x, y + r * 0.2, stroke=theme.INK, stroke_width=1.4)
        + circle(x, y + r * 0.6, 0.8, fill=theme.INK)
    )


GLYPHS: Final[dict[str, tuple[Draw, str]]] = {
    "start": (_start, "workflow starts"),
    "end": (_end, "workflow completed"),
    "again": (_again, "continued as new"),
    "failed": (cross, "failed"),
    "timed_out": (_hourglass, "timed out"),
    "canceled": (_no_entry, "canceled"),
    "crash": (_crash, "agent crashed"),
    "restart": (_restart, "agent restarted"),
    "pivot": (_pivot, "pivot: no way back"),
    "barrier": (_knot, "barrier released"),
    "checkpoint": (_checkpoint, "checkpoint"),
    "truncated": (_truncated, "log truncated"),
    "sent": (_sent, "sent"),
    "received": (_received, "received"),
    "signal": (_signal, "signal"),
    "dropped": (_dropped, "message dropped"),
    "duplicated": (_duplicated, "message duplicated"),
    "commit": (_commit, "committed"),
    "aborted": (_aborted, "rolled back"),
    "answer": (_answer, "answer"),
    "arrived": (_arrived, "arrived at a barrier"),
    "fault": (_fault, "fault"),
    "marker": (_marker, "marker"),
    "call": (_event, "asks for work"),
    "event": (_other, "other event"),
    "timer": (clock, "timer ended"),
    "lock": (padlock, "lock held"),
    "damage": (warning, "damage in the log"),
}
"""Each sign: how to draw it around a point with a radius, and what the legend calls it."""


def glyph(name: str, x: float, y: float, r: float) -> str:
    """Draw a sign."""
    return GLYPHS[name][0](x, y, r)
