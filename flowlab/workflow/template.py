"""References to data that is there only when a plan runs, and values that hold such references."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import InvalidEventError, PlanError
from flowlab.events import encode_json


class Missing:
    """What a place holds when there is nothing: not even null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""The only `Missing`."""

NO_RESULTS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value will be: in the plan's state, or in the result of an earlier step.

    Args:
        path: the keys to follow; digits are also an index into a list.
        step: the name of the step whose result is meant; None means the state.

    Example:
        >>> Place(("order", "total")).find({"order": {"total": 7}}, {})
        7
        >>> Place((), step="quote").find({}, {})
        MISSING
    """

    path: tuple[str, ...] = ()
    step: str | None = None

    def find(self, state: Any, results: Mapping[str, Any]) -> Any:
        """Return the value there, or `MISSING`."""
        value = state if self.step is None else results.get(self.step, MISSING)
        for key in self.path:
            if isinstance(value, Mapping):
                value = value.get(key, MISSING)
            elif isinstance(value, (list, tuple)) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                return MISSING
        return value

    def to_json(self) -> dict[str, Any]:
        """Return the reference as JSON: `{"$state": [...]}` or `{"$result": [step, ...]}`."""
        if self.step is None:
            return {"$state": list(self.path)}
        return {"$result": [self.step, *self.path]}

    def __repr__(self) -> str:
        parts = [key if key and "." not in key else (key,) for key in self.path]
        dotted = all(isinstance(part, str) for part in parts)
        shown = [repr(".".join(self.path))] if dotted and parts else [repr(p) for p in parts]
        if self.step is None:
            return f"field({', '.join(shown)})"
        return f"result({', '.join([repr(self.step), *shown])})"


def place_from_json(value: Any) -> Place | None:
    """Return the place that a JSON value stands for, or None if it is an ordinary value.

    Example:
        >>> place_from_json({"$result": ["quote", "total"]})
        result('quote', 'total')
    """
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((key, path),) = value.items()
    if key not in {"$state", "$result"}:
        return None
    plain = isinstance(path, list) and all(isinstance(part, str) for part in path)
    if not plain or (key == "$result" and not path):
        first = ", the step first" if key == "$result" else ""
        message = f"the reference {key} expects a list of keys{first}: {value}"
        raise PlanError(message)
    return Place(tuple(path)) if key == "$state" else Place(tuple(path[1:]), step=path[0])


def path_of(parts: tuple[str | tuple[str, ...], ...]) -> tuple[str, ...]:
    """Return the keys of a path: texts are split at dots, a tuple is taken as it is.

    Example:
        >>> path_of(("order.total", ("a.b",)))
        ('order', 'total', 'a.b')
    """
    path: list[str] = []
    for part in parts:
        keys = part.split(".") if isinstance(part, str) else part
        if not isinstance(keys, (list, tuple)) or not all(isinstance(k, str) for k in keys):
            message = (
                f"a path is text, as in field('order.total'), or a tuple of texts where a key "
                f"holds a dot, as in field(('a.b',)); got {part!r}"
            )
            raise PlanError(message)
        if isinstance(part, str) and "" in keys:
            message = f"the path {part!r} has an empty key; write it as a tuple if it is meant"
            raise PlanError(message)
        path += keys
    return tuple(path)


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON value that may hold references, filled in when a step starts.

    It is kept as canonical JSON text, so that it can be compared and hashed, and 1 is not true. A
    reference is an object with the one key `$state` or `$result`; an ordinary key that begins with
    `$` has one more `$` in front.

    Args:
        text: the canonical JSON; `Template.of` makes it from a value.

    Example:
        >>> Template.of({"nights": 2, "room": Place(("room",))})
        Template({"nights":2,"room":{"$state":["room"]}})
        >>> Template.of({"nights": 2, "room": Place(("room",))}).fill({"room": 12})
        {'nights': 2, 'room': 12}
    """

    text: str

    @classmethod
    def of(cls, value: Any) -> Template:
        """Return the template of a JSON value in which references stand."""
        if isinstance(value, Template):
            return value
        try:
            return cls(encode_json(_marked(value)).decode())
        except InvalidEventError as error:
            message = f"{error}; data of later comes in by field(...) or result(...)"
            raise PlanError(message) from error
        except RecursionError:
            message = "the value is nested too deep, or holds itself; give plain JSON"
            raise PlanError(message) from None

    @classmethod
    def from_json(cls, value: Any) -> Template:
        """Return the template that `value` is the JSON of, references as objects."""
        _check_marks(value)
        return cls(encode_json(value).decode())

    def to_json(self) -> Any:
        """Return the value with its references as objects."""
        return json.loads(self.text)

    @property
    def value(self) -> Any:
        """The value as a person writes it: each reference a `Place`."""
        return _written(self.to_json())

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it refers to, in the order of the text, each once."""
        found: dict[Place, None] = {}
        stack = [self.to_json()]
        while stack:
            value = stack.pop()
            place = place_from_json(value)
            if place is not None:
                found[place] = None
            elif isinstance(value, dict):
                stack += reversed(value.values())
            elif isinstance(value, list):
                stack += reversed(value)
        return tuple(found)

    def fill(self, state: Any, results: Mapping[str, Any] = NO_RESULTS) -> Any:
        """Return the value with every reference replaced by what is there.

        Raises:
            PlanError: nothing is there.
        """
        absent = [place for place in self.places if place.find(state, results) is MISSING]
        if absent:
            steps = ", ".join(sorted(results)) or "none"
            message = (
                f"{absent[0]} is not there; the state has {_keys(state)}, and steps with a result "
                f"are: {steps}. A step on a branch that was not taken has none"
            )
            raise PlanError(message)
        return _filled(self.to_json(), state, results)

    def __repr__(self) -> str:
        return f"Template({self.text})"


def json_equal(left: Any, right: Any) -> bool:
    """Say whether two JSON values are the same; unlike Python's ==, true is not 1.

    Example:
        >>> json_equal([1], [1.0]), json_equal([1], [True])
        (True, False)
    """
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(json_equal(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(json_equal, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _marked(value: Any) -> Any:
    if isinstance(value, Template):
        return value.to_json()
    place = value if isinstance(value, Place) else getattr(value, "place", None)
    if isinstance(place, Place):
        return place.to_json()
    if isinstance(value, dict):
        return {
            f"${key}" if isinstance(key, str) and key.startswith("$") else key: _marked(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_marked(item) for item in value]
    return value


def _check_marks(value: Any) -> None:
    if place_from_json(value) is not None:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if key.startswith("$") and not key.startswith("$$"):
                message = (
                    f"{key!r} is no reference: those are an object with the one key $state or "
                    f"$result; an ordinary key is written with one more $"
                )
                raise PlanError(message)
            _check_marks(item)
    elif isinstance(value, list):
        for item in value:
            _check_marks(item)


def _written(value: Any) -> Any:
    place = place_from_json(value)
    if place is not None:
        return place
    if isinstance(value, dict):
        return {key.removeprefix("$"): _written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return value


def _filled(value: Any, state: Any, results: Mapping[str, Any]) -> Any:
    place = place_from_json(value)
    if place is not None:
        return place.find(state, results)
    if isinstance(value, dict):
        return {key.removeprefix("$"): _filled(item, state, results) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, state, results) for item in value]
    return value


def _keys(state: Any) -> str:
    if isinstance(state, Mapping):
        return ", ".join(sorted(map(str, state))[:10]) or "no fields"
    return f"no fields (it is {type(state).__name__})"
