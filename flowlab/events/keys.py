"""Hierarchical keys: the paths by which events, agents and coordinations are addressed.

    /workflows/{id}/events/{sequence}            one event; without the sequence, the stream
    /workflows/{id}/events/agent_actions         the events of one category
    /workflows/{id}/events/coordination_events
    /workflows/{id}/events/compensation_events
    /workflows/{id}/metadata/{creation_time,version,agents}
    /workflows/{id}/checkpoints/{checkpoint}/{state_snapshot,causality_info}
    /workflows/{id}/projections/{view}/materialized_state
    /projections/{view}/materialized_state       of a projection over the whole store
    /agents/{id}/events/{time}                   one agent's events, in (time, agent_sequence) order
    /agents/{id}/actions
    /coordination/{id}/actions/{step}            the events of one plan instance or saga
    /coordination/{id}/sequences

A key may begin with /namespaces/{n} and /runs/{r}. Ids are percent-encoded, so they may hold
anything and never collide with a reserved word. A prefix of a key is a key and means the range of
everything below it; a trailing `*` after an id means every id that begins so. A leaf may be a
range of numbers, `{first}..{last}`, either end left open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, NoReturn
from urllib.parse import unquote_to_bytes

from flowlab.errors import InvalidKeyError
from flowlab.events.event import Event

SEQUENCE_DIGITS: Final = 8
_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~@:+")
_NUMBER: Final = re.compile(r"-?\d+\Z", re.ASCII)
_INT64: Final = range(-(2**63), 2**63)
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

CATEGORY_SECTIONS: Final = {
    "agent_actions": "action",
    "coordination_events": "coordination",
    "compensation_events": "compensation",
}
_LEAVES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "workflows": {
        "events": ("{number}", *CATEGORY_SECTIONS),
        "metadata": ("creation_time", "version", "agents"),
        "checkpoints": ("{id}",),
        "projections": ("{id}",),
    },
    "agents": {"events": ("{number}",), "actions": ()},
    "coordination": {"actions": ("{id}",), "sequences": ()},
    "projections": {"materialized_state": ()},
}
_BELOW: Final = {
    "checkpoints": ("state_snapshot", "causality_info"),
    "projections": ("materialized_state",),
}


def encode_id(value: str) -> str:
    """Percent-encode an id for use as one segment of a key or a path.

    Example:
        >>> encode_id("trip/42%"), encode_id(".."), encode_id("é")
        ('trip%2F42%25', '%2E%2E', '%C3%A9')
    """
    encoded = "".join(
        chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in value.encode("utf-8")
    )
    return encoded.replace(".", "%2E") if encoded in {".", ".."} else encoded


def decode_id(segment: str) -> str:
    """Decode one percent-encoded segment.

    Raises:
        InvalidKeyError: a percent sign without two hex digits, or bytes that are not UTF-8.

    Example:
        >>> decode_id("trip%2F42")
        'trip/42'
    """
    if _BAD_PERCENT.search(segment):
        message = f"segment {segment!r} has a '%' without two hex digits; write '%25' for it"
        raise InvalidKeyError(message)
    try:
        return unquote_to_bytes(segment.encode("utf-8")).decode("utf-8")
    except UnicodeError as error:
        message = f"segment {segment!r} is not percent-encoded UTF-8: {error}"
        raise InvalidKeyError(message) from error


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A parsed key or prefix.

    Args:
        root: `"workflows"`, `"agents"`, `"coordination"`, `"projections"`, or None for everything.
        id: the workflow's, agent's, coordination's or view's id; None for all of the root.
        id_is_prefix: the key ended with `*`: every id that begins with `id`.
        section: the segment after the id, None for all.
        leaf: the segment after the section (decoded), None for all.
        below: the last segment of a checkpoint's or projection's key.
        first, last: bounds of a numeric leaf, inclusive; None where open.
        namespace, run_id: None where the key does not say.

    Example:
        >>> parse_key("/workflows/trip%2F1/events/7")
        Key('/workflows/trip%2F1/events/00000007')
    """

    root: str | None = None
    id: str | None = None
    id_is_prefix: bool = False
    section: str | None = None
    leaf: str | None = None
    below: str | None = None
    first: int | None = None
    last: int | None = None
    namespace: str | None = None
    run_id: str | None = None

    @property
    def category(self) -> str | None:
        """The category that the section or leaf selects, if it does."""
        if self.root == "agents" and self.section == "actions":
            return "action"
        return CATEGORY_SECTIONS.get(self.leaf or "") if self.section == "events" else None

    @property
    def is_range(self) -> bool:
        """Whether the key names more than one event."""
        return self.first is None or self.first != self.last

    def within(self, *, namespace: str | None = None, run_id: str | None = None) -> Key:
        """Return the key with its world filled in."""
        return replace(self, namespace=namespace, run_id=run_id)

    def __repr__(self) -> str:
        return f"Key({str(self)!r})"

    def __str__(self) -> str:
        parts: list[str] = []
        if self.namespace is not None:
            parts += ["namespaces", encode_id(self.namespace)]
        if self.run_id:  # the live run has no name
            parts += ["runs", encode_id(self.run_id)]
        if self.root is not None:
            parts.append(self.root)
        if self.id is not None:
            parts.append(encode_id(self.id) + ("*" if self.id_is_prefix else ""))
        if self.section is not None:
            parts.append(self.section)
        if self.first is not None or self.last is not None:
            parts.append(_format_range(self.first, self.last))
        elif self.leaf is not None:
            parts.append(encode_id(self.leaf))
        if self.below is not None:
            parts.append(self.below)
        return "/" + "/".join(parts)


def parse_key(text: str) -> Key:
    """Parse a key or prefix.

    Raises:
        InvalidKeyError: the text does not follow the grammar; the message shows where, and what
            may stand there.

    Example:
        >>> parse_key("/runs/seed-7/agents/planner/events/10..").first
        10
    """
    if not isinstance(text, str) or not text.startswith("/"):
        message = f"key {text!r} must begin with '/', as in /workflows/trip-1/events"
        raise InvalidKeyError(message)
    segments = text.removesuffix("/").split("/")[1:] if text != "/" else []
    if "" in segments:
        _refuse(text, segments.index(""), "an id that is not empty")
    namespace, segments = _take(text, segments, "namespaces")
    run_id, segments = _take(text, segments, "runs")
    key = Key(namespace=namespace, run_id=run_id)
    if not segments:
        return key
    root = segments[0]
    if root not in _LEAVES:
        _refuse_word(text, root, tuple(_LEAVES))
    if root == "projections" and (namespace is not None or run_id is not None):
        message = f"key {text!r}: projections over the whole store belong to no namespace or run"
        raise InvalidKeyError(message)
    key = replace(key, root=root)
    if len(segments) > 1:
        raw = segments[1]
        prefix = raw.endswith("*")
        key = replace(key, id=decode_id(raw.removesuffix("*")), id_is_prefix=prefix)
        if prefix and len(segments) > 2:  # noqa: PLR2004
            message = f"key {text!r}: '*' may only end a key, after the first letters of an id"
            raise InvalidKeyError(message)
    return _parse_below_id(text, key, segments[2:])


def _parse_below_id(text: str, key: Key, rest: list[str]) -> Key:
    if not rest:
        return key
    sections = _LEAVES[key.root or ""]
    section = rest[0]
    if section not in sections:
        _refuse_word(text, section, tuple(sections))
    key = replace(key, section=section)
    if len(rest) == 1:
        return key
    choices = sections[section]
    key = _parse_leaf(text, key, rest[1], choices)
    if len(rest) == 2:  # noqa: PLR2004
        return key
    below = _BELOW.get(section, ())
    if rest[2] not in below or len(rest) > 3:  # noqa: PLR2004
        _refuse_word(text, rest[2] if rest[2] not in below else rest[3], below)
    return replace(key, below=rest[2])


def _parse_leaf(text: str, key: Key, raw: str, choices: tuple[str, ...]) -> Key:
    if "{number}" in choices and (bounds := _parse_range(raw)) is not None:
        first, last = bounds
        if any(bound is not None and bound not in _INT64 for bound in bounds):
            message = f"key {text[:80]!r}: a number there is signed and has 64 bits"
            raise InvalidKeyError(message)
        if key.root == "workflows" and first is not None and first < 1:
            message = f"key {text!r}: sequences begin with 1, not {first}"
            raise InvalidKeyError(message)
        return replace(key, first=first, last=last)
    if "{id}" in choices:
        return replace(key, leaf=decode_id(raw))
    if raw not in choices:
        _refuse_word(text, raw, choices)
    return replace(key, leaf=raw)


def _parse_range(raw: str) -> tuple[int | None, int | None] | None:
    low, dots, high = raw.partition("..")
    if any(part and not _NUMBER.match(part) for part in (low, high)) or not (low or high):
        return None
    first = _number(low) if low else None
    if not dots:
        return first, first
    return first, (_number(high) if high else None)


def _number(digits: str) -> int:
    # Zeros in front may be any number; past 20 digits, what is left is out of range anyway.
    sign, plain = digits[: digits.startswith("-")], digits.lstrip("-0")
    return int(f"{sign}{plain[:20] or '0'}")


def _format_range(first: int | None, last: int | None) -> str:
    low = "" if first is None else f"{first:0{SEQUENCE_DIGITS}d}"
    if first == last:
        return low
    return f"{low}..{'' if last is None else f'{last:0{SEQUENCE_DIGITS}d}'}"


def _take(text: str, segments: list[str], word: str) -> tuple[str | None, list[str]]:
    if not segments or segments[0] != word:
        return None, segments
    if len(segments) == 1:
        message = f"key {text!r}: /{word} needs an id after it"
        raise InvalidKeyError(message)
    return decode_id(segments[1]), segments[2:]


def _refuse(text: str, place: int, expected: str) -> NoReturn:
    message = f"key {text!r}: segment {place + 1} is empty; expected {expected}"
    raise InvalidKeyError(message)


def _refuse_word(text: str, word: str, choices: tuple[str, ...]) -> NoReturn:
    expected = ", ".join(choices) if choices else "nothing more"
    message = f"key {text!r}: {word!r} is unknown there; expected one of: {expected}"
    raise InvalidKeyError(message)


def event_key(event: Event) -> Key:
    """Return the full key of an event, its namespace and run included where they are not default.

    Example:
        >>> str(event_key(Event(workflow_id="w", sequence=3, event_type="Signaled")))
        '/workflows/w/events/00000003'
    """
    return Key(
        root="workflows",
        id=event.workflow_id,
        section="events",
        first=event.sequence,
        last=event.sequence,
        namespace=None if event.namespace == "default" else event.namespace,
        run_id=event.run_id or None,
    )
