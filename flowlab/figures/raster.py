"""From our SVG to a PNG: the same primitives through Matplotlib's Agg, without a browser."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final
from xml.etree import ElementTree as ET

import numpy as np
from matplotlib import image, style
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from flowlab.errors import InvalidArgumentError, LimitError

MAX_SCALE: Final = 8.0
MAX_PIXELS: Final = 100_000_000
"""Pixels of one image: four bytes each while it is drawn."""
_FONT: Final = "DejaVu Sans"
_UNKNOWN: Final = "\u25a1"
_TOKEN: Final = re.compile(r"[A-Za-z]|-?\d+(?:\.\d+)?")
_ROUND: Final = 4 / 3 * (math.sqrt(2) - 1)
"""How far the handles of a Bézier curve stand, so that it is a quarter of a circle."""
_ANCHORS: Final = {"start": 0.0, "middle": 0.5, "end": 1.0}
"""The share of a text that stands before its place."""

Points = list[tuple[float, float]]


def to_png(svg: str, *, scale: float = 2.0) -> bytes:
    """Draw one of our pictures as a PNG, the same bytes each time with one version of Matplotlib.

    The font is DejaVu Sans, which comes with Matplotlib; a sign that it lacks is an empty square.

    Args:
        svg: a picture of `flowlab.figures`: its elements and attributes, and no others.
        scale: pixels for each pixel of the picture, up to `MAX_SCALE`.

    Raises:
        InvalidArgumentError: the scale is not above zero and at most `MAX_SCALE`.
        LimitError: the image would have more than `MAX_PIXELS` pixels.

    Example:
        >>> svg = '<svg width="2" height="1"><rect x="0" y="0" width="2" height="1"/></svg>'
        >>> to_png(svg)[:8]
        b'\\x89PNG\\r\\n\\x1a\\n'
    """
    if not 0 < scale <= MAX_SCALE:
        message = f"scale is {scale}; expected a number above 0, at most {MAX_SCALE:g}"
        raise InvalidArgumentError(message)
    root = ET.fromstring(svg)  # noqa: S314 - what this package wrote itself
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    pixels = math.ceil(width * scale), math.ceil(height * scale)
    if pixels[0] * pixels[1] > MAX_PIXELS:
        message = (
            f"the image would have {pixels[0]} x {pixels[1]} pixels, more than MAX_PIXELS = "
            f"{MAX_PIXELS}; draw fewer events or lanes, or give a smaller scale"
        )
        raise LimitError(message)
    with style.context("default"):
        # At 72 dots an inch for each unit of scale, a point is a pixel of the picture.
        renderer = RendererAgg(*pixels, 72 * scale)  # type: ignore[no-untyped-call]
        flip = Affine2D().scale(scale, -scale).translate(0, pixels[1])
        for element in _drawn(root):
            _draw(renderer, element, flip, scale)
        held = io.BytesIO()
        shown = np.asarray(renderer.buffer_rgba())  # type: ignore[no-untyped-call]
        image.imsave(held, shown, format="png", metadata={"Software": None})  # type: ignore[dict-item]
    return held.getvalue()


def _drawn(root: ET.Element) -> Iterator[tuple[str, Mapping[str, str], str]]:
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag in {"rect", "line", "path", "circle", "text"}:
            yield tag, element.attrib, element.text or ""


def _draw(
    renderer: RendererAgg,
    element: tuple[str, Mapping[str, str], str],
    flip: Affine2D,
    scale: float,
) -> None:
    tag, at, words = element
    pen = renderer.new_gc()
    fill = None if tag == "line" else _colour(at, "fill", "#000000")
    if tag == "text":
        if fill is not None and words:
            pen.set_foreground(fill, isRGBA=True)
            _write(renderer, pen, at, words, scale)
        return
    stroke = _colour(at, "stroke", "none")
    pen.set_snap(False)
    pen.set_joinstyle("miter")
    pen.set_linewidth(0.0 if stroke is None else float(at.get("stroke-width", "1")))
    if stroke is not None:
        pen.set_foreground(stroke, isRGBA=True)
    if stroke is not None and "stroke-dasharray" in at:
        dashes = [float(length) for length in at["stroke-dasharray"].split()]
        pen.set_dashes(0, dashes)
    renderer.draw_path(pen, _outline(tag, at), flip, fill)  # type: ignore[no-untyped-call]


def _colour(
    at: Mapping[str, str], name: str, otherwise: str
) -> tuple[float, float, float, float] | None:
    value = at.get(name, otherwise)
    return None if value == "none" else to_rgba(value, float(at.get(f"{name}-opacity", "1")))


def _outline(tag: str, at: Mapping[str, str]) -> Path:
    def number(name: str) -> float:
        return float(at.get(name, "0"))

    if tag == "line":
        return Path([(number("x1"), number("y1")), (number("x2"), number("y2"))])
    if tag == "circle":
        return Path.circle((number("cx"), number("cy")), number("r"))
    if tag == "rect":
        return _rectangle(number("x"), number("y"), number("width"), number("height"), number("rx"))
    return _path(at["d"])


def _rectangle(x: float, y: float, width: float, height: float, rx: float) -> Path:
    right, bottom = x + width, y + height
    r = min(rx, width / 2, height / 2)
    if r <= 0:
        corners = [(x, y), (right, y), (right, bottom), (x, bottom), (x, y)]
        return Path(corners, closed=True)
    h = r * (1 - _ROUND)
    points = [
        (x + r, y), (right - r, y), (right - h, y), (right, y + h), (right, y + r),
        (right, bottom - r), (right, bottom - h), (right - h, bottom), (right - r, bottom),
        (x + r, bottom), (x + h, bottom), (x, bottom - h), (x, bottom - r),
        (x, y + r), (x, y + h), (x + h, y), (x + r, y), (x + r, y),
    ]  # fmt: skip
    side: list[Any] = [Path.LINETO, *[Path.CURVE4] * 3]
    return Path(points, [Path.MOVETO, *side * 4, Path.CLOSEPOLY])


def _path(d: str) -> Path:
    """Read the commands that our pictures use: M, L, C, Q, A, a, v and Z."""
    tokens = _TOKEN.findall(d)
    points: Points = []
    codes: list[Any] = []
    place, here, first = 0, (0.0, 0.0), (0.0, 0.0)
    command = "M"

    def take(count: int) -> list[float]:
        nonlocal place
        found = [float(token) for token in tokens[place : place + count]]
        place += count
        return found

    while place < len(tokens):
        if tokens[place].isalpha():
            command = tokens[place]
            place += 1
        if command in "Zz":
            points.append(first)
            codes.append(Path.CLOSEPOLY)
            here = first
            continue
        if command in "Aa":
            r, _, _, large, sweep, x, y = take(7)
            end = (x, y) if command == "A" else (here[0] + x, here[1] + y)
            more = _arc(here, end, r, large=bool(large), sweep=bool(sweep))
            kind = Path.CURVE4
        elif command == "v":
            (down,) = take(1)
            more, kind = [(here[0], here[1] + down)], Path.LINETO
        else:
            pairs, kind = {
                "M": (1, Path.MOVETO),
                "L": (1, Path.LINETO),
                "Q": (2, Path.CURVE3),
                "C": (3, Path.CURVE4),
            }[command]
            numbers = take(2 * pairs)
            more = list(zip(numbers[::2], numbers[1::2], strict=True))
        if command == "M":
            first, command = more[0], "L"
        points += more
        codes += [kind] * len(more)
        here = points[-1]
    return Path(points, codes)


def _arc(
    start: tuple[float, float], end: tuple[float, float], r: float, *, large: bool, sweep: bool
) -> Points:
    """Return an arc of a circle as Bézier curves, each of at most a quarter."""
    dx, dy = (end[0] - start[0]) / 2, (end[1] - start[1]) / 2
    half = math.hypot(dx, dy)
    if half == 0 or r == 0:
        return [start, end, end]
    r = max(r, half)
    off = math.sqrt(max(0.0, r * r - half * half)) / half * (-1 if large == sweep else 1)
    # The middle lies off the chord, on the side that the two flags choose.
    cx, cy = start[0] + dx - off * dy, start[1] + dy + off * dx
    first = math.atan2(start[1] - cy, start[0] - cx)
    turn = math.atan2(end[1] - cy, end[0] - cx) - first
    if sweep and turn < 0:
        turn += 2 * math.pi
    elif not sweep and turn > 0:
        turn -= 2 * math.pi
    count = math.ceil(abs(turn) / (math.pi / 2) - 1e-9) or 1
    step = turn / count
    reach = 4 / 3 * math.tan(step / 4) * r
    points: Points = []
    for number in range(count):
        a, b = first + number * step, first + (number + 1) * step
        x1, y1 = cx + r * math.cos(a), cy + r * math.sin(a)
        x2, y2 = cx + r * math.cos(b), cy + r * math.sin(b)
        points += [
            (x1 - reach * math.sin(a), y1 + reach * math.cos(a)),
            (x2 + reach * math.sin(b), y2 - reach * math.cos(b)),
            (x2, y2),
        ]
    return points


def _write(
    renderer: RendererAgg,
    pen: GraphicsContextBase,
    at: Mapping[str, str],
    words: str,
    scale: float,
) -> None:
    # The font has two weights; asked for 600 by number, Matplotlib would warn.
    weight = "bold" if int(at.get("font-weight", "400")) >= 600 else "normal"
    font = FontProperties(family=_FONT, size=float(at["font-size"]), weight=weight)
    known = _signs(weight)
    said = "".join(sign if ord(sign) in known else _UNKNOWN for sign in words)
    x, y = float(at["x"]) * scale, float(at["y"]) * scale
    share = _ANCHORS[at.get("text-anchor", "start")]
    if share:
        width = renderer.get_text_width_height_descent(said, font, ismath=False)[0]  # type: ignore[no-untyped-call]
        x -= width * share
    renderer.draw_text(pen, x, y, said, font, 0)  # type: ignore[no-untyped-call]


@cache
def _signs(weight: str) -> frozenset[int]:
    """Return the code points that the font has."""
    found = get_font(findfont(FontProperties(family=_FONT, weight=weight))).get_charmap()
    return frozenset(found)
