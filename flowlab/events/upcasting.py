"""Upcasts: events of older versions of their types, read as if they had been written today.

`schema_version` of an event is the version of its type as it was written. A chain of pure
functions, each from one version to the next, leads to the newest; stored bytes never change.

Source: Young, Versioning in an Event Sourced System (2017); Overeem et al., An empirical
characterization of event sourced systems and their schema evolution (2021).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import InvalidArgumentError, InvalidEventError, UpcastError
from flowlab.events.codec import encode_payload
from flowlab.events.event import MAX_SCHEMA_VERSION, Event
from flowlab.events.schema import EVENT_SCHEMA, events_from_table, table_from_events
from flowlab.events.wording import brief

_CHANGED: Final = ("name", "reads", "writes", "payload", "schema_version")
"""The columns that an upcast may change; by the others an event is found and ordered."""
_KEPT: Final = tuple(name for name in Event.__struct_fields__ if name not in _CHANGED)
_BATCH_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True, repr=False)
class Upcast:
    """One step of a chain: a function from a version of an event type to the next.

    Make one with the decorator `upcast`. Calling it calls the function.

    Args:
        event_type: of the events.
        from_version: the version that it takes; it returns the next.
        function: pure, from a payload to a payload, or from an event to an event.
        takes: what it takes and returns, `payload` or `event`.

    Example:
        >>> step = Upcast("OrderPlaced", 1, lambda data: {"items": [data["item"]]})
        >>> step({"item": "tea"}), step.to_version
        ({'items': ['tea']}, 2)
    """

    event_type: str
    from_version: int
    function: Callable[[Any], Any]
    takes: Literal["payload", "event"] = "payload"

    def __post_init__(self) -> None:
        if not isinstance(self.event_type, str) or not self.event_type:
            message = f"event_type is {self.event_type!r}; expected the name of an event type"
            raise InvalidArgumentError(message)
        number = self.from_version
        if type(number) is not int or not 1 <= number < MAX_SCHEMA_VERSION:
            message = f"from_version is {number!r}; expected 1 to {MAX_SCHEMA_VERSION - 1}"
            raise InvalidArgumentError(message)
        if not callable(self.function):
            message = f"the upcast of {self.event_type!r} is no function"
            raise InvalidArgumentError(message)
        if self.takes not in {"payload", "event"}:
            message = f"takes is {self.takes!r}; expected 'payload' or 'event'"
            raise InvalidArgumentError(message)

    def __call__(self, value: Any) -> Any:
        """Call the function."""
        return self.function(value)

    def __repr__(self) -> str:
        return f"Upcast({self.event_type!r}, {self.from_version} to {self.to_version}: {self.name})"

    @property
    def to_version(self) -> int:
        """The version of what it returns."""
        return self.from_version + 1

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self.function, "__qualname__", type(self.function).__qualname__))

    def applied(self, event: Event) -> Event:
        """Return an event of this step's version as one of the next.

        Raises:
            UpcastError: the function raised, returned no JSON, or changed what it may not.
        """
        where = f"{self!r} on {event!r} of version {event.schema_version}"
        try:
            found = self.function(event if self.takes == "event" else event.data)
        except Exception as error:
            message = f"{where} raised {type(error).__name__}: {error}"
            raise UpcastError(message) from error
        if self.takes == "payload":
            try:
                payload = encode_payload(found)
            except InvalidEventError as error:
                message = f"{where} returned what is no payload: {error}"
                raise UpcastError(message) from error
            return event.replace(payload=payload, schema_version=self.to_version)
        if not isinstance(found, Event):
            message = f"{where} returned a {type(found).__name__}; expected the event, replaced"
            raise UpcastError(message)
        changed = [name for name in _KEPT if getattr(found, name) != getattr(event, name)]
        if changed:
            message = (
                f"{where} changed {', '.join(changed)}; an upcast changes name, payload, reads and "
                "writes alone, since by the rest an event is found"
            )
            raise UpcastError(message)
        if not isinstance(found.payload, bytes | None):
            message = f"{where} returned a payload that is no bytes; make it with Event.of"
            raise UpcastError(message)
        return found.replace(schema_version=self.to_version)


def upcast(
    event_type: str, *, from_version: int, takes: Literal["payload", "event"] = "payload"
) -> Callable[[Callable[[Any], Any]], Upcast]:
    """Declare a pure function that reads events of one version of a type as the next version.

    Give the steps to `EventStore(path, upcasts=[...])` or `log.upcast([...])`. Events of an older
    version then come through the whole chain, wherever they are read; stored bytes stay.

    Args:
        event_type: of the events.
        from_version: the version that the function takes, 1 to 32 766.
        takes: `payload` (decoded, as `event.data`) or the whole `event`, and returns the same. Of
            an event it may change name, payload, reads and writes.

    Raises:
        InvalidArgumentError: an argument is outside what is said here.

    Example:
        >>> @upcast("OrderPlaced", from_version=1)
        ... def several_items(data):
        ...     return {"items": [data["item"]]}
        >>> several_items
        Upcast('OrderPlaced', 1 to 2: several_items)
    """

    def declared(function: Callable[[Any], Any]) -> Upcast:
        return Upcast(event_type, from_version, function, takes)

    return declared


@dataclass(frozen=True, slots=True, repr=False)
class Upcasts:
    """The chains of some event types; without any it does nothing, and costs nothing.

    Args:
        steps: in any order.

    Raises:
        InvalidArgumentError: two functions are for one step, or a chain has a gap.

    Example:
        >>> chains = Upcasts([Upcast("A", 1, lambda data: data + 1)])
        >>> chains.event(Event.of("A", payload=1)).data, chains.newest("A"), chains.newest("B")
        (2, 2, 1)
    """

    steps: Sequence[Upcast] = ()
    _chains: dict[str, dict[int, Upcast]] = field(init=False)

    def __post_init__(self) -> None:
        chains: dict[str, dict[int, Upcast]] = {}
        for step in self.steps:
            if not isinstance(step, Upcast):
                message = f"upcasts hold {brief(step)}; declare the function with @upcast"
                raise InvalidArgumentError(message)
            chain = chains.setdefault(step.event_type, {})
            if step.from_version in chain:
                other = chain[step.from_version]
                message = f"two upcasts are for one step: {other!r} and {step!r}; keep one"
                raise InvalidArgumentError(message)
            chain[step.from_version] = step
        for event_type, chain in chains.items():
            missing = set(range(min(chain), max(chain))) - set(chain)
            if missing:
                message = (
                    f"the upcasts of {event_type!r} lead from version {min(chain)} to "
                    f"{max(chain) + 1}, but none is from version {min(missing)}; add it"
                )
                raise InvalidArgumentError(message)
        object.__setattr__(self, "_chains", chains)

    def __bool__(self) -> bool:
        return bool(self._chains)

    def __repr__(self) -> str:
        told = ", ".join(f"{name!r} to {self.newest(name)}" for name in sorted(self._chains))
        return f"Upcasts({told})"

    @property
    def types(self) -> dict[str, int]:
        """The newest version of each event type that has a chain."""
        return {name: max(chain) + 1 for name, chain in self._chains.items()}

    def newest(self, event_type: str) -> int:
        """Return the version to which the chain of a type leads, 1 where it has none."""
        chain = self._chains.get(event_type)
        return 1 if chain is None else max(chain) + 1

    def digest(self, types: Collection[str] | None = None) -> str:
        """Return the interpreter and a digest of the code of chains, empty where there is none.

        What a function closes over or calls is not in it.

        Args:
            types: the event types whose chains count, None for all.

        Example:
            >>> chains = Upcasts([Upcast("A", 1, lambda data: data + 1)])
            >>> chains.digest() == Upcasts([Upcast("A", 1, lambda data: data + 2)]).digest()
            False
            >>> chains.digest(["B"])
            ''
        """
        found = hashlib.sha256()
        names = [name for name in sorted(self._chains) if types is None or name in types]
        for name in names:
            for version, step in sorted(self._chains[name].items()):
                told = (name, version, step.takes, _code_of(step.function))
                found.update(repr(told).encode())
        return f"{sys.implementation.cache_tag} {found.hexdigest()[:32]}" if names else ""

    def event(self, event: Event) -> Event:
        """Return an event as of the newest version of its type.

        Raises:
            UpcastError: the chain begins at a later version, or a step failed.
        """
        chain = self._chains.get(event.event_type)
        if chain is None:
            return event
        newest = max(chain) + 1
        while event.schema_version < newest:
            step = chain.get(event.schema_version)
            if step is None:
                message = (
                    f"{event!r} is of version {event.schema_version}, and the upcasts of "
                    f"{event.event_type!r} begin at {min(chain)}; add one from version "
                    f"{event.schema_version}"
                )
                raise UpcastError(message)
            event = step.applied(event)
        return event

    def events(self, events: Iterable[Event]) -> list[Event]:
        """Return events as of the newest versions of their types.

        Raises:
            UpcastError: as for `event`.
        """
        return [self.event(event) for event in events] if self else list(events)

    def older(self, table: pa.Table) -> Any:
        """Return which rows of a table of events are of an older version."""
        mask: Any = None
        for name, newest in self.types.items():
            of_type = pc.equal(table.column("event_type"), name)
            found = pc.and_(of_type, pc.less(table.column("schema_version"), newest))
            mask = found if mask is None else pc.or_(mask, found)
        return mask

    def table(self, table: pa.Table) -> pa.Table:
        """Return a table of events, each as of the newest version of its type.

        Raises:
            UpcastError: as for `event`.
        """
        if not self or not table.num_rows or not pc.any(self.older(table)).as_py():
            return table
        batches = table.to_batches(max_chunksize=_BATCH_ROWS)
        return pa.concat_tables(self._batch(pa.Table.from_batches([batch])) for batch in batches)

    def _batch(self, table: pa.Table) -> pa.Table:
        rows = np.flatnonzero(self.older(table).to_numpy())
        if not len(rows):
            return table
        made = table_from_events(self.events(events_from_table(table.take(pa.array(rows)))))
        places = np.arange(table.num_rows)
        places[rows] = table.num_rows + np.arange(len(rows))
        for name in _CHANGED:
            kind = EVENT_SCHEMA.field(name)
            both = pa.concat_arrays(
                [
                    part.cast(kind.type)
                    for column in (table.column(name), made.column(name))
                    for part in column.chunks
                ]
            )
            at = table.schema.get_field_index(name)
            table = table.set_column(at, kind, both.take(pa.array(places)))
        return table


def _code_of(function: object) -> Any:
    """Return what a function does, as a value whose text is the same in every process."""
    code = function if isinstance(function, CodeType) else getattr(function, "__code__", None)
    if code is None:
        kind = type(function)
        return (kind.__module__, kind.__qualname__, getattr(function, "__qualname__", ""))
    constants = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(_code_of(constant))
        elif isinstance(constant, frozenset):
            constants.append(sorted(map(repr, constant)))
        elif constant != getattr(function, "__doc__", None):
            constants.append(repr(constant))
    return (code.co_code, code.co_names, constants)
