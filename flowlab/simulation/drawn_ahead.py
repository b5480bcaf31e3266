"""What the worlds of a batch draw for their calls, drawn for all of them together.

They differ by their seeds, and most of their calls have the same keys. So the draws of a key are
made for every seed at once, by numpy: they are the ones that each world would have made alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.simulation.distribution import Distribution, Uniform
from flowlab.simulation.draws import UNIT, keys_of, many_bits, many_following
from flowlab.simulation.fault_source import (
    EVERY_RISK,
    FIELD,
    FIELDS,
    HOSTED,
    REPLY,
    REQUEST,
    RISK_NAMES,
    WORK,
    live_in,
)
from flowlab.workflow import as_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.simulation.faults import Faults
    from flowlab.simulation.network import Network

Drawn = tuple[int, int, float, int]
"""Of a call: how long request and answer are on their way, the number for its service, its risks.
"""

USUAL: Final = 3
"""A key is drawn for all worlds once it is asked for so many times: most are by nearly all."""
MOST_DRAWN: Final = 200_000
"""So many calls of all worlds together are drawn ahead, and no more: they take 30 MB."""
MOST_COUNTED: Final = 20_000
"""So many keys are counted: where no two worlds have the same, there is no end of them."""

_RISKS: Final = (
    (0, REQUEST, ("loss", "duplicate", "reorder")),
    (1, REPLY, ("loss", "duplicate", "reorder")),
    (2, WORK, ("crash", "hang", "fail")),
    (3, WORK, ("slow",)),
    (4, HOSTED, ("host_crash",)),
)
"""As `FaultSource.risks` reads the draws: the place of one, the risk, and the kinds by field."""
_LOOKED_AT: Final = [
    (place, shift, risk, kind)
    for place, risk, kinds in _RISKS
    for shift, kind in zip(FIELDS, kinds, strict=False)
]
_PLACES: Final = [place for place, *_ in _LOOKED_AT]
_SHIFTS: Final = np.array([[shift] for _, shift, _, _ in _LOOKED_AT], np.uint64)
_WEIGHTS: Final = np.array([[risk] for _, _, risk, _ in _LOOKED_AT], np.uint8)


class DrawnAhead:
    """The draws of the worlds of a batch.

    Args:
        seeds: of the worlds.
        faults: what may go wrong in them.
        network: how long messages take. Where links differ nothing is drawn ahead: only the world
            knows between whom a message goes.

    Attributes:
        keys: of each world: that of its latencies, of its service times and of its faults, and the
            ones of `RISK_NAMES`; without faults the first two.
        known: key of a call -> its draws in each world, as far as they are drawn.
    """

    __slots__ = ("_asked", "_below", "_lanes", "_latency", "keys", "known")

    def __init__(self, seeds: Sequence[int], faults: Faults, network: Network) -> None:
        names = ("latency", "service", "faults") if faults.kinds else ("latency", "service")
        found = np.array([keys_of(seed, names) for seed in seeds], np.uint64).T
        keys = list(found)
        lanes = [found[0], many_following(found[0]), found[1]]
        self._below: NDArray[np.uint64] | None = None
        if faults.kinds:
            transit, *others = risky = [many_bits(found[2], name) for name in RISK_NAMES]
            keys += risky
            lanes += [transit, many_following(transit), *others]
            below = [
                live_in(faults, found[2], kind) * np.uint64(faults.thresholds[kind])
                for *_, kind in _LOOKED_AT
            ]
            self._below = np.stack(below)
        self._lanes = np.stack(lanes)
        self._latency = None if network.links else network.usual
        self._asked: dict[int, int] = {}
        self.keys: list[tuple[int, ...]] = list(zip(*(each.tolist() for each in keys), strict=True))
        self.known: dict[int, list[Drawn]] = {}

    def __repr__(self) -> str:
        return f"DrawnAhead({len(self.keys)} worlds, {len(self.known)} calls)"

    def of_call(self, key: int) -> list[Drawn] | None:
        """Return the draws of a call that is not known, in each world; None where few ask."""
        asked, latency = self._asked, self._latency
        count = asked.get(key, 0) + 1
        full = (len(self.known) + 1) * len(self.keys) > MOST_DRAWN
        if count < USUAL or full or latency is None:
            if len(asked) < MOST_COUNTED:
                asked[key] = count
            return None
        draws = many_bits(self._lanes, key)
        there, back, work = (draws[:3] >> np.uint64(11)) * UNIT
        below = self._below
        risks = repeat(EVERY_RISK) if below is None else _risks(draws[3:], below)
        request_ns, reply_ns = _durations(latency, there), _durations(latency, back)
        # Of what never ends, as many as there are worlds.
        found = list(zip(request_ns, reply_ns, work.tolist(), risks, strict=False))
        self.known[key] = found
        return found


def _durations(latency: Distribution, numbers: NDArray[np.float64]) -> list[int]:
    """Return what a distribution draws at each of many numbers."""
    if not isinstance(latency, Uniform):
        return [latency.draw(number) for number in numbers.tolist()]
    low, high = as_ns(latency.low, "low"), as_ns(latency.high, "high")
    durations: list[int] = (low + (numbers * (high - low + 1)).astype(np.int64)).tolist()
    return durations


def _risks(draws: NDArray[np.uint64], below: NDArray[np.uint64]) -> list[int]:
    """Return what `FaultSource.risks` says of a call in each world."""
    fields = draws[_PLACES] >> _SHIFTS & np.uint64(FIELD)
    risks: list[int] = np.bitwise_or.reduce((fields < below) * _WEIGHTS).tolist()
    return risks
