"""Twins: the same world with one thing changed, and what that changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_worlds import MS, STORMY, apart, booking, saving, unruled

from flowlab import Event, EventLog
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events.matching import match_events
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Faults, Network, Run, Uniform, diff, simulate
from flowlab.workflow import RetryPolicy

seeds = st.integers(0, 10_000)
PATIENT = RetryPolicy(maximum_attempts=4)


def stormy(seed: int) -> Run:
    return simulate(booking, seed=seed, faults=STORMY, customers=3, retry=PATIENT)


def content(log: EventLog) -> list[Event]:
    return [event.replace(run_id="", position=0) for event in log]


def unnumbered(log: EventLog) -> list[Event]:
    """Return events without the numbers of the world's stream, in which all faults are listed."""
    events = []
    for event in content(log):
        own = [c for c in event.causes if c.workflow_id != "@world"]
        events.append(event.replace(causes=tuple(own)))
    return events


def told_at(run: Run, fault_id: str) -> int:
    """Return the time at which a fault is first told of."""
    for event in run.log:
        data = event.data if event.payload else None
        if isinstance(data, dict) and data.get("fault") == fault_id:
            return event.time_ns
    message = f"nothing tells of {fault_id}"
    raise AssertionError(message)


@settings(max_examples=15)
@given(seeds)
def test_a_twin_with_nothing_changed_is_the_same_run(seed: int) -> None:
    run = stormy(seed)
    for twin in (run.twin(), run.twin(customers=3), run.twin(faults=STORMY)):
        assert twin.run_id == run.run_id
        assert twin.digest == run.digest
        assert diff(run, twin).same
        assert repr(diff(run, twin)) == f"Difference('{run.run_id}', '{run.run_id}', none)"


@settings(max_examples=25)
@given(seeds, st.data())
def test_before_a_fault_its_world_and_the_twin_without_it_are_the_same(
    seed: int, data: st.DataObject
) -> None:
    run = stormy(seed)
    few = st.lists(st.sampled_from(run.faults), max_size=3, unique=True)
    for fault_id in data.draw(few) if run.faults else ():
        twin = run.twin(without=fault_id)
        assert fault_id not in twin.faults
        assert twin.run_id != run.run_id
        moment = told_at(run, fault_id)
        before, after = ([e for e in content(r.log) if e.time_ns < moment] for r in (run, twin))
        assert before == after
        first = diff(run, twin).first
        assert first is not None
        assert first[0] is not None
        assert first[0].time_ns >= moment


@settings(max_examples=25)
@given(seeds)
def test_without_a_fault_workflows_that_share_no_agent_with_it_are_untouched(seed: int) -> None:
    run = simulate(apart, seed=seed, faults=STORMY | Faults(loss=0.2, fail=0.2))
    mine = [fault_id for fault_id in run.faults if "left-" in fault_id]
    twin = run.twin(without=mine)
    for log, other in ((run.log, twin.log), (twin.log, run.log)):
        streams = {event.workflow_id for event in log if "right" in event.workflow_id}
        assert streams == {"right-1", "right-2", "@right"}
        for stream in streams:
            part = unnumbered(log.filter(workflow_id=stream))
            assert part == unnumbered(other.filter(workflow_id=stream))
    if mine:
        assert {name for name, _ in diff(run, twin).cells} <= {"left"}
        assert not any("right" in name for name in diff(run, twin).shifts_ns)


@settings(max_examples=20)
@given(seeds)
def test_a_twin_without_any_fault_is_the_world_without_faults(seed: int) -> None:
    run = stormy(seed)
    calm = run.twin(faults="none")
    assert calm.faults == ()
    left = run
    # A fault may hide another: take them out until there is none.
    while left.faults:
        left = left.twin(without=left.faults)
    assert content(left.log) == content(calm.log)
    assert left.recipe.without >= set(run.faults)


def test_every_fault_of_the_library_s_worlds_can_be_left_out() -> None:
    for name, scenario in SCENARIOS.items():
        run = simulate(scenario, seed=11, faults="chaos")
        for fault_id in run.faults[:3]:
            twin = run.twin(without=fault_id)
            assert fault_id not in twin.faults, name
            assert diff(run, twin).faults[0].count(fault_id) == 1
            assert twin.log.runs[0].attributes == {"without": [fault_id]}


def test_a_parameter_a_retry_policy_or_a_network_may_be_what_is_changed() -> None:
    run = stormy(5)
    assert (
        run.twin(customers=1).digest
        == simulate(booking, seed=5, faults=STORMY, customers=1, retry=PATIENT).digest
    )
    once = RetryPolicy(maximum_attempts=1)
    assert run.twin(retry=once).parameters["retry"] == once
    calm = simulate(booking, seed=5)
    fast = calm.twin(network=Network(latency=1))
    assert fast.end_ns < calm.end_ns
    assert fast.twin(network=Network()).digest == calm.digest
    plain = simulate(unruled, seed=3, faults=Faults(fail=0.6))
    patient = plain.twin(retry=RetryPolicy(maximum_attempts=9))
    assert list(plain.statuses.values()).count("failed") == 2
    assert set(patient.statuses.values()) == {"completed"}
    assert diff(plain, patient).faults[0] == ()


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"without": "crash:bank"}, NotFoundError, "no fault 'crash:bank' happened.*nearest are '"),
        ({"without": [3]}, InvalidArgumentError, "without is 3"),
        ({"clients": 3}, InvalidArgumentError, "has no parameter 'clients'"),
        ({"faults": "storm"}, NotFoundError, "no preset"),
        ({"network": 3}, InvalidArgumentError, "network is 3; expected a Network"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    change: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        stormy(5).twin(**change)


def test_code_is_told_how_to_have_its_retry_policy_changed() -> None:
    with pytest.raises(InvalidArgumentError, match="'saver' is no plan.*scenario a parameter"):
        simulate(saving).twin(retry=PATIENT)


# -- differences ----------------------------------------------------------------------------------


def brute_force_keys(log: EventLog) -> Iterator[tuple[Any, ...]]:
    turns: dict[tuple[Any, ...], int] = {}
    for event in sorted(log, key=lambda e: (e.workflow_id, e.sequence)):
        attempt = None
        if event.event_type.endswith(("Scheduled", "Failed", "TimedOut")) or (
            event.event_type == "TimerStarted"
        ):
            data = event.data
            attempt = data.get("attempt") if isinstance(data, dict) else None
        key = (
            *(event.workflow_id, event.event_type, event.name),
            *(event.coordination_id, event.step_id, attempt),
        )
        turns[key] = turn = turns.get(key, 0) + 1
        yield (*key, turn), event  # type: ignore[misc]


@settings(max_examples=20)
@given(seeds, seeds)
def test_a_difference_is_what_a_plain_comparison_of_events_gives(seed: int, other: int) -> None:
    a, b = stormy(seed), stormy(other).twin(customers=2)
    found = diff(a, b)
    mine, yours = dict(brute_force_keys(a.log)), dict(brute_force_keys(b.log))
    assert {e.id for e in found.only_a} == {mine[k].id for k in mine.keys() - yours.keys()}
    assert {e.id for e in found.only_b} == {yours[k].id for k in yours.keys() - mine.keys()}
    assert len(found.matching.both) == len(mine.keys() & yours.keys())
    shifts: dict[str, int] = {}
    for key in mine.keys() & yours.keys():
        shift = yours[key].time_ns - mine[key].time_ns
        if shift:
            shifts[key[0]] = max(abs(shift), shifts.get(key[0], 0))
    assert {name: abs(shift) for name, shift in found.shifts_ns.items()} == shifts
    first = next(
        (pair for pair in zip(content(a.log), content(b.log), strict=False) if pair[0] != pair[1]),
        None,
    )
    if first is not None and found.first is not None:
        assert [e.replace(run_id="", position=0) for e in found.first if e] == list(first)


@settings(max_examples=15)
@given(seeds, seeds)
def test_a_difference_the_other_way_round_is_its_mirror(seed: int, other: int) -> None:
    there, back = diff(stormy(seed), stormy(other)), diff(stormy(other), stormy(seed))
    assert [e.id for e in there.only_a] == [e.id for e in back.only_b]
    assert {k: (b, a) for k, (a, b) in there.statuses.items()} == dict(back.statuses)
    assert {k: (b, a) for k, (a, b) in there.cells.items()} == dict(back.cells)
    assert there.faults == back.faults[::-1]
    assert there.violations == back.violations[::-1]
    assert len(there.to_polars()) == len(back.to_polars())


def test_a_difference_says_in_a_line_in_a_table_and_in_rows_what_differs() -> None:
    run = simulate(unruled, seed=3, faults=Faults(fail=0.6))
    found = diff(run, run.twin(without=run.faults))
    assert repr(found) == (
        f"Difference({found.a.run_id!r}, {found.b.run_id!r}, 8 and 8 events alone, 0 shifted, "
        "till-2 failed -> completed, 1 other ended otherwise)"
    )
    lines = str(found).splitlines()
    assert lines[1].startswith("first difference: FaultInjected fail of @bank at ")
    assert "faults: fail:bank:till-" in lines[2]
    assert "till-2: failed | completed" in lines
    assert found._repr_html_().count("<tr>") == len(lines)
    frame = found.to_polars()
    assert sorted(frame["change"].value_counts().rows()) == [("only a", 8), ("only b", 8)]
    assert found.results["till-2"][1] == {"charge": "paid"}
    with pytest.raises(InvalidArgumentError, match="diff compares two runs"):
        diff(run, run.log)


def test_what_is_shifted_is_matched_and_told_by_how_much() -> None:
    run = simulate(booking, seed=1, customers=1)
    slower = diff(run, run.twin(network=Network(latency=Uniform(9 * MS, 20 * MS))))
    assert (slower.only_a, slower.only_b, slower.statuses) == ([], [], {})
    assert slower.shifts_ns["trip-1"] > 20 * MS
    rows = slower.to_polars().filter(workflow_id="trip-1")
    assert rows["shift_ns"].max() == slower.shifts_ns["trip-1"]
    assert rows["change"].unique().to_list() == ["shifted"]
    late = diff(run, run.twin(network=Network(latency=2_000 * MS)))
    assert "trip-1 shifted by up to:  | +" in str(late)
    assert re.search(r"\+\d+ \d{3}\.\d{3} ms", str(late))


def test_what_a_difference_does_not_show_is_counted_in_a_line_of_its_own() -> None:
    run = simulate(SCENARIOS["trip"], seed=11, bug=True, faults="chaos")
    lines = str(diff(run, run.twin(without="loss:trip-1/room/1/request"))).splitlines()
    assert "cells: 5 of 7 shown" in lines


def test_logs_of_several_runs_are_not_compared() -> None:
    log = EventLog.concat([stormy(1).log, stormy(2).log])
    with pytest.raises(InvalidArgumentError, match="a log of 2 runs"):
        match_events(log, stormy(1).log)
