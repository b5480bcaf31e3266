"""When the network of a run is cut, and between whom: found as time goes on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from flowlab.simulation.distribution import as_distribution
from flowlab.simulation.draws import bits, key_of, uniform
from flowlab.simulation.faults import Partitions
from flowlab.simulation.injection import PartitionWindow

_GAP: Final = 0
_DURATION: Final = 1
_GROUP: Final = 2
_DRAWS: Final = 3

EVER: Final = range(1 << 63)
"""All times."""


class PartitionWindows:
    """The windows of a run, each a pure function of its number; they never overlap.

    The windows so far are kept, and found only when they are asked for.

    Args:
        partitions: how often, for how long.
        key: of the run's partitions.
        agents: who is divided. One agent more moves no other to another side, unless all were on
            one side otherwise: then the one that was nearest to the other is alone there.
        horizon_ns: no window begins at or after it.

    Example:
        >>> windows = PartitionWindows(Partitions(every=5, duration=2), 7, ["a", "b"], 20)
        >>> [(window.start_ns, window.end_ns) for window in windows]
        [(5, 7), (12, 14), (19, 21)]
        >>> windows.at(13).fault_id
        'partition:2'
    """

    __slots__ = ("_agents", "_found", "_horizon_ns", "_key", "_next_ns", "_partitions", "_starts")

    def __init__(
        self, partitions: Partitions, key: int, agents: Iterable[str], horizon_ns: int
    ) -> None:
        self._partitions = partitions
        self._key = key
        self._agents = tuple(agents)
        self._horizon_ns = horizon_ns
        self._found: list[PartitionWindow] = []
        self._starts: list[int] = []
        self._next_ns = self._next()

    def at(self, now_ns: int) -> PartitionWindow | None:
        """Return the window that a time lies in."""
        while self._next_ns <= now_ns:
            self._find_next()
        index = bisect_right(self._starts, now_ns) - 1
        if index < 0 or now_ns >= self._found[index].end_ns:
            return None
        return self._found[index]

    def around(self, now_ns: int) -> range:
        """Return the times about one that lies in no window, up to the next."""
        index = bisect_right(self._starts, now_ns)
        begins = self._found[index - 1].end_ns if index else 0
        ends = self._starts[index] if index < len(self._starts) else self._next_ns
        return range(begins, ends)

    def __iter__(self) -> Iterator[PartitionWindow]:
        index = 0
        while True:
            if index == len(self._found):
                if self._next_ns == EVER.stop:
                    return
                self._find_next()
            yield self._found[index]
            index += 1

    def _next(self) -> int:
        """Return when the next window begins; the end of time if there is none."""
        index = len(self._found)
        gap = as_distribution(self._partitions.every).draw(
            uniform(self._key, index * _DRAWS + _GAP)
        )
        start = (self._found[-1].end_ns if self._found else 0) + gap
        is_last = index >= self._partitions.most or start >= self._horizon_ns
        return EVER.stop if is_last else start

    def _find_next(self) -> None:
        first, start = len(self._found) * _DRAWS, self._next_ns
        lasts = as_distribution(self._partitions.duration)
        end = start + lasts.draw(uniform(self._key, first + _DURATION))
        apart = self._apart(bits(self._key, first + _GROUP))
        name = f"partition:{len(self._found) + 1}"
        self._found.append(PartitionWindow(name, start, end, apart))
        self._starts.append(start)
        self._next_ns = self._next()

    def _apart(self, key: int) -> frozenset[str]:
        share = self._partitions.share
        draws = {agent: uniform(key, key_of(agent)) for agent in self._agents}
        apart = {agent for agent, draw in draws.items() if draw < share}
        if len(draws) > 1 and not apart:
            apart = {min(draws, key=lambda agent: (draws[agent], agent))}
        elif len(draws) > 1 and len(apart) == len(draws):
            apart.remove(max(draws, key=lambda agent: (draws[agent], agent)))
        return frozenset(apart)
