"""Cuts: all consistent cuts of one world, counted, and visited one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from flowlab.causality.counting import MAX_CUTS, count_cuts
from flowlab.causality.cuts import Cut
from flowlab.causality.selecting import check_limit
from flowlab.events import counted

if TYPE_CHECKING:
    from flowlab.causality.world_chains import WorldChains


class Cuts:
    """All consistent cuts of one world: its states, as anyone may have seen them.

    `order.cuts()` makes one. Iterating visits each cut once, and holds no more of them than the
    current one: a cut comes before another if it has less of the first chain in which they differ.

    Args:
        home: the world.

    Example:
        >>> from flowlab import EventLog
        >>> cuts = EventLog.from_text("A: a >m | B: b <m").causality.cuts()
        >>> cuts, cuts.count(), [len(cut) for cut in cuts]
        (Cuts(4 events on 2 chains), 7, [0, 1, 1, 2, 2, 3, 4])

    Source: Garg, "Enumerating Global States of a Distributed Computation", PDCS 2003.
    """

    def __init__(self, home: WorldChains) -> None:
        self.home = home

    @property
    def first(self) -> Cut:
        """The empty cut."""
        return Cut(self.home, (0,) * len(self.home))

    @property
    def last(self) -> Cut:
        """The cut of everything."""
        return Cut(self.home, tuple(self.home.lengths.tolist()))

    def count(self, limit: int = MAX_CUTS) -> int | None:
        """Return how many consistent cuts there are, the empty one included; None beyond a limit.

        Equal parts of the world are counted once, so it takes far less time than there are cuts; a
        world with too many is known by its concurrent pairs, or given up at the limit.

        Raises:
            InvalidArgumentError: the limit is no int, or less than 1.
            LimitError: the log is too large for that, and not known to have too many.
        """
        check_limit(limit)
        return count_cuts(self.home, limit)

    def __iter__(self) -> Iterator[Cut]:
        home = self.home
        for counts in _lexical(home):
            yield Cut(home, counts)

    def __repr__(self) -> str:
        events, chains = counted(self.home.size, "event"), counted(len(self.home), "chain")
        return f"Cuts({events} on {chains})"


def _lexical(home: WorldChains) -> Iterator[tuple[int, ...]]:
    """Yield the counts of each consistent cut in lexical order.

    The next one goes on in the last chain that can; the later chains fall back to what that needs.
    """
    width, lengths = len(home), home.lengths.tolist()
    nothing = [0] * width
    counts = nothing.copy()
    here: list[list[int]] = [nothing] * width
    ahead = [home.needs(home.row(chain, 1)).tolist() for chain in range(width)]
    while True:
        yield tuple(counts)
        for chain in reversed(range(width)):
            if counts[chain] == lengths[chain]:
                continue
            needed = ahead[chain]
            if all(needed[other] <= counts[other] for other in range(chain)):
                break
        else:
            return
        counts[chain] += 1
        _go(home, chain, counts, here, ahead)
        for other in range(chain + 1, width):
            least = max(here[earlier][other] for earlier in range(chain + 1))
            if counts[other] != least:
                counts[other] = least
                _go(home, other, counts, here, ahead)


def _go(
    home: WorldChains, chain: int, counts: list[int], here: list[list[int]], ahead: list[list[int]]
) -> None:
    """Look up the clocks of the last event of a chain that is in the cut, and of the next one."""
    count = counts[chain]
    here[chain] = _clock(home, chain, count) if count else [0] * len(counts)
    ahead[chain] = _clock(home, chain, count + 1) if count < home.lengths[chain] else []


def _clock(home: WorldChains, chain: int, place: int) -> list[int]:
    clock: list[int] = np.asarray(home.needs(home.row(chain, place))).tolist()
    return clock
