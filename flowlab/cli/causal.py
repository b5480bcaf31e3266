"""The verb that computes: causality, a run's causal order in numbers."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from flowlab.cli.logs import Bar
from flowlab.cli.output import answer, answer_json, text_table
from flowlab.cli.pages import log_of, source_arguments
from flowlab.cli.verb import OK, Verb


def _arguments(parser: ArgumentParser) -> None:
    source_arguments(parser)
    parser.add_argument("--run", metavar="RUN", help="this run alone")
    parser.add_argument("--workflow", metavar="ID", help="this workflow alone")
    parser.add_argument(
        "--cuts-limit",
        metavar="N",
        type=_limit,
        help="most consistent cuts that are counted (10 000 000)",
    )
    parser.add_argument("--json", action="store_true", help="as one JSON list, an object a run")


def _causality(arguments: Namespace) -> int:
    from flowlab.causality import MAX_CUTS, causal_facts  # noqa: PLC0415

    limit = MAX_CUTS if arguments.cuts_limit is None else arguments.cuts_limit
    found = causal_facts(
        log_of(arguments),
        run_id=arguments.run,
        workflow_id=arguments.workflow,
        cuts_limit=limit,
        progress=Bar(unit="run"),
    )
    rows = [facts.to_json() for facts in found]
    if arguments.json:
        answer_json(rows)
        return OK
    if not rows:
        answer("no events")
        return OK
    words = [[_shown(value) for value in row.values()] for row in rows]
    names = [name.replace("_", " ") for name in rows[0]]
    answer("".join(text_table(names, words)).rstrip())
    if any(row["consistent_cuts"] is None for row in rows):
        most = f"{limit:,}".replace(",", " ")
        answer(f"cuts: more than {most} (--cuts-limit counts further), or a run too large for it")
    return OK


def _shown(value: object) -> object:
    return "too many" if value is None else value or (0 if value == 0 else "live run")


def _limit(text: str) -> int:
    """Parse a number from 0."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        message = f"{text!r} is no number of cuts"
        raise ArgumentTypeError(message)
    return number


VERBS = (
    Verb(
        name="causality",
        summary="Say of each run how its events are ordered, in numbers.",
        text="Lanes, edges on and between them, ordered and concurrent pairs, the longest chain of "
        "causes, the width, how many consistent cuts there are, and damage.",
        example="flowlab causality --store S --run trip-1 --json",
        run=_causality,
        arguments=_arguments,
    ),
)
