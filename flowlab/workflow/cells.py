"""The state that a handler works on: named cells, of which it is seen what it reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, Final

import msgspec

from flowlab.errors import InvalidArgumentError
from flowlab.events.codec import decode_payload, encode_json
from flowlab.workflow.names import is_id, shortened

GONE: Final = object()
"""Stands for a cell that the running transaction has deleted."""

_forget: Final = dict.clear
_MISSING: Final = object()
_SCALARS: Final = frozenset({str, bool, type(None), int})
_ENCODE: Final = msgspec.json.Encoder(order="sorted").encode
_DECODE: Final = msgspec.json.Decoder().decode
_CONTAINERS: Final = frozenset({list, dict})


class Cells(dict[str, Any]):
    """The cells of one owner during a transaction: nothing is changed before it commits.

    A mapping. What was read or written in the transaction is in the dict itself, so that all but
    the first access to a cell is a dict's; what was read for the first time is noted. A list or a
    dict may be changed in place. A cell counts as written where it was set or deleted without being
    read, or has another value than was read: 1, 1.0 and True are three values, as in JSON.
    Iterating, `len` and `==` read every cell. What cannot name a cell is no cell, and is not read.

    Args:
        base: the owner's cells.

    Attributes:
        reads: the cells that were read, by key, with the value that was read; of a cell that was
            not there, `GONE`.

    Example:
        >>> state = {"balance": 100}
        >>> cells = Cells(state)
        >>> cells["balance"] -= 30
        >>> state["balance"], cells["balance"], list(cells.reads), cells.commit()
        (100, 70, ['balance'], {'balance': 70})
        >>> state
        {'balance': 70}
    """

    __slots__ = ("_base", "_gone", "reads")

    def __init__(self, base: dict[str, Any]) -> None:
        super().__init__()
        self._base = base
        self._gone: dict[str, None] = {}
        self.reads: dict[str, Any] = {}

    def __repr__(self) -> str:
        cells = {**self._base, **dict(self.seen())}
        shown = [
            f"{k}={cells[k]!r}" for k in sorted(cells) if k not in self._gone or k in self.seen()
        ]
        return f"Cells({', '.join(shown)})"

    def begin(self, base: dict[str, Any]) -> None:
        """Forget what a transaction has done: the next one begins, on an owner's cells."""
        self._base = base
        _forget(self)
        self.reads.clear()
        if self._gone:
            self._gone = {}

    def seen(self) -> dict[str, Any]:
        """Return the values that the transaction has read or set."""
        return {key: dict.__getitem__(self, key) for key in dict.keys(self)}

    def changes(self) -> dict[str, Any]:
        """Return the new values by key, in the order of first access; `GONE` for a deleted cell."""
        changed: dict[str, Any] = {}
        reads = self.reads
        for key, value in dict.items(self):
            if key in reads:
                read = reads[key]
                if value is read or (
                    type(value) is type(read)
                    and value == read
                    and (type(value) in _SCALARS or encode_json(value) == encode_json(read))
                ):
                    continue
            elif type(key) is not str or not is_id(key):
                message = f"a cell is named by text that can be an id, not by {shortened(key)}"
                raise InvalidArgumentError(message)
            changed[key] = value
        for key in self._gone:
            if not dict.__contains__(self, key) and reads.get(key) is not GONE:
                changed[key] = GONE
        return changed

    def encoded(self, changed: dict[str, Any]) -> bytes | None:
        """Return changes as a JSON object, and make them what JSON reads back; null for `GONE`.

        Raises:
            InvalidEventError: a value is not JSON.
        """
        if not changed:
            return None
        try:
            text = _ENCODE(changed)
            if _SCALARS.issuperset(map(type, changed.values())):
                return text
            plain = _DECODE(text)
            if plain == changed:
                changed.update(plain)
                return text
        except (UnicodeError, OverflowError, RecursionError, TypeError, ValueError):
            pass  # what JSON cannot hold as it is goes the careful way
        text = encode_json({k: None if v is GONE else v for k, v in sorted(changed.items())})
        for key, value in decode_payload(text).items():
            if changed[key] is not GONE:
                changed[key] = value
        return text

    def commit(self, changed: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make the changes those of the owner; return them."""
        written = self.changes() if changed is None else changed
        if not self._gone:
            self._base.update(written)
            return written
        for key, value in written.items():
            if value is GONE:
                self._base.pop(key, None)
                continue
            if key in self._gone:
                self._base.pop(key, None)
            self._base[key] = value
        return written

    # -- a mapping --------------------------------------------------------------------------------

    def __missing__(self, key: str) -> Any:
        if key in self._gone:
            raise KeyError(key)
        value = self._base.get(key, GONE)
        if value is GONE:
            if type(key) is str and is_id(key):
                self.reads[key] = GONE
            raise KeyError(key)
        self.reads[key] = value
        if type(value) in _CONTAINERS:
            value = own(value)
        dict.__setitem__(self, key, value)
        return value

    def __delitem__(self, key: str) -> None:
        self[key]  # a KeyError where there is none
        dict.__delitem__(self, key)
        self._gone[key] = None

    def __contains__(self, key: object) -> bool:
        if dict.__contains__(self, key):
            return True
        try:
            self.__missing__(key)  # type: ignore[arg-type]
        except KeyError:
            return False
        return True

    def get(self, key: str, default: Any = None) -> Any:
        """Return a cell's value, or the default where there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        base, gone = self._base, self._gone
        # A cell that was deleted and set again is the last, as in any dict.
        fresh = [key for key in dict.keys(self) if key not in base or key in gone]
        for key in [*(key for key in base if key not in gone), *fresh]:
            if key in self:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def __eq__(self, other: object) -> bool:
        return dict(self.items()) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def keys(self) -> Any:
        """Return the names of all cells."""
        return dict.fromkeys(self).keys()

    def items(self) -> Any:
        """Return all cells."""
        return {key: self[key] for key in self}.items()

    def values(self) -> Any:
        """Return the values of all cells."""
        return {key: self[key] for key in self}.values()

    def copy(self) -> dict[str, Any]:
        """Return all cells as a dict of their own."""
        return deepcopy({key: self[key] for key in self})

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Delete a cell, and return its value."""
        try:
            value = self[key]
        except KeyError:
            if default is _MISSING:
                raise
            return default
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Delete the last cell, and return its name and value."""
        keys = list(self)
        if not keys:
            message = "there is no cell"
            raise KeyError(message)
        return keys[-1], self.pop(keys[-1])

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return a cell's value; set it first where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Delete every cell."""
        for key in list(self):
            del self[key]

    def __or__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return self.copy() | dict(other)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self))

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, _: Any) -> dict[str, Any]:
        return self.copy()

    @classmethod
    def fromkeys(cls, keys: Iterable[str], value: Any = None) -> dict[str, Any]:  # type: ignore[override]
        """Return a plain dict."""
        return dict.fromkeys(keys, value)


def own(value: Any) -> Any:
    """Return a copy of a JSON value that shares with it nothing that could be changed.

    Example:
        >>> seats = {"row": [1, 2]}
        >>> own(seats) == seats, own(seats)["row"] is seats["row"]
        (True, False)
    """
    if type(value) is dict:
        return {k: own(v) if type(v) in _CONTAINERS else v for k, v in value.items()}
    if type(value) is list:
        return [own(item) if type(item) in _CONTAINERS else item for item in value]
    return value
