"""What a person declares: workflows and activities, by decorators or by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from flowlab.errors import InvalidArgumentError

if TYPE_CHECKING:
    from flowlab.workflow.context import WorkflowContext

Body = Callable[["WorkflowContext", Any], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow: an async function of (ctx, input), and the name that its histories carry.

    Make one with `@workflow`. Calling it gives the coroutine, so that one may await another's body.
    What `unchecked` says is why the determinism guard leaves it alone; empty is that it does not.
    """

    name: str
    body: Body
    unchecked: str = ""

    def __call__(self, ctx: WorkflowContext, value: Any = None) -> Coroutine[Any, Any, Any]:
        """Return the body's coroutine."""
        return self.body(ctx, value)

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
def workflow(*, name: str | None = None) -> Callable[[Body], Workflow]: ...
def workflow(
    body: Body | None = None, /, *, name: str | None = None
) -> Workflow | Callable[[Body], Workflow]:
    """Declare an async function of (ctx, input) to be a workflow.

    Raises:
        InvalidArgumentError: the function is not async, or does not take (ctx, input).

    Example:
        >>> @workflow
        ... async def trip(ctx, request):
        ...     return await ctx.call_activity("book_flight", request)
        >>> trip
        Workflow('trip')
    """
    if body is None:
        return lambda function: _workflow(function, name)
    return _workflow(body, name)


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
        message = f"an activity is given by @activity or by its name, not as {value!r}"
        raise InvalidArgumentError(message)
    return name


def _workflow(body: Body, name: str | None) -> Workflow:
    if not inspect.iscoroutinefunction(body):
        message = (
            f"@workflow takes an async function of (ctx, input), not {body!r}: write "
            "'async def', and await what ctx gives"
        )
        raise InvalidArgumentError(message)
    places = [
        parameter
        for parameter in inspect.signature(body).parameters.values()
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    ]
    if len(places) != 2:  # noqa: PLR2004 - (ctx, input)
        message = f"workflow {body.__name__!r} takes {len(places)} arguments; expected (ctx, input)"
        raise InvalidArgumentError(message)
    return Workflow(name or body.__name__, body)
