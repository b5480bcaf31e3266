"""`log.diagram(...)` and `log.beside(other)`: pictures as methods of every EventLog."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING

from flowlab.events import EventLog
from flowlab.figures.figure import Figure
from flowlab.figures.space_time import space_time

if TYPE_CHECKING:
    from flowlab.figures.worksheet import Marking


def diagram(log: EventLog) -> Callable[..., Figure]:
    """Return `space_time` bound to a log."""
    return MethodType(space_time, log)


def next_to(log: EventLog) -> Callable[..., Figure]:
    """Return `beside` bound to the log above."""
    from flowlab.figures.beside import beside  # noqa: PLC0415 - few pictures are of two logs

    return MethodType(beside, log)


def marked(log: EventLog) -> Callable[..., Marking]:
    """Return `check_answers` bound to a log."""
    from flowlab.figures.worksheet import check_answers  # noqa: PLC0415 - few logs are worksheets

    return MethodType(check_answers, log)
