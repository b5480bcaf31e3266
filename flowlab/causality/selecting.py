"""What somebody means: which event, by a row, an id, a pair or a key; and which limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.errors import InvalidArgumentError, InvalidKeyError, NotFoundError
from flowlab.events import Event, EventId, parse_key

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flowlab.causality.graph import CausalGraph

EventRef = int | np.integer | Event | EventId | tuple[str, int] | str
"""How an event is named: its row, itself, its id, (workflow_id, sequence), or a key."""

_EXPECTED: Final = (
    "expected a row, an Event, (workflow_id, sequence), or a key like /workflows/trip-1/events/3"
)
_OWN_STREAM: Final = "; an agent's own stream is @ and its name, as in ('@alice', 1)"


def check_limit(limit: object) -> None:
    """Refuse what is no limit.

    Raises:
        InvalidArgumentError: it is no int, or less than 1.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        message = f"limit is {limit!r:.80}; expected an int, 1 or more"
        raise InvalidArgumentError(message)


def find_row(graph: CausalGraph, event: EventRef) -> int:
    """Return the row of an event; see `CausalOrder.row`."""
    if isinstance(event, int | np.integer) and not isinstance(event, bool):
        row = int(event)
        if not 0 <= row < graph.size:
            message = f"there is no row {row}: the log has {graph.size} events, from row 0"
            raise NotFoundError(message)
        return row
    if isinstance(event, Event):
        return _of_id(graph, event.id)
    if isinstance(event, str):
        return _of_key(graph, event)
    if isinstance(event, tuple):
        if len(event) == len(EventId._fields) and isinstance(event[-1], int | np.integer):
            return _of_id(graph, EventId(*event))
        if len(event) == 2 and isinstance(event[0], str) and isinstance(event[1], int):  # noqa: PLR2004
            return _of_pair(graph, event[0], event[1])
    message = f"{event!r:.80} names no event; {_EXPECTED}"
    raise InvalidArgumentError(message)


def find_rows(graph: CausalGraph, rows: ArrayLike) -> NDArray[np.int32]:
    """Return rows as an array, checked.

    Raises:
        InvalidArgumentError: they are no list of integers.
        NotFoundError: one of them is outside the log.
    """
    found = np.asarray(rows)
    if found.ndim != 1:
        message = f"expected a list of rows, got {rows!r:.80}"
        raise InvalidArgumentError(message)
    if len(found) and not np.issubdtype(found.dtype, np.integer):
        message = f"expected rows as integers, got {found.dtype}; order.row(event) gives a row"
        raise InvalidArgumentError(message)
    if len(found) and (int(found.min()) < 0 or int(found.max()) >= graph.size):
        message = f"rows go from 0 to {graph.size - 1}; got {found.min()} to {found.max()}"
        raise NotFoundError(message)
    return found.astype(np.int32, copy=False)


def _of_key(graph: CausalGraph, text: str) -> int:
    if not text.startswith("/"):
        message = f"{text!r:.80} is not the key of one event; {_EXPECTED}{_OWN_STREAM}"
        raise InvalidKeyError(message)
    key = parse_key(text)
    if key.root != "workflows" or key.id is None or key.first is None or key.first != key.last:
        message = f"{text!r} is not the key of one event; {_EXPECTED}"
        raise InvalidArgumentError(message)
    if key.namespace is not None or key.run_id is not None:
        space, run = key.namespace or "default", key.run_id or ""
        return _of_id(graph, EventId(space, run, key.id, key.first))
    return _of_pair(graph, key.id, key.first)


def _of_id(graph: CausalGraph, wanted: EventId) -> int:
    world = (wanted.namespace, wanted.run_id)
    if world in graph.worlds:
        code = graph.worlds.index(world)
        rows = _rows(graph, wanted.workflow_id, wanted.sequence)
        for row in rows:
            if graph.world[row] == code:
                return row
    message = (
        f"the log has no event {wanted.workflow_id}/{wanted.sequence} in the run "
        f"{wanted.run_id!r} of {wanted.namespace!r}"
    )
    raise NotFoundError(message)


def _of_pair(graph: CausalGraph, workflow_id: str, sequence: int) -> int:
    rows = _rows(graph, workflow_id, sequence)
    if len(rows) == 1:
        return rows[0]
    if not rows:
        lane = f"@{workflow_id}"
        hint = f"; {workflow_id!r} is an agent, whose own stream is {lane!r}"
        is_agent = len(graph.streams.codes_of(lane)) > 0
        message = f"the log has no event {workflow_id}/{sequence}{hint if is_agent else ''}"
        raise NotFoundError(message)
    message = (
        f"{len(rows)} runs have an event {workflow_id}/{sequence}; name one by "
        "EventId(namespace, run_id, workflow_id, sequence), or take log.filter(run_id=...)"
    )
    raise InvalidArgumentError(message)


def _rows(graph: CausalGraph, workflow_id: str, sequence: int) -> list[int]:
    if not -(2**63) <= sequence < 2**63:
        return []
    streams = graph.streams.codes_of(workflow_id)
    rows = graph.places.rows_of(streams, np.full(len(streams), sequence, np.int64))
    return [int(row) for row in rows if row >= 0]
