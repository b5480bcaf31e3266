"""Payloads as canonical JSON: equal values give equal bytes on every platform and Python.

Keys are sorted by code point, no spaces, UTF-8, floats in their shortest form that reads back
equal (docs/format.md has the whole grammar). What JSON cannot hold (NaN, infinities, keys that are
no strings, sets) is refused, not altered.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from flowlab.errors import InvalidEventError

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder()
_PLAIN: Final = frozenset({int, str, bool, type(None)})
MAX_DEPTH: Final = 200
"""Deepest nesting of a payload: what is deeper could be written, and not be read everywhere."""
_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SHOWN_PATH: Final = 40


def encode_payload(value: object) -> bytes | None:
    """Encode a JSON value canonically; bytes pass unchanged, and None means no payload.

    Raises:
        InvalidEventError: the value is not JSON: NaN, infinity, a key that is no string, a set.

    Example:
        >>> encode_payload({"b": 1.0, "a": "é"})
        b'{"a":"\\xc3\\xa9","b":1.0}'
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        return value
    return encode_json(value)


def encode_json(value: object) -> bytes:
    """Encode any JSON value canonically, None included.

    Raises:
        InvalidEventError: as for `encode_payload`.

    Example:
        >>> encode_json([None, True])
        b'[null,true]'
    """
    encoded = encode_quickly(value)
    return _encode_with_care(value) if encoded is None else encoded


def encode_quickly(value: object) -> bytes | None:
    """Encode a JSON value canonically where no care is needed; else return None.

    Example:
        >>> encode_quickly([1, "a"]), encode_quickly((1, "a"))
        (b'[1,"a"]', None)
    """
    try:
        encoded = _ENCODER.encode(value)
        if len(encoded) > 2 * MAX_DEPTH and _is_deep(encoded):
            return None
        # Reading back is the cheapest proof that nothing was altered; of these, nothing ever is.
        if type(value) in _PLAIN or _DECODER.decode(encoded) == value:
            return encoded
    except (UnicodeError, OverflowError, RecursionError, TypeError, ValueError):
        pass
    return None


def decode_payload(payload: bytes | None) -> Any:
    """Decode a payload: a JSON value, or the bytes themselves when they are not JSON.

    Raises:
        InvalidEventError: it is nested deeper than this process can read, so nobody encoded it
            with `encode_payload`.

    Example:
        >>> decode_payload(b'{"a":1}'), decode_payload(b"\\xff"), decode_payload(None)
        ({'a': 1}, b'\\xff', None)
    """
    if payload is None:
        return None
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            return json.loads(payload)
        except (ValueError, RecursionError):
            return payload
    except RecursionError:
        message = (
            f"a payload of {len(payload)} bytes is nested deeper than can be read here, and "
            f"MAX_DEPTH is {MAX_DEPTH}; read its bytes (event.payload), and flatten it"
        )
        raise InvalidEventError(message) from None


def _is_deep(encoded: bytes) -> bool:
    """Tell whether JSON is nested deeper than `MAX_DEPTH`, by its text: a step for each level."""
    if encoded.count(b"[") + encoded.count(b"{") <= MAX_DEPTH:
        return False
    unquoted = encoded.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    brackets = b"".join(unquoted).translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _encode_with_care(value: object) -> bytes:
    """Encode what the fast path may not: big integers, tuples, lone surrogates; refuse the rest."""
    plain = _plain(value, "payload", ())
    try:
        # Only a lone surrogate is not UTF-8: it becomes \udXXX, as JSON writes it.
        encoded = _text(plain).encode("utf-8", "backslashreplace")
        if json.loads(encoded) == plain:
            return encoded
    except ValueError:  # an int of more digits than Python converts
        pass
    message = (
        "the payload holds text of two surrogates that JSON joins into one character, or an int "
        "of thousands of digits; give valid Unicode, or encode it to bytes yourself"
    )
    raise InvalidEventError(message)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        members = (f"{_text(key)}:{_text(value[key])}" for key in sorted(value))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, float):
        return _ENCODER.encode(float(value)).decode()
    return json.dumps(value, ensure_ascii=False)


def _plain(value: object, where: str, above: tuple[int, ...]) -> Any:
    """Return a value of plain types; `above` are the ids of the values that hold it."""
    if id(value) in above:
        message = (
            f"{where} is a {type(value).__name__} that holds itself, so its JSON would have no "
            "end; give a copy that does not lead back"
        )
        raise InvalidEventError(message)
    if len(above) >= MAX_DEPTH and isinstance(value, (list, tuple, dict)):
        message = (
            f"{where[:_SHOWN_PATH]}... is nested deeper than {MAX_DEPTH} levels; flatten it or "
            "give bytes"
        )
        raise InvalidEventError(message)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        within = (*above, id(value))
        return [_plain(item, f"{where}[{i}]", within) for i, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        within = (*above, id(value))
        return {key: _plain(item, f"{where}.{key}", within) for key, item in value.items()}
    message = (
        f"{where} holds {_told(value)}, which JSON cannot hold without loss; "
        "give None, bool, int, finite float, str, list, or dict with str keys, or encode it "
        "to bytes yourself"
    )
    raise InvalidEventError(message)


def _told(value: object) -> str:
    """Name a value by its type: in a repr are addresses, and the order of a set."""
    kind = type(value).__name__
    return f"{value!r} ({kind})" if isinstance(value, float) else f"a value of type {kind}"
