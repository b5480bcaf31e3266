"""Sealed files: Parquet, sorted by (run_id, workflow_id, sequence), one partition each."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowlab.events import sorted_rows
from flowlab.store.cutting import FileSizes, pieces
from flowlab.store.delta import DataFile, columns_beside
from flowlab.store.files import Disk
from flowlab.store.layout import Layout
from flowlab.store.placing import Groups, group_rows
from flowlab.store.streams import Streams, rank_ints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

ROW_GROUP_ROWS: Final = 2048
MAX_FILE_ROWS: Final = 64 * ROW_GROUP_ROWS
"""Most rows of a sealed file: its footer stays small."""
MAX_STREAM_ROWS: Final = 32 * ROW_GROUP_ROWS
"""Most rows of a file that holds a part of one stream; a quarter of them is not cut."""
CONSTANTS_KEY: Final = "flowlab.constants"
_MAY_BE_CONSTANT: Final = (
    "namespace",
    "run_id",
    "workflow_id",
    "generation",
    "agent_id",
    "event_type",
    "name",
    "follows_lane",
    "causes",
    "cause_kinds",
    "reads",
    "writes",
    "coordination_id",
    "step_id",
    "schema_version",
)
MAX_STAT_CHARS: Final = 64
READ_BYTES: Final = 1 << 20
SAMPLE_ROWS: Final = 4_096

_DICTIONARY: Final = [
    "namespace",
    "run_id",
    "workflow_id",
    "agent_id",
    "event_type",
    "name",
    "coordination_id",
    "step_id",
    "generation",
    "schema_version",
    "causes.list.element.workflow_id",
    "cause_kinds.list.element",
    "reads.list.element.owner",
    "reads.list.element.key",
    "writes.list.element.owner",
    "writes.list.element.key",
]
_DELTA: Final = (
    "sequence",
    "position",
    "agent_sequence",
    "time_ns",
    "causes.list.element.sequence",
)
BOUNDED: Final = [
    "namespace",
    "run_id",
    "workflow_id",
    "sequence",
    "position",
    "agent_id",
    "time_ns",
]

WRITE_OPTIONS: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": _DICTIONARY,
    "column_encoding": dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED"),
    "write_statistics": BOUNDED,
    "write_page_checksum": True,
    "store_schema": False,
    "version": "2.6",
    "data_page_version": "1.0",
}
"""How pyarrow writes a sealed file; a benchmark's raw write uses the same."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows bound for one partition, sorted, and the (namespace, run_id) of its runs."""

    partition: dict[str, str]
    worlds: frozenset[tuple[str, str]]
    table: pa.Table


@dataclass(frozen=True, slots=True)
class Share:
    """Rows of a table bound for one file: what a part is made of, once it is its turn.

    Args:
        partition, worlds: of the part.
        source: the table.
        rows: those that are meant, sorted.
    """

    partition: dict[str, str]
    worlds: frozenset[tuple[str, str]]
    source: pa.Table
    rows: Ints

    def part(self) -> Part:
        """Return the part; its rows are taken from the table now."""
        table = self.source.take(pa.array(self.rows))
        for place, column in enumerate(table.columns):
            if pa.types.is_dictionary(column.type):
                whole = column.combine_chunks().dictionary_decode()
                table = table.set_column(place, table.column_names[place], whole)
        return Part(self.partition, self.worlds, table)


def partition(table: pa.Table, layout: Layout, streams: Streams) -> list[Share]:
    """Split rows by partition, each sorted by (namespace, run_id, workflow_id, sequence)."""
    if table.num_rows == 0:
        return []
    groups = group_rows(table, layout, streams)
    # The rows stand by stream and sequence already, so that only their partitions are to be sorted.
    order = streams.order[sorted_rows(groups.of_row)]
    runs = _worlds(groups, streams)
    # Rows are taken from whole columns, and of texts that repeat the codes: all else is slower.
    source = table.select(columns_beside(layout.columns)).combine_chunks()
    for place, column in enumerate(source.columns):
        if pa.types.is_string(column.type) and _repeats(column):
            source = source.set_column(place, source.column_names[place], _coded(column))
    sizes = FileSizes(MAX_FILE_ROWS, MAX_STREAM_ROWS, ROW_GROUP_ROWS)
    parts, start = [], 0
    for place, count in enumerate(np.bincount(groups.of_row).tolist()):
        codes = streams.codes[order[start : start + count]]
        values, names = groups.values[place], frozenset(runs[place])
        for begin, end in pieces(codes, sizes):
            parts.append(Share(values, names, source, order[start + begin : start + end]))
        start += count
    return parts


def _repeats(column: pa.ChunkedArray) -> bool:
    few = column.slice(0, SAMPLE_ROWS)
    return len(few) == SAMPLE_ROWS and pc.count_distinct(few).as_py() <= SAMPLE_ROWS // 4


def _coded(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    whole = column.combine_chunks()  # more text than one array takes stays as it is
    return whole.dictionary_encode() if isinstance(whole, pa.Array) else column


def _worlds(groups: Groups, streams: Streams) -> list[set[tuple[str, str]]]:
    """Return (namespace, run_id) of each run in each group."""
    codes, worlds = groups.of_stream, streams.worlds
    if codes is None:
        codes, worlds = groups.of_row, worlds[streams.codes[streams.order]]
    width = int(worlds.max()) + 1
    found: list[set[tuple[str, str]]] = [set() for _ in groups.values]
    group, world = np.divmod(rank_ints(codes * width + worlds)[1], width)
    places, distinct = rank_ints(world)
    names = [streams.world(key) for key in distinct.tolist()]
    for place, name in zip(group.tolist(), places.tolist(), strict=True):
        found[place].add(names[name])
    return found


def write_part(
    part: Part,
    *,
    root: Path,
    layout: Layout,
    disk: Disk,
    epoch: int,
    name: str = "",
    options: dict[str, Any] | None = None,
) -> DataFile:
    """Write one sealed file, durable with its directory entry.

    The name holds the writer's epoch, so a file left behind by a crashed writer is never reused.

    Args:
        part: the rows.
        root: the folder of the table.
        layout: of the store.
        disk: to write to.
        epoch: of the writer.
        name: of the file; by default its positions say it.
        options: for the Parquet writer, in the place of some of `WRITE_OPTIONS`.
    """
    below = layout.folder(part.partition)
    folder = root / below
    disk.make_directory(folder)
    positions = part.table.column("position")
    bounds = pc.min_max(positions).as_py()
    name = name or f"part-{bounds['min']:012d}-{bounds['max']:012d}-e{epoch}.parquet"
    # A file of this name is what an earlier try of the same writer left: no commit names it, or its
    # positions would be sealed.
    disk.remove(folder / name)
    # Encoded in memory, it is written at once, and its checksums are of what was meant.
    memory = pa.BufferOutputStream()
    write_parquet(part.table, memory, options)
    content = memory.getvalue()
    with disk.create(folder / name) as stream:
        stream.write(content)
    footer, whole = footer_of(content), zlib.crc32(content)
    disk.sync_directory(folder)
    return DataFile(
        path=f"{below}/{name}" if below else name,
        partition=part.partition,
        size=content.size,
        rows=part.table.num_rows,
        stats=file_stats(part.table),
        footer_crc=zlib.crc32(footer),
        file_crc=whole,
    )


def write_parquet(
    table: pa.Table, stream: BinaryIO | pa.NativeFile, options: dict[str, Any] | None = None
) -> None:
    """Write a table in the sealed files' encoding.

    The footer lists, for each row group, the columns that hold one value only: reading a stream
    then decodes those that vary.
    """
    options = dict(options or {})
    rows = options.pop("row_group_rows", ROW_GROUP_ROWS)
    with pq.ParquetWriter(stream, table.schema, **{**WRITE_OPTIONS, **options}) as writer:
        writer.write_table(table, row_group_size=rows)
        # What holds one value in the whole file does so in each row group.
        everywhere = constants(table)
        names = tuple(name for name in _MAY_BE_CONSTANT if name not in everywhere)
        groups = [
            everywhere | constants(table.slice(start, rows), names)
            for start in range(0, table.num_rows, rows)
        ]
        text = json.dumps(groups, separators=(",", ":"))
        writer.add_key_value_metadata({CONSTANTS_KEY: text})


def constants(table: pa.Table, names: tuple[str, ...] = _MAY_BE_CONSTANT) -> dict[str, Any]:
    """Return the columns whose rows are all equal, with their value."""
    found: dict[str, Any] = {}
    for name in names:
        if name not in table.column_names:
            continue
        column = table.column(name)
        if column.null_count == len(column):
            found[name] = None
        elif column.null_count:
            continue
        elif pa.types.is_list(column.type):
            if not pc.sum(pc.list_value_length(column)).as_py():
                found[name] = []
        elif (
            column[0].as_py() == column[-1].as_py() and pc.all(pc.equal(column, column[0])).as_py()
        ):
            found[name] = column[0].as_py()
    return found


def read_footer(path: Path) -> bytes:
    """Return a Parquet file's footer, its length and magic included.

    Raises:
        ValueError: the file is too short, or does not end as Parquet does.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 8))
        end = stream.read(8)
        length = int.from_bytes(end[:4], "little") + 8
        if end[4:] != b"PAR1" or length > size:
            message = "the file does not end with a Parquet footer"
            raise ValueError(message)
        stream.seek(size - length)
        return stream.read(length)


def footer_of(content: pa.Buffer) -> bytes:
    """Return the footer of a Parquet file in memory, its length and magic included."""
    length = int.from_bytes(content[content.size - 8 : content.size - 4].to_pybytes(), "little")
    return bytes(content[content.size - length - 8 :].to_pybytes())


def file_crc(path: Path) -> int:
    """Return the CRC-32 of a whole file, read in pieces."""
    crc = 0
    with path.open("rb") as stream:
        while piece := stream.read(READ_BYTES):
            crc = zlib.crc32(piece, crc)
    return crc


def file_stats(table: pa.Table, names: list[str] | None = None) -> dict[str, Any]:
    """Return what a commit says of a file's rows: their number and the bounds of columns."""
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    for name in BOUNDED if names is None else names:
        if name not in table.column_names:
            continue
        bounds = pc.min_max(table.column(name)).as_py()
        if isinstance(bounds["min"], str) and not _short(bounds["min"], bounds["max"]):
            continue
        least[name], most[name] = bounds["min"], bounds["max"]
    nulls = dict.fromkeys(least, 0)
    return {
        "numRecords": table.num_rows,
        "minValues": least,
        "maxValues": most,
        "nullCount": nulls,
    }


def _short(*values: str) -> bool:
    return all(len(value) <= MAX_STAT_CHARS and value.isprintable() for value in values)
