"""A notation in which a space-time diagram is a few lines, for lessons, tests and bug reports.

    A: a1 send>m a2     # two lanes: what A does, in order; it sends m
    B: recv<m b1        # B receives it

Lanes are parted by `|` or by lines; an agent that comes again goes on with its lane. An event is

    name:Type<received,messages>sent,messages@time

of which all but one part may be left out: without a name it has its first message's, without a
type it is a `MessageReceived`, a `MessageSent` or a `MarkerRecorded`, and without a time it comes a
nanosecond after the latest of its causes (the first at 1), so that time is causal depth. Times
are whole nanoseconds or have a unit (`@1.5ms`); they may contradict the causal order, as
clocks do.

- A message is sent once, and received by any number of events (a broadcast), or by none.
- `=b=` on several lanes is a barrier: each arrives, and each goes on when all have.
- `!crash` and `!restart` are an agent's fall and its return.
- `~` before an event: it does not follow the lane's previous event; before an agent: none does.
- A name with spaces or signs in it is a JSON string: `"two words"`.
- `=== name ===` on a line of its own begins another run.
- `#` begins a comment.

Each lane's events are in the agent's own stream, `@agent`. A message's name ties its two ends
together and is not kept. An order in which an event would come before itself is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.events.event import Cause, Event
from flowlab.events.log import EventLog
from flowlab.events.notation_marks import Mark, Place, Sheet, Word, read_sheets, refusal
from flowlab.events.run import RunInfo
from flowlab.events.vocabulary import CauseKind

_MOST_TOLD: Final = 8


@dataclass(slots=True, eq=False)
class _Node:
    """One event to be: a mark, or half of a barrier."""

    lane: int
    agent: str
    sequence: int
    mark: Mark
    event_type: str
    name: str
    causes: dict[int, int] = field(default_factory=dict)
    before: int | None = None
    depth: int = 0
    time_ns: int = 0


def read_text(text: str, *, run_id: str = "", namespace: str = "default") -> EventLog:
    """Build a log from the notation: `EventLog.from_text`."""
    events: list[Event] = []
    runs: list[RunInfo] = []
    for sheet in read_sheets(text):
        if sheet.run is None and not sheet.lanes:
            continue
        name = run_id if sheet.run is None else sheet.run.name
        if name in {run.run_id for run in runs}:
            place = Place(0, 0) if sheet.run is None else sheet.run.place
            raise refusal(text, place, f"there is a run {name!r} already")
        info = RunInfo(namespace=namespace, run_id=name, clock="virtual", agents=tuple(sheet.lanes))
        runs.append(info)
        events += _Weaver(text, sheet).events(info)
    numbered = [event.replace(position=row) for row, event in enumerate(events, start=1)]
    return EventLog.from_events(numbered, runs=runs)


class _Weaver:
    """Ties the messages and barriers of one run together."""

    def __init__(self, text: str, sheet: Sheet) -> None:
        self._text = text
        self._nodes: list[_Node] = []
        self._sent: dict[str, int] = {}
        for lane, (agent, marks) in enumerate(sheet.lanes.items()):
            for node in _nodes(lane, agent, marks):
                if node.sequence > 1:
                    node.before = len(self._nodes) - 1
                self._nodes.append(node)
        for at, node in enumerate(self._nodes):
            for word in node.mark.sends:
                if word.name in self._sent:
                    message = f"message {word.name!r} is sent already; name each message once"
                    raise refusal(text, word.place, message)
                self._sent[word.name] = at
        for node in self._nodes:
            for word in node.mark.receives:
                node.causes[self._sender(word)] = CauseKind.MESSAGE
        self._meet()

    def events(self, info: RunInfo) -> Iterator[Event]:
        """Yield the events, causes first; of those that may come next, the upper lane's."""
        for node in self._in_order():
            mark = node.mark
            latest = [self._nodes[at].time_ns for at in self._causes(node)]
            node.time_ns = max(latest, default=0) + 1 if mark.time_ns is None else mark.time_ns
            yield Event(
                namespace=info.namespace,
                run_id=info.run_id,
                workflow_id=f"@{node.agent}",
                sequence=node.sequence,
                agent_id=node.agent,
                agent_sequence=node.sequence,
                event_type=node.event_type,
                name=node.name,
                time_ns=node.time_ns,
                follows_lane=mark.follows_lane,
                causes=tuple(
                    Cause(f"@{self._nodes[at].agent}", self._nodes[at].sequence, int(kind))
                    for at, kind in node.causes.items()
                ),
                step_id=mark.barrier,
            )

    def _sender(self, word: Word) -> int:
        if word.name in self._sent:
            return self._sent[word.name]
        known = ", ".join(list(self._sent)[:_MOST_TOLD]) or "no message at all"
        message = f"nobody sends message {word.name!r}; sent are: {known}"
        raise refusal(self._text, word.place, message)

    def _meet(self) -> None:
        arrived: dict[str, dict[int, int]] = {}
        for at, node in enumerate(self._nodes):
            barrier = node.mark.barrier
            if barrier is not None and node.event_type == "BarrierArrived":
                there = arrived.setdefault(barrier, {})
                if node.lane in there:
                    message = f"{node.agent} is at barrier {barrier!r} already"
                    raise refusal(self._text, node.mark.place, message)
                there[node.lane] = at
        for node in self._nodes:
            if node.mark.barrier is not None and node.event_type == "BarrierReleased":
                node.causes = dict.fromkeys(arrived[node.mark.barrier].values(), CauseKind.JOIN)

    def _causes(self, node: _Node) -> list[int]:
        lane = [node.before] if node.before is not None and node.mark.follows_lane else []
        return [*node.causes, *lane]

    def _in_order(self) -> list[_Node]:
        """Return the nodes so that causes, and what is earlier in a lane, come first."""
        before = [
            {*node.causes, *([] if node.before is None else [node.before])} for node in self._nodes
        ]
        after: list[list[int]] = [[] for _ in self._nodes]
        for at, causes in enumerate(before):
            for cause in causes:
                after[cause].append(at)
        left = [len(causes) for causes in before]
        ready = [at for at, count in enumerate(left) if not count]
        for at in ready:
            for later in after[at]:
                self._nodes[later].depth = max(self._nodes[later].depth, self._nodes[at].depth + 1)
                left[later] -= 1
                if not left[later]:
                    ready.append(later)
        if len(ready) < len(self._nodes):
            stuck = {at for at, count in enumerate(left) if count}
            raise self._ring(before, stuck)
        return sorted(self._nodes, key=lambda node: (node.depth, node.lane, node.sequence))

    def _ring(self, before: Sequence[set[int]], stuck: set[int]) -> InvalidArgumentError:
        """Return the error that names events each of which waits for the next."""
        path = [min(stuck)]
        while path.count(path[-1]) == 1:
            path.append(min(before[path[-1]] & stuck))
        ring = path[path.index(path[-1]) :][::-1]
        told = " -> ".join(self._told(at) for at in ring[:_MOST_TOLD])
        rest = len(ring) - _MOST_TOLD
        told += f" -> ... ({rest} more)" if rest > 0 else ""
        message = f"this event would come before itself: {told}"
        return refusal(self._text, self._nodes[ring[0]].mark.place, message)

    def _told(self, at: int) -> str:
        node = self._nodes[at]
        return f"{node.agent}: {self._text[node.mark.place.start : node.mark.place.end]}"


def _nodes(lane: int, agent: str, marks: Sequence[Mark]) -> Iterator[_Node]:
    """Yield the events of a lane."""
    sequence = 0
    for mark in marks:
        kinds = [mark.event_type or _type(mark)]
        if mark.barrier is not None:
            kinds = ["BarrierArrived", "BarrierReleased"]
        for kind in kinds:
            sequence += 1
            yield _Node(lane, agent, sequence, mark, kind, _name(mark, agent))


def _type(mark: Mark) -> str:
    if mark.receives:
        return "MessageReceived"
    return "MessageSent" if mark.sends else "MarkerRecorded"


def _name(mark: Mark, agent: str) -> str:
    if mark.barrier is not None:
        return mark.barrier
    if mark.name is not None:
        return mark.name
    words = (*mark.receives, *mark.sends)
    return words[0].name if words else agent
