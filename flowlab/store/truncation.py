"""Truncation: a stream begins after its base; what lies at or below it is in no answer any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowlab.errors import InvalidArgumentError, TruncatedError
from flowlab.events import Event, counted, encode_id, grouped, table_from_events
from flowlab.store.delta import DataFile
from flowlab.store.files import Disk
from flowlab.store.layout import STREAM_COLUMNS, Stream

FOLDER: Final = "archive"
ARCHIVE_LEVEL: Final = 9
MAX_NAME_CHARS: Final = 80
"""Of a stream in the name of its archive."""
BASES_SCHEMA: Final = pa.schema(
    [
        ("namespace", pa.string()),
        ("run_id", pa.string()),
        ("workflow_id", pa.string()),
        ("base", pa.int64()),
        ("position", pa.int64()),
        ("archive", pa.string()),
    ]
)
"""The relation `truncations`: the latest of each stream that has one."""


class BaseRow(msgspec.Struct, array_like=True):
    """A truncation: the stream begins after `base`.

    Args:
        stream: (namespace, run_id, workflow_id).
        base: the last sequence that is gone.
        position: of the `LogTruncated` event.
        version: of the commit.
        archive: the file that holds what is gone, empty where nothing does.
        lanes: last ticks of the lanes whose events are gone: (agent_id, tick).
    """

    stream: Stream
    base: int
    position: int
    version: int
    archive: str = ""
    lanes: list[tuple[str, int]] = []


@dataclass(frozen=True, slots=True)
class Bases:
    """Where streams begin at one version of the store.

    Args:
        version: of the commit log.
        rows: every truncation, in order; of a stream the last one counts.
    """

    version: int = -1
    rows: tuple[BaseRow, ...] = ()
    by_stream: dict[Stream, BaseRow] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_stream", {row.stream: row for row in self.rows})

    def __len__(self) -> int:
        return len(self.by_stream)

    def __repr__(self) -> str:
        return f"Bases({len(self)} streams, version {self.version})"

    def base(self, stream: Stream) -> int:
        """Return the last sequence of a stream that is gone, 0 where none is."""
        row = self.by_stream.get(stream)
        return 0 if row is None else row.base

    def lanes(self, namespace: str, run_id: str) -> Iterator[tuple[str, int]]:
        """Return the last ticks of lanes of a run at its truncations."""
        for row in self.rows:
            if row.stream[:2] == (namespace, run_id):
                yield from row.lanes

    def runs(self, namespace: str) -> set[str]:
        """Return the runs of a namespace that have a truncated stream."""
        return {stream[1] for stream in self.by_stream if stream[0] == namespace}

    def reach(self, data: DataFile) -> bool:
        """Say whether a file may still hold rows that are gone, by its bounds."""
        return any(
            row.version > data.version
            and data.namespace in {None, stream[0]}
            and _holds(data, stream, row)
            for stream, row in self.by_stream.items()
        )

    def left(self, table: pa.Table, namespace: str | None) -> pa.Table:
        """Return the rows of a table of events that are not gone.

        They are of one namespace, or (None) have that column.
        """
        names = STREAM_COLUMNS[0 if namespace is None else 1 :]
        gone = {
            stream[3 - len(names) :]: row.base
            for stream, row in self.by_stream.items()
            if namespace in {None, stream[0]}
        }
        if not gone or not table.num_rows:
            return table
        # The names of a stream become one number, so that many streams cost what one does.
        known, wanted = np.zeros(len(gone), np.int64), np.zeros(table.num_rows, np.int64)
        found = np.ones(table.num_rows, bool)
        for place, name in enumerate(names):
            values = {value: code for code, value in enumerate({key[place] for key in gone})}
            codes = _codes(table, name, list(values))
            told = np.array([values[key[place]] for key in gone], np.int64)
            known = known * len(values) + told
            wanted, found = wanted * len(values) + codes, found & (codes >= 0)
        order = np.argsort(known)
        known, bases = known[order], np.array(list(gone.values()), np.int64)[order]
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        lost = found & (known[at] == wanted)
        lost &= table.column("sequence").to_numpy() <= bases[at]
        return table.filter(pa.array(~lost)) if lost.any() else table

    def table(self) -> pa.Table:
        """Return the relation `truncations`."""
        rows = [
            {
                "namespace": row.stream[0],
                "run_id": row.stream[1],
                "workflow_id": row.stream[2],
                "base": row.base,
                "position": row.position,
                "archive": row.archive,
            }
            for row in self.by_stream.values()
        ]
        return pa.Table.from_pylist(rows, BASES_SCHEMA)

    def check(self, stream: Stream, first: int | None) -> None:
        """Refuse to read from a sequence that is gone.

        Raises:
            TruncatedError: it is; the message says where it went.
        """
        if stream not in self.by_stream or first is None or first > self.base(stream):
            return
        # Each truncation wrote a file of its own; the first that reaches it took the event.
        row = next(row for row in self.rows if row.stream == stream and first <= row.base)
        raise TruncatedError(self.told(row))

    def told(self, row: BaseRow) -> str:
        """Return what there is to say about the events that a truncation took."""
        bases = [0, *(other.base for other in self.rows if other.stream == row.stream)]
        first = max(base for base in bases if base < row.base) + 1
        where = f"they are in {row.archive}" if row.archive else "nothing was kept of them"
        return (
            f"events {first} to {row.base} of stream {row.stream[2]!r} were truncated (at position "
            f"{row.position}); {where}; the stream begins at {self.base(row.stream) + 1}"
        )


def _codes(table: pa.Table, name: str, values: list[str]) -> np.typing.NDArray[np.int64]:
    """Return the place of each row's value among some, -1 where it is none of them."""
    found = pc.index_in(table.column(name), value_set=pa.array(values, pa.string()))
    codes: np.typing.NDArray[np.int64] = found.fill_null(-1).to_numpy().astype(np.int64)
    return codes


def _holds(data: DataFile, stream: Stream, row: BaseRow) -> bool:
    return (
        data.may_hold("run_id", stream[1], stream[1])
        and data.may_hold("workflow_id", stream[2], stream[2])
        and data.may_hold("sequence", None, row.base)
    )


def truncation_events(rows: list[BaseRow], horizon: Any = None) -> pa.Table:
    """Return the event of each truncation; they stand in the stream `@world` of its run.

    Args:
        rows: the truncations.
        horizon: what is to be remembered of what goes: the last event tells it, of all of them.
    """
    told: list[dict[str, Any]] = [
        {"workflow_id": row.stream[2], "base": row.base, "archive": row.archive} for row in rows
    ]
    if horizon is not None:
        told[-1]["horizon"] = horizon
    events = [
        Event.of(
            "LogTruncated",
            namespace=row.stream[0],
            run_id=row.stream[1],
            workflow_id="@world",
            agent_id="@world",
            name=row.stream[2],
            payload={
                "workflow_id": row.stream[2],
                "base": row.base,
                "archive": row.archive,
                **more,
            },
        )
        for row, more in zip(rows, told, strict=True)
    ]
    return table_from_events(events)


@dataclass(frozen=True, slots=True)
class TruncateResult:
    """What a truncation took away.

    Args:
        version: of the commit log.
        events: how many are in no answer any more.
        bases: of each stream, the last sequence that is gone.
        archive: the file that holds them, empty where they were discarded.
    """

    version: int
    events: int
    bases: dict[str, int]
    archive: str = ""

    def __repr__(self) -> str:
        streams = counted(len(self.bases), "stream")
        return f"TruncateResult({counted(self.events, 'event')} of {streams})"

    def __str__(self) -> str:
        lines = [f"gone        {name!r} up to {base}" for name, base in self.bases.items()]
        where = self.archive or "nowhere: they were discarded"
        return "\n".join([*lines, f"events      {grouped(self.events)}", f"kept in     {where}"])


def archive_path(root: Path, stream: Stream, *, base: int, version: int, epoch: int) -> Path:
    """Return the path of a file that holds what a truncation takes away."""
    text = encode_id(stream[2])[:MAX_NAME_CHARS]
    return root / FOLDER / f"{text}-{base:012d}-v{version}-e{epoch}.parquet"


@contextmanager
def archived(
    path: Path | None, table: pa.Table, disk: Disk, is_committed: Callable[[], bool]
) -> Iterator[None]:
    """Write events to a Parquet file of all columns, durable with its directory entry.

    Where the block fails before its commit is there, the file is taken back, so that the
    truncation can be tried again.

    Args:
        path: of the file; None: write none.
        table: the events.
        disk: to write to.
        is_committed: whether the commit is there.

    Raises:
        InvalidArgumentError: a file of that name is there.
    """
    if path is None:
        yield
        return
    disk.make_directory(path.parent)
    try:
        with disk.create(path) as stream:
            pq.write_table(table, stream, compression="zstd", compression_level=ARCHIVE_LEVEL)
    except FileExistsError as error:
        message = f"{path} is there already; give the name of a file that is not"
        raise InvalidArgumentError(message) from error
    try:
        disk.sync_directory(path.parent)
        yield
    except Exception:
        if not is_committed():
            disk.discard([path])
        raise
