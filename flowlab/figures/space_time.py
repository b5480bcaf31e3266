"""The space-time diagram: who did what, when, and because of what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow.compute as pc

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventLog
from flowlab.figures.chart import chart
from flowlab.figures.draw import Picture, draw, summary
from flowlab.figures.figure import Figure
from flowlab.figures.scene import Scene, read_scene
from flowlab.figures.text import clean, plural
from flowlab.figures.window import choose_window

MAX_MARKS: Final = 2_000
"""Events drawn; the rest is counted in the picture."""
MAX_PANELS: Final = 12
"""Runs drawn in one picture, each on an axis of its own; the rest is counted in the picture."""
MIN_WIDTH: Final = 480


def space_time(
    log: EventLog,
    *,
    run_id: str | None = None,
    workflow_id: str | None = None,
    axis: str = "auto",
    detail: str = "activities",
    lanes: Sequence[str] | str = "auto",
    limit: int = MAX_MARKS,
    width: int = 1200,
    title: str | None = None,
) -> Figure:
    """Draw a log: a lane for each agent, activities as bars, causes across lanes as arrows.

    A log of several runs is drawn as a panel for each, on an axis of its own: at most
    `MAX_PANELS`, those with the most agents and calls. An empty log gives a picture that says so.

    Args:
        log: any log.
        run_id: draw that run alone.
        workflow_id: draw that workflow alone.
        axis: `time`, `order` (causal), `depth` (causal), or `auto`: time where it is usable.
        detail: `activities` leaves the engine's own task events out, `all` draws them.
        lanes: a list of agents in the order to draw them, and no others; `given`: as the run's
            metadata says, else by first event; `fewest`: lanes of equal rank so that few arrows
            cross; `auto`: as given, unless that saves at least three crossings and a quarter.
        limit: events drawn; the picture says how many there are.
        width: in pixels, at least `MIN_WIDTH`.
        title: of the picture.

    Raises:
        NotFoundError: the log has events, but none of that run and workflow.
        InvalidArgumentError: axis or detail is unknown, or limit or width is too small.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "Signaled"}])
        >>> space_time(log, title="one event")
        Figure('one event')
        >>> space_time(log, title="one event").text.splitlines()[1]
        'showing 1 of 1 event; along the axis: causal depth'
    """
    _check(axis, detail, limit, width)
    world = log.filter(run_id=run_id)
    part = world.filter(workflow_id=workflow_id)
    if not len(part) and len(log):
        message = "the log has no such events; name a run and a workflow that it has"
        raise NotFoundError(message)
    runs = _runs(part)
    scenes: list[Scene] = []
    headings: list[str] = []
    left = limit
    for namespace, run in runs[:MAX_PANELS]:
        if left <= 0:
            break
        one = world.filter(namespace=namespace, run_id=run) if len(runs) > 1 else world
        window = choose_window(
            one, axis=axis, lanes=lanes, detail=detail, limit=left, workflow_id=workflow_id
        )
        scenes.append(read_scene(window))
        headings.append(clean(run[:400]) or "live run")
        left -= sum(window.visible)
    name = title if title is not None else title_of(part, run_id, workflow_id)
    picture = Picture(tuple(scenes), tuple(headings), len(part), len(runs), name)
    lines = [clean(name), summary(picture), *chart(picture)]
    return Figure(draw(picture, width=width), "\n".join(lines), name)


def _check(axis: str, detail: str, limit: int, width: int) -> None:
    if axis not in {"auto", "time", "order", "depth"} or detail not in {"activities", "all"}:
        message = (
            f"axis is {axis!r} and detail {detail!r}; expected auto, time, order or depth, and "
            "activities or all"
        )
        raise InvalidArgumentError(message)
    if limit < 1 or width < MIN_WIDTH:
        message = f"limit is {limit} and width {width}; expected at least 1 and {MIN_WIDTH}"
        raise InvalidArgumentError(message)


def _runs(log: EventLog) -> list[tuple[str, str]]:
    """Return the runs, those with the most agents and calls first, equal ones by name."""
    called = pc.equal(log.table.column("event_type"), "ActivityScheduled")
    table = log.table.select(["namespace", "run_id", "agent_id"]).append_column("call", called)
    counted = table.group_by(["namespace", "run_id"]).aggregate(
        [("agent_id", "count_distinct"), ("call", "sum")]
    )
    rows = [
        (
            -row["agent_id_count_distinct"] * (min(row["call_sum"], 30) + 1),
            row["namespace"],
            row["run_id"],
        )
        for row in counted.to_pylist()
    ]
    return [(namespace, run) for _, namespace, run in sorted(rows)]


def title_of(log: EventLog, run_id: str | None, workflow_id: str | None) -> str:
    """Name a picture: by what was asked for, else by its only run or workflow, else by its size."""
    for named in (run_id, workflow_id):
        if named:
            return named
    runs = log.table.column("run_id").unique().to_pylist()
    if len(runs) == 1 and runs[0]:
        return str(runs[0])
    streams = [w for w in log.table.column("workflow_id").unique().to_pylist() if w[:1] != "@"]
    if len(streams) == 1:
        return str(streams[0])
    count = plural(len(log), "event")
    return count if len(runs) < 2 else f"{count} of {plural(len(runs), 'run')}"
