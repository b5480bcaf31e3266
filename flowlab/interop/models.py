"""Calls of language models inside payloads: who is asked, what, with which tools."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from flowlab.interop.decoding import clean, parse_json, short_text

_INSTRUCTIONS: Final = (
    "system_instructions",
    "systemInstructions",
    "systemInstruction",
    "system_instruction",
    "instructions",
    "system",
)
_MESSAGES: Final = ("input", "contents", "messages", "prompt")
_AGENT: Final = ("agent_name", "agentName")
_INTERNAL_NAME: Final = re.compile(r'Your internal name is "([^"]+)"')
_HANDED_OVER: Final = re.compile(r"""\{\s*['"]assistant['"]\s*:\s*['"](.+)['"]\s*\}""")
_SYSTEM: Final = {"system", "developer"}
_LONG: Final = 100_000


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model.

    Args:
        instructions: what the agent was told to be, empty where nothing was.
        question: the last thing that was said to it.
        agent: its name, where the call says it.
        tools: names of what it may call.
    """

    instructions: str = ""
    question: str = ""
    agent: str = ""
    tools: tuple[str, ...] = ()


def model_call(value: Any) -> ModelCall | None:
    """Recognise a call of a model in an activity's decoded input; None where it is none.

    Example:
        >>> model_call({"system_instructions": "Be brief.", "input": "Why?"})
        ModelCall(instructions='Be brief.', question='Why?', agent='', tools=())
    """
    for item in value[:4] if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            continue
        parts = [item, *(item[key] for key in ("config", "options", "request") if _dict(item, key))]
        messages = next((p[k] for p in parts for k in _MESSAGES if _said(p.get(k))), None)
        told = next((p[k] for p in parts for k in _INSTRUCTIONS if p.get(k)), None)
        if told is None and isinstance(messages, list):
            told = next((m.get("content") for m in messages if _role(m) in _SYSTEM), None)
        if messages is None or (told is None and "system_instructions" not in item):
            continue
        instructions = _text(told)
        return ModelCall(
            instructions, _question(messages), _agent(parts, instructions, messages), _tools(parts)
        )
    return None


def tool_calls(result: Any) -> Iterator[tuple[str, str]]:
    """Yield (tool, text of an argument) for each call that a model's result asks for."""
    output = result.get("output") if isinstance(result, dict) else None
    for item in output if isinstance(output, list) else []:
        if not isinstance(item, dict) or item.get("type") != "function_call":
            continue
        try:
            arguments = parse_json(str(item.get("arguments", "")).encode("utf-8", "replace"))
        except ValueError:
            continue
        texts = arguments.values() if isinstance(arguments, dict) else [arguments]
        for text in texts:
            yield clean(str(item.get("name"))), short_text(text)


def _dict(item: dict[str, Any], key: str) -> bool:
    return isinstance(item.get(key), dict)


def _said(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and any(isinstance(item, dict) for item in value)
    )


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _text(value: Any) -> str:
    """Return a text whole; what is made of parts is joined."""
    return value if isinstance(value, str) else short_text(value, _LONG)


def _question(messages: Any) -> str:
    """Return the last thing that a person or an agent said in a model's input."""
    if isinstance(messages, str):
        return short_text(messages)
    for item in reversed(messages):
        if isinstance(item, dict) and _role(item) not in _SYSTEM and not _handed_over(item):
            text = item.get("content") or item.get("output") or _parts(item.get("parts"))
            if text:
                return short_text(text)
    return ""


def _parts(parts: Any) -> list[Any]:
    return [p for p in parts if isinstance(p, dict) and p.get("text")] if _said(parts) else []


def _agent(parts: list[dict[str, Any]], instructions: str, messages: Any) -> str:
    for part in parts:
        for key in _AGENT:
            if isinstance(part.get(key), str) and part[key]:
                return clean(part[key])
    told = _INTERNAL_NAME.search(instructions)
    if told:
        return clean(told[1])
    # A handing over ends in the new agent's name; who answers after it is that agent.
    for item in reversed(messages if isinstance(messages, list) else []):
        handed = _handed_over(item)
        if handed:
            return clean(handed)
    return ""


def _handed_over(message: Any) -> str:
    output = message.get("output") if isinstance(message, dict) else None
    found = _HANDED_OVER.fullmatch(output) if isinstance(output, str) else None
    return found[1] if found else ""


def _tools(parts: list[dict[str, Any]]) -> tuple[str, ...]:
    found: list[str] = []
    for part in parts:
        tools = part.get("tools")
        for tool in tools if isinstance(tools, list) else []:
            if not isinstance(tool, dict):
                continue
            declared = tool.get("functionDeclarations")
            named = declared if isinstance(declared, list) else [tool]
            names = [item.get("name") for item in named if isinstance(item, dict)]
            found += [clean(name) for name in names if isinstance(name, str)]
    return tuple(dict.fromkeys(found))
