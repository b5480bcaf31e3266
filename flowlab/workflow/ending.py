"""How a workflow ends: the event that follows from the ends of its code and its branches."""

from __future__ import annotations

from typing import Any

from flowlab.errors import CancelledError, CompensationError
from flowlab.events.wording import error_facts, error_text
from flowlab.workflow.handles import ContinueAsNew, Handle


def ending_of(main: Handle, branches: list[Handle]) -> tuple[str, dict[str, Any]]:
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
