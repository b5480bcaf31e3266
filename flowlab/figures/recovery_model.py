"""What each scheme of recovery costs, as numbers for a picture: the law with a case's numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final, Protocol

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.replaying import best_interval, cost, needs_no_snapshot, rows_read
from flowlab.recovery.valley import lowest

SCHEMES: Final = ("replay", "checkpoint", "incremental", "cache", "every_task")
"""The schemes that are drawn, in their order; the first and the last have no interval."""
TOLERANCE: Final = 0.05
"""Share by which what N changes may be above its least within the band."""
_TOO_LONG: Final = 600.0
"""Failures that strike one recovery from which on its time is no number any more."""
_MOST: Final = 1e15
_ROUNDS: Final = 120
_POSITIVE: Final = frozenset("S r p history capacity".split())


class _Prices(Protocol):
    @property
    def snapshot_s(self) -> float: ...

    @property
    def load_s(self) -> float: ...

    @property
    def replay_s(self) -> float: ...


class _Seen(Protocol):
    @property
    def longest(self) -> int: ...

    @property
    def events_per_s(self) -> float | None: ...


class Recommended(Protocol):
    """What `flowlab.recovery.recommend` answers, as far as a picture needs it."""

    @property
    def costs(self) -> _Prices:
        """Of a checkpoint, a load and the replay of an event."""

    @property
    def observed(self) -> _Seen:
        """What the log tells."""

    @property
    def p(self) -> float | None:
        """Probability of a recovery at an event."""

    @property
    def mean_s(self) -> float | None:
        """Mean seconds between failures."""

    @property
    def downtime_s(self) -> float:
        """Before a recovery."""

    @property
    def interrupted(self) -> object:
        """The law in which failures strike recoveries, too, or None."""


@dataclass(frozen=True, slots=True)
class RecoveryCosts:
    """What recovery costs in a case: the symbols of `flowlab.recovery.replaying`, and a few more.

    Args:
        S: seconds to write a checkpoint of the empty state.
        L: seconds to load one.
        r: seconds to replay an event.
        p: probability that a recovery happens at an event.
        rate: failures a second that strike recoveries, too (lambda).
        D: seconds of downtime before a recovery.
        growth: seconds by which each event of the history lengthens writing and loading.
        history: events of a whole history.
        arrivals: events a second that arrive (a).
        capacity: events a second that can be worked off (mu).
        hit_ratio: share of recoveries that a live cache serves, from 0, below 1.
        delta: time of an incremental checkpoint, as a share of a full one's, above 0, at most 1.

    Raises:
        InvalidArgumentError: a number is not finite or out of its range.

    Example:
        >>> RecoveryCosts(S=50, L=20, r=.5, p=.001)
        RecoveryCosts(S=50, L=20, r=0.5, p=0.001, history=10000)
    """

    S: float
    L: float
    r: float
    p: float
    rate: float = 0.0
    D: float = 0.0
    growth: float = 0.0
    history: float = 10_000
    arrivals: float = 2.0
    capacity: float = 10.0
    hit_ratio: float = 0.9
    delta: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not 0 <= value < math.inf:
                wrong = "a finite number of at least 0"
            elif field.name in _POSITIVE and value == 0:
                wrong = "a number above 0"
            elif field.name in {"p", "delta"} and not 0 < value <= 1:
                wrong = "a number above 0, at most 1"
            elif field.name == "history" and value < 1:
                wrong = "at least 1 event"
            elif field.name == "hit_ratio" and value >= 1:
                wrong = "a share from 0, below 1: a cache that always hits leaves no law"
            else:
                continue
            message = f"{field.name} is {value!r}; expected {wrong}"
            raise InvalidArgumentError(message)

    def __repr__(self) -> str:
        said = ["S", "L", "r", "p", "history"]
        base = {field.name: field.default for field in fields(self)}
        said += [n for n in base if n not in said and getattr(self, n) != base[n]]
        return f"RecoveryCosts({', '.join(f'{n}={getattr(self, n):.6g}' for n in said)})"

    @classmethod
    def of(cls, found: Recommended, **numbers: float) -> RecoveryCosts:
        """Return the costs that `flowlab.recovery.recommend` found of a log.

        What a log does not tell is as by default, but the capacity: twice the pace of the log.

        Args:
            found: the recommendation.
            **numbers: of a `RecoveryCosts` by name, in place of what was found.

        Raises:
            InvalidArgumentError: it is not known how often failures come, and `p` is not given.
        """
        if found.p is None and "p" not in numbers:
            message = "the recommendation has no p: give p, or failures to recommend(...)"
            raise InvalidArgumentError(message)
        known: dict[str, float] = {
            "S": found.costs.snapshot_s,
            "L": found.costs.load_s,
            "r": found.costs.replay_s,
            "p": min(1.0, found.p or 0.0),
            "D": found.downtime_s,
            "history": found.observed.longest,
        }
        if found.mean_s is not None and found.interrupted is not None:
            known["rate"] = 1.0 / found.mean_s
        pace = found.observed.events_per_s
        if pace:
            known |= {"arrivals": pace, "capacity": 2.0 * pace}
        return cls(**(known | numbers))

    @property
    def full_s(self) -> float:
        """Seconds to write a checkpoint, at the middle of the history."""
        return self.S + self.growth * self.history / 2.0

    @property
    def load_s(self) -> float:
        """Seconds to load one, at the middle of the history."""
        return self.L + self.growth * self.history / 2.0


@dataclass(frozen=True, slots=True)
class MeasuredRecovery:
    """A recovery that was measured.

    Args:
        scheme: one of `SCHEMES`.
        every: events between checkpoints; 0 where there are none.
        events_since: events since the last checkpoint, on average where several were measured.
        seconds: how long the recovery took.
        low, high: its spread.
        history: events of the history, where that is not `events_since`.

    Raises:
        InvalidArgumentError: the scheme is unknown, or the numbers are no measurement.

    Example:
        >>> MeasuredRecovery("checkpoint", every=447, events_since=223, seconds=131, low=128,
        ...                  high=140, history=5_000)
        MeasuredRecovery('checkpoint' every 447, 223 events since: 131 s)
    """

    scheme: str
    every: float
    events_since: float
    seconds: float
    low: float
    high: float
    history: float = 0

    def __post_init__(self) -> None:
        numbers = (self.every, self.events_since, self.low, self.seconds, self.high, self.history)
        wrong = ""
        if self.scheme not in SCHEMES:
            wrong = f"the scheme {self.scheme!r}; expected one of {list(SCHEMES)}"
        elif not all(isinstance(n, (int, float)) and 0 <= n < math.inf for n in numbers):
            wrong = f"{numbers}; expected finite numbers of at least 0"
        elif not self.low <= self.seconds <= self.high:
            wrong = f"low {self.low}, seconds {self.seconds}, high {self.high}; expected that order"
        if wrong:
            message = f"a measured recovery has {wrong}"
            raise InvalidArgumentError(message)

    def __repr__(self) -> str:
        place = f" every {self.every:g}" if self.every else ""
        return (
            f"MeasuredRecovery({self.scheme!r}{place}, {self.events_since:g} events since: "
            f"{self.seconds:g} s)"
        )


@dataclass(frozen=True, slots=True)
class Best:
    """The interval at which a scheme costs least.

    Args:
        n_star: events between checkpoints, as a real number; 0 for a scheme that has none.
        cost: seconds an event.
        low, high: between them what the interval changes is within the tolerance of its least.
        full_every: checkpoints of which one is full.
    """

    n_star: float
    cost: float
    low: float = 0.0
    high: float = 0.0
    full_every: float = 1.0

    def __repr__(self) -> str:
        return f"Best(every {self.n_star:.6g} events, {self.cost:.6g} s an event)"


def scheme_cost(scheme: str, N: float, costs: RecoveryCosts) -> float:  # noqa: N803
    """Return the seconds an event that a scheme costs with a checkpoint every N events.

    A cost that is beyond all numbers is infinite; N may be any number above 0.

    Example:
        >>> round(scheme_cost("checkpoint", 447, RecoveryCosts(S=50, L=20, r=.5, p=.001)), 7)
        0.2433568
    """
    c = costs
    match scheme:
        case "checkpoint":
            return _cost(N, c.full_s, c.load_s, c.p, c)
        case "cache":
            return _cost(N, c.full_s, c.load_s, c.p * (1.0 - c.hit_ratio), c)
        case "incremental":
            m = full_every(N, c)
            write = c.full_s * (c.delta + (1.0 - c.delta) / m)
            return _cost(N, write, c.load_s * (1.0 + c.delta * (m - 1.0) / 2.0), c.p, c)
    replayed = _cost(c.history, 1.0, 0.0, c.p, c) - 1.0 / c.history
    if scheme == "every_task":
        activities = max(0, math.floor((c.history - 5) / 6))
        return replayed + c.r * rows_read(activities) / c.history
    return replayed


def full_every(N: float, costs: RecoveryCosts) -> float:  # noqa: N803
    """Return of how many incremental checkpoints one is best full; no more than there are.

    Example:
        >>> round(full_every(100, RecoveryCosts(S=8, L=1, r=.5, p=.0001, delta=.5)), 6)
        40.0
    """
    c = costs
    gained = 2.0 * (1.0 - c.delta) * c.full_s
    lost = c.p * N * c.delta * c.load_s
    most = max(1.0, c.history / N)
    return most if lost == 0 else min(most, max(1.0, math.sqrt(gained / lost)))


def best(scheme: str, costs: RecoveryCosts) -> Best:
    """Return the interval at which a scheme costs least, and its band.

    Example:
        >>> best("checkpoint", RecoveryCosts(S=50, L=20, r=.5, p=.001))
        Best(every 447.214 events, 0.243357 s an event)
    """
    c = costs
    if scheme in {"replay", "every_task"}:
        return Best(0.0, scheme_cost(scheme, 1.0, c))
    if scheme == "incremental":
        n_star = math.exp(
            lowest(lambda at: scheme_cost(scheme, math.exp(at), c), 0.0, math.log(_MOST))
        )
    else:
        p = c.p if scheme == "checkpoint" else c.p * (1.0 - c.hit_ratio)
        n_star = best_interval(S=c.full_s, r=c.r, p=p, L=c.load_s, rate=c.rate, D=c.D).n_star
    low, high = _band(scheme, n_star, c)
    m = full_every(n_star, c) if scheme == "incremental" else 1.0
    return Best(n_star, scheme_cost(scheme, n_star, c), low, high, m)


def changed_part(scheme: str, N: float, costs: RecoveryCosts) -> float:  # noqa: N803
    """Return the part of a cost that N changes: S/N + p r N/2 where recoveries are not struck.

    Example:
        >>> costs = RecoveryCosts(S=50, L=20, r=.5, p=.001)
        >>> round(changed_part("checkpoint", 100, costs), 9)
        0.525
    """
    c = costs
    p = c.p * (1.0 - c.hit_ratio) if scheme == "cache" else c.p
    if c.rate == 0:
        fixed = c.load_s + c.D - c.r / 2.0
    else:
        struck = math.exp(c.rate * c.load_s) * (1.0 / c.rate + c.D)
        fixed = struck * c.rate * c.r / math.expm1(c.rate * c.r) - 1.0 / c.rate
    return scheme_cost(scheme, N, c) - p * fixed


def is_short(costs: RecoveryCosts) -> bool:
    """Say whether the history is shorter than 2 N*."""
    c = costs
    found = best_interval(S=c.full_s, r=c.r, p=c.p, L=c.load_s, rate=c.rate, D=c.D)
    return needs_no_snapshot(c.history, found)


def recovery_time(scheme: str, h: float, N: float, costs: RecoveryCosts) -> float:  # noqa: N803
    """Return the seconds of a recovery at event h of a history, not struck by failures.

    A cache serves its share of recoveries at once, so its time is a mean.

    Example:
        >>> costs = RecoveryCosts(S=50, L=20, r=.5, p=.001)
        >>> [recovery_time("checkpoint", h, 100, costs) for h in (99, 100, 150)]
        [49.5, 20.0, 45.0]
    """
    c = costs
    if scheme in {"replay", "every_task"} or h < N:
        whole = c.D + c.r * h
    else:
        taken = math.floor(h / N)
        deltas = 0.0
        if scheme == "incremental":
            deltas = (taken - 1) % max(1, math.floor(full_every(N, c) + 0.5))
        load = (c.L + c.growth * taken * N) * (1.0 + c.delta * deltas)
        whole = c.D + load + c.r * (h - taken * N)
    return whole * (1.0 - c.hit_ratio) if scheme == "cache" else whole


def _cost(N: float, S: float, L: float, p: float, c: RecoveryCosts) -> float:  # noqa: N803
    if c.rate * (L + c.r * N) > _TOO_LONG:
        return math.inf
    if N >= 1:
        return cost(N, S=S, L=L, r=c.r, p=p, rate=c.rate, D=c.D)
    # Below one event the law's cost is a curve that only helps to find where its least lies.
    return cost(1, S=S, L=L, r=c.r, p=p, rate=c.rate, D=c.D) + S / N - S


def _band(scheme: str, n_star: float, c: RecoveryCosts) -> tuple[float, float]:
    most = changed_part(scheme, max(1.0, n_star), c) * (1.0 + TOLERANCE)

    def end(outer: float, inner: float) -> float:
        low, high = math.log(outer), math.log(inner)
        for _ in range(_ROUNDS):
            middle = (low + high) / 2.0
            if changed_part(scheme, math.exp(middle), c) > most:
                low = middle
            else:
                high = middle
        return math.exp((low + high) / 2.0)

    star = max(1.0, n_star)
    low = 1.0 if changed_part(scheme, 1.0, c) <= most else end(1.0, star)
    return low, end(_MOST, star)
