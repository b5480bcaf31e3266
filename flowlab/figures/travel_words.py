"""Values and states as texts: what the lanes and the table of time travel say."""

from __future__ import annotations

from typing import Any, Final

from flowlab.errors import FlowlabError
from flowlab.events import decode_payload, encode_json
from flowlab.figures.text import clean, words

MAX_VALUE: Final = 240
"""Characters of a value that are shown; the whole of it is in the log."""


def payload_of(payload: bytes | None) -> dict[str, Any]:
    """Return a payload that is an object, else an empty one."""
    try:
        found = decode_payload(payload)
    except (FlowlabError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def values_told(payload: bytes | None, agent: str) -> dict[tuple[str, str], Any]:
    """Return the values in an event's payload: its own agent's, and those of others by owner.

    Example:
        >>> values_told(b'{"values":{"free":1},"resources":{"room":{"who":"a"}}}', "hotel")
        {('hotel', 'free'): 1, ('room', 'who'): 'a'}
    """
    told = payload_of(payload)
    others = told.get("resources")
    owners = {agent: told.get("values"), **(others if isinstance(others, dict) else {})}
    return {
        (owner, key): value
        for owner, values in owners.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


def shown(value: object) -> str:
    """Write a value as JSON, or as Python writes it, up to `MAX_VALUE` characters.

    Example:
        >>> shown({"a": 1}), shown("x" * 300)[-3:]
        ('{"a":1}', 'xx…')
    """
    try:
        text = encode_json(value).decode("utf-8", "replace")
    except (FlowlabError, TypeError, ValueError):
        text = repr(value)
    text = clean(text[: MAX_VALUE + 1])
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def state_words(state: str, detail: dict[str, Any]) -> str:
    """Write a workflow's state in words.

    Example:
        >>> state_words("AgentExecuting", {"current": ["hotel"], "pending": ["book"]})
        'agent executing: hotel; pending: book'
    """
    parts = []
    for key, value in detail.items():
        if state == "Initiated" or value in ([], {}, "", None):
            continue
        told = ", ".join(map(str, value)) if isinstance(value, list) else value
        told = told if isinstance(told, str) else shown(told)
        name = "" if key in {"current", "error", "results", "reason"} else f"{words_of(key)}: "
        parts.append(f"{name}{told}")
    said = words(state)
    text = clean(f"{said}: {'; '.join(parts)}" if parts else said)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def words_of(key: str) -> str:
    """Write a field's name in words.

    Example:
        >>> words_of("compensation_chain")
        'compensation chain'
    """
    return key.replace("_", " ")


def fields_of(state: object) -> dict[str, str]:
    """Return a state as texts by field; one that has no fields is its own."""
    if isinstance(state, dict):
        return {str(key): shown(value) for key, value in state.items()}
    return {} if state is None else {"state": shown(state)}
