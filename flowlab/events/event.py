"""One event, and one reference to an event, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from flowlab.errors import InvalidEventError
from flowlab.events.codec import decode_payload, encode_payload
from flowlab.events.vocabulary import category_of

SCHEMA_VERSION: Final = 1
"""The version of an event type that has not changed yet."""
MAX_SCHEMA_VERSION: Final = 2**15 - 1
"""Greatest version of an event type."""
UNSTAMPED: Final = -(2**63)
"""The `time_ns` of an event that the store shall stamp when it commits it."""


class Cause(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reference to an event of the same run, and why it is a cause.

    Args:
        workflow_id: the stream of the cause.
        sequence: its place there, from 1.
        kind: a `CauseKind` as an int.

    Example:
        >>> Cause("trip-1", 3, kind=2).sequence
        3
    """

    workflow_id: str
    sequence: int
    kind: int = 0


class Cell(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A named piece of state: what a transaction reads or writes.

    Example:
        >>> Cell("inventory", "seat-12A")
        Cell(owner='inventory', key='seat-12A')
    """

    owner: str
    key: str


class EventId(NamedTuple):
    """What identifies an event in every store and log, for ever."""

    namespace: str
    run_id: str
    workflow_id: str
    sequence: int


class Event(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Something that happened: immutable, and it names its causes.

    Fields are the columns of schema version 1. Before an append, `sequence`, `position` and
    `agent_sequence` may be 0 and `time_ns` `UNSTAMPED`: the store assigns them. An empty
    `agent_id` becomes the workflow's own lane. `payload` is bytes; use `Event.of` to give any
    JSON value.

    Times are nanoseconds. Order by time is not causal order.

    Example:
        >>> event = Event.of("ActivityScheduled", name="charge_card", payload={"amount": 120})
        >>> event.payload, event.category
        (b'{"amount":120}', 'action')
    """

    namespace: str = "default"
    run_id: str = ""
    workflow_id: str = ""
    sequence: int = 0
    position: int = 0
    generation: int = 0
    agent_id: str = ""
    agent_sequence: int = 0
    event_type: str
    name: str = ""
    time_ns: int = UNSTAMPED
    follows_lane: bool = True
    causes: tuple[Cause, ...] = ()
    reads: tuple[Cell, ...] | None = None
    writes: tuple[Cell, ...] | None = None
    coordination_id: str | None = None
    step_id: str | None = None
    payload: bytes | None = None
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, event_type: str, /, *, payload: object = None, **fields: Any) -> Event:
        """Build an event whose payload is any JSON value, bytes, or None for no payload.

        Raises:
            InvalidEventError: the payload cannot be written as JSON without loss.
            TypeError: a field does not exist.
        """
        return cls(event_type=event_type, payload=encode_payload(payload), **fields)

    @property
    def id(self) -> EventId:
        """(namespace, run_id, workflow_id, sequence)."""
        return EventId(self.namespace, self.run_id, self.workflow_id, self.sequence)

    @property
    def category(self) -> str:
        """One of action, coordination, compensation, state, fault."""
        return category_of(self.event_type)

    @property
    def data(self) -> Any:
        """The payload decoded: a JSON value, the bytes themselves if they are not JSON, or None."""
        return decode_payload(self.payload)

    def replace(self, **changes: Any) -> Event:
        """Return a copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def __repr__(self) -> str:
        label = f" {self.name!r}" if self.name else ""
        return f"Event({self.workflow_id!r}/{self.sequence} {self.event_type}{label})"


def as_event(value: Event | Mapping[str, Any]) -> Event:
    """Take an event, or a mapping of its fields (payload: any JSON value).

    Raises:
        InvalidEventError: the mapping has a field that no event has, or not the shape of one.

    Example:
        >>> as_event({"event_type": "MarkerRecorded", "payload": [1, 2]}).data
        [1, 2]
    """
    if isinstance(value, Event):
        return value
    try:
        return _from_fields(dict(value))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, InvalidEventError):
            raise
        message = f"the mapping is not an event: {error}"
        raise InvalidEventError(message) from error


def _from_fields(fields: dict[str, Any]) -> Event:
    event_type = fields.pop("event_type", "")
    for column in ("reads", "writes"):
        if fields.get(column) is not None:
            fields[column] = tuple(Cell(*_pair(cell)) for cell in fields[column])
    if "causes" in fields:
        kinds = fields.pop("cause_kinds", None) or [0] * len(fields["causes"])
        fields["causes"] = tuple(
            ref if isinstance(ref, Cause) else Cause(ref["workflow_id"], ref["sequence"], kind)
            for ref, kind in zip(fields["causes"], kinds, strict=True)
        )
    return Event.of(event_type, **fields)


def _pair(cell: Any) -> tuple[str, str]:
    if isinstance(cell, Mapping):
        return cell["owner"], cell["key"]
    if isinstance(cell, Cell):
        return cell.owner, cell.key
    owner, key = cell
    return owner, key
