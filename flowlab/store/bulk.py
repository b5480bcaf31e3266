"""Bulk append: whole tables are checked a column at a time and go straight to sealed files."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import InvalidEventError
from flowlab.events import (
    EVENT_COLUMNS,
    EVENT_SCHEMA,
    MAX_CAUSES,
    MAX_ID_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SCHEMA_VERSION,
    UNSTAMPED,
    CauseKind,
    grouped,
    rank_strings,
    sorted_rows,
)
from flowlab.store.admission import TOO_LONG_FOR_A_FOLDER
from flowlab.store.heads import Heads
from flowlab.store.layout import fits_folder
from flowlab.store.streams import Streams, rank_ints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_REQUIRED: Final = ("namespace", "workflow_id", "event_type")
_TEXTS: Final = (
    "namespace",
    "run_id",
    "workflow_id",
    "agent_id",
    "event_type",
    "name",
    "coordination_id",
    "step_id",
)
_RANGES: Final = {
    "sequence": (0, 2**63 - 1),
    "generation": (0, 2**31 - 1),
    "agent_sequence": (0, 2**63 - 1),
    "schema_version": (1, MAX_SCHEMA_VERSION),
}


def admit(table: pa.Table, heads: Heads, *, position: int, now_ns: int) -> tuple[pa.Table, Streams]:
    """Check a whole table against the schema and the log; return it with every field filled in.

    Its streams are returned, too.

    Rows keep their order where it respects causes, lanes and streams; otherwise positions follow
    the topological order nearest to it.

    Args:
        table: conforms to `EVENT_SCHEMA`.
        heads: of the store.
        position: of the last event in the log.
        now_ns: the time for events that have none.

    Raises:
        InvalidEventError: names the event and the field.
    """
    extra = [name for name in table.column_names if name not in EVENT_COLUMNS]
    if extra:
        message = f"the table has columns {extra} that no event has; put their values in `payload`"
        raise InvalidEventError(message)
    _check_columns(table)
    owner = table.column("agent_id")
    table = _put(
        table, "agent_id", pc.if_else(pc.equal(owner, ""), table.column("workflow_id"), owner)
    )
    times = table.column("time_ns")
    table = _put(table, "time_ns", pc.if_else(pc.equal(times, UNSTAMPED), now_ns, times))
    streams = Streams.of(table)
    first = heads.of_all(streams)
    sequence = _sequences(table, streams, first)
    table = _put(table, "sequence", pa.array(sequence))
    lanes, ticks = _ticks(table, streams, heads)
    table = _put(table, "agent_sequence", pa.array(ticks))
    before, after = _references(table, streams, sequence, first, heads)
    positions = _positions(table, streams, (lanes, ticks), (before, after))
    return _put(table, "position", pa.array(positions + position)), streams


def as_table(given: object) -> pa.Table:
    """Return an Arrow table or a Polars frame as an Arrow table, checked to hold what it says.

    Raises:
        InvalidEventError: it is neither, a column is there twice, or its text is not UTF-8.
    """
    table = given
    if not isinstance(given, pa.Table):
        table = given.to_arrow() if hasattr(given, "to_arrow") else None
    if not isinstance(table, pa.Table):
        kind = type(given).__name__
        message = f"a {kind} was given; expected an Arrow table or a Polars frame of events"
        raise InvalidEventError(message)
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        message = f"the table has columns {twice} more than once; give each once"
        raise InvalidEventError(message)
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        message = f"the table is not valid: {error}"
        raise InvalidEventError(message) from error
    return table


def _put(table: pa.Table, name: str, values: Any) -> pa.Table:
    index = EVENT_SCHEMA.get_field_index(name)
    return table.set_column(
        index, EVENT_SCHEMA.field(index), values.cast(EVENT_SCHEMA.types[index])
    )


def _check_columns(table: pa.Table) -> None:
    for name in _TEXTS:
        column = table.column(name)
        sizes = pc.binary_length(column.cast(pa.binary()))
        if name in _REQUIRED or name in {"coordination_id", "step_id"}:
            _refuse_where(table, pc.equal(sizes, 0), name, "is empty; give it an id")
        too_long = pc.greater(sizes, MAX_ID_BYTES)
        _refuse_where(table, too_long, name, f"takes more than MAX_ID_BYTES ({MAX_ID_BYTES})")
    spaces = table.column("namespace")
    wide = [name for name in pc.unique(spaces).to_pylist() if not fits_folder(name)]
    within = pc.is_in(spaces, value_set=pa.array(wide, pa.string()))
    _refuse_where(table, within, "namespace", TOO_LONG_FOR_A_FOLDER)
    for name, (least, most) in _RANGES.items():
        column = table.column(name)
        outside = pc.or_(pc.less(column, least), pc.greater(column, most))
        _refuse_where(table, outside, name, f"is outside {least} to {most}")
    sizes = pc.binary_length(table.column("payload"))
    too_long = pc.greater(sizes, MAX_PAYLOAD_BYTES)
    what = (
        f"takes more than MAX_PAYLOAD_BYTES ({grouped(MAX_PAYLOAD_BYTES)}): keep large data outside"
    )
    _refuse_where(table, too_long, "payload", what)
    for name in ("causes", "reads", "writes"):
        counts = pc.list_value_length(table.column(name))
        too_many = pc.greater(counts, MAX_CAUSES)
        _refuse_where(table, too_many, name, f"has more than MAX_CAUSES ({MAX_CAUSES})")
    for name in ("reads", "writes"):
        _check_cells(table, name)
    counts = pc.list_value_length(table.column("causes"))
    kinds = pc.list_value_length(table.column("cause_kinds"))
    unequal = pc.not_equal(counts, kinds)
    _refuse_where(table, unequal, "cause_kinds", "must have one entry for each of `causes`")
    flat = pc.list_flatten(table.column("cause_kinds"))
    if len(flat) and not 0 <= (bounds := pc.min_max(flat).as_py())["min"] <= bounds["max"] <= max(
        CauseKind
    ):
        message = f"field 'cause_kinds' holds {bounds}; expected 0 to {int(max(CauseKind))}"
        raise InvalidEventError(message)


def _check_cells(table: pa.Table, name: str) -> None:
    column = table.column(name)
    cells = pc.list_flatten(column)
    for part in ("owner", "key"):
        sizes = pc.binary_length(pc.struct_field(cells, part).cast(pa.binary()))
        if pc.any(pc.greater(sizes, MAX_ID_BYTES)).as_py():
            place = pc.index(pc.greater(sizes, MAX_ID_BYTES), value=True)
            row = pc.list_parent_indices(column)[place.as_py()].as_py()
            _refuse(table, row, f"{name}.{part}", f"takes more than MAX_ID_BYTES ({MAX_ID_BYTES})")


def _refuse_where(table: pa.Table, mask: Any, field: str, what: str) -> None:
    if pc.any(mask).as_py():
        row = pc.index(pc.fill_null(mask, fill_value=False), value=True).as_py()
        _refuse(table, int(row), field, what)


def _refuse(table: pa.Table, row: int, field: str, what: str) -> NoReturn:
    flow = table.column("workflow_id")[row].as_py()
    sequence = table.column("sequence")[row].as_py()
    message = f"event {row} of the table ({flow!r}/{sequence}): field {field!r} {what}"
    raise InvalidEventError(message)


def _sequences(table: pa.Table, streams: Streams, first: Ints) -> Ints:
    """Check that each stream goes on at its head without gaps; number it where it does not say.

    `first` holds the heads.
    """
    given: Ints = table.column("sequence").to_numpy()
    starts = _starts(streams)
    order = streams.order
    code = streams.codes[order]
    expected = np.empty(len(order), np.int64)
    expected[order] = (first - starts)[code] + np.arange(1, len(order) + 1)
    if not given.any():
        return expected
    wrong = order[np.flatnonzero(given[order] != expected[order])]
    if len(wrong):
        row, want = int(wrong[0]), int(expected[wrong[0]])
        what = "is a duplicate id" if given[row] < want else "leaves a gap"
        _refuse(table, row, "sequence", f"{what}; the next of this stream is {want}")
    return expected


def _starts(streams: Streams) -> Ints:
    """Return where each stream begins among the rows in order."""
    counts = np.bincount(streams.codes, minlength=len(streams))
    starts: Ints = np.cumsum(counts) - counts
    return starts


def _ticks(table: pa.Table, streams: Streams, heads: Heads) -> tuple[Ints, Ints]:
    """Return each row's lane code and tick, ticks numbered in row order where all are 0."""
    agents, names = rank_strings(table.column("agent_id"))
    lanes, distinct = rank_ints(streams.worlds[streams.codes] * max(len(names), 1) + agents)
    given: Ints = table.column("agent_sequence").to_numpy()
    if given.any():
        return lanes, given  # an importer's ticks stand as they were found, 0 where there was none
    last = np.array(
        [
            heads.lane(*streams.world(key // len(names)), names[key % len(names)])
            for key in distinct.tolist()
        ],
        np.int64,
    )
    order = sorted_rows(lanes)
    counts = np.bincount(lanes, minlength=len(distinct))
    starts = np.cumsum(counts) - counts
    ticks = np.empty(len(order), np.int64)
    ticks[order] = last[lanes[order]] + np.arange(len(order)) - starts[lanes[order]] + 1
    if (ticks < 1).any():
        what = "has no later tick: its lane is at the last"
        _refuse(table, int(np.flatnonzero(ticks < 1)[0]), "agent_sequence", what)
    return lanes, ticks


def _references(
    table: pa.Table, streams: Streams, sequence: Ints, first: Ints, heads: Heads
) -> tuple[Ints, Ints]:
    """Check that every cause exists; return (cause row, effect row) for causes in the table."""
    causes = table.column("causes").combine_chunks()
    counts = pc.list_value_length(causes).to_numpy(zero_copy_only=False).astype(np.int64)
    if not counts.sum():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    flat = causes.flatten()
    effect = np.repeat(np.arange(len(counts)), counts)
    wanted: Ints = flat.field("sequence").to_numpy()
    flows, names = rank_strings(pa.chunked_array([flat.field("workflow_id")]))
    places = {name: place for place, name in enumerate(streams.flows)}
    worlds = streams.worlds[streams.codes[effect]]
    code = streams.find(worlds, np.array([places.get(name, -1) for name in names])[flows])
    old_top = np.where(code >= 0, first[code], 0)
    for absent in np.flatnonzero(code < 0).tolist():
        flow = names[int(flows[absent])]
        old_top[absent] = heads.head(*streams.world(int(worlds[absent])), flow)
    size = np.bincount(streams.codes, minlength=len(streams))
    top = old_top + np.where(code >= 0, size[code], 0)
    own = code == streams.codes[effect]
    top = np.where(own, sequence[effect] - 1, top)
    bad = np.flatnonzero((wanted < 1) | (wanted > top))
    if len(bad):
        at = int(bad[0])
        what = (
            f"names {names[int(flows[at])]!r}/{int(wanted[at])}, which does not exist before it; "
            "put the reference in the log's anomalies instead"
        )
        _refuse(table, int(effect[at]), "causes", what)
    inside = np.flatnonzero(wanted > old_top)
    code = code[inside]
    rows: Ints = streams.order[_starts(streams)[code] + wanted[inside] - old_top[inside] - 1]
    return rows, effect[inside]


def _positions(
    table: pa.Table, streams: Streams, lanes: tuple[Ints, Ints], causes: tuple[Ints, Ints]
) -> Ints:
    """Return positions from 1 that respect causes, lanes that are followed, and streams."""
    rows = len(streams.codes)
    by_stream = streams.order
    same = np.diff(streams.codes[by_stream]) == 0
    lane, tick = lanes
    by_lane = sorted_rows(lane, tick)
    followed = table.column("follows_lane").to_numpy(zero_copy_only=False)[by_lane[1:]]
    linked = (np.diff(lane[by_lane]) == 0) & followed
    before = np.concatenate([causes[0], by_stream[:-1][same], by_lane[:-1][linked]])
    after = np.concatenate([causes[1], by_stream[1:][same], by_lane[1:][linked]])
    if (before < after).all():
        return np.arange(1, rows + 1)
    return _topological(table, before, after, rows)


def _topological(table: pa.Table, before: Ints, after: Ints, rows: int) -> Ints:
    order = np.argsort(before, kind="stable")
    targets = after[order].tolist()
    offsets = np.searchsorted(before[order], np.arange(rows + 1)).tolist()
    waiting = np.bincount(after, minlength=rows).tolist()
    ready = [row for row in range(rows) if not waiting[row]]
    heapify(ready)
    positions = np.zeros(rows, np.int64)
    done = 0
    while ready:
        row = heappop(ready)
        done += 1
        positions[row] = done
        for target in targets[offsets[row] : offsets[row + 1]]:
            waiting[target] -= 1
            if not waiting[target]:
                heappush(ready, target)
    if done < rows:
        row = int(np.flatnonzero(positions == 0)[0])
        what = (
            "lies on a cycle of causes, lane order and stream order: it would come before itself; "
            "put one of the references in the log's anomalies, or set follows_lane to false"
        )
        _refuse(table, row, "causes", what)
    return positions
