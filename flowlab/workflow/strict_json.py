"""Reading JSON strictly: every error names the place, as in `$.root.nodes[2].agent`."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

from flowlab.errors import FlowlabError, LimitError, PlanError

T = TypeVar("T")

MAX_JSON_DEPTH: Final = 200
"""Deepest nesting of a JSON document that is read as a plan or a choreography."""

_SHOWN_CHARS: Final = 60


def load(document: Any, what: str) -> Any:
    """Return the value of a document that may still be text, in plain JSON types.

    Raises:
        PlanError: the text is not JSON, or names a key of one object twice.
        LimitError: it is nested deeper than `MAX_JSON_DEPTH`.

    Example:
        >>> load('{"version": 1}', "a plan")
        {'version': 1}
    """
    value = document
    if isinstance(document, (str, bytes, bytearray)):
        try:
            value = json.loads(document, object_pairs_hook=_object, parse_constant=_refuse_constant)
        except RecursionError:
            raise LimitError(_too_deep(what)) from None
        except PlanError:
            raise
        except ValueError as error:
            message = f"this is not the JSON of {what}: {error}; the text is damaged or cut off"
            raise PlanError(message) from None
    _check_depth(value, what)
    return value


def members(
    value: Any, at: str, *, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return an object that has all of the required fields, and none but those and the optional.

    Example:
        >>> members({"name": "a"}, "$", required=["name"])
        {'name': 'a'}
    """
    if not isinstance(value, dict):
        raise PlanError(expected("an object", value, at))
    missing = [name for name in required if name not in value]
    if missing:
        have = ", ".join(map(repr, value)) or "nothing"
        message = f"{at}: the field {missing[0]!r} is missing; there is {have}"
        raise PlanError(message)
    known = [*required, *optional]
    extra = [name for name in value if name not in known]
    if extra:
        message = f"{at}: the field {extra[0]!r} is unknown here; known are {', '.join(known)}"
        raise PlanError(message)
    return value


def text(value: Any, at: str) -> str:
    """Return a text.

    Example:
        >>> text("a", "$")
        'a'
    """
    if not isinstance(value, str):
        raise PlanError(expected("text", value, at))
    return value


def flag(value: Any, at: str) -> bool:
    """Return true or false.

    Example:
        >>> flag(True, "$")
        True
    """
    if not isinstance(value, bool):
        raise PlanError(expected("true or false", value, at))
    return value


def whole(value: Any, at: str) -> int:
    """Return an integer.

    Example:
        >>> whole(7, "$")
        7
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise PlanError(expected("an integer", value, at))
    return value


def items(value: Any, at: str) -> list[tuple[Any, str]]:
    """Return (item, its place) of a list.

    Example:
        >>> items(["a"], "$.nodes")
        [('a', '$.nodes[0]')]
    """
    if not isinstance(value, list):
        raise PlanError(expected("a list", value, at))
    return [(item, f"{at}[{i}]") for i, item in enumerate(value)]


def texts(value: Any, at: str) -> list[str]:
    """Return a list of texts.

    Example:
        >>> texts(["a", "b"], "$.agents")
        ['a', 'b']
    """
    return [text(item, where) for item, where in items(value, at)]


def version(value: dict[str, Any], known: int, what: str) -> None:
    """Refuse a document of another version than the one that this flowlab writes.

    Example:
        >>> version({"version": 1}, 1, "a plan")
    """
    found = value["version"]
    if isinstance(found, bool) or found != known:
        message = (
            f"$.version: this flowlab reads {what} of version {known}, not {found!r}; "
            "a newer one may have written it"
        )
        raise PlanError(message)


def built(at: str, make: Callable[[], T]) -> T:
    """Return what `make` makes; what it refuses is said with the place in the JSON.

    Example:
        >>> built("$", lambda: 1)
        1
    """
    try:
        return make()
    except LimitError as error:
        raise LimitError(_placed(at, error)) from error
    except FlowlabError as error:
        raise PlanError(_placed(at, error)) from error


def expected(what: str, value: Any, at: str) -> str:
    """Return the message for a value of the wrong type.

    Example:
        >>> expected("text", 7, "$.name")
        '$.name: expected text, got 7'
    """
    shown = json.dumps(value, default=repr)
    shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
    return f"{at}: expected {what}, got {shown}"


def _placed(at: str, error: FlowlabError) -> str:
    said = str(error)
    return said if said.startswith(("$.", "$:", "$[")) else f"{at}: {said}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        message = f"an object of the JSON holds the key {twice!r} twice; which one is meant?"
        raise PlanError(message)
    return value


def _refuse_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _check_depth(value: Any, what: str) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper += item.values()
            elif isinstance(item, list):
                deeper += item
        if not deeper:
            return
        level = deeper
    raise LimitError(_too_deep(what))


def _too_deep(what: str) -> str:
    return f"{what} is nested deeper than MAX_JSON_DEPTH = {MAX_JSON_DEPTH} levels; flatten it"
