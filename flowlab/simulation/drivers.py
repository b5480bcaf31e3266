"""Which driver carries out which kind of workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowlab.simulation.choreography_driver import ChoreographyDriver
from flowlab.simulation.code_driver import CodeDriver
from flowlab.simulation.plan_driver import PlanDriver
from flowlab.workflow import Plan, Workflow

if TYPE_CHECKING:
    from flowlab.simulation.driver import Driver
    from flowlab.simulation.engine import Engine
    from flowlab.simulation.processes import Process


def driver_of(engine: Engine, process: Process, workflow_id: str) -> Driver:
    """Return a new driver of a workflow."""
    if isinstance(process, Workflow):
        return CodeDriver(engine, process, workflow_id)
    if isinstance(process, Plan):
        return PlanDriver(engine, process, workflow_id)
    return ChoreographyDriver(engine, process, workflow_id)
