"""JSON Lines and CSV by mapping: a value that says which column is what."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

from flowlab.errors import ImportFormatError, InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, RunInfo, encode_payload
from flowlab.interop.decoding import clean, parse_time_ns, short_text
from flowlab.interop.trace import Source, Trace

_GUESSES = {
    "id": ("id", "event_id", "span_id", "spanId", "uuid"),
    "workflow": ("workflow_id", "workflow", "trace_id", "traceId", "case", "session"),
    "lane": ("agent_id", "agent", "actor", "service", "worker", "host", "user", "lane"),
    "name": ("name", "activity", "action", "tool", "operation", "message"),
    "type": ("event_type", "type", "kind", "event"),
    "time": ("time", "timestamp", "ts", "time_ns", "start_time", "startTime", "date"),
    "causes": ("causes", "caused_by", "links"),
    "parent": ("parent", "parent_id", "parentSpanId", "parent_span_id"),
}


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which field of a record is what; a dotted name reaches into objects.

    Args:
        id: names the event within its run, for `causes` and `parent` to refer to.
        workflow: the stream; without it, one stream for the file.
        lane: who did it.
        name: what a person would call it.
        type: the event type; without it, `MarkerRecorded`.
        time: when.
        time_unit: `auto`, `iso`, `s`, `ms`, `us` or `ns`.
        payload: the part that is kept; without it, the whole record.
        causes: ids that the event names as its causes (a list, or a text parted by `;`).
        parent: the id of the event that it is nested in.
        order: whether each event follows the one before it in its lane.
        types: event types of the source translated to flowlab's.

    Example:
        >>> Mapping(id="span", lane="service", parent="up").time_unit
        'auto'
    """

    id: str = ""
    workflow: str = ""
    lane: str = ""
    name: str = ""
    type: str = ""
    time: str = ""
    time_unit: str = "auto"
    payload: str = ""
    causes: str = ""
    parent: str = ""
    order: bool = True
    types: tuple[tuple[str, str], ...] = ()


def load_mapping(path: str | PathLike[str]) -> Mapping:
    """Read a mapping from a TOML or JSON file.

    Raises:
        InvalidArgumentError: it is neither, or names a field that no mapping has.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:
        message = f"{path} is neither TOML nor JSON: {error}"
        raise InvalidArgumentError(message) from error
    known = {field.name for field in fields(Mapping)}
    unknown = sorted(set(data) - known)
    if unknown:
        message = f"{path} has {unknown}; a mapping has {sorted(known)}"
        raise InvalidArgumentError(message)
    if isinstance(data.get("types"), dict):
        data["types"] = tuple(sorted(data["types"].items()))
    return Mapping(**data)


def propose_mapping(path: str | PathLike[str]) -> str:
    """Return a mapping for a JSON Lines or CSV file, as TOML to edit.

    Raises:
        ImportFormatError: the file has no records with named fields.
    """
    text = Path(path).read_text(encoding="utf-8-sig")
    kind = "csv" if Path(path).suffix.lower() == ".csv" else "jsonl"
    first = next(_records(text, kind), None)
    if not isinstance(first, dict):
        message = f"{path} has no record with named fields; write a decoder of your own"
        raise ImportFormatError(message)
    lines = [f"# fields of the first record: {', '.join(map(str, first))}"]
    for field, guesses in _GUESSES.items():
        found = next((name for name in guesses if name in first), "")
        lines.append(f"{'' if found else '# '}{field} = {json.dumps(found)}")
    return "\n".join(lines) + "\n"


def decode_rows(text: str, source: Source, mapping: Mapping | None, kind: str) -> list[Trace]:
    """Read JSON Lines or CSV; the whole file is one run.

    Raises:
        ImportFormatError: there is no mapping, or a record cannot be read; the line is named.
    """
    if mapping is None:
        message = "needs a mapping (--mapping FILE); flowlab proposes one: propose_mapping(path)"
        raise ImportFormatError(message)
    info = RunInfo(
        namespace=source.namespace, run_id=source.run_id, scenario=kind, source=source.name
    )
    trace = Trace(info)
    records = list(_records(text, kind))
    places, heads = dict[str, tuple[str, int]](), dict[str, int]()
    flows = []
    for record in records:
        flow = clean(str(_at(record, mapping.workflow) or "")) or source.stem
        heads[flow] = heads.get(flow, 0) + 1
        flows.append((flow, heads[flow]))
        key = _at(record, mapping.id)
        if key is not None:
            places.setdefault(str(key), (flow, heads[flow]))
    order = {place: number for number, place in enumerate(flows)}
    ticks: dict[str, int] = {}
    for number, (record, place) in enumerate(zip(records, flows, strict=True)):
        causes = []
        for key, cause_kind in _named(record, mapping):
            cause = places.get(key)
            if cause is None or order[cause] >= number:
                detail = f"record {number + 1} names {key!r}, which is not before it"
                trace.damage(*place, "cause", detail, ref=cause)
            else:
                causes.append(Cause(*cause, cause_kind))
        lane = clean(str(_at(record, mapping.lane) or "")) or place[0]
        ticks[lane] = ticks.get(lane, 0) + 1
        fields = {"agent_id": lane, "agent_sequence": ticks[lane], "causes": tuple(causes)}
        trace.events.append(_event(record, place, fields, mapping, source=source, trace=trace))
    if not trace.events:
        message = "the file has no records"
        raise ImportFormatError(message)
    return [trace]


def _event(
    record: Any,
    place: tuple[str, int],
    given: dict[str, Any],
    mapping: Mapping,
    *,
    source: Source,
    trace: Trace,
) -> Event:
    time_ns = parse_time_ns(_at(record, mapping.time), mapping.time_unit)
    if time_ns is None and mapping.time:
        trace.damage(*place, "time", f"no time is readable in field {mapping.time!r}")
    event_type = str(_at(record, mapping.type) or "MarkerRecorded")
    kept = _at(record, mapping.payload) if mapping.payload else record
    return Event(
        namespace=source.namespace,
        run_id=source.run_id,
        workflow_id=place[0],
        sequence=place[1],
        event_type=clean(dict(mapping.types).get(event_type, event_type)),
        name=short_text(_at(record, mapping.name)) if source.reveal else "",
        time_ns=time_ns or 0,
        follows_lane=mapping.order,
        payload=encode_payload(kept),
        **given,
    )


def _records(text: str, kind: str) -> Iterator[Any]:
    if kind == "csv":
        yield from csv.DictReader(io.StringIO(text), strict=True)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            message = f"line {number} is not JSON: {error}"
            raise ImportFormatError(message) from error
        if not isinstance(record, dict):
            message = f"line {number} is not an object with named fields"
            raise ImportFormatError(message)
        yield record


def _at(record: Any, path: str) -> Any:
    if not path:
        return None
    if isinstance(record, dict) and path in record:
        return record[path]
    for part in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(part)
    return record


def _named(record: Any, mapping: Mapping) -> Iterator[tuple[str, int]]:
    value = _at(record, mapping.causes)
    if isinstance(value, str):
        value = [part.strip() for part in value.split(";")]
    for key in value if isinstance(value, list) else []:
        if key not in {"", None}:
            yield str(key), CauseKind.PROGRAM
    parent = _at(record, mapping.parent)
    if parent not in {"", None}:
        yield str(parent), CauseKind.FORK
