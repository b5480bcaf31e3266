"""Reads by agent and by coordination: from a clustering up to its position, then from the store.

What a clustering holds is told by position, not by version: files of `workflows` that compaction
rewrote hold old positions again, and a pinned state shows none above its own. So an event is taken
from the clustering if its position is at most that of the clustering, and from `workflows` or the
tail else; which is once, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import EVENT_CATEGORIES, EVENT_SCHEMA, Key
from flowlab.events.vocabulary import UNKNOWN_CATEGORY
from flowlab.store.cluster_log import Clustering, ClusterTable
from flowlab.store.clustering import AGENTS, COORDINATION
from flowlab.store.delta import DataFile
from flowlab.store.layout import Stream
from flowlab.store.span import RowGroup, Span
from flowlab.store.stream_read import read_file

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

MAX_SCANNED_ROWS: Final = 1 << 19
"""Rows of `workflows` behind which a clustering is not asked: SQL scans faster."""
MAX_SCANNED_FILES: Final = 256
MAX_RANGES: Final = 256
"""Ranges of streams above which a coordination is read by SQL."""
T = TypeVar("T")
_AGENT_ORDER: Final = ("time_ns", "agent_sequence", "workflow_id", "sequence")


def reads_from_clustering(key: Key) -> bool:
    """Say whether a key names one agent or one coordination."""
    return key.root in {AGENTS.name, COORDINATION.name} and bool(key.id) and not key.id_is_prefix


def read_clustered(
    snapshot: Snapshot, key: Key, *, reverse: bool, limit: int | None
) -> pa.Table | None:
    """Return the events of one agent or coordination, in the key's order.

    Returns:
        None where there is no clustering, or where SQL is faster.
    """
    if key.root == AGENTS.name:
        return _read_agent(snapshot, key, reverse=reverse, limit=limit)
    return _read_coordination(snapshot, key, reverse=reverse, limit=limit)


def has_owner(snapshot: Snapshot, key: Key, namespace: str, run_id: str) -> bool | None:
    """Say whether a run has an agent or a coordination, None where the clustering cannot tell."""
    whole = Key(key.root, key.id, namespace=namespace, run_id=run_id)
    if len(snapshot.bases):
        found = read_clustered(snapshot, whole, reverse=False, limit=1)
        return None if found is None else found.num_rows > 0
    table = snapshot.files.clusterings.tables[key.root or ""]
    span = _span(whole)
    column = "position" if table.kind is AGENTS else "first_position"
    own = replace(span, bounds={column: (None, snapshot.position)})

    def ask(held: Clustering) -> bool:
        files = held.partition(namespace, run_id, key.id or "")
        return any(table.reader.holds(data, own) for data in files if own.may_be_in(data))

    told = using(snapshot, table, ask)
    if told is None or told[1]:
        return None if told is None else True
    rest = _later(snapshot, span, told[0].position)
    return None if rest is None else any(part.num_rows for part in rest)


def using(
    snapshot: Snapshot, table: ClusterTable, read: Callable[[Clustering], T]
) -> tuple[Clustering, T] | None:
    """Read from a clustering if it holds all that the snapshot shows up to its position.

    One that was made after a truncation may lack what an older state shows.
    """

    def check(held: Clustering) -> T | None:
        if snapshot.version < held.built_from:
            truncated = snapshot.files.clusterings.truncated()
            if any(snapshot.version < version <= held.built_from for version in truncated):
                return None
        return read(held)

    found = table.using(check)
    return None if found is None or found[1] is None else (found[0], found[1])


def _read_agent(
    snapshot: Snapshot, key: Key, *, reverse: bool, limit: int | None
) -> pa.Table | None:
    span = _span(key)
    table = snapshot.files.clusterings.tables[AGENTS.name]
    keep = partial(snapshot.bases.left, namespace=span.namespace)

    def read(held: Clustering) -> list[pa.Table]:
        own = _between(span, None, min(held.position, snapshot.position))
        parts = []
        for data in held.partition(span.namespace, span.equal["run_id"], key.id or ""):
            if own.may_be_in(data):
                found = read_file(own, data, table.reader, reverse=reverse, limit=limit, keep=keep)
                if found:
                    parts.append(pa.concat_tables(found[::-1] if reverse else found))
        return parts

    found = using(snapshot, table, read)
    rest = None if found is None else _later(snapshot, span, found[0].position)
    if found is None or rest is None:
        return None
    parts = [part for part in (*found[1], *rest) if part.num_rows]
    if not parts:
        return EVENT_SCHEMA.empty_table()
    whole = pa.concat_tables(parts)
    if len(parts) > 1 or rest:
        whole = _sorted(whole, _AGENT_ORDER)
    return _end(whole, reverse=reverse, limit=limit)


def _read_coordination(
    snapshot: Snapshot, key: Key, *, reverse: bool, limit: int | None
) -> pa.Table | None:
    span = _span(key)
    table = snapshot.files.clusterings.tables[COORDINATION.name]
    own = replace(span, equal={name: span.equal[name] for name in ("run_id", "coordination_id")})
    own = replace(own, bounds={"first_position": (None, snapshot.position)})

    def look(held: Clustering) -> dict[str, list[tuple[int, int]]]:
        return _ranges_of(own, held, table, key.id or "")

    found = using(snapshot, table, look)
    if found is None or sum(map(len, found[1].values())) > MAX_RANGES:
        return None
    held, streams = found
    rest = _later(snapshot, span, held.position)
    if rest is None:
        return None
    parts = list(rest)
    for workflow_id, spans in streams.items():
        stream: Stream = (span.namespace, span.equal["run_id"], workflow_id)
        for first, last in spans:
            wanted = replace(
                span,
                equal={**span.equal, "workflow_id": workflow_id},
                bounds={
                    "sequence": (first, last),
                    "position": (None, min(held.position, snapshot.position)),
                },
            )
            parts.append(snapshot.stream_rows(stream, wanted))
    whole = _sorted(pa.concat_tables(parts), ("position",)) if parts else EVENT_SCHEMA.empty_table()
    if key.section == "actions":
        whole = whole.filter(pc.is_valid(whole.column("step_id")))
    return _end(whole, reverse=reverse, limit=limit)


def _ranges_of(
    span: Span, held: Clustering, table: ClusterTable, coordination_id: str
) -> dict[str, list[tuple[int, int]]]:
    """Return the ranges of each stream that a coordination has, joined where they meet."""
    found: dict[str, list[tuple[int, int]]] = {}
    for data in held.partition(span.namespace, span.equal["run_id"], coordination_id):
        if span.may_be_in(data):
            for part in read_file(span, data, table.reader, reverse=False, limit=None):
                names = ("workflow_id", "first_sequence", "last_sequence")
                columns = (part.column(name).to_pylist() for name in names)
                for workflow_id, first, last in zip(*columns, strict=True):
                    found.setdefault(workflow_id, []).append((first, last))
    return {workflow_id: _joined(spans) for workflow_id, spans in found.items()}


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined


def _later(snapshot: Snapshot, span: Span, after: int) -> list[pa.Table] | None:
    """Return the rows above a position: from `workflows` and the tail; None where they are many."""
    span = _between(span, after + 1, snapshot.position)
    parts: list[pa.Table] = []
    if after < snapshot.position:
        todo = _groups_of(snapshot, span)
        if todo is None:
            return None
        reader = snapshot.files.reader
        parts = [reader.read_rows(data, group, span, sparse=True) for data, group in todo]
        tail = snapshot.tail
        if tail is not None and tail.events:
            parts.append(span.of_table(tail.table()))
    parts = [snapshot.bases.left(part, span.namespace) for part in parts]
    return [part for part in parts if part.num_rows]


def _groups_of(snapshot: Snapshot, span: Span) -> list[tuple[DataFile, int]] | None:
    files = [data for data in snapshot.state.files if span.may_be_in(data)]
    if len(files) > MAX_SCANNED_FILES:
        return None
    groups: list[tuple[DataFile, RowGroup]] = [
        (data, group)
        for data in files
        for group in snapshot.files.reader.row_groups(data)
        if span.may_be_in(group)
    ]
    if sum(group.rows for _, group in groups) > MAX_SCANNED_ROWS:
        return None
    return [(data, group.index) for data, group in groups]


def _span(key: Key) -> Span:
    assert key.id is not None
    assert key.namespace is not None
    assert key.run_id is not None
    if key.root == COORDINATION.name:
        equal = {"run_id": key.run_id, "coordination_id": key.id}
        if key.leaf is not None:
            equal["step_id"] = key.leaf
        return Span(key.namespace, equal, {})
    equal = {"run_id": key.run_id, "agent_id": key.id}
    span = Span(key.namespace, equal, {"time_ns": (key.first, key.last)})
    if key.category is None:
        return span
    but = key.category == UNKNOWN_CATEGORY
    types = tuple(
        name for name, kind in EVENT_CATEGORIES.items() if (kind == key.category) is not but
    )
    return replace(span, types=types, but=but)


def _between(span: Span, first: int | None, last: int | None) -> Span:
    return replace(span, bounds={**span.bounds, "position": (first, last)})


def _sorted(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    keys = [(name, "ascending") for name in names]
    return table.take(pc.sort_indices(table.select(list(names)), sort_keys=keys))


def _end(table: pa.Table, *, reverse: bool, limit: int | None) -> pa.Table:
    count = table.num_rows if limit is None else min(limit, table.num_rows)
    if not reverse:
        return table.slice(0, count)
    last = table.num_rows
    return table.take(pa.array(range(last - 1, last - 1 - count, -1), pa.int64()))
