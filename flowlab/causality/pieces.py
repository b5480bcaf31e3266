"""A log in pieces that are compared with each other (its runs, its workflows), as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.columns import encode, pair
from flowlab.causality.contents import OWN_COLUMNS
from flowlab.causality.graph import LANE, CausalGraph
from flowlab.errors import InvalidArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

By = Literal["run", "workflow"]
BY: Final = ("run", "workflow")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pieces:
    """Which piece each event belongs to.

    Args:
        code: of each event, its piece; -1 where it belongs to none.
        names: (namespace, run_id, workflow_id) of each piece; the workflow_id of a run is None.
    """

    code: NDArray[np.int32]
    names: list[tuple[str, str, str | None]]


def own_names(parts: Pieces, content: Sequence[str]) -> pa.Array | None:
    """Return the name of each event's own workflow, "" where it has none.

    None where that makes no difference: for runs, and where the content names nobody.
    """
    named = any(name[2] is not None for name in parts.names)
    if not named or OWN_COLUMNS.isdisjoint(content):
        return None
    names = pa.array(["", *(name[2] or "" for name in parts.names)], pa.string())
    return names.take(pa.array(parts.code + 1))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PieceGraph:
    """The events of pieces with their edges, renumbered: piece by piece, causes first.

    Args:
        rows: the row in the log of each event.
        start: where each piece begins, and the end.
        piece: the piece of each event.
        cause, effect: edges within pieces, sorted by effect, then cause; each pair once.
    """

    rows: NDArray[np.int32]
    start: NDArray[np.int64]
    piece: NDArray[np.int32]
    cause: NDArray[np.int32]
    effect: NDArray[np.int32]

    def with_edges(self, cause: NDArray[np.int32], effect: NDArray[np.int32]) -> PieceGraph:
        """Return the same events with other edges."""
        return PieceGraph(self.rows, self.start, self.piece, cause, effect)


def pieces(table: pa.Table, by: str) -> Pieces:
    """Say which run or workflow each event belongs to.

    An event belongs to the workflow whose history it is in, or else to the one that it names as
    its coordination; an event that does neither belongs to none.

    Raises:
        InvalidArgumentError: `by` is neither "run" nor "workflow".
    """
    if by not in BY:
        message = f"got by={by!r}; pieces of a log are by 'run' or by 'workflow'"
        raise InvalidArgumentError(message)
    spaces, space_names = encode(table.column("namespace"))
    runs, run_names = encode(table.column("run_id"))
    world, left, right = pair(spaces, runs, len(run_names))
    worlds = list(
        zip(
            space_names.take(pa.array(left)).to_pylist(),
            run_names.take(pa.array(right)).to_pylist(),
            strict=True,
        )
    )
    if by == "run":
        return Pieces(world, [(*key, None) for key in worlds])
    codes, ids = _workflow_codes(table)
    if len(worlds) <= 1:
        code, of_name = codes, np.arange(len(ids))
        of_world = np.zeros(len(ids), np.int64)
    else:
        code, of_world, of_name = pair(world, codes + 1, len(ids) + 1)
        of_name -= 1
    used = np.zeros(len(of_world) + 1, bool)
    used[code] = True
    used = used[:-1] & (of_name >= 0)
    place = np.append(np.where(used, np.cumsum(used) - 1, -1), -1).astype(np.int32)
    names: list[tuple[str, str, str | None]] = [
        (*worlds[one], ids[other])
        for one, other in zip(of_world[used].tolist(), of_name[used].tolist(), strict=True)
    ]
    return Pieces(place[code], names)


def _workflow_codes(table: pa.Table) -> tuple[NDArray[np.int32], list[str]]:
    """Return the workflow of each event as a code, -1 for none, and the names of all."""
    codes, streams = encode(table.column("workflow_id"))
    foreign = pc.starts_with(streams, "@").to_numpy(zero_copy_only=False)[codes]
    if not foreign.any():
        return codes, streams.to_pylist()
    column = table.column("coordination_id")
    there = pc.is_valid(column).to_numpy()
    given, coordinations = encode(column.drop_null() if column.null_count else column)
    known = pc.index_in(coordinations, value_set=streams).fill_null(-1).to_numpy()
    new = np.flatnonzero(known < 0)
    known = known.copy()
    known[new] = len(streams) + np.arange(len(new))
    named = np.full(len(codes), -1, np.int32)
    named[there] = known[given]
    return (
        np.where(foreign, named, codes),
        [*streams.to_pylist(), *coordinations.take(pa.array(new)).to_pylist()],
    )


def gathered(codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the rows sorted by a code, equal ones as they stand; digit by digit, which is fast."""
    low = np.argsort(codes.astype(np.uint16), kind="stable")
    if not len(codes) or int(codes.max()) < 2**16:
        return low
    high = np.argsort((codes[low] >> 16).astype(np.uint16), kind="stable")
    rows: NDArray[np.int64] = low[high]
    return rows


def recorded_order(table: pa.Table, parts: Pieces) -> NDArray[np.int64]:
    """Return the rows of all pieces, piece by piece, each as it was recorded.

    That is by position; where the log has none, by time and then as the rows stand.
    """
    rows = np.flatnonzero(parts.code >= 0)
    key = table.column("position").to_numpy()[rows]
    if not np.all(key > 0):
        key = table.column("time_ns").to_numpy()[rows]
    piece = parts.code[rows]
    if np.all(np.diff(key) >= 0):
        return rows[gathered(piece)]
    order: NDArray[np.int64] = rows[np.lexsort((key, piece))]
    return order


def piece_graph(graph: CausalGraph, parts: Pieces) -> PieceGraph:
    """PieceGraph a graph into pieces: an edge stays where both its ends are in one piece.

    The events of a piece on one lane keep the lane's order, whatever others did in between, as far
    as each of these follows the lane.
    """
    inside = graph.order[parts.code[graph.order] >= 0]
    rows = inside[gathered(parts.code[inside])]
    piece = parts.code[rows]
    start = np.zeros(len(parts.names) + 1, np.int64)
    np.cumsum(np.bincount(piece, minlength=len(parts.names)), out=start[1:])
    number = np.full(graph.size, -1, np.int32)
    number[rows] = np.arange(len(rows), dtype=np.int32)
    named = (graph.kind != LANE) & (parts.code[graph.cause] == parts.code[graph.effect])
    named &= parts.code[graph.cause] >= 0
    before, after = _lane_pairs(graph, parts)
    cause = np.concatenate([number[graph.cause[named]], number[before]])
    effect = np.concatenate([number[graph.effect[named]], number[after]])
    order = np.lexsort((cause, effect))
    cause, effect = cause[order], effect[order]
    once = np.ones(len(cause), bool)
    once[1:] = (cause[1:] != cause[:-1]) | (effect[1:] != effect[:-1])
    return PieceGraph(rows, start, piece, cause[once], effect[once])


def _lane_pairs(graph: CausalGraph, parts: Pieces) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return neighbours on a lane within a piece, where all from one to the other follow it."""
    rows = graph.lane_rows
    breaks = np.cumsum(~graph.log.table.column("follows_lane").to_numpy()[rows])
    lane, piece = graph.lane[rows], parts.code[rows]
    kept = np.flatnonzero(piece >= 0)
    if len(parts.names) > len(graph.worlds):
        kept = kept[np.lexsort((piece[kept], lane[kept]))]
    one, other = kept[:-1], kept[1:]
    linked = (lane[one] == lane[other]) & (piece[one] == piece[other])
    linked &= breaks[one] == breaks[other]
    return rows[one[linked]], rows[other[linked]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Levels:
    """Edges level by level: all effects of a level have their causes in the levels before.

    Args:
        level: of each event, the longest way to it from an event without causes, in edges.
        edges: edge numbers, sorted by the level of the effect, then effect.
        start: where each level begins in `edges` (level 0 has none), and the end.
    """

    level: NDArray[np.int32]
    edges: NDArray[np.int64]
    start: NDArray[np.int64]


def levels(size: int, cause: NDArray[np.int32], effect: NDArray[np.int32]) -> Levels:
    """Find the level of each event; edges are sorted by effect, and have no cycle."""
    left = np.bincount(effect, minlength=size)
    by_cause = np.argsort(cause, kind="stable")
    out = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(cause, minlength=size), out=out[1:])
    level = np.zeros(size, np.int32)
    front = np.flatnonzero(left == 0)
    turn = np.zeros(size, np.int64)
    depth = 0
    while len(front):
        level[front] = depth
        targets = effect[by_cause[spread(out, front)]]
        np.subtract.at(left, targets, 1)
        ready = targets[left[targets] == 0]
        turn[ready] = places = np.arange(len(ready))
        front = ready[turn[ready] == places]
        depth += 1
    edges = np.argsort(level[effect], kind="stable")
    start = np.searchsorted(level[effect][edges], np.arange(depth + 1))
    return Levels(level, edges, start)


def spread(start: NDArray[np.int64], which: NDArray[Any]) -> NDArray[np.int64]:
    """Return all places `start[w]:start[w + 1]` of some w, one after the other."""
    counts = start[which + 1] - start[which]
    total = int(counts.sum())
    shift = np.repeat(start[which] - np.cumsum(counts) + counts, counts)
    places: NDArray[np.int64] = shift + np.arange(total)
    return places
