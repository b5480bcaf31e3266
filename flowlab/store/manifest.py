"""`flowlab.json`: what a store is. Written once, when the store is created, and never changed."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final
from uuid import UUID

from flowlab.errors import CorruptionError, FormatVersionError, InvalidArgumentError, NotAStoreError
from flowlab.store.clock import random_salt, wall_ns
from flowlab.store.delta import SealInfo, commit_path, create_actions, info_action, write_commit
from flowlab.store.files import Disk
from flowlab.store.layout import Layout
from flowlab.store.opening import read_file
from flowlab.store.selfcheck import BLANK, crc_holds, with_crc

FORMAT: Final = 2
FIRST_MARKED: Final = 2
"""The format whose tail files say which store they are of."""
NAME: Final = "flowlab.json"
FOLDERS: Final = ("tail", "workflows/_delta_log", "metadata")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `flowlab.json` says."""

    format: int
    layout: Layout
    table_id: str
    created_ns: int

    @property
    def mark(self) -> int | None:
        """What the salts of this store's tail files begin with; None in format 1."""
        return None if self.format < FIRST_MARKED else zlib.crc32(self.table_id.encode())


def read_manifest(root: Path) -> Manifest:
    """Read the manifest of a store.

    Raises:
        NotAStoreError: the folder is absent, or is no store.
        FormatVersionError: a newer flowlab made it.
        CorruptionError: the manifest is damaged.
    """
    path = root / NAME
    try:
        text = read_file(path)
    except (FileNotFoundError, CorruptionError) as error:
        if not isinstance(error.__cause__ or error, FileNotFoundError | NotADirectoryError):
            raise
        what = (
            "is not a flowlab store (it has no flowlab.json)" if root.exists() else "is not there"
        )
        message = f"{root} {what}; EventStore(path) creates one in a new or empty folder"
        raise NotAStoreError(message) from error
    try:
        data = json.loads(text)
        version = data["format"]
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is damaged ({error}); it never changes, so restore it from any copy"
        raise CorruptionError(message) from error
    if not isinstance(version, int) or version > FORMAT:
        message = (
            f"{root} has store format {version}; this flowlab reads up to {FORMAT}: use a newer one"
        )
        raise FormatVersionError(message)
    if not crc_holds(text):
        message = (
            f"{path} is damaged (not its CRC-32); it never changes, so restore it from any copy"
        )
        raise CorruptionError(message)
    try:
        layout = Layout.from_json(data["layout"])
        return Manifest(version, layout, data["table_id"], data["created_ns"])
    except (InvalidArgumentError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is damaged ({error}); it never changes, so restore it from any copy"
        raise CorruptionError(message) from error


def usable_path(path: str | PathLike[str]) -> Path:
    """Return the absolute path of a store.

    Raises:
        InvalidArgumentError: it is no path, or not valid Unicode, which DuckDB cannot open.
    """
    try:
        absolute = Path(path).absolute()
        text = str(absolute).encode()
    except (TypeError, ValueError):
        text = b"\0"
    if b"\0" in text:
        message = f"{path!r} cannot be the path of a store; give valid Unicode without a zero byte"
        raise InvalidArgumentError(message)
    return absolute


def open_or_create(root: Path, *, layout: Layout, disk: Disk) -> Manifest:
    """Read the manifest, making a new store where the folder is absent or empty.

    Creation can stop anywhere and be done again: the manifest appears whole, first.

    Raises:
        NotAStoreError: the folder holds something else.
    """
    if not (root / NAME).exists():
        if root.exists() and not root.is_dir():
            message = f"{root} is a file; give a folder for the store"
            raise NotAStoreError(message)
        others = [] if not root.exists() else _others(root)
        if others:
            message = (
                f"{root} is not a flowlab store and is not empty (it holds {others[0]!r}); "
                "give a new or empty folder"
            )
            raise NotAStoreError(message)
        disk.make_directory(root)
        data = {
            "format": FORMAT,
            "layout": layout.to_json(),
            "table_id": _table_id(),
            "created_ns": wall_ns(),
            "crc32": BLANK,
        }
        text = json.dumps(data, indent=2).encode() + b"\n"
        disk.publish(root / NAME, with_crc(text), scratch=f"{random_salt():016x}")
    manifest = read_manifest(root)
    log = root / "workflows" / "_delta_log"
    begun = commit_path(log, 0).exists()
    for folder in FOLDERS:
        if not begun or not (root / folder).exists():
            disk.make_directory(root / folder)
    if not begun:
        actions = create_actions(
            manifest.table_id, manifest.created_ns // 1_000_000, manifest.layout
        )
        info = SealInfo(committed_ns=manifest.created_ns)
        actions.append(info_action(info, operation="CREATE TABLE"))
        write_commit(log, 0, actions, disk, epoch=random_salt(), exclusive=False)
    return manifest


def _table_id() -> str:
    return str(UUID(int=random_salt() << 64 | random_salt(), version=4))


def _others(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if not path.name.startswith(f".{NAME}."))
