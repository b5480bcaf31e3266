"""Code, plans and choreographies, by the names that histories carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType

from flowlab.errors import InvalidArgumentError
from flowlab.events.wording import brief
from flowlab.workflow import Choreography, Plan, Program, Workflow

Process = Workflow | Program | Plan
"""What is conducted: code, or a plan."""

Replayable = Process | Choreography
"""What a history can be held against."""


def by_name(
    workflows: Iterable[Replayable] | Mapping[str, Replayable] | ModuleType,
) -> dict[str, Workflow | Program | Choreography]:
    """Return workflows, plans and choreographies by name, with the workflows that undo them.

    Raises:
        InvalidArgumentError: something else was given, or two of one name.
    """
    known: dict[str, Workflow | Program | Choreography] = {}
    pairs: list[tuple[str, Replayable]]
    if isinstance(workflows, Mapping):
        pairs = list(workflows.items())
    else:
        given: Iterable[Replayable] = workflows if isinstance(workflows, Iterable) else [workflows]
        if isinstance(workflows, ModuleType):
            kinds = (Workflow, Program, Plan, Choreography)
            held = (value for value in vars(workflows).values() if isinstance(value, kinds))
            given = {id(value): value for value in held}.values()
        pairs = [(_name_of(value), value) for value in given]
    for name, value in pairs:
        _name_of(value)
        process = Program.of(value) if isinstance(value, Plan) else value
        if name in known:
            message = f"two workflows are called {name!r}; give one, or a mapping from names"
            raise InvalidArgumentError(message)
        known[name] = process
    for process in list(known.values()):
        undo = process.compensation if isinstance(process, Workflow) else None
        if undo is not None:
            known.setdefault(undo.name, undo)
    return known


def conducted_by_name(
    workflows: Iterable[Process] | Mapping[str, Process] | ModuleType,
) -> dict[str, Workflow | Program]:
    """Return workflows and plans by name; choreographies that a module holds are left out.

    Raises:
        InvalidArgumentError: something else was given, or two of one name.
    """
    known: dict[str, Workflow | Program] = {}
    for name, process in by_name(workflows).items():
        if not isinstance(process, Choreography):
            known[name] = process
        elif not isinstance(workflows, ModuleType):
            message = f"expected workflows and plans, not {brief(process)}, which nobody conducts"
            raise InvalidArgumentError(message)
    return known


def _name_of(value: object) -> str:
    if isinstance(value, (Workflow, Plan, Choreography)):
        return value.name
    if isinstance(value, Program):
        return value.plan.name
    message = f"expected workflows, plans and choreographies, not {brief(value)}"
    raise InvalidArgumentError(message)
