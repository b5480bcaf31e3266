"""Verbs that show: diagram, report and demo."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowlab.cli.logs import Bar, say_left
from flowlab.cli.output import answer
from flowlab.cli.stores import add_store, open_store
from flowlab.cli.verb import OK, Verb
from flowlab.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from flowlab.events import EventLog


def log_of(arguments: Namespace) -> EventLog:
    """Return the log of the paths or of the store that was named."""
    if (arguments.store is None) == (not arguments.paths):
        message = "give either paths or --store DIR"
        raise InvalidArgumentError(message)
    if arguments.store is not None:
        with open_store(arguments.store) as store:
            return store.log()
    return read_paths(arguments.paths)


def read_paths(paths: list[Path]) -> EventLog:
    """Return the log of some files and folders.

    Raises:
        NotFoundError: nothing could be read from them.
    """
    from flowlab.interop import import_log  # noqa: PLC0415

    report = import_log(paths, progress=Bar())
    say_left(report)
    if report.log is None or not len(report.log):
        message = f"nothing could be read from {', '.join(map(str, paths))}"
        raise NotFoundError(message)
    return report.log


def source_arguments(parser: ArgumentParser) -> None:
    """Add the paths, or the store instead, that a verb reads."""
    parser.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="files and folders")
    add_store(parser, required=False, what="a store instead of paths")


def _diagram_arguments(parser: ArgumentParser) -> None:
    source_arguments(parser)
    parser.add_argument("--run", metavar="RUN", help="this run alone")
    parser.add_argument("--workflow", metavar="ID", help="this workflow alone")
    parser.add_argument(
        "--axis",
        choices=("auto", "time", "order", "depth"),
        default="auto",
        help="what runs from left to right (auto)",
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        help="an .svg, .png or .txt, or an .html to explore; without it, text",
    )


def _diagram(arguments: Namespace) -> int:
    from flowlab.figures import space_time  # noqa: PLC0415

    ending = Path(arguments.output or "text.txt").suffix.lower()
    if ending not in {".svg", ".png", ".txt", ".html"}:
        message = f"-o is {arguments.output!r}; expected a name in .svg, .png, .txt or .html"
        raise InvalidArgumentError(message)
    log = log_of(arguments)
    chosen = {"run_id": arguments.run, "workflow_id": arguments.workflow, "axis": arguments.axis}
    if ending == ".html":
        from flowlab.widgets import save_page  # noqa: PLC0415

        answer(str(save_page(log, arguments.output, **chosen)))
        return OK
    figure = space_time(log, **chosen)
    answer(figure.text if arguments.output is None else str(figure.save(arguments.output)))
    return OK


def _report_arguments(parser: ArgumentParser) -> None:
    source_arguments(parser)
    parser.add_argument("-o", dest="output", metavar="FILE", required=True, help="an .html")


def _report(arguments: Namespace) -> int:
    from flowlab.studies import build_report  # noqa: PLC0415

    log = log_of(arguments)
    first, *others = [*arguments.paths] or [arguments.store]
    title = None if others else first.resolve().name
    answer(str(build_report(log, title=title).save(arguments.output)))
    return OK


def _demo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="histories")
    parser.add_argument(
        "-o", dest="output", metavar="DIR", type=Path, default=Path("flowlab-demo"), help="where"
    )


def _demo(arguments: Namespace) -> int:
    from flowlab.events import counted  # noqa: PLC0415
    from flowlab.interop import import_log  # noqa: PLC0415
    from flowlab.interop.samples import write_samples  # noqa: PLC0415
    from flowlab.store import EventStore  # noqa: PLC0415
    from flowlab.studies import build_report  # noqa: PLC0415

    place = _fresh(arguments.output)
    source = arguments.folder
    if source is None:
        source = place / "histories"
        write_samples(source)
    with EventStore(place / "store") as store:
        report = import_log(source, store=store, progress=Bar())
        say_left(report)
        if not report.events:
            message = f"nothing could be read from {source}"
            raise NotFoundError(message)
        store.seal()
        answer(f"imported {counted(report.events, 'event')} into {place / 'store'}")
        busy = "SELECT agent_id, count(*) AS calls FROM activities GROUP BY 1 ORDER BY 2 DESC, 1"
        for agent, calls in store.sql(f"{busy} LIMIT 5").rows():
            answer(f"  {agent}: {counted(calls, 'call')}")
        answer(str(store.tree(depth=2, limit=5)))
        name = source.name if arguments.folder is not None else "A sample: agents plan a trip"
        page = build_report(store.log(), title=name).save(place / "report.html")
    answer(str(page))
    return OK


def _fresh(wanted: Path) -> Path:
    """Make a folder for this run: the one wanted, or the next number after it."""
    place, number = wanted, 1
    while place.exists():
        number += 1
        place = wanted.with_name(f"{wanted.name}-{number}")
    place.mkdir(parents=True)
    return place


VERBS: Final = (
    Verb(
        name="diagram",
        summary="Draw who did what as a space-time diagram.",
        text="A lane for each agent, activities as bars, causes across lanes as arrows.",
        example="flowlab diagram history.json -o history.svg",
        run=_diagram,
        arguments=_diagram_arguments,
    ),
    Verb(
        name="report",
        summary="Describe logs in one page that opens offline.",
        text="What ran, who did what, failures, retries, the slowest chains and calls, "
        "concurrency, damage, diagrams, and the SQL behind each table.",
        example="flowlab report histories/ -o report.html",
        run=_report,
        arguments=_report_arguments,
    ),
    Verb(
        name="demo",
        summary="Import, store, query and draw a sample, or a folder of yours.",
        text="Makes a new folder with a store and a report; the last line is the page's path.",
        example="flowlab demo histories/",
        run=_demo,
        arguments=_demo_arguments,
    ),
)
