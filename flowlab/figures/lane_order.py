"""The order of lanes in which few arrows cross, found by moving one lane at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ARROWS: Final = 600
"""Up to so many arrows crossings are counted; of more, the first so many stand for all."""
_BUDGET: Final = 500_000
"""Pairs of arrows that are looked at before the best order so far is taken."""


def count_crossings(arrows: NDArray[np.float64], rank: NDArray[np.int64]) -> int:
    """Count the pairs of arrows that cross, the lanes standing at their ranks.

    Arrows that meet at an end do not cross.

    Args:
        arrows: a row for each: lane and place of its beginning, lane and place of its end.
        rank: of each lane, from the top.

    Example:
        >>> two = np.array([[0, 0, 1, 9], [1, 0, 0, 9]], float)
        >>> count_crossings(two, np.array([0, 1]))
        1
    """
    return _Pairs(arrows).crossing(rank)


class _Pairs:
    """The pairs of arrows that may cross, whatever the order of lanes: they overlap in place."""

    def __init__(self, arrows: NDArray[np.float64]) -> None:
        low = np.minimum(arrows[:, 1], arrows[:, 3])
        high = np.maximum(arrows[:, 1], arrows[:, 3])
        meet = (low[:, None] <= high) & (low <= high[:, None])
        one, other = np.nonzero(np.triu(meet, 1))
        self.lanes = arrows[:, [0, 2]].astype(np.int64)
        self._one, self._other = one, other
        begin, end = arrows[:, 1], arrows[:, 3]
        self._wide = end[one] - begin[one], end[other] - begin[other]
        self._apart = begin[other] - begin[one]
        self._reach = end[other] - begin[one], end[one] - begin[other]

    def __len__(self) -> int:
        return len(self._one)

    def crossing(self, rank: NDArray[np.int64]) -> int:
        """Count the pairs that cross."""
        y1, y2 = rank[self.lanes].T.astype(float)
        one, other = self._one, self._other
        drop = y1[other] - y1[one]
        # Of each arrow, on which side of it the other's ends lie.
        high_one, high_other = y2[one] - y1[one], y2[other] - y1[other]
        (wide_one, wide_other), (to_end, from_end) = self._wide, self._reach
        a = wide_one * drop - high_one * self._apart
        b = wide_one * (y2[other] - y1[one]) - high_one * to_end
        c = wide_other * -drop + high_other * self._apart
        d = wide_other * (y2[one] - y1[other]) - high_other * from_end
        return int(np.count_nonzero((a * b < 0) & (c * d < 0)))


def order_lanes(
    arrows: Sequence[tuple[int, float, int, float]],
    groups: Sequence[int | None],
    *,
    least_gain: int = 0,
) -> tuple[int, ...]:
    """Return the lanes from the top: never more crossings than as they are given.

    One lane after the other is moved to where the fewest arrows cross, until no move helps; of
    equal places the one nearest to where it was is taken. So the result depends on nothing but
    the arguments.

    Args:
        arrows: (lane, place) of the beginning and of the end of each.
        groups: of each lane; those of one group may change places, one of `None` stays.
        least_gain: crossings that another order must save, and half of them, to be taken: the
            given order says something too.

    Example:
        >>> order_lanes([(0, 0, 2, 1), (3, 0, 1, 1)], [0, 0, 0, 0])
        (1, 3, 2, 0)
    """
    lanes = list(range(len(groups)))
    told = np.array(arrows[:MAX_ARROWS], float).reshape(-1, 4)
    told = told[told[:, 0] != told[:, 2]]
    if len(told) < 2:
        return tuple(lanes)
    told[:, [1, 3]] -= told[:, [1, 3]].min()
    told[:, [1, 3]] /= max(1.0, float(told[:, [1, 3]].max()))
    pairs = _Pairs(told)
    left = max(8, _BUDGET // max(1, len(pairs)))
    best = _cost(pairs, lanes)
    given = best[0]
    if given < least_gain:
        return tuple(lanes)
    improved = True
    while improved and left > 0 and best[0]:
        improved = False
        for lane in range(len(groups)):
            if groups[lane] is None:
                continue
            here = lanes.index(lane)
            places = [p for p, other in enumerate(lanes) if groups[other] == groups[lane]]
            for place in sorted(places, key=lambda p: (abs(p - here), p)):
                if place == here or left <= 0:
                    continue
                moved = _moved(lanes, here, place, groups)
                left -= 1
                cost = _cost(pairs, moved)
                if cost < best:
                    best, lanes, improved = cost, moved, True
                    here = lanes.index(lane)
    if given - best[0] < max(least_gain, given / 2 if least_gain else 0):
        return tuple(range(len(groups)))
    return tuple(lanes)


def _moved(lanes: list[int], here: int, place: int, groups: Sequence[int | None]) -> list[int]:
    """Move a lane within its group; the lanes of other groups keep their places."""
    group = groups[lanes[here]]
    spots = [spot for spot, lane in enumerate(lanes) if groups[lane] == group]
    mine = [lanes[spot] for spot in spots]
    mine.insert(spots.index(place), mine.pop(spots.index(here)))
    moved = list(lanes)
    for spot, lane in zip(spots, mine, strict=True):
        moved[spot] = lane
    return moved


def _cost(pairs: _Pairs, lanes: list[int]) -> tuple[int, float]:
    """Return how many arrows cross, and how far they reach over lanes."""
    rank = np.empty(len(lanes), np.int64)
    rank[lanes] = np.arange(len(lanes))
    reach = np.abs(np.diff(rank[pairs.lanes], axis=1)).sum()
    return pairs.crossing(rank), float(reach)
