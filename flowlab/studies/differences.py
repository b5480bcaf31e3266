"""One name for what differs: between two runs, or between two logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from flowlab.causality import TraceDifference
from flowlab.causality import diff as diff_logs
from flowlab.errors import InvalidArgumentError
from flowlab.events import EventLog
from flowlab.events.wording import brief

if TYPE_CHECKING:
    from flowlab.simulation.difference import Difference
    from flowlab.simulation.run import Run


@overload
def diff(a: Run, b: Run) -> Difference: ...


@overload
def diff(a: EventLog, b: EventLog, *, content: Sequence[str] = ...) -> TraceDifference: ...


def diff(
    a: Run | EventLog, b: Run | EventLog, *, content: Sequence[str] | None = None
) -> Difference | TraceDifference:
    """Return what differs between two runs, or between two logs.

    Of two runs: their results, states, faults and violations, and their events by what they are
    (`flowlab.simulation.diff`). Of two logs of one run each: their events and their causal order,
    up to trace equivalence (`flowlab.causality.diff`); `diff(a.log, b.log)` says that of two runs.

    Args:
        a: a run or a log.
        b: another of the kind.
        content: of logs: the columns in which events have to agree.

    Raises:
        InvalidArgumentError: they are neither two runs nor two logs, or a log holds several runs.

    Example:
        >>> from flowlab.events import EventLog
        >>> diff(EventLog.from_text("A: x | B: y"), EventLog.from_text("A: x y"))
        TraceDifference(1 and 1 event alone, 0 reordered)
    """
    if isinstance(a, EventLog) and isinstance(b, EventLog):
        return diff_logs(a, b) if content is None else diff_logs(a, b, content=content)
    from flowlab.simulation import Run  # noqa: PLC0415 - two logs need no simulator
    from flowlab.simulation import diff as diff_runs  # noqa: PLC0415

    if isinstance(a, Run) and isinstance(b, Run):
        if content is not None:
            message = "content= is for two logs: diff(a.log, b.log, content=...)"
            raise InvalidArgumentError(message)
        return diff_runs(a, b)
    message = f"diff compares two runs or two logs; got {brief(a)} and {brief(b)}"
    raise InvalidArgumentError(message)
