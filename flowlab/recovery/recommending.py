"""When to checkpoint, by the law of replay and what a log tells of failures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from flowlab.errors import InvalidArgumentError
from flowlab.events import counted, grouped
from flowlab.events.wording import brief
from flowlab.recovery.estimates import Costs, Estimates
from flowlab.recovery.failures import Empirical, as_failures
from flowlab.recovery.fitting import MIN_GAPS, fit
from flowlab.recovery.known_costs import KnownCosts, known_costs
from flowlab.recovery.measured import CostsFit
from flowlab.recovery.numbers import at_least, positive, probability
from flowlab.recovery.observed import Kind, Observed, Queried, observe
from flowlab.recovery.recommendation import AtRate, Recommendation
from flowlab.recovery.replaying import Interval, best_interval, cost, recovery_s

RATES: Final = {
    "a failure an hour": 3_600.0,
    "a failure a day": 86_400.0,
    "a failure a week": 604_800.0,
    "a failure in 30 days": 2_592_000.0,
}
IN_EVENTS: Final = (1_000, 10_000, 100_000, 1_000_000)
MANY: Final = 1_000
_STEPS: Final = 60


def recommend(
    log: Queried | Observed,
    failures: Any = None,
    costs: Costs | CostsFit | Estimates | Callable[[Any], Costs | CostsFit] | None = None,
    *,
    p: float | None = None,
    loads_per_event: float = 0.0,
    downtime_s: float | None = None,
    kind: Kind | None = None,
    tolerance: float = 0.05,
    confidence: float = 0.95,
) -> Recommendation:
    """Say after how many events to checkpoint what a log shows, and how sure that is.

    How long workflows get, how fast their events come, and how often they recover is taken from
    the log; what a checkpoint costs is not in it. It is best given; else it is what the policy of
    the store has learned, or a documented prior, and `costs_from` and the words say which. Where
    nobody knows how often failures come, the answer is a table of rates, and none is invented.

    Args:
        log: of one or more runs, or what has one as `.log`; a store or a snapshot of one; or what
            `observe` said of one of these.
        failures: of the host of one workflow: mean seconds between them, observed gaps in seconds,
            or a distribution (`flowlab.recovery.failures`). By default the crashes of the log.
        costs: of a checkpoint, a load and the replay of an event: given, fitted (`fit_costs`),
            learned (`Lawful().estimates`), or a function that measures them on the log. By default
            what the checkpoints of a store tell that `Lawful()` has learned there, and where there
            is none, or no store, what `Estimates.start()` assumes.
        p: probability of a recovery at an event, where that is known and no time is.
        loads_per_event: cold loads, each of which is a recovery, too.
        downtime_s: before a recovery; by default the log's mean from crash to restart, or 0.
        kind: what recovers, "workflow" or "agent".
        tolerance: of `band`: how much more what the interval changes may cost.
        confidence: of `sure`.

    Raises:
        InvalidArgumentError: the log has no events, costs are something else, a number is outside
            its range, or failures are given in seconds and the log has no durations.

    Example:
        >>> from flowlab.events import Event, EventLog
        >>> log = EventLog.from_events(
        ...     Event(workflow_id="w", sequence=k, agent_id="a", agent_sequence=k,
        ...           time_ns=k * 10**7, event_type="MarkerRecorded", name="m")
        ...     for k in range(1, 5_001)
        ... )
        >>> costs = Costs(snapshot_s=.05, load_s=.02, replay_s=.0005)
        >>> recommend(log, failures=60, costs=costs)
        Recommendation(checkpoint every 1 092 events, 797 to 1 495 within 5 %)
    """
    if not isinstance(log, Observed) and not hasattr(log, "query"):
        log = getattr(log, "log", log)
    at_least(0.0, loads_per_event=loads_per_event)
    positive(tolerance=tolerance)
    if not 0 < confidence < 1:
        message = f"confidence is {confidence!r}; expected a share between 0 and 1, such as 0.95"
        raise InvalidArgumentError(message)
    seen = log if isinstance(log, Observed) else observe(log, kind=kind)
    down = (seen.down_s or 0.0) if downtime_s is None else downtime_s
    at_least(0.0, downtime_s=down)
    known = known_costs(log) if costs is None else KnownCosts(_costs(costs, log), "given", "")
    case = _Case(seen, known, down, loads_per_event, tolerance, confidence)
    if p is not None:
        return case.known(_given(p, failures))
    if failures is not None:
        return case.known(_distribution(failures, seen, confidence))
    if seen.failures:
        return case.known(_from_log(seen, confidence))
    if loads_per_event:
        return case.known(_Rate(0.0, None, ("No failure is in the log: cold loads alone count.",)))
    return case.unknown()


@dataclass(frozen=True, slots=True)
class _Rate:
    """How often failures come, from where that is known, and between which multiples it lies."""

    p: float
    mean_s: float | None
    source: tuple[str, ...]
    within: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """All but the rate of failures."""

    seen: Observed
    priced: KnownCosts
    down: float
    loads: float
    tolerance: float
    confidence: float

    @property
    def costs(self) -> Costs:
        """Of a checkpoint, a load and the replay of an event."""
        return self.priced.costs

    def known(self, rate: _Rate) -> Recommendation:
        """Return the answer at a rate."""
        p = min(1.0, rate.p + self.loads)
        lam = 0.0 if rate.mean_s is None else 1.0 / rate.mean_s
        plain = self._best(p)
        struck = self._best(p, lam) if lam else None
        source = rate.source
        if struck is not None and math.isinf(struck.cost):
            struck, lam = None, 0.0
            endless = (
                f"A recovery that failures strike every {rate.mean_s:.3g} s would not end; the "
                "answer takes them to spare it."
            )
            source = (*source, endless)
        sure = None
        if rate.within is not None:
            low, high = (
                self._best(min(1.0, rate.p * by + self.loads), lam * by).n_star
                for by in rate.within
            )
            sure = (high, low)
        return Recommendation(
            **self._common(source),
            p=p,
            mean_s=rate.mean_s,
            uninterrupted=plain,
            interrupted=struck,
            band=self._band(plain if struck is None else struck, p, lam),
            sure=sure,
            without=self._without(p),
        )

    def unknown(self) -> Recommendation:
        """Return a table of rates, for a log that holds no failure."""
        source = (f"No failure is in the log, in {counted(self.seen.events, 'event')}.",)
        return Recommendation(**self._common(source), table=tuple(self._table()))

    def _table(self) -> Iterator[AtRate]:
        pace = self.seen.events_per_s
        if pace:
            rates = {name: (1.0 / (mean * pace), 1.0 / mean) for name, mean in RATES.items()}
        else:
            rates = {f"a recovery in {grouped(n)} events": (1.0 / n, 0.0) for n in IN_EVENTS}
        # With a probability of 1 - confidence, failures this frequent would have left none.
        most = -math.log1p(-self.confidence) / self.seen.events
        told = f"the most failures that seeing none leaves likely ({self.confidence:.3g})"
        rates[told] = (most, most * pace if pace else 0.0)
        for name, (p, lam) in rates.items():
            found = self._best(min(1.0, p), lam)
            yield AtRate(name, min(1.0, p), found, self.seen.longest >= 2.0 * found.n_star)

    def _common(self, source: tuple[str, ...]) -> dict[str, Any]:
        priced = (
            f"A checkpoint takes {self.costs.snapshot_s:.3g} s, a load {self.costs.load_s:.3g} s "
            f"and the replay of an event {self.costs.replay_s:.3g} s, whatever the state's size."
        )
        rests = (
            *source,
            *filter(None, [self.priced.told]),
            priced,
            "An empty state loads as slowly as a checkpoint.",
            "Nothing is executed twice: a recovery puts the work back where it was.",
        )
        names = ("tolerance", "confidence", "costs")
        return {name: getattr(self, name) for name in names} | {
            "observed": self.seen,
            "costs_from": self.priced.source,
            "downtime_s": self.down,
            "assumptions": rests,
        }

    def _law(self, p: float, lam: float) -> dict[str, float]:
        costs = self.costs
        law = {"S": costs.snapshot_s, "L": costs.load_s, "r": costs.replay_s}
        return law | {"p": p, "rate": lam, "D": self.down}

    def _best(self, p: float, lam: float = 0.0) -> Interval:
        return best_interval(**self._law(p, lam))

    def _band(self, best: Interval, p: float, lam: float) -> tuple[float, float]:
        """Return between which N the part of the cost that N changes is within the tolerance."""
        law = self._law(p, lam)
        fixed = p * recovery_s(self.costs.load_s, rate=lam, D=self.down)
        n_star = max(1.0, best.n_star)
        # Snapshots and half an event of replay: with R0 the rest is S/N + p r N/2.
        least = cost(n_star, **law) - fixed + p * self.costs.replay_s / 2.0
        most = cost(n_star, **law) + self.tolerance * least

        low = 1.0 if cost(1, **law) <= most else _edge(n_star, 1.0, most, law)
        beyond = 2.0 * n_star
        while cost(beyond, **law) <= most:
            beyond *= 2.0
        return low, _edge(n_star, beyond, most, law)

    def _without(self, p: float) -> float:
        lengths = self.seen.lengths
        before = sum(count * length * (length - 1) / 2.0 for length, count in lengths)
        replay_s = self.costs.replay_s * before / self.seen.events
        return p * (self.down + self.costs.load_s + replay_s)


def _edge(inside: float, outside: float, most: float, law: dict[str, float]) -> float:
    """Return the last interval, from inside outwards, that costs at most so much."""
    for _ in range(_STEPS):
        middle = (inside + outside) / 2.0
        if cost(middle, **law) <= most:
            inside = middle
        else:
            outside = middle
    return inside


def _costs(costs: Any, log: Queried | Observed) -> Costs:
    if isinstance(costs, Estimates):
        return costs.costs()
    found = costs(log) if callable(costs) and not isinstance(log, Observed) else costs
    if isinstance(found, CostsFit):
        return found.costs
    if isinstance(found, Costs):
        return found
    message = (
        f"costs are {brief(found)}; expected Costs(snapshot_s=..., load_s=..., replay_s=...), what "
        "fit_costs made of measured recoveries, the estimates of a policy, or a function of the "
        "log that measures them: a log does not hold what a checkpoint costs"
    )
    raise InvalidArgumentError(message)


def _given(p: float, failures: Any) -> _Rate:
    probability(p=p)
    mean_s = None if failures is None else as_failures(failures).mean_s
    return _Rate(p, mean_s, (f"The probability of a recovery at an event was given: {p:g}.",))


def _distribution(failures: Any, seen: Observed, confidence: float) -> _Rate:
    found = as_failures(failures)
    positive(**{"the mean of failures": found.mean_s})
    pace = seen.events_per_s
    if pace is None:
        message = (
            f"failures are {brief(failures)}, in seconds, and the times of the log are no "
            "durations; expected some, or p= (the probability of a recovery at an event)"
        )
        raise InvalidArgumentError(message)
    source = f"The failures were given: {found!r}; events come at {pace:.4g} a second."
    if not isinstance(found, Empirical):
        return _Rate(1.0 / (found.mean_s * pace), found.mean_s, (source,))
    within = _within(found.gaps_s, (), len(found.gaps_s), confidence)
    told = (source, *_kind_of(found.gaps_s, (), confidence))
    return _Rate(1.0 / (found.mean_s * pace), found.mean_s, told, within)


def _from_log(seen: Observed, confidence: float) -> _Rate:
    count = counted(seen.failures, "recovery")
    source = f"The log holds {count} in {counted(seen.events, 'event')} of {seen.kind}s."
    mean_s = None if seen.events_per_s is None else seen.up_s / seen.failures
    within = _within(seen.gaps_s, seen.censored_s, seen.failures, confidence)
    told = (source, *_kind_of(seen.gaps_s, seen.censored_s, confidence))
    return _Rate(seen.failures / seen.events, mean_s, told, within)


def _kind_of(
    gaps: tuple[float, ...], censored: tuple[float, ...], confidence: float
) -> Iterator[str]:
    """Yield what can be said of how failures come, which moves the law R1 a little and not R0."""
    if len(gaps) < MIN_GAPS:
        return
    try:
        found = fit(gaps, censored=censored, confidence=confidence)
    except InvalidArgumentError:
        yield "Failures come by the clock; the interval needs their mean alone."
        return
    shape = f"shape {found.weibull.shape:.3g}, {found.shape_low:.3g} to {found.shape_high:.3g}"
    if found.chosen is found.exponential:
        yield f"Nothing speaks against failures without memory (Weibull {shape})."
    else:
        yield f"Failures have a memory (Weibull {shape}); the interval needs their mean alone."


def _within(
    gaps: tuple[float, ...], censored: tuple[float, ...], failures: int, confidence: float
) -> tuple[float, float]:
    """Return between which multiples of what was seen the rate of failures lies.

    The wider of two intervals: the exact one of a Poisson count (Garwood, 1936), and where there
    are gaps enough, that of a ratio whose variance is taken from the gaps themselves, which is
    wider where failures come in bursts.
    """
    low, high = (edge / failures for edge in poisson_interval(failures, confidence=confidence))
    if len(gaps) < MIN_GAPS:
        return low, high
    times = np.concatenate([gaps, np.asarray(censored, np.float64)])
    failed = np.concatenate([np.ones(len(gaps)), np.zeros(len(censored))])
    rate = len(gaps) / float(np.sum(times))
    sigma = math.sqrt(float(np.sum((failed - rate * times) ** 2))) / len(gaps)
    by = math.exp(NormalDist().inv_cdf((1.0 + confidence) / 2.0) * sigma)
    return min(low, 1.0 / by), max(high, by)


def poisson_interval(count: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of the mean of a Poisson count (Garwood, 1936).

    Above 1 000 it is the normal one, which is the same to three digits.

    Example:
        >>> [round(edge, 3) for edge in poisson_interval(5)]
        [1.623, 11.668]
    """
    at_least(0, count=count)
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    if count > MANY:
        return count - z * math.sqrt(count), count + z * math.sqrt(count)
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if count == 0 else _mean_where(count - 1, 1.0 - tail)
    return low, _mean_where(count, tail)


def _mean_where(count: int, share: float) -> float:
    """Return the mean with which a Poisson number is at most `count` with that probability."""
    low, high = 0.0, 10.0 * (count + 10.0)
    for _ in range(_STEPS):
        mean = (low + high) / 2.0
        low, high = (mean, high) if _at_most(count, mean) > share else (low, mean)
    return (low + high) / 2.0


def _at_most(count: int, mean: float) -> float:
    """Return the probability of at most `count` where so many are the mean of a Poisson number."""
    term = total = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    for k in range(count, 0, -1):
        term *= k / mean
        total += term
        if k < mean and term < 1e-17 * total:
            break
    return total
