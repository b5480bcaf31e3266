"""What the parts of a durable host have in common: what each needs of the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Mapping

    from flowlab.errors import FlowlabError
    from flowlab.events import Cause, Event
    from flowlab.runtime.agents import Agents, Lane
    from flowlab.runtime.instance import Instance
    from flowlab.runtime.processes import Carried
    from flowlab.runtime.recording import Recording
    from flowlab.runtime.turn import Turn


class Hosting(ABC):
    """A host, as its parts know it: who is in it, and how a turn goes on."""

    agents: Agents
    instances: dict[str, Instance]
    processes: Mapping[str, Carried]
    recording: Recording
    _later: deque[Callable[[], None]]
    _turn: Turn

    @abstractmethod
    def begin(
        self,
        name: str,
        workflow_id: str,
        value: Any,
        *,
        roles: Mapping[str, str] | None = None,
        parent: Cause | None = None,
    ) -> Instance:
        """Begin a workflow."""

    @abstractmethod
    def _known(self, workflow_id: str) -> Instance | None:
        """Return a workflow, from the store where it is not in memory."""

    @abstractmethod
    def _tell(self, instance: Instance, event: Event) -> None:
        """Write what has happened, and carry out what the code makes of it."""

    @abstractmethod
    def _write(self, instance: Instance, event: Event) -> Event:
        """Write the next event of a history."""

    @abstractmethod
    def _go_on(self, instance: Instance, told: list[Event]) -> None:
        """Hand events to the code, and carry out what it asks for, until it waits."""

    @abstractmethod
    def _ask_for(self, instance: Instance, drafts: list[Event]) -> list[Event]:
        """Write what the code asks for, and carry it out; return what the code is told then."""

    @abstractmethod
    def _carry_out(self, instance: Instance, asked: Event) -> None:
        """Do what a request asks for, or have it done once the turn is durable."""

    @abstractmethod
    def _give_up_on(self, instance: Instance, error: FlowlabError) -> None:
        """Take note that a workflow cannot go on here."""

    @abstractmethod
    def _hand_out(self, lane: Lane) -> None:
        """Have an agent begin what there is room for."""

    @abstractmethod
    def _settle(self) -> None:
        """Do what was put off until a workflow has gone on."""
