"""Reads the commit log: from the newest Delta checkpoint that is whole, and the commits since."""

from __future__ import annotations

import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from flowlab.errors import CorruptionError
from flowlab.store.delta import (
    LATER_INFO,
    REQUIRED_INFO,
    DataFile,
    Removed,
    SealInfo,
    SidecarRef,
    TableState,
    check_protocol,
    commit_path,
    data_file,
)
from flowlab.store.files import read_settled
from flowlab.store.log_checkpoint import checkpoint_path, read_checkpoint
from flowlab.store.selfcheck import crc_holds

MAX_STATES: Final = 64
"""States of older versions that are kept; others are made again when asked for."""
_ACTIONS: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict)
_COMMIT: Final = re.compile(r"(\d{20})\.json")
_CHECKPOINT: Final = re.compile(r"(\d{20})\.checkpoint\.parquet")


class CommitLog:
    """Reads `_delta_log`, keeping what it has read: commits never change.

    Opening costs the newest checkpoint and the commits since; it does not grow with the log.
    """

    def __init__(self, folder: Path, *, table_id: str | None = None) -> None:
        self.folder = folder
        self._table_id = table_id
        self._state = TableState()
        self._awaited = (0, commit_path(folder, 0))
        self._older: OrderedDict[int, TableState] = OrderedDict()
        self._opened = False
        self._lock = threading.Lock()

    def latest(self) -> TableState:
        """Return the newest state.

        Raises:
            CorruptionError: a commit is damaged or missing, or another program made it.
        """
        with self._lock:
            first = not self._opened
            commits, checkpoints = self.names() if first else ([], [])
            if first:
                self._state = self._checkpoint(None, checkpoints)
            self._advance(frozenset(commits))
            if first:
                self._check_last(commits)
                self._check_table()
                self._opened = True
            return self._state

    def at(self, version: int) -> TableState | None:
        """Return the state at a version, or None where there is no such commit."""
        latest = self.latest()
        if not 0 <= version <= latest.version:
            return None
        with self._lock:
            if version == self._state.version:
                return self._state
            if version not in self._older:
                state = self._checkpoint(version, self.names()[1])
                while state.version < version:
                    state = self.after(state)
                self._remember(state)
            self._older.move_to_end(version)
            return self._older[version]

    def adopt(self, sidecars: tuple[SidecarRef, ...]) -> None:
        """Know the metadata of the newest version by merged files from now on."""
        with self._lock:
            self._state = replace(self._state, sidecars=sidecars)

    def versions(self) -> range:
        """Return the versions whose files vacuum has kept."""
        state = self.latest()
        return range(state.info.floor, state.version + 1)

    def names(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the commits and of the checkpoints that are there, in order."""
        commits, checkpoints = [], []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if found := _COMMIT.fullmatch(path.name):
                commits.append(int(found[1]))
            elif found := _CHECKPOINT.fullmatch(path.name):
                checkpoints.append(int(found[1]))
        return sorted(commits), sorted(checkpoints)

    def _advance(self, seen: Collection[int]) -> None:
        """Read the commits that follow, those that were `seen` to be there without another look."""
        while (version := self._state.version + 1) in seen or self._next(version).exists():
            if self._state.version >= 0:
                self._remember(self._state)
            self._state = self.after(self._state)

    def _next(self, version: int) -> Path:
        # Every append asks for the commit after the newest: its path is made once.
        awaited = self._awaited
        if awaited[0] != version:
            self._awaited = awaited = (version, commit_path(self.folder, version))
        return awaited[1]

    def _remember(self, state: TableState) -> None:
        self._older[state.version] = state
        if len(self._older) > MAX_STATES:
            self._older.popitem(last=False)

    def _checkpoint(self, version: int | None, checkpoints: list[int]) -> TableState:
        """Return the state of the newest whole checkpoint, up to a version; else the empty one."""
        for number in reversed(checkpoints):
            if version is not None and number > version:
                continue
            try:
                state = read_checkpoint(checkpoint_path(self.folder, number), number)
                if state is not None and self._table_of(state) != self._table_id:
                    message = f"checkpoint {number} is of another table"
                    raise CorruptionError(message)  # noqa: TRY301 - passed over like a damaged one
            except CorruptionError as error:
                message = f"{error}; the commits before it are read instead"
                warnings.warn(message, RuntimeWarning, stacklevel=5)
                continue
            if state is not None:
                return state
        return TableState()

    def _table_of(self, state: TableState) -> str | None:
        """Return the id of a state's table; this one's where nothing says it."""
        told: str | None = state.table.get("metaData", {}).get("id", self._table_id)
        return self._table_id if self._table_id is None else told

    def _check_table(self) -> None:
        """Check that the log is that of the store which names it, and not another's."""
        found = self._table_of(self._state)
        if found != self._table_id:
            message = (
                f"workflows/_delta_log is that of table {found}, and flowlab.json names "
                f"{self._table_id}: files of two stores are mixed; restore either from a copy"
            )
            raise CorruptionError(message)

    def _check_last(self, numbers: list[int]) -> None:
        """Check that no commit stands behind a gap: what it sealed would be missed in silence.

        Args:
            numbers: of the commits that were there before they were read.
        """
        later = [number for number in numbers if number > self._state.version]
        if later:
            message = (
                f"commit {self._state.version + 1} is missing from {self._name}, but "
                f"{max(later)} is there; restore it from a copy"
            )
            raise CorruptionError(message)

    @property
    def _name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    def after(self, state: TableState) -> TableState:
        """Return the state after the next commit.

        Raises:
            CorruptionError: the commit is damaged or missing, or another program made it.
        """
        path = self._next(state.version + 1)
        try:
            data = read_settled(path)
        except FileNotFoundError as error:
            message = f"commit {path.name} is missing from {self._name}; restore it from a copy"
            raise CorruptionError(message) from error
        if b'"flowlab"' not in data:
            message = (
                f"{path.name} was committed by another program: the table is for reading; if it "
                "is the newest and added no rows, take that file away"
            )
            raise CorruptionError(message)
        if not crc_holds(data):
            message = f"{path.name} is damaged (not its CRC-32); restore it from a copy"
            raise CorruptionError(message)
        try:
            return applied(state, _ACTIONS.decode_lines(data))
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.DecodeError) as error:
            message = f"{path.name} is no commit of this format: {error!r}; restore it from a copy"
            raise CorruptionError(message) from error


def applied(state: TableState, actions: Iterable[dict[str, Any]]) -> TableState:
    """Return the state after the actions of one more commit."""
    version = state.version + 1
    added: list[DataFile] = []
    gone: dict[str, int] = {}
    info, told_sidecar = state.info, False
    transactions, table = dict(state.transactions), dict(state.table)
    for action in actions:
        if "add" in action:
            added.append(data_file(action["add"], version))
        elif "remove" in action:
            gone[unquote(action["remove"]["path"])] = action["remove"].get("deletionTimestamp", 0)
        elif "protocol" in action:
            check_protocol(action["protocol"])
            table["protocol"] = action["protocol"]
        elif "metaData" in action:
            table["metaData"] = action["metaData"]
        elif "txn" in action:
            transactions[action["txn"]["appId"]] = action["txn"]["version"]
        elif "commitInfo" in action:
            info = seal_info(action["commitInfo"]["flowlab"])
            told_sidecar = bool(info.sidecar)
    sidecars = state.sidecars
    if told_sidecar:
        sidecars += (SidecarRef(info.sidecar, info.sidecar_sha256, version, version),)
    removed = state.removed
    if gone:
        removed += tuple(
            Removed(data.path, data.size, version, gone[data.path], data.partition)
            for data in state.files
            if data.path in gone
        )
    if info.floor > state.info.floor:
        removed = tuple(data for data in removed if data.version > info.floor)
    files = state.files
    if gone:
        files = tuple(data for data in files if data.path not in gone)
    files += tuple(added)
    return TableState(version, files, info, sidecars, removed, transactions, table)


def seal_info(told: dict[str, Any]) -> SealInfo:
    """Return what a commit says about the store; members that came later have their defaults."""
    later = {name: told.get(name, 0) for name in LATER_INFO}
    return SealInfo(**{name: told[name] for name in REQUIRED_INFO}, **later)
