"""One resolver from keys to what they select: a stream, or a predicate and an order."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NoReturn

from flowlab.errors import InvalidKeyError, NotFoundError
from flowlab.events import Key, parse_key
from flowlab.store.cluster_read import has_owner
from flowlab.store.layout import EVENT_ID, LIVE_RUN

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

DEFAULT_NAMESPACE: Final = "default"
MAX_NAMES_SHOWN: Final = 5
MAX_RUNS: Final = 100
"""Runs looked for that have what a key without a run names; an error says "100 or more"."""
MAX_NAMES: Final = 10_000
"""Ids among which the nearest to one that is not there are looked for."""
_EVENT_SECTIONS: Final = (None, "events", "actions", "sequences")
_ID_COLUMN: Final = {
    "workflows": "workflow_id",
    "agents": "agent_id",
    "coordination": "coordination_id",
}


@dataclass(frozen=True, slots=True)
class Located:
    """A key whose namespace and run are known.

    Args:
        key: complete.
        stream: (namespace, run_id, workflow_id) where it names one stream, else None.
        note: what was filled in that a person may not expect, else empty.
    """

    key: Key
    stream: tuple[str, str, str] | None = None
    note: str = ""


def locate(text: str | Key, snapshot: Snapshot) -> Located:
    """Fill in the namespace and run that a key leaves out.

    Raises:
        InvalidKeyError: the key names no events, or streams of several runs.
        NotFoundError: nothing of that id exists.
    """
    key = text if isinstance(text, Key) else parse_key(text)
    if key.section not in _EVENT_SECTIONS or key.root == "projections":
        message = f"key {str(key)!r} names no events; " + (
            "store.metadata(key) reads it"
            if key.section == "metadata"
            else "store.value(key) reads what it holds"
        )
        raise InvalidKeyError(message)
    if key.root is None:
        if key.run_id is not None and key.namespace is None:
            key = key.within(namespace=DEFAULT_NAMESPACE, run_id=key.run_id)
        return Located(key)
    namespace = DEFAULT_NAMESPACE if key.namespace is None else key.namespace
    run_id, note = key.run_id, ""
    runs: list[str] | None = None
    if run_id is None:
        runs = _runs_with(key, namespace, snapshot)
        run_id = _choose(key, runs)
        if run_id != LIVE_RUN:
            note = f"no live run has {key}: this is run {run_id!r}, the only one that has it"
    key = key.within(namespace=namespace, run_id=run_id)
    stream = None
    if key.root == "workflows" and key.id is not None and not key.id_is_prefix:
        stream = (namespace, run_id, key.id)
        if runs is None:
            runs = _runs_with(key, namespace, snapshot, run_id=run_id)
        if not runs:
            _refuse(key, namespace, run_id, snapshot)
    elif key.id is not None and not _runs_with(key, namespace, snapshot, run_id=run_id):
        _refuse(key, namespace, run_id, snapshot)
    return Located(key, stream, note)


def as_stream(text: str | Key) -> Located | None:
    """Return the one stream that a key means if that is there, without looking; None for others."""
    key = text if isinstance(text, Key) else parse_key(text)
    if key.root != "workflows" or key.section not in _EVENT_SECTIONS or key.category is not None:
        return None
    if key.id is None or key.id_is_prefix:
        return None
    namespace = DEFAULT_NAMESPACE if key.namespace is None else key.namespace
    run_id = LIVE_RUN if key.run_id is None else key.run_id
    key = key.within(namespace=namespace, run_id=run_id)
    return Located(key, (namespace, run_id, str(key.id)))


def selection(located: Located, *, reverse: bool) -> tuple[str, str, list[Any]]:
    """Return the WHERE clause, the ORDER BY clause and the parameters of a key."""
    key = located.key
    where, values = _where(key)
    order = list(EVENT_ID)
    if key.root == "agents":
        where, values = _between(where, values, "time_ns", key)
        order = ["agent_id", "time_ns", "agent_sequence", "workflow_id", "sequence"]
    elif key.root == "coordination":
        order = ["coordination_id", "position"]
        if key.leaf is not None:
            where.append("step_id = ?")
            values.append(key.leaf)
        elif key.section == "actions":
            where.append("step_id IS NOT NULL")
    else:
        where, values = _between(where, values, "sequence", key)
    if key.category is not None:
        where.append("category(event_type) = ?")
        values.append(key.category)
    direction = " DESC" if reverse else ""
    by = ", ".join(column + direction for column in order)
    return " AND ".join(where) or "true", by, values


def _where(key: Key) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    for column, value in (("namespace", key.namespace), ("run_id", key.run_id)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    column = _ID_COLUMN.get(key.root or "", "")
    if key.root == "coordination" and key.id is None:
        where.append("coordination_id IS NOT NULL")
    if key.id is not None:
        where.append(f"starts_with({column}, ?)" if key.id_is_prefix else f"{column} = ?")
        values.append(key.id)
    return where, values


def _between(
    where: list[str], values: list[Any], column: str, key: Key
) -> tuple[list[str], list[Any]]:
    if key.first is not None:
        where, values = [*where, f"{column} >= ?"], [*values, key.first]
    if key.last is not None:
        where, values = [*where, f"{column} <= ?"], [*values, key.last]
    return where, values


def _runs_with(
    key: Key, namespace: str, snapshot: Snapshot, *, run_id: str | None = None
) -> list[str]:
    if key.root == "workflows" and key.id is not None and not key.id_is_prefix:
        # The live run is in one bucket; only where it has no such stream are all files asked.
        live = snapshot.streams_in(namespace, LIVE_RUN, key.id) if run_id is None else {}
        return sorted(live or snapshot.streams_in(namespace, run_id, key.id))
    if key.id is not None and not key.id_is_prefix:
        # The live run's clustering knows at once; only where it has none are all runs asked.
        run = LIVE_RUN if run_id is None else run_id
        known = has_owner(snapshot, key, namespace, run)
        if known or (known is False and run_id is not None):
            return [run] if known else []
    where, values = _where(key.within(namespace=namespace, run_id=run_id))
    text = (
        f"SELECT DISTINCT run_id FROM events WHERE {' AND '.join(where)} ORDER BY run_id "
        f"LIMIT {MAX_RUNS}"
    )
    return [str(row[0]) for row in snapshot.rows(text, values)]


def _choose(key: Key, runs: list[str]) -> str:
    if LIVE_RUN in runs or not runs:
        return LIVE_RUN
    if len(runs) == 1:
        return runs[0]
    shown = ", ".join(repr(run) for run in runs[:MAX_NAMES_SHOWN])
    more = "" if len(runs) <= MAX_NAMES_SHOWN else ", ..."
    count = f"{MAX_RUNS} or more" if len(runs) == MAX_RUNS else f"{len(runs)}"
    message = (
        f"key {str(key)!r} is in {count} runs ({shown}{more}) and none is the live one; "
        f"begin it with the run: {Key(run_id=runs[0])}{key}"
    )
    raise InvalidKeyError(message)


def _refuse(key: Key, namespace: str, run_id: str, snapshot: Snapshot) -> NoReturn:
    column = _ID_COLUMN[key.root or ""]
    text = (
        f"SELECT DISTINCT {column} FROM events WHERE namespace = ? AND run_id = ? "
        f"AND {column} IS NOT NULL ORDER BY 1 LIMIT {MAX_NAMES}"
    )
    names = [str(row[0]) for row in snapshot.rows(text, [namespace, run_id])]
    near = get_close_matches(key.id or "", names, MAX_NAMES_SHOWN, 0.4) or names[:MAX_NAMES_SHOWN]
    where = f"run {run_id!r}" if run_id else "the live run"
    known = ", ".join(repr(name) for name in near)
    hint = f"the nearest are {known}" if near else "it is empty; flowlab tree lists what there is"
    message = f"nothing at {str(key)!r}: {where} has no such {(key.root or '').rstrip('s')}; {hint}"
    raise NotFoundError(message)
