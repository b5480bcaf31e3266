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
from typing import Any, Final

from flowlab.errors import ImportFormatError, InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, RunInfo, encode_payload
from flowlab.interop.decoding import clean, parse_json, parse_time_ns, short_text
from flowlab.interop.trace import Source, Trace, UnknownFormatError

_ABSENT: Final = object()
_SHOWN_NAMES: Final = 20
TIME_UNITS: Final = ("auto", "iso", "s", "ms", "us", "ns")
_GUESSES: Final = {
    "id": ("id", "event_id", "eventId", "span_id", "spanId", "spanID", "uuid", "_id"),
    "workflow": ("workflow_id", "workflow", "trace_id", "traceId", "traceID", "case", "session"),
    "lane": (
        *("agent_id", "agent", "actor", "service", "serviceName", "worker", "host", "user"),
        *("lane", "node", "component", "role", "source"),
    ),
    "name": ("name", "activity", "action", "tool", "operation", "operationName", "op", "message"),
    "type": ("event_type", "type", "kind", "event"),
    "time": (
        *("time", "timestamp", "ts", "time_ns", "start_time", "startTime", "startTimeUnixNano"),
        *("date", "created_at", "at"),
    ),
    "causes": ("causes", "caused_by", "links"),
    "parent": ("parent", "parent_id", "parentId", "parentSpanId", "parent_span_id"),
}
_MEANINGS: Final = {
    "id": "names the event, for causes and parent to refer to",
    "workflow": "the stream; without it, one for the file",
    "lane": "who did it",
    "name": "what a person would call it",
    "type": "the event type; a table [types] translates it",
    "time": "when",
    "causes": "ids of the events that caused it: a list, or a text parted by ;",
    "parent": "id of the event that it is nested in",
}


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which field of a record is what; a dotted name reaches into objects.

    Args:
        rows: in a JSON document, where the records are: a dotted name that goes through lists;
            without it, the document itself is the list.
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

    rows: str = ""
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
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        message = f"the mapping {path} cannot be read: {error}"
        raise InvalidArgumentError(message) from error
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:
        message = f"{path} is neither TOML nor JSON: {error}"
        raise InvalidArgumentError(message) from error
    if not isinstance(data, dict):
        message = f"{path} holds no table of fields"
        raise InvalidArgumentError(message)
    known = {field.name for field in fields(Mapping)}
    unknown = sorted(set(data) - known)
    if unknown:
        message = f"{path} has {unknown}; a mapping has {sorted(known)}"
        raise InvalidArgumentError(message)
    if isinstance(data.get("types"), dict):
        data["types"] = tuple(sorted((key, str(value)) for key, value in data["types"].items()))
    for field in fields(Mapping):
        value, expected = data.get(field.name), type(field.default)
        if value is not None and not isinstance(value, expected):
            named = {"str": "a text", "bool": "true or false", "tuple": "a table of texts"}
            message = f"{path}: {field.name} is {value!r}; expected {named[expected.__name__]}"
            raise InvalidArgumentError(message)
    if data.get("time_unit", "auto") not in TIME_UNITS:
        message = f"{path}: time_unit is {data['time_unit']!r}; expected one of {TIME_UNITS}"
        raise InvalidArgumentError(message)
    return Mapping(**data)


def propose_mapping(path: str | PathLike[str]) -> str:
    """Return a mapping for a JSON, JSON Lines or CSV file, as TOML to edit.

    Raises:
        ImportFormatError: the file has no records with named fields.
    """
    data = Path(path).read_bytes()
    suffix = Path(path).suffix.lower()
    rows, first = "", None
    if suffix == ".json":
        rows, first = _first_rows(parse_json(data), "")
    else:
        text = data.decode("utf-8-sig")
        first = next(_records(text, "csv" if suffix == ".csv" else "jsonl"), None)
    if not isinstance(first, dict):
        message = f"{path} has no record with named fields; write a decoder of your own"
        raise ImportFormatError(message)
    names = list(_field_names(first))
    lines = [f"# fields of the first record: {', '.join(map(_one_line, names))}"]
    if rows:
        lines.append(f"rows = {json.dumps(rows)}")
    for field, guesses in _GUESSES.items():
        ends = {name.rpartition(".")[2]: name for name in reversed(names)}
        found = next((name for name in guesses if name in names), "")
        found = found or next((ends[name] for name in guesses if name in ends), "")
        assignment = f"{'' if found else '# '}{field} = {json.dumps(found)}"
        lines.append(f"{assignment}  # {_MEANINGS[field]}")
    return "\n".join(lines) + "\n"


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _first_rows(value: Any, path: str, depth: int = 0) -> tuple[str, Any]:
    """Return where the records lie deepest, by the first of each list, and the first of them."""
    if depth > _PROPOSED_ROWS:
        return path, None
    if isinstance(value, list):
        first = next((item for item in value if isinstance(item, dict)), None)
        if first is None:
            return path, None
        inner = _first_rows(first, path, depth + 1)
        return inner if inner[1] is not None and len(inner[1]) > len(first) else (path, first)
    for key, item in value.items() if isinstance(value, dict) else ():
        found = _first_rows(item, f"{path}.{key}" if path else key, depth + 1)
        if found[1] is not None:
            return found
    return path, None


def _field_names(record: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    for key, value in record.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict) and depth < _PROPOSED_DEPTH:
            yield from _field_names(value, f"{prefix}{key}.", depth + 1)


_PROPOSED_DEPTH: Final = 3
_PROPOSED_ROWS: Final = 20


def decode_document(document: Any, source: Source, mapping: Mapping) -> list[Trace]:
    """Read the records that a mapping finds in a JSON document; the whole file is one run.

    Raises:
        ImportFormatError: there are none.
    """
    found = [document]
    for part in mapping.rows.split(".") if mapping.rows else ():
        inner = [item.get(part) for item in _flat(found) if isinstance(item, dict)]
        found = [item for item in inner if item is not None]
    records = list(_flat(found))
    odd = sum(not isinstance(record, dict) for record in records)
    if odd or not records:
        where = f"at {mapping.rows!r}" if mapping.rows else "in the document (is `rows` missing?)"
        message = f"{odd} of {len(records)} records {where} have named fields missing"
        raise ImportFormatError(message)
    return [_trace(records, source, mapping, "json")]


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def decode_rows(text: str, source: Source, mapping: Mapping | None, kind: str) -> list[Trace]:
    """Read JSON Lines or CSV; the whole file is one run.

    Raises:
        ImportFormatError: there is no mapping, or a record cannot be read; the line is named.
    """
    if mapping is None:
        message = (
            "needs a mapping (--mapping FILE, docs/mapping.md); "
            "flowlab.interop.propose_mapping(path) proposes one"
        )
        raise UnknownFormatError(message)
    records = list(_records(text, kind))
    if kind == "csv" and records:
        unknown = [
            name for name in _columns(mapping).values() if _at(records[0], name, _ABSENT) is _ABSENT
        ]
        if unknown:
            message = f"the header has no {unknown[0]!r}, which the mapping names"
            if source.reveal:
                names = list(records[0])
                more = ", ..." if len(names) > _SHOWN_NAMES else ""
                message += f"; it has {', '.join(map(repr, names[:_SHOWN_NAMES]))}{more}"
            raise ImportFormatError(message)
    return [_trace(records, source, mapping, kind)]


def _columns(mapping: Mapping) -> dict[str, str]:
    """Return the fields of a mapping that name a field of the records, and what they name."""
    named = {field.name: getattr(mapping, field.name) for field in fields(Mapping)}
    others = {"rows", "time_unit", "order", "types"}
    return {field: name for field, name in named.items() if name and field not in others}


def _trace(records: list[Any], source: Source, mapping: Mapping, kind: str) -> Trace:
    info = RunInfo(
        namespace=source.namespace, run_id=source.run_id, scenario=kind, source=source.name
    )
    trace = Trace(info)
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
                named = repr(key) if source.reveal else "another"
                detail = f"record {number + 1} names {named}, which is not before it"
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
    # Records of JSON leave out what they do not have: a file of roots has no causes and parents.
    for field, name in _columns(mapping).items():
        if field not in {"causes", "parent"} and all(
            _at(record, name, _ABSENT) is _ABSENT for record in records
        ):
            detail = f"no record has a field {name!r}, which the mapping names as {field}"
            trace.damage(*flows[0], "field", detail)
    return trace


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
        yield from _table(text)
        return
    for number, line in enumerate(text.split("\n"), 1):
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


def _table(text: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for record in reader:
            if None in record:
                message = (
                    f"line {reader.line_num} has more cells than the header has names "
                    f"({len(reader.fieldnames or ())})"
                )
                raise ImportFormatError(message)
            yield record
    except csv.Error as error:
        message = f"line {reader.line_num} is not CSV: {error}"
        raise ImportFormatError(message) from error


def _at(record: Any, path: str, absent: Any = None) -> Any:
    """Return what a dotted name leads to; a key that has dots itself is found too."""
    if not path or not isinstance(record, dict):
        return absent
    if path in record:
        return record[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        key = ".".join(parts[:length])
        if key in record:
            return _at(record[key], ".".join(parts[length:]), absent)
    return absent


def _named(record: Any, mapping: Mapping) -> Iterator[tuple[str, int]]:
    value = _at(record, mapping.causes)
    if isinstance(value, str):
        value = [part.strip() for part in value.split(";")]
    elif value is not None and not isinstance(value, list):
        value = [value]
    for key in value or []:
        if isinstance(key, (str, int)) and key != "":
            yield str(key), CauseKind.PROGRAM
    parent = _at(record, mapping.parent)
    if isinstance(parent, (str, int)) and parent != "":
        yield str(parent), CauseKind.FORK
