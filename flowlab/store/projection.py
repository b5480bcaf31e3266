"""A projection as a value: a fold over events, where it reads, and how it lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, get_args, overload

import msgspec

from flowlab.errors import FlowlabError, InvalidArgumentError, InvalidEventError, ProjectionError
from flowlab.events import Event, Key, encode_id, encode_json, is_history_stream, parse_key
from flowlab.events.wording import brief, error_facts
from flowlab.store.layout import Stream

Life = Literal["inline", "async", "live"]
By = Literal["store", "workflow"]
Fold = Callable[[Any, Event], Any]
States = dict[Stream | None, Any]
"""The states of a projection: by stream, or under None where there is one for the whole store."""

MAX_NAME_BYTES: Final = 200
"""Longest name of a view, percent-encoded: it names a file."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Projection:
    """A view of the log: a pure fold of the events that it names into a JSON value.

    Made by `projection`. It can be called as the fold that it is.

    Args:
        name: of the view.
        fold: (state, event) -> state.
        initial: the state before the first event, a JSON value.
        life: `"inline"`: computed before an append returns, and an error refuses the append;
            `"async"`: caught up when asked, or by a `Projector`, its state and position in one
            file; `"live"`: evaluated when asked, never stored.
        critical: whether recovery waits for it.
        by: `"store"` for one state, `"workflow"` for one of each workflow.
        on: the event types that it folds, None for all.
        of: the key or prefix whose events it folds.
        version: of the fold: another one means that the state is built again from the log.
    """

    name: str
    fold: Fold
    initial: Any
    life: Life
    critical: bool
    by: By
    on: frozenset[str] | None
    of: Key
    version: int

    def __repr__(self) -> str:
        return f"Projection({self.name!r}, {self.life!r}, by={self.by!r}, version={self.version})"

    def __call__(self, state: Any, event: Event) -> Any:
        """Fold one event."""
        return self.fold(state, event)

    def start(self) -> Any:
        """Return the state before the first event, a copy of its own."""
        return msgspec.json.decode(encode_json(self.initial))

    def place(self, event: Event) -> Stream | None:
        """Return under what an event's state is kept."""
        return None if self.by == "store" else (event.namespace, event.run_id, event.workflow_id)

    @property
    def definition(self) -> dict[str, Any]:
        """What a state file says of it: a state of another definition is built again."""
        return {
            "view": self.name,
            "version": self.version,
            "life": self.life,
            "critical": self.critical,
            "by": self.by,
            "on": None if self.on is None else sorted(self.on),
            "of": str(self.of),
        }

    @property
    def takes_all(self) -> bool:
        """Whether it folds every event of the store."""
        return self.on is None and self.by == "store" and self.of == Key()

    def takes(self, event: Event) -> bool:
        """Say whether it folds an event."""
        if self.on is not None and event.event_type not in self.on:
            return False
        if self.by == "workflow" and not is_history_stream(event.workflow_id):
            return False
        key = self.of
        if not _within(key, event.namespace, event.run_id):
            return False
        if key.root is None:
            return True
        found = getattr(event, ID_COLUMNS[key.root])
        if found is None or key.id is None:
            return found is not None
        return bool(found.startswith(key.id) if key.id_is_prefix else found == key.id)

    def may_fold(self, stream: Stream) -> bool:
        """Say whether events of a stream can be among those that it folds."""
        namespace, run_id, workflow_id = stream
        if self.by == "workflow" and not is_history_stream(workflow_id):
            return False
        key = self.of
        if not _within(key, namespace, run_id) or key.root != "workflows" or key.id is None:
            return _within(key, namespace, run_id)
        return workflow_id.startswith(key.id) if key.id_is_prefix else workflow_id == key.id


def _within(key: Key, namespace: str, run_id: str) -> bool:
    return key.namespace in {None, namespace} and key.run_id in {None, run_id}


ID_COLUMNS: Final = {
    "workflows": "workflow_id",
    "agents": "agent_id",
    "coordination": "coordination_id",
}


def fold_events(view: Projection, states: States, events: Iterable[Event]) -> None:
    """Fold events into states, in their order.

    Raises:
        ProjectionError: names the event at which the fold failed; the states are of no more use.
    """
    fold, place, missing = view.fold, view.place, object()
    whole = states.get(None, missing) if view.by == "store" else missing
    event: Event | None = None
    empty = view.initial is None
    try:
        if view.by == "store":
            state = view.start() if whole is missing else whole
            for event in events:
                state = fold(state, event)
                if state is None and not empty:
                    _refuse_nothing(view, event)
            states[None] = state
            return
        for event in events:
            stream = place(event)
            known = states.get(stream, missing)
            state = fold(view.start() if known is missing else known, event)
            if state is None and not empty:
                _refuse_nothing(view, event)
            states[stream] = state
    except ProjectionError:
        raise
    except Exception as error:
        raise _failed(view, event, error) from error


def encoded_state(view: Projection, state: Any, event: Event | None = None) -> bytes:
    """Return a state as JSON.

    Raises:
        ProjectionError: it is not JSON.
    """
    try:
        return encode_json(state)
    except InvalidEventError as error:
        where = "" if event is None else f" after {event!r}"
        message = (
            f"the state of projection {view.name!r}{where} is no JSON value: {error}; keep "
            "objects, arrays, texts, numbers, true, false and null in it"
        )
        raise ProjectionError(message) from error


def _refuse_nothing(view: Projection, event: Event) -> NoReturn:
    message = (
        f"projection {view.name!r} returned None for {event!r} at position {event.position}; a "
        "fold returns the state, the old one where nothing changes"
    )
    raise ProjectionError(message)


def _failed(view: Projection, event: Event | None, error: Exception) -> ProjectionError:
    facts = error_facts(error)
    where = "before the first event" if event is None else f"at {event!r}"
    return ProjectionError(
        f"projection {view.name!r} failed {where}: {facts['type']}: {facts['message']}; correct "
        "the fold (and raise its version where states exist), or the event"
    )


@overload
def projection(body: Callable[..., Any], /) -> Projection: ...
@overload
def projection(
    *,
    name: str | None = ...,
    life: Life = ...,
    critical: bool = ...,
    by: By = ...,
    on: Iterable[str] | None = ...,
    of: str = ...,
    initial: Any = ...,
    version: int = ...,
) -> Callable[[Callable[..., Any]], Projection]: ...
def projection(
    body: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    life: Life = "async",
    critical: bool = False,
    by: By = "store",
    on: Iterable[str] | None = None,
    of: str = "/",
    initial: Any = None,
    version: int = 1,
) -> Projection | Callable[[Callable[..., Any]], Projection]:
    """Declare a projection: of a function (state, event) -> state, or of a class.

    A class has a function for each event type, named as the type, or one named `evolve` for all of
    `on`; and `initial`. Nothing is subclassed, and no object of the class is made.

    Args:
        body: the function or the class.
        name: of the view; that of the function or class by default.
        life: `"inline"`, `"async"` or `"live"`, see `Projection`.
        critical: whether recovery rebuilds it before it reports ready.
        by: `"store"`: one state; `"workflow"`: one of each workflow (streams that begin with @ are
            left out).
        on: event types; None for all, or for those that a class has functions for.
        of: a key or prefix; without a run it means the live one, `/` everything.
        initial: the state before the first event, any JSON value.
        version: raise it when the fold changes, and states are built again from the log.

    Raises:
        InvalidArgumentError: an argument is none of these.

    Source: Young, CQRS documents (2010); the life cycles are those of Marten.

    Example:
        >>> @projection(life="inline", initial=0, on=["Deposited"])
        ... def deposits(total, event):
        ...     return total + event.data["amount"]
        >>> deposits
        Projection('deposits', 'inline', by='store', version=1)
        >>> @projection(life="live", by="workflow")
        ... class Balance:
        ...     initial = 0
        ...     def Deposited(balance, event):
        ...         return balance + event.data["amount"]
        ...     def Withdrawn(balance, event):
        ...         return balance - event.data["amount"]
        >>> sorted(Balance.on)
        ['Deposited', 'Withdrawn']
    """

    def declare(body: Callable[..., Any]) -> Projection:
        fold, types, start = _fold_of(body, initial)
        known = None if on is None else _types(on)
        if known is not None and types is not None and known != types:
            message = (
                f"on is {sorted(known)}, but the class has functions for {sorted(types)}: leave "
                "`on` out"
            )
            raise InvalidArgumentError(message)
        view = Projection(
            name=getattr(body, "__name__", "projection") if name is None else name,
            fold=fold,
            initial=start,
            life=life,
            critical=critical,
            by=by,
            on=known if types is None else types,
            of=scope_of(of),
            version=version,
        )
        _check(view)
        return view

    return declare if body is None else declare(body)


def _fold_of(body: Any, initial: Any) -> tuple[Fold, frozenset[str] | None, Any]:
    """Return the fold, the event types that it has functions for, and the initial state."""
    if not isinstance(body, type):
        if not callable(body):
            message = (
                f"@projection takes a function of (state, event), or a class, not {brief(body)}"
            )
            raise InvalidArgumentError(message)
        return body, None, initial
    start = vars(body).get("initial", initial)
    handlers = {
        name: value.__func__ if isinstance(value, staticmethod) else value
        for name, value in vars(body).items()
        if name[:1].isupper() and (callable(value) or isinstance(value, staticmethod))
    }
    evolve = getattr(body, "evolve", None)
    if handlers and evolve is None:

        def fold(state: Any, event: Event) -> Any:
            return handlers[event.event_type](state, event)

        return fold, frozenset(handlers), start
    if evolve is None or handlers:
        has = "both" if handlers else "neither"
        message = (
            f"class {body.__name__!r} has {has}: a projection has a function for each event type, "
            "as Deposited(state, event), or one named evolve(state, event)"
        )
        raise InvalidArgumentError(message)
    return evolve, None, start


def _types(on: Iterable[str]) -> frozenset[str]:
    if isinstance(on, str) or not isinstance(on, Iterable):
        message = f"on is {brief(on)}; expected event types, as in on=['Deposited']"
        raise InvalidArgumentError(message)
    types = list(on)
    if not types or not all(isinstance(name, str) and name for name in types):
        message = f"on is {brief(types)}; expected one or several event types, as texts"
        raise InvalidArgumentError(message)
    return frozenset(types)


def scope_of(of: str) -> Key:
    """Return the key that a projection folds, with its world filled in."""
    try:
        key = parse_key(of)
    except FlowlabError as error:
        message = f"of is no key: {error}"
        raise InvalidArgumentError(message) from error
    if key.section is not None:
        message = (
            f"of is {of!r}; a projection reads whole workflows, agents or coordinations: leave "
            f"/{key.section} out, and choose events with `on`"
        )
        raise InvalidArgumentError(message)
    if key.root is not None or key.run_id is not None:
        key = key.within(namespace=key.namespace or "default", run_id=key.run_id or "")
    return key


def _check(view: Projection) -> None:
    for field, value, choices in (
        ("life", view.life, get_args(Life)),
        ("by", view.by, get_args(By)),
    ):
        if value not in choices:
            message = f"{field} is {value!r}; expected one of {', '.join(map(repr, choices))}"
            raise InvalidArgumentError(message)
    if type(view.critical) is not bool:
        message = f"critical is {view.critical!r}; expected True or False"
        raise InvalidArgumentError(message)
    check_version(view.version)
    check_name(view.name, "a projection")
    if view.life == "live" and view.critical:
        message = (
            "a live projection is never stored, so recovery has nothing to build: not critical"
        )
        raise InvalidArgumentError(message)
    try:
        encode_json(view.initial)
    except InvalidEventError as error:
        message = f"the initial state of projection {view.name!r} is no JSON value: {error}"
        raise InvalidArgumentError(message) from error


def check_version(version: object) -> None:
    """Refuse what is no version of a fold."""
    if type(version) is not int or version < 1:
        message = f"version is {version!r}; expected an int from 1"
        raise InvalidArgumentError(message)


def check_name(name: object, what: str) -> None:
    """Refuse what cannot name a file."""
    if isinstance(name, str) and name and name.isprintable() and "." not in name[:1]:
        try:
            if len(encode_id(name)) <= MAX_NAME_BYTES:
                return
        except UnicodeEncodeError:
            pass
    message = (
        f"the name of {what} is {brief(name)}; expected printable text of at most "
        f"MAX_NAME_BYTES ({MAX_NAME_BYTES}), percent-encoded, that does not begin with a dot"
    )
    raise InvalidArgumentError(message)
