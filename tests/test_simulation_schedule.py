"""Schedules: the seam at which the order of a world's entries is chosen."""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_worlds import STORMY, apart, booking, deposits, letters, saving, unruled

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import (
    Entry,
    Network,
    RandomScheduler,
    Run,
    Schedule,
    Uniform,
    World,
    diff,
    simulate,
)
from flowlab.workflow import RetryPolicy

seeds = st.integers(0, 10_000)
PATIENT = RetryPolicy(maximum_attempts=4)
LIBRARY = sorted(SCENARIOS)


class Earliest:
    """Takes what comes first, and keeps what it was offered."""

    def __init__(self) -> None:
        self.offered: list[tuple[Entry, ...]] = []

    def choose(self, enabled: Sequence[Entry]) -> int:
        self.offered.append(tuple(enabled))
        return 0


def stormy(seed: int, **more: Any) -> Run:
    return simulate(booking, seed=seed, faults=STORMY, customers=3, retry=PATIENT, **more)


@pytest.mark.parametrize("untimed", [False, True])
@pytest.mark.parametrize("name", LIBRARY)
def test_the_scheduler_that_takes_the_earliest_is_the_fast_path(name: str, untimed: bool) -> None:  # noqa: FBT001
    for faults in ("none", "chaos"):
        run = simulate(SCENARIOS[name], seed=3, faults=faults)
        slow = simulate(
            SCENARIOS[name], seed=3, faults=faults, scheduler=Earliest(), untimed=untimed
        )
        assert slow.digest == run.digest
        assert (slow.statuses, slow.faults, slow.end_ns) == (run.statuses, run.faults, run.end_ns)


@settings(max_examples=20)
@given(seeds, st.sampled_from([Network(latency=7), Network(latency=Uniform(0, 3))]))
def test_entries_of_equal_time_keep_their_order_on_both_paths(seed: int, network: Network) -> None:
    """With few different latencies, timers, messages and answers meet in the same nanosecond."""
    for scenario in (apart, booking):
        run = simulate(scenario, seed=seed, faults=STORMY, network=network)
        for untimed in (False, True):
            slow = simulate(
                scenario,
                seed=seed,
                faults=STORMY,
                network=network,
                scheduler=Earliest(),
                untimed=untimed,
            )
            assert slow.digest == run.digest


@settings(max_examples=20)
@given(seeds)
def test_without_time_every_pending_entry_is_offered_and_with_it_the_earliest(seed: int) -> None:
    timed, free = Earliest(), Earliest()
    stormy(seed, scheduler=timed)
    stormy(seed, scheduler=free, untimed=True)
    assert [enabled[0] for enabled in timed.offered] == [enabled[0] for enabled in free.offered]
    for some, every in zip(timed.offered, free.offered, strict=True):
        assert some == tuple(entry for entry in every if entry.due_ns == every[0].due_ns)
        assert [entry.due_ns for entry in every] == sorted(entry.due_ns for entry in every)
        assert len({entry.id for entry in every}) == len(every)


@pytest.mark.parametrize("name", LIBRARY)
def test_every_entry_says_whom_it_concerns_and_is_of_a_kind_that_is_listed(name: str) -> None:
    told = (Entry.__doc__ or "").partition("kind: ")[2].partition("channel: ")[0]
    for faults in ("none", "chaos"):
        earliest = Earliest()
        simulate(SCENARIOS[name], seed=1, faults=faults, scheduler=earliest)
        entries = {entry for offered in earliest.offered for entry in offered}
        assert {entry.kind for entry in entries} <= set(re.findall(r"`(\w+)`", told))
        assert all(entry.agent for entry in entries)


@settings(max_examples=20)
@given(seeds)
def test_an_entry_s_name_does_not_depend_on_time(seed: int) -> None:
    slow, fast = Earliest(), Earliest()
    simulate(apart, seed=seed, scheduler=slow)
    simulate(apart, seed=seed, scheduler=fast, network=Network(latency=Uniform(1, 10**9)))
    names = [
        sorted(e[0].id for e in seen.offered if e[0].kind != "timeout") for seen in (slow, fast)
    ]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


@settings(max_examples=25)
@given(seeds, seeds, st.booleans())
def test_a_scheduled_run_is_made_again_from_its_recipe(seed: int, order: int, fifo: bool) -> None:  # noqa: FBT001
    run = stormy(seed, scheduler=RandomScheduler(order), untimed=True, fifo=fifo)
    assert (
        stormy(seed, scheduler=RandomScheduler(order), untimed=True, fifo=fifo).digest == run.digest
    )
    assert run.recipe.schedule is not None
    assert run.recipe.schedule.untimed
    assert run.twin().digest == run.digest
    assert run.twin().run_id == run.run_id
    assert pickle.loads(pickle.dumps(run.recipe)).run_id == run.run_id
    assert run.log.runs[0].run_id == run.run_id
    assert run.log.runs[0].attributes["schedule"] == run.recipe.schedule.to_json()


@settings(max_examples=40)
@given(seeds)
def test_any_schedule_keeps_the_invariants_of_a_correct_world(seed: int) -> None:
    run = simulate(deposits, scheduler=RandomScheduler(seed), untimed=True)
    assert run.ok
    assert run.states["bank"]["balance"] == 30
    times = [event.time_ns for event in run.log]
    assert times == sorted(times)


def test_some_schedule_finds_the_race_that_time_hides() -> None:
    assert all(simulate(deposits, seed=seed, racy=True).ok for seed in range(50))
    found = [
        run
        for seed in range(50)
        if not (
            run := simulate(deposits, racy=True, scheduler=RandomScheduler(seed), untimed=True)
        ).ok
    ]
    assert found
    assert found[0].violations[0].message.endswith("after 3 deposits")
    assert found[0].twin().violations == found[0].violations
    assert found[0].twin(racy=False).ok


def test_channels_keep_their_order_where_that_is_asked_for() -> None:
    orders = set()
    for seed in range(30):
        scheduler = RandomScheduler(seed)
        kept = simulate(letters, scheduler=scheduler, untimed=True, fifo=True)
        assert kept.states["reader"]["heard"] == [0, 1, 2, 3]
        free = simulate(letters, scheduler=RandomScheduler(seed), untimed=True)
        orders.add(tuple(free.states["reader"]["heard"]))
    assert len(orders) > 10


# -- twins that choose ----------------------------------------------------------------------------


@settings(max_examples=20)
@given(seeds, st.data())
def test_what_is_chosen_comes_first_and_all_before_it_stays(seed: int, data: st.DataObject) -> None:
    run = stormy(seed)
    events = run.log.events()
    place = data.draw(st.integers(0, len(events) - 1))
    decision = run.choices(at=events[place])
    assert decision.row <= place
    if not decision.others:
        return
    early = data.draw(st.sampled_from(decision.others))
    twin = run.twin(at=events[place], choose=early)
    again = twin.log.events()
    blank = {"run_id": "", "position": 0}
    for one, other in zip(events[: decision.row], again, strict=False):
        assert one.replace(**blank) == other.replace(**blank)
    assert twin.recipe.choices == {early.id: decision.taken.id}
    assert twin.twin().digest == twin.digest
    watched = _taken(twin)
    if decision.taken.id in watched and early.id in watched:
        assert watched.index(early.id) < watched.index(decision.taken.id)


def _taken(run: Run) -> list[str]:
    """Return the names of what a run took, in order: made again, and watched."""
    from flowlab.simulation.agenda import agenda_of
    from flowlab.simulation.simulate import run_of

    agenda = agenda_of(run.recipe)
    assert agenda is not None
    run_of(run.recipe, agenda=agenda)
    return agenda.order


def test_the_other_order_of_two_deposits_is_one_choice_away() -> None:
    run = simulate(deposits, racy=True, apart=0)
    assert not run.ok
    write = next(e for e in run.log if e.event_type == "MessageReceived" and e.name == "look")
    decision = run.choices(at=write)
    assert decision.taken.kind == "deliver"
    other = next(entry for entry in decision.others if entry.kind == "deliver")
    twin = run.twin(at=write, choose=other)
    first = [
        next(e.coordination_id for e in log if e.event_type == "MessageReceived")
        for log in (run.log, twin.log)
    ]
    assert first[0] != first[1]
    found = diff(run, twin)
    assert found.first is not None
    assert twin.log.runs[0].attributes == {"choices": {other.id: decision.taken.id}}
    assert run.twin(at=("@bank", 1), choose=other.id).digest == twin.digest
    assert run.twin(at=write.id, choose=other).digest == twin.digest


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"at": ("saver-0", 99), "choose": "x"}, NotFoundError, "no event 99 of 'saver-0'"),
        ({"at": ("saver-0", 2), "choose": "deliver:bank"}, NotFoundError, "was not pending; the"),
        ({"at": ("saver-0", 2)}, InvalidArgumentError, "a choice is two things"),
        ({"choose": "deliver:bank"}, InvalidArgumentError, "a choice is two things"),
        ({"at": 3, "choose": "x"}, InvalidArgumentError, "at is 3; expected an event"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(
    change: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        simulate(deposits, apart=0).twin(**change)


class Wrong:
    def choose(self, enabled: Sequence[Entry]) -> int:
        return len(enabled)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scheduler": 3}, "scheduler is 3; expected something with choose"),
        ({"untimed": True}, "say what a scheduler may choose from"),
        ({"fifo": True}, "say what a scheduler may choose from"),
        ({"scheduler": Wrong()}, "chose 1; expected the place of one of the 1 entries"),
    ],
)
def test_a_scheduler_that_is_none_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        simulate(unruled, **given)


def test_a_scheduled_world_ends_at_its_limits_too() -> None:
    world = unruled()
    for limits, told in (({"max_events": 50}, "max_events"), ({"max_time": 2}, "max_time")):
        small = World(world.agents, world.workflows.values(), 60, **limits)
        run = simulate(small, scheduler=RandomScheduler(1), untimed=True)
        assert run.stopped.startswith(told)
        fast, slow = simulate(small), simulate(small, scheduler=Earliest())
        assert (slow.stopped, slow.digest) == (fast.stopped, fast.digest)


def test_values_of_the_seam_are_told_in_a_line() -> None:
    run = simulate(saving, scheduler=RandomScheduler(4), untimed=True)
    schedule = run.recipe.schedule
    assert schedule is not None
    assert repr(schedule) == f"Schedule({len(schedule.order)} entries, untimed)"
    assert repr(Schedule((), fifo=True)) == "Schedule(0 entries, fifo)"
    decision = run.choices(at=("saver-0", 1))
    assert repr(decision).startswith("Decision('input:saver-")
    assert decision.taken not in decision.others
