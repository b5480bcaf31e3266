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

    __slots__ = ("_agents", "_found", "_horizon_ns", "_key", "_partitions", "_starts", "_whole")

    def __init__(
        self, partitions: Partitions, key: int, agents: Iterable[str], horizon_ns: int
    ) -> None:
        self._partitions = partitions
        self._key = key
        self._agents = tuple(agents)
        self._horizon_ns = horizon_ns
        self._found: list[PartitionWindow] = []
        self._starts: list[int] = []
        self._whole = False

    def at(self, now_ns: int) -> PartitionWindow | None:
        """Return the window that a time lies in."""
        while not self._whole and (not self._found or self._found[-1].end_ns <= now_ns):
            self._find_next()
        index = bisect_right(self._starts, now_ns) - 1
        if index < 0 or now_ns >= self._found[index].end_ns:
            return None
        return self._found[index]

    def __iter__(self) -> Iterator[PartitionWindow]:
        index = 0
        while True:
            while not self._whole and index >= len(self._found):
                self._find_next()
            if index >= len(self._found):
                return
            yield self._found[index]
            index += 1

    def _find_next(self) -> None:
        index = len(self._found)
        first = index * _DRAWS
        gap = as_distribution(self._partitions.every).draw(uniform(self._key, first + _GAP))
        start = (self._found[-1].end_ns if self._found else 0) + gap
        if index >= self._partitions.most or start >= self._horizon_ns:
            self._whole = True
            return
        lasts = as_distribution(self._partitions.duration)
        end = start + lasts.draw(uniform(self._key, first + _DURATION))
        apart = self._apart(bits(self._key, first + _GROUP))
        self._found.append(PartitionWindow(f"partition:{index + 1}", start, end, apart))
        self._starts.append(start)

    def _apart(self, key: int) -> frozenset[str]:
        share = self._partitions.share
        draws = {agent: uniform(key, key_of(agent)) for agent in self._agents}
        apart = {agent for agent, draw in draws.items() if draw < share}
        if len(draws) > 1 and not apart:
            apart = {min(draws, key=lambda agent: (draws[agent], agent))}
        elif len(draws) > 1 and len(apart) == len(draws):
            apart.remove(max(draws, key=lambda agent: (draws[agent], agent)))
        return frozenset(apart)
