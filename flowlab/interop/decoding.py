"""What stands inside the payloads of other systems: base64, encodings, usage, errors, times.

Everything here is a pure function from JSON to JSON. What cannot be decoded is left as it is.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import codecs
import json
import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from flowlab.errors import ImportFormatError

_JSON_ENCODINGS: Final = {"json/plain", "json/protobuf", "json/external"}
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?"
    r"\s*(Z|z|[+-]\d\d:?(?:\d\d)?)?"
)
_NS: Final = 1_000_000_000
_INT64: Final = 2**63
MAX_NAME_CHARS: Final = 120
"""Longest name made of a text (a summary, an event's line); longer ones end in an ellipsis."""


def parse_json(data: bytes) -> Any:
    """Decode a JSON document; UTF-8 with or without a mark, or UTF-16/32.

    Raises:
        ImportFormatError: it is not JSON; the message gives line and column.

    Example:
        >>> parse_json(b'[1, 2.0]')
        [1, 2.0]
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    if b"\0" in data[:4096] and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        message = "the file is binary; expected JSON in UTF-8"
        raise ImportFormatError(message)
    try:
        return json.loads(data, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        cut = "; the file looks truncated" if error.pos >= len(error.doc.rstrip()) - 1 else ""
        message = f"not valid JSON at {where}: {error.msg}{cut}"
        raise ImportFormatError(message) from error
    except UnicodeDecodeError as error:
        message = f"not text: byte {error.start} is not {error.encoding}; expected UTF-8 JSON"
        raise ImportFormatError(message) from error
    except RecursionError as error:
        message = "JSON nested too deeply to read"
        raise ImportFormatError(message) from error


def _refuse(text: str) -> Any:
    message = f"not valid JSON: it holds {text}, which JSON has no number for"
    raise ImportFormatError(message)


def decode_value(value: object) -> Any:
    """Decode a payload, or a list of payloads, to what a person would write.

    One payload gives its value, several a list, none None. Encodings that are not JSON are left
    whole. A base64 text of JSON values (as Cadence writes) is decoded too.

    Example:
        >>> plain = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "ImhlbGxvIg=="}
        >>> decode_value({"payloads": [plain]}), decode_value("IkNhZGVuY2UiCg==")
        ('hello', 'Cadence')
    """
    if isinstance(value, str):
        return _decode_text(value)
    if isinstance(value, dict) and set(value) == {"payloads"}:
        value = value["payloads"] or []
    if isinstance(value, list):
        decoded = [decode_one(item) for item in value]
        return decoded[0] if len(decoded) == 1 else decoded or None
    return decode_one(value)


def decode_one(value: object) -> Any:
    """Decode one payload object; anything else is returned as it is."""
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        return value
    encoding = _base64(value["metadata"].get("encoding"))
    if encoding == b"binary/null":
        return None
    data = _base64(value.get("data", ""))
    if encoding is None or data is None or encoding.decode("latin-1") not in _JSON_ENCODINGS:
        return value
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value


def decode_map(value: Any) -> dict[str, Any]:
    """Decode a map of payloads: a header, a memo, search attributes, a marker's details."""
    if not isinstance(value, dict):
        return {}
    for key in ("fields", "indexedFields"):
        if isinstance(value.get(key), dict):
            value = value[key]
    return {str(key): decode_value(item) for key, item in value.items()}


def _base64(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _decode_text(value: str) -> Any:
    data = _base64(value) if value else None
    if not data:
        return value
    try:
        parts = [msgspec.json.decode(part) for part in data.split(b"\n") if part.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value
    return parts[0] if len(parts) == 1 else parts or value


def find_usage(result: object) -> dict[str, int | float] | None:
    """Find the token counts and the cost in a result, under the names that are in use.

    Example:
        >>> find_usage({"usage": {"prompt_tokens": 3, "completion_tokens": 4}})
        {'input_tokens': 3, 'output_tokens': 4, 'total_tokens': 7}
    """
    if isinstance(result, list) and len(result) == 1:
        result = result[0]
    if not isinstance(result, dict):
        return None
    raw = next((result[key] for key in _USAGES if isinstance(result.get(key), dict)), None)
    if not isinstance(raw, dict):
        return None
    usage: dict[str, int | float] = {}
    for name, keys in _USAGE_KEYS.items():
        for key in keys:
            if type(raw.get(key)) in (int, float):
                usage.setdefault(name, raw[key])
    if "total_tokens" not in usage and {"input_tokens", "output_tokens"} <= set(usage):
        usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
    return usage or None


_USAGES: Final = ("usage", "token_usage", "tokenUsage", "usageMetadata", "usage_metadata")
_USAGE_KEYS: Final = {
    "input_tokens": ("input_tokens", "prompt_tokens", "inputTokens", "promptTokenCount"),
    "output_tokens": (
        "output_tokens",
        "completion_tokens",
        "outputTokens",
        "candidatesTokenCount",
    ),
    "total_tokens": ("total_tokens", "totalTokens", "totalTokenCount"),
    "cost": ("cost", "total_cost", "cost_usd"),
}


def describe_failure(failure: object, depth: int = 0) -> dict[str, Any] | None:
    """Return a failure's message, type and cause, whatever it wraps.

    Example:
        >>> describe_failure({"message": "no", "applicationFailureInfo": {"type": "IOError"}})
        {'message': 'no', 'type': 'IOError'}
    """
    if not isinstance(failure, dict) or depth > MAX_FAILURE_DEPTH:
        return None
    error: dict[str, Any] = {"message": failure.get("message", "")}
    for key, info in failure.items():
        if key.endswith("FailureInfo") and isinstance(info, dict):
            kind = info.get("type") or info.get("timeoutType")
            error["type"] = kind if isinstance(kind, str) else key.removesuffix("FailureInfo")
            details = decode_value(info["details"]) if "details" in info else None
            if details is not None:
                error["details"] = details
    cause = describe_failure(failure.get("cause"), depth + 1)
    if cause:
        error["cause"] = cause
    return error


MAX_FAILURE_DEPTH: Final = 20
"""Longest chain of causes of one failure that is decoded."""


def parse_time_ns(value: object, unit: str = "auto") -> int | None:
    """Read a time as nanoseconds since 1970: ISO text, a number, or {seconds, nanos}.

    Args:
        value: the time; a text without zone is UTC; fractions may have any width.
        unit: `iso`, `s`, `ms`, `us`, `ns`, or `auto`, which tells a number's unit from its size
            (seconds below 1e11, milliseconds below 1e14, microseconds below 1e17).

    Returns None where it cannot be read, or lies outside what an int64 holds (1677 to 2262).

    Example:
        >>> parse_time_ns("1970-01-01T00:00:01.5Z"), parse_time_ns(1_600_000_000_000)
        (1500000000, 1600000000000000000)
    """
    if isinstance(value, dict) and "seconds" in value:
        parts = as_integer(value["seconds"]), as_integer(value.get("nanos", 0))
        if parts[0] is None or parts[1] is None:
            return None
        return _bounded(parts[0] * _NS + parts[1])
    if isinstance(value, str):
        text = value.strip()
        if unit in {"auto", "iso"} and (match := _ISO.fullmatch(text)):
            return _iso_ns(match)
        if unit == "iso" or not re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
            return None
        value = float(text) if "." in text else int(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or unit == "iso":
        return None
    return _scaled(value, unit)


def _scaled(value: float, unit: str) -> int | None:
    if isinstance(value, float) and not abs(value) < _INT64:
        return None
    if unit == "auto":
        size = abs(value)
        unit = "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"  # noqa: PLR2004 - sizes
    factor = {"s": _NS, "ms": 1_000_000, "us": 1_000, "ns": 1}[unit]
    if isinstance(value, int):
        return _bounded(value * factor)
    whole = int(value)
    return _bounded(whole * factor + round((value - whole) * factor))


def _iso_ns(match: re.Match[str]) -> int | None:
    hour, minute, second = int(match[4] or 0), int(match[5] or 0), int(match[6] or 0)
    midnight = _midnight_s(int(match[1]), int(match[2]), int(match[3]))
    if midnight is None or not (hour < 25 and minute < 60 and second < 61):  # noqa: PLR2004
        return None
    seconds = midnight + hour * 3600 + minute * 60 + second
    zone = match[8]
    if zone and zone not in "Zz":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = int(digits[:2]) * 3600 + int(digits[2:]) * 60
        seconds += offset if zone[0] == "-" else -offset
    fraction = (match[7] or "")[:9].ljust(9, "0")
    return _bounded(seconds * _NS + int(fraction))


@lru_cache(1024)
def _midnight_s(year: int, month: int, day: int) -> int | None:
    """Return when a day begins, in seconds; None where the calendar has no such day."""
    if not (1 <= month <= 12 and year > 0 and 1 <= day <= calendar.monthrange(year, month)[1]):  # noqa: PLR2004
        return None
    return calendar.timegm((year, month, day, 0, 0, 0))


def _bounded(value: int) -> int | None:
    return value if -_INT64 < value < _INT64 else None


def as_integer(value: object) -> int | None:
    """Read an id: an int, or a text of digits; None for anything else.

    Example:
        >>> as_integer("12"), as_integer(7), as_integer(True), as_integer("x")
        (12, 7, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if -_INT64 < value < _INT64 else None
    if isinstance(value, str):
        if len(value) < 19 and value.isascii() and value.isdigit():  # noqa: PLR2004 - fits int64
            return int(value)
        if re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", value):
            return _bounded(int(value))
    return None


def short_text(value: object, limit: int = MAX_NAME_CHARS) -> str:
    """Return what a summary or a message says, in one line of at most `limit` characters.

    Example:
        >>> short_text([{"type": "output_text", "text": "Estoy lleno."}])
        'Estoy lleno.'
        >>> short_text("one  two\\nthree", 10)
        'one two t…'
    """
    if isinstance(value, list):
        value = " ".join(short_text(item, limit) for item in value[:20])
    if isinstance(value, dict):
        for key in ("text", "content", "output", "message", "summary", "name"):
            if value.get(key):
                return short_text(value[key], limit)
        value = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if value is None:
        return ""
    text = " ".join(clean(str(value)).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean(text: str, limit_bytes: int = 1024) -> str:
    """Return text that a column can hold: no lone surrogates, at most `limit_bytes` in UTF-8.

    Example:
        >>> clean("a\\ud800b")
        'a?b'
    """
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit_bytes:
        return encoded.decode()
    return encoded[: limit_bytes - 3].decode("utf-8", "ignore") + "…"
