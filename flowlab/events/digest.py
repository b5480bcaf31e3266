"""Digests of a log's content: equal logs give equal digests on every platform and Python.

The bytes hashed are described in docs/format.md. In short: rows in id order; for each column its
name, then fixed-width values little-endian, or lengths (int64, -1 for null) and then the bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events.ranks import rank_strings, sorted_rows
from flowlab.events.schema import conform

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGEST_COLUMNS: Final = (
    "workflow_id sequence generation agent_id agent_sequence event_type name time_ns follows_lane "
    "causes cause_kinds reads writes coordination_id step_id payload schema_version"
).split()
_HISTORY_COLUMNS: Final = (
    "workflow_id sequence generation event_type name causes cause_kinds coordination_id step_id "
    "payload"
).split()


def digest_table(table: pa.Table) -> str:
    """Return the digest of a log: of its run, or over the sorted digests of its runs.

    Leaves out position, namespace, run_id and the physical encoding.
    """
    return combined_digest(_digests(conform(table), _DIGEST_COLUMNS))


def history_digest_table(table: pa.Table) -> str:
    """Return the digest of history alone: streams without `@`, no time, position or worker.

    Causes outside history streams are left out too, so that a simulated and an executed world
    with equal histories agree.
    """
    table = conform(table)
    mask = pc.invert(pc.starts_with(table.column("workflow_id"), "@"))
    return combined_digest(_digests(table.filter(mask), _HISTORY_COLUMNS, history=True))


def run_digests(table: pa.Table) -> list[str]:
    """Return the digest of each run of a log, sorted: `digest_table` is over these.

    Example:
        >>> from flowlab.events.schema import EVENT_SCHEMA
        >>> run_digests(EVENT_SCHEMA.empty_table()) == [digest_table(EVENT_SCHEMA.empty_table())]
        True
    """
    return sorted(_digests(conform(table), _DIGEST_COLUMNS))


def combined_digest(digests: Iterable[str]) -> str:
    """Return the digest of a log from those of its runs, in any order.

    Example:
        >>> combined_digest(["one"]), combined_digest(["a", "b"]) == combined_digest(["b", "a"])
        ('one', True)
    """
    digests = sorted(digests)
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _digests(table: pa.Table, columns: list[str], *, history: bool = False) -> list[str]:
    """Return the digest of each run, in no order that means anything.

    All runs are sorted and laid out at once, a column at a time: a run's bytes are then a piece of
    each column's, and many small runs cost little more than one large.
    """
    order, bounds = _id_order(table)
    table = table.select(columns).take(pa.array(order))
    if history:
        table = _history_causes(table)
    hashers = [
        hashlib.sha256(b"flowlab-1\0" + count.to_bytes(8, "little"))
        for count in np.diff(bounds).tolist()
    ]
    for name in columns:
        label = name.encode() + b"\0"
        for hasher in hashers:
            hasher.update(label)
        for data, ends in _pieces(table.column(name).combine_chunks(), bounds):
            for hasher, start, end in zip(hashers, ends, ends[1:], strict=False):
                hasher.update(data[start:end])
    return [hasher.hexdigest() for hasher in hashers]


def _id_order(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row numbers in the order of ids, runs together, and where each run begins.

    Within a run the order is (workflow_id by code point, sequence). The last bound is the end; a
    table without rows is one run without events.
    """
    streams, _ = rank_strings(table.column("workflow_id"))
    runs, run_names = rank_strings(table.column("run_id"))
    spaces, _ = rank_strings(table.column("namespace"))
    worlds = spaces.astype(np.int64) * max(len(run_names), 1) + runs
    order = sorted_rows(worlds, streams, table.column("sequence").to_numpy())
    edges = np.flatnonzero(np.diff(worlds[order])) + 1
    return order, np.concatenate([[0], edges, [len(order)]])


def _history_causes(table: pa.Table) -> pa.Table:
    causes = table.column("causes").combine_chunks()
    kinds = table.column("cause_kinds").combine_chunks()
    keep = pc.invert(pc.starts_with(causes.flatten().field("workflow_id"), "@"))
    if pc.all(keep).as_py() in (True, None):
        return table
    lengths = np.diff(causes.offsets.to_numpy())
    rows = np.repeat(np.arange(len(causes)), lengths)[keep.to_numpy(zero_copy_only=False)]
    counts = np.bincount(rows, minlength=len(causes))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    for name, array in (("causes", causes), ("cause_kinds", kinds)):
        index = table.schema.get_field_index(name)
        kept = pa.ListArray.from_arrays(offsets, array.flatten().filter(keep))
        table = table.set_column(index, name, kept)
    return table


def _pieces(array: pa.Array, bounds: NDArray[np.int64]) -> Iterator[tuple[memoryview, list[int]]]:
    """Yield the bytes of a column, and where those of each run begin; `bounds` are its rows."""
    kind = array.type
    if pa.types.is_list(kind):
        lengths, ends = _lengths(array, bounds)
        yield _fixed(lengths, bounds)
        yield from _pieces(array.flatten(), ends)
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _pieces(pc.struct_field(array, index), bounds)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        lengths, ends = _lengths(array, bounds)
        yield _fixed(lengths, bounds)
        filled = array.drop_null() if array.null_count else array
        yield memoryview(_value_bytes(filled)), ends.tolist()
    else:
        width = "<u1" if pa.types.is_boolean(kind) else "<i8"
        yield _fixed(array.to_numpy(zero_copy_only=False).astype(width), bounds)


def _lengths(
    array: pa.Array, bounds: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how much each row holds, -1 for a null, and the bounds of what the rows hold."""
    if not len(array):
        return np.zeros(0, "<i8"), np.zeros_like(bounds)
    offsets = _offsets(array)
    lengths: NDArray[np.int64] = np.diff(offsets).astype("<i8")
    if not array.null_count:
        return lengths, (offsets[bounds] - offsets[0]).astype(np.int64)
    # Whatever lies behind a null is none of the rows'.
    missing = array.is_null().to_numpy(zero_copy_only=False)
    lengths[missing] = 0
    before = np.concatenate([[0], np.cumsum(lengths)])
    lengths[missing] = -1
    return lengths, before[bounds]


def _offsets(array: pa.Array) -> NDArray[np.int32]:
    """Return where what each row holds begins, and where that of the last ends."""
    return np.frombuffer(array.buffers()[1], np.int32)[array.offset :][: len(array) + 1]


def _fixed(values: NDArray[Any], bounds: NDArray[np.int64]) -> tuple[memoryview, list[int]]:
    """Return values of one width as bytes, and where those of each run begin."""
    return memoryview(values.tobytes()), (bounds * values.itemsize).tolist()


def _value_bytes(array: pa.Array) -> memoryview | bytes:
    """Return the bytes of all values end to end, without copying where the array is compact."""
    if len(array) == 0:
        return b""
    offsets = _offsets(array)
    return memoryview(array.buffers()[2])[int(offsets[0]) : int(offsets[-1])]
