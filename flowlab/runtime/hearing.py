"""What a scheme of recovery hears of each durable turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flowlab.runtime.scheme import AgentScheme, Replay
from flowlab.workflow import Execution, PlanExecution

if TYPE_CHECKING:
    from flowlab.events import Event
    from flowlab.runtime.agents import Agents
    from flowlab.runtime.hosting import Hosting
    from flowlab.runtime.scheme import RecoveryScheme
    from flowlab.store import EventStore


class Hearing:
    """Tells a scheme of what is durable now, each workflow's events by themselves.

    Args:
        store: where they are.
        scheme: hears of them.
        namespace: of every stream.
        agents: their streams too, of those with state, where the scheme wants to hear of them.
    """

    __slots__ = ("_agents", "_namespace", "_scheme", "_store", "_streams")

    def __init__(
        self, store: EventStore, scheme: RecoveryScheme, namespace: str, agents: Agents
    ) -> None:
        self._store = store
        self._scheme = scheme
        self._namespace = namespace
        self._agents = scheme if isinstance(scheme, AgentScheme) else None
        self._streams = frozenset(f"@{x.name}" for x in agents.lanes.values() if x.stateful)

    def __repr__(self) -> str:
        return f"Hearing({self._scheme!r})"

    def tell(self, host: Hosting, events: list[Event], touched: Iterable[str]) -> None:
        """Let the scheme hear of a turn's events; `touched` are the workflows among their streams.

        One that cannot go on here, and what nobody conducts, no scheme hears of.
        """
        if type(self._scheme) is Replay:
            return  # it does nothing with them, at every step
        streams: dict[str, list[Event]] = {workflow_id: [] for workflow_id in touched}
        for event in events:
            if event.workflow_id in streams:
                streams[event.workflow_id].append(event)
        for workflow_id, mine in streams.items():
            instance = host.instances.get(workflow_id)
            if instance is None or instance.error is not None:
                continue
            if isinstance(instance.execution, (Execution, PlanExecution)):
                stream = (self._namespace, "", workflow_id)
                self._scheme.committed(
                    self._store, stream, instance.execution, instance.standing, mine
                )
        if self._agents is not None and self._streams:
            self._tell_of_agents(self._agents, events)

    def _tell_of_agents(self, scheme: AgentScheme, events: list[Event]) -> None:
        streams: dict[str, list[Event]] = {}
        for event in events:
            if event.workflow_id in self._streams:
                streams.setdefault(event.workflow_id, []).append(event)
        for stream, mine in streams.items():
            scheme.agent_committed(self._store, (self._namespace, "", stream), mine)
