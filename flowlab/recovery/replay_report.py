"""What a check of saved histories against today's code has found."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal

from flowlab.events.wording import counted

if TYPE_CHECKING:
    import polars as pl

    from flowlab.events import Event, EventLog

ReplayStatus = Literal[
    "equal", "needs_patch", "nondeterministic", "unknown", "incomplete", "damaged"
]
"""What became of one history: the code asks for what it records; for something else, and for the
same each time (the code is newer: guard the change with `ctx.patched`); for something else each
time; no code of its name was given; its beginning was truncated; it is damaged, or too long."""

MAX_SHOWN: Final = 20
"""Rows of the HTML table."""

MAX_SHOWN_CHARS: Final = 160
"""Characters of a payload that are told."""

PARTED: Final = frozenset({"needs_patch", "nondeterministic"})


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first event of a history that is not what the code asks for.

    Args:
        sequence: of the event.
        recorded: what the history holds.
        asked: what the code asks for instead, or that it asks for nothing.
        differs: what the two differ in: kind, name, step, arguments or result.
        line: file:line of the code that asked, or where it waits; empty where it has no place.
        hint: the next step.
        message: all of that in words.
        cone: the events that led there, the last one itself; None where there is none.
        cone_lacks: what the cone does not hold, and why; empty where it holds all that led there.
    """

    sequence: int
    recorded: str
    asked: str
    differs: str
    line: str
    hint: str
    message: str
    cone: EventLog | None = None
    cone_lacks: str = ""

    def __repr__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return f"Divergence(event {self.sequence}: {self.recorded}, asked {self.asked}{at})"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the history of one generation of a workflow.

    Args:
        namespace, run_id, workflow_id, generation: which one.
        process: the name that its WorkflowStarted carries.
        status: see `ReplayStatus`.
        events: of the history.
        closed: whether the workflow has ended in it.
        divergence: where the code parts from it.
        detail: why it could not be replayed, where it could not.
    """

    namespace: str
    run_id: str
    workflow_id: str
    generation: int
    process: str
    status: ReplayStatus
    events: int
    closed: bool = False
    divergence: Divergence | None = None
    detail: str = ""

    def __repr__(self) -> str:
        return f"Replayed({self.workflow_id!r}, {self.status}, {counted(self.events, 'event')})"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a `Replayer` found, a row for each generation of each workflow, in the log's order.

    Args:
        rows: the histories.
        grade: how much of each event was held against the code.

    Example:
        >>> ReplayReport((), "result")
        ReplayReport(0 histories, 0 events: nothing to replay)
    """

    rows: tuple[Replayed, ...]
    grade: str

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        histories = counted(len(self.rows), "history")
        events = counted(self.events, "event")
        return f"ReplayReport({histories}, {events}: {counts or 'nothing to replay'})"

    @property
    def ok(self) -> bool:
        """Whether the code asks for what every history records."""
        return all(row.status == "equal" for row in self.rows)

    @property
    def diverged(self) -> tuple[Replayed, ...]:
        """The histories from which the code parts."""
        return tuple(row for row in self.rows if row.status in PARTED)

    @property
    def events(self) -> int:
        """The events of all histories."""
        return sum(row.events for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """How many histories have each status."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.status] = counts.get(row.status, 0) + 1
        return dict(sorted(counts.items()))

    def to_polars(self) -> pl.DataFrame:
        """Return a frame with a row for each history."""
        import polars as pl  # noqa: PLC0415

        records = [_record(row) for row in self.rows]
        schema: dict[str, Any] = dict.fromkeys(_COLUMNS, pl.String)
        schema |= dict.fromkeys(("generation", "events", "sequence"), pl.Int64)
        return pl.DataFrame(records, schema=schema)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        told = {"grade": self.grade, "ok": self.ok, "events": self.events, "counts": self.counts}
        return {**told, "histories": [_record(row) for row in self.rows]}

    def __str__(self) -> str:
        others = [row for row in self.rows if row.status != "equal"]
        told = [f"{row.workflow_id} (generation {row.generation}): {_told(row)}" for row in others]
        return "\n".join([repr(self), *told])

    def _repr_html_(self) -> str:
        head = ("workflow", "generation", "process", "events", "status", "first difference")
        body = "".join(
            _line(
                (row.workflow_id, row.generation, row.process, row.events, row.status, _said(row))
            )
            for row in self.rows[:MAX_SHOWN]
        )
        left = f", {MAX_SHOWN} of {len(self.rows)} shown" if len(self.rows) > MAX_SHOWN else ""
        title = f"<caption>{escape(repr(self))}{left}</caption>"
        names = "".join(f"<th>{name}</th>" for name in head)
        return f"<table>{title}<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


_COLUMNS: Final = (
    "namespace",
    "run_id",
    "workflow_id",
    "generation",
    "process",
    "status",
    "events",
    "sequence",
    "recorded",
    "asked",
    "differs",
    "line",
    "detail",
    "cone_lacks",
)


def shown(event: Event) -> str:
    """Return an event as a divergence tells it: type, name and payload."""
    text = (event.payload or b"").decode("utf-8", "replace")
    payload = text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."
    return f"{event.event_type} {event.name}".rstrip() + f"({payload})"


def _record(row: Replayed) -> dict[str, Any]:
    parted = row.divergence
    told = {} if parted is None else _facts(parted)
    return {name: told.get(name, getattr(row, name, None)) for name in _COLUMNS}


def _facts(parted: Divergence) -> dict[str, Any]:
    return {
        name: getattr(parted, name)
        for name in ("sequence", "recorded", "asked", "differs", "line", "cone_lacks")
    } | {"detail": parted.hint}


def _told(row: Replayed) -> str:
    parted = row.divergence
    if parted is None:
        return f"{row.status}: {row.detail}"
    where = f"\n  the code: {parted.line}" if parted.line else ""
    lacks = f"\n  its causal cone lacks {parted.cone_lacks}" if parted.cone_lacks else ""
    return (
        f"{row.status} at event {parted.sequence}, in {parted.differs}\n"
        f"  recorded: {parted.recorded}\n  asked:    {parted.asked}{where}\n  {parted.hint}{lacks}"
    )


def _said(row: Replayed) -> str:
    parted = row.divergence
    if parted is None:
        return row.detail
    return f"event {parted.sequence}: {parted.recorded}; asked {parted.asked} ({parted.line})"


def _line(cells: tuple[Any, ...]) -> str:
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
