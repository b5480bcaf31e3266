"""The causes of a log as pairs of rows, and how deep each row stands in the causal order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from flowlab.widgets.rows import RowIndex, groups

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

LANE: Final = 8
"""The kind of an edge from an event to the next of its lane; the others are `CauseKind`s."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Causes as rows: the cause, the effect, and the kind."""

    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    kind: NDArray[np.uint8]


def read_edges(table: pa.Table, index: RowIndex) -> Edges:
    """Return every edge whose two ends are in the table; an event never causes itself."""
    causes = table.column("causes").combine_chunks()
    effects = pc.list_parent_indices(causes).to_numpy()
    flat = pc.list_flatten(causes)
    worlds = [table.column(name).take(effects) for name in ("namespace", "run_id")]
    named = [*worlds, pc.struct_field(flat, 0)]
    src = index.rows(named, pc.struct_field(flat, 1).to_numpy())
    kinds = pc.list_flatten(table.column("cause_kinds")).to_numpy()
    lane_src, lane_dst = _lanes(table)
    src = np.concatenate([src, lane_src]).astype(np.int32)
    dst = np.concatenate([effects, lane_dst]).astype(np.int32)
    kind = np.concatenate([kinds, np.full(len(lane_src), LANE)]).astype(np.uint8)
    kept = (src >= 0) & (src != dst)
    return Edges(src[kept], dst[kept], kind[kept])


def _lanes(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lanes = groups(table, ("namespace", "run_id", "agent_id")).codes
    streams = groups(table, ("workflow_id",))
    names = sorted(range(len(streams.names)), key=lambda code: streams.names[code])
    ranks = np.empty(len(names), np.int64)
    ranks[names] = np.arange(len(names))
    keys = [table.column(name).to_numpy() for name in ("sequence", "position", "agent_sequence")]
    order = np.lexsort([keys[0], ranks[streams.codes], keys[1], keys[2], lanes])
    before, after = order[:-1], order[1:]
    follows = table.column("follows_lane").to_numpy(zero_copy_only=False)[after]
    kept = follows & (lanes[before] == lanes[after])
    return before[kept], after[kept]


def causal_depth(edges: Edges, size: int) -> NDArray[np.int32]:
    """Return the length of the longest chain of causes before each row; rows on a cycle have 0.

    Example:
        >>> edges = Edges(np.array([0, 1], np.int32), np.array([1, 2], np.int32),
        ...               np.array([8, 1], np.uint8))
        >>> causal_depth(edges, 3).tolist()
        [0, 1, 2]
    """
    waiting = np.bincount(edges.dst, minlength=size).tolist()
    order = np.argsort(edges.src, kind="stable")
    effects = edges.dst[order].tolist()
    starts = np.searchsorted(edges.src[order], np.arange(size + 1)).tolist()
    depth = [0] * size
    ready = [row for row in range(size) if not waiting[row]]
    done = 0
    while ready:
        row = ready.pop()
        done += 1
        below = depth[row] + 1
        for effect in effects[starts[row] : starts[row + 1]]:
            depth[effect] = max(depth[effect], below)
            waiting[effect] -= 1
            if not waiting[effect]:
                ready.append(effect)
    if done < size:
        depth = [0 if left else own for own, left in zip(depth, waiting, strict=True)]
    return np.asarray(depth, np.int32)
