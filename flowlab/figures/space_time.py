"""The space-time diagram: who did what, when, and because of what."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventLog
from flowlab.figures.draw import draw
from flowlab.figures.marks import scene
from flowlab.figures.window import choose_window

MAX_MARKS = 2_000
"""Events drawn; the rest is counted in the picture."""


@dataclass(frozen=True, slots=True, repr=False)
class Figure:
    """A picture: SVG, and the same as text.

    Args:
        svg: the picture, deterministic to the byte.
        text: what it shows, in lines.
        title: of the picture.
    """

    svg: str
    text: str
    title: str

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the SVG to a file; return its path."""
        target = Path(path)
        target.write_text(self.svg, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f"Figure({self.title!r})"

    def _repr_html_(self) -> str:
        return f'<figure aria-label="{escape(self.title)}">{self.svg}</figure>'


def space_time(
    log: EventLog,
    *,
    run_id: str | None = None,
    workflow_id: str | None = None,
    axis: str = "auto",
    detail: str = "activities",
    limit: int = MAX_MARKS,
    width: int = 1200,
    title: str | None = None,
) -> Figure:
    """Draw a log: a lane for each agent, activities as bars, causes across lanes as arrows.

    Args:
        log: any log.
        run_id: draw that run alone.
        workflow_id: draw that workflow alone.
        axis: `time`, `order` (causal), `depth` (causal), or `auto`: time where it is usable.
        detail: `activities` leaves the engine's own task events out, `all` draws them.
        limit: events drawn; the picture says how many there are.
        width: in pixels.
        title: of the picture.

    Raises:
        NotFoundError: nothing is left to draw.
        InvalidArgumentError: axis or detail is unknown.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "Signaled"}])
        >>> space_time(log, title="one event")
        Figure('one event')
    """
    if axis not in {"auto", "time", "order", "depth"} or detail not in {"activities", "all"}:
        message = (
            f"axis is {axis!r} and detail {detail!r}; expected auto, time, order or depth, and "
            "activities or all"
        )
        raise InvalidArgumentError(message)
    part = log.filter(run_id=run_id, workflow_id=workflow_id)
    if not len(part):
        message = "the log has no such events; name a run and a workflow that it has"
        raise NotFoundError(message)
    made = scene(choose_window(part, axis=axis, lanes=None, detail=detail, limit=limit))
    name = title or run_id or workflow_id or repr(part)
    lines = [name, *(f"{lane.label}: {lane.note}" for lane in made.lanes)]
    lines += [
        f"  {made.lanes[bar.lane].label} | {bar.status:<9} | {bar.label}" for bar in made.bars
    ]
    return Figure(draw(made, width=width, title=name), "\n".join(lines), name)
