"""The countermeasures: without one, harm for some seeds; with it, for none; and SQL sees it."""

from __future__ import annotations

import pytest

from flowlab.events import EventLog
from flowlab.scenarios.countermeasures import COUNTERMEASURES
from flowlab.simulation import World, simulate

SEEDS = range(200)


def harmed(world: World, query: str) -> tuple[set[str], set[str]]:
    """Return the runs that break an invariant, and those in which the query finds something."""
    runs = [simulate(world, seed=seed) for seed in SEEDS]
    assert not any(run.stuck or run.stopped for run in runs)
    seen = EventLog.concat(run.log for run in runs).sql(query)
    return {run.run_id for run in runs if run.violations}, set(seen["run_id"])


@pytest.mark.parametrize("name", COUNTERMEASURES)
def test_without_a_countermeasure_there_is_harm_with_it_none_and_its_query_finds_exactly_that(
    name: str,
) -> None:
    it = COUNTERMEASURES[name]
    violated, seen = harmed(it.broken, it.query)
    assert 0 < len(violated) < len(SEEDS)
    assert seen == violated
    assert harmed(it.fixed, it.query) == (set(), set())


@pytest.mark.parametrize("name", COUNTERMEASURES)
def test_a_countermeasure_leaves_no_lock_held_and_lets_somebody_through(name: str) -> None:
    for seed in SEEDS[:50]:
        run = simulate(COUNTERMEASURES[name].fixed, seed=seed)
        assert run.locks == ()
        assert "completed" in run.statuses.values() or name == "pessimistic view"


def test_there_are_the_six_of_the_literature() -> None:
    assert list(COUNTERMEASURES) == [
        "semantic lock",
        "commutative updates",
        "pessimistic view",
        "reread value",
        "version file",
        "by value",
    ]
