"""Digests of a log's content: equal logs give equal digests on every platform and Python.

The bytes hashed are described in docs/format.md. In short: rows in id order; for each column its
name, then fixed-width values little-endian, or lengths (int64, -1 for null) and then the bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events.ranks import rank_strings
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
    return _over_runs(conform(table), _DIGEST_COLUMNS)


def history_digest_table(table: pa.Table) -> str:
    """Return the digest of history alone: streams without `@`, no time, position or worker.

    Causes outside history streams are left out too, so that a simulated and an executed world
    with equal histories agree.
    """
    table = conform(table)
    mask = pc.invert(pc.starts_with(table.column("workflow_id"), "@"))
    return _over_runs(table.filter(mask), _HISTORY_COLUMNS, history=True)


def _over_runs(table: pa.Table, columns: list[str], *, history: bool = False) -> str:
    digests = sorted(_digest_run(part, columns, history=history) for part in _runs(table))
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _runs(table: pa.Table) -> list[pa.Table]:
    if table.num_rows == 0:
        return [table]
    namespaces = table.column("namespace").combine_chunks().dictionary_encode()
    run_ids = table.column("run_id").combine_chunks().dictionary_encode()
    codes = namespaces.indices.to_numpy().astype(np.int64) * len(run_ids.dictionary)
    codes += run_ids.indices.to_numpy()
    if codes[0] == codes[-1] and (codes == codes[0]).all():
        return [table]
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order])) + 1
    return [table.take(pa.array(rows)) for rows in np.split(order, edges)]


def _digest_run(table: pa.Table, columns: list[str], *, history: bool) -> str:
    table = table.take(pa.array(_id_order(table)))
    hasher = hashlib.sha256(b"flowlab-1\0" + len(table).to_bytes(8, "little"))
    if history:
        table = _history_causes(table)
    for name in columns:
        hasher.update(name.encode() + b"\0")
        _hash_column(hasher, table.column(name).combine_chunks())
    return hasher.hexdigest()


def _id_order(table: pa.Table) -> NDArray[np.int64]:
    """Return the row numbers of a table in (workflow_id by code point, sequence) order."""
    streams, _ = rank_strings(table.column("workflow_id"))
    return np.lexsort((table.column("sequence").to_numpy(), streams))


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


def _hash_column(hasher: Any, array: pa.Array) -> None:
    kind = array.type
    if pa.types.is_list(kind):
        _hash_lengths(hasher, pc.list_value_length(array))
        _hash_column(hasher, array.flatten())
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            _hash_column(hasher, pc.struct_field(array, index))
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        _hash_lengths(hasher, pc.binary_length(array))
        filled = array.drop_null() if array.null_count else array
        hasher.update(_value_bytes(filled))
    elif pa.types.is_boolean(kind):
        hasher.update(array.to_numpy(zero_copy_only=False).astype("<u1").tobytes())
    else:
        hasher.update(array.to_numpy(zero_copy_only=False).astype("<i8").tobytes())


def _hash_lengths(hasher: Any, lengths: pa.Array) -> None:
    hasher.update(pc.fill_null(lengths, -1).to_numpy(zero_copy_only=False).astype("<i8").tobytes())


def _value_bytes(array: pa.Array) -> memoryview | bytes:
    """Return the bytes of all values end to end, without copying where the array is compact."""
    if len(array) == 0:
        return b""
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset :][: len(array) + 1]
    return memoryview(array.buffers()[2])[int(offsets[0]) : int(offsets[-1])]
