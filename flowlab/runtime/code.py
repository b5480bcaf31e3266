"""What a module holds for a runtime: workflows, activities and agents."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.runtime.agents import AgentLike
from flowlab.runtime.processes import ProcessSpec
from flowlab.workflow import Activity, Choreography, Plan, Program, Workflow
from flowlab.workflow.names import listed


@dataclass(frozen=True, slots=True)
class Code:
    """What was found in a module.

    Args:
        workflows: code and plans by name.
        activities: functions by name: what `@activity` declares, and the module's own functions.
        agents: values with handlers and state, by name; or what the module calls `agents`.
    """

    workflows: dict[str, ProcessSpec]
    activities: dict[str, Any]
    agents: dict[str, Any]

    def __repr__(self) -> str:
        return f"Code({listed(self.workflows)})"

    def workflow(self, name: str) -> ProcessSpec:
        """Return the workflow of a name.

        Raises:
            NotFoundError: there is none.
        """
        found = self.workflows.get(name)
        if found is None:
            message = (
                f"there is no workflow {name!r}; there are: {listed(sorted(self.workflows))} "
                "(declare one with @workflow, or make a Plan)"
            )
            raise NotFoundError(message)
        return found


def code_in(module: ModuleType) -> Code:
    """Return what a module holds.

    A workflow is found under its own name, and under that of the variable that holds it.

    Raises:
        InvalidArgumentError: two workflows, or two agents, have one name.

    Example:
        >>> from flowlab.scenarios import trip
        >>> code_in(trip)
        Code(trip, PLAN)
    """
    workflows: dict[str, ProcessSpec] = {}
    activities: dict[str, Any] = {}
    agents: dict[str, Any] = dict(getattr(module, "agents", None) or {})
    aliases: dict[str, ProcessSpec] = {}
    for key, value in vars(module).items():
        if isinstance(value, (Workflow, Plan, Program, Choreography)):
            name = value.plan.name if isinstance(value, Program) else value.name
            if workflows.get(name, value) is not value:
                message = f"{module.__name__} has two workflows called {name!r}; rename one"
                raise InvalidArgumentError(message)
            workflows[name] = value
            aliases[key] = value
        elif isinstance(value, Activity):
            activities[value.name] = value
        elif isinstance(value, AgentLike) and not isinstance(value, type):
            agents[value.name] = value
        elif inspect.isfunction(value) and value.__module__ == module.__name__ and key[0] != "_":
            activities.setdefault(key, value)
    for key, value in aliases.items():
        workflows.setdefault(key, value)
    return Code(workflows, activities, agents)
