"""The verb that compares two runs: diff."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowlab.cli.output import answer, answer_json
from flowlab.cli.pages import read_paths
from flowlab.cli.stores import add_store, open_store
from flowlab.cli.verb import FOUND, OK, Verb
from flowlab.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from flowlab.causality import TraceDifference
    from flowlab.events import Event, EventLog

_BOTH: Final = 2


def _diff_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", type=Path, help="two files, folders or stores"
    )
    add_store(parser, required=False, what="a store that holds both runs")
    parser.add_argument(
        "--run", metavar="RUN", action="append", default=[], help="a run: twice, a and then b"
    )
    parser.add_argument(
        "--content",
        metavar="COLUMNS",
        default="agent_id,event_type,name",
        help="in what events have to agree (agent_id,event_type,name)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _diff(arguments: Namespace) -> int:
    from flowlab.causality import diff  # noqa: PLC0415

    a, b = _logs(arguments)
    found = diff(a, b, content=tuple(arguments.content.split(",")))
    if arguments.json:
        answer_json(_as_json(found))
    else:
        answer(str(found))
    return OK if found.equal else FOUND


def _logs(arguments: Namespace) -> tuple[EventLog, EventLog]:
    """Return the two logs that were named."""
    runs = arguments.run
    if arguments.store is not None:
        if len(runs) != _BOTH or arguments.paths:
            message = "in one store, name two runs: --store DIR --run A --run B"
            raise InvalidArgumentError(message)
        logs = [_read(arguments.store)] * _BOTH
    elif len(arguments.paths) == _BOTH:
        logs = [_read(path) for path in arguments.paths]
        runs = runs * _BOTH if len(runs) == 1 else runs
    else:
        message = "give two paths, or --store DIR --run A --run B"
        raise InvalidArgumentError(message)
    if len(runs) not in {0, _BOTH}:
        message = f"{len(runs)} runs were named; name one for each log"
        raise InvalidArgumentError(message)
    one, other = (_of_run(log, run) for log, run in zip(logs, runs or [None] * _BOTH, strict=True))
    return one, other


def _read(path: Path) -> EventLog:
    if (path / "flowlab.json").exists():
        with open_store(path) as store:
            return store.log()
    return read_paths([path])


def _of_run(log: EventLog, run_id: str | None) -> EventLog:
    part = log if run_id is None else log.filter(run_id=run_id)
    if run_id is not None and not len(part):
        known = sorted({run.run_id for run in log.runs})[:10]
        message = f"there is no run {run_id!r}; there are {', '.join(map(repr, known)) or 'none'}"
        raise NotFoundError(message)
    return part


def _as_json(found: TraceDifference) -> dict[str, Any]:
    first = None if found.first is None else [event and _facts(event) for event in found.first]
    return {
        "equal": found.equal,
        "first": first,
        "only_a": [_facts(event) for event in found.only_a],
        "only_b": [_facts(event) for event in found.only_b],
        "reordered": [
            {
                "a": _facts(changed.a),
                "b": _facts(changed.b),
                "after_a": [_facts(event) for event in changed.after_a],
                "after_b": [_facts(event) for event in changed.after_b],
            }
            for changed in found.reordered
        ],
    }


def _facts(event: Event) -> dict[str, Any]:
    return {
        "workflow_id": event.workflow_id,
        "sequence": event.sequence,
        "agent_id": event.agent_id,
        "event_type": event.event_type,
        "name": event.name,
    }


VERBS: Final = (
    Verb(
        name="diff",
        summary="Say what differs between two runs, up to trace equivalence.",
        text="Compares events by content and by causes: in which order concurrent ones were "
        "recorded, and when, is no difference. Tells where the runs part, the events of one alone, "
        "and those that come after other events in one than in the other.",
        example="flowlab diff --store S --run seed-1 --run seed-2",
        run=_diff,
        arguments=_diff_arguments,
        found="the runs differ",
    ),
)
