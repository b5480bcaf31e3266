"""What an agent's handler is given: its state, its clock, its chance, and who asked."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.conversation import Pause, Question
from flowlab.simulation.recorder import plain
from flowlab.workflow import Duration, LockPolicy, as_ns
from flowlab.workflow.cells import Cells
from flowlab.workflow.names import as_id

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.locks import Mark
    from flowlab.simulation.recorder import Stream
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
        marks: what is to become of semantic locks.
    """

    __slots__ = ("_call", "_cells", "_now_ns", "_server", "_streams", "letters", "marks", "others")

    _server: Server
    _call: Call

    def __init__(self, streams: list[Stream]) -> None:
        self._now_ns = 0
        self._streams = streams
        self.letters: list[tuple[str, str, tuple[Any, Any], bool]] = []
        self._cells = Cells({})
        self.others: dict[str, Cells] = {}
        self.marks: list[Mark] = []

    def __repr__(self) -> str:
        return "AgentContext()"

    def begin(self, server: Server, now_ns: int, call: Call) -> None:
        """Begin a transaction of an agent for a message."""
        self._server = server
        self._call = call
        self._now_ns = now_ns
        self._cells.begin(server.state)
        if self.others:
            self.others = {}
        if self.letters:
            self.letters = []
        if self.marks:
            self.marks = []

    def leave(self) -> None:
        """Let go of the message and of who handles it: the world has ended."""
        with suppress(AttributeError):
            del self._call, self._server

    @property
    def reads(self) -> tuple[tuple[str | None, str], ...]:
        """What the transaction has read: (resource, cell); None is the agent itself."""
        found: list[tuple[str | None, str]] = [(None, key) for key in self.state.reads]
        for name, cells in sorted(self.others.items()):
            found += [(name, key) for key in cells.reads]
        return tuple(found)

    @property
    def state(self) -> Cells:
        """The agent's own cells."""
        return self._cells

    @state.setter
    def state(self, value: object) -> None:
        message = (
            f"ctx.state is set to a {type(value).__name__}; the cells of agent {self.agent!r} are "
            "changed one by one, ctx.state[key] = value, or by ctx.state.update(...)"
        )
        raise InvalidArgumentError(message)

    @property
    def agent(self) -> str:
        """The agent's id."""
        return self._server.name

    @property
    def message(self) -> Call:
        """The message that is handled."""
        return self._call

    @property
    def activity(self) -> str:
        """The activity that is asked for."""
        return self.message.name

    @property
    def workflow_id(self) -> str:
        """The workflow (or the correlation id) that the message belongs to."""
        return self._streams[self._call.coordination].name

    @property
    def attempt(self) -> int:
        """Which attempt it is, from 1."""
        return self.message.attempt

    @property
    def idempotency_key(self) -> str:
        """Equal for all attempts and deliveries of one step of one workflow."""
        return self.message.idempotency_key

    def now_ns(self) -> int:
        """Return the time on the agent's own clock, which may be skewed."""
        return self._server.clock(self._now_ns)

    def random(self, name: str = "") -> Random:
        """Return a stream of chance of this message, attempt and name."""
        return self._server.engine.random(self._server.name, self.message.label, name)

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
        """Send an event to a workflow when the transaction commits.

        Raises:
            InvalidArgumentError: the id or the name is none.
            InvalidEventError: the value is not JSON.
        """
        as_id(workflow_id, "the id of the workflow that is signaled")
        as_id(name, "the name of a signal")
        self.letters.append((workflow_id, name, plain(value), True))

    # -- waiting, in an async handler -------------------------------------------------------------

    def sleep(self, duration: Duration) -> Awaitable[None]:
        """Commit, and go on after a time: `await ctx.sleep(...)` in an async handler.

        Meanwhile the agent takes no other message, unless it is one that interleaves. What a
        handler reads after an await is fresh; what it has read before may be stale.

        Args:
            duration: nanoseconds or a timedelta.

        Raises:
            InvalidArgumentError: it is negative.
        """
        return Pause(as_ns(duration, "duration"))

    def call(
        self, agent: str, activity: str, value: Any = None, *, timeout: Duration | None = None
    ) -> Awaitable[Any]:
        """Commit, ask another agent, and go on with its answer: `await ctx.call(...)`.

        Args:
            agent: whom.
            activity: what for.
            value: its input, any JSON value.
            timeout: how long to wait: nanoseconds or a timedelta; None is for ever.

        Raises:
            ActivityError: the other agent's handler failed, or did not answer in time.
            InvalidArgumentError: there is no such agent, or it has no such activity.
            InvalidEventError: the value is not JSON.
        """
        engine = self._server.engine
        server = engine.server_for(agent, activity)
        if server is None:
            raise InvalidArgumentError(engine.unknown(agent, activity))
        timeout_ns = None if timeout is None else as_ns(timeout, "timeout", least=1)
        return Question(server, activity, value, timeout_ns)

    # -- semantic locks ---------------------------------------------------------------------------

    def claim(self, key: str, policy: LockPolicy = "fail") -> None:
        """Mark a record of this agent as one that the message's workflow is at work on.

        The mark outlasts the handler: a later step or a compensation of the same workflow releases
        it. To claim again what the workflow has is no claim. It counts when the transaction
        commits.

        Args:
            key: names the record.
            policy: where another workflow has it: `fail` raises; `stash` ends the handler, undoes
                its transaction (of an async handler, that of this segment), puts the message aside
                without an answer, and handles it from its beginning when the key is released.

        Raises:
            LockedError: another workflow has it, and the policy is `fail`.
            DeadlockError: to wait would close a cycle of workflows that wait for one another.
            InvalidArgumentError: the policy is none.
        """
        self._server.engine.locks.claim(self.message, self.marks, key, policy)

    def release(self, key: str) -> bool:
        """Release a key when the transaction commits; tell whether the workflow has it.

        To release what the workflow does not have does no harm: messages may come twice.
        """
        return self._server.engine.locks.release(self.message, self.marks, key)
