"""The arms of a campaign: what is varied, checked whole before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.faults import Faults
from flowlab.simulation.recipe import OVERRIDES, Recipe, as_seed
from flowlab.simulation.scenario import Scenario, as_scenario
from flowlab.simulation.world import World

Label = str | int | float | bool
"""How a value of an axis is told: as it is, or as text."""

COLUMNS: Final = (
    "run_id", "seed", "ok", "events", "duration_ns", "workflows", "completed", "failed",
    "canceled", "stuck", "violations", "stopped", "fault_count", "fault_kinds",
)  # fmt: skip
"""What is told of every run, besides the axes and the measures."""


@dataclass(frozen=True, slots=True, repr=False)
class Arm:
    """One combination of what is varied.

    Args:
        labels: the value of each axis, as it is told.
        recipe: of its runs, the seed aside.
    """

    labels: Mapping[str, Label]
    recipe: Recipe

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={label!r}" for name, label in self.labels.items())
        return f"Arm({told})"


def arms_of(
    scenario: Scenario | World,
    grid: Mapping[str, Any] | None,
    faults: Faults | str | Mapping[str, Any] | None,
    parameters: Mapping[str, Any],
    *,
    taken: Iterable[str] = (),
) -> tuple[Arm, ...]:
    """Return every combination of the values of a grid, the last axis varied first.

    Args:
        scenario: whose worlds they are.
        grid: axis -> its values, or label -> value. An axis is a parameter of the scenario, or
            `faults`, `network` or `retry`.
        faults: what may go wrong in every arm.
        parameters: the same in every arm.
        taken: names of columns that no axis may have, besides `COLUMNS`.

    Raises:
        InvalidArgumentError: an axis is unknown, empty or given twice, two of its values look the
            same, or a world cannot be built: nothing runs.

    Example:
        >>> from flowlab.simulation import Agent, scenario
        >>> from flowlab.workflow import Step
        >>> @scenario
        ... def till(*, customers=3):
        ...     bank = Agent("bank", named={"charge": lambda ctx, value: "paid"})
        ...     return World([bank], Step("charge", agent="bank", kind="pivot"), customers)
        >>> arms_of(till, {"customers": [1, 2], "faults": ["none", "network"]}, None, {})[1:3]
        (Arm(customers=1, faults='network'), Arm(customers=2, faults='none'))
        >>> arms_of(till, {"clients": [1, 2]}, None, {})
        Traceback (most recent call last):
        flowlab.errors.InvalidArgumentError: scenario 'till' has no parameter 'clients'; ...
    """
    chosen = as_scenario(scenario)
    if grid is not None and not isinstance(grid, Mapping):
        message = f'grid is {grid!r}; expected a mapping such as {{"retry": [policy, other]}}'
        raise InvalidArgumentError(message)
    given = dict(grid or {})
    _check_axes(chosen, given, faults, parameters, {*COLUMNS, *taken})
    axes = {name: _values(name, values) for name, values in given.items()}
    arms = []
    for combination in product(*[values.items() for values in axes.values()]):
        chosen_values = {name: value for name, (_, value) in zip(axes, combination, strict=True)}
        weather = chosen_values.pop("faults", faults)
        recipe = Recipe.of(chosen, 0, weather, {**parameters, **chosen_values})
        recipe.world()
        labels = {name: label for name, (label, _) in zip(axes, combination, strict=True)}
        arms.append(Arm(labels, recipe))
    _check_apart(arms)
    return tuple(arms)


def seeds_of(seeds: int | Iterable[int]) -> Sequence[int]:
    """Return the seeds of a campaign: those given, or so many from 0.

    Raises:
        InvalidArgumentError: there is none, one is no int of 64 bits, or one is there twice.

    Example:
        >>> list(seeds_of(3)), list(seeds_of([7, 5]))
        ([0, 1, 2], [7, 5])
    """
    if type(seeds) is int and seeds > 0:
        return range(seeds)
    if isinstance(seeds, (int, str)) or not isinstance(seeds, Iterable):
        message = f"seeds is {seeds!r}; expected ints, such as range(1_000), or how many"
        raise InvalidArgumentError(message)
    found = seeds if isinstance(seeds, range) else [as_seed(seed) for seed in seeds]
    if not found:
        message = "a campaign needs seeds; give range(1_000), or how many"
        raise InvalidArgumentError(message)
    if not isinstance(found, range) and len(set(found)) < len(found):
        twice = next(seed for place, seed in enumerate(found) if seed in found[:place])
        message = f"seed {twice} is there twice, and would give the same world twice"
        raise InvalidArgumentError(message)
    return found


def _check_axes(
    scenario: Scenario,
    grid: Mapping[str, Any],
    faults: object,
    parameters: Mapping[str, Any],
    columns: set[str],
) -> None:
    # Both are checked here, so that a wrong name is told before a wrong value is.
    scenario.check(name for name in grid if name != "faults" and name not in OVERRIDES)
    scenario.check(name for name in parameters if name not in OVERRIDES)
    for name in grid:
        if name in parameters or (name == "faults" and faults is not None):
            message = f"{name!r} is given and is an axis of the grid, too; give it once"
            raise InvalidArgumentError(message)
        if name in columns:
            message = (
                f"the axis {name!r} has the name of a column of the campaign; call the parameter "
                "of the scenario something else"
            )
            raise InvalidArgumentError(message)


def _values(name: str, given: Any) -> dict[Label, Any]:
    """Return the values of an axis by their labels."""
    found: dict[Label, Any]
    if isinstance(given, Mapping):
        found = {str(label): value for label, value in given.items()}
        count = len(given)
    elif isinstance(given, (str, Faults)) or not isinstance(given, Iterable):
        message = f"the axis {name!r} of the grid is {given!r}; expected a list of values"
        raise InvalidArgumentError(message)
    else:
        values = list(given)
        count = len(values)
        plain = {type(value) for value in values}
        as_they_are = len(plain) == 1 and plain <= {bool, int, float, str}
        found = {v if as_they_are else _label(v): v for v in values}
    if not found:
        message = f"the axis {name!r} of the grid has no values; leave it out, or give some"
        raise InvalidArgumentError(message)
    if len(found) < count:
        message = (
            f"two values of the axis {name!r} are told alike; give them names: "
            f'{{"{name}": {{"one": ..., "other": ...}}}}'
        )
        raise InvalidArgumentError(message)
    return found


def _label(value: Any) -> str:
    """Return a value as short text."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (bool, int, float, list, tuple, dict)):
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            return repr(value)
    return repr(value)


def _check_apart(arms: Iterable[Arm]) -> None:
    known: dict[str, Arm] = {}
    for arm in arms:
        other = known.setdefault(arm.recipe.told.mark, arm)
        if other is not arm:
            message = f"{other!r} and {arm!r} are the same worlds; leave one out"
            raise InvalidArgumentError(message)
