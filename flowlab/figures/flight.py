"""Calls in flight over time: how many waited and how many worked, as steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.figures import theme
from flowlab.figures.axis import Axis, make_axis
from flowlab.figures.svg import element, line, num, path, rect, text
from flowlab.figures.text import clean, duration, escape, plural

HEIGHT: Final = 150
_LEFT: Final = 60.0
_TOP: Final = 44.0
_BOTTOM: Final = 112.0
_MAX_STEPS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """From a time on, so many calls wait and so many work."""

    time_ns: int
    waiting: int
    working: int


def flight_chart(steps: Sequence[Step], *, title: str, width: int = 1200) -> str:
    """Draw calls in flight over time as SVG: working as a full area, waiting hatched above it.

    More than a thousand steps are drawn as the highest of each stretch; the heading says so.

    Raises:
        InvalidArgumentError: there is no step.

    Example:
        >>> steps = [Step(0, 1, 0), Step(5, 0, 1), Step(9, 0, 0)]
        >>> "at most 1 at once" in flight_chart(steps, title="one call")
        True
    """
    if not steps:
        message = "there are no steps to draw; a log without calls has no calls in flight"
        raise InvalidArgumentError(message)
    first, last = steps[0].time_ns, steps[-1].time_ns
    axis = make_axis("time", [first, last], [(first, last)], left=_LEFT, right=width - 40.0)
    most = max(1, *(step.waiting + step.working for step in steps))
    shown = _thinned(steps)
    said = f"at most {most} at once, over {duration(last - first)}"
    if len(shown) < len(steps):
        said += f"; the peaks of {plural(len(steps), 'step')}"
    parts = [
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>",
        rect(0.5, 0.5, width - 1, HEIGHT - 1, fill=theme.PANEL, rx=8, stroke=theme.BORDER),
        text(20, 24, f"{clean(title)[:80]}: {said}", size=12, weight=600),
        *_grid(axis, most),
        _area(shown, axis, most, both=True),
        _area(shown, axis, most, both=False),
        line(_LEFT, _BOTTOM, axis.end, _BOTTOM, stroke=theme.FAINT),
        *_legend(width),
    ]
    return element(
        "svg",
        "\n" + "\n".join(parts) + "\n",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {HEIGHT}",
        width=float(width),
        height=float(HEIGHT),
        role="img",
        font_family=theme.FONT,
    )


def _thinned(steps: Sequence[Step]) -> list[Step]:
    size = -(-len(steps) // _MAX_STEPS)
    if size == 1:
        return list(steps)
    chunks = [steps[place : place + size] for place in range(0, len(steps), size)]
    peaks = [max(chunk, key=lambda step: step.waiting + step.working) for chunk in chunks]
    times = [chunk[0].time_ns for chunk in chunks]
    kept = [Step(t, p.waiting, p.working) for t, p in zip(times, peaks, strict=True)]
    return [*kept, steps[-1]]


def _y(count: int, most: int) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * count / most


def _grid(axis: Axis, most: int) -> list[str]:
    parts = []
    for count in sorted({0, most, most // 2}):
        y = _y(count, most)
        parts.append(line(_LEFT, y, axis.end, y, stroke=theme.GRID))
        label = {"size": 11.0, "fill": theme.MUTED, "anchor": "end"}
        parts.append(text(_LEFT - 8, y + 4, str(count), **label))  # type: ignore[arg-type]
    for tick in axis.ticks():
        where = {"size": 11.0, "fill": theme.MUTED, "anchor": "middle"}
        parts.append(text(tick.x, _BOTTOM + 16, tick.label, **where))  # type: ignore[arg-type]
    return parts


def _area(steps: Sequence[Step], axis: Axis, most: int, *, both: bool) -> str:
    d = f"M{num(axis.x(steps[0].time_ns))} {num(_BOTTOM)}"
    for step in steps:
        count = step.working + (step.waiting if both else 0)
        d += f"H{num(axis.x(step.time_ns))}V{num(_y(count, most))}"
    d += f"V{num(_BOTTOM)}Z"
    if both:
        return path(
            d, fill=theme.BLUE, fill_opacity=0.22, stroke=theme.BLUE, stroke_dasharray="2 2"
        )
    return path(d, fill=theme.BLUE)


def _legend(width: int) -> list[str]:
    x = width - 220
    return [
        rect(x, 14, 20, 12, fill=theme.BLUE),
        text(x + 26, 24, "working", size=11, fill=theme.MUTED),
        rect(
            x + 100,
            14,
            20,
            12,
            fill=theme.BLUE,
            fill_opacity=0.22,
            stroke=theme.BLUE,
            stroke_dasharray="2 2",
        ),
        text(x + 126, 24, "waiting", size=11, fill=theme.MUTED),
    ]
