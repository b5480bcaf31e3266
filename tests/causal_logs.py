"""Random logs for the laws of causality, and the slow, plain answers that they are held to."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from flowlab import Cause, CauseKind, Event, EventLog


@st.composite
def logs(
    draw: st.DrawFn, *, max_events: int = 14, worlds: int = 1, overlapping: bool = True
) -> EventLog:
    """Draw a log without damage: lanes that overlap, causes anywhere before, rows in any order."""
    size = draw(st.integers(0, max_events))
    agents = draw(st.integers(1, 4))
    loose = [overlapping and draw(st.booleans()) for _ in range(agents)]
    streams: dict[Any, int] = {}
    lanes: dict[Any, int] = {}
    events: list[Event] = []
    for _ in range(size):
        run = f"run-{draw(st.integers(0, worlds - 1))}"
        number = draw(st.integers(0, agents - 1))
        agent = f"agent-{number}"
        stream = draw(st.sampled_from([f"@{agent}", "flow-1", "flow-2"]))
        own = [event for event in events if event.run_id == run]
        named = draw(st.lists(st.sampled_from(own), max_size=3)) if own else []
        streams[run, stream] = streams.get((run, stream), 0) + 1
        lanes[run, agent] = lanes.get((run, agent), 0) + 1
        events.append(
            Event(
                run_id=run,
                workflow_id=stream,
                sequence=streams[run, stream],
                agent_id=agent,
                agent_sequence=lanes[run, agent],
                event_type=draw(st.sampled_from(["MarkerRecorded", "MessageSent"])),
                name=draw(st.sampled_from(["a", "b"])),
                time_ns=draw(st.integers(0, 20)),
                follows_lane=draw(st.booleans()) if loose[number] else True,
                causes=tuple(Cause(event.workflow_id, event.sequence, 1) for event in named),
            )
        )
    return EventLog.from_events(draw(st.permutations(events)))


def edges_of(log: EventLog) -> set[tuple[int, int, str]]:
    """Return (cause, effect, kind) as rows: each named cause, and the event before in the lane.

    The relation `edges` is held to it in test_causality_graph.py; asking the relation itself costs
    fifty times as much, and it would be asked for every example of every law.
    """
    rows = {event.id: row for row, event in enumerate(log)}
    found = set()
    lanes: dict[tuple[str, str, str], list[Event]] = {}
    for event in log:
        world = (event.namespace, event.run_id)
        lanes.setdefault((*world, event.agent_id), []).append(event)
        for cause in event.causes:
            source = rows[*world, cause.workflow_id, cause.sequence]
            found.add((source, rows[event.id], CauseKind(cause.kind).label))
    for lane in lanes.values():
        lane.sort(key=lambda e: (e.agent_sequence, e.position, e.workflow_id, e.sequence))
        for before, event in pairwise(lane):
            if event.follows_lane:
                found.add((rows[before.id], rows[event.id], "lane"))
    return found


def related_edges(log: EventLog) -> set[tuple[int, int, str]]:
    """Return the same out of the relation `edges`."""
    rows = {event.id: row for row, event in enumerate(log)}
    found = set()
    for edge in log.relation("edges").to_dicts():
        world = (edge["namespace"], edge["run_id"])
        cause = (*world, edge["cause_workflow_id"], edge["cause_sequence"])
        effect = (*world, edge["workflow_id"], edge["sequence"])
        found.add((rows[cause], rows[effect], edge["kind"]))
    return found


def pasts_of(log: EventLog) -> list[set[int]]:
    """Return the rows before each row: the transitive closure of the edges."""
    pasts: list[set[int]] = [set() for _ in range(len(log))]
    edges = edges_of(log)
    growing = True
    while growing:
        growing = False
        for cause, effect, _ in edges:
            more = pasts[cause] | {cause}
            if not more <= pasts[effect]:
                pasts[effect] |= more
                growing = True
    return pasts
