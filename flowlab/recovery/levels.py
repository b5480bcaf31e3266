"""When to write full snapshots and deltas, and checkpoints of several levels.

Deltas make snapshots cheap and loads dear: a load reads the last full snapshot and every delta
since. Levels are kinds of checkpoints that survive kinds of failures: memory of a neighbour, the
local disk, another site.

Source for levels: Benoit, Cavelan, Le Fevre, Robert and Sun, IEEE Transactions on Computers 66(7),
2017; the law of incremental snapshots is that of `flowlab.recovery.replaying` with a load that
depends on the place among the deltas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.numbers import at_least, positive

_STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class FullAndDeltas:
    """How often to write a snapshot, and how many of them to write in full.

    Args:
        every: events between snapshots (N).
        full_every: each so-manieth snapshot is full (m); 1 is no delta at all.
        cost: expected seconds an event.
        real: N and m as real numbers.
    """

    every: int
    full_every: int
    cost: float
    real: tuple[float, float]

    def __repr__(self) -> str:
        full = "each in full" if self.full_every == 1 else f"one of {self.full_every} in full"
        return f"FullAndDeltas(every {self.every} events, {full}, {self.cost:.6g} s an event)"


def incremental_cost(
    N: float,  # noqa: N803 - the literature's symbols
    m: float,
    *,
    S: float,  # noqa: N803
    dS: float,  # noqa: N803
    L: float,  # noqa: N803
    dL: float,  # noqa: N803
    r: float,
    p: float,
    D: float = 0.0,  # noqa: N803
) -> float:
    """Return the expected seconds an event with a snapshot every N events, each m-th in full.

    (dS + (S - dS)/m)/N + p [D + L + dL (m-1)/2 + r (N-1)/2]: of the snapshots since the last full
    one each number from 0 to m-1 is as likely as the others.

    Args:
        N: events between snapshots.
        m: snapshots between full ones.
        S: seconds to write a full snapshot.
        dS: seconds to write a delta.
        L: seconds to load a full snapshot.
        dL: seconds that each delta adds to a load.
        r: seconds to replay an event.
        p: probability of a recovery at an event.
        D: seconds of downtime before a recovery.

    Example:
        >>> round(incremental_cost(100, 5, S=10, dS=1, L=5, dL=.5, r=.1, p=.001), 6)
        0.03895
    """
    _check(S, dS, L, dL, r, p, D)
    at_least(1, N=N, m=m)
    write = (dS + (S - dS) / m) / N
    return write + p * (D + L + dL * (m - 1) / 2.0 + r * (N - 1) / 2.0)


def best_incremental(
    *,
    S: float,  # noqa: N803
    dS: float,  # noqa: N803
    dL: float,  # noqa: N803
    r: float,
    p: float,
    L: float = 0.0,  # noqa: N803
    D: float = 0.0,  # noqa: N803
) -> FullAndDeltas:
    """Return how often to write a snapshot and how many of them in full, both at once.

    For a given N the best m is sqrt(2 (S - dS) / (p N dL)), and for a given m the best N is
    sqrt(2 (dS + (S - dS)/m) / (p r)); the two are solved together, and of the whole numbers beside
    the solution the best are taken. Where deltas save nothing m is 1.

    Args:
        S: seconds to write a full snapshot.
        dS: seconds to write a delta, at most S.
        dL: seconds that each delta adds to a load.
        r: seconds to replay an event.
        p: probability of a recovery at an event.
        L: seconds to load a full snapshot.
        D: seconds of downtime before a recovery.

    Raises:
        InvalidArgumentError: a number is outside its range, or a delta takes longer than all.

    Example:
        >>> best_incremental(S=10, dS=1, L=5, dL=.5, r=.1, p=.001)
        FullAndDeltas(every 181 events, one of 14 in full, 0.0263266 s an event)
    """
    _check(S, dS, L, dL, r, p, D)
    more = S - dS

    def best_m(n: float) -> float:
        return max(1.0, math.sqrt(2.0 * more / (p * n * dL)))

    def best_n(m: float) -> float:
        return max(1.0, math.sqrt(2.0 * (dS + more / m) / (p * r)))

    # best_n falls where m rises and best_m where n rises: m - best_m(best_n(m)) has one root.
    low, high = 1.0, best_m(1.0)
    for _ in range(_STEPS):
        m = (low + high) / 2.0
        low, high = (m, high) if best_m(best_n(m)) > m else (low, m)
    real = (best_n(high), high)

    def at(n: int, m: int) -> float:
        return incremental_cost(n, m, S=S, dS=dS, L=L, dL=dL, r=r, p=p, D=D)

    # For a whole number of the one the best of the other is beside its real solution.
    pairs = [(n, m) for n in _near(real[0], 2) for m in _near(best_m(n), 0)]
    pairs += [(n, m) for m in _near(real[1], 2) for n in _near(best_n(m), 0)]
    every, full = min(sorted(pairs), key=lambda pair: at(*pair))
    return FullAndDeltas(every, full, at(every, full), real)


def _near(real: float, more: int) -> list[int]:
    """Return the whole numbers from 1 that are beside a real one, and so many more on each side."""
    return list(range(max(1, math.floor(real) - more), math.floor(real) + 2 + more))


def levels_cost(
    intervals: Sequence[float], *, costs: Sequence[float], rates: Sequence[float]
) -> float:
    """Return the first-order overhead of checkpoints of several levels at given intervals.

    The sum over levels of C/T + rate T/2: what is written, and what a failure undoes in the mean.
    It holds where each interval is short against the time between its failures;
    `flowlab.recovery.drawn.simulate_levels` draws what happens beyond.

    Args:
        intervals: seconds of work between checkpoints of each level.
        costs: seconds to write one.
        rates: failures a second that need that level.

    Example:
        >>> round(levels_cost([14.142136, 447.213595], costs=[1, 10], rates=[1e-2, 1e-4]), 6)
        0.186143
    """
    if not len(intervals) == len(costs) == len(rates) or not costs:
        message = (
            f"{len(intervals)} intervals, {len(costs)} costs and {len(rates)} rates are given; "
            "expected one of each for each level"
        )
        raise InvalidArgumentError(message)
    total = 0.0
    for place, (tau, c, rate) in enumerate(zip(intervals, costs, rates, strict=True)):
        named = {f"intervals[{place}]": tau, f"costs[{place}]": c, f"rates[{place}]": rate}
        positive(**named)
        total += c / tau + rate * tau / 2.0
    return total


def _check(  # noqa: PLR0917
    full: float, delta: float, load: float, more: float, replay: float, p: float, down: float
) -> None:
    positive(S=full, dS=delta, dL=more, r=replay, p=p)
    at_least(0.0, L=load, D=down)
    at_least(0.0, **{"1 - p": 1.0 - p})
    if delta > full:
        message = f"dS is {delta!r} and S {full!r}; expected a delta to take at most what all takes"
        raise InvalidArgumentError(message)
