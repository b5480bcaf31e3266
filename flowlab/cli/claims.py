"""The verb that measures claims again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from flowlab.cli.output import answer, say
from flowlab.cli.verb import OK, Verb, answer_report


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "names", metavar="AREA|CLAIM", nargs="*", help="`log` or `log.append`; all without"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--full",
        action="store_true",
        help="more blocks: narrower spreads; growth to 10 000 000 events",
    )
    size.add_argument(
        "--quick", action="store_true", help="small: shows that it runs, the figures mean little"
    )
    parser.add_argument("--list", action="store_true", help="name the claims, measure nothing")
    parser.add_argument("--json", action="store_true", help="the findings as one JSON value")
    parser.add_argument(
        "--folder", metavar="DIR", type=Path, help="where files go: the disk that is measured"
    )


def _check(arguments: Namespace) -> int:
    from dataclasses import replace  # noqa: PLC0415

    from flowlab.studies import check, choose  # noqa: PLC0415
    from flowlab.studies.measuring import FULL, QUICK, Scale  # noqa: PLC0415

    if arguments.list:
        for claim in choose(arguments.names):
            answer(f"{claim.name}: {claim.statement}")
        return OK
    scale = QUICK if arguments.quick else FULL if arguments.full else Scale()
    report = check(
        *arguments.names,
        scale=replace(scale, folder=arguments.folder),
        progress=say,
    )
    return answer_report(report, as_json=arguments.json)


VERBS: Final = (
    Verb(
        name="check",
        summary="Measure again what is claimed.",
        text="Prints each claim with its measured value and spread, its gate and its verdict: "
        "held, refuted, restated, or reported where there is no gate. Benchmarks alternate blocks "
        "of ours and the peer's in one process. The log's claims take some minutes.",
        example="flowlab check log.append",
        run=_check,
        arguments=_check_arguments,
        found="a claim is refuted, or could not be measured",
    ),
)
