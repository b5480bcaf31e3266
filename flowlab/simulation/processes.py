"""What a world carries out: plans, workflows in code and choreographies; and whom they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowlab.errors import InvalidArgumentError
from flowlab.workflow import Choreography, Node, Plan, Workflow, as_plan, check_choreography
from flowlab.workflow.names import listed, shortened

Process = Workflow | Plan | Choreography
Handlers = Mapping[str, Mapping[str, Any]]
"""Agent to activity to handler."""
Needs = Mapping[str, frozenset[str]]
"""What a plan asks of each agent or role that it names: activities."""


def as_processes(given: Any) -> dict[str, Process]:
    """Return what a world carries out, by name, with what undoes it.

    Raises:
        InvalidArgumentError: it is none of what a world can carry out, or two have one name.
    """
    if isinstance(given, Node):
        given = as_plan(given)
    listed = [given] if isinstance(given, (Workflow, Plan, Choreography)) else None
    if listed is None:
        if isinstance(given, str) or not isinstance(given, Iterable):
            message = (
                f"a world carries out a plan, a @workflow or a choreography; got "
                f"{shortened(given)}. Declare an async function with @workflow first"
            )
            raise InvalidArgumentError(message)
        listed = [as_plan(item) if isinstance(item, Node) else item for item in given]
    found: dict[str, Process] = {}
    for process in listed:
        if not isinstance(process, (Workflow, Plan, Choreography)):
            message = (
                "a world carries out plans, @workflows and choreographies; got "
                f"{shortened(process)}"
            )
            raise InvalidArgumentError(message)
        if process.name in found:
            message = f"two workflows of the world are called {process.name!r}; name them apart"
            raise InvalidArgumentError(message)
        found[process.name] = process
    for process in list(found.values()):
        undo = process.compensation if isinstance(process, Workflow) else None
        if undo is not None:
            found.setdefault(undo.name, undo)
    if not found:
        message = "a world needs a workflow to carry out; it was given none"
        raise InvalidArgumentError(message)
    return found


def check_handlers(processes: Iterable[Process], handlers: Handlers) -> None:
    """Check that the agents that are named have what they are asked for.

    A plan's name that is no agent is a role: each start says who takes it.

    Raises:
        InvalidArgumentError: an agent has no such handler.
        PlanError: a choreography breaks a rule.
    """
    for process in processes:
        _check_process(process, handlers)


def _check_process(process: Process, handlers: Handlers) -> None:
    if isinstance(process, Plan):
        needs = needs_of(process)
        _check(process.name, {name: needs[name] for name in needs if name in handlers}, handlers)
    elif isinstance(process, Choreography):
        check_choreography(process, agents=list(handlers))
        for each in process.reactions:
            _check(process.name, {each.agent: frozenset({each.activity})}, handlers)
            undo = each.compensation
            if undo is not None:
                agent = undo.agent or each.agent
                _check(process.name, {agent: frozenset({undo.activity})}, handlers)


def needs_of(plan: Plan) -> Needs:
    """Return what a plan asks of each agent or role that it names.

    Example:
        >>> from flowlab.workflow import Step
        >>> needs_of(as_plan(Step("pay", agent="bank", kind="pivot")))
        {'bank': frozenset({'pay'})}
    """
    needs: dict[str, frozenset[str]] = {}
    for step in plan.steps:
        asked = [(step.agent, step.activity)]
        undo = step.compensation
        if undo is not None:
            asked.append((undo.agent or step.agent, undo.activity))
        for agent, activity in asked:
            needs[agent] = needs.get(agent, frozenset()) | {activity}
    # Equal sets are one, so that `check_roles` sees at a glance what it has checked.
    one = {activities: activities for activities in needs.values()}
    return {agent: one[activities] for agent, activities in needs.items()}


def check_roles(
    plan: str, workflow_id: str, needs: Needs, handlers: Handlers, roles: Mapping[str, str] | None
) -> None:
    """Check that every role of a plan is taken by an agent that has what the role is asked for.

    Raises:
        InvalidArgumentError: a role is none of the plan's, or nobody can take it.
    """
    if roles is None:
        for name in needs:
            if name not in handlers:
                message = (
                    f"workflow {workflow_id!r}: plan {plan!r} names {name!r}, which is no agent of "
                    f"the world; give the agent that takes it: Start(..., roles={{{name!r}: ...}})"
                )
                raise InvalidArgumentError(message)
        return
    if not isinstance(roles, Mapping):
        message = f"the roles of workflow {workflow_id!r} are {roles!r}; expected a mapping"
        raise InvalidArgumentError(message)
    for role in roles:
        if role not in needs:
            message = (
                f"workflow {workflow_id!r} gives role {role!r} to agent {roles[role]!r}; the roles "
                f"of plan {plan!r} are {listed(needs)}"
            )
            raise InvalidArgumentError(message)
    sure: tuple[object, object] = (None, None)
    for name, activities in needs.items():
        agent = roles.get(name, name)
        known = handlers.get(agent) if isinstance(agent, str) else None
        if known is None:
            message = (
                f"workflow {workflow_id!r} gives role {name!r} to agent {agent!r}, which the world "
                f"does not have; it has {listed(handlers)}"
            )
            raise InvalidArgumentError(message)
        # Agents of one kind share their handlers, and roles of one kind what they are asked for.
        if sure[0] is known and sure[1] is activities:
            continue
        if not activities <= known.keys():
            _check(plan, {agent: activities}, handlers)
        sure = known, activities


def _check(plan: str, needs: Needs, handlers: Handlers) -> None:
    for name, activities in needs.items():
        for activity in sorted(activities - handlers[name].keys()):
            has = listed(handlers[name])
            message = (
                f"{plan!r} asks agent {name!r} for {activity!r}, for which it has no handler; it "
                f"has: {has}. Give Agent({name!r}, ...) a function of that name"
            )
            raise InvalidArgumentError(message)
