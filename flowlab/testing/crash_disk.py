"""A disk that remembers what a power failure could leave."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flowlab.store import Disk
from flowlab.testing.file_system import FileSystem

KINDS: Final = (
    "create",
    "write",
    "sync",
    "sync directory",
    "link",
    "rename",
    "remove",
    "mkdir",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a disk that changed something.

    Args:
        kind: one of `KINDS`.
        name: the path below the disk's folder; of a directory for `sync directory`.
        node, offset, data: of a write or a sync.
        target: of a link or a rename.
    """

    kind: str
    name: str
    node: int = -1
    offset: int = 0
    data: bytes = b""
    target: str = ""

    @property
    def boundary(self) -> str:
        """The kind and the place, with # for numbers: what is counted."""
        return f"{self.kind} {place(self.target or self.name)}"

    def apply(self, system: FileSystem) -> None:
        """Do it in a model."""
        match self.kind:
            case "create":
                system.create(self.name)
            case "write":
                system.write(self.node, self.offset, self.data)
            case "sync":
                system.sync(self.node)
            case "drop":
                system.forget(self.node)
            case "sync directory":
                system.sync_directory(self.name)
            case "mkdir":
                system.mkdir(self.name)
            case "remove":
                system.remove(self.name)
            case _:
                getattr(system, self.kind)(self.name, self.target)

    def __repr__(self) -> str:
        size = f", {len(self.data)} bytes at {self.offset}" if self.kind == "write" else ""
        to = f" to {self.target}" if self.target else ""
        return f"Call({self.kind} {self.name}{to}{size})"


def place(name: str) -> str:
    """Return a path with # for each number, so that boundaries of one kind have one name.

    Example:
        >>> place("workflows/_delta_log/.00000000000000000003.json.e2")
        'workflows/_delta_log/.#.json.e#'
    """
    return re.sub(r"\b[0-9a-f]{8,}\b|\d+", "#", name)


class CrashDisk(Disk):
    """Writes for real in a folder, and remembers what a power failure could have left of it.

    It lives as long as the stores that write through it, one process. Nothing is forced to the
    device: what would have been is in the model.

    Args:
        root: the folder; what is in it counts as durable. A store stands in a folder below it.
        system: the model to go on with, where a process died and the machine did not.

    Attributes:
        trace: the calls that changed something, in order.
        watch: called before each of them, where there is one.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     disk = CrashDisk(Path(folder))
        ...     disk.replace(Path(folder) / "note", b"new")
        ...     [call.kind for call in disk.trace]
        ['create', 'write', 'sync', 'rename', 'sync directory']
    """

    def __init__(self, root: Path, *, system: FileSystem | None = None) -> None:
        super().__init__()
        self.root = root
        self.start = FileSystem.of(root) if system is None else system
        self.trace: list[Call] = []
        self.watch: Callable[[], object] | None = None
        self._now = self.start.copy()
        self._files: dict[int, tuple[int, str]] = {}

    def at(self, boundary: int) -> FileSystem:
        """Return the model after the first calls of the trace."""
        system = self.start.copy()
        for call in self.trace[:boundary]:
            call.apply(system)
        return system

    def before(self, kind: str, name: str) -> None:  # noqa: ARG002 - for subclasses
        """Called before each call: what a subclass overrides to refuse or to stop."""
        if self.watch is not None:
            self.watch()

    # -- the primitives -----------------------------------------------------------------------

    def open_rw(self, path: Path, *, create: bool = False) -> int:
        """Open a file; making it is a call of the trace."""
        name = self._name(path)
        if create and not path.exists():
            self.before("create", name)
        descriptor = super().open_rw(path, create=create)
        if create:
            self._record(Call("create", name))
        self._files[descriptor] = (self._now.names[name], name)
        return descriptor

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """Write, and remember the bytes until the file is synced."""
        self.before("write", self._files[descriptor][1])
        self._write(descriptor, bytes(data), offset)

    def sync_data(self, descriptor: int) -> None:
        """Count a file's bytes as durable."""
        node, name = self._files[descriptor]
        self.before("sync", name)
        self.data_syncs += 1
        self._record(Call("sync", name, node))

    def sync_directory(self, path: Path) -> None:
        """Count a directory's names as durable."""
        self.directory_syncs += 1
        if path.is_relative_to(self.root):
            name = self._name(path)
            self.before("sync directory", name)
            self._record(Call("sync directory", name))

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        self._named("link", target, lambda: super(CrashDisk, self).link(source, target), source)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name."""
        self._named("rename", target, lambda: super(CrashDisk, self).rename(source, target), source)

    def remove(self, path: Path) -> None:
        """Take a name away."""
        if path.exists():
            self._named("remove", path, lambda: super(CrashDisk, self).remove(path))

    def mkdir(self, path: Path) -> None:
        """Make a directory."""
        self._named("mkdir", path, lambda: super(CrashDisk, self).mkdir(path))

    # -- inside -------------------------------------------------------------------------------

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _named(
        self, kind: str, path: Path, do: Callable[[], None], source: Path | None = None
    ) -> None:
        name = self._name(path)
        self.before(kind, name)
        do()
        if source is None:
            self._record(Call(kind, name))
        else:
            self._record(Call(kind, self._name(source), target=name))

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        super().write_at(descriptor, data, offset)
        node, name = self._files[descriptor]
        self._record(Call("write", name, node, offset, data))

    def _record(self, call: Call) -> None:
        call.apply(self._now)
        self.trace.append(call)


@contextmanager
def restarted(number: int = 0x0B00_7ED0) -> Iterator[None]:
    """Let the store take this for another boot of the machine than the one it wrote in.

    Example:
        >>> from flowlab.store import tail
        >>> with restarted(5):
        ...     tail.boot_id()
        5
    """
    kept: list[tuple[Any, Any]] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("flowlab.store.") and hasattr(module, "boot_id"):
            loaded: Any = module
            kept.append((loaded, loaded.boot_id))
            loaded.boot_id = lambda: number
    try:
        yield
    finally:
        for module, boot in kept:
            module.boot_id = boot
