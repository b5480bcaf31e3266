"""Which event of one log is which of another: by what they are, not by when they happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from flowlab.errors import InvalidArgumentError
from flowlab.events.log import EventLog
from flowlab.events.schema import EVENT_SCHEMA, events_from_table

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from flowlab.events.event import Event

    Rows = NDArray[np.int64]

_KEY: Final = ("workflow_id", "event_type", "name", "coordination_id", "step_id", "attempt")
_PLACE: Final = frozenset({"namespace", "run_id", "position"})
_CONTENT: Final = tuple(name for name in EVENT_SCHEMA.names if name not in _PLACE)
_TRIED: Final = (
    "ActivityScheduled", "ActivityFailed", "ActivityTimedOut", "ActivityCanceled",
    "CompensationScheduled", "CompensationFailed", "TimerStarted",
)  # fmt: skip
"""The types whose payload says which attempt it is, before anything that a user put there."""
_CHUNK: Final = 4_096


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Matching:
    """Two logs of one run each, event by event.

    An event is known by its stream, type, name, coordination, step and attempt, and among equal
    ones by the order of the stream.

    Args:
        both: pairs of rows (in a, in b), in the order of a.
        only_a: the rows of a that b has no event for.
        only_b: the rows of b that a has no event for.
        first: the first events, in the order of rows, at which the logs are not the same; None on
            the side that has ended, and altogether where they are the same.
    """

    both: Rows
    only_a: Rows
    only_b: Rows
    first: tuple[Event | None, Event | None] | None

    def __repr__(self) -> str:
        return f"Matching({len(self.both)} in both, {len(self.only_a)}, {len(self.only_b)})"


def match_events(a: EventLog, b: EventLog) -> Matching:
    """Match the events of two logs of one run each.

    Raises:
        InvalidArgumentError: a log holds several runs.

    Example:
        >>> def log(*names):
        ...     return EventLog.from_events(
        ...         {"workflow_id": "w", "sequence": n, "event_type": "Signaled", "name": name}
        ...         for n, name in enumerate(names, start=1)
        ...     )
        >>> found = match_events(log("x", "y"), log("x", "z", "y"))
        >>> found, found.only_b.tolist(), found.first[1].name
        (Matching(2 in both, 0, 1), [1], 'z')
    """
    mine, yours = _keyed(a), _keyed(b)
    joined = mine.join(yours, on=[*_KEY, "turn"], how="full", nulls_equal=True, coalesce=True)
    pairs = joined.filter(joined["row"].is_not_null() & joined["row_right"].is_not_null())
    pairs = pairs.sort("row")
    return Matching(
        np.stack([pairs["row"].to_numpy(), pairs["row_right"].to_numpy()], axis=1),
        joined.filter(joined["row_right"].is_null())["row"].sort().to_numpy(),
        joined.filter(joined["row"].is_null())["row_right"].sort().to_numpy(),
        _first(a.table.select(_CONTENT), b.table.select(_CONTENT)),
    )


def _keyed(log: EventLog) -> pl.DataFrame:
    """Return what each event is known by, with its row and its turn among equal ones."""
    import polars as pl  # noqa: PLC0415

    runs = pc.unique(log.table.column("run_id"))
    if len(runs) > 1 or len(pc.unique(log.table.column("namespace"))) > 1:
        message = f"a log of {len(runs)} runs was given; take one of them: log.filter(run_id=...)"
        raise InvalidArgumentError(message)
    names = ["sequence", "payload", *_KEY[:-1]]
    frame = pl.DataFrame(log.table.select(names)).with_row_index("row")
    said = pl.col("payload").cast(pl.String, strict=False).str.extract(r'"attempt":(\d+)')
    attempt = pl.when(pl.col("event_type").is_in(_TRIED)).then(said)
    return (
        frame.with_columns(attempt.alias("attempt"), pl.col("row").cast(pl.Int64))
        .sort("workflow_id", "sequence")
        .with_columns(pl.int_range(pl.len()).over(_KEY).alias("turn"))
        .select("row", "turn", *_KEY)
    )


def _first(a: pa.Table, b: pa.Table) -> tuple[Event | None, Event | None] | None:
    """Find the first row in which two tables differ, a chunk at a time."""
    for start in range(0, max(len(a), len(b)), _CHUNK):
        mine, yours = a.slice(start, _CHUNK), b.slice(start, _CHUNK)
        if mine.equals(yours):
            continue
        ours = [_events(part) for part in (mine, yours)]
        for place in range(max(map(len, ours))):
            one, other = (part[place] if place < len(part) else None for part in ours)
            if one != other:
                return one, other
    return None


def _events(part: pa.Table) -> list[Event]:
    return events_from_table(EventLog.from_table(part).table)
