"""What a picture points out: chosen events, a past, a future, a path; and a cut through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from flowlab.causality import KIND_LABELS, CausalOrder, CriticalPath, Cut, EventRef
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventId, EventLog
from flowlab.figures.text import clean, plural, words
from flowlab.figures.window import Window

CRITICAL: Final = "critical path"
ROLES: Final = ("event", "past", "future", "chosen")
"""Why an event is pointed out: it is what was asked about, before it, after it, or named."""

Chosen = EventRef | Iterable[EventRef] | CriticalPath | EventLog | None
CutLike = Cut | Mapping[str, "int | EventRef | None"] | Iterable[EventRef]


@dataclass(frozen=True, slots=True)
class CutLine:
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
    cut: CutLine | None = None


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
    # Two keys are two events: a pair ends with its sequence.
    return (
        isinstance(chosen, tuple)
        and len(chosen) == 2
        and isinstance(chosen[0], str)
        and not isinstance(chosen[1], str)
    )


def event_id(order: CausalOrder, row: int) -> EventId:
    """Return the id of a row."""
    graph = order.graph
    stream = graph.stream[row]
    space, run = graph.worlds[graph.streams.world[stream]]
    return EventId(space, run, graph.streams.ids[stream], int(graph.sequence[row]))


def read_cut(order: CausalOrder, cut: CutLike) -> CutLine:
    """Read a cut: one, the frontier of one by agent, or the last events of some agents.

    Of agents that a frontier does not name, nothing lies before it.
    """
    found = cut if isinstance(cut, Cut) else _cut_of(order, cut)
    order = found.home.order
    bad = found.violations
    offending = tuple(
        (event_id(order, cause), event_id(order, effect))
        for cause, effect in zip(bad.cause.tolist(), bad.effect.tolist(), strict=True)
    )
    said = "the cut is consistent"
    if offending:
        cause, effect = (order.event(int(rows[0])) for rows in (bad.cause, bad.effect))
        said = (
            f"the cut is not consistent: {_named(effect)} lies before it and its cause "
            f"({KIND_LABELS[bad.kind[0]]}) {_named(cause)} beyond"
        )
        if len(offending) > 1:
            said += f", and so {plural(len(offending) - 1, 'more cause')}"
        nearest = plural(len(found.closest_consistent()), "event")
        said += f"; the closest consistent cut before it has {nearest}, it has {len(found)}"
    ids = frozenset(event_id(order, row) for row in found.rows.tolist())
    return CutLine(ids, offending, said)


def _cut_of(order: CausalOrder, cut: object) -> Cut:
    if isinstance(cut, Mapping):
        return order.cut(frontier=cut)
    if not isinstance(cut, Iterable):
        message = f"cut is {cut!r:.80}; expected a Cut, a frontier by agent, or events"
        raise InvalidArgumentError(message)
    graph = order.graph
    place = np.argsort(graph.lane_rows)
    last: dict[str, int] = {}
    rows = [order.row(event) for event in cut]
    for row in sorted(rows, key=lambda row: int(place[row])):
        last[graph.lanes.ids[graph.lane[row]]] = row
    worlds = {graph.worlds[graph.world[row]] for row in rows}
    if len(worlds) > 1:
        message = f"the events of the cut belong to {len(worlds)} runs; a cut lies in one"
        raise InvalidArgumentError(message)
    space, run = next(iter(worlds), (None, None))
    frontier = {agent: event_id(order, row) for agent, row in last.items()}
    return order.cut(frontier=frontier, run_id=run, namespace=space)


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
