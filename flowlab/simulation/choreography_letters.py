"""What is told in a choreography, on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowlab.simulation.network import OUTSIDE

if TYPE_CHECKING:
    from flowlab.simulation.server import Server
    from flowlab.workflow.choreography_routes import Heard


class Letter:
    """An event on its way to one agent, until that agent has acknowledged it.

    Attributes:
        heard: what the agent does about it.
        step: names that among all that this workflow does.
        event, value: what is told.
        source: the row of the event.
        sender: who tells it; None is whoever started the workflow.
        sends: how often it was sent.
        acknowledged: whether the sender knows that it was handled.
    """

    __slots__ = ("acknowledged", "event", "heard", "sender", "sends", "source", "step", "value")

    def __init__(
        self, heard: Heard, step: str, event: str, value: Any, source: int, sender: Server | None
    ) -> None:
        self.heard = heard
        self.step = step
        self.event = event
        self.value = value
        self.source = source
        self.sender = sender
        self.sends = 0
        self.acknowledged = False

    def __repr__(self) -> str:
        return f"Letter({self.event!r}, to {self.heard.agent!r})"

    @property
    def from_whom(self) -> str:
        """What the network calls the sender."""
        return OUTSIDE if self.sender is None else self.sender.name
