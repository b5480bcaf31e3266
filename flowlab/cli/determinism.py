"""The verb that looks for code that would not do the same again."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any, Final

from flowlab.cli.verb import Verb, answer_report


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="MODULE:WORKFLOW", help="or FILE.py:WORKFLOW: what to try out"
    )
    parser.add_argument("--input", metavar="JSON", default="null", help="its input; null without")
    parser.add_argument(
        "--answers", metavar="JSON", default="{}", help="an object: activity -> its result"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of chance and orders")
    parser.add_argument("--json", action="store_true", help="what was found as one JSON value")


def _determinism(arguments: Namespace) -> int:
    from flowlab.studies.determinism import determinism  # noqa: PLC0415

    (report,) = determinism(
        arguments.target,
        value=_parsed("--input", arguments.input),
        answers=_parsed("--answers", arguments.answers, dict),
        seed=arguments.seed,
    )
    return answer_report(report, as_json=arguments.json)


def _parsed(option: str, text: str, kind: type = object) -> Any:
    from flowlab.errors import InvalidArgumentError  # noqa: PLC0415

    try:
        value = json.loads(text)
    except ValueError as error:
        message = f"{option} is no JSON: {error}; a text stands in double quotes"
        raise InvalidArgumentError(message) from None
    if not isinstance(value, kind):
        message = f"{option} takes a JSON object, not {text}"
        raise InvalidArgumentError(message)
    return value


VERBS: Final = (
    Verb(
        name="determinism",
        summary="Look for code that would not do the same in a replay.",
        text="Reads the workflow's source, runs it under the guard, then freely: a second time, "
        "side by side with itself, with its calls answered in other orders and some of them "
        "failing; and replays every history in other processes, with other hash seeds and with "
        "clocks set forward. Activities of its module are called, once for each input; others "
        "answer by name and input. Prints what was found, and by which mean.",
        example="flowlab determinism trips.py:plan_trip --input '{\"nights\": 2}'",
        run=_determinism,
        arguments=_arguments,
        found="a violation was found",
    ),
)
