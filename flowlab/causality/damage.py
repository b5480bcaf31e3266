"""What is wrong with a log's references, each as a row of the relation `anomalies`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import ANOMALY_SCHEMA, EventLog

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IDS: Final = ("namespace", "run_id", "workflow_id", "sequence")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Found:
    """Damage of one kind.

    Args:
        kind: the word in `anomalies`.
        detail: what it means; `{ref}` stands for the event that was pointed to.
        row: where each piece stands.
        ref: the row that each points to, or the references themselves where they lead nowhere.
    """

    kind: str
    detail: str
    row: NDArray[np.int32]
    ref: NDArray[np.int32] | pa.StructArray


def never_logged(row: NDArray[np.int32], ref: pa.StructArray) -> Found:
    """Tell references to events that the log does not hold."""
    return Found("never_logged", "its cause {ref} is not in the log", row, ref)


def duplicate_id(row: NDArray[np.int32]) -> Found:
    """Tell events whose id an earlier row has; references mean the first."""
    detail = "{ref} stands twice; references mean the first"
    return Found("duplicate_id", detail, row, row)


def cycle(cause: NDArray[np.int32], effect: NDArray[np.int32]) -> Found:
    """Tell edges that would put an event before itself."""
    return Found("cycle", "{ref} would come before and after it", effect, cause)


def recorded_late(
    table: pa.Table, cause: NDArray[np.int32], effect: NDArray[np.int32]
) -> list[Found]:
    """Tell effects that stand in the log before their cause, by position, where it has any."""
    position = table.column("position").to_numpy()
    if not position.any():
        return []
    late = (position[effect] > 0) & (position[cause] > position[effect])
    at = np.flatnonzero(late)
    if not len(at):
        return []
    detail = "its cause {ref} was recorded after it"
    return [Found("effect_before_cause", detail, effect[at], cause[at])]


def table(log: EventLog, found: list[Found]) -> pa.Table:
    """Return all damage as rows, in the order of their places in the log."""
    parts = [_rows(log, item) for item in found if len(item.row)]
    if not parts:
        return ANOMALY_SCHEMA.empty_table()
    rows = np.concatenate([item.row for item in found if len(item.row)])
    return pa.concat_tables(parts).take(pa.array(np.argsort(rows, kind="stable")))


def _rows(log: EventLog, found: Found) -> pa.Table:
    at = log.table.select(_IDS).take(pa.array(found.row))
    names, numbers = _references(log, found.ref)
    words = [
        found.detail.format(ref=f"{name}/{number}")
        for name, number in zip(names.to_pylist(), numbers.to_pylist(), strict=True)
    ]
    sources = [log.run(run, namespace=space).source or "" for space, run in _worlds_of(at)]
    columns = [
        *(at.column(name) for name in _IDS),
        pa.array([found.kind] * len(found.row)),
        pa.array(words, pa.string()),
        names,
        numbers,
        pa.array(sources, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ANOMALY_SCHEMA)


def _worlds_of(at: pa.Table) -> list[tuple[str, str]]:
    pairs = zip(at.column("namespace").to_pylist(), at.column("run_id").to_pylist(), strict=True)
    return list(pairs)


def _references(log: EventLog, ref: NDArray[np.int32] | pa.StructArray) -> tuple[pa.Array, ...]:
    if isinstance(ref, pa.StructArray):
        return pc.struct_field(ref, 0), pc.struct_field(ref, 1)
    at = log.table.select(["workflow_id", "sequence"]).take(pa.array(ref)).combine_chunks()
    return at.column(0).combine_chunks(), at.column(1).combine_chunks()
