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

    def __repr__(self) -> str:
        return f"Recipe({self.scenario.name!r}, seed={self.seed})"

    @property
    def told(self) -> dict[str, Any]:
        """The parameters as JSON."""
        return {name: as_json(value, name) for name, value in sorted(self.parameters.items())}

    @property
    def run_id(self) -> str:
        """Scenario and seed; and a mark of all else, where it is not as the scenario has it."""
        base = f"{self.scenario.name}-{self.seed}"
        changed = {
            name: as_json(value, name)
            for name, value in self.parameters.items()
            if value is not self.scenario.parameters.get(name)
        }
        rest = [
            changed,
            self.faults.to_json() if self.faults != Faults() else {},
            sorted(self.without),
            dict(self.choices),
        ]
        if not any(rest):
            return base
        return f"{base}-{hashlib.sha256(encode_json(rest)).hexdigest()[:8]}"


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
