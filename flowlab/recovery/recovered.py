"""What a recovery has got back: a row for each workflow, as a value, a frame and a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from flowlab.events import counted

if TYPE_CHECKING:
    import polars as pl

    from flowlab.store import RecoveryReport as ProjectionsReport

MAX_SHOWN: Final = 20
"""Workflows of a report's HTML table."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """One workflow of a recovery.

    Args:
        workflow_id: which.
        process: what it is an instance of.
        checkpoint: the id of the checkpoint that it began from, None where from its beginning.
        head: its last event.
        events_read: events of its stream that were read.
        replayed: events that its code or plan was given.
        waits: what it has asked for and has no answer to, as "type name".
        seconds: that it took, in its process.
        state: a plan's state as JSON, from which `PlanExecution.from_json` goes on; else None.
        error: why it could not be recovered; empty where it was.
    """

    workflow_id: str
    process: str
    checkpoint: str | None = None
    head: int = 0
    events_read: int = 0
    replayed: int = 0
    waits: tuple[str, ...] = ()
    seconds: float = 0.0
    state: Any = None
    error: str = ""

    def __repr__(self) -> str:
        if self.error:
            return f"Recovered({self.workflow_id!r}, failed)"
        begun = "its beginning" if self.checkpoint is None else f"checkpoint {self.checkpoint!r}"
        read = counted(self.events_read, "event")
        return f"Recovered({self.workflow_id!r} at {self.head}, from {begun}, {read} read)"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What a recovery has got back, a row for each workflow, by workflow_id.

    Args:
        scheme: its repr.
        workers: processes.
        rows: the workflows.
        seconds: from begin to end.
        projections: what was done about projections, None where nothing.
    """

    scheme: str
    workers: int
    rows: tuple[Recovered, ...]
    seconds: float
    projections: ProjectionsReport | None = None

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        what = counted(len(self.rows), "workflow")
        read = counted(self.events_read, "event")
        return f"RecoveryReport({what} by {self.scheme}, {read} read{failed})"

    @property
    def failed(self) -> tuple[Recovered, ...]:
        """Those that could not be recovered."""
        return tuple(row for row in self.rows if row.error)

    @property
    def events_read(self) -> int:
        """Events that were read, of all."""
        return sum(row.events_read for row in self.rows)

    @property
    def replayed(self) -> int:
        """Events that were replayed, of all."""
        return sum(row.replayed for row in self.rows)

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a frame, without the states."""
        import polars as pl  # noqa: PLC0415

        names = ("workflow_id", "process", "checkpoint", "head", "events_read", "replayed")
        more = ("seconds", "error")
        columns = {name: [getattr(row, name) for row in self.rows] for name in (*names, *more)}
        types = {"checkpoint": pl.String, "seconds": pl.Float64}
        ints = dict.fromkeys(("head", "events_read", "replayed"), pl.Int64)
        texts = dict.fromkeys(("workflow_id", "process", "error"), pl.String)
        frame = pl.DataFrame(columns, schema_overrides={**texts, **ints, **types})
        waits = pl.Series("waits", [list(row.waits) for row in self.rows], pl.List(pl.String))
        return frame.with_columns(pl.lit(self.scheme).alias("scheme"), waits)

    def _repr_html_(self) -> str:
        head = ("workflow", "process", "checkpoint", "events read", "replayed", "ms", "waits for")
        lines = [
            (
                row.workflow_id,
                row.process,
                row.checkpoint or "",
                str(row.events_read),
                str(row.replayed),
                f"{row.seconds * 1e3:.2f}",
                row.error or ", ".join(row.waits),
            )
            for row in self.rows[:MAX_SHOWN]
        ]
        total = ("all", "", "", str(self.events_read), str(self.replayed))
        lines.append((*total, f"{self.seconds * 1e3:.2f}", counted(self.workers, "process")))
        body = "".join(_line(line, "td") for line in lines)
        shown = f", {MAX_SHOWN} of {len(self.rows)} shown" if len(self.rows) > MAX_SHOWN else ""
        title = f"<caption>{escape(repr(self))}{shown}</caption>"
        return f"<table>{title}<thead>{_line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def _line(cells: Iterable[str], tag: str) -> str:
    inside = "".join(f'<{tag} style="text-align:left">{escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{inside}</tr>"
