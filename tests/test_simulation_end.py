"""Where a world ends: at its last event, at a limit, and not before."""

from __future__ import annotations

import pytest

from flowlab.errors import InvalidArgumentError
from flowlab.simulation import Agent, Constant, Network, World, scenario, simulate
from flowlab.simulation.engine import Engine
from flowlab.simulation.recipe import Recipe
from flowlab.simulation.recorder import Recorder
from flowlab.workflow import SECOND, Step


def slow(service_ns: int, *, max_time: int) -> World:
    agent = Agent("clerk", named={"stamp": lambda _ctx, _value: None}, service=service_ns)
    plan = Step("stamp", agent="clerk", kind="pivot")
    network = Network(latency=Constant(1))
    return World([agent], plan, network=network, timeout=None, max_time=max_time)


def test_a_world_that_ends_in_time_is_not_stopped_and_its_end_is_its_last_event() -> None:
    run = simulate(slow(SECOND, max_time=SECOND + 2))

    assert (run.stopped, run.end_ns) == ("", SECOND + 2)
    assert run.end_ns == run.log.table["time_ns"].to_pylist()[-1]


def test_what_would_happen_after_the_end_of_time_does_not_happen() -> None:
    run = simulate(slow(SECOND, max_time=SECOND + 1))

    assert run.stopped.startswith("max_time: ")
    assert run.statuses == {"plan-1": "open"}
    assert [stuck.workflow_id for stuck in run.stuck] == ["plan-1"]
    assert run.end_ns <= SECOND + 1


def test_a_negative_number_where_none_makes_sense_is_refused_before_anything_runs() -> None:
    @scenario
    def stamps(*, clerks: int = 1) -> World:
        return slow(clerks, max_time=SECOND)

    with pytest.raises(InvalidArgumentError, match="'clerks' of scenario 'stamps' is -1; expected"):
        simulate(stamps, clerks=-1)


def test_an_engine_that_has_let_go_of_everything_can_still_be_looked_at() -> None:
    world = slow(SECOND, max_time=SECOND)
    engine = Engine(world, Recipe.of(world, 7, None, {}), Recorder())

    assert repr(engine) == f"Engine({world!r}, seed=7, 0 pending)"
    engine.close()
    assert repr(engine) == "Engine(closed)"
