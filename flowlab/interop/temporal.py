"""Temporal and Cadence replay histories, in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, EventLog, RunInfo, encode_payload
from flowlab.interop.agents import ActivityNames
from flowlab.interop.decoding import as_integer, clean, parse_time_ns
from flowlab.interop.records import (
    START,
    attributes_of,
    is_record,
    own_name,
    payload_of,
    summary_of,
    type_of,
    workflow_id_of,
)
from flowlab.interop.references import cause_kind, failed_calls_of, references_of
from flowlab.interop.trace import Source, Trace, UnknownFormatError, unused

SCENARIO: Final = "temporal"
_WORKER_DONE: Final = {
    "ActivityStarted",
    "ActivityCompleted",
    "ActivityFailed",
    "ActivityTimedOut",
    "ActivityCanceled",
}
_NAMED_BY: Final = (
    "acceptedEventId",
    "initiatedEventId",
    "startedEventId",
    "requestedEventId",
    "scheduledEventId",
)


def records_of(document: Any) -> tuple[list[Any], str, dict[str, Any]] | None:
    """Return a document's event records, its shape and its other top-level keys, or None."""
    if isinstance(document, list):
        records, shape, top = document, "list", {}
    elif isinstance(document, dict) and isinstance(document.get("events"), list):
        records, shape = document["events"], "events"
        top = {key: value for key, value in document.items() if key != "events"}
    elif isinstance(document, dict) and isinstance(document.get("history"), dict):
        inner = document["history"]
        if not isinstance(inner.get("events"), list):
            return None
        records, shape = inner["events"], "history"
        top = {key: value for key, value in document.items() if key != "history"}
        top["history"] = {key: value for key, value in inner.items() if key != "events"}
    else:
        return None
    # One odd record is damage in a history; a list that is mostly odd is none.
    good = sum(map(is_record, records))
    return (records, shape, top) if 2 * good > len(records) else None


def is_unknown(document: Any) -> bool:
    """Say whether a document is neither a history nor a list of them."""
    items = document if isinstance(document, list) else []
    listed = bool(items) and all(records_of(item) is not None for item in items)
    return records_of(document) is None and not listed


def decode(document: Any, source: Source) -> list[Trace]:
    """Read one history, or each of a list of them.

    Raises:
        UnknownFormatError: the document is not a history.
    """
    found = records_of(document)
    if found is not None:
        return [_trace(found, source, {})]
    histories = [records_of(item) for item in document] if isinstance(document, list) else []
    good = [item for item in histories if item is not None]
    if not good or len(good) < len(histories):
        message = (
            "not a Temporal or Cadence history: expected a list of events, or an object of one; "
            "a mapping (--mapping FILE) reads other records"
        )
        raise UnknownFormatError(message)
    if len(good) == 1:
        return [_trace(good[0], source, {"listed": True})]
    traces = []
    used: set[str] = set()
    for number, item in enumerate(good, 1):
        records, _, top = item
        events = [record for record in records if isinstance(record, dict)]
        name = workflow_id_of(events, list(map(type_of, events)), top) or str(number)
        name = unused(name, used)
        traces.append(_trace(item, source, {"execution": name}, f"{source.run_id}/{name}"))
    return traces


def _trace(
    found: tuple[list[Any], str, dict[str, Any]],
    source: Source,
    attributes: dict[str, Any],
    run_id: str = "",
) -> Trace:
    raw, shape, top = found
    records = [record if isinstance(record, dict) else {} for record in raw]
    ids = [as_integer(record.get("eventId")) for record in records]
    known = [event_id for event_id in ids if event_id is not None]
    newest_first = len(known) > 1 and known[0] > known[-1]
    order = range(len(records))
    if len(known) == len(ids):
        order = sorted(order, key=lambda row: (ids[row] or 0, -row if newest_first else row))  # type: ignore[assignment]
    elif newest_first:
        order = reversed(order)  # type: ignore[assignment]
    rows = list(order)
    # What export needs to give the file back as it was.
    attributes = {"shape": shape, **attributes}
    if source.reveal and top:
        attributes["top"] = top
    if rows != list(range(len(rows))):
        attributes["rows"] = rows
    info = RunInfo(
        namespace=source.namespace,
        run_id=run_id or source.run_id,
        scenario=SCENARIO,
        source=source.name,
        attributes=attributes,
    )
    trace = Trace(info)
    reader = _Reader(trace, source, [records[row] for row in rows], top)
    reader.read([raw[row] for row in rows])
    return trace


class _Reader:
    """Turns ordered records into events."""

    def __init__(
        self, trace: Trace, source: Source, records: list[dict[str, Any]], top: dict[str, Any]
    ) -> None:
        self._trace = trace
        self._source = source
        self._records = records
        self._ids = [as_integer(record.get("eventId")) for record in records]
        self._sequence = {
            event_id: place for place, event_id in enumerate(self._ids, 1) if event_id is not None
        }
        self._types = list(map(type_of, records))
        self._attributes = list(map(attributes_of, records))
        self._flow = workflow_id_of(records, self._types, top) or source.stem
        start = self._types.index(START) if START in self._types else 0
        kind = self._attributes[start].get("workflowType")
        named = kind.get("name") if isinstance(kind, dict) else None
        self._lane = clean(str(named or self._flow)) or self._flow
        self._activities = ActivityNames(
            records, self._attributes, self._types, reveal=source.reveal
        )
        self._names: list[str] = []
        self._ticks: dict[str, int] = {}
        self._last_ns = 0

    def read(self, originals: list[Any]) -> None:
        """Make an event of each record; the originals are the records as they came."""
        seen: set[int] = set()
        for place, (record, original) in enumerate(zip(self._records, originals, strict=True), 1):
            if not is_record(original):
                detail = f"record {place} is no event: it has neither a type nor attributes"
                self._damage(place, "record", detail)
            event_id = self._ids[place - 1]
            if event_id is None or event_id in seen:
                what = "has no id" if event_id is None else f"repeats id {event_id}"
                self._damage(place, "event_id", f"record {place} {what}")
            elif event_id != place and (event_id - 1 not in seen or not seen):
                detail = f"event id {event_id} does not follow the one before it"
                self._damage(place, "gap", detail)
            if event_id is not None:
                seen.add(event_id)
            self._trace.events.append(self._event(place, record, original))
        agents = tuple(dict.fromkeys(event.agent_id for event in self._trace.events))
        info = self._trace.info
        first_ns = self._trace.events[0].time_ns
        self._trace.info = RunInfo(
            namespace=info.namespace,
            run_id=info.run_id,
            scenario=info.scenario,
            source=info.source,
            attributes=info.attributes,
            agents=agents,
            created_ns=first_ns,
        )

    def _event(self, place: int, record: dict[str, Any], original: Any) -> Event:
        event_type, attributes = self._types[place - 1], self._attributes[place - 1]
        call = self._call(place, event_type, attributes)
        lane, extra = self._lane, summary_of(record) if self._source.reveal else {}
        if call is None:
            name = self._name(place, record, event_type, attributes)
        else:
            named = self._activities.of(call)
            name, extra = named.name, {**extra, **named.extra}
            if event_type in _WORKER_DONE:
                lane = named.lane
        self._names.append(name)
        self._ticks[lane] = self._ticks.get(lane, 0) + 1
        time_ns = _time_ns(record)
        if time_ns is None:
            self._damage(place, "time", "the event's time is absent or cannot be read")
            time_ns = self._last_ns
        self._last_ns = time_ns
        return Event(
            namespace=self._source.namespace,
            run_id=self._trace.info.run_id,
            workflow_id=self._flow,
            sequence=place,
            agent_id=lane,
            agent_sequence=self._ticks[lane],
            event_type=event_type,
            name=clean(name),
            time_ns=time_ns,
            follows_lane=False,
            causes=tuple(self._causes(place, event_type, attributes)),
            payload=encode_payload(payload_of(original, attributes, extra)),
        )

    def _name(
        self, place: int, record: dict[str, Any], event_type: str, attributes: dict[str, Any]
    ) -> str:
        """Return the name of what an event goes on with, or else its own."""
        for key in _NAMED_BY:
            if key not in attributes:
                continue
            before = self._sequence.get(as_integer(attributes[key]) or 0, place)
            if before < place and self._names[before - 1]:
                return self._names[before - 1]
        return own_name(record, attributes, event_type, reveal=self._source.reveal)

    def _call(self, place: int, event_type: str, attributes: dict[str, Any]) -> int | None:
        """Return the sequence of the activity's scheduling, for an event of an activity."""
        if not event_type.startswith("Activity"):
            return None
        if event_type == "ActivityScheduled":
            return place
        return self._sequence.get(as_integer(attributes.get("scheduledEventId")) or 0)

    def _causes(self, place: int, event_type: str, attributes: dict[str, Any]) -> Iterator[Cause]:
        named: dict[int, int] = {}
        own = self._ids[place - 1]
        for key, target in references_of(attributes):
            sequence = self._sequence.get(target)
            if sequence is None or sequence >= place or (own is not None and target >= own):
                detail = f"event {own} names {target} as its {key}, which is not before it"
                self._damage(place, "cause", detail, ref=(self._flow, target))
            else:
                named.setdefault(sequence, cause_kind(key, event_type))
        for key, target in failed_calls_of(attributes, event_type):
            sequence = self._sequence.get(target, place)
            if sequence < place:
                named.setdefault(sequence, cause_kind(key, event_type))
        for sequence, kind in named.items():
            yield Cause(self._flow, sequence, kind)
        if not named and place > 1:
            # Only ids are causes; what names none follows the start, and a task what asked for it.
            before = place - 1 if event_type == "WorkflowTaskScheduled" else 1
            yield Cause(self._flow, before, CauseKind.ASSUMED)

    def _damage(
        self, place: int, kind: str, detail: str, *, ref: tuple[str, int] | None = None
    ) -> None:
        self._trace.damage(self._flow, place, kind, detail, ref=ref)


def _time_ns(record: dict[str, Any]) -> int | None:
    """Return a record's time; a whole number is in nanoseconds, however small it is."""
    value = record.get("eventTime")
    value = record.get("timestamp") if value is None else value
    whole = as_integer(value)
    return parse_time_ns(value) if whole is None else whole


def encode(log: EventLog, info: RunInfo) -> Any:
    """Return the document that a run was imported from.

    Raises:
        InvalidArgumentError: the run was not imported whole from such a history.
    """
    events = sorted(log, key=lambda event: event.sequence)
    records = []
    for event in events:
        data = event.data
        if not isinstance(data, dict) or "original" not in data:
            message = (
                f"run {info.run_id!r} cannot be exported as temporal: {event!r} does not hold its "
                "original record (it was imported with hashed or dropped payloads, or made here)"
            )
            raise InvalidArgumentError(message)
        records.append(data["original"])
    rows = info.attributes.get("rows")
    if rows is not None:
        placed: list[Any] = [None] * len(records)
        for row, record in zip(rows, records, strict=True):
            placed[row] = record
        records = placed
    top = dict(info.attributes.get("top", {}))
    shape = info.attributes.get("shape", "events")
    document: Any = {**top, "events": records}
    if shape == "list":
        document = records
    elif shape == "history":
        document = {**top, "history": {**top.get("history", {}), "events": records}}
    return [document] if info.attributes.get("listed") else document
