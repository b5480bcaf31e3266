"""A large log as marks that stand for many events each: one for a lane, a stretch and a kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flowlab.widgets.content import Content

STRETCHES: Final = ((600, True), (300, True), (150, True), (150, False), (20, False))
"""Stretches of the time of a log, and whether types stand apart in each: the first of these with
which there are at most `MAX_THIN` marks, or else the last."""
MAX_THIN: Final = 40_000
_KEPT: Final = "time lane world stream workflow sequence event_type name_code step_id depth".split()


def thin(content: Content) -> Content:
    """Put the events of each lane, type and stretch of time together."""
    columns, size = content.columns, len(content.log)
    first, counts = _stretched(content)
    order = np.argsort(first)
    rows = first[order]
    kept: dict[str, NDArray[Any]] = {name: columns[name][rows] for name in _KEPT}
    kept["count"] = counts[order].astype(np.uint32)
    header = {**content.header, "aggregated": True, "events": size}
    return replace(content, columns=kept, header=header)


def _stretched(content: Content) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each mark, and how many it stands for."""
    columns, lanes = content.columns, len(content.lanes.names)
    length = float(columns["time"][-1]) or 1.0
    kinds = len(content.header["types"])
    for stretches, apart in STRETCHES:
        place = np.minimum(columns["time"] * (stretches / length), stretches - 1).astype(np.int64)
        keys = place * lanes + columns["lane"]
        keys = keys * kinds + columns["event_type"] if apart else keys
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        if len(first) <= MAX_THIN:
            break
    return first, counts
