"""Importing files and folders of other systems' logs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

from flowlab.errors import FlowlabError, ImportFormatError, InvalidArgumentError, LimitError
from flowlab.events import EventLog, LogSink, grouped
from flowlab.interop import shiviz, temporal
from flowlab.interop.decoding import clean, parse_json
from flowlab.interop.files import SUFFIXES, File, find_files
from flowlab.interop.lanes import with_lanes
from flowlab.interop.mapping import Mapping, decode_document, decode_rows, propose_mapping
from flowlab.interop.privacy import PAYLOADS, hide_payloads
from flowlab.interop.report import Failed, Imported, ImportReport, Skipped
from flowlab.interop.shiviz_text import compile_pattern
from flowlab.interop.temporal import is_unknown
from flowlab.interop.trace import Source, Trace, UnknownFormatError

MAX_IMPORT_FILE_BYTES: Final = 512 * 1024 * 1024
"""Largest file that is read; a larger one is reported by name."""
CHUNK_EVENTS: Final = 100_000
"""Events of several files that are appended to a store at once."""
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class _Options:
    format: str | None
    mapping: Mapping | None
    pattern: str | None
    lane: str | None
    payloads: str
    namespace: str


def import_log(
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    format: str | None = None,  # noqa: A002 - the word that a person uses
    mapping: Mapping | None = None,
    pattern: str | None = None,
    lane: str | None = None,
    payloads: str = "keep",
    namespace: str = "default",
    store: LogSink | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Read files and folders of logs; one bad file does not stop the others.

    Args:
        paths: files or folders (read with everything below them, in order).
        format: take only files with this format's suffixes, as this format: `temporal`, `shiviz`,
            `jsonl` or `csv`. Without it the content decides.
        mapping: how to read JSON Lines and CSV.
        pattern: a regular expression with the groups host, clock and event, for ShiViz logs.
        lane: an SQL expression over an event's columns that gives its lane.
        payloads: `keep`, `hash` (SHA-256 in their place) or `drop`; the latter two take no names
            from payloads either.
        namespace: of the runs.
        store: where to append; without it the report holds the log.
        progress: called with (files done, files, name).

    Returns:
        An ImportReport; damage found in the files is in the log's anomalies.

    Raises:
        InvalidArgumentError: an option is wrong.
        QueryError: the lane expression is refused.
    """
    if format is not None and format not in SUFFIXES:
        message = f"there is no format {format!r}; there are {', '.join(SUFFIXES)}"
        raise InvalidArgumentError(message)
    if payloads not in PAYLOADS:
        message = f"payloads is {payloads!r}; expected one of {', '.join(PAYLOADS)}"
        raise InvalidArgumentError(message)
    if pattern is not None:
        compile_pattern(pattern)
    if lane is not None:
        with_lanes(EventLog.from_events([]), lane)
    given = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    options = _Options(format, mapping, pattern, lane, payloads, namespace)
    report = ImportReport()
    files = list(find_files([Path(path) for path in given], report))
    waiting: list[tuple[Imported, EventLog]] = []
    held = 0
    taken: dict[str, str] = {}
    kept: list[EventLog] = []
    for number, file in enumerate(files):
        if progress is not None:
            progress(number, len(files), file.name)
        found = _read_file(file, report, options, taken)
        if found is not None:
            waiting.append(found)
            held += len(found[1])
        if held >= CHUNK_EVENTS:
            kept += _flush(waiting, store, report)
            waiting, held = [], 0
    kept += _flush(waiting, store, report)
    if store is None:
        report.log = EventLog.concat(kept)
    if progress is not None:
        progress(len(files), len(files), "")
    return report


def _read_file(
    file: File, report: ImportReport, options: _Options, taken: dict[str, str]
) -> tuple[Imported, EventLog] | None:
    reason = file.reason or _skip(file, options)
    if reason:
        report.skipped.append(Skipped(file.name, reason))
        return None
    run_id = clean(file.name.removesuffix(file.path.suffix or ""))
    source = Source(clean(file.name), run_id, options.namespace, reveal=options.payloads == "keep")
    try:
        traces = _decode(file.path, source, options)
        for trace in traces:
            other = taken.get(trace.info.run_id)
            if other is not None:
                message = f"its run {trace.info.run_id!r} was read from {other} already; rename it"
                raise ImportFormatError(message)
        log = EventLog.concat(trace.log() for trace in traces)
        log = hide_payloads(log, options.payloads)
        if options.lane is not None:
            log = with_lanes(log, options.lane)
    except (FlowlabError, OSError, UnicodeError, RecursionError, csv.Error) as error:
        proposal = ""
        if file.alone and isinstance(error, UnknownFormatError):
            proposal = _proposal(file.path)
        report.failed.append(Failed(source.name, _why(error), proposal))
        return None
    runs = tuple(trace.info.run_id for trace in traces)
    taken.update(dict.fromkeys(runs, source.name))
    return Imported(source.name, runs, len(log), log.anomalies.num_rows), log


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror}"
    return "nested too deeply to read" if isinstance(error, RecursionError) else str(error)


def _proposal(path: Path) -> str:
    try:
        return propose_mapping(path)
    except (FlowlabError, OSError, ValueError, csv.Error):
        return ""


def _skip(file: File, options: _Options) -> str:
    suffix = file.path.suffix.lower()
    if options.format is not None and not file.only and suffix not in SUFFIXES[options.format]:
        return f"its suffix is not one of {options.format} ({', '.join(SUFFIXES[options.format])})"
    if options.format is not None or file.alone:
        return ""
    tables = (*SUFFIXES["jsonl"], *SUFFIXES["csv"])
    if suffix in tables and options.mapping is None:
        return "a table is taken from a folder only with a mapping (--mapping)"
    if suffix not in {s for suffixes in SUFFIXES.values() for s in suffixes}:
        return "its suffix is of no format that is read"
    return ""


def _decode(path: Path, source: Source, options: _Options) -> list[Trace]:
    size = path.stat().st_size
    if size > MAX_IMPORT_FILE_BYTES:
        message = (
            f"the file has {grouped(size)} bytes; MAX_IMPORT_FILE_BYTES is "
            f"{grouped(MAX_IMPORT_FILE_BYTES)}: split it"
        )
        raise LimitError(message)
    data = path.read_bytes()
    if not data.strip():
        message = "the file is empty"
        raise ImportFormatError(message)
    kind = options.format or _recognise(path, data, options)
    if kind == "temporal":
        document = parse_json(data)
        if options.mapping is None or options.format is not None or not is_unknown(document):
            return temporal.decode(document, source)
        return decode_document(document, source, options.mapping)
    text = _text(data)
    if kind == "shiviz":
        return shiviz.decode(text, source, pattern=options.pattern)
    return decode_rows(text, source, options.mapping, kind)


def _recognise(path: Path, data: bytes, options: _Options) -> str:
    suffix = path.suffix.lower()
    if options.pattern is not None:
        return "shiviz"
    if suffix in SUFFIXES["temporal"]:
        return "temporal"
    if suffix in SUFFIXES["csv"]:
        return "csv"
    if suffix in SUFFIXES["jsonl"]:
        return "jsonl"
    if suffix in SUFFIXES["shiviz"] or data.lstrip()[:1] not in {b"{", b"["}:
        if shiviz.looks_like(_text(data)):
            return "shiviz"
        if options.mapping is not None:
            return "jsonl"
        message = "of no format that is known; give --as, --pattern or --mapping"
        raise UnknownFormatError(message)
    return "temporal" if options.mapping is None else "jsonl"


def _text(data: bytes) -> str:
    if b"\0" in data[:4096]:
        message = "the file is binary; expected text in UTF-8"
        raise ImportFormatError(message)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte {error.start} is {data[error.start]:#04x}"
        raise ImportFormatError(message) from error


def _flush(
    waiting: list[tuple[Imported, EventLog]], store: LogSink | None, report: ImportReport
) -> list[EventLog]:
    if not waiting:
        return []
    logs = [log for _, log in waiting]
    if store is None:
        report.imported += [item for item, _ in waiting]
        return logs
    try:
        store.append_log(EventLog.concat(logs))
        report.imported += [item for item, _ in waiting]
    except ValueError:
        # One refused log must not take the others with it.
        for item, log in waiting:
            try:
                store.append_log(log)
                report.imported.append(item)
            except ValueError as error:
                report.failed.append(Failed(item.file, _refused(item, error)))
    return []


def _refused(item: Imported, error: ValueError) -> str:
    if "duplicate id" not in str(error):
        return str(error)
    return (
        f"the store has events of its run already ({', '.join(map(repr, item.runs[:3]))}): was it "
        f"imported before? A namespace of its own keeps both apart. {error}"
    )
