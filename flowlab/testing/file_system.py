"""A model of a POSIX file system: what is visible, what is durable, and what lies between.

Source: Pillai et al., All File Systems Are Not Created Equal, OSDI 2014; Zheng et al., Torturing
Databases for Fun and Profit, OSDI 2014. Only what POSIX promises counts as durable: a file's bytes
after a sync of the file, a name after a sync of its directory.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

BLOCK_BYTES: Final = 4096
ROOT: Final = "."


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a write reaches the device.

    Args:
        cut: only so many of its bytes; None for all.
        blank: "new" leaves zeros where the file grows; "first" leaves the first block as it was.
    """

    cut: int | None = None
    blank: str = ""


WHOLE: Final = Part()


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that were written to a file and not synced yet."""

    number: int
    node: int
    offset: int
    data: bytes

    def onto(self, content: bytes, part: Part = WHOLE) -> bytes:
        """Return a content with this write on it, or a part of it."""
        data = self.data if part.cut is None else self.data[: part.cut]
        if not data:
            return content
        end = self.offset + len(data)
        old = content[self.offset : end]
        if part.blank == "new":
            data = old.ljust(len(data), b"\0")
        elif part.blank == "first":
            first = min(BLOCK_BYTES - self.offset % BLOCK_BYTES, len(data))
            data = old[:first].ljust(first, b"\0") + data[first:]
        return content[: self.offset].ljust(self.offset, b"\0") + data + content[end:]


@dataclass(frozen=True, slots=True)
class Entry:
    """Names that appear or go, not synced yet; the two of a rename change together."""

    number: int
    names: tuple[tuple[str, int | None], ...]

    def touches(self, folder: str) -> bool:
        """Whether one of the names is in a directory."""
        return any(parent(name) == folder for name, _ in self.names)


def parent(name: str) -> str:
    """Return the directory of a path below the root."""
    return str(PurePosixPath(name).parent)


@dataclass(slots=True)
class FileSystem:
    """Files and names as a process sees them and as the device holds them.

    Attributes:
        names: what a process sees: path below the root to node.
        durable_names: what is on the device.
        contents: the durable bytes of each file; None for a directory.
        pending: what was called and not synced, in order.
    """

    names: dict[str, int] = field(default_factory=dict)
    durable_names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytes | None] = field(default_factory=dict)
    pending: list[Write | Entry] = field(default_factory=list)
    _count: int = 0

    @classmethod
    def of(cls, root: Path) -> FileSystem:
        """Return a folder as it is, all of it durable."""
        system = cls()
        seen: dict[tuple[int, int], int] = {}
        for path in sorted(root.rglob("*")):
            status = path.lstat()
            node = seen.setdefault((status.st_dev, status.st_ino), len(seen))
            system.contents[node] = None if path.is_dir() else path.read_bytes()
            system.names[path.relative_to(root).as_posix()] = node
        system.durable_names = dict(system.names)
        return system

    def copy(self) -> FileSystem:
        """Return a copy that goes its own way."""
        return copy.deepcopy(self)

    # -- what a process does ---------------------------------------------------------------------

    def create(self, name: str) -> None:
        """Make an empty file."""
        self._make(name, b"")

    def mkdir(self, name: str) -> None:
        """Make a directory."""
        self._make(name, None)

    def write(self, node: int, offset: int, data: bytes) -> None:
        """Write to a file."""
        self.pending.append(Write(self._next(), node, offset, data))

    def link(self, source: str, target: str) -> None:
        """Give a file a second name."""
        self._change(((target, self.names[source]),))

    def rename(self, source: str, target: str) -> None:
        """Give a file another name."""
        self._change(((source, None), (target, self.names[source])))

    def remove(self, name: str) -> None:
        """Take a name away, if it is there."""
        if name in self.names:
            self._change(((name, None),))

    def sync(self, node: int) -> None:
        """Make a file's bytes durable."""
        self.contents[node] = self.content(node, self.numbers())
        self.forget(node)

    def forget(self, node: int) -> None:
        """Drop the writes of a file that are not synced, as an error of a sync does on Linux."""
        self.pending = [
            change
            for change in self.pending
            if not (isinstance(change, Write) and change.node == node)
        ]

    def sync_directory(self, folder: str) -> None:
        """Make the names in a directory durable."""
        kept: list[Write | Entry] = []
        for change in self.pending:
            if isinstance(change, Entry) and change.touches(folder):
                _apply(self.durable_names, change)
            else:
                kept.append(change)
        self.pending = kept

    # -- what is on the device ---------------------------------------------------------------

    def numbers(self) -> frozenset[int]:
        """Return the numbers of all pending changes."""
        return frozenset(change.number for change in self.pending)

    def content(
        self, node: int, applied: frozenset[int], partly: Mapping[int, Part] | None = None
    ) -> bytes:
        """Return a file's bytes if some of the pending writes reached the device, a few partly."""
        content = self.contents[node] or b""
        for change in self.pending:
            if isinstance(change, Write) and change.node == node and change.number in applied:
                content = change.onto(content, (partly or {}).get(change.number, WHOLE))
        return content

    def tree(
        self, applied: frozenset[int], partly: Mapping[int, Part] | None = None
    ) -> dict[str, tuple[int, bytes | None]]:
        """Return path to (node, bytes) if some of the pending changes reached the device."""
        names = dict(self.durable_names)
        for change in self.pending:
            if isinstance(change, Entry) and change.number in applied:
                _apply(names, change)
        bodies: dict[int, bytes | None] = {}
        found: dict[str, tuple[int, bytes | None]] = {}
        for name in sorted(names):
            above = parent(name)
            if above != ROOT and above not in found:
                continue
            node = names[name]
            if node not in bodies:
                is_file = self.contents[node] is not None
                bodies[node] = self.content(node, applied, partly) if is_file else None
            found[name] = (node, bodies[node])
        return found

    def _make(self, name: str, content: bytes | None) -> None:
        node = max(self.contents, default=-1) + 1
        self.contents[node] = content
        self._change(((name, node),))

    def _change(self, names: tuple[tuple[str, int | None], ...]) -> None:
        change = Entry(self._next(), names)
        _apply(self.names, change)
        self.pending.append(change)

    def _next(self) -> int:
        self._count += 1
        return self._count


def _apply(names: dict[str, int], change: Entry) -> None:
    for name, node in change.names:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def write_out(tree: dict[str, tuple[int, bytes | None]], folder: Path) -> None:
    """Make a tree real in a folder; zeros at a file's end are left as a hole."""
    first: dict[int, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (node, content) in tree.items():
        path = folder / name
        if content is None:
            path.mkdir()
        elif node in first:
            path.hardlink_to(first[node])
        else:
            first[node] = path
            with path.open("xb") as stream:
                stream.write(content.rstrip(b"\0"))
                stream.truncate(len(content))
