"""What a world does not depend on: order of declaration, hash seeds, whoever has no part in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from engine_worlds import FAULTS, PLAN, SEEDS, STORM, add, agents, busy, turning, worlds
from hypothesis import HealthCheck, given, settings

from flowlab.events import EventLog
from flowlab.simulation import (
    Agent,
    Chances,
    Constant,
    Faults,
    Resource,
    Start,
    World,
    simulate,
)
from flowlab.workflow import Plan, Step, WorkflowContext, workflow

TESTS = Path(__file__).parent
lightly = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def again(world: World, **changes: Any) -> World:
    """Return the same world with something else."""
    kept: dict[str, Any] = {
        "agents": world.agents,
        "workflow": world.workflows.values(),
        "starts": world.starts,
        "resources": world.resources,
        "network": world.network,
        "timeout": world.timeout_ns,
    }
    return World(**(kept | changes))


def digest_without(log: EventLog, agent: str) -> str:
    """Return the digest of a log without the stream of an agent."""
    table = log.table
    return EventLog.from_table(table.filter(pc.not_equal(table["workflow_id"], f"@{agent}"))).digest


@given(worlds(), SEEDS, FAULTS)
@lightly
def test_the_order_in_which_agents_and_workflows_are_listed_says_nothing(
    world: World, seed: int, faults: Faults
) -> None:
    first = simulate(world, seed=seed, faults=faults)
    turned = again(
        world, agents=reversed(world.agents), workflow=reversed(world.workflows.values())
    )

    assert simulate(turned, seed=seed, faults=faults).digest == first.digest


@given(worlds(), SEEDS, FAULTS)
@lightly
def test_an_agent_whom_nobody_asks_changes_nothing(world: World, seed: int, faults: Faults) -> None:
    # Where all would be on one side of a partition, one more agent may be the other side.
    faults = faults.without("partition")
    idle = Agent("zed", named={"rest": add}, state={"count": 0}, service=Constant(7))
    first = simulate(world, seed=seed, faults=faults)
    more = simulate(again(world, agents=[*world.agents, idle]), seed=seed, faults=faults)

    assert digest_without(more.log, "zed") == first.digest
    assert [fault for fault in more.faults if fault != "skew:zed"] == list(first.faults)


@given(worlds(), SEEDS, FAULTS)
@lightly
def test_one_more_draw_of_an_agent_changes_nothing(world: World, seed: int, faults: Faults) -> None:
    def adds_and_draws(ctx: Any, value: Any) -> int:
        ctx.random("mood").random()
        ctx.random().random()
        return add(ctx, value)

    drawing = []
    for agent in world.agents:
        handlers = agent.handlers | {"add": adds_and_draws}
        names = ("deduplicate", "interleaving", "service")
        options = {name: getattr(agent, name) for name in names}
        drawing.append(Agent(agent.name, named=handlers, state=agent.state, **options))
    first = simulate(world, seed=seed, faults=faults)

    assert simulate(again(world, agents=drawing), seed=seed, faults=faults).digest == first.digest


@given(SEEDS)
@lightly
def test_workflows_that_share_no_agent_know_nothing_of_each_other(seed: int) -> None:
    def side(name: str) -> tuple[Agent, Plan, list[Start]]:
        plan = Plan(Step("add", agent=name, kind="pivot", timeout=2_000_000), name=f"by_{name}")
        starts = [Start(f"{name}-{n}", at=n * 1_000_000, workflow=plan.name) for n in range(3)]
        return Agent(name, named={"add": add}, state={"count": 0}), plan, starts

    faults = STORM.without("partition")
    agents_, plans, starts = zip(side("left"), side("right"), strict=True)
    both = World(agents_, plans, sorted([*starts[0], *starts[1]], key=lambda start: start.at))
    together = simulate(both, seed=seed, faults=faults).log.table
    for agent, plan, own in zip(agents_, plans, starts, strict=True):
        alone = simulate(World([agent], plan, own), seed=seed, faults=faults)
        mine = pc.match_substring(together["workflow_id"], agent.name)
        streams = pc.match_substring(alone.log.table["workflow_id"], agent.name)
        first = EventLog.from_table(together.filter(mine))
        second = EventLog.from_table(alone.log.table.filter(streams))
        assert first.history_digest == second.history_digest
        assert first.table["time_ns"].equals(second.table["time_ns"])


@given(SEEDS)
@lightly
def test_starts_that_are_read_as_time_goes_on_are_those_of_a_list(seed: int) -> None:
    def arrive(chances: Chances) -> Any:
        gaps = chances.random("gaps")
        at = 0
        for number in range(5):
            at += gaps.randrange(3_000_000)
            yield Start(f"w{number}", ["add", "sleep"], at=at)

    def built(starts: Any) -> World:
        return World(agents(), [busy], starts, resources=[Resource("shelf", {"left": 10})])

    first = simulate(built(arrive), seed=seed, faults=STORM)
    second = simulate(built(list(arrive(Chances(seed)))), seed=seed, faults=STORM)

    assert first.digest == second.digest


# -- processes -------------------------------------------------------------------------------------


class Thing:
    """Its repr has an address in it."""


@workflow
async def careless(ctx: WorkflowContext, _: Any) -> Any:
    for name in ("words", "thing", "raises"):
        try:
            await ctx.call_activity(name)
        except Exception as error:  # noqa: BLE001 - told in the log
            await ctx.call_activity("keep", str(error))
    raise ValueError(Thing())


def raises() -> None:
    raise ValueError(Thing())


def digests() -> list[str]:
    """Return the digests of worlds with everything that may differ between processes."""
    named = {
        "words": lambda: {"some", "words", "in", "any", "order"},
        "thing": Thing,
        "raises": raises,
        "keep": lambda _ctx, value: value,
    }
    found = [simulate(World([Agent("clerk", named=named)], careless, 2)).digest]
    to_do = ["add", ["move", "race", "child"], "saga", "gossip", "again", "refuse", "wait"]
    starts = [Start("w0", to_do, workflow="busy"), Start("w1", 2, workflow="turning")]
    starts += [Start(f"p{n}", workflow="trip", roles={"first": "dee"}) for n in range(3)]
    for seed in range(10):
        world = World(
            agents(), [busy, turning, PLAN], starts, resources=[Resource("shelf", {"left": 9})]
        )
        found.append(simulate(world, seed=seed, faults=STORM).digest)
    return found


def test_a_run_depends_on_no_hash_seed_and_on_no_address() -> None:
    # What a handler returned was told by its repr: the order of a set, and an object's address.
    script = "import test_simulation_independence as t; print(t.digests())"
    told = set()
    for hash_seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        environment["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        told.add(
            subprocess.run(
                [sys.executable, "-c", script],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )

    assert told == {f"{digests()}\n"}
