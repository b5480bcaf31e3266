"""All that a run is made of: change one thing in it, and you have its twin's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flowlab.errors import InvalidArgumentError, InvalidEventError
from flowlab.events.codec import encode_json
from flowlab.simulation.faults import Faults
from flowlab.simulation.scenario import Scenario


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
    """

    scenario: Scenario
    seed: int
    parameters: Mapping[str, Any]
    faults: Faults
    without: frozenset[str] = frozenset()
    choices: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    _told: Told | None = field(default=None, init=False)

    def __repr__(self) -> str:
        return f"Recipe({self.scenario.name!r}, seed={self.seed})"

    def with_seed(self, seed: int) -> Recipe:
        """Return the same with another seed."""
        other = Recipe(
            self.scenario, seed, self.parameters, self.faults, self.without, self.choices
        )
        object.__setattr__(other, "_told", self.told)
        return other

    @property
    def told(self) -> Told:
        """What the log keeps of it, the seed aside."""
        if self._told is None:
            object.__setattr__(self, "_told", Told(self))
        assert self._told is not None
        return self._told

    @property
    def run_id(self) -> str:
        """Scenario and seed; and a mark of all else, where it is not as the scenario has it."""
        return f"{self.scenario.name}-{self.seed}{self.told.mark}"


class Told:
    """What the log keeps of a recipe, made once for all its seeds.

    Attributes:
        parameters, faults: as JSON.
        code_digest: of the scenario.
        mark: tells a recipe from that of the scenario as it is; empty where there is no difference.
    """

    __slots__ = ("code_digest", "faults", "mark", "parameters")

    def __init__(self, recipe: Recipe) -> None:
        given, scenario = recipe.parameters, recipe.scenario
        self.parameters = {name: as_json(given[name], name) for name in sorted(given)}
        self.faults = recipe.faults.to_json()
        self.code_digest = scenario.code_digest
        changed = {
            name: self.parameters[name]
            for name, value in given.items()
            if value is not scenario.parameters.get(name)
        }
        rest = [changed, self.faults, sorted(recipe.without), dict(recipe.choices)]
        digest = hashlib.sha256(encode_json(rest)).hexdigest()
        self.mark = f"-{digest[:8]}" if any(rest) else ""

    def __repr__(self) -> str:
        return f"Told({self.mark!r})"


def as_json(value: Any, name: str) -> Any:
    """Return a parameter as JSON: what it says of itself, or what it is.

    Raises:
        InvalidArgumentError: it is not JSON, and has no `to_json`.
    """
    if isinstance(value, (list, tuple)):
        return [as_json(item, name) for item in value]
    told = value.to_json() if hasattr(value, "to_json") else value
    try:
        encode_json(told)
    except InvalidEventError as error:
        message = (
            f"parameter {name!r} is {value!r}, which the log cannot keep: give JSON, or a value "
            "that has to_json()"
        )
        raise InvalidArgumentError(message) from error
    return told
