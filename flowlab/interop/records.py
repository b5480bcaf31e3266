"""One record of a history: its type, its attributes, what a person calls it, what it carries."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from flowlab.interop.decoding import (
    as_integer,
    clean,
    decode_map,
    decode_value,
    describe_failure,
    find_usage,
    short_text,
)

START: Final = "WorkflowStarted"
_SUFFIX: Final = "EventAttributes"
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
_NAME_KEYS: Final = ("signalName", "operation", "markerName", "timerId", "protocolInstanceId")
_MARKED: Final = (
    "activity_type",
    "activityType",
    "ActivityType",
    "id",
    "change-id",
    "changeId",
    "type",
)


@lru_cache(4096)
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


def type_of(record: dict[str, Any]) -> str:
    """Return a record's event type; where it is no text, its attributes' key says it.

    Example:
        >>> type_of({"eventType": 17, "timerStartedEventAttributes": {"timerId": "1"}})
        'TimerStarted'
    """
    given = record.get("eventType")
    if isinstance(given, str) and given:
        return event_type_of(given)
    key = _attributes_key(record)
    if key:
        return event_type_of(key[0].upper() + key[1:].removesuffix(_SUFFIX))
    return event_type_of("" if given is None else str(given))


def is_record(value: object) -> bool:
    """Say whether a JSON value can be the record of an event."""
    return isinstance(value, dict) and ("eventType" in value or bool(_attributes_key(value)))


def attributes_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record's attributes, an empty dict where it has none."""
    value = record.get(_attributes_key(record) or "attributes")
    return value if isinstance(value, dict) else {}


def _attributes_key(record: dict[str, Any]) -> str:
    for key, value in record.items():
        if key.endswith(_SUFFIX) and isinstance(value, dict):
            return key
    return ""


def own_name(
    record: dict[str, Any], attributes: dict[str, Any], event_type: str, *, reveal: bool
) -> str:
    """Return what a person would call an event, from its own record alone.

    Args:
        record: the record.
        attributes: its attributes.
        event_type: its type.
        reveal: whether text that was decoded from payloads may be used.

    Example:
        >>> record = {"timerStartedEventAttributes": {"timerId": "7"}}
        >>> own_name(record, attributes_of(record), "TimerStarted", reveal=True)
        '7'
    """
    if reveal and event_type != START:
        name = short_text(summary_of(record).get("summary"))
        if not name and event_type == "MarkerRecorded":
            name = _marked(attributes.get("details"))
        if name:
            return name
    for key in ("workflowType", "activityType"):
        if isinstance(attributes.get(key), dict):
            return str(attributes[key].get("name", ""))
    request = attributes.get("acceptedRequest") or attributes.get("request")
    called = request.get("input") if isinstance(request, dict) else None
    if isinstance(called, dict) and isinstance(called.get("name"), str):
        return str(called["name"])
    for key in _NAME_KEYS:
        if isinstance(attributes.get(key), str):
            return str(attributes[key])
    return ""


def summary_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the summary and the details that a person wrote beside an event, decoded."""
    metadata = record.get("userMetadata")
    if not metadata:
        return {}
    return {key: value for key, value in decode_map(metadata).items() if value}


def _marked(details: object) -> str:
    """Return what a marker marks: a local activity's type, a patch, a version's change."""
    decoded = decode_value(details) if isinstance(details, str) else decode_map(details)
    if isinstance(decoded, list):
        return short_text(decoded[0]) if decoded and isinstance(decoded[0], str) else ""
    if not isinstance(decoded, dict):
        return ""
    inner = [value for value in decoded.values() if isinstance(value, dict)]
    for part in (*inner, decoded):
        for key in _MARKED:
            value = part.get(key)
            value = value.get("name") if isinstance(value, dict) else value
            if isinstance(value, str) and value:
                return short_text(value)
    return ""


def payload_of(record: object, attributes: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Return an event's payload: the record as it came, and what stands decoded beside it."""
    payload: dict[str, Any] = {"original": record, **extra}
    attempt = as_integer(attributes.get("attempt"))
    if attempt is not None:
        payload["attempt"] = attempt
    for key, value in _carried(attributes):
        if value is not None:
            payload[key] = decode_value(value)
    details = attributes.get("details")
    if isinstance(details, dict):
        payload["details"] = decode_map(details)
    elif details is not None:
        payload["details"] = decode_value(details)
    outcome = attributes.get("outcome")
    failed = outcome.get("failure") if isinstance(outcome, dict) else None
    error = describe_failure(attributes.get("failure") or failed)
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


def _carried(attributes: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return what was given to a call and what it gave back, an update's included."""
    request, outcome = attributes.get("acceptedRequest"), attributes.get("outcome")
    called = request.get("input") if isinstance(request, dict) else None
    given = attributes.get("input")
    if given is None and isinstance(called, dict):
        given = called.get("args")
    result = attributes.get("result")
    if result is None and isinstance(outcome, dict):
        result = outcome.get("success")
    return ("input", given), ("result", result)


def workflow_id_of(records: list[dict[str, Any]], types: list[str], top: dict[str, Any]) -> str:
    """Return the workflow's id: the start event's own, or the document's; never a parent's.

    Example:
        >>> child = {"startChildWorkflowExecutionInitiatedEventAttributes": {"workflowId": "kid"}}
        >>> workflow_id_of([child], ["ChildWorkflowInitiated"], {"workflowId": "w"})
        'w'
    """
    starts = (attributes_of(r) for r, kind in zip(records, types, strict=True) if kind == START)
    described = top.get("workflowExecutionInfo")
    holders = (
        next(starts, None),
        top,
        top.get("history"),
        top.get("workflowExecution"),
        top.get("execution"),
        described.get("execution") if isinstance(described, dict) else None,
    )
    for holder in holders:
        value = holder.get("workflowId") if isinstance(holder, dict) else None
        if isinstance(value, str) and value:
            return clean(value)
    return ""
