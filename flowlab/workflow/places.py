"""Where in a workflow's code something is asked for, or waited for."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from flowlab.workflow.guard_rules import place_of

if TYPE_CHECKING:
    from flowlab.errors import NonDeterminismError
    from flowlab.workflow.execution import Execution

_OURS: Final = "flowlab.workflow"
_ENTRY: Final = "advance"
"""How a host runs the code: `Execution.advance`."""


def asking_place() -> str:
    """Return the innermost place of the code that is being run, as file:line; empty if none is."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no public way
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module != _OURS and not module.startswith(f"{_OURS}."):
            return place_of(frame.f_code.co_filename, frame.f_lineno)
        if frame.f_code.co_name == _ENTRY:
            # The code has ended, or a barrier has opened: what is further out is the host.
            break
        frame = frame.f_back
    return ""


def tell_place(execution: Execution, error: NonDeterminismError) -> None:
    """Let an error of a replay say where the code is that parts from the history."""
    if error.mean == "replay" and not error.line:
        asked_at = execution.commands.parted if error.asked is not None else ""
        error.line = asked_at or waiting_place(execution)


def waiting_place(execution: Execution) -> str:
    """Return where the code waits, as file:line; empty where it has ended, or not begun."""
    for fiber in execution.loop.alive:
        place = ""
        at: Any = fiber.coroutine
        while at is not None:
            frame = getattr(at, "cr_frame", None)
            if frame is None:
                break
            if not str(frame.f_globals.get("__name__", "")).startswith(_OURS):
                place = place_of(frame.f_code.co_filename, frame.f_lineno)
            at = at.cr_await
        if place:
            return place
    return ""
