"""The digests that every scenario of the library has, in every process and on every Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flowlab.scenarios import SCENARIOS
from flowlab.simulation import World, simulate

GOLDEN_PATH: Final = Path(__file__).with_name("golden_scenarios.json")
SEEDS: Final = (1, 2, 3)
PRESETS: Final = ("none", "chaos")

Digests = Mapping[str, Mapping[str, str]]
"""Preset of faults -> seed, as text -> digest of the run."""


def digests_of(name: str, *, turned: bool = False) -> Digests:
    """Return the digests of one scenario.

    Args:
        name: of the scenario.
        turned: whether its agents and resources are registered in the reverse order.

    Example:
        >>> digests_of("trip") == digests_of("trip", turned=True) == golden()["trip"]
        True
    """
    world = SCENARIOS[name]()
    if turned:
        world = turned_round(world)
    return {
        preset: {str(seed): simulate(world, seed=seed, faults=preset).digest for seed in SEEDS}
        for preset in PRESETS
    }


def turned_round(world: World) -> World:
    """Return the same world, its agents and resources registered in the reverse order.

    Example:
        >>> world = SCENARIOS["trip"]()
        >>> turned_round(world).agents == world.agents
        True
    """
    return World(
        reversed(world.agents),
        world.workflows.values(),
        world.starts,
        resources=reversed(world.resources),
        network=world.network,
        invariants=world.invariants,
        predicates=world.predicates,
        timeout=world.timeout_ns,
        max_events=world.max_events,
        max_time=world.max_time_ns,
        delays=world.delays,
    )


def golden() -> Mapping[str, Digests]:
    """Return the digests that are kept with the package, by scenario."""
    found: dict[str, Digests] = json.loads(GOLDEN_PATH.read_text(encoding="utf-8"))
    return found


def keep_golden() -> None:
    """Write the digests of now, after a change that is meant to change them."""
    found = {name: digests_of(name) for name in SCENARIOS}
    GOLDEN_PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
