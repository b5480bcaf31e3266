"""The claims about the law of recovery: that it is right, and that few failures are enough for it.

Nothing is timed: chance is drawn by a seed, so equal machines give equal figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np

from flowlab.recovery import Costs, replaying, rework
from flowlab.recovery.drawn import simulate_job, simulate_recovery
from flowlab.recovery.failures import Exponential, Weibull
from flowlab.recovery.levels import incremental_cost
from flowlab.recovery.observed import Observed
from flowlab.recovery.recommending import recommend
from flowlab.recovery.renewal import best_tau
from flowlab.recovery.traces import cost_on_trace
from flowlab.studies.claim import Bound, Claim, Measurement, Reliability
from flowlab.studies.measuring import SEED, Scale, Spread

COSTS: Final = Costs(snapshot_s=10, load_s=5, replay_s=1)
SHAPES: Final = (0.5, 0.7, 1.0, 1.5, 3.0)
FAILURES: Final = (3, 5, 10, 30, 100)
ENOUGH: Final = 10
PACE: Final = 100.0
MEAN_S: Final = 50.0


def drawn(scale: Scale) -> Measurement:
    """Draw recoveries and jobs by chance, without the laws, for a grid of costs and rates.

    The value is the largest distance of a law from what was drawn, in standard errors.
    """
    found = dict(_distances(scale))
    worst = max(found, key=found.__getitem__)
    spread = Spread.of(list(found.values()))
    beside = {
        "laws compared": str(len(found)),
        "farthest": worst,
        "median": f"{spread.median:.2f} standard errors (0.67 if the laws are exact)",
    }
    return Measurement.count(found[worst], "standard errors", beside)


def _distances(scale: Scale) -> Iterator[tuple[str, float]]:
    chance = np.random.default_rng(SEED)
    law = {"S": COSTS.snapshot_s, "L": COSTS.load_s, "r": COSTS.replay_s}
    grid = product((10, 45, 200), (0.002, 0.02), (0.0, 0.01), (0.0, 30.0))
    for every, p, rate, down in grid:
        found = simulate_recovery(
            chance,
            every=every,
            events=scale.events,
            costs=COSTS,
            p=p,
            rate=rate,
            downtime=down,
        )
        expected = replaying.cost(every, **law, p=p, rate=rate, D=down)
        name = f"R{int(rate > 0)}, N {every}, p {p:g}, D {down:g}"
        yield name, abs(found.mean - expected) / found.sigma
    for every, full in product((20, 100), (3, 12)):
        found = simulate_recovery(
            chance,
            every=every,
            events=scale.events,
            costs=COSTS,
            p=0.01,
            full_every=full,
            delta_load_s=2.0,
            delta_write_s=1.0,
        )
        expected = incremental_cost(every, full, **law, dS=1.0, dL=2.0, p=0.01)
        yield f"deltas, N {every}, m {full}", abs(found.mean - expected) / found.sigma
    for chunks, down in product((5, 26, 60), (0.0, 20.0)):
        job = {"work": 1000.0, "write": 10.0, "rate": 0.01, "restart": 10.0, "downtime": down}
        runs = max(100, scale.events // 1_000)
        found = simulate_job(chance, interval=1000 / chunks, runs=runs, **job)
        expected = rework.job_s(1000, chunks, C=10, R=10, D=down, rate=0.01)
        yield f"a job in {chunks}, D {down:g}", abs(found.mean - expected) / found.sigma


def any_distribution(scale: Scale) -> Measurement:
    """Replay long traces of Weibull failures of shapes from 0.5 to 3 at N*, N*/2 and 2 N*.

    The value is the largest relative difference between the cost on a trace and the law R0, which
    knows the mean of the gaps alone.
    """
    chance = np.random.default_rng(SEED)
    gaps_drawn = max(5_000, scale.events // 20)
    worst, beside = 0.0, {}
    for shape in SHAPES:
        gaps = np.ceil(Weibull.of_mean(1_000, shape).draw(chance, gaps_drawn)).astype(np.int64)
        p = len(gaps) / int(gaps.sum())
        best = replaying.best_interval(S=10, L=5, r=1, p=p)
        off = 0.0
        for factor in (0.5, 1.0, 2.0):
            every = max(1, round(best.n_star * factor))
            law = replaying.cost(every, S=10, L=5, r=1, p=p)
            off = max(off, abs(cost_on_trace(gaps, every, costs=COSTS).cost / law - 1.0))
        beside[f"shape {shape:g}"] = f"{off:.2%}"
        worst = max(worst, off)
    beside["gaps"] = f"{gaps_drawn:,}"
    return Measurement.count(worst, "of the cost", beside)


def few_failures(scale: Scale) -> Measurement:
    """Draw logs with so many failures, ask `recommend`, and compare with who knows the true rate.

    What is compared is the part of the cost that the interval changes. The value is what it costs
    more, with ten failures, in the worst of twenty logs (the 95th percentile).
    """
    chance = np.random.default_rng(SEED)
    beside = {}
    value = math.nan
    law = {"S": 0.05, "L": 0.02, "r": 0.0005}
    costs = Costs(*law.values())
    p = 1.0 / (MEAN_S * PACE)
    least = replaying.best_interval(**law, p=p)
    for failures in FAILURES:
        more = []
        for _ in range(max(100, scale.events // 1_000)):
            gaps = Exponential(MEAN_S).draw(chance, failures)
            events = round(float(gaps.sum()) * PACE)
            seen = Observed("workflow", ((events, 1),), failures, tuple(gaps), (), None, 0.0)
            found = recommend(seen, costs=costs).every
            assert found is not None
            at = replaying.cost(found, **law, p=p) - replaying.cost(least.n_best, **law, p=p)
            more.append(at / math.sqrt(2.0 * law["S"] * p * law["r"]))
        middle, most = np.quantile(more, [0.5, 0.95]).tolist()
        told = f"{middle:.1%} more in the median, {most:.1%} in the worst of twenty"
        beside[f"{failures} failures"] = told
        value = most if failures == ENOUGH else value
    return Measurement.count(value, "more", beside)


def young_under_weibull(_: Scale) -> Measurement:
    """Evaluate Young's interval and the best constant one under Weibull failures.

    Shapes from 0.5 to 1, checkpoints of 1/1000 to 1/10 of the mean time between failures, a restart
    as long as a checkpoint. The value is the largest share by which Young's wall time is longer.
    """
    worst, beside = 0.0, {}
    for share in (0.001, 0.01, 0.1):
        for shape in (0.5, 0.7, 0.8, 1.0):
            failures = Weibull.of_mean(1.0, shape)
            found = best_tau(failures, delta=share, R=share)
            more = (1.0 + found.at_young) / (1.0 + found.overhead) - 1.0
            worst = max(worst, more)
            if share == 0.1 or shape == 0.7:  # noqa: PLR2004
                beside[f"delta {share:g} M, shape {shape:g}"] = f"{more:.3%}"
    return Measurement.count(worst, "of the time", beside)


LAW_CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        name="recovery.law",
        statement="What recoveries and jobs cost that are drawn by chance is what the closed forms "
        "say, with downtime, interrupted recoveries, deltas and chunks.",
        source="docs/recovery-law.md",
        reliability=Reliability.PROVED,
        measure=drawn,
        gate=Bound(at_most=4.0),
    ),
    Claim(
        name="recovery.law_shape",
        statement="The interval of a log that is replayed needs the mean time between failures and "
        "not their distribution.",
        source="docs/recovery-law.md",
        reliability=Reliability.PROVED,
        measure=any_distribution,
        gate=Bound(at_most=0.03),
    ),
    Claim(
        name="recovery.law_failures",
        statement="Ten failures in a log are enough: the interval recommended from them costs at "
        "most a tenth more, of what the interval changes, than the best.",
        source="docs/recovery-law.md",
        reliability=Reliability.ASSERTED,
        measure=few_failures,
        gate=Bound(at_most=0.1),
    ),
    Claim(
        name="recovery.law_young",
        statement="Under Weibull failures of the shapes that are observed Young's formula costs "
        "less than two hundredths more time than the best constant interval.",
        source="Bougeret et al., SC'11; Schroeder and Gibson, IEEE TDSC 7(4), 2010",
        reliability=Reliability.MEASURED,
        measure=young_under_weibull,
        gate=Bound(at_most=0.02),
    ),
)
