"""Clocks of a truncated log that go on from those its horizon remembers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flowlab.causality.graph import CausalGraph
    from flowlab.causality.horizon import BeforeHorizon, HorizonClock, Lane

MAX_PAST_CELLS: Final = 200_000_000
"""Most cells of all that is known of truncated events: different pasts by columns of the horizon.
"""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Resumed:
    """What each row of a truncated log knows of the events that are gone.

    Most rows know what the one before them knew, so each different past is kept once.

    Args:
        code: of each row, the code of what it knows.
        known: of each code, of each column of the horizon, how many events are gone.
        columns: the lane of each column.
        lamport: of each row, its Lamport clock.
    """

    code: NDArray[np.int32]
    known: NDArray[np.int32]
    columns: tuple[Lane, ...]
    lamport: NDArray[np.int32]

    def __repr__(self) -> str:
        return f"Resumed({len(self.code)} events, {len(self.known)} pasts)"

    def of(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return what some rows know: rows by columns."""
        found: NDArray[np.int32] = self.known[self.code[rows]]
        return found

    def of_row(self, row: int) -> dict[str, int]:
        """Return how many events that are gone a row knows, by agent."""
        counts: dict[str, int] = defaultdict(int)
        known = self.known[self.code[row]]
        for column in np.flatnonzero(known).tolist():
            counts[self.columns[column][2]] += int(known[column])
        return counts

    def add_to(self, clocks: NDArray[np.int32], rows: NDArray[np.int32], lanes: list[Lane]) -> None:
        """Add what rows know to their clocks, rows by lanes."""
        place = {lane: number for number, lane in enumerate(lanes)}
        sums = np.zeros((len(self.known), len(lanes)), np.int32)
        for column, lane in enumerate(self.columns):
            if lane in place:  # else all of it is gone, and the clocks have no place for it
                sums[:, place[lane]] += self.known[:, column]
        clocks += sums[self.code[rows]]


def resume(graph: CausalGraph, horizon: BeforeHorizon) -> Resumed | None:
    """Return what the rows know of the events that are gone; None where the horizon has no clocks.

    Raises:
        LimitError: that has more than `MAX_PAST_CELLS`.
    """
    if not horizon.resumes:
        return None
    pasts = Pasts(len(horizon.columns))
    into, causes = graph.into.tolist(), graph.cause.tolist()
    learnt = defaultdict(list)
    for row, event in graph.over:
        if event.clock is not None:
            learnt[row].append((pasts.code(pasts.of_clock(event.clock)), event.clock.lamport))
    code, lamport = [0] * graph.size, [0] * graph.size
    for row in graph.order.tolist():
        known = deepest = 0
        for edge in range(into[row], into[row + 1]):
            cause = causes[edge]
            if code[cause] != known:
                known = pasts.joined(known, code[cause])
            if lamport[cause] > deepest:  # noqa: PLR1730 - half the time of max()
                deepest = lamport[cause]
        for other, depth in learnt.get(row, ()):
            known = pasts.joined(known, other)
            deepest = max(deepest, depth)
        code[row], lamport[row] = known, deepest + 1
    return Resumed(
        np.array(code, np.int32), pasts.table(), horizon.columns, np.array(lamport, np.int32)
    )


def dense(clocks: Sequence[HorizonClock], width: int) -> NDArray[np.int32]:
    """Return the counts of clocks: clocks by columns."""
    counts = np.zeros((len(clocks), width), np.int32)
    for row, clock in enumerate(clocks):
        for column, count in clock.counts:
            counts[row, column] = count
    return counts


class Pasts:
    """Different pasts by number, and of two the number of both together; 0 is to know nothing.

    Args:
        width: of each.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._known: list[NDArray[np.int32]] = []
        self._codes: dict[bytes, int] = {}
        self._joined: dict[tuple[int, int], int] = {}
        self.code(np.zeros(width, np.int32))

    def __repr__(self) -> str:
        return f"Pasts({len(self._known)})"

    def of_clock(self, clock: HorizonClock) -> NDArray[np.int32]:
        """Return what a truncated event knew."""
        found: NDArray[np.int32] = dense([clock], self.width)[0]
        return found

    def code(self, known: NDArray[np.int32]) -> int:
        """Return the number of a past.

        Raises:
            LimitError: there would be more than `MAX_PAST_CELLS`.
        """
        found = self._codes.setdefault(known.tobytes(), len(self._known))
        if found == len(self._known):
            self._known.append(known)
            if len(self._known) * self.width > MAX_PAST_CELLS:
                message = (
                    f"what the log's events know of truncated ones has more than "
                    f"MAX_PAST_CELLS={MAX_PAST_CELLS} cells ({self.width} parts of lanes); "
                    "order a part of the log without its horizon"
                )
                raise LimitError(message)
        return found

    def joined(self, one: int, other: int) -> int:
        """Return the number of two pasts together."""
        if not one or one == other:
            return other
        key = (one, other) if one < other else (other, one)
        found = self._joined.get(key)
        if found is None:
            known = np.maximum(self._known[one], self._known[other])
            found = self._joined[key] = self.code(known)
        return found

    def table(self) -> NDArray[np.int32]:
        """Return all pasts, by number."""
        return np.array(self._known, np.int32).reshape(len(self._known), self.width)
