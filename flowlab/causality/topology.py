"""An order of a log's rows in which every cause stands before its effects."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def sort_rows(
    table: pa.Table,
    cause: NDArray[np.int32],
    effect: NDArray[np.int32],
    certain: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the rows with every cause before its effects, and the edges for which that holds.

    Most logs have such an order already: the rows', the positions', or that of time. Where none
    does, the rows are sorted by their edges, the smallest row first.

    Args:
        table: the events, of which positions and times are tried.
        cause: of each edge, the cause's row.
        effect: of each edge, the effect's row.
        certain: edges that are not left out to open a cycle (they have none among themselves).

    Returns:
        All rows in order, and the indices of the edges that are kept: all, unless there is a cycle.
    """
    rows = np.arange(table.num_rows, dtype=np.int32)
    everything = np.arange(len(cause))
    if bool(np.all(cause < effect)):
        return rows, everything
    for name in ("position", "time_ns"):
        order = np.argsort(table.column(name).to_numpy(), kind="stable").astype(np.int32)
        rank = np.empty_like(order)
        rank[order] = rows
        if bool(np.all(rank[cause] < rank[effect])):
            return order, everything
    order = _sorted(table.num_rows, cause, effect)
    if len(order) == table.num_rows:
        return order, everything
    kept = _without_cycles(table.num_rows, order, cause, effect, certain)
    return _sorted(table.num_rows, cause[kept], effect[kept]), kept


def _sorted(size: int, cause: NDArray[np.int32], effect: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the rows that no cycle holds back, causes first, and otherwise as they stand."""
    waiting = np.bincount(effect, minlength=size).tolist()
    start = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(cause, minlength=size), out=start[1:])
    effects = effect[np.argsort(cause, kind="stable")].tolist()
    bounds = start.tolist()
    ready = [row for row in range(size) if not waiting[row]]
    heapify(ready)
    order: list[int] = []
    while ready:
        row = heappop(ready)
        order.append(row)
        for after in effects[bounds[row] : bounds[row + 1]]:
            waiting[after] -= 1
            if not waiting[after]:
                heappush(ready, after)
    return np.array(order, np.int32)


def _without_cycles(
    size: int,
    order: NDArray[np.int32],
    cause: NDArray[np.int32],
    effect: NDArray[np.int32],
    certain: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Return the edges without those inside a cycle's knot, the certain ones kept."""
    free = np.zeros(size, bool)
    free[order] = True
    held = np.flatnonzero(~free[cause] & ~free[effect])
    graph = nx.DiGraph(zip(cause[held].tolist(), effect[held].tolist(), strict=True))
    knot = np.full(size, -1, np.int64)
    for number, rows in enumerate(nx.strongly_connected_components(graph)):
        if len(rows) > 1:
            knot[list(rows)] = number
    inside = (knot[cause] >= 0) & (knot[cause] == knot[effect]) & ~certain
    return np.flatnonzero(~inside)
