"""Functions that carry out activities: of (ctx, value), or of what of these they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from flowlab.errors import InvalidArgumentError

Handler = Callable[..., Any]
"""What carries out an activity."""

_BOTH: Final = 2


class Wants(NamedTuple):
    """Which of (ctx, value) a function takes."""

    context: bool
    value: bool


def wants_of(function: Handler, activity: str) -> Wants:
    """Read from its signature what a handler takes.

    Raises:
        InvalidArgumentError: it is no function, or takes more.

    Example:
        >>> wants_of(lambda amount: amount, "charge"), wants_of(lambda ctx: None, "mail")
        (Wants(context=False, value=True), Wants(context=True, value=False))
    """
    if not callable(function):
        message = (
            f"the handler of {activity!r} is {function!r}; expected a function of (ctx, value), or "
            "of the value alone"
        )
        raise InvalidArgumentError(message)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Wants(context=False, value=True)
    places = [
        parameter
        for parameter in parameters
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    ]
    needed = [parameter for parameter in places if parameter.default is parameter.empty]
    starred = any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters)
    named = [
        parameter
        for parameter in parameters
        if parameter.kind == parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]
    if len(needed) > _BOTH or named:
        message = (
            f"the handler of {activity!r} takes {len(needed + named)} arguments; expected "
            "(ctx, value), or the value alone"
        )
        raise InvalidArgumentError(message)
    if len(needed) == _BOTH or starred or (places and places[0].name in {"ctx", "context"}):
        return Wants(context=True, value=len(places) >= _BOTH or starred)
    return Wants(context=False, value=bool(places))


def adapted(function: Handler, wants: Wants) -> Handler:
    """Return a handler as a function of (ctx, value).

    Example:
        >>> adapted(lambda amount: 2 * amount, Wants(context=False, value=True))(None, 4)
        8
    """
    if wants.context:
        return function if wants.value else lambda ctx, _value: function(ctx)
    if wants.value:
        return lambda _ctx, value: function(value)
    return lambda _ctx, _value: function()
