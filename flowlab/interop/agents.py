"""Names and lanes of activities: what a person would call them, from inside their payloads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from flowlab.interop.decoding import clean, decode_map, decode_value, short_text
from flowlab.interop.models import ModelCall, model_call, tool_calls
from flowlab.interop.records import summary_of

MAX_LANE_CHARS: Final = 48
_AGENT_ACTIVITY: Final = re.compile(r"^agent__(?P<agent>.+?)__(?P<what>.+)$")
_TEXT_CHARS: Final = 10_000


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

    A call of a language model is named by its summary, and its lane is the agent: the name that
    the call or a handing over gives it, the tool under whose name it was asked for, or else its
    instructions. Other activities are their type.
    """

    def __init__(
        self,
        records: list[dict[str, Any]],
        attributes: list[dict[str, Any]],
        types: list[str],
        *,
        reveal: bool,
    ) -> None:
        self._named: dict[int, Named] = {}
        self._asked: dict[str, str] = {}
        self._lanes: dict[str, str] = {}
        calls: dict[int, ModelCall] = {}
        if reveal:
            for place, kind in enumerate(types):
                if kind == "ActivityScheduled":
                    found = model_call(decode_value(attributes[place].get("input")))
                    if found is not None:
                        calls[place] = found
        self._labels = _labels({call.instructions for call in calls.values()})
        for place, kind in enumerate(types):
            given = attributes[place]
            if kind == "ActivityScheduled" and place in calls:
                named = self._model(records[place], given, calls[place])
                self._named[place + 1] = named
            elif kind == "ActivityScheduled":
                self._named[place + 1] = _plain(records[place], given, reveal=reveal)
            elif kind == "ActivityCompleted" and calls:
                for tool, text in tool_calls(decode_value(given.get("result"))):
                    self._asked[text] = tool

    def of(self, place: int | None) -> Named:
        """Return the naming of the activity scheduled at a sequence."""
        return self._named.get(place or 0, Named("", "worker"))

    def _model(self, record: dict[str, Any], attributes: dict[str, Any], call: ModelCall) -> Named:
        plain = _type_name(attributes)
        extra = _beside(record, attributes)
        summary = extra.get("summary")
        known = call.agent or self._lanes.get(call.instructions) or self._asked.get(call.question)
        lane = clean(known or self._labels[call.instructions] or plain)
        self._lanes.setdefault(call.instructions, lane)
        extra["agent"] = lane
        if call.tools:
            extra["tools"] = list(call.tools)
        # A summary that only repeats who is asked says less than the question.
        shown = call.question if summary == call.agent else summary
        return Named(short_text(shown or call.question or summary or plain), lane, extra)


def _plain(record: dict[str, Any], attributes: dict[str, Any], *, reveal: bool) -> Named:
    plain = _type_name(attributes)
    extra = _beside(record, attributes) if reveal else {}
    agent = _AGENT_ACTIVITY.match(plain)
    lane, name = (agent["agent"], agent["what"]) if agent else (plain, plain)
    return Named(short_text(extra.get("summary")) or name, lane, extra)


def _type_name(attributes: dict[str, Any]) -> str:
    kind = attributes.get("activityType")
    return clean(str(kind.get("name", "") if isinstance(kind, dict) else "")) or "activity"


def _beside(record: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    extra = summary_of(record)
    for value in decode_map(attributes.get("header")).values():
        if isinstance(value, dict) and "traceName" in value:
            extra["trace"] = value["traceName"]
            break
    return extra


def _labels(texts: set[str]) -> dict[str, str]:
    """Give each text of instructions a short label; what many begin with alike is left out."""
    labels = {text: short_text(text, MAX_LANE_CHARS) for text in texts}
    alike: dict[str, list[str]] = {}
    for text, label in labels.items():
        alike.setdefault(label, []).append(text)
    for group in alike.values():
        if len(group) == 1:
            continue
        common = _common_start(min(group), max(group))
        cut = max(common.rfind("\n"), common.rfind(". ") + 1, 0)
        for number, text in enumerate(sorted(group), 1):
            label = short_text(text[cut : cut + _TEXT_CHARS], MAX_LANE_CHARS)
            others = [short_text(other[cut:], MAX_LANE_CHARS) for other in group if other != text]
            labels[text] = f"{label} ({number})" if label in others else label
    return labels


def _common_start(first: str, last: str) -> str:
    length = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        length += 1
    return first[:length]
