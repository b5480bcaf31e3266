"""The closed forms against what chance draws, for any distribution, with deltas and with levels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import FlowlabError, InvalidArgumentError
from flowlab.recovery import replaying, rework
from flowlab.recovery.drawn import Drawn, simulate_job, simulate_levels, simulate_recovery
from flowlab.recovery.estimates import Costs
from flowlab.recovery.failures import Empirical, Exponential, Weibull
from flowlab.recovery.levels import best_incremental, incremental_cost, levels_cost
from flowlab.recovery.renewal import best_tau, overhead_under
from flowlab.recovery.traces import wall_time_on_trace

COSTS = Costs(snapshot_s=10, load_s=5, replay_s=1)


@pytest.mark.parametrize("every", [10, 45, 200])
@pytest.mark.parametrize(("rate", "downtime"), [(0.0, 0.0), (0.0, 3.0), (0.01, 0.0), (0.01, 60.0)])
def test_recoveries_that_are_drawn_cost_what_the_laws_say(
    every: int, rate: float, downtime: float
) -> None:
    chance = np.random.default_rng([every, int(downtime), int(1000 * rate)])
    drawn = simulate_recovery(
        chance, every=every, events=400_000, costs=COSTS, p=0.01, rate=rate, downtime=downtime
    )
    law = replaying.cost(every, S=10, L=5, r=1, p=0.01, rate=rate, D=downtime)
    assert drawn.agrees(law)
    assert drawn.sigma < 0.03 * law
    # A law that is off by a tenth would be noticed.
    assert not drawn.agrees(1.1 * law)


@pytest.mark.parametrize("chunks", [5, 26])
def test_jobs_that_are_drawn_take_what_the_law_says(chunks: int) -> None:
    drawn = simulate_job(
        np.random.default_rng(chunks),
        work=1000,
        interval=1000 / chunks,
        write=10,
        rate=0.01,
        restart=10,
        downtime=5,
        runs=400,
    )
    law = rework.job_s(1000, chunks, C=10, D=5, R=10, rate=0.01)
    assert drawn.agrees(law)
    assert not drawn.agrees(1.2 * law)


@pytest.mark.parametrize("full_every", [1, 4, 20])
def test_recoveries_from_deltas_cost_what_the_law_says(full_every: int) -> None:
    drawn = simulate_recovery(
        np.random.default_rng(full_every),
        every=50,
        events=400_000,
        costs=COSTS,
        p=0.01,
        full_every=full_every,
        delta_load_s=2.0,
        delta_write_s=1.0,
    )
    law = incremental_cost(50, full_every, S=10, dS=1, L=5, dL=2, r=1, p=0.01)
    assert drawn.agrees(law)


COST = st.floats(0.1, 20)


@given(COST, st.floats(0.01, 1), COST, st.floats(0.05, 5), st.floats(0.002, 0.5))
def test_no_pair_of_whole_numbers_costs_less_than_the_best_of_full_and_deltas(
    full: float, share: float, more: float, r: float, p: float
) -> None:
    how = {"S": full, "dS": full * share, "dL": more, "r": r, "p": p}
    found = best_incremental(**how)
    n = np.arange(1, 3 * found.every + 10, dtype=float)[:, None]
    m = np.arange(1, 3 * found.full_every + 10, dtype=float)[None, :]
    # The formula once more, over all pairs at once.
    write = (full * share + full * (1 - share) / m) / n
    costs = write + p * (more * (m - 1) / 2 + r * (n - 1) / 2)
    assert found.cost == pytest.approx(float(costs[found.every - 1, found.full_every - 1]))
    assert found.cost <= float(costs.min()) * (1 + 1e-9)


def test_full_and_deltas_agree_with_the_laws_of_one_alone() -> None:
    plain = replaying.best_interval(S=10, L=5, r=0.1, p=0.001)
    none = best_incremental(S=10, dS=10, L=5, dL=0.5, r=0.1, p=0.001)
    assert (none.every, none.full_every, none.cost) == (plain.n_best, 1, plain.cost)
    found = best_incremental(S=10, dS=1, L=5, dL=0.5, r=0.1, p=0.001)
    n, m = found.real
    assert m == pytest.approx(replaying.best_full_every(S0=9, p_load=0.001 * n, dL=0.5))
    assert n == pytest.approx(replaying.best_interval(S=1 + 9 / m, r=0.1, p=0.001).n_star)
    assert found.cost < none.cost


@pytest.mark.parametrize(
    "failures",
    [Exponential(360), Weibull.of_mean(360, 0.6), Weibull.of_mean(360, 2.0)],
    ids=repr,
)
@pytest.mark.parametrize(("restart", "downtime"), [(0.0, 0.0), (20.0, 40.0)])
def test_the_overhead_under_any_distribution_is_that_of_long_traces(
    failures: Weibull, restart: float, downtime: float
) -> None:
    chance = np.random.default_rng(17)
    for tau in (20.0, 60.0, 200.0):
        law = overhead_under(failures, tau, delta=5, R=restart, D=downtime)
        work = 360.0 * 150
        found = [
            wall_time_on_trace(
                failures.draw(chance, 1500),
                tau,
                work=work,
                write=5,
                restart=restart,
                downtime=downtime,
                clock="up",
            )
            for _ in range(40)
        ]
        assert not any(outcome.past_trace for outcome in found)
        shares = [outcome.overhead for outcome in found]
        sigma = float(np.std(shares)) / math.sqrt(40)
        # The first gap has no restart, and the job ends within a gap: that is below 1 %.
        assert abs(float(np.mean(shares)) - law) < 3 * sigma + 0.01 * (1 + law)


@settings(max_examples=30)
@given(st.floats(0.5, 50), st.floats(100, 1e5), st.floats(0, 50), st.floats(0, 50))
def test_under_a_weibull_of_shape_1_the_best_interval_is_the_exact_one(
    delta: float, mean: float, restart: float, downtime: float
) -> None:
    how = {"delta": delta, "R": restart, "D": downtime}
    found = best_tau(Weibull(1.0, mean), **how)
    assert found.tau == pytest.approx(rework.exact(delta, mean), rel=1e-4)
    closed = best_tau(mean, **how)
    assert closed.tau == pytest.approx(rework.exact(delta, mean), rel=1e-5)
    assert found.overhead == pytest.approx(closed.overhead, rel=1e-6)
    tau = rework.exact(delta, mean)
    wall = rework.expected_chunk_s(tau, C=delta, R=restart, D=downtime, rate=1 / mean)
    assert closed.overhead == pytest.approx(wall / tau - 1, rel=1e-6)


@pytest.mark.parametrize("tau", [0.5, 5.0, 50.0])
def test_periods_far_shorter_than_the_gaps_are_all_counted(tau: float) -> None:
    mean = 1e5
    closed = overhead_under(mean, tau, delta=0.5)
    assert overhead_under(Weibull(1.0, mean), tau, delta=0.5) == pytest.approx(closed, rel=1e-6)
    # With gaps that long a failure loses half a period, and the tail changes nothing of that.
    heavy = overhead_under(Weibull.of_mean(mean, 0.3), tau, delta=0.5)
    assert heavy == pytest.approx(closed, rel=0.01)


@pytest.mark.parametrize("shape", [0.5, 0.8, 1.5, 4.0])
def test_no_interval_is_better_than_the_best_one_under_a_weibull(shape: float) -> None:
    failures = Weibull.of_mean(3600, shape)
    found = best_tau(failures, delta=60, R=30)
    for factor in (0.3, 0.8, 0.98, 1.02, 1.25, 3.0):
        other = overhead_under(failures, found.tau * factor, delta=60, R=30)
        assert other >= found.overhead * (1 - 1e-9)
    assert found.at_young == overhead_under(
        failures, rework.young(60, failures.mean_s), delta=60, R=30
    )
    assert found.overhead <= found.at_young


def test_young_is_good_enough_under_the_weibulls_that_are_observed() -> None:
    # Shapes of 0.7 to 0.8, as large systems have them (Schroeder and Gibson, 2010).
    for shape in (0.7, 0.8):
        found = best_tau(Weibull.of_mean(3600, shape), delta=60)
        assert found.at_young < 1.01 * found.overhead
        assert found.tau > rework.exact(60, 3600)


def test_of_observed_gaps_each_whole_period_counts() -> None:
    gaps = Empirical([10.0, 25.0, 31.0])
    # Restart 1: 9, 24 and 30 s are left, which hold 0, 2 and 3 periods of 8 + 2 s.
    expected = (66 / 3) / (8 * (0 + 2 + 3) / 3) - 1
    assert overhead_under(gaps, 8, delta=2, R=1) == pytest.approx(expected)
    assert overhead_under(gaps, 40, delta=2) == math.inf
    many = Exponential(360).draw(np.random.default_rng(1), 5000)
    assert best_tau(many, delta=5).tau == pytest.approx(56.714, rel=0.15)


def test_checkpoints_of_several_levels_cost_what_the_first_order_says() -> None:
    costs, rates = [1.0, 10.0], [1e-4, 1e-6]
    least, intervals = replaying.levels_overhead(costs, rates)
    assert levels_cost(intervals, costs=costs, rates=rates) == pytest.approx(least)
    chance = np.random.default_rng(8)
    drawn = simulate_levels(chance, costs=costs, rates=rates, intervals=intervals, work=2e7)
    # First order: exact but for terms of the order of its square, and for rounded multiples.
    assert abs(drawn.mean - least) < 3 * drawn.sigma + 0.05 * least
    for factor in (0.5, 2.0):
        wide = [factor * interval for interval in intervals]
        law = levels_cost(wide, costs=costs, rates=rates)
        assert law == pytest.approx(1.25 * least)
        drawn = simulate_levels(chance, costs=costs, rates=rates, intervals=wide, work=1e7)
        assert abs(drawn.mean - law) < 3 * drawn.sigma + 0.05 * law


def test_one_level_is_the_law_of_work_done_again() -> None:
    drawn = simulate_levels(
        np.random.default_rng(3), costs=[5], rates=[1 / 360], intervals=[56.714], work=2e6
    )
    assert drawn.agrees(rework.overhead(56.714, delta=5, M=360))


@pytest.mark.parametrize(
    "call",
    [
        lambda: simulate_recovery(np.random.default_rng(1), every=0, events=1, costs=COSTS, p=0.1),
        lambda: simulate_recovery(np.random.default_rng(1), every=1, events=1, costs=COSTS, p=1.0),
        lambda: simulate_job(np.random.default_rng(1), work=1, interval=1, write=1, rate=0),
        lambda: simulate_levels(
            np.random.default_rng(1), costs=[1, 2], rates=[1, 1], intervals=[2, 1], work=1
        ),
        lambda: simulate_levels(np.random.default_rng(1), costs=[], rates=[], intervals=[], work=1),
        lambda: best_incremental(S=1, dS=2, dL=1, r=1, p=0.1),
        lambda: best_incremental(S=1, dS=1, dL=1, r=1, p=1.5),
        lambda: incremental_cost(0, 1, S=1, dS=1, L=0, dL=1, r=1, p=0.1),
        lambda: levels_cost([1.0], costs=[1.0, 2.0], rates=[1.0]),
        lambda: levels_cost([0.0], costs=[1.0], rates=[1.0]),
        lambda: overhead_under(360, 0, delta=5),
        lambda: best_tau(-1, delta=5),
    ],
)
def test_a_number_outside_its_range_is_refused(call: object) -> None:
    with pytest.raises(InvalidArgumentError, match="expected"):
        call()  # type: ignore[operator]


def test_a_recovery_that_never_ends_is_told() -> None:
    hopeless = Costs(snapshot_s=1, load_s=1000, replay_s=1)
    with pytest.raises(FlowlabError, match="too frequent"):
        simulate_recovery(
            np.random.default_rng(1), every=5, events=50, costs=hopeless, p=0.5, rate=1.0
        )


def test_what_was_drawn_says_how_sure_it_is() -> None:
    assert repr(Drawn(0.5, 0.01)) == "Drawn(0.5 ± 0.01)"
    short = Drawn(0.5, 0.01)
    assert short.agrees(0.529)
    assert not short.agrees(0.531)
    assert short.agrees(0.54, sigmas=4.5)
