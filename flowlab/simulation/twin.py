"""The same world with one thing changed: every draw is the same, for draws are keyed by names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import pyarrow.compute as pc

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Event
from flowlab.simulation.agenda import Decision, agenda_of
from flowlab.simulation.faults import Faults, as_faults
from flowlab.simulation.recipe import parted
from flowlab.simulation.run import MAX_SHOWN, Run
from flowlab.simulation.schedule import Entry
from flowlab.simulation.simulate import run_of

Moment = Event | tuple[str, int] | tuple[str, str, str, int]
"""An event, or its id: (workflow id, sequence), or all of it."""


def twin_of(
    run: Run,
    *,
    without: str | Iterable[str] = (),
    at: Moment | None = None,
    choose: Entry | str | None = None,
    faults: Faults | str | Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> Run:
    """Run a world again with one thing changed; `Run.twin` says what.

    Raises:
        NotFoundError: a fault did not happen in the run, or an entry was not pending.
        InvalidArgumentError: a parameter is unknown.
    """
    recipe = run.recipe
    changes: dict[str, Any] = {}
    if isinstance(without, str) or not isinstance(without, Iterable):
        without = [without]
    left_out = frozenset(without)
    if left_out:
        _check_faults(left_out - recipe.without, run.faults)
        changes["without"] = recipe.without | left_out
    if at is not None or choose is not None:
        changes["choices"] = {**recipe.choices, **_choice(run, at, choose)}
    if faults is not None:
        changes["faults"] = as_faults(faults)
    if parameters:
        own, overrides = parted(recipe.scenario, parameters)
        changes["parameters"] = MappingProxyType({**recipe.parameters, **own})
        changes["overrides"] = {**recipe.overrides, **overrides}
    return run_of(recipe.changed(**changes), namespace=run.log.runs[0].namespace)


def decision_at(run: Run, at: Moment) -> Decision:
    """Return what could happen when an event did; `Run.choices` says more.

    Raises:
        NotFoundError: the run has no such event, or nothing was chosen before it.
    """
    workflow_id, sequence = _place_of(at)
    table = run.log.table
    found = pc.and_(
        pc.equal(table.column("workflow_id"), workflow_id),
        pc.equal(table.column("sequence"), sequence),
    )
    row = pc.index(found, value=True).as_py()
    if row < 0:
        message = f"the run has no event {sequence} of {workflow_id!r}; its log lists what it has"
        raise NotFoundError(message)
    agenda = agenda_of(run.recipe, until=row)
    assert agenda is not None
    run_of(run.recipe, agenda=agenda)
    decision = agenda.last
    if decision is None or decision.row > row:
        message = f"event {sequence} of {workflow_id!r} is there from the beginning of the world"
        raise NotFoundError(message)
    return decision


def _place_of(at: Moment) -> tuple[str, int]:
    if isinstance(at, Event):
        return at.workflow_id, at.sequence
    if isinstance(at, tuple) and len(at) in {2, 4}:
        return at[-2], at[-1]
    message = f'at is {at!r}; expected an event of the log, or its place, as ("trip-1", 5)'
    raise InvalidArgumentError(message)


def _choice(run: Run, at: Moment | None, choose: Entry | str | None) -> dict[str, str]:
    if at is None or choose is None:
        message = (
            "a choice is two things: at=event, and choose=what is to happen before it. "
            "run.choices(at=event).others lists what could"
        )
        raise InvalidArgumentError(message)
    decision = decision_at(run, at)
    wanted = choose.id if isinstance(choose, Entry) else choose
    known = [entry.id for entry in decision.others]
    if wanted not in known:
        near = get_close_matches(str(wanted), known, MAX_SHOWN, 0.3) or known
        listed = ", ".join(map(repr, near[:MAX_SHOWN])) or "none at all"
        message = (
            f"{wanted!r} cannot come before {decision.taken.id!r}, for it was not pending; the "
            f"nearest that were are {listed}"
        )
        raise NotFoundError(message)
    return {wanted: decision.taken.id}


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
