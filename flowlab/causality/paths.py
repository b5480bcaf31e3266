"""Depth and critical paths: the longest ways through a log, by events and by time."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from flowlab.causality.graph import KIND_LABELS
from flowlab.errors import InvalidArgumentError
from flowlab.events import EventLog, counted

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from flowlab.causality.chains import Chains
    from flowlab.causality.graph import CausalGraph
    from flowlab.causality.joins import Joins, Steps


def depths(chains: Chains, joins: Joins, steps: Steps) -> NDArray[np.int32]:
    """Return of each row how many events the longest chain of causes that ends there has.

    Along a chain the depth rises by one an event, and jumps where the chain learns of a deeper one:
    so for each clock it is enough to know by how much depth is ahead of the place in the chain.
    """
    ahead = [0] * len(joins.start)
    gain = chains.place[steps.cause] + 1 - chains.place[steps.effect]
    columns = (steps.made, steps.base, steps.source, gain)
    for made, base, source, more in zip(*(column.tolist() for column in columns), strict=True):
        learnt, known = ahead[source] + more, ahead[base]
        ahead[made] = learnt if learnt > known else known  # noqa: FURB136 - half the time of max()
    return np.array(ahead, np.int32)[joins.at] + chains.place


def critical_path(
    log: EventLog,
    graph: CausalGraph,
    depth: NDArray[np.int32],
    end: int | None,
    *,
    by: str,
) -> CriticalPath:
    """Return the path that ends at a row, or where the log does; see `CausalOrder.critical_path`.

    Raises:
        InvalidArgumentError: `by` is neither `time` nor `events`.
    """
    if by not in {"time", "events"}:
        message = f"by is {by!r}; expected time or events"
        raise InvalidArgumentError(message)
    times = log.table.column("time_ns").to_numpy()
    first, second = (times, depth) if by == "time" else (depth, times)

    def latest(rows: NDArray[np.int32]) -> int:
        return int(np.lexsort((graph.rank[rows], second[rows], first[rows]))[-1])

    rows: list[int] = []
    kinds: list[str] = []
    if graph.size and end is None:
        end = latest(np.arange(graph.size, dtype=np.int32))
    while end is not None:
        rows.append(end)
        begin, stop = graph.into[end], graph.into[end + 1]
        if begin == stop:
            break
        edge = begin + latest(graph.cause[begin:stop])
        kinds.append(KIND_LABELS[graph.kind[edge]])
        end = int(graph.cause[edge])
    return CriticalPath(log, np.array(rows[::-1], np.int32), tuple(kinds[::-1]), by)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CriticalPath:
    """A chain of causes, from its first event to its last.

    Args:
        log: the log.
        rows: the events on it, in causal order.
        kinds: of each event but the first, the kind of the edge that leads to it.
        by: `time` or `events`.
    """

    log: EventLog
    rows: NDArray[np.int32]
    kinds: tuple[str, ...]
    by: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def duration_ns(self) -> int:
        """Time from its first event to its last, in nanoseconds."""
        if not len(self.rows):
            return 0
        times = self.log.table.column("time_ns").to_numpy()
        return int(times[self.rows[-1]]) - int(times[self.rows[0]])

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each event: what it is, how it was reached, and how long that took."""
        import polars as pl  # noqa: PLC0415

        names = ["workflow_id", "sequence", "agent_id", "event_type", "name", "time_ns"]
        frame = EventLog(self.log.table.take(self.rows)).to_polars().select(names)
        kinds = pl.Series("edge", [None, *self.kinds][: len(self.rows)], pl.String)
        waited = pl.col("time_ns").diff().alias("took_ns")
        path: pl.DataFrame = frame.with_columns(kinds, waited)
        return path

    def __repr__(self) -> str:
        return (
            f"CriticalPath({counted(len(self.rows), 'event')}, {self.duration_ns} ns, by {self.by})"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.to_polars()._repr_html_()}"
