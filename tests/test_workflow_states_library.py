"""The states of what the library does, against a fold that walks the log anew for every event."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from state_oracle import Told
from test_workflow_states import agree

from flowlab.events import Event, EventLog
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import simulate
from flowlab.workflow import Compensating, states_of

SEEDS = range(4)


def worlds_of(name: str) -> EventLog:
    """Return the worlds of a scenario under faults, in one log."""
    logs = [
        simulate(SCENARIOS[name](), seed=seed, faults=faults).log
        for seed in SEEDS
        for faults in ("chaos", "production")
    ]
    return EventLog.from_events(
        [event for log in logs for event in log.events()],
        runs=[run for log in logs for run in log.runs],
    )


def histories_of(log: EventLog) -> list[list[Event]]:
    """Return the histories of a log."""
    events = [event for event in log.events() if not event.workflow_id.startswith("@")]
    events.sort(key=lambda event: event.id)
    return [list(found) for _, found in groupby(events, key=lambda event: event.id[:3])]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_states_of_every_scenario_are_those_of_a_plain_walk_through_its_log(name: str) -> None:
    log = worlds_of(name)
    histories = histories_of(log)
    assert agree(log) == sum(map(len, histories))
    seen = set()
    for history in histories:
        for sequence, state in states_of(history):
            told = Told.upto(history, sequence)
            assert type(state).__name__ == told.name
            for field, wanted in told.fields.items():
                found: Any = getattr(state, field)
                if field == "compensation_chain":
                    found = list(found[: len(wanted)])
                assert found == wanted, (sequence, field)
            seen.add(told.name)
    assert seen & {"Completed", "ContinuedAsNew"}


def test_a_parent_that_undoes_only_children_compensates() -> None:
    found = []
    for seed in range(30):
        log = simulate(SCENARIOS["nested"](), seed=seed, faults="chaos").log
        for history in histories_of(log):
            if not any(event.event_type == "CompensationScheduled" for event in history):
                found += [state for _, state in states_of(history)]
    undoing = [state for state in found if isinstance(state, Compensating)]
    assert {state.compensation_chain[:1] for state in undoing} == {(), ("journey",), ("venue",)}
