"""The language of workflows, and what it means: values and pure functions, no IO."""

from __future__ import annotations

from flowlab.workflow.durations import SECOND, Duration, as_ns
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
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
    "NO_RETRY",
    "SECOND",
    "TERMINAL",
    "TRANSITIONS",
    "AgentExecuting",
    "Canceled",
    "Compensating",
    "Completed",
    "ContinuedAsNew",
    "Duration",
    "Failed",
    "Initiated",
    "RetryPolicy",
    "WorkflowState",
    "as_ns",
    "transition",
    "transition_table",
]
