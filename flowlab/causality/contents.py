"""What events are, apart from when and where they stand: their content, as codes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.columns import encode, pair
from flowlab.errors import InvalidArgumentError
from flowlab.events import encode_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTENT: Final = ("agent_id", "event_type", "name")
"""What an event is, unless it is said otherwise: who did it, its type and its name."""
CONTENT_COLUMNS: Final = (
    "agent_id event_type name step_id coordination_id workflow_id payload reads writes generation"
).split()
"""What may belong to an event's content; places, times and causes do not."""
OWN_COLUMNS: Final = frozenset({"agent_id", "coordination_id", "workflow_id"})
"""Those of a content that may name the workflow itself."""


def check_content(content: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a content.

    Raises:
        InvalidArgumentError: there is none, or one is no part of a content.
    """
    names = (content,) if isinstance(content, str) else tuple(content)
    wrong = [name for name in names if name not in CONTENT_COLUMNS]
    if wrong or not names:
        what = repr(wrong[0]) if wrong else "nothing"
        message = f"{what} is no content of an event; choose among {', '.join(CONTENT_COLUMNS)}"
        raise InvalidArgumentError(message)
    return names


def content_codes(
    table: pa.Table, content: Sequence[str], own: pa.Array | None = None
) -> tuple[NDArray[np.int32], list[tuple[Any, ...]]]:
    """Return a code for each event's content, and the values that each code stands for.

    Args:
        table: the events.
        content: the columns.
        own: of each event, the name of what it belongs to; an id that equals it becomes "", so
            that two workflows can be compared that differ in their name alone.
    """
    codes, values = _column(table, content[0], own)
    labels: list[tuple[Any, ...]] = [(value,) for value in values]
    for name in content[1:]:
        more, others = _column(table, name, own)
        codes, left, right = pair(codes, more, len(others))
        labels = [
            (*labels[one], others[other])
            for one, other in zip(left.tolist(), right.tolist(), strict=True)
        ]
    return codes, labels


def content_hashes(labels: Sequence[tuple[Any, ...]]) -> NDArray[np.uint64]:
    """Return 64 bits of each content, the same in every log and process."""
    told = [blake2b(encode_json([_plain(v) for v in label]), digest_size=8) for label in labels]
    return np.array([int.from_bytes(one.digest(), "little") for one in told], np.uint64)


def say_content(label: tuple[Any, ...]) -> str:
    """Return a content as a person reads it."""
    return " ".join(str(_plain(value)) for value in label if value not in {None, ""})


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _column(
    table: pa.Table, name: str, own: pa.Array | None
) -> tuple[NDArray[np.int32], list[Any]]:
    column = table.column(name)
    if pa.types.is_list(column.type):
        texts = [None if cells is None else str(cells) for cells in column.to_pylist()]
        column = pa.chunked_array([pa.array(texts, pa.string())])
    elif pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if own is not None and name in OWN_COLUMNS:
        same = pc.fill_null(pc.equal(column, own), False)
        if pc.any(same).as_py():
            column = pc.if_else(same, "", column)
    if column.null_count:
        codes, values = encode(column.drop_null())
        filled = np.full(len(column), len(values), np.int32)
        filled[pc.is_valid(column).to_numpy()] = codes
        return filled, [*values.to_pylist(), None]
    codes, values = encode(column)
    return codes, values.to_pylist()
