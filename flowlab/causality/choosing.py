"""Which cut somebody means: some events, a position, a time, a frontier, a past, or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.causality.cuts import Cut
from flowlab.causality.world_chains import world_of
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.order import CausalOrder
    from flowlab.causality.selecting import EventRef

Frontier = Mapping[str, "int | EventRef | None"]
"""Of each agent, its last event or that one's tick."""

_WAYS = "events, position=, time_ns=, frontier=, past_of= or json="


def find_cut(
    order: CausalOrder,
    ways: Mapping[str, Any],
    run_id: str | None,
    namespace: str | None,
) -> Cut:
    """Return the cut that is meant; see `CausalOrder.cut`."""
    given = {name: value for name, value in ways.items() if value is not None}
    if len(given) != 1:
        told = ", ".join(given) or "nothing"
        message = f"a cut is made in one way; got {told}; expected one of {_WAYS}"
        raise InvalidArgumentError(message)
    ((way, value),) = given.items()
    if way == "json":
        return _of_json(order, value)
    if way in {"events", "past_of"}:
        return _of_events(order, value, run_id, namespace, whole_past=way == "past_of")
    world = world_of(order.graph, run_id, namespace)
    home = order.world_chains(world)
    if way == "frontier":
        return Cut.of_mask(home, _lanes(order, world, value))
    bound = _bound(way, value)
    column = order.log.table.column(way).to_numpy()
    mine = order.graph.world == world
    if way == "position" and mine.any() and int(column[mine].min()) <= 0:
        without = "the events" if int(column[mine].max()) <= 0 else "some events"
        message = f"{without} have no positions: a store gives them; cut by time_ns= or frontier="
        raise InvalidArgumentError(message)
    return Cut.of_mask(home, mine & (column <= bound))


def _bound(way: str, value: object) -> int:
    if isinstance(value, timedelta) and way == "time_ns":
        return value // timedelta(microseconds=1) * 1_000
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        kind = "an int of nanoseconds, or a timedelta" if way == "time_ns" else "an int"
        message = f"{way} is {value!r:.80}; expected {kind}"
        raise InvalidArgumentError(message)
    return int(value)


def _of_events(
    order: CausalOrder,
    events: object,
    run_id: str | None,
    namespace: str | None,
    *,
    whole_past: bool,
) -> Cut:
    rows = [order.row(event) for event in many(events)]
    worlds = set(order.graph.world[rows].tolist())
    if len(worlds) > 1:
        message = f"the events belong to {len(worlds)} runs; a cut lies in one"
        raise InvalidArgumentError(message)
    world = worlds.pop() if worlds else world_of(order.graph, run_id, namespace)
    home = order.world_chains(world)
    if not whole_past:
        inside = np.zeros(len(order.log), bool)
        inside[rows] = True
        return Cut.of_mask(home, inside)
    counts = np.zeros(len(home), np.int64)
    for row in rows:
        np.maximum(counts, home.needs(row), out=counts)
    return Cut(home, tuple(counts.tolist()))


def many(events: object) -> Iterable[Any]:
    """Return several events, where one may be meant: an event, a pair, a key or a row.

    Raises:
        InvalidArgumentError: it is no events; a mapping of agents is a frontier.
    """
    one = isinstance(events, Event | str | int | np.integer)
    # A tuple of keys is several events: an id, or a pair, ends with its sequence.
    pair = (
        isinstance(events, tuple)
        and len(events) > 1
        and isinstance(events[0], str)
        and not isinstance(events[-1], str)
    )
    if one or pair:
        return [events]
    if isinstance(events, Mapping):
        message = f"{events!r:.80} maps agents to ticks; say order.cut(frontier={{...}})"
        raise InvalidArgumentError(message)
    if isinstance(events, Iterable):
        return events
    message = f"{events!r:.80} names no events; expected rows, Events, ids or keys"
    raise InvalidArgumentError(message)


def _lanes(order: CausalOrder, world: int, frontier: object) -> NDArray[np.bool_]:
    """Return the mask of each agent's events up to one of them."""
    if not isinstance(frontier, Mapping):
        message = f"frontier is {frontier!r:.80}; expected a mapping of agents to ticks or events"
        raise InvalidArgumentError(message)
    graph = order.graph
    ticks = order.log.table.column("agent_sequence").to_numpy()
    inside = np.zeros(len(order.log), bool)
    for agent, last in frontier.items():
        lanes = [c for c in graph.lanes.codes_of(agent).tolist() if graph.lanes.world[c] == world]
        if not lanes:
            known = ", ".join(sorted(set(graph.lanes.ids))[:8])
            message = f"the run has no agent {agent!r:.80}; it has {known or 'none'}"
            raise NotFoundError(message)
        rows = graph.lane_rows[graph.lane_start[lanes[0]] : graph.lane_start[lanes[0] + 1]]
        if isinstance(last, int | np.integer):
            _check_tick(agent, int(last), int(ticks[rows].max()))
            inside[rows[ticks[rows] <= last]] = True
        elif last is not None:
            row = order.row(last)
            if graph.lane[row] != lanes[0]:
                message = f"the frontier of {agent!r} is an event of another agent: {last!r:.80}"
                raise InvalidArgumentError(message)
            inside[rows[: int(np.flatnonzero(rows == row)[0]) + 1]] = True
    return inside


def _check_tick(agent: str, last: int, most: int) -> None:
    if not 0 <= last <= most:
        message = f"the frontier of {agent!r:.80} is {last}; expected its tick, from 0 to {most}"
        raise InvalidArgumentError(message)


def _of_json(order: CausalOrder, value: object) -> Cut:
    """Return the cut that `Cut.to_json` has told."""
    if not isinstance(value, Mapping) or "lanes" not in value:
        message = f"{value!r:.80} is no cut in JSON; expected what cut.to_json() gives"
        raise InvalidArgumentError(message)
    space, run = value.get("namespace", "default"), value.get("run_id", "")
    world = world_of(order.graph, run, space) if order.graph.worlds else 0
    inside = _lanes(order, world, value["lanes"])
    besides = value.get("besides", ())
    if not isinstance(besides, list | tuple) or not all(map(_is_pair, besides)):
        message = f"besides is {besides!r:.80}; expected a list of [workflow_id, sequence]"
        raise InvalidArgumentError(message)
    inside[[order.row((space, run, *pair)) for pair in besides]] = True
    return Cut.of_mask(order.world_chains(world), inside)


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and [type(part) for part in value] == [str, int]
