"""What answers questions about the order: the index that fits a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from flowlab.causality.blocks import BlockIndex
from flowlab.causality.dense import build_dense, clock_bytes
from flowlab.causality.hubs import build_hubs, find_hubs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.chains import Chains
    from flowlab.causality.graph import CausalGraph
    from flowlab.causality.joins import Joins, Scope

MAX_INDEX_BYTES: Final = 1 << 30
"""Most memory for clocks. A log that would need more is indexed by its hubs, or searched."""


class OrderIndex(Protocol):
    """Answers about rows; a row is never before itself."""

    chains: Chains

    def reaches(self, cause: int, effect: int) -> bool:
        """Say whether one row happened before another."""

    def reaches_many(
        self, cause: NDArray[np.int32], effect: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Say it of many pairs at once."""

    def prefix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain are the row's past or the row itself."""

    def prefixes(self, rows: NDArray[np.int32], out: NDArray[np.int32]) -> None:
        """Write the prefixes of many rows into rows by chains, zeros before."""

    def suffix(self, row: int) -> NDArray[np.int64]:
        """Return how many events of each chain come before its first in the row's future.

        Of the row's own chain, the row itself is counted.
        """

    def past_sizes(self) -> NDArray[np.int64]:
        """Return how many events lie in the past of each.

        Raises:
            LimitError: the log is too large for that.
        """


def build_index(
    graph: CausalGraph, scope: Scope, joins: Joins, *, max_bytes: int = MAX_INDEX_BYTES
) -> OrderIndex:
    """Return clocks over all chains where they fit, else over the hubs, else a search.

    Clocks over all chains take (events that join chains) x (chains) cells. A log of many short
    chains around a few long ones (workflows around agents) needs clocks over the long ones alone.
    """
    if clock_bytes(scope.chains, joins) <= max_bytes:
        return build_dense(scope, joins)
    hubs = find_hubs(graph, scope)
    if hubs is not None and hubs.bytes <= max_bytes:
        return build_hubs(graph, hubs)
    return BlockIndex(graph, scope, joins)
