"""The same world with one thing changed: every draw is the same, for draws are keyed by names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.simulation.faults import Faults, as_faults
from flowlab.simulation.recipe import parted
from flowlab.simulation.run import MAX_SHOWN, Run
from flowlab.simulation.simulate import run_of


def twin_of(
    run: Run,
    *,
    without: str | Iterable[str] = (),
    faults: Faults | str | Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> Run:
    """Run a world again with one thing changed; `Run.twin` says what.

    Raises:
        NotFoundError: a fault did not happen in the run.
        InvalidArgumentError: a parameter is unknown.
    """
    recipe = run.recipe
    changes: dict[str, Any] = {}
    left_out = frozenset([without] if isinstance(without, str) else without)
    if left_out:
        _check_faults(left_out - recipe.without, run.faults)
        changes["without"] = recipe.without | left_out
    if faults is not None:
        changes["faults"] = as_faults(faults)
    if parameters:
        own, overrides = parted(recipe.scenario, parameters)
        changes["parameters"] = MappingProxyType({**recipe.parameters, **own})
        changes["overrides"] = {**recipe.overrides, **overrides}
    return run_of(recipe.changed(**changes), namespace=run.log.runs[0].namespace)


def _check_faults(wanted: Collection[str], happened: Collection[str]) -> None:
    for fault_id in sorted(wanted):
        if not isinstance(fault_id, str):
            message = f"without is {fault_id!r}; expected the id of a fault, as in run.faults"
            raise InvalidArgumentError(message)
        if fault_id not in happened:
            near = get_close_matches(fault_id, happened, MAX_SHOWN, 0.3) or list(happened)
            listed = ", ".join(map(repr, near[:MAX_SHOWN])) or "none at all"
            message = f"no fault {fault_id!r} happened in the run; the nearest are {listed}"
            raise NotFoundError(message)
