"""The transitive reduction of many small graphs at once, in masks of bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flowlab.causality.order import CausalOrder, order_of
from flowlab.causality.pieces import PieceGraph, levels, spread
from flowlab.events import CAUSE_TYPE, EventLog

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BITS: Final = 64
_SIZES: Final = (1, 4, 16)
"""Words of a mask: pieces of up to 64, 256 and 1 024 events are reduced together."""


def reduce_pieces(pieces: PieceGraph, log: EventLog) -> PieceGraph:
    """Leave out every edge that another way from its cause to its effect replaces."""
    keep = np.ones(len(pieces.cause), bool)
    counts = np.diff(pieces.start)
    several = np.bincount(pieces.effect, minlength=len(pieces.rows))[pieces.effect] > 1
    needed = np.zeros(len(counts), bool)
    needed[pieces.piece[pieces.effect[several]]] = True
    least = 0
    for words in _SIZES:
        chosen = needed & (counts > least) & (counts <= words * _BITS)
        edges = np.flatnonzero(chosen[pieces.piece[pieces.effect]])
        if len(edges):
            keep[edges] = _kept(pieces, edges, np.flatnonzero(chosen), words)
        least = words * _BITS
    large = np.flatnonzero(needed & (counts > least))
    if len(large) and _whole(pieces, large, log):
        _reduce_worlds(pieces, large, log, keep)
    else:
        for piece in large.tolist():
            _reduce_large(pieces, piece, log, keep)
    return pieces.with_edges(pieces.cause[keep], pieces.effect[keep])


def _kept(
    pieces: PieceGraph, edges: NDArray[np.int64], chosen: NDArray[np.int64], words: int
) -> NDArray[np.bool_]:
    """Say which edges of some pieces stay: those whose cause no other cause has in its past."""
    own = spread(pieces.start, chosen)
    number = np.full(len(pieces.rows), -1, np.int32)
    number[own] = np.arange(len(own), dtype=np.int32)
    cause, effect = number[pieces.cause[edges]], number[pieces.effect[edges]]
    place = own - pieces.start[pieces.piece[own]]
    bit = np.uint64(1) << (place % _BITS).astype(np.uint64)
    word = place // _BITS
    # A mask is an event's past and itself; `beyond`, what lies in the past of any of its causes.
    mask = np.zeros((len(own), words), np.uint64)
    mask[np.arange(len(own)), word] = bit
    beyond = np.zeros((len(own), words), np.uint64)
    steps = levels(len(own), cause, effect)
    for begin, end in zip(steps.start[1:-1].tolist(), steps.start[2:].tolist(), strict=True):
        here = steps.edges[begin:end]
        causes, effects = cause[here], effect[here]
        first = np.flatnonzero(np.r_[True, effects[1:] != effects[:-1]])
        past = mask[causes]
        mask[effects[first]] |= np.bitwise_or.reduceat(past, first, axis=0)
        past[np.arange(len(causes)), word[causes]] &= ~bit[causes]
        beyond[effects[first]] = np.bitwise_or.reduceat(past, first, axis=0)
    kept: NDArray[np.bool_] = (beyond[effect, word[cause]] & bit[cause]) == 0
    return kept


def _whole(pieces: PieceGraph, large: NDArray[np.int64], log: EventLog) -> bool:
    """Say whether pieces are whole worlds, whose order the log keeps."""
    world = order_of(log).graph.world
    sizes = np.bincount(world)
    firsts = pieces.rows[pieces.start[large]]
    return bool(np.all(sizes[world[firsts]] == np.diff(pieces.start)[large]))


def _reduce_worlds(
    pieces: PieceGraph, large: NDArray[np.int64], log: EventLog, keep: NDArray[np.bool_]
) -> None:
    """Reduce whole worlds by the exact order of the log."""
    reduced = order_of(log).reduced
    chosen = np.zeros(len(pieces.start) - 1, bool)
    chosen[large] = True
    edges = np.flatnonzero(chosen[pieces.piece[pieces.effect]])
    size = np.int64(len(log))
    own = pieces.rows[pieces.effect[edges]] * size + pieces.rows[pieces.cause[edges]]
    keep[edges] = np.isin(own, reduced.effect * size + reduced.cause)


def _reduce_large(pieces: PieceGraph, piece: int, log: EventLog, keep: NDArray[np.bool_]) -> None:
    """Reduce a large piece by the exact order of its events as a log of their own."""
    first, last = (int(pieces.start[at]) for at in (piece, piece + 1))
    edges = np.flatnonzero((pieces.effect >= first) & (pieces.effect < last))
    cause, effect = pieces.cause[edges] - first, pieces.effect[edges] - first
    agents = log.table.column("agent_id").take(pa.array(pieces.rows[first:last]))
    reduced = CausalOrder(_with_edges(agents, cause, effect)).reduced
    kept = reduced.effect.astype(np.int64) * (last - first) + reduced.cause
    keep[edges] = np.isin(effect.astype(np.int64) * (last - first) + cause, kept)


def _with_edges(
    agents: pa.ChunkedArray, cause: NDArray[np.int32], effect: NDArray[np.int32]
) -> EventLog:
    """Return a log of events that have nothing but lanes and the causes given."""
    size = len(agents)
    numbers = pa.array(np.arange(1, size + 1))
    ends = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(effect, minlength=size), out=ends[1:])
    refs = pa.StructArray.from_arrays(
        [pa.repeat("w", len(cause)), pa.array(cause.astype(np.int64) + 1)],
        fields=list(CAUSE_TYPE),
    )
    table = pa.table(
        {
            "workflow_id": pa.repeat("w", size),
            "sequence": numbers,
            "agent_id": agents,
            "agent_sequence": numbers,
            "event_type": pa.repeat("MarkerRecorded", size),
            "follows_lane": pa.repeat(False, size),
            "causes": pa.ListArray.from_arrays(pa.array(ends), refs),
            "cause_kinds": pa.ListArray.from_arrays(
                pa.array(ends), pa.array(np.zeros(len(cause), np.int8))
            ),
        }
    )
    return EventLog.from_table(table)
