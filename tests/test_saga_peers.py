"""The sagas that simulation is measured on, and the peer, against a loop that shares no code."""

from __future__ import annotations

import gc
import heapq
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.studies.saga_compiled import compiled_run
from flowlab.studies.saga_floor import floor_run
from flowlab.studies.saga_peers import STYLES, SagaOutcome, Style, collector, simpy_run
from flowlab.studies.saga_workload import SagaWorkload
from flowlab.studies.saga_world import flowlab_run

pytestmark = pytest.mark.usefixtures("only_young_garbage")

SECOND = 10**9


def reference(agents: int, sagas: int, seed: int) -> tuple[SagaOutcome, int]:
    """Draw and simulate from the prose alone; return the outcome, and ties at a mailbox."""
    rng = random.Random(seed)
    plans: list[list[tuple[int, int, int, int]]] = []
    for _ in range(sagas):
        who = [rng.randrange(agents) for _ in range(5)]
        if rng.random() < 0.1:
            fails = rng.randrange(5)
            who = who[: fails + 1] + [who[step] for step in range(fails - 1, -1, -1)]
        plans.append([
            (agent, *(round((0.5 + rng.random()) * SECOND) for _ in range(3))) for agent in who
        ])  # fmt: skip
    heap: list[tuple[int, int, str, int]] = []
    ticket = 0

    def at(time: int, what: str, saga: int) -> None:
        nonlocal ticket
        ticket += 1
        heapq.heappush(heap, (time, ticket, what, saga))

    for saga in range(sagas):
        at(round(Fraction(saga * 10 * SECOND, agents)), "send", saga)
    step = [0] * sagas
    queues: list[list[int]] = [[] for _ in range(agents)]
    arrivals: Counter[tuple[int, int]] = Counter()
    total = events = last = 0
    while heap:
        now, _, what, saga = heapq.heappop(heap)
        if step[saga] == len(plans[saga]):
            total, events, last = total + now, events + 1, now
            continue
        agent, request, service, reply = plans[saga][step[saga]]
        if what == "send":
            events += 1 + (step[saga] == 0)
            at(now + request, "arrive", saga)
        elif what == "arrive":
            events += 1
            arrivals[agent, now] += 1
            queues[agent].append(saga)
            if len(queues[agent]) == 1:
                at(now + service, "served", saga)
        elif what == "served":
            events += 1
            queues[agent].pop(0)
            at(now + reply, "answer", saga)
            if queues[agent]:
                other = queues[agent][0]
                at(now + plans[other][step[other]][2], "served", other)
        else:
            events += 1
            step[saga] += 1
            at(now, "send", saga)
    return SagaOutcome(total, events, last), sum(arrivals.values()) - len(arrivals)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("agents", [3, 10, 100])
def test_the_peer_agrees_to_the_nanosecond_with_a_loop_made_from_the_prose(
    agents: int, style: Style
) -> None:
    expected, ties = reference(agents, 300, 12_345)
    assert ties == 0, "the order of what happens at one instant would decide"
    found = simpy_run(SagaWorkload.of(agents=agents, sagas=300), style=style)

    assert found == expected
    assert found.timed_out == 0
    assert found.completion_s == pytest.approx(expected.completion_ns / 1e9, rel=1e-9)


@settings(max_examples=15)
@given(agents=st.integers(1, 12), sagas=st.integers(1, 25), seed=st.integers(0, 2**64), frozen=...)
def test_every_contestant_agrees_with_the_loop_on_any_workload(
    agents: int, sagas: int, seed: int, *, frozen: bool
) -> None:
    workload = SagaWorkload.of(agents=agents, sagas=sagas, seed=seed)
    expected, ties = reference(agents, sagas, seed)

    assert workload.logical_events == expected.logical_events
    if not ties:
        found = [simpy_run(workload, style=style, frozen=frozen) for style in STYLES]
        assert found == [expected] * len(STYLES)
        assert flowlab_run(workload)[0] == expected
        assert compiled_run(workload, compiled=False) == expected


@pytest.mark.parametrize("agents", [3, 10, 100])
def test_the_loop_of_machine_code_agrees_to_the_nanosecond_too(agents: int) -> None:
    expected, ties = reference(agents, 300, 12_345)
    assert ties == 0, "the order of what happens at one instant would decide"
    assert compiled_run(SagaWorkload.of(agents=agents, sagas=300)) == expected


def test_a_call_whose_timer_goes_off_is_seen_in_every_style() -> None:
    slow = replace(SagaWorkload.of(agents=1, sagas=1), reply_ns=(201 * SECOND,) * 5)
    assert [simpy_run(slow, style=style).timed_out for style in STYLES] == [5, 5, 5]


def test_one_saga_in_ten_fails_at_a_uniform_step_and_undoes_what_was_done_before() -> None:
    sagas = list(SagaWorkload.of(agents=10).sagas())
    failed = [saga for saga in sagas if saga.failing_step is not None]

    assert len(sagas) == 4_000
    assert Counter(saga.failing_step for saga in failed) == {0: 79, 1: 75, 2: 95, 3: 82, 4: 85}
    for saga in sagas:
        place = saga.failing_step
        assert len(saga.forward) == 5 if place is None else place + 1
        done = [call.agent for call in saga.forward[: place or 0]]
        assert [call.agent for call in saga.compensations] == done[::-1]


@pytest.mark.parametrize("agents", [3, 10, 1_000])
def test_sagas_arrive_every_ten_seconds_shared_by_the_agents(agents: int) -> None:
    workload = SagaWorkload.of(agents=agents, sagas=500)
    exact = [Fraction(number * 10 * SECOND, agents) for number in range(500)]

    assert all(abs(a - b) <= Fraction(1, 2) for a, b in zip(workload.starts_ns, exact, strict=True))


def test_a_delay_is_half_a_second_and_a_draw_below_one() -> None:
    workload = SagaWorkload.of(agents=10)
    for column in (workload.request_ns, workload.service_ns, workload.reply_ns):
        assert min(column) >= SECOND // 2
        assert max(column) <= 3 * SECOND // 2
        assert sum(column) / len(column) == pytest.approx(SECOND, rel=0.01)


def test_a_workload_of_many_agents_has_more_sagas() -> None:
    assert len(SagaWorkload.of(agents=10_000).starts_ns) == 20_000


@pytest.mark.parametrize("sizes", [{"agents": 0}, {"agents": 3, "sagas": 0}])
def test_a_workload_of_nothing_is_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="expected at least one of each"):
        SagaWorkload.of(**sizes)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_collector_is_as_asked_inside_and_as_it_was_afterwards(
    *, before: bool, frozen: bool
) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if before else gc.disable)()
        with collector(frozen=frozen):
            assert gc.isenabled() is not frozen
            assert gc.get_freeze_count() > 0
        assert gc.isenabled() is before
        assert gc.get_freeze_count() == 0
    finally:
        (gc.enable if was else gc.disable)()


@settings(max_examples=30)
@given(agents=st.integers(1, 12), sagas=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_the_floor_writes_the_log_that_flowlab_writes(agents: int, sagas: int, seed: int) -> None:
    # Few enough that no call waits for as long as a timer does, of which the floor has none.
    workload = SagaWorkload.of(agents=agents, sagas=sagas, seed=seed)
    floor, log = floor_run(workload)
    outcome, expected = flowlab_run(workload)

    assume(not outcome.timed_out)
    assert floor == outcome
    assert log.digest == expected.digest
