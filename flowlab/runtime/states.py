"""The durable state of agents: a fold of the transactions in their streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowlab.errors import TruncatedError
from flowlab.runtime.scheme import AgentCells, AgentScheme
from flowlab.store.position_read import stream_events

if TYPE_CHECKING:
    from flowlab.runtime.agents import Agents
    from flowlab.runtime.scheme import RecoveryScheme, Stream
    from flowlab.store import EventStore


def restore_states(
    store: EventStore, agents: Agents, scheme: RecoveryScheme, *, namespace: str
) -> None:
    """Give every agent with state the cells that its transactions have left it with.

    Raises:
        TruncatedError: the beginning of an agent's stream is gone, and no checkpoint holds it.
    """
    for lane in agents.lanes.values():
        if lane.stateful:
            stream = (namespace, "", f"@{lane.name}")
            if isinstance(scheme, AgentScheme):
                found = scheme.agent_cells(store, stream)
            else:
                found = told_cells(store, stream)
            lane.state.update(found.values)
            for cell in found.deleted:
                lane.state.pop(cell, None)


def agent_values(store: EventStore, agent: str, *, namespace: str = "default") -> dict[str, Any]:
    """Return the cells that an agent's transactions have written and not deleted.

    Raises:
        TruncatedError: the beginning of its stream is gone.
    """
    return dict(told_cells(store, (namespace, "", f"@{agent}")).values)


def told_cells(store: EventStore, stream: Stream) -> AgentCells:
    """Return what all transactions of an agent have made of its state, the first one first.

    Raises:
        TruncatedError: the beginning of its stream is gone.
    """
    snapshot = store.snapshot()
    base = snapshot.bases.base(stream)
    if base:
        message = (
            f"the stream of agent {stream[2][1:]!r} begins at {base + 1}, since it was truncated: "
            "its state cannot be had from what is left. Recover it by the scheme that took "
            "checkpoints of it, Checkpointed(...) or Incremental(...), or restore the archive"
        )
        raise TruncatedError(message)
    values: dict[str, Any] = {}
    deleted: dict[str, None] = {}
    events = stream_events(snapshot, stream)
    for event in events:
        if event.event_type == "TransactionCommitted":
            told = event.data if isinstance(event.data, dict) else {}
            for cell, value in told.get("values", {}).items():
                values[cell] = value
                deleted.pop(cell, None)
            for cell in told.get("deleted", ()):
                values.pop(cell, None)
                deleted[cell] = None
    return AgentCells(values, tuple(deleted), len(events))
