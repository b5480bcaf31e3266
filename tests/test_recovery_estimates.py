"""What is learned of costs and recoveries while the work goes on."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.estimates import Costs, Estimates, Prior
from flowlab.recovery.replaying import best_interval

OBSERVATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("appended"), st.integers(0, 10**6)),
        st.tuples(st.just("recovered")),
        st.tuples(
            st.sampled_from(["replayed", "wrote", "loaded"]),
            st.integers(0, 10**9),
            st.floats(0, 1e4),
        ),
    ),
    max_size=40,
)


def after(observations: list[tuple[object, ...]], start: Estimates | None = None) -> Estimates:
    now = Estimates.start() if start is None else start
    for name, *values in observations:
        now = getattr(now, str(name))(*values)
    return now


@given(OBSERVATIONS, OBSERVATIONS)
def test_estimates_go_on_from_json_as_if_they_had_never_stopped(
    first: list[tuple[object, ...]], second: list[tuple[object, ...]]
) -> None:
    whole = after(first + second)
    saved = Estimates.from_json(json.loads(json.dumps(after(first).to_json())))
    assert after(second, saved) == whole
    assert 1 <= whole.interval() < math.inf
    assert 0 < whole.p <= 1


@given(st.floats(1e-5, 10), st.floats(1e-5, 10), st.floats(1e-7, 1e-2), st.integers(0, 10**8))
def test_costs_that_stay_the_same_are_found_whatever_the_prior_says(
    s: float, load: float, r: float, size: int
) -> None:
    now = Estimates.start()
    for _ in range(60):
        now = now.wrote(size, s).loaded(size, load).replayed(10_000, 10_000 * r)
    costs = now.costs()
    assert costs.snapshot_s == pytest.approx(s, rel=0.05)
    assert costs.load_s == pytest.approx(load, rel=0.05)
    assert costs.replay_s == pytest.approx(r, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_one_write_in_twenty_that_takes_a_hundred_times_as_long_moves_little(seed: int) -> None:
    chance = np.random.default_rng(seed)
    now = Estimates.start()
    for place in range(400):
        slow = 100.0 if place % 20 == 19 else 1.0
        now = now.wrote(1000, 0.004 * slow * math.exp(0.2 * chance.standard_normal()))
        if place > 100:
            assert 0.0028 < now.costs().snapshot_s < 0.0058


def test_a_disk_that_becomes_ten_times_slower_is_noticed_within_thirty_writes() -> None:
    now = Estimates.start()
    for _ in range(200):
        now = now.wrote(1000, 0.001)
    assert now.costs().snapshot_s == pytest.approx(0.001, rel=0.01)
    for _ in range(30):
        now = now.wrote(1000, 0.01)
    assert now.costs().snapshot_s > 0.005


def test_recoveries_are_counted_over_events_and_the_old_ones_fade() -> None:
    now = Estimates.start()
    for _ in range(500):
        now = now.appended(1000).recovered()
    assert now.p == pytest.approx(1e-3, rel=0.01)
    for _ in range(500):
        now = now.appended(10).recovered()
    assert now.p == pytest.approx(0.1, rel=0.01)
    quiet = now.appended(10**9)
    assert quiet.p < 1e-7
    assert quiet.interval() > now.interval()


def test_the_interval_is_the_law_at_the_estimates() -> None:
    now = Estimates.start().appended(5000).wrote(4096, 0.002).loaded(4096, 0.001)
    now = now.replayed(50_000, 0.5).recovered()
    costs = now.costs()
    law = best_interval(S=costs.snapshot_s, L=costs.load_s, r=costs.replay_s, p=now.p)
    assert now.interval() == law.n_star
    assert now.p == 1.5 / 10_000


def test_before_anything_is_seen_the_interval_is_that_of_the_prior() -> None:
    assert Estimates.start().interval() == pytest.approx(math.sqrt(2e-3 / (1e-4 * 2e-6)))
    dear = Estimates.start(Prior(write_s=4e-3))
    assert dear.interval() == pytest.approx(2 * Estimates.start().interval())
    # A state that has grown is asked for its own size.
    assert dear.interval(10**8) > 10 * dear.interval()


def test_a_short_replay_tells_less_than_a_long_one() -> None:
    now = Estimates.start()
    for _ in range(20):
        now = now.replayed(10_000, 10_000 * 1e-5)
    short = now.replayed(1, 1e-3).costs().replay_s
    long = now.replayed(1000, 1000 * 1e-3).costs().replay_s
    assert now.costs().replay_s < short < long
    assert now.replayed(0, 5.0) == now


GOOD = Estimates.start().wrote(10, 0.1).to_json()


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        {},
        "text",
        GOOD | {"version": 2},
        GOOD | {"events": 0},
        GOOD | {"recoveries": math.nan},
        GOOD | {"state_bytes": -1},
        GOOD | {"write": [0.0, 0.1]},
        GOOD | {"write": [1e9, 0.1, 1.0]},
        GOOD | {"load": [0.0, -1.0, 1.0]},
        GOOD | {"replay": "abc"},
        GOOD | {"prior": GOOD["prior"] | {"write_s": 0}},
        GOOD | {"prior": {}},
        GOOD | {"prior": 7},
        GOOD | {"prior": {"unknown": 1}},
        {name: value for name, value in GOOD.items() if name != "prior"},
    ],
)
def test_what_is_no_saved_estimate_is_refused(damaged: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"start anew with Estimates.start"):
        Estimates.from_json(damaged)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Costs(0.0, 0.0, 1.0),
        lambda: Costs(1.0, -1.0, 1.0),
        lambda: Prior(events=0.0),
        lambda: Estimates.start().appended(-1),
        lambda: Estimates.start().wrote(1, math.nan),
        lambda: Estimates.start().loaded(-1, 1.0),
        lambda: Estimates.start().replayed(1, -1.0),
        lambda: Estimates.start().interval(-1),
    ],
)
def test_a_cost_that_is_none_is_refused(call: object) -> None:
    with pytest.raises(InvalidArgumentError, match="expected a finite number"):
        call()  # type: ignore[operator]
