"""What an agent's handler is given: its state, its clock, its chance, and who asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.cells import Cells
from flowlab.simulation.recorder import plain

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.server import Server
    from flowlab.workflow.chance import Random


class AgentContext:
    """The first argument of a handler, `ctx`: valid until the handler returns.

    The transactions of a world follow one another, so one context serves them all.

    Attributes:
        state: the agent's own cells, a mapping; what a handler changes is committed when it
            returns, and undone when it raises.
        letters: what is to be sent: (to, name, value as `plain` has it, whether to a workflow).
        others: the cells of resources, by name.
    """

    __slots__ = ("_call", "_now_ns", "_server", "letters", "others", "state")

    _server: Server
    _call: Call

    def __init__(self) -> None:
        self._now_ns = 0
        self.letters: list[tuple[str, str, tuple[Any, Any], bool]] = []
        self.state = Cells({})
        self.others: dict[str, Cells] = {}

    def __repr__(self) -> str:
        return "AgentContext()"

    def begin(self, server: Server, now_ns: int, call: Call) -> None:
        """Begin a transaction of an agent for a message."""
        self._server = server
        self._call = call
        self._now_ns = now_ns
        self.state.begin(server.state)
        if self.others:
            self.others = {}
        if self.letters:
            self.letters = []

    @property
    def agent(self) -> str:
        """The agent's id."""
        return self._server.name

    @property
    def call(self) -> Call:
        """The message that is handled."""
        return self._call

    @property
    def activity(self) -> str:
        """The activity that is asked for."""
        return self.call.name

    @property
    def workflow_id(self) -> str:
        """The workflow (or the correlation id) that the message belongs to."""
        return self._server.engine.recorder.streams[self._call.coordination].name

    @property
    def attempt(self) -> int:
        """Which attempt it is, from 1."""
        return self.call.attempt

    @property
    def idempotency_key(self) -> str:
        """Equal for all attempts and deliveries of one step of one workflow."""
        return self.call.idempotency_key

    def now_ns(self) -> int:
        """Return the time on the agent's own clock, which may be skewed."""
        return self._server.clock(self._now_ns)

    def random(self, name: str = "") -> Random:
        """Return a stream of chance of this message, attempt and name."""
        return self._server.engine.random(self._server.name, self.call.label, name)

    def resource(self, name: str) -> Cells:
        """Return the cells of a resource, within the same transaction.

        Raises:
            InvalidArgumentError: the world has none of that name.
        """
        if name not in self.others:
            self.others[name] = Cells(self._server.engine.resource(name))
        return self.others[name]

    def send(self, agent: str, activity: str, value: Any = None) -> None:
        """Send a message to another agent when the transaction commits; nobody waits for it.

        Raises:
            InvalidArgumentError: there is no such agent, or it has no such activity.
            InvalidEventError: the value is not JSON.
        """
        engine = self._server.engine
        if engine.server_for(agent, activity) is None:
            raise InvalidArgumentError(engine.unknown(agent, activity))
        self.letters.append((agent, activity, plain(value), False))

    def signal(self, workflow_id: str, name: str, value: Any = None) -> None:
        """Send an event to a workflow when the transaction commits."""
        self.letters.append((workflow_id, name, plain(value), True))
