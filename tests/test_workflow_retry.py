"""Retries: the delay is a pure function of logical time."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.workflow import NO_RETRY, SECOND, RetryPolicy
from flowlab.workflow.plan_retry import Draws, delay_ns

policies = st.builds(
    RetryPolicy,
    initial_interval=st.integers(1, 10**12),
    backoff_coefficient=st.sampled_from([1.0, 1.5, 2.0, 3, 10.0]),
    maximum_attempts=st.none() | st.integers(1, 50),
    retry_timeout=st.none() | st.integers(1, 10**15),
    jitter=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    non_retryable_error_types=st.lists(st.sampled_from("ABC"), unique=True).map(tuple),
)


@given(policy=policies, retry=st.integers(1, 200))
def test_the_interval_is_the_smaller_of_the_maximum_and_the_power(
    policy: RetryPolicy, retry: int
) -> None:
    initial = policy.initial_interval
    assert isinstance(initial, int)
    power = initial * Fraction(policy.backoff_coefficient) ** (retry - 1)
    expected = min(100 * initial, power)
    assert abs(policy.interval_ns(retry) - expected) <= max(1, expected / 10**12)


@given(policy=policies, retry=st.integers(1, 50), draw=st.floats(0, 1, exclude_max=True))
def test_jitter_moves_an_interval_by_its_part_and_no_more(
    policy: RetryPolicy, retry: int, draw: float
) -> None:
    plain = policy.interval_ns(retry)
    moved = policy.interval_ns(retry, draw=draw)
    assert abs(moved - plain) <= plain * policy.jitter + 1


@given(policy=policies)
def test_a_policy_is_the_same_after_json(policy: RetryPolicy) -> None:
    assert RetryPolicy.from_json(policy.to_json()) == policy


@given(
    policy=policies,
    attempt=st.integers(1, 60),
    elapsed=st.integers(0, 10**15),
    shift=st.integers(-(10**17), 10**17),
)
def test_a_history_replayed_later_gives_the_same_decision(
    policy: RetryPolicy, attempt: int, elapsed: int, shift: int
) -> None:
    def decide(start: int) -> int | None:
        due = policy.next_attempt_ns(
            attempt, error_type="E", now_ns=start + elapsed, first_scheduled_ns=start
        )
        return None if due is None else due - start

    assert decide(0) == decide(shift)


def test_the_defaults_are_one_second_doubling_to_a_hundred_without_limit() -> None:
    policy = RetryPolicy()
    seconds = [policy.interval_ns(retry) / SECOND for retry in range(1, 10)]
    assert seconds == [1, 2, 4, 8, 16, 32, 64, 100, 100]
    assert policy.next_attempt_ns(10**6, error_type="E", now_ns=5, first_scheduled_ns=0) == (
        100 * SECOND + 5
    )


def test_attempts_error_types_and_time_each_end_the_retries() -> None:
    def due(policy: RetryPolicy, attempt: int = 1, error: str = "E", now: int = 0) -> int | None:
        return policy.next_attempt_ns(attempt, error_type=error, now_ns=now, first_scheduled_ns=0)

    three = RetryPolicy(maximum_attempts=3)
    assert [due(three, attempt) is None for attempt in (1, 2, 3, 4)] == [False, False, True, True]
    assert due(NO_RETRY) is None
    final = RetryPolicy(non_retryable_error_types=("CardDeclined",))
    assert due(final, error="CardDeclined") is None
    assert due(final, error="Timeout") == SECOND
    short = RetryPolicy(retry_timeout=timedelta(seconds=3))
    assert due(short, now=2 * SECOND) == 3 * SECOND
    assert due(short, now=2 * SECOND + 1) is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"initial_interval": 0}, "initial_interval is 0 ns; expected at least 1"),
        ({"initial_interval": 1.5}, "expected an int of nanoseconds or a timedelta"),
        ({"initial_interval": True}, "expected an int of nanoseconds"),
        ({"maximum_interval": 5}, "maximum_interval is 5 ns"),
        ({"backoff_coefficient": 0.5}, "expected a number from 1"),
        ({"backoff_coefficient": float("nan")}, "expected a number from 1"),
        ({"maximum_attempts": 0}, "expected an int of at least 1"),
        ({"jitter": 1.1}, "expected a number from 0 to 1"),
        ({"non_retryable_error_types": "E"}, "expected names of error types"),
        ({"retry_timeout": timedelta(0)}, "expected at least 1"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        RetryPolicy(**fields)


@pytest.mark.parametrize("value", [{"attempts": 3}, [], {"jitter": "x"}, {"maximum_attempts": -1}])
def test_a_damaged_policy_in_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        RetryPolicy.from_json(value)


def test_every_duration_of_a_policy_may_be_a_timedelta() -> None:
    second = timedelta(seconds=1)
    told = RetryPolicy(
        initial_interval=second, maximum_interval=4 * second, retry_timeout=9 * second
    )
    assert told == RetryPolicy(
        initial_interval=SECOND, maximum_interval=4 * SECOND, retry_timeout=9 * SECOND
    )
    assert [told.interval_ns(retry) for retry in (1, 2, 3, 4)] == [
        SECOND,
        2 * SECOND,
        4 * SECOND,
        4 * SECOND,
    ]


@pytest.mark.parametrize("draw", [-0.01, 1.0])
def test_a_draw_that_is_none_is_refused(draw: float) -> None:
    with pytest.raises(InvalidArgumentError, match="expected a number from 0 up to 1"):
        RetryPolicy(jitter=0.5).interval_ns(1, draw=draw)


@pytest.mark.parametrize(
    ("policy", "drawn"),
    [
        (RetryPolicy(jitter=0.5), 1),
        (RetryPolicy(), 0),
        (RetryPolicy(jitter=0.5, maximum_attempts=1), 0),
    ],
)
def test_a_step_draws_only_where_its_policy_has_jitter_and_another_attempt(
    policy: RetryPolicy, drawn: int
) -> None:
    draws = Draws(lambda: 0.25)
    delay_ns(policy, 1, "Busy", 0, None, draws)
    assert draws.count == drawn
