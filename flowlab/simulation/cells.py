"""The state that a handler works on: named cells, of which it is seen what it reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from copy import deepcopy
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events.codec import decode_payload, encode_json

GONE: Final = object()
"""Stands for a cell that the running transaction has deleted."""


class Cells(MutableMapping[str, Any]):
    """The cells of one owner during a transaction: nothing is changed before it commits.

    Reads and writes are noted by key. A list or a dict may be changed in place: that counts as a
    write when the handler is done. Iterating, `len` and `==` read every cell.

    Example:
        >>> state = {"balance": 100}
        >>> cells = Cells(state)
        >>> cells["balance"] -= 30
        >>> state["balance"], cells["balance"], list(cells.reads), cells.commit()
        (100, 70, ['balance'], {'balance': 70})
        >>> state
        {'balance': 70}
    """

    __slots__ = ("_base", "_copies", "reads", "writes")

    def __init__(self, base: dict[str, Any]) -> None:
        self._base = base
        self.reads: dict[str, None] = {}
        self.writes: dict[str, Any] = {}
        self._copies: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Cells({', '.join(f'{key}={value!r}' for key, value in sorted(self.items()))})"

    def begin(self) -> None:
        """Forget what a transaction has done: the next one begins."""
        if self.reads:
            self.reads = {}
        if self.writes:
            self.writes = {}
        if self._copies:
            self._copies = {}

    def encoded(self) -> bytes | None:
        """Return the changes as a JSON object, and keep them as JSON reads them back.

        Raises:
            InvalidEventError: a value is not JSON.
        """
        written = self.changes()
        if not written:
            return None
        text = encode_json({k: None if v is GONE else v for k, v in sorted(written.items())})
        for key, value in decode_payload(text).items():
            if written[key] is not GONE:
                written[key] = value
        return text

    def changes(self) -> dict[str, Any]:
        """Return the new values by key; `GONE` cells are left to `commit`."""
        for key, copy in self._copies.items():
            if key not in self.writes and copy != self._base.get(key, GONE):
                self.writes[key] = copy
        return self.writes

    def commit(self) -> dict[str, Any]:
        """Make the changes those of the owner; return the new values, `GONE` for a deleted cell."""
        written = self.changes()
        for key, value in written.items():
            if value is GONE:
                self._base.pop(key, None)
            else:
                self._base[key] = value
        return dict(written)

    def __getitem__(self, key: str) -> Any:
        if key in self.writes:
            value = self.writes[key]
            if value is GONE:
                raise KeyError(key)
            return value
        self.reads[key] = None
        if key in self._copies:
            return self._copies[key]
        value = self._base[key]
        if type(value) is list or type(value) is dict:
            value = self._copies[key] = deepcopy(value)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str) or not key:
            message = f"a cell is named by text that is not empty, not by {key!r}"
            raise InvalidArgumentError(message)
        self._copies.pop(key, None)
        self.writes[key] = value

    def __delitem__(self, key: str) -> None:
        self[key]  # a KeyError where there is none
        self._copies.pop(key, None)
        self.writes[key] = GONE

    def __contains__(self, key: object) -> bool:
        if key in self.writes:
            return self.writes[str(key)] is not GONE
        self.reads[str(key)] = None
        return key in self._base

    def __iter__(self) -> Iterator[str]:
        keys = dict.fromkeys([*self._base, *self.writes])
        for key in keys:
            if key in self:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)
