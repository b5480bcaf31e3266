"""The results of the study of recovery: a line for each cell and each process that measured it.

A line is `{"cell": its name, "process": number, "rows": [...]}`. Process 0 wrote the cell's stores
and was killed; each of the others recovered them by every scheme. Where process 0 comes again, the
stores were written anew, and what was measured before on the old ones is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flowlab.errors import CorruptionError, FormatVersionError

WRITER: Final = 0
TIMES: Final = ("wall", "cpu", "first")
"""What differs from process to process; all else is what was read."""

Row = dict[str, Any]
Held = dict[str, dict[int, list[Row]]]
"""Rows by cell and process."""


def add_result(path: Path, cell: str, process: int, rows: list[Row]) -> None:
    """Write one line more.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "results.jsonl"
        ...     add_result(path, "small", 1, [{"scheme": "replay", "wall": [0.25]}])
        ...     read_results(path)
        {'small': {1: [{'scheme': 'replay', 'wall': [0.25]}]}}
    """
    line = json.dumps({"cell": cell, "process": process, "rows": rows}, separators=(",", ":"))
    with path.open("a", encoding="utf-8") as results:
        results.write(line + "\n")


def read_results(path: Path) -> Held:
    """Read the results so far; a last line that is torn is cut away, and measured again.

    Raises:
        FormatVersionError: a line is of a study that measured each cell in one process.
        CorruptionError: a line, other than a torn last one, is no result.
    """
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    if torn:
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    held: Held = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            found = json.loads(line)
            cell, rows = str(found["cell"]), list(found["rows"])
            process = found.get("process")
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            message = f"line {number} of {path} is no result of the study; delete it to go on"
            raise CorruptionError(message) from error
        if type(process) is not int or process < WRITER:
            message = (
                f"line {number} of {path} does not say which process measured its cell: it is of "
                "an older study, which measured each cell in one; the two cannot be compared, so "
                "give another folder"
            )
            raise FormatVersionError(message)
        if process == WRITER:
            held[cell] = {}
        held.setdefault(cell, {})[process] = rows
    return held


def merged(cell: str, processes: Mapping[int, list[Row]]) -> list[Row]:
    """Return the rows of one cell, each with the times of all processes, a list for each.

    Args:
        cell: its name.
        processes: the rows of each.

    Raises:
        CorruptionError: two processes read not the same.

    Example:
        >>> one, other = ([{"scheme": "replay", "events": 9, "wall": [s]}] for s in (0.5, 0.75))
        >>> merged("small", {1: one, 2: other})
        [{'scheme': 'replay', 'events': 9, 'wall': [[0.5], [0.75]]}]
    """
    rows = list(processes.get(WRITER, ()))
    recovered = [processes[number] for number in sorted(processes) if number != WRITER]
    told = [[_read(row) for row in each] for each in recovered]
    if any(each != told[0] for each in told):
        message = (
            f"the processes that recovered {cell!r} did not read the same, so its stores were "
            "changed meanwhile; delete its lines from the results, and it is measured again"
        )
        raise CorruptionError(message)
    for same in zip(*recovered, strict=True):
        times = {name: [row[name] for row in same] for name in TIMES if name in same[0]}
        rows.append({**same[0], **times})
    return rows


def _read(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in TIMES}
