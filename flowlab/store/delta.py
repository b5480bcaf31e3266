"""The commit log of the sealed part: a valid Delta Lake log (reader 1, writer 2).

Source: the Delta transaction log protocol. Commits are numbered JSON-lines files that appear
whole or not at all; commit N+1 is found only where N is. The `commitInfo` of each also carries
what flowlab needs and Delta does not: see `SealInfo`, and the CRC-32 of the whole commit, since a
wrong bound or namespace would hide events without a sound.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec
import pyarrow as pa

from flowlab.errors import FencedError, FormatVersionError
from flowlab.events import EVENT_COLUMNS, EVENT_SCHEMA
from flowlab.store.files import Disk
from flowlab.store.layout import Layout, Level
from flowlab.store.selfcheck import BLANK, with_crc

READER_VERSION: Final = 1
WRITER_VERSION: Final = 2
SAFE_SIGNS: Final = "/=-_.~@:+"
FOOTER_TAG: Final = "flowlab.footer_crc32"
FILE_TAG: Final = "flowlab.file_crc32"
VERSION_TAG: Final = "flowlab.version"
TIER_TAG: Final = "flowlab.tier"
RUN_TAG: Final = "flowlab.run"
_STATS: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict)


class DataFile(msgspec.Struct, frozen=True):
    """A sealed file that a commit added; opening a store makes one of each, so it is a Struct.

    Args:
        path: below the table's folder, as on disk.
        partition: its value of each partition column, as text.
        size: in bytes.
        rows: their number.
        stats: bounds of columns, as in the commit.
        footer_crc, file_crc: checksums; None where an older commit has none.
        version: the truncations of commits up to this one are applied to it.
        tier: empty, or `archive`.
        run: files of one sorted run share it; empty: the file is a run of its own.
        modified_ms: when it was written, in milliseconds since 1970.
    """

    path: str
    partition: dict[str, str]
    size: int
    rows: int
    stats: dict[str, Any]
    footer_crc: int | None = None
    file_crc: int | None = None
    version: int = 0
    tier: str = ""
    run: str = ""
    modified_ms: int = 0

    @property
    def namespace(self) -> str | None:
        """The namespace of all its rows, or None where the file has that column itself."""
        return self.partition.get("namespace")

    @property
    def bucket(self) -> int | None:
        """Its hash bucket, or None where that is no level of the table."""
        number = self.partition.get("bucket")
        return None if number is None else int(number)

    def least(self, column: str) -> Any:
        """Return the smallest value of a column, or None where it is not recorded."""
        return self.stats.get("minValues", {}).get(column)

    def most(self, column: str) -> Any:
        """Return the largest value of a column, or None where it is not recorded."""
        return self.stats.get("maxValues", {}).get(column)

    def but(self, **changes: Any) -> DataFile:
        """Return it with some fields changed.

        Example:
            >>> DataFile("a.parquet", {}, 100, 2, {}).but(tier="archive").tier
            'archive'
        """
        return msgspec.structs.replace(self, **changes)

    def may_hold(self, column: str, low: Any, high: Any) -> bool:
        """Say whether a value between low and high (None: open) can be inside."""
        return overlap(self.least(column), self.most(column), low, high)

    def is_of(self, run_id: str, workflow_id: str) -> bool:
        """Say whether it is known to hold rows of one workflow in one run alone."""
        names = {"run_id": run_id, "workflow_id": workflow_id}
        return all(self.least(name) == self.most(name) == value for name, value in names.items())


def overlap(least: Any, most: Any, low: Any, high: Any) -> bool:
    """Say whether values from least to most (None: unknown) can lie in low to high (None: open).

    Example:
        >>> overlap(1, 5, 5, None), overlap(1, 5, 6, 9), overlap(None, None, 6, 9)
        (True, False, True)
    """
    if least is None or most is None:
        return True
    return not ((low is not None and most < low) or (high is not None and least > high))


@dataclass(frozen=True, slots=True)
class SealInfo:
    """What a commit says about the store besides its files.

    Args:
        sealed_position: every event up to here is in sealed files.
        tail: the number of the tail file that follows.
        epoch: the writer.
        committed_ns: when.
        sidecar: the metadata file of this commit, empty where there is none.
        sidecar_sha256: its checksum.
        floor: the oldest version whose files are all there; vacuum raises it.
        truncations: how many there are; their streams and bases stand in the sidecars.
    """

    sealed_position: int = 0
    tail: int = 1
    epoch: int = 0
    committed_ns: int = 0
    sidecar: str = ""
    sidecar_sha256: str = ""
    floor: int = 0
    truncations: int = 0


LATER_INFO: Final = ("floor", "truncations")
REQUIRED_INFO: Final = tuple(name for name in SealInfo.__slots__ if name not in LATER_INFO)


@dataclass(frozen=True, slots=True)
class SidecarRef:
    """A metadata file and the versions (first to last) whose content it holds."""

    name: str
    sha256: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A file that a commit took away; older versions need it until vacuum lets go of them."""

    path: str
    size: int
    version: int
    removed_ms: int
    partition: dict[str, str]


@dataclass(frozen=True, slots=True)
class TableState:
    """The sealed part at one version.

    Args:
        version: of the commit log, -1 before the first.
        files: that hold the rows.
        info: of the last commit.
        sidecars: all that hold metadata, in order.
        removed: files that older versions need, from the vacuum's floor on.
        transactions: of each application, the last version that it recorded (`txn`).
        table: the actions `protocol` and `metaData` that hold.
    """

    version: int = -1
    files: tuple[DataFile, ...] = ()
    info: SealInfo = field(default_factory=SealInfo)
    sidecars: tuple[SidecarRef, ...] = ()
    removed: tuple[Removed, ...] = ()
    transactions: dict[str, int] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)


def commit_path(folder: Path, version: int) -> Path:
    """Return the path of a commit in `_delta_log`."""
    return folder / f"{version:020d}.json"


def columns_beside(partition: Collection[str]) -> tuple[str, ...]:
    """Return the columns of an event that are not partition columns: files have those."""
    return tuple(name for name in EVENT_COLUMNS if name not in partition)


def create_actions(
    table_id: str,
    created_ms: int,
    layout: Layout,
    *,
    name: str = "flowlab events",
    schema: pa.Schema = EVENT_SCHEMA,
) -> list[dict[str, Any]]:
    """Return the actions that make an empty table."""
    return [
        {"protocol": {"minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION}},
        {
            "metaData": {
                "id": table_id,
                "name": name,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps(delta_schema(layout, schema), separators=(",", ":")),
                "partitionColumns": list(layout.columns),
                "configuration": {"delta.appendOnly": "false"},
                "createdTime": created_ms,
            }
        },
    ]


def delta_schema(layout: Layout, schema: pa.Schema = EVENT_SCHEMA) -> dict[str, Any]:
    """Return a schema in Delta's words; levels but the namespace are columns of their own.

    A level takes no column of an event away: `workflow_partition` stands beside `workflow_id`.
    """
    fields = [_delta_field(column) for column in schema]
    levels = [_level_field(level) for level in layout.levels if level.kind != "namespace"]
    return {"type": "struct", "fields": [fields[0], *levels, *fields[1:]]}


def add_action(data: DataFile, *, modified_ms: int, data_change: bool = True) -> dict[str, Any]:
    """Return the action that adds a file; its path is percent-encoded once more.

    Parquet's page checksums leave the footer out, so its CRC-32 stands here, as a tag; that of the
    whole file too, for readers that check no page (DuckDB).
    """
    stats = json.dumps(data.stats, separators=(",", ":"), ensure_ascii=True)
    return {"add": add_fields(data, modified_ms=modified_ms, data_change=data_change, stats=stats)}


def add_fields(
    data: DataFile, *, modified_ms: int, data_change: bool, stats: Any
) -> dict[str, Any]:
    """Return what an action `add` says of a file, with its statistics as they are given."""
    return {
        "path": quote(data.path, safe=SAFE_SIGNS),
        "partitionValues": data.partition,
        "size": data.size,
        "modificationTime": modified_ms,
        "dataChange": data_change,
        "stats": stats,
        "tags": _tags(data),
    }


def _tags(data: DataFile) -> dict[str, str]:
    tags = {
        FOOTER_TAG: None if data.footer_crc is None else f"{data.footer_crc:08x}",
        FILE_TAG: None if data.file_crc is None else f"{data.file_crc:08x}",
        VERSION_TAG: str(data.version),
        TIER_TAG: data.tier or None,
        RUN_TAG: data.run or None,
    }
    return {name: value for name, value in tags.items() if value is not None}


def data_file(action: dict[str, Any], version: int) -> DataFile:
    """Return the file of an action `add` that a version holds.

    Raises:
        ValueError: its statistics are damaged.
    """
    try:
        stats = _STATS.decode(action.get("stats") or "{}")
    except msgspec.DecodeError as error:
        message = f"the statistics of {action['path']} are no JSON object"
        raise ValueError(message) from error
    values = action["partitionValues"]
    tags = action.get("tags") or {}
    return DataFile(
        path=unquote(action["path"]),
        partition={name: value or "" for name, value in values.items()},
        size=action["size"],
        rows=stats.get("numRecords", -1),
        stats=stats,
        footer_crc=int(tags[FOOTER_TAG], 16) if FOOTER_TAG in tags else None,
        file_crc=int(tags[FILE_TAG], 16) if FILE_TAG in tags else None,
        version=int(tags.get(VERSION_TAG, version)),
        tier=tags.get(TIER_TAG, ""),
        run=tags.get(RUN_TAG, ""),
        modified_ms=action.get("modificationTime", 0),
    )


def remove_action(data: Removed) -> dict[str, Any]:
    """Return the action that takes a file away, its rows being in others."""
    return {
        "remove": {
            "path": quote(data.path, safe=SAFE_SIGNS),
            "deletionTimestamp": data.removed_ms,
            "dataChange": False,
            "extendedFileMetadata": True,
            "partitionValues": data.partition,
            "size": data.size,
        }
    }


def info_action(info: SealInfo, *, operation: str) -> dict[str, Any]:
    """Return the `commitInfo` of a commit."""
    flowlab = {name: getattr(info, name) for name in SealInfo.__slots__}
    return {
        "commitInfo": {
            "timestamp": info.committed_ns // 1_000_000,
            "operation": operation,
            "operationParameters": {},
            "engineInfo": "flowlab",
            "flowlab": {**flowlab, "crc32": BLANK},
        }
    }


def write_commit(
    folder: Path,
    version: int,
    actions: list[dict[str, Any]],
    disk: Disk,
    *,
    epoch: int,
    exclusive: bool = True,
) -> None:
    """Make a commit appear, durable; unless `exclusive`, one that is there already is as good.

    Raises:
        FencedError: another writer has made a commit of that number.
    """
    data = b"".join(
        json.dumps(action, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        for action in actions
    )
    made = disk.publish(commit_path(folder, version), with_crc(data), scratch=f"e{epoch}")
    if exclusive and made is None:
        message = (
            f"commit {version} exists already: another writer has taken over; open the store again"
        )
        raise FencedError(message)


def check_protocol(protocol: dict[str, Any]) -> None:
    """Refuse a table that asks for a newer reader.

    Raises:
        FormatVersionError: it does.
    """
    if protocol.get("minReaderVersion", 1) > READER_VERSION:
        message = (
            f"the sealed table asks for Delta reader version {protocol['minReaderVersion']}; "
            f"this flowlab reads version {READER_VERSION}: use a newer flowlab"
        )
        raise FormatVersionError(message)


def _level_field(level: Level) -> dict[str, Any]:
    return {"name": level.column, "type": level.delta_type, "nullable": True, "metadata": {}}


def _delta_field(column: Any) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": _delta_type(column.type),
        "nullable": True,
        "metadata": {},
    }


def _delta_type(kind: Any) -> Any:
    names = {
        "string": "string",
        "int64": "long",
        "int32": "integer",
        "int16": "short",
        "int8": "byte",
        "bool": "boolean",
        "binary": "binary",
    }
    if str(kind) in names:
        return names[str(kind)]
    if hasattr(kind, "value_type"):
        element = _delta_type(kind.value_type)
        return {"type": "array", "elementType": element, "containsNull": True}
    return {"type": "struct", "fields": [_delta_field(field) for field in kind]}
