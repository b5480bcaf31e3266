"""Verbs that simulate: scenarios lists the library, simulate runs worlds of it."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from flowlab.cli.output import answer, answer_json, text_table
from flowlab.cli.stores import add_layout, add_store, count
from flowlab.cli.verb import OK, Verb

if TYPE_CHECKING:
    from flowlab.simulation import Campaign, Scenario

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
    add_layout(parser)
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
    from flowlab.simulation import simulate_many  # noqa: PLC0415
    from flowlab.simulation.recipe import Recipe  # noqa: PLC0415

    scenario = scenario_named(arguments.name)
    parameters = dict(arguments.parameters)
    _check_types(scenario, parameters)
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    # What cannot be is refused before a store is made.
    Recipe.of(scenario, seeds[-1], arguments.faults, parameters).world()
    with ExitStack() as stack:
        store = None
        if arguments.store is not None:
            from flowlab.store import EventStore  # noqa: PLC0415

            store = stack.enter_context(EventStore(arguments.store, layout=arguments.layout))
        campaign = simulate_many(
            scenario, seeds=seeds, faults=arguments.faults, store=store, **parameters
        )
    if arguments.json:
        answer_json(_outcome(campaign))
    else:
        _show(campaign, arguments)
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


def _outcome(campaign: Campaign) -> dict[str, Any]:
    ended = {"completed": "completed", "failed": "failed", "canceled": "canceled", "stuck": "open"}
    counts = {status: int(campaign.rows[name].sum()) for name, status in ended.items()}
    return {
        "scenario": campaign.name,
        "seed": campaign.seeds[0],
        "runs": len(campaign),
        "events": int(campaign.rows["events"].sum()),
        "statuses": {status: number for status, number in counts.items() if number},
        "violations": campaign.violations.select("seed", "invariant", "message").to_dicts(),
        "digest": campaign.digest,
    }


def _said(result: Any) -> str:
    """Return what a workflow came to, in one line."""
    error = result.get("error") if isinstance(result, dict) else None
    if isinstance(error, dict):
        return f"{error.get('type')}: {error.get('message')}"
    return json.dumps(result, ensure_ascii=False)


def _show(campaign: Campaign, arguments: Namespace) -> None:
    from flowlab.events import counted  # noqa: PLC0415

    told = _outcome(campaign)
    seeds = f"seed {told['seed']}"
    if told["runs"] > 1:
        seeds = f"seeds {told['seed']} to {campaign.seeds[-1]}"
    answer(f"{campaign.name}, {seeds}: {counted(told['events'], 'event')}")
    names, rows = ["status", "workflows"], list(told["statuses"].items())
    if told["runs"] == 1:
        run = campaign.run(campaign.rows["run_id"][0])
        names, rows = ["workflow", "status", "result"], []
        for name, status in run.statuses.items():
            rows.append((name, status, _said(run.results[name])))
    sys.stdout.writelines(text_table(names, rows[:MOST_SHOWN]))
    _tell_rest(len(rows), "workflow")
    for what, lines in _found(campaign).items():
        for line in lines[:MOST_SHOWN]:
            answer(f"{what}: {line}")
        _tell_rest(len(lines), "workflow" if what == "stuck" else what)
    answer(f"digest: {told['digest']}")
    answer(f"next: {_next(campaign, arguments)}")


def _found(campaign: Campaign) -> dict[str, list[str]]:
    broken = campaign.violations.iter_rows(named=True)
    stuck = campaign.stuck.iter_rows(named=True)
    stopped = campaign.rows.filter(campaign.rows["stopped"] != "").iter_rows(named=True)
    return {
        "violation": [f"seed {it['seed']}: {it['invariant']}: {it['message']}" for it in broken],
        "stuck": [
            f"seed {it['seed']}: {it['workflow_id']} waits for {it['waits_for']}" for it in stuck
        ],
        "stopped world": [f"seed {it['seed']}: {it['stopped']}" for it in stopped],
    }


def _tell_rest(number: int, what: str) -> None:
    from flowlab.events import counted  # noqa: PLC0415

    if number > MOST_SHOWN:
        answer(f"{MOST_SHOWN} of {counted(number, what)} shown")


def _next(campaign: Campaign, arguments: Namespace) -> str:
    if arguments.store is not None:
        return f'flowlab sql --store {arguments.store} "SELECT * FROM workflows"'
    broken = campaign.violations["seed"]
    seed = broken[0] if len(broken) else campaign.seeds[0]
    words = ["flowlab simulate", campaign.name, f"--seed {seed}"]
    words += [f"--faults {arguments.faults}"] if arguments.faults != "none" else []
    words += [f"--param {name}={json.dumps(value)}" for name, value in arguments.parameters]
    return f"{' '.join(words)} --store DIR keeps the log"


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
