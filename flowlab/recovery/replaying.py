"""When to checkpoint a log that is replayed: nothing is done twice, so the law is its own.

A recovery n events after the last snapshot costs L + r n, and puts the workflow back where it was.
The place of a failure within an interval of N events is uniform, and no work is lost beyond the
replay; therefore N* = sqrt(2 S / (p r)), where Young has the mean time between failures.

Symbols, times in seconds: S to write a snapshot, L to load one, r to replay an event, p the
probability that a recovery (a crash, or a cold load) happens at an event, N events between
snapshots, rate failures a second (lambda), D downtime before a recovery.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.lambert import lambert_w0, one_plus_w0
from flowlab.recovery.numbers import OVERFLOW, at_least, positive

_HALF: Final = 0.5
_NOTHING: Final = 1e-150
_RARE: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Interval:
    """After how many events a snapshot is best written.

    Args:
        n_star: the best number, as a real one.
        n_best: the best whole number.
        cost: expected seconds an event, with it.
    """

    n_star: float
    n_best: int
    cost: float

    def __repr__(self) -> str:
        return f"Interval(every {self.n_best} events, {self.cost:.6g} s an event)"


def recovery_s(x: float, *, rate: float, D: float = 0.0) -> float:  # noqa: N803
    """Return the expected time of a recovery of x seconds that failures strike, too.

    Each failure begins it again after the downtime: (1/rate + D) e^(rate x) - 1/rate, which tends
    to x + D as the rate tends to 0.

    Example:
        >>> round(recovery_s(30, rate=0.01, D=5), 4), recovery_s(30, rate=0, D=5)
        (41.7352, 35.0)
    """
    at_least(0.0, x=x, rate=rate, D=D)
    if rate == 0:
        return float(x + D)
    if rate * x < _NOTHING:
        return float(x + D)
    if rate * x > OVERFLOW:
        return math.inf
    return math.expm1(rate * x) / rate + D * math.exp(rate * x)


def cost(
    N: float,  # noqa: N803
    *,
    S: float,  # noqa: N803
    L: float,  # noqa: N803
    r: float,
    p: float,
    rate: float = 0.0,
    D: float = 0.0,  # noqa: N803
) -> float:
    """Return the expected seconds an event of snapshots and recoveries, one snapshot every N.

    With `rate` 0 a recovery is not interrupted: S/N + p (L + D + r (N-1)/2). Else failures strike
    recoveries at that rate, too.

    Example:
        >>> round(cost(447, S=50, p=.001, L=20, r=.5), 7)
        0.2433568
        >>> round(cost(38.396051, S=10, p=.01, L=5, r=1, rate=.01), 6)
        0.535654
    """
    _check(S=S, L=L, r=r, p=p, rate=rate, D=D)
    at_least(1, N=N)
    if rate == 0:
        return S / N + p * (L + D + r * (N - 1) / 2.0)
    longest = rate * (L + r * (N - 1))
    if longest > OVERFLOW:
        return math.inf
    if longest < _RARE:
        # There the sum below would subtract 1/rate from nearly itself: two terms of its series.
        x = L + r * (N - 1) / 2.0
        square = L * L + L * r * (N - 1) + r * r * (N - 1) * (2.0 * N - 1) / 6.0
        return S / N + p * (D + x + rate * (square / 2.0 + D * x))
    # The mean of recovery_s(L + r n) over n from 0 to N-1, as a geometric sum.
    each = rate * r
    mean = math.exp(each * (N - 1))
    if each >= _NOTHING:
        mean *= math.expm1(-each * N) / (N * math.expm1(-each))
    factor = (1.0 / rate + D) * math.exp(rate * L)
    return S / N + p * (factor * mean - 1.0 / rate)


def best_interval(
    *,
    S: float,  # noqa: N803
    r: float,
    p: float,
    L: float = 0.0,  # noqa: N803
    rate: float = 0.0,
    D: float = 0.0,  # noqa: N803
) -> Interval:
    """Return after how many events a snapshot is best written.

    With `rate` 0: N* = sqrt(2 S / (p r)), whatever L. With failures that strike recoveries, too:
    N* = (1 + W0((S/A - 1)/e)) / (rate r), A = p (1/rate + D) e^(rate L) / (e^(rate r) - 1).

    Raises:
        InvalidArgumentError: S, r or p is not above 0; the others are below 0.

    Example:
        >>> best_interval(S=50, p=.001, L=20, r=.5)
        Interval(every 447 events, 0.243357 s an event)
        >>> round(best_interval(S=10, p=.01, L=5, r=1, rate=.01, D=60).n_star, 6)
        31.121163
    """
    _check(S=S, L=L, r=r, p=p, rate=rate, D=D)
    real = math.sqrt(2.0 * S / (p * r))
    # S / A, in which nothing overflows however long a load is.
    ratio = S * rate * math.expm1(min(rate * r, OVERFLOW)) / (p * (1.0 + rate * D))
    if rate * r > OVERFLOW:
        real = 1.0  # the replay of one event outlasts hundreds of failures
    elif min(ratio, rate * r) >= _NOTHING:  # below, failures interrupt nothing
        real = _one_plus_w0_at(ratio * math.exp(-rate * L)) / (rate * r)
    candidates = sorted({max(1, math.floor(real)), max(1, math.ceil(real))})
    costs = {n: cost(n, S=S, L=L, r=r, p=p, rate=rate, D=D) for n in candidates}
    best = min(candidates, key=lambda n: costs[n])
    return Interval(real, best, costs[best])


def band(interval: Interval, *, tolerance: float = 0.05) -> tuple[float, float]:
    """Return the intervals between which the cost that N changes is within a share of its least.

    That cost is S/N + p r N/2 (recoveries not interrupted); it is even in log N, so the band is
    N*/k to N* k with k + 1/k = 2 (1 + tolerance).

    Example:
        >>> low, high = band(best_interval(S=50, p=.001, L=20, r=.5))
        >>> round(high / 447.2136, 2)
        1.37
    """
    positive(tolerance=tolerance)
    k = 1.0 + tolerance + math.sqrt(tolerance * (2.0 + tolerance))
    return interval.n_star / k, interval.n_star * k


def needs_no_snapshot(events: float, interval: Interval) -> bool:
    """Say whether a workflow is too short to need a snapshot: below about 2 N*.

    That is for a snapshot that is as quick to load as the empty state.

    Example:
        >>> needs_no_snapshot(800, best_interval(S=50, p=.001, L=20, r=.5))
        True
    """
    at_least(0, events=events)
    return events < 2.0 * interval.n_star


def in_time(*, S: float, M: float, rho: float) -> float:  # noqa: N803
    """Return the best interval in seconds of work: sqrt(2 S M / rho); rho = 1 gives Young.

    Args:
        S: seconds to write a snapshot.
        M: mean seconds between recoveries.
        rho: time to replay an event over the time of its first execution.

    Example:
        >>> round(in_time(S=60, M=3600, rho=1), 2), round(in_time(S=60, M=3600, rho=.01), 2)
        (657.27, 6572.67)
    """
    positive(S=S, M=M, rho=rho)
    return math.sqrt(2.0 * S * M / rho)


def rows_read(activities: int, *, hit_ratio: float = 0.0) -> float:
    """Return the history rows that replay at every task reads, for a sequence of activities.

    In a layout of 6 n + 5 rows it reads 3 (n+1)^2 rows without a cache and 6 n + 3 with one (the
    way of Dapr and of Durable Task).

    Args:
        activities: n.
        hit_ratio: share of tasks that a cache serves, if misses are independent.

    Example:
        >>> rows_read(1000), rows_read(1000, hit_ratio=1)
        (3006003.0, 6003.0)
    """
    at_least(0, activities=activities, hit_ratio=hit_ratio)
    if hit_ratio > 1:
        message = f"hit_ratio is {hit_ratio!r}; expected 0 to 1"
        raise InvalidArgumentError(message)
    return (1 - hit_ratio) * 3.0 * (activities + 1) ** 2 + hit_ratio * (6.0 * activities + 3)


def rows_read_with_renewal(activities: int, every: int) -> float:
    """Return the rows that are read where the history begins anew every k activities.

    Example:
        >>> rows_read_with_renewal(1000, 10)
        36300.0
    """
    at_least(1, every=every)
    at_least(0, activities=activities)
    return activities / every * 3.0 * (every + 1) ** 2


def levels_overhead(costs: list[float], rates: list[float]) -> tuple[float, list[float]]:
    """Return the first-order least overhead of several levels of checkpoints, and their intervals.

    Source: Benoit et al., IEEE Transactions on Computers 66(7), 2017: the sum of
    sqrt(2 rate C), at intervals sqrt(2 C / rate).

    Example:
        >>> overhead, intervals = levels_overhead([1, 10], [1e-2, 1e-4])
        >>> round(overhead, 6), [round(value, 3) for value in intervals]
        (0.186143, [14.142, 447.214])
    """
    if len(costs) != len(rates) or not costs:
        message = f"{len(costs)} costs and {len(rates)} rates; expected one of each for each level"
        raise InvalidArgumentError(message)
    for place, (c, rate) in enumerate(zip(costs, rates, strict=True)):
        positive(**{f"costs[{place}]": c, f"rates[{place}]": rate})
    pairs = list(zip(costs, rates, strict=True))
    overhead = sum(math.sqrt(2.0 * rate * c) for c, rate in pairs)
    return overhead, [math.sqrt(2.0 * c / rate) for c, rate in pairs]


def best_full_every(*, S0: float, p_load: float, dL: float) -> float:  # noqa: N803
    """Return after how many incremental snapshots a full one is best: sqrt(2 S0 / (p_load dL)).

    Args:
        S0: seconds to write a full snapshot, beyond what a delta takes.
        p_load: probability of a load at a snapshot.
        dL: seconds that each delta adds to a load.

    Example:
        >>> best_full_every(S0=8, p_load=.01, dL=1)
        40.0
    """
    positive(S0=S0, p_load=p_load, dL=dL)
    return math.sqrt(2.0 * S0 / (p_load * dL))


@dataclass(frozen=True, slots=True)
class CatchUp:
    """When a recovered system is up to date again; a fluid approximation.

    Args:
        back_s: at the failure point, after D + L + r n.
        caught_up_s: with all that arrived meanwhile; infinite where arrivals are too many.
    """

    back_s: float
    caught_up_s: float

    def __repr__(self) -> str:
        return f"CatchUp(back after {self.back_s:g} s, caught up after {self.caught_up_s:g} s)"


def catch_up(
    n: float,
    *,
    L: float,  # noqa: N803
    r: float,
    arrivals: float,
    capacity: float,
    D: float = 0.0,  # noqa: N803
) -> CatchUp:
    """Return when a system is back, and when it has caught up while work keeps arriving.

    A fluid approximation: arrivals and service are rates, and not single events.

    Args:
        n: events since the last snapshot.
        L: seconds to load it.
        r: seconds to replay an event.
        arrivals: a second (a).
        capacity: events a second that can be worked off (mu).
        D: seconds of downtime before.

    Example:
        >>> catch_up(100, L=20, r=.5, arrivals=2, capacity=10)
        CatchUp(back after 70 s, caught up after 87.5 s)
    """
    at_least(0.0, n=n, L=L, r=r, arrivals=arrivals, D=D)
    positive(capacity=capacity)
    back = D + L + r * n
    if arrivals >= capacity:
        return CatchUp(back, math.inf)
    return CatchUp(back, back * capacity / (capacity - arrivals))


def most_events(
    objective_s: float,
    *,
    L: float,  # noqa: N803
    r: float,
    arrivals: float,
    capacity: float,
    D: float = 0.0,  # noqa: N803
) -> float:
    """Return how many events may lie behind the last snapshot to catch up within an objective.

    The recovery time objective x gives n <= (x (mu - a)/mu - D - L) / r; below 0 no interval does.

    Example:
        >>> most_events(87.5, L=20, r=.5, arrivals=2, capacity=10)
        100.0
    """
    at_least(0.0, objective_s=objective_s, L=L, arrivals=arrivals, D=D)
    positive(r=r, capacity=capacity)
    if arrivals >= capacity:
        return -math.inf
    return (objective_s * (capacity - arrivals) / capacity - D - L) / r


def _check(**values: float) -> None:
    positive(**{name: values[name] for name in ("S", "r", "p")})
    at_least(0.0, **{name: values[name] for name in ("L", "rate", "D")})


def _one_plus_w0_at(ratio: float) -> float:
    """Return 1 + W0((ratio - 1)/e); for a small ratio W0(-e^(-1-epsilon)) is accurate."""
    if ratio < _HALF:
        return one_plus_w0(-math.log1p(-ratio))
    return 1.0 + lambert_w0((ratio - 1.0) / math.e)
