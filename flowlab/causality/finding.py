"""Finding a motif in a log: one part after the other, for all matches at once."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.columns import encode
from flowlab.causality.graph import starts
from flowlab.causality.motif import Motif
from flowlab.causality.order import CausalOrder, order_of
from flowlab.causality.selecting import check_limit
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import EventLog, grouped

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

MAX_MATCHES: Final = 100_000
"""Most matches, whole or begun, of one search."""
_MOST_TRIED: Final = 200
"""Candidates that are looked at for each match that is allowed."""
_MAX_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Matches:
    """Where a motif was found.

    Args:
        motif: what was looked for.
        log: where.
        rows: a row for each match, a column for each part: the events' rows in the log's table;
            sorted.
    """

    motif: Motif
    log: EventLog
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def match(self, place: int) -> EventLog:
        """Return the events of one match, in the order of the motif's parts."""
        rows = self.rows[place]
        table = self.log.table.take(pa.array(rows))
        key = tuple(table.select(["namespace", "run_id"]).slice(0, 1).to_pylist()[0].values())
        return EventLog(table, tuple(run for run in self.log.runs if run.key == key))

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each match.

        Its columns: namespace and run_id; for each part `KEY` (the event's id, "stream/sequence")
        and `KEY_agent`; and `duration_ns` from the earliest to the latest of its events.
        """
        import polars as pl  # noqa: PLC0415

        table = self.log.table
        columns: dict[str, pl.Series] = {}
        first = pa.array(self.rows[:, 0])
        for name in ("namespace", "run_id"):
            columns[name] = pl.Series(name, table.column(name).take(first).to_pylist(), pl.String)
        for place, key in enumerate(self.motif.keys):
            own = table.select(["workflow_id", "sequence", "agent_id"]).take(
                pa.array(self.rows[:, place])
            )
            ids = [f"{row['workflow_id']}/{row['sequence']}" for row in own.to_pylist()]
            columns[key] = pl.Series(key, ids, pl.String)
            agents = own.column("agent_id").to_pylist()
            columns[f"{key}_agent"] = pl.Series(f"{key}_agent", agents, pl.String)
        times = table.column("time_ns").to_numpy()[self.rows]
        lasted = times.max(axis=1) - times.min(axis=1) if len(times) else np.zeros(0, np.int64)
        columns["duration_ns"] = pl.Series("duration_ns", lasted, pl.Int64)
        return pl.DataFrame(columns)

    def __repr__(self) -> str:
        noun = "match" if len(self) == 1 else "matches"
        return f"Matches({self.motif.name!r}, {grouped(len(self))} {noun})"

    def _repr_html_(self) -> str:
        frame = self.to_polars().head(_MAX_SHOWN)
        left = ' style="text-align:left"'
        head = "".join(f"<th{left}>{escape(name)}</th>" for name in frame.columns)
        rows = (
            "".join(f"<td{left}>{escape(str(cell))}</td>" for cell in row) for row in frame.rows()
        )
        body = "".join(f"<tr>{cells}</tr>" for cells in rows)
        shown = f"{frame.height} of {grouped(len(self))} shown"
        return (
            f"<table><caption>{escape(repr(self))}: {shown}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def find(log: EventLog, motif: Motif, *, limit: int = MAX_MATCHES) -> Matches:
    """Find every match of a motif in a log.

    Args:
        log: any log.
        motif: what to look for: `request_reply()`, `broadcast(n)`, `gather(n)`,
            `compensation_chain(n)`, or one's own.
        limit: the most matches, whole or begun.

    Raises:
        LimitError: there are more.
        InvalidArgumentError: it is no motif, or no limit.

    Example:
        >>> log = EventLog.from_text("me: call>q other done<r | bank: got<q work paid>r")
        >>> from flowlab.causality import request_reply
        >>> found = find(log, request_reply())
        >>> found, [event.name for event in found.match(0)]
        (Matches('request and reply', 1 match), ['call', 'got', 'paid', 'done'])
    """
    if not isinstance(motif, Motif):
        message = f"got {motif!r}; expected a Motif, such as Motif.from_text('A: ask>q | B: <q')"
        raise InvalidArgumentError(message)
    check_limit(limit)
    rows = _Finder(order_of(log), motif, limit).rows()
    return Matches(motif, log, rows[np.lexsort(rows.T[::-1])] if len(rows) else rows)


class _Finder:
    """Extends begun matches by one part at a time."""

    def __init__(self, order: CausalOrder, motif: Motif, limit: int) -> None:
        self._order = order
        self._graph = order.graph
        self._motif = motif
        self._limit = limit
        table = order.log.table
        self._fits = [self._candidates(table, part.asks) for part in motif.parts]
        self._agree = [encode(pc.fill_null(table.column(name), "\0"))[0] for name in motif.agree]
        self._place = np.empty(self._graph.size, np.int64)
        self._place[self._graph.lane_rows] = np.arange(self._graph.size)
        keys = self._graph.effect.astype(np.int64) * self._graph.size + self._graph.cause
        # A cause may be named and be the lane's too: one edge for each pair.
        self._edges = np.unique(keys)
        self._effect, self._cause = np.divmod(self._edges, max(self._graph.size, 1))
        self._by_cause = np.argsort(self._cause, kind="stable")

    def rows(self) -> Rows:
        """Return all matches."""
        motif = self._motif
        done: list[int] = []
        begun = np.zeros((1, len(motif.parts)), np.int64)
        while len(done) < len(motif.parts):
            part, (source, low, high) = self._next(begun, done)
            counts = np.maximum(high - low, 0)
            self._afford(int(counts.sum()), part)
            at = np.repeat(np.arange(len(begun)), counts)
            shift = np.repeat(low - np.cumsum(counts) + counts, counts)
            candidates = source[shift + np.arange(len(at))]
            fit = self._fits[part][candidates]
            at, candidates = at[fit], candidates[fit]
            begun = begun[at]
            begun[:, part] = candidates
            begun = begun[self._holds(begun, part, done)]
            done.append(part)
            if len(begun) > self._limit:
                message = (
                    f"more than {grouped(self._limit)} matches of {motif.name!r} begin with "
                    f"{', '.join(motif.keys[p] for p in done)} (limit=); ask more of its parts "
                    "with .where(...), take a part of the log, or raise limit="
                )
                raise LimitError(message)
        return begun

    @staticmethod
    def _candidates(
        table: pa.Table, asks: tuple[tuple[str, tuple[str, ...]], ...]
    ) -> NDArray[np.bool_]:
        fits = np.ones(table.num_rows, bool)
        for column, values in asks:
            found = pc.is_in(table.column(column), value_set=pa.array(values, pa.string()))
            fits &= found.to_numpy()
        return fits

    def _next(self, begun: Rows, done: list[int]) -> tuple[int, tuple[Rows, Rows, Rows]]:
        """Return the part that gives the fewest to try, and these: a slice for each match."""
        links: list[tuple[int, str, int]] = []
        for pairs, forth, back in (
            (self._motif.causes, "effect", "cause"),
            (self._motif.before, "later", "earlier"),
        ):
            for one, other in pairs:
                if one in done and other not in done:
                    links.append((other, forth, one))
                if other in done and one not in done:
                    links.append((one, back, other))
        if not links:
            free = [part for part in range(len(self._motif.parts)) if part not in done]
            part = min(free, key=lambda part: (int(self._fits[part].sum()), part))
            return part, self._anywhere(begun, part)
        found = [(part, self._tried(begun, part, how, placed)) for part, how, placed in links]
        return min(found, key=lambda one: int(np.maximum(one[1][2] - one[1][1], 0).sum()))

    def _anywhere(self, begun: Rows, part: int) -> tuple[Rows, Rows, Rows]:
        every = np.flatnonzero(self._fits[part])
        return every, np.zeros(len(begun), np.int64), np.full(len(begun), len(every))

    def _tried(self, begun: Rows, part: int, how: str, placed: int) -> tuple[Rows, Rows, Rows]:
        """Return the rows that stand so to a part that is placed."""
        graph, parts = self._graph, self._motif.parts
        own = begun[:, placed]
        if how == "effect":
            start = starts(self._cause, graph.size)
            return self._effect[self._by_cause], start[own], start[own + 1]
        if how == "cause":
            start = starts(self._effect, graph.size)
            return self._cause, start[own], start[own + 1]
        if not parts[part].lane or parts[part].lane != parts[placed].lane:
            return self._anywhere(begun, part)
        fitting = graph.lane_rows[self._fits[part][graph.lane_rows]]
        places, lane = self._place[fitting], graph.lane[own]
        source = fitting.astype(np.int64)
        if how == "later":
            low = np.searchsorted(places, self._place[own], side="right")
            return source, low, np.searchsorted(places, graph.lane_start[lane + 1])
        low = np.searchsorted(places, graph.lane_start[lane])
        return source, low, np.searchsorted(places, self._place[own])

    def _afford(self, count: int, part: int) -> None:
        if count > self._limit * _MOST_TRIED:
            message = (
                f"{grouped(count)} events would be tried for part {self._motif.keys[part]!r} of "
                f"{self._motif.name!r}, more than {_MOST_TRIED} x limit={grouped(self._limit)}; "
                "ask more of the parts with .where(...), or raise limit="
            )
            raise LimitError(message)

    def _holds(self, begun: Rows, part: int, done: list[int]) -> NDArray[np.bool_]:
        """Say which matches agree with all that is asked between a part and those before it."""
        graph, parts = self._graph, self._motif.parts
        new = begun[:, part]
        good = np.ones(len(begun), bool)
        for other in done:
            old = begun[:, other]
            good &= (new != old) & (graph.world[new] == graph.world[old])
            if parts[part].lane and parts[other].lane:
                same = parts[part].lane == parts[other].lane
                good &= (graph.lane[new] == graph.lane[old]) == same
            for codes in self._agree:
                good &= codes[new] == codes[old]
        for alike in self._motif.alike:
            if part in alike:
                for other in set(alike) & set(done):
                    good &= (new > begun[:, other]) == (part > other)
        placed = {*done, part}
        for one, other in self._motif.causes:
            if part in {one, other} and {one, other} <= placed:
                good &= self._is_edge(begun[:, one], begun[:, other])
        for one, other in self._motif.before:
            if part in {one, other} and {one, other} <= placed:
                at = np.flatnonzero(good)
                held = self._order.happened_before_many(begun[at, one], begun[at, other])
                good[at[~held]] = False
        return good

    def _is_edge(self, cause: Rows, effect: Rows) -> NDArray[np.bool_]:
        if not len(self._edges):
            return np.zeros(len(cause), bool)
        keys = effect * self._graph.size + cause
        spot = np.minimum(np.searchsorted(self._edges, keys), len(self._edges) - 1)
        found: NDArray[np.bool_] = self._edges[spot] == keys
        return found
