"""Intervals on traces of failures, and checkpoints at the boundaries of steps."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import FlowlabError, InvalidArgumentError
from flowlab.recovery import replaying, rework
from flowlab.recovery.boundaries import best_boundaries, boundaries_s
from flowlab.recovery.estimates import Costs
from flowlab.recovery.failures import Exponential, Weibull
from flowlab.recovery.traces import (
    OnTrace,
    best_on_trace,
    cost_on_trace,
    wall_time_on_trace,
)


def by_the_second(  # noqa: PLR0917
    gaps: list[int], interval: int, work: int, write: int, restart: int, downtime: int, clock: str
) -> tuple[int, int]:
    """Return (wall time, failures) by living through every second of it."""
    now = saved = failures = down = wait = 0
    piece: list[str] = []
    left = list(gaps)
    to_failure = left.pop(0) if left else None
    while True:
        if not down and not wait and not piece:
            if saved == work:
                return now, failures
            piece = ["work"] * min(interval, work - saved) + ["write"] * write
        if to_failure == 0:
            # What ends at the moment of a failure has ended; one in a downtime changes nothing.
            if not down:
                failures, down, wait, piece = failures + 1, downtime, restart, []
            to_failure = left.pop(0) if left else None
            if not down and to_failure is not None:
                continue
        ticking = clock == "wall" or not down
        if down:
            down -= 1
        elif wait:
            wait -= 1
        elif piece:
            piece.pop()
            if not piece:
                saved += min(interval, work - saved)
        else:
            continue
        now += 1
        if to_failure is not None and ticking:
            to_failure -= 1


@given(
    st.lists(st.integers(1, 30), max_size=12),
    st.integers(1, 12),
    st.integers(1, 40),
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 5),
    st.sampled_from(["wall", "up"]),
)
def test_a_trace_takes_as_long_as_living_through_every_second_of_it(  # noqa: PLR0917
    gaps: list[int], tau: int, work: int, write: int, restart: int, downtime: int, clock: str
) -> None:
    found = wall_time_on_trace(
        gaps, tau, work=work, write=write, restart=restart, downtime=downtime, clock=clock
    )
    expected = by_the_second(gaps, tau, work, write, restart, downtime, clock)
    assert (found.wall_s, found.failures) == expected
    parts = (found.writing_s, found.lost_s, found.restarting_s, found.down_s)
    assert found.wall_s == work + sum(parts)
    assert min(parts) >= 0


@given(st.floats(1, 100), st.floats(1, 1e4), st.floats(0, 10), st.floats(0, 9), st.floats(0, 9))
def test_a_trace_without_failures_costs_exactly_the_checkpoints(
    tau: float, work: float, write: float, restart: float, downtime: float
) -> None:
    found = wall_time_on_trace([], tau, work=work, write=write, restart=restart, downtime=downtime)
    assert found.checkpoints == math.ceil(work / tau - 1e-9)
    assert found.wall_s == pytest.approx(work + found.checkpoints * write)
    assert found.past_trace
    assert (found.failures, found.lost_s, found.restarting_s, found.down_s) == (0, 0, 0, 0)


@pytest.mark.parametrize("chunks", [10, 26, 40])
def test_the_mean_over_exponential_traces_is_the_closed_form(chunks: int) -> None:
    chance = np.random.default_rng(chunks)
    how = {"C": 10, "D": 5, "R": 10, "rate": 0.01}
    expected = rework.job_s(1000, chunks, **how)
    runs = []
    for _ in range(600):
        gaps = Exponential(100).draw(chance, 200)
        outcome = wall_time_on_trace(
            gaps, 1000 / chunks, work=1000, write=10, restart=10, downtime=5
        )
        assert outcome.checkpoints == chunks
        assert not outcome.past_trace
        runs.append(outcome.wall_s)
    sigma = float(np.std(runs)) / math.sqrt(len(runs))
    assert abs(float(np.mean(runs)) - expected) < 3 * sigma


def test_the_best_interval_on_a_long_trace_is_near_the_exact_one() -> None:
    gaps = Exponential(360).draw(np.random.default_rng(5), 4000)
    best = best_on_trace(gaps, work=360 * 3000, write=5)
    assert best.interval == pytest.approx(rework.exact(5, 360), rel=0.25)
    at_exact = wall_time_on_trace(gaps, rework.exact(5, 360), work=360 * 3000, write=5)
    assert best.wall_s <= at_exact.wall_s <= best.wall_s * 1.01
    assert at_exact.overhead == pytest.approx(rework.overhead(56.714, delta=5, M=360), rel=0.1)


@given(
    st.lists(st.integers(0, 40), max_size=10),
    st.integers(1, 12),
    st.integers(0, 30),
    st.floats(0, 9),
)
def test_a_log_on_a_trace_costs_what_counting_event_by_event_gives(
    gaps: list[int], every: int, beyond: int, downtime: float
) -> None:
    events = sum(gaps) + beyond
    if not events:
        return
    total, since, left = 0.0, 0, list(gaps)
    while left and left[0] == 0:
        left.pop(0)
        total += downtime + 2.0
    for _ in range(events):
        since += 1
        if since == every:
            total, since = total + 3.0, 0
        left[:1] = [left[0] - 1] if left else []
        while left and left[0] == 0:
            left.pop(0)
            total += downtime + 2.0 + 0.25 * since
    costs = Costs(snapshot_s=3.0, load_s=2.0, replay_s=0.25)
    found = cost_on_trace(gaps, every, costs=costs, events=events, downtime=downtime)
    assert found.total_s == pytest.approx(total)
    assert found.cost == found.total_s / events


@pytest.mark.parametrize("shape", [0.6, 1.0, 3.0])
def test_the_law_of_replay_needs_the_mean_of_the_gaps_and_not_their_distribution(
    shape: float,
) -> None:
    gaps = np.ceil(Weibull.of_mean(800, shape).draw(np.random.default_rng(2), 20_000)).astype(int)
    costs = Costs(snapshot_s=50, load_s=20, replay_s=0.5)
    p = len(gaps) / gaps.sum()
    for every in (100, 447, 1500):
        found = cost_on_trace(gaps, every, costs=costs)
        law = replaying.cost(every, S=50, L=20, r=0.5, p=p)
        # The places of recoveries are uniform: their mean is within 4 sigma of it.
        sigma = p * 0.5 * every / math.sqrt(12 * len(gaps))
        assert abs(found.cost - law) < 4 * sigma + 1e-3 * law


@pytest.mark.parametrize(
    "call",
    [
        lambda: wall_time_on_trace([1, 0], 1, work=1, write=1),
        lambda: wall_time_on_trace([1], 0, work=1, write=1),
        lambda: wall_time_on_trace([1], 1, work=-1, write=1),
        lambda: wall_time_on_trace([1], 1, work=1, write=math.nan),
        lambda: wall_time_on_trace([1], 1, work=1, write=1, clock="sun"),  # type: ignore[arg-type]
        lambda: best_on_trace([], work=1, write=1),
        lambda: cost_on_trace([1.5], 1, costs=Costs(1, 1, 1)),  # type: ignore[list-item]
        lambda: cost_on_trace([-1], 1, costs=Costs(1, 1, 1)),
        lambda: cost_on_trace([], 1, costs=Costs(1, 1, 1)),
        lambda: cost_on_trace([5], 1, costs=Costs(1, 1, 1), events=4),
        lambda: cost_on_trace([5], 0, costs=Costs(1, 1, 1)),
        lambda: cost_on_trace([5], 2.5, costs=Costs(1, 1, 1)),  # type: ignore[arg-type]
    ],
)
def test_a_trace_or_a_number_that_is_none_is_refused(call: object) -> None:
    with pytest.raises(InvalidArgumentError, match="expected"):
        call()  # type: ignore[operator]


SECONDS = st.integers(0, 60).map(lambda value: value / 2)


@given(st.data(), st.integers(1, 8), st.sampled_from([0.0, 1e-3, 0.02, 0.2]))
def test_no_set_of_boundaries_is_sooner_done_than_the_best_one(
    data: st.DataObject, count: int, rate: float
) -> None:
    steps, write, restart = (
        data.draw(st.lists(SECONDS, min_size=count, max_size=count)) for _ in range(3)
    )
    how = {"C": write, "R": restart, "rate": rate, "D": data.draw(SECONDS)}
    found = best_boundaries(steps, **how)
    every = [
        (*inner, count) for size in range(count) for inner in combinations(range(1, count), size)
    ]
    times = {after: boundaries_s(steps, after, **how) for after in every}
    assert found.expected_s == pytest.approx(min(times.values()), rel=1e-12)
    assert times[found.after] == pytest.approx(found.expected_s, rel=1e-12)


def test_the_best_of_all_2048_sets_of_twelve_steps_is_found() -> None:
    chance = np.random.default_rng(12)
    steps, write = chance.exponential(40, 12).tolist(), chance.uniform(1, 9, 12).tolist()
    how = {"C": write, "R": 4, "rate": 0.01, "D": 2}
    every = [(*c, 12) for size in range(12) for c in combinations(range(1, 12), size)]
    assert len(every) == 2048
    best = min(every, key=lambda after: boundaries_s(steps, after, **how))
    assert best_boundaries(steps, **how).after == best
    assert 1 < len(best) < 12


def test_equal_steps_agree_with_equal_chunks() -> None:
    how = {"C": 10, "D": 5, "R": 10, "rate": 0.01}
    for count, expected in ((26, 1881.3244), (27, 1881.7346), (20, 1908.0218)):
        found = best_boundaries([1000 / count] * count, **how)
        assert found.after == tuple(range(1, count + 1))
        assert found.expected_s == pytest.approx(expected, abs=5e-5)
    # Of a thousand small steps it picks the best number of chunks, each a whole number of them.
    fine = best_boundaries([1.0] * 1000, **how)
    assert len(fine.after) == 26
    lengths = np.diff([0, *fine.after]).tolist()
    assert (lengths.count(38), lengths.count(39)) == (14, 12)
    chunks = [14 * rework.expected_chunk_s(38, **how), 12 * rework.expected_chunk_s(39, **how)]
    assert fine.expected_s == pytest.approx(sum(chunks))


def test_without_failures_only_the_result_is_checkpointed() -> None:
    found = best_boundaries([3.0, 4.0, 5.0], C=2.0, rate=0.0, R=9.0, D=9.0)
    assert (found.after, found.expected_s) == ((3,), 14.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: best_boundaries([], C=1, rate=1),
        lambda: best_boundaries([1, -1], C=1, rate=1),
        lambda: best_boundaries([1, 1], C=[1], rate=1),
        lambda: best_boundaries([1, 1], C=1, R=[1, math.inf], rate=1),
        lambda: best_boundaries([1, 1], C=1, rate=-1),
        lambda: best_boundaries("12", C=1, rate=1),  # type: ignore[arg-type]
        lambda: best_boundaries([1.0] * 20_001, C=1, rate=1),
        lambda: boundaries_s([1, 1], [1], C=1, rate=1),
        lambda: boundaries_s([1, 1], [2, 1, 2], C=1, rate=1),
    ],
)
def test_steps_that_are_none_are_refused(call: object) -> None:
    with pytest.raises(FlowlabError, match="expected"):
        call()  # type: ignore[operator]


def test_an_outcome_says_what_it_took() -> None:
    outcome: OnTrace = wall_time_on_trace([50.0], 100, work=200, write=5)
    assert repr(outcome) == (
        "OnTrace(every 100 s: 260 s, 30.0% over the work, 1 failure, past the end of the trace)"
    )
