"""The one loop that cannot be a numpy expression; compiled where numba is installed."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_COMPILED: Final = 100_000
"""Steps from which on compiling pays, if the machine code is not there yet."""

_made: dict[str, Any] = {}


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
        compiled = len(place) >= MIN_COMPILED and find_spec("numba") is not None
    if compiled:
        _machine_code()(cells, np.append(start, len(cells)), steps, cell, place)
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


def _machine_code() -> Any:
    if "propagate" not in _made:
        from numba import njit  # noqa: PLC0415 - optional, and slow to load

        _made["propagate"] = njit(cache=True, nogil=True)(_propagate)
    return _made["propagate"]


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
