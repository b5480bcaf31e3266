"""The durable state of agents: a fold of the transactions in their streams."""

from __future__ import annotations

from typing import Any

from flowlab.errors import NotFoundError, TruncatedError
from flowlab.events.keys import Key
from flowlab.runtime.agents import Agents
from flowlab.store import EventStore


def restore_states(store: EventStore, agents: Agents, *, namespace: str) -> None:
    """Give every agent with state the cells that its transactions have left it with.

    Raises:
        TruncatedError: the beginning of an agent's stream is gone.
    """
    for lane in agents.lanes.values():
        if lane.stateful:
            change(lane.state, store, lane.name, namespace=namespace)


def agent_values(store: EventStore, agent: str, *, namespace: str = "default") -> dict[str, Any]:
    """Return the cells that an agent's transactions have written and not deleted.

    Raises:
        TruncatedError: the beginning of its stream is gone.
    """
    values: dict[str, Any] = {}
    change(values, store, agent, namespace=namespace)
    return values


def change(values: dict[str, Any], store: EventStore, agent: str, *, namespace: str) -> None:
    """Do to cells what an agent's transactions have done, in order.

    Raises:
        TruncatedError: the beginning of its stream is gone.
    """
    key = Key("workflows", f"@{agent}", section="events", namespace=namespace)
    if not store.snapshot().head(f"@{agent}", namespace=namespace):
        return
    try:
        events = store.read(str(key)).events()
    except NotFoundError:
        return
    if events and events[0].sequence != 1:
        message = (
            f"the stream of agent {agent!r} begins at {events[0].sequence}: its state cannot be "
            "had from what is left; restore the archive, or give the runtime an agent whose state "
            "is the one before"
        )
        raise TruncatedError(message)
    for event in events:
        if event.event_type == "TransactionCommitted" and not event.run_id:
            data = event.data or {}
            values.update(data.get("values", {}))
            for cell in data.get("deleted", ()):
                values.pop(cell, None)
