"""What a person declares of an agent: its name, its state, and what it does when it is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from flowlab.errors import InvalidArgumentError, InvalidEventError
from flowlab.events.codec import decode_payload, encode_json
from flowlab.simulation.distribution import Distribution, as_distribution
from flowlab.simulation.handler_check import adapted_from
from flowlab.workflow import Activity, Duration
from flowlab.workflow.handlers import adapted, wants_of
from flowlab.workflow.names import RESERVED, as_id, shortened

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class Agent:
    """A single server with private state: it takes one message at a time, in order of arrival.

    A handler is a function of (ctx, value), or of the value alone, named as the activity that it
    carries out. It runs as one atomic transaction on `ctx.state`: when it raises, nothing of it
    stays, and the activity fails. An `async` handler is a transaction from each await to the next.

    An attempt that comes more than once, doubled or after a crash, has one answer: it is never told
    to have failed when its work was or will be done. What succeeds again is handled again, and what
    that does is the handler's matter, unless the agent deduplicates.

    Args:
        name: the agent's id.
        handlers: functions by their own names, and `@activity`s by theirs.
        named: functions by the name given.
        state: its cells at the beginning, JSON values by name.
        service: how long it works on a message: nanoseconds, a timedelta, or a distribution.
        deduplicate: whether a request that comes again, in whatever attempt, is answered from
            memory (idempotency keys), and one that comes after its compensation is refused.
        interleaving: whether it takes other messages while an async handler waits.

    Raises:
        InvalidArgumentError: a handler is no function, or two have one name; the state is not JSON.

    Example:
        >>> def charge(ctx, amount):
        ...     ctx.state["balance"] -= amount
        ...     return ctx.state["balance"]
        >>> Agent("bank", charge, state={"balance": 100})
        Agent('bank', charge)
    """

    name: str
    handlers: dict[str, Handler]
    state: dict[str, Any]
    service: Distribution
    deduplicate: bool
    interleaving: bool

    def __init__(
        self,
        name: str,
        *handlers: Handler | Activity,
        named: Mapping[str, Handler] | None = None,
        state: Mapping[str, Any] | None = None,
        service: Duration | Distribution = 0,
        deduplicate: bool = False,
        interleaving: bool = False,
    ) -> None:
        as_id(name, "an agent's name")
        if name != name.strip() or name.startswith("@") or name in RESERVED:
            message = (
                "an agent's name is text without spaces around it or @ before it, and none of the "
                f"world's own ({', '.join(RESERVED)}); got {name!r}"
            )
            raise InvalidArgumentError(message)
        what = f"agent {name!r}"
        pairs = [(_name_of(handler, what), handler) for handler in handlers]
        if named is not None and not isinstance(named, Mapping):
            message = (
                f"{what}: named is {shortened(named)}; expected a mapping of activities to "
                "functions"
            )
            raise InvalidArgumentError(message)
        pairs += [
            (as_id(activity, f"an activity of {what}"), handler)
            for activity, handler in (named or {}).items()
        ]
        known: dict[str, Handler] = {}
        for activity, handler in pairs:
            if activity in known:
                message = f"{what} has two handlers for {activity!r}; give one of them another name"
                raise InvalidArgumentError(message)
            read = taking_context if isinstance(handler, Hashable) else taking_context.__wrapped__
            known[activity] = read(handler, activity)
        for field, value in (
            ("name", name),
            ("handlers", _shared(tuple(known.items()))),
            ("state", _cells(state or {}, what)),
            ("service", as_distribution(service)),
            ("deduplicate", deduplicate),
            ("interleaving", interleaving),
        ):
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        return f"Agent({', '.join([repr(self.name), *self.handlers])})"


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class Resource:
    """A set of named cells that several agents may use, each in its own transactions.

    Args:
        name: by which handlers ask for it: `ctx.resource(name)`.
        state: its cells at the beginning.

    Example:
        >>> Resource("stock", {"chairs": 3})
        Resource('stock', chairs=3)
    """

    name: str
    state: Mapping[str, Any]

    def __init__(self, name: str, state: Mapping[str, Any] | None = None) -> None:
        as_id(name, "a resource's name")
        object.__setattr__(self, "name", name)
        cells = _cells(state or {}, f"resource {name!r}")
        object.__setattr__(self, "state", MappingProxyType(cells))

    def __repr__(self) -> str:
        cells = [f"{key}={value!r}" for key, value in self.state.items()]
        return f"Resource({', '.join([repr(self.name), *cells])})"


@lru_cache(maxsize=1_024)
def taking_context(handler: Handler | Activity, activity: str) -> Handler:
    """Return a handler as a function of (ctx, value), whatever of them it takes.

    Raises:
        InvalidArgumentError: it is no function, or takes more.
    """
    function = handler.function if isinstance(handler, Activity) else handler
    wants = wants_of(function, activity)
    found = adapted(function, wants)
    if found is function:
        return found
    if not inspect.iscoroutinefunction(function):
        return adapted_from(function, found)

    async def wait(ctx: Any, value: Any) -> Any:
        return await found(ctx, value)

    # A host tells by its kind that it is to be awaited.
    return adapted_from(function, wait)


def _shared(pairs: tuple[tuple[str, Handler], ...]) -> dict[str, Handler]:
    """Return one dict for all agents with the same handlers: ten thousand agents keep one."""
    try:
        return _dict_of(pairs)
    except TypeError:  # a handler that cannot be hashed
        return dict(pairs)


@lru_cache(maxsize=1_024)
def _dict_of(pairs: tuple[tuple[str, Handler], ...]) -> dict[str, Handler]:
    return dict(pairs)


def _name_of(handler: Handler | Activity, what: str) -> str:
    name = handler.name if isinstance(handler, Activity) else getattr(handler, "__name__", "")
    if not name or name == "<lambda>":
        message = (
            f"{what} has a handler without a name of its own ({shortened(handler)}); "
            "give it as named={'activity': handler}"
        )
        raise InvalidArgumentError(message)
    return str(name)


def _cells(state: Mapping[str, Any], what: str) -> dict[str, Any]:
    if not isinstance(state, Mapping):
        message = f"the state of {what} is a mapping of cells to JSON values; got {state!r}"
        raise InvalidArgumentError(message)
    try:
        copied = decode_payload(encode_json(dict(state)))
    except InvalidEventError as error:
        message = f"the state of {what}: {error}"
        raise InvalidArgumentError(message) from error
    for key in copied:
        as_id(key, f"a cell of {what}")
    return dict(copied)
