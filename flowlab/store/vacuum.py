"""Vacuum: files that no readable version needs are removed; pinned versions stay readable."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowlab.events import counted, grouped
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import TableState, commit_path

RETAINED_NS: Final = 7 * 24 * 3600 * 1_000_000_000
"""How long versions stay readable by default: as long as Delta's own tools keep them."""
MAX_NAMES: Final = 20
"""Files that a result names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class VacuumResult:
    """What a vacuum removed, or would remove.

    Args:
        version: of the commit log afterwards.
        floor: the oldest version that can still be read.
        files: how many were removed.
        size: their bytes.
        names: some of them.
        pinned: versions below the floor asked for that readers hold, and who does.
        dry_run: nothing was removed.
    """

    version: int
    floor: int
    files: int
    size: int
    names: tuple[str, ...]
    pinned: tuple[tuple[int, str], ...] = ()
    dry_run: bool = False

    def __repr__(self) -> str:
        what = "would go" if self.dry_run else "removed"
        return f"VacuumResult({counted(self.files, 'file')} {what}, floor {self.floor})"

    def __str__(self) -> str:
        what = "would go" if self.dry_run else "removed"
        size = f"{grouped(self.size)} bytes"
        lines = [
            f"{what:<12}{counted(self.files, 'file')}, {size}",
            f"readable    versions {self.floor} to {self.version}",
        ]
        lines += [f"pinned      version {version} by {who}" for version, who in self.pinned]
        return "\n".join(lines)


def floor_of(log: CommitLog, retain_ns: int, now_ns: int) -> int:
    """Return the newest version that was committed before the time to be retained, or the floor.

    Args:
        log: of the table.
        retain_ns: how long versions stay readable.
        now_ns: the time; where the log is ahead of it, the clock was ahead once, and a version is
            as old as the file of its commit, or of a later one, says.
    """
    first, last = log.versions()[0], log.latest().version
    before_ns = now_ns - retain_ns
    if log.latest().info.committed_ns > now_ns:
        newest_ns = now_ns
        for version in range(last, first, -1):
            with suppress(FileNotFoundError):
                newest_ns = min(newest_ns, commit_path(log.folder, version).stat().st_mtime_ns)
            if newest_ns <= before_ns:
                return version
        return first
    low, high = first, last
    while low < high:
        middle = (low + high + 1) // 2
        state = log.at(middle)
        if state is not None and state.info.committed_ns <= before_ns:
            low = middle
        else:
            high = middle - 1
    return low


def needless(
    root: Path, state: TableState, log: CommitLog, kept: Iterable[int]
) -> list[tuple[Path, int]]:
    """Return files below the table's folder that no version from the floor on needs, with sizes.

    Args:
        root: the folder of the table.
        state: the newest, whose floor counts.
        log: of the table.
        kept: older versions that are pinned.
    """
    named = {data.path for data in state.files} | {data.path for data in state.removed}
    for version in kept:
        older = log.at(version)
        if older is not None:
            named |= {data.path for data in older.files}
    found = []
    for path in sorted(root.rglob("*.parquet")):
        place = path.relative_to(root)
        if not place.parts[0].startswith(("_", ".")) and place.as_posix() not in named:
            found.append((path, path.stat().st_size))
    return found
