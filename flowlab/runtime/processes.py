"""What a runtime can carry out, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowlab.errors import InvalidArgumentError
from flowlab.runtime.scheme import Process
from flowlab.workflow import Choreography, Plan, Predicates, Program, Workflow
from flowlab.workflow.names import listed, shortened

ProcessSpec = Workflow | Plan | Program | Choreography
"""Code, a plan or a choreography, as a person gives it."""

Carried = Process | Choreography
"""What a runtime carries out: code, a plan made ready, or what nobody conducts."""


def as_processes(
    given: ProcessSpec | Iterable[ProcessSpec],
    *more: ProcessSpec,
    predicates: Predicates | None = None,
) -> dict[str, Carried]:
    """Return code and plans by name, with the compensations that workflows declare.

    Raises:
        InvalidArgumentError: something is neither, there is none, or two have one name.

    Example:
        >>> from flowlab.workflow import Plan, Step
        >>> list(as_processes(Plan(Step("say", agent="ann", kind="pivot"), name="greet")))
        ['greet']
    """
    own = (Workflow, Plan, Program, Choreography, str)
    one = isinstance(given, own) or not isinstance(given, Iterable)
    several: list[Any] = [given, *more] if one else [*given, *more]  # type: ignore[misc]
    found: dict[str, Carried] = {}
    for one in several:
        for name, process in _with_undo(one, predicates):
            if name in found and found[name] is not process:
                message = f"two workflows are called {name!r}; give one another name"
                raise InvalidArgumentError(message)
            found[name] = process
    if not found:
        message = (
            "a runtime needs something to carry out: give it a @workflow, a Plan or a Choreography"
        )
        raise InvalidArgumentError(message)
    return found


def _with_undo(one: Any, predicates: Predicates | None) -> Iterable[tuple[str, Carried]]:
    if isinstance(one, Workflow):
        yield one.name, one
        if one.compensation is not None:
            yield one.compensation.name, one.compensation
    elif isinstance(one, Plan):
        yield one.name, Program.of(one, predicates)
    elif isinstance(one, Program):
        yield one.plan.name, one
    elif isinstance(one, Choreography):
        yield one.name, one
    else:
        message = (
            f"{shortened(one)} is no workflow; give a @workflow function, a Plan or a Choreography"
        )
        raise InvalidArgumentError(message)


def name_of(workflow: ProcessSpec | str, known: Mapping[str, Carried]) -> str:
    """Return the name of something that a runtime has.

    Raises:
        InvalidArgumentError: the runtime does not have it.
    """
    name = workflow if isinstance(workflow, str) else getattr(workflow, "name", None)
    if isinstance(workflow, Program):
        name = workflow.plan.name
    if name not in known:
        message = f"the runtime has no workflow {shortened(name)}; it has {listed(sorted(known))}"
        raise InvalidArgumentError(message)
    return str(name)
