"""A log at one place of it, drawn: lanes with their checkpoints, and the state of everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.errors import InvalidArgumentError
from flowlab.figures import theme
from flowlab.figures.figure import Figure
from flowlab.figures.recovery_cost import lines_of
from flowlab.figures.sheet import sheet
from flowlab.figures.svg import circle, group, line, num, path, rect, text
from flowlab.figures.text import clean, ellipsize, moment, number, plural, text_width
from flowlab.figures.travel import Travel, read_travel
from flowlab.figures.travel_values import CellName, CheckpointMark, Folding, Taken, size_words

if TYPE_CHECKING:
    from flowlab.events import EventLog

WIDTH: Final = 1_000
MIN_WIDTH: Final = 480
MAX_LANES: Final = 24
MAX_CELLS: Final = 30
_ROW: Final = 24.0
_LINE: Final = 20.0
_NAMES: Final = 150.0
_SIZES: Final = {"lane": 12.0, "cell": 12.0, "small": 11.0}


def time_travel(
    log: EventLog,
    *,
    at: int | None = None,
    checkpoints: Iterable[Taken] | None = None,
    aggregates: Iterable[Folding] = (),
    title: str = "The log at one place",
    width: int = WIDTH,
) -> Figure:
    """Draw the state of every workflow, agent and aggregate at one place of a log.

    Above: a lane for each stream, with its events and where its checkpoints lie. Below: what each
    cell holds after the event of that place, what this event has changed marked; and what recovery
    from there would read.

    Args:
        log: of at most 100 000 events.
        at: the place, from 1 to the number of events; None for the last.
        checkpoints: where they lie, as `store.checkpoints(...)` or `CheckpointMark`s say; None for
            those that the log tells of.
        aggregates: kinds whose state is shown.
        title: of the picture.
        width: in pixels, at least 480.

    Raises:
        InvalidArgumentError: there is no such place, the log is too long, or a fold fails.

    Example:
        >>> from flowlab.events import EventLog
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "WorkflowStarted"}])
        >>> time_travel(log).text.splitlines()[-2:]
        ['  w state: initiated  *', 'Recovery from here reads 1 event: no checkpoint yet.']
    """
    return draw_travel(
        read_travel(log, checkpoints=checkpoints, aggregates=aggregates),
        at=at,
        title=title,
        width=width,
    )


def draw_travel(travel: Travel, *, at: int | None, title: str, width: int = WIDTH) -> Figure:
    """Draw what was read; see `time_travel`.

    Raises:
        InvalidArgumentError: there is no such place, or the width is too small.
    """
    size = len(travel.log)
    place = size if at is None else at
    if width < MIN_WIDTH or not min(1, size) <= place <= size:
        message = (
            f"at {place!r}, width {width}; expected a place from 1 to {size} and a width of at "
            f"least {MIN_WIDTH}"
        )
        raise InvalidArgumentError(message)
    row = place - 1
    lanes = chosen_lanes(travel)
    room = width - 40.0
    parts, bottom = _lanes(travel, row, lanes, 66.0, float(width))
    said = travel.reading(row).words if size else "An empty log has no state."
    for words in lines_of(said, 13, room):
        parts.append(text(20, bottom, words, size=13, weight=600))
        bottom += 20
    table, bottom = _table(travel, row, lanes, bottom + 6, float(width))
    parts += table
    subtitle = told_place(travel, row)
    svg = sheet(parts, title=title, subtitle=subtitle, width=width, height=round(bottom + 10))
    return Figure(svg, "\n".join(_told(travel, row, title, subtitle, said)), title)


def chosen_lanes(travel: Travel) -> list[int]:
    """Return the lanes that are drawn: all, or those in which most happens, in their order."""
    counts = np.bincount(travel.lane, minlength=len(travel.lanes))
    order = sorted(range(len(travel.lanes)), key=lambda lane: (-int(counts[lane]), lane))
    return sorted(order[:MAX_LANES])


def told_place(travel: Travel, row: int) -> str:
    """Say which event a row is.

    Example:
        >>> from flowlab.events import EventLog
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 5_000_000,
        ...                              "event_type": "Signaled", "agent_id": "a"}])
        >>> told_place(read_travel(log), 0)
        'after event 1 of 1: w/1 Signaled, a, 5 ms'
    """
    if row < 0:
        return "no events"
    table = travel.log.table

    def of(name: str) -> str:
        return str(table.column(name)[row].as_py() or "")

    head = f"after event {number(row + 1)} of {number(len(travel.log))}"
    what = " ".join(filter(None, (of("event_type"), of("name"))))
    where = f"{of('workflow_id')}/{of('sequence')}"
    when = moment(table.column("time_ns")[row].as_py())
    return clean(", ".join(filter(None, (f"{head}: {where} {what}", of("agent_id"), when))))


def _lanes(
    travel: Travel, row: int, lanes: list[int], top: float, width: float
) -> tuple[list[str], float]:
    """Draw the lanes with their events, checkpoints and the cut; return where they end."""
    left, right = 20 + _NAMES + 12, width - 128.0
    size = max(1, len(travel.log) - 1)
    parts: list[str] = []
    marks = 0
    for place, lane in enumerate(lanes):
        y = top + place * _ROW + _ROW / 2
        one = travel.lanes[lane]
        if place % 2 == 0:
            parts.append(rect(12, y - _ROW / 2, width - 24, _ROW, fill=theme.BAND))
        label = ellipsize(clean(one.label), _SIZES["lane"], _NAMES)
        parts.append(text(20, y + 4, label, size=_SIZES["lane"], weight=600))
        parts.append(line(left, y, right, y, stroke=theme.GRID))
        xs = left + (right - left) * np.flatnonzero(travel.lane == lane) / size
        seen = sorted({float(num(x)) for x in xs})
        marks += len(seen)
        if seen:
            ticks = "".join(f"M{num(x)} {num(y - 6)}L{num(x)} {num(y + 6)}" for x in seen)
            parts.append(path(ticks, stroke=theme.MUTED, stroke_width=1.2))
        for from_row, of, mark in travel.checkpoints:
            if of == lane:
                x = left + (right - left) * from_row / size
                parts.append(checkpoint_sign(x, y, mark, is_past=from_row <= row))
        reading = travel.reading(row, lane) if len(travel.log) else None
        if reading is not None and one.kind != "resource":
            words = f"{size_words(reading.size_bytes)} + " if reading.checkpoints else ""
            words += plural(reading.since, "event")
            parts.append(text(right + 10, y + 4, words, size=_SIZES["small"], fill=theme.MUTED))
    bottom = top + len(lanes) * _ROW
    if len(travel.log):
        x = left + (right - left) * row / size
        if travel.lane[row] in lanes:
            y = top + lanes.index(int(travel.lane[row])) * _ROW + _ROW / 2
            parts.append(circle(x, y, 4.5, fill=theme.VERMILION))
        parts.append(line(x, top - 6, x, bottom + 4, stroke=theme.VERMILION, stroke_width=1.8))
        parts.append(path(
            f"M{num(x - 6)} {num(top - 10)}L{num(x + 6)} {num(top - 10)}L{num(x)} {num(top - 2)}Z",
            fill=theme.VERMILION))  # fmt: skip
    parts += _key(bottom + 20, marks, travel, lanes, right)
    return parts, bottom + 62


def checkpoint_sign(x: float, y: float, mark: CheckpointMark, *, is_past: bool) -> str:
    """Draw a checkpoint as a diamond, a savepoint as a square; one that is still to come hollow."""
    fill = theme.GREEN if is_past else theme.PANEL
    kind = "savepoint" if mark.savepoint else "checkpoint"
    tip = f"{kind} of {clean(mark.stream[2])} at {mark.at}, {size_words(mark.size_bytes)}"
    if mark.savepoint:
        drawn = rect(x - 5, y - 5, 10, 10, fill=fill, stroke=theme.GREEN, stroke_width=1.8)
    else:
        corners = ((x, y - 7), (x + 6, y), (x, y + 7), (x - 6, y))
        d = "M" + "L".join(f"{num(a)} {num(b)}" for a, b in corners) + "Z"
        drawn = path(d, fill=fill, stroke=theme.GREEN, stroke_width=1.8)
    return group(drawn, tip=tip)


def _key(y: float, marks: int, travel: Travel, lanes: list[int], right: float) -> Iterator[str]:
    said = f"{plural(len(travel.log), 'event')} in {number(marks)} marks"
    if len(lanes) < len(travel.lanes):
        said += f", showing {len(lanes)} of {number(len(travel.lanes))} lanes"
    said += "; at the right, what recovery reads"
    yield text(20, y, ellipsize(said, 11, right + 90), size=11, fill=theme.MUTED)
    left = 20.0
    stream = ("", "", "")
    for words, mark, is_past in (
        ("checkpoint", CheckpointMark(stream, 0, 0), True),
        ("savepoint", CheckpointMark(stream, 0, 0, savepoint=True), True),
        ("still to come", CheckpointMark(stream, 0, 0), False),
    ):
        yield checkpoint_sign(left + 6, y + 16, mark, is_past=is_past)
        yield text(left + 18, y + 20, words, size=11, fill=theme.MUTED)
        left += 18 + text_width(words, 11) + 18


def shown_cells(travel: Travel, row: int) -> list[tuple[CellName, str, bool]]:
    """Return the cells at a row with their values, and whether this event has changed each."""
    changed = travel.changed(row)
    found = travel.state(row)
    gone = {cell: "(gone)" for cell in changed if cell not in found}
    places = {cell: place for place, cell in enumerate(travel.cells)}
    order = sorted({**found, **gone}, key=lambda cell: (cell.lane, places[cell]))
    return [(cell, found.get(cell, "(gone)"), cell in changed) for cell in order]


def _table(
    travel: Travel, row: int, lanes: list[int], top: float, width: float
) -> tuple[list[str], float]:
    """Draw what the cells hold; what has just changed has a sign and a ground of its own."""
    cells = shown_cells(travel, row)
    # Of many, those that have just changed come first; none is left out without a word.
    kept = cells
    if len(cells) > MAX_CELLS:
        kept = sorted(cells, key=lambda one: (not one[2], one[0].lane not in lanes))[:MAX_CELLS]
        kept.sort(key=cells.index)
    parts = []
    wide = min(240.0, width * 0.3)
    for place, (cell, value, is_new) in enumerate(kept):
        y = top + place * _LINE + 12
        if is_new:
            parts.append(rect(12, y - 14, width - 24, _LINE, fill=theme.WASH))
            parts.append(
                path(f"M14 {num(y - 9)}L20 {num(y - 4)}L14 {num(y + 1)}Z", fill=theme.VERMILION)
            )
        name = clean(f"{cell.owner} {cell.key}")
        weight = 600 if is_new else 400
        parts.append(text(26, y, ellipsize(name, 13, wide), size=12, weight=weight))
        said = ellipsize(value, 13, width - wide - 66)
        parts.append(text(34 + wide, y, said, size=12, weight=weight))
    bottom = top + len(kept) * _LINE + 8
    said = f"{plural(len(cells), 'cell')} hold a value; a triangle marks what this event changed"
    if len(kept) < len(cells):
        said = f"showing {len(kept)} of {said}"
    parts.append(text(20, bottom + 8, ellipsize(said, 11, width - 40), size=11, fill=theme.MUTED))
    return parts, bottom + 14


def _told(travel: Travel, row: int, title: str, subtitle: str, said: str) -> Iterator[str]:
    yield clean(title)
    yield subtitle
    marks = Counter(lane for _, lane, _ in travel.checkpoints)
    events = np.bincount(travel.lane, minlength=len(travel.lanes)).tolist()
    for place, one in enumerate(travel.lanes):
        found = f", {plural(marks[place], 'checkpoint')}" if marks[place] else ""
        yield f"{one.kind} {clean(one.label)}: {plural(events[place], 'event')}{found}"
    for cell, value, is_new in shown_cells(travel, row):
        yield f"  {clean(cell.owner)} {clean(cell.key)}: {value}{'  *' if is_new else ''}"
    yield said
