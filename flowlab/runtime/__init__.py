"""The durable host: runs workflows for real on a store, and takes them up after a crash."""

from __future__ import annotations

from flowlab.runtime.context import ActivityContext
from flowlab.runtime.effect import Done, Effect, Gone
from flowlab.runtime.handle import WorkflowHandle
from flowlab.runtime.lease import Standby
from flowlab.runtime.runtime import Runtime
from flowlab.runtime.scheme import RecoveryScheme, Replay, Restored
from flowlab.runtime.standing import Standing

__all__ = [
    "ActivityContext",
    "Done",
    "Effect",
    "Gone",
    "RecoveryScheme",
    "Replay",
    "Restored",
    "Runtime",
    "Standby",
    "Standing",
    "WorkflowHandle",
]
