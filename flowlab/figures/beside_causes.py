"""Two logs one above the other, compared by causes: where they part, and what differs after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from flowlab.causality import TraceDifference, diff
from flowlab.events import Event, EventId, EventLog
from flowlab.figures import theme
from flowlab.figures.draw import TOP, counts
from flowlab.figures.emphasis import Pointed
from flowlab.figures.figure import Figure
from flowlab.figures.layout import lay_out, name_column
from flowlab.figures.legend import draw_legend
from flowlab.figures.panel import AXIS_HEIGHT, draw_panel
from flowlab.figures.scene import Scene, read_scene
from flowlab.figures.sheet import sheet
from flowlab.figures.svg import text
from flowlab.figures.text import clean, ellipsize, number, plural, words
from flowlab.figures.window import Window, choose_window, times_are_usable

_HEAD: Final = 34.0
_LISTED: Final = 40


def beside_by_causes(
    logs: tuple[EventLog, EventLog],
    headings: tuple[str, str],
    *,
    detail: str,
    limit: int,
    width: int,
    title: str,
) -> Figure:
    """Draw two logs, each event that has no counterpart or follows other events with a ring."""
    found = diff(*logs)
    usable = all(times_are_usable(log) for log in logs)
    axis = "time" if usable else "depth"
    windows = [
        choose_window(log, axis=axis, lanes="given", detail=detail, limit=limit) for log in logs
    ]
    scenes = [read_scene(window) for window in windows]
    roles = [
        _roles(log, window, rows)
        for log, window, rows in zip(logs, windows, _rows(found), strict=True)
    ]
    summary = _summary(found)
    svg = _draw(scenes, roles, headings, title=title, summary=summary, width=width)
    return Figure(svg, "\n".join([clean(title), summary, *_lines(found)]), title)


def _rows(found: TraceDifference) -> Iterator[dict[int, str]]:
    """Yield the role of each row that differs, of the log above and of that below."""
    alone = ((found.only_a_rows, "gone"), (found.only_b_rows, "new"))
    for side, (rows, role) in enumerate(alone):
        told = dict.fromkeys(found.reordered_rows[:, side].tolist(), "moved")
        told |= dict.fromkeys(rows.tolist(), role)
        first = found.first_rows[side]
        if first is not None and not found.equal:
            told[first] = f"{role} first" if told.get(first) == role else "parts"
        yield told


def _roles(log: EventLog, window: Window, rows: Mapping[int, str]) -> dict[int, str]:
    ids = [log.table.column(name).to_pylist() for name in EventId._fields]
    keys = list(zip(*ids, strict=True)) if rows else []
    return {window.rows[keys[row]]: role for row, role in rows.items() if keys[row] in window.rows}


def _summary(found: TraceDifference) -> str:
    if found.equal:
        return "the same up to the order of concurrent events"
    alone = f"{plural(len(found.only_a_rows), 'event')} only above"
    below = f"{number(len(found.only_b_rows))} only below"
    moved = f"{number(len(found.reordered_rows))} in both that follow other events"
    return f"{alone}, {below}, {moved}"


def _lines(found: TraceDifference) -> Iterator[str]:
    if found.first is not None:
        one, other = (_said(event) if event else "nothing" for event in found.first)
        yield f"they part at: {one} | {other}"
    yield from _listed("-", found.only_a)
    yield from _listed("+", found.only_b)
    yield from _listed("~", [each.a for each in found.reordered])


def _listed(sign: str, events: list[Event]) -> Iterable[str]:
    yield from (f"{sign} {_said(event)}" for event in events[:_LISTED])
    if len(events) > _LISTED:
        yield f"{sign} {_LISTED} of {plural(len(events), 'event')} listed"


def _said(event: Event) -> str:
    name = f" {clean(event.name[:80])}" if event.name else ""
    return f"{words(event.event_type)}{name} of {clean(event.agent_id[:80])}"


def _draw(
    scenes: list[Scene],
    roles: list[dict[int, str]],
    headings: tuple[str, str],
    *,
    title: str,
    summary: str,
    width: int,
) -> str:
    names = name_column(scenes)
    left, right = 20 + names + 16, width - 40.0
    parts: list[str] = []
    keys: set[str] = set()
    y = TOP
    for scene, other, told, heading in zip(scenes, scenes[::-1], roles, headings, strict=True):
        shown = ellipsize(clean(heading), 13, right - 20)
        parts.append(text(20, y + 10, shown, size=13, weight=600, fill=theme.BLUE))
        parts.append(text(20, y + 25, counts(scene), size=11, fill=theme.MUTED))
        layout = lay_out(scene, left=left, right=right, top=y + _HEAD, names=names, beside=[other])
        pointed = Pointed(told, None, None, (), consistent=True)
        drawn = draw_panel(scene, layout, pointed=pointed)
        parts += drawn.parts
        keys |= drawn.keys
        y = layout.bottom + AXIS_HEIGHT + 14
    legend, height = draw_legend(keys, left=20, right=right, top=y + 2)
    total = round(y + height + 18)
    return sheet([*parts, *legend], title=title, subtitle=summary, width=width, height=total)
