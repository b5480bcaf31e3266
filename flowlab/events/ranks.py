"""Strings as integers that sort as the strings do: by code point, whatever the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rank_strings(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Return each row's rank among the column's distinct values by code point, and the values.

    Example:
        >>> ranks, values = rank_strings(pa.chunked_array([["b", "a", "b"]]))
        >>> ranks.tolist(), values
        ([1, 0, 1], ['a', 'b'])
    """
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    values = encoded.dictionary.take(pa.array(order)).to_pylist()
    codes: NDArray[np.int64] = ranks[encoded.indices.to_numpy()]
    return codes, values
