"""What stopped writers left beside the sealed files: drafts, and whole files that nothing names.

Vacuum removes it under the commit lock, verify notes it. A file that is written outside of that
lock may be a step of somebody who is alive: who adds a state file tries again where its draft is
gone, and the event that makes a checkpoint count is refused where its file is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowlab.errors import LockedError
from flowlab.events import WORLD_STREAM
from flowlab.store import checkpoints, projecting
from flowlab.store.aggregate_states import FOLDER as AGGREGATES
from flowlab.store.commit_log import CommitLog
from flowlab.store.containers import SUFFIX
from flowlab.store.delta import commit_path
from flowlab.store.files import Disk, file_lock
from flowlab.store.log_checkpoint import checkpoint_path
from flowlab.store.opening import read_file
from flowlab.store.sidecar import FOLDER as METADATA
from flowlab.store.state_verify import TAKEN_QUERY, named_by_events
from flowlab.store.truncation import FOLDER as ARCHIVES
from flowlab.store.truncation import BaseRow

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

Found = tuple[Path, int]
"""A file and its size in bytes."""

_SIDECAR: Final = re.compile(r"(\d{20})(-\d{20})?-e\d+\.json\.gz")
_ARCHIVE: Final = re.compile(r".+-\d{12,}-v\d+-e\d+\.parquet")


def unnamed(
    root: Path,
    log: CommitLog,
    truncations: Iterable[BaseRow],
    sidecars: Iterable[Path] | None = None,
) -> Iterator[Found]:
    """Yield drafts, and the sidecars and archives that no commit names.

    Args:
        root: of the store.
        log: of the store.
        truncations: all that there were.
        sidecars: those that are looked at, all by default.
    """
    yield from drafts(log.folder, root / METADATA, *sorted((root / AGGREGATES).glob("*")))
    yield from drafts(*sorted((root / checkpoints.FOLDER).glob("*")))
    yield from _sized(root.glob(".flowlab.json.*"))
    yield from _sized(unnamed_sidecars(root, log, sidecars))
    named = {row.archive for row in truncations}
    yield from _sized(
        path
        for path in (root / ARCHIVES).glob("*.parquet")
        if _ARCHIVE.fullmatch(path.name) and path.relative_to(root).as_posix() not in named
    )


def drafts(*folders: Path) -> Iterator[Found]:
    """Yield the drafts that stopped writers left."""
    for folder in folders:
        yield from _sized(folder.glob(".*"))


def unnamed_checkpoints(root: Path, now: Snapshot, floor: int) -> Iterator[Found]:
    """Yield the files of checkpoints that no event has made count, or that one has let go.

    Args:
        root: of the store.
        now: the store as it is; nobody commits meanwhile.
        floor: the oldest version that is readable.
    """
    found = sorted((root / checkpoints.FOLDER).glob(f"*/[!.]*{SUFFIX}"))
    world = (row for row in now.bases.rows if row.stream[2] == WORLD_STREAM)
    # What events that were truncated name is readable for as long as the version before is.
    if not found or any(row.version > floor for row in world):
        return
    named = named_by_events(now.query(TAKEN_QUERY).to_pylist())
    yield from _sized(path for path in found if not named(path.relative_to(root).as_posix()))


def remove_view_drafts(root: Path, disk: Disk, *, dry_run: bool) -> list[Found]:
    """Remove the drafts of states of projections, whose writers have a lock of their own."""
    folder = root / projecting.FOLDER
    if not any(drafts(folder)):
        return []
    try:
        with file_lock(folder / "lock", disk, timeout_s=0, what="lock of its projections"):
            found = list(drafts(folder))
            for path, _ in () if dry_run else found:
                disk.remove(path)
    except LockedError:
        return []  # whoever saves one is alive
    return found


def unnamed_sidecars(
    root: Path, log: CommitLog, among: Iterable[Path] | None = None
) -> Iterator[Path]:
    """Yield sidecars that neither their commit nor a checkpoint of the log names.

    Every commit is read, so look first, and at those that are found once more under the lock.
    """
    last, merged = log.latest().version, b""
    found = sorted((root / METADATA).glob("*.json.gz") if among is None else among)
    if any((match := _SIDECAR.fullmatch(path.name)) and match[2] for path in found):
        places = (checkpoint_path(log.folder, number) for number in log.names()[1])
        merged = b"\n".join(read_file(place) for place in places)
    held = {ref.name for ref in log.latest().sidecars}
    for path in found:
        match = _SIDECAR.fullmatch(path.name)
        if match is None or path.relative_to(root).as_posix() in held:
            continue
        commit = commit_path(log.folder, int(match[1]))
        if match[2]:
            told = merged
        elif int(match[1]) > last:
            told = b""
        elif commit.exists():
            told = read_file(commit)
        else:
            continue  # which that commit named, nobody knows
        if path.name.encode() not in told:
            yield path


def _sized(paths: Iterable[Path]) -> Iterator[Found]:
    for path in sorted(paths):
        if path.is_file():
            yield path, path.stat().st_size
