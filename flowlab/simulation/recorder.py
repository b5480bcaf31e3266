"""Where a world writes what happens: fixed-width rows, and tables of what repeats in them.

An event costs one packed row of 40 bytes. What many events share (their type, name, step, kinds of
causes, cells, the text around their payload's value) is a *shape* and stands in a table once; so do
the streams. `finish.py` turns rows and tables into the columns of an event log.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from flowlab.events.codec import decode_payload, encode_json

ROW: Final = Struct("<qqiiiiii")
"""time_ns, value, shape, stream, coordination, first cause, second cause, other stream."""

ROW_BYTES: Final = ROW.size
PACK: Final = ROW.pack
"""Packs a row: looked up once, since it runs once an event."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted")

LEAST: Final = -(2**63)
"""The least int that a row's value can be."""

MOST: Final = 2**63 - 1
"""The greatest."""

NOTHING: Final = -1
"""No cause, no coordination, no other stream."""

Signature = tuple[tuple[str | None, str], ...]
"""The cells that a transaction reads or writes: (owner, key); no owner is the stream's agent."""


class Value:
    """What stands between the head and the tail of a payload."""

    NONE: Final = 0
    """No value. Without head and tail the event has no payload."""
    INT: Final = 1
    """The row's value itself."""
    JSON: Final = 2
    """The object whose place in `Recorder.objects` the row's value is; bytes are JSON already."""


class Shape(NamedTuple):
    """What the events of one kind share.

    `agent` in the payload's head stands where the other stream's lane is written as JSON text.
    """

    event_type: str
    name: str = ""
    step_id: str | None = None
    value: int = Value.NONE
    head: bytes = b""
    agent: bytes | None = None
    tail: bytes = b""
    kind_a: int = 0
    kind_b: int = 0
    follows_lane: bool = False
    by_other: bool = False
    reads: Signature | None = None
    writes: Signature | None = None


class Stream(msgspec.Struct, gc=False):
    """A stream of a world: whose it is, and which one it goes on."""

    name: str
    lane: str
    root: int
    generation: int


class Handled:
    """The shapes of what agents do, the same for all of them: by activity, and by cells too.

    Attributes:
        received: by activity.
        committed: by activity and cells.
        counted: by activity and the cell, where a transaction read one and set it to a number.
    """

    __slots__ = ("committed", "counted", "received")

    def __init__(self) -> None:
        self.received: dict[str, int] = {}
        self.committed: dict[tuple[str, ...], int] = {}
        self.counted: dict[tuple[str, str], int] = {}

    def counting(self, recorder: Recorder, name: str, key: str, reads: tuple[str, ...]) -> int:
        """Make the shape of a transaction that sets one cell to a number."""
        shape = recorder.shape(
            "TransactionCommitted",
            name=name,
            value=Value.INT,
            head=b'{"values":{' + encode_json(key) + b":",
            tail=b"}}",
            follows_lane=True,
            reads=tuple((None, read) for read in reads),
            writes=((None, key),),
        )
        if reads == (key,):
            self.counted[name, key] = shape
        self.committed[name, key, *reads] = shape
        return shape


class Recorder:
    """The rows of one world or of many, and their tables.

    Attributes:
        rows: packed `ROW`s, in the order in which things happened, world by world.
        objects: values of payloads: JSON scalars, or bytes that are JSON.
        extra: the causes of the rows that have others than two of the shape's kinds.
        handled: the shapes of what agents do.
        plans: what drivers keep of a plan: its shapes.
        starts, stream_starts: the first row and the first stream of each world.
    """

    __slots__ = (
        "_asked",
        "_shapes",
        "extra",
        "handled",
        "objects",
        "plans",
        "rows",
        "shapes",
        "starts",
        "stream_starts",
        "streams",
    )

    def __init__(self) -> None:
        self.rows = bytearray()
        self.objects: list[Any] = []
        self.extra: dict[int, tuple[tuple[int, int], ...]] = {}
        self.shapes: list[Shape] = []
        self._shapes: dict[Shape, int] = {}
        self._asked: dict[tuple[Any, ...], int] = {}
        self.streams: list[Stream] = []
        self.plans: dict[Any, Any] = {}
        self.handled = Handled()
        self.starts: list[int] = []
        self.stream_starts: list[int] = []

    def __repr__(self) -> str:
        return f"Recorder({len(self)} events, {len(self.starts)} worlds)"

    def __len__(self) -> int:
        return len(self.rows) // ROW_BYTES

    def begin(self) -> None:
        """Begin a world: what follows is its events."""
        self.starts.append(len(self))
        self.stream_starts.append(len(self.streams))

    def stream(
        self, name: str, lane: str | None = None, *, root: int | None = None, generation: int = 0
    ) -> int:
        """Add a stream of the present world; return its code.

        Args:
            name: its id.
            lane: the agent whose events it holds; the name without its @ by default.
            root: the code of the stream that it goes on, as another generation.
            generation: of its events.
        """
        code = len(self.streams)
        lane = name.removeprefix("@") if lane is None else lane
        self.streams.append(Stream(name, lane, code if root is None else root, generation))
        return code

    def shape(self, event_type: str, **facts: Any) -> int:
        """Return the code of a shape; equal shapes have one code."""
        # What is asked for in the same words as before needs no shape to be built.
        asked = (event_type, *facts, *facts.values())
        code = self._asked.get(asked)
        if code is None:
            shape = Shape(event_type, **facts)
            code = self._shapes.setdefault(shape, len(self.shapes))
            if code == len(self.shapes):
                self.shapes.append(shape)
            self._asked[asked] = code
        return code

    def add(
        self,
        time_ns: int,
        shape: int,
        stream: int,
        coordination: int = NOTHING,
        a: int = NOTHING,
        b: int = NOTHING,
        value: int = 0,
        other: int = NOTHING,
    ) -> int:
        """Write an event; return its row."""
        rows = self.rows
        row = len(rows) // ROW_BYTES
        rows += ROW.pack(time_ns, value, shape, stream, coordination, a, b, other)
        return row

    def alone(self, place: int) -> Recorder:
        """Return what was written of one world, with rows and streams counted from its first."""
        first, end = [*self.starts, len(self)][place : place + 2]
        base, last = [*self.stream_starts, len(self.streams)][place : place + 2]
        part = Recorder()
        part.shapes, part.objects = self.shapes, self.objects
        part.begin()
        for found in self.streams[base:last]:
            part.stream(found.name, found.lane, root=found.root - base, generation=found.generation)

        def moved(code: int, by: int) -> int:
            return code if code == NOTHING else code - by

        for row in range(first, end):
            fields = ROW.unpack_from(self.rows, row * ROW_BYTES)
            time_ns, value, shape, stream, coordination, a, b, other = fields
            part.rows += ROW.pack(
                time_ns,
                value,
                shape,
                stream - base,
                moved(coordination, base),
                moved(a, first),
                moved(b, first),
                moved(other, base),
            )
            if row in self.extra:
                part.extra[row - first] = tuple((c - first, kind) for c, kind in self.extra[row])
        return part

    def because(self, row: int, causes: Sequence[int], kind: int) -> None:
        """Give a row its causes, however many, all of one kind."""
        if causes:
            self.extra[row] = tuple((cause, kind) for cause in causes)

    def coordination_of(self, row: int) -> int:
        """Return the code of the coordination that a row was written under."""
        return int(ROW.unpack_from(self.rows, row * ROW_BYTES)[4])

    def keep(self, value: Any) -> int:
        """Keep a payload's value; return its place."""
        objects = self.objects
        objects.append(value)
        return len(objects) - 1


def json_of(value: Any) -> bytes:
    """Encode what is known to be JSON: results that were taken, and what is made of them.

    Example:
        >>> json_of({"b": 1, "a": None})
        b'{"a":null,"b":1}'
    """
    try:
        return _ENCODER.encode(value)
    except (UnicodeError, OverflowError, TypeError, ValueError):
        return encode_json(value)


def plain(value: Any) -> tuple[Any, Any]:
    """Return what to keep of a JSON value for the log, and what to hand on.

    Scalars pass as they are. Anything that could be changed later is encoded at once, and handed on
    as a copy: agents share nothing but what they send.

    Raises:
        InvalidEventError: it is not JSON.

    Example:
        >>> plain(3), plain([1, "a"])
        ((3, 3), (b'[1,"a"]', [1, 'a']))
    """
    kind = type(value)
    if value is None or kind is bool:
        return value, value
    if value.isascii() if kind is str else kind is int and LEAST <= value <= MOST:
        return value, value
    encoded = encode_json(value)
    return encoded, decode_payload(encoded)
