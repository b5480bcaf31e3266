"""What a person declares: workflows and activities, by decorators or by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from flowlab.errors import InvalidArgumentError
from flowlab.events.wording import brief
from flowlab.workflow.guard_check import check_source
from flowlab.workflow.savepoints import check_state

if TYPE_CHECKING:
    from flowlab.workflow.context import WorkflowContext

Body = Callable[..., Coroutine[Any, Any, Any]]
"""An async function of (ctx, input), or of (ctx, input, state)."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow: an async function of (ctx, input), and the name that its histories carry.

    Make one with `@workflow`. Calling it gives the coroutine, so that one may await another's body.
    With a declared state it is a function of (ctx, input, state); see `ctx.savepoint`.
    What `unchecked` says is why the determinism guard leaves it alone; empty is that it does not.
    """

    name: str
    body: Body
    unchecked: str = ""
    state: type | None = None
    compensation: Workflow | None = field(default=None, compare=False)

    def __call__(
        self, ctx: WorkflowContext, value: Any = None, state: Any = None
    ) -> Coroutine[Any, Any, Any]:
        """Return the body's coroutine."""
        return self.body(ctx, value) if self.state is None else self.body(ctx, value, state)

    def compensate(self, body: Body) -> Workflow:
        """Declare the workflow that undoes this one once it has completed.

        A parent's saga runs it as a child named "<name>.compensate"; its input is
        {"input": ..., "result": ...} of what it undoes. It may return
        {"compensation": "nothing_to_do"} (see `CompensationResult`). A host that knows a workflow
        knows its `compensation`, too.

        Raises:
            InvalidArgumentError: the function is no body of a workflow, or there is one already.

        Example:
            >>> @workflow
            ... async def hotel(ctx, nights):
            ...     return await ctx.call_activity("reserve", nights)
            >>> @hotel.compensate
            ... async def undo_hotel(ctx, given):
            ...     await ctx.call_activity("release", given["result"])
            >>> hotel.compensation
            Workflow('hotel.compensate')
        """
        if self.compensation is not None:
            message = f"{self!r} has a compensation already; one workflow undoes another"
            raise InvalidArgumentError(message)
        undo = _workflow(body, f"{self.name}.compensate", self.unchecked or None, None)
        # The decorator comes after the workflow: this is the last part of its making.
        object.__setattr__(self, "compensation", undo)
        return undo

    def __repr__(self) -> str:
        return f"Workflow({self.name!r})"


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity: a function with effects, and the name by which workflows call it.

    Make one with `@activity`. A host carries it out; the workflow only names it.
    """

    name: str
    function: Callable[..., Any]

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Call the function itself, as a test does."""
        return self.function(*values, **named)

    def __repr__(self) -> str:
        return f"Activity({self.name!r})"


@overload
def workflow(body: Body, /) -> Workflow: ...
@overload
def workflow(
    *, name: str | None = None, state: type | None = None, unchecked: str | None = None
) -> Callable[[Body], Workflow]: ...
def workflow(
    body: Body | None = None,
    /,
    *,
    name: str | None = None,
    state: type | None = None,
    unchecked: str | None = None,
) -> Workflow | Callable[[Body], Workflow]:
    """Declare an async function of (ctx, input) to be a workflow.

    Its source is read, and refused or warned of where a replay may do something else
    (`GUARD_RULES`); while it runs, what it reaches for outside is refused.

    Args:
        body: the function.
        name: of the workflow; None takes the function's.
        state: a dataclass, msgspec Struct or dict type that holds what the workflow has come to;
            the function then takes (ctx, input, state) and may be re-entered from `ctx.savepoint`.
        unchecked: why the guard shall leave it alone; None lets it look.

    Raises:
        InvalidArgumentError: the function is not async, or does not take these arguments; or the
            state has no default, or cannot be saved.
        NonDeterminismError: it reaches for a clock, chance, a file, or something else outside.
        DeterminismWarning: (a warning) it may not do the same in every replay.

    Example:
        >>> @workflow
        ... async def trip(ctx, request):
        ...     return await ctx.call_activity("book_flight", request)
        >>> trip
        Workflow('trip')
    """
    if body is None:
        return lambda function: _workflow(function, name, unchecked, state)
    return _workflow(body, name, unchecked, state)


def activity(function: Callable[..., Any], /, *, name: str | None = None) -> Activity:
    """Declare a function to be an activity.

    Example:
        >>> @activity
        ... def double(value):
        ...     return 2 * value
        >>> double, double(4)
        (Activity('double'), 8)
    """
    if not callable(function):
        message = f"@activity takes a function, not {function!r}"
        raise InvalidArgumentError(message)
    return Activity(name or str(getattr(function, "__name__", "activity")), function)


def activity_name(value: str | Activity) -> str:
    """Return the name of an activity that was given by itself or by name.

    Raises:
        InvalidArgumentError: it is neither.
    """
    name = value.name if isinstance(value, Activity) else value
    if not isinstance(name, str) or not name:
        known = getattr(value, "__name__", "")
        told = f"{known!r}, or write @activity above it" if known else "or as @activity made it"
        message = f"an activity is given by its name, {told}; got {value!r}"
        raise InvalidArgumentError(message)
    return name


def workflow_name(value: str | Workflow) -> str:
    """Return the name of a workflow that was given by itself or by name.

    Raises:
        InvalidArgumentError: it is neither.
    """
    name = value.name if isinstance(value, Workflow) else value
    if not isinstance(name, str) or not name:
        message = f"a workflow is given by @workflow or by its name, not as {value!r}"
        raise InvalidArgumentError(message)
    return name


def _workflow(body: Body, name: str | None, unchecked: str | None, state: type | None) -> Workflow:
    if not inspect.iscoroutinefunction(body):
        message = (
            f"@workflow takes an async function of (ctx, input), not {brief(body)}: write "
            "'async def', and await what ctx gives"
        )
        raise InvalidArgumentError(message)
    places = [
        parameter
        for parameter in inspect.signature(body).parameters.values()
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    ]
    expected = ("ctx", "input") if state is None else ("ctx", "input", "state")
    if len(places) != len(expected):
        message = (
            f"workflow {body.__name__!r} takes {len(places)} arguments; expected "
            f"({', '.join(expected)})"
        )
        raise InvalidArgumentError(message)
    if state is not None:
        check_state(state, name or body.__name__)
    if unchecked is None:
        check_source(body, name or body.__name__)
    elif not isinstance(unchecked, str) or not unchecked.strip():
        message = f"unchecked takes the reason, as text, not {unchecked!r}"
        raise InvalidArgumentError(message)
    return Workflow(name or body.__name__, body, unchecked or "", state)
