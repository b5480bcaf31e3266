"""How many consistent cuts a world has: exactly, without visiting each of them.

A box is what one choice for some chains leaves to the others: a least and a greatest consistent
cut. Fixing how much of a chain is in the cut parts a box into one for each possibility; what is
left to the other chains is often the same, and equal boxes are counted together. So lanes that are
independent multiply, phases that follow each other add up, and only what is really entangled costs
time. Of the last chain, the possibilities are counted and not made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.world_chains import WorldChains

MAX_CUTS: Final = 10_000_000
"""Most consistent cuts that are counted by default; beyond it the count is None."""
MAX_BOX_CELLS: Final = 4_000_000
"""So many cells of boxes are parted at once."""
_EXACT: Final = 2**31
"""Below it products of a limit and a length are exact in 64 bits."""


class _TooMany(Exception):  # noqa: N818 - no error: it ends the count
    """There are more than the limit."""


def count_cuts(home: WorldChains, limit: int) -> int | None:
    """Return how many consistent cuts there are, the empty one included; None beyond a limit."""
    if _least(home) > limit:
        return None
    try:
        return _Counter(home, limit).count()
    except _TooMany:
        return None


def _least(home: WorldChains) -> int:
    """Return how many there are at least.

    An antichain is the frontier of a cut, and each of its subsets is too.
    """
    size = home.size
    if not size:
        return 1
    order = home.order
    _, level = np.unique(order.depth[home.rows], return_counts=True)
    alike = 1 << int(level.max())
    if len(order.graph.worlds) > 1:
        return max(size + 1, alike)
    return max(size + 1 + order.concurrent_pairs, alike)


@dataclass(slots=True)
class _Boxes:
    """Boxes over the chains that are still open, and how often each of them counts."""

    low: NDArray[np.int32]
    high: NDArray[np.int32]
    times: NDArray[np.int64]

    def merged(self) -> _Boxes:
        """Return the boxes with equal ones counted together."""
        if len(self.times) < 2:  # noqa: PLR2004
            return self
        both = np.ascontiguousarray(np.hstack([self.low, self.high]))
        keys = both.view(np.dtype((np.void, both.dtype.itemsize * both.shape[1]))).reshape(-1)
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        times = np.zeros(len(first), self.times.dtype)
        np.add.at(times, inverse, self.times)
        return _Boxes(self.low[first], self.high[first], times)

    def split(self, rows: int) -> list[_Boxes]:
        """Return them in pieces of at most so many."""
        cuts = range(0, len(self.times), max(rows, 1))
        return [
            _Boxes(self.low[at : at + rows], self.high[at : at + rows], self.times[at : at + rows])
            for at in cuts
        ]


class _Counter:
    """Parts boxes, chain by chain, and adds up."""

    def __init__(self, home: WorldChains, limit: int) -> None:
        self.limit = limit
        lengths = home.lengths
        # The shortest first: they make few boxes, and the longest is not parted at all.
        self.turn = np.argsort(lengths, kind="stable")
        self.lengths = lengths[self.turn]
        needs = home.table()[:, self.turn]
        # Of each chain its places from 0, where nothing is needed, to its end.
        self.needs = [
            np.vstack([np.zeros((1, len(home)), np.int32), needs[begin : begin + length]])
            for begin, length in zip(
                home.starts[self.turn].tolist(), self.lengths.tolist(), strict=True
            )
        ]
        self.allows = [self._allowed(chain) for chain in range(len(home))]
        self.number = object if limit >= _EXACT else np.int64
        self.total = 0

    def _allowed(self, chain: int) -> NDArray[np.int32]:
        """Return of each place, how much of every chain does not need more of this one."""
        places = np.arange(int(self.lengths[chain]) + 1)
        columns = [
            np.searchsorted(self.needs[other][:, chain], places, side="right") - 1
            for other in range(len(self.needs))
        ]
        return np.stack(columns, axis=1).astype(np.int32)

    def count(self) -> int:
        """Return the number.

        Raises:
            _TooMany: it is beyond the limit.
        """
        width = len(self.lengths)
        if not width:
            return 1
        low = np.zeros((1, width), np.int32)
        high = self.lengths.astype(np.int32).reshape(1, -1)
        times = np.ones(1, self.number)
        stack = [(0, _Boxes(low, high, times))]
        while stack:
            chain, boxes = stack.pop()
            self._check(boxes, stack)
            if chain == width - 1:
                sizes = (boxes.high[:, 0] - boxes.low[:, 0] + 1).astype(self.number)
                self.total += int((sizes * boxes.times).sum())
                self._check(None, stack)
                continue
            pieces = int((boxes.high[:, 0] - boxes.low[:, 0] + 1).sum())
            room = MAX_BOX_CELLS // (width - chain)
            if pieces > room and len(boxes.times) > 1:
                most = max(len(boxes.times) * room // pieces, 1)
                most = min(most, len(boxes.times) - 1)
                stack += [(chain, piece) for piece in boxes.split(most)]
                continue
            stack.append((chain + 1, self._parted(boxes, chain)))
        return self.total

    def _parted(self, boxes: _Boxes, chain: int) -> _Boxes:
        """Fix how much of a chain is in the cut, and return what that leaves to the later ones."""
        sizes = boxes.high[:, 0] - boxes.low[:, 0] + 1
        source = np.repeat(np.arange(len(sizes)), sizes)
        ends = np.cumsum(sizes)
        place = np.arange(int(ends[-1])) - np.repeat(ends - sizes, sizes) + boxes.low[source, 0]
        low = np.maximum(boxes.low[source, 1:], self.needs[chain][place, chain + 1 :])
        high = np.minimum(boxes.high[source, 1:], self.allows[chain][place, chain + 1 :])
        return _Boxes(low, high, boxes.times[source]).merged()

    def _check(self, boxes: _Boxes | None, stack: list[tuple[int, _Boxes]]) -> None:
        """Give up once what is counted and what each open box has at least is too much."""
        least = self.total + sum(int(open_.times.sum()) for _, open_ in stack)
        if boxes is not None:
            spans = (boxes.high - boxes.low).sum(axis=1, dtype=np.int64) + 1
            least += int((spans.astype(self.number) * boxes.times).sum())
        if least > self.limit:
            raise _TooMany
