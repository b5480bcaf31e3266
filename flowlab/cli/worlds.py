"""Verbs that simulate: scenarios lists the library, simulate runs worlds of it."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowlab.cli.output import answer, answer_json, text_table
from flowlab.cli.stores import add_store, count
from flowlab.cli.verb import OK, Verb

if TYPE_CHECKING:
    from flowlab.events import EventLog
    from flowlab.simulation import Run, Scenario, World
    from flowlab.simulation.recipe import Recipe

WORLDS_AT_ONCE: Final = 200
"""Worlds that are in memory together; the log of so many is appended at once."""
MOST_SHOWN: Final = 20
"""Violations, and workflows that did not end, that are listed for people; JSON has them all."""


def _scenarios_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as one JSON value, with parameters")


def _scenarios(arguments: Namespace) -> int:
    from flowlab.scenarios import SCENARIOS  # noqa: PLC0415

    if arguments.json:
        answer_json([_told(scenario) for scenario in SCENARIOS.values()])
        return OK
    width = max(map(len, SCENARIOS))
    for name, scenario in SCENARIOS.items():
        answer(f"{name:<{width}}  {scenario.summary}")
    return OK


def _told(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "summary": scenario.summary,
        "agents": [agent.name for agent in scenario().agents],
        "parameters": dict(scenario.parameters),
    }


def _simulate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of a scenario; flowlab scenarios lists them")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the first run (0)")
    parser.add_argument(
        "--runs", metavar="K", type=count, default=1, help="worlds, with the seeds from N on (1)"
    )
    parser.add_argument(
        "--faults",
        metavar="PRESET",
        default="none",
        help="production, research, network, crashes, disk, clocks, chaos, swarm, or none (none)",
    )
    parser.add_argument(
        "--param",
        dest="parameters",
        metavar="NAME=JSON",
        type=_parameter,
        action="append",
        default=[],
        help="another value for a parameter; may be given again",
    )
    add_store(parser, required=False, what="a store to append the runs to; made where it is absent")
    parser.add_argument("--json", action="store_true", help="the outcome as one JSON value")


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        message = f"{text!r} is not NAME=JSON, as in bug=true"
        raise ArgumentTypeError(message)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word needs no quotes within quotes


def _simulate(arguments: Namespace) -> int:
    from flowlab.scenarios import scenario_named  # noqa: PLC0415
    from flowlab.simulation import as_faults  # noqa: PLC0415
    from flowlab.simulation.simulate import recipe_of  # noqa: PLC0415

    scenario = scenario_named(arguments.name)
    parameters = dict(arguments.parameters)
    _check_types(scenario, parameters)
    outcome = _Outcome(scenario.name, arguments.seed, arguments.runs)
    faults = as_faults(arguments.faults)
    seeds = range(outcome.seed, outcome.seed + outcome.runs)
    recipes = [recipe_of(scenario, seed, faults, parameters) for seed in seeds]
    logs = _worlds(recipes, scenario(**parameters), outcome)
    if arguments.store is None:
        for log in logs:
            outcome.add_log(log)
    else:
        _store(arguments.store, recipes, logs, outcome)
    if arguments.json:
        answer_json(outcome.to_json())
    else:
        _show(outcome, arguments)
    return OK


def _check_types(scenario: Scenario, parameters: Mapping[str, Any]) -> None:
    """Refuse a value that is of another kind than the default."""
    from flowlab.errors import InvalidArgumentError  # noqa: PLC0415

    for name, value in parameters.items():
        default = scenario.parameters.get(name)
        wanted = (int, float) if type(default) is float else (type(default),)
        if default is not None and type(value) not in wanted:
            message = (
                f"parameter {name!r} of scenario {scenario.name!r} is {value!r}; expected "
                f"{wanted[-1].__name__}, as {json.dumps(default)}, which is its default"
            )
            raise InvalidArgumentError(message)


@dataclass(slots=True)
class _Outcome:
    """What came of the runs."""

    scenario: str
    seed: int
    runs: int
    events: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    violations: list[dict[str, Any]] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, Any]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    def add(self, run: Run) -> None:
        self.events += run.event_count
        self.statuses.update(run.statuses.values())
        self.violations += [
            {"seed": run.seed, "invariant": found.invariant, "message": found.message}
            for found in run.violations
        ]
        self.stuck += [f"seed {run.seed}: {stuck}" for stuck in run.stuck]
        if run.stopped:
            self.stuck.append(f"seed {run.seed}: the world was stopped at {run.stopped}")
        if self.runs == 1:
            self.rows = [
                (name, status, _said(run.results[name])) for name, status in run.statuses.items()
            ]

    def add_log(self, log: EventLog) -> None:
        from flowlab.events.digest import run_digests  # noqa: PLC0415

        self.digests += run_digests(log.table)

    def to_json(self) -> dict[str, Any]:
        from flowlab.events.digest import combined_digest  # noqa: PLC0415

        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "runs": self.runs,
            "events": self.events,
            "statuses": dict(sorted(self.statuses.items())),
            "violations": self.violations,
            "digest": combined_digest(self.digests),
        }


def _worlds(recipes: list[Recipe], world: World, outcome: _Outcome) -> Iterator[EventLog]:
    """Run the worlds, and yield the logs of so many at once."""
    from flowlab.simulation.batch import Batch  # noqa: PLC0415
    from flowlab.simulation.simulate import collector_frozen, play  # noqa: PLC0415

    for first in range(0, len(recipes), WORLDS_AT_ONCE):
        batch = Batch()
        with collector_frozen():
            for recipe in recipes[first : first + WORLDS_AT_ONCE]:
                outcome.add(play(recipe, world, batch))
        yield batch.log()


def _store(path: Path, recipes: list[Recipe], logs: Iterator[EventLog], outcome: _Outcome) -> None:
    from flowlab.errors import InvalidArgumentError  # noqa: PLC0415
    from flowlab.store import EventStore  # noqa: PLC0415

    with EventStore(path) as store:
        known = {run.run_id for run in store.runs}
        there = [recipe.run_id for recipe in recipes if recipe.run_id in known]
        if there:
            message = (
                f"the store {path} has the run {there[0]!r} already, which would be the same "
                "again; give other seeds, or another store"
            )
            raise InvalidArgumentError(message)
        for log in logs:
            store.append_log(log)
            outcome.add_log(log)


def _said(result: Any) -> str:
    """Return what a workflow came to, in one line."""
    error = result.get("error") if isinstance(result, dict) else None
    if isinstance(error, dict):
        return f"{error.get('type')}: {error.get('message')}"
    return json.dumps(result, ensure_ascii=False)


def _show(outcome: _Outcome, arguments: Namespace) -> None:
    from flowlab.events import counted  # noqa: PLC0415

    seeds = f"seed {outcome.seed}"
    if outcome.runs > 1:
        seeds = f"seeds {outcome.seed} to {outcome.seed + outcome.runs - 1}"
    told = outcome.to_json()
    answer(f"{outcome.scenario}, {seeds}: {counted(outcome.events, 'event')}")
    names, rows = ["workflow", "status", "result"], outcome.rows
    if outcome.runs > 1:
        names, rows = ["status", "workflows"], list(told["statuses"].items())
    sys.stdout.writelines(text_table(names, rows[:MOST_SHOWN]))
    if len(rows) > MOST_SHOWN:
        answer(f"{MOST_SHOWN} of {counted(len(rows), 'workflow')} shown: {told['statuses']}")
    violations = [f"seed {v['seed']}: {v['invariant']}: {v['message']}" for v in outcome.violations]
    for what, lines in (("violation", violations), ("stuck", outcome.stuck)):
        for line in lines[:MOST_SHOWN]:
            answer(f"{what}: {line}")
        if len(lines) > MOST_SHOWN:
            answer(
                f"{MOST_SHOWN} of {counted(len(lines), 'line')} shown; --json has all violations"
            )
    answer(f"digest: {told['digest']}")
    answer(f"next: {_next(outcome, arguments)}")


def _next(outcome: _Outcome, arguments: Namespace) -> str:
    store = arguments.store
    if store is None:
        seed = outcome.violations[0]["seed"] if outcome.violations else outcome.seed
        words = ["flowlab", "simulate", outcome.scenario, "--seed", str(seed)]
        words += ["--faults", arguments.faults] if arguments.faults != "none" else []
        for name, value in arguments.parameters:
            words += ["--param", f"{name}={json.dumps(value)}"]
        return f"{' '.join(words)} --store DIR keeps the log"
    return f'flowlab sql --store {store} "SELECT * FROM workflows"'


VERBS: Final = (
    Verb(
        name="scenarios",
        summary="List the scenarios that can be simulated.",
        text="Each is a saga of several agents in a file that a teacher can show, with a bug that "
        "is planted by the parameter bug=true, and the invariants that catch it.",
        example="flowlab scenarios --json",
        run=_scenarios,
        arguments=_scenarios_arguments,
    ),
    Verb(
        name="simulate",
        summary="Run worlds of a scenario in virtual time.",
        text="The same scenario, seed, faults and parameters give the same log, everywhere. Prints "
        "what became of the workflows, which invariants are violated, and what each workflow that "
        "did not end waits for; these are findings, and no errors of the command. The digest is "
        "that of the run, or of several over the sorted digests of each.",
        example="flowlab simulate trip --seed 1 --runs 50 --faults chaos --param bug=true",
        run=_simulate,
        arguments=_simulate_arguments,
    ),
)
