"""Chance as pure functions: draws that depend on names alone, and what is made of them."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.simulation import (
    MAX_DELAY_NS,
    MAX_EMPIRICAL_VALUES,
    Constant,
    Distribution,
    Empirical,
    Exponential,
    LogNormal,
    Network,
    Shifted,
    Uniform,
    as_distribution,
    bits,
    distribution_from_json,
    key_of,
    uniform,
)
from flowlab.simulation.draws import Lanes, following

MS = 1_000_000
GOLDEN_KEY = 239_053_597_255_177_533

delays = st.integers(0, 10**12)
plain = st.one_of(
    st.builds(Constant, delays),
    st.tuples(delays, delays).map(lambda pair: Uniform(min(pair), max(pair))),
    st.builds(Exponential, delays),
    st.builds(LogNormal, delays, st.floats(0, 3)),
    st.builds(Empirical, st.lists(delays, min_size=1, max_size=9)),
)
distributions = plain | st.builds(Shifted, delays, plain)
uniforms = st.floats(0, 1, exclude_max=True)
names = st.lists(st.text(max_size=4) | st.integers(), max_size=4).map(tuple)


def draws_of(distribution: Distribution, count: int = 20_000) -> list[int]:
    """Draws at evenly spaced numbers: what a perfect sample of that size would be."""
    return [distribution.draw((i + 0.5) / count) for i in range(count)]


def test_the_draws_of_a_key_are_those_of_the_published_generator() -> None:
    """The first outputs of SplitMix64 for the seeds 0 and 1234567, as its ports print them."""
    assert [bits(0, n) for n in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]
    assert [bits(1234567, n) for n in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_keys_and_draws_are_the_same_for_ever() -> None:
    assert key_of(7, "trip-1", "loss") == GOLDEN_KEY
    assert (key_of("ä"), key_of()) == (16_982_281_180_380_959_230, 13_020_603_013_274_838_756)
    assert uniform(GOLDEN_KEY, 0) == 0.8120021733294965


def test_keys_are_the_same_in_a_process_with_another_hash_seed() -> None:
    script = "from flowlab.simulation import key_of; print(key_of(7, 'trip-1', 'loss'))"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {f"{GOLDEN_KEY}\n"}


@given(first=names, second=names)
def test_keys_are_equal_exactly_if_their_names_are(first: tuple[Any], second: tuple[Any]) -> None:
    assert (key_of(*first) == key_of(*second)) == (first == second)


def test_a_name_and_a_number_that_look_alike_have_two_keys() -> None:
    assert len({key_of(1), key_of("1"), key_of("i1;"), key_of("1", ""), key_of("", "1")}) == 5


@pytest.mark.parametrize("name", [1.0, True, None, b"a", ("a",)])
def test_a_name_of_another_type_is_refused_even_if_it_equals_a_name_before(name: Any) -> None:
    assert key_of(1)
    with pytest.raises(InvalidArgumentError, match="expected text or an int"):
        key_of(name)


def test_half_of_a_surrogate_pair_is_a_name_too() -> None:
    assert key_of("\ud800") != key_of("\ud801")


@given(key=st.integers(0, 2**64 - 1), order=st.permutations(range(20)))
def test_no_order_of_asking_changes_a_draw(key: int, order: list[int]) -> None:
    assert {n: bits(key, n) for n in order} == {n: bits(key, n) for n in range(20)}


@given(key=st.integers(0, 2**64 - 1), n=st.integers(-(2**70), 2**70))
def test_a_draw_is_64_bits_and_a_number_below_1(key: int, n: int) -> None:
    assert 0 <= bits(key, n) < 2**64
    assert 0 <= uniform(key, n) < 1


@given(keys=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9), n=st.integers())
def test_draws_that_are_made_together_are_those_made_one_by_one(keys: list[int], n: int) -> None:
    assert Lanes(keys).at(n) == tuple(bits(key, n) for key in keys)
    assert [bits(following(key), n) for key in keys] == [bits(key, n + 1) for key in keys]


@pytest.mark.parametrize("step", [1, 2**8, 2**32, 0x9E3779B97F4A7C15])
def test_draws_fill_their_range_evenly_whatever_pattern_the_numbers_have(step: int) -> None:
    """Chi-square over 64 cells: 99.99 % of fair samples are below 118, and this one is fixed."""
    key, count, cells = key_of("fair"), 20_000, 64
    low = Counter(bits(key, i * step) % cells for i in range(count))
    high = Counter(int(uniform(key, i * step) * cells) for i in range(count))
    for found in (low, high):
        expected = count / cells
        square = sum((found[cell] - expected) ** 2 / expected for cell in range(cells))
        assert square < 118


def test_the_draws_of_two_keys_are_not_alike() -> None:
    first, second = key_of("loss"), key_of("crash")
    same = sum((bits(first, n) ^ bits(second, n)).bit_count() for n in range(10_000))
    assert abs(same - 320_000) < 5 * math.sqrt(640_000 / 4)


@given(distribution=distributions, first=uniforms, second=uniforms)
def test_a_greater_number_never_draws_a_shorter_duration(
    distribution: Distribution, first: float, second: float
) -> None:
    low, high = sorted((first, second))
    assert 0 <= distribution.draw(low) <= distribution.draw(high) <= MAX_DELAY_NS
    assert type(distribution.draw(first)) is int


@given(distribution=distributions)
def test_a_distribution_goes_to_json_and_comes_back_equal(distribution: Distribution) -> None:
    again = distribution_from_json(distribution.to_json())
    assert again == distribution
    assert (hash(again), repr(again)) == (hash(distribution), repr(distribution))
    assert pickle.loads(pickle.dumps(distribution)) == distribution


@pytest.mark.parametrize(
    "distribution",
    [
        Constant(5 * MS),
        Uniform(MS, 9 * MS),
        Exponential(3 * MS),
        LogNormal(2 * MS, 0.5),
        Empirical([MS, 2 * MS, 9 * MS]),
        Shifted(MS, Exponential(MS)),
    ],
    ids=lambda distribution: distribution.kind,
)
def test_the_mean_of_draws_is_the_mean(distribution: Distribution) -> None:
    drawn = draws_of(distribution)
    assert sum(drawn) / len(drawn) == pytest.approx(distribution.mean_ns, rel=1e-3)


def test_a_uniform_draws_each_of_its_durations_equally_often() -> None:
    assert Counter(draws_of(Uniform(1, 5))) == dict.fromkeys(range(1, 6), 4_000)


@given(low=st.integers(0, MAX_DELAY_NS), high=st.integers(0, MAX_DELAY_NS))
def test_a_uniform_stays_within_its_bounds_however_wide(low: int, high: int) -> None:
    low, high = sorted((low, high))
    assert low == Uniform(low, high).draw(0.0)
    assert high - (high - low) // 2**52 <= Uniform(low, high).draw(1 - 2.0**-53) <= high


def test_an_exponential_is_beyond_x_means_with_probability_exp_of_minus_x() -> None:
    drawn = draws_of(Exponential(MS))
    for means in (1, 2, 3):
        share = sum(ns > means * MS for ns in drawn) / len(drawn)
        assert share == pytest.approx(math.exp(-means), abs=1e-4)


def test_a_lognormal_is_within_one_sigma_of_its_median_in_68_percent() -> None:
    drawn = draws_of(LogNormal(MS, 0.7))
    inside = sum(MS * math.exp(-0.7) <= ns <= MS * math.exp(0.7) for ns in drawn)
    assert inside / len(drawn) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=1e-4)


def test_an_empirical_draws_what_was_measured_as_often_as_it_was() -> None:
    assert Counter(draws_of(Empirical([7, 3, 3, 9]))) == {3: 10_000, 7: 5_000, 9: 5_000}
    assert Empirical([7, 3, 9]) == Empirical((9, 7, 3))


def test_the_ends_of_the_numbers_draw_the_ends_of_the_durations() -> None:
    last = 1 - 2.0**-53
    assert [Uniform(3, 9).draw(u) for u in (0.0, last)] == [3, 9]
    assert [Exponential(MS).draw(u) for u in (0.0, last)] == [0, 36_736_801]
    assert LogNormal(MAX_DELAY_NS, 5.0).draw(last) == MAX_DELAY_NS
    assert LogNormal(MS, 1.0).draw(0.0) == 250


def test_a_duration_is_a_constant_and_a_timedelta_is_nanoseconds() -> None:
    assert as_distribution(timedelta(microseconds=3)) == as_distribution(3_000) == Constant(3_000)
    assert Uniform(0, timedelta(seconds=1)) == Uniform(0, 10**9)
    assert distribution_from_json(7) == Constant(7)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Constant(-1), "value of Constant is -1 ns; expected at least 0"),
        (lambda: Uniform(-5, 5), "low of Uniform is -5 ns"),
        (lambda: Uniform(9, 5), "from 9 to 5 ns; expected low <= high"),
        (lambda: Uniform(0, 0.5), "high of Uniform is 0.5 .float.; expected an int"),
        (lambda: Exponential(timedelta(seconds=-1)), "mean of Exponential is -1000000000 ns"),
        (lambda: Exponential(True), "mean of Exponential is True"),
        (lambda: Exponential(2**57), "expected at most MAX_DELAY_NS"),
        (lambda: LogNormal(1, -0.5), "sigma of LogNormal is -0.5; expected a number from 0 to 5"),
        (lambda: LogNormal(1, float("nan")), "sigma of LogNormal is nan"),
        (lambda: Empirical([]), "values of Empirical are none"),
        (lambda: Empirical("12"), "expected a list of durations"),
        (lambda: Empirical([1, -2]), "a value of Empirical is -2 ns"),
        (lambda: Shifted(1, "soon"), "rest of Shifted is 'soon' .str.; expected a duration"),
        (lambda: as_distribution(-1, "latency"), "latency is -1 ns; expected at least 0"),
        (lambda: as_distribution(None, "latency"), "latency is None"),
        (lambda: distribution_from_json({"kind": "pareto"}), "kind is one of ..constant"),
        (lambda: distribution_from_json({"kind": ["uniform"]}), "kind is one of"),
        (lambda: distribution_from_json({"kind": "uniform", "low": 1}), "'high' is missing"),
        (
            lambda: distribution_from_json({"kind": "constant", "value": 1, "x": 2}),
            "'x' is unknown",
        ),
        (lambda: Network(latency=-1), "latency is -1 ns"),
        (lambda: Network(links={("a", "b"): -3}), r"link \('a', 'b'\) is -3 ns"),
        (lambda: Network(links={"ab": 3}), "a link is 'ab'; expected the pair"),
        (lambda: Network(links={("a", 1): 3}), "expected the pair"),
        (lambda: Network(links=7), "links is 7; expected a mapping"),
        (lambda: Network(links=((("a", "b"), 1), (("a", "b"), 2))), "there twice"),
        (lambda: Network(fifo=1), "fifo is 1; expected True or False"),
        (lambda: Network.from_json([]), "a network: got .. .list.; expected an object"),
        (lambda: Network.from_json({"latenz": 1}), "'latenz' is unknown; the fields are latency"),
        (lambda: Network.from_json({"links": {}}), "expected a list of objects"),
        (lambda: Network.from_json({"links": [{"from": "a"}]}), "'to' is missing"),
    ],
)
def test_a_duration_that_is_none_is_refused_at_the_door(make: Any, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        make()


def test_more_measurements_than_the_limit_are_refused_by_its_name() -> None:
    with pytest.raises(LimitError, match="MAX_EMPIRICAL_VALUES is 100 000"):
        Empirical([1] * (MAX_EMPIRICAL_VALUES + 1))


links = st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), plain)
networks = st.builds(Network, latency=distributions, links=links, fifo=st.booleans())


@given(network=networks)
def test_a_network_goes_to_json_and_comes_back_equal(network: Network) -> None:
    again = Network.from_json(network.to_json())
    assert again == network
    assert (hash(again), repr(again)) == (hash(network), repr(network))
    assert pickle.loads(pickle.dumps(network)) == network


@given(network=networks, message=st.integers(0, 2**64), changed=plain)
def test_another_latency_of_one_link_changes_no_message_of_the_others(
    network: Network, message: int, changed: Distribution
) -> None:
    other = Network(latency=network.latency, links={**network._links, ("a", "b"): changed})
    key = key_of(7, "latency")
    for sender in "abc":
        for receiver in "abc":
            if (sender, receiver) != ("a", "b"):
                before = network.latency_ns(key, sender, receiver, message)
                assert other.latency_ns(key, sender, receiver, message) == before


def test_a_link_is_one_direction() -> None:
    network = Network(latency=1, links={("a", "b"): 2})
    key = key_of(7, "latency")
    assert [network.latency_ns(key, *pair, 0) for pair in ("ab", "ba", "ac")] == [2, 1, 1]


def test_a_network_says_what_it_is_on_one_line() -> None:
    network = Network(latency=1, links={("b", "a"): 3, ("a", "b"): 2}, fifo=True)
    assert repr(network) == (
        "Network(latency=Constant(value=1), links={('a', 'b'): Constant(value=2), "
        "('b', 'a'): Constant(value=3)}, fifo=True)"
    )
