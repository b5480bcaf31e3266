"""What has changed between two JSON values, as data; and the newer one from the older and that."""

from __future__ import annotations

from typing import Any, Final

from flowlab.errors import CorruptionError

SET: Final = "set"
DROP: Final = "drop"
SPLICE: Final = "splice"

Path = list[str | int]
Change = list[Any]
"""["set", path, value], ["drop", path], or ["splice", path, start, how many go, what comes]."""


def changes_between(old: Any, new: Any) -> list[Change]:
    """Return what makes one JSON value of another, by changed path.

    The law: `changed(old, changes_between(old, new))` is `new` to the byte when encoded: types,
    signs of zeros and the order of keys included. Equal values give no change. A list that grew at
    its end, or lost some elements in the middle, costs what is new in it.

    Args:
        old: a JSON value.
        new: another.

    Example:
        >>> old = {"results": [["a", 1]], "left": 3}
        >>> changes_between(old, {"results": [["a", 1], ["b", 2]], "left": 2})
        [['splice', ['results'], 1, 0, [['b', 2]]], ['set', ['left'], 2]]
    """
    found: list[Change] = []
    _compare(old, new, [], found)
    return found


def changed(value: Any, changes: list[Change]) -> Any:
    """Return the newer value; the older one, which is the caller's own, becomes part of it.

    Raises:
        CorruptionError: the changes do not fit the value.

    Example:
        >>> changed({"a": [1, 2, 3]}, [["splice", ["a"], 1, 1, []], ["set", ["b"], None]])
        {'a': [1, 3], 'b': None}
    """
    try:
        for kind, path, *more in changes:
            value = _apply(value, kind, path, more)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, CorruptionError):
            raise
        message = f"a delta does not fit the state that it is a delta of: {error!r}"
        raise CorruptionError(message) from error
    return value


def _compare(old: Any, new: Any, path: Path, found: list[Change]) -> None:
    if type(old) is dict and type(new) is dict and _keeps_order(old, new):
        found.extend([DROP, [*path, key]] for key in old if key not in new)
        for key, value in new.items():
            if key in old:
                _compare(old[key], value, [*path, key], found)
            else:
                found.append([SET, [*path, key], value])
    elif type(old) is list and type(new) is list:
        _compare_lists(old, new, path, found)
    elif not _same(old, new):
        found.append([SET, path, new])


def _compare_lists(old: list[Any], new: list[Any], path: Path, found: list[Change]) -> None:
    least = min(len(old), len(new))
    start = 0
    while start < least and _same(old[start], new[start]):
        start += 1
    end = 0
    while end < least - start and _same(old[-1 - end], new[-1 - end]):
        end += 1
    gone, come = old[start : len(old) - end], new[start : len(new) - end]
    if len(gone) == len(come):
        for place, (before, after) in enumerate(zip(gone, come, strict=True), start):
            _compare(before, after, [*path, place], found)
    else:
        found.append([SPLICE, path, start, len(gone), come])


def _keeps_order(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Say whether taking keys out and putting others at the end leads to the new order."""
    kept = [key for key in old if key in new]
    return list(new)[: len(kept)] == kept


def _same(old: Any, new: Any) -> bool:
    if type(old) is not type(new):
        return False
    if type(old) is dict:
        return list(old) == list(new) and all(_same(value, new[key]) for key, value in old.items())
    if type(old) is list:
        return len(old) == len(new) and all(map(_same, old, new))
    if type(old) is float:
        return repr(old) == repr(new)
    return bool(old == new)


def _apply(value: Any, kind: str, path: Path, more: list[Any]) -> Any:
    if kind == SPLICE:
        target = value
        for part in path:
            target = target[part]
        start, count, come = more
        if type(target) is not list or not 0 <= start <= start + count <= len(target):
            message = f"at {path} is no list of {start + count} elements"
            raise CorruptionError(message)
        target[start : start + count] = come
        return value
    if kind == SET and not path:
        return more[0]
    owner = value
    for part in path[:-1]:
        owner = owner[part]
    if kind == SET:
        owner[path[-1]] = more[0]
    elif kind == DROP:
        del owner[path[-1]]
    else:
        message = f"{kind!r} is no kind of change; expected {SET!r}, {DROP!r} or {SPLICE!r}"
        raise CorruptionError(message)
    return value
