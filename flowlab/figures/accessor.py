"""`log.diagram(...)`: the space-time diagram as a method of every EventLog."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flowlab.events import EventLog
from flowlab.figures.space_time import Figure, space_time


def diagram(log: EventLog) -> Callable[..., Figure]:
    """Return `space_time` bound to a log."""
    return partial(space_time, log)
