"""Verbs that keep a store small: store compact, archive, truncate, vacuum."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import timedelta
from pathlib import Path
from typing import Final

from flowlab.cli.output import say
from flowlab.cli.stores import directory, hint_at_tail, open_to_write, tell
from flowlab.cli.verb import OK, Verb, add_json

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NO_WRITER: Final = "Whoever writes to the store, in this process or another, goes on meanwhile."


def span_of_time(text: str) -> timedelta:
    """Parse a span of time: a number and s, m, h or d; 0 needs no unit.

    Example:
        >>> span_of_time("36h"), span_of_time("0")
        (datetime.timedelta(days=1, seconds=43200), datetime.timedelta(0))
    """
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "")
    if not number.isdecimal() or (not unit and int(number)):
        message = f"{text!r} is no span of time; write 7d, 36h, 90m, 30s or 0"
        raise ArgumentTypeError(message)
    return timedelta(seconds=int(number) * _UNITS.get(unit, 0))


def _compact_arguments(parser: ArgumentParser) -> None:
    directory(parser)
    parser.add_argument(
        "--full", action="store_true", help="merge each partition into one sorted run"
    )
    add_json(parser)


def _compact(arguments: Namespace) -> int:
    with open_to_write(arguments.store) as store:
        result = store.compact(full=arguments.full, progress=say)
        hint_at_tail(store)
    tell(result, as_json=arguments.json)
    return OK


def _archive_arguments(parser: ArgumentParser) -> None:
    directory(parser)
    parser.add_argument(
        "--upto",
        metavar="POSITION",
        type=int,
        help="the last position to move (of all sealed)",
    )
    parser.add_argument(
        "--older-than", metavar="SPAN", type=span_of_time, help="committed so long ago: 30d, 12h"
    )
    add_json(parser)


def _archive(arguments: Namespace) -> int:
    from flowlab.store.clock import wall_ns  # noqa: PLC0415

    span = arguments.older_than
    before_ns = None if span is None else wall_ns() - int(span.total_seconds()) * 1_000_000_000
    with open_to_write(arguments.store) as store:
        result = store.archive(upto=arguments.upto, before_ns=before_ns, progress=say)
    tell(result, as_json=arguments.json)
    return OK


def _truncate_arguments(parser: ArgumentParser) -> None:
    directory(parser)
    parser.add_argument("workflow", metavar="WORKFLOW", help="the stream's id")
    parser.add_argument(
        "--upto", metavar="SEQUENCE", type=int, required=True, help="the last sequence to go"
    )
    parser.add_argument("--namespace", metavar="N", default="default", help="(default)")
    parser.add_argument("--run", metavar="R", default="", help="the run (the live one)")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--archive", metavar="FILE", type=Path, help="where what goes is written (DIR/archive/)"
    )
    group.add_argument("--discard", action="store_true", help="keep nothing of what goes")
    parser.add_argument(
        "--remember",
        action="store_true",
        help="keep what the causal order and the clocks of the rest of the run need",
    )
    add_json(parser)


def _truncate(arguments: Namespace) -> int:
    from flowlab.recovery import truncate  # noqa: PLC0415
    from flowlab.store import EventStore  # noqa: PLC0415

    cut = truncate if arguments.remember else EventStore.truncate
    with open_to_write(arguments.store) as store:
        result = cut(
            store,
            arguments.workflow,
            upto=arguments.upto,
            namespace=arguments.namespace,
            run_id=arguments.run,
            archive=arguments.archive,
            discard=arguments.discard,
        )
    tell(result, as_json=arguments.json)
    return OK


def _vacuum_arguments(parser: ArgumentParser) -> None:
    directory(parser)
    parser.add_argument(
        "--retain",
        metavar="SPAN",
        type=span_of_time,
        default=timedelta(days=7),
        help="versions of so long ago stay readable: 7d, 12h, 0 (7d)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    add_json(parser)


def _vacuum(arguments: Namespace) -> int:
    with open_to_write(arguments.store) as store:
        result = store.vacuum(retain=arguments.retain, dry_run=arguments.dry_run)
    tell(result, as_json=arguments.json)
    return OK


VERBS: Final = (
    Verb(
        name="store compact",
        summary="Merge small sealed files into larger sorted ones.",
        text="Runs of like size are merged, and files that hold truncated events are written "
        "without them. Every answer stays as it is, and older versions do until vacuum. "
        f"{_NO_WRITER}",
        example="flowlab store compact S --full",
        run=_compact,
        arguments=_compact_arguments,
    ),
    Verb(
        name="store archive",
        summary="Compress older events further; they stay in every answer.",
        text="Moves sealed events up to a position into files of the archive tier, which "
        f"compaction leaves alone. {_NO_WRITER}",
        example="flowlab store archive S --older-than 30d",
        run=_archive,
        arguments=_archive_arguments,
    ),
    Verb(
        name="store truncate",
        summary="Let a stream begin later; what goes is written to a file first.",
        text="Events up to the sequence are in no answer any more, at once; an event LogTruncated "
        "tells of it. Their bytes go with the next compact and vacuum. Another process that writes "
        "to the store loses its turn: it must open the store again.",
        example="flowlab store truncate S trip-42 --upto 1000",
        run=_truncate,
        arguments=_truncate_arguments,
    ),
    Verb(
        name="store vacuum",
        summary="Remove files that no readable version needs.",
        text="Versions within the span of time stay readable, and whatever a reader has pinned. "
        f"Files that a stopped writer left go, too. {_NO_WRITER}",
        example="flowlab store vacuum S --retain 0 --dry-run",
        run=_vacuum,
        arguments=_vacuum_arguments,
    ),
)
