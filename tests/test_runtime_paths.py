"""Every scenario has parallel, retried and compensating paths, the same ones on both hosts."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pytest
from recorded_runs import recorded

from flowlab.events import EventLog
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Run, simulate

PRESETS = ("network", "chaos", "research")


def goes_parallel(log: EventLog) -> bool:
    """Say whether two agents were at work for one workflow, or its children, at one time."""
    began: dict[str, int] = {}
    found: dict[str, list[tuple[int, int, str]]] = {}
    for event in log:
        if event.event_type == "MessageReceived":
            began[event.agent_id] = event.time_ns
        elif event.event_type.startswith("Transaction") and event.coordination_id is not None:
            of = found.setdefault(event.coordination_id.partition("/")[0], [])
            of.append((began[event.agent_id], event.time_ns, event.agent_id))
    return any(
        a[2] != b[2] and a[0] < b[1] and b[0] < a[1]
        for spans in found.values()
        for a, b in combinations(spans, 2)
    )


def tries_again(log: EventLog) -> bool:
    """Say whether a request, or a letter of those who conduct themselves, was sent once more."""
    sent = ("ActivityScheduled", "MessageSent")
    return any(e.event_type in sent and e.data.get("attempt", 1) > 1 for e in log)


def undoes(log: EventLog) -> bool:
    """Say whether an effect was undone."""
    return any(event.event_type == "CompensationCompleted" for event in log)


def with_every_path(name: str) -> Run:
    """Return the first world of a scenario that shows all three paths."""
    for seed, faults in product(range(1, 200), PRESETS):
        run = simulate(SCENARIOS[name], seed=seed, faults=faults)
        if undoes(run.log) and tries_again(run.log) and goes_parallel(run.log):
            return run
    pytest.fail(f"no world of {name} shows a parallel, a retried and a compensating path")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_has_parallel_retried_and_compensating_paths_the_same_on_both_hosts(
    name: str, tmp_path: Path
) -> None:
    run = with_every_path(name)
    driven = recorded(SCENARIOS[name](), run.log, tmp_path / "s", seed=run.seed)

    log = driven.drive()

    assert log.history_digest == run.log.history_digest
    driven.store.close()
