"""The names of a room that load when they are used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(room: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a room: what is asked for is loaded then, and kept.

    Args:
        room: the name of its package.
        names: of each of its names, the module that has it.

    Example:
        >>> load = lazy_names("flowlab.events", {"counted": "flowlab.events.wording"})
        >>> load("counted")(2, "room")
        '2 rooms'
        >>> load("none")
        Traceback (most recent call last):
        AttributeError: module 'flowlab.events' has no attribute 'none'
    """

    def load(name: str) -> Any:
        if name not in names:
            message = f"module {room!r} has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(names[name]), name)
        setattr(sys.modules[room], name, value)
        return value

    return load
