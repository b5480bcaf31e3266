"""What is not the same in two runs: of a world and its twin, or of any two of one scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.events.matching import Matching, match_events
from flowlab.events.wording import counted, grouped
from flowlab.simulation.run import MAX_SHOWN, Run

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_MS: Final = 1e6
_SAID: Final = 60
ABSENT: Final = "-"
"""What stands for a status or a result of a workflow that is not in a run."""

Both = tuple[tuple[str, ...], tuple[str, ...]]
"""What is in a alone, and what in b alone."""
Sides = Mapping[Any, tuple[Any, Any]]
"""Of what differs: (in a, in b)."""


@dataclass(frozen=True, repr=False, eq=False)
class Difference:
    """What differs between two runs, `a` and `b`.

    Events are matched by what they are (`flowlab.events.matching`), so that one more event ahead
    makes no other one different.

    Args:
        a: a run.
        b: the other.

    Example:
        >>> from flowlab.simulation import Agent, Faults, World, simulate
        >>> from flowlab.workflow import Step
        >>> bank = Agent("bank", named={"charge": lambda ctx, value: "paid"})
        >>> run = simulate(World([bank], Step("charge", agent="bank", kind="pivot")),
        ...                faults=Faults(fail=1.0))
        >>> difference = diff(run, run.twin(without=run.faults))
        >>> difference.statuses, difference.faults
        ({'plan-1': ('failed', 'completed')}, (('fail:bank:plan-1/charge/1',), ()))
    """

    a: Run
    b: Run

    @cached_property
    def matching(self) -> Matching:
        """Which event of `a` is which of `b`."""
        return match_events(self.a.log, self.b.log)

    @property
    def same(self) -> bool:
        """Whether the logs are the same event by event."""
        return self.matching.first is None

    @property
    def first(self) -> tuple[Event | None, Event | None] | None:
        """The first events, as they happened, that are not the same; None where all are."""
        return self.matching.first

    @property
    def only_a(self) -> list[Event]:
        """The events of `a` that `b` has not."""
        return _taken(self.a, self.matching.only_a)

    @property
    def only_b(self) -> list[Event]:
        """The events of `b` that `a` has not."""
        return _taken(self.b, self.matching.only_b)

    @cached_property
    def shifts_ns(self) -> Mapping[str, int]:
        """Of each stream with events that come at another time: the largest shift, from a to b."""
        pairs, late = self.matching.both, self._late
        names = self.a.log.table.column("workflow_id").take(pa.array(pairs[:, 0])).to_pylist()
        found: dict[str, int] = {}
        for place in np.flatnonzero(late).tolist():
            name, shift = names[place], int(late[place])
            if abs(shift) > abs(found.get(name, 0)):
                found[name] = shift
        return dict(sorted(found.items()))

    @cached_property
    def _late(self) -> NDArray[np.int64]:
        pairs = self.matching.both
        before, after = (
            run.log.table.column("time_ns").to_numpy()[pairs[:, side]]
            for side, run in enumerate((self.a, self.b))
        )
        late: NDArray[np.int64] = after - before
        return late

    @property
    def statuses(self) -> Sides:
        """Of the workflows that ended otherwise: how."""
        return _sides(self.a.statuses, self.b.statuses)

    @property
    def results(self) -> Sides:
        """Of the workflows that came to another result: which."""
        return _sides(self.a.results, self.b.results)

    @property
    def cells(self) -> Sides:
        """Of the cells with another value at the end, by (owner, key): which."""
        ours, theirs = (
            {(owner, key): v for owner, cells in run.states.items() for key, v in cells.items()}
            for run in (self.a, self.b)
        )
        return _sides(ours, theirs)

    @property
    def faults(self) -> Both:
        """The faults that happened in `a` alone, and in `b` alone."""
        return _apart(self.a.faults, self.b.faults)

    @property
    def violations(self) -> Both:
        """The broken invariants of `a` alone, and of `b` alone."""
        ours, theirs = (
            tuple(f"{found.invariant}: {found.message}" for found in run.violations)
            for run in (self.a, self.b)
        )
        return _apart(ours, theirs)

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each event that is in one run alone, or comes at another time.

        Its columns: `change` ("only a", "only b" or "shifted"), the event's stream, type, name,
        step and lane, its sequence and time in each run, and `shift_ns`.
        """
        import polars as pl  # noqa: PLC0415

        pairs = self.matching.both[self._late != 0]
        parts = [
            _rows(self.a, self.matching.only_a, None, None, "only a"),
            _rows(None, None, self.b, self.matching.only_b, "only b"),
            _rows(self.a, pairs[:, 0], self.b, pairs[:, 1], "shifted"),
        ]
        frame = pl.concat(parts).with_columns(
            (pl.col("time_b_ns") - pl.col("time_a_ns")).alias("shift_ns")
        )
        return frame.sort(pl.min_horizontal("time_a_ns", "time_b_ns"), maintain_order=True)

    def diagram(self, **options: Any) -> Any:
        """Draw both runs on one axis, what is in one alone marked: `log.beside(other)`.

        Args:
            options: of that picture.
        """
        return self.a.log.beside(self.b.log, **options)

    def __repr__(self) -> str:
        found = self.matching
        parts = [f"{self.a.run_id!r}, {self.b.run_id!r}"]
        if self.same:
            return f"Difference({parts[0]}, none)"
        parts.append(
            f"{grouped(len(found.only_a))} and {counted(len(found.only_b), 'event')} alone"
        )
        parts.append(f"{grouped(int(np.count_nonzero(self._late)))} shifted")
        parts += [f"{name} {a} -> {b}" for name, (a, b) in list(self.statuses.items())[:1]]
        if len(self.statuses) > 1:
            parts.append(f"{counted(len(self.statuses) - 1, 'other')} ended otherwise")
        return f"Difference({', '.join(parts)})"

    def __str__(self) -> str:
        lines = [f"{what}: {a} | {b}" if a or b else what for what, a, b in _told(self)]
        return "\n".join([repr(self), *lines])

    def _repr_html_(self) -> str:
        left = ' style="text-align:left"'
        heads = ("", self.a.run_id, self.b.run_id)
        head = "".join(f"<th{left}>{escape(name)}</th>" for name in heads)
        body = "".join(
            f"<tr>{''.join(f'<td{left}>{escape(cell)}</td>' for cell in row)}</tr>"
            for row in _told(self)
        )
        return (
            f"<table><caption>{escape(repr(self))}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def diff(a: Run, b: Run) -> Difference:
    """Return what differs between two runs.

    Raises:
        InvalidArgumentError: one of them is no run.
    """
    for run in (a, b):
        if not isinstance(run, Run):
            message = f"diff compares two runs; got {run!r}. simulate(...) gives one, .twin another"
            raise InvalidArgumentError(message)
    return Difference(a, b)


def _taken(run: Run, rows: NDArray[np.int64]) -> list[Event]:
    table = run.log.table.take(pa.array(rows))
    return type(run.log)(table).events()


def _sides(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> Sides:
    names = dict.fromkeys([*ours, *theirs])
    pairs = {name: (ours.get(name, ABSENT), theirs.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _apart(ours: tuple[str, ...], theirs: tuple[str, ...]) -> Both:
    mine = tuple(item for item in ours if item not in theirs)
    return mine, tuple(item for item in theirs if item not in ours)


def _rows(a: Run | None, rows_a: Any, b: Run | None, rows_b: Any, change: str) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415

    names = ["workflow_id", "event_type", "name", "step_id", "agent_id"]
    facts = ["sequence", "time_ns"]
    of_a = None if a is None else pl.DataFrame(a.log.table.select(names + facts))[rows_a]
    of_b = None if b is None else pl.DataFrame(b.log.table.select(names + facts))[rows_b]
    known = of_b if of_a is None else of_a
    assert known is not None
    columns = {"change": pl.Series([change] * len(known), dtype=pl.String)}
    columns |= {name: known[name] for name in names}
    for side, frame in (("a", of_a), ("b", of_b)):
        for name, column in (("sequence", f"sequence_{side}"), ("time_ns", f"time_{side}_ns")):
            nothing = pl.Series([None] * len(known), dtype=pl.Int64)
            columns[column] = nothing if frame is None else frame[name]
    return pl.DataFrame(columns)


def _told(found: Difference) -> Iterator[tuple[str, str, str]]:
    """Yield all that differs, as (what, in a, in b), the longer lists cut short."""
    if found.first is not None:
        one, other = found.first
        yield "first difference", _event_told(one), _event_told(other)
    yield from _lists("faults", found.faults)
    yield from _lists("violations", found.violations)
    for what, sides in (("", found.statuses), ("result of ", found.results)):
        for name, (a, b) in list(sides.items())[:MAX_SHOWN]:
            yield f"{what}{name}", _cut(a), _cut(b)
        yield from _rest(what or "statuses", len(sides))
    for (owner, key), (a, b) in list(found.cells.items())[:MAX_SHOWN]:
        yield f"{owner}.{key}", _cut(a), _cut(b)
    yield from _rest("cells", len(found.cells))
    counts = (len(found.matching.only_a), len(found.matching.only_b))
    if any(counts):
        yield "events in one alone", grouped(counts[0]), grouped(counts[1])
    for name, shift in list(found.shifts_ns.items())[:MAX_SHOWN]:
        yield f"{name} shifted by up to", "", f"{'+' if shift > 0 else ''}{_in_ms(shift)}"
    yield from _rest("shifted streams", len(found.shifts_ns))


def _rest(what: str, count: int) -> Iterator[tuple[str, str, str]]:
    if count > MAX_SHOWN:
        yield f"{what.strip()}: {MAX_SHOWN} of {grouped(count)} shown", "", ""


def _lists(what: str, sides: Both) -> Iterator[tuple[str, str, str]]:
    if any(sides):
        a, b = (", ".join(side[:MAX_SHOWN]) or ABSENT for side in sides)
        yield what, a, b
        yield from _rest(what, max(map(len, sides)))


def _event_told(event: Event | None) -> str:
    if event is None:
        return "the end"
    name = f" {event.name}" if event.name else ""
    return f"{event.event_type}{name} of {event.workflow_id} at {_in_ms(event.time_ns)}"


def _in_ms(time_ns: int) -> str:
    return f"{time_ns / _MS:,.3f} ms".replace(",", " ")


def _cut(value: Any) -> str:
    told = value if isinstance(value, str) else repr(value)
    return told if len(told) <= _SAID else f"{told[: _SAID - 1]}…"
