"""The consistent cuts of small logs, from all their subsets; edges are read event by event."""

from __future__ import annotations

from flowlab import EventLog


def plain_edges(log: EventLog) -> set[tuple[int, int]]:
    """Return (cause, effect) as rows, read off the events one by one."""
    events = log.events()
    rows = {event.id: row for row, event in enumerate(events)}
    found = {
        (rows[type(event.id)(event.namespace, event.run_id, c.workflow_id, c.sequence)], row)
        for row, event in enumerate(events)
        for c in event.causes
    }
    lanes: dict[tuple[str, str, str], list[int]] = {}
    for row in sorted(range(len(events)), key=lambda row: events[row].agent_sequence):
        event = events[row]
        lane = lanes.setdefault((event.namespace, event.run_id, event.agent_id), [])
        if lane and event.follows_lane:
            found.add((lane[-1], row))
        lane.append(row)
    return found


def plain_pasts(log: EventLog) -> list[set[int]]:
    """Return the rows before each row."""
    causes: list[list[int]] = [[] for _ in range(len(log))]
    for cause, effect in plain_edges(log):
        causes[effect].append(cause)
    pasts: list[set[int]] = []
    for row in range(len(log)):
        past: set[int] = set()
        todo = list(causes[row])
        while todo:
            cause = todo.pop()
            if cause not in past:
                past.add(cause)
                todo += causes[cause]
        pasts.append(past)
    return pasts


def consistent_sets(log: EventLog, run: str | None = None) -> list[frozenset[int]]:
    """Return all sets of rows of a run that hold the past of each of theirs."""
    pasts = [sum(1 << cause for cause in past) for past in plain_pasts(log)]
    runs = log.table.column("run_id").to_pylist()
    rows = [row for row in range(len(log)) if run in {None, runs[row]}]
    found = []
    for number in range(1 << len(rows)):
        chosen = [row for at, row in enumerate(rows) if number >> at & 1]
        mask = sum(1 << row for row in chosen)
        if all(not pasts[row] & ~mask for row in chosen):
            found.append(frozenset(chosen))
    return found
