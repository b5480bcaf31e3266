"""`log.explore(...)`: the live view as a method of every EventLog."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING

from flowlab.events import EventLog

if TYPE_CHECKING:
    from flowlab.widgets.explorer import Explorer


def explore(log: EventLog) -> Callable[..., Explorer]:
    """Return `open_view` bound to a log."""
    return MethodType(open_view, log)


def open_view(
    log: EventLog,
    *,
    run_id: str | None = None,
    workflow_id: str | None = None,
    axis: str = "auto",
    group: str = "auto",
    title: str | None = None,
) -> Explorer:
    """Open a live view of a log, or of one run or workflow of it.

    Args:
        log: any log; an empty one gives a view that says so.
        run_id: that run alone.
        workflow_id: that workflow alone.
        axis: `time`, `depth` (causal), or `auto`: time where it is usable.
        group: `agent`, `workflow`, `run`, or `auto`: agents of one run, else runs.
        title: of the view.

    Raises:
        NotFoundError: the log has events, but none of that run and workflow.
        InvalidArgumentError: axis or group is unknown.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "Signaled"}])
        >>> open_view(log)
        Explorer('w', 1 event)
    """
    from flowlab.widgets.content import part_of  # noqa: PLC0415 - widgets load when one is shown
    from flowlab.widgets.explorer import Explorer  # noqa: PLC0415

    part, name = part_of(log, run_id=run_id, workflow_id=workflow_id, title=title)
    return Explorer(part, title=name, axis=axis, group=group)
