"""Costs that are fitted to measured recoveries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.measured import fit_costs

COST = st.floats(1e-6, 10)


@given(COST, COST, st.sets(st.integers(0, 10**6), min_size=4, max_size=12))
def test_recoveries_without_noise_give_their_costs_back(
    load: float, r: float, lengths: set[int]
) -> None:
    found = fit_costs([(n, load + r * n) for n in lengths], [2.0, 1.0, 9.0])
    assert found.costs.snapshot_s == 2.0
    assert found.worst_error < 1e-6
    for n in (min(lengths), max(lengths)):
        assert found.predicted_s(n) == pytest.approx(load + r * n, rel=1e-6)


@given(
    st.lists(st.tuples(st.integers(1, 10**5), st.floats(1e-3, 1e3)), min_size=4, max_size=12),
    st.sampled_from([(1.05, 1.0), (0.95, 1.0), (1.0, 1.05), (1.0, 0.95), (1.05, 0.97)]),
)
def test_no_line_near_it_has_a_smaller_sum_of_relative_errors(
    pairs: list[tuple[int, float]], factors: tuple[float, float]
) -> None:
    events = np.asarray([pair[0] for pair in pairs], float)
    seconds = np.asarray([pair[1] for pair in pairs])
    try:
        found = fit_costs(pairs, [1.0])
    except InvalidArgumentError:
        return

    def total(load: float, r: float) -> float:
        return float(np.sum(np.abs(load + r * events - seconds) / seconds))

    best = total(found.costs.load_s, found.costs.replay_s)
    other = total(found.costs.load_s * factors[0], found.costs.replay_s * factors[1])
    assert best <= other * (1 + 1e-3) + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_recoveries_that_were_held_up_bend_nothing(seed: int) -> None:
    chance = np.random.default_rng(seed)
    lengths = np.logspace(1, 5, 40)
    seconds = (0.02 + 2e-5 * lengths) * np.exp(0.05 * chance.standard_normal(40))
    seconds[::10] *= 20
    found = fit_costs(list(zip(lengths.tolist(), seconds.tolist(), strict=True)), [0.1])
    assert found.costs.load_s == pytest.approx(0.02, rel=0.08)
    assert found.costs.replay_s == pytest.approx(2e-5, rel=0.08)
    assert found.median_error < 0.08
    # Runs that the fit has not seen are predicted as well.
    for n in (50, 5_000, 500_000):
        assert found.predicted_s(n) == pytest.approx(0.02 + 2e-5 * n, rel=0.08)


def test_a_load_never_takes_less_than_nothing() -> None:
    found = fit_costs([(10, 0.5), (20, 1.6), (30, 2.8), (40, 4.1)], [1.0])
    assert found.costs.load_s == 0.0
    assert 0.05 < found.costs.replay_s < 0.11


@pytest.mark.parametrize(
    ("recoveries", "writes", "message"),
    [
        ([(1, 1.0)] * 3, [1.0], "3 recoveries are given; expected at least 4"),
        ([(7, 1.0)] * 9, [1.0], "all 9 recoveries replayed 7 events"),
        ([(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)], [1.0], "do not rise"),
        ([(1, 1.0), (2, 2.0), (3, 0.0), (4, 4.0)], [1.0], r"recoveries\[2\] is 0"),
        ([(-5, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)], [1.0], "expected"),
        ([(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)], [], "0 writes"),
        ([1.0, 2.0, 3.0, 4.0], [1.0], "expected pairs"),
    ],
)
def test_measurements_that_tell_nothing_are_refused(
    recoveries: list[tuple[float, float]], writes: list[float], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        fit_costs(recoveries, writes)
