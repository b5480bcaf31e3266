"""`log.diagram(...)` and `log.beside(other)`: pictures as methods of every EventLog."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType

from flowlab.events import EventLog
from flowlab.figures.figure import Figure
from flowlab.figures.space_time import space_time


def diagram(log: EventLog) -> Callable[..., Figure]:
    """Return `space_time` bound to a log."""
    return MethodType(space_time, log)


def next_to(log: EventLog) -> Callable[..., Figure]:
    """Return `beside` bound to the log above."""
    from flowlab.figures.beside import beside  # noqa: PLC0415 - few pictures are of two logs

    return MethodType(beside, log)
