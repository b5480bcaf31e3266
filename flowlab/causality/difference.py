"""What differs between two logs up to trace equivalence: in events and in their causal order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from flowlab.causality.contents import CONTENT, check_content
from flowlab.causality.matching import Pairing, Side, common_causes, pair_up, sides
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog, counted, grouped
from flowlab.events.wording import brief

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

MAX_SHOWN: Final = 20
"""Rows of a table in a notebook."""
_COLUMNS: Final = ("workflow_id", "agent_id", "event_type", "name", "step_id")


@dataclass(frozen=True, slots=True)
class Reordered:
    """An event of both logs that comes after other events in one than in the other.

    Args:
        a: the event in a.
        b: the event in b.
        after_a: what it comes directly after in a, of the events that both logs have.
        after_b: what it comes directly after in b, of these.
    """

    a: Event
    b: Event
    after_a: tuple[Event, ...]
    after_b: tuple[Event, ...]

    def __repr__(self) -> str:
        return f"Reordered({self.a!r})"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class TraceDifference:
    """What differs between two logs, `a` and `b`, of one run each.

    Events correspond by content and causes; in which order concurrent ones were recorded, and
    when, is no difference. All rows are places in the log's table.

    Args:
        a: a log.
        b: the other.
        content: the columns that an event has to agree in.
        pairs: rows (in a, in b) of the events that correspond, in the order of a.
        only_a_rows: rows of a that have no counterpart.
        only_b_rows: rows of b that have none.
        reordered_rows: rows (in a, in b) of events that correspond, and that come directly after
            other events in one than in the other, of the events that both logs have.
        first_rows: of each log, the first row whose past is the other's too, and which itself is
            not there; None where there is no such row.
    """

    a: EventLog
    b: EventLog
    content: tuple[str, ...]
    pairs: Rows
    only_a_rows: Rows
    only_b_rows: Rows
    reordered_rows: Rows
    first_rows: tuple[int | None, int | None]
    _after: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    @property
    def equal(self) -> bool:
        """Whether the logs are equal up to trace equivalence: the same events in one order."""
        return not (len(self.only_a_rows) or len(self.only_b_rows) or len(self.reordered_rows))

    @property
    def first(self) -> tuple[Event | None, Event | None] | None:
        """The events at which the logs part: all that came before each of them is in both.

        None where the logs are equal; None on a side on which nothing parts.
        """
        if self.equal:
            return None
        rows = zip((self.a, self.b), self.first_rows, strict=True)
        one, other = (None if row is None else _events(log, [row])[0] for log, row in rows)
        return one, other

    @property
    def only_a(self) -> list[Event]:
        """The events of `a` that `b` has not, causes first."""
        return _events(self.a, self.only_a_rows)

    @property
    def only_b(self) -> list[Event]:
        """The events of `b` that `a` has not, causes first."""
        return _events(self.b, self.only_b_rows)

    @property
    def reordered(self) -> list[Reordered]:
        """The events of both logs that do not come after the same events in both."""
        ones = _events(self.a, self.reordered_rows[:, 0])
        others = _events(self.b, self.reordered_rows[:, 1])
        return [
            Reordered(one, other, tuple(_events(self.a, mine)), tuple(_events(self.b, yours)))
            for one, other, (mine, yours) in zip(ones, others, self._after, strict=True)
        ]

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each event that differs: those of a alone, of b alone, and reordered.

        Its columns: `change` ("only a", "only b" or "reordered"), the event's stream, agent, type,
        name and step, its row in each log, and what it comes directly after in each, as texts.
        """
        import polars as pl  # noqa: PLC0415

        rows = list(self._changes())
        names = ("change", *_COLUMNS, "row_a", "row_b", "after_a", "after_b")
        schema: dict[str, Any] = dict.fromkeys(names, pl.String)
        schema |= {"row_a": pl.Int64, "row_b": pl.Int64}
        schema |= dict.fromkeys(("after_a", "after_b"), pl.List(pl.String))
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _changes(self) -> Iterator[tuple[Any, ...]]:
        for row, event in zip(self.only_a_rows.tolist(), self.only_a, strict=True):
            yield "only a", *_facts(event), row, None, None, None
        for row, event in zip(self.only_b_rows.tolist(), self.only_b, strict=True):
            yield "only b", *_facts(event), None, row, None, None
        for (one, other), found in zip(self.reordered_rows.tolist(), self.reordered, strict=True):
            after = (
                [_told(event) for event in events] for events in (found.after_a, found.after_b)
            )
            yield "reordered", *_facts(found.a), one, other, *after

    def diagram(self, **options: Any) -> Any:
        """Draw both logs on one axis: `log.beside(other, by="causes")`.

        Args:
            options: of that picture.
        """
        return self.a.beside(self.b, **{"by": "causes", **options})

    def __repr__(self) -> str:
        if self.equal:
            return f"TraceDifference(none in {counted(len(self.a), 'event')})"
        alone = f"{grouped(len(self.only_a_rows))} and {counted(len(self.only_b_rows), 'event')}"
        return f"TraceDifference({alone} alone, {grouped(len(self.reordered_rows))} reordered)"

    def __str__(self) -> str:
        lines = [repr(self)]
        if self.first is not None:
            one, other = (_told(event) if event else "nothing" for event in self.first)
            lines.append(f"they part at: {one} | {other}")
        lines += [f"only in a: {_told(event)}" for event in self.only_a[:MAX_SHOWN]]
        lines += [f"only in b: {_told(event)}" for event in self.only_b[:MAX_SHOWN]]
        for found in self.reordered[:MAX_SHOWN]:
            mine, yours = _told_after(found)
            lines.append(f"{_told(found.a)} comes after: {mine} | {yours}")
        parts = (self.only_a_rows, self.only_b_rows, self.reordered_rows)
        rest = sum(max(0, len(rows) - MAX_SHOWN) for rows in parts)
        return "\n".join([*lines, *([f"and {counted(rest, 'change')} more"] if rest else [])])

    def _repr_html_(self) -> str:
        left = ' style="text-align:left"'
        names = ("change", "event", "comes after, in a", "comes after, in b")
        head = "".join(f"<th{left}>{name}</th>" for name in names)
        rows = [("only in a", _told(event), "", "") for event in self.only_a[:MAX_SHOWN]]
        rows += [("only in b", _told(event), "", "") for event in self.only_b[:MAX_SHOWN]]
        for found in self.reordered[:MAX_SHOWN]:
            rows.append(("reordered", _told(found.a), *_told_after(found)))
        body = "".join(
            f"<tr>{''.join(f'<td{left}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        total = len(self.only_a_rows) + len(self.only_b_rows) + len(self.reordered_rows)
        title = escape(f"{self!r}: {len(rows)} of {counted(total, 'change')} shown")
        return (
            f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def diff(a: EventLog, b: EventLog, *, content: Sequence[str] = CONTENT) -> TraceDifference:
    """Return what differs between two logs of one run each, up to trace equivalence.

    The logs are equal if their events correspond one to one, agree in content, and have one causal
    order. If they are not, events correspond as far back as their pasts do; what is left
    corresponds by content, in the order of causes. Differences are then events without a
    counterpart, and events that come directly after others in one log than in the other, leaving
    aside those without a counterpart: an event that is new ahead of others reorders none of them.

    Args:
        a: a log.
        b: another.
        content: the columns in which events have to agree; times, positions and ids are none.

    Raises:
        InvalidArgumentError: one is no log or holds several runs, or a column is no content.

    Example:
        >>> a = EventLog.from_text("A: x >m | B: y <m z")
        >>> diff(a, EventLog.from_text("B: y@1 <m@7 z@9 | A: x@5 >m@6"))
        TraceDifference(none in 5 events)
        >>> found = diff(a, EventLog.from_text("A: x >m | B: <m y z w"))
        >>> print(found)
        TraceDifference(0 and 1 event alone, 3 reordered)
        they part at: B MarkerRecorded y | B MessageReceived m
        only in b: B MarkerRecorded w
        B MarkerRecorded y comes after: nothing | B MessageReceived m
        B MessageReceived m comes after: B MarkerRecorded y, A MessageSent m | A MessageSent m
        B MarkerRecorded z comes after: B MessageReceived m | B MarkerRecorded y
    """
    for log in (a, b):
        if not isinstance(log, EventLog):
            message = f"got {brief(log)}; diff compares two EventLogs"
            raise InvalidArgumentError(message)
    names = check_content(content)
    one, other = sides(a, b, names)
    pairing = pair_up(one, other)
    return _difference(one, other, pairing, names)


def _difference(a: Side, b: Side, pairing: Pairing, content: tuple[str, ...]) -> TraceDifference:
    shared_a = [partner >= 0 for partner in pairing.of_a]
    shared_b = [partner >= 0 for partner in pairing.of_b]
    nearest_a, nearest_b = common_causes(a, shared_a), common_causes(b, shared_b)
    rows_a, rows_b = a.whole.rows.astype(np.int64), b.whole.rows.astype(np.int64)
    changed, after = [], []
    for event, partner in enumerate(pairing.of_a):
        if partner < 0:
            continue
        if {pairing.of_a[cause] for cause in nearest_a[event]} != nearest_b[partner]:
            changed.append((event, partner))
            mine, yours = sorted(nearest_a[event]), sorted(nearest_b[partner])
            after.append((tuple(rows_a[mine].tolist()), tuple(rows_b[yours].tolist())))
    paired = [(one, other) for one, other in enumerate(pairing.of_a) if other >= 0]
    past_b = [partner >= 0 and pairing.by_past[partner] for partner in pairing.of_b]
    return TraceDifference(
        a.log,
        b.log,
        content,
        _row_pairs(sorted(paired, key=lambda pair: rows_a[pair[0]]), rows_a, rows_b),
        rows_a[[at for at, known in enumerate(shared_a) if not known]],
        rows_b[[at for at, known in enumerate(shared_b) if not known]],
        _row_pairs(changed, rows_a, rows_b),
        (_first(a, pairing.by_past), _first(b, past_b)),
        tuple(after),
    )


def _row_pairs(pairs: list[tuple[int, int]], rows_a: Rows, rows_b: Rows) -> Rows:
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return np.stack([rows_a[both[:, 0]], rows_b[both[:, 1]]], axis=1)


def _first(side: Side, by_past: Sequence[bool]) -> int | None:
    """Return the row of the first event that is not paired by its past; its causes are."""
    for event, known in enumerate(by_past):
        if not known:
            return int(side.whole.rows[event])
    return None


def _events(log: EventLog, rows: Any) -> list[Event]:
    return EventLog(log.table.take(pa.array(np.asarray(rows, np.int64)))).events()


def _facts(event: Event) -> tuple[Any, ...]:
    return tuple(getattr(event, name) for name in _COLUMNS)


def _told(event: Event) -> str:
    return " ".join(filter(None, (event.agent_id, event.event_type, event.name)))


def _told_after(found: Reordered) -> tuple[str, str]:
    """Tell what an event comes after on each side; by id where the words alone are the same."""
    sides = (found.after_a, found.after_b)
    mine, yours = (", ".join(map(_told, events)) or "nothing" for events in sides)
    if mine != yours:
        return mine, yours
    mine, yours = (
        ", ".join(f"{_told(event)} ({event.workflow_id}/{event.sequence})" for event in events)
        for events in sides
    )
    return mine, yours
