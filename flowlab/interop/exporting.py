"""Exporting runs to other systems' formats."""

from __future__ import annotations

import csv
import io
import json
import re
from os import PathLike
from pathlib import Path
from typing import Any, Final

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventLog, RunInfo
from flowlab.interop import shiviz, temporal
from flowlab.interop.files import SUFFIXES

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def export_log(
    log: EventLog,
    format: str,  # noqa: A002 - the word that a person uses
    destination: str | PathLike[str],
    *,
    run_id: str | None = None,
) -> list[Path]:
    """Write runs of a log in another system's format.

    A destination with a suffix is a file and takes one run; without, a folder, a file a run.

    Returns:
        The files written.

    Raises:
        InvalidArgumentError: the format is unknown, or a run does not hold what it needs.
        NotFoundError: there is no such run.
    """
    if format not in SUFFIXES:
        message = f"there is no format {format!r}; there are {', '.join(SUFFIXES)}"
        raise InvalidArgumentError(message)
    keys = sorted(
        (row["namespace"], row["run_id"])
        for row in log.table.group_by(["namespace", "run_id"]).aggregate([]).to_pylist()
        if run_id is None or row["run_id"] == run_id
    )
    if not keys:
        message = f"the log has no events of run {run_id!r}" if run_id else "the log is empty"
        raise NotFoundError(message)
    target = Path(destination)
    if target.suffix and len(keys) > 1:
        message = (
            f"{target} is one file and there are {len(keys)} runs; name a run, or give a folder"
        )
        raise InvalidArgumentError(message)
    written = []
    for namespace, run in keys:
        part = log.filter(namespace=namespace, run_id=run)
        text = _encode(part, part.run(run, namespace=namespace), format)
        name = "".join(sign if sign.isalnum() or sign in "-_. /()" else "_" for sign in run)
        safe = "/".join(piece for piece in name.split("/") if piece.strip(". ")) or "log"
        path = target if target.suffix else target / f"{safe}{SUFFIXES[format][0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _encode(log: EventLog, info: RunInfo, kind: str) -> str:
    if kind == "temporal":
        return _json(temporal.encode(log, info), indent=1) + "\n"
    if kind == "shiviz":
        return shiviz.encode(log, info)
    rows = [_row(event) for event in log.sorted()]
    if kind == "jsonl":
        return "".join(_json(row) + "\n" for row in rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        flat = {**row, "causes": ";".join(row["causes"]), "payload": json.dumps(row["payload"])}
        writer.writerow(flat)
    return out.getvalue()


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isascii() or not _LONE_SURROGATE.search(text):
        return text
    # JSON may escape half a pair, and UTF-8 has no bytes for it.
    return json.dumps(value, indent=indent)


def _row(event: Any) -> dict[str, Any]:
    data = event.data
    return {
        "id": f"{event.workflow_id}/{event.sequence}",
        "workflow_id": event.workflow_id,
        "sequence": event.sequence,
        "agent_id": event.agent_id,
        "event_type": event.event_type,
        "name": event.name,
        "time_ns": event.time_ns,
        "causes": [f"{cause.workflow_id}/{cause.sequence}" for cause in event.causes],
        "payload": data.hex() if isinstance(data, bytes) else data,
    }
