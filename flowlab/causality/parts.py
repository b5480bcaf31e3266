"""Parts of lanes of which pasts know a beginning: fewer of them, where they grow together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.horizon import Lane

_MOST_TRIED: Final = 16
"""Parts that one more is held against, of each lane."""


def merged(lanes: list[Lane], counts: NDArray[np.int32]) -> tuple[list[Lane], NDArray[np.int32]]:
    """Return fewer parts of lanes with the same counts, of each past and of several together.

    Two parts of one lane grow together if no past knows less than another of the first, and more of
    the second: then of several pasts the one that knows most of both is the same, and it is enough
    to know how much of both together. Parts of which no past knows anything are left out.

    Args:
        lanes: the lane of each part.
        counts: pasts by parts.

    Example:
        >>> lane = ("default", "", "a")
        >>> merged([lane] * 3, np.array([[1, 2, 0], [1, 5, 0], [4, 5, 1]], np.int32))[1].tolist()
        [[3], [6], [10]]
    """
    alike: dict[tuple[Lane, bytes], NDArray[np.int32]] = {}
    for lane, mine in zip(lanes, counts.T, strict=True):
        if mine.any():
            key = lane, np.unique(mine, return_inverse=True)[1].tobytes()
            alike[key] = alike[key] + mine if key in alike else mine
    found: dict[Lane, list[NDArray[np.int32]]] = defaultdict(list)
    for (lane, _), mine in alike.items():
        parts = found[lane]
        for at, other in enumerate(parts[:_MOST_TRIED]):
            if _grow_together(mine, other):
                parts[at] = other + mine
                break
        else:
            parts.append(mine)
    columns = [(lane, part) for lane in sorted(found) for part in found[lane]]
    table = np.array([part for _, part in columns], np.int32).reshape(len(columns), len(counts))
    return [lane for lane, _ in columns], table.T


def _grow_together(one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    order = np.lexsort((other, one))
    return bool(np.all(np.diff(other[order]) >= 0))
