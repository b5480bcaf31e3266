"""The laws of when to checkpoint, against exact values and against what they are derived from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.recovery import replaying, rework
from flowlab.recovery.lambert import lambert_w0, one_plus_w0

FLOATS = {"allow_nan": False, "allow_infinity": False}


def near(value: float, digits: int = 6) -> object:
    return pytest.approx(value, rel=1e-6, abs=0.5 * 10**-digits)


@given(st.floats(-1 / math.e, 1e300, **FLOATS))
def test_w0_solves_its_equation(x: float) -> None:
    w = lambert_w0(x)
    assert w >= -1
    # Near the branch point w changes by the root of a change of x: there it is u that is exact.
    if w > -0.9 and w < 600:
        assert w * math.exp(w) == pytest.approx(x, rel=1e-12, abs=1e-300)


@given(st.floats(1e-300, 1e3, **FLOATS))
def test_one_plus_w0_is_exact_however_small_the_cost(epsilon: float) -> None:
    u = one_plus_w0(epsilon)
    assert 0 < u <= 1
    if epsilon < 1e-3:
        root = math.sqrt(2 * epsilon)
        series = root * (1 - root / 3 + root**2 / 36 + root**3 / 270)
        assert u == pytest.approx(series, rel=1e-6 if epsilon > 1e-5 else 1e-12)
    elif epsilon < 3:
        assert u + math.log1p(-u) == pytest.approx(-epsilon, rel=1e-12)


@pytest.mark.parametrize("wrong", [-0.4, -math.inf, math.nan])
def test_w0_is_refused_where_it_is_not(wrong: float) -> None:
    with pytest.raises(InvalidArgumentError, match="W0"):
        lambert_w0(wrong)


# Columns: delta, M, Young, Daly, exact, overhead at exact, overhead at Young (R = 0).
REWORK = [
    (1, 10, 4.472136, 3.830314, 3.831832, 0.621227, 0.628819),
    (1, 100, 14.142136, 13.483326, 13.483475, 0.155849, 0.156026),
    (5, 360, 60.000000, 56.712963, 56.714002, 0.186998, 0.187296),
    (5, 1440, 120.000000, 116.689815, 116.690073, 0.088180, 0.088215),
    (10, 60, 34.641016, 28.295100, 28.320515, 0.893970, 0.912828),
    (60, 3600, 657.267069, 617.875650, 617.890625, 0.207199, 0.207596),
    (300, 86400, 7200.000000, 7001.388889, 7001.404400, 0.088180, 0.088215),
    (0.5, 1, 1.000000, 0.694444, 0.698290, 2.314446, 2.481689),
    (2, 1, 2.000000, 1.0, 0.947531, 18.058837, 25.799075),
]


@pytest.mark.parametrize("row", REWORK)
def test_young_daly_and_the_exact_interval_have_their_values(row: tuple[float, ...]) -> None:
    delta, m, young, daly, exact, at_exact, at_young = row
    assert rework.young(delta, m) == near(young)
    assert rework.daly(delta, m) == near(daly)
    assert rework.exact(delta, m) == near(exact)
    assert rework.overhead(rework.exact(delta, m), delta=delta, M=m) == near(at_exact)
    assert rework.overhead(rework.young(delta, m), delta=delta, M=m) == near(at_young)


@given(st.floats(1e-3, 1e3), st.floats(1e-1, 1e6), st.floats(0, 1e3))
def test_no_interval_is_better_than_the_exact_one_and_restart_does_not_move_it(
    delta: float, m: float, restart: float
) -> None:
    best = rework.exact(delta, m)
    assert best < rework.young(delta, m)
    assert rework.exact(delta, m / 2) < best
    if (best * 1.01 + delta + restart) / m > 500:
        return
    least = rework.expected_wall_s(best, delta=delta, M=m, R=restart)
    for factor in (0.5, 0.99, 1.01, 2.0):
        if (best * factor + delta) / m < 500:
            other = rework.expected_wall_s(best * factor, delta=delta, M=m, R=restart)
            assert other >= least * (1 - 1e-12)
    bare = rework.expected_wall_s(best, delta=delta, M=m)
    assert least == pytest.approx(bare * math.exp(restart / m))


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ((100, 10, 5, 10, 0.01), 232.56933),
        ((50, 5, 1, 5, 0.02), 112.962246),
        ((20, 2, 0, 2, 0.01), 25.104781),
    ],
)
def test_a_chunk_takes_its_expected_time(given_: tuple[float, ...], expected: float) -> None:
    w, c, d, r, rate = given_
    assert rework.expected_chunk_s(w, C=c, D=d, R=r, rate=rate) == near(expected, 5)


def test_a_job_has_its_best_number_of_chunks() -> None:
    how = {"C": 10, "D": 5, "R": 10, "rate": 0.01}
    best = rework.best_chunks(1000, **how)
    assert best.real == near(26.0972, 4)
    assert (best.best, best.expected_s) == (26, near(1881.3244, 4))
    times = {27: 1881.7346, 20: 1908.0218, 10: 2325.6933, 5: 4157.9174, 40: 1945.1933}
    for count, expected in times.items():
        assert rework.job_s(1000, count, **how) == near(expected, 4)


@pytest.mark.parametrize(
    ("given_", "n_star", "n_best", "cost"),
    [
        ((50, 0.001, 20, 0.5), 447.2136, 447, 0.2433568),
        ((10, 0.01, 5, 1), 44.7214, 45, 0.4922222),
        ((200, 1e-4, 100, 0.2), 4472.136, 4472, 0.0994327),
        ((5, 0.2, 2, 0.05), 31.6228, 32, 0.711250),
    ],
)
def test_a_replayed_log_has_its_best_interval(
    given_: tuple[float, ...], n_star: float, n_best: int, cost: float
) -> None:
    s, p, load, r = given_
    found = replaying.best_interval(S=s, p=p, L=load, r=r)
    assert found.n_star == near(n_star, 3)
    assert (found.n_best, found.cost) == (n_best, near(cost, 7))
    least = p * load - p * r / 2 + math.sqrt(2 * s * p * r)
    assert replaying.cost(found.n_star, S=s, p=p, L=load, r=r) == pytest.approx(least)


@pytest.mark.parametrize(
    ("given_", "n_star", "uninterrupted", "cost"),
    [
        ((10, 0.01, 5, 1, 0.01, 0), 38.396051, 44.72136, 0.535654),
        ((10, 0.01, 5, 1, 0.01, 60), 31.121163, 44.72136, 1.284646),
        ((200, 0.001, 30, 0.5, 0.001, 10), 769.719084, 894.4272, 0.528917),
        ((50, 0.02, 10, 2, 0.02, 1), 29.835046, 50.0, 3.027468),
    ],
)
def test_failures_that_strike_recoveries_too_ask_for_shorter_intervals(
    given_: tuple[float, ...], n_star: float, uninterrupted: float, cost: float
) -> None:
    s, p, load, r, rate, d = given_
    found = replaying.best_interval(S=s, p=p, L=load, r=r, rate=rate, D=d)
    assert found.n_star == near(n_star)
    assert replaying.best_interval(S=s, p=p, r=r).n_star == near(uninterrupted, 4)
    at = replaying.cost(found.n_star, S=s, p=p, L=load, r=r, rate=rate, D=d)
    assert at == near(cost)


@pytest.mark.parametrize(
    ("x", "rate", "d", "expected"),
    [(30, 0.01, 5, 41.7352), (100, 0.01, 2, 177.2647), (5, 0.1, 0, 6.4872)],
)
def test_an_interrupted_recovery_takes_its_expected_time(
    x: float, rate: float, d: float, expected: float
) -> None:
    assert replaying.recovery_s(x, rate=rate, D=d) == near(expected, 4)


POSITIVE = st.floats(1e-4, 1e4)


@given(POSITIVE, st.floats(1e-6, 1.0), st.floats(0, 100), st.floats(1e-4, 10))
def test_no_whole_interval_costs_less_than_the_best_one(
    s: float, p: float, load: float, r: float
) -> None:
    found = replaying.best_interval(S=s, p=p, L=load, r=r)
    for n in {1, found.n_best + 1, max(1, found.n_best - 1), 2 * found.n_best, 10**6}:
        other = replaying.cost(n, S=s, p=p, L=load, r=r)
        assert other >= found.cost * (1 - 1e-12)
    low, high = replaying.band(found)
    for edge in (low, high):
        share = (s / edge + p * r * edge / 2) / math.sqrt(2 * s * p * r)
        assert share == pytest.approx(1.05)


@given(
    st.floats(1e-2, 1e3),
    st.floats(1e-5, 0.5),
    st.floats(0, 50),
    st.floats(1e-3, 5),
    st.floats(1e-6, 1e-2),
    st.floats(0, 100),
)
def test_the_interrupted_law_is_the_mean_over_the_places_of_a_failure(  # noqa: PLR0917
    s: float, p: float, load: float, r: float, rate: float, d: float
) -> None:
    for n in (1, 2, 7, 40):
        mean = sum(replaying.recovery_s(load + r * k, rate=rate, D=d) for k in range(n)) / n
        expected = s / n + p * mean
        assert replaying.cost(n, S=s, p=p, L=load, r=r, rate=rate, D=d) == pytest.approx(expected)
    found = replaying.best_interval(S=s, p=p, L=load, r=r, rate=rate, D=d)
    # Below a few events the mean over whole places, and not the rate, moves it a little.
    assert found.n_star < math.sqrt(2 * s / (p * r)) * (1 + rate * r)
    for n in {found.n_best + 1, max(1, found.n_best - 1)}:
        other = replaying.cost(n, S=s, p=p, L=load, r=r, rate=rate, D=d)
        assert other >= found.cost * (1 - 1e-9)


def test_with_few_failures_the_two_laws_are_one() -> None:
    rare = replaying.best_interval(S=10, p=0.01, L=5, r=1, rate=1e-9)
    assert rare.n_star == pytest.approx(replaying.best_interval(S=10, p=0.01, L=5, r=1).n_star)


def test_failures_too_frequent_for_any_work_cost_infinitely_much_and_not_an_error() -> None:
    assert rework.expected_wall_s(1000, delta=1, M=1) == math.inf
    assert rework.expected_chunk_s(1000, C=1, R=0, rate=1) == math.inf
    assert replaying.recovery_s(1e6, rate=1) == math.inf
    assert replaying.cost(10**6, S=1, L=0, r=1, p=0.1, rate=1) == math.inf
    assert replaying.best_interval(S=1, L=1e6, r=1, p=0.1, rate=1).n_best == 1


ANY = st.one_of(st.just(0.0), st.floats(1e-100, 1e100))


@settings(max_examples=60)
@given(S=ANY, L=ANY, r=ANY, p=st.floats(0, 1), rate=ANY, D=ANY)
def test_any_numbers_give_an_interval_or_are_refused(**law: float) -> None:
    try:
        found = replaying.best_interval(**law)
    except InvalidArgumentError:
        assert min(law["S"], law["r"]) < 1e-99 or law["p"] < 1e-99
        return
    assert found.n_best >= 1
    assert found.n_star >= 0
    assert found.cost >= 0


def test_with_events_that_can_never_be_replayed_each_one_is_followed_by_a_snapshot() -> None:
    found = replaying.best_interval(S=1, L=0.001, r=1, p=0.5, rate=1000)
    assert found.n_best == 1
    assert found.cost == pytest.approx(1 + 0.5 * replaying.recovery_s(0.001, rate=1000))


@pytest.mark.parametrize("rate", [1e-12, 1e-9, 1e-7, 1e-5])
def test_rare_failures_add_their_first_order_and_no_rounding(rate: float) -> None:
    law = {"S": 10, "L": 5, "r": 1, "p": 0.01}
    # The mean of x^2/2 over x = 5 + n, n below 40.
    more = rate * sum((5 + n) ** 2 / 2 for n in range(40)) / 40
    added = replaying.cost(40, **law, rate=rate) - replaying.cost(40, **law)
    assert added == pytest.approx(0.01 * more, rel=1e-3, abs=1e-15)


def test_rows_levels_and_increments_have_their_values() -> None:
    assert replaying.rows_read(1000) == 3_006_003
    assert replaying.rows_read(1000, hit_ratio=1) == 6003
    assert replaying.rows_read(10, hit_ratio=0.25) == 0.75 * 363 + 0.25 * 63
    assert replaying.rows_read_with_renewal(1000, 100) == 10 * 3 * 101**2
    for rho, expected in ((1, 657.27), (0.5, 929.52), (0.1, 2078.46), (0.01, 6572.67)):
        assert replaying.in_time(S=60, M=3600, rho=rho) == near(expected, 2)
    best = replaying.best_full_every(S0=50, p_load=0.02, dL=0.5)
    costs = {m: 50 / m + 0.02 * (m / 2) * 0.5 for m in range(1, 400)}
    assert min(costs, key=costs.__getitem__) == round(best)


def test_catching_up_takes_as_long_as_the_fluid_says() -> None:
    found = replaying.catch_up(100, L=20, r=0.5, arrivals=2, capacity=10)
    assert (found.back_s, found.caught_up_s) == (70, 87.5)
    assert replaying.most_events(87.5, L=20, r=0.5, arrivals=2, capacity=10) == 100
    assert replaying.catch_up(1, L=1, r=1, arrivals=10, capacity=10).caught_up_s == math.inf
    assert replaying.most_events(100, L=1, r=1, arrivals=11, capacity=10) == -math.inf


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "1", True, None])
def test_a_number_that_is_none_is_refused_by_its_name(wrong: object) -> None:
    for call in (
        lambda: rework.young(wrong, 1),  # type: ignore[arg-type]
        lambda: rework.exact(wrong, 1),  # type: ignore[arg-type]
        lambda: replaying.best_interval(S=wrong, p=0.1, r=1),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidArgumentError, match="(delta|S) is .*above 0"):
            call()
