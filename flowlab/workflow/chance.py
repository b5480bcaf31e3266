"""Streams of chance that depend on names alone: one more draw elsewhere changes nothing here."""

from __future__ import annotations

import hashlib
from random import Random

__all__ = ["Random", "stream"]


def stream(*names: object) -> Random:
    """Return the generator of a named stream; equal names give equal draws.

    Example:
        >>> stream(7, "trip-1", "delay").randrange(1000) == stream(7, "trip-1", "delay").randrange(
        ...     1000)
        True
    """
    text = "\0".join(map(str, names))
    return Random(int.from_bytes(hashlib.sha256(text.encode()).digest(), "little"))  # noqa: S311 - for simulation
