"""The sagas of the simulation claims in SimPy, in three styles that give equal outcomes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from flowlab.studies.saga_workload import SECOND_NS, TIMEOUT_S, SagaWorkload

if TYPE_CHECKING:
    from simpy import Environment, Event

_TIMEOUT_NS: Final = TIMEOUT_S * SECOND_NS


class _Sagas:
    """A workload on an environment, and what came of it.

    Attributes:
        over: happens when the last saga has ended.
        completion_ns, events, timed_out: as in a `SagaOutcome`.
    """

    __slots__ = ("agents", "completion_ns", "env", "events", "left", "over", "timed_out", "work")

    def __init__(self, env: Environment, work: SagaWorkload) -> None:
        self.env = env
        self.work = work
        self.agents: list[Any] = []
        self.over: Event = env.event()
        self.left = len(work.starts_ns)
        self.completion_ns = self.events = self.timed_out = 0

    def ended(self, calls: int) -> None:
        """Take note of the end of a saga."""
        self.completion_ns += int(self.env.now)
        self.events += 4 * calls + 2
        self.left -= 1
        if not self.left:
            self.over.succeed()


# -- callbacks: an object for each saga, call and agent, and their methods called back -------------


class CallbackSagas(_Sagas):
    """The expert style: `env.timeout(delay).callbacks.append(...)`, and no process."""

    __slots__ = ()

    def __init__(self, env: Environment, work: SagaWorkload) -> None:
        super().__init__(env, work)
        self.agents = [_Agent(env) for _ in range(work.agents)]
        env.timeout(work.starts_ns[0], 0).callbacks.append(self.arrived)

    def arrived(self, event: Any) -> None:
        """Start a saga, and wait for the next."""
        number, starts, ends = event.value, self.work.starts_ns, self.work.ends
        if number + 1 < len(starts):
            gap = starts[number + 1] - starts[number]
            self.env.timeout(gap, number + 1).callbacks.append(self.arrived)
        _Saga(self, ends[number - 1] if number else 0, ends[number]).next()


class _Saga:
    """A saga under way, with the places of its calls in the workload."""

    __slots__ = ("begin", "end", "place", "world")

    def __init__(self, world: _Sagas, begin: int, end: int) -> None:
        self.world = world
        self.begin = self.place = begin
        self.end = end

    def next(self) -> None:
        """Make the next call, or end."""
        if self.place == self.end:
            self.world.ended(self.end - self.begin)
            return
        self.place += 1
        _Call(self, self.place - 1)


class _Call:
    """One call: it travels, is served, and travels back; a timer runs meanwhile."""

    __slots__ = ("agent", "done", "env", "reply_ns", "saga", "service_ns")

    def __init__(self, saga: _Saga, place: int) -> None:
        self.saga = saga
        self.env = env = saga.world.env
        work = saga.world.work
        self.agent: _Agent = saga.world.agents[work.agent[place]]
        self.service_ns = work.service_ns[place]
        self.reply_ns = work.reply_ns[place]
        self.done = False
        env.timeout(work.request_ns[place]).callbacks.append(self.received)
        env.timeout(_TIMEOUT_NS).callbacks.append(self.expired)

    def received(self, _: object) -> None:
        """Come to the agent: it serves, or lets the call wait."""
        agent = self.agent
        if agent.busy:
            agent.mailbox.append(self)
        else:
            agent.serve(self)

    def answered(self, _: object) -> None:
        """Come back."""
        self.done = True
        self.saga.next()

    def expired(self, _: object) -> None:
        """Look whether the call is done, which is how a timer is cancelled."""
        if not self.done:
            self.saga.world.timed_out += 1


class _Agent:
    """A single server with a FIFO mailbox."""

    __slots__ = ("busy", "env", "mailbox")

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.mailbox: deque[_Call] = deque()
        self.busy = False

    def serve(self, call: _Call) -> None:
        """Begin to serve a call."""
        self.busy = True
        self.env.timeout(call.service_ns, call).callbacks.append(self.served)

    def served(self, event: Any) -> None:
        """Answer, and take the next call."""
        call = event.value
        self.env.timeout(call.reply_ns).callbacks.append(call.answered)
        if self.mailbox:
            self.serve(self.mailbox.popleft())
        else:
            self.busy = False


# -- process: a generator for each saga, which waits for the reply ---------------------------------


class ProcessSagas(_Sagas):
    """A process for each saga; only what it waits for has an event of its own."""

    __slots__ = ()

    def __init__(self, env: Environment, work: SagaWorkload) -> None:
        super().__init__(env, work)
        self.agents = [_AwaitedAgent(env, work) for _ in range(work.agents)]
        env.process(self.arrivals())

    def arrivals(self) -> Generator[Any, Any, None]:
        """Start each saga when its time has come."""
        begin = 0
        for start, end in zip(self.work.starts_ns, self.work.ends, strict=True):
            if start > self.env.now:
                yield self.env.timeout(start - self.env.now)
            self.env.process(self.saga(begin, end))
            begin = end

    def saga(self, begin: int, end: int) -> Generator[Any, Any, None]:
        """Make one call after the other."""
        env, work = self.env, self.work
        for place in range(begin, end):
            reply = env.event()
            agent = self.agents[work.agent[place]]
            env.timeout(work.request_ns[place], (place, reply)).callbacks.append(agent.received)
            env.timeout(_TIMEOUT_NS, reply).callbacks.append(self.expired)
            yield reply
        self.ended(end - begin)

    def expired(self, event: Any) -> None:
        """Look whether the reply is there, which is how a timer is cancelled."""
        if not event.value.triggered:
            self.timed_out += 1


class _AwaitedAgent:
    """A single server with a FIFO mailbox of (place in the workload, reply to trigger)."""

    __slots__ = ("busy", "env", "mailbox", "work")

    def __init__(self, env: Environment, work: SagaWorkload) -> None:
        self.env = env
        self.work = work
        self.mailbox: deque[tuple[int, Event]] = deque()
        self.busy = False

    def received(self, event: Any) -> None:
        """Serve a call, or let it wait."""
        if self.busy:
            self.mailbox.append(event.value)
        else:
            self.serve(event.value)

    def serve(self, call: tuple[int, Event]) -> None:
        """Begin to serve a call."""
        self.busy = True
        self.env.timeout(self.work.service_ns[call[0]], call).callbacks.append(self.served)

    def served(self, event: Any) -> None:
        """Answer, and take the next call."""
        place, reply = event.value
        self.env.timeout(self.work.reply_ns[place], reply).callbacks.append(_answered)
        if self.mailbox:
            self.serve(self.mailbox.popleft())
        else:
            self.busy = False


def _answered(event: Any) -> None:
    event.value.succeed()


# -- columns: as callbacks, but a saga is its only object, and a call a place in the workload ------


class ColumnSagas(_Sagas):
    """The leanest style: timeouts are made without the environment's help, and no calls are."""

    __slots__ = ("timeout",)

    def __init__(self, env: Environment, work: SagaWorkload) -> None:
        from simpy.events import Timeout  # noqa: PLC0415 - a peer

        super().__init__(env, work)
        self.timeout: Callable[..., Any] = Timeout
        self.agents = [_PlacedAgent(self) for _ in range(work.agents)]
        Timeout(env, work.starts_ns[0], 0).callbacks.append(self.arrived)

    def arrived(self, event: Any) -> None:
        """Start a saga, and wait for the next."""
        number, starts = event.value, self.work.starts_ns
        if number + 1 < len(starts):
            gap = starts[number + 1] - starts[number]
            self.timeout(self.env, gap, number + 1).callbacks.append(self.arrived)
        ends = self.work.ends
        _PlacedSaga(self, ends[number - 1] if number else 0, ends[number]).call()


class _PlacedSaga:
    """A saga under way: the call that it has out, as a place in the columns of the workload."""

    __slots__ = ("begin", "end", "place", "world")

    def __init__(self, world: ColumnSagas, begin: int, end: int) -> None:
        self.world = world
        self.begin = self.place = begin
        self.end = end

    def call(self) -> None:
        """Send a request, and set the timer of the call."""
        world, place = self.world, self.place
        world.timeout(world.env, world.work.request_ns[place]).callbacks.append(self.received)
        world.timeout(world.env, _TIMEOUT_NS, place).callbacks.append(self.expired)

    def received(self, _: object) -> None:
        """Put the request into the agent's mailbox."""
        world = self.world
        world.agents[world.work.agent[self.place]].receive(self)

    def expired(self, event: Any) -> None:
        """Look whether the call is done, which is how a timer is cancelled."""
        if event.value == self.place:
            self.world.timed_out += 1

    def answered(self, _: object) -> None:
        """Go on to the next call, or end."""
        self.place += 1
        if self.place < self.end:
            self.call()
            return
        self.world.ended(self.end - self.begin)


class _PlacedAgent:
    """A single server with a FIFO mailbox."""

    __slots__ = ("mailbox", "serving", "world")

    def __init__(self, world: ColumnSagas) -> None:
        self.world = world
        self.mailbox: deque[_PlacedSaga] = deque()
        self.serving: _PlacedSaga | None = None

    def receive(self, saga: _PlacedSaga) -> None:
        """Serve a request, or let it wait."""
        if self.serving is None:
            self.serve(saga)
        else:
            self.mailbox.append(saga)

    def serve(self, saga: _PlacedSaga) -> None:
        """Begin to serve a request."""
        self.serving = saga
        world = self.world
        delay = world.work.service_ns[saga.place]
        world.timeout(world.env, delay, saga).callbacks.append(self.served)

    def served(self, event: Any) -> None:
        """Answer, and take the next request."""
        saga, world = event.value, self.world
        delay = world.work.reply_ns[saga.place]
        world.timeout(world.env, delay).callbacks.append(saga.answered)
        if self.mailbox:
            self.serve(self.mailbox.popleft())
        else:
            self.serving = None
