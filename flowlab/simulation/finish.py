"""From rows and tables to the columns of an event log, a column at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events.codec import encode_json
from flowlab.events.event import SCHEMA_VERSION
from flowlab.events.schema import CAUSE_TYPE, CELL_TYPE, EVENT_SCHEMA
from flowlab.simulation.recorder import NOTHING, Recorder, Shape, Value, json_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROW_TYPE: Final = np.dtype(
    [
        ("time", "<i8"),
        ("value", "<i8"),
        ("shape", "<i4"),
        ("stream", "<i4"),
        ("coordination", "<i4"),
        ("a", "<i4"),
        ("b", "<i4"),
        ("other", "<i4"),
    ]
)
_WIDTH: Final = 16
_LOW_BITS: Final = (1 << _WIDTH) - 1
_SCALARS: Final = frozenset({str, bool, type(None), int})


def table_of(recorder: Recorder, run_ids: Sequence[str], namespace: str) -> pa.Table:
    """Return the events of every world of a recorder as a table of `EVENT_SCHEMA`.

    Args:
        recorder: what was written.
        run_ids: the id of each world's run.
        namespace: of all of them.
    """
    rows = np.frombuffer(recorder.rows, ROW_TYPE)
    shapes = np.ascontiguousarray(rows["shape"])
    streams = np.ascontiguousarray(rows["stream"])
    others = np.ascontiguousarray(rows["other"])
    known = _Streams(recorder)
    by_other = np.array([shape.by_other for shape in recorder.shapes], bool)
    lanes = streams if not by_other.any() else np.where(by_other[shapes], others, streams)
    sequences = _ranks(known.roots[streams])
    facts = _Facts(recorder.shapes)
    names = _causes(recorder, rows, known, shapes, sequences)
    columns: dict[str, Any] = {
        "namespace": _constant(namespace, len(rows)),
        "run_id": _runs(recorder, run_ids, len(rows)),
        "workflow_id": known.names.take(pa.array(streams)),
        "sequence": pa.array(sequences),
        "position": pa.array(_positions(recorder, len(rows))),
        "generation": pa.array(known.generations[streams]),
        "agent_id": known.lanes.take(pa.array(lanes)),
        "agent_sequence": pa.array(_ranks(known.lane_codes[lanes])),
        "event_type": facts.column("event_type", shapes),
        "name": facts.column("name", shapes),
        "time_ns": pa.array(np.ascontiguousarray(rows["time"])),
        "follows_lane": facts.column("follows_lane", shapes),
        "causes": names[0],
        "cause_kinds": names[1],
        "reads": _cells("reads", recorder.shapes, shapes, lanes, known),
        "writes": _cells("writes", recorder.shapes, shapes, lanes, known),
        "coordination_id": _taken(known.names, rows["coordination"]),
        "step_id": facts.column("step_id", shapes),
        "payload": _payloads(recorder, rows, shapes, known),
        "schema_version": _constant_number(SCHEMA_VERSION, len(rows), pa.int16()),
    }
    arrays = [columns[name] for name in EVENT_SCHEMA.names]
    return pa.Table.from_arrays(arrays, schema=EVENT_SCHEMA)


class _Streams:
    """The table of streams as arrays, by code."""

    def __init__(self, recorder: Recorder) -> None:
        streams = recorder.streams
        self.names = pa.array([stream.name for stream in streams], pa.string())
        lanes = [stream.lane for stream in streams]
        self.lanes = pa.array(lanes, pa.string())
        self.lane_texts = lanes
        self.roots = np.array([stream.root for stream in streams], np.int32)
        self.generations = np.array([stream.generation for stream in streams], np.int32)
        self.lane_codes = _lane_codes(recorder)


class _Facts:
    """The table of shapes as columns."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes = shapes

    def column(self, name: str, codes: NDArray[np.int32]) -> pa.Array:
        kind = EVENT_SCHEMA.field(name).type
        return pa.array([getattr(shape, name) for shape in self._shapes], kind).take(
            pa.array(codes)
        )


def _lane_codes(recorder: Recorder) -> NDArray[np.int32]:
    """Return a code for each stream that is equal where the world and the lane are."""
    codes = np.empty(len(recorder.streams), np.int32)
    bounds = [*recorder.stream_starts, len(recorder.streams)]
    fresh = 0
    for start, end in pairwise(bounds):
        known: dict[str, int] = {}
        for code in range(start, end):
            lane = recorder.streams[code].lane
            if lane not in known:
                known[lane] = fresh
                fresh += 1
            codes[code] = known[lane]
    return codes


def _ranks(groups: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the place of each row among those of its group, from 1."""
    placed = np.empty(len(groups), np.int64)
    placed[_grouped(groups)] = np.arange(1, len(groups) + 1)
    counts = np.bincount(groups)
    placed -= (np.cumsum(counts) - counts)[groups]
    return placed


def _grouped(groups: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the rows group by group, in their order within each.

    Sixteen bits at a time, which numpy sorts in linear time: what has more it compares, and takes
    ten times as long.
    """
    order = np.argsort(groups.astype(np.uint16), kind="stable")
    if len(groups) and groups.max() > _LOW_BITS:
        order = order[np.argsort((groups[order] >> _WIDTH).astype(np.uint16), kind="stable")]
    return order


def _runs(recorder: Recorder, run_ids: Sequence[str], count: int) -> pa.Array:
    lengths = np.diff([*recorder.starts, count])
    codes = np.repeat(np.arange(len(run_ids), dtype=np.int32), lengths)
    return pa.array(list(run_ids), pa.string()).take(pa.array(codes))


def _positions(recorder: Recorder, count: int) -> NDArray[np.int64]:
    lengths = np.diff([*recorder.starts, count])
    return np.arange(1, count + 1) - np.repeat(np.array(recorder.starts, np.int64), lengths)


def _constant(value: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)


def _constant_number(value: int, count: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)


def _taken(values: pa.Array, codes: NDArray[np.int32]) -> pa.Array:
    """Return the values at codes, null where the code is `NOTHING`."""
    codes = np.ascontiguousarray(codes)
    return values.take(pa.array(codes, mask=codes == NOTHING))


def _causes(
    recorder: Recorder,
    rows: NDArray[np.void],
    known: _Streams,
    shapes: NDArray[np.int32],
    sequences: NDArray[np.int64],
) -> tuple[pa.Array, pa.Array]:
    firsts, seconds = np.ascontiguousarray(rows["a"]), np.ascontiguousarray(rows["b"])
    has_first, has_second = firsts != NOTHING, seconds != NOTHING
    counts = has_first.astype(np.int32) + has_second
    for row, pairs in recorder.extra.items():
        has_first[row], has_second[row], counts[row] = False, False, len(pairs)
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    flat = np.empty(offsets[-1], np.int64)
    flat_kinds = np.empty(offsets[-1], np.int8)
    for row, pairs in recorder.extra.items():
        place = slice(offsets[row], offsets[row + 1])
        flat[place], flat_kinds[place] = zip(*pairs, strict=True) if pairs else ((), ())
    # A second cause is the last of its row.
    for causes, has, places, kinds in (
        (firsts, has_first, offsets[:-1], [shape.kind_a for shape in recorder.shapes]),
        (seconds, has_second, offsets[1:] - 1, [shape.kind_b for shape in recorder.shapes]),
    ):
        held = np.flatnonzero(has)
        flat[places[held]] = causes[held]
        flat_kinds[places[held]] = np.array(kinds, np.int8)[shapes[held]]
    # Each cause is an event of the same world: its stream and its rank there are its id.
    streams = known.names.take(pa.array(rows["stream"][flat]))
    ids = pa.StructArray.from_arrays(
        [streams, pa.array(sequences[flat])], fields=list(CAUSE_TYPE.fields)
    )
    cause_lists = pa.ListArray.from_arrays(
        pa.array(offsets), ids, type=EVENT_SCHEMA.field("causes").type
    )
    kind_lists = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(flat_kinds), type=EVENT_SCHEMA.field("cause_kinds").type
    )
    return cause_lists, kind_lists


def _cells(
    which: str,
    shapes: Sequence[Shape],
    codes: NDArray[np.int32],
    lanes: NDArray[np.int32],
    known: _Streams,
) -> pa.Array:
    """Return the cells of each row: the signature of its shape, with the lane where it has none."""
    kind = EVENT_SCHEMA.field(which).type
    signatures = [getattr(shape, which) for shape in shapes]
    if not any(signature is not None for signature in signatures):
        return pa.nulls(len(codes), kind)
    absent = np.array([signature is None for signature in signatures], bool)
    sizes = np.array([len(signature or ()) for signature in signatures], np.int32)
    first = np.cumsum(np.r_[0, sizes[:-1]])
    keys = pa.array([key for cells in signatures for _, key in cells or ()], pa.string())
    named = [owner for cells in signatures for owner, _ in cells or ()]
    lengths = sizes[codes]
    offsets = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    place = (np.repeat(first[codes], lengths) + within).astype(np.int32)
    owners = known.lanes.take(pa.array(np.repeat(lanes, lengths)))
    if any(owner is not None for owner in named):
        owners = pc.coalesce(pa.array(named, pa.string()).take(pa.array(place)), owners)
    cells = pa.StructArray.from_arrays(
        [owners, keys.take(pa.array(place))], fields=list(CELL_TYPE.fields)
    )
    mask = pa.array(absent[codes]) if absent.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets), cells, type=kind, mask=mask)


def _payloads(
    recorder: Recorder, rows: NDArray[np.void], codes: NDArray[np.int32], known: _Streams
) -> pa.Array:
    """Return the payload of each row: what its shape has around the value, and the value."""
    shapes = recorder.shapes
    kinds = np.array([shape.value for shape in shapes], np.int8)[codes]
    is_int, is_json = kinds == Value.INT, kinds == Value.JSON
    values = np.ascontiguousarray(rows["value"])
    numbers = pa.array(values[is_int]).cast(pa.string()).cast(pa.binary())
    texts = pa.array(_encoded(recorder.objects, values[is_json]), pa.binary())
    # Each row's own text: of the numbers, of the objects, or none.
    place = np.full(len(rows), len(numbers) + len(texts))
    place[is_int] = np.arange(len(numbers))
    place[is_json] = np.arange(len(texts)) + len(numbers)
    own = pa.concat_arrays([numbers, texts, pa.array([b""])]).take(pa.array(place))
    around = [pa.array([getattr(shape, part) for shape in shapes]) for part in ("head", "tail")]
    head, tail = (part.cast(pa.binary()).take(pa.array(codes)) for part in around)
    pieces = [head, own, tail]
    if any(shape.agent is not None for shape in shapes):
        pieces[1:1] = _named(shapes, codes, np.ascontiguousarray(rows["other"]), known)
    payloads = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.binary()))
    empty = pc.equal(pc.binary_length(payloads), 0)
    return pc.if_else(empty, pa.scalar(None, pa.binary()), payloads)


def _named(
    shapes: Sequence[Shape], codes: NDArray[np.int32], others: NDArray[np.int32], known: _Streams
) -> list[pa.Array]:
    """Return the lanes that payloads name, as JSON text, and what follows them there."""
    names = np.array([shape.agent is not None for shape in shapes], bool)[codes]
    nobody = len(known.lane_texts)
    named = np.where(names, others, nobody)
    texts = [b""] * (nobody + 1)
    for lane in np.flatnonzero(np.bincount(named, minlength=nobody)[:nobody]).tolist():
        texts[lane] = json_of(known.lane_texts[lane])
    after = pa.array([shape.agent or b"" for shape in shapes], pa.binary())
    lanes = pa.array(texts, pa.binary())
    return [lanes.take(pa.array(named)), after.take(pa.array(codes))]


def _encoded(objects: list[Any], places: NDArray[np.int64]) -> list[bytes]:
    values = [objects[place] for place in places.tolist()]
    return [value if type(value) is bytes else _text(value) for value in values]


def _text(value: Any) -> bytes:
    return json_of(value) if type(value) in _SCALARS else encode_json(value)
