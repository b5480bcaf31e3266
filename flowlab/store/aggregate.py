"""An aggregate as a value: what a command decides, and what an event makes of a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, overload

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.events.wording import brief
from flowlab.store.projection import check_name, check_version

Decide = Callable[[Any, Any], Any]
Evolve = Callable[[Any, Event], Any]
DEFAULT_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class Snapshots:
    """When the state of an aggregate is saved, so that a load need not fold its whole stream.

    Args:
        every_events: of the stream, from 1.
        keep: how many are kept of one stream, from 1: a damaged one is passed over for the one
            before.

    Example:
        >>> Snapshots(every_events=500)
        Snapshots(every_events=500, keep=2)
    """

    every_events: int = DEFAULT_EVERY
    keep: int = 2

    def __post_init__(self) -> None:
        for name, value in (("every_events", self.every_events), ("keep", self.keep)):
            if type(value) is not int or value < 1:
                message = f"{name} is {value!r}; expected an int from 1"
                raise InvalidArgumentError(message)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Aggregate:
    """A consistency boundary: one stream, whose state decides which commands it takes.

    Made by `aggregate`. Both functions are pure: what they return follows from their arguments.

    Args:
        name: of the kind, as `"account"`.
        initial: the state before the first event.
        decide: (state, command) -> events; it raises where the command cannot be.
        evolve: (state, event) -> state.
        version: of `evolve`: saved states of another version are not used.
        snapshots: when the state is saved, None for never.
    """

    name: str
    initial: Any
    decide: Decide
    evolve: Evolve
    version: int
    snapshots: Snapshots | None

    def __repr__(self) -> str:
        return f"Aggregate({self.name!r}, version={self.version})"

    def stream(self, id: str) -> str:  # noqa: A002 - the word of the field
        """Return the stream of one aggregate.

        Raises:
            InvalidArgumentError: the id is no text, or empty.
        """
        if not isinstance(id, str) or not id:
            message = f"the id of {self.name!r} is {brief(id)}; expected a text that is not empty"
            raise InvalidArgumentError(message)
        return f"{self.name}-{id}"


@overload
def aggregate(body: type, /) -> Aggregate: ...
@overload
def aggregate(
    body: None = ...,
    /,
    *,
    decide: Decide,
    evolve: Evolve,
    initial: Any = ...,
    name: str,
    version: int = ...,
    snapshots: Snapshots | None = ...,
) -> Aggregate: ...
@overload
def aggregate(
    *, name: str | None = ..., version: int = ..., snapshots: Snapshots | None = ...
) -> Callable[[type], Aggregate]: ...
def aggregate(
    body: type | None = None,
    /,
    *,
    decide: Decide | None = None,
    evolve: Evolve | None = None,
    initial: Any = None,
    name: str | None = None,
    version: int = 1,
    snapshots: Snapshots | None = None,
) -> Aggregate | Callable[[type], Aggregate]:
    """Declare an aggregate: of a class, or of two functions.

    A class has `initial`, `decide(state, command)` and `evolve(state, event)`. Nothing is
    subclassed, and no object of the class is made. `decide` returns events (or mappings of their
    fields): one, several, or none; it raises where the command cannot be, and nothing is written.

    Args:
        body: the class.
        decide: (state, command) -> events, without a class.
        evolve: (state, event) -> state, without a class.
        initial: the state before the first event; each load begins with a copy.
        name: the first part of its streams' ids; the class's in lower case by default.
        version: raise it when `evolve` changes: saved states of other versions are not used.
        snapshots: when states are saved, `Snapshots(every_events=...)`; they must be JSON values.

    Raises:
        InvalidArgumentError: an argument is none of these.

    Source: Chassaing, Functional Event Sourcing Decider (2021).

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import Event, EventStore
        >>> @aggregate(version=1)
        ... class Account:
        ...     initial = {"balance": 0}
        ...     def decide(state, command):
        ...         if command["withdraw"] > state["balance"]:
        ...             raise ValueError(f"only {state['balance']} there")
        ...         return Event.of("Withdrawn", payload={"amount": command["withdraw"]})
        ...     def evolve(state, event):
        ...         return {"balance": state["balance"] - event.data["amount"]}
        >>> Account, Account.stream("ada")
        (Aggregate('account', version=1), 'account-ada')
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     store.execute(Account, "ada", {"withdraw": 5})
        Traceback (most recent call last):
            ...
        ValueError: only 0 there
    """

    def declare(body: type) -> Aggregate:
        if not isinstance(body, type) or decide is not None or evolve is not None:
            message = (
                f"@aggregate takes a class with initial, decide and evolve, not {brief(body)}; or "
                "aggregate(name=..., initial=..., decide=..., evolve=...)"
            )
            raise InvalidArgumentError(message)
        missing = [part for part in ("initial", "decide", "evolve") if not hasattr(body, part)]
        if missing:
            message = f"class {body.__name__!r} lacks {', '.join(missing)} to be an aggregate"
            raise InvalidArgumentError(message)
        parts: Any = body
        return _aggregate(
            body.__name__.lower() if name is None else name,
            parts.initial,
            (parts.decide, parts.evolve),
            version,
            snapshots,
        )

    if body is not None:
        return declare(body)
    if decide is None and evolve is None:
        return declare
    return _aggregate(name, initial, (decide, evolve), version, snapshots)


def _aggregate(
    name: str | None, initial: Any, functions: tuple[Any, Any], version: int, policy: Any
) -> Aggregate:
    for what, function in zip(("decide", "evolve"), functions, strict=True):
        if not callable(function):
            message = f"{what} is {brief(function)}; expected a function of (state, ...)"
            raise InvalidArgumentError(message)
    check_name(name, "an aggregate")
    check_version(version)
    if policy is not None and not isinstance(policy, Snapshots):
        message = f"snapshots is {brief(policy)}; expected Snapshots(every_events=...), or None"
        raise InvalidArgumentError(message)
    return Aggregate(str(name), initial, functions[0], functions[1], version, policy)
