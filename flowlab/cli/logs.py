"""Verbs that bring logs in and out: import and export."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowlab.cli.output import answer, say
from flowlab.cli.stores import add_layout, add_store, open_store
from flowlab.cli.verb import FOUND, OK, Verb

if TYPE_CHECKING:
    from flowlab.interop import ImportReport

_FORMATS: Final = ("temporal", "shiviz", "jsonl", "csv")


class Bar:
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self, *, unit: str = "file") -> None:
        self._unit = unit
        self._bar: Any = None

    def __call__(self, done: int, total: int, name: str) -> None:
        """Show that so many are done."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm  # noqa: PLC0415

            self._bar = tqdm(total=total, unit=self._unit, file=sys.stderr, leave=False)
        self._bar.n = done
        self._bar.set_postfix_str(name[-40:])
        if done == total:
            self._bar.close()


def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="files and folders")
    add_store(parser, what="the store to append to; made where it is absent")
    add_layout(parser)
    parser.add_argument(
        "--as", dest="format", choices=_FORMATS, help="take only this format's files"
    )
    parser.add_argument("--mapping", metavar="FILE", help="how to read JSON Lines and CSV (TOML)")
    parser.add_argument(
        "--pattern", metavar="REGEX", help="ShiViz: with the groups host, clock and event"
    )
    parser.add_argument("--lane", metavar="EXPR", help="SQL over an event that gives its lane")
    parser.add_argument(
        "--payloads",
        choices=("keep", "hash", "drop"),
        default="keep",
        help="hash or drop what was said, in names and texts too (keep)",
    )
    parser.add_argument(
        "--namespace", metavar="N", default="default", help="where the runs go (default)"
    )


def say_left(report: ImportReport) -> None:
    """Name the files that were not read, and why."""
    for left in report.skipped:
        say(f"skipped: {left.file}: {left.reason}")
    for bad in report.failed:
        say(f"failed: {bad.file}: {bad.error}")
        if bad.proposal:
            say(f"a mapping to edit, for flowlab import --mapping FILE:\n{bad.proposal}")


def _import(arguments: Namespace) -> int:
    from flowlab.events import counted  # noqa: PLC0415
    from flowlab.interop import import_log, load_mapping  # noqa: PLC0415
    from flowlab.store import EventStore  # noqa: PLC0415

    mapping = None if arguments.mapping is None else load_mapping(arguments.mapping)
    with EventStore(arguments.store, layout=arguments.layout) as store:
        report = import_log(
            arguments.paths,
            format=arguments.format,
            mapping=mapping,
            pattern=arguments.pattern,
            lane=arguments.lane,
            payloads=arguments.payloads,
            namespace=arguments.namespace,
            store=store,
            progress=Bar(),
        )
    say_left(report)
    runs = sum(len(item.runs) for item in report.imported)
    answer(
        f"{counted(len(report.imported), 'file')}, {counted(runs, 'run')}, "
        f"{counted(report.events, 'event')}, anomalies: {report.anomalies}, "
        f"skipped: {len(report.skipped)}, failed: {len(report.failed)}"
    )
    for item in report.imported:
        if item.anomalies:
            answer(f"damaged: {item.file}: {counted(item.anomalies, 'anomaly')}")
    return FOUND if report.failed else OK


def _export_arguments(parser: ArgumentParser) -> None:
    add_store(parser)
    parser.add_argument("--as", dest="format", choices=_FORMATS, required=True, help="the format")
    parser.add_argument("--run", metavar="RUN", help="one run; without it, every run")
    parser.add_argument(
        "-o", dest="output", metavar="PATH", required=True, help="a file, or a folder for many runs"
    )


def _export(arguments: Namespace) -> int:
    from flowlab.interop import export_log  # noqa: PLC0415

    with open_store(arguments.store) as store:
        log = store.log()
    for path in export_log(log, arguments.format, arguments.output, run_id=arguments.run):
        answer(str(path))
    return OK


VERBS: Final = (
    Verb(
        name="import",
        summary="Append logs of other systems to a store.",
        text="Reads Temporal and Cadence histories (JSON), ShiViz logs, and JSON Lines or CSV by a "
        "mapping; folders with everything below them. A file that cannot be read is named and the "
        "rest goes on; damage inside a file goes to the relation anomalies.",
        example="flowlab import histories/ --as temporal --store S",
        run=_import,
        arguments=_import_arguments,
        found="a file could not be read; it is named on standard error",
    ),
    Verb(
        name="export",
        summary="Write runs of a store in another system's format.",
        text="What was imported from Temporal goes out as the same JSON, and from ShiViz with the "
        "same events and clocks, host by host; any other run goes out to ShiViz with the clocks "
        "that its causes give, and to JSON Lines or CSV. Prints the files written.",
        example="flowlab export --store S --as shiviz --run chord -o chord.log",
        run=_export,
        arguments=_export_arguments,
    ),
)
