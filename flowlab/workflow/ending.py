"""How a workflow ends: the event that follows from the ends of its code and its branches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowlab.errors import CancelledError, CompensationError
from flowlab.events.wording import error_facts, error_text
from flowlab.workflow.handles import ContinueAsNew, Handle


def ending_of(main: Handle, *branches: Handle) -> tuple[str, dict[str, Any]]:
    """Return the event that ends a workflow, and its payload.

    Args:
        main: the end of its code.
        branches: the ends of branches that were in sagas then.
    """
    errors = [handle.error for handle in (main, *branches)]
    failed = [error for error in errors if isinstance(error, CompensationError)]
    error = main.error
    if isinstance(error, ContinueAsNew) and not failed:
        return "WorkflowContinuedAsNew", {"input": error.value}
    if error is None and not failed:
        return "WorkflowCompleted", {"result": main.result()}
    if isinstance(error, CancelledError) and not failed:
        return "WorkflowCanceled", {"reason": error_text(error)}
    first = failed[0] if error is None or isinstance(error, ContinueAsNew) else error
    payload: dict[str, Any] = {"error": error_facts(first)}
    if failed:
        payload["uncompensated"] = [step for error in failed for step in error.uncompensated]
    return "WorkflowFailed", payload


def forget_frames(handles: Iterable[Handle]) -> None:
    """Let go of the frames in which errors were raised: they hold whoever hosted the workflow.

    Nobody asks for them once the end is written, and a host that the collector does not look into
    would be held for good.
    """
    left = [handle.error for handle in handles]
    while left:
        error = left.pop()
        if error is not None and error.__traceback__ is not None:
            error.__traceback__ = None
            left += [error.__cause__, error.__context__]
