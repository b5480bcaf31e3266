"""What may enter the log: every event of a batch is checked before any byte is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, Protocol

import msgspec

from flowlab.errors import InvalidEventError
from flowlab.events import (
    MAX_CAUSES,
    MAX_ID_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SCHEMA_VERSION,
    UNSTAMPED,
    Cause,
    CauseKind,
    Cell,
    Event,
    as_event,
    grouped,
)
from flowlab.store.frames import decode_events, encode_events
from flowlab.store.heads import Heads
from flowlab.store.layout import MAX_NAMESPACE_BYTES, STREAM_COLUMNS, fits_folder

_MAX_KIND: Final = int(max(CauseKind))
_LAST: Final = 2**63 - 1
_SHOWN_CHARS: Final = 80
TOO_LONG_FOR_A_FOLDER: Final = (
    "takes more than MAX_NAMESPACE_BYTES "
    f"({MAX_NAMESPACE_BYTES}), percent-encoded, and names a folder; give a shorter one"
)


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES // 4)]
_Text = Annotated[str, msgspec.Meta(max_length=MAX_ID_BYTES // 4)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=_LAST)]


class _Ref(msgspec.Struct, frozen=True, array_like=True, gc=False):
    workflow_id: _Id
    sequence: int
    kind: Annotated[int, msgspec.Meta(ge=0, le=_MAX_KIND)]


class _CellShape(msgspec.Struct, frozen=True, array_like=True, gc=False):
    owner: _Text
    key: _Text


_Cells = Annotated[tuple[_CellShape, ...], msgspec.Meta(max_length=MAX_CAUSES)]


class _Draft(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The fields of an Event in the same order, with what a plain batch may hold."""

    namespace: _Id
    run_id: _Text
    workflow_id: _Text
    sequence: _Count
    position: _Count
    generation: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    agent_id: _Text
    agent_sequence: _Count
    event_type: _Id
    name: _Text
    time_ns: Annotated[int, msgspec.Meta(ge=UNSTAMPED, le=_LAST)]
    follows_lane: bool
    causes: Annotated[tuple[_Ref, ...], msgspec.Meta(max_length=MAX_CAUSES)]
    reads: _Cells | None
    writes: _Cells | None
    coordination_id: _Id | None
    step_id: _Id | None
    payload: Annotated[bytes, msgspec.Meta(max_length=MAX_PAYLOAD_BYTES)] | None
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=MAX_SCHEMA_VERSION)]


_DRAFTS: Final[msgspec.msgpack.Decoder[list[_Draft]]] = msgspec.msgpack.Decoder(list[_Draft])


class _Shape(Protocol):
    """What a draft and an event have in common."""

    @property
    def namespace(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def workflow_id(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def agent_id(self) -> str: ...
    @property
    def agent_sequence(self) -> int: ...
    @property
    def causes(self) -> tuple[Any, ...]: ...
    @property
    def event_type(self) -> str: ...
    @property
    def schema_version(self) -> int: ...


class Batch:
    """Events bound for one stream, their shape checked, encoded as given.

    Args:
        stream: (namespace, run_id, workflow_id).
        events: events, or mappings of their fields.

    Raises:
        InvalidEventError: names the event by its place in the batch, and the field.
    """

    __slots__ = ("_drafts", "encoded", "stream")

    def __init__(
        self, stream: tuple[str, str, str], events: Sequence[Event | Mapping[str, Any]]
    ) -> None:
        namespace, run_id, workflow_id = self.stream = stream
        try:
            _check_stream(*stream)
        except TypeError:  # what is no text may be no key of a cache either
            _check_stream.__wrapped__(*stream)
        if isinstance(events, (str, bytes)) or not isinstance(events, (list, Iterable)):
            message = f"the batch is {_shown(events)}; expected events, or mappings of their fields"
            raise InvalidEventError(message)
        given = [
            event if isinstance(event, Event) else _event(event, index)
            for index, event in enumerate(events)
        ]
        if not given:
            message = "the batch is empty; give at least one event"
            raise InvalidEventError(message)
        self.encoded, self._drafts = _checked(given)
        for index, draft in enumerate(self._drafts):
            if (
                (draft.workflow_id != workflow_id and draft.workflow_id)
                or (draft.run_id != run_id and draft.run_id)
                or draft.namespace not in (namespace, "default")
            ):
                raise _elsewhere(given[index], index, stream)

    def __len__(self) -> int:
        return len(self._drafts)

    def versions(self) -> list[tuple[str, int]]:
        """Return the type and the version of each event."""
        return [(draft.event_type, draft.schema_version) for draft in self._drafts]

    def lanes(self) -> set[str]:
        """Return the lanes that it has events of."""
        return {draft.agent_id or self.stream[2] for draft in self._drafts}

    def place(self, heads: Heads) -> tuple[int, list[int], dict[str, int]]:
        """Check the batch against the log and give each event its place.

        Returns:
            The first sequence, each event's tick, and the last tick of each lane.

        Raises:
            InvalidEventError: a duplicate id, a gap, or a cause that does not exist.
        """
        namespace, run_id, workflow_id = stream = self.stream
        first = heads.of(stream) + 1
        last_ticks: dict[str, int] = {}
        ticks = []
        for expected, draft in enumerate(self._drafts, first):
            if draft.sequence != expected and draft.sequence:
                raise _misplaced(draft, expected - first, workflow_id, expected)
            agent = draft.agent_id or workflow_id
            last = last_ticks.get(agent)
            if last is None:
                last = heads.lane(namespace, run_id, agent)
            tick = draft.agent_sequence or last + 1
            if not last < tick <= _LAST:
                raise _backwards(draft, expected - first, stream, expected, last)
            last_ticks[agent] = tick
            ticks.append(tick)
            for cause in draft.causes:
                if cause.workflow_id != workflow_id or not 1 <= cause.sequence < expected:
                    _check_cause(cause, heads, stream, expected, expected - first)
        return first, ticks, last_ticks


@dataclass(frozen=True, slots=True)
class NoEvents:
    """What a stream decided not to do: its place, under which an idempotency key is kept."""

    stream: tuple[str, str, str]
    encoded: bytes = b"\x90"

    def __len__(self) -> int:
        return 0

    def place(self, heads: Heads) -> tuple[int, list[int], dict[str, int]]:
        """Return what `Batch.place` returns of no events."""
        return heads.head(*self.stream) + 1, [], {}


def _checked(events: list[Event]) -> tuple[bytes, Sequence[_Shape]]:
    """Encode a batch and check its shape.

    Encoding and decoding with types checks a plain batch in C; what that refuses is looked at
    again field by field, to say what is wrong with it or to find it unusual but right.
    """
    try:
        encoded = encode_events(events)
        return encoded, _DRAFTS.decode(encoded)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        for index, event in enumerate(events):
            _check_fields(event, index)
        encoded = encode_events(events)
        # One event that no reader can decode would make the whole log unreadable.
        try:
            decode_events(encoded)
        except msgspec.MsgspecError as error:
            message = f"the batch could not be read back: {error}"
            raise InvalidEventError(message) from error
        return encoded, events


def _event(value: Mapping[str, Any], index: int) -> Event:
    try:
        return as_event(value)
    except InvalidEventError as error:
        message = f"event {index} of the batch: {error}"
        raise InvalidEventError(message) from error


@lru_cache(maxsize=1_024, typed=True)
def _check_stream(namespace: str, run_id: str, workflow_id: str) -> None:
    check_id(namespace, "namespace", 0, empty=False)
    if not fits_folder(namespace):
        message = f"event 0 of the batch: field 'namespace' {TOO_LONG_FOR_A_FOLDER}"
        raise InvalidEventError(message)
    check_id(run_id, "run_id", 0, empty=True)
    check_id(workflow_id, "workflow_id", 0, empty=False)


def check_id(value: object, field: str, index: int, *, empty: bool) -> None:
    """Check an id or a name: text, encodable, within the limit, not empty unless allowed.

    Raises:
        InvalidEventError: names the event and the field.
    """
    if type(value) is not str:
        raise _wrong(index, field, value, "a str")
    if not value and not empty:
        message = f"event {index} of the batch: field {field!r} is empty; give it an id"
        raise InvalidEventError(message)
    if len(value) * 4 <= MAX_ID_BYTES and value.isascii():
        return
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        message = f"event {index} of the batch: field {field!r} is not valid Unicode: {error}"
        raise InvalidEventError(message) from error
    if size > MAX_ID_BYTES:
        message = (
            f"event {index} of the batch: field {field!r} takes {size} bytes; "
            f"MAX_ID_BYTES is {MAX_ID_BYTES}"
        )
        raise InvalidEventError(message)


def _check_fields(event: Event, index: int) -> None:
    check_id(event.namespace, "namespace", index, empty=False)
    check_id(event.run_id, "run_id", index, empty=True)
    check_id(event.workflow_id, "workflow_id", index, empty=True)
    check_id(event.event_type, "event_type", index, empty=False)
    check_id(event.name, "name", index, empty=True)
    check_id(event.agent_id, "agent_id", index, empty=True)
    for field in ("coordination_id", "step_id"):
        value = getattr(event, field)
        if value is not None:
            check_id(value, field, index, empty=False)
    _check_numbers(event, index)
    if type(event.follows_lane) is not bool:
        raise _wrong(index, "follows_lane", event.follows_lane, "a bool")
    payload = event.payload
    if payload is not None:
        if type(payload) is not bytes:
            raise _wrong(index, "payload", payload, "bytes (Event.of encodes any JSON value)")
        if len(payload) > MAX_PAYLOAD_BYTES:
            message = (
                f"event {index} of the batch: field 'payload' takes {grouped(len(payload))} bytes; "
                f"MAX_PAYLOAD_BYTES is {grouped(MAX_PAYLOAD_BYTES)}: keep large data outside, "
                "and its address and digest in the payload"
            )
            raise InvalidEventError(message)
    _check_items(event.causes, "causes", Cause, index)
    for cause in event.causes:
        _check_cause_shape(cause, index)
    for field in ("reads", "writes"):
        cells = getattr(event, field)
        if cells is not None:
            _check_items(cells, field, Cell, index)
            for cell in cells:
                check_id(cell.owner, f"{field}.owner", index, empty=True)
                check_id(cell.key, f"{field}.key", index, empty=True)


def _check_numbers(event: Event, index: int) -> None:
    for field, least, most in (
        ("sequence", 0, _LAST),
        ("position", 0, _LAST),
        ("generation", 0, 2**31 - 1),
        ("agent_sequence", 0, _LAST),
        ("time_ns", UNSTAMPED, _LAST),
        ("schema_version", 1, MAX_SCHEMA_VERSION),
    ):
        value = getattr(event, field)
        if type(value) is not int:
            raise _wrong(index, field, value, "an int")
        if not least <= value <= most:
            message = (
                f"event {index} of the batch: field {field!r} is {value}; "
                f"expected {least} to {most}"
            )
            raise InvalidEventError(message)


def _check_items(values: Any, field: str, kind: type, index: int) -> None:
    if type(values) not in {tuple, list} or not all(type(value) is kind for value in values):
        raise _wrong(index, field, values, f"a tuple of {kind.__name__}")
    if len(values) > MAX_CAUSES:
        message = f"event {index} of the batch: {len(values)} {field}; MAX_CAUSES is {MAX_CAUSES}"
        raise InvalidEventError(message)


def _check_cause_shape(cause: Cause, index: int) -> None:
    check_id(cause.workflow_id, "causes.workflow_id", index, empty=False)
    if not isinstance(cause.sequence, int) or isinstance(cause.sequence, bool):
        raise _wrong(index, "causes.sequence", cause.sequence, "an int")
    if not isinstance(cause.kind, int) or not 0 <= cause.kind <= _MAX_KIND:
        raise _wrong(index, "causes.kind", cause.kind, f"a CauseKind, 0 to {_MAX_KIND}")


def _check_cause(
    cause: Cause | _Ref, heads: Heads, stream: tuple[str, str, str], sequence: int, index: int
) -> None:
    namespace, run_id, workflow_id = stream
    own = cause.workflow_id == workflow_id
    head = sequence - 1 if own else heads.head(namespace, run_id, cause.workflow_id)
    if not 1 <= cause.sequence <= head:
        message = (
            f"event {index} of the batch ({workflow_id!r}/{sequence}): field 'causes' names "
            f"{cause.workflow_id!r}/{cause.sequence}, which does not exist before it (that "
            f"stream's head is {head}); append the cause first"
        )
        raise InvalidEventError(message)


def _elsewhere(event: Event, index: int, stream: tuple[str, str, str]) -> InvalidEventError:
    for field, expected, default in zip(STREAM_COLUMNS, stream, ("default", "", ""), strict=True):
        given = getattr(event, field)
        if given not in {expected, default}:
            break
    return InvalidEventError(
        f"event {index} of the batch: field {field!r} is {given!r}, but the batch is appended to "
        f"{expected!r}; leave it empty, or append to its own stream"
    )


def _misplaced(event: _Shape, index: int, workflow_id: str, expected: int) -> InvalidEventError:
    what = "is a duplicate id" if event.sequence < expected else "leaves a gap"
    return InvalidEventError(
        f"event {index} of the batch ({workflow_id!r}): field 'sequence' is {event.sequence}, "
        f"which {what}; the next of this stream is {expected} (or leave it 0)"
    )


def _backwards(
    event: _Shape, index: int, stream: tuple[str, str, str], sequence: int, last: int
) -> InvalidEventError:
    return InvalidEventError(
        f"event {index} of the batch ({stream[2]!r}/{sequence}): field 'agent_sequence' is "
        f"{event.agent_sequence}, but lane {event.agent_id or stream[2]!r} is at {last} already; "
        + ("give a later tick (or leave it 0)" if last < _LAST else "there is no later tick")
    )


def _wrong(index: int, field: str, value: object, expected: str) -> InvalidEventError:
    return InvalidEventError(
        f"event {index} of the batch: field {field!r} holds {_shown(value)}; expected {expected}"
    )


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, a list ten thousand deep
        shown = "a value"
    shown = shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "..."
    return f"{shown} ({type(value).__name__})"
