"""Schema version 1 as Arrow types, the limits on what an event may hold, and table conversions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import InvalidEventError
from flowlab.events.event import SCHEMA_VERSION, Event

MAX_ID_BYTES: Final = 1024
"""Longest namespace, run, workflow, agent, coordination or step id, name and type, in UTF-8."""
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""Largest payload of one event."""
MAX_CAUSES: Final = 65_536
"""Most explicit causes, reads or writes of one event.

More than a generation of a workflow has events, so that its code may wait for all of them at once.
"""

CAUSE_TYPE: Final = pa.struct(
    [pa.field("workflow_id", pa.string(), False), pa.field("sequence", pa.int64(), False)]
)
CELL_TYPE: Final = pa.struct(
    [pa.field("owner", pa.string(), False), pa.field("key", pa.string(), False)]
)

EVENT_SCHEMA: Final = pa.schema(
    [
        pa.field("namespace", pa.string(), False),
        pa.field("run_id", pa.string(), False),
        pa.field("workflow_id", pa.string(), False),
        pa.field("sequence", pa.int64(), False),
        pa.field("position", pa.int64(), False),
        pa.field("generation", pa.int32(), False),
        pa.field("agent_id", pa.string(), False),
        pa.field("agent_sequence", pa.int64(), False),
        pa.field("event_type", pa.string(), False),
        pa.field("name", pa.string(), False),
        pa.field("time_ns", pa.int64(), False),
        pa.field("follows_lane", pa.bool_(), False),
        pa.field("causes", pa.list_(pa.field("element", CAUSE_TYPE, False)), False),
        pa.field("cause_kinds", pa.list_(pa.field("element", pa.int8(), False)), False),
        pa.field("reads", pa.list_(pa.field("element", CELL_TYPE, False))),
        pa.field("writes", pa.list_(pa.field("element", CELL_TYPE, False))),
        pa.field("coordination_id", pa.string()),
        pa.field("step_id", pa.string()),
        pa.field("payload", pa.binary()),
        pa.field("schema_version", pa.int16(), False),
    ]
)
"""The columns of an event log, in canonical order; integers are signed throughout."""

EVENT_COLUMNS: Final = tuple(EVENT_SCHEMA.names)

ANOMALY_SCHEMA: Final = pa.schema(
    [
        pa.field("namespace", pa.string(), False),
        pa.field("run_id", pa.string(), False),
        pa.field("workflow_id", pa.string(), False),
        pa.field("sequence", pa.int64(), False),
        pa.field("kind", pa.string(), False),
        pa.field("detail", pa.string(), False),
        pa.field("ref_workflow_id", pa.string()),
        pa.field("ref_sequence", pa.int64()),
        pa.field("source", pa.string(), False),
    ]
)
"""Damage found in a log: what it is, at which event, what it pointed to, and where it stood."""

_PLAIN: Final = tuple(
    name for name in EVENT_COLUMNS if name not in {"causes", "cause_kinds", "reads", "writes"}
)


def table_from_events(events: Iterable[Event]) -> pa.Table:
    """Convert events to a table of `EVENT_SCHEMA`, a column at a time.

    Raises:
        InvalidEventError: a field has a wrong type; the message names the event and the field.
    """
    rows = list(events)
    columns: dict[str, pa.Array] = {}
    for name in _PLAIN:
        field = EVENT_SCHEMA.field(name)
        try:
            columns[name] = pa.array([getattr(row, name) for row in rows], field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError) as error:
            raise wrong_field(rows, name, error) from error
    columns["causes"] = _lists(
        [row.causes for row in rows],
        lambda flat: _structs(
            CAUSE_TYPE, [c.workflow_id for c in flat], [c.sequence for c in flat]
        ),
    )
    columns["cause_kinds"] = _lists(
        [row.causes for row in rows], lambda flat: pa.array([c.kind for c in flat], pa.int8())
    )
    for name in ("reads", "writes"):
        columns[name] = _lists(
            [getattr(row, name) for row in rows],
            lambda flat: _structs(CELL_TYPE, [c.owner for c in flat], [c.key for c in flat]),
        )
    arrays = [columns[name].cast(EVENT_SCHEMA.field(name).type) for name in EVENT_COLUMNS]
    return pa.Table.from_arrays(arrays, schema=EVENT_SCHEMA)


def events_from_table(table: pa.Table, alike: Mapping[str, Any] | None = None) -> list[Event]:
    """Convert rows back to events; columns that this version does not know are left out.

    Args:
        table: the rows.
        alike: columns in which all rows have one value, with it; the table need not have those.
    """
    alike = {} if alike is None else alike
    columns: dict[str, Iterable[Any]] = {
        name: repeat(alike[name], len(table)) if name in alike else table.column(name).to_pylist()
        for name in _PLAIN
    }
    for name in ("causes", "reads", "writes"):
        if name in alike:
            columns[name] = repeat(alike[name], len(table))
        elif name == "causes":
            kinds = pc.list_flatten(table.column("cause_kinds")).to_pylist()
            columns[name] = _groups(table.column(name), kinds)
        else:
            columns[name] = _groups(table.column(name))
    rows = list(zip(*(columns[name] for name in Event.__struct_fields__), strict=True))
    return msgspec.convert(rows, list[Event])


def conform(table: pa.Table, *, where: str = "table") -> pa.Table:
    """Return the table with the columns of `EVENT_SCHEMA` in order, cast, defaults filled in.

    Missing columns take their defaults where an event has one; columns that this version does not
    know follow the known ones.

    Raises:
        InvalidEventError: `event_type` or `workflow_id` is missing, a cast would lose something,
            or a column that must not be null holds a null.
    """
    # A table lists its names anew whenever it is asked for them.
    names = table.column_names
    present = set(names)
    for needed in ("workflow_id", "event_type"):
        if needed not in present:
            message = f"{where} has no column {needed!r}; it has {sorted(present)}"
            raise InvalidEventError(message)
    arrays = [
        _conform_column(table, field, where)
        if field.name in present
        else _default_column(field, table.num_rows, table)
        for field in EVENT_SCHEMA
    ]
    extra = [name for name in names if name not in EVENT_COLUMNS]
    schema = EVENT_SCHEMA
    for name in extra:
        schema = schema.append(table.schema.field(name))
    return pa.Table.from_arrays([*arrays, *(table.column(name) for name in extra)], schema=schema)


def _conform_column(table: pa.Table, field: pa.Field, where: str) -> pa.ChunkedArray | pa.Array:
    column = table.column(field.name)
    if column.type != field.type:
        try:
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            column = column.cast(field.type)
        except pa.ArrowException as error:
            message = (
                f"column {field.name!r} of the {where} is {column.type} and cannot become "
                f"{field.type} without loss: {error}"
            )
            raise InvalidEventError(message) from error
    if not field.nullable and column.null_count:
        message = f"column {field.name!r} of the {where} has {column.null_count} nulls; fill them"
        raise InvalidEventError(message)
    if pa.types.is_list(field.type) and _has_holes(column):
        message = (
            f"column {field.name!r} of the {where} has a list with a null inside; leave it out"
        )
        raise InvalidEventError(message)
    return column


def _has_holes(column: pa.ChunkedArray) -> bool:
    inner = pc.list_flatten(column)
    parts = range(inner.type.num_fields if pa.types.is_struct(inner.type) else 0)
    nulls = (pc.struct_field(inner, part).null_count for part in parts)
    return bool(inner.null_count or any(nulls))


def _default_column(field: pa.Field, rows: int, table: pa.Table) -> pa.Array | pa.ChunkedArray:
    defaults: dict[str, Any] = {
        "namespace": "default",
        "follows_lane": True,
        "schema_version": SCHEMA_VERSION,
    }
    if field.name == "agent_id":
        return table.column("workflow_id").cast(pa.string())
    if field.nullable:
        return pa.nulls(rows, field.type)
    if pa.types.is_list(field.type):
        return pa.ListArray.from_arrays(
            pa.array([0] * (rows + 1), pa.int32()), pa.array([], field.type.value_type)
        ).cast(field.type)
    fallback = "" if pa.types.is_string(field.type) else 0
    return pa.repeat(pa.scalar(defaults.get(field.name, fallback), field.type), rows)


def wrong_field(rows: Sequence[Event], name: str, error: Exception) -> InvalidEventError:
    """Find the first event whose field does not fit its column, and say so."""
    kind = EVENT_SCHEMA.field(name).type
    for index, row in enumerate(rows):
        value = getattr(row, name)
        try:
            pa.array([value], kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError):
            return InvalidEventError(
                f"event {index} of the batch ({row.workflow_id!r}/{row.sequence}): field {name!r} "
                f"holds {value!r} ({type(value).__name__}); expected {kind}"
            )
    return InvalidEventError(f"field {name!r} of the batch does not fit {kind}: {error}")


def _lists(values: list[Any], flatten: Any) -> pa.Array:
    offsets, total, valid = [0], 0, []
    flat: list[Any] = []
    for value in values:
        valid.append(value is not None)
        if value:
            flat.extend(value)
            total += len(value)
        offsets.append(total)
    mask = None if all(valid) else pa.array([not ok for ok in valid])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flatten(flat), mask=mask)


def _structs(kind: pa.StructType, first: list[str], second: list[Any]) -> pa.Array:
    arrays = [pa.array(first, kind.field(0).type), pa.array(second, kind.field(1).type)]
    return pa.StructArray.from_arrays(arrays, fields=[kind.field(0), kind.field(1)])


def _groups(column: pa.ChunkedArray, *more: list[Any]) -> list[list[tuple[Any, ...]] | None]:
    """Return each row's list of structs as tuples, with a further value of each where given."""
    lengths = pc.list_value_length(column).to_pylist()
    if not any(lengths):
        return [None if length is None else [] for length in lengths]
    flat = pc.list_flatten(column)
    fields = (pc.struct_field(flat, index).to_pylist() for index in range(flat.type.num_fields))
    values = list(zip(*fields, *more, strict=True))
    groups: list[list[tuple[Any, ...]] | None] = []
    end = 0
    for length in lengths:
        start, end = end, end + (length or 0)
        groups.append(None if length is None else values[start:end])
    return groups
