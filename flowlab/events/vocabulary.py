"""The words of the log: event types, their categories, and the kinds of causes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

WORLD_STREAM: Final = "@world"
"""The stream of events that belong to no workflow and no agent."""


class CauseKind(IntEnum):
    """Why one event is a cause of another; stored as int8 in `cause_kinds`.

    `ASSUMED` marks an importer's guess: everything else was recorded or executed.

    Example:
        >>> CauseKind.MESSAGE.label
        'message'
    """

    PROGRAM = 0
    MESSAGE = 1
    FORK = 2
    JOIN = 3
    TIMER = 4
    FAULT = 5
    LOCK = 6
    ASSUMED = 7

    @property
    def label(self) -> str:
        """The lower-case word that the `edges` relation shows."""
        return self.name.lower()


CATEGORIES: Final = ("action", "coordination", "compensation", "state", "fault")

_TYPES: Final = {
    "state": (
        "WorkflowStarted WorkflowCompleted WorkflowFailed WorkflowCanceled "
        "WorkflowContinuedAsNew WorkflowTimedOut WorkflowTerminated WorkflowCancelRequested "
        "TransactionCommitted TransactionAborted CheckpointTaken LogTruncated"
    ),
    "action": (
        "ActivityScheduled ActivityStarted ActivityCompleted ActivityFailed ActivityTimedOut "
        "ActivityCanceled ActivityCancelRequested MarkerRecorded"
    ),
    "coordination": (
        "TimerStarted TimerFired TimerCanceled Signaled "
        "ChildWorkflowInitiated ChildWorkflowStarted ChildWorkflowCompleted ChildWorkflowFailed "
        "ChildWorkflowCanceled ChildWorkflowTimedOut ChildWorkflowTerminated "
        "SagaStepCommitted PivotReached LockClaimed LockStashed LockReleased "
        "BarrierArrived BarrierReleased MessageSent MessageReceived "
        "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted "
        "UpdateAdmitted UpdateAccepted UpdateRejected UpdateCompleted "
        "SignalInitiated SignalDelivered CancelInitiated CancelDelivered "
        "OperationScheduled OperationStarted OperationCompleted OperationCancelRequested "
        "OperationCanceled"
    ),
    "compensation": "CompensationScheduled CompensationCompleted CompensationFailed",
    "fault": (
        "AgentCrashed AgentRestarted MessageDropped MessageDuplicated FaultInjected "
        "WorkflowTaskFailed WorkflowTaskTimedOut OperationFailed OperationTimedOut "
        "SignalDeliveryFailed CancelDeliveryFailed"
    ),
}

EVENT_CATEGORIES: Final[dict[str, str]] = {
    event_type: category for category, types in _TYPES.items() for event_type in types.split()
}
"""Every event type that flowlab writes, with its category."""

UNKNOWN_CATEGORY: Final = "action"
"""An event type that this version does not know is kept, and counts as an action."""

TERMINAL_STATUS: Final[dict[str, str]] = {
    "WorkflowCompleted": "completed",
    "WorkflowFailed": "failed",
    "WorkflowCanceled": "canceled",
    "WorkflowContinuedAsNew": "continued_as_new",
    "WorkflowTimedOut": "timed_out",
    "WorkflowTerminated": "terminated",
}
"""The event types that end a workflow (or its generation), and the status each leaves."""

CALL_REQUESTS: Final = ("ActivityScheduled", "CompensationScheduled", "ChildWorkflowInitiated")
"""The event types that ask an agent, or a child, for something: a call begins with one."""

CALL_STARTS: Final = ("ActivityStarted", "ChildWorkflowStarted")
"""The event types by which a call is begun."""

CALL_SUCCESSES: Final = ("ActivityCompleted", "ChildWorkflowCompleted")
"""The event types by which what was to be done is done, with its result."""

CALL_FAILURES: Final = (
    "ActivityFailed",
    "ActivityTimedOut",
    "CompensationFailed",
    "ChildWorkflowFailed",
    "ChildWorkflowTimedOut",
    "ChildWorkflowTerminated",
)
"""The event types by which a call fails."""

CALL_ANSWERS: Final = (
    *CALL_STARTS,
    *CALL_SUCCESSES,
    *CALL_FAILURES,
    "ActivityCanceled",
    "CompensationCompleted",
    "ChildWorkflowCanceled",
)
"""The event types that name a request, or its start, and say how far the call has come."""


def category_of(event_type: str) -> str:
    """Return the category of an event type: a pure function of the type.

    Example:
        >>> category_of("CompensationFailed"), category_of("SomethingNew")
        ('compensation', 'action')
    """
    return EVENT_CATEGORIES.get(event_type, UNKNOWN_CATEGORY)


def is_history_stream(workflow_id: str) -> bool:
    """Say whether a stream holds a workflow's history rather than an agent's or the world's events.

    Example:
        >>> is_history_stream("trip-1"), is_history_stream("@planner")
        (True, False)
    """
    return not workflow_id.startswith("@")
