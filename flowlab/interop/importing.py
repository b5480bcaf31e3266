"""Importing files and folders of other systems' logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Final

import pyarrow as pa

from flowlab.errors import FlowlabError, ImportFormatError, InvalidArgumentError, LimitError
from flowlab.events import EventLog, LogSink, connect, run_query
from flowlab.interop import shiviz, temporal
from flowlab.interop.decoding import parse_json
from flowlab.interop.mapping import Mapping, decode_rows
from flowlab.interop.privacy import PAYLOADS, hide_payloads
from flowlab.interop.trace import Source, Trace

MAX_IMPORT_FILE_BYTES: Final = 512 * 1024 * 1024
"""Largest file that is read; a larger one is reported by name."""
CHUNK_EVENTS: Final = 100_000
"""Events of several files that are appended to a store at once."""
SUFFIXES: Final = {
    "temporal": (".json",),
    "shiviz": (".log",),
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
}
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """A file that was read."""

    file: str
    runs: tuple[str, ...]
    events: int
    anomalies: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, which is no error."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that could not be read."""

    file: str
    error: str


@dataclass(slots=True)
class ImportReport:
    """What an import did.

    Args:
        imported, skipped, failed: the files.
        log: everything that was read, None where it went to a store.
    """

    imported: list[Imported] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    log: EventLog | None = None

    @property
    def events(self) -> int:
        """How many events were imported."""
        return sum(item.events for item in self.imported)

    @property
    def anomalies(self) -> int:
        """How much damage was recorded."""
        return sum(item.anomalies for item in self.imported)

    def __repr__(self) -> str:
        return (
            f"ImportReport({_counted(len(self.imported), 'file')}, "
            f"{_counted(self.events, 'event')}, "
            f"{len(self.skipped)} skipped, {len(self.failed)} failed)"
        )

    def __str__(self) -> str:
        runs = sum(len(item.runs) for item in self.imported)
        parts = ((runs, "run"), (self.events, "event"), (self.anomalies, "anomaly"))
        counts = ", ".join(_counted(number, noun) for number, noun in parts)
        lines = [f"{_counted(len(self.imported), 'file')} imported: {counts}"]
        lines += [
            f"damaged: {item.file}: {_counted(item.anomalies, 'anomaly')} (SELECT * FROM anomalies)"
            for item in self.imported
            if item.anomalies
        ]
        lines += [f"skipped: {item.file}: {item.reason}" for item in self.skipped]
        lines += [f"failed: {item.file}: {item.error}" for item in self.failed]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Options:
    as_: str | None
    mapping: Mapping | None
    pattern: str | None
    lane: str | None
    payloads: str
    namespace: str


def import_log(
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    as_: str | None = None,
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
        as_: take only files with this format's suffixes, as this format: `temporal`, `shiviz`,
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
    if as_ is not None and as_ not in SUFFIXES:
        message = f"there is no format {as_!r}; there are {', '.join(SUFFIXES)}"
        raise InvalidArgumentError(message)
    if payloads not in PAYLOADS:
        message = f"payloads is {payloads!r}; expected one of {', '.join(PAYLOADS)}"
        raise InvalidArgumentError(message)
    given = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    options = _Options(as_, mapping, pattern, lane, payloads, namespace)
    report = ImportReport()
    files = list(_files([Path(path) for path in given], report))
    waiting: list[tuple[Imported, EventLog]] = []
    taken: dict[str, str] = {}
    kept: list[EventLog] = []
    for number, (path, name, alone) in enumerate(files):
        if progress is not None:
            progress(number, len(files), name)
        found = _read_file(path, name, report, options, taken, alone=alone)
        if found is not None:
            waiting.append(found)
        if sum(len(log) for _, log in waiting) >= CHUNK_EVENTS:
            kept += _flush(waiting, store, report)
            waiting = []
    kept += _flush(waiting, store, report)
    if store is None:
        report.log = EventLog.concat(kept)
    if progress is not None:
        progress(len(files), len(files), "")
    return report


def _files(paths: list[Path], report: ImportReport) -> Iterator[tuple[Path, str, bool]]:
    for path in paths:
        if path.is_dir():
            for below in sorted(path.rglob("*")):
                if below.is_file():
                    yield below, below.relative_to(path).as_posix(), False
        elif path.is_file():
            yield path, path.name, True
        else:
            report.failed.append(Failed(str(path), "there is no such file or folder"))


def _read_file(
    path: Path,
    name: str,
    report: ImportReport,
    options: _Options,
    taken: dict[str, str],
    *,
    alone: bool,
) -> tuple[Imported, EventLog] | None:
    reason = _skip(path, options, alone=alone)
    if reason:
        report.skipped.append(Skipped(name, reason))
        return None
    suffix = path.suffix or ""
    source = Source(
        name, name.removesuffix(suffix), options.namespace, reveal=options.payloads == "keep"
    )
    try:
        traces = _decode(path, source, options)
        for trace in traces:
            other = taken.get(trace.info.run_id)
            if other is not None:
                message = f"its run {trace.info.run_id!r} was read from {other} already; rename it"
                raise ImportFormatError(message)
        log = EventLog.concat(trace.log() for trace in traces)
        log = hide_payloads(log, options.payloads)
        if options.lane is not None:
            log = _with_lanes(log, options.lane)
    except (FlowlabError, OSError, UnicodeError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        report.failed.append(Failed(name, str(error)))
        return None
    runs = tuple(trace.info.run_id for trace in traces)
    taken.update(dict.fromkeys(runs, name))
    return Imported(name, runs, len(log), log.anomalies.num_rows), log


def _skip(path: Path, options: _Options, *, alone: bool) -> str:
    suffix = path.suffix.lower()
    if options.as_ is not None and suffix not in SUFFIXES[options.as_]:
        return f"its suffix is not one of {options.as_} ({', '.join(SUFFIXES[options.as_])})"
    if options.as_ is not None or alone:
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
            f"the file has {size:,} bytes; MAX_IMPORT_FILE_BYTES is {MAX_IMPORT_FILE_BYTES:,}: "
            "split it"
        )
        raise LimitError(message)
    data = path.read_bytes()
    if not data.strip():
        message = "the file is empty"
        raise ImportFormatError(message)
    kind = options.as_ or _recognise(path, data, options)
    if kind == "temporal":
        return temporal.decode(parse_json(data), source)
    text = _text(data)
    if kind == "shiviz":
        return shiviz.decode(text, source, pattern=options.pattern)
    return decode_rows(text, source, options.mapping, kind)


def _recognise(path: Path, data: bytes, options: _Options) -> str:
    suffix = path.suffix.lower()
    if options.mapping is not None:
        return "csv" if suffix == ".csv" else "jsonl"
    if options.pattern is not None:
        return "shiviz"
    if suffix in SUFFIXES["csv"]:
        return "csv"
    if suffix in SUFFIXES["jsonl"]:
        return "jsonl"
    if suffix == ".log" or data.lstrip()[:1] not in {b"{", b"["}:
        if shiviz.looks_like(_text(data)):
            return "shiviz"
        message = "of no format that is known; give --as, --pattern or --mapping"
        raise ImportFormatError(message)
    return "temporal"


def _text(data: bytes) -> str:
    if b"\0" in data[:4096]:
        message = "the file is binary; expected text in UTF-8"
        raise ImportFormatError(message)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte {error.start} is {data[error.start]:#04x}"
        raise ImportFormatError(message) from error


def _with_lanes(log: EventLog, expression: str) -> EventLog:
    """Give each event the lane that an SQL expression says; ticks follow the rows."""
    rows = pa.array(range(len(log)), pa.int64())
    index = log.table.schema.get_field_index("position")
    numbered = log.table.set_column(index, log.table.schema.field(index), rows)
    query = (
        f"SELECT coalesce(CAST(({expression}) AS VARCHAR), agent_id) AS lane "
        "FROM events ORDER BY position"
    )
    with connect(EventLog(numbered, log.runs, log.anomalies)) as connection:
        lanes = run_query(connection, query).column("lane").to_pylist()
    ticks: dict[str, int] = {}
    events = []
    for event, lane in zip(log, lanes, strict=True):
        lane = lane or event.agent_id  # noqa: PLW2901
        ticks[lane] = ticks.get(lane, 0) + 1
        events.append(event.replace(agent_id=lane, agent_sequence=ticks[lane], follows_lane=False))
    return EventLog(EventLog.from_events(events).table, log.runs, log.anomalies)


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
                report.failed.append(Failed(item.file, str(error)))
    return []


def _counted(number: int, noun: str) -> str:
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else many}".replace(",", " ")
