"""Logical clocks of a log's events, as they are written beside them and as they are marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.causality import CausalOrder
from flowlab.events import EventLog
from flowlab.figures.emphasis import event_id
from flowlab.figures.text import clean, ellipsize
from flowlab.figures.window import LaneKey, Window, choose_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS: Final = ("none", "lamport", "vector", "blank")
MAX_PLACES: Final = 10
"""Lanes up to which a vector is written whole, as [2,0,1]; of more, as {a:2,c:1}."""
_NAME_SIZE: Final = 10.0
_NAME_ROOM: Final = 60.0
_ROOM: Final = 150.0

Clock = int | tuple[int, ...]
"""A Lamport clock, or a vector in the order of the lanes."""


@dataclass(frozen=True, slots=True, eq=False)
class Clocks:
    """The clocks of every event of a log.

    A lane's place of a vector counts that lane's events in the causal past, the event itself
    included: for a sequential agent that is the textbook's clock, and it is exact for others too.
    A Lamport clock is the length of the longest chain of causes that ends there.

    Args:
        order: the causal order.
        lanes: the lanes, as a picture of the log has them from the top.
        number: of each row, its number on a worksheet: lane by lane, from 1.
        code: of each lane, its code in the order's graph.
    """

    order: CausalOrder
    lanes: tuple[LaneKey, ...]
    number: NDArray[np.int64]
    code: NDArray[np.int64]

    def lamport(self, row: int) -> int:
        """Return a row's Lamport clock."""
        return int(self.order.lamport[row])

    def vector(self, row: int) -> tuple[int, ...]:
        """Return a row's vector clock, in the order of the lanes of its world."""
        counts = self.order.vector_clocks([row])[0]
        return tuple(int(counts[code]) for code in self._codes(row))

    def lanes_of(self, row: int) -> tuple[LaneKey, ...]:
        """Return the lanes that a row's vector counts: those of its world."""
        world = self.order.graph.worlds[self.order.graph.world[row]]
        return tuple(key for key in self.lanes if key[:2] == world)

    def _codes(self, row: int) -> list[int]:
        own = set(self.lanes_of(row))
        return [int(c) for key, c in zip(self.lanes, self.code, strict=True) if key in own]

    def clock(self, row: int, kind: str) -> Clock:
        """Return a row's clock of a kind."""
        return self.lamport(row) if kind == "lamport" else self.vector(row)

    def text(self, row: int, kind: str) -> str:
        """Write a row's clock as a picture shows it; on a worksheet, the number of its box."""
        if kind == "blank":
            return str(self.number[row])
        if kind == "lamport":
            return str(self.lamport(row))
        return vector_text(self.vector(row), [key[2] for key in self.lanes_of(row)])


def vector_text(vector: Sequence[int], names: Sequence[str]) -> str:
    """Write a vector clock: whole for few lanes, else by name.

    Example:
        >>> vector_text((2, 0, 1), "abc"), vector_text((2, *[0] * 9, 1), "abcdefghijk")
        ('[2,0,1]', '{a:2, k:1}')
    """
    if len(names) <= MAX_PLACES:
        return f"[{','.join(map(str, vector))}]"
    some = [
        f"{ellipsize(clean(name), _NAME_SIZE, _NAME_ROOM)}:{count}"
        for name, count in zip(names, vector, strict=True)
        if count
    ]
    return ellipsize("{" + ", ".join(some) + "}", _NAME_SIZE, _ROOM)


def read_clocks(order: CausalOrder) -> Clocks:
    """Read the clocks of a log's events.

    Example:
        >>> log = EventLog.from_text("a: a1 a2>m | b: b1 b2<m")
        >>> clocks = read_clocks(CausalOrder(log))
        >>> [clocks.text(row, "vector") for row in range(4)]
        ['[1,0]', '[0,1]', '[2,0]', '[2,2]']
    """
    graph = order.graph
    lanes = all_lanes(order.log)
    code_of: Mapping[LaneKey, int] = {
        (*graph.worlds[world], name): code
        for code, (world, name) in enumerate(
            zip(graph.lanes.world.tolist(), graph.lanes.ids, strict=True)
        )
    }
    code = np.array([code_of[key] for key in lanes], np.int64)
    number = np.zeros(graph.size, np.int64)
    begin = 1
    for lane in code:
        rows = graph.lane_rows[graph.lane_start[lane] : graph.lane_start[lane + 1]]
        number[rows] = np.arange(begin, begin + len(rows))
        begin += len(rows)
    return Clocks(order, lanes, number, code)


def all_lanes(log: EventLog) -> tuple[LaneKey, ...]:
    """Return every lane of a log in the order in which a picture has them."""
    most = len(log.table) + 1
    window = choose_window(log, axis="depth", lanes="given", detail="all", limit=1, max_lanes=most)
    return window.lanes


def clock_texts(clocks: Clocks, window: Window, kind: str) -> dict[int, str]:
    """Return what stands beside the visible rows of a window."""
    rows = {event_id(clocks.order, row): row for row in range(clocks.order.graph.size - 1, -1, -1)}
    return {
        place: clocks.text(rows[event.id], kind)
        for place, event in enumerate(window.events)
        if window.visible[place]
    }
