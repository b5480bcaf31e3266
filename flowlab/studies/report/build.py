"""One offline page about a log: what ran, what failed, what was slow, and the SQL behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.events import UNSTAMPED, EventLog, connect, run_query
from flowlab.figures import space_time
from flowlab.figures.flight import Step, flight_chart
from flowlab.figures.text import duration, moment, number, plural, words
from flowlab.figures.window import times_are_usable
from flowlab.studies.report import sections
from flowlab.studies.report.chains import LINKS, MAX_EVENTS, Chain, longest_chains
from flowlab.studies.report.page import numbers, page, safe, shown_of, sql, table
from flowlab.studies.report.sections import Section

MAX_DIAGRAMS: Final = 12
"""Runs that are drawn; the rest is counted."""
MAX_OPEN: Final = 3
"""Pictures that are unfolded at first."""
MAX_PICTURE_BYTES: Final = 5_000_000
"""Once the pictures take so much, no further run is drawn."""
MAX_CHAINS: Final = 20
"""Chains of causes in the table, each of another run."""
MAX_CHAIN_STEPS: Final = 60
"""Steps of the longest chain that are listed."""
_RELATIONS: Final = ("activities", "edges", "workflows", "runs")

Ask = Callable[[str], pa.Table]


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

    Tables, pictures and chains are bounded, and each says how many of how many it shows. The page
    has no script and refers to nothing outside itself.

    Args:
        log: any log; of an empty one the page says that it is empty.
        title: of the page; by default the size of the log.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "WorkflowStarted"}])
        >>> build_report(log, title="one").title
        'one'
    """
    name = title or plural(len(log), "event")
    with connect(log) as connection:
        for relation in _RELATIONS:
            # Each view is asked several times: once computed, it is kept for the others.
            connection.execute(f"CREATE TEMP TABLE kept_{relation} AS FROM {relation}")
        for relation in _RELATIONS:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {relation} AS FROM kept_{relation}")

        def ask(query: str) -> pa.Table:
            return run_query(connection, query)

        body = list(_body(log, ask)) if len(log) else ["<p>The log is empty: no events.</p>"]
        totals = numbers(ask(sections.NUMBERS).to_pylist()[0])
    heading = f'<h1>{safe(name)}</h1><p class="note">{safe(_when(log))}</p>'
    head = f"<header>{heading}{totals}{sql(sections.NUMBERS)}</header>"
    return Report(page(name, [head, _menu() if len(log) else ""], body), name)


def _when(log: EventLog) -> str:
    """Say from when to when a log reaches."""
    stamped = log.table.column("time_ns")
    ends = pc.min_max(stamped.filter(pc.greater(stamped, UNSTAMPED))).as_py()
    first, last = ends["min"], ends["max"]
    if first is None or first == last:
        return "the times of this log tell nothing" if len(log) else "no events"
    return f"{moment(first)} to {moment(last)}, {duration(last - first)}"


def _menu() -> str:
    named = [("diagrams", "Pictures"), ("chains", "Slowest chains")]
    tables = [(part.key, part.heading) for part in (*_BEFORE, *_AFTER, sections.DAMAGE)]
    order = [*tables[:1], named[0], *tables[1:5], named[1], *tables[5:]]
    links = "".join(f'<li><a href="#{key}">{safe(heading)}</a></li>' for key, heading in order)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


_BEFORE: Final = (
    sections.RUNS,
    sections.AGENTS,
    sections.FAILURES,
    sections.RETRIES,
    sections.COMPENSATIONS,
)
_AFTER: Final = (sections.CALLS, sections.CONCURRENCY)


def _body(log: EventLog, ask: Ask) -> Iterator[str]:
    order = [(row["namespace"], row["run_id"]) for row in ask(sections.ORDER).to_pylist()]
    pictures, drawn = _pictures(log, ask, order)
    links = {run: f"run-{place}" for place, (_, run) in enumerate(drawn)}
    yield _section(ask, _BEFORE[0], links)
    yield pictures
    for part in _BEFORE[1:]:
        yield _section(ask, part, links)
    yield _chains(log, ask, links)
    for part in (*_AFTER, sections.DAMAGE):
        yield _section(ask, part, links)


def _section(ask: Ask, part: Section, links: Mapping[str, str]) -> str:
    rows = ask(part.query)
    shown = rows.slice(0, part.limit).to_pylist()
    body = f'<p class="note">{safe(part.none)}</p>'
    if shown:
        body = table(shown, caption=part.heading, links=links)
    return (
        f'<section id="{part.key}"><h2>{safe(part.heading)}</h2><p class="note">{safe(part.says)}'
        f"</p>{body}{shown_of(len(shown), len(rows), 'rows')}{sql(part.query)}</section>"
    )


def _pictures(
    log: EventLog, ask: Ask, order: list[tuple[str, str]]
) -> tuple[str, list[tuple[str, str]]]:
    """Draw the runs with the most agents and calls; return the section and the runs drawn."""
    flights: dict[tuple[str, str], list[Step]] = {}
    for row in ask(sections.FLIGHT).to_pylist():
        step = Step(row["time_ns"], row["waiting"], row["working"])
        flights.setdefault((row["namespace"], row["run_id"]), []).append(step)
    parts: list[str] = []
    drawn: list[tuple[str, str]] = []
    size = 0
    for namespace, run in order[:MAX_DIAGRAMS]:
        if size > MAX_PICTURE_BYTES:
            break
        part = log.filter(namespace=namespace, run_id=run) if len(order) > 1 else log
        name = run or "live run"
        figure = space_time(part, title=name)
        svg = f"<figure>{figure.svg}</figure>"
        steps = flights.get((namespace, run), [])
        if len(steps) > 1 and steps[0].time_ns < steps[-1].time_ns:
            svg += f"<figure>{flight_chart(steps, title='Calls in flight')}</figure>"
        state = " open" if len(drawn) < MAX_OPEN else ""
        parts.append(
            f'<details class="run" id="run-{len(drawn)}"{state}><summary>{safe(name[:200])}'
            f"</summary>{svg}</details>"
        )
        drawn.append((namespace, run))
        size += len(svg)
    note = "Who did what, when, and because of what. Point at a mark to read what it is."
    if len(drawn) < len(order):
        note += f" {len(drawn)} of {number(len(order))} runs shown: those with the most agents and"
        note += " calls, above all where something failed."
    section = (
        f'<section id="diagrams"><h2>Pictures</h2><p class="note">{note}</p>'
        f"{''.join(parts)}{sql(sections.FLIGHT)}</section>"
    )
    return section, drawn


def _chains(log: EventLog, ask: Ask, links: Mapping[str, str]) -> str:
    heading = '<section id="chains"><h2>Slowest chains</h2>'
    if len(log) > MAX_EVENTS:
        note = f"not looked for: {number(len(log))} events are more than {number(MAX_EVENTS)}"
        return f'{heading}<p class="note">{note}</p></section>'
    by_time = times_are_usable(log)
    found = [chain for chain in longest_chains(ask, by_time=by_time) if len(chain.links) > 1]
    note = (
        "The longest chain of causes of each run, from its first event to its last, and what its "
        "time was spent on: to make the run shorter, shorten this. Of several causes it takes the "
        "one that was waited for."
    )
    if not by_time:
        note = (
            "The longest chain of causes of each run, by the number of its events: the times of "
            "this log tell nothing."
        )
    body = '<p class="note">none: no event has a cause</p>'
    if found:
        rows = [_chain_row(chain, by_time=by_time) for chain in found[:MAX_CHAINS]]
        body = table(rows, caption="Slowest chains", links=links)
        body += shown_of(len(rows), len(found), "chains") + _steps(found[0], by_time=by_time)
    return f'{heading}<p class="note">{note}</p>{body}{sql(LINKS)}</section>'


def _chain_row(chain: Chain, *, by_time: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"run": chain.run_id}
    if by_time:
        row["length_ns"] = chain.length_ns
    row["events"] = len(chain.links)
    if by_time:
        most = [
            f"{what[:60]} {duration(took)} ({took / max(1, chain.length_ns):.0%})"
            for what, took in chain.spent()[:3]
            if took > 0
        ]
        row["spent mostly on"] = " · ".join(most)
    else:
        first, last = chain.links[0].event, chain.links[-1].event
        row["from"], row["to"] = _named(first), _named(last)
    return row


def _named(event: Mapping[str, Any]) -> str:
    return f"{event['agent_id'][:60]}: {event['name'][:80] or words(event['event_type'])}"


def _steps(chain: Chain, *, by_time: bool) -> str:
    rows = []
    for link in chain.links[:MAX_CHAIN_STEPS]:
        row: dict[str, Any] = {"event": words(link.event["event_type"])}
        row |= {"name": link.event["name"], "agent": link.event["agent_id"]}
        if by_time:
            row |= {"took_ns": link.took_ns, "spent on": link.on}
        rows.append(row)
    name = safe(chain.run_id[:200] or "live run")
    steps = table(rows, caption="Steps of the longest chain")
    return (
        f"<details><summary>Every step of the longest: {name}</summary>{steps}"
        f"{shown_of(len(rows), len(chain.links), 'steps')}</details>"
    )
