"""`log.explore(...)` and `log.time_travel(...)`: live views as methods of every EventLog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MethodType
from typing import TYPE_CHECKING

from flowlab.events import EventLog

if TYPE_CHECKING:
    from flowlab.figures.travel_values import Folding, Taken
    from flowlab.widgets.explorer import Explorer
    from flowlab.widgets.time_view import TimeTravelView


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


def time_travel(log: EventLog) -> Callable[..., TimeTravelView]:
    """Return `open_travel` bound to a log."""
    return MethodType(open_travel, log)


def open_travel(
    log: EventLog,
    *,
    checkpoints: Iterable[Taken] | None = None,
    aggregates: Iterable[Folding] = (),
    at: int | None = None,
    run_id: str | None = None,
    workflow_id: str | None = None,
    title: str | None = None,
) -> TimeTravelView:
    """Open a view of the state of every workflow, agent and aggregate at each event of a log.

    Args:
        log: of at most 100 000 events.
        checkpoints: where they lie, as `store.checkpoints(...)` says; None for those that the log
            tells of.
        aggregates: kinds whose state is shown.
        at: the place, from 1; None for the last.
        run_id: that run alone.
        workflow_id: that workflow alone.
        title: of the view.

    Raises:
        NotFoundError: the log has events, but none of that run and workflow.
        InvalidArgumentError: the log is too long, there is no such place, or a fold fails.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "WorkflowStarted"}])
        >>> open_travel(log).state
        {('w', 'state'): 'initiated'}
    """
    from flowlab.widgets.content import part_of  # noqa: PLC0415 - widgets load when one is shown
    from flowlab.widgets.time_view import TimeTravelView  # noqa: PLC0415

    part, name = part_of(log, run_id=run_id, workflow_id=workflow_id, title=title)
    return TimeTravelView(part, checkpoints=checkpoints, aggregates=aggregates, at=at, title=name)
