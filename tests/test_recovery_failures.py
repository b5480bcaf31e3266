"""Distributions of the time between failures, and the one that observed gaps come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.failures import Empirical, Exponential, Weibull, as_failures
from flowlab.recovery.fitting import Fit, fit

GAPS = st.lists(st.floats(1e-3, 1e6), min_size=8, max_size=30, unique=True).filter(
    lambda gaps: max(gaps) > 1.1 * min(gaps)
)


def log_likelihood(gaps: object, censored: object, shape: float, scale: float) -> float:
    """From the definition: densities of what failed, survival of what did not yet."""
    failed = np.asarray(gaps) / scale
    density = np.log(shape / scale) + (shape - 1) * np.log(failed) - failed**shape
    return float(np.sum(density) - np.sum((np.asarray(censored) / scale) ** shape))


@given(GAPS, st.lists(st.floats(1e-3, 1e6), max_size=3))
def test_no_weibull_near_or_far_is_likelier_than_the_one_that_is_found(
    gaps: list[float], censored: list[float]
) -> None:
    found = fit(gaps, censored=censored).weibull
    if not 0.05 < found.shape < 50:
        return
    best = log_likelihood(gaps, censored, found.shape, found.scale_s)
    for shape in (0.01, 0.3, 0.999, 1.001, 3.0):
        for scale in (0.3, 0.999, 1.0, 1.001, 3.0):
            other = log_likelihood(gaps, censored, found.shape * shape, found.scale_s * scale)
            assert other <= best + 1e-9 * max(1.0, abs(best))


@given(GAPS)
def test_the_ends_of_the_interval_are_where_the_likelihood_ratio_says(gaps: list[float]) -> None:
    found = fit(gaps)
    assert found.shape_low < found.weibull.shape < found.shape_high
    best = log_likelihood(gaps, (), found.weibull.shape, found.weibull.scale_s)
    for shape in (found.shape_low, found.shape_high):
        if not 0.05 < shape < 50:
            continue
        scale = float(np.mean(np.asarray(gaps) ** shape)) ** (1 / shape)
        # 3.841459 is the 95 % quantile of chi-square with one degree of freedom.
        at_end = log_likelihood(gaps, (), shape, scale)
        assert 2 * (best - at_end) == pytest.approx(3.841459, abs=1e-5)
    refused = not found.shape_low < 1 < found.shape_high
    assert isinstance(found.chosen, Weibull) == refused
    assert (found.p_value < 0.05) == refused
    assert found.exponential.mean_s == pytest.approx(np.mean(gaps))


@given(GAPS, st.floats(1e-3, 1e3))
def test_the_unit_of_time_changes_the_scale_and_nothing_else(
    gaps: list[float], unit: float
) -> None:
    one, other = fit(gaps), fit([gap * unit for gap in gaps])
    assert other.weibull.shape == pytest.approx(one.weibull.shape, rel=1e-6)
    assert other.weibull.scale_s == pytest.approx(one.weibull.scale_s * unit, rel=1e-6)
    assert other.aic == pytest.approx(one.aic, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
def test_the_interval_of_the_shape_holds_it_as_often_as_it_says(shape: float) -> None:
    chance = np.random.default_rng(11)
    truth = Weibull(shape, 500.0)
    fits = [fit(truth.draw(chance, 40)) for _ in range(300)]
    held = sum(found.shape_low < shape < found.shape_high for found in fits)
    assert 0.91 < held / 300 < 0.99
    chosen = sum(isinstance(found.chosen, Weibull) for found in fits)
    assert chosen < 0.1 * 300 if shape == 1.0 else chosen > 0.9 * 300
    assert np.median([found.weibull.scale_s for found in fits]) == pytest.approx(500, rel=0.1)


def test_a_time_without_failure_makes_failures_rarer_and_not_shorter() -> None:
    gaps = [5.0, 12, 31, 44, 60, 97, 120, 260]
    seen = fit(gaps, censored=[1000.0])
    assert seen.exponential.mean_s == (sum(gaps) + 1000) / 8
    assert seen.weibull.mean_s > fit(gaps).weibull.mean_s
    assert seen.weibull.shape < fit(gaps).weibull.shape


@given(st.floats(0, 1e5), st.floats(1e-2, 1e4))
def test_a_weibull_of_shape_1_is_exponential(seconds: float, mean: float) -> None:
    one, other = Weibull(1.0, mean), Exponential(mean)
    assert one.mean_s == pytest.approx(mean)
    assert one.survival(seconds) == pytest.approx(other.survival(seconds))
    assert one.hazard(seconds) == pytest.approx(other.hazard(seconds))
    assert np.allclose(
        one.draw(np.random.default_rng(1), 5), other.draw(np.random.default_rng(1), 5)
    )


@pytest.mark.parametrize(
    "failures", [Exponential(40.0), Weibull(0.6, 30.0), Weibull(2.5, 30.0)], ids=repr
)
def test_mean_survival_and_hazard_tell_of_one_distribution(failures: Weibull) -> None:
    times = np.linspace(0, 40 * failures.mean_s, 400_001)[1:]
    survival = failures.survival(times)
    steps = np.diff(times, prepend=0.0)
    assert float(np.sum(survival * steps)) == pytest.approx(failures.mean_s, rel=2e-3)
    early = slice(2000, 20_000)
    slope = -np.gradient(np.log(survival[early]), times[early])
    assert np.allclose(slope[1:-1], failures.hazard(times[early])[1:-1], rtol=1e-3)


@pytest.mark.parametrize(
    "failures", [Exponential(40.0), Weibull(0.6, 30.0), Empirical([1.0, 5.0, 80.0])], ids=repr
)
def test_draws_have_the_survival_of_their_distribution(failures: Weibull) -> None:
    drawn = failures.draw(np.random.default_rng(3), 20_000)
    assert np.array_equal(drawn, failures.draw(np.random.default_rng(3), 20_000))
    for seconds in (0.5, 1.0, 10.0, 60.0, 80.0):
        share = float(failures.survival(seconds))
        sigma = math.sqrt(max(share * (1 - share), 1e-9) / 20_000)
        assert abs(float(np.mean(drawn > seconds)) - share) < 4 * sigma + 1e-12


@given(st.lists(st.sampled_from([1.0, 2.0, 2.5, 7.0]), min_size=1, max_size=8))
def test_the_observed_hazard_is_failures_over_time_at_risk(gaps: list[float]) -> None:
    seen = Empirical(gaps)
    assert seen.mean_s == pytest.approx(sum(gaps) / len(gaps))
    ends = sorted(set(gaps))
    for start, end in zip([0.0, *ends], ends, strict=False):
        at_risk = sum(min(gap, end) - start for gap in gaps if gap > start)
        expected = gaps.count(end) / at_risk
        assert float(seen.hazard((start + end) / 2)) == pytest.approx(expected)
        assert float(seen.survival(end)) == pytest.approx(
            sum(gap > end for gap in gaps) / len(gaps)
        )
    assert float(seen.hazard(100.0)) == math.inf


def test_what_people_give_for_failures_becomes_a_distribution() -> None:
    young = Weibull(0.7, 10.0)
    assert as_failures(young) is young
    assert as_failures(60) == Exponential(60.0)
    assert as_failures(np.array([3.0, 1.0])) == Empirical([1.0, 3.0])
    assert Weibull(0.001, 1.0).mean_s == math.inf


@pytest.mark.parametrize("wrong", [0, -1.0, math.nan, True, "60", [], [1, 0], None, [[1, 2]]])
def test_what_is_no_failure_time_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"(failures|gaps).*expected"):
        as_failures(wrong)


@pytest.mark.parametrize(
    ("gaps", "message"),
    [
        ([1, 2, 3], "at least 8 to tell a Weibull"),
        ([5.0] * 20, "come by the clock"),
        ([1.0] * 9 + [0.0], r"gaps\[9\] is 0"),
        ([1.0] * 9 + [math.inf], r"gaps\[9\] is inf"),
        ("12345678", "expected"),
        (7, "expected a sequence"),
    ],
)
def test_gaps_that_tell_nothing_are_refused(gaps: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        fit(gaps)  # type: ignore[arg-type]


def test_a_confidence_is_a_share() -> None:
    with pytest.raises(InvalidArgumentError, match="between 0 and 1"):
        fit([1.0, 2, 3, 4, 5, 6, 7, 8], confidence=95)
    wide: Fit = fit([1.0, 2, 3, 4, 5, 6, 7, 80], confidence=0.99)
    tight = fit([1.0, 2, 3, 4, 5, 6, 7, 80], confidence=0.5)
    assert wide.shape_low < tight.shape_low < tight.shape_high < wide.shape_high


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (1.0, 0.0), (1.0, math.inf)])
def test_a_weibull_of_no_shape_or_no_scale_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"(shape|scale_s) is (0|inf)"):
        Weibull(*wrong)
