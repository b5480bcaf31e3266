"""The space-time diagram: who did what, when, and because of what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow.compute as pc

from flowlab.causality import CausalOrder, EventRef
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventLog, told_absent
from flowlab.figures.chart import chart
from flowlab.figures.draw import Picture, draw, summary
from flowlab.figures.emphasis import Chosen, CutLike, Emphasis, point_out, read_emphasis
from flowlab.figures.figure import Figure
from flowlab.figures.scene import read_scene
from flowlab.figures.text import clean, plural
from flowlab.figures.window import Window, choose_window
from flowlab.figures.written import Writer, Written, lines_about, lines_of

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
    clocks: Written = "none",
    highlight: Chosen = None,
    past: EventRef | None = None,
    future: EventRef | None = None,
    cut: CutLike | None = None,
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
            cross; `auto`: as given, unless that saves three crossings and half of them.
        clocks: beside each event its `lamport` or `vector` clock; `blank` draws numbered boxes to
            fill in, and `check_answers` marks what was filled in; or words by event. The axis is
            then the causal depth and the lanes are as given, unless they are asked for.
        highlight: an event, several, a log of them, a `CriticalPath`, or `critical path`; the rest
            is pale. An event is a row of the log, an `Event`, its id, a pair (workflow_id,
            sequence), or a key.
        past: an event whose causal past is pointed out.
        future: an event whose causal future is.
        cut: a line through the picture: a `Cut`; of each agent its last event or that one's tick;
            or those last events alone. It says whether the cut is consistent.
        limit: events drawn; the picture says how many there are.
        width: in pixels, at least `MIN_WIDTH`.
        title: of the picture.

    Raises:
        NotFoundError: the log has events, but none of that run and workflow, or no such event.
        InvalidArgumentError: axis, detail or clocks is unknown, or limit or width is too small.

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
        message = told_absent(log, run_id, workflow_id)
        raise NotFoundError(message)
    order = CausalOrder(log)
    writer = Writer(order, clocks)
    if writer.writes:
        # A clock counts causes, and its places stand in the order of the lanes: one that is known.
        axis = "depth" if axis == "auto" else axis
        lanes = "given" if isinstance(lanes, str) and lanes == "auto" else lanes
    emphasis = None
    if any(each is not None for each in (highlight, past, future, cut)):
        emphasis = read_emphasis(order, highlight=highlight, past=past, future=future, cut=cut)
    chosen = {"axis": axis, "lanes": lanes, "detail": detail, "workflow_id": workflow_id}
    runs = _runs(part)
    windows = _windows(world, runs, limit, chosen)
    name = title if title is not None else title_of(part, run_id, workflow_id)
    picture = Picture(
        tuple(read_scene(window) for window in windows),
        tuple(clean(run[:400]) or "live run" for _, run in runs[: len(windows)]),
        len(part),
        len(runs),
        name,
        tuple(writer.beside(window) for window in windows),
        tuple(point_out(emphasis, window) for window in windows),
        (*writer.note(windows), *_pointed(emphasis)),
    )
    lines = [clean(name), summary(picture), *picture.notes, *chart(picture)]
    lines += _more_lines(picture, writer, emphasis, order)
    return Figure(draw(picture, width=width), "\n".join(lines), name)


def _more_lines(
    picture: Picture, writer: Writer, emphasis: Emphasis | None, order: CausalOrder
) -> Iterator[str]:
    if writer.writes:
        for scene, beside in zip(picture.scenes, picture.clocks, strict=True):
            yield from lines_of(scene, beside, blank=writer.kind == "blank")
    if emphasis is not None:
        yield from lines_about(emphasis, order)


def _windows(
    world: EventLog, runs: list[tuple[str, str]], limit: int, chosen: dict[str, Any]
) -> list[Window]:
    """Return a window for each run that is drawn, as long as the limit allows."""
    windows: list[Window] = []
    for namespace, run in runs[:MAX_PANELS]:
        if limit <= 0:
            break
        one = world.filter(namespace=namespace, run_id=run) if len(runs) > 1 else world
        windows.append(choose_window(one, limit=limit, **chosen))
        limit -= sum(windows[-1].visible)
    return windows


def _pointed(emphasis: Emphasis | None) -> Iterator[str]:
    if emphasis is not None and emphasis.roles:
        yield f"{plural(len(emphasis.roles), 'event')} pointed out"
    if emphasis is not None and emphasis.cut is not None:
        yield "the cut is consistent" if emphasis.cut.is_consistent else "the cut is not consistent"


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
