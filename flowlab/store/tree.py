"""The key tree as text: what a store holds, one level under another, with counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from flowlab.errors import InvalidArgumentError
from flowlab.events import Key, counted, encode_id, grouped, parse_key
from flowlab.store.checkpoints import Checkpoint
from flowlab.store.layout import Stream
from flowlab.store.values import told_of_view, views_of

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

_VALUES = ("checkpoints", "projections")
_COLUMN = {"workflows": "workflow_id", "agents": "agent_id", "coordination": "coordination_id"}


@dataclass(frozen=True, slots=True)
class Tree:
    """A drawn key tree: `str(tree)` is the picture.

    Args:
        prefix: the key at its top.
        lines: the lines below it.
    """

    prefix: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((self.prefix, *self.lines))

    def __repr__(self) -> str:
        return f"Tree({self.prefix!r}, {counted(len(self.lines), 'line')})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One branch: its text, a note, and the key that it opens (None for a leaf)."""

    text: str
    note: str
    key: Key | None = None


def draw_tree(snapshot: Snapshot, prefix: str, *, depth: int, limit: int) -> Tree:
    """Draw the key tree below a prefix.

    Raises:
        InvalidKeyError: the prefix does not follow the grammar.
        InvalidArgumentError: depth or limit is below 1.
    """
    if depth < 1 or limit < 1:
        message = f"depth is {depth} and limit {limit}; both must be at least 1"
        raise InvalidArgumentError(message)
    key = parse_key(prefix)
    if key.section in _VALUES:
        located = snapshot.locate(replace(key, section="events", leaf=None, below=None)).key
        key = replace(key, namespace=located.namespace, run_id=located.run_id)
    elif key.root not in {None, "projections"}:
        key = snapshot.locate(key).key
    lines = tuple(_draw(snapshot, key, "", depth, limit))
    shown = replace(key, namespace=None) if key.root and key.namespace == "default" else key
    return Tree(str(shown), lines)


def _draw(snapshot: Snapshot, key: Key, indent: str, depth: int, limit: int) -> Iterator[str]:
    entries, total = _children(snapshot, key, limit)
    for number, entry in enumerate(entries):
        last = number == len(entries) - 1 and total <= len(entries)
        note = f"  {entry.note}" if entry.note else ""
        yield f"{indent}{'└─ ' if last else '├─ '}{entry.text}{note}"
        if entry.key is not None and depth > 1:
            below = indent + ("   " if last else "│  ")
            yield from _draw(snapshot, entry.key, below, depth - 1, limit)
    if total > len(entries):
        yield f"{indent}└─ … {grouped(len(entries))} of {grouped(total)} shown"


def _children(snapshot: Snapshot, key: Key, limit: int) -> tuple[list[_Entry], int]:
    if key.root is None:
        return _worlds(snapshot, key, limit)
    if key.root == "projections" and (key.id is None or key.id_is_prefix):
        return _views(snapshot, key, limit)
    if key.root == "projections":
        return ([_Entry("materialized_state", "")] if key.section is None else []), 1
    if key.id is None or key.id_is_prefix:
        return _ids(snapshot, key, limit)
    if key.section is None:
        return _sections(snapshot, key)
    if key.root == "workflows" and key.section == "events" and key.leaf is None:
        return _categories(snapshot, key)
    if key.section == "projections":
        return _views(snapshot, key, limit)
    if key.section == "checkpoints":
        return _checkpoints(snapshot, key, limit)
    if key.root == "coordination" and key.section == "actions" and key.leaf is None:
        return _steps(snapshot, key, limit)
    return [], 0


def _worlds(snapshot: Snapshot, key: Key, limit: int) -> tuple[list[_Entry], int]:
    entries: list[_Entry] = []
    namespace = "default" if key.namespace is None else key.namespace
    if key.run_id is None and key.namespace is None:
        spaces = snapshot.rows(
            "SELECT namespace, count(*) FROM events WHERE namespace <> 'default' "
            "GROUP BY 1 ORDER BY 1",
            [],
        )
        entries += [
            _Entry(f"namespaces/{encode_id(name)}", _events(count), Key(namespace=name))
            for name, count in spaces
        ]
    run_id = "" if key.run_id is None else key.run_id
    roots = _roots(snapshot, key, namespace, run_id)
    if key.run_id is not None:
        return roots, len(roots)
    runs = snapshot.rows(
        "SELECT run_id, count(*) FROM events WHERE namespace = ? AND run_id <> '' "
        "GROUP BY 1 ORDER BY 1",
        [namespace],
    )
    entries += roots
    if key.namespace is None and (count := len(views_of(snapshot, None))):
        entries.append(_Entry("projections", f"({grouped(count)})", Key("projections")))
    entries += [
        _Entry(f"runs/{encode_id(run)}", _events(count), replace(key, run_id=run))
        for run, count in runs
    ]
    return entries[:limit], len(entries)


def _roots(snapshot: Snapshot, key: Key, namespace: str, run_id: str) -> list[_Entry]:
    counts = snapshot.rows(
        "SELECT count(DISTINCT workflow_id), count(DISTINCT agent_id), "
        "count(DISTINCT coordination_id) FROM events WHERE namespace = ? AND run_id = ?",
        [namespace, run_id],
    )[0]
    within = replace(key, namespace=namespace, run_id=run_id)
    return [
        _Entry(root, f"({grouped(count)})", replace(within, root=root))
        for root, count in zip(_COLUMN, counts, strict=True)
        if count
    ]


def _ids(snapshot: Snapshot, key: Key, limit: int) -> tuple[list[_Entry], int]:
    column = _COLUMN[key.root or ""]
    where = f"namespace = ? AND run_id = ? AND {column} IS NOT NULL"
    values: list[Any] = [key.namespace, key.run_id]
    if key.id is not None:
        where += f" AND starts_with({column}, ?)"
        values.append(key.id)
    rows = snapshot.rows(
        f"SELECT {column}, count(*), min(sequence), max(sequence) FROM events WHERE {where} "
        f"GROUP BY 1 ORDER BY 1 LIMIT {limit}",
        values,
    )
    total = snapshot.rows(f"SELECT count(DISTINCT {column}) FROM events WHERE {where}", values)
    entries = []
    for name, count, first, last in rows:
        span = f", {first}..{last}" if key.root == "workflows" else ""
        below = replace(key, id=name, id_is_prefix=False)
        entries.append(_Entry(encode_id(name), f"{_events(count)[:-1]}{span})", below))
    return entries, int(total[0][0])


def _sections(snapshot: Snapshot, key: Key) -> tuple[list[_Entry], int]:
    names = {
        "workflows": ("events", "metadata"),
        "agents": ("events", "actions"),
        "coordination": ("actions", "sequences"),
    }[key.root or ""]
    entries = []
    for name in names:
        below = replace(key, section=name)
        if name == "metadata":
            entries.append(_Entry(name, "creation_time, version, agents"))
        else:
            entries.append(_Entry(name, _events(snapshot.count(below)), below))
    if key.root == "workflows":
        stream = _stream(key)
        for name, count in (
            ("checkpoints", len(_taken(snapshot, key))),
            ("projections", len(views_of(snapshot, stream))),
        ):
            if count:
                entries.append(_Entry(name, f"({grouped(count)})", replace(key, section=name)))
    return entries, len(entries)


def _views(snapshot: Snapshot, key: Key, limit: int) -> tuple[list[_Entry], int]:
    if key.leaf is not None:
        return ([_Entry("materialized_state", "")] if key.below is None else []), 1
    names = views_of(snapshot, None if key.root == "projections" else _stream(key))
    if key.id_is_prefix:
        names = [name for name in names if name.startswith(key.id or "")]
    entries = [
        _Entry(
            encode_id(name),
            told_of_view(snapshot, name),
            replace(key, id=name, id_is_prefix=False)
            if key.root == "projections"
            else replace(key, leaf=name),
        )
        for name in names[:limit]
    ]
    return entries, len(names)


def _checkpoints(snapshot: Snapshot, key: Key, limit: int) -> tuple[list[_Entry], int]:
    if key.below is not None:
        return [], 0
    found = _taken(snapshot, key)
    if key.leaf is not None:
        parts = [
            entry
            for taken in found
            if taken.id == key.leaf
            for entry in (
                _Entry("state_snapshot", f"({counted(taken.size_bytes, 'byte')})"),
                _Entry("causality_info", ""),
            )
        ]
        return parts, len(parts)
    entries = [
        _Entry(
            encode_id(taken.id),
            f"({'savepoint' if taken.savepoint else 'checkpoint'} at {taken.at})",
            replace(key, leaf=taken.id),
        )
        for taken in found[:limit]
    ]
    return entries, len(found)


def _taken(snapshot: Snapshot, key: Key) -> tuple[Checkpoint, ...]:
    namespace, run_id, workflow_id = _stream(key)
    return snapshot.checkpoints(workflow_id, namespace=namespace, run_id=run_id)


def _stream(key: Key) -> Stream:
    return key.namespace or "default", key.run_id or "", key.id or ""


def _categories(snapshot: Snapshot, key: Key) -> tuple[list[_Entry], int]:
    entries = []
    for name in ("agent_actions", "coordination_events", "compensation_events"):
        count = snapshot.count(replace(key, leaf=name))
        if count:
            entries.append(_Entry(name, _events(count)))
    return entries, len(entries)


def _steps(snapshot: Snapshot, key: Key, limit: int) -> tuple[list[_Entry], int]:
    rows = snapshot.rows(
        "SELECT step_id, count(*) FROM events WHERE namespace = ? AND run_id = ? "
        "AND coordination_id = ? AND step_id IS NOT NULL GROUP BY 1 ORDER BY min(position)",
        [key.namespace, key.run_id, key.id],
    )
    entries = [_Entry(encode_id(step), _events(count)) for step, count in rows[:limit]]
    return entries, len(rows)


def _events(count: int) -> str:
    return f"({counted(count, 'event')})"
