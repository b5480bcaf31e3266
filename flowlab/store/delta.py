"""The commit log of the sealed part: a valid Delta Lake log (reader 1, writer 2).

Source: the Delta transaction log protocol. Commits are numbered JSON-lines files that appear
whole or not at all; commit N+1 is found only where N is. The `commitInfo` of each also carries
what flowlab needs and Delta does not: see `SealInfo`, and the CRC-32 of the whole commit, since a
wrong bound or namespace would hide events without a sound.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from flowlab.errors import CorruptionError, FencedError, FormatVersionError
from flowlab.events import EVENT_SCHEMA
from flowlab.store.files import Disk
from flowlab.store.selfcheck import BLANK, crc_holds, with_crc

READER_VERSION: Final = 1
WRITER_VERSION: Final = 2
PARTITION_COLUMNS: Final = ("namespace", "bucket")
FOOTER_TAG: Final = "flowlab.footer_crc32"
FILE_TAG: Final = "flowlab.file_crc32"
FILE_COLUMNS: Final = tuple(name for name in EVENT_SCHEMA.names if name != "namespace")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A sealed file that a commit added."""

    path: str
    namespace: str
    bucket: int
    size: int
    rows: int
    stats: dict[str, Any]
    footer_crc: int | None = None
    file_crc: int | None = None
    version: int = 0

    def least(self, column: str) -> Any:
        """Return the smallest value of a column, or None where it is not recorded."""
        return self.stats.get("minValues", {}).get(column)

    def most(self, column: str) -> Any:
        """Return the largest value of a column, or None where it is not recorded."""
        return self.stats.get("maxValues", {}).get(column)


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
    """

    sealed_position: int = 0
    tail: int = 1
    epoch: int = 0
    committed_ns: int = 0
    sidecar: str = ""
    sidecar_sha256: str = ""


@dataclass(frozen=True, slots=True)
class TableState:
    """The sealed part at one version."""

    version: int = -1
    files: tuple[DataFile, ...] = ()
    info: SealInfo = field(default_factory=SealInfo)
    history: tuple[SealInfo, ...] = ()


def commit_path(folder: Path, version: int) -> Path:
    """Return the path of a commit in `_delta_log`."""
    return folder / f"{version:020d}.json"


def create_actions(table_id: str, created_ms: int) -> list[dict[str, Any]]:
    """Return the actions that make an empty table."""
    return [
        {"protocol": {"minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION}},
        {
            "metaData": {
                "id": table_id,
                "name": "flowlab events",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps(delta_schema(), separators=(",", ":")),
                "partitionColumns": list(PARTITION_COLUMNS),
                "configuration": {"delta.appendOnly": "false"},
                "createdTime": created_ms,
            }
        },
    ]


def delta_schema() -> dict[str, Any]:
    """Return schema version 1 in Delta's words; the bucket is a partition column of its own."""
    fields = [_delta_field(column) for column in EVENT_SCHEMA]
    bucket = {"name": "bucket", "type": "integer", "nullable": True, "metadata": {}}
    return {"type": "struct", "fields": [fields[0], bucket, *fields[1:]]}


def add_action(data: DataFile, *, modified_ms: int) -> dict[str, Any]:
    """Return the action that adds a file; its path is percent-encoded once more.

    Parquet's page checksums leave the footer out, so its CRC-32 stands here, as a tag; that of the
    whole file too, for readers that check no page (DuckDB).
    """
    return {
        "add": {
            "path": quote(data.path, safe="/=-_.~@:+"),
            "partitionValues": {"namespace": data.namespace, "bucket": str(data.bucket)},
            "size": data.size,
            "modificationTime": modified_ms,
            "dataChange": True,
            "stats": json.dumps(data.stats, separators=(",", ":"), ensure_ascii=True),
            "tags": {
                FOOTER_TAG: f"{data.footer_crc or 0:08x}",
                FILE_TAG: f"{data.file_crc or 0:08x}",
            },
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
    appeared = disk.publish(commit_path(folder, version), with_crc(data), scratch=f"e{epoch}")
    if exclusive and not appeared:
        message = (
            f"commit {version} exists already: another writer has taken over; open the store again"
        )
        raise FencedError(message)


class CommitLog:
    """Reads `_delta_log`, keeping what it has read: commits never change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._states: dict[int, TableState] = {-1: TableState()}
        self._latest = -1
        self._lock = threading.Lock()

    def latest(self) -> TableState:
        """Return the newest state."""
        with self._lock:
            first = self._latest < 0
            while commit_path(self.folder, self._latest + 1).exists():
                self._load(self._latest + 1)
            if first:
                self._check_last()
            return self._states[self._latest]

    def at(self, version: int) -> TableState | None:
        """Return the state at a version, or None where there is no such commit."""
        self.latest()
        return self._states.get(version)

    def versions(self) -> range:
        """Return the versions that exist."""
        return range(self.latest().version + 1)

    def _check_last(self) -> None:
        """Check that no commit stands behind a gap: what it sealed would be missed in silence."""
        numbers = {int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit()}
        while commit_path(self.folder, self._latest + 1).exists():
            self._load(self._latest + 1)
        later = [number for number in numbers if number > self._latest]
        if later:
            message = (
                f"commit {self._latest + 1} is missing from workflows/_delta_log, but "
                f"{max(later)} is there; restore it from a copy"
            )
            raise CorruptionError(message)

    def _load(self, version: int) -> None:
        path = commit_path(self.folder, version)
        data = path.read_bytes()
        if b'"flowlab"' not in data:
            message = (
                f"{path.name} was committed by another program: the table is for reading; if it "
                "is the newest and added no rows, take that file away"
            )
            raise CorruptionError(message)
        if not crc_holds(data):
            message = f"{path.name} is damaged: it does not have the CRC-32 that it names"
            raise CorruptionError(message)
        try:
            self._states[version] = self._applied(version, data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"{path.name} is not a commit of this format: {error!r}"
            raise CorruptionError(message) from error
        self._latest = version

    def _applied(self, version: int, data: bytes) -> TableState:
        state = self._states[version - 1]
        added: list[DataFile] = []
        removed: set[str] = set()
        info = state.info
        for line in data.splitlines():
            action = json.loads(line)
            if "add" in action:
                added.append(_data_file(action["add"], version))
            elif "remove" in action:
                removed.add(unquote(action["remove"]["path"]))
            elif "protocol" in action:
                _check_protocol(action["protocol"])
            elif "commitInfo" in action:
                told = action["commitInfo"]["flowlab"]
                info = SealInfo(**{name: told[name] for name in SealInfo.__slots__})
        files = tuple(data for data in state.files if data.path not in removed) + tuple(added)
        return TableState(version, files, info, (*state.history, info))


def _data_file(action: dict[str, Any], version: int) -> DataFile:
    stats = json.loads(action.get("stats") or "{}")
    values = action["partitionValues"]
    tags = action.get("tags") or {}
    return DataFile(
        path=unquote(action["path"]),
        namespace=values["namespace"] or "",
        bucket=int(values["bucket"]),
        size=action["size"],
        rows=stats.get("numRecords", -1),
        stats=stats,
        footer_crc=int(tags[FOOTER_TAG], 16) if FOOTER_TAG in tags else None,
        file_crc=int(tags[FILE_TAG], 16) if FILE_TAG in tags else None,
        version=version,
    )


def _check_protocol(protocol: dict[str, Any]) -> None:
    if protocol.get("minReaderVersion", 1) > READER_VERSION:
        message = (
            f"the sealed table asks for Delta reader version {protocol['minReaderVersion']}; "
            f"this flowlab reads version {READER_VERSION}: use a newer flowlab"
        )
        raise FormatVersionError(message)


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
