"""What is told in a choreography, and what an agent remembers of what it has done for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flowlab.simulation.choreography_routes import Heard
    from flowlab.simulation.server import Server

OUTSIDE: Final = "outside"
"""What the network calls whoever starts a choreography."""


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


class Deed:
    """What one reaction has done for one workflow: what its agent remembers.

    Attributes:
        index, step: which reaction, and what this is called.
        state: at work, done, refused, undoing or undone.
        input, result: what it was told, and what came of it.
        undone_by: the letter because of which it is undone.
    """

    __slots__ = ("index", "input", "result", "state", "step", "undone_by")

    def __init__(self, index: int, step: str) -> None:
        self.index = index
        self.step = step
        self.state = "at work"
        self.input: Any = None
        self.result: Any = None
        self.undone_by: Letter | None = None

    def __repr__(self) -> str:
        return f"Deed({self.step!r}, {self.state})"
