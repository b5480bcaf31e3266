"""Verbs of one store: sql, read, tree, and store init, info, verify, seal, cluster."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowlab.cli.output import answer, answer_json, answer_rows, say
from flowlab.cli.verb import FOUND, OK, Verb, add_json

if TYPE_CHECKING:
    import pyarrow as pa

    from flowlab.events import EventLog
    from flowlab.store import EventStore, Layout

TREE_DEPTH: Final = 3
TREE_LIMIT: Final = 20
_VALUES: Final = ("checkpoints", "projections")
_READ_COLUMNS: Final = (
    "workflow_id",
    "sequence",
    "time_ns",
    "agent_id",
    "event_type",
    "name",
    "payload",
)


def add_store(parser: ArgumentParser, *, required: bool = True, what: str = "the store") -> None:
    """Add `--store DIR`."""
    parser.add_argument("--store", metavar="DIR", type=Path, required=required, help=what)


def add_layout(parser: ArgumentParser) -> None:
    """Add `--layout LEVELS`, for a store that is made."""
    parser.add_argument(
        "--layout",
        metavar="LEVELS",
        type=layout_of,
        help="the folders of a store that is made, as in namespace,bucket:16 (that); a level is "
        "namespace, run, workflow, agent, day, hour, bucket:N or agent_bucket:N",
    )


def layout_of(text: str) -> Layout:
    """Parse a layout: its levels, from the outermost on.

    Example:
        >>> layout_of("day,bucket:4"), layout_of("")
        (Layout.of('day', 'bucket:4'), Layout.of())
    """
    from flowlab.errors import InvalidArgumentError  # noqa: PLC0415
    from flowlab.store import Layout  # noqa: PLC0415

    try:
        return Layout.of(*(text.split(",") if text else ()))
    except InvalidArgumentError as error:
        raise ArgumentTypeError(str(error)) from error


def count(text: str) -> int:
    """Parse a number of rows, at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        message = f"{text!r} is no number from 1"
        raise ArgumentTypeError(message)
    return number


def open_store(path: Path) -> EventStore:
    """Open a store for reading; it is never made, nor written to."""
    from flowlab.store import EventStore  # noqa: PLC0415

    return EventStore(path, read_only=True)


def open_to_write(path: Path) -> EventStore:
    """Open a store that is there for writing; none is made."""
    from flowlab.store import EventStore  # noqa: PLC0415

    open_store(path).close()
    return EventStore(path)


def tell(result: Any, *, as_json: bool) -> None:
    """Answer with a result: as text for people, or its fields as JSON."""
    from msgspec import to_builtins  # noqa: PLC0415

    if as_json:
        answer_json(to_builtins(result))
    else:
        answer(str(result))


def hint_at_tail(store: EventStore) -> None:
    """Say that events in the tail were left alone, where there are any."""
    from flowlab.events import counted  # noqa: PLC0415

    behind = store.info().tail_events
    if behind:
        say(f"{counted(behind, 'event')} in the tail; flowlab store seal DIR comes first")


def _sql_arguments(parser: ArgumentParser) -> None:
    add_store(parser)
    parser.add_argument("query", metavar="QUERY", help="SQL, or - to read it from standard input")
    _add_format(parser, ("table", "json", "csv"))


def _sql(arguments: Namespace) -> int:
    query = sys.stdin.read() if arguments.query == "-" else arguments.query
    with open_store(arguments.store) as store:
        answer_rows(store.query(query), arguments.format, limit=arguments.limit)
    return OK


def _read_arguments(parser: ArgumentParser) -> None:
    add_store(parser)
    parser.add_argument("key", metavar="KEY", help="a key or a prefix; ids are percent-encoded")
    parser.add_argument("--reverse", action="store_true", help="from the last event to the first")
    _add_format(parser, ("table", "json"))


def _read(arguments: Namespace) -> int:
    from flowlab.events import parse_key  # noqa: PLC0415

    key = parse_key(arguments.key)
    with open_store(arguments.store) as store:
        snapshot = store.snapshot()
        if key.root == "projections" or key.section in {"metadata", *_VALUES}:
            answer_json(snapshot.value(arguments.key))
            return OK
        if note := snapshot.locate(key).note:
            say(note)
        log = snapshot.read(key, reverse=arguments.reverse, limit=arguments.limit)
    table = log.to_arrow() if arguments.format == "json" else _for_people(log)
    answer_rows(table, arguments.format, limit=arguments.limit)
    return OK


def _tree_arguments(parser: ArgumentParser) -> None:
    add_store(parser)
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", default="/", help="a key (/)")
    parser.add_argument(
        "--depth", metavar="N", type=count, default=TREE_DEPTH, help=f"levels ({TREE_DEPTH})"
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=count,
        default=TREE_LIMIT,
        help=f"entries of each level; the rest are counted ({TREE_LIMIT})",
    )


def _tree(arguments: Namespace) -> int:
    with open_store(arguments.store) as store:
        answer(str(store.tree(arguments.prefix, depth=arguments.depth, limit=arguments.limit)))
    return OK


def directory(parser: ArgumentParser) -> None:
    """Add the store's folder as a positional argument."""
    parser.add_argument("store", metavar="DIR", type=Path, help="the store")


def _store_arguments(parser: ArgumentParser) -> None:
    directory(parser)
    add_json(parser)


def _info(arguments: Namespace) -> int:
    with open_store(arguments.store) as store:
        tell(store.info(), as_json=arguments.json)
    return OK


def _init_arguments(parser: ArgumentParser) -> None:
    directory(parser)
    add_layout(parser)


def _init(arguments: Namespace) -> int:
    from flowlab.store import EventStore  # noqa: PLC0415

    with EventStore(arguments.store, layout=arguments.layout) as store:
        answer(str(store.info()))
    return OK


def _verify(arguments: Namespace) -> int:
    with open_store(arguments.store) as store:
        report = store.verify(progress=lambda what: say(f"checking {what}"))
    tell(report, as_json=arguments.json)
    return OK if report.ok else FOUND


def _seal(arguments: Namespace) -> int:
    with open_to_write(arguments.store) as store:
        moved = store.seal()
        answer(f"sealed: version {store.info().version}" if moved else "nothing to seal")
    return OK


def _cluster_arguments(parser: ArgumentParser) -> None:
    directory(parser)
    parser.add_argument("--agents", action="store_true", help="by agent and time alone")
    parser.add_argument("--coordination", action="store_true", help="by coordination alone")
    parser.add_argument("--rebuild", action="store_true", help="begin anew, as after damage")
    add_json(parser)


def _cluster(arguments: Namespace) -> int:
    from flowlab.events import counted, grouped  # noqa: PLC0415

    kind = None
    if arguments.agents != arguments.coordination:
        kind = "agents" if arguments.agents else "coordination"
    with open_to_write(arguments.store) as store:
        results = store.cluster(kind, rebuild=arguments.rebuild, progress=say)
        if arguments.json:
            tell(results, as_json=True)
        for item in () if arguments.json else results:
            answer(
                f"{item.kind}: up to position {grouped(item.position)}, "
                f"{counted(item.events, 'event')} taken in, {counted(item.files, 'file')}"
            )
        hint_at_tail(store)
    return OK


def _add_format(parser: ArgumentParser, forms: tuple[str, ...]) -> None:
    parser.add_argument("--limit", metavar="N", type=count, help="at most so many rows")
    parser.add_argument("--format", choices=forms, default="table", help="of the answer (table)")


def _for_people(log: EventLog) -> pa.Table:
    """Return the columns that a person reads."""
    return log.to_arrow().select(_READ_COLUMNS)


VERBS: Final = (
    Verb(
        name="sql",
        summary="Query the events with SQL.",
        text="Runs DuckDB SQL over the relations events, runs, workflows, activities, messages, "
        "compensations, states, edges and anomalies, and of the store's own checkpoints, "
        "projections and truncations. JSON and CSV hold every row and every sign exactly; a "
        "payload is shown as the JSON that it holds.",
        example='flowlab sql --store S "SELECT agent_id, count(*) FROM activities GROUP BY ALL"',
        run=_sql,
        arguments=_sql_arguments,
    ),
    Verb(
        name="read",
        summary="Read the events of a key or prefix, or the value of a key.",
        text="A key is a path: /workflows/ID/events/7, /agents/ID/actions, "
        "/runs/RUN/coordination/ID. Metadata, states of projections and checkpoints are values: "
        "/workflows/ID/projections/VIEW/materialized_state. A prefix is the range of everything "
        "below it, and * ends the first letters of an id. Ids are percent-encoded.",
        example="flowlab read --store S /workflows/trip-42/events --reverse --limit 10",
        run=_read,
        arguments=_read_arguments,
    ),
    Verb(
        name="tree",
        summary="Show the keys below a prefix, with counts.",
        text="Draws the hierarchy of namespaces, runs, workflows, agents and coordinations; each "
        "line's path is a key for flowlab read.",
        example="flowlab tree --store S /workflows --depth 2",
        run=_tree,
        arguments=_tree_arguments,
    ),
    Verb(
        name="store init",
        summary="Make an empty store.",
        text="Verbs that append make one, too. The layout is the folders of the sealed files, "
        "level under level; it never changes, and no answer depends on it. A store that is there "
        "stays as it is; one of another layout is refused.",
        example="flowlab store init S --layout day,bucket:4",
        run=_init,
        arguments=_init_arguments,
    ),
    Verb(
        name="store info",
        summary="Show the sizes and versions of a store.",
        text="Says how many events are sealed and how many are in the tail, and where durability "
        "is weaker on this platform.",
        example="flowlab store info S",
        run=_info,
        arguments=_store_arguments,
    ),
    Verb(
        name="store verify",
        summary="Check every file and every event of a store.",
        text="Compares all checksums and the place of each event; repairs nothing. Anomalies that "
        "an import recorded are content, and no problem.",
        example="flowlab store verify S",
        run=_verify,
        arguments=_store_arguments,
        found="problems were found; each is a line",
    ),
    Verb(
        name="store seal",
        summary="Move the tail of a store into sorted Parquet files.",
        text="After it, other programs that read S/workflows as a Delta table see every event.",
        example="flowlab store seal S",
        run=_seal,
        arguments=directory,
    ),
    Verb(
        name="store cluster",
        summary="Bring the clusterings of a store up to its sealed part.",
        text="Reads by agent and time, and by coordination, then touch what they return. Appends "
        "go on meanwhile; only what was sealed since the last time is taken in.",
        example="flowlab store cluster S --agents",
        run=_cluster,
        arguments=_cluster_arguments,
    ),
)
