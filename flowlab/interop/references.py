"""Which other events of its history a record names, and as what kind of cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowlab.events import CauseKind
from flowlab.interop.decoding import as_integer

ELSEWHERE: Final = {"parentInitiatedEventId", "externalInitiatedEventId"}
"""Keys that name an event of another history."""
_CALLS: Final = (
    "activityFailureInfo",
    "childWorkflowExecutionFailureInfo",
    "nexusOperationExecutionFailureInfo",
)
_OWN_FAILURES: Final = (
    "WorkflowFailed",
    "WorkflowTaskFailed",
    "WorkflowContinuedAsNew",
    "UpdateCompleted",
    "UpdateRejected",
    "Operation",
)
_MAX_CAUSES: Final = 20


def references_of(attributes: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield every (key, id) by which a record's attributes name an event of the same history.

    Only the attributes' own keys count. What lies deeper is somebody's data, or a failure that
    was carried here from another history.

    Example:
        >>> started = {"initiatedEventId": "5", "input": {"startedEventId": 3}}
        >>> list(references_of(started))
        [('initiatedEventId', 5)]
    """
    for key, value in attributes.items():
        if key.endswith("EventId") and key not in ELSEWHERE:
            target = as_integer(value)
            if target is not None and target > 0:
                yield key, target


def failed_calls_of(attributes: dict[str, Any], event_type: str) -> Iterator[tuple[str, int]]:
    """Yield the (key, id) of the call whose failure ended the workflow, its task or an update.

    The outermost call in the chain is the workflow's own. Those below it, a failure that came
    from a child, and that of the run before this one name events of other histories.

    Example:
        >>> inner = {"activityFailureInfo": {"scheduledEventId": 5}}
        >>> outer = {"cause": inner, "childWorkflowExecutionFailureInfo": {"initiatedEventId": 9}}
        >>> list(failed_calls_of({"failure": outer}, "WorkflowFailed"))
        [('initiatedEventId', 9)]
        >>> list(failed_calls_of({"failure": outer}, "ChildWorkflowFailed"))
        []
    """
    if not event_type.startswith(_OWN_FAILURES):
        return
    outcome = attributes.get("outcome")
    failure = attributes.get("failure") or (isinstance(outcome, dict) and outcome.get("failure"))
    for _ in range(_MAX_CAUSES):
        if not isinstance(failure, dict):
            return
        for name in _CALLS:
            info = failure.get(name)
            if isinstance(info, dict):
                yield from references_of(info)
                return
        failure = failure.get("cause")


def cause_kind(key: str, event_type: str) -> int:
    """Return the kind of the cause that a key names."""
    if key == "startedEventId" and event_type.startswith("Timer"):
        return CauseKind.TIMER
    if key in {"scheduledEventId", "initiatedEventId"}:
        if event_type.endswith("Started"):
            return CauseKind.FORK
        if event_type.startswith(("ChildWorkflow", "Signal", "Cancel", "Operation")):
            return CauseKind.JOIN
    return CauseKind.PROGRAM
