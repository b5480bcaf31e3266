"""What follows what, and what causes what: graphs of kinds of events, with counts and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Final, Literal

import networkx as nx
import numpy as np

from flowlab.causality.contents import check_content, content_codes, say_content
from flowlab.causality.graph import read_graph
from flowlab.causality.piece_reduction import reduce_pieces
from flowlab.causality.pieces import Pieces, own_names, piece_graph, pieces, recorded_order
from flowlab.events import EventLog, counted, grouped

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

FLOW_CONTENT: Final = ("event_type", "name")
"""What kinds of events a flow graph tells apart, unless it is said otherwise."""
MAX_SHOWN: Final = 20
"""Edges of a table in a notebook."""
_MS: Final = 1e6
_MANY: Final = 4_000_000
"""Pairs of kinds that are counted in one array; beyond it, those that occur are sorted."""


# Not slotted: times are computed when they are first asked for, and kept.
@dataclass(frozen=True, repr=False, eq=False)
class Flow:
    """A graph of kinds of events: one for each content, with the pairs of events between them.

    Args:
        relation: "follows" or "causes".
        by: what the log was cut into.
        labels: the content of each kind.
        counts: of each kind, how many events.
        starts: of each kind, how many events have nothing before them in their piece.
        ends: of each kind, how many have nothing after them.
        source, target: of each edge, its kinds.
        frequency: of each edge, how many pairs of events.
    """

    relation: Literal["follows", "causes"]
    by: str
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    frequency: NDArray[np.int64]
    _pairs: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Of each pair of events: the key of its edge, and how long it took."""

    @cached_property
    def times_ns(self) -> dict[str, NDArray[np.float64]]:
        """Of each edge: the mean, median and 95th percentile of the time from event to event."""
        keys, lasted = self._pairs
        order = np.lexsort((lasted, keys))
        sorted_times = lasted[order].astype(np.float64)
        ends = np.cumsum(self.frequency)
        first = ends - self.frequency
        sums = np.add.reduceat(sorted_times, first) if len(first) else np.zeros(0)
        return {
            "mean_ns": sums / self.frequency,
            "median_ns": _quantile(sorted_times, first, self.frequency, 0.5),
            "p95_ns": _quantile(sorted_times, first, self.frequency, 0.95),
        }

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each edge, the most frequent first, then by kinds.

        Its columns: `source`, `target`, `count`, and `mean_ns`, `median_ns` and `p95_ns` of the
        time between the two events (quantiles are interpolated).
        """
        import polars as pl  # noqa: PLC0415

        labels = pl.Series(self.labels, dtype=pl.String)
        frame = pl.DataFrame(
            {
                "source": labels.gather(pl.Series(self.source, dtype=pl.Int64)),
                "target": labels.gather(pl.Series(self.target, dtype=pl.Int64)),
                "count": self.frequency,
                **self.times_ns,
            }
        )
        return frame.sort("count", "source", "target", descending=[True, False, False])

    def kinds(self) -> pl.DataFrame:
        """Return a row for each kind of event: how many, and how many of them begin and end."""
        import polars as pl  # noqa: PLC0415

        return pl.DataFrame(
            {
                "kind": pl.Series(self.labels, dtype=pl.String),
                "count": self.counts,
                "starts": self.starts,
                "ends": self.ends,
            }
        ).sort("count", "kind", descending=[True, False])

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return a `networkx.DiGraph` of kinds; nodes and edges have the columns as attributes."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        for row in self.kinds().to_dicts():
            graph.add_node(row.pop("kind"), **row)
        for row in self.to_polars().to_dicts():
            graph.add_edge(row.pop("source"), row.pop("target"), **row)
        return graph

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        pairs = counted(int(self.frequency.sum()), "pair")
        kinds, edges = counted(len(self.labels), "kind"), counted(len(self), "edge")
        return f"Flow({self.relation}, {kinds}, {edges}, {pairs})"

    def _repr_html_(self) -> str:
        left, right = ' style="text-align:left"', ' style="text-align:right"'
        heads = {"source": left, "target": left, "count": right, "mean ms": right, "p95 ms": right}
        head = "".join(f"<th{side}>{name}</th>" for name, side in heads.items())
        body = ""
        for row in self.to_polars().head(MAX_SHOWN).to_dicts():
            cells = (
                row["source"],
                row["target"],
                grouped(row["count"]),
                f"{row['mean_ns'] / _MS:.1f}",
                f"{row['p95_ns'] / _MS:.1f}",
            )
            sides = zip(cells, heads.values(), strict=True)
            body += f"<tr>{''.join(f'<td{side}>{escape(cell)}</td>' for cell, side in sides)}</tr>"
        shown = f"{min(MAX_SHOWN, len(self))} of {counted(len(self), 'edge')} shown"
        return (
            f"<table><caption>{escape(repr(self))}: {shown}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def directly_follows(
    log: EventLog,
    *,
    by: Literal["run", "workflow"] = "workflow",
    content: Sequence[str] = FLOW_CONTENT,
) -> Flow:
    """Return which kind of event was recorded directly after which: process mining's graph.

    Events follow one another in the order in which they were recorded in their piece (by position,
    or where the log has none by time), whether or not one had to wait for the other.

    Args:
        log: any log.
        by: "workflow" or "run", as in `variants`.
        content: the columns that make a kind.

    Raises:
        InvalidArgumentError: `by` or `content` is none of these.

    Example:
        >>> flow = directly_follows(EventLog.from_text("A: a b a b", run_id="r"), by="run")
        >>> flow.to_polars().select("source", "target", "count").rows()
        [('MarkerRecorded a', 'MarkerRecorded b', 2), ('MarkerRecorded b', 'MarkerRecorded a', 1)]
    """
    content = check_content(content)
    parts = pieces(log.table, by)
    rows = recorded_order(log.table, parts)
    piece = parts.code[rows]
    same = piece[1:] == piece[:-1]
    pairs = (rows[:-1][same], rows[1:][same])
    return _flow(log, "follows", by, content, parts=parts, pairs=pairs)


def directly_causes(
    log: EventLog,
    *,
    by: Literal["run", "workflow"] = "workflow",
    content: Sequence[str] = FLOW_CONTENT,
) -> Flow:
    """Return which kind of event was an immediate cause of which.

    An edge stands for pairs of events of one piece of which the first is a cause of the second and
    no third comes between: the transitive reduction of each piece's causal order. Events that were
    only recorded one after the other have no edge.

    Args:
        log: any log.
        by: "workflow" or "run", as in `variants`.
        content: the columns that make a kind.

    Raises:
        InvalidArgumentError: `by` or `content` is none of these.

    Example:
        >>> log = EventLog.from_text("A: >go | B: <go b | C: <go c", run_id="r")
        >>> directly_causes(log, by="run")
        Flow(causes, 4 kinds, 3 edges, 4 pairs)
        >>> len(directly_follows(log, by="run"))
        4
    """
    content = check_content(content)
    parts = pieces(log.table, by)
    trimmed = reduce_pieces(piece_graph(read_graph(log), parts), log)
    pairs = (trimmed.rows[trimmed.cause], trimmed.rows[trimmed.effect])
    return _flow(log, "causes", by, content, parts=parts, pairs=pairs)


def _flow(
    log: EventLog,
    relation: Literal["follows", "causes"],
    by: str,
    content: Sequence[str],
    *,
    parts: Pieces,
    pairs: tuple[NDArray[np.integer], NDArray[np.integer]],
) -> Flow:
    before, after = pairs
    codes, values = content_codes(log.table, content, own_names(parts, content))
    kinds, inside = len(values), parts.code >= 0
    keys = codes[before].astype(np.int64) * kinds + codes[after]
    if kinds * kinds <= _MANY:
        totals = np.bincount(keys, minlength=kinds * kinds)
        edges = np.flatnonzero(totals)
        frequency = totals[edges]
    else:
        edges, frequency = np.unique(keys, return_counts=True)
    times = log.table.column("time_ns").to_numpy()
    first, last = inside.copy(), inside.copy()
    first[after] = False
    last[before] = False
    counts = np.bincount(codes[inside], minlength=kinds)
    starts, ends = (np.bincount(codes[mask], minlength=kinds) for mask in (first, last))
    used = np.flatnonzero(counts)
    place = np.cumsum(counts > 0) - 1
    return Flow(
        relation,
        by,
        tuple(say_content(values[kind]) for kind in used.tolist()),
        counts[used],
        starts[used],
        ends[used],
        place[edges // max(kinds, 1)],
        place[edges % max(kinds, 1)],
        frequency.astype(np.int64),
        (keys, times[after] - times[before]),
    )


def _quantile(
    values: NDArray[np.float64], first: NDArray[np.int64], count: NDArray[np.int64], share: float
) -> NDArray[np.float64]:
    """Return a quantile of each stretch of sorted values, between neighbours by proportion."""
    place = share * (count - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    part = place - low
    found: NDArray[np.float64] = values[first + low] * (1 - part) + values[first + high] * part
    return found
