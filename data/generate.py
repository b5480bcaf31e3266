"""Write the sample logs of this folder again: `python data/generate.py [FOLDER]`.

Everything here is made up and comes from the tables below; nothing reads a clock or draws a
number, so that the files are equal to the byte on every machine.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Final

from heat_pumps import Worker

from flowlab.interop.samples import sample_history

HERE: Final = Path(__file__).parent

# -- agents that bid for a task, as a ShiViz log ----------------------------------------------

BIDDERS: Final = {"alice": 40, "bob": 25, "carol": 30}


def contract_net() -> str:
    """Return two rounds of bidding; in the second the winner of the first is busy."""
    clocks: dict[str, dict[str, int]] = {}
    lines: list[str] = []

    def step(host: str, text: str, heard: dict[str, int] | None = None) -> dict[str, int]:
        clock = clocks.setdefault(host, {host: 0})
        for other, tick in (heard or {}).items():
            clock[other] = max(clock.get(other, 0), tick)
        clock[host] += 1
        lines.append(f"{host} {json.dumps(clock, sort_keys=True)}\n{text}")
        return dict(clock)

    for task, bidders in (("survey roof", BIDDERS), ("lay cable", {"alice": 50, "carol": 35})):
        calls = {name: step("manager", f"ask {name}: who can {task}?") for name in BIDDERS}
        bids = {}
        for name in BIDDERS:
            step(name, f"hear of {task}", calls[name])
            if name in bidders:
                bids[name] = step(name, f"bid {bidders[name]} for {task}")
            else:
                step(name, "busy: no bid")
        for name, clock in bids.items():
            step("manager", f"note the bid of {name}", clock)
        winner = min(bidders, key=bidders.__getitem__)
        order = step("manager", f"award {task} to {winner} for {bidders[winner]}")
        step(winner, f"accept {task}", order)
        step("manager", f"{task} is done", step(winner, f"report {task} done"))
    return "\n".join(lines) + "\n"


# -- a support desk, as CSV -------------------------------------------------------------------

TICKETS: Final = {
    "T-101": (
        0,
        (
            ("triage", "sort the request", 5, 40, "done"),
            ("billing", "look up the invoice", 20, 180, "done"),
            ("billing", "refund 40", 15, 90, "done"),
        ),
    ),
    "T-102": (
        60,
        (
            ("triage", "sort the request", 8, 35, "done"),
            ("technician", "restart the router", 30, 240, "failed"),
            ("technician", "replace the router", 400, 600, "done"),
        ),
    ),
    "T-103": (
        90,
        (
            ("triage", "sort the request", 22, 50, "done"),
            ("billing", "change the address", 130, 60, "done"),
        ),
    ),
}


COLUMNS: Final = ("id", "case", "agent", "what", "state", "at", "because")


def tickets() -> str:
    """Return a row for each step of each ticket; `because` names the rows that caused it."""
    rows: list[tuple[int, tuple[str, ...]]] = []

    def add(at: int, key: str, *rest: str, because: str = "") -> None:
        moment = f"2026-03-02T{10 + at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}Z"
        rows.append((at, (key, key.partition("/")[0], *rest, moment, because)))

    for case, (opened, steps) in TICKETS.items():
        now, before = opened, f"{case}/0"
        add(now, before, "triage", "request", "opened")
        for number, (agent, what, wait, work, end) in enumerate(steps, 1):
            asked, began, ended = (f"{case}/{number}{letter}" for letter in "abc")
            add(now, asked, agent, what, "asked", because=before)
            now += wait
            add(now, began, agent, what, "began", because=asked)
            now += work
            add(now, ended, agent, what, end, because=f"{asked};{began}")
            before = ended
        add(now, f"{case}/{len(steps) + 1}", "triage", "request", "closed", because=before)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row for _, row in sorted(rows, key=lambda item: item[0]))
    return out.getvalue()


TICKETS_MAPPING: Final = """\
# How to read tickets.csv: its columns, and its states in the words of the event schema.
id = "id"
workflow = "case"
lane = "agent"
name = "what"
type = "state"
time = "at"
causes = "because"
order = false

[types]
opened = "WorkflowStarted"
asked = "ActivityScheduled"
began = "ActivityStarted"
done = "ActivityCompleted"
failed = "ActivityFailed"
closed = "WorkflowCompleted"
"""

# -- spans of an assistant, as JSON Lines -----------------------------------------------------

SPANS: Final = (
    ("q1", "", "assistant", "answer: when does the library open?", 0),
    ("q1", "1", "retriever", "find pages about the library", 12),
    ("q1", "2", "index", "nearest 5 of 2 000 pages", 20),
    ("q1", "1", "model", "write an answer from 5 pages", 95),
    ("q1", "4", "filter", "check the answer", 910),
    ("q2", "", "assistant", "answer: book me a room", 300),
    ("q2", "6", "calendar", "free rooms on Friday", 330),
    ("q2", "6", "model", "choose a room", 420),
    ("q2", "8", "calendar", "book room 2", 980),
    ("q2", "8", "mail", "confirm room 2", 985),
)


def spans() -> str:
    """Return a span for each piece of work; each names the span that it is part of."""
    return "".join(
        json.dumps(
            {
                "span": str(number),
                "parent": parent or None,
                "trace": trace,
                "service": service,
                "operation": operation,
                "start_ms": 1_772_442_000_000 + at,
            }
        )
        + "\n"
        for number, (trace, parent, service, operation, at) in enumerate(SPANS, 1)
    )


SPANS_MAPPING: Final = """\
# How to read spans.jsonl: a span's parent is its cause.
id = "span"
workflow = "trace"
lane = "service"
name = "operation"
time = "start_ms"
time_unit = "ms"
parent = "parent"
order = false
"""


def write_all(folder: Path) -> None:
    """Write every file into a folder."""
    (folder / "agents").mkdir(parents=True, exist_ok=True)
    texts = {
        "agents/trip-planners.json": json.dumps(sample_history(), indent=1) + "\n",
        "agents/heat-pumps.json": json.dumps(Worker().run(), indent=1) + "\n",
        "contract-net.log": contract_net(),
        "tickets.csv": tickets(),
        "tickets.toml": TICKETS_MAPPING,
        "spans.jsonl": spans(),
        "spans.toml": SPANS_MAPPING,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
