"""One workflow that a runtime carries out."""

from __future__ import annotations

from typing import Any

from flowlab.events import Cause
from flowlab.runtime.child_pool import PooledExecution
from flowlab.runtime.processes import Carried
from flowlab.runtime.scheme import Executing
from flowlab.runtime.standing import OPEN, Standing
from flowlab.workflow.choreography_execution import ChoreographyExecution


class Instance:
    """A workflow in memory: its code, how it stands, and whoever waits for it.

    Attributes:
        workflow_id: its stream.
        process: its code or plan.
        execution: the newest generation of it.
        standing: what it waits for.
        parent: the event of another workflow that asked for it.
        result: of its end: the result, or what the end says.
        settled: whether its end is durable: nobody outside hears of it before.
        error: why it cannot go on, where its code does not fit its history.
    """

    __slots__ = (
        "error",
        "execution",
        "parent",
        "process",
        "result",
        "settled",
        "standing",
        "workflow_id",
    )

    def __init__(
        self,
        workflow_id: str,
        process: Carried,
        execution: Executing | ChoreographyExecution | PooledExecution,
        standing: Standing,
        parent: Cause | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.process = process
        self.execution = execution
        self.standing = standing
        self.parent = parent
        self.result: Any = None
        self.settled = False
        self.error: Exception | None = None

    def __repr__(self) -> str:
        return f"Instance({self.workflow_id!r}, {self.standing.status})"

    @property
    def is_open(self) -> bool:
        """Whether it has not ended, and can go on."""
        return self.standing.status == OPEN and self.error is None
