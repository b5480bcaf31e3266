"""Two logs on one axis, one above the other: what is in one alone is marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import pyarrow as pa

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.events.matching import Matching, match_events
from flowlab.figures import theme
from flowlab.figures.beside_causes import beside_by_causes
from flowlab.figures.draw import TOP
from flowlab.figures.figure import Figure
from flowlab.figures.layout import Layout, lay_out, name_column
from flowlab.figures.legend import LINE_HEIGHT, draw_legend
from flowlab.figures.panel import AXIS_HEIGHT, draw_panel
from flowlab.figures.scene import Scene, read_scene
from flowlab.figures.sheet import sheet
from flowlab.figures.space_time import MAX_MARKS, MIN_WIDTH
from flowlab.figures.svg import group, line, rect, text
from flowlab.figures.text import clean, ellipsize, moment, number, plural, text_width, words
from flowlab.figures.window import choose_window

_HEAD: Final = 46.0
_EDGE: Final = 3.5
_GONE: Final = "gone"
_NEW: Final = "new"
_WORDS: Final = {_GONE: "only above", _NEW: "only below"}
MAX_LISTED: Final = 40
"""Events that are listed in the text, of each side."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the logs: its scene, the rows that are in it alone, and how they are marked."""

    scene: Scene
    alone: frozenset[int]
    total: int
    heading: str
    mark: str


def beside(
    a: EventLog,
    b: EventLog,
    *,
    by: str = "events",
    detail: str = "activities",
    limit: int = MAX_MARKS,
    width: int = 1200,
    title: str | None = None,
    headings: tuple[str, str] | None = None,
) -> Figure:
    """Draw two logs of one run each above each other, on one axis of time.

    What is in one alone has a frame: dashed above, full below. Up to the first difference both
    are pale, since there they are the same. By causes, what is the same up to the order of
    concurrent events is pale, wherever it stands, and the events at which the logs part have a
    double ring.

    Args:
        a: the log above: as it was.
        b: the log below: as it would have been.
        by: `events` compares event by event in the order of the logs; `causes` up to trace
            equivalence, as `flowlab.causality.diff` does.
        detail: as in `space_time`.
        limit: events drawn of each.
        width: in pixels, at least `MIN_WIDTH`.
        title: of the picture.
        headings: of the two; by default the runs' ids.

    Raises:
        InvalidArgumentError: a log holds several runs, `by` is unknown, or limit or width is too
            small.

    Example:
        >>> def log(*times):
        ...     return EventLog.from_events(
        ...         {"workflow_id": "w", "sequence": n, "event_type": "Signaled", "time_ns": time}
        ...         for n, time in enumerate(times, start=1)
        ...     )
        >>> print(beside(log(1, 2), log(1, 2, 5), headings=("one", "two")).text)
        one and two
        0 events only above, 1 only below; the first difference is at 5 ns
        + signaled of w at 5 ns
    """
    if limit < 1 or width < MIN_WIDTH:
        message = f"limit is {limit} and width {width}; expected at least 1 and {MIN_WIDTH}"
        raise InvalidArgumentError(message)
    if by not in {"events", "causes"}:
        message = f"by is {by!r}; expected events or causes"
        raise InvalidArgumentError(message)
    names = headings or (_name(a, "the first"), _name(b, "the second"))
    told = title if title is not None else f"{names[0]} and {names[1]}"
    if by == "causes":
        return beside_by_causes((a, b), names, detail=detail, limit=limit, width=width, title=told)
    found = match_events(a, b)
    sides = (
        _side(a, found.only_a.tolist(), names[0], mark=_GONE, detail=detail, limit=limit),
        _side(b, found.only_b.tolist(), names[1], mark=_NEW, detail=detail, limit=limit),
    )
    summary = _summary(found)
    lines = [clean(told), summary]
    for log, rows, sign in ((a, found.only_a, "-"), (b, found.only_b, "+")):
        listed = EventLog(log.table.take(pa.array(rows[:MAX_LISTED]))).events()
        lines += [f"{sign} {_said(event)}" for event in listed]
        if len(rows) > MAX_LISTED:
            lines.append(f"{sign} {MAX_LISTED} of {plural(len(rows), 'event')} listed")
    return Figure(_draw(sides, found, told, summary, width), "\n".join(lines), told)


def _side(
    log: EventLog, rows: Sequence[int], heading: str, *, mark: str, detail: str, limit: int
) -> _Side:
    window = choose_window(log, axis="time", lanes="given", detail=detail, limit=limit)
    ids = zip(log.table["workflow_id"].to_pylist(), log.table["sequence"].to_pylist(), strict=True)
    listed = set(rows)
    known = {found for row, found in enumerate(ids) if row in listed}
    alone = frozenset(
        row
        for row, event in enumerate(window.events)
        if (event.workflow_id, event.sequence) in known
    )
    return _Side(read_scene(window), alone, len(log), heading, mark)


def _name(log: EventLog, otherwise: str) -> str:
    named = log.table.column("run_id")[0].as_py() if len(log) else ""
    return clean(named[:200]) or otherwise


def _summary(found: Matching) -> str:
    if found.first is None:
        return "the same, event by event"
    only = (
        f"{plural(len(found.only_a), 'event')} only above, {number(len(found.only_b))} only below"
    )
    return f"{only}; the first difference is at {moment(_first_ns(found))}"


def _first_ns(found: Matching) -> int:
    assert found.first is not None
    return min(event.time_ns for event in found.first if event is not None)


def _said(event: Event) -> str:
    name = f" {clean(event.name[:80])}" if event.name else ""
    stream = clean(event.workflow_id[:80])
    return f"{words(event.event_type)}{name} of {stream} at {moment(event.time_ns)}"


def _draw(sides: tuple[_Side, _Side], found: Matching, title: str, summary: str, width: int) -> str:
    scenes = [side.scene for side in sides]
    names = name_column(scenes)
    left, right = 20 + names + 16, width - 40.0
    parts: list[str] = []
    keys: set[str] = set()
    y = TOP - 4
    for side, other in zip(sides, reversed(sides), strict=True):
        shown = ellipsize(side.heading, 13, right - 20)
        parts.append(text(20, y + 10, shown, size=13, weight=600, fill=theme.BLUE))
        parts.append(text(20, y + 25, _counts(side), size=11, fill=theme.MUTED))
        y += _HEAD
        layout = lay_out(
            side.scene, left=left, right=right, top=y, names=names, beside=[other.scene]
        )
        drawn = draw_panel(side.scene, layout)
        parts += drawn.parts
        parts += _pale(layout, found)
        parts += _marks(side, layout)
        keys |= drawn.keys
        y = layout.bottom + AXIS_HEIGHT + 14
    legend, height = _legend(sides, keys, left=20, right=right, top=y + 2)
    total = round(y + height + 18)
    return sheet([*parts, *legend], title=title, subtitle=summary, width=width, height=total)


def _counts(side: _Side) -> str:
    shown = sum(side.scene.window.visible)
    return f"{shown} of {plural(side.total, 'event')} shown, {len(side.alone)} here alone"


def _pale(layout: Layout, found: Matching) -> Iterator[str]:
    """Veil what is the same in both, and draw a line where that ends."""
    if found.first is None:
        return
    # Just before the event: its own sign is no longer the same in both.
    x = max(layout.left, layout.axis.x(_first_ns(found)) - layout.radius - 3)
    room = max(0.0, x - layout.left)
    height = layout.bottom - layout.top
    veil = rect(layout.left, layout.top, room, height, fill=theme.PANEL, fill_opacity=0.55)
    edge = _edge(x, layout.top - 6, layout.bottom)
    yield group(veil, edge, tip="up to here both are the same")


def _edge(x: float, top: float, bottom: float) -> str:
    return line(x, top, x, bottom, stroke=theme.INK, stroke_width=1.2, stroke_dasharray="5 3")


def _marks(side: _Side, layout: Layout) -> Iterator[str]:
    """Frame what is in this log alone: whole bars, and the signs of events."""
    framed: set[int] = set()
    for placed in layout.bars:
        rows = set(placed.bar.rows)
        if rows & side.alone:
            framed |= rows
            top = placed.y - placed.height / 2 - _EDGE
            box = (placed.x1 - _EDGE, top, placed.x2 - placed.x1, placed.height)
            yield frame(side.mark, *box[:2], box[2] + 2 * _EDGE, box[3] + 2 * _EDGE)
    half = max(layout.radius, 3.6) + _EDGE + 1
    for point in side.scene.points:
        if point.row in side.alone and point.row not in framed:
            x, y = layout.anchors[point.row]
            yield frame(side.mark, x - half, y - half, 2 * half, 2 * half)


def frame(mark: str, x: float, y: float, width: float, height: float) -> str:
    """Draw the frame of what is in one log alone."""
    gone = mark == _GONE
    return rect(
        x,
        y,
        width,
        height,
        rx=4,
        fill="none",
        stroke=theme.VERMILION if gone else theme.GREEN,
        stroke_width=2,
        stroke_dasharray="4 3" if gone else None,
    )


def _legend(
    sides: tuple[_Side, _Side], keys: set[str], *, left: float, right: float, top: float
) -> tuple[list[str], float]:
    """Say what the marks mean, in a line of their own above the usual legend."""
    middle = top + LINE_HEIGHT / 2
    samples: list[tuple[Callable[[float, float], str], str]] = [
        (partial(_sample, side.mark), _WORDS[side.mark]) for side in sides if side.alone
    ]
    if samples or sides[0].scene.bars or sides[0].scene.points:
        samples.append((_sample_edge, "up to here both are the same"))
    parts: list[str] = []
    x = left
    for sample, said in samples:
        parts += [sample(x, middle), text(x + 32, middle + 4, said, size=11, fill=theme.MUTED)]
        x += 32 + text_width(said, 11) + 20
    more, height = draw_legend(keys, left=left, right=right, top=top + LINE_HEIGHT)
    return parts + more, height + LINE_HEIGHT


def _sample_edge(x: float, y: float) -> str:
    return _edge(x + 12, y - 9, y + 9)


def _sample(mark: str, x: float, y: float) -> str:
    return frame(mark, x + 1, y - 6, 22, 12)
