"""Laws of the library: they hold for every scenario in it, also for one that is added tomorrow."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from flowlab.errors import FlowlabError, NotFoundError, PlanError
from flowlab.events import Event, connect, run_query
from flowlab.scenarios import SCENARIOS, scenario_named
from flowlab.simulation import (
    FAULT_PRESETS,
    Constant,
    Run,
    Scenario,
    simulate,
)
from flowlab.studies.golden import digests_of, golden, turned_round
from flowlab.studies.simulation_laws import HEALING
from flowlab.workflow import Choreography, Execution, Plan, PlanExecution, Program

PROJECT = Path(__file__).parent.parent
BUG_PRESETS = ("none", "network", "crashes", "production", "research", "chaos")
RELATIONS = ("workflows", "activities", "messages", "compensations", "edges", "runs")

every_scenario = pytest.mark.parametrize("name", list(SCENARIOS))


@cache
def healing_runs(name: str) -> tuple[Run, ...]:
    return tuple(simulate(SCENARIOS[name], seed=seed, faults=HEALING) for seed in range(1, 51))


@cache
def calm_runs(name: str) -> tuple[Run, ...]:
    return tuple(simulate(SCENARIOS[name], seed=seed) for seed in range(1, 21))


@every_scenario
def test_without_faults_every_workflow_ends_and_every_invariant_holds(name: str) -> None:
    assert [str(run) for run in calm_runs(name) if not run.ok] == []


@every_scenario
def test_when_faults_heal_workflows_end_and_invariants_hold(name: str) -> None:
    statuses = [status for run in healing_runs(name) for status in run.statuses.values()]

    assert [str(run) for run in healing_runs(name) if run.violations] == []
    assert statuses.count("open") <= len(statuses) / 100
    for run in healing_runs(name):
        opened = [w for w, status in run.statuses.items() if status == "open"]
        assert [stuck.workflow_id for stuck in run.stuck] == opened
    assert len({fault.partition(":")[0] for run in healing_runs(name) for fault in run.faults}) >= 5


@every_scenario
def test_the_planted_bug_is_caught(name: str) -> None:
    def caught() -> Iterator[tuple[str, int]]:
        for preset in BUG_PRESETS:
            for seed in range(1, 51):
                if simulate(SCENARIOS[name], seed=seed, faults=preset, bug=True).violations:
                    yield preset, seed

    assert next(caught(), None) is not None


@every_scenario
def test_two_seeds_are_two_worlds_and_one_seed_is_one(name: str) -> None:
    chosen = SCENARIOS[name]
    digests = [simulate(chosen, seed=seed, faults="chaos").digest for seed in (1, 2, 1)]
    calm = [run.digest for run in calm_runs(name)[:2]]

    assert digests[0] == digests[2] != digests[1]
    assert calm[0] != calm[1]


@every_scenario
def test_the_order_in_which_agents_are_listed_says_nothing(name: str) -> None:
    world = SCENARIOS[name]()
    turned = turned_round(world)

    for preset in ("none", "chaos"):
        first, second = (simulate(one, seed=4, faults=preset) for one in (world, turned))
        assert first.digest == second.digest


@every_scenario
def test_every_latency_is_drawn(name: str) -> None:
    world = SCENARIOS[name]()
    assert not isinstance(world.network.latency, Constant)
    assert [a for a in world.agents if isinstance(a.service, Constant)] == []


@every_scenario
def test_the_history_of_every_workflow_replays(name: str) -> None:
    world = SCENARIOS[name]()
    for run in (*calm_runs(name)[:3], *healing_runs(name)[:10]):
        for history in histories(run):
            started = history[0]
            process = world.workflows[started.name]
            if isinstance(process, Choreography):
                continue
            execution = (
                PlanExecution(
                    Program.of(process, world.predicates), started.workflow_id, seed=run.seed
                )
                if isinstance(process, Plan)
                else Execution(process, started.workflow_id, seed=run.seed)
            )
            assert execution.advance(history) == ()


def histories(run: Run) -> Iterator[list[Event]]:
    """Yield the history of each generation of each workflow."""
    found: dict[tuple[str, int], list[Event]] = {}
    for event in run.log:
        if not event.workflow_id.startswith("@"):
            found.setdefault((event.workflow_id, event.generation), []).append(event)
    for history in found.values():
        yield sorted(history, key=lambda event: event.sequence)


@every_scenario
def test_the_relations_of_a_run_answer(name: str) -> None:
    run = healing_runs(name)[0]
    with connect(run.log) as connection:
        found = {name: run_query(connection, f"FROM {name}") for name in RELATIONS}
    rows = {relation: table.num_rows for relation, table in found.items()}
    named = {row["workflow_id"]: row["status"] for row in found["workflows"].to_pylist()}

    assert rows["runs"] == 1
    assert min(rows["workflows"], rows["messages"], rows["edges"]) > 0
    assert rows["activities"] > 0 or any(
        isinstance(p, Choreography) for p in SCENARIOS[name]().workflows.values()
    )
    assert named == dict(run.statuses)


@every_scenario
def test_the_query_of_the_story_runs(name: str) -> None:
    lines = (inspect.getdoc(module_of(name)) or "").splitlines()
    first = next(
        i for i, line in enumerate(lines) if line.startswith(("    SELECT", "    FROM", "    WITH"))
    )
    query = []
    for line in lines[first:]:
        if not line.startswith("    "):
            break
        query.append(line.strip())

    assert len(healing_runs(name)[0].log.sql(" ".join(query)).columns) > 0


@every_scenario
def test_a_scenario_tells_its_story(name: str) -> None:
    chosen, module = SCENARIOS[name], module_of(name)
    story = inspect.getdoc(module) or ""
    text = Path(str(module.__file__)).read_text(encoding="utf-8")

    assert chosen.name == name
    assert chosen.summary.endswith(".")
    assert "bug" in story
    assert 60 <= len(text.splitlines()) <= 225
    assert json.loads(json.dumps(dict(chosen.parameters))) == dict(chosen.parameters)
    assert chosen.parameters["bug"] is False
    documented = inspect.getdoc(chosen.build) or ""
    assert [p for p in chosen.parameters if f"{p}: " not in documented] == []
    assert chosen().invariants
    assert [i for i in chosen().invariants if not (inspect.getdoc(i) or "").strip()] == []


@every_scenario
def test_a_run_is_small_enough_to_look_at(name: str) -> None:
    sizes = [run.event_count for run in calm_runs(name)]
    assert 20 <= sum(sizes) / len(sizes) <= 400


@every_scenario
def test_a_scenario_has_its_golden_digests(name: str) -> None:
    kept = golden()
    assert name in kept, "run: python tests/golden_scenarios.py"
    assert digests_of(name) == kept[name]


def test_golden_digests_are_of_scenarios_that_exist() -> None:
    assert golden().keys() == SCENARIOS.keys()


def test_a_run_does_not_depend_on_the_hash_seed_of_its_process() -> None:
    script = (
        "from flowlab.scenarios import SCENARIOS\n"
        "from flowlab.simulation import simulate\n"
        "for name in SCENARIOS:\n"
        "    print(name, simulate(SCENARIOS[name], seed=5, faults='chaos').digest)\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(told) == 1
    assert len(told.pop().splitlines()) == len(SCENARIOS)


def test_one_scenario_is_loaded_without_the_others() -> None:
    script = (
        "import sys\n"
        "from flowlab.scenarios import SCENARIOS, scenario_named\n"
        "assert 'trip' in SCENARIOS and len(list(SCENARIOS)) > 5\n"
        "scenario_named('trip')\n"
        "print(sorted(m for m in sys.modules if m.startswith('flowlab.scenarios.')))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert ast.literal_eval(told.stdout) == ["flowlab.scenarios.trip"]


def test_an_unknown_scenario_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(
        NotFoundError, match=r"no scenario 'trips' \(did you mean 'trip'\?\); .*order"
    ):
        scenario_named("trips")
    with pytest.raises(KeyError, match="there are: "):
        _ = SCENARIOS["minimal"]
    assert repr(SCENARIOS).startswith("SCENARIOS(")


def test_a_mail_is_no_compensable_step_and_any_other_kind_runs() -> None:
    chosen = SCENARIOS["email"]
    with pytest.raises(
        PlanError, match=r"step 'send' .* names no compensation.*\[no-compensation\]"
    ):
        chosen(mail_as="compensable")
    with pytest.raises(FlowlabError, match="expected one of compensable, pivot"):
        chosen(mail_as="pigeon")
    for mail_as in ("pivot", "retryable", "escrow"):
        found = [
            simulate(chosen, seed=seed, faults=faults, mail_as=mail_as, bug=bug)
            for faults in (FAULT_PRESETS["none"], HEALING)
            for bug in (False, True)
            for seed in range(1, 21)
        ]
        assert all(run.ok for run in found if not run.parameters["bug"])
        assert any(run.violations for run in found if run.parameters["bug"])


def module_of(name: str) -> object:
    module = importlib.import_module(f"flowlab.scenarios.{name}")
    assert isinstance(getattr(module, name), Scenario)
    return module


def eager(prompt: str, chance: object) -> str:
    del prompt, chance
    return "approve"


def test_any_function_stands_in_for_the_made_up_model_and_its_name_is_kept() -> None:
    run = simulate(SCENARIOS["review"], seed=1, model=eager)

    assert run.ok
    assert set(run.states["press"]["printed"].values()) == {"approve"}
    assert run.log.runs[0].parameters["model"] == f"{__name__}.eager"
    assert run.log.sql("SELECT sum(tokens) > 0 AND sum(cost) > 0 FROM activities").item()
    with pytest.raises(FlowlabError, match="a function that has a name"):
        simulate(SCENARIOS["review"], seed=1, model=lambda *_: "reject")
