"""A world with another network, or with another retry policy: what a study varies in any world."""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType
from typing import Any

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.network import Network
from flowlab.simulation.world import World
from flowlab.workflow import Plan, Program, RetryPolicy


def overridden(
    world: World, *, network: Network | None = None, retry: RetryPolicy | None = None
) -> World:
    """Return a world that is the same but for its network or its retry policy.

    Args:
        world: as it is.
        network: for all messages.
        retry: of every step of its plans that may fail for good. Compensations and retryable
            steps keep theirs: they are tried until they succeed.

    Raises:
        InvalidArgumentError: a link of the network is of nobody in the world, or a retry policy is
            given and a workflow is no plan: code says itself how its calls are tried again.

    Example:
        >>> from flowlab.simulation import Agent
        >>> from flowlab.workflow import Step
        >>> bank = Agent("bank", named={"charge": lambda ctx, value: value})
        >>> world = World([bank], Step("charge", agent="bank", kind="pivot"))
        >>> patient = overridden(world, retry=RetryPolicy(maximum_attempts=5))
        >>> patient.workflows["plan"].steps[0].retry
        RetryPolicy(maximum_attempts=5)
    """
    changes: dict[str, Any] = {}
    if network is not None:
        network.check_names(world.names)
        changes["network"] = network
    if retry is not None:
        plans = {name: _patient(process, retry) for name, process in world.workflows.items()}
        changes["workflows"] = MappingProxyType(plans)
        changes["programs"] = MappingProxyType(
            {name: Program.of(plan, world.predicates) for name, plan in plans.items()}
        )
    if not changes:
        return world
    other = object.__new__(World)
    for member in fields(World):
        value = changes.get(member.name, getattr(world, member.name))
        object.__setattr__(other, member.name, value)
    return other


def _patient(process: Any, retry: RetryPolicy) -> Plan:
    if not isinstance(process, Plan):
        message = (
            f"workflow {process.name!r} is no plan, and says itself how its calls are tried again; "
            "give the scenario a parameter, retry=..., that it hands to its calls"
        )
        raise InvalidArgumentError(message)
    told = process.to_json()
    policy = retry.to_json()
    stack: list[Any] = [told["root"]]
    while stack:
        node = stack.pop()
        if node.get("node") == "step":
            if node.get("kind") != "retryable":
                node["retry"] = policy
            continue
        inside = [*node.get("nodes", ()), *node.get("branches", ()), node.get("otherwise")]
        stack += [part.get("do", part) for part in inside if part is not None]
    return Plan.from_json(told)
