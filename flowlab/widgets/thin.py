"""A large log as marks that stand for many events each: one for a lane, a stretch and a kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flowlab.widgets.content import Content

STRETCHES: Final = 600
"""Stretches of the time of a log, each with a mark for what a lane did in it."""
MAX_THIN: Final = 60_000
"""Marks of a page; with more lanes, stretches are longer."""
_KEPT: Final = "time lane world stream workflow sequence event_type name_code step_id depth".split()


def thin(content: Content) -> Content:
    """Put the events of each lane, type and stretch of time together."""
    columns, size = content.columns, len(content.log)
    lanes = len(content.lanes.names)
    stretches = int(max(20, min(STRETCHES, MAX_THIN // max(1, lanes))))
    length = float(columns["time"][-1]) or 1.0
    place = np.minimum((columns["time"] * (stretches / length)).astype(np.int64), stretches - 1)
    kinds = len(content.header["types"])
    keys = (place * lanes + columns["lane"]) * kinds + columns["event_type"]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    order = np.argsort(first)
    rows = first[order]
    kept: dict[str, NDArray[Any]] = {name: columns[name][rows] for name in _KEPT}
    kept["count"] = counts[order].astype(np.uint32)
    header = {**content.header, "aggregated": True, "events": size}
    return replace(content, columns=kept, header=header)
