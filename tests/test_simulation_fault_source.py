"""Which faults happen in a run: a pure function of seed and names, at the rates asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.simulation import (
    FAULT_KINDS,
    CrashAfter,
    CrashBefore,
    Delay,
    DelayedWrite,
    Drop,
    Duplicate,
    Exponential,
    Fail,
    Faults,
    FaultSource,
    Hang,
    LostWrite,
    Network,
    Partitions,
    PartitionWindow,
    PartitionWindows,
    Skew,
    Slow,
    TornWrite,
    Uniform,
    key_of,
    kinds_of_run,
)
from flowlab.simulation.drawn_ahead import USUAL, DrawnAhead
from flowlab.simulation.draws import Lanes, uniform
from flowlab.simulation.fault_source import HOSTED, REPLY, REQUEST, WORK

AGENTS = ("bank", "hotel", "till", "host")
KEY = key_of(7, "faults")
ALL = Faults(
    loss=0.3,
    duplicate=0.3,
    reorder=0.3,
    partition=Partitions(every=Uniform(1, 300), duration=Uniform(1, 200), most=20),
    crash=0.2,
    host_crash=0.3,
    fail=0.2,
    hang=0.2,
    slow=0.3,
    skew=0.5,
    lost_write=0.2,
    torn_write=0.2,
    delayed_write=0.2,
)
ASKED_BY = {
    "loss": "transit",
    "duplicate": "transit",
    "reorder": "transit",
    "crash": "segment",
    "fail": "segment",
    "hang": "segment",
    "slow": "segment",
    "host_crash": "host",
    "lost_write": "disk",
    "torn_write": "disk",
    "delayed_write": "disk",
    "skew": "skew",
}
"""Which question may be answered by which kind of fault."""


def questions(legs: int) -> list[tuple[str, Callable[[FaultSource], Any]]]:
    """Everything that an engine could ask about some legs, each with its name."""
    found: list[tuple[str, Callable[[FaultSource], Any]]] = []
    for leg in range(legs):
        pair = (AGENTS[leg % 4], AGENTS[leg // 4 % 4])
        found += [
            (f"transit {leg}", lambda s, n=leg, p=pair: s.transit(*p, f"m{n}", n, n * 50)),
            (f"segment {leg}", lambda s, n=leg, p=pair: s.segment(p[0], f"m{n}", n)),
            (f"host {leg}", lambda s, n=leg: s.host_segment(f"m{n}", n)),
            (f"disk {leg}", lambda s, n=leg, p=pair: s.disk(p[0], f"m{n}", n)),
        ]
    return found + [(f"skew {agent}", lambda s, a=agent: s.skew(a)) for agent in AGENTS]


QUESTIONS = questions(60)


def answers(source: FaultSource, asked: list[Any] = QUESTIONS) -> dict[str, Any]:
    return {name: ask(source) for name, ask in asked}


def source_of(faults: Faults, key: int = KEY, **options: Any) -> FaultSource:
    return FaultSource(faults, key, agents=AGENTS, **options)


IDS = sorted({answer.fault_id for answer in answers(source_of(ALL)).values() if answer})


def test_the_worlds_of_these_tests_have_every_kind_of_fault() -> None:
    assert {fault_id.partition(":")[0] for fault_id in IDS} == set(FAULT_KINDS)


@given(order=st.permutations(QUESTIONS))
def test_no_order_of_asking_changes_an_answer(order: list[Any]) -> None:
    assert answers(source_of(ALL), order) == answers(source_of(ALL))


@given(suppressed=st.sets(st.sampled_from(IDS)))
def test_suppressed_faults_do_not_happen_and_all_others_stay_as_they_are(
    suppressed: set[str],
) -> None:
    before = answers(source_of(ALL))
    after = answers(source_of(ALL, suppressed=suppressed))
    assert after == {
        name: None if answer and answer.fault_id in suppressed else answer
        for name, answer in before.items()
    }
    windows = list(source_of(ALL).windows())
    assert list(source_of(ALL, suppressed=suppressed).windows()) == [
        window for window in windows if window.fault_id not in suppressed
    ]


@given(kind=st.sampled_from(FAULT_KINDS), key=st.integers(0, 2**64 - 1))
def test_without_a_kind_every_fault_of_the_others_stays(kind: str, key: int) -> None:
    """Where a message has two kinds at once the first hides the second, which then shows."""
    before = answers(source_of(ALL, key))
    after = answers(source_of(ALL.without(kind), key))
    for name, answer in before.items():
        if answer is None or not answer.fault_id.startswith(f"{kind}:"):
            assert after[name] == answer
        else:
            assert after[name] is None or after[name].fault_id.partition(":")[0] != kind


@given(key=st.integers(0, 2**64 - 1))
def test_one_agent_more_changes_no_fault_of_the_others(key: int) -> None:
    faults = replace(ALL, partition=None)
    more = FaultSource(faults, key, agents=[*AGENTS, "newcomer"])
    assert answers(more) == answers(source_of(faults, key))


def test_an_id_is_made_of_kind_and_names_alone() -> None:
    leg = "trip-1/charge/1"
    asked: dict[str, Callable[[FaultSource], Any]] = {
        "transit": lambda s: s.transit("till", "bank", leg, 5, 9),
        "segment": lambda s: s.segment("bank", leg, 5),
        "host": lambda s: s.host_segment(leg, 5),
        "disk": lambda s: s.disk("bank", leg, 5),
        "skew": lambda s: s.skew("bank"),
    }
    found = [
        asked[question](source_of(Faults(**{kind: 1.0}))).fault_id
        for kind, question in ASKED_BY.items()
    ]
    assert found == [
        "loss:trip-1/charge/1",
        "duplicate:trip-1/charge/1",
        "reorder:trip-1/charge/1",
        "crash:bank:trip-1/charge/1",
        "fail:bank:trip-1/charge/1",
        "hang:bank:trip-1/charge/1",
        "slow:bank:trip-1/charge/1",
        "host_crash:trip-1/charge/1",
        "lost_write:bank:trip-1/charge/1",
        "torn_write:bank:trip-1/charge/1",
        "delayed_write:bank:trip-1/charge/1",
        "skew:bank",
    ]


def test_an_id_is_read_only_where_a_fault_happens() -> None:
    class Unread:
        def __str__(self) -> str:
            raise AssertionError

    source = source_of(Faults(loss=2.0**-21, crash=2.0**-21, host_crash=2.0**-21))
    assert source.transit("till", "bank", Unread(), 5, 0) is None
    assert source.segment("bank", Unread(), 5) is None
    assert source.host_segment(Unread(), 5) is None


def near(count: int, rate: float, tries: int) -> bool:
    """Five standard deviations of the binomial: one fair count in two million is beyond."""
    return abs(count - rate * tries) <= 5 * math.sqrt(tries * rate * (1 - rate))


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("kind", [kind for kind in FAULT_KINDS if kind != "partition"])
def test_a_fault_happens_at_its_rate(kind: str, rate: float) -> None:
    source, tries = source_of(Faults(**{kind: rate})), 20_000
    asked: dict[str, Callable[[int], Any]] = {
        "transit": lambda n: source.transit("till", "bank", n, n, 0),
        "segment": lambda n: source.segment("bank", n, n),
        "host": lambda n: source.host_segment(n, n),
        "disk": lambda n: source.disk("bank", n, n),
        "skew": lambda n: source.skew(f"agent-{n}"),
    }
    ask = asked[ASKED_BY[kind]]
    assert near(sum(ask(n) is not None for n in range(tries)), rate, tries)


@given(
    kinds=st.sets(st.sampled_from(FAULT_KINDS)),
    key=st.integers(0, 2**64 - 1),
    leg=st.integers(0, 2**64 - 1),
)
def test_what_is_no_risk_of_a_call_never_happens_to_it_and_what_is_one_does(
    kinds: set[str], key: int, leg: int
) -> None:
    source = source_of(ALL.without("partition", *kinds), key)
    risks = source.risks(Lanes(source.keys).at(leg))
    happened = {
        REQUEST: source.transit("host", "bank", "request", leg, 0),
        REPLY: source.transit("bank", "host", "reply", leg + 1, 0),
        WORK: source.segment("bank", "work", leg),
        HOSTED: source.host_segment("answer", leg),
    }
    for part, fault in happened.items():
        assert bool(risks & part) == (fault is not None)


@given(
    kinds=st.sets(st.sampled_from(FAULT_KINDS)),
    swarm=st.booleans(),
    seeds=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    call=st.integers(0, 2**64 - 1),
    latency=st.sampled_from([Uniform(3, 7_000_000), Uniform(0, 2**55), Exponential(9_000_000)]),
)
def test_what_is_drawn_ahead_for_many_worlds_is_what_each_of_them_draws_alone(
    *,
    kinds: set[str],
    swarm: bool,
    seeds: list[int],
    call: int,
    latency: Uniform | Exponential,
) -> None:
    faults = replace(ALL.without(*kinds), swarm=swarm)
    ahead = DrawnAhead(seeds, faults, Network(latency=latency))
    rare = [ahead.of_call(call) for _ in range(1, USUAL)]
    drawn = ahead.of_call(call)
    assert rare == [None] * (USUAL - 1)
    assert drawn is not None
    assert ahead.known == {call: drawn}
    for seed, keys, (*delays, work, risks) in zip(seeds, ahead.keys, drawn, strict=True):
        assert keys[:2] == (key_of(seed, "latency"), key_of(seed, "service"))
        assert delays == [latency.draw(uniform(keys[0], call + leg)) for leg in (0, 1)]
        assert work == uniform(keys[1], call)
        if faults.kinds:
            alone = source_of(faults, key_of(seed, "faults"))
            told = source_of(faults, keys[2], keys=keys[3:])
            assert risks == alone.risks(Lanes(alone.keys).at(call))
            assert told.keys == alone.keys


def test_the_counts_of_one_seed_are_exactly_these() -> None:
    source = FaultSource(replace(ALL, partition=None), KEY, agents=AGENTS)
    counts: Counter[str] = Counter()
    for n in range(10_000):
        found = (
            source.transit("till", "bank", n, n, 0),
            source.segment("bank", n, n),
            source.host_segment(n, n),
            source.disk("bank", n, n),
        )
        counts.update(type(answer).__name__ for answer in found)
    assert counts == {
        "CrashAfter": 2573,
        "CrashBefore": 2411,
        "Delay": 1442,
        "DelayedWrite": 1284,
        "Drop": 3057,
        "Duplicate": 2080,
        "Fail": 1289,
        "Hang": 1573,
        "LostWrite": 1990,
        "NoneType": 19130,
        "Slow": 1544,
        "TornWrite": 1627,
    }


def test_two_kinds_of_one_message_are_independent_and_the_first_wins() -> None:
    source, tries = source_of(Faults(loss=0.5, duplicate=0.5, reorder=0.5)), 20_000
    found = Counter(type(source.transit("till", "bank", n, n, 0)) for n in range(tries))
    for kind, share in ((Drop, 1 / 2), (Duplicate, 1 / 4), (Delay, 1 / 8), (type(None), 1 / 8)):
        assert near(found[kind], share, tries)


def test_a_crash_is_before_the_commit_as_often_as_after_it() -> None:
    source, tries = source_of(Faults(crash=1.0, downtime=Exponential(1_000))), 20_000
    found = [source.segment("bank", n, n) for n in range(tries)]
    assert all(isinstance(answer, CrashBefore | CrashAfter) for answer in found)
    assert near(sum(isinstance(answer, CrashAfter) for answer in found), 0.5, tries)
    mean = sum(answer.down_ns for answer in found) / tries
    assert mean == pytest.approx(1_000, rel=5 / math.sqrt(tries))


def test_what_a_fault_is_made_of_comes_from_the_faults() -> None:
    faults = Faults(extra_delay=3, write_delay=4, downtime=5, slow_factor=7)

    def of(kind: str) -> FaultSource:
        return source_of(faults | Faults(**{kind: 1.0}))

    assert of("duplicate").transit("till", "bank", "m", 1, 0) == Duplicate("duplicate:m", 3)
    assert of("reorder").transit("till", "bank", "m", 1, 0) == Delay("reorder:m", 3)
    assert of("delayed_write").disk("bank", "m", 1) == DelayedWrite("delayed_write:bank:m", 4)
    assert of("lost_write").disk("bank", "m", 1) == LostWrite("lost_write:bank:m")
    assert of("slow").segment("bank", "m", 1) == Slow("slow:bank:m", 7)
    assert of("hang").segment("bank", "m", 1) == Hang("hang:bank:m")
    failed = of("fail").segment("bank", "m", 1)
    assert failed == Fail("fail:bank:m", "bank could not do it this time; an injected fault")
    assert of("host_crash").host_segment("m", 1).down_ns == 5
    torn = [of("torn_write").disk("bank", "m", n) for n in range(200)]
    assert all(isinstance(answer, TornWrite) and 0 <= answer.share < 1 for answer in torn)


def test_a_clock_is_off_in_both_directions_and_within_its_bounds() -> None:
    faults = Faults(skew=1.0, skew_offset=Uniform(10, 20), skew_drift_ppb=50)
    source = source_of(faults)
    found = [source.skew(f"agent-{n}") for n in range(2_000)]
    offsets, drifts, _ = zip(*found, strict=True)
    assert {abs(offset) for offset in offsets} == set(range(10, 21))
    assert near(sum(offset > 0 for offset in offsets), 0.5, 2_000)
    assert set(drifts) == set(range(-50, 51))


def test_a_clock_that_runs_fast_gains_with_time() -> None:
    assert Skew(5, 1_000, "skew:bank").local_ns(2 * 10**9) == 2 * 10**9 + 5 + 2_000
    assert Skew(-5, -1_000, "skew:bank").local_ns(2 * 10**9) == 2 * 10**9 - 5 - 2_000


def test_nothing_is_live_where_all_rates_are_zero() -> None:
    source = source_of(Faults())
    live = ("transit", "partition", "segment", "host", "disk", "skew")
    assert [name for name in live if getattr(source, f"{name}_live")] == []
    assert set(answers(source).values()) == {None}
    assert (list(source.windows()), repr(source)) == ([], "FaultSource(nothing)")


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_exactly_the_questions_that_may_have_an_answer_are_live(kind: str) -> None:
    source = source_of(Faults(**{kind: Partitions() if kind == "partition" else 0.5}))
    live = {
        name
        for name in ("transit", "partition", "segment", "host", "disk", "skew")
        if getattr(source, f"{name}_live")
    }
    assert live == ({"transit", "partition"} if kind == "partition" else {ASKED_BY[kind]})


delays = st.builds(lambda a, b: Uniform(min(a, b), max(a, b)), *[st.integers(0, 50)] * 2)
partitions = st.builds(
    Partitions,
    every=delays,
    duration=delays,
    share=st.floats(0.01, 0.5),
    most=st.integers(1, 10),
)
agents = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(
    faults=partitions,
    key=st.integers(0, 2**64 - 1),
    names=agents,
    times=st.lists(st.integers(0, 700)),
)
def test_a_time_lies_in_the_one_window_that_holds_it_whatever_was_asked_before(
    faults: Partitions, key: int, names: list[str], times: list[int]
) -> None:
    every = list(PartitionWindows(faults, key, names, 500))
    asked = PartitionWindows(faults, key, names, 500)
    for time in times:
        inside = [window for window in every if window.start_ns <= time < window.end_ns]
        assert [asked.at(time)] == (inside or [None])


@given(faults=partitions, key=st.integers(0, 2**64 - 1), names=agents)
def test_windows_heal_before_the_next_begins_and_each_cuts_the_agents_in_two(
    faults: Partitions, key: int, names: list[str]
) -> None:
    windows = list(PartitionWindows(faults, key, names, 500))
    assert len(windows) <= faults.most
    end = 0
    for number, window in enumerate(windows, start=1):
        assert window.fault_id == f"partition:{number}"
        assert end <= window.start_ns <= window.end_ns
        assert window.start_ns < 500
        end = window.end_ns
        if len(names) > 1:
            assert 0 < len(window.apart) < len(names)


@given(faults=partitions, key=st.integers(0, 2**64 - 1))
def test_one_agent_more_moves_no_other_unless_all_were_on_one_side(
    faults: Partitions, key: int
) -> None:
    few, more = list("abcdefgh"), list("abcdefghi")
    pairs = zip(
        PartitionWindows(faults, key, few, 500),
        PartitionWindows(faults, key, more, 500),
        strict=True,
    )
    for before, after in pairs:
        moved = before.apart ^ (after.apart - {"i"})
        assert not moved or len(before.apart) in {1, 7}


def test_between_the_sides_nothing_is_sent_and_within_a_side_everything() -> None:
    source = source_of(Faults(partition=Partitions(every=100, duration=50, most=1)))
    (window,) = source.windows()
    for sender in AGENTS:
        for receiver in AGENTS:
            cut = (sender in window.apart) != (receiver in window.apart)
            inside = Drop("partition:1") if cut else None
            assert source.transit(sender, receiver, "m", 1, 149) == inside
            assert (source.partitioned(sender, receiver, 149) == "partition:1") == cut
            assert source.transit(sender, receiver, "m", 1, 99) is None
            assert source.transit(sender, receiver, "m", 1, 150) is None


def test_a_window_says_when_and_who_on_one_line() -> None:
    window = PartitionWindow("partition:1", 100, 150, frozenset({"till", "bank"}))
    assert repr(window) == "PartitionWindow('partition:1', 100 to 150 ns, bank, till)"


def test_swarm_draws_every_kind_and_every_pair_of_kinds_in_some_of_200_runs() -> None:
    chaos = Faults.preset("swarm")
    drawn = [set(kinds_of_run(chaos, key_of(seed))) for seed in range(200)]
    counts = Counter(kind for kinds in drawn for kind in kinds)
    assert all(near(counts[kind], 0.5, 200) for kind in FAULT_KINDS)
    for one in FAULT_KINDS:
        for other in FAULT_KINDS:
            assert any(one in kinds and (other == one or other not in kinds) for kinds in drawn)


@given(key=st.integers(0, 2**64 - 1))
def test_a_swarm_run_is_the_run_without_the_kinds_that_it_left_out(key: int) -> None:
    swarm = replace(ALL, swarm=True)
    source = source_of(swarm, key)
    left_out = [kind for kind in FAULT_KINDS if kind not in source.kinds]
    assert answers(source) == answers(source_of(ALL.without(*left_out), key))
    assert source.kinds == kinds_of_run(swarm, key)


def test_another_kind_in_the_faults_changes_no_other_in_the_swarm() -> None:
    for seed in range(50):
        less = kinds_of_run(replace(ALL, swarm=True).without("crash"), key_of(seed))
        more = kinds_of_run(replace(ALL, swarm=True), key_of(seed))
        assert [kind for kind in more if kind != "crash"] == list(less)


@pytest.mark.parametrize(
    ("suppressed", "why"),
    [
        ({"los:m1"}, "'los:m1' is no id of a fault; .* loss, duplicate"),
        ({7}, "7 is no id of a fault"),
        ("loss:m1", "the text 'loss:m1'; expected a set of ids"),
    ],
)
def test_what_is_no_id_of_a_fault_is_not_suppressed_in_silence(suppressed: Any, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        source_of(ALL, suppressed=suppressed)
