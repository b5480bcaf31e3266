"""What a picture points out: chosen events, a past, a future, a path; and a cut through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from flowlab.causality import KIND_LABELS, CausalOrder, CriticalPath, EventRef
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Event, EventId, EventLog
from flowlab.figures.text import clean, plural, words
from flowlab.figures.window import Window

CRITICAL: Final = "critical path"
ROLES: Final = ("event", "past", "future", "chosen")
"""Why an event is pointed out: it is what was asked about, before it, after it, or named."""

Chosen = EventRef | Iterable[EventRef] | CriticalPath | EventLog | None
CutLike = Mapping[str, "int | EventRef"] | Iterable[EventRef]


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut: what lies before it, and the causes beyond it of what lies before."""

    inside: frozenset[EventId]
    offending: tuple[tuple[EventId, EventId], ...]
    words: str

    @property
    def is_consistent(self) -> bool:
        """Whether every cause of what lies before it lies before it too."""
        return not self.offending


@dataclass(frozen=True, slots=True)
class Emphasis:
    """What is pointed out, by id: the role of each event, the steps of a path, and a cut."""

    roles: Mapping[EventId, str]
    steps: frozenset[tuple[EventId, EventId]] | None = None
    cut: Cut | None = None


@dataclass(frozen=True, slots=True)
class Pointed:
    """The same by rows of a window: `inside` is None without a cut."""

    roles: Mapping[int, str]
    steps: frozenset[tuple[int, int]] | None
    inside: frozenset[int] | None
    offending: tuple[tuple[int, int], ...]
    consistent: bool

    def within(self, window: Window, row: int) -> bool:
        """Say whether a row lies before the cut."""
        return self.inside is not None and row in self.inside and window.visible[row]


NOTHING: Final = Pointed({}, None, None, (), consistent=True)


def read_emphasis(
    order: CausalOrder,
    *,
    highlight: Chosen = None,
    past: EventRef | None = None,
    future: EventRef | None = None,
    cut: CutLike | None = None,
) -> Emphasis:
    """Find the events that are pointed out.

    Raises:
        NotFoundError: the log has no such event or agent.
        InvalidArgumentError: something names no event.
    """
    roles: dict[int, str] = {}
    path = order.critical_path() if _is_critical(highlight) else highlight
    for row in _rows(order, path):
        roles[row] = "chosen"
    if past is not None:
        roles |= dict.fromkeys(order.past(past).tolist(), "past")
    if future is not None:
        roles |= dict.fromkeys(order.future(future).tolist(), "future")
    for event in (past, future):
        if event is not None:
            roles[order.row(event)] = "event"
    steps = None
    if isinstance(path, CriticalPath):
        along = path.rows.tolist()
        steps = frozenset(
            (event_id(order, cause), event_id(order, effect)) for cause, effect in pairwise(along)
        )
    told = {event_id(order, row): role for row, role in sorted(roles.items())}
    return Emphasis(told, steps, None if cut is None else read_cut(order, cut))


def _is_critical(highlight: Chosen) -> bool:
    return isinstance(highlight, str) and highlight == CRITICAL


def _rows(order: CausalOrder, chosen: Chosen) -> Iterator[int]:
    if chosen is None:
        return
    if isinstance(chosen, CriticalPath):
        yield from chosen.rows.tolist()
    elif isinstance(chosen, int | np.integer | str | Event | EventId) or _is_pair(chosen):
        yield order.row(chosen)  # type: ignore[arg-type]
    elif isinstance(chosen, Iterable):
        for event in chosen:
            yield order.row(event)
    else:
        message = f"highlight is {chosen!r:.80}; expected an event, several, or a path"
        raise InvalidArgumentError(message)


def _is_pair(chosen: object) -> bool:
    return isinstance(chosen, tuple) and len(chosen) == 2 and isinstance(chosen[0], str)


def event_id(order: CausalOrder, row: int) -> EventId:
    """Return the id of a row."""
    graph = order.graph
    stream = graph.stream[row]
    space, run = graph.worlds[graph.streams.world[stream]]
    return EventId(space, run, graph.streams.ids[stream], int(graph.sequence[row]))


def read_cut(order: CausalOrder, cut: CutLike) -> Cut:
    """Read a cut: how many events of each agent, or the last event of each, lie before it.

    Of agents that it does not name, nothing lies before it.
    """
    graph = order.graph
    inside = np.zeros(graph.size, bool)
    told: Iterable[tuple[str | None, Any]]
    told = cut.items() if isinstance(cut, Mapping) else ((None, event) for event in cut)
    for agent, last in told:
        if agent is not None and isinstance(last, int | np.integer):
            inside[_first_of(order, agent, int(last))] = True
            continue
        row = order.row(last)
        lane = graph.lane[row]
        rows = graph.lane_rows[graph.lane_start[lane] : graph.lane_start[lane + 1]]
        inside[rows[: int(np.flatnonzero(rows == row)[0]) + 1]] = True
    bad = np.flatnonzero(~inside[graph.cause] & inside[graph.effect])
    offending = tuple(
        (event_id(order, int(graph.cause[edge])), event_id(order, int(graph.effect[edge])))
        for edge in bad
    )
    said = "the cut is consistent"
    if len(bad):
        edge = int(bad[0])
        cause, effect = (order.event(int(rows[edge])) for rows in (graph.cause, graph.effect))
        kind = KIND_LABELS[graph.kind[edge]]
        said = (
            f"the cut is not consistent: {_named(effect)} lies before it and its cause "
            f"({kind}) {_named(cause)} beyond"
        )
        if len(bad) > 1:
            said += f", and so {plural(len(bad) - 1, 'more cause')}"
    ids = frozenset(event_id(order, int(row)) for row in np.flatnonzero(inside))
    return Cut(ids, offending, said)


def _first_of(order: CausalOrder, agent: str, count: int) -> Any:
    graph = order.graph
    lanes = [code for code, name in enumerate(graph.lanes.ids) if name == agent]
    if len(lanes) != 1:
        found = "no agent" if not lanes else f"{len(lanes)} runs with an agent"
        message = (
            f"the log has {found} {agent!r}; its agents are {sorted(set(graph.lanes.ids))[:8]}"
        )
        raise NotFoundError(message)
    rows = graph.lane_rows[graph.lane_start[lanes[0]] : graph.lane_start[lanes[0] + 1]]
    if not 0 <= count <= len(rows):
        message = f"the cut takes {count} events of {agent!r}; it has {len(rows)}, so 0 to that"
        raise InvalidArgumentError(message)
    return rows[:count]


def _named(event: Event) -> str:
    name = clean(event.name[:60]) or words(event.event_type)
    return f"{name} of {clean(event.agent_id[:40])}"


def point_out(emphasis: Emphasis | None, window: Window) -> Pointed:
    """Return an emphasis by rows of a window."""
    if emphasis is None:
        return NOTHING
    rows = window.rows
    roles = {rows[key]: role for key, role in emphasis.roles.items() if key in rows}
    steps = emphasis.steps
    if steps is not None:
        known = ((rows.get(a), rows.get(b)) for a, b in steps)
        told = frozenset((a, b) for a, b in known if a is not None and b is not None)
    else:
        told = None
    cut = emphasis.cut
    if cut is None:
        return Pointed(roles, told, None, (), consistent=True)
    inside = frozenset(row for key, row in rows.items() if key in cut.inside)
    pairs = ((rows.get(a), rows.get(b)) for a, b in cut.offending)
    offending = tuple((a, b) for a, b in pairs if a is not None and b is not None)
    return Pointed(roles, told, inside, offending, consistent=cut.is_consistent)
