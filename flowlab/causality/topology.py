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
    before: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the rows with every cause before its effects, and the edges for which that holds.

    Most logs have such an order already: the rows', the positions', or that of time. Where none
    does, the rows are sorted by their edges, the smallest row first.

    Args:
        table: the events, of which positions and times are tried.
        cause: of each edge, the cause's row.
        effect: of each edge, the effect's row.
        before: of each row, one that stands before it in any case, or -1; these have no cycle.

    Returns:
        All rows in order, and which edges are kept: all, unless there is a cycle.
    """
    rows = np.arange(table.num_rows, dtype=np.int32)
    everything = np.ones(len(cause), bool)
    if bool(np.all(cause < effect)) and bool(np.all(before < rows)):
        return rows, everything
    follows = np.flatnonzero(before >= 0).astype(np.int32)
    first, second = before[follows], follows
    for name in ("position", "time_ns"):
        order = np.argsort(table.column(name).to_numpy(), kind="stable").astype(np.int32)
        rank = np.empty_like(order)
        rank[order] = rows
        if bool(np.all(rank[cause] < rank[effect])) and bool(np.all(rank[first] < rank[second])):
            return order, everything
    every = np.concatenate([cause, first]), np.concatenate([effect, second])
    order = _sorted(table.num_rows, *every)
    if len(order) == table.num_rows:
        return order, everything
    kept = ~_inside_knots(table.num_rows, order, *every)
    kept[len(cause) :] = True
    return _sorted(table.num_rows, every[0][kept], every[1][kept]), kept[: len(cause)]


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


def _inside_knots(
    size: int, order: NDArray[np.int32], cause: NDArray[np.int32], effect: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return which edges lie between events that are each before the other."""
    free = np.zeros(size, bool)
    free[order] = True
    held = np.flatnonzero(~free[cause] & ~free[effect])
    graph = nx.DiGraph(zip(cause[held].tolist(), effect[held].tolist(), strict=True))
    knot = np.full(size, -1, np.int64)
    for number, rows in enumerate(nx.strongly_connected_components(graph)):
        if len(rows) > 1:
            knot[list(rows)] = number
    inside: NDArray[np.bool_] = (knot[cause] >= 0) & (knot[cause] == knot[effect])
    return inside
