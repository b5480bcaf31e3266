"""What the claims of simulation compare with: SimPy, as its experts write it."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowlab.errors import MissingDependencyError
from flowlab.studies.peers import PEERS_EXTRA
from flowlab.studies.saga_workload import SECOND_NS, TIMEOUT_S, SagaWorkload

if TYPE_CHECKING:
    from simpy import Environment


@dataclass(frozen=True, slots=True)
class SagaOutcome:
    """What a peer made of a workload; peers that agree give equal outcomes.

    Args:
        completion_ns: the sum of the times at which the sagas ended.
        logical_events: 4 for each call and 2 for each saga.
        last_ns: when the last saga ended.
        timed_out: calls whose timer fired before the reply; the workload is such that none does.
        cpu_s: the processor time of the run, the peer's own preparation included, the drawing of
            the workload not; no part of equality.
    """

    completion_ns: int
    logical_events: int
    last_ns: int
    timed_out: int = 0
    cpu_s: float = field(default=0.0, compare=False, repr=False)

    @property
    def completion_s(self) -> float:
        """The sum of the times at which the sagas ended, in seconds."""
        return self.completion_ns / SECOND_NS

    @property
    def events_per_cpu_s(self) -> float:
        """Logical events for each second of processor time."""
        return self.logical_events / self.cpu_s


@contextmanager
def collector(*, frozen: bool) -> Iterator[None]:
    """Run with the cyclic collector on, as a library is shipped, or frozen and off.

    Either way the garbage of before is collected first, and the collector is afterwards as it was.
    """
    was_on = gc.isenabled()
    gc.collect()
    if frozen:
        gc.freeze()
        gc.disable()
    else:
        gc.enable()
    try:
        yield
    finally:
        if frozen:
            gc.unfreeze()
        (gc.enable if was_on else gc.disable)()


def simpy_run(workload: SagaWorkload, *, frozen: bool = False) -> SagaOutcome:
    """Simulate a workload with SimPy as its experts write it: bare timeouts with callbacks.

    There are no processes and no resources: a mailbox is a deque, and a timer that is cancelled
    stays in SimPy's heap, since SimPy takes nothing out of it. Nothing is recorded. The run ends
    with the last saga; timers that are left are not waited for.

    Args:
        workload: what is simulated.
        frozen: the cyclic collector is frozen and off while it runs; as shipped, it is on.

    Raises:
        MissingDependencyError: SimPy is not installed.

    Example:
        >>> simpy_run(SagaWorkload.of(agents=10, sagas=100))
        SagaOutcome(completion_ns=6524174423832, logical_events=2128, last_ns=118035533700,
                    timed_out=0)
    """
    try:
        from simpy import Environment  # noqa: PLC0415 - a peer
    except ImportError as error:
        message = f"this claim compares with the library simpy: {PEERS_EXTRA}"
        raise MissingDependencyError(message) from error
    with collector(frozen=frozen):
        began = time.process_time()
        env = Environment()
        world = _World(env, workload)
        env.run(until=world.over)
        seconds = time.process_time() - began
    return SagaOutcome(world.completion_ns, world.events, int(env.now), world.timed_out, seconds)


class _World:
    """A workload on a SimPy environment, and what came of it."""

    __slots__ = (
        "agents", "completion_ns", "env", "events", "left", "over", "timed_out", "timeout", "work",
    )  # fmt: skip

    def __init__(self, env: Environment, work: SagaWorkload) -> None:
        from simpy.events import Event, Timeout  # noqa: PLC0415 - a peer

        self.env = env
        self.work = work
        self.timeout: Callable[..., Any] = Timeout
        self.agents = [_Agent(self) for _ in range(work.agents)]
        self.over = Event(env)
        self.left = len(work.starts_ns)
        self.completion_ns = self.events = self.timed_out = 0
        Timeout(env, work.starts_ns[0], 0).callbacks.append(self.arrived)

    def arrived(self, event: Any) -> None:
        """Start a saga, and wait for the next."""
        number, starts = event.value, self.work.starts_ns
        if number + 1 < len(starts):
            gap = starts[number + 1] - starts[number]
            self.timeout(self.env, gap, number + 1).callbacks.append(self.arrived)
        ends = self.work.ends
        _Saga(self, ends[number - 1] if number else 0, ends[number]).call()


class _Saga:
    """A saga under way: the call that it has out, as a place in the columns of the workload."""

    __slots__ = ("begin", "end", "place", "world")

    def __init__(self, world: _World, begin: int, end: int) -> None:
        self.world = world
        self.begin = self.place = begin
        self.end = end

    def call(self) -> None:
        """Send a request, and set the timer of the call."""
        world, place = self.world, self.place
        world.timeout(world.env, world.work.request_ns[place]).callbacks.append(self.received)
        world.timeout(world.env, _TIMEOUT_NS, place).callbacks.append(self.expired)

    def received(self, _event: Any) -> None:
        """Put the request into the agent's mailbox."""
        world = self.world
        world.agents[world.work.agent[self.place]].receive(self)

    def expired(self, event: Any) -> None:
        """Look whether the call is done, which is how a timer is cancelled."""
        if event.value == self.place:
            self.world.timed_out += 1

    def answered(self, _event: Any) -> None:
        """Go on to the next call, or end."""
        self.place += 1
        if self.place < self.end:
            self.call()
            return
        world = self.world
        world.completion_ns += int(world.env.now)
        world.events += 4 * (self.end - self.begin) + 2
        world.left -= 1
        if not world.left:
            world.over.succeed()


class _Agent:
    """A single server with a FIFO mailbox."""

    __slots__ = ("mailbox", "serving", "world")

    def __init__(self, world: _World) -> None:
        self.world = world
        self.mailbox: deque[_Saga] = deque()
        self.serving: _Saga | None = None

    def receive(self, saga: _Saga) -> None:
        """Serve a request, or let it wait."""
        if self.serving is None:
            self.serve(saga)
        else:
            self.mailbox.append(saga)

    def serve(self, saga: _Saga) -> None:
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


_TIMEOUT_NS = TIMEOUT_S * SECOND_NS
