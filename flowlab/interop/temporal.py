"""Temporal and Cadence replay histories, in and out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from flowlab.errors import ImportFormatError, InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, EventLog, RunInfo, encode_payload
from flowlab.interop.agents import ActivityNames
from flowlab.interop.decoding import (
    as_integer,
    clean,
    decode_value,
    describe_failure,
    find_usage,
    parse_time_ns,
)
from flowlab.interop.trace import Source, Trace

SCENARIO: Final = "temporal"
CAUSE_KEYS: Final = (
    "scheduledEventId",
    "startedEventId",
    "initiatedEventId",
    "workflowTaskCompletedEventId",
    "decisionTaskCompletedEventId",
    "acceptedEventId",
)
_ELSEWHERE: Final = {"parentInitiatedEventId", "externalInitiatedEventId"}
_RENAMED: Final = (
    (r"^DecisionTask", "WorkflowTask"),
    (r"^ActivityTask", "Activity"),
    (r"^NexusOperation", "Operation"),
    (r"^WorkflowExecutionSignaled$", "Signaled"),
    (r"^WorkflowExecutionUpdate", "Update"),
    (r"^WorkflowExecution", "Workflow"),
    (r"^StartChildWorkflowExecution", "ChildWorkflow"),
    (r"^ChildWorkflowExecution", "ChildWorkflow"),
    (r"^SignalExternalWorkflowExecutionInitiated$", "SignalInitiated"),
    (r"^SignalExternalWorkflowExecutionFailed$", "SignalDeliveryFailed"),
    (r"^ExternalWorkflowExecutionSignaled$", "SignalDelivered"),
    (r"^RequestCancelExternalWorkflowExecutionInitiated$", "CancelInitiated"),
    (r"^RequestCancelExternalWorkflowExecutionFailed$", "CancelDeliveryFailed"),
    (r"^ExternalWorkflowExecutionCancelRequested$", "CancelDelivered"),
)
_WORKER_DONE: Final = {
    "ActivityStarted",
    "ActivityCompleted",
    "ActivityFailed",
    "ActivityTimedOut",
    "ActivityCanceled",
}


def event_type_of(text: str) -> str:
    """Translate either spelling of an event type to flowlab's vocabulary.

    Example:
        >>> event_type_of("EVENT_TYPE_TIMER_FIRED"), event_type_of("DecisionTaskStarted")
        ('TimerFired', 'WorkflowTaskStarted')
    """
    if text.startswith("EVENT_TYPE_"):
        words = text.removeprefix("EVENT_TYPE_").split("_")
        text = "".join(word.capitalize() for word in words)
    for pattern, name in _RENAMED:
        text, count = re.subn(pattern, name, text)
        if count:
            break
    return clean(text) or "Unknown"


def records_of(document: Any) -> tuple[list[dict[str, Any]], str, dict[str, Any]] | None:
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
    good = all(isinstance(record, dict) and "eventType" in record for record in records)
    return (records, shape, top) if good and records else None


def decode(document: Any, source: Source) -> Trace:
    """Read one history.

    Raises:
        ImportFormatError: the document is not a history.
    """
    found = records_of(document)
    if found is None:
        message = (
            "not a Temporal or Cadence history: expected a list of events, or an object of one"
        )
        raise ImportFormatError(message)
    records, shape, top = found
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
    attributes: dict[str, Any] = {"shape": shape}
    if source.reveal and top:
        attributes["top"] = top
    if rows != list(range(len(rows))):
        attributes["rows"] = rows
    info = RunInfo(
        namespace=source.namespace,
        run_id=source.run_id,
        scenario=SCENARIO,
        source=source.name,
        attributes=attributes,
    )
    trace = Trace(info)
    _Reader(trace, source, [records[row] for row in rows], top).read()
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
        self._flow = _workflow_id(records, top) or source.stem
        self._types = [event_type_of(str(record.get("eventType"))) for record in records]
        start = _attributes(records[0])
        kind = start.get("workflowType")
        named = kind.get("name") if isinstance(kind, dict) else None
        self._lane = clean(str(named or self._flow)) or self._flow
        self._names = ActivityNames(records, self._types, reveal=source.reveal)
        self._ticks: dict[str, int] = {}
        self._last_ns = 0

    def read(self) -> None:
        seen: set[int] = set()
        for place, record in enumerate(self._records, 1):
            event_id = self._ids[place - 1]
            if event_id is None or event_id in seen:
                what = "has no id" if event_id is None else f"repeats id {event_id}"
                self._damage(place, "event_id", f"record {place} {what}")
            elif event_id != place and (event_id - 1 not in seen or not seen):
                detail = f"event id {event_id} does not follow the one before it"
                self._damage(place, "gap", detail)
            if event_id is not None:
                seen.add(event_id)
            self._trace.events.append(self._event(place, record))
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

    def _event(self, place: int, record: dict[str, Any]) -> Event:
        event_type = self._types[place - 1]
        attributes = _attributes(record)
        call = self._call(place, event_type, attributes)
        named = self._names.of(call)
        lane, name = self._lane, self._plain_name(attributes)
        if call is not None:
            name = named.name
            if event_type in _WORKER_DONE:
                lane = named.lane
        self._ticks[lane] = self._ticks.get(lane, 0) + 1
        time_ns = parse_time_ns(record.get("eventTime", record.get("timestamp")))
        if time_ns is None:
            self._damage(place, "time", "the event's time is absent or cannot be read")
            time_ns = self._last_ns
        self._last_ns = time_ns
        return Event(
            namespace=self._source.namespace,
            run_id=self._source.run_id,
            workflow_id=self._flow,
            sequence=place,
            agent_id=lane,
            agent_sequence=self._ticks[lane],
            event_type=event_type,
            name=clean(name),
            time_ns=time_ns,
            follows_lane=False,
            causes=tuple(self._causes(place, record, event_type)),
            payload=encode_payload(_payload(record, attributes, named.extra)),
        )

    def _call(self, place: int, event_type: str, attributes: dict[str, Any]) -> int | None:
        """Return the sequence of the activity's scheduling, for an event of an activity."""
        if not event_type.startswith("Activity"):
            return None
        if event_type == "ActivityScheduled":
            return place
        return self._sequence.get(as_integer(attributes.get("scheduledEventId")) or 0)

    @staticmethod
    def _plain_name(attributes: dict[str, Any]) -> str:
        for key in ("workflowType", "activityType"):
            if isinstance(attributes.get(key), dict):
                return str(attributes[key].get("name", ""))
        for key in ("signalName", "markerName", "timerId", "operation", "protocolInstanceId"):
            if isinstance(attributes.get(key), str):
                return str(attributes[key])
        return ""

    def _causes(self, place: int, record: dict[str, Any], event_type: str) -> Iterator[Cause]:
        named: dict[int, int] = {}
        for key, target in _references(record):
            kind = _kind(key, event_type)
            own = self._ids[place - 1]
            sequence = self._sequence.get(target)
            if sequence is None or sequence >= place or (own is not None and target >= own):
                detail = f"event {own} names {target} as its {key}, which is not before it"
                self._damage(place, "cause", detail, ref=(self._flow, target))
            else:
                named.setdefault(sequence, kind)
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


def _attributes(record: dict[str, Any]) -> dict[str, Any]:
    for key, value in record.items():
        if key.endswith("EventAttributes") and isinstance(value, dict):
            return value
    value = record.get("attributes")
    return value if isinstance(value, dict) else {}


def _workflow_id(records: list[dict[str, Any]], top: dict[str, Any]) -> str:
    holders = (_attributes(records[0]), top, top.get("history"), top.get("workflowExecution"))
    for holder in holders:
        if not isinstance(holder, dict):
            continue
        for value in (holder.get("workflowId"), holder.get("workflow_id")):
            if isinstance(value, str) and value:
                return clean(value)
    return ""


def _references(value: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield every (key, id) by which a record names another event of its history."""
    if depth > 12:  # noqa: PLR2004 - deeper than any history nests its attributes
        return
    if isinstance(value, list):
        for item in value:
            yield from _references(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key.endswith("EventId") and key not in _ELSEWHERE:
                target = as_integer(item)
                if target is not None and target > 0:
                    yield key, target
            elif isinstance(item, (dict, list)) and key not in {"input", "result", "header"}:
                yield from _references(item, depth + 1)


def _kind(key: str, event_type: str) -> int:
    if key == "startedEventId" and event_type.startswith("Timer"):
        return CauseKind.TIMER
    if key in {"scheduledEventId", "initiatedEventId"}:
        if event_type.endswith("Started"):
            return CauseKind.FORK
        if event_type.startswith(("ChildWorkflow", "Signal", "Cancel", "Operation")):
            return CauseKind.JOIN
    return CauseKind.PROGRAM


def _payload(
    record: dict[str, Any], attributes: dict[str, Any], extra: dict[str, Any]
) -> dict[str, Any]:
    payload: dict[str, Any] = {"original": record, **extra}
    attempt = as_integer(attributes.get("attempt"))
    if attempt is not None:
        payload["attempt"] = attempt
    for key in ("input", "result"):
        if attributes.get(key) is not None:
            payload[key] = decode_value(attributes[key])
    error = describe_failure(attributes.get("failure"))
    if error is None and isinstance(attributes.get("reason"), str):
        error = {"message": attributes["reason"]}
    if error:
        payload["error"] = error
    usage = find_usage(payload.get("result"))
    if usage:
        payload["usage"] = usage
    if isinstance(attributes.get("identity"), str):
        payload["worker"] = attributes["identity"]
    return payload


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
    if shape == "list":
        return records
    if shape == "history":
        return {**top, "history": {**top.get("history", {}), "events": records}}
    return {**top, "events": records}
