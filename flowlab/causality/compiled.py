"""Loops that are no numpy expression, or one of many passes; compiled where numba is installed."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MIN_COMPILED: Final = 100_000
"""Events from which on compiling pays, if the machine code is not there yet."""

_made: dict[str, Any] = {}


def pays(size: int) -> bool:
    """Say whether machine code is to be used for so many events."""
    return size >= MIN_COMPILED and find_spec("numba") is not None


def _machine_code(function: Callable[..., Any]) -> Any:
    name = function.__name__
    if name not in _made:
        from numba import njit  # noqa: PLC0415 - optional, and slow to load

        try:
            _made[name] = njit(cache=True, nogil=True)(function)
        except RuntimeError:  # there is no folder where the machine code could be kept
            _made[name] = njit(nogil=True)(function)
    return _made[name]


def propagate(
    cells: NDArray[Any],
    start: NDArray[np.int64],
    steps: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    cell: NDArray[np.int64],
    place: NDArray[np.int32],
    *,
    compiled: bool | None = None,
) -> None:
    """Fill clocks: each is the maximum of its base and its source, and knows the source's event.

    Args:
        cells: the clocks one after the other, zeros; filled in place.
        start: where each clock begins among the cells; it ends where the next one begins.
        steps: of each step, the clock that it makes, the one that it starts from (the same, or one
            that is made before), and the one of the event that it learns of.
        cell: of each step, the cell for that event's chain in the clock that it makes.
        place: that event's place in its chain.
        compiled: use machine code; by default where numba is installed and it pays.
    """
    if compiled is None:
        compiled = pays(len(place))
    if compiled:
        _machine_code(_propagate)(cells, np.append(start, len(cells)), steps, cell, place)
        return
    clocks = _views(cells, start)
    flat = memoryview(cells.data)
    maximum = np.maximum
    columns = [column.tolist() for column in (*steps, cell, place)]
    for made, base, source, known, seen in zip(*columns, strict=True):
        maximum(clocks[base], clocks[source], out=clocks[made])
        if flat[known] < seen:  # noqa: PLR1730 - half the time of max()
            flat[known] = seen


def _views(cells: NDArray[Any], start: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Return each clock as a view of its cells; those of one width lie together."""
    ends = np.append(start[1:], len(cells))
    widths = ends - start
    turns = np.flatnonzero(np.diff(widths)) + 1
    bounds = [0, *turns.tolist(), len(start)]
    views: list[NDArray[Any]] = []
    for first, last in pairwise(bounds):
        if last > first:
            views.extend(cells[start[first] : ends[last - 1]].reshape(last - first, -1))
    return views


def _propagate(cells, start, steps, cell, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    # Slices first: a loop over what begins at 0 is one that the compiler makes wide.
    for step in range(len(place)):
        begin, end = start[steps[0][step]], start[steps[0][step] + 1]
        clock = cells[begin:end]
        left = cells[start[steps[1][step]] :][: end - begin]
        right = cells[start[steps[2][step]] :][: end - begin]
        for other in range(len(clock)):
            clock[other] = max(left[other], right[other])
        cells[cell[step]] = max(cells[cell[step]], place[step])


def lanes_in_order(
    lane: NDArray[np.int32], start: NDArray[np.int64], ticks: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
    """Return all rows lane by lane, and the row before each on its lane (-1 for the first).

    None where the rows of a lane do not stand in the order of its ticks.

    Args:
        lane: the code of each row's lane.
        start: where each lane begins, and the end.
        ticks: the lane's tick of each row.
    """
    rows, before = np.empty(len(lane), np.int32), np.empty(len(lane), np.int32)
    good = _machine_code(_lanes_in_order)(lane, start, ticks, rows, before)
    return (rows, before) if good else None


def _lanes_in_order(lane, start, ticks, rows, before):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    free = start.copy()
    for row in range(len(lane)):
        spot = free[lane[row]]
        last = rows[spot - 1] if spot > start[lane[row]] else -1
        if last >= 0 and ticks[last] >= ticks[row]:
            return False
        rows[spot], before[row] = row, last
        free[lane[row]] = spot + 1
    return True


def number_joins(
    chain: NDArray[np.int32], chains: int, cause: NDArray[np.int32], effect: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Number the events that have causes on other chains, of rows in causal order.

    Args:
        chain: the chain of each row.
        chains: how many there are.
        cause: of each edge between chains, the cause's row.
        effect: the effect's row; the edges are sorted by it.

    Returns:
        Of each row, the number of the last such event at or before it on its chain, from 1; of each
        edge, the number of its effect, of what the effect's clock starts from, and of its cause.
    """
    at = np.zeros(len(chain), np.int32)
    made, base, source = (np.empty(len(effect), np.int32) for _ in range(3))
    last, steps = np.zeros(chains, np.int32), (made, base, source)
    _machine_code(_number_joins)(chain, last, cause, effect, at, steps)
    return at, made, base, source


def _number_joins(chain, last, cause, effect, at, steps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    made, base, source = steps
    edge = number = 0
    for row in range(len(chain)):
        if edge < len(effect) and effect[edge] == row:
            number += 1
            previous = last[chain[row]]
            while edge < len(effect) and effect[edge] == row:
                made[edge], base[edge], source[edge] = number, previous, at[cause[edge]]
                previous = number
                edge += 1
            last[chain[row]] = number
        at[row] = last[chain[row]]


def ranges(
    code: NDArray[np.int32], value: NDArray[np.int64], codes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least and the greatest value of each code."""
    low = np.full(codes, np.iinfo(np.int64).max)
    high = np.full(codes, np.iinfo(np.int64).min)
    if pays(len(code)):
        _machine_code(_ranges)(code, value, low, high)
    else:
        np.minimum.at(low, code, value)
        np.maximum.at(high, code, value)
    return low, high


def _ranges(code, value, low, high):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for at in range(len(code)):
        low[code[at]] = min(low[code[at]], value[at])
        high[code[at]] = max(high[code[at]], value[at])
