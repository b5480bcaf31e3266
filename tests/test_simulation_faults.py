"""Faults as a value: rates that are checked at the door, presets, and JSON."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.simulation import (
    FAULT_KINDS,
    FAULT_PRESETS,
    Constant,
    Exponential,
    Faults,
    Partitions,
    Uniform,
    as_faults,
)

RATED = [kind for kind in FAULT_KINDS if kind != "partition"]

rates = st.just(0.0) | st.floats(2.0**-21, 1)
delays = st.sampled_from([Constant(5), Uniform(1, 10**9), Exponential(10**9)])
partitions = st.builds(
    Partitions,
    every=delays,
    duration=delays,
    share=st.floats(0.01, 0.5),
    most=st.integers(1, 1_000),
)
all_faults = st.builds(
    Faults,
    **dict.fromkeys(RATED, rates),
    **dict.fromkeys(["extra_delay", "downtime", "skew_offset", "write_delay"], delays),
    partition=st.none() | partitions,
    slow_factor=st.floats(1, 1e6),
    skew_drift_ppb=st.integers(0, 10**8),
    swarm=st.booleans(),
)


def test_nothing_goes_wrong_by_default() -> None:
    assert Faults().kinds == ()
    assert Faults().to_json() == {}
    assert repr(Faults()) == "Faults()"


@given(faults=all_faults)
def test_faults_go_to_json_text_and_come_back_equal(faults: Faults) -> None:
    again = Faults.from_json(json.loads(json.dumps(faults.to_json())))
    assert again == faults
    assert (hash(again), repr(again)) == (hash(faults), repr(faults))
    assert pickle.loads(pickle.dumps(faults)) == faults
    assert Partitions.from_json(Partitions().to_json()) == Partitions()


@given(faults=all_faults, kind=st.sampled_from(FAULT_KINDS))
def test_without_a_kind_all_the_others_are_left_as_they_were(faults: Faults, kind: str) -> None:
    left = faults.without(kind)
    assert left.kinds == tuple(other for other in faults.kinds if other != kind)
    for member in fields(Faults):
        if not member.init:
            continue
        if member.name != kind:
            assert getattr(left, member.name) == getattr(faults, member.name)


@given(one=all_faults, other=all_faults)
def test_two_together_are_what_the_second_sets_and_else_the_first(
    one: Faults, other: Faults
) -> None:
    both = one | other
    assert both.to_json() == {**one.to_json(), **other.to_json()}
    assert one | Faults() == one == Faults() | one


def test_the_preset_of_a_platform_has_its_published_rates() -> None:
    faults = Faults.preset("production")
    assert (faults.fail, faults.hang, faults.kinds) == (0.010, 0.009, ("fail", "hang"))
    failed = 1 - (1 - faults.fail - faults.hang) ** 4
    assert failed == pytest.approx(0.074, abs=0.001)


def test_runs_of_ten_calls_fail_as_often_as_in_research_benchmarks() -> None:
    failed = 1 - (1 - Faults.preset("research").fail) ** 10
    assert 0.41 < failed < 0.87
    assert failed == pytest.approx((0.41 + 0.87) / 2, abs=0.001)


def test_chaos_has_every_kind_and_every_preset_is_part_of_what_it_says() -> None:
    kinds = {name: set(faults.kinds) for name, faults in FAULT_PRESETS.items()}
    assert kinds == {
        "none": set(),
        "production": {"fail", "hang"},
        "research": {"fail"},
        "network": {"loss", "duplicate", "reorder", "partition"},
        "crashes": {"crash", "host_crash"},
        "disk": {"lost_write", "torn_write", "delayed_write"},
        "clocks": {"skew"},
        "chaos": set(FAULT_KINDS),
        "swarm": set(FAULT_KINDS),
    }
    assert [name for name, faults in FAULT_PRESETS.items() if faults.swarm] == ["swarm"]


def test_faults_are_taken_as_a_value_a_name_json_or_nothing() -> None:
    faults = Faults(loss=0.5)
    assert as_faults(faults) is faults
    assert as_faults("network") is FAULT_PRESETS["network"]
    assert as_faults({"loss": 0.5}) == faults
    assert as_faults(None) == Faults()


@pytest.mark.parametrize(
    ("make", "error", "why"),
    [
        (lambda: Faults(loss=1.5), InvalidArgumentError, "loss is 1.5; expected a rate from 0"),
        (lambda: Faults(crash=-0.1), InvalidArgumentError, "crash is -0.1"),
        (lambda: Faults(fail="1%"), InvalidArgumentError, "fail is '1%'"),
        (lambda: Faults(hang=float("nan")), InvalidArgumentError, "hang is nan"),
        (lambda: Faults(skew=True), InvalidArgumentError, "skew is True"),
        (lambda: Faults(loss=1e-9), InvalidArgumentError, r"from 2\*\*-21 \(5e-7\) to 1"),
        (lambda: Faults(partition=0.1), InvalidArgumentError, "partition is 0.1; expected Part"),
        (lambda: Faults(downtime=-5), InvalidArgumentError, "downtime is -5 ns"),
        (lambda: Faults(slow_factor=0.5), InvalidArgumentError, "slow_factor is 0.5; .* from 1"),
        (lambda: Faults(skew_drift_ppb=0.5), InvalidArgumentError, "skew_drift_ppb is 0.5"),
        (lambda: Faults(swarm=1), InvalidArgumentError, "swarm is 1; expected True or False"),
        (lambda: Partitions(share=0), InvalidArgumentError, "share of Partitions is 0"),
        (lambda: Partitions(share=0.6), InvalidArgumentError, "share of Partitions is 0.6"),
        (lambda: Partitions(most=0), InvalidArgumentError, "most of Partitions is 0"),
        (lambda: Partitions(every="1 s"), InvalidArgumentError, "every of Partitions is '1 s'"),
        (lambda: Faults().without("los"), NotFoundError, "no kind of fault 'los'; there are loss"),
        (lambda: Faults.preset("prod"), NotFoundError, "'prod'; there are none, production"),
        (lambda: as_faults("prod"), NotFoundError, "no preset of faults 'prod'"),
        (lambda: as_faults(0.1), InvalidArgumentError, "faults is 0.1; expected Faults"),
        (lambda: Faults.from_json([]), InvalidArgumentError, "faults: got .. .list."),
        (lambda: Faults.from_json({"los": 1}), InvalidArgumentError, "'los' is unknown"),
        (
            lambda: Faults.from_json({"partition": {"rate": 1}}),
            InvalidArgumentError,
            "partitions: the field 'rate' is unknown; the fields are every, duration",
        ),
        (
            lambda: Faults.from_json({"downtime": "long"}),
            InvalidArgumentError,
            "downtime: got 'long'; expected an object whose kind",
        ),
    ],
)
def test_what_no_world_could_have_is_refused_at_the_door(make: Any, error: Any, why: str) -> None:
    with pytest.raises(error, match=why):
        make()
