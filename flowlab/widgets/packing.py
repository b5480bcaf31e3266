"""Columns for the browser: one buffer of aligned arrays, and a directory of what stands where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
KINDS: Final = {"f8": "f64", "i4": "i32", "u4": "u32", "i2": "i16", "u2": "u16", "u1": "u8"}
"""The element types that a page reads without a copy, by numpy's name: theirs."""
_ALIGN: Final = 8


def pack(columns: Columns) -> tuple[dict[str, list[Any]], bytes]:
    """Return the directory, name -> [kind, offset in bytes, elements], and the buffer.

    Example:
        >>> directory, data = pack({"lane": np.array([2, 0], np.int32)})
        >>> directory, len(data)
        ({'lane': ['i32', 0, 2]}, 8)
    """
    directory: dict[str, list[Any]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, column in columns.items():
        array = np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
        directory[name] = [KINDS[array.dtype.str[1:]], offset, len(array)]
        filled = array.nbytes + -array.nbytes % _ALIGN
        parts.append(array.tobytes().ljust(filled, b"\0"))
        offset += filled
    return directory, b"".join(parts)


def texts(values: Sequence[bytes | None]) -> dict[str, NDArray[Any]]:
    """Return texts as bytes in a row and where each ends: the columns `ends` and `bytes`."""
    data = b"".join(value or b"" for value in values)
    ends = np.cumsum([len(value or b"") for value in values], dtype=np.int64).astype(np.uint32)
    return {"ends": ends, "bytes": np.frombuffer(data, np.uint8)}


class Codes:
    """Texts as numbers in the order in which they are first met."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def of(self, text: str) -> int:
        """Return a text's number; -1 for an empty one."""
        return self._codes.setdefault(text, len(self._codes)) if text else -1

    @property
    def values(self) -> list[str]:
        """The texts by number."""
        return list(self._codes)
