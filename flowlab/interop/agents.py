"""Names and lanes of activities: what a person would call them, from inside their payloads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from flowlab.interop.decoding import clean, decode_map, decode_value, parse_json, short_text

MAX_LANE_CHARS: Final = 48


@dataclass(frozen=True, slots=True)
class Named:
    """How to show one activity.

    Args:
        name: of the call.
        lane: who does it.
        extra: what its payload says besides: summary, agent, instructions, tools.
    """

    name: str = ""
    lane: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class ActivityNames:
    """Names every activity of one history.

    A call of a language model is named by its summary, and its lane is the agent: the tool under
    whose name it was asked for, or else its instructions. Other activities are their type.
    """

    def __init__(self, records: list[dict[str, Any]], types: list[str], *, reveal: bool) -> None:
        self._named: dict[int, Named] = {}
        asked: dict[str, str] = {}
        labels: dict[str, str] = {}
        for place, (record, kind) in enumerate(zip(records, types, strict=True), 1):
            attributes = _attributes(record)
            if kind == "ActivityScheduled":
                self._named[place] = _name(record, attributes, asked, labels, reveal=reveal)
            elif kind == "ActivityCompleted" and reveal:
                calls = _tool_calls(decode_value(attributes.get("result")))
                asked |= {argument: tool for tool, argument in calls}

    def of(self, place: int | None) -> Named:
        """Return the naming of the activity scheduled at a sequence."""
        return self._named.get(place or 0, Named("", "worker"))


def _attributes(record: dict[str, Any]) -> dict[str, Any]:
    for key, value in record.items():
        if key.endswith("EventAttributes") and isinstance(value, dict):
            return value
    return {}


def _name(
    record: dict[str, Any],
    attributes: dict[str, Any],
    asked: dict[str, str],
    labels: dict[str, str],
    *,
    reveal: bool,
) -> Named:
    kind = attributes.get("activityType")
    plain = clean(str(kind.get("name", "") if isinstance(kind, dict) else "")) or "activity"
    if not reveal:
        return Named(plain, plain)
    extra: dict[str, Any] = {}
    metadata = record.get("userMetadata")
    summary = decode_map(metadata).get("summary") if isinstance(metadata, dict) else None
    if summary:
        extra["summary"] = summary
    header = decode_map(attributes.get("header"))
    span = next((v for v in header.values() if isinstance(v, dict) and "traceName" in v), None)
    if span:
        extra["trace"] = span["traceName"]
    model = _model_call(decode_value(attributes.get("input")))
    if model is None:
        return Named(short_text(summary) if summary else plain, plain, extra)
    instructions = short_text(model.get("system_instructions") or "", 10_000)
    question = _question(model.get("input"))
    tools = [tool.get("name") for tool in model.get("tools") or [] if isinstance(tool, dict)]
    lane = labels.get(instructions) or asked.get(question)
    if not lane:
        lane = short_text(instructions, MAX_LANE_CHARS) or plain
    lane = labels.setdefault(instructions, lane)
    extra["agent"] = lane
    if tools:
        extra["tools"] = tools
    shown = summary or question or plain
    return Named(short_text(shown), clean(lane), extra)


def _model_call(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict) and "system_instructions" in value:
        return value
    return None


def _question(value: Any) -> str:
    """Return the last thing a person or an agent said in a model's input."""
    if isinstance(value, str):
        return value
    for item in reversed(value if isinstance(value, list) else []):
        if isinstance(item, dict):
            text = item.get("content") or item.get("output")
            if text:
                return short_text(text)
    return ""


def _tool_calls(result: Any) -> list[tuple[str, str]]:
    found = []
    output = result.get("output") if isinstance(result, dict) else None
    for item in output if isinstance(output, list) else []:
        if not isinstance(item, dict) or item.get("type") != "function_call":
            continue
        try:
            arguments = parse_json(str(item.get("arguments", "")).encode())
        except ValueError:
            continue
        texts = arguments.values() if isinstance(arguments, dict) else [arguments]
        found += [(clean(str(item.get("name"))), short_text(text)) for text in texts]
    return found
