"""Finding files: everything below the folders given, in order, and what is no file by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowlab.interop.report import Failed, ImportReport

SUFFIXES: Final = {
    "temporal": (".json",),
    "shiviz": (".log",),
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
}
"""Every format, and the suffixes of its files; an export writes the first."""


@dataclass(frozen=True, slots=True)
class File:
    """One file to read.

    Args:
        path: where it is.
        name: its path below the folder given, or its own name.
        alone: whether it was named itself, and not found in a folder.
        only: whether nothing else was named.
        reason: why it is left out; empty where it is not.
    """

    path: Path
    name: str
    alone: bool = False
    only: bool = False
    reason: str = ""


def find_files(paths: list[Path], report: ImportReport) -> Iterator[File]:
    """Yield the files below some paths; what cannot be reached is reported as failed."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            yield from _below(path, report)
        elif not path.exists():
            report.failed.append(Failed(str(path), "there is no such file or folder"))
        elif path.absolute() in seen:
            yield File(path, path.name, reason="it was named twice")
        else:
            seen.add(path.absolute())
            yield File(path, path.name, True, len(paths) == 1, _reason(path))


def _below(folder: Path, report: ImportReport) -> Iterator[File]:
    found: list[Path] = []

    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        report.failed.append(Failed(name, f"the folder cannot be read: {error.strerror}"))

    # A link to a folder is not followed: it may lead back up.
    for root, folders, files in os.walk(folder, onerror=unreadable):
        links = [name for name in folders if Path(root, name).is_symlink()]
        found += [Path(root, name) for name in (*files, *links)]
    for path in sorted(found):
        yield File(path, path.relative_to(folder).as_posix(), reason=_reason(path))


def _reason(path: Path) -> str:
    if path.is_dir():
        return "a link to a folder is not followed"
    if path.is_file() or not path.exists():
        return ""
    return "it is no regular file"
