"""One offline page about a log: what ran, what failed, who did what, and the SQL behind it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, Final

from flowlab.errors import NotFoundError
from flowlab.events import EventLog
from flowlab.figures import space_time
from flowlab.figures.text import clean, duration, moment
from flowlab.figures.theme import dark_rules

MAX_ROWS: Final = 50
"""Rows of each table."""
MAX_DIAGRAMS: Final = 12
"""Runs that are drawn; the rest is counted."""

_SECTIONS: Final = (
    (
        "What ran",
        (
            "SELECT outcome, count(*) AS runs, sum(events)::BIGINT AS events, "
            "sum(workflows)::BIGINT AS workflows, sum(anomalies)::BIGINT AS anomalies "
            "FROM runs GROUP BY outcome ORDER BY runs DESC"
        ),
    ),
    (
        "Who did what",
        (
            "SELECT agent_id AS agent, count(*) AS calls, "
            "count(*) FILTER (status = 'completed') AS completed, "
            "count(*) FILTER (status IN ('failed', 'timed_out')) AS failed, "
            "sum(ended_ns - started_ns)::BIGINT AS working_ns, sum(tokens)::BIGINT AS tokens "
            "FROM activities GROUP BY agent_id ORDER BY calls DESC, agent"
        ),
    ),
    (
        "Failures",
        (
            "SELECT run_id, workflow_id, name, agent_id AS agent, status, attempt FROM activities "
            "WHERE status IN ('failed', 'timed_out', 'canceled') ORDER BY ALL"
        ),
    ),
    (
        "Retries",
        (
            "SELECT run_id, workflow_id, name, agent_id AS agent, attempt, status FROM activities "
            "WHERE attempt > 1 ORDER BY attempt DESC, run_id, workflow_id, sequence"
        ),
    ),
    (
        "Slowest calls",
        (
            "SELECT run_id, name, agent_id AS agent, ended_ns - scheduled_ns AS duration_ns, "
            "started_ns - scheduled_ns AS waiting_ns FROM activities WHERE ended_ns IS NOT NULL "
            "ORDER BY duration_ns DESC, run_id, sequence"
        ),
    ),
    (
        "Concurrency",
        (
            "SELECT run_id, max(running) AS most_calls_in_flight FROM (SELECT run_id, sum(step) "
            "OVER (PARTITION BY run_id ORDER BY moment, step) AS running FROM (SELECT run_id, "
            "scheduled_ns AS moment, 1 AS step FROM activities UNION ALL SELECT run_id, ended_ns, "
            "-1 FROM activities WHERE ended_ns IS NOT NULL)) GROUP BY run_id "
            "ORDER BY most_calls_in_flight DESC, run_id"
        ),
    ),
    (
        "Damage",
        "SELECT run_id, workflow_id, sequence, kind, detail FROM anomalies ORDER BY ALL",
    ),
)
_STYLE: Final = """
body{margin:0 auto;max-width:1240px;padding:24px;font:15px/1.5 system-ui,sans-serif;
color:#1b1f24;background:#fff}
table{border-collapse:collapse;font-size:13px}td,th{padding:4px 12px 4px 0;text-align:left;
border-bottom:1px solid #d8dee4}td.n{text-align:right}summary{cursor:pointer;color:#0072b2}
pre{white-space:pre-wrap}svg{max-width:100%;height:auto}.note{color:#59636e}
@media (prefers-color-scheme:dark){body{color:#e9eef3;background:#0d1117}
td,th{border-color:#30363d}.note{color:#9fabb7}summary{color:#7cc7f2}
@DARK@}
"""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """One page of HTML that needs nothing else.

    Args:
        html: the page.
        title: its title.
    """

    html: str
    title: str

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page; return its absolute path."""
        target = Path(path).absolute()
        target.write_text(self.html, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f"Report({self.title!r}, {len(self.html)} characters)"


def build_report(log: EventLog, *, title: str | None = None) -> Report:
    """Describe a log in one offline page, with the SQL behind each table.

    Raises:
        NotFoundError: the log is empty.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "WorkflowStarted"}])
        >>> build_report(log, title="one").title
        'one'
    """
    if not len(log):
        message = "the log is empty, so there is nothing to report; import something first"
        raise NotFoundError(message)
    name = title or f"{len(log):,} events".replace(",", " ")
    style = _STYLE.replace("@DARK@", dark_rules("svg"))
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{_text(name)}</title><style>{style}</style></head><body>",
        f"<h1>{_text(name)}</h1><p class='note'>{_text(repr(log))}</p>",
        _diagrams(log),
        *(_section(log, heading, query) for heading, query in _SECTIONS),
        "</body></html>",
    ]
    return Report("\n".join(parts), name)


def _diagrams(log: EventLog) -> str:
    query = (
        "SELECT e.namespace, e.run_id FROM events e LEFT JOIN activities a "
        "USING (namespace, run_id, workflow_id, sequence) GROUP BY ALL "
        "ORDER BY count(DISTINCT e.agent_id) * least(count(a.sequence) + 1, 30) DESC, ALL"
    )
    runs = log.query(query.replace(", ALL", ", e.namespace, e.run_id")).to_pylist()
    parts = ["<h2>Who did what, when, and because of what</h2>"]
    for number, run in enumerate(runs[:MAX_DIAGRAMS]):
        part = log.filter(namespace=run["namespace"], run_id=run["run_id"])
        figure = space_time(part, title=run["run_id"] or "live run")
        state = " open" if number == 0 else ""
        label = _text(run["run_id"] or "live run")
        parts.append(f"<details{state}><summary>{label}</summary>{figure.svg}</details>")
    shown = min(len(runs), MAX_DIAGRAMS)
    note = f"{shown} of {len(runs)} runs drawn, those with the most agents and calls first"
    parts.append(f"<p class='note'>{note}</p>")
    return "\n".join(parts)


def _section(log: EventLog, heading: str, query: str) -> str:
    rows = log.query(query).to_pylist()
    shown = rows[:MAX_ROWS]
    body = "<p class='note'>none</p>"
    if shown:
        head = "".join(f"<th>{_text(name.removesuffix('_ns'))}</th>" for name in shown[0])
        lines = "".join(
            "<tr>" + "".join(_cell(name, value) for name, value in row.items()) + "</tr>"
            for row in shown
        )
        body = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    if len(rows) > len(shown):
        body += f"<p class='note'>{len(shown)} of {len(rows)} rows shown</p>"
    sql = f"<details><summary>SQL</summary><pre>{_text(query)}</pre></details>"
    return f"<section><h2>{_text(heading)}</h2>{body}{sql}</section>"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "<td></td>"
    if name.endswith("_ns"):
        spans = {"duration_ns", "waiting_ns", "working_ns"}
        text = duration(value) if name in spans else moment(value)
        return f"<td class='n'>{_text(text)}</td>"
    if isinstance(value, int):
        return f"<td class='n'>{value:,}</td>".replace(",", " ")
    return f"<td>{_text(value)}</td>"


def _text(value: object) -> str:
    return escape(clean(value))
