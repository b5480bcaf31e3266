"""The sagas of the simulation claims as a flowlab world: every event recorded, with its causes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EventLog
from flowlab.simulation import Agent, AgentContext, Start, World, simulate
from flowlab.simulation.world import MAX_TIME_NS
from flowlab.studies.saga_peers import SagaOutcome
from flowlab.studies.saga_workload import SECOND_NS, STEPS, TIMEOUT_S, SagaWorkload
from flowlab.workflow import Plan, Sequential, Step

ROLES: Final = tuple(f"role-{place}" for place in range(STEPS))
"""Whom the plan of a saga names; each saga says which agents take these roles."""

_ENDS: Final = ["WorkflowCompleted", "WorkflowFailed"]


class DeclinedError(Exception):
    """An agent did the work, and the answer is no."""


def saga_plan() -> Plan:
    """Return the plan of every saga: five steps, each of which its agent can undo.

    Example:
        >>> saga_plan()
        Plan('saga', 5 steps, agents role-0, role-1, role-2, role-3, role-4)
    """
    steps = [
        Step(
            f"step-{place}",
            agent=role,
            activity="work",
            compensation="undo",
            input=place,
            timeout=TIMEOUT_S * SECOND_NS,
        )
        for place, role in enumerate(ROLES)
    ]
    return Plan(Sequential(*steps), name="saga", agents=ROLES)


def saga_world(workload: SagaWorkload, *, max_time: int = MAX_TIME_NS) -> World:
    """Return the world of a workload: its delays are those that were drawn for every peer.

    Args:
        workload: what was drawn.
        max_time: when the world is stopped, in nanoseconds; by default long after its end.
    """
    ends, failing = workload.ends, workload.failing
    declined = {f"saga-{n}": step for n, step in enumerate(failing) if step >= 0}

    def work(ctx: AgentContext, step: int) -> int:
        if declined.get(ctx.workflow_id) == step:
            raise DeclinedError
        ctx.state["done"] += 1
        return int(ctx.state["done"])

    def undo(ctx: AgentContext, _: object) -> None:
        ctx.state["done"] -= 1

    def starts(_: object) -> Iterator[Start]:
        begin = 0
        for number, (start_ns, end) in enumerate(zip(workload.starts_ns, ends, strict=True)):
            forward = workload.agent[begin : begin + (failing[number] + 1 or STEPS)]
            # A saga that fails never comes to its last roles; whoever took them would do.
            agents = [*forward, *forward[:1] * STEPS][:STEPS]
            roles = {role: f"agent-{n}" for role, n in zip(ROLES, agents, strict=True)}
            yield Start(f"saga-{number}", number, at=start_ns, roles=roles)
            begin = end

    def delays(workflow_id: str, call: int) -> tuple[int, int, int]:
        number = int(workflow_id[5:])
        place = (ends[number - 1] if number else 0) + call
        return workload.request_ns[place], workload.service_ns[place], workload.reply_ns[place]

    agents = [
        Agent(f"agent-{number}", work, undo, state={"done": 0}) for number in range(workload.agents)
    ]
    return World(agents, saga_plan(), starts, delays=delays, max_events=1 << 30, max_time=max_time)


def flowlab_run(workload: SagaWorkload) -> tuple[SagaOutcome, EventLog]:
    """Simulate a workload, with everything recorded and encoded: the log is a finished table."""
    began = time.process_time()
    run = simulate(saga_world(workload))
    log = run.log
    seconds = time.process_time() - began
    ended = pc.is_in(log.table["event_type"], pa.array(_ENDS))
    times = log.table["time_ns"].filter(ended)
    timed_out = pc.sum(pc.equal(log.table["event_type"], "ActivityTimedOut")).as_py()
    return (
        SagaOutcome(pc.sum(times).as_py(), len(log), pc.max(times).as_py(), timed_out, seconds),
        log,
    )
