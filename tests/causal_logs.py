"""Random logs for the laws of causality, and the slow, plain answers that they are held to."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise

from hypothesis import strategies as st

from flowlab import Cause, CauseKind, Event, EventLog

_MARKS = st.sampled_from(
    [
        (stream, event_type, name, follows_lane)
        for stream in ("", "flow-1", "flow-2")
        for event_type in ("MarkerRecorded", "MessageSent")
        for name in ("a", "b")
        for follows_lane in (True, False)
    ]
)
_TIMES = st.integers(0, 20)


@st.composite
def logs(
    draw: st.DrawFn, *, max_events: int = 14, worlds: int = 1, overlapping: bool = True
) -> EventLog:
    """Draw a log without damage: lanes that overlap, causes anywhere before, rows in any order.

    Each choice costs more than most laws do: what is small and independent is one choice.
    """
    size = draw(st.integers(0, max_events))
    agents = draw(st.integers(1, 4))
    loose = [overlapping and draw(st.booleans()) for _ in range(agents)]
    lanes = st.integers(0, worlds * agents - 1)
    counts: Counter[tuple[str, str]] = Counter()
    before: list[list[Event]] = [[] for _ in range(worlds)]
    events: list[Event] = []
    for _ in range(size):
        world, number = divmod(draw(lanes), agents)
        stream, event_type, name, follows_lane = draw(_MARKS)
        run, agent, own = f"run-{world}", f"agent-{number}", before[world]
        stream = stream or f"@{agent}"
        named = draw(_some_of(len(own))) if own else []
        counts.update([(run, stream), (run, agent)])
        event = Event(
            run_id=run,
            workflow_id=stream,
            sequence=counts[run, stream],
            agent_id=agent,
            agent_sequence=counts[run, agent],
            event_type=event_type,
            name=name,
            time_ns=draw(_TIMES),
            follows_lane=follows_lane or not loose[number],
            causes=tuple(Cause(own[row].workflow_id, own[row].sequence, 1) for row in named),
        )
        own.append(event)
        events.append(event)
    return EventLog.from_events(draw(st.permutations(events)))


@cache
def _some_of(rows: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, rows - 1), max_size=3)


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
