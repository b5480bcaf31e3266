"""Checks the state files of a store: checkpoints against their events, the rest by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb

from flowlab.errors import FlowlabError
from flowlab.events import WORLD_STREAM, Event
from flowlab.store import checkpoints
from flowlab.store.aggregate_states import FOLDER as AGGREGATES
from flowlab.store.checkpoints import TAKEN, checkpoint_of
from flowlab.store.containers import AGGREGATE, PROJECTION, SUFFIX, read_container
from flowlab.store.layout import Stream
from flowlab.store.opening import kind_of
from flowlab.store.projecting import FOLDER as PROJECTIONS

Found = Callable[[str, str, str], Any]
"""Told the kind, the place and the detail of what was found."""

_REBUILT: Final = (
    (PROJECTION, f"{PROJECTIONS}/*{SUFFIX}"),
    (AGGREGATE, f"{AGGREGATES}/*/*{SUFFIX}"),
)
_COLUMNS: Final = (
    "namespace",
    "run_id",
    "workflow_id",
    "sequence",
    "position",
    "time_ns",
    "payload",
)
TAKEN_QUERY: Final = (
    f"SELECT {', '.join(_COLUMNS)} FROM events "
    f"WHERE workflow_id = '{WORLD_STREAM}' AND event_type = '{TAKEN}' ORDER BY position"
)


def verify_states(
    root: Path, connection: duckdb.DuckDBPyConnection, found: Found, note: Found
) -> dict[str, int]:
    """Check every state file; return how many checkpoints and other states there are.

    Args:
        root: the store's folder.
        connection: it has the relation `events`.
        found: is told each problem.
        note: is told what is harmless: a file that a stopped writer left.
    """
    checked = {"checkpoints": 0, "states": 0}
    named = set()
    found_rows = connection.execute(TAKEN_QUERY).fetchall()
    for taken in _counting(dict(zip(_COLUMNS, row, strict=True)) for row in found_rows):
        checked["checkpoints"] += 1
        named.add(taken.path)
        try:
            checkpoints.load(root, taken)
        except FlowlabError as error:
            kind = kind_of(error, root / taken.path)
            found(kind, taken.path, f"checkpoint {taken.id!r} of {taken.stream[2]!r}: {error}")
    for path in sorted((root / checkpoints.FOLDER).glob("*/*")):
        where = path.relative_to(root).as_posix()
        if where not in named:
            note("orphan", where, "no event needs it: a stopped writer left it; vacuum removes it")
    for number, pattern in _REBUILT:
        for path in sorted(root.glob(pattern)):
            if path.name.startswith("."):
                continue
            checked["states"] += 1
            try:
                read_container(path, kind=number)
            except FlowlabError as error:
                where = path.relative_to(root).as_posix()
                found(
                    kind_of(error, path),
                    where,
                    f"{error}; it is built again from the log when it is used",
                )
    return {name: count for name, count in checked.items() if count}


def named_by_events(rows: Iterable[Mapping[str, Any]]) -> Callable[[str], bool]:
    """Return what says whether an event names a file that is still needed.

    Args:
        rows: of `TAKEN_QUERY`.
    """
    rows = list(rows)
    named = {taken.path for taken in _counting(rows)}
    # What a later flowlab writes may not be understood here: what it names is left alone.
    others = [row["payload"] for row in rows if row["payload"] and _taken(row) is None]

    def is_named(path: str) -> bool:
        return path in named or any(path.encode() in payload for payload in others)

    return is_named


def _taken(row: Mapping[str, Any]) -> checkpoints.Checkpoint | None:
    return checkpoint_of(_event(row))


def _event(row: Mapping[str, Any]) -> Event:
    return Event(**row, event_type=TAKEN)


def _counting(rows: Iterable[Mapping[str, Any]]) -> list[checkpoints.Checkpoint]:
    """Return the checkpoints that events have taken, and that none has let go."""
    taken: dict[Stream, list[checkpoints.Checkpoint]] = {}
    gone: set[int] = set()
    for row in rows:
        found = _taken(row)
        if found is None:
            continue
        held = taken.setdefault(found.stream, [])
        gone.update(dropped.position for dropped in checkpoints.let_go(_event(row), held))
        held.append(found)
    every = (found for held in taken.values() for found in held)
    return sorted(
        (found for found in every if found.position not in gone), key=lambda found: found.position
    )
