"""Loops that are no numpy expression, or one of many passes; compiled where numba is installed."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flowlab.causality.chains import Chains
    from flowlab.causality.joins import Steps

MIN_COMPILED: Final = 100_000
"""Events from which on compiling pays, if the machine code is not there yet."""

_made: dict[str, Any] = {}


def pays(size: int) -> bool:
    """Say whether machine code is to be used for so many events."""
    return size >= MIN_COMPILED and find_spec("numba") is not None


def machine_code(function: Callable[..., Any]) -> Any:
    """Return a function as machine code, made once."""
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
        machine_code(_propagate)(cells, np.append(start, len(cells)), steps, cell, place)
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
    good = machine_code(_lanes_in_order)(lane, start, ticks, rows, before)
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
    # One more than there are edges: what is written there is not an edge's.
    made, base, source = (np.empty(len(effect) + 1, np.int32) for _ in range(3))
    last, steps = np.zeros(chains, np.int32), (made, base, source)
    machine_code(_number_joins)(chain, last, cause, effect, at, steps)
    return at, made[:-1], base[:-1], source[:-1]


def _number_joins(chain, last, cause, effect, at, steps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    made, base, source = steps
    edge = number = 0
    edges = len(effect)
    for row in range(len(chain)):
        previous = last[chain[row]]
        if edge == edges:
            at[row] = previous
            continue
        # Whether a row joins is as good as random: the first edge is written in any case, and
        # counted if it is one, since a branch that is mistaken costs more.
        joins = effect[edge] == row
        number += joins
        made[edge], base[edge], source[edge] = number, previous, at[cause[edge]]
        edge += joins
        while edge < edges and effect[edge] == row:
            made[edge], base[edge], source[edge] = number, number, at[cause[edge]]
            edge += 1
        current = number if joins else previous
        last[chain[row]] = at[row] = current


def ranges(
    code: NDArray[np.int32], value: NDArray[np.int64], codes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least and the greatest value of each code."""
    low = np.full(codes, np.iinfo(np.int64).max)
    high = np.full(codes, np.iinfo(np.int64).min)
    if pays(len(code)):
        machine_code(_ranges)(code, value, low, high)
    else:
        np.minimum.at(low, code, value)
        np.maximum.at(high, code, value)
    return low, high


def _ranges(code, value, low, high):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for at in range(len(code)):
        low[code[at]] = min(low[code[at]], value[at])
        high[code[at]] = max(high[code[at]], value[at])


def fill_places(
    stream: NDArray[np.int32],
    sequence: NDArray[np.int64],
    base: NDArray[np.int64],
    table: NDArray[np.int32],
) -> None:
    """Put each row where its stream and sequence say; of two at one place the first stays.

    Args:
        stream: of each row.
        sequence: of each row.
        base: what is to be added to a stream's sequences.
        table: filled in place.
    """
    machine_code(_fill_places)(stream, sequence, base, table)


def _fill_places(stream, sequence, base, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for back in range(len(stream)):
        row = len(stream) - 1 - back
        table[base[stream[row]] + sequence[row]] = row


def find_places(
    asked: tuple[NDArray[np.int32], NDArray[np.int64]],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    start: NDArray[np.int64],
    table: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Return what a table holds for each stream and sequence that is asked for, -1 for nothing.

    Args:
        asked: streams (-1 for none) and sequences.
        bounds: the least and the greatest sequence of each stream.
        start: where each stream begins in the table.
        table: of all sequences of each stream.
    """
    found = np.empty(len(asked[0]), np.int32)
    machine_code(_find_places)(*asked, *bounds, start, table, found)
    return found


def _find_places(stream, sequence, low, high, start, table, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    for at in range(len(stream)):
        own, wanted = stream[at], sequence[at]
        if own >= 0 and low[own] <= wanted <= high[own]:
            found[at] = table[start[own] + wanted - low[own]]
        else:
            found[at] = -1


def lane_places(
    lane: NDArray[np.int32],
    rows: NDArray[np.int32],
    start: NDArray[np.int64],
    before: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return each row's place in its lane, from 1, and how many rows of a lane follow none on it.

    Args:
        lane: of each row.
        rows: all rows, lane by lane.
        start: where each lane begins among them, and the end.
        before: of each row, the row before it on its lane, -1 if it follows none.
    """
    place, heads = np.empty(len(rows), np.int32), np.zeros(len(start) - 1, np.int64)
    if not machine_code(_places_in_order)(lane, rows, start, before, place, heads):
        heads[:] = 0
        machine_code(_lane_places)(rows, start, before, place, heads)
    return place, heads


def _places_in_order(lane, rows, start, before, place, heads):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    # Row by row, which memory likes better, where the lanes have their rows in that order.
    free = start.copy()
    for row in range(len(lane)):
        own = lane[row]
        spot = free[own]
        if rows[spot] != row:
            return False
        place[row] = spot - start[own] + 1
        free[own] = spot + 1
        if before[row] < 0:
            heads[own] += 1
    return True


def _lane_places(rows, start, before, place, heads):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for lane in range(len(heads)):
        for spot in range(start[lane], start[lane + 1]):
            row = rows[spot]
            place[row] = spot - start[lane] + 1
            if before[row] < 0:
                heads[lane] += 1


def repeated(offsets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the row of each item of lists that lie one after the other.

    Args:
        offsets: where each list begins, and the end.
    """
    rows = np.empty(offsets[-1] - offsets[0] + 1, np.int32)
    machine_code(_repeated)(offsets, rows)
    return rows[:-1]


def _repeated(offsets, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    first = offsets[0]
    for row in range(len(offsets) - 1):
        at, end = offsets[row] - first, offsets[row + 1] - first
        rows[at] = row  # of an empty list too: the next item, or what is cut off, overwrites it
        for more in range(at + 1, end):
            rows[more] = row


def counted(codes: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """Return how often each of so many codes is there."""
    counts = np.zeros(size, np.int64)
    machine_code(_counted)(codes, counts)
    return counts


def _counted(codes, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for at in range(len(codes)):
        counts[codes[at]] += 1


def crossing(
    chain: NDArray[np.int32], cause: NDArray[np.int32], effect: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return of each edge whether it leads from one chain to another."""
    across = np.empty(len(cause), np.bool_)
    machine_code(_crossing)(chain, cause, effect, across)
    return across


def _crossing(chain, cause, effect, across):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for edge in range(len(cause)):
        across[edge] = chain[cause[edge]] != chain[effect[edge]]


def learnt(
    start: NDArray[np.int64], local: NDArray[np.int64], chains: Chains, steps: Steps
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return of each step the cell for what it learns of, and the place that goes there.

    Args:
        start: where each clock begins.
        local: of each chain, its cell in a clock.
        chains: of the events.
        steps: see `Steps`.
    """
    cell, place = np.empty(len(steps.made), np.int64), np.empty(len(steps.made), np.int32)
    known = chains.chain, chains.place
    machine_code(_learnt)(start, local, known, (steps.made, steps.cause), cell, place)
    return cell, place


def _learnt(start, local, known, steps, cell, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    made, cause = steps
    for step in range(len(made)):
        row = cause[step]
        cell[step] = start[made[step]] + local[known[0][row]]
        place[step] = known[1][row]
