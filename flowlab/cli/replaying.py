"""The verb that holds saved histories against today's code."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from flowlab.cli.loading import load_module, prints_beside
from flowlab.cli.verb import Verb, add_json, answer_report

GRADES: Final = ("kind", "name", "argument", "result")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("module", metavar="MODULE", help="or FILE.py: where the workflows are")
    parser.add_argument("--store", required=True, metavar="DIR", help="of the histories")
    parser.add_argument("--workflow-id", metavar="ID", help="only this one's; all without")
    parser.add_argument(
        "--grade",
        choices=GRADES,
        default="result",
        help="how much of each event is held against the code (result: all of it)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="the runtime's (0)")
    add_json(parser)


def _replay(arguments: Namespace) -> int:
    from flowlab.recovery import Replayer  # noqa: PLC0415
    from flowlab.store import EventStore  # noqa: PLC0415

    replayer = Replayer(load_module(arguments.module), seed=arguments.seed)
    with EventStore(arguments.store, read_only=True) as store, prints_beside():
        report = replayer.replay(store, arguments.workflow_id, grade=arguments.grade)
    return answer_report(report, as_json=arguments.json)


VERBS: Final = (
    Verb(
        name="replay",
        summary="Hold saved histories against today's code.",
        text="Replays the history of every workflow of a store, or of one, with the workflows of a "
        "module: nothing is executed, nothing is written. Of a history from which the code parts "
        "it prints the first event that differs, both sides, and the line of the code. Histories "
        "of workflows that the module does not hold, that are damaged, or whose beginning was "
        "truncated are named, and others go on.",
        example="flowlab replay trips.py --store trips",
        run=_replay,
        arguments=_arguments,
        found="some history is not what the code asks for, or could not be replayed",
    ),
)
