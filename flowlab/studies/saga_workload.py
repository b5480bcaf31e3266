"""The sagas that the claims of simulation are measured on, drawn once and equal for every peer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flowlab.errors import InvalidArgumentError

STEPS: Final = 5
"""The agents that a saga calls, one after the other."""
FAILING: Final = 0.1
"""The part of the sagas that fails."""
TIMEOUT_S: Final = 200
"""What the timer of a call is set to."""
SAGAS: Final = 4_000
SAGAS_OF_MANY_AGENTS: Final = 20_000
MANY_AGENTS: Final = 10_000
"""The number of agents from which on a workload has more sagas."""
SAGA_SEED: Final = 12_345
SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SagaCall:
    """One call of an agent: who serves it, and how long each part of it takes.

    Args:
        agent: the number of the agent.
        request_ns, service_ns, reply_ns: each 0.5 s and a draw below 1 s; what the call waits in
            the agent's mailbox comes on top.
    """

    agent: int
    request_ns: int
    service_ns: int
    reply_ns: int


@dataclass(frozen=True, slots=True)
class PlannedSaga:
    """One saga of a workload: when it starts, and every call that it makes.

    Args:
        start_ns: when it arrives.
        forward: the calls of its steps: all five, or those up to the one that fails, which the
            agent serves as any other and answers with a failure.
        compensations: the calls that undo the steps done before, in reverse order, each to the
            agent that did the step.
    """

    start_ns: int
    forward: tuple[SagaCall, ...]
    compensations: tuple[SagaCall, ...]

    @property
    def failing_step(self) -> int | None:
        """The place of the step that fails; None where none does."""
        fails = len(self.forward) < STEPS or bool(self.compensations)
        return len(self.forward) - 1 if fails else None


@dataclass(frozen=True, slots=True, repr=False)
class SagaWorkload:
    """Sagas over single-server agents with FIFO mailboxes, drawn once and equal for every peer.

    A saga arrives every 10/N seconds and calls five agents in sequence. A call is a request's
    delay, the wait in the agent's mailbox, the service, and a reply's delay, each of the three
    0.5 + U(0, 1) seconds, rounded to nanoseconds. Each call sets a timer of 200 s that its reply
    cancels. One saga in ten fails at a step chosen uniformly; then the steps done before it are
    undone in reverse by calls of the same kind. At equal times, what was scheduled first happens
    first.

    One `random.Random(seed)` draws, for each saga in the order of arrival: five agents by
    `randrange(N)`; the failing step by `randrange(5)` if `random() < 0.1`; then for every call that
    the saga makes, in the order in which it makes them, compensations included, the delays of
    request, service and reply.

    The columns hold all calls of all sagas, one saga after the other: plain numbers, which a
    cyclic collector does not look at.

    Args:
        agents: how many.
        seed: equal seeds give equal workloads.
        starts_ns: of each saga, its arrival.
        failing: of each saga, the step that fails, or -1.
        ends: of each saga, the place in the columns after its last call.
        agent, request_ns, service_ns, reply_ns: of each call.

    Example:
        >>> workload = SagaWorkload.of(agents=10, sagas=100)
        >>> workload
        SagaWorkload(10 agents, 100 sagas, 482 calls, seed 12345)
        >>> workload.logical_events
        2128
    """

    agents: int
    seed: int
    starts_ns: tuple[int, ...]
    failing: tuple[int, ...]
    ends: tuple[int, ...]
    agent: tuple[int, ...]
    request_ns: tuple[int, ...]
    service_ns: tuple[int, ...]
    reply_ns: tuple[int, ...]

    @classmethod
    def of(cls, *, agents: int, sagas: int | None = None, seed: int = SAGA_SEED) -> SagaWorkload:
        """Draw a workload.

        Args:
            agents: at least one.
            sagas: at least one; by default 4 000, and 20 000 from 10 000 agents on.
            seed: of the generator.

        Raises:
            InvalidArgumentError: there is no agent or no saga.
        """
        if sagas is None:
            sagas = SAGAS_OF_MANY_AGENTS if agents >= MANY_AGENTS else SAGAS
        if agents < 1 or sagas < 1:
            message = f"agents is {agents} and sagas {sagas}; expected at least one of each"
            raise InvalidArgumentError(message)
        rng = random.Random(seed)  # noqa: S311 - a simulation
        failing: list[int] = []
        ends: list[int] = []
        agent: list[int] = []
        delays: tuple[list[int], list[int], list[int]] = ([], [], [])
        for _ in range(sagas):
            steps = [rng.randrange(agents) for _ in range(STEPS)]
            fails = rng.randrange(STEPS) if rng.random() < FAILING else -1
            called = steps if fails < 0 else steps[: fails + 1] + steps[:fails][::-1]
            for _ in called:
                for column in delays:
                    column.append(round((0.5 + rng.random()) * SECOND_NS))
            agent += called
            failing.append(fails)
            ends.append(len(agent))
        starts = tuple(round(number * 10 * SECOND_NS / agents) for number in range(sagas))
        columns = (tuple(column) for column in (failing, ends, agent, *delays))
        return cls(agents, seed, starts, *columns)

    @property
    def logical_events(self) -> int:
        """Sent, received, served, answered for each call; started and ended for each saga."""
        return 4 * len(self.agent) + 2 * len(self.starts_ns)

    def sagas(self) -> Iterator[PlannedSaga]:
        """Yield the sagas in the order of arrival.

        Example:
            >>> first = next(SagaWorkload.of(agents=10, sagas=1).sagas())
            >>> first.start_ns, [call.agent for call in first.forward], first.compensations
            (0, [6, 0, 4, 5, 3], ())
        """
        columns = (self.agent, self.request_ns, self.service_ns, self.reply_ns)
        begin = 0
        for start, fails, end in zip(self.starts_ns, self.failing, self.ends, strict=True):
            calls = [
                SagaCall(*(column[place] for column in columns)) for place in range(begin, end)
            ]
            forward = STEPS if fails < 0 else fails + 1
            yield PlannedSaga(start, tuple(calls[:forward]), tuple(calls[forward:]))
            begin = end

    def __repr__(self) -> str:
        return (
            f"SagaWorkload({self.agents} agents, {len(self.starts_ns)} sagas, "
            f"{len(self.agent)} calls, seed {self.seed})"
        )
