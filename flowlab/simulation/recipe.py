"""All that a run is made of: change one thing in it, and you have its twin's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from flowlab.errors import InvalidArgumentError, InvalidEventError
from flowlab.events.codec import encode_json
from flowlab.simulation.faults import Faults, as_faults
from flowlab.simulation.network import Network
from flowlab.simulation.overrides import overridden
from flowlab.simulation.scenario import Scenario, as_scenario
from flowlab.simulation.schedule import Schedule
from flowlab.simulation.world import World
from flowlab.workflow import RetryPolicy

OVERRIDES: Final = {"network": Network, "retry": RetryPolicy}
"""What may be given like a parameter to a scenario that has none of that name."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Recipe:
    """What makes a run: equal recipes make equal logs.

    Args:
        scenario: the scenario.
        seed: of all draws.
        parameters: of the scenario, its defaults included.
        faults: what may go wrong.
        without: the ids of faults that do not happen, though they would.
        choices: entry of the agenda to take -> before which one, as `twin` says.
        overrides: the `network` and the `retry` policy that the world has instead of its own.
        schedule: the order in which a scheduler took the entries; None is that of time.
    """

    scenario: Scenario
    seed: int
    parameters: Mapping[str, Any]
    faults: Faults
    without: frozenset[str] = frozenset()
    choices: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule | None = None
    _told: Told | None = field(default=None)

    @classmethod
    def of(
        cls,
        scenario: Scenario | World,
        seed: int,
        faults: Faults | str | Mapping[str, Any] | None,
        parameters: Mapping[str, Any],
    ) -> Recipe:
        """Check what a run is made of, and put it together.

        Raises:
            InvalidArgumentError: a parameter is unknown, or something is not what it must be.
        """
        chosen = as_scenario(scenario)
        own, overrides = parted(chosen, parameters)
        known = MappingProxyType({**chosen.parameters, **own})
        return cls(chosen, as_seed(seed), known, as_faults(faults), overrides=overrides)

    def __repr__(self) -> str:
        return f"Recipe({self.scenario.name!r}, seed={self.seed})"

    def with_seed(self, seed: int) -> Recipe:
        """Return the same with another seed: what is told of both is made once."""
        return Recipe(
            self.scenario,
            seed,
            self.parameters,
            self.faults,
            self.without,
            self.choices,
            self.overrides,
            self.schedule,
            self.told,
        )

    def changed(self, **changes: Any) -> Recipe:
        """Return the same with other fields."""
        return replace(self, **changes, _told=None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as plain values: a worker of a campaign has no use for the rest."""
        parts = (self.scenario, self.seed, dict(self.parameters), self.faults, self.without)
        return Recipe, (*parts, dict(self.choices), dict(self.overrides), self.schedule)

    def world(self) -> World:
        """Build the world."""
        return overridden(self.scenario(**self.parameters), **self.overrides)

    @property
    def told(self) -> Told:
        """What the log keeps of it, the seed aside."""
        if self._told is None:
            object.__setattr__(self, "_told", _told(self))
        assert self._told is not None
        return self._told

    @property
    def run_id(self) -> str:
        """Scenario and seed; and a mark of all else, where it is not as the scenario has it."""
        return f"{self.scenario.name}-{self.seed}{self.told.mark}"


class Told(NamedTuple):
    """What the log keeps of a recipe, made once for all its seeds.

    Attributes:
        parameters, faults, attributes: as JSON.
        code_digest: of the scenario.
        mark: tells a recipe from that of the scenario as it is; empty where there is no difference.
    """

    parameters: dict[str, Any]
    faults: dict[str, Any]
    attributes: dict[str, Any]
    code_digest: str
    mark: str


def as_seed(seed: Any) -> int:
    """Return a seed.

    Raises:
        InvalidArgumentError: it is no int of 64 bits.
    """
    if type(seed) is not int or not -(2**63) <= seed < 2**63:
        message = f"seed is {seed!r}; expected an int of 64 bits"
        raise InvalidArgumentError(message)
    return seed


def parted(
    scenario: Scenario, parameters: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of the given is the scenario's parameters, and what overrides its world.

    Raises:
        InvalidArgumentError: a parameter is unknown, or an override of another type.
    """
    own = {name: value for name, value in parameters.items() if name in scenario.parameters}
    rest = {name: value for name, value in parameters.items() if name not in own}
    scenario.check(name for name in rest if name not in OVERRIDES)
    for name, value in rest.items():
        if value is not None and not isinstance(value, OVERRIDES[name]):
            kind = OVERRIDES[name].__name__
            message = f"{name} is {value!r}; expected a {kind}, or None to leave it as it is"
            raise InvalidArgumentError(message)
    return own, {name: value for name, value in sorted(rest.items()) if value is not None}


def _told(recipe: Recipe) -> Told:
    defaults = recipe.scenario.parameters
    told = {name: as_json(value, name) for name, value in sorted(recipe.parameters.items())}
    # Values are compared as the log has them: in another process they are other objects.
    changed = {
        name: value
        for name, value in told.items()
        if name not in defaults or value != as_json(defaults[name], name)
    }
    over = {name: value.to_json() for name, value in recipe.overrides.items()}
    faults = recipe.faults.to_json()
    attributes: dict[str, Any] = {}
    if recipe.without:
        attributes["without"] = sorted(recipe.without)
    if recipe.choices:
        attributes["choices"] = dict(sorted(recipe.choices.items()))
    if recipe.schedule is not None:
        attributes["schedule"] = recipe.schedule.to_json()
    rest = [changed | over, faults, sorted(recipe.without), dict(recipe.choices)]
    rest += [attributes["schedule"]] if recipe.schedule is not None else []
    mark = f"-{hashlib.sha256(encode_json(rest)).hexdigest()[:8]}" if any(rest) else ""
    return Told(told | over, faults, attributes, recipe.scenario.code_digest, mark)


def as_json(value: Any, name: str) -> Any:
    """Return a parameter as JSON: what it says of itself, or what it is; of a function its name.

    Raises:
        InvalidArgumentError: it is not JSON, and has neither `to_json` nor a name.

    Example:
        >>> as_json([3, as_json], "names")
        [3, 'flowlab.simulation.recipe.as_json']
    """
    if isinstance(value, (list, tuple)):
        return [as_json(item, name) for item in value]
    told = value.to_json() if hasattr(value, "to_json") else value
    called = getattr(value, "__qualname__", "<lambda>")
    if told is value and callable(value) and "<lambda>" not in called:
        return f"{value.__module__}.{called}"
    try:
        encode_json(told)
    except InvalidEventError as error:
        message = (
            f"parameter {name!r} is {value!r}, which the log cannot keep: give JSON, a function "
            "that has a name, or a value that has to_json()"
        )
        raise InvalidArgumentError(message) from error
    return told
