"""The measured optimum: the least of what was measured, and a claim that can fail."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.studies.recovery_claims import BAND
from flowlab.studies.recovery_curve import Curve, Sample
from flowlab.studies.recovery_fit import SchemeCosts
from flowlab.studies.recovery_optimum import BY, Optimum, Round

EVERY = tuple(round(by * 1_000) for by in BY)
P, S, L, R = 4e-4, 1e-3, 5e-3, 5e-6  # N* is 1 000
COSTS = {
    "write": SchemeCosts("write", {"once": 99.0, "bytes": 0.0}, 1),
    "checkpoint": SchemeCosts(
        "checkpoint",
        {"once": L, "workflows": 0.0, "events": R, "payload_bytes": 0.0, "state_bytes": 0.0},
        1,
    ),
}


def measured(
    rng: random.Random, *, noise: float, growth: float = 0.0, pace: float = 1.0, writes: float = S
) -> list[Round]:
    """Nine rounds of measurements of the law, each off by chance."""

    def off(seconds: float) -> float:
        return pace * seconds * math.exp(rng.gauss(0.0, noise))

    def sample(every: int) -> Sample:
        places = [round((part + 0.5) / 4 * every) for part in range(4)]
        recoveries = tuple((events, off(L + R * events)) for events in places)
        return Sample(every, tuple(off(S + growth * every) for _ in range(6)), recoveries)

    def beside() -> list[dict[str, object]]:
        sizes = (2_000, 20_000, 90_000)
        wrote = [
            {"scheme": "write", "cell": str(size), "bytes": size, "wall": [[off(writes)]]}
            for size in sizes
            for _ in range(6)
        ]
        places = (99, 300, 900)
        read = [{"scheme": "checkpoint", "events": n, "wall": [[off(L + R * n)]]} for n in places]
        return [*wrote, *read]

    return [Round(tuple(map(sample, EVERY)), tuple(beside())) for _ in range(9)]


def ratio_of(rounds: Sequence[Round]) -> float:
    return Optimum(P, COSTS, tuple(rounds)).value


@given(
    s=st.floats(1e-4, 1e-1),
    growth=st.floats(0, 1e-5),
    load=st.floats(1e-4, 1e-1),
    r=st.floats(1e-6, 1e-4),
    p=st.floats(1e-5, 1e-1),
)
def test_the_least_of_a_curve_is_that_of_its_costs_whatever_a_checkpoint_takes_for_an_event(
    s: float, growth: float, load: float, r: float, p: float
) -> None:
    samples = [Sample(n, (s + growth * n,), ((n, load + r * n),)) for n in EVERY]
    curve = Curve.of(samples)
    best = curve.best(p)

    assert best == pytest.approx(math.sqrt(2 * s / (p * r)), rel=1e-4)
    if best < 1e6:  # beyond, costs differ by less than floats do
        near = [best * by for by in (0.5, 0.8, 1.0, 1.25, 2.0)]
        assert min(near, key=lambda every: curve.cost(every, p)) == best


@pytest.mark.parametrize("seed", range(2))
def test_one_in_five_off_at_every_measurement_leaves_the_optimum_well_within_the_band(
    seed: int,
) -> None:
    found = Optimum(P, COSTS, tuple(measured(random.Random(seed), noise=0.2)))

    assert found.value == pytest.approx(1.0, abs=0.1)
    low, high = found.interval
    assert 1 / BAND < low < found.value < high < BAND


def test_a_wrong_n_star_is_told_from_the_right_one() -> None:
    dear = {**COSTS["checkpoint"].seconds, "events": 3 * R}
    rounds = tuple(measured(random.Random(1), noise=0.05))
    assert 1 / BAND < ratio_of(rounds) < BAND
    # Of a calibration that takes a recovery's fixed part for the events that it reads.
    wrong = {**COSTS, "checkpoint": SchemeCosts("checkpoint", {**dear, "once": L / 4}, 1)}
    assert Optimum(P, wrong, rounds).value > BAND
    # Of checkpoints that are twice as dear as those that the calibration's streams took.
    assert ratio_of(measured(random.Random(1), noise=0.05, writes=S / 2.2)) > BAND
    assert ratio_of(measured(random.Random(1), noise=0.05, writes=S * 2.2)) < 1 / BAND


def test_a_machine_that_is_slower_while_it_is_measured_moves_nothing() -> None:
    same, slow = (ratio_of(measured(random.Random(2), noise=0.1, pace=pace)) for pace in (1, 3))
    assert same == pytest.approx(slow)


def test_a_curve_that_rises_or_falls_alone_is_least_nowhere() -> None:
    told = [Curve(*slope).best(P) for slope in ((S, 0.0, L, -R), (-S, 0.0, L, R), (S, 0.0, L, 0.0))]
    assert told == [math.inf] * 3
