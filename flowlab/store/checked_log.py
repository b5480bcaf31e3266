"""Checks the commit log: every commit, sidecar and Delta checkpoint, and what no version names."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from flowlab.errors import CorruptionError, FlowlabError
from flowlab.store import checkpoints
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import TableState
from flowlab.store.leftovers import unnamed
from flowlab.store.log_checkpoint import checkpoint_path, read_checkpoint
from flowlab.store.opening import kind_of
from flowlab.store.segments import file_crc
from flowlab.store.sidecar import MetadataLog, Sidecar, read_sidecar
from flowlab.store.vacuum import needless

Found = tuple[str, str, str]
"""Kind, file, detail."""


class CheckedLog:
    """One pass over the commit log of a store.

    Attributes:
        problems: what is wrong.
        notes: what is in nobody's way.
        checked: what was looked at, with counts.
    """

    def __init__(self, root: Path) -> None:
        self.problems: list[Found] = []
        self.notes: list[Found] = []
        self.checked: dict[str, int] = {}
        self._root = root
        self._log = CommitLog(root / "workflows" / "_delta_log")
        self._checkpoints = 0
        self._read: set[str] = set()

    def run(self) -> TableState | None:
        """Check everything; return the newest state, None where it cannot be read."""
        try:
            with warnings.catch_warnings():
                # A damaged checkpoint is a problem of its own, below.
                warnings.simplefilter("ignore", RuntimeWarning)
                state = self._log.latest()
        except (FlowlabError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problems.append((kind_of(error, self._log.folder), self._where, str(error)))
            return None
        self.checked["commits"] = state.version + 1
        self._commits(state)
        if self._checkpoints:
            self.checked["checkpoints of the log"] = self._checkpoints
        self._sidecars(state)
        self._removed(state)
        self.notes += self._unnamed(state)
        return state

    @property
    def _where(self) -> str:
        return "workflows/_delta_log"

    def _commits(self, state: TableState) -> None:
        """Replay every commit from the first one; each checkpoint must say the same."""
        checkpoints = set(self._log.names()[1])
        replayed = TableState()
        for version in range(state.version + 1):
            try:
                replayed = self._log.after(replayed)
            except CorruptionError as error:
                kind = kind_of(error, self._log.folder)
                kind = "missing" if "is missing" in str(error) else kind
                self.problems.append((kind, self._where, str(error)))
                return
            if version in checkpoints:
                self._checkpoint(version, replayed)

    def _checkpoint(self, version: int, replayed: TableState) -> None:
        path = checkpoint_path(self._log.folder, version)
        where = f"{self._where}/{path.name}"
        try:
            told = read_checkpoint(path, version)
        except CorruptionError as error:
            self.problems.append((kind_of(error, path), where, str(error)))
            return
        if told is None:
            return  # another program's; no reader of ours looks at it
        self._checkpoints += 1
        parts = ("files", "info", "removed", "transactions", "table")
        wrong = [name for name in parts if getattr(told, name) != getattr(replayed, name)]
        if wrong:
            detail = f"its {', '.join(wrong)} are not what the commits up to {version} say"
            self.problems.append(("checkpoint", where, detail))
        self._sidecars(told)

    def _sidecars(self, state: TableState) -> None:
        for ref in state.sidecars:
            if ref.name in self._read:
                continue
            self._read.add(ref.name)
            try:
                read_sidecar(self._root, ref, Sidecar)
            except CorruptionError as error:
                self.problems.append((kind_of(error, self._root), ref.name, str(error)))

    def _removed(self, state: TableState) -> None:
        """Check the files that older versions still need."""
        for data in state.removed:
            path = self._root / "workflows" / data.path
            older = self._log.at(data.version - 1)
            held = next((f for f in older.files if f.path == data.path), None) if older else None
            where = f"workflows/{data.path}"
            if not path.exists():
                detail = f"versions {state.info.floor} to {data.version - 1} need it"
                self.problems.append(("missing", where, detail))
            elif held is not None and held.file_crc not in {None, file_crc(path)}:
                detail = "it does not have the checksum that the commit log names"
                self.problems.append(("damaged", where, detail))

    def _unnamed(self, state: TableState) -> Iterator[Found]:
        """Yield what no version names, and archives that are not there."""
        for path, size in needless(self._root / "workflows", state, self._log, ()):
            detail = f"{size} bytes that no version names; vacuum removes them"
            yield "orphan", path.relative_to(self._root).as_posix(), detail
        truncations = MetadataLog(self._root).bases(state).rows
        for path, _ in unnamed(self._root, self._log, truncations):
            if path.parent.parent.name != checkpoints.FOLDER:
                detail = "a stopped writer left it; vacuum removes it"
                yield "orphan", path.relative_to(self._root).as_posix(), detail
        for row in truncations:
            if row.archive and not (self._root / row.archive).exists():
                detail = (
                    f"the archive of events that truncation took from {row.stream[2]!r} is gone"
                )
                yield "archive", row.archive, detail
