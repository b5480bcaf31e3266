"""The language of workflows, and what it means: values and pure functions, no IO."""

from __future__ import annotations

from flowlab.workflow.context import WorkflowContext
from flowlab.workflow.definition import Activity, Workflow, activity, workflow
from flowlab.workflow.durations import SECOND, Duration, as_ns
from flowlab.workflow.execution import LONG_BYTES, LONG_EVENTS, Execution
from flowlab.workflow.handles import MAX_FIBERS, Handle
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
from flowlab.workflow.saga import STEP_KINDS, UNTIL_IT_SUCCEEDS, Saga
from flowlab.workflow.state import (
    TERMINAL,
    TRANSITIONS,
    AgentExecuting,
    Canceled,
    Compensating,
    Completed,
    ContinuedAsNew,
    Failed,
    Initiated,
    WorkflowState,
    transition,
    transition_table,
)

__all__ = [
    "LONG_BYTES",
    "LONG_EVENTS",
    "MAX_FIBERS",
    "NO_RETRY",
    "SECOND",
    "STEP_KINDS",
    "TERMINAL",
    "TRANSITIONS",
    "UNTIL_IT_SUCCEEDS",
    "Activity",
    "AgentExecuting",
    "Canceled",
    "Compensating",
    "Completed",
    "ContinuedAsNew",
    "Duration",
    "Execution",
    "Failed",
    "Handle",
    "Initiated",
    "RetryPolicy",
    "Saga",
    "Workflow",
    "WorkflowContext",
    "WorkflowState",
    "activity",
    "as_ns",
    "transition",
    "transition_table",
    "workflow",
]
