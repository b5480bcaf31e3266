"""SVG elements as text: presentation attributes only, short numbers, everything escaped."""

from __future__ import annotations

from typing import Final

from flowlab.figures import theme
from flowlab.figures.text import escape

ELEMENTS: Final = frozenset({"svg", "title", "desc", "g", "rect", "line", "path", "circle", "text"})
"""The elements that a picture is made of."""
ATTRIBUTES: Final = frozenset(
    "xmlns viewBox width height role aria-label font-family font-size font-weight text-anchor "
    "x y x1 y1 x2 y2 cx cy r rx d fill fill-opacity stroke stroke-width stroke-opacity "
    "stroke-dasharray".split()
)
"""Their attributes: none refers to anything, runs anything, or needs a style sheet."""


def num(value: float) -> str:
    """Write a coordinate with at most one digit after the point.

    Example:
        >>> num(3), num(2.04), num(-0.01), num(7.25)
        ('3', '2', '0', '7.2')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def element(name: str, content: str = "", /, **attributes: float | str | None) -> str:
    """Write one element; underscores in attribute names become hyphens, None is left out.

    Example:
        >>> element("line", x1=0, stroke_width=1.5)
        '<line x1="0" stroke-width="1.5"/>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            text = escape(value) if isinstance(value, str) else num(value)
            parts.append(f'{key.replace("_", "-")}="{text}"')
    head = " ".join(parts)
    return f"<{head}>{content}</{name}>" if content else f"<{head}/>"


def group(*parts: str, tip: str = "") -> str:
    """Put parts into a group, with what a pointer over it says."""
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f"<g>{title}{''.join(parts)}</g>"


def rect(x: float, y: float, width: float, height: float, /, **more: float | str | None) -> str:
    """Draw a rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, **more)


def line(x1: float, y1: float, x2: float, y2: float, /, **more: float | str | None) -> str:
    """Draw a line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **more)


def path(d: str, /, **more: float | str | None) -> str:
    """Draw a path, which has no fill unless one is given."""
    return element("path", d=d, **{"fill": "none", **more})


def circle(x: float, y: float, r: float, /, **more: float | str | None) -> str:
    """Draw a circle."""
    return element("circle", cx=x, cy=y, r=r, **more)


def text(
    x: float,
    y: float,
    words: str,
    /,
    *,
    size: float = 12,
    fill: str = theme.INK,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    """Write a line of text."""
    return element(
        "text",
        escape(words),
        x=x,
        y=y,
        font_size=size,
        font_weight=None if weight == 400 else str(weight),
        text_anchor=None if anchor == "start" else anchor,
        fill=fill,
    )
